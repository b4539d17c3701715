"""Products of maps against closed forms, brute force on a fine grid, healpy, and what RAVEN publishes."""

import importlib.util
import math
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import product as products
from schemas.densities import skymap_of
from schemas.localisation import Annulus, Cone, Ellipse, InlineMap, Localisation, Systematics
from schemas.pictures import pictured
from schemas.pixels import DEG2_PER_SR, ORDER, PIXEL_SR, cell_centres, pixels_of, separation_deg
from schemas.product import overlap, product
from schemas.shapes import Fisher, FisherEllipse
from schemas.sky import CellTable, SkyMap, skymap_of_cells
from schemas.skymap import MOC_LEVEL, read_skymap
from tests.schemas.maps import blob, flat

ARCSEC = 1 / 3600
GRID_ORDER = 8
GRID = cell_centres(np.arange(12 << 2 * GRID_ORDER, dtype=np.int64), GRID_ORDER)
GRID_LO = np.arange(12 << 2 * GRID_ORDER, dtype=np.int64) << 2 * (ORDER - GRID_ORDER)
GRID_SR = 4 * np.pi / len(GRID_LO)
GBM = Cone(30.0, -10.0, 3.0, 0.68, Systematics.GBM_GROUND)


def circle(ra: float, dec: float, sigma_deg: float) -> SkyMap:
    """A round Gaussian by its standard deviation on each axis."""
    shape = Fisher(ra, dec, (1.0,), (1 / math.radians(sigma_deg) ** 2,))
    return pictured(shape, ra, dec, f"circle of {sigma_deg:g}")


def round_ellipse(ra: float, dec: float, sigma_deg: float) -> SkyMap:
    """The same density in a form of which nothing is known in closed form."""
    sigma = math.radians(sigma_deg)
    return pictured(FisherEllipse(ra, dec, sigma, sigma, 0.0), ra, dec, "round ellipse")


def on_grid(*maps: SkyMap) -> np.ndarray:
    """Product of the densities at the centres of many cells, by brute force."""
    return reduce(np.multiply, (skymap.density_per_sr(*GRID, GRID_LO) for skymap in maps))


def gridded(density: np.ndarray, order: int, model: str = "grid", distance: np.ndarray | None = None) -> SkyMap:
    """A flat map."""
    cells = np.flatnonzero(density > 0)
    lo = cells << 2 * (ORDER - order)
    layers = None if distance is None else distance[:, cells]
    return skymap_of_cells(lo, lo + (1 << 2 * (ORDER - order)), density[cells], model, layers)


def total(skymap: SkyMap) -> float:
    return float((skymap.cell_density_per_sr * (skymap.hi - skymap.lo)).sum() * PIXEL_SR)


