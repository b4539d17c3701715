"""What the documentation says is true: keys, options, fields, counts, reasons, commands and snippets."""

import argparse
import ast
import asyncio
import base64
import contextlib
import io
import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from lxml import etree
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python
from rich.console import Console

from bridges import archives, webhook
from bridges.catalogue_options import Columns, ServiceOptions
from bridges.kafka_options import KafkaOptions, OauthOptions
from bridges.kafka_sink import KafkaAvroOptions, KafkaAvroSink, KafkaVoeventOptions
from bridges.kafka_writer import KafkaWriterOptions
from bridges.map_fetcher import MapFetchOptions
from bridges.options import Secret
from bridges.simulator import NightPlan, simulate
from bridges.vtp.options import AccessList, TlsOptions
from bridges.vtp_in.options import HandoverOptions, Remote
from bridges.webhook import WebhookOptions, WebhookSink
from broker import inputs
from broker.__main__ import STORE_ACTIONS, build_parser, main
from broker.catalogues import CATALOGUE_KINDS, catalogue_options_class
from broker.clocks import WallClock
from broker.config import (
    CatalogueSection,
    Config,
    LsstSection,
    MatcherSection,
    ReplaySection,
    ServiceSection,
    SinkSection,
    SourceSection,
    TriggersSection,
    VoeventSection,
)
from broker.metrics import METRICS
from broker.outgoing import REFUSALS
from broker.parts import SINK_KINDS, SOURCE_KINDS, options_class
from broker.plan import Plan
from broker.status import LONGEST_OUTBOX_AGE_S, LONGEST_SILENCE_S
from broker.store.options import StoreOptions
from broker.substreams import SubstreamOptions
from broker.tables import coincidence_table, found_against_injected_table
from broker.web.options import HttpOptions
from matchers import case, cases
from matchers.cuts import REASONS, Cuts
from matchers.ledger import Cause
from matchers.linking import LinkOptions
from matchers.options import BUILTIN
from matchers.revisions import Difference, RevisionOptions
from matchers.selection import Selection, fields_of_conditions
from matchers.visibility import CounterpartOptions
from schemas import bounded, bounded_json, classic_fermi, classic_gamma, classic_other, classic_swift, moc, reading, xml
from schemas.bounded_json import JsonLimits
from schemas.coincidence import from_json
from schemas.coincidence_documents import (
    AnnotationDocument,
    CoincidenceDocument,
    EvidenceDocument,
    LinkDocument,
    MeasurementDocument,
    RateDocument,
    StatisticsDocument,
    json_schema,
)
from schemas.errors import Reason
from schemas.gcn_topics import TOPICS
from schemas.notice_types import NoticeType
from schemas.records import Publication
from schemas.skymap import MapLimits
from schemas.streams import STREAMS
from schemas.survey import SURVEYS
from schemas.voevent_out import VoeventAuthor, voevent_bytes
from schemas.writer_schema import AvroLimits
from tests.coincidences import COINCIDENCE, changed
from tests.pages import PAGES, PROJECT, code, fenced, first_cells, tables, text_of

