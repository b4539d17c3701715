"""The SQLite database of a store, and the lock that gives it to one process."""

import os
import sqlite3
from pathlib import Path
from typing import IO

from broker.store.schema import MIGRATIONS, migrate, version_of
from schemas.errors import ConfigurationError

DATABASE = "starcross.sqlite"
LOCK = "lock"
_PAGE_BYTES = 8192
_WAL_BYTES = 64 * 1024 * 1024
"""The write-ahead log is cut to so many bytes after it has grown."""
_CHECKPOINT_PAGES = 4000


class FolderLock:
    """Gives a folder to one process; the system takes it back when the process ends, however it ends.

    Raises
    ------
    ConfigurationError
        If another process has it, naming which, or if the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = path.open("a+", encoding="ascii")
        except OSError as error:
            raise ConfigurationError(f"{folder}: the store cannot lie there: {error.strerror}") from error
        try:
            lock(self._file, shared=False)
        except OSError as error:
            holder = self._holder()
            self._file.close()
            raise ConfigurationError(f"{folder}: the store is in use by process {holder or '(unknown)'}") from error
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Let another process have the folder."""
        self._file.close()

    def _holder(self) -> str:
        self._file.seek(0)
        return self._file.read(20).strip()


def lock(file: IO[str], *, shared: bool) -> None:
    """Lock a file, without waiting, until it is closed.

    Raises
    ------
    OSError
        If another process has it.
    """
    import fcntl  # noqa: PLC0415 - only POSIX has it, and whoever has no store needs none

    fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def open_database(folder: Path) -> sqlite3.Connection:
    """The database of a store for its one writer, made or brought to the newest version if need be.

    Raises
    ------
    ConfigurationError
        If it is no database, or of a newer version.
    """
    path = folder / DATABASE
    try:
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise ConfigurationError(f"{path}: cannot be opened: {error}") from error
    try:
        # These two count only before there is a table; they change nothing afterwards.
        database.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA foreign_keys = ON")
        database.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
        database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        migrate(database)
    except sqlite3.Error as error:
        database.close()
        raise ConfigurationError(f"{path}: cannot be used as a store: {error}") from error
    except ConfigurationError as error:
        database.close()
        raise ConfigurationError(f"{path}: {error}") from error
    return database


def open_for_reading(folder: Path) -> sqlite3.Connection:
    """The database of a store, to be read only; another process may be writing to it.

    Raises
    ------
    ConfigurationError
        If there is none, or it cannot be read.
    """
    path = folder / DATABASE
    if not path.is_file():
        raise ConfigurationError(f"{folder}: there is no store")
    try:
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA query_only = ON")
        version = version_of(database)
    except sqlite3.Error as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    if version != len(MIGRATIONS):
        database.close()
        raise ConfigurationError(
            f"{path}: the store has version {version}, and this Starcross reads version {len(MIGRATIONS)}"
        )
    return database
