"""Events of a remote broker."""

import asyncio
from contextlib import suppress

import pytest
import pytest_asyncio
from lxml import etree

from bridges.vtp_in.handover import Outcome
from bridges.vtp_in.options import VtpSubscriberOptions
from broker.interfaces import Source
from schemas.records import Receipt, Rejection
from tests.bridges.conformance import Keeper, SourceBench, SourceConformance, running
from tests.bridges.vtp_in.peers import UTCNOW, event, framed, remote, role_of, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.filterwarnings(UTCNOW)]


@pytest_asyncio.fixture(loop_scope="session")
async def broker():
    async with remote() as made:
        yield made


@pytest.fixture(autouse=True)
def quickly(subscribing, monkeypatch):
    monkeypatch.setattr(subscribing, "FIRST_PAUSE_S", 0.01)


@pytest.fixture
def subscribe(subscribing, broker, tmp_path):
    """Makes a source for the broker."""

    def make(*, filters=(), observe=None, **options):
        made = VtpSubscriberOptions.model_validate(
            {"remotes": [{"address": broker.address, "filters": filters}], "local_ivo": "ivo://test.example/us"}
            | options
        )
        return subscribing.VtpSubscriberSource(made, tmp_path, **({} if observe is None else {"observe": observe}))

    return make


class TestConformance(SourceConformance):
    @pytest.fixture
    def bench(self, broker, subscribe):
        class Bench(SourceBench):
            def make(self) -> Source:
                return subscribe()

            async def bring(self, *bodies: bytes) -> None:
                broker.send(*bodies)

        return Bench()


async def test_it_says_who_it_is_and_what_it_wants(broker, subscribe):
    filters = ["//Param[@name='x']", "/*[@role='test']"]
    async with running(subscribe(filters=filters), Keeper()):
        await until(lambda: broker.answers)
    (answer,) = map(etree.fromstring, broker.answers)
    assert answer.get("role") == "authenticate"
    assert answer.findtext("Origin") == "ivo://test.example/broker"
    assert answer.findtext("Response") == "ivo://test.example/us"
    assert [param.get("value") for param in answer.iterfind("Meta/Param[@name='xpath-filter']")] == filters


async def test_it_says_that_it_lives(broker, subscribe):
    async with running(subscribe(), Keeper()):
        await until(lambda: broker.answers)
        broker.send_transport("iamalive")
        broker.send_transport("ack")  # means nothing to a subscriber
        broker.send_transport("iamalive")
        await until(lambda: len(broker.answers) == 3)
    assert broker.roles() == ["authenticate", "iamalive", "iamalive"]


async def test_it_acknowledges_when_the_event_is_kept(broker, subscribe):
    emit = Keeper()
    emit.gate.clear()
    source = subscribe()
    async with running(source, emit):
        broker.send(event(1))
        await emit.until(lambda: emit.calls)
        broker.send_transport("iamalive")
        await until(lambda: "iamalive" in broker.roles())
        assert "ack" not in broker.roles()
        (status,) = source.status()
        assert (status.events, status.waiting, status.waiting_bytes) == (1, 1, len(event(1)))
        emit.gate.set()
        await until(lambda: "ack" in broker.roles())
    (ack,) = (etree.fromstring(answer) for answer in broker.answers if role_of(answer) == "ack")
    assert ack.findtext("Origin") == "ivo://test.example/stream#1"
    assert emit.bodies == [event(1)]
    assert emit.messages[0].origin.startswith(f"vtp://{broker.address}#")
    (status,) = source.status()
    assert (status.waiting, status.waiting_bytes, status.since_us) == (0, 0, None)
    assert status.last_us is not None


async def test_what_is_bad_is_handed_over_acknowledged_and_ends_nothing(broker, subscribe):
    bad = [
        b"no XML at all",
        b'<!DOCTYPE VOEvent SYSTEM "file:///etc/passwd"><VOEvent ivorn="ivo://a/b#c"/>',
        b"<VOEvent/>",
        b"<" + b"a>" * 100,
        b'<Something ivorn="ivo://a/b#c"/>',
    ]
    outcomes = []

    async def rejecting(messages, _positions=None):
        kept.extend(message.body for message in messages)
        rejected = [Rejection(m.origin, "malformed", "\x00 is bad") for m in messages if m.body != event(1)]
        return Receipt(len(messages) - len(rejected), tuple(rejected))

    kept: list[bytes] = []
    async with running(subscribe(observe=outcomes.append), rejecting):
        broker.send(*bad, event(1), event(2))
        await until(lambda: broker.roles().count("ack") == len(bad) + 2)
    assert kept == [*bad, event(1), event(2)]
    assert "nak" not in broker.roles()
    assert broker.connections == 1
    assert sorted(outcomes) == sorted([Outcome.REJECTED] * (len(bad) + 1) + [Outcome.ACCEPTED])


