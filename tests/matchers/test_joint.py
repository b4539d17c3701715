"""RAVEN's formulas against the numbers in its documentation and its own tests (ligo-raven 3.3)."""

import math

import numpy as np
import pytest

from matchers.joint import (
    BURST_WITH_CBC,
    BURST_WITH_GW_BURST,
    BURSTS_PER_YEAR,
    BURSTS_PER_YEAR_WITH_SUBTHRESHOLD,
    FERMI_SEARCH,
    FERMI_TARGETED,
    RAVEN_YEAR_S,
    SWIFT_SEARCH,
    SWIFT_TARGETED,
    TimeWindow,
    real_pair_rate_hz,
    space_time_far_hz,
    targeted_far_hz,
    untargeted_far_hz,
)

BURSTS_HZ = BURSTS_PER_YEAR / RAVEN_YEAR_S


def test_a_burst_with_a_candidate() -> None:
    """`test_coinc_far_grb`: 1e-5 Hz, and with I = 32.286 of GW170817 and GRB 170817A."""
    in_time = untargeted_far_hz(1e-5, BURSTS_HZ, TimeWindow(-1, 5))
    assert in_time == pytest.approx(5.8980e-10, abs=1e-14)
    assert space_time_far_hz(in_time, 32.286) == pytest.approx(in_time / 32.286)
    assert untargeted_far_hz(1e-5, 1e-7, BURST_WITH_CBC) == pytest.approx(6e-12)


def test_bursts_below_the_threshold() -> None:
    """`test_coinc_far_subgrb`: 1e-9 Hz, 375 a year."""
    rate_hz = BURSTS_PER_YEAR_WITH_SUBTHRESHOLD / RAVEN_YEAR_S
    assert untargeted_far_hz(1e-9, rate_hz, BURST_WITH_CBC) == pytest.approx(7.1347e-14, abs=1e-18)


def test_s200202ar() -> None:
    """The example of the documentation: temporal FAR 6.015e-9 Hz, I = 1.29, space-time FAR 4.663e-9 Hz."""
    window = TimeWindow(-60, 600)
    assert window.length_s == BURST_WITH_GW_BURST.length_s == 660
    gw_far_hz = 6.1192494e-10 / (1e-6 * window.length_s)
    in_time = untargeted_far_hz(gw_far_hz, BURSTS_HZ, window)
    assert in_time == pytest.approx(6.015243892694064e-09, rel=1e-7)
    assert space_time_far_hz(in_time, 1.2899690354431859) == pytest.approx(4.6630916924509334e-09, rel=1e-7)


def test_a_targeted_search() -> None:
    """`test_coinc_far_swift_subgrb`: 1e-7 Hz and 1e-4 Hz within 60 s."""
    assert targeted_far_hz(1e-7, 1e-4, TimeWindow(-30, 30), SWIFT_SEARCH) == pytest.approx(5.2482e-9, abs=1e-12)


def test_windows() -> None:
    assert BURST_WITH_CBC == (-5, 1)
    assert FERMI_TARGETED == (-11, 1)
    assert SWIFT_TARGETED == (-20, 10)


@pytest.mark.parametrize(("search", "window"), [(FERMI_SEARCH, FERMI_TARGETED), (SWIFT_SEARCH, SWIFT_TARGETED)])
def test_a_targeted_rate_is_how_often_candidates_are_as_rare(search, window) -> None:
    """Draw pairs with false-alarm rates spread evenly, and count those whose product is at most as large."""
    random = np.random.default_rng(5)
    gw_hz, external_hz = (most * random.random(400_000) for most in search)
    all_pairs_hz = search.most_gw_hz * search.most_external_hz * window.length_s
    for share in (0.001, 0.05, 0.5):
        z = share * search.most_gw_hz * search.most_external_hz
        counted_hz = (gw_hz * external_hz <= z).mean() * all_pairs_hz
        told_hz = targeted_far_hz(search.most_gw_hz, share * search.most_external_hz, window, search)
        assert told_hz == pytest.approx(counted_hz, rel=0.05)


def test_ends_of_a_targeted_search() -> None:
    most_hz = FERMI_SEARCH.most_gw_hz * FERMI_SEARCH.most_external_hz * FERMI_TARGETED.length_s
    assert targeted_far_hz(1.0, 1.0, FERMI_TARGETED, FERMI_SEARCH) == most_hz
    assert targeted_far_hz(*FERMI_SEARCH, FERMI_TARGETED, FERMI_SEARCH) == pytest.approx(most_hz)
    assert targeted_far_hz(0.0, 1e-4, FERMI_TARGETED, FERMI_SEARCH) == 0


def test_without_common_sky_chance_always_does_it() -> None:
    assert space_time_far_hz(1e-9, 0) == math.inf
    assert real_pair_rate_hz(1e-5, 1e-5, 10, 0) == math.inf


def test_pairs_of_real_events_as_near_come_as_often_as_is_told() -> None:
    """Two streams of bursts, with overlaps of mean 1: count the pairs that are as near in time and sky."""
    random = np.random.default_rng(3)
    within_s, pairs = 1e4, 1_000_000
    apart_s, overlap = random.uniform(-within_s, within_s, pairs), random.exponential(1, pairs)
    nearness = np.abs(apart_s) / overlap
    one_hz, other_hz = 1e-4, 2e-5
    all_hz = one_hz * other_hz * 2 * within_s
    for at in (3, 100):
        counted_hz = (nearness <= at).mean() * all_hz
        assert real_pair_rate_hz(one_hz, other_hz, -at * 0.5, 0.5) == pytest.approx(counted_hz, rel=0.1)
