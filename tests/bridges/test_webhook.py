import asyncio
import base64
import hashlib
import hmac
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bridges.delivery import DeliveryRefused, Undelivered, shown
from bridges.options import Secret
from bridges.webhook import RETRY_AFTER_MAX_S, WebhookOptions, WebhookSink, _retry_after_s
from schemas.coincidence import from_document
from schemas.errors import ConfigurationError
from schemas.records import Publication
from schemas.times import us_from_iso
from tests.bridges.conformance import SinkBench, SinkConformance, named, publications
from tests.coincidences import COINCIDENCE, changed

KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
NOW_US = us_from_iso("2026-11-21T03:04:05.678901Z")


class Receiver:
    """A web server that keeps what it is posted.

    Attributes
    ----------
    requests
        Headers and body of each.
    answers
        What is answered next; 204 when there are no more.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[web.Response] = []
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._take)
        self.server = TestServer(app)

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((dict(request.headers), await request.read()))
        return self.answers.pop(0) if self.answers else web.Response(status=204)

    @property
    def bodies(self) -> list[dict]:
        return [json.loads(body) for _, body in self.requests]


@pytest.fixture
async def receiver():
    receiver = Receiver()
    async with receiver.server:
        yield receiver


@pytest.fixture
def sink_to(tmp_path):
    (tmp_path / "key").write_text(SECRET + "\n")

    def make(url, **options) -> WebhookSink:
        made = WebhookOptions(url=str(url), secret=Secret(file=Path("key")), **options)
        return WebhookSink(made, tmp_path, clock=lambda: NOW_US)

    return make


class WebhookBench(SinkBench):
    def __init__(self, sink_to) -> None:
        self.port = unused_port()
        self.sink_to = sink_to
        self.taken: list[tuple[str, int]] = []

    async def _take(self, request: web.Request) -> web.Response:
        for item in (await request.json())["data"]:
            self.taken.append((item["coincidence"]["id"], item["coincidence"]["revision"]))
        return web.Response()

    async def come_back(self) -> None:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self.server = TestServer(app, port=self.port)
        await self.server.start_server()

    async def go_away(self) -> None:
        await self.server.close()

    def make(self) -> WebhookSink:
        return self.sink_to(f"http://127.0.0.1:{self.port}/hook", batch=3)

    async def received(self, count: int) -> list[tuple[str, int]]:
        assert len(self.taken) >= count
        return self.taken


class TestWebhook(SinkConformance):
    @pytest.fixture
    async def bench(self, sink_to):
        bench = WebhookBench(sink_to)
        await bench.come_back()
        yield bench
        await bench.go_away()


async def test_what_is_posted(receiver, sink_to, monkeypatch):
    monkeypatch.setenv("HOOK_AUTHORIZATION", "Bearer 123")
    sink = sink_to(
        receiver.server.make_url("/hook?a=1"),
        headers={"X-Team": "grb"},
        secret_headers={"Authorization": Secret(env="HOOK_AUTHORIZATION")},
    )
    async with sink:
        await sink.send([Publication(COINCIDENCE, ("bright", "grb"), b"the packet")])
    ((headers, body),) = receiver.requests
    assert headers["Content-Type"] == "application/json"
    assert headers["webhook-id"] == f"{COINCIDENCE.id}.r2"
    assert headers["webhook-timestamp"] == "1795230245"
    assert headers["X-Team"] == "grb"
    assert headers["Authorization"] == "Bearer 123"
    signed = f"{COINCIDENCE.id}.r2.1795230245.".encode() + body
    digest = hmac.new(KEY, signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    document = json.loads(body)
    assert document["type"] == "coincidences"
    assert document["timestamp"] == "2026-11-21T03:04:05.678901Z"
    assert [item["substreams"] for item in document["data"]] == [["bright", "grb"]]
    assert from_document(document["data"][0]["coincidence"]) == COINCIDENCE


def test_the_signature_is_that_of_the_specification(tmp_path, monkeypatch):
    """The example of the specification's own libraries."""
    monkeypatch.setenv("KEY", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    options = WebhookOptions(url="https://example.org", secret=Secret(env="KEY"))
    sink = WebhookSink(options, tmp_path, clock=lambda: NOW_US)
    signed = sink._signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_an_id_that_is_no_header_is_hashed(receiver, sink_to):
    async with sink_to(receiver.server.make_url("/")) as sink:
        for odd in ("two\r\nlines", "x" * 201, "ö", "\ud800"):
            await sink.send([Publication(changed(id=odd), ())])
    ids = [headers["webhook-id"] for headers, _ in receiver.requests]
    assert len(set(ids)) == 4
    assert all(len(webhook_id) == 67 and webhook_id.endswith(".r2") for webhook_id in ids)


async def test_batches(receiver, sink_to):
    async with sink_to(receiver.server.make_url("/"), batch=2) as sink:
        await sink.send(publications(5))
        await sink.send(publications(5))
    assert [len(body["data"]) for body in receiver.bodies] == [2, 2, 1] * 2
    ids = [headers["webhook-id"] for headers, _ in receiver.requests]
    assert ids[:3] == ids[3:]
    assert len(set(ids)) == 3


async def test_the_one_that_is_refused_is_found(receiver, sink_to):
    sent = publications(4)
    receiver.answers = [web.Response(status=s, text=f"no\n{s}\x1b[0m") for s in (422, 200, 200, 413)]
    async with sink_to(receiver.server.make_url("/secret-path"), batch=4) as sink:
        with pytest.raises(DeliveryRefused, match=r"answers 413 to grb-5b0f7c2a9d1e4f36.r3: no 413 \[0m") as refused:
            await sink.send(sent)
    assert refused.value.publication == sent[2]
    assert "secret-path" not in str(refused.value)
    assert [len(body["data"]) for body in receiver.bodies] == [4, 1, 1, 1]


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 408, 410, 425, 429, 500, 503])
async def test_what_is_not_the_fault_of_what_was_sent(receiver, sink_to, status):
    elsewhere = {"Location": str(receiver.server.make_url("/elsewhere"))}
    receiver.answers = [web.Response(status=status, headers=elsewhere)]
    async with sink_to(receiver.server.make_url("/hook")) as sink:
        with pytest.raises(Undelivered, match=f"answers {status}") as undelivered:
            await sink.send(publications(1))
    assert not isinstance(undelivered.value, DeliveryRefused)
    assert undelivered.value.retry_after_s is None
    assert len(receiver.requests) == 1