async def test_what_comes_twice_is_handed_over_once(broker, subscribe):
    emit = Keeper()
    async with running(subscribe(), emit):
        broker.send(event(1), event(1), event(2), event(1))
        await until(lambda: broker.roles().count("ack") == 4)
    assert emit.bodies == [event(1), event(2)]


async def test_it_connects_again(broker, subscribe):
    emit = Keeper()
    source = subscribe()
    async with running(source, emit):
        for number in range(1, 4):
            broker.send(event(number))
            await emit.until_kept(event(number))
            await until(lambda n=number: broker.roles().count("ack") == n)
            broker.hang_up()
        await until(lambda: broker.connections == 4)
        await until(lambda: source.status()[0].since_us is not None)


async def test_a_broker_that_is_not_there_keeps_nobody_from_the_others(broker, subscribe, unused_tcp_port):
    absent = {"address": f"127.0.0.1:{unused_tcp_port}"}
    emit = Keeper()
    source = subscribe(remotes=[absent, {"address": broker.address}])
    async with running(source, emit):
        broker.send(event(1))
        await emit.until_kept(event(1))
        assert [status.since_us is not None for status in source.status()] == [False, True]


async def test_a_packet_that_is_too_large_ends_the_connection_and_the_next_is_made(broker, subscribe):
    outcomes = []
    emit = Keeper()
    async with running(subscribe(observe=outcomes.append, message_bytes=2000), emit):
        await until(lambda: broker.answers)
        broker.send_bytes((2001).to_bytes(4, "big") + b"x")
        await until(lambda: broker.connections == 2)
        broker.send(event(1))
        await emit.until_kept(event(1))
    assert outcomes == [Outcome.TOO_LARGE, Outcome.ACCEPTED]


async def test_a_packet_of_a_mebibyte_is_read(broker, subscribe):
    large = event(1, params={"note": "x" * 1_040_000})
    assert len(large) > 1_000_000
    emit = Keeper()
    async with running(subscribe(), emit):
        broker.send(large)
        await emit.until_kept(large)


async def test_a_silent_broker_is_left(broker, subscribe):
    outcomes = []
    async with running(subscribe(observe=outcomes.append, silence_s=0.05), Keeper()):
        await until(lambda: broker.connections >= 3)
    assert set(outcomes) == {Outcome.TIMED_OUT}


@pytest.mark.parametrize(
    "bound", [{"waiting_messages": 4}, {"waiting_bytes": 4 * len(event(1))}], ids=["number", "size"]
)
async def test_it_reads_no_further_than_it_can_hand_over(broker, subscribe, bound):
    emit = Keeper()
    emit.gate.clear()
    source = subscribe(**bound)
    async with running(source, emit):
        broker.send(*map(event, range(100)))
        await until(lambda: source.status()[0].waiting >= 4)
        emit.gate.set()
        await emit.until_kept(*map(event, range(100)))
    assert emit.bodies == [event(number) for number in range(100)]
    assert max(len(batch) for batch in emit.batches) <= 5


async def test_a_broker_that_is_not_read_is_not_found_silent(broker, subscribe):
    emit = Keeper()
    emit.gate.clear()
    outcomes = []
    async with running(subscribe(observe=outcomes.append, silence_s=0.1, waiting_messages=1), emit):
        broker.send(event(1), event(2))
        await emit.until(lambda: emit.calls)
        connections = broker.connections
        await asyncio.sleep(0.3)  # nothing must happen
        assert broker.connections == connections
        assert outcomes == [Outcome.TIMED_OUT] * (connections - 1)
        emit.gate.set()
        await emit.until_kept(event(1), event(2))
        await until(lambda: broker.connections > connections)


async def test_a_broker_that_takes_no_answers_is_not_read(subscribing, tmp_path):
    """Its own subscriber must not pile up answers without end."""
    received = asyncio.Event()

    async def deaf(_reader, writer):
        with suppress(ConnectionError):
            while not received.is_set():
                writer.write(b"".join(framed(event(number % 7)) for number in range(2000)))
                await writer.drain()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0, limit=1024)
    options = VtpSubscriberOptions(
        remotes=(f"127.0.0.1:{server.sockets[0].getsockname()[1]}",), local_ivo="ivo://test.example/us"
    )
    source = subscribing.VtpSubscriberSource(options, tmp_path)
    async with running(source, Keeper()):
        before = -1
        while (events := source.status()[0].events) != before or not events:
            before = events
            await asyncio.sleep(0.5)
        assert events < 200_000
    received.set()
    server.close()
    await server.wait_closed()


async def test_without_a_running_reactor_it_says_so(subscribe, reactor, monkeypatch):
    monkeypatch.setattr(reactor, "running", False)
    with pytest.raises(RuntimeError, match="with_reactor=True"):
        await subscribe().run(Keeper())
