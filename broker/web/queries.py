"""What the store is asked over HTTP: in threads of its own, so that no long question holds up a sink or the loop.

What is private to others is left out by the questions themselves: whatever is asked, an answer never holds it.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import monotonic
from typing import TypeVar

from broker.store.database import open_for_reading
from broker.web.access import Principal
from broker.web.tokens import Scope
from matchers.selection import Selection
from schemas.coincidence import from_json
from schemas.records import Coincidence

T = TypeVar("T")
_THREADS = 2
SCANNED_AT_ONCE = 20_000
"""Most revisions that one question looks at: an answer tells where to go on."""
_PAGE_ROWS = 200
_COLUMNS = "seq, id, document, private_to"
_BEST_FIRST = (
    "ifnull(document ->> '$.statistics.posterior', 0) DESC, document ->> '$.overlap' DESC, "
    "document ->> '$.credible_level', abs(document ->> '$.delta_t_s'), id, revision DESC"
)
_SCANNED_S = 0.5
"""Nor does one question with a condition take longer: others wait for the thread."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which revisions are asked for. What is None or empty does not matter.

    Attributes
    ----------
    after
        Only those that were stored after the one with this number.
    newest
        Only the newest revision of each coincidence.
    where
        A condition, as substreams have them.
    changed_from_us, changed_before_us
        When the revision was made.
    """

    after: int = 0
    newest: bool = True
    state: str | None = None
    matcher: str | None = None
    trigger_id: str | None = None
    object_key: tuple[str, str] | None = None
    changed_from_us: int | None = None
    changed_before_us: int | None = None
    where: Selection | None = None

    @property
    def is_open(self) -> bool:
        """Whether every revision is asked for that comes after the given one."""
        return Filter(after=self.after, newest=self.newest) == self

    def passes(self, one: Coincidence) -> bool:
        """Whether a revision is asked for, wherever it is stored and whether it is the newest or not."""
        return (
            self.state in {None, one.state.value}
            and self.matcher in {None, one.matcher}
            and self.trigger_id in {None, one.trigger.id}
            and self.object_key in {None, (one.object.survey, one.object.object_id)}
            and (self.changed_from_us is None or one.changed_us >= self.changed_from_us)
            and (self.changed_before_us is None or one.changed_us < self.changed_before_us)
            and (self.where is None or self.where.holds(one))
        )


@dataclass(frozen=True)
class Found:
    """A revision of a coincidence: the number under which it was stored, its id, its text in JSON, and whose it is."""

    seq: int
    id: str
    document: str
    private_to: str = ""

    @cached_property
    def coincidence(self) -> Coincidence:
        """What the text says; reading it takes a tenth of a millisecond, and is done once."""
        return from_json(self.document)

    @cached_property
    def event(self) -> bytes:
        """As a server-sent event, made once for all who follow; JSON of ours has no line's end in it."""
        return f"id: {self.seq}\nevent: coincidence\ndata: {self.document}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Page:
    """Part of an answer; ``next_after`` is where to go on, None at the end."""

    items: tuple[Found, ...]
    next_after: int | None


