"""The broadcaster with real sockets: those who keep to the protocol, and all who do not."""

import asyncio
import gc
import resource
import socket
import ssl
from contextlib import AsyncExitStack

import pytest
import uvloop

from bridges.vtp.broadcaster import _address, _allow_files, _place
from bridges.vtp.options import BroadcastOptions
from bridges.vtp.protocol import MAX_FRAME_BYTES, TransportRole, parse_transport
from bridges.vtp.subscriber import MAX_UNASKED
from schemas.errors import ConfigurationError
from tests.bridges.vtp.certificates import make_certificate
from tests.bridges.vtp.peers import IVORN, broadcaster, connected, event, until

SLOW = "count(//*[count(//*[count(//*)=1])=1])"


async def test_a_subscriber_is_greeted_and_gets_events_as_they_are_in_order():
    async with broadcaster() as ours, connected(ours.port) as peer:
        assert parse_transport(await peer.hear()).role is TransportRole.AUTHENTICATE
        alive = parse_transport(await peer.hear())
        assert (alive.role, alive.origin, alive.response) == (TransportRole.IAMALIVE, IVORN, "")
        events = [event(number) for number in range(20)]
        for each in events:
            await ours.broadcast(each)
        assert [await peer.hear() for _ in events] == events
        peer.transport("ack")
        peer.transport("nak")
        await until(lambda: ours.counts.get("nak"))
        (status,) = ours.status()
        assert (status.events_sent, status.events_acknowledged, status.events_refused) == (20, 1, 1)
        assert (status.ivorn, status.filters, status.bytes_behind) == ("ivo://org.example/peer", (), 0)
        assert status.last_answer_us >= status.since_us
        assert status.address == "{}:{}".format(*peer.writer.get_extra_info("sockname"))
        assert ours.counts == {"connected": 1, "sent": 20, "ack": 1, "nak": 1}


async def test_each_gets_what_any_of_its_filters_selects():
    async with broadcaster() as ours, AsyncExitStack() as stack:
        wanted = {
            (): "01234",
            ("@ivorn='x'",): "",
            ('//*[contains(@ivorn,"#3")]',): "3",
            ("@role='test'", "0"): "01234",
        }
        wanted[("@ivorn='ivo://org.example/e#1'", "@ivorn='ivo://org.example/e#2'")] = "12"
        peers = []
        for filters in wanted:
            peer = await stack.enter_async_context(connected(ours.port))
            await peer.greet(*(text.replace("'", "&apos;").replace("<", "&lt;") for text in filters))
            peers.append(peer)
        await until(lambda: sum(1 for status in ours.status() if status.filters) == len(wanted) - 1)
        for number in range(5):
            await ours.broadcast(event(number))
        assert sorted(status.filters for status in ours.status()) == sorted(wanted)
        for peer, numbers in zip(peers, wanted.values(), strict=True):
            assert [await peer.hear_event() for _ in numbers] == [event(int(number)) for number in numbers]
        assert ours.counts["sent"] == sum(map(len, wanted.values()))


async def test_filters_are_changed_by_authenticating_again():
    async with broadcaster() as ours, connected(ours.port) as peer:
        await peer.greet("@role")
        await until(lambda: ours.status()[0].filters == ("@role",))
        peer.transport("authenticate", "@nothing")
        peer.transport("authenticate")
        await until(lambda: ours.status()[0].filters == ())
        await ours.broadcast(event())
        assert await peer.hear_event() == event()
        assert not ours._judge._held


@pytest.mark.parametrize(
    ("filters", "why"),
    [
        (["(("], "Invalid expression"),
        (["/x:y"], "prefix"),
        ([f"@a{n}" for n in range(9)], "at most 8"),
        (["x" * 1025], "1025"),
    ],
)
async def test_whose_filters_cannot_be_honoured_is_told_why_and_let_go(filters, why):
    async with broadcaster() as ours, connected(ours.port) as peer, connected(ours.port) as other:
        await other.greet("@role")
        await peer.greet(*filters)
        last = parse_transport((await peer.hear_all())[-1])
        assert last.role is TransportRole.NAK
        assert why in last.result
        assert ours.counts["filter"] == 1
        await ours.broadcast(event())
        assert await other.hear_event() == event()


