import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import fastavro
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from lxml import etree

from bridges.delivery import DeliveryRefused, Undelivered
from bridges.kafka_sink import KafkaAvroOptions, KafkaAvroSink, KafkaVoeventOptions, KafkaVoeventSink
from bridges.notice_packets import nothing_before
from bridges.options import Secret
from schemas.catalogue import SchemaCatalogue
from schemas.coincidence_avro import SCHEMA, read_publication
from schemas.reading import read_message
from schemas.records import Message
from schemas.voevent_out import VoeventAuthor, voevent_bytes
from tests.bridges.conformance import PATIENCE_S, SinkBench, SinkConformance, named, publications
from tests.kafka_clients import consume, producing
from tests.kafka_server import own_kafka

AUTHOR = VoeventAuthor("org.example", "test")


def avro_sink(bootstrap, **options):
    return KafkaAvroSink(KafkaAvroOptions(bootstrap_servers=(bootstrap,), **options), Path())


class KafkaBench(SinkBench):
    def __init__(self, server, topic):
        self.server, self.topic = server, topic

    def make(self):
        return avro_sink(self.server.bootstrap, topic=self.topic, delivery_timeout_s=5.0)

    async def received(self, count):
        records = await consume(self.server.bootstrap, self.topic, count)
        return named([read_publication(record.value) for record in records])

    async def go_away(self):
        await self.server.kill()

    async def come_back(self):
        await self.server.start()
        async with producing(self.server.bootstrap, self.topic):
            pass  # so it answers


@pytest.fixture(scope="module")
def server():
    with own_kafka() as own:
        yield own


class TestKafkaAvroSink(SinkConformance):
    @pytest.fixture
    async def bench(self, server):
        return KafkaBench(server, await server.create_topic("sink"))


async def test_a_plain_consumer_reads_containers_with_fastavro(kafka):
    topic = await kafka.create_topic("starcross")
    sent = [replace(one, packet=b"Obj\x01packet") for one in publications(3)]
    async with avro_sink(kafka.bootstrap, topic=topic) as sink:
        await sink.send(sent)
    records = await consume(kafka.bootstrap, topic, 3)
    for record, publication in zip(records, sent, strict=True):
        (read,) = fastavro.reader(BytesIO(record.value))
        assert read["id"] == publication.coincidence.id == record.key.decode()
        assert read["revision"] == publication.coincidence.revision
        headers = {name: value.decode() for name, value in record.headers}
        assert headers == {
            "content-type": "application/avro",
            "state": publication.coincidence.state.value,
            "revision": str(publication.coincidence.revision),
            "schema-version": read["schema_version"],
        }
        assert read_publication(record.value) == publication


async def test_each_substream_has_its_topic(kafka):
    prefix = await kafka.create_topic("streams")
    for substream in ("bright_ones", "gw"):
        await kafka.create_topic(name=f"{prefix}.{substream}")
    (first, second) = publications(2)
    async with avro_sink(kafka.bootstrap, topic=prefix + ".{substream}") as sink:
        await sink.send([replace(first, substreams=("bright ones", "gw")), replace(second, substreams=("gw",))])
    assert len(await consume(kafka.bootstrap, f"{prefix}.bright_ones", 1)) == 1
    records = await consume(kafka.bootstrap, f"{prefix}.gw", 2)
    assert [dict(record.headers)["revision"] for record in records] == [b"1", b"2"]


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_many_at_once_in_order_with_every_codec(kafka, compression):
    topic = await kafka.create_topic("many", partitions=3)
    sent = publications(120)
    async with avro_sink(kafka.bootstrap, topic=topic, compression=compression) as sink:
        await sink.send(sent)
    records = await consume(kafka.bootstrap, topic, 120)
    assert [int(dict(record.headers)["revision"]) for record in records] == list(range(1, 121))
    assert len({record.partition for record in records}) == 1


async def test_topics_are_made_on_request_only(kafka):
    topic = await kafka.create_topic("unmade") + ".made"
    async with avro_sink(kafka.bootstrap, topic=topic) as sink:
        with pytest.raises(Undelivered, match=f"there is no topic {topic}; make it, or set create_topics"):
            await sink.send(publications(1))
        await kafka.create_topic(name=topic)
        await sink.send(publications(1))
    async with avro_sink(kafka.bootstrap, topic=f"{topic}2", create_topics=True, partitions=3) as sink:
        await sink.send(publications(1))
    async with kafka.admin() as admin:
        (made,) = await admin.describe_topics([f"{topic}2"])
    assert len(made["partitions"]) == 3
    async with avro_sink(kafka.bootstrap, topic=f"{topic}3", create_topics=True, replication=3) as sink:
        with pytest.raises(Undelivered, match="cannot be made: InvalidReplicationFactor"):
            await sink.send(publications(1))


async def test_one_that_is_too_large_for_the_servers_is_named(kafka):
    topic = await kafka.create_topic("small", config={"max.message.bytes": "300000"})
    first, large, last = publications(3)
    large = replace(large, packet=bytes(400_000))
    async with avro_sink(kafka.bootstrap, topic=topic, compression="none") as sink:
        with pytest.raises(DeliveryRefused, match="are too many for small-") as refused:
            await sink.send([first, large, last])
        assert refused.value.publication == large
        await sink.send([last])
    read = [read_publication(record.value).coincidence.revision for record in await consume(kafka.bootstrap, topic, 2)]
    assert read[0] == 1
    assert set(read[1:]) <= {3}


