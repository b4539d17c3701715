import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matchers.colours import COLOURS, NO_COLOUR, UnrelatedColours, colour_bins

FALLBACK = UnrelatedColours.FALLBACK


def test_bins_of_colours():
    found = colour_bins(np.array([-5.0, -1e-9, 0.0, 0.19, 0.2, 3.0, np.nan]))
    assert found.tolist() == [0, 0, 1, 1, 2, 2, NO_COLOUR]
    assert COLOURS == 4


def test_a_young_store_has_the_fallback_and_an_old_one_what_it_saw():
    assert UnrelatedColours.measured(np.full(9, np.nan)) == FALLBACK
    colours = np.random.default_rng(3).normal(-0.1, 0.3, 100_000)
    found = UnrelatedColours.measured(np.append(colours, np.nan))
    assert (found.mean_mag, found.scatter_mag) == pytest.approx((-0.1, 0.3), abs=0.005)
    assert found.objects == pytest.approx(100_000, rel=0.01)
    between = UnrelatedColours.measured(colours[: round(UnrelatedColours.PSEUDO_OBJECTS)])
    assert between.mean_mag == pytest.approx((FALLBACK.mean_mag - 0.1) / 2, abs=0.06)


def test_outliers_have_a_term_of_their_own():
    colours = np.append(np.random.default_rng(4).normal(0.0, 0.2, 1000), [4.0] * 50)
    found = UnrelatedColours.measured(colours)
    assert (found.mean_mag, found.scatter_mag) == pytest.approx((0.0, 0.2), abs=0.02)


@given(st.lists(st.floats(width=32), max_size=30))
def test_any_colours_give_a_distribution(colours):
    found = UnrelatedColours.measured(np.array(colours, np.float32))
    assert np.isfinite(found.mean_mag)
    assert 0 < found.scatter_mag < np.inf
