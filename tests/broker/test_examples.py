"""The configurations that are shipped: each is right, and the one for a laptop runs with nothing else."""

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from broker.__main__ import main
from broker.config import Config
from broker.parts import SINK_KINDS, SOURCE_KINDS
from broker.plan import Plan
from tests.coincidences import changed
from tests.conftest import PROJECT
from tests.e2e.service_process import running

EXAMPLES = PROJECT / "config/examples"
CONFIGURATIONS = sorted(EXAMPLES.glob("*.toml"))


@pytest.mark.parametrize("path", [PROJECT / "config/starcross.toml", *CONFIGURATIONS], ids=lambda path: path.name)
def test_it_is_right_whether_or_not_its_secrets_are_there(path, capsys):
    assert main(["check", str(path)]) == 0
    assert "valid" in capsys.readouterr().out


def test_what_is_commented_out_in_the_shipped_configuration_is_right_too():
    text = re.sub(r"^# ?(?=\[|\w+ = )", "", (PROJECT / "config/starcross.toml").read_text(), flags=re.MULTILINE)
    plan = Plan.of(Config.model_validate(tomllib.loads(text)), EXAMPLES)
    assert {section.kind for section in plan.config.sources.values()} == set(SOURCE_KINDS)
    assert {section.kind for section in plan.config.sinks.values()} == set(SINK_KINDS)


def test_what_a_service_lacks_is_told_before_it_starts(tmp_path, capsys):
    for path in (EXAMPLES / "ztf-gcn.toml", EXAMPLES / "own_substream.py"):
        shutil.copy(path, tmp_path)
    assert main(["run", str(tmp_path / "ztf-gcn.toml"), "--set", "service.http_port=0"]) == 2
    assert re.search(r"(sources\.gcn|sinks\.telescope): .*secret", capsys.readouterr().err)


def test_the_service_runs_on_a_laptop(tmp_path):
    config = Path(shutil.copy(EXAMPLES / "laptop.toml", tmp_path))
    quickly = "sources.nights.messages_per_s=10000", "sources.nights.nights=3"
    with running(config, "service.http_port=0", *quickly, measured=False) as service:
        service.until_all_is_played()
        status = service.get("/status")[1]
        assert service.stop() == 0
    assert status["substreams"] == ["all", "promising"]
    assert status["alerts"] > 100
    assert status["coincidences"]["proposed"] > 10
    lines = [json.loads(line) for path in tmp_path.glob("laptop-*.jsonl") for line in path.read_text().splitlines()]
    assert {name for line in lines for name in line["substreams"]} == {"all", "promising"}
    assert (tmp_path / "laptop-store").is_dir()


def test_the_example_of_an_own_substream():
    plan = Plan.of(Config.model_validate({"substreams": {"own": {"python": "own_substream.py:wanted"}}}), EXAMPLES)
    (substream,) = plan.substreams
    assert substream.admits(changed(object={"dec_deg": 20.0}))
    assert not substream.admits(changed(object={"dec_deg": -40.0}))
    assert substream.admits(changed(object={"dec_deg": -40.0}, trigger={"messenger": "gravitational-wave"}))