SHARED: dict[str, type[BaseModel]] = {
    "A Kafka cluster": KafkaOptions,
    "Writing to Kafka": KafkaWriterOptions,
    "VOEvents that come in": HandoverOptions,
    "A service": ServiceOptions,
}
"""Options of several kinds of parts, documented once."""
TABLES: dict[str, type[BaseModel]] = {
    "`[cuts]`": Cuts,
    "`[triggers]`": TriggersSection,
    "`[links]`": LinkOptions,
    "`[counterparts]`": CounterpartOptions,
    "`[revisions]`": RevisionOptions,
    "`[lsst]`": LsstSection,
    "`[voevent]`": VoeventSection,
    "`[replay]`": ReplaySection,
    "`[store]`": StoreOptions,
    "`[maps]`": MapFetchOptions,
    "`[service]`": ServiceSection,
    "`[http]`": HttpOptions,
}
KINDS: dict[str, type[BaseModel]] = {
    **{f"Kind `{name}`": kind.options for name, kind in BUILTIN.items()},
    **{f"Source `{name}`": options_class(kind) for name, kind in SOURCE_KINDS.items()},
    **{f"Sink `{name}`": options_class(kind) for name, kind in SINK_KINDS.items()},
    **{f"Catalogue `{name}`": catalogue_options_class(kind) for name, kind in CATALOGUE_KINDS.items()},
}
SECTIONS: dict[str, type[BaseModel]] = {
    **TABLES,
    "`[matchers.NAME]`": MatcherSection,
    "`[sources.NAME]`": SourceSection,
    "`[sinks.NAME]`": SinkSection,
    "`[catalogues.NAME]`": CatalogueSection,
    "Columns of a catalogue": Columns,
    "`[substreams.NAME]`": SubstreamOptions,
    **KINDS,
    **SHARED,
    "OAuth tokens": OauthOptions,
    "Remote brokers": Remote,
    "Access lists": AccessList,
    "TLS": TlsOptions,
    "Secrets": Secret,
}
REQUIRED = "required"


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> Path:
    """A folder with the results of a small simulated week, one bad notice in it, as ``starcross-demo``."""
    folder = tmp_path_factory.mktemp("docs")
    out = folder / "starcross-demo"
    simulate(3, NightPlan().scaled(0.03)).write(out / "nights")
    (out / "nights/notices/bad.xml").write_bytes(b"<VOEvent")
    paths = ["--alerts", out / "nights/alerts", "--notices", out / "nights/notices"]
    with contextlib.redirect_stdout(io.StringIO()):
        arguments = ["replay", "--set", "triggers.include_tests=true", *paths, "--out", out, "--plot"]
        assert main([str(argument) for argument in arguments]) == 0
    return folder


# --- configuration ---------------------------------------------------------------------------------------------------


def value_of(cell: str) -> Any:
    """The default that a table states: a TOML value, or a word: "required", or another for what is not set."""
    return tomllib.loads(f"value = {code(cell)[0]}")["value"] if code(cell) else cell if cell == REQUIRED else None


def default_of(field: FieldInfo) -> Any:
    """The default of an option, as TOML has it."""
    if field.is_required():
        return REQUIRED
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):  # a table of its own
        assert value == type(value)()
        return None
    return to_jsonable_python(value)


