"""One connection to a Kafka cluster with one set of partitions: what `bridges.kafka_survey` reads from."""

import asyncio
import time
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from bridges.emit import Positions
from bridges.kafka_survey_options import KafkaSurveyOptions
from bridges.kafka_trouble import TROUBLES, given_up
from schemas.records import Message

log = structlog.get_logger()

Offsets = dict[TopicPartition, int]
ResultT = TypeVar("ResultT")

PIECE_MESSAGES: Final = 64
PIECE_BYTES: Final = 4 << 20
"""How much is taken out of the client's buffer at once, about: the event loop waits meanwhile."""
SMALLEST_FETCH_BYTES: Final = 64 << 10
COMMIT_S: Final = 5.0
IDLE_S: Final = 10.0
"""How long to wait for a first message at a time."""
_US_PER_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class BatchTaken:
    """What was taken in with one batch.

    Attributes
    ----------
    messages, bytes
        How many, and how much.
    tombstones
        Messages without a body, which were skipped.
    oldest_s, newest_s
        From the record's timestamp in Kafka (when it was produced, or appended, as the topic is configured) until
        the batch was kept.
    """

    messages: int
    bytes: int
    tombstones: int
    oldest_s: float
    newest_s: float


class KafkaSurveyObserver(Protocol):
    """Is told what happens; for metrics."""

    def connected(self, partitions: int) -> None:
        """A session began, with so many partitions."""

    def disconnected(self, detail: str) -> None:
        """A session ended, or could not begin; ``detail`` is for a person."""

    def taken(self, batch: BatchTaken) -> None:
        """A batch was kept."""

    def lag(self, topic: str, partition: int, messages: int) -> None:
        """So many messages wait in this partition behind what was kept."""

    def gap(self, topic: str, partition: int, messages: int) -> None:
        """So many messages are gone that were never read; 0 if the partition holds fewer than were read of it."""


@dataclass(slots=True)
class Batch:
    """Messages on their way, and where each partition stands after them."""

    messages: list[Message] = field(default_factory=list)
    next_offsets: Offsets = field(default_factory=dict)
    bytes: int = 0
    tombstones: int = 0
    oldest_ms: float = float("inf")
    newest_ms: float = -float("inf")

    def add(self, partition: TopicPartition, records: Iterable[Any]) -> None:
        """Append records of a partition; those without a body only move its position."""
        topic, place = partition.topic, f"{name_of(partition)}@"
        for record in records:
            self.next_offsets[partition] = record.offset + 1
            if record.value is None:
                self.tombstones += 1
                continue
            self.messages.append(Message(record.value, f"{place}{record.offset}", topic))
            self.bytes += len(record.value)
            self.oldest_ms = min(self.oldest_ms, record.timestamp)
            self.newest_ms = max(self.newest_ms, record.timestamp)

    @property
    def positions(self) -> Positions:
        """The next offsets, by `name_of`."""
        return {name_of(partition): offset for partition, offset in self.next_offsets.items()}

    def taken(self, now_ms: float) -> BatchTaken:
        """What to tell of it."""
        ages = [
            max(0.0, (now_ms - then_ms) / 1e3) if self.messages else 0.0 for then_ms in (self.oldest_ms, self.newest_ms)
        ]
        return BatchTaken(len(self.messages), self.bytes, self.tombstones, *ages)


def name_of(partition: TopicPartition) -> str:
    """How positions and origins call a partition: ``ztf_20261121_programid1[3]``."""
    return f"{partition.topic}[{partition.partition}]"


