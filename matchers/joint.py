"""How often chance alone brings two triggers together: joint false-alarm rates as LVK's RAVEN defines them.

Formulas, windows and rates are those of RAVEN (Urban 2016 and Piotrzkowski 2022, Ph.D. theses, University of
Wisconsin-Milwaukee; `ligo.raven.search.coinc_far`), which decides on LVK's joint alerts. It knows two searches:

- untargeted: a gravitational-wave candidate of a false-alarm rate, and an event of a kind that is real but may have
  nothing to do with it: FAR_T = FAR_gw R_ext (t_h - t_l);
- targeted: two candidates, each of a false-alarm rate up to some largest one: with Z = FAR_gw FAR_ext (t_h - t_l),
  FAR_T = Z (1 + ln(Z_max / Z)).

Both are divided by the overlap I of the sky maps (`schemas.product.overlap`): FAR_ST = FAR_T / I. The overlap of
unrelated positions is 1 on average, thus at least I in at most 1/I of the cases: FAR_ST is a bound from above.

RAVEN says nothing of two events that both are real, such as two bursts; `real_pair_rate_hz` is made in the same spirit.
"""

import math
from typing import NamedTuple

RAVEN_YEAR_S = 365 * 86_400
BURSTS_PER_YEAR = 310.0
"""Gamma-ray bursts: Fermi 236, Swift 65, INTEGRAL 5, AGILE 5, as RAVEN counts independent discoveries."""
BURSTS_PER_YEAR_WITH_SUBTHRESHOLD = 375.0
"""With those that are announced although they are below the threshold, 65 more (LIGO-T1900297)."""


class TimeWindow(NamedTuple):
    """Time of a gravitational wave minus that of the other event, from and to; both ends belong to it."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """From start to end."""
        return self.end_s - self.start_s


BURST_WITH_CBC = TimeWindow(-5, 1)
"""A gamma-ray burst and a compact binary's coalescence."""
BURST_WITH_GW_BURST = TimeWindow(-600, 60)
"""A gamma-ray burst and gravitational waves that fit no model."""
FERMI_TARGETED = TimeWindow(-11, 1)
SWIFT_TARGETED = TimeWindow(-20, 10)
RADIO_WITH_CBC = TimeWindow(-10, 2)
NEUTRINO_WITH_CBC = TimeWindow(-10, 10)
NEUTRINO_WITH_GW_BURST = TimeWindow(-500, 500)


class TargetedSearch(NamedTuple):
    """The largest false-alarm rates, per second, that a targeted search takes up."""

    most_gw_hz: float
    most_external_hz: float


FERMI_SEARCH = TargetedSearch(1 / 86_400, 1e-4)
SWIFT_SEARCH = TargetedSearch(2 / 86_400, 1e-3)


def untargeted_far_hz(gw_far_hz: float, external_hz: float, window: TimeWindow) -> float:
    """FAR_T of a candidate and an event of a kind of which there are `external_hz` a second.

    Examples
    --------
    A candidate of 1e-5 Hz and a gamma-ray burst, as in RAVEN's own tests:

    >>> print(f"{untargeted_far_hz(1e-5, BURSTS_PER_YEAR / RAVEN_YEAR_S, BURST_WITH_CBC):.4g}")
    5.898e-10
    """
    return gw_far_hz * external_hz * window.length_s


def targeted_far_hz(gw_far_hz: float, external_far_hz: float, window: TimeWindow, search: TargetedSearch) -> float:
    """FAR_T of two candidates.

    Examples
    --------
    >>> print(f"{targeted_far_hz(1e-7, 1e-4, TimeWindow(-30, 30), SWIFT_SEARCH):.4g}")
    5.248e-09
    """
    z = gw_far_hz * external_far_hz * window.length_s
    most = search.most_gw_hz * search.most_external_hz * window.length_s
    if z <= 0:
        return 0.0
    return z * (1 + math.log(most / z)) if z < most else most


def space_time_far_hz(temporal_far_hz: float, overlap: float) -> float:
    """FAR_ST: that in time, given the overlap of both sky maps; infinite where they have no common sky."""
    return temporal_far_hz / overlap if overlap > 0 else math.inf


def real_pair_rate_hz(one_hz: float, other_hz: float, apart_s: float, overlap: float) -> float:
    """How often chance brings two unrelated events at least as near to each other in time and sky as these are.

    Nearness is x = |apart| / I. Unrelated pairs with overlap I that are as near come at the rate R_1 R_2 2 x I, and the
    mean of I is 1: so all of them come at R_1 R_2 2 x, or fewer where only short times apart are looked at.

    Parameters
    ----------
    one_hz, other_hz
        How often either kind of event is seen.
    apart_s
        Time between these two.
    overlap
        Of their sky maps.
    """
    return space_time_far_hz(one_hz * other_hz * 2 * abs(apart_s), overlap)
