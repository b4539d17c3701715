"""``starcross demo``: simulated nights through the same replay as real ones, and what it found of what was injected."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bridges.folder import OutputFolder
from bridges.simulator import Injection, simulate
from broker.config import load_config
from broker.reader import make_reader
from broker.registry import make_matchers
from broker.replay import Outcome, Progress, replay
from broker.substreams import make_substreams
from broker.tables import InjectedRow
from matchers.rank import rank
from schemas.errors import ConfigurationError
from schemas.records import State, Trigger
from schemas.sky import pixels_of
from schemas.voevent_out import VoeventAuthor

DEMO_SETTINGS = ("triggers.include_tests=true", "substreams.all.include_tests=true")
"""Simulated notices call themselves tests, as they must; the demo searches tests."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What the demo did: the replay's outcome, and each injected counterpart with its rank."""

    outcome: Outcome
    rows: list[InjectedRow]


def run_demo(seed: int, out: Path, progress: Progress) -> Demonstration:
    """Simulate, write the nights as files, replay the files, and compare.

    Raises
    ------
    ConfigurationError
        If the folder cannot be written.
    """
    config = load_config(None, DEMO_SETTINGS)
    author = VoeventAuthor(**config.voevent.model_dump())
    with OutputFolder(out, author) as folder:
        progress.begin("simulate", 1)
        clear_nights(out / "nights")
        night = simulate(seed)
        night.write(out / "nights")
        progress.advance(1)
        matchers, reader = make_matchers(config, Path()), make_reader(config, Path())
        outcome = replay(
            config,
            matchers,
            reader,
            [out / "nights/alerts"],
            [out / "nights/notices"],
            folder,
            progress,
            substreams=make_substreams(config.substreams, Path()),
        )
    return Demonstration(outcome, [compared(injection, outcome) for injection in night.injections])


def clear_nights(folder: Path) -> None:
    """Remove an earlier demo's nights, which may be another seed's and would be replayed with the new ones.

    Raises
    ------
    ConfigurationError
        If the folder holds anything that a demo does not write.
    """
    if not folder.exists():
        return
    strangers = {path.name for path in folder.iterdir()} - {"alerts", "notices", "truth.json"}
    if strangers:
        raise ConfigurationError(f"{folder}: holds {min(strangers)}, which no demo wrote; choose another --out")
    shutil.rmtree(folder)


def compared(injection: Injection, outcome: Outcome) -> InjectedRow:
    """One injected counterpart against what was found: its rank among its trigger's coincidences, 1 for the best."""
    standing = (c for c in outcome.coincidences if c.state is not State.WITHDRAWN)
    of_trigger = [c for c in standing if c.trigger.id == injection.trigger_id]
    names = [coincidence.object.object_id for coincidence in rank(of_trigger)]
    place = names.index(injection.object_id) + 1 if injection.object_id in names else None
    return InjectedRow(
        kind=injection.kind,
        name=injection.object_id,
        trigger_id=injection.trigger_id,
        rank=place,
        of=len(names),
        findable=injection.detectable,
        note=injection.why_not or ("" if place else _why_missed(injection, outcome.triggers)),
    )


def _why_missed(injection: Injection, triggers: list[Trigger]) -> str:
    """Why a counterpart with good alerts was not found: a region of 90 % leaves out one in ten."""
    skymap = next((trigger.skymap for trigger in triggers if trigger.id == injection.trigger_id), None)
    if skymap is None:
        return "the trigger has no position"
    ra_deg, dec_deg = np.array([injection.ra_deg]), np.array([injection.dec_deg])
    level = float(skymap.credible_level(ra_deg, dec_deg, pixels_of(ra_deg, dec_deg))[0])
    return f"it lies on credible level {level:.3f}"
