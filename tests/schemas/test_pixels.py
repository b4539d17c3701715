"""Pixels and separations against astropy, at the places where they are awkward."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Latitude, Longitude, SkyCoord
from cdshealpix import nested
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import pixels
from schemas.pixels import ORDER, PIXEL_COUNT, cell_centres, cell_radius_deg, cover, merge, pixels_of, separation_deg

RA = st.one_of(st.floats(0, 360), st.sampled_from([0.0, 45.0, 90.0, 180.0, 270.0, 315.0, 360.0, 1e-9, 359.9999999]))
DEC = st.one_of(
    st.floats(-90, 90), st.sampled_from([90.0, -90.0, 89.99999, -89.99999, 0.0, 41.8103148957786, -41.8103148957786])
)


def oracle_deg(ra: np.ndarray, dec: np.ndarray, ra0: float, dec0: float) -> np.ndarray:
    return np.asarray(SkyCoord(ra * u.deg, dec * u.deg).separation(SkyCoord(ra0 * u.deg, dec0 * u.deg)).deg)


def test_pixels_of_no_positions() -> None:
    assert pixels_of(np.zeros(0), np.zeros(0)).shape == (0,)
    assert pixels_of(np.zeros(0), np.zeros(0)).dtype == np.int64


@pytest.mark.parametrize(
    ("ra", "dec"), [(np.nan, 0.0), (0.0, np.nan), (np.inf, 0.0), (0.0, -np.inf), (0.0, 90.1), (0.0, -91.0)]
)
def test_what_is_no_position_has_no_pixel(ra: float, dec: float) -> None:
    with pytest.raises(ValueError, match=r"finite|declination"):
        pixels_of(np.array([10.0, ra]), np.array([10.0, dec]))


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 right ascensions but 1"):
        pixels_of(np.zeros(2), np.zeros(1))


@given(RA, DEC)
def test_a_pixel_is_where_its_position_is(ra: float, dec: float) -> None:
    pixel = pixels_of(np.array([ra]), np.array([dec]))
    assert 0 <= pixel[0] < PIXEL_COUNT
    for order in (0, 5, 13, ORDER):
        centre = cell_centres(pixel >> 2 * (ORDER - order), order)
        assert oracle_deg(*centre, ra, dec)[0] <= cell_radius_deg(order)


def test_pixels_and_centres_are_those_of_the_librarys_documented_functions() -> None:
    rng = np.random.default_rng(5)
    ra, dec = rng.uniform(-720, 720, 5000), rng.uniform(-90, 90, 5000)
    lon, lat = Longitude(ra, u.deg), Latitude(dec, u.deg)
    assert np.array_equal(pixels_of(ra, dec), nested.lonlat_to_healpix(lon, lat, ORDER).astype(np.int64))
    orders = rng.integers(pixels._TABULATED_ORDER + 1, ORDER + 1, 5000).astype(np.uint8)
    cells = rng.integers(0, PIXEL_COUNT, 5000) >> 2 * (ORDER - orders.astype(np.int64))
    for some, order in ((cells, orders), (cells[orders == 9], 9)):
        lon, lat = nested.healpix_to_lonlat(some.astype(np.uint64), np.full(len(some), order, np.uint8))
        assert all(map(np.array_equal, cell_centres(some, order), (lon.deg, lat.deg)))


@pytest.mark.parametrize("cell", [-1, 12 << 2 * 20])
def test_there_are_no_centres_of_what_is_no_cell(cell: int) -> None:
    with pytest.raises(ValueError, match="no cells of a sphere"):
        cell_centres(np.array([0, cell]), 20)


def test_right_ascension_wraps() -> None:
    ra = np.array([10.0, 370.0, -350.0])
    assert len(set(pixels_of(ra, np.full(3, 33.0)))) == 1


@given(RA, DEC, RA, DEC)
@example(10.0, 20.0, 10.0, 20.0)
@example(0.0, 0.0, 180.0, 0.0)
@example(0.0, 90.0, 77.0, -90.0)
def test_separation_is_astropys(ra1: float, dec1: float, ra2: float, dec2: float) -> None:
    ours = separation_deg(np.array([ra1]), np.array([dec1]), ra2, dec2)
    np.testing.assert_allclose(ours, oracle_deg(np.array([ra1]), np.array([dec1]), ra2, dec2), atol=1e-12)


def test_nothing_is_covered_by_nothing() -> None:
    lo, hi = cover(lambda ra, _dec, _radius: (np.ones_like(ra), np.ones_like(ra)), 0.5)
    assert lo.size == hi.size == 0


@given(st.sets(st.integers(0, 200), min_size=1))
def test_merged_intervals_hold_the_same_pixels(pixels: set[int]) -> None:
    shuffled = np.array(list(pixels), np.int64)
    lo, hi = merge(shuffled, shuffled + 1)
    assert {p for a, b in zip(lo, hi, strict=True) for p in range(a, b)} == pixels
    assert (hi[:-1] < lo[1:]).all()


def test_cell_radius_is_no_smaller_than_any_cell() -> None:
    for order in range(7):
        cells = np.arange(12 << 2 * order, dtype=np.uint64)
        lon, lat = nested.vertices(cells, np.full(cells.size, order, np.uint8), step=4)
        ra, dec = cell_centres(cells.astype(np.int64), order)
        farthest = separation_deg(lon.deg, lat.deg, ra[:, None], dec[:, None]).max()
        assert 0.7 * cell_radius_deg(order) < farthest <= cell_radius_deg(order)


def test_no_cells_have_no_centres() -> None:
    assert [c.shape for c in cell_centres(np.zeros(0, np.int64), 5)] == [(0,), (0,)]


@pytest.mark.parametrize("order", [0, 3, pixels._TABULATED_ORDER, pixels._TABULATED_ORDER + 1])
def test_centres_that_are_kept_are_the_library_s_own(order):
    cells = np.arange(12 << 2 * order)[:: 1 + order]
    lon, lat = nested.healpix_to_lonlat(cells.astype(np.uint64), np.uint8(order), num_threads=1)
    for _ in range(2):
        assert all(map(np.array_equal, cell_centres(cells, order), (lon.deg, lat.deg)))


def test_a_thin_band_is_covered_to_its_own_width() -> None:
    """An hour circle, a hundredth of a degree wide, from pole to pole."""

    def bounds(ra: np.ndarray, dec: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
        distance = np.abs(np.degrees(np.arcsin(np.cos(np.radians(dec)) * np.sin(np.radians(ra - 33.0)))))
        return distance - radius, distance + radius

    lo, hi = cover(bounds, 0.01)
    covered = (hi - lo).sum(dtype=np.float64) / PIXEL_COUNT
    assert np.sin(np.radians(0.01)) < covered < 5 * np.sin(np.radians(0.01))
    dec = np.linspace(-90, 90, 999)
    pixel = pixels_of(np.full(999, 33.0), dec)
    rows = np.searchsorted(lo, pixel, side="right") - 1
    assert (pixel < hi[rows]).all()
