import asyncio
import json
import re
import uuid
from contextlib import asynccontextmanager, suppress

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiokafka import AIOKafkaProducer
from confluent_kafka import KafkaError
from pydantic import ValidationError

from bridges.gcn_source import _ERROR_TEXT, TOPIC_PATTERNS, GcnOptions, GcnSource
from bridges.options import Secret
from schemas.errors import ConfigurationError
from tests.bridges.conformance import PATIENCE_S, Keeper, SourceBench, SourceConformance, running
from tests.kafka_clients import produce, producing
from tests.kafka_server import own_kafka, unsecured_token


class Reports:
    def __init__(self) -> None:
        self.heartbeats = 0
        self.silences: list[float] = []
        self.texts: list[tuple[str, str]] = []
        self.troubles: list[tuple[str, str]] = []

    def heartbeat(self) -> None:
        self.heartbeats += 1

    def silence(self, silent_s: float) -> None:
        self.silences.append(silent_s)

    def not_a_notice(self, origin: str, text: str) -> None:
        self.texts.append((origin, text))

    def trouble(self, code: str, detail: str) -> None:
        self.troubles.append((code, detail))


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - of reports
            await asyncio.sleep(0.01)


class GcnBench(SourceBench):
    """Topics of names of its own on the shared server."""

    def __init__(self, kafka, folder) -> None:
        self.kafka = kafka
        self.folder = folder
        self.prefix = f"gcn-{uuid.uuid4().hex[:8]}"
        self.topic = self.name("notices.first")
        self.reports = Reports()
        self.producer: AIOKafkaProducer | None = None

    def name(self, suffix: str) -> str:
        return f"{self.prefix}.{suffix}"

    @asynccontextmanager
    async def open(self):
        await self.create("notices.first")
        async with producing(self.kafka.bootstrap, self.topic) as self.producer:
            yield self

    async def create(self, suffix: str) -> None:
        await self.kafka.create_topic(name=self.name(suffix))

    def make(self, **options) -> GcnSource:
        here = {
            "bootstrap_servers": self.kafka.bootstrap,
            "security": "plaintext",
            "topic_patterns": (re.escape(self.prefix) + r"\.notices\..+",),
            "heartbeat_topic": self.name("heartbeat"),
            "refresh_s": 0.5,
        }
        return GcnSource(GcnOptions(**here | options), self.folder, observe=self.reports)

    async def bring(self, *bodies: bytes) -> None:
        for body in bodies:
            await self.send("notices.first", body)

    async def send(self, suffix: str, body: bytes | None) -> None:
        await self.producer.send_and_wait(self.name(suffix), body, key=b"k", partition=0)


@pytest.fixture
async def gcn(kafka, tmp_path):
    async with GcnBench(kafka, tmp_path).open() as bench:
        yield bench


class TestGcn(SourceConformance):
    @pytest.fixture
    def bench(self, gcn):
        return gcn


async def test_messages_name_topic_and_offset(gcn):
    await gcn.bring(b"<a/>", b"<b/>")
    emit = Keeper()
    async with running(gcn.make(), emit):
        await emit.until_kept(b"<b/>")
    assert [(m.origin, m.topic) for m in emit.messages] == [(f"{gcn.topic}[0]@{n}", gcn.topic) for n in (0, 1)]
    assert emit.positions == {f"{gcn.topic}[0]": 2}


async def test_new_topics_are_found_and_heard_from_their_beginning(gcn):
    await gcn.bring(b"<old/>")
    emit = Keeper()
    async with running(gcn.make(start="latest"), emit):
        await emit.until(lambda: emit.positions == {f"{gcn.topic}[0]": 1})
        await gcn.create("notices.second")
        await gcn.create("circulars")
        await gcn.send("notices.second", b"<first/>")
        await gcn.send("circulars", b"not asked for")
        await gcn.bring(b"<new/>")
        await emit.until_kept(b"<first/>", b"<new/>")
    assert sorted(emit.bodies) == [b"<first/>", b"<new/>"]


async def test_a_topic_that_came_while_we_were_away_is_heard_from_its_beginning(gcn):
    first = Keeper()
    async with running(gcn.make(start="latest"), first):
        await first.until(lambda: first.positions)
    await gcn.bring(b"<a/>")
    await gcn.create("notices.second")
    await gcn.send("notices.second", b"<b/>")
    second = Keeper(first.positions)
    async with running(gcn.make(start="latest"), second):
        await second.until_kept(b"<a/>", b"<b/>")
    assert len(second.bodies) == 2


async def test_what_is_no_longer_kept_there_is_passed_over(gcn):
    await gcn.bring(b"<a/>")
    emit = Keeper({f"{gcn.topic}[0]": 1000})
    async with running(gcn.make(), emit):
        await emit.until_kept(b"<a/>")
    assert emit.positions == {f"{gcn.topic}[0]": 1}


