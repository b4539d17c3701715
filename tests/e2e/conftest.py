"""A simulated week, written to files once for all tests that replay it."""

import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridges.simulator import NightPlan, SimulatedNight, simulate
from broker.__main__ import main


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


def run(*arguments: str | Path) -> Ran:
    """The command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Ran(code, out.getvalue(), err.getvalue())


def lines_of(path: Path) -> list[dict[str, Any]]:
    """A file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[SimulatedNight, Path]:
    """A small simulated week, and the folder that holds it as files."""
    folder = tmp_path_factory.mktemp("night")
    made = simulate(7, NightPlan().scaled(0.15))
    made.write(folder)
    return made, folder


Replayed = Callable[..., Path]


@pytest.fixture(scope="session")
def replayed(night, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of replaying it."""
    out = tmp_path_factory.mktemp("replayed") / "out"
    ran = run(*replay_arguments(night[1]), "--out", out, "--plot", "--json")
    assert ran.code == 0, ran.err
    (out.parent / "stdout.json").write_text(ran.out)
    return out


def replay_arguments(folder: Path) -> tuple[str | Path, ...]:
    """How to replay a simulated night: its notices are tests."""
    alerts, notices = folder / "alerts", folder / "notices"
    return "replay", "--set", "triggers.include_tests=true", "--alerts", alerts, "--notices", notices
