import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridges.simulator.night import simulate
from bridges.simulator.plan import NightPlan
from matchers.rates import (
    BINS,
    EDGES_MAG_PER_D,
    FLAT,
    GROUPS,
    OUTLIERS,
    PSEUDO_OBJECTS,
    MeasuredRate,
    RateDensity,
    RateHistogram,
    bins_of,
    group_of,
    log_normal_below,
    normal_below,
)
from schemas.times import US_PER_DAY

EDGES = np.array(EDGES_MAG_PER_D)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.lists(st.integers(0, 10**6), min_size=BINS, max_size=BINS)


def counted(rates: list[float], group: int = 0) -> np.ndarray:
    counts = np.zeros((len(GROUPS), BINS), np.int64)
    np.add.at(counts[group], bins_of(np.array(rates)), 1)
    return counts


def total(density: RateDensity) -> float:
    return float(np.sum(np.array(density.per_mag_per_d) * np.diff(EDGES)))


def test_bins_are_finest_around_zero_and_reach_as_far_as_anything_changes():
    assert len(EDGES) == BINS + 1 == 81
    assert (np.diff(EDGES) > 0).all()
    assert np.allclose(EDGES, -EDGES[::-1])
    assert EDGES[BINS // 2 - 1 : BINS // 2 + 2].tolist() == [-1 / 128, 0.0, 1 / 128]
    assert EDGES[-1] == 32 - 1 / 32


@given(st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=50))
def test_a_rate_lies_in_its_bin_and_what_is_faster_in_the_last_one(rates):
    inside = np.clip(np.searchsorted(EDGES, rates, side="right") - 1, 0, BINS - 1)
    found = bins_of(np.array(rates))
    # At an edge, or nearer to it than float32 tells, either of its bins will do.
    nearest = np.abs(np.array(rates)[:, None] - EDGES).min(axis=1)
    assert (found[nearest > 1e-5] == inside[nearest > 1e-5]).all()
    assert (np.abs(found - inside) <= 1).all()


@given(COUNTS, COUNTS)
def test_all_densities_sum_to_one_and_none_is_zero(one, other):
    histogram = RateHistogram.measured(np.array([one, other, [0] * BINS]))
    assert histogram.rates == (sum(one), sum(other), 0)
    for density in (*histogram.densities, *RateHistogram.FALLBACK.densities, FLAT):
        assert total(density) == pytest.approx(1)
        assert min(density.per_mag_per_d) > 0


@given(COUNTS, st.sampled_from(["g", "r", "i", "", "w"]), FINITE, st.floats(allow_nan=False))
def test_any_rate_with_any_error_has_a_finite_density(counts, band, rate, err):
    histogram = RateHistogram.measured(np.array([counts] * len(GROUPS)))
    assert math.isfinite(histogram.log_density(band, rate, err))


@pytest.mark.parametrize("err", [0.02, 0.2, 2.0])
def test_what_is_measured_is_distributed_as_the_truth_and_its_error(err):
    truth = RateDensity.of_cumulative(normal_below(0.2, 0.5))
    rates = np.linspace(-20, 20, 20001)
    seen = np.array([truth.seen(MeasuredRate.of(rate, err)) for rate in rates])
    step = rates[1] - rates[0]
    sigma = math.hypot(0.5, err)
    expected = np.exp(-0.5 * ((rates - 0.2) / sigma) ** 2) / sigma / math.sqrt(2 * math.pi)
    assert seen.sum() * step == pytest.approx(1, abs=OUTLIERS / 2)
    near = np.abs(rates - 0.2) < sigma
    assert seen[near] == pytest.approx(expected[near], rel=0.08)


def test_a_density_by_hand():
    width = 1 / 128
    one_bin = RateDensity.of_fractions([0.0] * 40 + [1.0] + [0.0] * 39)
    assert one_bin.seen(MeasuredRate.of(width / 2, 0.0)) == pytest.approx(
        (1 - OUTLIERS + OUTLIERS / 80) / width, rel=1e-3
    )
    # Far wider than the bin, the error alone shapes what is seen.
    at_one_sigma = math.exp(-0.5) / 0.5 / math.sqrt(2 * math.pi)
    assert one_bin.seen(MeasuredRate.of(0.5 + width / 2, 0.5)) == pytest.approx(at_one_sigma, rel=0.05)
    assert one_bin.seen(MeasuredRate.of(1e9, 0.1)) == one_bin.seen(MeasuredRate.of(32 - 1 / 32, 0.1))
    assert one_bin.seen(MeasuredRate.of(0.1, 1e9)) == one_bin.seen(MeasuredRate.of(0.1, 100.0))


def test_cumulative_distributions_by_hand():
    assert normal_below(1.0, 2.0)(1.0) == 0.5
    assert normal_below(1.0, 2.0)(3.0) == pytest.approx(0.841345)
    assert log_normal_below(2.0, math.log(2))(1.0) == pytest.approx(0.158655, rel=1e-5)
    assert log_normal_below(2.0, 1.0)(0.0) == 0.0


def test_the_fallback_gives_way_to_what_is_measured_little_by_little():
    fallback = RateHistogram.FALLBACK
    assert RateHistogram.measured(counted([])).log_density("g", 0.4, 0.05) == pytest.approx(
        fallback.log_density("g", 0.4, 0.05)
    )
    densities = [
        RateHistogram.measured(counted([0.4] * many)).log_density("g", 0.4, 0.05)
        for many in (0, 1, 10, PSEUDO_OBJECTS, 10**5)
    ]
    assert densities == sorted(densities)
    assert densities[1] - densities[0] < 0.15
    half = math.log((math.exp(densities[0]) + math.exp(densities[-1])) / 2)
    assert densities[3] == pytest.approx(half, abs=0.01)


def test_bands_count_by_group_and_unknown_ones_with_r():
    assert [GROUPS[group_of(band)] for band in ("u", "g", "r", "i", "z", "y", "c", "")] == [
        "u g", "u g", "r", "i z y", "i z y", "i z y", "r", "r",
    ]  # fmt: skip
    only_g = RateHistogram.measured(counted([2.0] * 1000))
    assert only_g.log_density("u", 2.0, 0.1) == only_g.log_density("g", 2.0, 0.1)
    assert only_g.log_density("g", 2.0, 0.1) > only_g.log_density("r", 2.0, 0.1) + 3
    assert only_g.log_density("r", 2.0, 0.1) == pytest.approx(RateHistogram.FALLBACK.log_density("i", 2.0, 0.1))


def test_the_fallback_is_what_the_simulator_makes():
    plan = NightPlan(nights=14, variables=0, asteroids=0, artefacts=0, bursts_seen=0, mergers_seen=0, neutrinos_seen=0)
    night = simulate(11, plan)
    rates = []
    for seen in night._seen:
        good = [d for d in seen if d.is_good and d.time_us >= plan.start_us]
        if good and seen[0].time_us >= plan.start_us:
            for fid in (1, 2):
                points = [d for d in good if night._camera.visits.fid[d.visit] == fid]
                if points and points[-1].time_us - points[0].time_us > US_PER_DAY:
                    span_d = (points[-1].time_us - points[0].time_us) / US_PER_DAY
                    rates.append((points[-1].mag - points[0].mag) / span_d)
    assert len(rates) > 200
    edges = [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.4]
    share = np.searchsorted(np.sort(rates), edges) / len(rates)
    density = RateHistogram.FALLBACK.density("g")
    below = np.cumsum(np.array(density.per_mag_per_d) * np.diff(EDGES))
    assert np.interp(edges, EDGES[1:], below) == pytest.approx(share, abs=0.08)
