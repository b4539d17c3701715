import asyncio
import os
import re
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions, RecordsToDelete

from bridges.kafka_survey import KafkaSurveyOptions, KafkaSurveySource
from tests.bridges.conformance import PATIENCE_S, Keeper, SourceBench, SourceConformance, running
from tests.bridges.kafka_worlds import Observed, numbered
from tests.kafka_clients import consuming, produce, producing
from tests.kafka_server import own_kafka
from tests.survey_packets import LSST_WHOLE, ZTF, container, framed, lsst_alert, ztf_alert


class ImpatientOptions(KafkaSurveyOptions):
    """Its clients give up after seconds: by default they go on asking a server that is away for 40 of them."""

    def client_arguments(self, folder):
        return super().client_arguments(folder) | {"request_timeout_ms": 5_000}


def make_source(bootstrap, observe=None, kind=KafkaSurveyOptions, **options):
    given = {"metadata_age_s": 0.2, "commit_interval_s": 0.1, "batch_wait_s": 0.02} | options
    return KafkaSurveySource(kind(bootstrap_servers=(bootstrap,), **given), Path(), observe=observe or Observed())


class KafkaBench(SourceBench):
    def __init__(self, bootstrap, topic):
        self.bootstrap, self.topic = bootstrap, topic

    def make(self):
        return make_source(self.bootstrap, topics=(self.topic,))

    async def bring(self, *bodies):
        await produce(self.bootstrap, self.topic, *bodies)


class TestKafkaSurveySource(SourceConformance):
    @pytest.fixture
    async def bench(self, kafka):
        return KafkaBench(kafka.bootstrap, await kafka.create_topic("conformance"))


async def kept_of(source, *bodies, positions=None):
    emit = Keeper(positions or {})
    async with running(source, emit):
        await emit.until_kept(*bodies)
    return emit


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


async def test_messages_name_topic_partition_and_offset(kafka):
    topic = await kafka.create_topic("ztf", partitions=2)
    await produce(kafka.bootstrap, topic, b"a", b"b", partition=1)
    emit = await kept_of(make_source(kafka.bootstrap, topics=(topic,)), b"a", b"b")
    assert [(message.origin, message.topic) for message in emit.messages] == [
        (f"{topic}[1]@0", topic),
        (f"{topic}[1]@1", topic),
    ]
    assert emit.positions == {f"{topic}[0]": 0, f"{topic}[1]": 2}


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_codec_and_large_and_poisonous_messages(kafka, codec):
    topic = await kafka.create_topic("codec")
    bodies = [os.urandom(3 << 20), b"", b"\x00poison\xff", b"{" * 10_000, *numbered(50)]
    await produce(kafka.bootstrap, topic, *bodies, compression_type=codec)
    emit = await kept_of(make_source(kafka.bootstrap, topics=(topic,), fetch_bytes=1 << 16), *bodies)
    assert emit.bodies == bodies


async def test_survey_packets_arrive_as_they_were_sent(kafka):
    topic = await kafka.create_topic("packets", partitions=2)
    ztf = [container(ZTF, [ztf_alert(candid=number)]) for number in range(20)]
    lsst = [framed(7, LSST_WHOLE, lsst_alert(diaSourceId=number)) for number in range(20)]
    for partition, bodies in enumerate((ztf, lsst)):
        await produce(kafka.bootstrap, topic, *bodies, partition=partition)
    emit = await kept_of(make_source(kafka.bootstrap, topics=(topic,)), *ztf, *lsst)
    assert [message.body for message in emit.messages if "[0]" in message.origin] == ztf
    assert [message.body for message in emit.messages if "[1]" in message.origin] == lsst


async def test_real_packets_arrive_as_they_were_sent(kafka, data_dir):
    topic = await kafka.create_topic("packets")
    folders = [data_dir / "alerts-ztf", data_dir / "alerts-lsst"]
    bodies = [file.read_bytes() for folder in folders for file in sorted(folder.rglob("*.avro"))[:20]]
    assert bodies
    await produce(kafka.bootstrap, topic, *bodies)
    emit = await kept_of(make_source(kafka.bootstrap, topics=(topic,)), *bodies)
    assert emit.bodies == bodies