async def test_texts_of_errors_and_empty_messages_are_not_notices(gcn):
    text = b"Subscribed topic not available: gcn.notices.icecube: Broker: Unknown topic or partition"
    await gcn.bring(text)
    await gcn.send("notices.first", None)
    await gcn.bring(b"", b"<a/>")
    emit = Keeper()
    async with running(gcn.make(), emit):
        await emit.until_kept(b"<a/>")
    assert emit.bodies == [b"<a/>"]
    assert gcn.reports.texts == [(f"{gcn.topic}[0]@0", text.decode()), *((f"{gcn.topic}[0]@{n}", "") for n in (1, 2))]


@pytest.mark.parametrize(
    "body", [b"<a>Broker: x</a>", b'{"a": "Broker: x"}', b"Obj\x01 Local: x", b"Broker", b"SIMPLE  = T"]
)
def test_notices_are_no_texts_of_errors(body):
    assert not _ERROR_TEXT.fullmatch(body)


async def test_the_heartbeat_is_watched(gcn):
    emit = Keeper()
    await gcn.create("heartbeat")
    await gcn.send("heartbeat", b"{}")
    source = gcn.make(silent_after_s=1.0)
    async with running(source, emit):
        await until(lambda: gcn.reports.silences)
        assert source.silent_for_s >= 1.0
        before = gcn.reports.heartbeats
        await gcn.send("heartbeat", b"{}")
        await until(lambda: gcn.reports.heartbeats > before)
        await until(lambda: len(gcn.reports.silences) == 2)
    assert not emit.messages
    assert not emit.positions


async def test_no_heartbeat_is_watched_where_there_is_none(gcn):
    await gcn.bring(b"<a/>")
    emit, source = Keeper(), gcn.make(heartbeat_topic="", silent_after_s=0.001)
    async with running(source, emit):
        await emit.until_kept(b"<a/>")
    assert source.silent_for_s is None
    assert not gcn.reports.silences


async def test_a_deleted_topic_does_not_end_it(gcn):
    await gcn.create("notices.second")
    await gcn.send("notices.second", b"<b/>")
    emit = Keeper()
    async with running(gcn.make(), emit):
        await emit.until_kept(b"<b/>")
        async with gcn.kafka.admin() as admin:
            await admin.delete_topics([gcn.name("notices.second")])
        await gcn.bring(b"<a/>")
        await emit.until_kept(b"<a/>")
        await gcn.bring(b"<c/>")
        await emit.until_kept(b"<c/>")


async def test_large_messages(gcn):
    body = b"{" + b"x" * (4 << 20)
    await produce(gcn.kafka.bootstrap, gcn.topic, *[body] * 3)
    emit = Keeper()
    async with running(gcn.make(), emit):
        await emit.until(lambda: emit.bodies == [body] * 3)


async def test_nobody_there(tmp_path, unused_tcp_port):
    reports = Reports()
    options = GcnOptions(bootstrap_servers=f"127.0.0.1:{unused_tcp_port}", security="plaintext", silent_after_s=0.1)
    async with running(GcnSource(options, tmp_path, observe=reports), Keeper()):
        await until(lambda: reports.troubles and reports.silences)


class TokenEndpoint:
    """Gives tokens that live seconds, by OAuth's client credentials."""

    def __init__(self, lifetime_s: float) -> None:
        self.lifetime_s = lifetime_s
        self.given = 0
        self.refusing = False
        app = web.Application()
        app.router.add_post("/oauth2/token", self._give)
        self.server = TestServer(app)

    async def _give(self, request: web.Request) -> web.Response:
        form = await request.post()
        if self.refusing or form["grant_type"] != "client_credentials":
            return web.json_response({"error": "invalid_client"}, status=401)
        self.given += 1
        token = unsecured_token("starcross", lifetime_s=self.lifetime_s)
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": int(self.lifetime_s)})


async def test_tokens_that_live_seconds_are_renewed(tmp_path, monkeypatch):
    monkeypatch.setenv("GCN_SECRET", "s3cret")
    endpoint = TokenEndpoint(3.0)
    reauth = {"connections.max.reauth.ms": "3000"}
    server = own_kafka(sasl=("OAUTHBEARER",), properties=reauth)
    async with endpoint.server, server, GcnBench(server, tmp_path).open() as gcn:
        source = gcn.make(
            bootstrap_servers=server.listeners["SASL_PLAINTEXT"],
            security="sasl_plaintext",
            client_id="us",
            client_secret=Secret(env="GCN_SECRET"),
            token_url=str(endpoint.server.make_url("/oauth2/token")),
        )
        emit = Keeper()
        async with running(source, emit):
            sent = 0
            while endpoint.given < 4 or not sent:
                await gcn.bring(f"<n{sent}/>".encode())
                sent += 1
                await emit.until_kept(f"<n{sent - 1}/>".encode())
                await asyncio.sleep(0.2)
            endpoint.refusing = True
            await until(lambda: any("AUTHENTICATION" in code for code, _ in gcn.reports.troubles))
            endpoint.refusing = False
            await gcn.bring(b"<last/>")
            await emit.until_kept(b"<last/>")
    assert emit.bodies == [*(f"<n{n}/>".encode() for n in range(sent)), b"<last/>"]
    assert not any("s3cret" in detail for _, detail in gcn.reports.troubles)


