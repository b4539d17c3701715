"""All that must survive, in one place: what is told to be kept is on the disk.

The event loop never waits for the disk: one thread writes, another one reads.
"""

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from bridges.emit import NOWHERE, Positions
from broker.store.annotations import read_annotations
from broker.store.batches import BatchChange
from broker.store.database import FolderLock, open_database, open_for_reading
from broker.store.expiry import STEP_ROWS, HorizonChange, outdated
from broker.store.files import SEALED, remove_folder, remove_leftovers
from broker.store.options import StoreOptions
from broker.store.outbox import backlogs, read_outbox, strike_out
from broker.store.records import Backlog, Batch, Delivery, KeptAnnotation, Trouble
from broker.store.restoring import ReadNotice, ReadSkyMap, Restored, restore
from broker.store.schema import last_seq, named_folders
from broker.store.sealing import Sealing
from broker.store.writer import Change, Writer
from matchers.engine import Engine
from schemas.times import US_PER_DAY

T = TypeVar("T")
_SENT = "SELECT substream, coincidence_id, first_us FROM routed"
Clock = Callable[[], int]
"""The instant now, in microseconds since 1970-01-01 UTC."""


@dataclass(slots=True, eq=False)
class _Outbox:
    """What the loop knows of a sink's outbox."""

    backlog: Backlog = field(default_factory=Backlog)
    filled: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, count: int, oldest_us: int | None) -> None:
        """Wake whoever waits for entries if there are any."""
        self.backlog = Backlog(count, oldest_us)
        if count:
            self.filled.set()
        else:
            self.filled.clear()


