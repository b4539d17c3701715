"""Coincidences out over Kafka, a topic a substream: as Avro or as VOEvents.

The key of a record is the coincidence's id, so that its revisions stay in order, and a topic that is compacted keeps
the newest of each. The headers say what a reader needs before it decodes: what it is, its state and its revision.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from pydantic import Field, model_validator
from yarl import URL

from bridges.attempts import kafka_partitions
from bridges.delivery import Undelivered
from bridges.kafka_writer import Headers, KafkaWriter, Record, SubstreamTopics
from bridges.notice_packets import Before, NoticePackets, nothing_before
from bridges.options import Secret
from bridges.schema_registry import SchemaRegistry
from schemas.catalogue import SchemaCatalogue
from schemas.coincidence_avro import SCHEMA_TEXT, encode_container, encode_framed
from schemas.coincidence_documents import SCHEMA_VERSION
from schemas.errors import BadPacket
from schemas.records import Notice, Publication
from schemas.voevent_out import VoeventAuthor, voevent_bytes

PIECE: Final = 50
"""How many publications a thread encodes at once: it and the event loop take turns."""

_AVRO: Final = "application/avro"
_XML: Final = "application/xml"


class KafkaAvroOptions(SubstreamTopics):
    """Coincidences as Avro over Kafka."""

    encoding: Literal["container", "confluent"] = Field(
        "container",
        description="`container`: each record is an Avro object container file, with its schema; `confluent`: a zero "
        "byte, the schema's number in a schema registry in four, and the record.",
    )
    packets: bool = Field(
        False, description="Send the survey's packet of the latest matching alert too, untouched, where it is kept."
    )
    registry_url: str | None = Field(None, description="The schema registry, for `confluent`.")
    registry_username: str | None = Field(None, description="Who we are to it, where it asks.")
    registry_password: Secret | None = Field(None, description="Where that password is read.")

    @model_validator(mode="after")
    def _registry_for_confluent(self) -> Self:
        if (self.encoding == "confluent") != (self.registry_url is not None):
            raise ValueError("registry_url goes with encoding = confluent, and that with it")
        if (self.registry_username is None) != (self.registry_password is None):
            raise ValueError("registry_username and registry_password go together")
        return self


class KafkaVoeventOptions(SubstreamTopics):
    """Coincidences as VOEvents over Kafka, and by choice the notices that came in."""

    topic: str = Field(
        "starcross.voevent.{substream}", description="Name of the topic; `{substream}` is that of the substream."
    )
    notices_topic: str = Field(
        "starcross.voevent.notices", description="Topic of the notices that are passed on (`relay_notices`)."
    )


class _KafkaSink:
    """Sends what one encodes and the other: one record for each substream of a publication."""

    def __init__(self, options: SubstreamTopics, folder: Path, content_type: str) -> None:
        self._topics, self._content_type = options, content_type
        self._arguments = options.client_arguments(folder)
        self._writer = KafkaWriter(options, folder)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._writer.close()

    async def check(self) -> str:
        """For `starcross check --connect`: the topics that there are.

        Raises
        ------
        ConnectionError
            If the cluster cannot be reached or does not want us.
        """
        pattern = ".*".join(re.escape(part) for part in self._topics.topic.split("{substream}"))
        found = await kafka_partitions(self._arguments)
        count = sum(re.fullmatch(pattern, topic) is not None for topic in found)
        return f"{count} topics are called {self._topics.topic}"

    async def _send(
        self, publications: Sequence[Publication], encode: Callable[[Publication, str], bytes], headers: Headers = ()
    ) -> None:
        for start in range(0, len(publications), PIECE):
            piece = publications[start : start + PIECE]
            await self._writer.write(await asyncio.to_thread(self._records, piece, encode, headers))

    def _records(
        self, publications: Sequence[Publication], encode: Callable[[Publication, str], bytes], headers: Headers
    ) -> list[Record]:
        records = []
        for publication in publications:
            coincidence = publication.coincidence
            told = (
                ("content-type", self._content_type.encode()),
                ("state", coincidence.state.value.encode()),
                ("revision", str(coincidence.revision).encode()),
                *headers,
            )
            for substream in publication.substreams:
                topic = self._topics.topic_of(substream)
                body = encode(publication, topic)
                records.append(Record(topic, coincidence.id.encode(), body, told, publication))
        return records


class KafkaAvroSink(_KafkaSink):
    """Coincidences as Avro; a `broker.interfaces.Sink`.

    Parameters
    ----------
    folder
        Where relative paths of the options start.

    Raises
    ------
    ConfigurationError
        If a secret or a certificate cannot be read, or the registry's URL is none.
    """

    def __init__(self, options: KafkaAvroOptions, folder: Path) -> None:
        super().__init__(options, folder, _AVRO)
        self._registry: SchemaRegistry | None = None
        self._schema_ids: dict[str, int] = {}
        if options.registry_url is not None:
            url = URL(options.registry_url)
            if options.registry_username is not None and options.registry_password is not None:
                url = url.with_user(options.registry_username).with_password(options.registry_password.read(folder))
            self._registry = SchemaRegistry(str(url), SchemaCatalogue())

    async def check(self) -> str:
        """As of any sink to Kafka, and how many schemas the registry has, if there is one."""
        told = await super().check()
        if self._registry is None:
            return told
        async with self._registry as registry:
            return f"{told}; the registry has {len(await registry.subjects())} subjects"

    async def __aenter__(self) -> Self:
        if self._registry is not None:
            await self._registry.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, traceback)
        if self._registry is not None:
            await self._registry.__aexit__(kind, error, traceback)

    async def send(self, publications: Sequence[Publication]) -> None:
        """Return once the servers have all of them.

        Raises
        ------
        DeliveryRefused
            If one is too large for the servers.
        Undelivered
            If they, or the schema registry, cannot be reached or do not want us.
        """
        for topic in {self._topics.topic_of(name) for publication in publications for name in publication.substreams}:
            await self._register(topic)
        await self._send(publications, self._encoded, (("schema-version", SCHEMA_VERSION.encode()),))

    async def _register(self, topic: str) -> None:
        if self._registry is None or topic in self._schema_ids:
            return
        try:
            self._schema_ids[topic] = await self._registry.register(f"{topic}-value", SCHEMA_TEXT)
        except (ConnectionError, BadPacket) as error:
            raise Undelivered(str(error)) from error

    def _encoded(self, publication: Publication, topic: str) -> bytes:
        if self._registry is None:
            return encode_container(publication)
        return encode_framed(publication, self._schema_ids[topic])


class KafkaVoeventSink(_KafkaSink):
    """Coincidences as VOEvents; a `broker.interfaces.Sink` and `broker.interfaces.NoticeSink`.

    Parameters
    ----------
    folder
        Where relative paths of the options start.
    author
        Who publishes them.
    software
        Name and version of what converts notices.
    before
        Which notices of its trigger came before a notice.

    Raises
    ------
    ConfigurationError
        If a secret or a certificate cannot be read.
    """

    def __init__(
        self,
        options: KafkaVoeventOptions,
        folder: Path,
        *,
        author: VoeventAuthor,
        software: str = "Starcross",
        before: Before = nothing_before,
    ) -> None:
        super().__init__(options, folder, _XML)
        self._notices_topic, self._author = options.notices_topic, author
        self._notices = NoticePackets(author, software, before)

    async def send(self, publications: Sequence[Publication]) -> None:
        """As `KafkaAvroSink.send`."""
        await self._send(publications, lambda publication, _: voevent_bytes(publication.coincidence, self._author))

    async def relay(self, notice: Notice) -> None:
        """Pass a notice on: a VOEvent as it came, any other converted to one.

        Raises
        ------
        Undelivered
            As `KafkaAvroSink.send`.
        """
        key = (notice.trigger_id or notice.ivorn).encode()
        told = (("content-type", _XML.encode()), ("notice-type", notice.notice_type.encode()))
        await self._writer.write([Record(self._notices_topic, key, self._notices.packet(notice), told)])
