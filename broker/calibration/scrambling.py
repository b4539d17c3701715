"""Triggers moved to other times and other places, where they can have no counterpart: what is found then is chance.

Right ascensions move by quarters of a turn, which is exact for every map, and times to anywhere in the span of the
alerts. The alerts stay as they are: how they crowd, repeat and vary is that of the real stream.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.random import Generator

from broker.calibration.playing import Heard, play
from broker.calibration.report import Chance, ScrambledReport
from broker.calibration.searched import Searched
from broker.calibration.weeks import density_of, looked
from broker.config import Config
from broker.inputs import Inputs, issue_time_us
from broker.pipeline import make_engine
from broker.registry import make_matchers
from broker.replay import Progress
from matchers.cases import Cases
from schemas.errors import BadSkyMap, ConfigurationError
from schemas.records import Kind, Notice, Role, Trigger
from schemas.sky import SkyMap
from schemas.skymap import read_skymap
from schemas.turning import turned

_QUARTERS: Final = (1, 2, 3)
_CLAIMS: Final = (0.1, 0.5, 0.9)


def search_scrambled(
    config: Config, folder: Path, inputs: Inputs, *, seed: int, copies: int, progress: Progress
) -> ScrambledReport:
    """Search inputs with their triggers scrambled.

    Parameters
    ----------
    copies
        How often each trigger is moved.

    Raises
    ------
    ConfigurationError
        If there are no alerts, or no trigger with a position.
    """
    alerts = [of_survey for of_survey in inputs.alerts.values() if len(of_survey)]
    if not alerts:
        raise ConfigurationError("--alerts: there are no survey alerts in it")
    first_us = min(int(of_survey.time_us[0]) for of_survey in alerts)
    last_us = max(int(of_survey.time_us[-1]) for of_survey in alerts)
    triggers = _localised(inputs)
    if not triggers:
        raise ConfigurationError("--notices: there is no trigger with a position in it")
    random = np.random.default_rng([seed, 60])
    heard: list[Heard] = []
    left_out = []
    for trigger in triggers:
        try:
            heard += [_moved(trigger, copy, random, first_us, last_us) for copy in range(copies)]
        except BadSkyMap:
            left_out.append(trigger.id)
    # What is scrambled is no observation any more, nor need it have been one.
    engine = make_engine(
        config.model_copy(update={"triggers": config.triggers.model_copy(update={"include_tests": True})}),
        make_matchers(config, folder),
        "starcross calibrate",
    )
    searched: list[Searched] = []
    progress.begin("matching", 1)
    for time_us in play(engine, alerts, heard, [last_us]):
        searched += looked(engine, time_us, None)
    progress.advance(1)
    return _report(searched, len(triggers), copies, left_out, random)


def _localised(inputs: Inputs) -> list[Trigger]:
    """The triggers of the inputs as all their notices tell them, sorted by id: those that have a position."""
    cases = Cases()
    for notice in inputs.notices:
        cases.hear(notice, _density(notice, inputs), issue_time_us(notice))
    triggers = (case.trigger for _, case in cases.items())
    return [trigger for trigger in triggers if trigger is not None and trigger.skymap is not None]


def _density(notice: Notice, inputs: Inputs) -> SkyMap | None:
    linked = inputs.maps.get(notice.ivorn)
    if linked is not None:
        try:
            return read_skymap(linked.body)
        except BadSkyMap:
            pass  # as in a replay, what the notice says itself counts then
    return density_of(notice)


def _moved(trigger: Trigger, copy: int, random: Generator, first_us: int, last_us: int) -> Heard:
    """One notice that says all that is known of a trigger, at another time and place."""
    assert trigger.skymap is not None  # noqa: S101 - it is localised
    time_us = int(random.integers(first_us, last_us, endpoint=True))
    name = f"{trigger.id}~{copy}"
    notice = replace(
        trigger.notice,
        trigger_id=name,
        ivorn=f"ivo://starcross.scrambled/{name}",
        kind=Kind.INITIAL,
        role=Role.OBSERVATION,
        issued_us=time_us,
        trigger_time_us=time_us,
        localisation=None,
        skymap_url=None,
        names=(),
        aliases=(),
        related=(),
        citations=(),
        astrophysical=None,
        messenger=trigger.messenger,
        mission=trigger.mission,
    )
    return Heard(time_us, notice, turned(trigger.skymap, int(random.choice(_QUARTERS))))


def _report(
    searched: Sequence[Searched], triggers: int, copies: int, left_out: Sequence[str], random: Generator
) -> ScrambledReport:
    groups: dict[str, list[Searched]] = defaultdict(list)
    for one in searched:
        groups["all"].append(one)
        groups[one.messenger].append(one)
    claims = [claim.posterior for one in searched for claim in one.claims]
    return ScrambledReport(
        triggers=triggers,
        copies=copies,
        left_out=tuple(sorted(left_out)),
        chance=tuple(Chance.told(name, groups[name], random) for name in sorted(groups)),
        false_claims={f"{least:g}": sum(claim >= least for claim in claims) for least in _CLAIMS},
    )
