"""The simulator against the engine, at a rate."""

import json

import pytest

from broker import commands
from tests.e2e.conftest import run


@pytest.mark.parametrize(("settings", "searched"), [((), True), (("--set", "triggers.include_tests=false"), False)])
def test_a_load_test_searches_the_simulated_triggers_although_they_call_themselves_tests(
    monkeypatch, settings, searched
):
    given = []

    async def watched(config, *arguments, **options):
        given.append(config)
        return await load_test(config, *arguments, **options)

    load_test = commands.load_test
    monkeypatch.setattr(commands, "load_test", watched)
    ran = run("simulate", "--rate", "0", "--seconds", "0.3", "--json", *settings)
    assert ran.code == 0, ran.err
    report = json.loads(ran.out)
    assert report["rejected"] == 0
    assert report["alerts"] > 0, "its time begins when the simulation is ready"
    assert report["batch_s_99"] >= report["batch_s_median"] > 0
    assert given[0].triggers.include_tests is searched


def test_a_rate_is_kept_and_shown_as_a_table():
    ran = run("simulate", "--rate", "250", "--seconds", "1")
    assert (ran.code, ran.err) == (0, "")
    shown = dict(line.rsplit(maxsplit=1) for line in ran.out.splitlines() if len(line.split()) > 1)
    assert 0 < int(shown[" alerts"]) <= 300
    assert 0 < float(shown[" alerts per s"]) <= 300
