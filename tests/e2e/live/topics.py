"""Topics of a Kafka, written to and read as anybody would who knows nothing of Starcross."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any

import fastavro
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas.times import iso_from_us, us_from_datetime
from tests.kafka_clients import consuming

READ_S = 120.0
FETCHED_BYTES = 32 << 20


@dataclass(frozen=True)
class Record:
    """A record of a topic."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int

    @property
    def origin(self) -> str:
        """As messages are called that were read from it."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


async def ends_of(bootstrap: str, topics: Iterable[str]) -> dict[TopicPartition, int]:
    """How many records each partition of these topics got so far."""
    async with consuming(bootstrap, fetch_max_bytes=FETCHED_BYTES) as consumer:
        return await _ends(consumer, bootstrap, topics)


async def all_topics(bootstrap: str) -> set[str]:
    """Names of all topics that there are."""
    async with consuming(bootstrap, fetch_max_bytes=FETCHED_BYTES) as consumer:
        return {name for name in await consumer.topics() if not name.startswith("__")}


async def read_topics(bootstrap: str, topics: Iterable[str]) -> list[Record]:
    """All that lies in these topics now, by topic and partition, in order."""
    found: list[Record] = []
    async with asyncio.timeout(READ_S), consuming(bootstrap, fetch_max_bytes=FETCHED_BYTES) as consumer:
        ends = await _ends(consumer, bootstrap, topics)
        wanted = {partition for partition, end in ends.items() if end}
        consumer.assign(list(wanted))
        while wanted:
            for partition, records in (await consumer.getmany(timeout_ms=500)).items():
                found += [
                    Record(partition.topic, partition.partition, r.offset, r.key, r.value, r.timestamp) for r in records
                ]
            for partition in list(wanted):
                if await consumer.position(partition) >= ends[partition]:
                    wanted.discard(partition)
                    consumer.pause(partition)
    return sorted(found, key=lambda record: (record.topic, record.partition, record.offset))


async def _ends(consumer: AIOKafkaConsumer, bootstrap: str, topics: Iterable[str]) -> dict[TopicPartition, int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        told = await admin.describe_topics(sorted(topics))
    finally:
        await admin.close()
    parts = [TopicPartition(one["topic"], part["partition"]) for one in told for part in one["partitions"]]
    return await consumer.end_offsets(parts) if parts else {}


def publication_of(body: bytes) -> dict[str, Any]:
    """A record of a substream, read with fastavro alone; its instants as JSON has them."""
    (record,) = fastavro.reader(BytesIO(body))
    return _plain(record)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso_from_us(us_from_datetime(value))
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
