"""Events of many connections become one stream of batches, each event once."""

import asyncio
import hashlib
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog
from lxml import etree

from bridges.emit import Emit
from schemas.records import Message, Rejection

BATCH_BYTES = 16 << 20
"""A batch ends once it holds so much."""

_log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """What became of a packet. A fixed list, so that they can be counted."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    REDELIVERED = "redelivered"
    NOT_ALLOWED = "not_allowed"
    TOO_LARGE = "too_large"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    TIMED_OUT = "timed_out"


Observe = Callable[[Outcome], None]
"""Told of each packet, to count."""


def uncounted(_outcome: Outcome) -> None:
    """Where nobody counts."""


@dataclass(frozen=True, slots=True)
class EventKey:
    """By what an event is recognised when it comes again: its IVORN, and what it says."""

    ivorn: str
    content: bytes


def key_of(ivorn: str, root: etree._Element) -> EventKey:
    """The key of a packet; blanks between its elements, its encoding and comments make no other event."""
    text = etree.tostring(root, encoding="utf-8")
    return EventKey(ivorn, _digest(b" ".join(text.split()).replace(b"> <", b"><")))


def key_of_unreadable(body: bytes) -> EventKey:
    """The key of what cannot be read: its very bytes."""
    return EventKey("", _digest(body))


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class _Waiting:
    key: EventKey
    message: Message
    kept: asyncio.Future[Rejection | None]


class Handover:
    """Gives events to ``emit``, one batch at a time: whatever came while it was busy is the next batch.

    An event that came before (same IVORN, same content) is answered as it was then, without ``emit``; the last
    ``remembered`` are known. What an earlier run of the process had is for the engine to recognise.

    Parameters
    ----------
    observe
        Told the outcome of each event that was taken.
    """

    def __init__(self, emit: Emit, *, batch_messages: int, remembered: int, observe: Observe) -> None:
        self._emit = emit
        self._batch_messages = batch_messages
        self._remembered = remembered
        self._observe = observe
        self._queue: deque[_Waiting] = deque()
        self._unanswered: dict[EventKey, _Waiting] = {}
        self._known: OrderedDict[EventKey, Rejection | None] = OrderedDict()
        self._contents: Counter[str] = Counter()
        self._arrived = asyncio.Event()

    def take(self, key: EventKey, message: Message) -> asyncio.Future[Rejection | None]:
        """Take an event; the future says, once it is kept, None, or why it was rejected.

        It is cancelled if the hand-over ends before, and then nobody knows whether the event was kept.
        """
        if (waiting := self._unanswered.get(key)) is not None:
            self._observe(Outcome.REDELIVERED)
            return waiting.kept
        kept: asyncio.Future[Rejection | None] = asyncio.get_running_loop().create_future()
        if key in self._known:
            self._known.move_to_end(key)
            self._observe(Outcome.REDELIVERED)
            kept.set_result(self._known[key])
            return kept
        if key.ivorn and self._contents[key.ivorn]:
            _log.warning("IVORN comes again with other content", ivorn=key.ivorn, origin=message.origin)
        waiting = self._unanswered[key] = _Waiting(key, message, kept)
        self._queue.append(waiting)
        self._arrived.set()
        return kept

    async def run(self) -> None:
        """Hand over until cancelled. Raises what ``emit`` raises."""
        while True:
            await self._arrived.wait()
            batch = self._next_batch()
            receipt = await self._emit([waiting.message for waiting in batch])
            rejected = {rejection.origin: rejection for rejection in receipt.rejected}
            for waiting in batch:
                self._answer(waiting, rejected.get(waiting.message.origin))

    def close(self) -> None:
        """Cancel whatever was not answered."""
        for waiting in self._unanswered.values():
            waiting.kept.cancel()
        self._unanswered.clear()
        self._queue.clear()

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._queue and len(batch) < self._batch_messages and size < BATCH_BYTES:
            batch.append(self._queue.popleft())
            size += len(batch[-1].message.body)
        if not self._queue:
            self._arrived.clear()
        return batch

    def _answer(self, waiting: _Waiting, rejection: Rejection | None) -> None:
        del self._unanswered[waiting.key]
        self._known[waiting.key] = rejection
        self._contents[waiting.key.ivorn] += 1
        if len(self._known) > self._remembered:
            oldest, _ = self._known.popitem(last=False)
            self._contents[oldest.ivorn] -= 1
            if not self._contents[oldest.ivorn]:
                del self._contents[oldest.ivorn]
        self._observe(Outcome.REJECTED if rejection else Outcome.ACCEPTED)
        waiting.kept.set_result(rejection)
