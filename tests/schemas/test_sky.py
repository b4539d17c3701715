"""The geometry against astropy's separations, at the places where pixels are awkward."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.densities import skymap_of
from schemas.localisation import Annulus, Cone, Ellipse
from schemas.pixels import PIXEL_SR, cell_centres
from schemas.sky import PIXEL_COUNT, Cells, CellTable, Circle, Region, SkyMap, cap_of, inner_of, pixels_of

ARCSEC = 1 / 3600
RA = st.one_of(st.floats(0, 360), st.sampled_from([0.0, 45.0, 90.0, 180.0, 270.0, 315.0, 360.0, 1e-9, 359.9999999]))
DEC = st.one_of(
    st.floats(-90, 90), st.sampled_from([90.0, -90.0, 89.99999, -89.99999, 0.0, 41.8103148957786, -41.8103148957786])
)
RADIUS = st.one_of(st.floats(-4, np.log10(180)).map(lambda x: float(10**x)), st.sampled_from([ARCSEC, 90.0, 180.0]))


def oracle_deg(ra: np.ndarray, dec: np.ndarray, ra0: float, dec0: float) -> np.ndarray:
    return np.asarray(SkyCoord(ra * u.deg, dec * u.deg).separation(SkyCoord(ra0 * u.deg, dec0 * u.deg)).deg)


def ring(ra: float, dec: float, radius: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions at this distance, all around."""
    around = SkyCoord(ra * u.deg, dec * u.deg).directional_offset_by(np.linspace(0, 360, n) * u.deg, radius * u.deg)
    return np.asarray(around.ra.deg), np.asarray(around.dec.deg)


def in_cover(lo: np.ndarray, hi: np.ndarray, pixel: np.ndarray) -> np.ndarray:
    """Slowly and obviously: each pixel against each interval."""
    return ((pixel[:, None] >= lo) & (pixel[:, None] < hi)).any(axis=1)


def assert_sound(lo: np.ndarray, hi: np.ndarray) -> None:
    assert lo.dtype == hi.dtype == np.int64
    assert (lo < hi).all()
    assert (hi[:-1] < lo[1:]).all(), "sorted, disjoint and merged"
    assert lo[0] >= 0
    assert hi[-1] <= PIXEL_COUNT


@given(RA, DEC, RADIUS)
def test_a_circle_is_covered_and_tested_exactly(ra: float, dec: float, radius: float) -> None:
    circle = Circle.around(ra, dec, radius)
    assert_sound(circle.lo, circle.hi)
    for factor in (0.0, 0.3, 0.999, 1 - 1e-9, 1 + 1e-9, 1.001, 1.5):
        distance = min(radius * factor, 180.0)
        if abs(distance - radius) < 1e-11:
            continue
        points = ring(ra, dec, distance, 40)
        pixel = pixels_of(*points)
        inside = oracle_deg(*points, ra, dec) <= radius
        np.testing.assert_array_equal(circle.contains(*points, pixel), inside)
        assert in_cover(circle.lo, circle.hi, pixel)[inside].all(), "an interval is missing"


@given(RA, DEC, RADIUS)
def test_a_cover_is_not_much_larger_than_its_circle(ra: float, dec: float, radius: float) -> None:
    circle = Circle.around(ra, dec, radius)
    covered_sr = float((circle.hi - circle.lo).sum()) * PIXEL_SR
    true_sr = 4 * np.pi * np.sin(np.radians(radius) / 2) ** 2
    assert true_sr * (1 - 1e-9) <= covered_sr <= 1.3 * true_sr
    assert len(circle.lo) < 1500


def test_cell_borders_belong_to_the_cover() -> None:
    """Positions on the corners of coarse cells, seen from circles whose rim they are on."""
    corners_ra, corners_dec = (
        np.array([0.0, 45.0, 90.0, 67.5, 22.5]),
        np.array([0.0, 0.0, 41.8103148957786, 19.4712, -90.0]),
    )
    for ra, dec in zip(corners_ra, corners_dec, strict=True):
        for radius in (ARCSEC, 0.1, 7.0):
            centre_ra, centre_dec = ring(float(ra), float(dec), radius * (1 - 1e-6), 7)
            for centre in zip(centre_ra, centre_dec, strict=True):
                circle = Circle.around(float(centre[0]), float(centre[1]), radius)
                pixel = pixels_of(np.array([ra]), np.array([dec]))
                assert circle.contains(np.array([ra]), np.array([dec]), pixel)[0]
                assert in_cover(circle.lo, circle.hi, pixel)[0]