async def test_whose_filter_turns_out_to_take_long_is_let_go_alone():
    big = b"<VOEvent role='test'>" + b"<Param/>" * 4000 + b"</VOEvent>"
    async with broadcaster(filter_limit_s=0.5) as ours, AsyncExitStack() as stack:
        peer, other, plain = [await stack.enter_async_context(connected(ours.port)) for _ in range(3)]
        slow = f"count(//Param)&gt;500 and {SLOW}"
        await other.greet("count(//Param)=4000")
        await peer.greet(slow)
        await plain.greet()
        await until(lambda: sum(1 for status in ours.status() if status.filters) == 2)
        await ours.broadcast(big)
        last = parse_transport((await peer.hear_all())[-1])
        assert (last.role, "took more than 0.5 s" in last.result) == (TransportRole.NAK, True)
        assert await plain.hear_event() == await other.hear_event() == big
        async with connected(ours.port) as again:
            await again.greet(slow)
            assert b"CPU time" in (await again.hear_all())[-1]
        assert ours.counts["filter"] == 2


async def test_who_does_not_answer_is_let_go():
    async with broadcaster(keepalive_s=0.3, answer_limit_s=0.3) as ours, connected(ours.port) as silent:
        assert len(await silent.hear_all()) == 2
        assert ours.counts["silent"] == 1
        assert ours.status() == []


async def test_who_answers_stays():
    async with broadcaster(keepalive_s=0.05, answer_limit_s=0.05) as ours:
        # A busy machine may keep an answer from being read in time: then another one is tried.
        for _ in range(20):
            async with connected(ours.port) as peer:
                alive = 0
                try:
                    while alive < 4:
                        alive += b"iamalive" in await peer.hear()
                        peer.transport("iamalive")
                except (asyncio.IncompleteReadError, ConnectionError):
                    continue
                return
        pytest.fail("whoever answered was let go each time")


async def test_who_never_reads_is_let_go_alone_and_takes_no_memory():
    size, buffer_bytes = 100_000, 2 << 20
    n_events = 200
    async with broadcaster(buffer_bytes=buffer_bytes, pace_s=0.0) as ours, AsyncExitStack() as stack:
        stuck = [await stack.enter_async_context(connected(ours.port, limit=1024)) for _ in range(5)]
        reader = await stack.enter_async_context(connected(ours.port))
        await until(lambda: len(ours.status()) == 6)
        for number in range(n_events):
            await ours.broadcast(event(number, n_bytes=size))
            assert await reader.hear_event() == event(number, n_bytes=size)
            assert sum(status.bytes_behind for status in ours.status()) <= 5 * buffer_bytes
        await until(lambda: ours.counts.get("slow") == 5)
        assert len(ours.status()) == 1
        assert all(peer.writer is not None for peer in stuck)


async def test_all_buffers_together_are_bounded():
    async with broadcaster(buffer_bytes=64 << 20, buffers_bytes=4 << 20, pace_s=0.0) as ours, AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(connected(ours.port, limit=1024))
        await until(lambda: len(ours.status()) == 3)
        for number in range(300):
            await ours.broadcast(event(number, n_bytes=100_000))
            assert sum(status.bytes_behind for status in ours.status()) <= 4 << 20
        assert ours.counts["slow"] >= 1


async def test_a_flood_waits_a_little_for_who_is_behind_and_reads():
    async with broadcaster(buffer_bytes=2 << 20, pace_s=1.0) as ours, connected(ours.port) as peer:
        await peer.greet()

        async def flood():
            for number in range(100):
                await ours.broadcast(event(number, n_bytes=100_000))

        task = asyncio.create_task(flood())
        for number in range(100):
            assert await peer.hear_event() == event(number, n_bytes=100_000)
        await task
        assert "slow" not in ours.counts


