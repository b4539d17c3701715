"""Which linked sky maps are wanted, and trying until they come: maps follow their notices by minutes, or hours."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

import structlog

from bridges.map_fetcher import FetchError, MapFetcher, MapFetchOptions
from schemas.times import US_PER_S

log = structlog.get_logger()

WANTS_MAX: Final = 10_000
"""More are not kept: the one that has been waiting longest goes."""

Deliver = Callable[[str, bytes, str], Awaitable[bool]]
"""Takes the key of a want, the file and its origin. False: it is no map (half uploaded, a page that says "soon"), and
is to be fetched again later."""
_Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Want:
    """A notice's wish for the map that it links to.

    Attributes
    ----------
    url
        The link.
    key
        Names the notice to whom it is delivered: its IVORN.
    deadline_us
        Until when it is tried, microseconds since 1970-01-01 UTC.
    trigger_id
        What the notice is about: once the map of a newer notice of the trigger has come, older ones are not wanted.
    newness
        Sorts the notices of a trigger by age, the newest last.
    """

    url: str
    key: str
    deadline_us: int
    trigger_id: str = ""
    newness: tuple[int, ...] = ()

    @property
    def name(self) -> _Name:
        """Wants of one trigger for one link are one."""
        return self.trigger_id or self.key, self.url


class Fetches:
    """Fetches what is wanted, a few at a time, and forgets nothing until it came or its deadline passed.

    Nothing is kept on disk: at start the caller wants anew what it still lacks.

    Parameters
    ----------
    clock
        The instant now, microseconds since 1970-01-01 UTC.
    observe
        Told how each attempt ended: ``delivered``, ``unusable``, or a `FetchError.outcome`; and how a want did that
        never was delivered: ``expired``, ``superseded``, ``crowded_out``.
    """

    def __init__(
        self,
        fetcher: MapFetcher,
        options: MapFetchOptions,
        *,
        clock: Callable[[], int],
        observe: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        self._fetcher = fetcher
        self._options = options
        self._clock = clock
        self._observe = observe
        self._slots = asyncio.Semaphore(options.concurrent)
        self._wants: dict[_Name, Want] = {}
        self._tasks: dict[_Name, asyncio.Task[None]] = {}
        self._delivering: set[_Name] = set()
        self._delivered: dict[str, tuple[int, ...]] = {}
        self._new: list[_Name] = []
        self._news = asyncio.Event()

    @property
    def pending(self) -> int:
        """How many maps are wanted and have not come."""
        return len(self._wants)

    def want(self, want: Want) -> None:
        """Ask for a map; nothing is done twice for the same trigger and link.

        Of several notices that link to it, the newest gets it.
        """
        if want.newness < self._delivered.get(want.trigger_id, ()):
            self._observe("superseded")
            return
        known = self._wants.get(want.name)
        if known is not None:
            newest = max(known, want, key=lambda either: either.newness)
            self._wants[want.name] = replace(newest, deadline_us=max(known.deadline_us, want.deadline_us))
            return
        if len(self._wants) >= WANTS_MAX:
            idle = (waiting for waiting in self._wants.values() if waiting.name not in self._delivering)
            self._drop(min(idle, key=lambda waiting: waiting.deadline_us), "crowded_out")
        self._wants[want.name] = want
        self._new.append(want.name)
        self._news.set()

    async def run(self, deliver: Deliver) -> None:
        """Fetch and deliver until cancelled.

        Raises
        ------
        ExceptionGroup
            Of what ``deliver`` raised. What was wanted is still wanted, should it run again.
        """
        self._tasks.clear()
        self._new = list(self._wants)
        async with asyncio.TaskGroup() as group:
            while True:
                for name in self._new:
                    if name in self._wants and name not in self._tasks:
                        self._tasks[name] = group.create_task(self._pursue(name, deliver))
                self._new.clear()
                self._news.clear()
                await self._news.wait()

    async def _pursue(self, name: _Name, deliver: Deliver) -> None:
        pause_s = self._options.retry_s
        while True:
            async with self._slots:
                if await self._attempt(name, deliver):
                    return
            left_s = (self._wants[name].deadline_us - self._clock()) / US_PER_S
            if left_s <= 0:
                self._drop(self._wants[name], "expired")
                return
            spread = random.uniform(0.8, 1.2)  # noqa: S311 - so that they do not all come at once
            await asyncio.sleep(min(pause_s * spread, left_s))
            pause_s = min(2 * pause_s, self._options.retry_most_s)

    async def _attempt(self, name: _Name, deliver: Deliver) -> bool:
        """Try once; whether there is nothing more to do."""
        want = self._wants[name]
        try:
            body = await self._fetcher.fetch(want.url)
        except FetchError as error:
            self._observe(error.outcome)
            tell = log.warning if error.is_final else log.info
            tell("sky map not fetched", key=want.key, outcome=error.outcome, detail=str(error))
            if error.is_final:
                self._forget(want)
            return error.is_final
        want = self._wants[name]  # perhaps of a newer notice by now
        self._delivering.add(name)
        try:
            usable = await deliver(want.key, body, want.url)
        finally:
            self._delivering.discard(name)
        self._observe("delivered" if usable else "unusable")
        if not usable:
            return False
        self._remember(want)
        if self._wants[name].key != want.key:
            return await self._attempt(name, deliver)  # a newer notice asked for it in the meantime
        self._forget(want)
        return True

    def _remember(self, want: Want) -> None:
        """The map of a newer notice is there: older ones of its trigger need not come any more."""
        if not want.trigger_id:
            return
        newest = max(self._delivered.pop(want.trigger_id, ()), want.newness)
        self._delivered[want.trigger_id] = newest
        if len(self._delivered) > WANTS_MAX:
            del self._delivered[next(iter(self._delivered))]
        for other in list(self._wants.values()):
            is_older = other.trigger_id == want.trigger_id and other.newness < newest
            if is_older and other.name != want.name and other.name not in self._delivering:
                self._drop(other, "superseded")

    def _drop(self, want: Want, outcome: str) -> None:
        self._observe(outcome)
        log.info("sky map given up", key=want.key, url=want.url, outcome=outcome)
        self._forget(want)

    def _forget(self, want: Want) -> None:
        del self._wants[want.name]
        task = self._tasks.pop(want.name, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()