@pytest.mark.parametrize("radius", [0.0, -1.0, 180.1, float("nan"), float("inf")])
def test_a_circle_has_a_radius(radius: float) -> None:
    with pytest.raises(ValueError, match="radius"):
        Circle.around(10, 10, radius)


@pytest.mark.parametrize("centre", [(float("nan"), 0.0), (0.0, float("nan")), (0.0, 91.0)])
def test_a_circle_has_a_centre(centre: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="centre"):
        Circle.around(*centre, 1.0)


def test_the_whole_sky_is_one_interval() -> None:
    circle = Circle.around(12.0, 34.0, 180.0)
    assert (circle.lo.tolist(), circle.hi.tolist()) == ([0], [PIXEL_COUNT])


def gridded() -> SkyMap:
    """Three quarters of base cell 0, with a quarter missing, and half of base cell 4."""
    quarter = PIXEL_COUNT // 48
    lo = np.array([0, quarter, 3 * quarter, 16 * quarter], np.int64)
    hi = np.array([quarter, 2 * quarter, 4 * quarter, 18 * quarter], np.int64)
    probability = np.array([0.1, 0.5, 0.2, 0.2])
    return SkyMap(
        CellTable(lo, hi, probability / ((hi - lo) * PIXEL_SR), np.array([1.0, 0.5, 0.7, 0.9])),
        45.0,
        20.0,
        "made by hand",
    )


def test_a_gridded_map_answers_by_interval() -> None:
    skymap = gridded()
    quarter = PIXEL_COUNT // 48
    pixel = np.array(
        [0, quarter, 2 * quarter - 1, 2 * quarter, 3 * quarter, 18 * quarter - 1, 18 * quarter, PIXEL_COUNT - 1]
    )
    anywhere = np.zeros(len(pixel))
    assert skymap.credible_level(anywhere, anywhere, pixel).tolist() == [1.0, 0.5, 0.5, 1.0, 0.7, 0.9, 1.0, 1.0]
    density = skymap.density_per_sr(anywhere, anywhere, pixel)
    np.testing.assert_allclose(density * quarter * PIXEL_SR, [0.1, 0.5, 0.5, 0, 0.2, 0.1, 0, 0])


def test_before_the_first_interval_there_is_nothing() -> None:
    whole = gridded()
    part = CellTable(whole.lo[2:], whole.hi[2:], whole.cell_density_per_sr[2:], whole.cell_level[2:])
    skymap = SkyMap(part, 0, 0, "part")
    zero = np.zeros(1)
    assert skymap.credible_level(zero, zero, np.array([5])).tolist() == [1.0]
    assert skymap.density_per_sr(zero, zero, np.array([5])).tolist() == [0.0]


def test_region_of_a_gridded_map_is_what_its_levels_say() -> None:
    skymap = gridded()
    quarter = PIXEL_COUNT // 48
    region = skymap.credible_region(0.9)
    assert region.lo.tolist() == [quarter, 3 * quarter, 16 * quarter]
    assert region.hi.tolist() == [2 * quarter, 4 * quarter, 18 * quarter]
    every = np.arange(48, dtype=np.int64) * quarter
    zero = np.zeros(48)
    np.testing.assert_array_equal(region.contains(zero, zero, every), skymap.credible_level(zero, zero, every) <= 0.9)
    assert skymap.credible_region(0.4).lo.size == 0
    assert not skymap.credible_region(0.4).contains(zero, zero, every).any()
    assert skymap.credible_region(1.0).lo.tolist() == [0, 3 * quarter, 16 * quarter], "neighbours are merged"


