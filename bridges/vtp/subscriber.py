"""One subscriber of the broadcaster: what is said to it, what it says, and when it is shown out.

It is greeted with ``authenticate``, which it may answer with filters, and with ``iamalive``, which it must answer: who
does not speak the protocol is found out at once. Until its filters are there it gets every event, as from Comet: better
one too many than one lost. Filters that cannot be honoured end the connection with a NAK that says why. A NAK from the
subscriber is counted: it speaks of one event and says nothing against the next.
"""

import asyncio
from asyncio import TimerHandle, Transport
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, cast

import structlog

from bridges.vtp.filters import FilterJudge, FilterRefusedError
from bridges.vtp.options import BroadcastOptions
from bridges.vtp.protocol import (
    MAX_TRANSPORT_BYTES,
    FrameReader,
    TransportMessage,
    TransportRole,
    frame,
    parse_transport,
    transport_bytes,
)
from schemas.errors import BadTransport
from schemas.times import iso_from_us

log = structlog.get_logger()

MAX_UNASKED: Final = 100
"""Messages between two signs of life that answer nothing."""

LINGER_S: Final = 2.0
"""Time that a last word may take to be heard."""

_SHOWN_CHARS: Final = 200
"""Of what a stranger wrote, in the log."""


class Departure(StrEnum):
    """Why a subscriber is gone or was not let in."""

    LEFT = "left"
    SILENT = "silent"
    SLOW = "slow"
    MALFORMED = "malformed"
    TALKATIVE = "talkative"
    FILTER = "filter"
    STOPPED = "stopped"
    DENIED = "denied"
    FULL = "full"
    HANDSHAKE = "handshake"


@dataclass(frozen=True, slots=True)
class SubscriberStatus:
    """How a subscriber stands, for a person.

    Attributes
    ----------
    address
        ``host:port`` of its end.
    ivorn
        What it calls itself; empty until it said so.
    since_us
        When it connected.
    filters
        Its XPath filters; none means that it gets everything.
    events_sent, events_acknowledged, events_refused
        Since it connected.
    bytes_behind
        What waits for it here, the buffers of the system not counted.
    last_answer_us
        When it last said something that could be read; None if it never did.
    """

    address: str
    ivorn: str
    since_us: int
    filters: tuple[str, ...]
    events_sent: int
    events_acknowledged: int
    events_refused: int
    bytes_behind: int
    last_answer_us: int | None


@dataclass(slots=True)
class Roster:
    """What all subscribers of a broadcaster share.

    Attributes
    ----------
    ivorn
        What the broadcaster calls itself.
    now_us
        The clock.
    counts
        What happened so far: ``connected``, ``sent`` (an event to a subscriber), ``ack``, ``nak``, ``unreadable``, and
        each `Departure` by its value.
    subscribers
        Those that get events, in the order in which they came.
    connected
        These, and those whose connection is about to end.
    behind
        Those with more than half a buffer to be sent who take what is sent.
    caught_up, empty
        Set while nobody is behind, and while nobody is connected.
    """

    options: BroadcastOptions
    ivorn: str
    judge: FilterJudge
    now_us: Callable[[], int]
    counts: Counter[str] = field(default_factory=Counter)
    subscribers: dict["Subscriber", None] = field(default_factory=dict)
    connected: set["Subscriber"] = field(default_factory=set)
    behind: set["Subscriber"] = field(default_factory=set)
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.caught_up.set()
        self.empty.set()


