"""The kinds of sources and sinks, and what each is made of: to add one is a line here.

Their modules are imported when one is asked for: a service without VTP does not load Twisted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bridges.notice_packets import Before, nothing_before
from bridges.options import Options
from broker.clocks import Clock
from broker.config import Config, problems
from broker.interfaces import Sink, Source
from broker.observers import Observers
from schemas.errors import ConfigurationError
from schemas.voevent_out import VoeventAuthor


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What parts are made with.

    Attributes
    ----------
    folder
        Where relative paths of the configuration start.
    author
        Who publishes VOEvents.
    software
        Name and version.
    clock
        What time it is.
    observers
        Who is told what bridges see.
    before
        Which notices of its trigger came before a notice.
    """

    folder: Path
    author: VoeventAuthor
    software: str
    clock: Clock
    observers: Observers
    before: Before = nothing_before


MakeSource = Callable[[str, Any, Surroundings], Source]
MakeSink = Callable[[str, Any, Surroundings], Sink]


@dataclass(frozen=True, slots=True)
class SourceKind:
    """A kind of source.

    Attributes
    ----------
    options
        ``module:class`` of its options.
    make
        Makes one of its name, its options and the surroundings.
    summary
        What it is, in a line.
    relayed
        Whether its notices are passed on by sinks that relay.
    with_reactor
        Whether it needs Twisted's reactor.
    """

    options: str
    make: MakeSource
    summary: str
    relayed: bool = False
    with_reactor: bool = False


@dataclass(frozen=True, slots=True)
class SinkKind:
    """A kind of sink; see `SourceKind`."""

    options: str
    make: MakeSink
    summary: str


def _kafka_survey(name: str, options: Any, around: Surroundings) -> Source:
    module = import_module("bridges.kafka_survey")
    source: Source = module.KafkaSurveySource(options, around.folder, observe=around.observers.kafka_survey(name))
    return source


def _gcn(name: str, options: Any, around: Surroundings) -> Source:
    module = import_module("bridges.gcn_source")
    source: Source = module.GcnSource(options, around.folder, observe=around.observers.gcn(name))
    return source


def _vtp_subscriber(name: str, options: Any, around: Surroundings) -> Source:
    module = import_module("bridges.vtp_in.subscriber")
    source: Source = module.VtpSubscriberSource(options, around.folder, observe=around.observers.vtp_in(name))
    return source


def _vtp_receiver(name: str, options: Any, around: Surroundings) -> Source:
    module = import_module("bridges.vtp_in.receiver")
    source: Source = module.VtpReceiverSource(options, around.folder, observe=around.observers.vtp_in(name))
    return source


def _drop_folder(name: str, options: Any, around: Surroundings) -> Source:
    module = import_module("bridges.drop_folder")
    source: Source = module.DropFolderSource(options, around.folder, observe=around.observers.folder(name))
    return source


def _replay(_name: str, options: Any, around: Surroundings) -> Source:
    source: Source = import_module("bridges.replay_source").ReplaySource(options, around.folder)
    return source


def _simulator(_name: str, options: Any, _around: Surroundings) -> Source:
    source: Source = options.source()
    return source


def _kafka_avro(_name: str, options: Any, around: Surroundings) -> Sink:
    sink: Sink = import_module("bridges.kafka_sink").KafkaAvroSink(options, around.folder)
    return sink


def _kafka_voevent(_name: str, options: Any, around: Surroundings) -> Sink:
    sink: Sink = import_module("bridges.kafka_sink").KafkaVoeventSink(
        options, around.folder, author=around.author, software=around.software, before=around.before
    )
    return sink


def _vtp(_name: str, options: Any, around: Surroundings) -> Sink:
    sink: Sink = import_module("bridges.vtp.sink").VtpSink(
        options, around.author, around.folder, software=around.software, before=around.before, now_us=around.clock
    )
    return sink


def _webhook(_name: str, options: Any, around: Surroundings) -> Sink:
    sink: Sink = import_module("bridges.webhook").WebhookSink(options, around.folder, clock=around.clock)
    return sink


