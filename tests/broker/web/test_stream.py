"""Streams end with a reason, and whoever comes back misses nothing: over connections read slowly or not at all."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from itertools import pairwise

from broker.store.records import Batch
from broker.web import hub, stream
from broker.web.stream import LAST_EVENT, MOST_DIGITS
from tests.broker.web.stored import revision, until
from tests.e2e.http.site import site


def some(first, count):
    """So many coincidences of 100 kB each, which no buffer holds for long."""
    return [revision(f"n{number}", trigger="lvk:S" + "1" * 100_000) for number in range(first, first + count)]


async def keep(here, *changes):
    await here.service.store.commit(Batch(source="test", changes=changes))
    for call in here.service.changed:
        call()


@asynccontextmanager
async def following_slowly(here, after=0):
    """A stream of which the kernel buffers as little as it can, and which nobody reads unless told to."""
    host, port = here.url.removeprefix("http://").split(":")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (host, int(port)))
        reader, writer = await asyncio.open_connection(sock=connection, limit=4096)
        head = f"Host: {host}\r\nConnection: close\r\n{LAST_EVENT}: {after}"
        writer.write(f"GET /api/v1/stream HTTP/1.1\r\n{head}\r\n\r\n".encode())
        try:
            assert b" 200 OK" in await reader.readline()
            yield reader
        finally:
            writer.close()


def numbers_of(text):
    """Ids of the coincidences that were sent."""
    lines = text.splitlines()
    return [int(line[4:]) for line, after in pairwise(lines) if after == "event: coincidence"]


async def listening(here, number):
    """Wait until so many follow."""
    async with asyncio.timeout(30):
        while (await here.person().got("status"))["listeners"] != number:  # noqa: ASYNC110 - of the other side
            await asyncio.sleep(0.01)


def dropped(here, why):
    return here.service.observers.metrics.value("starcross_http_dropped_total", why=why) or 0.0


async def test_who_reads_too_slowly_is_told_so_and_goes_on_where_they_were(tmp_path, monkeypatch):
    hubs, run = [], hub.Hub.run

    async def noted_run(self):
        hubs.append(self)
        await run(self)

    monkeypatch.setattr(hub, "GRACE_S", 0.01)
    monkeypatch.setattr(hub.Hub, "run", noted_run)
    async with site(tmp_path, "listener_events = 10") as here:
        async with following_slowly(here) as slow:
            await listening(here, 1)
            for first in range(0, 150, 5):
                await keep(here, *some(first, 5))
            await until(lambda: hubs[0]._last == 150)
            text = (await asyncio.wait_for(slow.read(-1), 60)).decode(errors="replace")
        assert dropped(here, "slow") == 1
        told = json.loads(text.rpartition("event: dropped\ndata: ")[2].splitlines()[0])
        assert told["reason"].startswith("too slow: more was stored meanwhile")
        seen = numbers_of(text)
        assert seen == list(range(1, len(seen) + 1))
        assert 0 < len(seen) < 150
        async with here.person().following(headers={"Last-Event-ID": str(seen[-1])}) as again:
            rest = [int((await again.next()).id) for _ in range(150 - len(seen))]
        assert seen + rest == list(range(1, 151))


async def test_who_takes_nothing_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "SEND_S", 2.0)

    async def read(other):
        return [int((await other.next()).id) for _ in range(60)]

    async with site(tmp_path) as here, here.person().following() as other:
        reading = asyncio.create_task(read(other))
        async with following_slowly(here):
            await listening(here, 2)
            await keep(here, *some(0, 60))
            await until(lambda: dropped(here, "stalled"))
            await listening(here, 1)
        assert await reading == list(range(1, 61))
        assert dropped(here, "stalled") == 1


async def test_a_stream_ends_with_its_token(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "IDLE_S", 0.1)
    async with site(tmp_path) as here:
        ada, bob = here.person("ada"), here.person("bob")
        async with ada.following() as hers, bob.following() as his, here.person().following() as everybodys:
            here.tokens.revoke(ada.token.split("_")[1], 1)
            await until(lambda: dropped(here, "token"))
            last = await hers.next()
            assert json.loads(last.data)["reason"].startswith("the token does not count any more: revoked at ")
            await keep(here, revision("a"))
            assert [(await one.next()).id for one in (his, everybodys)] == ["1", "1"]
        assert (await ada.get("stream")).status == 401


async def test_where_a_stream_begins(tmp_path):
    async with site(tmp_path) as here:
        await keep(here, revision("a"), revision("b"), revision("a", 2))
        last = 3
        for begins, told in (
            (None, {}),
            (0, {"headers": {LAST_EVENT: "0"}}),
            (2, {"headers": {LAST_EVENT: "2"}}),
            (2, {"headers": {LAST_EVENT: "2"}, "params": {"last_event_id": "0"}}),
            (1, {"params": {"last_event_id": "1"}}),
            (2, {"params": {"since": "b.r1"}}),
            (None, {"headers": {LAST_EVENT: "99"}}),
            (None, {"headers": {LAST_EVENT: "9" * MOST_DIGITS}}),
            (None, {"headers": {LAST_EVENT: "elsewhere"}}),
        ):
            async with here.person().following(**told) as events:
                await keep(here, revision(f"new{last}"))
                before, last = last, last + 1
                expected = list(range((before if begins is None else begins) + 1, last + 1))
                assert [int((await events.next()).id) for _ in expected] == expected, told
        async with here.person().following(params={"last_event_id": "0", "where": "revision > 1"}) as events:
            assert int((await events.next()).id) == 3
