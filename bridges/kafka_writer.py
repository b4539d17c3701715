"""Writes records to topics of a Kafka cluster, and knows when it has them: what `bridges.kafka_sink` sends with."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    MessageSizeTooLargeError,
    TopicAlreadyExistsError,
    for_code,
)
from pydantic import Field, field_validator

from bridges.delivery import DeliveryRefused, Undelivered
from bridges.kafka_options import KafkaOptions
from bridges.kafka_trouble import TROUBLES, given_up, trouble_of
from schemas.records import Publication

log = structlog.get_logger()

Headers = tuple[tuple[str, bytes], ...]

LARGEST_BYTES: Final = 16 << 20
"""Of a record; the servers' own limit is mostly lower, and is theirs to say."""
_BATCH_BYTES: Final = 256 << 10
_LINGER_MS: Final = 5
_TOPIC: Final = re.compile(r"[A-Za-z0-9._\-]{1,249}")


class KafkaWriterOptions(KafkaOptions):
    """How topics are written to."""

    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "gzip", description="How batches of records are compressed."
    )
    create_topics: bool = Field(False, description="Make topics that do not exist.")
    partitions: int = Field(1, ge=1, le=10_000, description="How many partitions such a topic has.")
    replication: int = Field(1, ge=1, le=100, description="How many servers keep such a topic.")
    delivery_timeout_s: float = Field(
        30.0, gt=0.0, le=600.0, description="How long the servers have to acknowledge before it is tried anew."
    )


class SubstreamTopics(KafkaWriterOptions):
    """A topic a substream."""

    topic: str = Field(
        "starcross.{substream}", description="Name of the topic; `{substream}` is that of the substream."
    )

    @field_validator("topic")
    @classmethod
    def _is_a_name(cls, topic: str) -> str:
        if not _TOPIC.fullmatch(topic.replace("{substream}", "x")):
            raise ValueError("no name of a topic: letters, digits, `.`, `_` and `-`, and {substream}")
        return topic

    def topic_of(self, substream: str) -> str:
        """The topic of a substream; a character that no topic has becomes ``_``."""
        return self.topic.replace("{substream}", re.sub(r"[^A-Za-z0-9._\-]", "_", substream))


@dataclass(frozen=True, slots=True)
class Record:
    """What is written.

    Attributes
    ----------
    key
        Records of one key stay in order.
    publication
        What it tells of, to be named if it is refused; None for a notice.
    """

    topic: str
    key: bytes
    value: bytes
    headers: Headers
    publication: Publication | None = None


class KafkaWriter:
    """Writes each record at least once, and those of one key in order.

    The producer is idempotent and waits for all replicas. After any failure it is thrown away: what it did not get
    acknowledged is to be written again.

    Parameters
    ----------
    folder
        Where relative paths of the options start.

    Raises
    ------
    ConfigurationError
        If a secret or a certificate cannot be read.
    """

    def __init__(self, options: KafkaWriterOptions, folder: Path) -> None:
        self._options = options
        self._arguments = options.client_arguments(folder)
        self._where = ", ".join(options.bootstrap_servers)
        self._producer: AIOKafkaProducer | None = None
        self._existing: set[str] = set()

    async def close(self) -> None:
        """Disconnect."""
        producer, self._producer = self._producer, None
        self._existing.clear()
        if producer is not None:
            await given_up(producer)

    async def write(self, records: Sequence[Record]) -> None:
        """Return once all are acknowledged.

        Raises
        ------
        DeliveryRefused
            If one is too large for the servers; those before it are acknowledged.
        Undelivered
            If they cannot be written for now.
        """
        sent: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(self._options.delivery_timeout_s):
                producer = await self._connected()
                await self._check_topics({record.topic for record in records})
                refused = None
                for record in records:
                    try:
                        sent.append(
                            await producer.send(
                                record.topic, record.value, key=record.key, headers=list(record.headers)
                            )
                        )
                    except MessageSizeTooLargeError as error:
                        refused = error
                        break
                outcomes = await asyncio.gather(*sent, return_exceptions=True)
            self._raise_first(records, [*outcomes, refused] if refused else outcomes)
        except TROUBLES as error:
            await self.close()
            raise Undelivered((await trouble_of(error, self._arguments)).detail) from error
        except BaseException:
            await self.close()
            raise
        finally:
            for one in sent:
                one.cancel()

    def _raise_first(self, records: Sequence[Record], outcomes: Sequence[object]) -> None:
        """What befell the first record that was not acknowledged."""
        for record, outcome in zip(records, outcomes, strict=False):
            if isinstance(outcome, MessageSizeTooLargeError) and record.publication is not None:
                detail = f"Kafka at {self._where}: {len(record.value)} bytes are too many for {record.topic}"
                raise DeliveryRefused(record.publication, detail)
            if isinstance(outcome, BaseException):
                raise outcome

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            compression = None if self._options.compression == "none" else self._options.compression
            self._producer = AIOKafkaProducer(
                **self._arguments,
                acks="all",
                enable_idempotence=True,
                compression_type=compression,
                max_request_size=LARGEST_BYTES,
                max_batch_size=_BATCH_BYTES,
                linger_ms=_LINGER_MS,
            )
            await self._producer.start()
        return self._producer

    async def _check_topics(self, topics: set[str]) -> None:
        """Make sure that they exist, once for as long as the producer lives."""
        if topics <= self._existing:
            return
        admin = AIOKafkaAdminClient(**self._arguments)
        try:
            await admin.start()
            missing = sorted(topics - set(await admin.list_topics()))
            if missing and not self._options.create_topics:
                raise Undelivered(
                    f"Kafka at {self._where}: there is no topic {', '.join(missing)}; make it, or set create_topics"
                )
            if missing:
                await self._create(admin, missing)
        finally:
            await given_up(admin)
        self._existing |= topics

    async def _create(self, admin: AIOKafkaAdminClient, topics: Sequence[str]) -> None:
        options = self._options
        answer = await admin.create_topics([NewTopic(name, options.partitions, options.replication) for name in topics])
        for topic, code, *more in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise Undelivered(f"Kafka at {self._where}: topic {topic} cannot be made: {error.__name__} {more}")
        log.info("topics made", topics=topics, partitions=options.partitions, replication=options.replication)