async def test_messages_without_a_body_are_skipped_and_counted(kafka):
    topic = await kafka.create_topic("tombstones")
    observed = Observed()
    await produce(kafka.bootstrap, topic, None, b"a", None, b"b", None)
    emit = Keeper()
    async with running(make_source(kafka.bootstrap, observed, topics=(topic,)), emit):
        await until(lambda: sum(batch.tombstones for batch in observed.batches) == 3)
    assert emit.bodies == [b"a", b"b"]
    assert emit.positions == {f"{topic}[0]": 5}
    assert sum(batch.messages for batch in observed.batches) == 2
    assert sum(batch.bytes for batch in observed.batches) == 2
    assert all(0 <= batch.newest_s <= batch.oldest_s < 3600 for batch in observed.batches)


async def test_batches_are_bounded_in_messages_and_bytes(kafka):
    topic = await kafka.create_topic("bounded")
    bodies = [bytes([number]) * 1000 for number in range(200)]
    await produce(kafka.bootstrap, topic, *bodies)
    few = await kept_of(make_source(kafka.bootstrap, topics=(topic,), batch_messages=7), *bodies)
    assert max(map(len, few.batches)) <= 7
    small = await kept_of(make_source(kafka.bootstrap, topics=(topic,), batch_bytes=10_000), *bodies)
    assert max(sum(len(message.body) for message in batch) for batch in small.batches) <= 11_000
    assert few.bodies == small.bodies == bodies


async def test_it_begins_at_the_end_or_at_a_time_and_later_topics_at_their_beginning(kafka):
    prefix = f"start-{uuid.uuid4().hex[:8]}"
    old = await kafka.create_topic(name=f"{prefix}-old")
    async with producing(kafka.bootstrap) as producer:
        for hour, body in enumerate([b"h0", b"h1", b"h2"]):
            at = datetime(2026, 11, 21, hour, tzinfo=UTC)
            await producer.send_and_wait(old, body, timestamp_ms=int(at.timestamp() * 1000))
    pattern = f"{prefix}-.*"
    timed = await kept_of(make_source(kafka.bootstrap, topic_pattern=pattern, start="2026-11-21T00:30:00Z"), b"h2")
    assert timed.bodies == [b"h1", b"h2"]
    never = Keeper()
    async with running(make_source(kafka.bootstrap, topic_pattern=pattern, start="2027-01-01T00:00:00Z"), never):
        await never.until(lambda: never.positions)
    assert never.positions == {f"{old}[0]": 3}

    emit, observed = Keeper(), Observed()
    async with running(make_source(kafka.bootstrap, observed, topic_pattern=pattern, start="latest"), emit):
        await emit.until(lambda: emit.positions)
        await produce(kafka.bootstrap, old, b"new")
        await emit.until_kept(b"new")
        later = await kafka.create_topic(name=f"{prefix}-later", partitions=2)
        await produce(kafka.bootstrap, later, b"first", partition=1)
        await emit.until_kept(b"first")
        await produce(kafka.bootstrap, old, b"newer")
        await emit.until_kept(b"newer")
    assert emit.bodies == [b"new", b"first", b"newer"]
    assert observed.connections == [1, 3]


async def test_latest_counts_once_for_what_was_there(kafka):
    """What came while the process was down is not skipped, though no message was ever read."""
    topic = await kafka.create_topic("latest")
    await produce(kafka.bootstrap, topic, b"before")
    emit = Keeper()
    async with running(make_source(kafka.bootstrap, topics=(topic,), start="latest"), emit):
        await emit.until(lambda: emit.positions)
    await produce(kafka.bootstrap, topic, b"while it was down")
    after = await kept_of(
        make_source(kafka.bootstrap, topics=(topic,), start="latest"), b"while it was down", positions=emit.positions
    )
    assert after.bodies == [b"while it was down"]