def own_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a model that no other table documents."""
    shared = [other for other in SHARED.values() if issubclass(model, other) and model is not other]
    elsewhere = {name for other in shared for name in other.model_fields}
    return {name: field for name, field in model.model_fields.items() if name not in elsewhere}


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_keys_of_a_section_are_all_documented_with_their_defaults(heading):
    rows = tables("docs/configuration.md")[heading]
    documented = {code(row[0])[0]: value_of(row[2]) for row in rows}
    assert documented == {name: default_of(field) for name, field in own_fields(SECTIONS[heading]).items()}
    assert len(documented) == len(rows)
    assert all(len(row) == 4 and row[3] for row in rows)


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_word_that_a_key_can_have_is_documented(heading):
    meanings = {code(row[0])[0]: row[2] + row[3] for row in tables("docs/configuration.md")[heading]}
    for name, field in own_fields(SECTIONS[heading]).items():
        words = literals(field.annotation)
        named = {word.strip('"') for word in code(meanings[name])}
        assert [word for word in words if word not in named] == [], f"{heading}, {name}"


def literals(annotation: Any) -> list[str]:
    """The words that an annotation lists."""
    if get_origin(annotation) is Literal:
        return [word for word in get_args(annotation) if isinstance(word, str)]
    return [word for part in get_args(annotation) for word in literals(part)]


def test_the_shared_keys_are_linked_from_the_kinds_that_have_them():
    sections = re.split(r"^#+ ", text_of("docs/configuration.md"), flags=re.MULTILINE)
    prose_of = {section.partition("\n")[0]: section for section in sections}
    for heading, model in KINDS.items():
        for shared, options in SHARED.items():
            anchor = shared.lower().replace(" ", "-")
            assert (f"(#{anchor})" in prose_of[heading]) == issubclass(model, options), (heading, shared)


def test_every_section_is_documented():
    headings = set(re.findall(r"^#+ (.+)$", text_of("docs/configuration.md"), re.MULTILINE))
    sections = {found[1] for heading in headings if (found := re.search(r"`\[(\w+)", heading))}
    assert sections == set(Config.model_fields)
    assert set(tables("docs/configuration.md")) == set(SECTIONS) | {"Fields of a condition"}
    assert set(SECTIONS) <= headings


def test_every_field_of_a_condition_is_documented():
    rows = tables("docs/configuration.md")["Fields of a condition"]
    documented = [name for row in rows for name in code(row[1])]
    assert len(documented) == len(set(documented))
    assert set(documented) == set(fields_of_conditions())


def test_the_conditions_that_are_shown_can_be_read():
    (block,) = (one for one in fenced(text_of("docs/configuration.md"), "text") if "trigger." in one)
    for line in block.splitlines():
        assert Selection.of(line)


def shipped() -> dict[str, Any]:
    """The shipped configuration with all that is commented out there."""
    text = re.sub(r"^# ?(?=\[|\w+ = )", "", text_of("config/starcross.toml"), flags=re.MULTILINE)
    return tomllib.loads(text)


def test_the_shipped_configuration_holds_every_key():
    matchers = shipped()["matchers"]
    assert set(matchers) == set(BUILTIN)
    for name, keys in matchers.items():
        assert set(keys) - {"kind", "enabled"} <= set(BUILTIN[name].options.model_fields)
        own = set(BUILTIN[name].options.model_fields) - {"missions"}
        assert own <= set(keys), f"matchers.{name} of config/starcross.toml lacks a key"
    everything = {key for keys in matchers.values() for key in keys}
    assert everything | {"python"} == set(MatcherSection.model_fields).union(
        *(kind.options.model_fields for kind in BUILTIN.values())
    )
    assert "`python = " in text_of("config/starcross.toml")
    tables_of = {heading.strip("`[]"): set(model.model_fields) for heading, model in TABLES.items()}
    assert {name: set(keys) for name, keys in shipped().items() if name in tables_of} == tables_of
    assert set(shipped()) == set(Config.model_fields)
    cuts = shipped()["survey_cuts"]
    assert cuts
    assert all(set(keys) <= set(Cuts.model_fields) for keys in cuts.values())


@pytest.mark.parametrize(
    ("what", "kinds", "model"),
    [
        ("sources", SOURCE_KINDS, SourceSection),
        ("sinks", SINK_KINDS, SinkSection),
        ("catalogues", CATALOGUE_KINDS, CatalogueSection),
    ],
)
def test_the_shipped_configuration_shows_every_kind(what, kinds, model):
    sections = shipped()[what]
    assert sorted(section["kind"] for section in sections.values()) == sorted(kinds)
    assert set(model.model_fields) <= {key for section in sections.values() for key in section}


def test_the_shipped_configuration_shows_every_key_of_substreams():
    named = {key for section in shipped()["substreams"].values() for key in section}
    assert named == set(SubstreamOptions.model_fields)


def test_the_defaults_that_the_shipped_configuration_shows_are_the_defaults():
    for heading, model in TABLES.items():
        shown = shipped()[heading.strip("`[]")]
        defaults = {name: default_of(field) for name, field in model.model_fields.items()}
        unset = {name for name, default in defaults.items() if default is None}  # an example is shown
        assert {name: value for name, value in shown.items() if name not in unset} == {
            name: default for name, default in defaults.items() if default is not None
        }


def test_the_surveys_and_the_cuts_are_named():
    sentence = re.search(r"differ for one survey: (.*?)\.", text_of("docs/configuration.md"))
    assert sentence
    assert code(sentence[1]) == [survey.name for survey in SURVEYS]
    assert first_cells("docs/inputs.md", "Survey packets") == [survey.name for survey in SURVEYS]


# --- commands --------------------------------------------------------------------------------------------------------


def commands() -> dict[str, argparse.ArgumentParser]:
    (actions,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(actions.choices)


def test_every_command_is_documented():
    headings = re.findall(r"^## `starcross (\w+)`$", text_of("docs/commands.md"), re.MULTILINE)
    assert headings == list(commands())
    for name in commands():
        assert re.search(rf"^starcross {name}\b", text_of("README.md"), re.MULTILINE)


@pytest.mark.parametrize("name", commands())
def test_the_options_of_a_command_are_all_documented(name):
    documented = {cell.split()[0] for cell in first_cells("docs/commands.md", f"`starcross {name}`")}
    options = {
        max(action.option_strings, key=len, default=action.metavar or action.dest.upper())
        for action in commands()[name]._actions
        if not {"--help", "--verbose"} & set(action.option_strings)
    }
    assert documented == options
    assert "`--help`" in text_of("docs/commands.md")
    assert "`--verbose`" in text_of("docs/commands.md")


def test_the_exit_codes_are_those_of_the_help():
    documented = {row[0] for row in tables("docs/commands.md")["Commands"]}
    assert documented == set(re.findall(r"^ +(\d+) ", build_parser().epilog or "", re.MULTILINE))


def test_every_action_on_a_store_is_documented():
    assert first_cells("docs/commands.md", "What can be done with a store") == list(STORE_ACTIONS)


def shell_lines() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in (*fenced(page.read_text(encoding="utf-8"), "sh"), *fenced(page.read_text(), "console")):
            for line in block.splitlines():
                yield page.name, line.removeprefix("$ ")


@pytest.mark.parametrize(("page", "line"), [one for one in shell_lines() if one[1].startswith("starcross")])
def test_every_command_line_is_right(page, line):
    words = shlex.split(line, comments=True)
    words = words[: words.index(">")] if ">" in words else words
    arguments = build_parser().parse_args(words[1:])
    configuration = getattr(arguments, "config", None)
    if configuration and configuration.parts[0] == "config":
        assert (PROJECT / configuration).is_file(), f"{page}: {configuration}"


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^(\w+):", text_of("Makefile"), re.MULTILINE))
    named = {line.split()[1] for _, line in shell_lines() if line.startswith("make ")}
    named |= {word for page in PAGES for word in re.findall(r"`make (\w+)`", page.read_text(encoding="utf-8"))}
    assert {"demo", "test"} <= named <= targets


# --- outputs ---------------------------------------------------------------------------------------------------------


EXPLAINED_BELOW = {"evidence", "statistics"}
"""Records whose fields have a table of their own."""


def schema_fields(schema: dict[str, Any], node: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, field in node["properties"].items():
        if "$ref" in field and name not in EXPLAINED_BELOW:
            yield from schema_fields(schema, schema["$defs"][field["$ref"].rsplit("/", 1)[1]], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def test_every_field_of_a_coincidence_is_documented():
    schema = json_schema()
    assert first_cells("docs/outputs.md", "A coincidence") == list(schema_fields(schema, schema))
    meanings = {code(row[0])[0]: row[2] for row in tables("docs/outputs.md")["A coincidence"]}
    for name, of_one in (("object.light_curve", MeasurementDocument), ("trigger.linked", LinkDocument)):
        assert [field for field in of_one.model_fields if f"`{field}`" not in meanings[name]] == []
    assert first_cells("docs/outputs.md", "Annotations") == list(AnnotationDocument.model_fields)


def told_of(document: type[BaseModel], prefix: str = "", names: tuple[str, ...] = ()) -> Iterator[str]:
    """A line of the table of statistics for each field, or each of these."""
    for name, field in document.model_fields.items():
        if name in names or (not names and name != "rates"):
            extra: Any = field.json_schema_extra or {}
            cells = (f"`{prefix}{name}`", extra.get("unit", ""), field.description, extra.get("source", ""))
            yield f"| {' | '.join(cells)} |"


def test_every_statistic_is_documented_with_unit_sentence_and_source():
    own = ("delta_t_s", "separation_deg", "credible_level", "probability_density_per_sr", "overlap", "area_90_deg2")
    lines = [
        *told_of(CoincidenceDocument, names=own),
        *told_of(LinkDocument, "trigger.linked[].", ("delta_t_s", "overlap", "far_per_year")),
        *told_of(RateDocument, "evidence.rates[]."),
        *told_of(EvidenceDocument, "evidence."),
        *told_of(StatisticsDocument, "statistics."),
    ]
    section = text_of("docs/outputs.md").partition("### What a coincidence is worth")[2].partition("\n### ")[0]
    documented = [line for line in section.splitlines() if line.startswith("| `")]
    assert documented == lines, "the table is to be:\n" + "\n".join(lines)


def test_every_topic_in_kafka_is_documented():
    avro, voevent = KafkaAvroOptions.model_fields, KafkaVoeventOptions.model_fields
    rows = tables("docs/outputs.md")["What the service sends"]
    topics = {code(row[0])[0]: code(row[1]) for row in rows if len(row) == 4}
    assert topics == {
        avro["topic"].default: ["kafka-avro"],
        voevent["topic"].default: ["kafka-voevent"],
        voevent["notices_topic"].default: ["kafka-voevent"],
    }


def test_every_reason_is_documented():
    assert first_cells("docs/outputs.md", "Rejected inputs") == [str(reason) for reason in Reason]
    assert first_cells("docs/outputs.md", "Reasons for a revision") == [str(cause) for cause in Cause]
    assert first_cells("docs/outputs.md", "What changed") == [str(difference) for difference in Difference]


def test_every_file_is_documented(found):
    out = found / "starcross-demo"
    written = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    written = {name for name in written if not name.startswith("nights/")}
    patterns = [
        re.escape(name).replace("<id>", r"[\w-]+").replace("<revision>", r"\d+")
        for name in first_cells("docs/outputs.md", "Outputs")
    ]
    assert {name for name in written if not any(re.fullmatch(pattern, name) for pattern in patterns)} == set()
    assert [pattern for pattern in patterns if not any(re.fullmatch(pattern, name) for name in written)] == []
    assert {path.name for path in (out / "nights").iterdir()} == {"alerts", "notices", "truth.json"}


def flat(counts: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in counts.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def test_every_count_of_the_summary_is_documented(found):
    written = set(flat(json.loads((found / "starcross-demo/summary.json").read_text())))
    documented = first_cells("docs/outputs.md", "Counts")
    exact = {name for name in documented if "<" not in name} & written
    families = {name: re.compile(re.sub(r"<\w+>", r"[^.]+", re.escape(name))) for name in documented if "<" in name}
    assert {name for name in written - exact if not any(f.fullmatch(name) for f in families.values())} == set()
    assert [n for n, f in families.items() if not any(f.fullmatch(name) for name in written - exact)] == []
    assert {name for name in documented if "<" not in name} == exact
    (cut_row,) = (row for row in tables("docs/outputs.md")["Counts"] if "<cut>" in row[0])
    assert tuple(code(cut_row[1])) == REASONS


def test_alerts_that_were_read_are_cut_or_indexed_or_duplicates(found):
    counts = json.loads((found / "starcross-demo/summary.json").read_text())["alerts"]["ztf"]
    assert counts["read"] == counts["duplicates"] + sum(counts["cut"].values()) + counts["indexed"]


def test_a_rejected_input_is_told_as_documented(found):
    (line,) = (found / "starcross-demo/rejected.jsonl").read_text().splitlines()
    rejection = json.loads(line)
    assert set(rejection) == {"origin", "reason", "detail"}
    assert all(f"`{key}`" in text_of("docs/outputs.md") for key in rejection)
    assert rejection["reason"] in first_cells("docs/outputs.md", "Rejected inputs")


def test_every_verdict_on_a_pair_is_documented(found, capsys):
    documented = first_cells("docs/tutorial.md", "Why did something not match?")
    prefixes = tuple(verdict.removesuffix("...") for verdict in documented)
    nights = found / "starcross-demo/nights"
    notices = sorted(str(path) for path in (nights / "notices").iterdir())[:20]
    archives_of_alerts = sorted(str(path) for path in (nights / "alerts").iterdir())
    for include_tests in ("true", "false"):
        main(["inspect", "--json", "--set", f"triggers.include_tests={include_tests}", *notices, *archives_of_alerts])
        pairs = json.loads(capsys.readouterr().out.splitlines()[-1])["pairs"]
        against = {verdict for pair in pairs for verdict in pair["against"]}
        assert against
        assert [verdict for verdict in against if not verdict.startswith(prefixes)] == []


# --- inputs ----------------------------------------------------------------------------------------------------------


def test_every_namespace_of_triggers_is_documented():
    kinds: list[Any] = [*STREAMS.values(), *TOPICS.values()]
    for module in (classic_fermi, classic_gamma, classic_other, classic_swift):
        for table in vars(module).values():
            if isinstance(table, dict):
                kinds += [kind for kind in table.values() if isinstance(kind, NoticeType)]
    assert set(first_cells("docs/inputs.md", "Notices")) == {kind.namespace for kind in kinds} - {""}


def test_the_limits_are_those_of_the_code():
    avro, json_limits, maps, mib = AvroLimits(), JsonLimits(), MapLimits(), 1 << 20
    limits = {row[0]: row[1] for row in tables("docs/inputs.md")["Limits"]}
    expected = {
        "a file or archive member": [f"{ReplaySection().message_mib} MiB"],
        "what an archive unpacks to": [
            f"{bounded.MAX_RATIO} times",
            f"{archives.ALWAYS_ALLOWED // mib} MiB is always",
        ],
        "what stands between two members of an archive": [f"{archives.HEADER_BYTES // mib} MiB"],
        "what a gzipped message unpacks to": [
            f"{reading.MESSAGE_BYTES // mib} MiB",
            f"{bounded.MAX_RATIO} times",
            f"{bounded.ALWAYS_ALLOWED // mib} MiB is always",
        ],
        "an XML document": [f"{xml.MAX_BYTES // mib} MiB", f"{xml.MAX_DEPTH} levels"],
        "a JSON text": [
            f"{json_limits.bytes // mib} MiB",
            f"{json_limits.depth} levels",
            f"{json_limits.values:,} values",
        ],
        "an Avro message": [f"{avro.body_bytes // mib} MiB", f"{avro.records:,} records"],
        "an Avro block after decompression": [f"{avro.block_bytes // mib} MiB"],
        "an Avro schema": [
            f"{avro.schema_bytes // mib} MiB",
            f"{avro.schema_depth} levels",
            f"{avro.schema_nodes:,} types",
        ],
        "a sky map, unpacked": [f"{maps.unpacked_bytes // mib} MiB", f"{maps.cells:,} cells"],
        "a MOC in JSON": [f"{moc._MOST_JSON_BYTES // mib} MiB"],
        "the notices of a trigger that are remembered": [f"the {case.MAX_NOTICES} that are last"],
        "ids of a trigger; aliases, citations and related triggers of a notice": [str(cases.MAX_IDS)],
        "notices that wait for what they cite": [f"{cases.MAX_WAITING:,}"],
    }
    assert cases.MAX_IDS == cases.MAX_REFERENCES
    assert set(limits) == set(expected)
    for what, parts in expected.items():
        assert [part for part in parts if part not in limits[what]] == [], what
    assert json_limits == bounded_json.DEFAULT_LIMITS
    batches = f"at most {inputs.BATCH_MESSAGES} messages, which end once they hold {inputs.BATCH_BYTES // mib} MiB"
    assert batches in " ".join(text_of("docs/inputs.md").split())


# --- snippets --------------------------------------------------------------------------------------------------------

SNIPPETS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(fenced(page.read_text(encoding="utf-8"), "python"))
]


@pytest.mark.parametrize("block", SNIPPETS)
def test_python_snippets_run(block, found, monkeypatch, capsys):
    monkeypatch.chdir(found)
    exec(compile(block, "snippet", "exec"), {"__name__": "snippet"})  # noqa: S102 - our own documentation
    assert capsys.readouterr().out.strip() or re.search(r"^(class|def) ", block, re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "says", "file"),
    [("tutorial.md", "class BrightAfterglows", "own_matcher.py"), ("live.md", "def wanted", "own_substream.py")],
)
def test_the_examples_of_own_parts_are_the_files(page, says, file):
    def bare(source: str) -> str:
        tree = ast.parse(source)
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
                body.pop(0)
        return ast.dump(tree)

    (snippet,) = (block for block in fenced(text_of(f"docs/{page}"), "python") if says in block)
    assert bare(snippet) == bare(text_of(f"config/examples/{file}"))


# --- the live service -------------------------------------------------------------------------------------------------


def test_how_long_things_are_kept_is_what_the_store_does():
    for row in tables("docs/live.md")["The store"]:
        names = code(row[2]) if len(row) == 3 else []
        said = [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", row[1])]
        assert said[: len(names)] == [default_of(StoreOptions.model_fields[name]) for name in names], row


def test_what_is_refused_is_set_aside_as_documented():
    text = " ".join(text_of("docs/outputs.md").split())
    listed = re.search(r"find fault with the request \(([\d, to]+)\) are tried (\w+) times", text)
    assert listed
    ends = [[int(end) for end in part.split(" to ")] for part in listed[1].split(", ")]
    assert {status for end in ends for status in range(end[0], end[-1] + 1)} == webhook._OF_THE_PUBLICATION
    assert listed[2] == ["none", "one", "two", "three", "four", "five"][REFUSALS]


def test_what_makes_the_service_unready_is_documented():
    text = " ".join(text_of("docs/live.md").split())
    assert LONGEST_SILENCE_S == 120
    assert "in `/readyz` after two minutes" in text
    assert LONGEST_OUTBOX_AGE_S == 3600
    assert "After an hour `/readyz` says so" in text
    assert MapFetchOptions().patience_s == 2 * 86_400
    assert "it is tried for two days" in text


# --- for those who receive --------------------------------------------------------------------------------------------


def defined(name: str) -> Callable[..., Any]:
    """A function that docs/live.md defines."""
    (block,) = (one for one in fenced(text_of("docs/live.md"), "python") if f"def {name}(" in one)
    names: dict[str, Any] = {}
    exec(compile(block, "docs/live.md", "exec"), names)  # noqa: S102 - our own documentation
    return names[name]


async def test_the_reader_of_a_substream_reads_what_is_sent(kafka):
    coincidences = defined("coincidences")
    topic = await kafka.create_topic("starcross.bright-bursts")
    sent = [changed(id=f"grb-{number}", revision=1) for number in range(3)]
    async with KafkaAvroSink(KafkaAvroOptions(bootstrap_servers=(kafka.bootstrap,), topic=topic), Path()) as sink:
        await sink.send([Publication(one, ("bright-bursts",)) for one in sent])

    def read() -> list[dict[str, Any]]:
        with contextlib.closing(coincidences(kafka.bootstrap, topic, topic)) as reading:
            return [next(reading) for _ in sent]

    received = await asyncio.to_thread(read)
    assert [one["id"] for one in received] == [one.id for one in sent]
    assert received[0]["object"]["object_id"] == sent[0].object.object_id
    (shown,) = (block for block in fenced(text_of("docs/live.md"), "text") if "for one in coincidences" in block)
    for name in re.findall(r"one\[([\w\"\]\[]+)\]", shown):
        value = received[0]
        for key in name.replace('"', "").split("]["):
            value = value[key]


async def test_the_receiver_of_a_webhook_knows_what_is_genuine(tmp_path):
    is_genuine = defined("is_genuine")
    secret, told = f"whsec_{base64.b64encode(bytes(range(32))).decode()}", []
    (tmp_path / "secret").write_text(secret)

    async def receive(request: web.Request) -> web.Response:
        body = await request.read()
        old = {**request.headers, "webhook-timestamp": "1"}
        told.append(
            [
                is_genuine(secret, request.headers, body),
                is_genuine(secret, request.headers, body + b" "),
                is_genuine(secret, old, body),
                is_genuine(f"whsec_{base64.b64encode(bytes(32)).decode()}", request.headers, body),
            ]
        )
        return web.Response()

    app = web.Application()
    app.router.add_post("/", receive)
    async with TestServer(app) as server:
        options = WebhookOptions(url=str(server.make_url("/")), secret=Secret(file=Path("secret")))
        async with WebhookSink(options, tmp_path, clock=WallClock()) as sink:
            await sink.send([Publication(COINCIDENCE, ("all",))])
    assert told == [[True, False, False, False]]


def test_the_filter_that_is_shown_is_one_of_our_packets():
    (line,) = (line for _, line in shell_lines() if line.startswith("twist comet"))
    (text,) = (word.removeprefix("--filter=") for word in shlex.split(line) if word.startswith("--filter="))
    author = VoeventAuthor("org.example", "test")
    kept = [
        bool(etree.fromstring(voevent_bytes(changed(credible_level=level), author)).xpath(text)) for level in (0.2, 0.7)
    ]
    assert kept == [True, False]


def test_the_alerts_for_prometheus_ask_for_metrics_that_there_are():
    (rules,) = fenced(text_of("docs/live.md"), "yaml")
    expressions = re.findall(r"expr: (.*)", rules)
    assert len(expressions) == 3
    assert set(re.findall(r"starcross_\w+", " ".join(expressions))) <= set(METRICS)
    for name in re.findall(r"\$labels\.(\w+)", rules):
        assert any(name in row.labels for row in METRICS.values())


@pytest.mark.parametrize(
    "block", [block for page in PAGES for block in fenced(page.read_text(encoding="utf-8"), "toml")]
)
def test_toml_snippets_are_valid_configurations(block):
    config = Config.model_validate(tomllib.loads(block))
    assert Plan.of(config, PROJECT / "config/examples").matchers
    for survey in config.survey_cuts:
        assert config.cuts_of(survey) != config.cuts


def test_the_tables_that_are_shown_look_like_those_that_are_printed(found):
    first = (found / "starcross-demo/coincidences.jsonl").read_text().splitlines()[0]
    pages = {
        "README.md": (found_against_injected_table([]), 2),
        "docs/tutorial.md": (coincidence_table([from_json(first)]), 0),
    }
    for page, (table, row) in pages.items():
        console = Console(width=80, file=io.StringIO())
        console.print(table)
        heading = console.file.getvalue().splitlines()[2]
        assert fenced(text_of(page), "text")[0].splitlines()[row].split() == heading.split()


def test_the_demo_that_is_shown_is_that_of_the_simulator():
    injected = {(found.object_id, found.trigger_id) for found in simulate(1).injections}
    shown = re.findall(r"\b(SIM\w+) ([\w-]+:\w+)", fenced(text_of("README.md"), "text")[0])
    assert len(shown) > 5
    assert set(shown) <= injected
    story = text_of("docs/tutorial.md")
    assert ("SIM3564aaaad", "fermi-gbm:813201187") in injected
    assert "SIM3564aaaad" in story
    assert "fermi-gbm:813201187" in story
