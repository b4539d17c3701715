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
    ran = run("simulate", "--rate", "0", "--seconds", "1", "--json", *settings)
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["rejected"] == 0
    assert given[0].triggers.include_tests is searched
