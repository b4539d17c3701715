"""`starcross inspect` of alerts and notices together."""

import json
import math
from pathlib import Path

import pytest

from bridges.files import find_files
from bridges.simulator import NightPlan, simulate
from broker import pairing
from broker.config import load_config
from broker.inspection import Findings
from broker.pairing import explain_findings
from broker.registry import make_matchers
from tests.e2e.conftest import lines_of, run
from tests.matchers.made import MINUTE, T0, alerts_of, notice_of
from tests.schemas.maps import blob, flat

SETTINGS = "triggers.include_tests=true"


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> tuple[Path, ...]:
    """Packets of a simulated night, some of which match a burst, and the notices of that burst."""
    folder = tmp_path_factory.mktemp("simulated")
    made = simulate(7, NightPlan().scaled(0.03))
    made.write(folder)
    wanted = next(i.trigger_id for i in made.injections if i.detectable and i.trigger_id.startswith("fermi-gbm:"))
    notices = (path for path in sorted((folder / "notices").glob("*.xml")) if wanted[10:].encode() in path.read_bytes())
    return (*sorted((folder / "alerts").iterdir()), *notices)


def test_what_it_calls_a_match_is_what_replay_finds(few, tmp_path):
    ran = run("inspect", "--json", "--set", SETTINGS, *few)
    pairs = json.loads(ran.out.splitlines()[-1])["pairs"]
    assert pairs == sorted(pairs, key=lambda pair: len(pair["against"]))
    matched = {(p["trigger_id"], p["object_id"], p["alert_id"]) for p in pairs if not p["against"]}
    assert run("replay", "--set", SETTINGS, "--alerts", *few, "--notices", *few, "--out", tmp_path).code == 0
    found = {
        (c["trigger"]["id"], c["object"]["object_id"], alert)
        for c in lines_of(tmp_path / "coincidences.jsonl")
        for alert in c["object"]["alert_ids"]
    }
    assert matched
    assert matched == found


def test_the_table_says_why_and_counts_the_rest(few):
    ran = run("inspect", "--set", SETTINGS, *few)
    assert "Alerts against triggers" in ran.out
    assert "matches" in ran.out
    assert "more (--json shows all)" in ran.out


def test_without_alerts_or_without_notices_there_is_nothing_to_compare(few):
    for files in (few[:1], few[-1:]):
        assert "pairs" not in run("inspect", "--json", *files).out
        assert "Alerts against triggers" not in run("inspect", *files).out


@pytest.mark.not_measured
def test_too_many_pairs_are_not_explained(few, monkeypatch):
    monkeypatch.setattr(pairing, "MOST_PAIRS", 10)
    assert json.loads(run("inspect", "--json", *few).out.splitlines()[-1]) == {"pairs": None}
    assert "give fewer files" in run("inspect", *few).out


@pytest.mark.parametrize(("broken", "why"), [(False, ()), (True, ("not searched: no_position",))])
def test_a_map_that_a_notice_links_to_is_taken_from_the_files(tmp_path, broken, why):
    probability = blob(2, 100.0, 30.0, 5.0)
    (tmp_path / "map.fits").write_bytes(flat(probability * (math.nan if broken else 1.0)))
    files = find_files([tmp_path])
    notice = notice_of(localisation=None, skymap_url="https://host/a/map.fits")
    alerts = alerts_of([{"id": 1, "obj": "a", "t": T0 + MINUTE, "ra": 100.0, "dec": 30.0}])
    findings = [
        Findings({}, alerts=[alerts]),
        Findings({}, notices=[(notice, None), (notice_of(None), None)]),
        Findings({}, map_origins=[files[0].label]),
    ]
    config = load_config(None)
    (one,) = explain_findings(findings, files, config, make_matchers(config, Path())) or ()
    assert one.against == why
