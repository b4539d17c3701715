"""What is sealed in files, merged and expired is what it was, after a restart too."""

from broker.store.files import SEALED
from broker.store.options import StoreOptions
from tests.broker.store.made import HOUR, Station, alerts_near, told
from tests.matchers.made import DAY, T0, notice_of


def folders(station):
    return sorted(path.name.rpartition("-")[0] for path in (station.folder / SEALED).iterdir())


def count(station, table):
    return station.store._reading.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608


async def test_nights_that_are_over_lie_in_files(tmp_path):
    async with Station(tmp_path) as station:
        await station.hear(notice_of())
        await station.add(alerts_near(range(50)))
        await station.add(alerts_near(range(50, 60), T0 + DAY))
        assert await station.seal() == 0
        station.clock.now_us = T0 + DAY
        assert await station.seal() == 50
        assert folders(station) == ["objects-ztf", "ztf-18267"]
        assert (count(station, "alerts"), count(station, "part")) == (1, 1)
        before = told(station.engine)
        assert len(before["coincidences"]) == 60
        restored = await station.restart()
        assert (restored.sealed_alerts, restored.open_alerts) == (50, 10)
        assert told(station.engine) == before
        await station.add(alerts_near(range(60)))
        assert told(station.engine)["alerts"] == before["alerts"]


async def test_parts_of_a_night_become_one_when_it_is_over(tmp_path):
    async with Station(tmp_path, StoreOptions(open_alerts=1000)) as station:
        for first in range(0, 4000, 1001):
            await station.add(alerts_near(range(first, first + 1001)))
            assert await station.seal() == 1001
        before = told(station.engine)
        assert folders(station) == ["objects-ztf", *["ztf-18267"] * 4]
        station.clock.now_us = T0 + DAY
        await station.add(alerts_near([5000]))
        assert await station.seal() == 1 + 4005
        assert folders(station) == ["objects-ztf", "ztf-18267"]
        assert len(told(station.engine)["alerts"]) == 4005
        assert (await station.restart()).sealed_alerts == 4005
        assert set(before["alerts"]) < set(told(station.engine)["alerts"])
        station.clock.now_us += DAY
        assert await station.seal() == 0


async def test_many_small_parts_of_a_night_become_one_before_it_is_over(tmp_path):
    async with Station(tmp_path, StoreOptions(open_alerts=1000)) as station:
        written = []
        for first in range(0, 10 * 1001, 1001):
            await station.add(alerts_near(range(first, first + 1001)))
            written.append(await station.seal())
        assert written == [1001] * 8 + [1001 + 9 * 1001, 1001]
        assert folders(station) == ["objects-ztf", *["ztf-18267"] * 2]
        before = told(station.engine)
        assert len(before["alerts"]) == 10 * 1001
        await station.restart()
        assert told(station.engine) == before


async def test_what_expired_goes_from_the_disk_too(tmp_path):
    async with Station(tmp_path) as station:
        await station.hear(notice_of())
        await station.add(alerts_near(range(50)))
        station.clock.now_us = T0 + DAY
        await station.seal()
        await station.add(alerts_near(range(100, 103), T0 + DAY, mag=21.0))
        station.clock.now_us = T0 + 45 * DAY
        await station.add(alerts_near(range(200, 203), T0 + 45 * DAY))
        await station.expire()
        before = told(station.engine)
        assert len(before["alerts"]) == 3
        assert before["triggers"] == []
        assert folders(station) == ["objects-ztf"]
        assert [count(station, table) for table in ("alerts", "part", "notice")] == [1, 0, 0]
        await station.restart()
        assert told(station.engine) == before


async def test_leftovers_of_a_crash_are_removed(tmp_path):
    async with Station(tmp_path) as station:
        await station.add(alerts_near(range(5)))
        station.clock.now_us = T0 + DAY + HOUR
        await station.seal()
        sealed = tmp_path / SEALED
        (sealed / "ztf-1-aa.partial").mkdir()
        (sealed / "ztf-1-bb").mkdir()
        (sealed / "ztf-1-bb" / "pixel.npy").write_bytes(b"x")
        (sealed / "file").touch()
        (sealed / "link").symlink_to(tmp_path)
        await station.restart()
        assert folders(station) == ["objects-ztf", "ztf-18267"]
        assert (tmp_path / "starcross.sqlite").exists()
        assert len(station.engine.index) == 5
