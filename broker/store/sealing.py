"""Stored alerts out of the database's batches into sealed files of columns, which the index maps.

What is written is on the disk before one transaction names it and strikes out the batches that it replaces, so that
a crash at any moment leaves every alert in one of the two. An error of the disk, or the end of the process that writes
the files, leaves all as it was, and the next turn tries again.
"""

import asyncio
import secrets
import sqlite3
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from broker.store.files import SEALED, SealedFile, StoreDamaged, map_night, remove_folder, write_columns
from broker.store.options import StoreOptions
from broker.store.sealer import MergeParts, SealNight, Work
from broker.store.sealer_process import SealerFailed, SealerProcess
from broker.store.writer import Change
from matchers.engine import Engine
from matchers.nights import Night, night_of
from schemas.times import US_PER_S

T = TypeVar("T")

_NIGHT_OVER_US = 2 * 3600 * US_PER_S
"""So long after its end a night still gets alerts that came late, before it is sealed."""
_MOST_PARTS = 8
_SMALL_SHARE = 8
"""A night has so many small parts at most; one that is over becomes one if the small ones are not much smaller..."""
_MOST_MERGED = 4_000_000
"""...but parts do not become larger than so many alerts, as they are made in memory."""
_COPIED_ROWS = 1 << 16
_log = structlog.get_logger()


class Write(Protocol):
    """Hands a change to the writer."""

    def __call__(self, change: Change[T]) -> asyncio.Future[T]:
        """As `Writer.submit`."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A sealed part of a night: its number and folder in the database, and the night as the index maps it."""

    id: int
    folder: str
    night: Night


@dataclass(frozen=True, slots=True, eq=False)
class _Closed:
    """A part of a night that the index closed, and the last batch of which it holds anything."""

    night: Night
    seq: int


