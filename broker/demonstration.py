"""``starcross demo``: simulated nights through the same replay as real ones, and what it found of what was injected."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bridges.folder import OutputFolder
from bridges.simulator import Injection, simulate
from broker.clocks import WallClock
from broker.config import load_config
from broker.plan import Plan
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

SERVED_SETTINGS = (
    "http.enabled=true",
    "service.clock=data",
    "service.http_port=0",
    "service.log_level=error",
    "sources.nights.kind=simulator",
    "sources.nights.messages_per_s=100",
    "sources.nights.batch_messages=20",
    "sources.nights.endless=true",
)
"""A night takes some forty seconds; after the first week others follow."""


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


def serve_demo(seed: int, port: int, announce: Callable[[str, str], None], *, verbose: bool) -> int:
    """Serve the page while simulated nights come in, in accelerated time, until Ctrl-C; returns the exit code.

    The store is a temporary folder: nothing is left behind.

    Parameters
    ----------
    port
        To answer at; 0 for a free one.
    announce
        Told where, and a token of somebody who may upload.
    """
    # Only here: it loads the service's libraries, which a demonstration without it does not need.
    running, tokens = import_module("broker.running"), import_module("broker.web.tokens")
    with TemporaryDirectory(prefix="starcross-demo-") as name:
        folder = Path(name)
        settings = (*DEMO_SETTINGS, *SERVED_SETTINGS, f"sources.nights.seed={seed}", f"http.port={port}")
        config = load_config(None, settings)
        scopes = [tokens.Scope.READ, tokens.Scope.UPLOAD]
        token, _ = tokens.Tokens(folder / config.store.folder).make("demo", scopes, WallClock()())
        code: int = running.run_plan(
            lambda: Plan.of(config, folder), verbose=verbose, announce=lambda url: announce(url, token)
        )
    return code


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
