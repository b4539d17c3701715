"""A server to which subscribers connect to hear events, as they come, for as long as they stay.

It is made for the open network: everything that a stranger can make grow is bounded, and whoever is slow, silent or
too expensive is disconnected alone. Who may come is decided before a byte of theirs is read.
"""

import asyncio
import contextlib
import errno
import resource
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self

import structlog

from bridges.vtp.filters import FilterJudge, Verdicts
from bridges.vtp.options import BroadcastOptions, IpAddress
from bridges.vtp.protocol import MAX_FRAME_BYTES, frame
from bridges.vtp.subscriber import LINGER_S, Departure, Roster, Subscriber, SubscriberStatus
from schemas.errors import ConfigurationError

log = structlog.get_logger()

BACKLOG: Final = 1024
"""Connections that may wait to be accepted: after a break of the network all come back at once."""

_OTHER_FILES: Final = 256
"""Open files of the process that are no subscribers."""
_WRITES_AT_ONCE: Final = 500
"""Subscribers served before the loop may do something else."""
_NO_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_ACCEPT_PAUSE_S: Final = 0.5


def _clock_us() -> int:
    return time.time_ns() // 1000


class Broadcaster:
    """An asynchronous context manager: it listens inside, and lets everybody go at the end.

    Parameters
    ----------
    options
        Where to listen, who may come, and all limits.
    ivorn
        What it calls itself, an ``ivo://`` URI.
    folder
        Where relative paths of the configuration start.
    now_us
        The clock, microseconds UTC.

    Raises
    ------
    ConfigurationError
        On entering: the address cannot be listened at, or the TLS files make no sense.
    """

    def __init__(
        self,
        options: BroadcastOptions,
        ivorn: str,
        folder: Path = Path(),
        now_us: Callable[[], int] = _clock_us,
    ) -> None:
        self._options = options
        self._folder = folder
        self._judge = FilterJudge(options)
        self._roster = Roster(options, ivorn, self._judge, now_us)
        self._places: Counter[str] = Counter()
        self._in_turn = asyncio.Lock()
        self._serving: set[asyncio.Task[None]] = set()
        self._context: ssl.SSLContext | None = None
        self._listening: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        options = self._options
        if options.tls is not None:
            self._context = await asyncio.to_thread(options.tls.server_context, self._folder)
        _allow_files(options.subscribers_max + _OTHER_FILES)
        self._listening = _listen(options)
        self._accepting = asyncio.create_task(self._accept(self._listening))
        log.info("broadcasting", address=str(options.address), port=self.port, tls=options.tls is not None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._accepting is not None and self._listening is not None  # noqa: S101, PT018 - it was entered
        tasks = [self._accepting, *self._serving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listening.close()
        for subscriber in list(self._roster.subscribers):
            subscriber.show_out(Departure.STOPPED)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * LINGER_S):
                await self._roster.empty.wait()
        await self._judge.__aexit__(kind, error, traceback)

    @property
    def port(self) -> int:
        """Where it listens, also if any free port was asked for."""
        assert self._listening is not None  # noqa: S101 - it was entered
        port: int = self._listening.getsockname()[1]
        return port

    @property
    def counts(self) -> Mapping[str, int]:
        """What happened so far: see `bridges.vtp.subscriber.Roster`."""
        return MappingProxyType(self._roster.counts)

    def status(self) -> list[SubscriberStatus]:
        """Who is connected, in the order in which they came."""
        return [subscriber.status() for subscriber in self._roster.subscribers]

    async def broadcast(self, event: bytes) -> None:
        """Return once the event is in the buffer of everybody who wants it. Several callers are served in turn.

        Parameters
        ----------
        event
            XML of a VOEvent, sent as it is.

        Raises
        ------
        ValueError
            If it is empty or larger than a frame may be.
        """
        if len(event) > MAX_FRAME_BYTES:
            raise ValueError(f"an event of {len(event)} bytes cannot be sent, at most {MAX_FRAME_BYTES} can")
        event_frame = frame(event)
        async with self._in_turn:
            subscribers = list(self._roster.subscribers)
            await _send([subscriber for subscriber in subscribers if not subscriber.filters], event_frame)
            filtered = [(subscriber, subscriber.filters) for subscriber in subscribers if subscriber.filters]
            if filtered:
                verdicts = await self._judge.judge(event)
                await _send([each for each, filters in filtered if verdicts.select(filters)], event_frame)
                self._show_out_expensive(verdicts)
            # What was just written is on its way after this turn of the loop; what is not then, waits for someone slow.
            await asyncio.sleep(0)
            self._bound_buffers()
            await self._pace()

    async def _pace(self) -> None:
        """Wait a little for those who are behind; not again for those who took nothing in that time."""
        taken = {subscriber: subscriber.bytes_taken for subscriber in self._roster.behind}
        if not taken:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.pace_s):
                await self._roster.caught_up.wait()
        for subscriber in taken.keys() & self._roster.behind:
            if subscriber.bytes_taken <= taken[subscriber]:
                subscriber.is_stuck()

    def _show_out_expensive(self, verdicts: Verdicts) -> None:
        if not verdicts.ran_over:
            return
        for subscriber in list(self._roster.subscribers):
            if ran_over := verdicts.ran_over.intersection(subscriber.filters):
                subscriber.show_out(
                    Departure.FILTER,
                    f"a filter took more than {self._options.filter_limit_s:g} s on an event: {min(ran_over)[:200]}",
                )

    def _bound_buffers(self) -> None:
        """Show out those furthest behind until all buffers together are small enough."""
        behind = {subscriber: subscriber.bytes_behind for subscriber in self._roster.subscribers}
        total = sum(behind.values())
        while total > self._options.buffers_bytes:
            furthest = max(behind, key=behind.__getitem__)
            total -= behind.pop(furthest)
            furthest.show_out(Departure.SLOW)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in _NO_RESOURCES:
                    log.warning("no subscriber can be accepted now", error=str(error))
                    await asyncio.sleep(_ACCEPT_PAUSE_S)
                continue
            address = _address(peer[0])
            place = _place(address)
            if (refusal := self._refusal(address, place)) is not None:
                self._roster.counts[str(refusal)] += 1
                log.debug("a subscriber is not let in", address=str(address), reason=str(refusal))
                connection.close()
                continue
            self._places[place] += 1
            task = asyncio.create_task(self._serve(connection, f"{address}:{peer[1]}", place))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    def _refusal(self, address: IpAddress, place: str) -> Departure | None:
        if not self._options.access.admits(address):
            return Departure.DENIED
        if (
            self._places.total() >= self._options.subscribers_max
            or self._places[place] >= self._options.subscribers_per_address_max
        ):
            return Departure.FULL
        return None

    async def _serve(self, connection: socket.socket, address: str, place: str) -> None:
        """Make a subscriber of a connection, after the TLS handshake if there is one, and wait until it is gone."""
        subscriber = Subscriber(self._roster, address)
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: subscriber,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=None if self._context is None else self._options.handshake_limit_s,
            )
            await subscriber.gone.wait()
        except OSError as error:  # ssl.SSLError is one
            log.debug("a subscriber did not get through the handshake", address=address, error=str(error))
            self._roster.counts[str(Departure.HANDSHAKE)] += 1
            connection.close()
        finally:
            self._places[place] -= 1
            if self._places[place] <= 0:
                del self._places[place]