async def test_a_receiver_may_ask_for_a_pause(receiver, sink_to):
    receiver.answers = [web.Response(status=429, headers={"Retry-After": "7"})]
    async with sink_to(receiver.server.make_url("/")) as sink:
        with pytest.raises(Undelivered) as undelivered:
            await sink.send(publications(1))
    assert undelivered.value.retry_after_s == 7


@pytest.mark.parametrize(
    ("header", "pause_s"),
    [
        ("", None),
        ("soon", None),
        ("-1", None),
        ("٣", None),
        ("0", 0),
        ("120", 120),
        ("9" * 400, RETRY_AFTER_MAX_S),
        (format_datetime(datetime(2026, 11, 21, 3, 4, 35, tzinfo=UTC), usegmt=True), 29.321),
        ("Sat, 21 Nov 2026 03:04:35 -0000", 29.321),
        ("Sat, 21 Nov 2020 03:04:35 GMT", 0),
        ("Sat, 21 Nov 2099 03:04:35 GMT", RETRY_AFTER_MAX_S),
    ],
)
def test_pauses(header, pause_s):
    assert _retry_after_s(header, NOW_US) == (pause_s if pause_s is None else pytest.approx(pause_s, abs=1e-3))


@given(st.text() | st.from_regex(r"\A\w{3}, \d\d \w{3} \d{4,5} \d\d:\d\d:\d\d [+-]?\d{0,6}\Z"))
def test_no_pause_is_out_of_bounds(header):
    pause_s = _retry_after_s(header, NOW_US)
    assert pause_s is None or 0 <= pause_s <= RETRY_AFTER_MAX_S


