"""Everybody who follows what is stored. The latest revisions lie in memory once for all; who comes back after a while
is first told from the store what they missed."""

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import islice

from broker.web.access import Principal
from broker.web.queries import Filter, Found, Questions
from broker.web.tokens import Scope

EVERYTHING = Principal(scopes=frozenset({Scope.ADMIN}))
READ_AT_ONCE = 500
PASSED_AT_ONCE = 50
"""A listener's condition takes some microseconds a revision: after so many others get the loop."""
TURNS_AT_ONCE = 10
"""So many listeners write what came before others get the loop."""
GRACE_S = 1.0
"""When many revisions come at once, listeners have so long to take a part of them before the next comes."""


class TooSlow(Exception):  # noqa: N818 - what became of a listener
    """More waits for a listener than may."""


class Full(Exception):  # noqa: N818 - what the hub is
    """Nobody more is taken."""


class Hub:
    """Tells listeners what is stored, once it is durable, each in their own time.

    Parameters
    ----------
    most
        Most listeners at a time.
    kept
        So many of the latest revisions are in memory; a listener who is further behind than that is dropped.
    """

    def __init__(self, questions: Questions, *, most: int, kept: int) -> None:
        self._questions, self._most = questions, most
        self._latest: deque[Found] = deque(maxlen=kept)
        self._before = self._last = self._part_before = 0
        """All that was stored after the first is in memory, up to the second; its last part begins after the third."""
        self._at_once = min(READ_AT_ONCE, kept // 2)
        self._listeners = self._choosy = 0
        """How many follow, and how many of them with a condition."""
        self._places: dict[object, int] = {}
        """How far each listener has come who follows what is in memory."""
        self._moved = asyncio.Event()
        self._closed = False
        self._stored, self._begun = asyncio.Event(), asyncio.Event()
        self._waiting: dict[asyncio.Future[bool], None] = {}
        """Those who know all that is in memory; each is told by its future that there is more."""
        self._queue: deque[asyncio.Future[bool]] = deque()
        """Those who do not."""

    @property
    def listeners(self) -> int:
        """How many follow."""
        return self._listeners

    @property
    def is_full(self) -> bool:
        """Whether nobody more is taken."""
        return self._listeners >= self._most

    def stored(self) -> None:
        """Something new is durable."""
        self._stored.set()

    async def run(self) -> None:
        """Read what is stored, as it is, until cancelled; started again, it goes on where it was."""
        if not self._begun.is_set():
            self._before = self._last = self._part_before = await self._questions.last()
            self._begun.set()
        while True:
            while await self._read_on():
                pass
            await self._stored.wait()
            self._stored.clear()

    async def close(self) -> None:
        """Send everybody away."""
        self._closed = True
        self._begun.set()
        self._wake()

    async def follow(
        self, wanted: Filter, principal: Principal, *, idle_s: float
    ) -> AsyncGenerator[tuple[list[Found], int]]:
        """What is stored after ``wanted.after``, every revision, until the hub is closed.

        Yields
        ------
        tuple
            Revisions (none after ``idle_s`` without any, so that a listener who is gone is noticed), and the number up
            to which everything was looked at.

        Raises
        ------
        Full
            At once, if too many follow.
        TooSlow
            If what was yielded is taken so slowly that more is stored meanwhile than is kept in memory.
        """
        takes_all, after = wanted.is_open, wanted.after
        with self._listening(choosy=not takes_all):
            await self._begun.wait()  # until then nobody knows what is in memory
            while after < self._before and not self._closed:
                asked, known = replace(wanted, after=after, newest=False), self._last
                page = await self._questions.coincidences(asked, principal, READ_AT_ONCE)
                # The store may have gone on meanwhile: the answer surely has what was known before, and what it holds.
                through = max(known, page.items[-1].seq if page.items else 0)
                after = through if page.next_after is None else page.next_after
                yield list(page.items), after
            with self._placed(after) as move:
                while not self._closed:
                    await self._turn()
                    if after < self._before:
                        raise TooSlow
                    some = self._after(after)
                    if not some:
                        if not await self._more(after, idle_s):
                            yield [], after
                        continue
                    after = some[-1].seq
                    found = [
                        one
                        for one in some
                        if principal.sees(one.private_to) and (takes_all or wanted.passes(one.coincidence))
                    ]
                    if found:
                        yield found, after
                    move(after)

    @contextmanager
    def _listening(self, *, choosy: bool) -> Iterator[None]:
        if self.is_full:
            raise Full
        self._listeners, self._choosy = self._listeners + 1, self._choosy + choosy
        try:
            yield
        finally:
            self._listeners, self._choosy = self._listeners - 1, self._choosy - choosy

    @contextmanager
    def _placed(self, after: int) -> Iterator[Callable[[int], None]]:
        """Know how far a listener has come."""
        listener = object()

        def move(place: int) -> None:
            self._places[listener] = place
            self._moved.set()

        move(after)
        try:
            yield move
        finally:
            del self._places[listener]
            self._moved.set()

    async def _read_on(self) -> bool:
        """Whether there may be more."""
        page = await self._questions.coincidences(Filter(after=self._last, newest=False), EVERYTHING, self._at_once)
        if not page.items:
            return False
        if self._choosy:
            await asyncio.to_thread(_read, page.items)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                while min(self._places.values(), default=self._part_before) < self._part_before:
                    self._moved.clear()
                    await self._moved.wait()
        self._part_before = self._last
        for one in page.items:
            if len(self._latest) == self._latest.maxlen:
                self._before = self._latest[0].seq
            self._latest.append(one)
        self._last = page.items[-1].seq
        self._wake()
        return page.next_after is not None

    def _after(self, after: int) -> list[Found]:
        """The next revisions in memory."""
        place = bisect_right(self._latest, after, key=lambda one: one.seq)
        return list(islice(self._latest, place, place + PASSED_AT_ONCE))

    def _wake(self) -> None:
        """Tell those who wait."""
        for one in self._waiting:
            _tell(one, more=True)

    async def _turn(self) -> None:
        """Wait until it is one's turn: each of hundreds writes to its connection then, and few do so at a time."""
        loop = asyncio.get_running_loop()
        come: asyncio.Future[bool] = loop.create_future()
        self._queue.append(come)
        if len(self._queue) == 1:
            loop.call_soon(self._next_turns)
        await come

    def _next_turns(self) -> None:
        for _ in range(min(TURNS_AT_ONCE, len(self._queue))):
            _tell(self._queue.popleft(), more=True)
        if self._queue:
            asyncio.get_running_loop().call_soon(self._next_turns)

    async def _more(self, after: int, within_s: float) -> bool:
        """Whether more came, or the hub was closed, in time."""
        if self._last > after or self._closed:
            return True
        loop = asyncio.get_running_loop()
        told: asyncio.Future[bool] = loop.create_future()
        timer = loop.call_later(within_s, partial(_tell, told, more=False))
        self._waiting[told] = None
        try:
            return await told
        finally:
            timer.cancel()
            del self._waiting[told]


def _tell(one: asyncio.Future[bool], *, more: bool) -> None:
    if not one.done():
        one.set_result(more)


def _read(items: Iterable[Found]) -> None:
    """Read them ahead, not on the loop: each remembers what it says."""
    for found in items:
        _ = found.coincidence