async def test_one_that_is_too_large_for_any_server_is_named(kafka):
    topic = await kafka.create_topic("large")
    first, large = publications(2)
    large = replace(large, packet=bytes(17 << 20))
    async with avro_sink(kafka.bootstrap, topic=topic) as sink:
        with pytest.raises(DeliveryRefused) as refused:
            await sink.send([first, large])
    assert refused.value.publication == large
    (record,) = await consume(kafka.bootstrap, topic, 1)
    assert read_publication(record.value) == first


async def test_servers_that_do_not_answer_are_not_waited_for_for_ever():
    gone = asyncio.Event()

    async def silent(reader, writer):
        while await reader.read(1000):
            pass
        writer.close()
        gone.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with avro_sink(f"127.0.0.1:{port}", topic="t", delivery_timeout_s=0.2) as sink:
            with pytest.raises(Undelivered, match=f"Kafka at 127.0.0.1:{port}: TimeoutError: no answer in time"):
                await sink.send(publications(1))
        await asyncio.wait_for(gone.wait(), PATIENCE_S)


class Registry:
    """A schema registry as Confluent's, as far as writers need it."""

    def __init__(self):
        self.subjects = []
        self.status = 200
        self.authorization = set()
        app = web.Application()
        app.router.add_post("/subjects/{subject}/versions", self._register)
        self.server = TestServer(app)

    async def _register(self, request):
        document = await request.json()
        self.authorization.add(request.headers.get("Authorization", "").partition(" ")[0])
        self.subjects.append((request.match_info["subject"], json.loads(document["schema"])["name"]))
        return web.json_response({"id": 40 + len(self.subjects)}, status=self.status)


@pytest.fixture
async def registry():
    made = Registry()
    async with made.server:
        yield made


async def test_confluent_framing_registers_the_schema_once_a_topic(kafka, registry, monkeypatch):
    monkeypatch.setenv("REGISTRY_PASSWORD", "open sesame")
    topic = await kafka.create_topic("framed")
    sink = avro_sink(
        kafka.bootstrap,
        topic=topic,
        encoding="confluent",
        registry_url=str(registry.server.make_url("/")),
        registry_username="starcross",
        registry_password=Secret(env="REGISTRY_PASSWORD"),
    )
    sent = publications(2)
    async with sink:
        registry.status = 503
        with pytest.raises(Undelivered, match="answers 503"):
            await sink.send(sent[:1])
        registry.status = 200
        for publication in sent:
            await sink.send([publication])
    assert [subject for subject, _ in registry.subjects] == [f"{topic}-value"] * 2
    assert registry.authorization == {"Basic"}
    for record, publication in zip(await consume(kafka.bootstrap, topic, 2), sent, strict=True):
        assert record.value[:5] == b"\0\0\0\0*"
        read = fastavro.schemaless_reader(BytesIO(record.value[5:]), SCHEMA)
        assert read["revision"] == publication.coincidence.revision


def notice_of(body, origin, topic=""):
    (notice,) = read_message(Message(body, origin, topic), SchemaCatalogue()).notices
    return notice


@asynccontextmanager
async def voevent_sink(kafka, before=nothing_before, **options):
    made = KafkaVoeventOptions(bootstrap_servers=(kafka.bootstrap,), **options)
    async with KafkaVoeventSink(made, Path(), author=AUTHOR, software="Starcross 1", before=before) as sink:
        yield sink


async def test_coincidences_go_out_as_voevents(kafka):
    topic = await kafka.create_topic("voevent")
    sent = publications(2)
    async with voevent_sink(kafka, topic=topic) as sink:
        await sink.send(sent)
    records = await consume(kafka.bootstrap, topic, 2)
    assert [record.value for record in records] == [voevent_bytes(one.coincidence, AUTHOR) for one in sent]
    assert {dict(record.headers)["content-type"] for record in records} == {b"application/xml"}


async def test_notices_are_passed_on_as_they_are_or_converted(kafka):
    topic = await kafka.create_topic("notices")
    xml = voevent_bytes(publications(1)[0].coincidence, AUTHOR)
    plain = notice_of(xml, "a.xml")
    gcn = {
        "$schema": "https://gcn.nasa.gov/schema/v4.0.0/gcn/notices/einstein_probe/wxt/alert.schema.json",
        "instrument": "WXT",
        "trigger_time": "2026-11-21T03:00:00Z",
        "id": ["01709000001"],
        "ra": 120.0,
        "dec": 30.0,
        "ra_dec_error": 0.05,
    }
    json_topic = "gcn.notices.einstein_probe.wxt.alert"
    notices = [
        notice_of(json.dumps(gcn | {"ra": ra}).encode(), f"{json_topic}[0]@1", json_topic) for ra in (120.0, 120.5)
    ]
    past = {notices[1].ivorn: notices[:1]}
    async with voevent_sink(kafka, lambda notice: past.get(notice.ivorn, ()), notices_topic=topic) as sink:
        for notice in (plain, *notices):
            await sink.relay(notice)
    records = await consume(kafka.bootstrap, topic, 3)
    assert records[0].value == xml
    first, second = (etree.fromstring(record.value) for record in records[1:])
    assert first.get("ivorn") in {cited.text for cited in second.iter("EventIVORN")}
    assert records[1].key == records[2].key == notices[0].trigger_id.encode()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"topic": "a b"}, "no name of a topic"),
        ({"encoding": "confluent"}, "registry_url goes with"),
        ({"registry_url": "https://registry.example.org"}, "registry_url goes with"),
        (
            {"encoding": "confluent", "registry_url": "https://registry.example.org", "registry_username": "us"},
            "go together",
        ),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        KafkaAvroOptions(bootstrap_servers=("localhost:9092",), **options)