@st.composite
def multi_order_maps(draw: st.DrawFn) -> SkyMap:
    """Cells of orders 0 to 4, some of the sky left out."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    divided, kept = draw(st.floats(0, 0.7)), draw(st.floats(0.1, 1))
    lo, hi = [0], [1 << 2 * ORDER]
    stack = [(0, cell) for cell in range(1, 12)]
    while stack:
        order, cell = stack.pop()
        if random.random() < divided and order < 4:
            stack += [(order + 1, 4 * cell + quarter) for quarter in range(4)]
        elif random.random() < kept:
            lo.append(cell << 2 * (ORDER - order))
            hi.append((cell + 1) << 2 * (ORDER - order))
    rows = np.argsort(lo)[draw(st.integers(0, 1)) :] if len(lo) > 1 else [0]
    return skymap_of_cells(np.array(lo)[rows], np.array(hi)[rows], random.random(len(rows)) + 1e-6, "drawn")


def as_order_4(skymap: SkyMap) -> np.ndarray:
    """Density in each cell of order 4."""
    pixel = np.arange(12 << 8, dtype=np.int64) << 2 * (ORDER - 4)
    return skymap.density_per_sr(np.zeros(len(pixel)), np.zeros(len(pixel)), pixel)


class TestCells:
    @settings(max_examples=40)
    @given(multi_order_maps(), multi_order_maps())
    def test_products_of_cells_are_exact(self, one: SkyMap, other: SkyMap) -> None:
        density = as_order_4(one) * as_order_4(other)
        integral = density.sum() * 4 * np.pi / len(density)
        assert overlap(one, other) == pytest.approx(4 * np.pi * integral, rel=1e-12)
        both = product([one, other])
        if integral == 0:
            assert both is None
            return
        assert both is not None
        np.testing.assert_allclose(as_order_4(both), density / integral, rtol=1e-12)
        assert total(both) == pytest.approx(1, rel=1e-12)

    @settings(max_examples=40)
    @given(multi_order_maps(), multi_order_maps(), multi_order_maps())
    def test_order_does_not_matter(self, one: SkyMap, other: SkyMap, third: SkyMap) -> None:
        assert overlap(one, other) == pytest.approx(overlap(other, one), rel=1e-12)
        forth, back = product([one, other, third]), product([third, other, one])
        both = product([one, other])
        later = None if both is None else product([both, third])
        if forth is None or back is None or later is None:
            assert forth is back is later is None
            return
        for made in (back, later):
            np.testing.assert_allclose(as_order_4(made), as_order_4(forth), rtol=1e-9)

    def test_with_itself_it_is_the_square(self) -> None:
        probability = blob(5)
        skymap = gridded(probability, 5)
        both = product([skymap, skymap])
        assert both is not None
        square = probability**2 / (probability**2).sum()
        np.testing.assert_allclose(both.cell_density_per_sr * (4 * np.pi / len(square)), square, rtol=1e-9)
        assert both.area_deg2(0.9) < skymap.area_deg2(0.9)
        assert (both.peak_ra_deg, both.peak_dec_deg) == (skymap.peak_ra_deg, skymap.peak_dec_deg)

    def test_without_common_sky_there_is_no_product(self) -> None:
        half = np.arange(12 << 4) < 6 << 4
        one, other = gridded(half * 1.0, 2), gridded(~half * 1.0, 2)
        assert product([one, other]) is None
        assert overlap(one, other) == 0

    def test_one_map_alone_is_itself(self) -> None:
        skymap = gridded(blob(3), 3)
        assert product([skymap]) is skymap

    def test_coverage_maps_have_no_contours_together_either(self) -> None:
        def coverage(first: int, end: int) -> SkyMap:
            lo, hi = np.array([first]), np.array([end])
            density = np.array([1 / ((end - first) * PIXEL_SR)])
            return SkyMap(CellTable(lo, hi, density, np.array([MOC_LEVEL])), 0.0, 0.0, "coverage")

        whole = 1 << 2 * ORDER
        one, other = coverage(3, 5 * whole + 7), coverage(whole // 2 + 1, 8 * whole)
        both = product([one, other])
        assert both is not None
        assert (both.lo[0], both.hi[-1]) == (whole // 2 + 1, 5 * whole + 7)
        assert (both.lo[1:] == both.hi[:-1]).all()
        assert set(both.cell_level) == {MOC_LEVEL}
        size = both.hi - both.lo
        assert (both.lo % size == 0).all()
        assert set(np.log2(size) % 2) == {0.0}
        common, sizes = float(both.hi[-1] - both.lo[0]), (5.0 * whole + 4, 7.5 * whole - 1)
        assert overlap(one, other) == pytest.approx(12 * whole * common / math.prod(sizes), rel=1e-12)

    def test_what_is_said_of_the_maps_is_kept(self) -> None:
        one, other = gridded(blob(3), 3, "first"), gridded(blob(3, dec_deg=40), 3, "second")
        odd = SkyMap(one.cells, 0.0, 0.0, "third", warnings=("odd",))
        both = product([one, other, odd, odd])
        assert both is not None
        assert both.model == "product of 4 densities: first; second; third; third"
        assert both.warnings == ("odd",)


class TestDistance:
    LAYERS = np.array([np.linspace(50, 150, 12 << 6), np.full(12 << 6, 10.0), np.full(12 << 6, 1e-4)])

    def test_layers_follow_the_cells(self) -> None:
        far = gridded(blob(3), 3, "far", self.LAYERS)
        both = product([far, circle(100, 30, 2)])
        assert both is not None
        assert both.distance is not None
        assert both.distance.shape == (3, len(both.lo))
        np.testing.assert_array_equal(both.distance, self.LAYERS[:, both.lo >> 2 * (ORDER - 3)])

    def test_of_two_maps_with_distances_the_smaller_one_counts_in_either_order(self) -> None:
        wide = gridded(blob(3, sigma_deg=30), 3, "wide", self.LAYERS)
        narrow = gridded(blob(3, sigma_deg=10), 3, "narrow", 2 * self.LAYERS)
        for maps in ([wide, narrow], [narrow, wide]):
            both = product(maps)
            assert both is not None
            np.testing.assert_array_equal(both.distance, 2 * self.LAYERS)
            assert both.model.endswith("distances as in the one with the smallest 90 % area")

    def test_without_layers_there_are_none(self) -> None:
        both = product([gridded(blob(3), 3), circle(100, 30, 2)])
        assert both is not None
        assert both.distance is None


class TestCircles:
    @given(st.floats(0.001, 0.5), st.floats(0.001, 0.5), st.floats(0, 4), st.floats(0, 360), st.floats(-90, 90))
    def test_small_ones_overlap_as_in_a_plane(self, s1: float, s2: float, far: float, ra: float, dec: float) -> None:
        """Budavari & Szalay 2008, ApJ 679, 301: the Bayes factor of two circular Gaussians."""
        psi = min(far * math.hypot(s1, s2), 90 - abs(dec))
        away = dec - math.copysign(psi, dec)
        both = math.radians(s1) ** 2 + math.radians(s2) ** 2
        expected = 2 / both * math.exp(-(math.radians(psi) ** 2) / (2 * both))
        assert overlap(circle(ra, dec, s1), circle(ra, away, s2)) == pytest.approx(expected, rel=2e-3)

    @given(st.floats(2 * ARCSEC, 60), st.floats(2 * ARCSEC, 60), st.floats(0, 360), st.floats(-90, 90), st.floats(0, 4))
    @settings(max_examples=30)
    def test_numbers_on_cells_are_those_of_the_closed_form(
        self, s1: float, s2: float, ra: float, dec: float, far: float
    ) -> None:
        away = dec - math.copysign(min(far * math.hypot(s1, s2), 170), dec)
        one, other = circle(ra, dec, s1), (ra, away, s2) if abs(away) <= 90 else (ra, dec, s2)
        expected = overlap(one, circle(*other))
        assert overlap(one, round_ellipse(*other)) == pytest.approx(expected, rel=1e-4)
        exact, numeric = product([one, circle(*other)]), product([one, round_ellipse(*other)])
        assert exact is not None
        assert numeric is not None
        assert numeric.shape is None
        assert total(numeric) == pytest.approx(1, rel=1e-12)
        for level in (0.5, 0.9):
            assert numeric.area_deg2(level) == pytest.approx(exact.area_deg2(level), rel=0.01)
        centre = numeric.lo + 3 * ((numeric.hi - numeric.lo) // 4)
        ra_deg, dec_deg = cell_centres(centre, ORDER)
        exact_level = exact.credible_level(ra_deg, dec_deg, numeric.lo)
        assert np.abs(exact_level - numeric.cell_level).max() < 0.02

    @given(st.floats(1, 20), st.floats(1, 20), st.floats(1, 20))
    def test_a_product_is_the_normalised_product_everywhere(self, s1: float, s2: float, s3: float) -> None:
        maps = [circle(10, 20, s1), circle(15, 18, s2), circle(12, 25, s3)]
        both, back = product(maps), product(maps[::-1])
        assert both is not None
        assert back is not None
        ra, dec = np.linspace(0, 30, 11), np.linspace(10, 30, 11)
        ratio = reduce(np.multiply, (m.density_per_sr(ra, dec, ra) for m in maps)) / both.density_per_sr(ra, dec, ra)
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)
        np.testing.assert_allclose(back.density_per_sr(ra, dec, ra), both.density_per_sr(ra, dec, ra), rtol=1e-9)

    def test_equal_ones_are_narrower_together(self) -> None:
        both = product([circle(10, 20, 1), circle(10, 20, 1)])
        assert both is not None
        assert isinstance(both.shape, Fisher)
        assert both.shape.kappas[0] == pytest.approx(2 / math.radians(1) ** 2)
        assert (both.peak_ra_deg, both.peak_dec_deg) == (pytest.approx(10), pytest.approx(20))

    def test_across_the_pole_and_the_meridian(self) -> None:
        both = product([circle(0, 89, 1), circle(180, 89, 1)])
        assert both is not None
        assert both.peak_dec_deg == pytest.approx(90)
        both = product([circle(359, 0, 1), circle(3, 0, 1)])
        assert both is not None
        assert both.peak_ra_deg == pytest.approx(1)

    def test_far_apart_they_have_no_common_sky(self) -> None:
        one, other = circle(10, 20, 0.02), circle(14, 20, 0.02)
        assert product([one, other]) is None
        assert overlap(one, other) == 0
        assert product([one, other, skymap_of(GBM)]) is None
        assert overlap(one, round_ellipse(14, 20, 0.02)) == 0

    def test_opposite_ones_leave_the_sky_even(self) -> None:
        one, other = circle(0, 0, 60), circle(180, 0, 60)
        both = product([one, other])
        assert both is not None
        density = both.density_per_sr(np.array([0.0, 90, 200]), np.array([0.0, 45, -80]), np.zeros(3, np.int64))
        np.testing.assert_allclose(density * 4 * np.pi, 1, rtol=1e-6)

    def test_two_terms_each_overlap_in_closed_form(self) -> None:
        one, other = skymap_of(GBM), skymap_of(Cone(40.0, -5.0, 6.0, 0.68, Systematics.GBM_FINAL))
        assert overlap(one, other) == pytest.approx(4 * np.pi * on_grid(one, other).sum() * GRID_SR, rel=1e-6)


WIDE: dict[str, Localisation] = {
    "gbm": GBM,
    "flight": Cone(25.0, -15.0, 10.0, 0.68, Systematics.GBM_FLIGHT),
    "ellipse": Ellipse(33.0, -12.0, 8.0, 3.0, 40.0, 0.9),
    "ring": Annulus(350.0, 20.0, 50.0, 3.0, 0.9),
    "other ring": Annulus(60.0, -30.0, 35.0, 4.0, 0.9),
    "cells": InlineMap(flat(blob(5, 30.0, -10.0, 15.0))),
}


@pytest.mark.parametrize(
    "names", [("gbm", "ellipse"), ("flight", "gbm", "ring"), ("ring", "other ring"), ("ellipse", "cells"), tuple(WIDE)]
)
def test_any_forms_against_brute_force(names: tuple[str, ...]) -> None:
    maps = [skymap_of(WIDE[name]) for name in names]
    density = on_grid(*maps)
    integral = density.sum() * GRID_SR
    both = product(maps)
    assert both is not None
    if len(maps) == 2:
        assert overlap(*maps) == overlap(*maps[::-1]) == pytest.approx(4 * np.pi * integral, rel=2e-4)
    descending = np.argsort(-density)
    held = density[descending].cumsum() / density.sum()
    for level in (0.5, 0.9):
        area = (np.searchsorted(held, level) + 1) * GRID_SR * DEG2_PER_SR
        assert both.area_deg2(level) == pytest.approx(area, rel=0.01)
    best = descending[0]
    peak_deg = separation_deg(GRID[0][[best]], GRID[1][[best]], both.peak_ra_deg, both.peak_dec_deg)[0]
    assert peak_deg < 1
    level = np.empty(len(density))
    level[descending] = held
    some = np.arange(0, len(density), 101)
    told = both.credible_level(GRID[0][some], GRID[1][some], GRID_LO[some])
    assert np.abs(told - level[some])[density[some] > 0].max() < 0.06


class TestNarrowInWide:
    XRT = Cone(31.0, -11.0, 2 * ARCSEC, 0.9)

    @pytest.mark.parametrize("wide", ["gbm", "cells"])
    def test_a_narrow_position_stays_what_it_is(self, wide: str) -> None:
        broad, narrow = skymap_of(WIDE[wide]), skymap_of(self.XRT)
        both = product([broad, narrow])
        assert both is not None
        ra, dec = np.array([31.0]), np.array([-11.0])
        here = broad.density_per_sr(ra, dec, pixels_of(ra, dec))[0]
        assert overlap(broad, narrow) == pytest.approx(4 * np.pi * here, rel=1e-4)
        assert both.area_deg2(0.9) == pytest.approx(math.pi * (2 * ARCSEC) ** 2, rel=0.01)
        assert separation_deg(ra, dec, both.peak_ra_deg, both.peak_dec_deg)[0] < 0.2 * ARCSEC
        edge = dec + np.array([1.9, 2.1]) * ARCSEC
        level = both.credible_level(ra.repeat(2), edge, pixels_of(ra.repeat(2), edge))
        assert level[0] < 0.9 < level[1]

    def test_in_thousands_of_cells_few_are_made(self) -> None:
        broad = gridded(blob(7, 30.0, -10.0, 10.0), 7)
        both = product([broad, skymap_of(self.XRT)])
        assert both is not None
        assert len(both.lo) < 20_000

    def test_three_rings_of_satellites_meet_in_one_place(self) -> None:
        at = (31.0, -11.0)
        centres = [(80.0, 10.0), (350.0, 40.0), (40.0, -70.0)]
        far = [float(separation_deg(np.array([at[0]]), np.array([at[1]]), *centre)[0]) for centre in centres]
        rings = [skymap_of(Annulus(*centre, r, 0.05, 0.9)) for centre, r in zip(centres, far, strict=True)]
        both = product(rings)
        assert both is not None
        assert separation_deg(np.array([at[0]]), np.array([at[1]]), both.peak_ra_deg, both.peak_dec_deg)[0] < 0.05
        assert both.area_deg2(0.9) < 0.05


def test_what_is_divided_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_MOST_NEW_CELLS", 3000)
    both = product([skymap_of(WIDE["ring"]), skymap_of(WIDE["gbm"])])
    assert both is not None
    assert len(both.lo) < 4000


GW170817 = "skymaps/observing-scenarios/historical/GW170817_skymap.fits"
GRB170817A = Cone(176.8, -39.8, 11.6, 0.68, Systematics.GBM_FINAL)
"""Goldstein et al. 2017, ApJL 848, L14: centre and statistical 68 % radius."""


def test_gw170817_with_grb_170817a(data_dir: Path) -> None:
    """RAVEN has I = 32.3 for its own maps (see below): BAYESTAR's of three detectors, in 31 deg2, and GBM's own with
    systematic errors, in 1,096 deg2. With the final map, in 16 deg2, and a model of GBM's position it is much alike."""
    skymap = read_skymap((data_dir / GW170817).read_bytes())
    burst = skymap_of(GRB170817A)
    factor = overlap(skymap, burst)
    assert factor == pytest.approx(1.3536, rel=1e-3)
    both = product([skymap, burst])
    assert both is not None
    assert both.distance is not None
    ra, dec = np.array([197.450374]), np.array([-23.381484])
    pixel = pixels_of(ra, dec)
    assert skymap.credible_level(ra, dec, pixel)[0] == pytest.approx(0.383, abs=0.001)
    expected = skymap.density_per_sr(ra, dec, pixel) * burst.density_per_sr(ra, dec, pixel) * 4 * np.pi / factor
    assert both.density_per_sr(ra, dec, pixel)[0] == pytest.approx(expected[0], rel=0.01)


