"""Connections tried once: to a real Kafka, to ports, and to nobody."""

import asyncio
import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridges.attempts import kafka_partitions, listen_once, reach
from bridges.gcn_source import GcnOptions, GcnSource
from bridges.kafka_sink import KafkaAvroOptions, KafkaAvroSink
from bridges.kafka_survey import KafkaSurveyOptions, KafkaSurveySource
from schemas.errors import ConfigurationError
from tests.bridges.conformance import PATIENCE_S
from tests.bridges.kafka_worlds import Observed


async def test_the_topics_of_a_survey_are_counted_with_the_partitions_that_are_ours(kafka):
    topic = await kafka.create_topic("tried", partitions=3)
    options = KafkaSurveyOptions(bootstrap_servers=(kafka.bootstrap,), topics=(topic, "no-such"), workers=2, worker=0)
    source = KafkaSurveySource(options, Path(), observe=Observed())
    assert await source.check() == "1 topics match, 2 partitions"
    found = await kafka_partitions(options.client_arguments(Path()))
    assert sorted(found[topic]) == [0, 1, 2]


@pytest.mark.parametrize(("status", "body"), [(200, '["a-value", "b-value"]'), (200, "{}"), (401, "")])
async def test_a_sink_counts_its_topics_and_the_subjects_of_its_registry(kafka, status, body):
    topic = await kafka.create_topic("bright")
    prefix = topic.removesuffix(topic[-6:])

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body, status=status, content_type="application/json")

    app = web.Application()
    app.router.add_get("/subjects", answer)
    async with TestServer(app) as registry:
        options = KafkaAvroOptions(
            bootstrap_servers=(kafka.bootstrap,),
            topic=prefix + "{substream}",
            encoding="confluent",
            registry_url=str(registry.make_url("/")),
        )
        sink = KafkaAvroSink(options, Path())
        if status != 200:
            with pytest.raises(ConnectionError, match=r"schema registry .* answers 401"):
                await sink.check()
            return
        count = 2 if body.startswith("[") else 0
        expected = f"1 topics are called {prefix}{{substream}}; the registry has {count} subjects"
        async with asyncio.timeout(PATIENCE_S):
            while await sink.check() != expected:  # noqa: ASYNC110 - a new topic is not told of at once
                await asyncio.sleep(0.1)


async def test_a_sink_without_a_registry_tells_of_topics_alone(kafka):
    options = KafkaAvroOptions(bootstrap_servers=(kafka.bootstrap,), topic="nothing-like-it")
    assert await KafkaAvroSink(options, Path()).check() == "0 topics are called nothing-like-it"


async def test_gcn_tells_its_topics_and_whether_its_heart_can_be_heard(kafka):
    topic = await kafka.create_topic("gcn.classic.voevent.TRIED")
    for heartbeat, told in [(topic, "is there"), ("gcn.nowhere", "is not there"), ("", None)]:
        options = GcnOptions(
            bootstrap_servers=kafka.bootstrap, security="plaintext", topic_patterns=(topic,), heartbeat_topic=heartbeat
        )
        expected = f"1 topics match; {heartbeat} {told}" if told else "1 topics match"
        assert await GcnSource(options, Path()).check() == expected


async def test_options_that_librdkafka_cannot_use_are_told(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    options = GcnOptions(bootstrap_servers="localhost:1", security="ssl", ca_file=Path("ca.pem"))
    with pytest.raises(ConfigurationError, match="GCN: "):
        await GcnSource(options, tmp_path).check()


async def test_who_listens_can_be_reached_and_nobody_else(unused_tcp_port):
    async def serve(_, writer):
        writer.write(b"this is not TLS\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await reach("127.0.0.1", port)
        with pytest.raises(ConnectionError, match=f"127.0.0.1:{port} cannot be reached: .*(WRONG|record|unknown)"):
            await reach("127.0.0.1", port, ssl.create_default_context())
    with pytest.raises(ConnectionError, match="cannot be reached"):
        await reach("127.0.0.1", unused_tcp_port)


async def test_a_port_is_free_or_not(unused_tcp_port):
    address = ip_address("127.0.0.1")
    assert listen_once(address, 0) == "127.0.0.1 has free ports"
    assert listen_once(address, unused_tcp_port) == f"127.0.0.1 port {unused_tcp_port} is free"
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        with pytest.raises(ConnectionError, match="cannot be listened at: Address already in use"):
            listen_once(address, server.sockets[0].getsockname()[1])
