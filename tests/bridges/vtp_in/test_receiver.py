"""Events that authors submit."""

import asyncio
import shutil
import ssl
import subprocess
from collections import deque

import pytest
import pytest_asyncio
from lxml import etree

from bridges.vtp_in.handover import Outcome
from bridges.vtp_in.options import VtpReceiverOptions, VtpSubscriberOptions
from broker.interfaces import Source
from schemas.records import Receipt, Rejection
from tests.bridges.conformance import Keeper, SourceBench, SourceConformance, running
from tests.bridges.vtp_in.peers import UTCNOW, event, framed, remote, result_of, role_of, submit, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.filterwarnings(UTCNOW)]


@pytest.fixture
def receive(receiving, tmp_path):
    """Makes a source at a port of its own."""

    def make(*, observe=None, **options):
        made = VtpReceiverOptions.model_validate({"port": 0, "local_ivo": "ivo://test.example/us"} | options)
        return receiving.VtpReceiverSource(made, tmp_path, **({} if observe is None else {"observe": observe}))

    return make


async def where(source) -> str:
    """The address, once it listens."""
    await until(lambda: source.status().address)
    return source.status().address


class TestConformance(SourceConformance):
    """With an author who submits one event after the other, each until it is acknowledged."""

    @pytest_asyncio.fixture(loop_scope="session")
    async def bench(self, receive):
        class Bench(SourceBench):
            def __init__(self) -> None:
                self.source = None
                self.pending: deque[bytes] = deque()

            def make(self) -> Source:
                self.source = receive()
                return self.source

            async def bring(self, *bodies: bytes) -> None:
                self.pending.extend(bodies)

            async def author(self) -> None:
                while True:
                    await asyncio.sleep(0.005)
                    if not self.pending or self.source is None or (address := self.source.status().address) is None:
                        continue
                    try:
                        answer = await submit(address, framed(self.pending[0]))
                    except ConnectionError:
                        continue
                    if answer is not None and role_of(answer) == "ack":
                        self.pending.popleft()

        made = Bench()
        task = asyncio.create_task(made.author())
        yield made
        task.cancel()


async def test_an_author_is_answered_when_the_event_is_kept(receive):
    emit = Keeper()
    emit.gate.clear()
    source = receive()
    async with running(source, emit):
        answer = asyncio.create_task(submit(await where(source), framed(event(1))))
        await emit.until(lambda: emit.calls)
        assert not answer.done()
        assert source.status().connections == {"127.0.0.1": 1}
        emit.gate.set()
        ack = etree.fromstring(await answer)
    assert ack.get("role") == "ack"
    assert ack.findtext("Origin") == "ivo://test.example/stream#1"
    assert ack.findtext("Response") == "ivo://test.example/us"
    assert emit.bodies == [event(1)]
    assert emit.messages[0].origin.startswith("vtp://127.0.0.1#")
    assert source.status() == type(source.status())(None, {})


async def test_an_author_whose_event_was_not_kept_hears_nothing(receive):
    emit = Keeper()
    emit.gate.clear()
    source = receive()
    task = asyncio.create_task(source.run(emit))
    answer = asyncio.create_task(submit(await where(source), framed(event(1))))
    await emit.until(lambda: emit.calls)
    task.cancel()
    assert await answer is None


async def test_what_is_rejected_is_refused_with_the_reason(receive):
    outcomes = []

    async def rejecting(messages, _positions=None):
        return Receipt(
            0, tuple(Rejection(m.origin, "bad_time", "1\x0002 is no \ud800 date" + "x" * 999) for m in messages)
        )

    source = receive(observe=outcomes.append)
    async with running(source, rejecting):
        address = await where(source)
        named, nameless = [await submit(address, framed(body)) for body in (event(1), b"<VOEvent/>")]
    for answer in (named, nameless):
        assert role_of(answer) == "nak"
        assert result_of(answer).startswith("Event rejected: bad_time: 1?02 is no ? datexxx")
        assert len(result_of(answer)) < 600
    assert etree.fromstring(named).findtext("Origin") == "ivo://test.example/stream#1"
    assert outcomes == [Outcome.REJECTED] * 2


async def test_an_event_that_comes_again_is_acknowledged_again(receive):
    emit = Keeper()
    source = receive()
    async with running(source, emit):
        address = await where(source)
        answers = await asyncio.gather(*(submit(address, framed(event(1))) for _ in range(5)))
    assert {role_of(answer) for answer in answers} == {"ack"}
    assert emit.bodies == [event(1)]


async def test_only_listed_authors_and_events_are_taken(receive):
    def by(author: str, number: int, stream: str = "ivo://test.example/stream") -> bytes:
        body = event(number).replace(b"ivo://test.example/stream", stream.encode())
        root = etree.fromstring(body)
        who = root.find("{*}Who")
        for old in who.findall("{*}AuthorIVORN"):
            who.remove(old)
        etree.SubElement(who, "AuthorIVORN").text = author
        return etree.tostring(root)

    outcomes = []
    emit = Keeper()
    source = receive(observe=outcomes.append, authors=["ivo://good.example/*"], events=["ivo://test.example/*"])
    async with running(source, emit):
        address = await where(source)
        good = by("ivo://GOOD.example/me", 1)
        assert role_of(await submit(address, framed(good))) == "ack"
        for bad, what in (
            (by("ivo://bad.example/me", 2), "author 'ivo://bad.example/me'"),
            (by("ivo://good.example/me", 3, "ivo://other.example/s"), "event 'ivo://other.example/s#3'"),
            (event(4), "author 'ivo://test/author'"),
        ):
            answer = await submit(address, framed(bad))
            assert role_of(answer) == "nak"
            assert what in result_of(answer)
    assert emit.bodies == [good]
    assert outcomes == [Outcome.ACCEPTED] + [Outcome.NOT_ALLOWED] * 3


