"""The one thread that writes to the database: changes in the order in which they are handed over, several a fsync.

A change that waiting can mend (a full disk, an error of the device) is tried again for ever, and those behind it wait;
a change that is wrong in itself fails alone.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, TypeVar

import structlog

from broker.store.records import Trouble
from schemas.errors import StarcrossError

T = TypeVar("T")
Change = Callable[[sqlite3.Connection], T]

_MOST_TOGETHER = 64
"""Changes that share a transaction at most, so that the first does not wait for too many others."""
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 10.0
_CURABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}
"""What lies at the disk, not at the change."""
_log = structlog.get_logger()


class StoreClosed(StarcrossError):  # noqa: N818 - what happened, as the log shows it
    """The store was closed before this was written."""


@dataclass(slots=True, eq=False)
class _Work:
    change: Change[Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None


class Writer:
    """Writes changes to a database in a thread of its own.

    Parameters
    ----------
    database
        Nobody else may use this connection.
    clock
        The instant now, in microseconds; asked in the thread.
    """

    def __init__(self, database: sqlite3.Connection, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._closing = Event()
        self._loop = asyncio.get_running_loop()
        self._thread = Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()
        self.trouble: Trouble | None = None

    def submit(self, change: Change[T]) -> asyncio.Future[T]:
        """Hand over a change; it is durable once the future is done. Nothing is awaited here.

        Parameters
        ----------
        change
            Called in the thread with the connection, inside a transaction; again if that could not be committed.

        Returns
        -------
        asyncio.Future
            Of what the change returned, or with what it raised. `StoreClosed` if it was not written before the end.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        if self._closing.is_set():
            future.set_exception(StoreClosed("the store is closed"))
        else:
            self._queue.put(_Work(change, future))
        return future

    async def close(self) -> None:
        """Write what was handed over, as far as the disk takes it, and end the thread."""
        if not self._closing.is_set():
            self._closing.set()
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        await asyncio.sleep(0)  # the futures are told by the loop

    def _run(self) -> None:
        last = False
        while not last:
            works, last = self._next_works()
            try:
                self._write(works)
            except Exception as error:  # noqa: BLE001 - a mistake of ours; whoever waits must not wait for ever
                for work in works:
                    work.error = error
            if works:
                self._loop.call_soon_threadsafe(_tell, works)
        self._database.close()

    def _next_works(self) -> tuple[list[_Work], bool]:
        """What waits, at least one; and whether nothing comes after it."""
        works: list[_Work] = []
        work = self._queue.get()
        while work is not None:
            works.append(work)
            if len(works) == _MOST_TOGETHER:
                return works, False
            try:
                work = self._queue.get_nowait()
            except Empty:
                return works, False
        return works, True

    def _write(self, works: list[_Work]) -> None:
        pause_s = _FIRST_PAUSE_S
        while works:
            try:
                self._transact(works)
            except sqlite3.Error as error:
                self._stumble(error)
            else:
                self._recover()
                return
            if self._closing.wait(pause_s):
                for work in works:
                    work.error = StoreClosed(f"the store was closed while it could not be written: {self.trouble}")
                return
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _transact(self, works: list[_Work]) -> None:
        """All of them in one transaction; one that is wrong in itself leaves nothing in it."""
        database = self._database
        try:
            database.execute("BEGIN IMMEDIATE")
            for work in works:
                work.result = work.error = None
                database.execute("SAVEPOINT work")
                try:
                    work.result = work.change(database)
                except Exception as error:
                    if _is_curable(error):
                        raise
                    work.error = error
                    database.execute("ROLLBACK TO work")
                database.execute("RELEASE work")
            database.execute("COMMIT")
        except sqlite3.Error:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise

    def _stumble(self, error: sqlite3.Error) -> None:
        what = f"{error} ({getattr(error, 'sqlite_errorname', None) or type(error).__name__})"
        known = self.trouble
        self.trouble = Trouble(what, known.since_us if known else self._clock())
        if known is None or known.what != what:
            with suppress(OSError, ValueError):  # nobody to tell is no reason to stop
                _log.error("store cannot be written, trying again", trouble=what)

    def _recover(self) -> None:
        if self.trouble is not None:
            trouble, self.trouble = self.trouble, None
            with suppress(OSError, ValueError):
                _log.warning("store can be written again", trouble=trouble.what)


def _is_curable(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _CURABLE


def _tell(works: list[_Work]) -> None:
    for work in works:
        if work.future.done():  # whoever waited was cancelled
            continue
        if work.error is not None:
            work.future.set_exception(work.error)
        else:
            work.future.set_result(work.result)
