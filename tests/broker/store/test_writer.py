"""The writer waits for what waiting can mend, and only for that."""

import asyncio
import random
import sqlite3

import pytest

from broker.store.database import DATABASE
from broker.store.options import StoreOptions
from broker.store.records import Batch
from broker.store.store import Store
from broker.store.writer import StoreClosed, Writer
from schemas.errors import Reason
from schemas.records import Rejection

NOW = 1_600_000_000_000_000


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - it is told by another thread
            await asyncio.sleep(0.01)


def fill(store, *, spare_pages):
    """No more room than this, as on a full disk."""

    def change(database):
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages + spare_pages}")

    return store._writer.submit(change)


def rejecting(number, size=50_000):
    return Batch(
        source="s",
        positions={"n": number},
        rejected=[(Rejection(f"m{number}", Reason.EMPTY, "-"), bytes(str(number), "ascii") + _noise(size))],
    )


def _noise(size):
    return random.Random(1).randbytes(size)


async def test_a_full_disk_is_waited_for_and_nothing_is_skipped(tmp_path):
    store = await Store.open(tmp_path, StoreOptions(), lambda: NOW)
    await fill(store, spare_pages=2)
    batches = [store.commit(rejecting(number)) for number in range(5)]
    await until(lambda: store.trouble is not None)
    assert "SQLITE_FULL" in store.trouble.what
    assert store.trouble.since_us == NOW
    assert store.positions("s") == {}
    assert not any(batch.done() for batch in batches)
    # The disk gets room, as seen by another process.
    store._writer._database.execute("PRAGMA max_page_count = 1000000")
    await asyncio.gather(*batches)
    assert store.trouble is None
    assert store.positions("s") == {"n": 4}
    await store.close()
    with sqlite3.connect(tmp_path / DATABASE) as database:
        assert [row[0] for row in database.execute("SELECT origin FROM rejected ORDER BY id")] == [
            f"m{number}" for number in range(5)
        ]
    database.close()


async def test_closing_does_not_wait_for_a_full_disk(tmp_path):
    store = await Store.open(tmp_path, StoreOptions(), lambda: NOW)
    await store.commit(rejecting(0))
    await fill(store, spare_pages=0)
    waiting = store.commit(rejecting(1, 200_000))
    await until(lambda: store.trouble is not None)
    await store.close()
    with pytest.raises(StoreClosed, match="full"):
        await waiting
    with pytest.raises(StoreClosed):
        await store.commit(rejecting(2))
    store = await Store.open(tmp_path, StoreOptions(), lambda: NOW)
    assert store.positions("s") == {"n": 0}
    await store.close()


async def test_who_waits_may_be_cancelled_and_the_batch_is_stored_all_the_same(tmp_path):
    store = await Store.open(tmp_path, StoreOptions(), lambda: NOW)
    await fill(store, spare_pages=0)
    waiter = asyncio.create_task(_wait_for(store.commit(rejecting(1))))
    await until(lambda: store.trouble is not None)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    store._writer._database.execute("PRAGMA max_page_count = 1000000")
    await store.commit(rejecting(2))
    assert store.positions("s") == {"n": 2}
    await store.close()
    with sqlite3.connect(tmp_path / DATABASE) as database:
        assert database.execute("SELECT count(*) FROM rejected").fetchone() == (2,)
    database.close()


async def _wait_for(future):
    await future


async def test_many_changes_share_a_transaction_and_a_wrong_one_fails_alone(tmp_path):
    database = sqlite3.connect(tmp_path / "x", isolation_level=None, check_same_thread=False)
    database.execute("CREATE TABLE t (n INTEGER UNIQUE)")
    commits = 0

    def trace(statement):
        nonlocal commits
        commits += statement == "COMMIT"

    database.set_trace_callback(trace)
    writer = Writer(database, lambda: NOW)

    def insert(number):
        return writer.submit(lambda database: database.execute("INSERT INTO t VALUES (?)", [number]).rowcount)

    def wrong(database):
        database.execute("INSERT INTO t VALUES (-1)")
        raise ValueError("wrong in itself")

    futures = [insert(0), writer.submit(wrong), *(insert(number % 500) for number in range(1, 501)), writer.submit(len)]
    told = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(one) for one in told if one != 1] == [ValueError, sqlite3.IntegrityError, TypeError]
    assert commits < 100
    await writer.close()
    with sqlite3.connect(tmp_path / "x") as again:
        assert again.execute("SELECT count(*), min(n) FROM t").fetchone() == (500, 0)
    again.close()
