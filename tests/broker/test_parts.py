"""The kinds of sources and sinks: each can be made of its options, and a wrong option is told with its key."""

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from broker.clocks import WallClock
from broker.config import load_config
from broker.metrics import Metrics
from broker.observers import Observers
from broker.parts import SINK_KINDS, SOURCE_KINDS, Surroundings, options_class, sink_options, source_options
from broker.plan import Plan
from schemas.errors import ConfigurationError
from schemas.voevent_out import VoeventAuthor
from tests.children import unmeasured
from tests.conftest import PROJECT

KEY = "whsec_" + "A" * 32
SOURCES = {
    "kafka-survey": "bootstrap_servers = ['localhost:9092']\ntopics = ['ztf']",
    "gcn": "client_id = 'x'\nclient_secret = {file = 'key'}",
    "vtp-subscriber": "remotes = ['voevent.example.org']",
    "vtp-receiver": "",
    "folder": "path = 'dropped'",
    "replay": "paths = ['night']",
    "simulator": "",
}
SINKS = {
    "kafka-avro": "bootstrap_servers = ['localhost:9092']",
    "kafka-voevent": "bootstrap_servers = ['localhost:9092']",
    "vtp": "",
    "webhook": "url = 'https://example.org/hook'\nsecret = {file = 'key'}",
    "json-lines": "",
}
ALONE = [kind for kind, of_kind in SOURCE_KINDS.items() if of_kind.with_reactor]
"""They bring Twisted's reactor, which lasts as long as the process: they are made in one of their own."""
EVERY = [*(("sources", kind) for kind in SOURCE_KINDS), *(("sinks", kind) for kind in SINK_KINDS)]


def config_of(folder: Path, text: str):
    path = folder / "x.toml"
    path.write_text(text)
    return load_config(path)


def surroundings(folder: Path) -> Surroundings:
    (folder / "key").write_text(KEY)
    return Surroundings(folder, VoeventAuthor(), "a test", WallClock(), Observers(Metrics()))


def minimal(part: str, kind: str) -> str:
    return f"[{part}.x]\nkind = '{kind}'\n{(SOURCES if part == 'sources' else SINKS)[kind]}\n"


def test_the_minimal_options_of_every_kind_are_tested():
    assert (SOURCES.keys(), SINKS.keys()) == (SOURCE_KINDS.keys(), SINK_KINDS.keys())


@pytest.mark.parametrize(("part", "kind"), [(part, kind) for part, kind in EVERY if kind not in ALONE])
def test_every_kind_can_be_made_of_its_minimal_options(part, kind, tmp_path):
    plan = Plan.of(config_of(tmp_path, minimal(part, kind)), tmp_path)
    around = surroundings(tmp_path)
    if part == "sources":
        assert inspect.iscoroutinefunction(plan.made(around)["x"].run)
        made = SOURCE_KINDS[kind].make("x", plan.sources["x"], around)
    else:
        assert plan.made(around) == {}
        made = SINK_KINDS[kind].make("x", plan.sinks["x"], around)
        assert inspect.iscoroutinefunction(made.send)
    assert inspect.iscoroutinefunction(made.check)


