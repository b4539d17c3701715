"""Notices from GCN, or from a private Kafka like it: classic VOEvents, unified JSON and LVK's alerts.

librdkafka (through gcn-kafka and confluent-kafka) fetches and renews its tokens by itself. It blocks, so all its calls
are made in one thread of its own. Partitions are assigned by hand, as no group shares them: every process hears all
notices, and one that is busy for long is not taken for dead. Where we stand is kept with what was received; nothing is
committed to Kafka.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final, Literal, Protocol, Self

import structlog
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage
from gcn_kafka.core import get_config
from pydantic import Field, field_validator, model_validator

from bridges.delivery import shown
from bridges.emit import Emit, Positions
from bridges.options import Options, Secret
from schemas.errors import ConfigurationError
from schemas.records import Message

log = structlog.get_logger()

TOPIC_PATTERNS: Final = (r"gcn\.classic\.voevent\..+", r"gcn\.notices\..+", r"igwn\.gwalert")
BATCH_MESSAGES: Final = 500
CHECK_S: Final = 10.0

_BUFFER_KIB: Final = 32 << 10
_WAIT_S: Final = 0.25
"""How long a call blocks at most: so long a cancelled source takes to end."""
_RETRY_S: Final = 1.0
_SAME_TROUBLE_S: Final = 60.0
_TROUBLES_MAX: Final = 100
_ERROR_TEXT: Final = re.compile(
    rb"(?:Subscribed topic not available|[A-Z][ -~]{0,500}\b(?:Broker|Local)): [ -~]{0,500}"
)
"""What librdkafka says of a topic that it cannot read. Some clients hand it on as if it were a message."""


class GcnOptions(Options):
    """Which notices are heard, and from where."""

    client_id: str | None = Field(
        None, min_length=1, description="Of your credentials at https://gcn.nasa.gov/quickstart."
    )
    client_secret: Secret | None = Field(None, description="Where their secret is read.")
    domain: str = Field("gcn.nasa.gov", pattern=r"^[a-z0-9.-]+$", description="GCN's, or test.gcn.nasa.gov.")
    topic_patterns: tuple[str, ...] = Field(
        TOPIC_PATTERNS, min_length=1, description="Regular expressions of whole names of topics."
    )
    heartbeat_topic: str = Field("gcn.heartbeat", description="Watched for silence; empty if there is none.")
    silent_after_s: float = Field(60.0, gt=0, description="So long without a heartbeat is a silence.")
    start: Literal["earliest", "latest"] = Field(
        "earliest",
        description="Where to begin at the very first start: with all that is kept there, or with what is new.",
    )
    refresh_s: float = Field(60.0, gt=0, le=3600, description="How often new topics are looked for.")
    bootstrap_servers: str | None = Field(None, description="Another Kafka than the domain's: host:port,host:port.")
    token_url: str | None = Field(None, description="Another token endpoint than the domain's.")
    security: Literal["sasl_ssl", "ssl", "sasl_plaintext", "plaintext"] = Field(
        "sasl_ssl", description="How the connection is secured."
    )
    ca_file: Path | None = Field(None, description="PEM file of the authorities that sign the servers' certificates.")
    group_id: str | None = Field(None, description="Name of the consumer group, where the server wants a certain one.")

    @field_validator("topic_patterns")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return patterns

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if {self.client_id is None, self.client_secret is None} != {not self.security.startswith("sasl")}:
            raise ValueError("client_id and client_secret go with security = sasl_ssl or sasl_plaintext")
        return self

    def client_arguments(self, folder: Path) -> dict[str, Any]:
        """What a client of librdkafka is made with.

        Raises
        ------
        ConfigurationError
            If the secret cannot be read, or there are no certificates.
        """
        ca_file = None if self.ca_file is None else folder / self.ca_file
        if ca_file is not None and not ca_file.is_file():
            raise ConfigurationError(f"{ca_file}: there are no certificates")
        given = {
            "bootstrap.servers": self.bootstrap_servers,
            "sasl.oauthbearer.token.endpoint.url": self.token_url,
            "group.id": self.group_id,
            "ssl.ca.location": ca_file and str(ca_file),
            "https.ca.location": ca_file and str(ca_file),
            "client_id": self.client_id,
            "client_secret": self.client_secret.read(folder) if self.client_secret else None,
        }
        arguments: dict[str, Any] = get_config(  # type: ignore[no-untyped-call]
            "consumer",
            {name: value for name, value in given.items() if value is not None},
            domain=self.domain,
            **{"security.protocol": self.security},
        )
        return arguments | {
            "auto.offset.reset": "earliest",  # of what is no longer kept there
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "queued.max.messages.kbytes": _BUFFER_KIB,
            "max.poll.interval.ms": 86_400_000,  # the longest: a full disk may hold us up for hours
            "log_level": 0,  # it would write to standard error; what matters comes as errors too
        }


class GcnObserver(Protocol):
    """Is told what a source of notices sees besides notices."""

    def heartbeat(self) -> None:
        """GCN is alive, and so is the connection."""

    def silence(self, silent_s: float) -> None:
        """There was no heartbeat for longer than allowed; told once for each silence."""

    def not_a_notice(self, origin: str, text: str) -> None:
        """A message was no notice but the text of an error, or empty. It is not handed over."""

    def trouble(self, code: str, detail: str) -> None:
        """Kafka, or the way to it, is in trouble, and the client tries again by itself."""


class GcnSource:
    """Hears notices.

    Parameters
    ----------
    folder
        Where relative paths of the configuration start.

    Raises
    ------
    ConfigurationError
        If the secret cannot be read.
    """

    def __init__(self, options: GcnOptions, folder: Path, *, observe: GcnObserver | None = None) -> None:
        self._options = options
        self._arguments = options.client_arguments(folder)
        self._observe = observe
        self._heard_s = monotonic()
        self._is_silent = False
        self._troubles: dict[str, float] = {}

    @property
    def silent_for_s(self) -> float | None:
        """How long ago the last heartbeat was, or the start; None if none is watched."""
        return monotonic() - self._heard_s if self._options.heartbeat_topic else None

    async def run(self, emit: Emit) -> None:
        """Hand over what is heard, until cancelled; as `broker.interfaces.Source`.

        Raises
        ------
        ConfigurationError
            If librdkafka cannot use the options.
        ConnectionError
            If librdkafka has given up.
        """
        loop = asyncio.get_running_loop()
        self._heard_s, self._is_silent = monotonic(), False
        positions = dict(emit.positions)
        begin_at = self._options.start if not positions else "earliest"
        thread = ThreadPoolExecutor(1, thread_name_prefix="gcn")
        client = _Client(self._arguments, self._is_wanted, self._options.heartbeat_topic)
        look_s = 0.0
        try:
            while True:
                if monotonic() >= look_s:
                    found = await loop.run_in_executor(thread, partial(client.look, positions, begin_at))
                    look_s = monotonic() + (_RETRY_S if found is None else self._options.refresh_s)
                    if found is not None:
                        begin_at = "earliest"  # a topic that is new from now on is heard from its beginning
                        if found:
                            await emit([], found)
                            positions |= found
                heard = await loop.run_in_executor(thread, client.hear)
                messages, moved = self._sorted(heard)
                if moved:
                    await emit(messages, moved)
                    positions |= moved
                for error in client.errors():
                    self._report(error)
                self._listen_for_silence()
        finally:
            client.is_stopping = True
            closing = loop.run_in_executor(thread, client.close)
            thread.shutdown(wait=False)
            await asyncio.shield(closing)

    async def check(self) -> str:
        """For `starcross check --connect`: the topics that would be heard.

        Raises
        ------
        ConfigurationError
            If librdkafka cannot use the options.
        ConnectionError
            If GCN cannot be reached or does not want us.
        """
        return await asyncio.to_thread(self._check)

    def _check(self) -> str:
        errors: list[KafkaError] = []
        try:
            consumer = Consumer(self._arguments | {"error_cb": errors.append})
        except KafkaException as error:
            raise ConfigurationError(f"GCN: {error.args[0].str()}") from error
        try:
            consumer.poll(0)  # a token is fetched when it is asked for the first time
            topics = consumer.list_topics(timeout=CHECK_S).topics
        except KafkaException as error:
            told = errors[-1] if errors else error.args[0]
            raise ConnectionError(f"GCN: {told.name()}: {shown(told.str())}") from error
        finally:
            consumer.close()
        count = sum(self._is_wanted(topic) for topic in topics)
        beats = self._options.heartbeat_topic
        told_of_beats = "" if not beats else f"; {beats} is {'there' if beats in topics else 'not there'}"
        return f"{count} topics match{told_of_beats}"

    def _is_wanted(self, topic: str) -> bool:
        return any(re.fullmatch(pattern, topic) for pattern in self._options.topic_patterns)

    def _sorted(self, heard: list[KafkaMessage]) -> tuple[list[Message], dict[str, int]]:
        """The notices among what was heard, and where that leaves us."""
        messages, moved = [], {}
        for message in heard:
            topic, offset, body = message.topic() or "", message.offset() or 0, message.value()
            if (error := message.error()) is not None:
                self._report(error)
            elif topic == self._options.heartbeat_topic:
                self._hear_heartbeat()
            else:
                partition = f"{topic}[{message.partition()}]"
                moved[partition] = offset + 1
                origin = f"{partition}@{offset}"
                if not body or _ERROR_TEXT.fullmatch(body):
                    self._report_text(origin, shown(body or b""))
                else:
                    messages.append(Message(body, origin, topic))
        return messages, moved

    def _hear_heartbeat(self) -> None:
        if self._is_silent:
            log.warning("GCN's heartbeat is back", silent_s=round(monotonic() - self._heard_s))
        self._heard_s, self._is_silent = monotonic(), False
        if self._observe is not None:
            self._observe.heartbeat()

    def _listen_for_silence(self) -> None:
        silent_s = self.silent_for_s
        if silent_s is None or silent_s < self._options.silent_after_s or self._is_silent:
            return
        self._is_silent = True
        log.warning("no heartbeat from GCN", silent_s=round(silent_s))
        if self._observe is not None:
            self._observe.silence(silent_s)

    def _report_text(self, origin: str, text: str) -> None:
        log.warning("message is no notice", origin=origin, text=text)
        if self._observe is not None:
            self._observe.not_a_notice(origin, text)

    def _report(self, error: KafkaError) -> None:
        """Tell of an error, each text once a minute at most.

        Raises
        ------
        ConnectionError
            If it is one after which librdkafka does nothing any more.
        """
        code, detail = str(error.name()), shown(error.str())
        if error.fatal():
            raise ConnectionError(f"GCN: {code}: {detail}")
        if self._observe is not None:
            self._observe.trouble(code, detail)
        if monotonic() - self._troubles.get(detail, -_SAME_TROUBLE_S) >= _SAME_TROUBLE_S:
            if len(self._troubles) >= _TROUBLES_MAX:
                self._troubles.clear()
            self._troubles[detail] = monotonic()
            log.warning("trouble with GCN", code=code, detail=detail)


class _Client:
    """What is done in the thread: every method but the last blocks, for `_WAIT_S` or so.

    Attributes
    ----------
    is_stopping
        Set from outside, so that nothing long is begun any more.
    """

    def __init__(self, arguments: Mapping[str, Any], is_wanted: Callable[[str], bool], heartbeat_topic: str) -> None:
        self._arguments = dict(arguments)
        self._is_wanted = is_wanted
        self._heartbeat_topic = heartbeat_topic
        self._consumer: Consumer | None = None
        self._assigned: set[tuple[str, int]] = set()
        self._errors: list[KafkaError] = []
        self.is_stopping = False

    def look(self, positions: Positions, begin_at: str) -> dict[str, int] | None:
        """Hear what topics there are now.

        Returns
        -------
        dict or None
            Positions of partitions that begin at their end; None if the cluster did not tell.
        """
        consumer = self._consumer = self._consumer or self._made()
        try:
            topics = consumer.list_topics(timeout=_WAIT_S).topics
            wanted = {
                (name, partition)
                for name, topic in topics.items()
                if topic.error is None and (name == self._heartbeat_topic or self._is_wanted(name))
                for partition in topic.partitions
            }
            if wanted == self._assigned:
                return {}
            ends = {}
            for name, partition in sorted(wanted):
                if self.is_stopping:
                    return None
                new = name != self._heartbeat_topic and f"{name}[{partition}]" not in positions
                if new and begin_at == "latest":
                    at = TopicPartition(name, partition)
                    _, ends[f"{name}[{partition}]"] = consumer.get_watermark_offsets(at, timeout=10 * _WAIT_S)
        except KafkaException as error:
            self._errors.append(error.args[0])
            return None
        starts = {**positions, **ends}
        consumer.assign(
            [
                TopicPartition(
                    name,
                    partition,
                    OFFSET_END
                    if name == self._heartbeat_topic
                    else starts.get(f"{name}[{partition}]", OFFSET_BEGINNING),
                )
                for name, partition in sorted(wanted)
            ]
        )
        self._assigned = wanted
        return ends

    def _made(self) -> Consumer:
        try:
            return Consumer(self._arguments | {"error_cb": self._errors.append})
        except KafkaException as error:
            raise ConfigurationError(f"GCN: {error.args[0].str()}") from error

    def hear(self) -> list[KafkaMessage]:
        """What is there, at once; or what comes first, if it comes soon."""
        consumer = self._consumer
        if consumer is None:
            return []
        first = consumer.poll(_WAIT_S)
        return [] if first is None else [first, *consumer.consume(BATCH_MESSAGES - 1, timeout=0)]

    def close(self) -> None:
        """Let go of the connection."""
        if self._consumer is not None:
            self._consumer.close()

    def errors(self) -> list[KafkaError]:
        """What went wrong since the last call."""
        count = len(self._errors)
        taken = self._errors[:count]
        del self._errors[:count]
        return taken