async def test_a_flood_does_not_wait_for_who_takes_nothing_until_it_does_again():
    async with broadcaster(buffer_bytes=32 << 20, pace_s=0.05) as ours, connected(ours.port, limit=1024) as peer:
        await until(ours.status)
        subscriber = next(iter(ours._roster.subscribers))
        number = 0
        while subscriber._stuck_at_bytes is None:
            await ours.broadcast(event(number, n_bytes=900_000))
            number += 1
        assert not ours._roster.behind
        assert ours._roster.caught_up.is_set()
        before = subscriber.bytes_taken
        while subscriber.bytes_taken == before:
            await peer.hear()
        await ours.broadcast(event(number, n_bytes=900_000))
        assert subscriber._stuck_at_bytes != before
        assert (await peer.hear_event()).startswith(b"<VOEvent")
        assert "slow" not in ours.counts


@pytest.mark.parametrize("head", [b"\xff\xff\xff\xff", b"\0\0\0\0", b"GET / HTTP/1.1\r\n\r\n", b"\x60\0\0\0"])
async def test_who_sends_no_frames_is_let_go(head):
    async with broadcaster() as ours, connected(ours.port) as peer:
        peer.writer.write(head)
        assert parse_transport((await peer.hear_all())[-1]).role is TransportRole.NAK
        assert ours.counts["malformed"] == 1


async def test_who_talks_too_much_is_let_go():
    async with broadcaster() as ours, connected(ours.port) as peer:
        for number in range(MAX_UNASKED + 50):
            [
                lambda: peer.say(b"<!DOCTYPE x []><x/>"),
                lambda: peer.transport("ack"),
                lambda: peer.transport("iamalive"),
            ][number % 3]()
        assert b"answer nothing" in (await peer.hear_all())[-1]
        assert ours.counts["talkative"] == 1
        assert "ack" not in ours.counts


async def test_who_leaves_is_forgotten():
    async with broadcaster() as ours:
        async with connected(ours.port) as peer:
            await peer.greet("@role")
            await until(lambda: ours.status() and ours.status()[0].filters)
            peer.writer.close()
            await until(lambda: ours.counts.get("left"))
        await until(lambda: not ours._places)
        assert ours.status() == []
        assert not ours._judge._held
        await ours.broadcast(event())
        assert "sent" not in ours.counts


async def test_only_so_many_may_come_and_a_place_becomes_free_again():
    async with broadcaster(subscribers_per_address_max=2) as ours, connected(ours.port) as first:
        async with connected(ours.port):
            await until(lambda: len(ours.status()) == 2)
            async with connected(ours.port) as third:
                assert await third.hear_all() == []
            assert ours.counts["full"] == 1
        await until(lambda: len(ours.status()) == 1)
        async with connected(ours.port) as third:
            await third.greet()
            await first.greet()
    async with broadcaster(subscribers_max=1) as ours, connected(ours.port) as first:
        await first.greet()
        async with connected(ours.port) as second:
            assert await second.hear_all() == []


async def test_who_is_not_admitted_hears_nothing():
    async with broadcaster(access={"deny": ["127.0.0.0/8"]}) as ours, connected(ours.port) as peer:
        assert await peer.hear_all() == []
        assert ours.counts == {"denied": 1}


async def test_tls_and_whoever_does_not_speak_it(tmp_path):
    make_certificate(tmp_path)
    tls = {"certificate": tmp_path / "cert.pem", "key": tmp_path / "key.pem"}
    async with broadcaster(tls=tls, handshake_limit_s=0.5, subscribers_max=3) as ours:
        context = ssl.create_default_context(cafile=tmp_path / "cert.pem")
        async with connected(ours.port) as mute, connected(ours.port) as plain:
            plain.writer.write(b"\0\0\0\x05hello")
            assert await plain.hear_all() == []
            async with connected(ours.port, ssl=context, server_hostname="localhost") as peer:
                await peer.greet()
                await ours.broadcast(event())
                assert await peer.hear_event() == event()
            assert await mute.hear_all() == []
        await until(lambda: ours.counts.get("handshake") == 2)
        await until(lambda: not ours._places)
        gc.collect()


