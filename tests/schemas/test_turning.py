import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.densities import skymap_of
from schemas.errors import BadSkyMap
from schemas.localisation import Annulus, Cone, Ellipse
from schemas.pixels import ORDER, pixels_of
from schemas.sky import CellTable, SkyMap
from schemas.turning import turned

FORMS = [
    Cone(350.0, -40.0, 8.0, 0.9),
    Ellipse(10.0, 85.0, 9.0, 3.0, 30.0, 0.9),
    Annulus(200.0, 60.0, 50.0, 4.0, 0.9),
]


def of_cells(order: int, seed: int) -> SkyMap:
    """A map of all cells of an order, some of them joined across the borders of base pixels."""
    count = 12 << (2 * order)
    random = np.random.default_rng(seed)
    edges = np.unique(np.concatenate([[0, count], random.integers(1, count, count // 2)]))
    lo, hi = edges[:-1] << (2 * (ORDER - order)), edges[1:] << (2 * (ORDER - order))
    density, level = random.uniform(0.0, 1.0, (2, len(lo)))
    return SkyMap(CellTable(lo, hi, density, level), 12.0, 30.0, "made up", distance=random.uniform(size=(3, len(lo))))


def points(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.uniform(0.0, 360.0, 500), np.degrees(np.arcsin(random.uniform(-1.0, 1.0, 500)))


@given(order=st.integers(0, 3), seed=st.integers(0, 1000), quarters=st.integers(-5, 5))
def test_a_turned_map_of_cells_says_the_same_a_quarter_turn_on(order, seed, quarters):
    skymap = of_cells(order, seed)
    moved = turned(skymap, quarters)
    assert (moved.lo[1:] >= moved.hi[:-1]).all()
    assert (moved.hi - moved.lo).sum() == (skymap.hi - skymap.lo).sum()
    assert moved.peak_ra_deg == (12.0 + 90.0 * quarters) % 360.0
    ra, dec = points(seed)
    on = (ra + 90.0 * quarters) % 360.0
    before, after = pixels_of(ra, dec), pixels_of(on, dec)
    np.testing.assert_array_equal(moved.density_per_sr(on, dec, after), skymap.density_per_sr(ra, dec, before))
    np.testing.assert_array_equal(moved.credible_level(on, dec, after), skymap.credible_level(ra, dec, before))
    was = skymap.distance[:, np.searchsorted(skymap.lo, before, side="right") - 1]
    np.testing.assert_array_equal(moved.distance[:, np.searchsorted(moved.lo, after, side="right") - 1], was)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: type(form).__name__)
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_form_says_the_same_a_quarter_turn_on(form, quarters):
    skymap = skymap_of(form)
    moved = turned(skymap, quarters)
    ra, dec = points(7)
    on = (ra + 90.0 * quarters) % 360.0
    none = np.zeros(len(ra), np.int64)
    np.testing.assert_allclose(moved.credible_level(on, dec, none), skymap.credible_level(ra, dec, none), atol=1e-9)
    np.testing.assert_allclose(moved.density_per_sr(on, dec, none), skymap.density_per_sr(ra, dec, none), rtol=1e-6)
    assert moved.area_deg2(0.9) == pytest.approx(skymap.area_deg2(0.9))
    assert (moved.hi - moved.lo).sum() == (skymap.hi - skymap.lo).sum()


def test_four_quarters_are_a_whole_turn():
    skymap = of_cells(2, 3)
    whole = turned(skymap, 4)
    ra, dec = points(1)
    pixel = pixels_of(ra, dec)
    np.testing.assert_array_equal(whole.density_per_sr(ra, dec, pixel), skymap.density_per_sr(ra, dec, pixel))


def test_a_form_of_which_no_centre_is_known_is_refused():
    class Everywhere:
        pass

    skymap = SkyMap(lambda: CellTable(*np.zeros((4, 0))), 0.0, 0.0, "everywhere", shape=Everywhere())
    with pytest.raises(BadSkyMap, match="Everywhere cannot be turned"):
        turned(skymap, 1)
