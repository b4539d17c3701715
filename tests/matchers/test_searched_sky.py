"""Regions divided among cells and levels, against the areas and probabilities that maps tell themselves."""

import gc

import numpy as np
import pytest

from matchers import searched_sky as module
from matchers.coverage import CELL_SHIFT
from matchers.searched_sky import LEVEL_EDGES, SearchedSky, searched_sky
from schemas.densities import skymap_of
from schemas.localisation import Annulus, Cone, Ellipse, Localisation, Systematics
from schemas.pixels import PIXEL_COUNT, PIXEL_SR, pixels_of
from schemas.sky import CellTable, Circle, SkyMap

SHAPES: list[Localisation] = [
    Cone(10.0, 20.0, 3.0, 0.68, Systematics.GBM_FINAL),
    Cone(0.0, 90.0, 8.0, 0.68),
    Cone(180.0, -30.0, 0.05, 0.9),
    Cone(180.0, -30.0, 0.0005, 0.9),
    Ellipse(200.0, 5.0, 4.0, 0.5, 30.0, 0.9),
    Annulus(80.0, -10.0, 30.0, 0.5, 0.9),
]


def within(sky: SearchedSky) -> np.ndarray:
    """Area inside the edges of the levels."""
    return np.cumsum(np.bincount(sky.bins, sky.area_deg2, len(LEVEL_EDGES) - 1))


def gridded(localisation: Localisation, order: int) -> SkyMap:
    """The density in equal cells."""
    shape = skymap_of(localisation).shape
    assert shape is not None
    cells = np.arange(12 << 2 * order)
    shift = 2 * (29 - order)
    density = shape.density_per_sr(*module.cell_centres(cells, order))
    density /= density.sum() * (PIXEL_SR * (1 << shift))
    level = np.empty(len(cells))
    level[np.argsort(-density, kind="stable")] = np.cumsum(np.sort(density)[::-1]) * (PIXEL_SR * (1 << shift))
    return SkyMap(CellTable(cells << shift, (cells + 1) << shift, density, level), 10.0, 20.0, "equal cells")


@pytest.mark.parametrize("localisation", SHAPES, ids=lambda one: f"{type(one).__name__}")
def test_areas_and_probability_are_those_of_the_density(localisation):
    skymap = skymap_of(localisation)
    region = skymap.credible_region(0.9)
    sky = searched_sky(skymap, region)
    assert sky.probability.sum() == pytest.approx(0.9, abs=0.02)
    assert within(sky)[-1] == pytest.approx(skymap.area_deg2(0.9), rel=1e-6)
    for level in (0.01, 0.1, 0.3, 0.5, 0.8):
        area = np.interp(level, LEVEL_EDGES, np.concatenate([[0.0], within(sky)]))
        assert area == pytest.approx(skymap.area_deg2(level), rel=0.02)
    assert (np.diff(sky.cells) > 0).all()
    assert sky.rows.max() == len(sky.cells) - 1


def test_a_map_of_cells_is_summed_exactly(monkeypatch):
    skymap = gridded(SHAPES[0], 6)
    region = skymap.credible_region(0.9)
    sky = searched_sky(skymap, region)
    inside = skymap.cell_level <= 0.9
    assert sky.probability.sum() == pytest.approx(skymap.cell_level[inside].max(), rel=1e-9)
    assert within(sky)[-1] == pytest.approx(inside.sum() * 4 * np.pi * (180 / np.pi) ** 2 / (12 << 12))
    assert set(sky.cells.tolist()) == set((skymap.lo[inside] >> CELL_SHIFT).tolist())
    monkeypatch.setattr(module, "_MOST_SAMPLES", inside.sum() // 3)
    thinned = module._searched(skymap, region)
    assert within(thinned)[-1] == pytest.approx(within(sky)[-1], rel=0.02)
    assert thinned.probability.sum() == pytest.approx(sky.probability.sum(), rel=0.05)


def test_large_cells_are_divided():
    """Two cells of order 1 hold everything, evenly."""
    shift = 2 * 28
    cells = CellTable(np.array([7 << shift]), np.array([9 << shift]), np.array([1 / (2 * 4 * np.pi / 48)]), np.ones(1))
    skymap = SkyMap(cells, 0.0, 0.0, "even")
    sky = searched_sky(skymap, skymap.credible_region(1.0))
    assert len(sky.cells) == 2 * 4**4
    assert sky.probability == pytest.approx(1 / len(sky.cells))


@pytest.mark.parametrize("of_cells", [False, True])
def test_other_regions_are_tested_point_by_point(of_cells):
    skymap = gridded(SHAPES[0], 6) if of_cells else skymap_of(SHAPES[0])
    circle = Circle.around(12.0, 20.0, 4.0)
    sky = searched_sky(skymap, circle)
    assert within(sky)[-1] == pytest.approx(2 * np.pi * (1 - np.cos(np.radians(4))) * (180 / np.pi) ** 2, rel=0.03)
    random = np.random.default_rng(2)
    z, phi = random.uniform(np.cos(np.radians(4)), 1, 20_000), random.uniform(0, 360, 20_000)
    ra_deg, dec_deg = (
        12.0 + np.degrees(np.arccos(z)) * np.cos(phi) / np.cos(np.radians(20)),
        20 + np.degrees(np.arccos(z)) * np.sin(phi),
    )
    density = skymap.density_per_sr(ra_deg, dec_deg, pixels_of(ra_deg, dec_deg)).mean()
    assert sky.probability.sum() == pytest.approx(density * 2 * np.pi * (1 - np.cos(np.radians(4))), rel=0.03)


def test_a_region_beside_the_map_holds_nothing():
    far = PIXEL_COUNT // 2
    skymap = SkyMap(CellTable(np.array([far]), np.array([far + 10]), np.array([1.0]), np.array([1.0])), 0.0, 0.0, "")
    sky = searched_sky(skymap, Circle.around(0.0, 60.0, 1.0))
    assert (len(sky.cells), len(sky.area_deg2), sky.probability.sum()) == (0, 0, 0.0)


def test_it_is_kept_as_long_as_the_density_and_for_some_regions():
    skymap = skymap_of(SHAPES[0])
    regions = [skymap.credible_region(level) for level in (0.5, 0.6, 0.7, 0.8, 0.9)]
    made = [searched_sky(skymap, region) for region in regions]
    assert searched_sky(skymap, regions[-1]) is made[-1]
    assert searched_sky(skymap, regions[0]) is not made[0]
    assert len(module._KEPT[skymap]) == 4
    kept = len(module._KEPT)
    del skymap, made
    gc.collect()
    assert len(module._KEPT) < kept