@pytest.mark.parametrize(
    ("level", "quarters"), [(0.3, 1), (0.5, 1), (0.51, 2), (0.7, 2), (0.9, 4), (0.95, 5), (1.0, 5)]
)
def test_area_includes_the_crossing_row(level: float, quarters: int) -> None:
    sky_deg2 = 129600 / np.pi
    assert gridded().area_deg2(level) == pytest.approx(quarters * sky_deg2 / 48)


def test_no_interval_holds_no_pixel() -> None:
    nothing = Cells(np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert nothing.contains(np.zeros(3), np.zeros(3), np.arange(3)).tolist() == [False] * 3


def any_region(draw: st.DrawFn) -> Region:
    ra, dec = draw(RA), draw(DEC)
    kind = draw(st.sampled_from(["circle", "cone", "ellipse", "annulus", "cells"]))
    if kind == "circle":
        return Circle.around(ra, dec, draw(RADIUS))
    if kind == "cells":
        circle = Circle.around(ra, dec, draw(RADIUS))
        return Cells(circle.lo, circle.hi)
    reported = {
        "cone": Cone(ra, dec, draw(st.floats(0.01, 30)), 0.9),
        "ellipse": Ellipse(ra, dec, draw(st.floats(1, 20)), draw(st.floats(0.1, 1)), draw(st.floats(0, 180)), 0.9),
        "annulus": Annulus(ra, dec, draw(st.floats(5, 80)), draw(st.floats(0.1, 4)), 0.9),
    }[kind]
    return skymap_of(reported).credible_region(draw(st.sampled_from([0.001, 0.5, 0.9, 0.999])))


REGIONS = st.composite(any_region)()


@settings(max_examples=60)
@given(REGIONS, st.integers(0, 2**32))
def test_what_is_said_to_lie_inside_does(region: Region, seed: int) -> None:
    """First, last and random pixels of the inner intervals, by their centres."""
    lo, hi = inner_of(region)
    assert len(lo) == len(hi)
    if not len(lo):
        return
    assert_sound(lo, hi)
    some = np.random.default_rng(seed).integers(lo, hi)
    pixel = np.concatenate([lo, hi - 1, some])
    ra, dec = cell_centres(pixel, 29)
    assert region.contains(ra, dec, pixel).all()
    assert in_cover(region.lo, region.hi, pixel[:200]).all()


@settings(max_examples=60)
@given(REGIONS)
def test_most_of_a_large_circle_is_said_to_lie_inside(region: Region) -> None:
    lo, hi = inner_of(region)
    covered = float((region.hi - region.lo).sum())
    if covered > PIXEL_COUNT * 1e-3 and cap_of(region) is not None:  # of a thin ring all may be border
        assert float((hi - lo).sum()) > 0.4 * covered


@settings(max_examples=60)
@given(REGIONS)
def test_a_cap_is_certain_of_what_it_says(region: Region) -> None:
    cap = cap_of(region)
    if cap is None:
        assert not isinstance(region, Circle)
        return
    assert cap.surely_within <= cap.surely_beyond
    for versine, inside in ((cap.surely_within * (1 - 1e-9), True), (cap.surely_beyond * (1 + 1e-9) + 1e-25, False)):
        if 0 < versine < 2:
            distance = float(np.degrees(2 * np.arcsin(np.sqrt(versine / 2))))
            points = ring(cap.ra_deg, cap.dec_deg, distance, 9)
            # Near a pole the points of a ring are not made as exactly as the limit is tested.
            clear = np.abs(oracle_deg(*points, cap.ra_deg, cap.dec_deg) - distance) < 1e-10 * distance
            assert (region.contains(*points, pixels_of(*points)) == inside)[clear].all()


def test_a_region_need_not_say_more_than_it_must() -> None:
    class Plain:
        lo, hi = np.array([4]), np.array([9])

        def contains(self, ra_deg: np.ndarray, dec_deg: np.ndarray, pixel: np.ndarray) -> np.ndarray:  # noqa: ARG002
            return pixel == 5

    assert [len(ends) for ends in inner_of(Plain())] == [0, 0]
    assert cap_of(Plain()) is None
