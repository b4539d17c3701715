import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.calibration.measures import (
    ENOUGH,
    RELIABILITY_EDGES,
    Uniformity,
    completeness,
    kolmogorov_p,
    reliability,
)


@pytest.mark.parametrize(
    ("scaled", "p"), [(0.5, 0.9639), (1.0, 0.2700), (1.358, 0.0500), (1.628, 0.0100), (1.949, 0.0010)]
)
def test_the_p_of_kolmogorov_is_that_of_the_tables(scaled, p):
    assert kolmogorov_p(scaled / math.sqrt(1e8), 10**8) == pytest.approx(p, abs=2e-4)


def test_the_p_of_few_numbers_is_nearly_exact():
    # Critical values at 5 % of 5, 10 and 20 numbers: Miller 1956, J. Am. Stat. Assoc. 51, 111, table 1.
    for count, distance in ((5, 0.56328), (10, 0.40925), (20, 0.29408)):
        assert kolmogorov_p(distance, count) == pytest.approx(0.05, abs=0.001)


def test_a_tiny_distance_is_no_surprise():
    assert kolmogorov_p(1e-6, 10) == 1.0
    assert kolmogorov_p(0.0, 1) == 1.0


def test_p_of_uniform_numbers_is_uniform():
    random = np.random.default_rng(5)
    ps = [Uniformity.of(random.uniform(size=50)).p for _ in range(400)]
    assert Uniformity.of(ps).p > 0.01


def test_the_distance_is_the_largest_on_either_side_of_a_step():
    assert Uniformity.of([0.5]) == Uniformity(1, 0.5, 0.5, kolmogorov_p(0.5, 1))
    assert Uniformity.of([0.9, 0.95]).distance == pytest.approx(0.9)
    assert Uniformity.of([0.05, 0.1]).distance == pytest.approx(0.9)


def test_nothing_is_neither_uniform_nor_not():
    assert Uniformity.of([]) == Uniformity(0, None, None, None)


@pytest.mark.parametrize("wrong", [[-0.1, 0.5], [0.5, 1.1], [0.5, math.nan]])
def test_only_probabilities_can_be_uniform(wrong):
    with pytest.raises(ValueError, match="0 to 1"):
        Uniformity.of(wrong)


@given(st.lists(st.floats(0, 1), max_size=60))
def test_each_claim_is_in_one_bin(claims):
    bins = reliability(claims, [True] * len(claims))
    assert sum(one.count for one in bins) == len(claims)
    assert [one.low for one in bins] == list(RELIABILITY_EDGES[:-1])
    for one in bins:
        assert (one.true == 1.0) if one.count else (one.true is one.claimed is one.error is None)
        assert one.claimed is None or one.low <= one.claimed <= one.high


def test_claims_that_come_true_as_often_as_they_say_hold():
    random = np.random.default_rng(1)
    claimed = random.uniform(size=40_000)
    bins = reliability(claimed, random.uniform(size=40_000) < claimed)
    assert not any(one.is_off for one in bins)
    assert all(abs(one.true - one.claimed) < 5 * one.error for one in bins if one.count > ENOUGH)


@pytest.mark.parametrize("power", [0.7, 1.5])
def test_claims_that_are_too_bold_or_too_timid_are_told(power):
    random = np.random.default_rng(2)
    chance = random.uniform(size=40_000)
    bins = reliability(chance**power, random.uniform(size=40_000) < chance)
    assert sum(one.is_off for one in bins) >= 2


def test_a_few_claims_are_not_judged():
    bins = reliability([0.35] * (ENOUGH - 1), [False] * (ENOUGH - 1))
    assert not any(one.is_judged or one.is_off for one in bins)
    assert any(one.is_off for one in reliability([0.35] * ENOUGH, [False] * ENOUGH))


def test_what_chance_may_explain_is_told_and_still_off():
    claims = [0.35] * 60
    (one,) = [found for found in reliability(claims, [True] * 27 + [False] * 33) if found.count]
    assert one.is_off
    assert one.may_be_chance
    (more,) = [found for found in reliability(claims * 10, ([True] * 27 + [False] * 33) * 10) if found.count]
    assert more.off_by == pytest.approx(0.1)
    assert more.is_off
    assert not more.may_be_chance


def test_completeness_counts_by_property_and_leaves_the_rest_out():
    shares = completeness([1.0, 2.0, 2.5, 3.0, 99.0], [True, False, True, True, True], [0.0, 2.0, 3.0, 4.0, 5.0])
    assert [(one.count, one.found) for one in shares] == [(1, 1), (2, 1), (1, 1), (0, 0)]
    assert [one.fraction for one in shares] == [1.0, 0.5, 1.0, None]
    assert shares[-1].interval is None


@given(count=st.integers(1, 500), found=st.integers(0, 500))
def test_the_interval_of_a_fraction_holds_it_and_stays_within_0_and_1(count, found):
    found = min(found, count)
    (share,) = completeness([0.5] * count, [True] * found + [False] * (count - found), [0.0, 1.0])
    low, high = share.interval
    assert 0.0 <= low <= share.fraction <= high <= 1.0
    assert low < high
