import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridges.simulator.night import simulate
from bridges.simulator.plan import NightPlan
from matchers.colours import COLOURS, NO_COLOUR
from matchers.rates import (
    ANYTHING,
    BINS,
    EDGES_MAG_PER_D,
    FLAT,
    GROUPS,
    OUTLIERS,
    PSEUDO_OBJECTS,
    PSEUDO_OF_ALL_COLOURS,
    Compared,
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
    """Rates of objects without a colour."""
    counts = np.zeros((COLOURS, len(GROUPS), BINS), np.int64)
    np.add.at(counts[NO_COLOUR, group], bins_of(np.array(rates)), 1)
    return counts


def log_density(histogram: RateHistogram, band: str, rate: float, err: float, compared: Compared = ANYTHING) -> float:
    return math.log(histogram.seen(band, MeasuredRate.of(rate, err), compared))


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
    histogram = RateHistogram.measured(np.array([[one, other, [0] * BINS]] * COLOURS))
    densities = [density for told in (histogram, RateHistogram.FALLBACK) for row in told.densities for density in row]
    for density in (*densities, FLAT):
        assert total(density) == pytest.approx(1)
        assert min(density.per_mag_per_d) > 0


@given(COUNTS, st.sampled_from(["g", "r", "i", "", "w"]), FINITE, st.floats(allow_nan=False))
def test_any_rate_with_any_error_has_a_finite_density(counts, band, rate, err):
    histogram = RateHistogram.measured(np.array([[counts] * len(GROUPS)] * COLOURS))
    for compared in (ANYTHING, Compared(0, dict.fromkeys("gri", int(np.argmax(counts))))):
        assert math.isfinite(log_density(histogram, band, rate, err, compared))


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
    assert log_density(RateHistogram.measured(counted([])), "g", 0.4, 0.05) == pytest.approx(
        log_density(fallback, "g", 0.4, 0.05)
    )
    of_all = [
        log_density(RateHistogram.measured(counted([0.4] * many)), "g", 0.4, 0.05, Compared(0))
        for many in (0, 1, 10, PSEUDO_OBJECTS, 10**5)
    ]
    assert of_all == sorted(of_all)
    assert of_all[1] - of_all[0] < 0.15
    half = math.log((math.exp(of_all[0]) + math.exp(of_all[-1])) / 2)
    assert of_all[3] == pytest.approx(half, abs=0.01)


def test_what_is_known_of_all_colours_gives_way_to_what_is_known_of_one():
    """In blue and red as many fade at 0.4 mag/d as rise, but all that fade are blue."""
    counts = counted([])
    blue, red = 0, NO_COLOUR - 1
    at = {
        many: [
            log_density(RateHistogram.measured(counts + more), "r", 0.4, 0.05, Compared(colour))
            for colour in (blue, red)
        ]
        for many in (0, PSEUDO_OF_ALL_COLOURS, 10**5)
        for more in [_fading_and_rising(many, blue, red)]
    }
    assert at[0][0] == at[0][1]
    few, most = at[PSEUDO_OF_ALL_COLOURS], at[10**5]
    assert few[0] > few[1] + 0.7
    assert most[0] > most[1] + 3
    assert math.exp(most[1]) == pytest.approx(OUTLIERS * FLAT.seen(MeasuredRate.of(0.4, 0.05)), rel=0.2)


def _fading_and_rising(many: int, fading: int, rising: int) -> np.ndarray:
    counts = np.zeros((COLOURS, len(GROUPS), BINS), np.int64)
    for colour, rate in ((fading, 0.4), (rising, -0.4)):
        counts[colour, :, bins_of(np.array([rate]))] = many
    return counts


@given(
    st.lists(st.integers(0, 50), min_size=BINS, max_size=BINS),
    st.integers(0, BINS - 1),
    st.floats(-3, 3),
    st.floats(0.01, 3),
)
def test_an_object_is_not_compared_with_itself(others, own, rate, err):
    without = np.zeros((COLOURS, len(GROUPS), BINS), np.int64)
    without[1, group_of("r")] = others
    with_it = without.copy()
    with_it[1, group_of("r"), own] += 1
    expected = log_density(RateHistogram.measured(without), "r", rate, err, Compared(1))
    # That it counts among all colours together, too, makes little difference.
    found = log_density(RateHistogram.measured(with_it), "r", rate, err, Compared(1, {"r": own}))
    assert found == pytest.approx(expected, abs=0.1)
    # What was not counted is not taken away.
    in_other_band = log_density(RateHistogram.measured(without), "g", rate, err, Compared(1, {"g": own, "r": own}))
    assert in_other_band == log_density(RateHistogram.measured(without), "g", rate, err, Compared(1))


def test_bands_count_by_group_and_unknown_ones_with_r():
    assert [GROUPS[group_of(band)] for band in ("u", "g", "r", "i", "z", "y", "c", "")] == [
        "u g", "u g", "r", "i z y", "i z y", "i z y", "r", "r",
    ]  # fmt: skip
    only_g = RateHistogram.measured(counted([2.0] * 1000))
    of_band = {band: log_density(only_g, band, 2.0, 0.1) for band in "ugr"}
    assert of_band["u"] == of_band["g"] > of_band["r"] + 3
    assert of_band["r"] == pytest.approx(log_density(RateHistogram.FALLBACK, "i", 2.0, 0.1))


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
    density = RateHistogram.FALLBACK.densities[NO_COLOUR][group_of("g")]
    below = np.cumsum(np.array(density.per_mag_per_d) * np.diff(EDGES))
    assert np.interp(edges, EDGES[1:], below) == pytest.approx(share, abs=0.08)
