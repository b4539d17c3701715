"""Whether a store is what it should be, and making it small."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from broker.store.columns import unpack_alerts
from broker.store.database import DATABASE, FolderLock, open_database
from broker.store.files import SEALED, check_file, remove_leftovers
from broker.store.schema import named_folders, sealed_files
from schemas.coincidence import from_json
from schemas.errors import BadCoincidence


def problems(database: sqlite3.Connection, folder: Path) -> Iterator[str]:
    """Everything that is wrong, a sentence each: the database, the references in it, every file and every blob."""
    for (told,) in database.execute("PRAGMA integrity_check"):
        if told != "ok":
            yield f"{DATABASE}: {told}"
    for table, row, other, _ in database.execute("PRAGMA foreign_key_check"):
        yield f"{DATABASE}: row {row} of {table} refers to a row of {other} that is not there"
    yield from _wrong_files(database, folder)
    for number, survey, rows, columns in database.execute("SELECT id, survey, rows, columns FROM alerts"):
        try:
            found = len(unpack_alerts(survey, columns))
        except ValueError as error:
            yield f"batch {number}: {error}"
            continue
        if found != rows:
            yield f"batch {number}: {found} {survey} alerts instead of {rows}"
    for identity, revision, document in database.execute("SELECT id, revision, document FROM coincidence"):
        try:
            from_json(document)
        except BadCoincidence as error:
            yield f"coincidence {identity}, revision {revision}: {error}"
    for identity, document in database.execute("SELECT id, document FROM standing"):
        try:
            from_json(document)
        except BadCoincidence as error:
            yield f"coincidence {identity}, as it stands: {error}"


def _wrong_files(database: sqlite3.Connection, folder: Path) -> Iterator[str]:
    named = named_folders(database)
    for name in sorted(named):
        files = sealed_files(database, name)
        wrong = [(file.name, what) for file in files if (what := check_file(folder / SEALED / name / file.name, file))]
        there = {path.name for path in (folder / SEALED / name).glob("*")}
        wrong += [(extra, "is not of the store") for extra in sorted(there - {file.name for file in files})]
        # The service may have let it go while it was read.
        if wrong and name in named_folders(database):
            yield from (f"{SEALED}/{name}/{file}: {what}" for file, what in wrong)
    orphans = [row[0] for row in database.execute("SELECT DISTINCT folder FROM file")]
    yield from (f"{DATABASE}: files of {name} are known, and no part is" for name in orphans if name not in named)


def compact(folder: Path) -> tuple[int, int]:
    """Give free room back to the disk; bytes of the database before and after.

    Raises
    ------
    ConfigurationError
        If the store is in use, or cannot be used.
    """
    lock = FolderLock(folder)
    try:
        before = (folder / DATABASE).stat().st_size if (folder / DATABASE).exists() else 0
        database = open_database(folder)
        try:
            (folder / SEALED).mkdir(exist_ok=True)
            remove_leftovers(folder / SEALED, named_folders(database))
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            database.close()
        return before, (folder / DATABASE).stat().st_size
    finally:
        lock.release()