class Questions:
    """Questions to a store of this process or another one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="store-questions")
        self._own = threading.local()

    async def close(self) -> None:
        """Let go of the store."""
        await asyncio.to_thread(self._threads.shutdown)

    async def coincidences(self, asked: Filter, principal: Principal, limit: int) -> Page:
        """Revisions in the order in which they were stored, at most so many."""
        return await self.ask(lambda database: _page(database, asked, principal, limit))

    async def best(self, trigger_id: str, principal: Principal, limit: int) -> tuple[Found, ...]:
        """The best coincidences of a trigger that stand, as `matchers.rank.rank` has them, at most so many.

        The database ranks them: of thousands it takes a tenth of the time that reading them in Python takes, during
        which nothing else would run.
        """

        def question(database: sqlite3.Connection) -> tuple[Found, ...]:
            condition, values = _conditions(Filter(trigger_id=trigger_id), principal)
            text = (
                f"SELECT {_COLUMNS} FROM coincidence AS one WHERE {condition} AND state <> 'withdrawn' "  # noqa: S608
                f"ORDER BY {_BEST_FIRST} LIMIT ?"
            )
            return tuple(Found(*row) for row in database.execute(text, [*values, limit]))

        return await self.ask(question)

    async def history(self, coincidence_id: str, principal: Principal) -> tuple[Found, ...]:
        """All revisions of a coincidence, oldest first; none if there is none that may be seen."""

        def question(database: sqlite3.Connection) -> tuple[Found, ...]:
            seen, values = _visible(principal)
            text = f"SELECT {_COLUMNS} FROM coincidence WHERE id = ? AND {seen} ORDER BY revision"  # noqa: S608
            return tuple(Found(*row) for row in database.execute(text, [coincidence_id, *values]))

        return await self.ask(question)

    async def number_of(self, coincidence_id: str, revision: int, principal: Principal) -> int | None:
        """Under which number a revision was stored; None if there is none that may be seen."""

        def question(database: sqlite3.Connection) -> int | None:
            seen, values = _visible(principal)
            text = f"SELECT seq FROM coincidence WHERE id = ? AND revision = ? AND {seen}"  # noqa: S608 - our own words
            row = database.execute(text, [coincidence_id, revision, *values]).fetchone()
            return None if row is None else int(row[0])

        return await self.ask(question)

    async def last(self) -> int:
        """The number of the revision that was stored last; 0 if none was."""
        return await self.ask(lambda database: database.execute("SELECT max(seq) FROM coincidence").fetchone()[0] or 0)

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Ask in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._asked, question)

    def _asked(self, question: Callable[[sqlite3.Connection], T]) -> T:
        database: sqlite3.Connection | None = getattr(self._own, "database", None)
        if database is None:
            database = self._own.database = open_for_reading(self._folder)
        return question(database)


def _visible(principal: Principal) -> tuple[str, list[str]]:
    """The condition that leaves out what is private to others, with its values."""
    if principal.may(Scope.ADMIN):
        return "TRUE", []
    if not principal.owner:
        return "private_to = ''", []
    return "private_to IN ('', ?)", [principal.owner]


def _page(database: sqlite3.Connection, asked: Filter, principal: Principal, limit: int) -> Page:
    items: list[Found] = []
    looked_at, after = 0, asked.after
    ends_s = monotonic() + _SCANNED_S
    for found in _rows(database, asked, principal):
        too_long = asked.where is not None and looked_at and monotonic() > ends_s
        if len(items) == limit or looked_at == SCANNED_AT_ONCE or too_long:
            return Page(tuple(items), after)
        looked_at, after = looked_at + 1, found.seq
        if asked.where is None or asked.where.holds(found.coincidence):
            items.append(found)
    return Page(tuple(items), None)


def _rows(database: sqlite3.Connection, asked: Filter, principal: Principal) -> Iterator[Found]:
    condition, values = _conditions(asked, principal)
    text = f"SELECT {_COLUMNS} FROM coincidence AS one WHERE {condition} ORDER BY seq"  # noqa: S608 - our own words
    cursor = database.execute(text, values)
    cursor.arraysize = _PAGE_ROWS
    return (Found(*row) for row in cursor)


def _conditions(asked: Filter, principal: Principal) -> tuple[str, Sequence[object]]:
    seen, owner = _visible(principal)
    survey, object_id = asked.object_key or (None, None)
    given: list[tuple[str, object]] = [
        ("state = ?", asked.state),
        ("matcher = ?", asked.matcher),
        ("trigger_id = ?", asked.trigger_id),
        ("survey = ?", survey),
        ("object_id = ?", object_id),
        ("changed_us >= ?", asked.changed_from_us),
        ("changed_us < ?", asked.changed_before_us),
    ]
    wanted = [(text, value) for text, value in given if value is not None]
    newest = "NOT EXISTS (SELECT 1 FROM coincidence WHERE id = one.id AND revision > one.revision)"
    texts = ["seq > ?", seen, *(text for text, _ in wanted), *([newest] if asked.newest else [])]
    return " AND ".join(texts), [asked.after, *owner, *(value for _, value in wanted)]