class Session:
    """Reads a fixed set of partitions until that set changes.

    `begin` and `next` raise `TROUBLES`. Then, as at the end, the session is to be closed.

    Parameters
    ----------
    arguments
        As of `KafkaOptions.client_arguments`.
    """

    def __init__(self, options: KafkaSurveyOptions, arguments: Mapping[str, Any], observe: KafkaSurveyObserver) -> None:
        self._options, self._arguments, self._observe = options, arguments, observe
        self._admin = AIOKafkaAdminClient(**arguments)
        self._consumer: AIOKafkaConsumer | None = None
        self._kept: Offsets = {}
        self._uncommitted: Offsets = {}
        self._tasks: list[asyncio.Task[Any]] = []
        self._watching: asyncio.Task[None] | None = None
        self._gathering: asyncio.Task[Batch] | None = None

    async def begin(self, stored: Positions, *, first: bool) -> Batch:
        """Connect and go to where the store stands.

        Parameters
        ----------
        first
            True if nothing was ever read: then the ``start`` of the options counts.

        Returns
        -------
        Batch
            Without messages: the positions that the store does not know yet.
        """
        await self._admin.start()
        partitions = await self._listed()
        if partitions:
            consumer = await self._connected(len(partitions))
            self._kept = await self._starts(consumer, partitions, stored, first=first)
            consumer.assign(list(partitions))
            for partition, offset in self._kept.items():
                consumer.seek(partition, offset)
            self._gathering = self._task(self._gather(consumer))
            if self._options.group is not None:
                self._task(self._commit_regularly(consumer))
        else:
            wanted = self._options.topic_pattern or ", ".join(self._options.topics)
            log.warning("no topic to read yet", wanted=wanted, looked_for_every_s=self._options.metadata_age_s)
        self._watching = self._task(self._watch(partitions))
        self._observe.connected(len(partitions))
        return Batch(next_offsets={one: offset for one, offset in self._kept.items() if name_of(one) not in stored})

    async def next(self) -> Batch | None:
        """The next batch, while one more is gathered; None once there are other partitions to be read."""
        tasks = [task for task in (self._watching, self._gathering) if task is not None]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if self._gathering is None or self._consumer is None or (self._watching and self._watching.done()):
            await tasks[0]
            return None
        batch = await self._gathering
        self._gathering = self._task(self._gather(self._consumer))
        return batch

    def kept(self, batch: Batch) -> None:
        """The store has this batch."""
        self._kept |= batch.next_offsets
        self._uncommitted |= batch.next_offsets
        if batch.messages or batch.tombstones:
            self._observe.taken(batch.taken(time.time() * 1e3))
        for partition, offset in batch.next_offsets.items():
            end = self._consumer.highwater(partition) if self._consumer else None
            if end is not None:
                self._observe.lag(partition.topic, partition.partition, max(0, end - offset))

    async def close(self) -> None:
        """Commit what was kept and disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._consumer is not None:
            await self._commit(self._consumer)
            await given_up(self._consumer)
        await given_up(self._admin)

    def _task(self, work: Coroutine[Any, Any, ResultT]) -> asyncio.Task[ResultT]:
        self._tasks = [task for task in self._tasks if not task.done()]
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    async def _listed(self) -> set[TopicPartition]:
        """The partitions that there are and that are ours."""
        return {
            TopicPartition(topic["topic"], partition["partition"])
            for topic in await self._admin.describe_topics()
            for partition in topic["partitions"]
            if self._options.reads(topic["topic"], partition["partition"])
        }

    async def _connected(self, partitions: int) -> AIOKafkaConsumer:
        options = self._options
        each_bytes = max(SMALLEST_FETCH_BYTES, min(options.fetch_bytes, options.buffer_bytes // partitions))
        self._consumer = AIOKafkaConsumer(
            **self._arguments,
            group_id=options.group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            check_crcs=options.check_crcs,
            fetch_max_bytes=options.fetch_bytes,
            max_partition_fetch_bytes=each_bytes,
        )
        await self._consumer.start()
        return self._consumer

    async def _starts(
        self, consumer: AIOKafkaConsumer, partitions: set[TopicPartition], stored: Positions, *, first: bool
    ) -> Offsets:
        """Where to read on: where the store stands, as far as that is still there."""
        beginnings = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        new = {partition for partition in partitions if name_of(partition) not in stored}
        starts = {partition: beginnings[partition] for partition in partitions}
        if self._options.start == "latest" and first:
            starts |= {partition: ends[partition] for partition in new}
        elif self._options.start == "committed" and first:
            for partition in new:
                committed = await consumer.committed(partition)
                starts[partition] = beginnings[partition] if committed is None else committed
        elif self._options.start_us is not None and new:
            found = await consumer.offsets_for_times(dict.fromkeys(new, self._options.start_us // _US_PER_MS))
            starts |= {one: at.offset if at is not None else ends[one] for one, at in found.items()}
        starts |= {partition: stored[name_of(partition)] for partition in partitions - new}
        for partition, offset in starts.items():
            if not beginnings[partition] <= offset <= ends[partition]:
                missed = max(0, beginnings[partition] - offset)
                where = {"topic": partition.topic, "partition": partition.partition}
                log.error("gap in a survey", **where, stood_at=offset, begins_at=beginnings[partition], missed=missed)
                self._observe.gap(partition.topic, partition.partition, missed)
                starts[partition] = beginnings[partition]
        return starts

    async def _gather(self, consumer: AIOKafkaConsumer) -> Batch:
        """What comes until a batch is full, or nothing more comes for a while."""
        options, batch, until_s = self._options, Batch(), 0.0
        while True:
            left_s = until_s - time.monotonic() if batch.next_offsets else IDLE_S
            each_bytes = batch.bytes // len(batch.messages) + 1 if batch.messages else PIECE_BYTES // PIECE_MESSAGES
            piece_bytes = min(PIECE_BYTES, max(1, options.batch_bytes - batch.bytes))
            most = max(1, min(PIECE_MESSAGES, options.batch_messages - len(batch.messages), piece_bytes // each_bytes))
            found = await consumer.getmany(timeout_ms=max(0, int(left_s * 1e3)), max_records=most)
            if found and not batch.next_offsets:
                until_s = time.monotonic() + options.batch_wait_s
            for partition, records in found.items():
                batch.add(partition, records)
            full = len(batch.messages) >= options.batch_messages or batch.bytes >= options.batch_bytes
            if full or (batch.next_offsets and not found and time.monotonic() >= until_s):
                return batch
            await asyncio.sleep(0)

    async def _watch(self, partitions: set[TopicPartition]) -> None:
        """Return when there are others to be read; raise when the cluster does not answer."""
        while True:
            await asyncio.sleep(self._options.metadata_age_s)
            if await self._listed() != partitions:
                return
            if self._consumer is not None:
                for partition, end in (await self._consumer.end_offsets(partitions)).items():
                    self._observe.lag(partition.topic, partition.partition, max(0, end - self._kept[partition]))

    async def _commit_regularly(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await asyncio.sleep(self._options.commit_interval_s)
            await self._commit(consumer)

    async def _commit(self, consumer: AIOKafkaConsumer) -> None:
        """Tell the group; nothing depends on it."""
        if self._options.group is None or not self._uncommitted:
            return
        offsets, self._uncommitted = self._uncommitted, {}
        try:
            async with asyncio.timeout(COMMIT_S):
                await consumer.commit(offsets)
        except TROUBLES as error:
            self._uncommitted = offsets | self._uncommitted
            log.warning("positions are not committed to the group", group=self._options.group, trouble=repr(error))