def _json_lines(_name: str, options: Any, around: Surroundings) -> Sink:
    sink: Sink = import_module("bridges.json_lines").JsonLinesSink(options, around.folder)
    return sink


SOURCE_KINDS: Mapping[str, SourceKind] = {
    "kafka-survey": SourceKind(
        "bridges.kafka_survey_options:KafkaSurveyOptions", _kafka_survey, "a survey's alerts over Kafka"
    ),
    "gcn": SourceKind("bridges.gcn_source:GcnOptions", _gcn, "GCN's notices over Kafka", relayed=True),
    "vtp-subscriber": SourceKind(
        "bridges.vtp_in.options:VtpSubscriberOptions",
        _vtp_subscriber,
        "VOEvents of remote brokers over VTP",
        with_reactor=True,
    ),
    "vtp-receiver": SourceKind(
        "bridges.vtp_in.options:VtpReceiverOptions",
        _vtp_receiver,
        "VOEvents that authors submit over VTP",
        with_reactor=True,
    ),
    "folder": SourceKind("bridges.drop_folder:DropFolderOptions", _drop_folder, "files dropped into a folder"),
    "replay": SourceKind("bridges.replay_source:ReplayOptions", _replay, "files of past nights, played once"),
    "simulator": SourceKind("bridges.simulator.options:SimulatorOptions", _simulator, "simulated nights"),
}
SINK_KINDS: Mapping[str, SinkKind] = {
    "kafka-avro": SinkKind("bridges.kafka_sink:KafkaAvroOptions", _kafka_avro, "Avro over Kafka, a topic a substream"),
    "kafka-voevent": SinkKind("bridges.kafka_sink:KafkaVoeventOptions", _kafka_voevent, "VOEvents over Kafka"),
    "vtp": SinkKind("bridges.vtp.options:BroadcastOptions", _vtp, "VOEvents over VTP, to whoever subscribes"),
    "webhook": SinkKind("bridges.webhook:WebhookOptions", _webhook, "JSON posted to a URL, signed"),
    "json-lines": SinkKind("bridges.json_lines:JsonLinesOptions", _json_lines, "lines of JSON in a file"),
}


def source_options(config: Config) -> dict[str, Options]:
    """The checked options of every enabled source, by name.

    Raises
    ------
    ConfigurationError
        Naming the key, such as ``sources.ztf.topics``.
    """
    return {
        name: _checked(f"sources.{name}", section, SOURCE_KINDS)
        for name, section in sorted(config.sources.items())
        if section.enabled
    }


def sink_options(config: Config) -> dict[str, Options]:
    """The checked options of every enabled sink, by name.

    Raises
    ------
    ConfigurationError
        Naming the key, such as ``sinks.out.topic``, or a substream that there is not.
    """
    for name, section in sorted(config.sinks.items()):
        unknown = sorted(set(section.substreams or ()) - config.substreams.keys())
        if unknown:
            known = ", ".join(sorted(config.substreams))
            raise ConfigurationError(f"sinks.{name}.substreams: there is no substream {unknown[0]}; there are {known}")
    return {
        name: _checked(f"sinks.{name}", section, SINK_KINDS)
        for name, section in sorted(config.sinks.items())
        if section.enabled
    }


def options_class(kind: SourceKind | SinkKind) -> type[Options]:
    """The model of a kind's options."""
    module, _, name = kind.options.partition(":")
    found: type[Options] = getattr(import_module(module), name)
    return found


def _checked(key: str, section: Any, kinds: Mapping[str, SourceKind] | Mapping[str, SinkKind]) -> Options:
    if section.kind not in kinds:
        known = ", ".join(sorted(kinds))
        raise ConfigurationError(f"{key}.kind: there is no kind {section.kind!r}; there are {known}")
    given: BaseModel = section
    try:
        return options_class(kinds[section.kind]).model_validate(given.model_extra or {})
    except ValidationError as error:
        raise ConfigurationError("\n".join(problems(error, key))) from error