class Store:
    """A folder with a database and files of columns, of one process. Made by `Store.open`.

    Attributes
    ----------
    folder, options
        Where it lies, and what it keeps.
    """

    def __init__(
        self, folder: Path, options: StoreOptions, clock: Clock, lock: FolderLock, database: sqlite3.Connection
    ) -> None:
        self.folder = folder
        self.options = options
        self._clock = clock
        self._lock = lock
        self._writer = Writer(database, clock)
        self._reading = open_for_reading(folder)
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        self._positions: defaultdict[str, dict[str, int]] = defaultdict(dict)
        self._outboxes: defaultdict[str, _Outbox] = defaultdict(_Outbox)
        self._sealing = Sealing(folder, options, self._writer.submit)
        self._seq = 0

    @classmethod
    async def open(cls, folder: Path, options: StoreOptions, clock: Clock) -> Self:
        """Open the store in a folder, made if there is none, and clear up what a crash left.

        Parameters
        ----------
        folder
            On a local disk.
        clock
            Tells when things are stored; asked in several threads.

        Raises
        ------
        ConfigurationError
            If another process has it, a newer version wrote it, or it cannot be used; the message says which.
        """
        lock, database = await asyncio.to_thread(_taken, folder)
        store = cls(folder, options, clock, lock, database)
        await store._read(store._load)
        return store

    async def close(self) -> None:
        """Write what was handed over, as far as the disk takes it, and let go of the folder."""
        self._sealing.stop()
        await self._writer.close()
        await self._read(sqlite3.Connection.close)
        self._readers.shutdown(wait=False)
        self._lock.release()

    @property
    def trouble(self) -> Trouble | None:
        """What keeps the store from writing at present; None if nothing does."""
        return self._writer.trouble

    def positions(self, source: str) -> Positions:
        """Where a source stood with the last batch that is durable; empty if there was none."""
        return dict(self._positions[source]) if source in self._positions else NOWHERE

    def commit(self, batch: Batch) -> asyncio.Future[None]:
        """Store a batch; it is durable once the future is done.

        Batches are stored in the order of the calls, each wholly or not at all; what is handed over may not change any
        more. A disk that is full or fails is tried until it works (see `trouble`), and later batches wait.

        Raises
        ------
        sqlite3.IntegrityError, ValueError
            By the future, if the batch itself is wrong: a revision twice, an outbox entry of what is not
            stored, a number that is not finite. Nothing of it is stored then.
        StoreClosed
            By the future, if the store was closed before it could be written.
        """
        self._seq += 1
        now_us = self._clock()
        change = BatchChange(batch, self._seq, now_us, self.options)
        return self._write(change, lambda _: self._committed(batch, now_us))

    def _committed(self, batch: Batch, now_us: int) -> None:
        self._sealing.noted(sum(len(alerts) for alerts in batch.noted))
        self._positions[batch.source].update(batch.positions)
        for entry in batch.outbox:
            outbox = self._outboxes[entry.sink]
            outbox.tell(outbox.backlog.count + 1, outbox.backlog.oldest_us or now_us)

    async def next(self, sink: str, limit: int, *, packets: bool = False) -> list[Delivery]:
        """What a sink is to be sent next: the oldest of its outbox, in order; waits until there is something.

        The same come again until they are `done`.

        Parameters
        ----------
        limit
            At most so many.
        packets
            Whether the packets of the latest matching alerts come with them, where they are kept.
        """
        outbox = self._outboxes[sink]
        while True:
            await outbox.filled.wait()
            deliveries = await self._read(lambda database: read_outbox(database, sink, limit, packets=packets))
            if deliveries:
                return deliveries
            outbox.filled.clear()  # what there was is done in the meantime

    async def done(self, sink: str, ids: Sequence[int]) -> None:
        """A sink's next hop has these entries; they leave the outbox."""

        def tell(left: tuple[int, int | None]) -> None:
            gone, oldest_us = left
            self._outboxes[sink].tell(self._outboxes[sink].backlog.count - gone, oldest_us)

        await self._write(lambda database: strike_out(database, sink, ids), tell)

    def backlog(self, sink: str) -> Backlog:
        """How much a sink has not been sent yet."""
        return self._outboxes[sink].backlog if sink in self._outboxes else Backlog()

    def sinks(self) -> Collection[str]:
        """Sinks that have an outbox, in this configuration or an earlier one."""
        return sorted(sink for sink, outbox in self._outboxes.items() if outbox.backlog.count)

    async def sent(self) -> list[tuple[str, str, int]]:
        """What substreams sent so far, of earlier runs too: name of the substream, id of the coincidence, and the
        instant (us) of the revision that was sent first.
        """
        return await self._read(lambda database: database.execute(_SENT).fetchall())

    async def annotations(self) -> list[KeptAnnotation]:
        """What services answered about objects, of earlier runs too."""
        return await self._read(read_annotations)

    async def restore(self, engine: Engine, read_notice: ReadNotice, read_skymap: ReadSkyMap) -> Restored:
        """Fill a new engine with all that is stored, in a thread; nobody else may use it meanwhile.

        Parameters
        ----------
        read_notice
            The notices of a message, each with the density of the position that it gives; none if it cannot be read.
        read_skymap
            The density that a kept sky map tells; None if it cannot be read.
        """
        folder = self.folder
        restored, parts = await self._read(lambda database: restore(database, folder, engine, read_notice, read_skymap))
        self._sealing.parts.update({part.id: part for part in parts})
        self._sealing.noted(restored.noted_alerts)
        return restored

    async def seal(self, engine: Engine, turn: asyncio.Lock) -> int:
        """Move alerts out of the database into sealed files if it is time to; how many were written.

        To be called now and then. Nights that are over, and parts that have become large, are sealed by survey; parts
        of a night that is over are merged; and what is known of objects is written down. None of it runs on the loop.

        Parameters
        ----------
        turn
            Held by whoever uses the engine, from there until `commit` was called with what came of it. It is taken for
            moments only, but for a copy of what is known of objects.
        """
        return await self._sealing.seal(engine, turn, self._clock(), lambda: self._seq)

    def expire(self, horizon_us: int, triggers: Collection[str]) -> asyncio.Task[None]:
        """Let go what the engine let go, and what the configuration does not keep any longer.

        It is in the order of the calls of `commit`: call it in the same turn as `Engine.expire`; the task that it
        returns may be awaited later.

        Parameters
        ----------
        horizon_us, triggers
            `Engine.horizon_us`, and what `Engine.expire` returned.
        """
        self._seq += 1
        now_us = self._clock()
        unbound_before_us = now_us - int(self.options.retention_d * US_PER_DAY)
        written = self._writer.submit(HorizonChange(self._seq, horizon_us, triggers, unbound_before_us))
        return asyncio.create_task(self._let_go(written, now_us), name="store-expiry")

    async def _let_go(self, written: asyncio.Future[list[str]], now_us: int) -> None:
        folders = await written
        self._sealing.forget(folders)
        for name in folders:
            await asyncio.to_thread(remove_folder, self.folder / SEALED / name)
        for statement, values in outdated(self.options, now_us):
            while await self._writer.submit(partial(_delete_some, statement, values)) == STEP_ROWS:
                pass

    def _write(self, change: Change[T], tell: Callable[[T], None]) -> asyncio.Future[T]:
        """Hand a change to the writer; what is durable is told at once and in order, whoever waits for it or not."""
        told: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def written(future: asyncio.Future[T]) -> None:
            error = future.exception()
            if error is None:
                tell(future.result())
            if told.cancelled():
                return
            if error is None:
                told.set_result(future.result())
            else:
                told.set_exception(error)

        self._writer.submit(change).add_done_callback(written)
        return told

    async def _read(self, ask: Callable[[sqlite3.Connection], T]) -> T:
        """Ask the database in the thread that reads."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, ask, self._reading)

    def _load(self, database: sqlite3.Connection) -> None:
        """What is known without asking again."""
        sealed = self.folder / SEALED
        sealed.mkdir(exist_ok=True)
        remove_leftovers(sealed, named_folders(database))
        for source, name, value in database.execute("SELECT source, name, value FROM position"):
            self._positions[source][name] = value
        for sink, backlog in backlogs(database).items():
            self._outboxes[sink].tell(backlog.count, backlog.oldest_us)
        self._seq = last_seq(database)


def _delete_some(statement: str, values: list[int], database: sqlite3.Connection) -> int:
    return database.execute(statement, [*values, STEP_ROWS]).rowcount


def _taken(folder: Path) -> tuple[FolderLock, sqlite3.Connection]:
    lock = FolderLock(folder)
    try:
        return lock, open_database(folder)
    except BaseException:
        lock.release()
        raise
