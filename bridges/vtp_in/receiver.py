"""Events that authors submit."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import structlog
from comet.protocol.receiver import VOEventReceiver
from lxml import etree
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from bridges.attempts import listen_once
from bridges.emit import Emit
from bridges.vtp_in.connection import Connection, IpAddress, address_of
from bridges.vtp_in.handover import Handover, Observe, Outcome, uncounted
from bridges.vtp_in.options import VtpReceiverOptions
from bridges.vtp_in.protocols import BoundedEvents, Event, EventFactory, NotKept, demand_reactor, hand_over

BACKLOG = 1024
"""Connections that wait to be accepted: a crowd that comes at once costs nobody a second."""

_log = structlog.get_logger(__name__)


class Submission(BoundedEvents, VOEventReceiver):  # type: ignore[misc]
    """One connection of an author: one event, one answer, the end. The answer is sent when the event is kept."""

    may_refuse = True

    def __init__(self, author: IpAddress, factory: EventFactory, options: VtpReceiverOptions, observe: Observe) -> None:
        self.factory = factory
        self.MAX_LENGTH = options.message_bytes
        self.TIMEOUT = options.arrival_limit_s
        self._author = author
        self._options = options
        self._observe = observe
        self._over = False

    @property
    def peer(self) -> str:
        """The author's address."""
        return str(self._author)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Something came; what follows the one event is thrown away."""
        if not self._over:
            super().dataReceived(data)

    def stringReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """The packet is here."""
        if self._over:
            return
        self._over = True
        self.setTimeout(self._options.answer_limit_s)
        super().stringReceived(data)

    def event(self, event: Event) -> None:
        """A VOEvent came."""
        self.process_event(event).addBoth(self._end)

    def unreadable(self, data: bytes) -> None:
        """Something else came."""
        self.answer_unreadable(data).addBoth(self._end)

    def transport_message(self, root: etree._Element) -> None:
        """The protocol has none for authors."""
        self.refuse("forbidden", f"expected a VOEvent, got a Transport message ({root.get('role')})")
        self._end(None)

    def lengthLimitExceeded(self, length: int) -> None:  # noqa: N802 - Twisted's name
        """The packet is too large. The author is told, and has until the time limit to read it and go."""
        self._over = True
        self._observe(Outcome.TOO_LARGE)
        _log.warning("submission is too large", author=self.peer, bytes=length, most=self.MAX_LENGTH)
        self.refuse("too_large", f"the packet has {length} bytes, at most {self.MAX_LENGTH} are taken")

    def timeoutConnection(self) -> None:  # noqa: N802 - Twisted's name
        """The packet, or our answer, took too long."""
        self._observe(Outcome.TIMED_OUT)
        _log.warning("submission timed out", author=self.peer, waits_for="emit" if self._over else "the packet")
        self.transport.abortConnection()

    def _end(self, result: object) -> None:
        if isinstance(result, Failure):
            result.trap(asyncio.CancelledError)  # type: ignore[no-untyped-call]
        self.transport.loseConnection()


@dataclass(frozen=True, slots=True)
class ReceiverStatus:
    """How it stands with the port for authors.

    Attributes
    ----------
    address
        Where it listens, ``host:port``; None while it does not.
    connections
        Open now, by the author's address.
    """

    address: str | None
    connections: dict[str, int]


class VtpReceiverSource:
    """Takes what authors submit: one event a connection, acknowledged when ``emit`` kept it, refused with the reason.

    Parameters
    ----------
    folder
        Where relative paths of the configuration start.
    observe
        Told what became of each packet.
    """

    def __init__(self, options: VtpReceiverOptions, folder: Path, *, observe: Observe = uncounted) -> None:
        self._options = options
        self._context = options.tls.server_context(folder) if options.tls else None
        self._observe = observe
        self._server: asyncio.Server | None = None
        self._open: dict[Connection, IpAddress] = {}

    def status(self) -> ReceiverStatus:
        """Where it listens, and who is connected."""
        sockets = self._server.sockets if self._server is not None else ()
        address = next((f"{host}:{port}" for host, port in (s.getsockname()[:2] for s in sockets)), None)
        return ReceiverStatus(address, dict(Counter(str(author) for author in self._open.values())))

    async def check(self) -> str:
        """For `starcross check --connect`: whether its port is free; raises ConnectionError if it is not."""
        return listen_once(self._options.address, self._options.port)

    async def run(self, emit: Emit) -> None:
        """Bring events in until cancelled.

        Raises
        ------
        OSError
            If the address cannot be listened at; and whatever ``emit`` raises.
        """
        demand_reactor()
        options = self._options
        handover = Handover(
            emit, batch_messages=options.batch_messages, remembered=options.remembered_events, observe=self._observe
        )
        factory = EventFactory(
            options.local_ivo, options.message_bytes, handover, [lambda event: self._validate(event, handover)]
        )
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: self._arrival(factory),
            str(options.address),
            options.port,
            ssl=self._context,
            backlog=BACKLOG,
            ssl_handshake_timeout=options.arrival_limit_s if self._context else None,
        )
        _log.info("authors may submit", address=self.status().address)
        try:
            await handover.run()
        finally:
            self._server.close()
            left = list(self._open)
            for connection in left:
                connection.abort()
            await asyncio.gather(*(connection.lost for connection in left))
            self._server = None
            handover.close()

    def _arrival(self, factory: EventFactory) -> Connection:
        def admit(transport: asyncio.BaseTransport) -> Submission | None:
            author = address_of(transport)
            if (refusal := self._refusal(author)) is not None:
                self._observe(refusal)
                _log.warning("author is not let in", author=str(author), why=str(refusal))
                return None
            self._open[connection] = author
            connection.lost.add_done_callback(lambda _: self._open.pop(connection))
            return Submission(author, factory, self._options, self._observe)

        connection = Connection(admit)
        return connection

    def _refusal(self, author: IpAddress) -> Outcome | None:
        options = self._options
        if not options.access.admits(author):
            return Outcome.NOT_ALLOWED
        of_author = sum(other == author for other in self._open.values())
        if len(self._open) >= options.connections_max or of_author >= options.connections_per_address_max:
            return Outcome.TOO_MANY_CONNECTIONS
        return None

    def _validate(self, event: Event, handover: Handover) -> "Deferred[None]":
        author = event.element.findtext("{*}Who/{*}AuthorIVORN") or ""
        for what, ivorn, patterns in (
            ("author", author.strip(), self._options.authors),
            ("event", event.ivorn, self._options.events),
        ):
            # The authority of an IVORN knows no upper and lower case.
            if patterns and not any(fnmatchcase(ivorn.lower(), pattern.lower()) for pattern in patterns):
                self._observe(Outcome.NOT_ALLOWED)
                _log.warning("submission is not allowed", author=event.peer, ivorn=event.ivorn)
                raise NotKept("forbidden", f"the {what} {ivorn[:200]!r} is not among those that may be submitted here")
        return hand_over(event, handover)