@dataclass(slots=True, eq=False)
class Sealing:
    """Seals what is ripe, a part at a time.

    Parameters
    ----------
    folder
        Of the store.
    options
        Which say what is ripe.
    write
        Makes a change durable.
    parts
        What is sealed and mapped, by number.
    """

    folder: Path
    options: StoreOptions
    write: Write
    parts: dict[int, Part] = field(default_factory=dict)
    _closed: list[_Closed] = field(default_factory=list)
    _sealer: SealerProcess = field(default_factory=SealerProcess)
    _noted_rows: int = 0
    _owes_checkpoint: bool = False
    """Whether what objects' states the closed parts made is not written yet."""
    _last_us: int = 0
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def noted(self, rows: int) -> None:
        """Learn of alerts that only the next checkpoint of objects lets go of."""
        self._noted_rows += rows

    def forget(self, folders: Collection[str]) -> None:
        """These folders are not the store's any more."""
        for number in [part.id for part in self.parts.values() if part.folder in folders]:
            del self.parts[number]

    async def seal(self, engine: Engine, turn: asyncio.Lock, now_us: int, last_seq: Callable[[], int]) -> int:
        """Seal, merge and take over what is ripe; how many alerts were written. See `Store.seal`."""
        async with self._turn:
            written = await self._tried(self._seal(engine, turn, now_us, last_seq))
            for parts in self._to_be_merged(engine, now_us):
                written += await self._tried(self._merge(engine, turn, parts))
            return written

    def stop(self) -> None:
        """Give up what is under way; it is begun again when the store is opened again."""
        self._sealer.stop()

    async def _tried(self, work: Awaitable[int]) -> int:
        try:
            return await work
        except (OSError, StoreDamaged, SealerFailed) as error:
            _log.error("alerts cannot be sealed, trying again later", trouble=str(error))
            return 0

    async def _seal(self, engine: Engine, turn: asyncio.Lock, now_us: int, last_seq: Callable[[], int]) -> int:
        async with turn:
            # All batches so far are in the engine and in the writer's queue: whoever has the turn hands over both.
            seq = last_seq()
            if self._is_ripe(engine, now_us):
                self._last_us = now_us
                nights = engine.index.close(now_us - _NIGHT_OVER_US, self.options.open_alerts)
                self._closed += [_Closed(night, seq) for night in nights]
                self._owes_checkpoint |= bool(nights) or self._noted_rows > self.options.open_alerts
            checkpoints = await asyncio.to_thread(_checkpoints, engine) if self._owes_checkpoint else {}
            noted_rows = self._noted_rows
        # What objects' states the closed parts made must be known before the batches go that would tell of them.
        for survey, columns in checkpoints.items():
            await self._write_checkpoint(survey, columns, seq, now_us)
        if self._owes_checkpoint:
            self._owes_checkpoint = False
            self._noted_rows -= noted_rows
        written = 0
        while self._closed:
            written += await self._seal_one(engine, turn, self._closed[0])
            self._closed.pop(0)
        return written

    def _is_ripe(self, engine: Engine, now_us: int) -> bool:
        """Whether it is time to look, or there is so much that a restart would take long."""
        if now_us - self._last_us >= self.options.seal_after_s * US_PER_S:
            return True
        most = max((night.rows for night in engine.index.nights() if not night.is_closed), default=0)
        return max(most, self._noted_rows) > self.options.open_alerts

    async def _write_checkpoint(self, survey: str, columns: Mapping[str, NDArray[Any]], seq: int, now_us: int) -> None:
        name = f"objects-{survey}-{secrets.token_hex(4)}"
        files = await asyncio.to_thread(write_columns, self.folder / SEALED / name, columns)
        objects = len(columns["name"])

        def change(database: sqlite3.Connection) -> list[str]:
            gone = _folders(database, "SELECT folder FROM checkpoint WHERE survey = ?", [survey])
            _forget(database, "checkpoint", gone)
            _name_files(database, name, files)
            database.execute("INSERT INTO checkpoint VALUES (?, ?, ?, ?, ?)", [survey, seq, objects, now_us, name])
            database.execute("DELETE FROM noted WHERE survey = ? AND seq <= ?", [survey, seq])
            return gone

        await self._remove(await self.write(change))

    async def _seal_one(self, engine: Engine, turn: asyncio.Lock, closed: _Closed) -> int:
        survey, number = closed.night.survey, _number_of(closed.night)

        def strike_out(database: sqlite3.Connection) -> None:
            database.execute(
                "DELETE FROM alerts WHERE survey = ? AND night = ? AND seq <= ?", [survey, number, closed.seq]
            )

        work = SealNight(closed.night, self._new_folder(survey, number))
        part = await self._make_part(work, number, strike_out)
        if part is None:
            await self.write(strike_out)
            return 0
        await self._adopt(engine, turn, part, [closed.night])
        return part.night.rows

    def _to_be_merged(self, engine: Engine, now_us: int) -> list[list[Part]]:
        """Sealed parts that are to become one, by night."""
        stored = {id(night) for night in engine.index.nights()}
        by_night: defaultdict[tuple[str, int], list[Part]] = defaultdict(list)
        for part in self.parts.values():
            if id(part.night) in stored:
                by_night[part.night.survey, part.night.end_us].append(part)
        return [
            chosen
            for (_, end_us), parts in by_night.items()
            if (chosen := _to_merge(parts, is_over=end_us <= now_us - _NIGHT_OVER_US))
        ]

    async def _merge(self, engine: Engine, turn: asyncio.Lock, parts: Sequence[Part]) -> int:
        nights = [part.night for part in parts]
        survey, number = nights[0].survey, _number_of(nights[0])
        old = [part.folder for part in parts]
        rows = sum(night.rows for night in nights)
        work = MergeParts(survey, [self.folder / SEALED / name for name in old], rows, self._new_folder(survey, number))
        merged = await self._make_part(work, number, lambda database: _forget(database, "part", old))
        if merged is None:
            return 0
        await self._adopt(engine, turn, merged, nights)
        for gone in parts:
            self.parts.pop(gone.id, None)
        await self._remove(old)
        return merged.night.rows

    async def _make_part(self, work: Work, number: int, replaced: Change[None]) -> Part | None:
        """Write a sealed night, and name it in the same transaction that strikes out what it replaces; None if no alert
        is left.
        """
        files = await asyncio.to_thread(self._sealer.write, work)
        if not files:
            return None
        name = work.folder.name
        # What is struck out is first seen to be there, in files that can be read.
        night = await asyncio.to_thread(map_night, work.folder, work.survey)
        (run,) = night.runs
        first_us, last_us = night.start_us + run.first_us, night.start_us + run.last_us

        def change(database: sqlite3.Connection) -> int:
            replaced(database)
            _name_files(database, name, files)
            inserted = database.execute(
                "INSERT INTO part (survey, night, rows, first_us, last_us, folder) VALUES (?, ?, ?, ?, ?, ?)",
                [night.survey, number, night.rows, first_us, last_us, name],
            )
            return inserted.lastrowid or 0

        return Part(await self.write(change), name, night)

    async def _adopt(self, engine: Engine, turn: asyncio.Lock, part: Part, instead: Sequence[Night]) -> None:
        """Have the index use the mapped files. Where something expired meanwhile it keeps what it has in memory."""
        async with turn:
            engine.index.adopt(part.night, instead)
        self.parts[part.id] = part

    def _new_folder(self, survey: str, number: int) -> Path:
        return self.folder / SEALED / f"{survey}-{number}-{secrets.token_hex(4)}"

    async def _remove(self, folders: Sequence[str]) -> None:
        for name in folders:
            await asyncio.to_thread(remove_folder, self.folder / SEALED / name)


