"""What the tests of the bridges to Kafka share: producing, consuming, and an observer that remembers."""

from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bridges.kafka_session import BatchTaken

LARGEST_BYTES = 10 << 20


@asynccontextmanager
async def producing(bootstrap: str, **options: Any):
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=LARGEST_BYTES, **options)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def produce(bootstrap: str, topic: str, *bodies: bytes | None, partition: int = 0, **options: Any) -> None:
    """Send these, in order; None is a tombstone."""
    async with producing(bootstrap, **options) as producer:
        sent = [await producer.send(topic, body, key=b"k", partition=partition) for body in bodies]
        for one in sent:
            await one


async def consume(bootstrap: str, topic: str, count: int) -> list[Any]:
    """The first records of a topic, once there are so many."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


class Observed:
    """Remembers what a source told."""

    def __init__(self) -> None:
        self.connections: list[int] = []
        self.troubles: list[str] = []
        self.batches: list[BatchTaken] = []
        self.lags: dict[tuple[str, int], int] = {}
        self.gaps: list[tuple[str, int, int]] = []

    def connected(self, partitions: int) -> None:
        self.connections.append(partitions)

    def disconnected(self, detail: str) -> None:
        self.troubles.append(detail)

    def taken(self, batch: BatchTaken) -> None:
        self.batches.append(batch)

    def lag(self, topic: str, partition: int, messages: int) -> None:
        self.lags[topic, partition] = messages

    def gap(self, topic: str, partition: int, messages: int) -> None:
        self.gaps.append((topic, partition, messages))


def numbered(count: int, prefix: str = "n") -> Sequence[bytes]:
    return [f"{prefix}{number}".encode() for number in range(count)]
