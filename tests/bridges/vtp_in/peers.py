"""Who is at the other end of VTP: authors, a broker that a test has in its hand, and packets."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from lxml import etree

from tests.schemas.voevent_packets import packet

UTCNOW = "ignore:datetime.datetime.utcnow:DeprecationWarning"
"""Comet 3.1 uses it, of which Python 3.12 warns."""
PATIENCE_S = 120.0


def event(number: int, **parts: object) -> bytes:
    """A VOEvent that is like no other."""
    return packet(ivorn=f"ivo://test.example/stream#{number}", **parts)


def valid_event(number: int, *, role: str = "observation", kind: str = "none") -> bytes:
    """One as short as the schema of VOEvent 2.0 allows, with one Param."""
    return (
        '<?xml version="1.0"?><voe:VOEvent xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0" version="2.0" '
        f'role="{role}" ivorn="ivo://test.example/stream#{number}"><Who><AuthorIVORN>ivo://test.example/us</AuthorIVORN>'
        f'<Date>2026-11-21T00:00:00</Date></Who><What><Param name="kind" value="{kind}"/></What></voe:VOEvent>'
    ).encode()


def framed(body: bytes) -> bytes:
    """As VTP sends it."""
    return len(body).to_bytes(4, "big") + body


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """The next message."""
    async with asyncio.timeout(PATIENCE_S):
        return await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))


def role_of(answer: bytes) -> str:
    """Such as ``ack``."""
    return etree.fromstring(answer).get("role", "")


def result_of(answer: bytes) -> str:
    """Why it was refused."""
    return etree.fromstring(answer).findtext("Meta/Result") or ""


async def submit(address: str, sent: bytes, *, context: ssl.SSLContext | None = None) -> bytes | None:
    """Send these bytes as an author would; the answer, None if there is none."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    try:
        writer.write(sent)
        return await read_frame(reader)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for knows nothing of events
            await asyncio.sleep(0.005)


_TRANSPORT = (
    '<trn:Transport role="{role}" version="1.0" xmlns:trn="http://www.telescope-networks.org/xml/Transport/v1.1">'
    "<Origin>ivo://test.example/broker</Origin><TimeStamp>2026-11-21T00:00:00Z</TimeStamp></trn:Transport>"
)


class Remote:
    """A broker with one subscriber at a time, that sends again what was not acknowledged.

    Attributes
    ----------
    address
        ``host:port``.
    answers
        All that came back, in order.
    connections
        How many subscribers came so far.
    """

    def __init__(self) -> None:
        self.address = ""
        self.answers: list[bytes] = []
        self.connections = 0
        self._writer: asyncio.StreamWriter | None = None
        self._unacknowledged: deque[bytes] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def roles(self) -> list[str]:
        """Of all that came back."""
        return [role_of(answer) for answer in self.answers]

    def send(self, *bodies: bytes) -> None:
        """Events for whoever is, or will be, connected."""
        self._unacknowledged.extend(bodies)
        if self._writer is not None:
            self._writer.write(b"".join(map(framed, bodies)))

    def send_bytes(self, data: bytes) -> None:
        """Anything, once."""
        assert self._writer is not None
        self._writer.write(data)

    def send_transport(self, role: str) -> None:
        """A message of the protocol."""
        self.send_bytes(framed(_TRANSPORT.format(role=role).encode()))

    def hang_up(self) -> None:
        """Disconnect."""
        assert self._writer is not None
        self._writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One subscriber."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self._writer = writer
        self.send_transport("authenticate")
        for body in self._unacknowledged:
            writer.write(framed(body))
        try:
            while True:
                answer = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
                self.answers.append(answer)
                if role_of(answer) in {"ack", "nak"} and self._unacknowledged:
                    self._unacknowledged.popleft()
        except (asyncio.IncompleteReadError, ConnectionError):
            self._writer = None
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self._tasks.discard(task)

    async def end(self) -> None:
        """Wait until nobody is connected any more."""
        for task in list(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def remote(context: ssl.SSLContext | None = None) -> AsyncIterator[Remote]:
    """A broker at a port of its own."""
    made = Remote()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    made.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        await made.end()
        await server.wait_closed()
