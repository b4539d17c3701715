"""The kinds of sources and sinks, and what each is made of: to add one is a line here.

Their modules are imported when one is asked for: a service without VTP does not load Twisted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar

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


Part = TypeVar("Part", Source, Sink)
Make = Callable[[str, Any, Surroundings], Part]


@dataclass(frozen=True, slots=True)
class Kind(Generic[Part]):
    """A kind of source or of sink.

    Attributes
    ----------
    options
        ``module:class`` of its options.
    make
        Makes one of its name, its options and the surroundings.
    summary
        What it is, in a line.
    relayed
        Of a source: whether its notices are passed on by sinks that relay.
    with_reactor
        Of a source: whether it needs Twisted's reactor.
    """

    options: str
    make: Make[Part]
    summary: str
    relayed: bool = False
    with_reactor: bool = False


def _observed(place: str, observer: Callable[[Observers], Callable[[str], Any]]) -> Make[Source]:
    """Makes sources of a class, at ``module:class``, that tell an observer of what they see."""

    def make(name: str, options: Any, around: Surroundings) -> Source:
        source: Source = _named(place)(options, around.folder, observe=observer(around.observers)(name))
        return source

    return make


def _replay(_name: str, options: Any, around: Surroundings) -> Source:
    source: Source = _named("bridges.replay_source:ReplaySource")(options, around.folder)
    return source


def _simulator(_name: str, options: Any, _around: Surroundings) -> Source:
    source: Source = options.source()
    return source


def _kafka_avro(_name: str, options: Any, around: Surroundings) -> Sink:
    sink: Sink = _named("bridges.kafka_sink:KafkaAvroSink")(options, around.folder)
    return sink


def _kafka_voevent(_name: str, options: Any, around: Surroundings) -> Sink:
    sink: Sink = _named("bridges.kafka_sink:KafkaVoeventSink")(
        options, around.folder, author=around.author, software=around.software, before=around.before
    )
    return sink


def _vtp(_name: str, options: Any, around: Surroundings) -> Sink:
    sink: Sink = _named("bridges.vtp.sink:VtpSink")(
        options, around.author, around.folder, software=around.software, before=around.before, now_us=around.clock
    )
    return sink


def _webhook(_name: str, options: Any, around: Surroundings) -> Sink:
    sink: Sink = _named("bridges.webhook:WebhookSink")(options, around.folder, clock=around.clock)
    return sink


def _json_lines(_name: str, options: Any, around: Surroundings) -> Sink:
    sink: Sink = _named("bridges.json_lines:JsonLinesSink")(options, around.folder)
    return sink


def _named(place: str) -> Any:
    """What lies at ``module:name``."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


SOURCE_KINDS: Mapping[str, Kind[Source]] = {
    "kafka-survey": Kind(
        "bridges.kafka_survey_options:KafkaSurveyOptions",
        _observed("bridges.kafka_survey:KafkaSurveySource", lambda observers: observers.kafka_survey),
        "a survey's alerts over Kafka",
    ),
    "gcn": Kind(
        "bridges.gcn_source:GcnOptions",
        _observed("bridges.gcn_source:GcnSource", lambda observers: observers.gcn),
        "GCN's notices over Kafka",
        relayed=True,
    ),
    "vtp-subscriber": Kind(
        "bridges.vtp_in.options:VtpSubscriberOptions",
        _observed("bridges.vtp_in.subscriber:VtpSubscriberSource", lambda observers: observers.vtp_in),
        "VOEvents of remote brokers over VTP",
        with_reactor=True,
    ),
    "vtp-receiver": Kind(
        "bridges.vtp_in.options:VtpReceiverOptions",
        _observed("bridges.vtp_in.receiver:VtpReceiverSource", lambda observers: observers.vtp_in),
        "VOEvents that authors submit over VTP",
        with_reactor=True,
    ),
    "folder": Kind(
        "bridges.drop_folder:DropFolderOptions",
        _observed("bridges.drop_folder:DropFolderSource", lambda observers: observers.folder),
        "files dropped into a folder",
    ),
    "replay": Kind("bridges.replay_source:ReplayOptions", _replay, "files of past nights, played once"),
    "simulator": Kind("bridges.simulator.options:SimulatorOptions", _simulator, "simulated nights"),
}
SINK_KINDS: Mapping[str, Kind[Sink]] = {
    "kafka-avro": Kind("bridges.kafka_sink:KafkaAvroOptions", _kafka_avro, "Avro over Kafka, a topic a substream"),
    "kafka-voevent": Kind("bridges.kafka_sink:KafkaVoeventOptions", _kafka_voevent, "VOEvents over Kafka"),
    "vtp": Kind("bridges.vtp.options:BroadcastOptions", _vtp, "VOEvents over VTP, to whoever subscribes"),
    "webhook": Kind("bridges.webhook:WebhookOptions", _webhook, "JSON posted to a URL, signed"),
    "json-lines": Kind("bridges.json_lines:JsonLinesOptions", _json_lines, "lines of JSON in a file"),
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


def options_class(kind: Kind[Source] | Kind[Sink]) -> type[Options]:
    """The model of a kind's options."""
    found: type[Options] = _named(kind.options)
    return found


def _checked(key: str, section: Any, kinds: Mapping[str, Kind[Source]] | Mapping[str, Kind[Sink]]) -> Options:
    if section.kind not in kinds:
        known = ", ".join(sorted(kinds))
        raise ConfigurationError(f"{key}.kind: there is no kind {section.kind!r}; there are {known}")
    given: BaseModel = section
    try:
        return options_class(kinds[section.kind]).model_validate(given.model_extra or {})
    except ValidationError as error:
        raise ConfigurationError("\n".join(problems(error, key))) from error
