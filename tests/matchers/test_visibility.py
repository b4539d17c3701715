"""When counterparts can be found, against draws of single ones, and what must hold of any."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from matchers.visibility import CLASSES, CounterpartOptions, Visibility
from schemas.statistics import SourceClass

ROW = {name: row for row, name in enumerate(CLASSES)}
UNMASKED = CounterpartOptions(unmasked=1.0)
ZTF = Visibility(UNMASKED, 20.5, None)


def at(delay_d: float, name: SourceClass, visibility: Visibility = ZTF) -> tuple[float, float]:
    delay = np.array([delay_d])
    return float(visibility.appeared(delay)[ROW[name], 0]), float(visibility.bright(delay)[ROW[name], 0])


def test_half_of_the_afterglows_that_are_not_dark_are_brighter_than_their_mean_at_one_day():
    """And of the dark ones, 3 mag fainter, one in twenty."""
    assert at(1.0, SourceClass.AFTERGLOW) == (1.0, pytest.approx(0.7 * 0.5 + 0.3 * 0.0478, abs=0.005))
    deeper = Visibility(UNMASKED, 22.3, None)
    assert at(1.0, SourceClass.AFTERGLOW, deeper)[1] == pytest.approx(0.7 * 0.8413 + 0.3 * 0.2525, abs=0.005)


def test_some_places_are_masked_for_good():
    masked = Visibility(CounterpartOptions(unmasked=0.5), 20.5, None)
    assert at(1.0, SourceClass.AFTERGLOW, masked)[1] == pytest.approx(at(1.0, SourceClass.AFTERGLOW)[1] / 2)


def test_a_kilonova_is_seen_by_its_distance():
    """-15.8 at 183 Mpc is 20.5."""
    modulus_36_3 = 10 ** (36.3 / 5 - 5)
    near = Visibility(UNMASKED, 20.5, modulus_36_3)
    assert at(0.5, SourceClass.KILONOVA, near)[1] == pytest.approx(0.5, abs=0.03)
    assert at(1.2, SourceClass.KILONOVA, near)[1] == pytest.approx(0.1587, abs=0.03)
    assert at(0.5, SourceClass.KILONOVA, Visibility(UNMASKED, 20.5, 40.0))[1] > 0.99
    assert at(0.1, SourceClass.KILONOVA)[0] == pytest.approx(1 - math.exp(-1), abs=0.02)


def test_a_supernova_needs_days():
    assert at(0.5, SourceClass.SUPERNOVA)[0] < 0.001
    assert at(5.0, SourceClass.SUPERNOVA)[0] == pytest.approx(0.5 * math.erfc(0.886 / 1.5 / math.sqrt(2)), abs=0.01)
    assert at(20.0, SourceClass.SUPERNOVA)[0] == pytest.approx(0.8413, abs=0.005)


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=8), st.floats(0, 40), st.floats(1e-300, 1e300) | st.none())
def test_fractions_are_fractions_and_go_one_way(days, depth_mag, distance_mpc):
    visibility = Visibility(CounterpartOptions(), depth_mag, distance_mpc)
    delay = np.sort(np.array(days))
    appeared, bright = visibility.appeared(delay), visibility.bright(delay)
    for fraction in (appeared, bright):
        assert ((fraction >= 0) & (fraction <= 1)).all()
    assert (np.diff(appeared, axis=1) >= 0).all()
    assert (np.diff(bright[ROW[SourceClass.KILONOVA]]) <= 1e-12).all()


@given(
    st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=8),
    st.floats(0.01, 1.0),
)
def test_nothing_is_found_twice(visits, found):
    visibility = Visibility(CounterpartOptions(found=found), 20.5, None)
    delay, visited = np.array([[d] for d, _ in sorted(visits)]), np.array([[v] for _, v in sorted(visits)])
    chances = visibility.chances(delay.reshape(-1, 1), visited.reshape(-1, 1).astype(bool))
    assert (chances >= 0).all()
    assert (chances.sum(axis=1) <= 1 + 1e-12).all()
    assert (chances[:, ~visited.reshape(-1, 1).astype(bool)] == 0).all()


def test_chances_are_those_of_single_counterparts_at_single_visits():
    """20,000 drawn one by one; the second visit did not take place."""
    random, n = np.random.default_rng(3), 20_000
    delay, visited = np.array([0.1, 0.2, 2.0, 6.0, 12.0]), np.array([True, False, True, True, True])
    appeared, expected = ZTF.appeared(delay), ZTF.chances(delay[:, None], visited[:, None])[:, :, 0]
    for row in range(len(CLASSES)):
        appears, luck = random.random(n), random.random((n, len(delay)))
        seen = (appears[:, None] < appeared[row]) & (luck < ZTF.found) & visited
        first = np.where(seen.any(axis=1), seen.argmax(axis=1), -1)
        share = np.bincount(first[first >= 0], minlength=len(delay)) / n
        assert share == pytest.approx(expected[row], abs=0.012)


def test_options_say_what_makes_no_sense():
    with pytest.raises(ValidationError):
        CounterpartOptions(found=1.5)
    with pytest.raises(ValidationError):
        CounterpartOptions(afterglow_scatter_mag=0.0)