async def test_only_listed_networks_are_let_in(receive):
    outcomes = []
    source = receive(observe=outcomes.append, access={"allow": ["192.0.2.0/24", "2001:db8::/32"]})
    async with running(source, Keeper()):
        assert await submit(await where(source), framed(event(1))) is None
    assert outcomes == [Outcome.NOT_ALLOWED]


@pytest.mark.parametrize("bound", ["connections_max", "connections_per_address_max"])
async def test_only_so_many_are_connected(receive, bound):
    outcomes = []
    source = receive(observe=outcomes.append, **{bound: 2})
    async with running(source, Keeper()):
        address = await where(source)
        host, port = address.split(":")
        open_ones = [await asyncio.open_connection(host, port) for _ in range(2)]
        await until(lambda: source.status().connections == {host: 2})
        assert await submit(address, framed(event(1))) is None
        for _, writer in open_ones:
            writer.close()
            await writer.wait_closed()
        await until(lambda: not source.status().connections)
        assert role_of(await submit(address, framed(event(1)))) == "ack"
    assert outcomes == [Outcome.TOO_MANY_CONNECTIONS, Outcome.ACCEPTED]


async def test_what_is_too_large_is_refused_before_it_is_read(receive):
    outcomes = []
    source = receive(observe=outcomes.append, message_bytes=2000)
    async with running(source, Keeper()):
        answer = await submit(await where(source), framed(b"x" * 2001))
        assert role_of(answer) == "nak"
        assert "has 2001 bytes, at most 2000" in result_of(answer)
    assert outcomes == [Outcome.TOO_LARGE]


async def test_a_mebibyte_is_taken_in_pieces(receive):
    large = event(1, params={"note": "x" * 1_040_000})
    emit = Keeper()
    source = receive()
    async with running(source, emit):
        assert role_of(await submit(await where(source), framed(large))) == "ack"
    assert emit.bodies == [large]


async def test_one_event_a_connection(receive):
    emit = Keeper()
    source = receive()
    async with running(source, emit):
        assert role_of(await submit(await where(source), framed(event(1)) + framed(event(2)))) == "ack"
        assert role_of(await submit(await where(source), framed(event(3)))) == "ack"
    assert emit.bodies == [event(1), event(3)]


async def test_messages_of_the_protocol_are_refused(receive):
    source = receive()
    async with running(source, Keeper()):
        answer = await submit(await where(source), framed(b'<Transport role="iamalive"/>'))
    assert result_of(answer) == "Event rejected: forbidden: expected a VOEvent, got a Transport message (iamalive)"


@pytest.mark.parametrize(
    "sent", [b"", b"\x00", framed(event(1))[:-1]], ids=["nothing", "half a length", "half a packet"]
)
async def test_who_dawdles_is_let_go(receive, sent):
    outcomes = []
    source = receive(observe=outcomes.append, arrival_limit_s=0.05)
    async with running(source, Keeper()):
        assert await submit(await where(source), sent) is None
    assert outcomes == [Outcome.TIMED_OUT]


async def test_who_cannot_be_answered_in_time_is_let_go_and_is_answered_next_time(receive):
    emit = Keeper()
    emit.gate.clear()
    outcomes = []
    source = receive(observe=outcomes.append, answer_limit_s=0.05)
    async with running(source, emit):
        address = await where(source)
        assert await submit(address, framed(event(1))) is None
        emit.gate.set()
        await emit.until_kept(event(1))
        assert role_of(await submit(address, framed(event(1)))) == "ack"
    assert emit.bodies == [event(1)]
    assert outcomes[0] == Outcome.TIMED_OUT


async def test_a_port_that_is_taken_is_told(receive):
    first = receive()
    async with running(first, Keeper()):
        port = int((await where(first)).rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            await receive(port=port).run(Keeper())


@pytest.fixture
def certificate(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command.split(), *names], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


async def test_over_tls(receive, certificate):
    emit = Keeper()
    source = receive(tls={"certificate": "cert.pem", "key": "key.pem"})
    context = ssl.create_default_context(cafile=certificate / "cert.pem")
    async with running(source, emit):
        assert role_of(await submit(await where(source), framed(event(1)), context=context)) == "ack"
    assert emit.bodies == [event(1)]


async def test_subscribing_over_tls(subscribing, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    emit = Keeper()
    async with remote(context) as broker:
        entry = {"address": broker.address, "tls": True, "authorities": "cert.pem"}
        options = VtpSubscriberOptions.model_validate({"remotes": [entry]})
        async with running(subscribing.VtpSubscriberSource(options, certificate), emit):
            broker.send(event(1))
            await emit.until_kept(event(1))