def _number_of(night: Night) -> int:
    return int(night_of(np.array([night.start_us]))[0])


def _checkpoints(engine: Engine) -> dict[str, dict[str, NDArray[Any]]]:
    """What is known of the objects of each survey, copied."""
    index = engine.index
    return {
        survey: {name: _copied(column) for name, column in index.checkpoint(survey).items()}
        for survey in index.surveys()
    }


def _copied(column: NDArray[Any]) -> NDArray[Any]:
    """A copy, made in pieces: between two of them other threads get their turn."""
    copy = np.empty_like(column)
    for start in range(0, len(column), _COPIED_ROWS):
        copy[start : start + _COPIED_ROWS] = column[start : start + _COPIED_ROWS]
    return copy


def _to_merge(parts: Sequence[Part], *, is_over: bool) -> list[Part]:
    """Those parts of a night that are to become one; none if it is not worth the work."""
    by_size = sorted(parts, key=lambda part: part.night.rows)
    if not is_over:
        by_size = [part for part in by_size if part.night.rows < _MOST_MERGED // 2]
    totals = np.cumsum([part.night.rows for part in by_size])
    chosen = by_size[: int(np.searchsorted(totals, _MOST_MERGED, side="right"))]
    if len(chosen) > _MOST_PARTS:
        return chosen
    if not is_over or len(chosen) < 2:  # noqa: PLR2004 - one and one
        return []
    *small, largest = (part.night.rows for part in chosen)
    return chosen if sum(small) >= largest // _SMALL_SHARE else []


def _name_files(database: sqlite3.Connection, folder: str, files: Sequence[SealedFile]) -> None:
    rows = [(folder, file.name, file.size, file.digest) for file in files]
    database.executemany("INSERT INTO file VALUES (?, ?, ?, ?)", rows)


def _folders(database: sqlite3.Connection, asked: str, parameters: Sequence[Any]) -> list[str]:
    return [name for (name,) in database.execute(asked, parameters)]


def _forget(database: sqlite3.Connection, table: str, folders: Sequence[str]) -> None:
    """The database names these folders of a table no more."""
    rows = [(name,) for name in folders]
    database.executemany("DELETE FROM file WHERE folder = ?", rows)
    database.executemany(f"DELETE FROM {table} WHERE folder = ?", rows)  # noqa: S608 - one of our own tables
