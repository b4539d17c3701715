"""Clients of the tests' Kafka: producing and consuming, as anybody would who knows nothing of Starcross.

A client of aiokafka may lose the server in the moment of its start, or ask for a topic that is not known there yet. It
waits for 40 seconds then, and fails. These wait a while for what they need to know, and then try with another client.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from bridges.kafka_trouble import given_up

LARGEST_BYTES = 10 << 20
PATIENCE_S = 120.0
ANSWER_S = 15.0
"""So long one client may take to begin."""

ClientT = TypeVar("ClientT", AIOKafkaConsumer, AIOKafkaProducer)


@contextlib.asynccontextmanager
async def producing(bootstrap: str, *topics: str, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that knows these topics."""
    options = {"max_request_size": LARGEST_BYTES} | options
    producer = await begun(lambda: AIOKafkaProducer(bootstrap_servers=bootstrap, **options), *topics)
    try:
        yield producer
    finally:
        await producer.stop()


@contextlib.asynccontextmanager
async def consuming(bootstrap: str, *topics: str, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of these topics from their beginning."""
    options = {"auto_offset_reset": "earliest", "enable_auto_commit": False} | options
    consumer = await begun(lambda: AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap, **options))
    try:
        yield consumer
    finally:
        await consumer.stop()


async def begun(make: Callable[[], ClientT], *topics: str) -> ClientT:
    """A client that has started, and a producer that knows these topics."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            client = make()
            try:
                async with asyncio.timeout(ANSWER_S):
                    await client.start()
                    for topic in topics:
                        await client.partitions_for(topic)
            except (KafkaError, OSError, TimeoutError):
                await given_up(client)
            except BaseException:
                await given_up(client)
                raise
            else:
                return client
            await asyncio.sleep(0.1)


async def produce(bootstrap: str, topic: str, *bodies: bytes | None, partition: int = 0, **options: Any) -> None:
    """Send these, in order; None is a tombstone."""
    async with producing(bootstrap, topic, **options) as producer:
        sent = [await producer.send(topic, body, key=b"k", partition=partition) for body in bodies]
        for one in sent:
            await one


async def consume(bootstrap: str, topic: str, count: int, **options: Any) -> list[Any]:
    """The first records of a topic, once there are so many."""
    async with asyncio.timeout(PATIENCE_S), consuming(bootstrap, topic, **options) as consumer:
        return [await consumer.getone() for _ in range(count)]