async def test_a_topic_that_is_not_there_yet_is_waited_for(kafka):
    name = f"awaited-{uuid.uuid4().hex}"
    emit = Keeper()
    async with running(make_source(kafka.bootstrap, topics=(name,)), emit):
        await kafka.create_topic(name=name)
        await produce(kafka.bootstrap, name, b"here")
        await emit.until_kept(b"here")


async def test_new_partitions_are_found_and_deleted_topics_let_go(kafka):
    topic, other = await kafka.create_topic("grows"), await kafka.create_topic("goes")
    emit, observed = Keeper(), Observed()
    async with running(make_source(kafka.bootstrap, observed, topics=(topic, other)), emit), kafka.admin() as admin:
        await produce(kafka.bootstrap, topic, b"a")
        await emit.until_kept(b"a")
        await admin.create_partitions({topic: NewPartitions(2)})
        await produce(kafka.bootstrap, topic, b"b", partition=1)
        await emit.until_kept(b"b")
        await admin.delete_topics([other])
        await until(lambda: observed.connections[-1] == 2 and len(observed.connections) == 3)
    assert observed.connections == [2, 3, 2]


async def test_positions_are_committed_to_the_group_and_can_be_taken_over(kafka):
    topic, group = await kafka.create_topic("committed", partitions=2), f"group-{uuid.uuid4().hex}"
    await produce(kafka.bootstrap, topic, b"a", b"b")
    emit = Keeper()
    async with (
        running(make_source(kafka.bootstrap, topics=(topic,), group=group), emit),
        consuming(kafka.bootstrap, group_id=group) as consumer,
        asyncio.timeout(PATIENCE_S),
    ):
        await emit.until_kept(b"a", b"b")
        while await consumer.committed(TopicPartition(topic, 0)) != 2:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
    await produce(kafka.bootstrap, topic, b"c")
    again = await kept_of(make_source(kafka.bootstrap, topics=(topic,), group=group, start="committed"), b"c")
    assert again.bodies == [b"c"]


async def test_stored_positions_win_over_those_of_the_group(kafka):
    topic, group = await kafka.create_topic("store", partitions=1), f"group-{uuid.uuid4().hex}"
    bodies = numbered(5)
    await produce(kafka.bootstrap, topic, *bodies)
    await kept_of(make_source(kafka.bootstrap, topics=(topic,), group=group), *bodies)
    stored = {f"{topic}[0]": 3}
    again = await kept_of(make_source(kafka.bootstrap, topics=(topic,), group=group), *bodies[3:], positions=stored)
    assert again.bodies == bodies[3:]


async def test_two_workers_of_one_group_share_the_partitions(kafka):
    topic, group = await kafka.create_topic("shared", partitions=5), f"group-{uuid.uuid4().hex}"
    bodies = {partition: numbered(20, f"p{partition}-") for partition in range(5)}
    emits = [Keeper(), Keeper()]
    sources = [
        make_source(kafka.bootstrap, topics=(topic,), group=group, workers=2, worker=worker) for worker in range(2)
    ]
    async with running(sources[0], emits[0]):
        for partition, these in bodies.items():
            await produce(kafka.bootstrap, topic, *these, partition=partition)
        async with running(sources[1], emits[1]):
            await emits[0].until_kept(*(body for partition in (0, 2, 4) for body in bodies[partition]))
            await emits[1].until_kept(*(body for partition in (1, 3) for body in bodies[partition]))
    assert sorted(emits[0].bodies + emits[1].bodies) == sorted(body for these in bodies.values() for body in these)


async def test_what_was_deleted_before_it_was_read_is_a_counted_gap(kafka):
    topic = await kafka.create_topic("gap", partitions=2)
    for partition in range(2):
        await produce(kafka.bootstrap, topic, *numbered(10), partition=partition)
    async with kafka.admin() as admin:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(7)})
    observed = Observed()
    stood = {f"{topic}[0]": 4, f"{topic}[1]": 99}
    emit = Keeper(stood)
    async with running(make_source(kafka.bootstrap, observed, topics=(topic,)), emit):
        await emit.until(lambda: len(emit.messages) == 13)
    assert sorted(observed.gaps) == [(topic, 0, 3), (topic, 1, 0)]
    assert emit.positions == {f"{topic}[0]": 10, f"{topic}[1]": 10}