async def test_at_the_end_what_was_sent_arrives_and_everybody_is_let_go():
    async with AsyncExitStack() as stack:
        async with broadcaster() as ours:
            port = ours.port
            peer = await stack.enter_async_context(connected(port))
            await peer.greet()
            await ours.broadcast(event(1, n_bytes=900_000))
            hearing = asyncio.create_task(peer.hear_all())
        assert (await hearing)[-1] == event(1, n_bytes=900_000)
        assert ours.counts["stopped"] == 1
        with pytest.raises(ConnectionError):
            await stack.enter_async_context(connected(port))


async def test_at_the_end_nobody_is_waited_for_long(monkeypatch):
    monkeypatch.setattr("bridges.vtp.subscriber.LINGER_S", 0.05)
    async with AsyncExitStack() as stack:
        async with broadcaster(buffer_bytes=16 << 20, pace_s=0) as ours:
            await stack.enter_async_context(connected(ours.port, limit=1024))
            await until(ours.status)
            for number in range(14):
                await ours.broadcast(event(number, n_bytes=900_000))
            assert ours.status()[0].bytes_behind > 0
        assert not ours._roster.connected


async def test_what_cannot_be_sent_is_refused():
    async with broadcaster() as ours:
        with pytest.raises(ValueError, match="at most"):
            await ours.broadcast(b"x" * (MAX_FRAME_BYTES + 1))
        with pytest.raises(ValueError, match="empty"):
            await ours.broadcast(b"")


async def test_a_port_that_is_taken_is_named():
    async with broadcaster() as ours:
        with pytest.raises(ConfigurationError, match=f"port {ours.port}"):
            async with broadcaster(port=ours.port):
                pass


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
async def test_ipv6():
    try:
        async with broadcaster(address="::1") as ours, connected(ours.port, "::1") as peer:
            await peer.greet()
            assert ours.status()[0].address.startswith("::1:")
    except ConfigurationError:
        pytest.skip("no IPv6 address here")


def test_an_ipv6_network_is_one_place():
    assert _place(_address("2001:db8::1")) == _place(_address("2001:db8::2")) != _place(_address("2001:db8:0:1::1"))
    assert _place(_address("::ffff:192.0.2.1")) == _place(_address("192.0.2.1")) == "192.0.2.1"
    assert str(_address("fe80::1%eth0")) == "fe80::1"


def test_the_limit_on_open_files_is_raised_as_far_as_may_be(monkeypatch):
    limits = [(100, 200)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.append(new))
    _allow_files(150)
    _allow_files(120)
    _allow_files(500)
    assert limits == [(100, 200), (150, 200), (200, 200)]


async def test_no_file_left_to_accept_with_is_a_matter_of_time(monkeypatch):
    loop = asyncio.get_running_loop()
    accept, errors = loop.sock_accept, [OSError(24, "too many open files"), OSError(103, "gone again")]

    async def failing(listening):
        if errors:
            raise errors.pop(0)
        return await accept(listening)

    monkeypatch.setattr(loop, "sock_accept", failing)
    monkeypatch.setattr("bridges.vtp.broadcaster._ACCEPT_PAUSE_S", 0.0)
    async with broadcaster() as ours, connected(ours.port) as peer:
        await peer.greet()
        assert errors == []


async def _a_thousand() -> None:
    async with broadcaster(subscribers_per_address_max=1000) as ours, AsyncExitStack() as stack:
        limit = asyncio.Semaphore(100)

        async def subscribe():
            async with limit:
                return await stack.enter_async_context(connected(ours.port))

        peers = await asyncio.gather(*(subscribe() for _ in range(1000)))
        await until(lambda: len(ours.status()) == 1000)
        await asyncio.gather(*(peer.greet("@role") for peer in peers[::10]))
        await until(lambda: sum(1 for status in ours.status() if status.filters) == 100)
        for number in range(3):
            await ours.broadcast(event(number))
            heard = await asyncio.gather(*(peer.hear_event() for peer in peers))
            assert heard == [event(number)] * 1000
        assert ours.counts["sent"] == 3000


def test_a_thousand_at_once():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < 3000:
        pytest.skip(f"only {hard} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3000), hard))
    uvloop.run(_a_thousand())


def test_options_by_default_are_for_this_machine_alone():
    assert BroadcastOptions().address.is_loopback
