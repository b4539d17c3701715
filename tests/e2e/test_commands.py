"""Every command, its help, and its exit codes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bridges.simulator import NightPlan, simulate
from broker import commands, demonstration
from tests.children import unmeasured
from tests.e2e.conftest import lines_of, run
from tests.e2e.hostile_inputs import GOOD_ALERT, GOOD_NOTICE
from tests.survey_packets import ZTF, container, ztf_alert

PROJECT = Path(__file__).resolve().parents[2]
COMMANDS = ["demo", "replay", "inspect", "simulate", "check"]


def small(seed: int):
    """A small part of what the demo simulates."""
    return simulate(seed, NightPlan().scaled(0.08))


def everything_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_help_names_all_commands_and_exit_codes():
    ran = run("--help")
    assert ran.code == 0
    assert all(f"\n    {name} " in ran.out for name in COMMANDS)
    assert "130  interrupted by Ctrl-C" in ran.out


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command):
    ran = run(command, "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: starcross {command} ")
    assert "--verbose" in ran.out


def test_version():
    assert run("--version").out.startswith("starcross ")


@pytest.mark.parametrize("arguments", [[], ["fly"], ["replay"], ["inspect"], ["simulate"], ["check", "--fast"]])
def test_a_wrong_call_shows_the_usage_and_exits_with_2(arguments):
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: starcross" in ran.err


def test_the_demo_shows_what_was_found_of_what_was_injected(tmp_path, monkeypatch):
    monkeypatch.setattr(demonstration, "simulate", small)
    out = tmp_path / "[/demo]"
    ran = run("demo", "--out", out, "--seed", "3")
    assert (ran.code, ran.err) == (0, "")
    assert "Found against injected" in ran.out
    assert re.search(r"found \d+ of ", " ".join(ran.out.split()))
    assert {path.name for path in out.iterdir()} >= {"nights", "sky.png", "summary.json", "coincidences.jsonl"}
    found = {(c["trigger"]["id"], c["object"]["object_id"]) for c in lines_of(out / "coincidences.jsonl")}
    injections = small(3).injections
    assert all(injection.object_id in ran.out for injection in injections)
    assert found & {(injection.trigger_id, injection.object_id) for injection in injections}


@pytest.mark.not_measured
def test_each_injected_source_has_a_rank_or_a_reason(night, tmp_path, monkeypatch):
    monkeypatch.setattr(demonstration, "simulate", lambda _seed: night[0])
    rows = demonstration.run_demo(7, tmp_path, commands.Progress()).rows
    assert [row.name for row in rows] == [injection.object_id for injection in night[0].injections]
    assert any(row.rank == 1 for row in rows)
    for row in rows:
        assert (row.rank is None) == bool(row.note)
        assert row.rank is None or 1 <= row.rank <= row.of


def test_a_demo_does_not_write_over_what_it_does_not_know(tmp_path):
    (tmp_path / "nights").mkdir()
    (tmp_path / "nights" / "thesis.tex").write_text("")
    ran = run("demo", "--out", tmp_path)
    assert ran.code == 2
    assert "thesis.tex" in ran.err


def test_simulated_nights_as_files_are_those_of_the_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "simulate_night", lambda seed: simulate(seed, NightPlan().scaled(0.02)))
    for name, seed in (("one", 5), ("again", 5), ("other", 6)):
        assert run("simulate", "--out", tmp_path / name, "--seed", str(seed)).code == 0
    files = {
        name: {
            p.relative_to(tmp_path / name).as_posix(): p.read_bytes()
            for p in (tmp_path / name).rglob("*")
            if p.is_file()
        }
        for name in ("one", "again", "other")
    }
    assert files["one"] == files["again"] != files["other"]
    assert {name.partition("/")[0] for name in files["one"]} == {"alerts", "notices", "truth.json"}


def test_check_prints_the_configuration_that_it_found_valid(tmp_path):
    path = tmp_path / "[/c].toml"
    path.parent.mkdir()
    path.write_text("[cuts]\nreliability_above = 0.7\n")
    ran = run("check", path)
    assert ran.code == 0
    assert f"{path}: valid" in ran.out
    assert "matchers: grb, gw, neutrino, xray" in ran.out
    document = json.loads(run("check", path, "--set", "replay.batch_alerts=7", "--json").out)
    assert (document["cuts"]["reliability_above"], document["replay"]["batch_alerts"]) == (0.7, 7)
    assert run("check").out.startswith("the defaults: valid")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[cuts]\nreliabilty_above = 0.7\n", "cuts.reliabilty_above: unknown key"),
        ("[matchers.grb]\nlevel = 3\n", "matchers.grb.level"),
        ("[matchers.mine]\npython = 'none.py:Mine'\n", "no such Python file"),
        ("[lsst]\nschema_folder = 'nowhere'\n", "no folder of schemas at"),
        ("[lsst\n", "not valid TOML"),
    ],
)
def test_check_names_what_is_wrong(tmp_path, text, said):
    (tmp_path / "c.toml").write_text(text)
    ran = run("check", tmp_path / "c.toml")
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


OWN = """
class Mine:
    def __init__(self, name):
        self.name = name
    def window(self, trigger):
        raise {error}
    def match(self, alerts, trigger):
        return alerts.time_us > 0
"""


def with_a_matcher_that_raises(folder: Path, error: str) -> list[str | Path]:
    (folder / "own.py").write_text(OWN.format(error=error))
    (folder / "own.toml").write_text('[matchers.mine]\npython = "own.py:Mine"\n')
    (folder / "alert.avro").write_bytes(GOOD_ALERT)
    (folder / "notice.xml").write_bytes(GOOD_NOTICE)
    return ["replay", "--config", folder / "own.toml", "--alerts", folder / "alert.avro", "--notices",
            folder / "notice.xml", "--out", folder / "out"]  # fmt: skip


def test_a_failure_of_its_own_exits_with_1_and_shows_where_only_on_request(tmp_path):
    call = with_a_matcher_that_raises(tmp_path, "ArithmeticError('[/none] of it')")
    ran = run(*call)
    assert ran.code == 1
    assert "internal failure: ArithmeticError: [/none] of it" in ran.err
    assert "Traceback" not in ran.err
    assert "Traceback" in run(*call, "--verbose").err
    assert list((tmp_path / "out").iterdir()) == []


def test_an_interruption_exits_with_130_and_leaves_nothing(tmp_path):
    ran = run(*with_a_matcher_that_raises(tmp_path, "KeyboardInterrupt"))
    assert ran.code == 130
    assert "interrupted" in ran.err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_reader_that_leaves_early_is_no_failure(tmp_path):
    """As `starcross inspect --json FILE | head -1`; what is left to say does not fit into a pipe."""
    (tmp_path / "many.avro").write_bytes(container(ZTF, [ztf_alert(candid=number) for number in range(400)]))
    (tmp_path / "more.avro").write_bytes(container(ZTF, [ztf_alert(candid=number) for number in range(400)]))
    command = [sys.executable, "-m", "broker", "inspect", "--json", str(tmp_path)]
    environment = unmeasured() | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.read(20)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 0
