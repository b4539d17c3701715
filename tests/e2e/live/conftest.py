"""A Kafka server of a test's own, and services that read from it and write to it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from schemas.coincidence_avro import from_record
from schemas.records import Message
from schemas.times import datetime_from_us
from tests.e2e.live.child import PATIENCE_S, ServiceProcess, until, until_it_is
from tests.e2e.live.reference import Reference, essence_of, far_off, stored_standing, worth_of
from tests.e2e.live.topics import Record, ends_of, publication_of, read_topics
from tests.kafka_clients import producing
from tests.kafka_server import KafkaServer, own_kafka

PARTITIONS = 3


class Site:
    """A Kafka, what lies in its topics, and the service of a test."""

    def __init__(self, kafka: KafkaServer, folder: Path) -> None:
        self.kafka, self.folder = kafka, folder
        self.topics: dict[str, int] = {}
        self._next = 0

    def tables(self, **sections: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration: ZTF and GCN over Kafka in, Avro over Kafka out; and what is given."""
        given: dict[str, Any] = {
            "triggers": {"include_tests": True},
            "substreams": {"all": {"include_tests": True}},
            "service": {"clock": "data", "stop_within_s": 10.0},
            "lsst": {"schema_package": False},
            "sources": {"ztf": self.survey(r"ztf_\d{8}_programid1"), "gcn": self.gcn()},
            "sinks": {"out": self.avro()},
        }
        for name, section in sections.items():
            given[name] = {**given.get(name, {}), **section}
        return given

    def survey(self, topic_pattern: str, **options: Any) -> dict[str, Any]:
        """A source of a survey's alerts."""
        where = {"bootstrap_servers": [self.kafka.bootstrap], "topic_pattern": topic_pattern}
        return {"kind": "kafka-survey", "metadata_age_s": 0.5, "batch_messages": 100} | where | options

    def gcn(self, **options: Any) -> dict[str, Any]:
        """A source of notices."""
        where = {"bootstrap_servers": self.kafka.bootstrap, "security": "plaintext"}
        return {"kind": "gcn", "heartbeat_topic": "", "refresh_s": 0.5} | where | options

    def avro(self, **options: Any) -> dict[str, Any]:
        """A sink of Avro over Kafka."""
        where = {"bootstrap_servers": [self.kafka.bootstrap], "create_topics": True}
        return {"kind": "kafka-avro"} | where | options

    @asynccontextmanager
    async def service(self, tables: Mapping[str, Any], env: Mapping[str, str] | None = None) -> AsyncIterator[Any]:
        """A service that runs."""
        async with ServiceProcess(self.folder, tables, env or {}) as service:
            yield service

    async def produce(self, messages: Iterable[tuple[str, bytes | None]], **options: Any) -> None:
        """Write to topics, which are made as they are needed: a survey's partitions in turn, notices in one."""
        messages = list(messages)
        topics = dict.fromkeys(topic for topic, _ in messages)
        for topic in topics:
            if topic not in self.topics:
                self.topics[topic] = 1 if topic.startswith(("gcn", "igwn")) else PARTITIONS
                await self.kafka.create_topic(name=topic, partitions=self.topics[topic])
        async with producing(self.kafka.bootstrap, *topics, **options) as producer:
            sent = []
            for topic, body in messages:
                self._next += 1
                partition = self._next % self.topics[topic]
                sent.append(await producer.send(topic, body, key=b"k", partition=partition))
            for one in sent:
                await one

    async def records(self) -> list[Record]:
        """All that was produced."""
        return await read_topics(self.kafka.bootstrap, self.topics)

    async def until_kept(self, service: ServiceProcess) -> None:
        """Wait until the service has stored all that lies in the topics, and has sent what came of it."""
        ends = await ends_of(self.kafka.bootstrap, self.topics)
        named = {f"{part.topic}[{part.partition}]": end for part, end in ends.items()}
        await until(lambda: all(service.positions().get(name, 0) >= end for name, end in named.items()))
        await until_it_is(lambda: self._is_sent(service))

    async def _is_sent(self, service: ServiceProcess) -> bool:
        return not any((await service.waiting()).values())

    async def reference(self, service: ServiceProcess) -> Reference:
        """What should come of what lies in the topics."""
        reference = Reference(service.config)
        records = await self.records()
        messages = [Message(r.value, r.origin, r.topic) for r in records if r.value is not None]
        await asyncio.to_thread(reference.take, messages)
        return reference

    async def publications(self, topic: str = "starcross.all") -> list[dict[str, Any]]:
        """All that came out so far, read with fastavro."""
        return [publication_of(record.value or b"") for record in await read_topics(self.kafka.bootstrap, [topic])]

    async def check(self, service: ServiceProcess, topic: str = "starcross.all") -> list[dict[str, Any]]:
        """What stands after all that came out is what should; returns all that came out."""
        async with asyncio.timeout(PATIENCE_S):
            reference, came = await self.reference(service), await self.publications(topic)
        expected, published = reference.standing(), standing(came)
        assert await asyncio.to_thread(stored_standing, service.store) == expected
        assert published.keys() == expected.keys()
        assert far_off(published, expected) == {}
        restored = await asyncio.to_thread(reference.restored, service.store)
        assert worth_of(restored) == worth_of(reference.engine)
        return came


def standing(publications: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The coincidences that stand after publications in their order, by id, as `essence_of` has them."""

    newest = {one["id"]: from_record(one).coincidence for one in publications}
    return {key: essence_of(c) for key, c in newest.items() if c.state != "withdrawn"}


def by_night(messages: Iterable[Any]) -> list[tuple[str, bytes]]:
    """Simulated messages with topics as the real ones have."""
    return [
        (
            f"ztf_{datetime_from_us(timed.time_us):%Y%m%d}_programid1"
            if timed.message.topic.startswith("ztf_")
            else timed.message.topic,
            timed.message.body,
        )
        for timed in messages
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[KafkaServer]:
    """One for all tests of a module that leave it alive."""
    with own_kafka() as kafka:
        yield kafka


@pytest.fixture
async def site(server: KafkaServer, tmp_path: Path) -> AsyncIterator[Site]:
    """A test's site, where all topics are the test's."""
    yield Site(server, tmp_path)
    await server.delete_topics()


@pytest.fixture
async def own_site(tmp_path: Path) -> AsyncIterator[Site]:
    """A site whose Kafka a test may kill."""
    async with own_kafka() as kafka:
        yield Site(kafka, tmp_path)
