"""Simulated weeks through the engine, and what it claimed of each trigger against the truth.

The engine is what is tried: alerts come as columns, without the packets (reading them is tested elsewhere), notices as
the bytes that an observatory would send. Nothing of the truth reaches it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from bridges.simulator import Injection, NightPlan, SimulatedNight, simulate
from broker.calibration.playing import Heard, play
from broker.calibration.searched import Claim, Counterpart, Searched
from broker.config import Config
from broker.inputs import issue_time_us
from broker.pipeline import make_engine
from broker.reader import make_reader
from broker.registry import make_matchers
from matchers.engine import Engine
from matchers.statistics import expected_chance
from schemas.densities import skymap_of
from schemas.errors import BadSkyMap
from schemas.records import Alerts, Coincidence, Notice, Trigger
from schemas.sky import SkyMap, pixels_of
from schemas.survey import SURVEYS
from schemas.times import US_PER_DAY, datetime_from_us, us_from_iso

WEEKS_A_SPAN: Final = 4
"""A span is simulated as a whole, so that windows of 20 days fit in, and the background is measured in it."""
_FIRST_START: Final = "2026-01-05"
_LOOK_EVERY_D: Final = 7.0
_STARS_A_FIELD: Final = 80
"""Four or more in each cell in which the background is counted, so that no visit goes unnoticed."""
_PLAN: Final = NightPlan(
    nights=7 * WEEKS_A_SPAN,
    zone_deg=30.0,
    variables=50,
    supernovae=7600,
    outbursts=2400,
    asteroids=6000,
    artefacts=2000,
    bursts_seen=0,
    bursts_unseen=0,
    mergers_seen=0,
    mergers_unseen=0,
    mergers_retracted=0,
    bursts_disowned=0,
    neutrinos_seen=0,
    neutrinos_alone=0,
    subthreshold=0,
    bursts_drawn=100,
    mergers_drawn=10,
    neutrinos_drawn=40,
    drawn_from_night=4.0,
)
"""The demo's sky for four weeks, with less of what the cuts never keep, and events as they come: four times as many
bursts as in reality, so that weeks yield enough of them."""
_SHARES: Final = 4
"""So many engines search a span one after the other, each with a share of the events and of their counterparts, about
as many as there really are: more would be joined with each other by chance, and what is unrelated would be measured in
a sky that is full of counterparts."""


def plan_of(span: int) -> NightPlan:
    """The plan of a span: one after the other through the seasons."""
    start_us = us_from_iso(f"{_FIRST_START}T00:00:00") + span * _PLAN.nights * US_PER_DAY
    return replace(_PLAN, start=f"{datetime_from_us(start_us):%Y-%m-%d}")


def search_span(config: Config, folder: Path, seed: int, plan: NightPlan) -> list[Searched]:
    """Simulate a span, search it, and tell what was claimed at each look.

    Parameters
    ----------
    config, folder
        The configuration, and where its relative paths start.
    """
    night = simulate(seed, plan)
    stars = night.known_stars(_STARS_A_FIELD)
    alerts = Alerts.concatenate([night.columns(), stars])
    alerts = alerts.take(np.argsort(alerts.time_us, kind="stable"))
    heard = list(heard_of(night, config, folder))
    shares = shares_of(night, heard)
    end_us = plan.start_us + plan.nights * US_PER_DAY
    step_us = round(_LOOK_EVERY_D * US_PER_DAY)
    looks_us = range(end_us, min(plan.start_us + step_us, end_us - 1), -step_us)[::-1]
    found: list[Searched] = []
    for share in range(_SHARES):
        others = [one.object_id for one in night.injections if shares[one.trigger_id] != share]
        of_share = alerts.take(~np.isin(alerts.object_id, np.array(others or [""])))
        truth = Truth(night, config, of_share)
        engine = make_engine(config, make_matchers(config, folder), "starcross calibrate")
        notices = [one for one in heard if shares.get(one.notice.trigger_id or "", share) == share]
        for time_us in play(engine, [of_share], notices, looks_us):
            found += looked(engine, time_us, truth)
    return found


def shares_of(night: SimulatedNight, heard: Sequence[Heard]) -> dict[str, int]:
    """In which share of a span each trigger is, by its id; those of one object are in the same one."""
    objects = {one.object_id: None for one in night.injections}
    of_object = {name: number % _SHARES for number, name in enumerate(objects)}
    shares = {one.trigger_id: of_object[one.object_id] for one in night.injections}
    alone = {name: None for one in heard if (name := one.notice.trigger_id) is not None and name not in shares}
    return shares | {name: number % _SHARES for number, name in enumerate(alone)}


def heard_of(night: SimulatedNight, config: Config, folder: Path) -> Iterator[Heard]:
    """The notices of a night, read."""
    for reading in make_reader(config, folder).read([timed.message for timed in night.notices()]):
        for notice in reading.notices:
            yield Heard(issue_time_us(notice), notice, density_of(notice))


def density_of(notice: Notice) -> SkyMap | None:
    """The density of the position that a notice itself gives; None if it gives none that can be read."""
    try:
        return None if notice.localisation is None else skymap_of(notice.localisation)
    except BadSkyMap:
        return None


@dataclass(frozen=True)
class Truth:
    """What really happened, and since when it shows in the stream."""

    night: SimulatedNight
    config: Config
    alerts: Alerts

    def counterpart(self, trigger: Trigger, now_us: int) -> Counterpart | None:
        """That of a trigger, as it is at an instant."""
        injection = self._injections.get(trigger.id)
        if injection is None or trigger.skymap is None:
            return None
        since_us = self._good_since.get(injection.object_id)
        ra, dec = np.array([injection.ra_deg]), np.array([injection.dec_deg])
        return Counterpart(
            object_id=injection.object_id,
            in_stream=since_us is not None and since_us <= now_us,
            credible_level=float(trigger.skymap.credible_level(ra, dec, pixels_of(ra, dec))[0]),
            peak_mag=injection.peak_mag,
        )

    @cached_property
    def objects(self) -> frozenset[str]:
        """All objects that are counterparts."""
        return frozenset(injection.object_id for injection in self.night.injections)

    @cached_property
    def _injections(self) -> Mapping[str, Injection]:
        return {injection.trigger_id: injection for injection in self.night.injections}

    @cached_property
    def _good_since(self) -> Mapping[str, int]:
        """By object that was injected: when its first alert came that passes the cuts."""
        names = np.array([injection.object_id for injection in self.night.injections] or [""])
        alerts = self.alerts.take(np.isin(self.alerts.object_id, names))
        quality = {survey.name: survey.quality_columns for survey in SURVEYS}[alerts.survey]
        alerts = alerts.take(self.config.cuts_of(alerts.survey).apply(alerts, quality)[0])
        first: dict[str, int] = {}
        for name, time_us in zip(alerts.object_id.tolist(), alerts.time_us.tolist(), strict=True):
            first[name] = min(time_us, first.get(name, time_us))
        return first


def looked(engine: Engine, now_us: int, truth: Truth | None) -> Iterator[Searched]:
    """What each trigger was claimed to be worth when it was last assessed, by every matcher that searches it.

    Without a truth no trigger has a counterpart.
    """
    injected: frozenset[str] = frozenset() if truth is None else truth.objects
    for trigger in engine.triggers():
        if trigger.skymap is None:
            continue
        counterpart = None if truth is None else truth.counterpart(trigger, now_us)
        standing = engine.standing(trigger.id)
        for matcher in sorted(engine.book.windows(trigger.id)):
            of_matcher = [coincidence for coincidence in standing if coincidence.matcher == matcher]
            searched = _searched(trigger, matcher, of_matcher, counterpart, injected, now_us)
            if not of_matcher:
                backgrounds, window = engine.index.backgrounds(now_us), engine.book.windows(trigger.id)[matcher]
                expected = expected_chance(trigger, window, backgrounds, now_us=now_us)
                searched = replace(searched, expected_chance=expected)
            yield searched


def _searched(
    trigger: Trigger,
    matcher: str,
    standing: Sequence[Coincidence],
    counterpart: Counterpart | None,
    injected: frozenset[str],
    now_us: int,
) -> Searched:
    name = None if counterpart is None else counterpart.object_id
    worth = [(c.object.object_id, c.credible_level, c.statistics) for c in standing]
    of_any = next((statistics for _, _, statistics in worth if statistics is not None), None)
    assert trigger.skymap is not None  # noqa: S101 - it is searched
    return Searched(
        trigger_id=trigger.id,
        messenger=trigger.messenger.value,
        mission=trigger.mission,
        matcher=matcher,
        age_d=(now_us - trigger.time_us) / US_PER_DAY,
        area_90_deg2=_area_90_deg2(trigger.skymap),
        counterpart=counterpart,
        claims=tuple(
            Claim(
                object_id=object_id,
                posterior=statistics.posterior,
                chance_probability=statistics.chance_probability,
                rank=statistics.rank,
                credible_level=level,
                true=object_id == name,
                of_another=object_id != name and object_id in injected,
            )
            for object_id, level, statistics in worth
            if statistics is not None
        ),
        posterior_none=None if of_any is None else of_any.posterior_none,
        observed_fraction=None if of_any is None else of_any.observed_fraction,
        expected_chance=None if of_any is None else of_any.expected_chance,
    )


@lru_cache(maxsize=1 << 12)
def _area_90_deg2(skymap: SkyMap) -> float:
    """Summing a map's cells takes long, and most maps stay the same from look to look."""
    return skymap.area_deg2(0.9)
