"""Subscribers for the tests, written without the code that they test; and waiting."""

import asyncio
import struct
from collections.abc import Callable
from contextlib import asynccontextmanager

from bridges.vtp.broadcaster import Broadcaster
from bridges.vtp.options import BroadcastOptions

IVORN = "ivo://org.example/broadcaster"
LIMIT_S = 60.0
"""Longer than anything takes on the busiest machine."""


def event(number: int = 0, *, n_bytes: int = 0, role: str = "test") -> bytes:
    """A small VOEvent, or one of at least so many bytes."""
    return f'<VOEvent role="{role}" ivorn="ivo://org.example/e#{number}"><!--{"x" * n_bytes}--></VOEvent>'.encode()


async def until(condition: Callable[[], object]) -> None:
    """Wait until it is true; the test ends if it never is."""
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - whatever it is, it has no event
            await asyncio.sleep(0.005)


def broadcaster(**options) -> Broadcaster:
    """One at any free port, that is patient with busy machines."""
    patient = {"port": 0, "filter_limit_s": 2.0, "filters_limit_s": 5.0}
    return Broadcaster(BroadcastOptions(**(patient | options)), IVORN)


class Peer:
    """One end of a connection that speaks frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def hear(self) -> bytes:
        """The next payload; IncompleteReadError or ConnectionError at the end."""
        async with asyncio.timeout(LIMIT_S):
            (n_bytes,) = struct.unpack(">I", await self.reader.readexactly(4))
            return await self.reader.readexactly(n_bytes)

    async def hear_event(self) -> bytes:
        """The next payload that is no Transport message."""
        while b"Transport" in (payload := await self.hear()):
            pass
        return payload

    async def hear_all(self) -> list[bytes]:
        """Everything until the other end closes."""
        heard = []
        try:
            while True:
                heard.append(await self.hear())
        except (asyncio.IncompleteReadError, ConnectionError):
            return heard

    def say(self, payload: bytes) -> None:
        self.writer.write(struct.pack(">I", len(payload)) + payload)

    def transport(self, role: str, *filters: str, origin: str = IVORN) -> None:
        """Say a Transport message."""
        params = "".join(f"<Param name='xpath-filter' value='{text}'/>" for text in filters)
        self.say(
            f"<Transport role='{role}'><Origin>{origin}</Origin><Response>ivo://org.example/peer</Response>"
            f"<TimeStamp>2026-01-01T00:00:00Z</TimeStamp><Meta>{params}</Meta></Transport>".encode()
        )

    async def greet(self, *filters: str) -> None:
        """Answer both greetings."""
        for role in (b"authenticate", b"iamalive"):
            assert b'role="' + role in await self.hear()
        self.transport("iamalive")
        self.transport("authenticate", *filters)


@asynccontextmanager
async def connected(port: int, host: str = "127.0.0.1", **how):
    """A connection that has not said anything."""
    reader, writer = await asyncio.open_connection(host, port, **how)
    try:
        yield Peer(reader, writer)
    finally:
        writer.transport.abort()