@pytest.mark.parametrize("kind", ALONE)
def test_those_with_a_reactor_can_be_made_too(kind, tmp_path):
    (tmp_path / "x.toml").write_text(minimal("sources", kind))
    program = f"""
import inspect, pathlib
from broker.config import load_config
from broker.plan import Plan
from tests.broker.test_parts import surroundings
folder = pathlib.Path({str(tmp_path)!r})
made = Plan.of(load_config(folder / "x.toml"), folder).made(surroundings(folder))["x"]
assert inspect.iscoroutinefunction(made.run) and inspect.iscoroutinefunction(made.check)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], check=False, cwd=PROJECT, env=unmeasured(), capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(("part", "kind"), EVERY)
def test_every_option_is_described(part, kind):
    of_kind = (SOURCE_KINDS if part == "sources" else SINK_KINDS)[kind]
    assert of_kind.summary
    for name, field in options_class(of_kind).model_fields.items():
        assert field.description or field.annotation.__name__ == "AccessList", name


@pytest.mark.parametrize(("part", "kind"), EVERY)
def test_a_wrong_option_is_told_with_its_key(part, kind, tmp_path):
    config = config_of(tmp_path, minimal(part, kind) + "colour = 'red'\n")
    checked = source_options if part == "sources" else sink_options
    with pytest.raises(ConfigurationError, match=rf"{part}\.x\.colour: unknown key"):
        checked(config)


@pytest.mark.parametrize(("part", "kinds"), [("sources", SOURCE_KINDS), ("sinks", SINK_KINDS)])
def test_an_unknown_kind_is_told_with_those_that_there_are(part, kinds, tmp_path):
    config = config_of(tmp_path, f"[{part}.x]\nkind = 'pigeon'\n")
    with pytest.raises(ConfigurationError, match=rf"{part}\.x\.kind: there is no kind 'pigeon'") as error:
        Plan.of(config, tmp_path)
    assert all(kind in str(error.value) for kind in kinds)


def test_parts_that_are_switched_off_are_not_checked(tmp_path):
    config = config_of(
        tmp_path, "[sources.x]\nkind = 'pigeon'\nenabled = false\n[sinks.y]\nkind = 'p'\nenabled = false"
    )
    plan = Plan.of(config, tmp_path)
    assert (plan.sources, plan.sinks, plan.with_reactor) == ({}, {}, False)


def test_a_substream_that_there_is_not_is_told(tmp_path):
    config = config_of(tmp_path, "[sinks.x]\nkind = 'json-lines'\nsubstreams = ['al']\n")
    with pytest.raises(ConfigurationError, match=r"sinks\.x\.substreams: there is no substream al; there are all"):
        Plan.of(config, tmp_path)


@pytest.mark.parametrize(("part", "kind"), [("sources", "gcn"), ("sinks", "webhook")])
def test_a_part_that_cannot_be_made_is_named(part, kind, tmp_path):
    plan = Plan.of(config_of(tmp_path, minimal(part, kind)), tmp_path)
    around = surroundings(tmp_path)
    (tmp_path / "key").unlink()
    with pytest.raises(ConfigurationError, match=rf"{part}\.x: .*secret cannot be read"):
        plan.made(around)


def test_what_another_plan_has_alike_is_not_made_again(tmp_path):
    text = "".join(minimal("sources", kind).replace(".x]", f".{kind}]") for kind in ("folder", "simulator"))
    before = Plan.of(config_of(tmp_path, text), tmp_path)
    after = Plan.of(config_of(tmp_path, text.replace("dropped", "other") + minimal("sinks", "json-lines")), tmp_path)
    assert after.made(surroundings(tmp_path), before).keys() == {"folder"}
    assert after.made(surroundings(tmp_path)).keys() == {"folder", "simulator"}


def test_only_what_needs_the_reactor_asks_for_it(tmp_path):
    for kind, of_kind in SOURCE_KINDS.items():
        assert Plan.of(config_of(tmp_path, minimal("sources", kind)), tmp_path).with_reactor == of_kind.with_reactor
        assert of_kind.with_reactor == kind.startswith("vtp")


def test_sinks_get_the_substreams_that_they_name_and_notices_if_they_relay(tmp_path):
    text = (
        "[substreams.a]\n[substreams.b]\n[sinks.every]\nkind = 'json-lines'\n"
        "[sinks.one]\nkind = 'vtp'\nsubstreams = ['b']\nrelay_notices = true\n"
    )
    audience = Plan.of(config_of(tmp_path, text), tmp_path).audience()
    assert audience.substreams == {"every": {"a", "b"}, "one": {"b"}}
    assert audience.relays == ("one",)


def test_options_lie_where_the_kinds_say():
    for kind in (*SOURCE_KINDS.values(), *SINK_KINDS.values()):
        module, _, name = kind.options.partition(":")
        assert options_class(kind) is getattr(import_module(module), name)
