"""What is written to Kafka while the service is killed: simulated nights, and what goes wrong in real ones."""

import asyncio
import heapq
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from bridges.simulator import NightPlan, simulate
from schemas.times import datetime_from_us
from tests.kafka_server import Cluster

PARTITIONS = 3
AT_ONCE = 10
_AGAIN_S = 0.5
LONGEST_MADE_UP_FOR_S = 10.0


@dataclass(frozen=True)
class Chances:
    """How often what happens to a message.

    Attributes
    ----------
    repeated
        It comes again later.
    late, late_notice
        It comes up to `LATE_BY` messages late, alerts and notices.
    broken
        A damaged copy of it comes too.
    tombstone
        Followed by a record without a body.
    """

    repeated: float = 0.03
    late: float = 0.1
    late_notice: float = 0.4
    broken: float = 0.02
    tombstone: float = 0.005


LATE_BY, REPEATED_BY = 2000, 500


def nights(seed: int, alerts: int) -> Iterator[tuple[str, bytes]]:
    """Topic and body of the messages of a week with about so many alerts, and some ten times the usual events."""
    events = {"bursts_seen": 25, "bursts_unseen": 15, "mergers_seen": 3, "mergers_unseen": 2, "mergers_retracted": 3}
    others = {"bursts_disowned": 6, "neutrinos_seen": 4, "neutrinos_alone": 6, "subthreshold": 6}
    few = min(1.0, alerts / 2000)  # a small sky cannot show as many good counterparts
    wanted = {name: max(1, round(number * few)) for name, number in (events | others).items()}
    made = simulate(seed, NightPlan(**wanted).scaled(alerts / 9300))
    for timed in made.messages():
        topic = timed.message.topic
        if topic.startswith("ztf_"):
            topic = f"ztf_{datetime_from_us(timed.time_us):%Y%m%d}_programid1"
        yield topic, timed.message.body


def disturbed(
    messages: Iterator[tuple[str, bytes]], chance: random.Random, chances: Chances
) -> Iterator[tuple[str, bytes | None]]:
    """The same, out of order, some twice, some damaged."""
    waiting: list[tuple[int, int, str, bytes | None]] = []
    number = 0

    def put(topic: str, body: bytes | None, by: int) -> None:
        nonlocal number
        number += 1
        heapq.heappush(waiting, (place + by, number, topic, body))

    for place, (topic, body) in enumerate(messages):
        is_late = chance.random() < (chances.late if topic.startswith("ztf_") else chances.late_notice)
        put(topic, body, chance.randrange(LATE_BY) if is_late else 0)
        if chance.random() < chances.repeated:
            put(topic, body, chance.randrange(REPEATED_BY))
        if chance.random() < chances.broken:
            put(topic, broken(body, chance, may_be_empty=topic.startswith("ztf_")), 0)
        if chance.random() < chances.tombstone:
            put(topic, None, 0)
        while waiting and waiting[0][0] <= place:
            yield heapq.heappop(waiting)[2:]
    while waiting:
        yield heapq.heappop(waiting)[2:]


def broken(body: bytes, chance: random.Random, *, may_be_empty: bool) -> bytes:
    """What cannot be read. (Empty messages are no notices, and not kept in quarantine where notices come.)"""
    return chance.choice(
        (
            body[: chance.randrange(1, len(body))],
            chance.randbytes(chance.randrange(1, 2000)),
            b"" if may_be_empty else b"?",
            b"{" * 5000,
            b"Obj\x01" + chance.randbytes(200),
            b"<?xml version='1.0'?><voe:VOEvent xmlns:voe='http://www.ivoa.net/xml/VOEvent/v2.0'>",
        )
    )


class Producer:
    """Writes at a steady rate, whatever becomes of Kafka; makes topics as they are needed."""

    def __init__(self, kafka: Cluster, messages: Iterator[tuple[str, bytes | None]], per_s: float, seed: int) -> None:
        self._kafka, self._messages, self._per_s = kafka, messages, per_s
        self._chance = random.Random(seed)
        self.topics: set[str] = set()
        self.written: Counter[str] = Counter()
        self.ended = False
        self._due_s = 0.0

    async def run(self) -> None:
        """Write all, and end. What Kafka did not acknowledge is written again, and may be there twice."""
        self._due_s = asyncio.get_running_loop().time()
        batch: list[tuple[str, bytes | None]] = []
        while not self.ended:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._kafka.bootstrap, max_request_size=10 << 20, request_timeout_ms=5000
            )
            try:
                await producer.start()
                while batch or (batch := await self._next()):
                    await self._send(producer, batch)
                    batch = []
                self.ended = True
            except (KafkaError, OSError, TimeoutError, RuntimeError):
                await asyncio.sleep(_AGAIN_S)
            finally:
                await producer.stop()

    async def _next(self) -> list[tuple[str, bytes | None]]:
        """What is due next; empty at the end."""
        loop = asyncio.get_running_loop()
        batch = await asyncio.to_thread(lambda: list(islice(self._messages, AT_ONCE)))
        # Some seconds' silence is made up for, a long one is not.
        self._due_s = max(self._due_s + len(batch) / self._per_s, loop.time() - LONGEST_MADE_UP_FOR_S)
        await asyncio.sleep(max(0.0, self._due_s - loop.time()))
        return batch

    async def _send(self, producer: AIOKafkaProducer, batch: list[tuple[str, bytes | None]]) -> None:
        for topic in {topic for topic, _ in batch} - self.topics:
            try:
                await self._kafka.create_topic(name=topic, partitions=PARTITIONS if topic.startswith("ztf_") else 1)
            except RuntimeError as error:
                if "already exists" not in str(error):
                    raise
            self.topics.add(topic)
        sent = []
        for topic, body in batch:
            partition = self._chance.randrange(PARTITIONS) if topic.startswith("ztf_") else 0
            sent.append(await producer.send(topic, body, key=b"k", partition=partition))
        for one in sent:
            await one
        self.written.update(topic for topic, _ in batch)
