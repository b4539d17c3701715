"""Everybody who follows what is stored. The latest revisions lie in memory once for all; who comes back after a while
is first told from the store what they missed."""

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice

from broker.web.access import Principal
from broker.web.queries import Filter, Found, Questions
from broker.web.tokens import Scope
from schemas.coincidence import from_json
from schemas.records import Coincidence

EVERYTHING = Principal(scopes=frozenset({Scope.ADMIN}))
READ_AT_ONCE = 500
PASSED_AT_ONCE = 50
"""A listener's condition takes some microseconds a revision: after so many others get the loop."""


class TooSlow(Exception):  # noqa: N818 - what became of a listener
    """More waits for a listener than may."""


class Full(Exception):  # noqa: N818 - what the hub is
    """Nobody more is taken."""


@dataclass(frozen=True, slots=True)
class Latest:
    """A revision in memory."""

    found: Found
    coincidence: Coincidence


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
        self._latest: deque[Latest] = deque(maxlen=kept)
        self._before = self._last = 0
        """All that was stored after the one is in memory, up to the other."""
        self._listeners = 0
        self._closed = False
        self._stored, self._news = asyncio.Event(), asyncio.Condition()

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
        """Read what is stored, as it is, until cancelled."""
        self._before = self._last = await self._questions.last()
        while True:
            await self._stored.wait()
            self._stored.clear()
            while await self._read_on():
                pass

    async def close(self) -> None:
        """Send everybody away."""
        async with self._news:
            self._closed = True
            self._news.notify_all()

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
        with self._listening():
            after = wanted.after
            while after < self._before and not self._closed:
                asked = replace(wanted, after=after, newest=False)
                page = await self._questions.coincidences(asked, principal, READ_AT_ONCE)
                after = self._before if page.next_after is None else page.next_after
                yield list(page.items), after
            while not self._closed:
                if after < self._before:
                    raise TooSlow
                some = self._after(after)
                if not some:
                    if not await self._more(after, idle_s):
                        yield [], after
                    continue
                after = some[-1].found.seq
                found = [
                    one.found
                    for one in some
                    if principal.sees(one.coincidence.trigger.private_to) and wanted.passes(one.coincidence)
                ]
                if found:
                    yield found, after
                await asyncio.sleep(0)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        if self.is_full:
            raise Full
        self._listeners += 1
        try:
            yield
        finally:
            self._listeners -= 1

    async def _read_on(self) -> bool:
        """Whether there may be more."""
        page = await self._questions.coincidences(Filter(after=self._last, newest=False), EVERYTHING, READ_AT_ONCE)
        if not page.items:
            return False
        read = await asyncio.to_thread(_read, page.items)
        async with self._news:
            for one in read:
                if len(self._latest) == self._latest.maxlen:
                    self._before = self._latest[0].found.seq
                self._latest.append(one)
            self._last = page.items[-1].seq
            self._news.notify_all()
        return page.next_after is not None

    def _after(self, after: int) -> list[Latest]:
        """The next revisions in memory."""
        place = bisect_right(self._latest, after, key=lambda one: one.found.seq)
        return list(islice(self._latest, place, place + PASSED_AT_ONCE))

    async def _more(self, after: int, within_s: float) -> bool:
        """Whether more came, or the hub was closed, in time."""
        try:
            async with asyncio.timeout(within_s), self._news:
                await self._news.wait_for(lambda: self._last > after or self._closed)
        except TimeoutError:
            return False
        return True


def _read(items: Iterable[Found]) -> list[Latest]:
    return [Latest(found, from_json(found.document)) for found in items]
