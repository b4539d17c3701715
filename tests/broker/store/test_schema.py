"""Stores of every version there was become the newest; others are refused by name."""

import sqlite3
from pathlib import Path

import pytest

from broker.store.database import DATABASE, FolderLock, open_database, open_for_reading
from broker.store.options import StoreOptions
from broker.store.schema import MIGRATIONS, migrate, version_of
from broker.store.store import Store
from schemas.errors import ConfigurationError

VERSIONS = sorted(Path(__file__).with_name("versions").glob("*.sql"))


def tables(database):
    """What there is, whatever way it came about."""
    names = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")]
    return {name: database.execute(f"PRAGMA table_xinfo({name})").fetchall() for name in names}


def counted(database):
    """How many rows each table has."""
    names = [
        name
        for (name,) in database.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
    ]
    return {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}  # noqa: S608


def test_there_is_a_store_of_each_version():
    assert [path.stem for path in VERSIONS] == [f"{number:04}" for number in range(1, len(MIGRATIONS) + 1)]


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
async def test_a_store_of_an_earlier_version_becomes_the_newest_and_keeps_all(path, tmp_path):
    with sqlite3.connect(tmp_path / DATABASE) as old:
        old.executescript(path.read_text(encoding="utf-8"))
    assert version_of(old) == int(path.stem)
    kept = counted(old)
    old.close()
    store = await Store.open(tmp_path, StoreOptions(), lambda: 0)
    assert store.positions("ztf") == {"ztf_20261120_programid1[0]": 4711}
    (delivery,) = await store.next("kafka", 9)
    assert delivery.publication.coincidence.id == "grb-5b0f7c2a9d1e4f36"
    await store.close()
    new = sqlite3.connect(":memory:", isolation_level=None)
    migrate(new)
    upgraded = open_for_reading(tmp_path)
    assert tables(upgraded) == tables(new)
    assert counted(upgraded).items() >= kept.items()
    assert upgraded.execute("PRAGMA foreign_key_check").fetchall() == []
    upgraded.close()
    new.close()


def test_numbers_of_revisions_stay_when_others_go_and_the_file_is_made_smaller(tmp_path):
    database = open_database(tmp_path)
    added = "INSERT INTO coincidence (id, revision, state, trigger_id, changed_us, stored_us, document) VALUES "
    for number in range(1, 6):
        database.execute(f"{added} ('grb-{number}', 1, 'proposed', 'fermi-gbm:1', 0, 0, '{{}}')")
    database.execute("DELETE FROM coincidence WHERE id IN ('grb-1', 'grb-3', 'grb-5')")
    database.execute("VACUUM")
    database.execute(f"{added} ('grb-6', 1, 'proposed', 'fermi-gbm:1', 0, 0, '{{}}')")
    rows = database.execute("SELECT seq, id FROM coincidence ORDER BY seq").fetchall()
    database.close()
    assert rows == [(2, "grb-2"), (4, "grb-4"), (6, "grb-6")]


def test_a_step_that_fails_leaves_the_store_as_it_was(tmp_path, monkeypatch):
    open_database(tmp_path).close()
    steps = (*MIGRATIONS, "CREATE TABLE more (n INTEGER); CREATE TABLE nonsense (;")
    monkeypatch.setattr("broker.store.schema.MIGRATIONS", steps)
    with pytest.raises(ConfigurationError, match="cannot be used as a store"):
        open_database(tmp_path)
    with sqlite3.connect(tmp_path / DATABASE) as database:
        assert version_of(database) == len(MIGRATIONS)
        assert "more" not in tables(database)
    database.close()


def test_a_newer_store_is_refused(tmp_path):
    database = open_database(tmp_path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    for opened in (open_database, open_for_reading):
        with pytest.raises(ConfigurationError, match="version 99"):
            opened(tmp_path)


def test_what_is_no_database_is_refused_and_left_alone(tmp_path):
    (tmp_path / DATABASE).write_bytes(b"this is a letter to my aunt" * 99)
    for opened in (open_database, open_for_reading):
        with pytest.raises(ConfigurationError, match="not a database"):
            opened(tmp_path)
    assert (tmp_path / DATABASE).read_bytes() == b"this is a letter to my aunt" * 99


async def test_one_process_has_a_store_at_a_time(tmp_path):
    store = await Store.open(tmp_path, StoreOptions(), lambda: 0)
    with pytest.raises(ConfigurationError, match=r"in use by process \d+"):
        await Store.open(tmp_path, StoreOptions(), lambda: 0)
    await store.close()
    FolderLock(tmp_path).release()


def test_a_place_that_cannot_be_a_store_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="file: the store cannot lie there"):
        FolderLock(tmp_path / "file")
    (tmp_path / DATABASE).mkdir()
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        open_database(tmp_path)
