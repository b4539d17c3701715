"""How often chance brings a pair of triggers together in time, by what they are.

A gravitational wave and something else are a pair of RAVEN's searches (`matchers.joint`). RAVEN says nothing of other
pairs: a gamma-ray burst that two instruments see, X-rays, a neutrino.
"""

from typing import Final, NamedTuple

from matchers import joint
from schemas.records import Messenger, Trigger
from schemas.times import US_PER_S

YEAR_S: Final = 365.25 * 86_400

_CLOSEST_S = 1.0
"""Two instruments trigger on one event at different moments: that they are closer than this tells nothing more."""

_PER_YEAR: Final = {
    "fermi": 480.0,
    "swift": 90.0,
    "integral": 5.0,
    "agile": 5.0,
    "lvk": 122.0,
    "icecube": 34.0,
    "chime": 572.0,
}
"""Triggers a year by mission: Fermi GBM's bursts and as many others that it cannot tell from them at first; Swift BAT's
bursts; INTEGRAL and AGILE as RAVEN has them; one gravitational wave in 3 days (GCN Circular 38356); IceCube's public
tracks; 536 bursts in 342 days of CHIME/FRB's first catalogue (2021, ApJS 257, 59)."""
_OTHERS_PER_YEAR: Final = 200.0

_WINDOWS: Final = {
    (Messenger.GAMMA_RAY, True): joint.BURST_WITH_CBC,
    (Messenger.GAMMA_RAY, False): joint.BURST_WITH_GW_BURST,
    (Messenger.RADIO, True): joint.RADIO_WITH_CBC,
    (Messenger.NEUTRINO, True): joint.NEUTRINO_WITH_CBC,
    (Messenger.NEUTRINO, False): joint.NEUTRINO_WITH_GW_BURST,
}
"""By messenger, and whether the gravitational wave is a compact binary's coalescence."""
_TARGETED: Final = {
    "fermi": (joint.FERMI_TARGETED, joint.FERMI_SEARCH),
    "swift": (joint.SWIFT_TARGETED, joint.SWIFT_SEARCH),
}


class PairRates(NamedTuple):
    """How often chance brings a pair like this one together, in time alone.

    Attributes
    ----------
    far_hz
        As RAVEN counts, by false gravitational waves; None if their false-alarm rate is unknown.
    chance_hz
        By all that is announced, true or false. A true gravitational wave of a minute false-alarm rate and a true burst
        that are two events come together more often than false alarms do (GCN Circular 38356).
    """

    far_hz: float | None
    chance_hz: float


def rates_of_pair(one: Trigger, other: Trigger, longest_apart_s: float) -> PairRates | None:
    """None if two such triggers are not compared, or not so far apart in time.

    Parameters
    ----------
    one, other
        In either order; the result is the same.
    longest_apart_s
        Of two of which none is a gravitational wave.
    """
    if other.messenger is Messenger.GRAVITATIONAL_WAVE:
        one, other = other, one
    if one.messenger is Messenger.GRAVITATIONAL_WAVE:
        return _with_gw(one, other)
    apart_s = abs(one.time_us - other.time_us) / US_PER_S
    if apart_s > longest_apart_s or _seen_by(one) == _seen_by(other):
        return None
    both_hz = joint.real_pair_rate_hz(_rate_hz(one), _rate_hz(other), max(apart_s, _CLOSEST_S), overlap=1.0)
    return PairRates(both_hz, both_hz)


def _with_gw(gw: Trigger, other: Trigger) -> PairRates | None:
    """Of a gravitational wave and something else, by RAVEN's searches."""
    mission = other.mission.casefold()
    targeted = _TARGETED.get(mission) if _is_cbc(gw) and other.messenger is Messenger.GAMMA_RAY else None
    if targeted is not None and other.far_hz is not None:
        window, search = targeted
        external_hz = other.far_hz
        far_hz = None if gw.far_hz is None else joint.targeted_far_hz(gw.far_hz, external_hz, window, search)
    else:
        window_of = _WINDOWS.get((other.messenger, _is_cbc(gw)))
        if window_of is None:
            return None
        window = window_of
        external_hz = _external_rate_hz(other)
        far_hz = None if gw.far_hz is None else joint.untargeted_far_hz(gw.far_hz, external_hz, window)
    if not window.start_s <= (gw.time_us - other.time_us) / US_PER_S <= window.end_s:
        return None
    announced_gw_hz, announced_hz = max(gw.far_hz or 0.0, _rate_hz(gw)), max(external_hz, _rate_hz(other))
    return PairRates(far_hz, joint.untargeted_far_hz(announced_gw_hz, announced_hz, window))


def _external_rate_hz(trigger: Trigger) -> float:
    if trigger.messenger is not Messenger.GAMMA_RAY:
        return _rate_hz(trigger)
    subthreshold = "subthresh" in trigger.notice.notice_type.casefold()
    return (joint.BURSTS_PER_YEAR_WITH_SUBTHRESHOLD if subthreshold else joint.BURSTS_PER_YEAR) / joint.RAVEN_YEAR_S


def _is_cbc(gw: Trigger) -> bool:
    """Whether it was found as a compact binary's coalescence, as all are that have classes."""
    params = gw.notice.params
    return params.get("Group", params.get("event.group", "CBC" if gw.classification else "")) == "CBC"


def _seen_by(trigger: Trigger) -> tuple[str, str]:
    return trigger.mission.casefold(), trigger.instrument.casefold()


def _rate_hz(trigger: Trigger) -> float:
    """How many triggers a second its mission announces."""
    return _PER_YEAR.get(trigger.mission.casefold(), _OTHERS_PER_YEAR) / YEAR_S