async def test_a_server_that_is_killed_and_comes_back(tmp_path):
    async with own_kafka() as server:
        bench = GcnBench(server, tmp_path)
        async with bench.open() as gcn:
            emit = Keeper()
            async with running(gcn.make(), emit):
                await gcn.bring(b"<a/>")
                await emit.until_kept(b"<a/>")
                await server.kill()
                await until(lambda: gcn.reports.troubles)
                await server.start()
                with suppress(Exception):
                    await gcn.producer.stop()
                async with producing(server.bootstrap, gcn.topic) as gcn.producer:
                    await gcn.bring(b"<b/>")
                await emit.until_kept(b"<b/>")
    assert emit.bodies == [b"<a/>", b"<b/>"]


def test_by_default_it_is_gcn(monkeypatch, tmp_path):
    monkeypatch.setenv("GCN_SECRET", "s3cret")
    options = GcnOptions(client_id="us", client_secret=Secret(env="GCN_SECRET"))
    arguments = options.client_arguments(tmp_path)
    assert arguments["bootstrap.servers"] == "kafka.gcn.nasa.gov"
    assert arguments["sasl.oauthbearer.token.endpoint.url"] == "https://auth.gcn.nasa.gov/oauth2/token"
    assert arguments["security.protocol"] == "sasl_ssl"
    assert "s3cret" not in repr(GcnSource(options, tmp_path)) + json.dumps(options.model_dump(mode="json"))


@pytest.mark.parametrize(
    ("topic", "wanted"),
    [
        ("gcn.classic.voevent.FERMI_GBM_FLT_POS", True),
        ("gcn.notices.einstein_probe.wxt.alert", True),
        ("igwn.gwalert", True),
        ("gcn.classic.text.FERMI_GBM_FLT_POS", False),
        ("gcn.circulars", False),
        ("gcnXnotices.a", False),
    ],
)
def test_which_topics_are_heard(topic, wanted):
    assert any(re.fullmatch(pattern, topic) for pattern in TOPIC_PATTERNS) is wanted


async def test_what_librdkafka_cannot_use(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    options = GcnOptions(bootstrap_servers="x", security="ssl", ca_file="ca.pem")
    with pytest.raises(ConfigurationError, match=r"GCN: .*(ssl|certificate)"):
        await GcnSource(options, tmp_path).run(Keeper())


def test_certificates_that_are_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match=r"nowhere\.pem: there are no"):
        GcnSource(GcnOptions(bootstrap_servers="x", security="ssl", ca_file="nowhere.pem"), tmp_path)


def _plain(tmp_path, observe=None):
    return GcnSource(GcnOptions(bootstrap_servers="x", security="plaintext"), tmp_path, observe=observe)


def test_an_error_that_librdkafka_does_not_survive_ends_it(tmp_path):
    with pytest.raises(ConnectionError, match=r"GCN: _FATAL: gone"):
        _plain(tmp_path)._report(KafkaError(KafkaError._FATAL, "gone", fatal=True))


def test_the_same_trouble_is_logged_once_a_minute(tmp_path, monkeypatch):
    monkeypatch.setattr("bridges.gcn_source._TROUBLES_MAX", 2)
    reports = Reports()
    told, silent = _plain(tmp_path, reports), _plain(tmp_path)
    with structlog.testing.capture_logs() as logs:
        for source in (told, silent):
            for text in "aaabc":
                source._report(KafkaError(KafkaError._TRANSPORT, text))
    assert [entry["detail"] for entry in logs] == ["a", "b", "c"] * 2
    assert reports.troubles == [("_TRANSPORT", text) for text in "aaabc"]


async def test_nobody_needs_to_watch(gcn):
    await gcn.create("heartbeat")
    await gcn.bring(b"", b"<a/>")
    source, emit = gcn.make(silent_after_s=0.1), Keeper()
    source._observe = None
    async with running(source, emit):
        await emit.until_kept(b"<a/>")
        await until(lambda: source._is_silent)
        await gcn.send("heartbeat", b"{}")
        await until(lambda: source.silent_for_s < 0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"client_id": "us"},
        {"client_secret": {"env": "X"}},
        {"security": "plaintext", "client_id": "us", "client_secret": {"env": "X"}},
        {"security": "plaintext", "topic_patterns": ()},
        {"security": "plaintext", "topic_patterns": ("(",)},
        {"security": "plaintext", "start": "middle"},
        {"security": "plaintext", "domain": "a/b"},
    ],
)
def test_options_that_make_no_sense(wrong):
    with pytest.raises(ValidationError):
        GcnOptions(**wrong)