class Subscriber(asyncio.Protocol):
    """A connection.

    Parameters
    ----------
    roster
        Where it is listed while it lasts.
    address
        ``host:port`` of its end.

    Attributes
    ----------
    filters
        What it asked for; none means everything.
    gone
        Set when the connection has ended.
    """

    def __init__(self, roster: Roster, address: str) -> None:
        self.filters: tuple[str, ...] = ()
        self.gone = asyncio.Event()
        self._roster = roster
        self._address = address
        self._log = log.bind(subscriber=address)
        self._frames = FrameReader(MAX_TRANSPORT_BYTES)
        self._loop = asyncio.get_running_loop()
        self._transport: Transport | None = None
        self._departure: Departure | None = None
        self._timer: TimerHandle | None = None
        self._wanted: TransportMessage | None = None
        self._installing: asyncio.Task[None] | None = None
        self._ivorn = ""
        self._since_us = roster.now_us()
        self._last_answer_us: int | None = None
        self._answered = False
        self._alive_due = 0
        self._unasked = 0
        self._written_bytes = 0
        self._stuck_at_bytes: int | None = None
        self._sent = 0
        self._acknowledged = 0
        self._refused = 0

    # What is said to it.

    def send(self, event_frame: bytes) -> None:
        """Put an event into its buffer; whoever has no room for it is shown out."""
        if self._transport is None or self._departure is not None:
            return
        if self.bytes_behind + len(event_frame) > self._roster.options.buffer_bytes:
            self.show_out(Departure.SLOW)
            return
        self._write(event_frame)
        self._sent += 1
        self._roster.counts["sent"] += 1

    def show_out(self, departure: Departure, why: str = "") -> None:
        """End the connection; with a NAK first if there is something to say."""
        if self._transport is None or self._departure is not None:
            return
        self._log.info("a subscriber is disconnected", reason=str(departure), why=why, bytes_behind=self.bytes_behind)
        self._departs(departure)
        if why:
            self._say(TransportRole.NAK, why)
        if departure in {Departure.SLOW, Departure.SILENT}:
            self._transport.abort()
            return
        self._transport.close()
        self._timer = self._loop.call_later(LINGER_S, self._transport.abort)

    @property
    def bytes_behind(self) -> int:
        """What waits to be sent to it."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    @property
    def bytes_taken(self) -> int:
        """What the system has taken for it so far."""
        return self._written_bytes - self.bytes_behind

    def is_stuck(self) -> None:
        """Nobody is to wait for it, until something of what waits for it has been taken."""
        self.resume_writing()
        self._stuck_at_bytes = self.bytes_taken

    def status(self) -> SubscriberStatus:
        """How it stands."""
        return SubscriberStatus(
            self._address,
            self._ivorn,
            self._since_us,
            self.filters,
            self._sent,
            self._acknowledged,
            self._refused,
            self.bytes_behind,
            self._last_answer_us,
        )

    def _say(self, role: TransportRole, result: str = "") -> None:
        if self._transport is None:
            return
        ours, now = self._roster.ivorn, iso_from_us(self._roster.now_us())
        message = TransportMessage(role, ours, ours if result else "", now, result=result)
        self._write(frame(transport_bytes(message)))

    def _write(self, data: bytes) -> None:
        assert self._transport is not None  # noqa: S101 - whoever calls has looked
        if self._stuck_at_bytes is not None and self.bytes_taken > self._stuck_at_bytes:
            self._stuck_at_bytes = None
            self.pause_writing()
        self._transport.write(data)
        self._written_bytes += len(data)

    # What the connection tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        # No isinstance: the transports of uvloop are of no class of asyncio's.
        self._transport = transport = cast("Transport", transport)
        half = self._roster.options.buffer_bytes // 2
        transport.set_write_buffer_limits(high=half, low=half // 2)
        self._roster.counts["connected"] += 1
        self._roster.subscribers[self] = None
        self._roster.connected.add(self)
        self._roster.empty.clear()
        self._log.info("a subscriber connected")
        self._say(TransportRole.AUTHENTICATE)
        self._ask_for_life()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take it off the roster."""
        if self._departure is None:
            self._log.info("a subscriber left", error=str(exc or ""))
            self._departs(Departure.LEFT)
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        self._roster.connected.discard(self)
        if not self._roster.connected:
            self._roster.empty.set()
        self.gone.set()

    def pause_writing(self) -> None:
        """More than half its buffer waits."""
        self._roster.behind.add(self)
        self._roster.caught_up.clear()

    def resume_writing(self) -> None:
        """It has caught up, or is not waited for."""
        self._stuck_at_bytes = None
        self._roster.behind.discard(self)
        if not self._roster.behind:
            self._roster.caught_up.set()

    def data_received(self, data: bytes) -> None:
        """Hear what it says, as far as it comes in whole messages."""
        try:
            for payload in self._frames.feed(data):
                if self._departure is not None:
                    return
                self._hear(payload)
        except BadTransport as error:
            self.show_out(Departure.MALFORMED, error.detail)

    def _departs(self, departure: Departure) -> None:
        self._departure = departure
        self._roster.counts[str(departure)] += 1
        self._roster.subscribers.pop(self, None)
        self._roster.judge.release(self.filters)
        self.resume_writing()
        if self._timer is not None:
            self._timer.cancel()

    # Signs of life.

    def _ask_for_life(self) -> None:
        self._answered = False
        self._unasked = 0
        self._alive_due += 1
        self._say(TransportRole.IAMALIVE)
        self._timer = self._loop.call_later(self._roster.options.answer_limit_s, self._expect_life)

    def _expect_life(self) -> None:
        if not self._answered:
            self.show_out(Departure.SILENT)
            return
        options = self._roster.options
        self._timer = self._loop.call_later(options.keepalive_s - options.answer_limit_s, self._ask_for_life)

    # What it says.

    def _hear(self, payload: bytes) -> None:
        """Take a message; one that answers nothing is odd, many of them are too many."""
        try:
            message = parse_transport(payload)
        except BadTransport as error:
            self._log.debug("a subscriber cannot be understood", why=str(error)[:_SHOWN_CHARS])
            self._roster.counts["unreadable"] += 1
            asked = False
        else:
            self._answered = True
            self._last_answer_us = self._roster.now_us()
            self._ivorn = message.response[:_SHOWN_CHARS] or self._ivorn
            asked = self._take(message)
        if not asked:
            self._unasked += 1
            if self._unasked > MAX_UNASKED:
                self.show_out(Departure.TALKATIVE, "too many messages that answer nothing")

    def _take(self, message: TransportMessage) -> bool:
        """Whether this was an answer to something."""
        if message.role is TransportRole.AUTHENTICATE:
            self._wanted = message
            if self._installing is None:
                self._installing = self._loop.create_task(self._install_filters())
            return False
        if message.role is TransportRole.IAMALIVE:
            asked = self._alive_due > 0
            self._alive_due -= asked
            return asked
        if self._acknowledged + self._refused >= self._sent:
            return False
        self._roster.counts[str(message.role)] += 1
        if message.role is TransportRole.ACK:
            self._acknowledged += 1
        else:
            self._refused += 1
            self._log.info(
                "a subscriber refused an event",
                packet=message.origin[:_SHOWN_CHARS],
                why=message.result[:_SHOWN_CHARS],
            )
        return True

    async def _install_filters(self) -> None:
        """Try the filters that it wants, of several wishes the last, and hold them."""
        judge = self._roster.judge
        try:
            while (wanted := self._wanted) is not None:
                self._wanted = None
                filters = await judge.try_filters(wanted.filters, lambda: self._departure is None)
                if self._departure is not None:
                    return
                judge.hold(filters)
                judge.release(self.filters)
                self.filters = filters
                if filters:
                    self._log.info("a subscriber has filters", filters=[text[:_SHOWN_CHARS] for text in filters])
        except FilterRefusedError as error:
            self.show_out(Departure.FILTER, str(error)[: 2 * _SHOWN_CHARS])
        finally:
            self._installing = None
