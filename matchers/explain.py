"""Why an alert does or does not match a trigger: every condition by itself, where matching stops at the first.

It asks the same window, cuts and matcher as `matchers.engine`, so that what it says is what happens.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from matchers.cuts import Cuts
from matchers.judge import Matcher
from matchers.objects import Objects
from matchers.openings import why_not_searched
from matchers.windows import in_time
from schemas.records import Alerts, Trigger, Window
from schemas.sky import separation_deg
from schemas.times import US_PER_S

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


@dataclass(frozen=True, slots=True)
class Explanation:
    """One alert against one trigger, as one matcher sees it.

    Attributes
    ----------
    matcher
        Its name; empty where no matcher searches for the trigger.
    delta_t_s, separation_deg, credible_level
        Alert minus trigger, distance from the map's peak, and level on the map; the last two are None without a map.
    against
        A phrase for each condition that is not met; with none of them, the alert matches.
    """

    trigger_id: str
    matcher: str
    survey: str
    object_id: str
    alert_id: int
    delta_t_s: float
    separation_deg: float | None
    credible_level: float | None
    against: tuple[str, ...]


def explain(
    triggers: Sequence[Trigger],
    alerts: Sequence[Alerts],
    matchers: Sequence[Matcher],
    cuts: Mapping[str, Cuts],
    carried: Mapping[str, frozenset[str]],
    *,
    include_tests: bool,
) -> Iterator[Explanation]:
    """Every alert against every trigger, for each matcher that searches for it, in the order given.

    Parameters
    ----------
    alerts
        Any number of batches, each of one survey; all of one object tell of its first detection.
    cuts, carried, include_tests
        As for `matchers.engine.Engine`.
    """
    merged = [Alerts.concatenate([part for part in alerts if part.survey == survey]) for survey in _surveys(alerts)]
    known = [_with_first_detections(part) for part in merged]
    for trigger in triggers:
        searches = _searches(trigger, matchers, include_tests=include_tests)
        for part in known:
            for row in range(len(part)):
                one = part.take(slice(row, row + 1))
                keep, failed = cuts[one.survey].apply(one, carried[one.survey])
                cut = () if keep[0] else tuple(f"cut by {reason}" for reason in failed)
                if not searches:
                    why = f"not searched: {why_not_searched(trigger, None, include_tests=include_tests)}"
                    yield _explanation(trigger, "", one, (why, *cut))
                for matcher, window in searches:
                    yield _explanation(trigger, matcher.name, one, (*cut, *_against(matcher, window, trigger, one)))


def _surveys(alerts: Sequence[Alerts]) -> list[str]:
    return list(dict.fromkeys(part.survey for part in alerts))


def _with_first_detections(alerts: Alerts) -> Alerts:
    objects = Objects()
    codes, _ = objects.observe(alerts)
    return alerts.with_first_detection(objects.first_us_of(codes))


def _searches(trigger: Trigger, matchers: Sequence[Matcher], *, include_tests: bool) -> list[tuple[Matcher, Window]]:
    if trigger.test and not include_tests:
        return []
    windows = ((matcher, matcher.window(trigger)) for matcher in matchers)
    return [(matcher, window) for matcher, window in windows if window is not None]


def _against(matcher: Matcher, window: Window, trigger: Trigger, one: Alerts) -> list[str]:
    """What of window and matcher speaks against one alert; the matcher is asked only of what its window holds."""
    against = []
    if not in_time(window, one.time_us)[0]:
        span = (delay((edge_us - trigger.time_us) / US_PER_S) for edge_us in (window.start_us, window.end_us))
        against.append("outside the window of {} to {}".format(*span))
    if not window.region.contains(one.ra_deg, one.dec_deg, one.pixel)[0]:
        against.append("outside the region")
    if not against and not matcher.match(one, trigger)[0]:
        first_us = int(one.first_detection_us[0])
        known = f"not new, first detected at {delay((first_us - trigger.time_us) / US_PER_S)}"
        against.append(known if first_us < window.start_us else "refused by the matcher")
    return against


def _explanation(trigger: Trigger, matcher: str, one: Alerts, against: Sequence[str]) -> Explanation:
    skymap, separation, level = trigger.skymap, None, None
    if skymap is not None:
        separation = float(separation_deg(one.ra_deg, one.dec_deg, skymap.peak_ra_deg, skymap.peak_dec_deg)[0])
        level = float(skymap.credible_level(one.ra_deg, one.dec_deg, one.pixel)[0])
    return Explanation(
        trigger_id=trigger.id,
        matcher=matcher,
        survey=one.survey,
        object_id=str(one.object_id[0]),
        alert_id=int(one.alert_id[0]),
        delta_t_s=(int(one.time_us[0]) - trigger.time_us) / US_PER_S,
        separation_deg=separation,
        credible_level=level,
        against=tuple(against),
    )


def delay(seconds: float) -> str:
    """A delay as a person says it: ``12 s``, ``-3.2 h``, ``4.13 d``."""
    if abs(seconds) < 2 * _MINUTE_S:
        return f"{seconds:.0f} s"
    if abs(seconds) < 2 * _HOUR_S:
        return f"{seconds / _MINUTE_S:.1f} min"
    if abs(seconds) < 2 * _DAY_S:
        return f"{seconds / _HOUR_S:.1f} h"
    return f"{seconds / _DAY_S:.2f} d"