async def test_what_is_deleted_while_a_batch_waits_is_a_gap_too(kafka):
    topic = await kafka.create_topic("gap")
    bodies = [bytes([number]) * 100_000 for number in range(40)]
    for body in bodies:
        await produce(kafka.bootstrap, topic, body)
    emit, observed = Keeper(), Observed()
    emit.gate.clear()
    options = {"batch_messages": 1, "fetch_bytes": 1 << 16, "metadata_age_s": 60.0}
    async with running(make_source(kafka.bootstrap, observed, topics=(topic,), **options), emit):
        await emit.until(lambda: emit.calls)
        async with kafka.admin() as admin:
            await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(39)})
        emit.gate.set()
        await emit.until_kept(bodies[-1])
    assert observed.gaps
    assert sum(missed for *_, missed in observed.gaps) + len(emit.bodies) == 40
    assert any("OffsetOutOfRange" in trouble for trouble in observed.troubles)


async def test_lag_is_told(kafka):
    topic = await kafka.create_topic("lag")
    await produce(kafka.bootstrap, topic, *numbered(10))
    emit, observed = Keeper(), Observed()
    async with running(make_source(kafka.bootstrap, observed, topics=(topic,), batch_messages=4), emit):
        await emit.until(lambda: emit.positions)
        emit.gate.clear()
        await until(lambda: observed.lags.get((topic, 0), 0) > 0)
        emit.gate.set()
        await until(lambda: observed.lags[topic, 0] == 0)
    assert len(emit.bodies) == 10


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_a_server_that_goes_and_comes_back_loses_and_repeats_nothing(end):
    async with own_kafka() as server:
        topic = await server.create_topic("restart")
        emit, observed = Keeper(), Observed()
        source = make_source(server.bootstrap, observed, ImpatientOptions, topics=(topic,), group="restarted")
        async with running(source, emit):
            await produce(server.bootstrap, topic, *numbered(20, "before"))
            await emit.until_kept(*numbered(20, "before"))
            await getattr(server, end)()
            await until(lambda: len(observed.troubles) >= 2)
            await server.start()
            await produce(server.bootstrap, topic, *numbered(20, "after"))
            await emit.until_kept(*numbered(20, "after"))
    assert emit.bodies == [*numbered(20, "before"), *numbered(20, "after")]
    assert all(re.match(r"Kafka at 127\.0\.0\.1:\d+: ", trouble) for trouble in observed.troubles)


async def test_a_server_that_is_not_there_at_the_start_is_waited_for():
    async with own_kafka() as server:
        topic = await server.create_topic("late")
        await produce(server.bootstrap, topic, b"a")
        await server.stop()
        emit, observed = Keeper(), Observed()
        async with running(make_source(server.bootstrap, observed, ImpatientOptions, topics=(topic,)), emit):
            await until(lambda: observed.troubles)
            await server.start()
            await emit.until_kept(b"a")


async def test_an_error_of_emit_that_looks_like_one_of_the_network_is_not_taken_for_one(kafka):
    topic = await kafka.create_topic("emit")
    await produce(kafka.bootstrap, topic, b"a")
    emit = Keeper()
    emit.failing = OSError("no space left on device")
    with pytest.raises(OSError, match="no space left"):
        await asyncio.wait_for(make_source(kafka.bootstrap, topics=(topic,)).run(emit), PATIENCE_S)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "name topics or a topic_pattern"),
        ({"topics": ("a",), "topic_pattern": "a"}, "name topics or a topic_pattern"),
        ({"topic_pattern": "a("}, "no regular expression"),
        ({"topics": ("a",), "start": "yesterday"}, "ISO 8601"),
        ({"topics": ("a",), "start": "committed"}, "needs a group"),
        ({"topics": ("a",), "workers": 2, "worker": 2}, "0 to workers - 1"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        KafkaSurveyOptions(bootstrap_servers=("localhost:9092",), **options)