@asynccontextmanager
async def _peer(talk):
    """A plain TCP server."""

    async def serve(reader, writer):
        try:
            await talk(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/secret-path"


async def test_a_receiver_that_says_nothing(sink_to):
    silent = asyncio.Event()
    async with _peer(lambda *_: silent.wait()) as url, sink_to(url, timeout_s=0.2) as sink:
        with pytest.raises(Undelivered, match=r"does not answer: .*Timeout") as undelivered:
            await sink.send(publications(1))
        silent.set()
    assert "secret-path" not in str(undelivered.value)


async def test_a_receiver_that_breaks_off_after_its_status(sink_to):
    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Oh\r\nContent-Length: 100\r\n\r\n")
        await writer.drain()
        writer.write_eof()

    async with _peer(talk) as url, sink_to(url) as sink:
        with pytest.raises(Undelivered, match="answers 500"):
            await sink.send(publications(1))


async def test_a_receiver_that_talks_nonsense(sink_to):
    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SMTP nonsense\r\n\r\n")
        await writer.drain()

    async with _peer(talk) as url, sink_to(url) as sink:
        with pytest.raises(Undelivered, match="does not answer"):
            await sink.send(publications(1))


async def test_nobody_there(sink_to):
    async with sink_to(f"http://127.0.0.1:{unused_port()}/secret-path") as sink:
        with pytest.raises(Undelivered, match=r"does not answer: Connect") as undelivered:
            await sink.send(publications(1))
    assert "secret-path" not in str(undelivered.value)


async def test_a_long_one_is_sent_whole(receiver, sink_to):
    long = changed(trigger={"links": {"x": "y" * 3_000_000}})
    async with sink_to(receiver.server.make_url("/")) as sink:
        await sink.send([Publication(long, ())])
    assert from_document(receiver.bodies[0]["data"][0]["coincidence"]) == long


async def test_outside_of_its_context(sink_to):
    with pytest.raises(RuntimeError, match="async with"):
        await sink_to("http://localhost/").send(publications(1))


@pytest.mark.parametrize("secret", ["short", "whsec_AAAA", "whsec_" + "!" * 40, base64.b64encode(bytes(65)).decode()])
def test_keys_that_are_none(tmp_path, monkeypatch, secret):
    monkeypatch.setenv("KEY", secret)
    options = WebhookOptions(url="https://example.org/", secret=Secret(env="KEY"))
    with pytest.raises(ConfigurationError, match="openssl rand") as error:
        WebhookSink(options, tmp_path, clock=lambda: NOW_US)
    assert secret not in str(error.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://example.org/"},
        {"url": "https://"},
        {"url": "http://[::1"},
        {"headers": {"Webhook-Id": "1"}},
        {"headers": {"X": "a\nb"}},
        {"headers": {"X Y": "a"}},
        {"secret_headers": {"content-TYPE": {"env": "X"}}},
    ],
)
def test_options_that_make_no_sense(wrong):
    with pytest.raises(ValidationError):
        WebhookOptions(**{"url": "https://example.org/", "secret": {"env": "KEY"}} | wrong)


def test_the_url_is_not_shown():
    assert "T0KEN" not in repr(WebhookOptions(url="https://example.org/T0KEN", secret=Secret(env="KEY")))


def test_what_strangers_say_is_shown_short():
    assert shown(b"\xff\x00 a\r\nb") == "a b"
    assert shown("x" * 500) == "x" * 200 + "..."
    assert named(publications(2)) == [(COINCIDENCE.id, 1), (COINCIDENCE.id, 2)]