def raven_maps() -> Path | None:
    """The maps of RAVEN's own tests, where a version that has them (3.1) is installed."""
    try:
        found = importlib.util.find_spec("ligo.raven")
    except ModuleNotFoundError:
        return None
    places = found.submodule_search_locations if found else None
    folder = Path(places[0]) / "tests/data/GW170817" if places else None
    return folder if folder and folder.is_dir() else None


@pytest.mark.skipif(raven_maps() is None, reason="ligo-raven 3.1, whose tests hold the maps, is not installed")
def test_ravens_own_maps() -> None:
    """RAVEN's documentation has 32.28673 for flat maps, and 32.28658 for multi-order ones by nearest centres."""
    folder = raven_maps()
    assert folder is not None
    wave = read_skymap((folder / "GW170817.multiorder.fits").read_bytes())
    for name in ("glg_healpix_all_bn_v00.fit", "glg_healpix_all_bn_v00.multiorder.fits"):
        assert overlap(wave, read_skymap((folder / name).read_bytes())) == pytest.approx(32.28667, abs=2e-5)
    ra, dec = np.array([197.45]), np.array([-23.3814])
    point = 4 * np.pi * wave.density_per_sr(ra, dec, pixels_of(ra, dec))[0]
    assert point == pytest.approx(1430.6, rel=1e-3)


def test_healpy_finds_the_same() -> None:
    healpy = pytest.importorskip("healpy", reason="healpy is not installed")
    fine, coarse = blob(7, 30.0, -10.0, 12.0), blob(4, 40.0, 0.0, 20.0)
    finer = healpy.ud_grade(coarse, 128, order_in="NESTED", order_out="NESTED", power=-2)
    expected = (fine * finer).sum() * len(fine)
    assert overlap(gridded(fine, 7), gridded(coarse, 4)) == pytest.approx(expected, rel=1e-9)
