"""What is bounded in number, size and age, and what is told of a database that was tampered with."""

import sqlite3

import numpy as np
import structlog

from broker.store.checking import problems
from broker.store.columns import pack_alerts, unpack_alerts
from broker.store.contents import contents
from broker.store.database import DATABASE, open_for_reading
from broker.store.options import StoreOptions
from broker.store.records import Batch, Capped, CoincidenceEntry, KeptPacket
from schemas.errors import Reason
from schemas.records import COLUMNS, Rejection, State
from schemas.times import US_PER_DAY
from tests.broker.store.made import Station, alerts_near
from tests.broker.store.test_writer import fill, until
from tests.coincidences import changed
from tests.matchers.made import T0


def number(station, asked):
    return station.store._reading.execute(asked).fetchone()[0]


async def test_quarantine_keeps_the_newest_within_its_bounds(tmp_path):
    options = StoreOptions(quarantine_messages=3, quarantine_body_kib=1)
    async with Station(tmp_path, options) as station:
        for n in range(5):
            rejected = [(Rejection(f"m{n}", Reason.EMPTY, "-"), b"x" * 5000)]
            await station.store.commit(Batch(source="s", rejected=rejected))
        told = contents(station.store._reading, tmp_path)["quarantine"]
        assert told["reasons"] == {"empty": 3}
        assert told["dropped"] == 2
        assert number(station, "SELECT min(origin) FROM rejected") == "m2"
        assert number(station, "SELECT bytes FROM rejected") == 5000


async def test_what_is_old_goes_and_what_waits_stays(tmp_path):
    options = StoreOptions(packets_d=1, matched_packets_d=3, revisions_d=2, coincidences_d=10)
    async with Station(tmp_path, options) as station:
        waiting, sent = changed(id="waiting", revision=1), changed(id="sent", revision=1)
        packets = [KeptPacket("ztf", n, "o", T0, b"p", matched=bool(n % 2)) for n in range(6)]
        entries = [CoincidenceEntry("sink", "waiting", 1, ("all",)), CoincidenceEntry("sink", "sent", 1, ("all",))]
        await station.store.commit(Batch(source="s", packets=packets, changes=[waiting, sent], outbox=entries))
        later = [changed(id=name, revision=2, state=State.WITHDRAWN) for name in ("waiting", "sent")]
        capped = [Capped("all", T0 // US_PER_DAY - 1, "sent", 2)]
        await station.store.commit(Batch(source="s", changes=later, capped=capped))
        (_, second) = await station.store.next("sink", 2)
        await station.store.done("sink", [second.id])
        left = {}
        for days in (0, 2, 4, 12):
            station.clock.now_us = T0 + days * US_PER_DAY
            await station.expire()
            asked = "SELECT count(*) FROM packet", "SELECT count(*) FROM coincidence", "SELECT count(*) FROM capped"
            left[days] = [number(station, one) for one in asked]
        assert left == {0: [6, 4, 1], 2: [3, 4, 1], 4: [0, 3, 0], 12: [0, 2, 0]}
        assert await station.store.sent() == [("all", "waiting", waiting.changed_us)]
        (delivery,) = await station.store.next("sink", 9)
        assert delivery.publication.coincidence == waiting


async def test_the_check_names_what_is_wrong_in_the_database(tmp_path):
    async with Station(tmp_path) as station:
        for first in (0, 5, 10):
            await station.add(alerts_near(range(first, first + 5)))
        await station.store.commit(Batch(source="s", changes=[changed(id="c", revision=1)]))
    with sqlite3.connect(tmp_path / DATABASE) as database:
        database.execute("UPDATE alerts SET rows = 6 WHERE id = 1")
        database.execute("UPDATE alerts SET columns = x'00' WHERE id = 2")
        database.execute("UPDATE coincidence SET document = '{}'")
        database.execute("INSERT INTO file VALUES ('gone', 'pixel.npy', 1, x'00')")
        database.execute("INSERT INTO outbox VALUES (9, 'sink', 0, 'c', 7, '[]', NULL)")
    database.close()
    reading = open_for_reading(tmp_path)
    found = "\n".join(problems(reading, tmp_path))
    reading.close()
    for part in ("batch 1: 5 ztf alerts instead of 6", "batch 2: a blob", "coincidence c, revision 1", "files of gone",
                 "row 9 of outbox refers to a row of coincidence"):  # fmt: skip
        assert part in found
    assert found.count("\n") == 4


def test_columns_that_are_missing_are_made():
    alerts = alerts_near(range(3), origin="Mt. Palom\u00e1r \udc80")
    whole = unpack_alerts("ztf", pack_alerts(alerts))
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(whole, name), getattr(alerts, name))
    part = unpack_alerts("ztf", pack_alerts(alerts, ["alert_id", "ra_deg", "dec_deg", "time_us"]))
    assert part.pixel.tolist() == alerts.pixel.tolist()
    assert part.object_id.tolist() == [""] * 3


async def test_a_log_that_nobody_takes_does_not_stop_the_writer(tmp_path):
    def closed(*_):
        raise ValueError("I/O operation on closed file")

    async with Station(tmp_path) as station:
        structlog.configure(processors=[closed])
        try:
            await fill(station.store, spare_pages=0)
            waiting = station.store.commit(
                Batch(source="s", rejected=[(Rejection("m", Reason.EMPTY, "-"), bytes(range(256)) * 900)])
            )
            waiting_more = station.store.commit(Batch(source="s", stored=[alerts_near(range(5000))]))
            await until(lambda: station.store.trouble is not None)
            station.store._writer._database.execute("PRAGMA max_page_count = 1000000")
            await waiting
            await waiting_more
            assert station.store.trouble is None
        finally:
            structlog.reset_defaults()
