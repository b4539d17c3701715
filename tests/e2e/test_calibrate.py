"""``starcross calibrate`` as a user calls it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bridges.simulator import NightPlan, simulate
from broker.calibration import command, weeks
from tests.children import unmeasured
from tests.e2e.conftest import run

PLAN = NightPlan(
    nights=6,
    history_d=4.0,
    variables=400,
    supernovae=200,
    outbursts=200,
    asteroids=200,
    artefacts=50,
    bursts_seen=3,
    bursts_unseen=3,
    neutrinos_alone=0,
)


@pytest.fixture(scope="module")
def nights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("nights")
    simulate(3, PLAN).write(folder)
    return folder


@pytest.fixture
def short_weeks(monkeypatch):
    """Weeks of a few nights."""
    small = NightPlan(
        nights=4, history_d=3.0, supernovae=50, outbursts=50, asteroids=50, artefacts=20, variables=20, bursts_seen=0,
        bursts_unseen=0, mergers_seen=0, mergers_unseen=0, mergers_retracted=0, bursts_disowned=0, neutrinos_seen=0,
        neutrinos_alone=0, subthreshold=0, bursts_drawn=5, neutrinos_drawn=1,
    )  # fmt: skip
    monkeypatch.setattr(command, "plan_of", lambda _span: small)


@pytest.mark.usefixtures("short_weeks")
def test_simulated_weeks_are_shown_as_tables_and_drawn(tmp_path):
    picture = tmp_path / "calibration.png"
    ran = run("calibrate", "--weeks", 4, "--jobs", 1, "--seed", 3, "--plot", picture)
    assert ran.code in {0, 1}, ran.err
    assert "4 simulated weeks, 6 triggers, seed 3" in ran.out
    assert "claimed within 5 % of true" in ran.out
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("short_weeks")
def test_the_exit_code_says_whether_all_holds():
    ran = run("calibrate", "--weeks", 1, "--jobs", 1, "--json")
    told = json.loads(ran.out)
    assert told["weeks"] == weeks.WEEKS_A_SPAN
    assert ran.code == (0 if all(told["acceptance"].values()) else 1)


def test_scrambled_triggers_of_files(nights):
    asked = ("calibrate", "--alerts", nights / "alerts", "--notices", nights / "notices", "--copies", 4, "--json")
    ran = run(*asked)
    told = json.loads(ran.out)
    assert ran.code == (0 if all(told["acceptance"].values()) else 1), ran.err
    assert told["copies"] == 4
    assert told["left_out"] == []
    everything = told["chance"][0]
    assert everything["of"] == "all"
    assert everything["best"]["count"] > 10
    assert everything["found"] > 0
    assert json.loads(run(*asked, "--seed", 2).out) != told


def test_pairs_of_files(nights):
    ran = run("calibrate", "--pairs", nights / "notices")
    assert ran.code == 0, ran.err
    assert "1 bursts of Fermi with a position of Swift" in ran.out
    assert "holds  levels of final positions uniform" in ran.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--alerts", "here"], "--alerts and --notices belong together"),
        (["--notices", "here"], "--alerts and --notices belong together"),
        (["--alerts", "here", "--notices", "here", "--pairs", "here"], "--pairs needs notices alone"),
        (["--weeks", "0"], "--weeks: expected 1 or more (given: 0)"),
        (["--pairs", "nowhere"], "nowhere"),
        (["--alerts", "here", "--notices", "here"], "--alerts: there are no survey alerts in it"),
        (["--set", "matchers.grb.kind=unknown", "--jobs", "1"], "matchers.grb.kind"),
    ],
)
@pytest.mark.usefixtures("short_weeks")
def test_a_wrong_call_exits_with_2_and_says_why(tmp_path, monkeypatch, arguments, said):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    ran = run("calibrate", *arguments)
    assert ran.code == 2, ran.err
    assert said in " ".join(ran.err.split())


def test_alerts_without_a_localised_trigger_are_a_wrong_call(nights, tmp_path):
    ran = run("calibrate", "--alerts", nights / "alerts", "--notices", tmp_path)
    assert ran.code == 2
    assert "no trigger with a position" in " ".join(ran.err.split())


def test_an_interrupt_ends_it_and_its_processes():
    process = subprocess.Popen(
        [sys.executable, "-m", "broker", "calibrate", "--weeks", "8", "--jobs", "2"],
        env=unmeasured(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until = time.monotonic() + 200
    while len(children.read_text().split()) < 3 and time.monotonic() < until:  # two, and the one that looks after them
        time.sleep(0.05)
    of_it = children.read_text().split()
    assert len(of_it) >= 3
    # One that is still being told what to do says so when nobody tells it any more.
    while sum(cpu_ticks(one) > WORKING_TICKS for one in of_it) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "interrupted" in said
    assert "Traceback" not in said
    while any(map(is_running, of_it)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_running, of_it))


WORKING_TICKS = 50
"""Half a second of CPU: it has begun to import what it works with."""


def cpu_ticks(process: str) -> int:
    """CPU time that a process has used."""
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return int(user) + int(system)


def is_running(process: str) -> bool:
    """Whether it is there and is more than its exit code."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