async def _send(subscribers: list[Subscriber], event_frame: bytes) -> None:
    for start in range(0, len(subscribers), _WRITES_AT_ONCE):
        if start:
            await asyncio.sleep(0)
        for subscriber in subscribers[start : start + _WRITES_AT_ONCE]:
            subscriber.send(event_frame)


def _listen(options: BroadcastOptions) -> socket.socket:
    is_ipv6 = isinstance(options.address, IPv6Address)
    try:
        listening = socket.create_server(
            (str(options.address), options.port),
            family=socket.AF_INET6 if is_ipv6 else socket.AF_INET,
            backlog=BACKLOG,
            dualstack_ipv6=is_ipv6 and options.address.is_unspecified and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        raise ConfigurationError(
            f"VTP: {options.address} port {options.port} cannot be listened at: {error}"
        ) from error
    listening.setblocking(False)
    return listening


def _address(host: str) -> IpAddress:
    """The address of a peer; IPv4 in the clothes of IPv6 is IPv4."""
    address = ip_address(host.partition("%")[0])
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _place(address: IpAddress) -> str:
    """What counts as one address: whoever has an IPv6 /64 has all of its addresses."""
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False))
    return str(address)


def _allow_files(wanted: int) -> None:
    """Raise the limit on open files as far as this process may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    new = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (new, hard))
    if new < wanted:
        log.warning("fewer subscribers than configured can connect: the limit on open files is low", limit=new)
