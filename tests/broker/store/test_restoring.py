"""An engine that was restored goes on as one that never ended."""

import asyncio
import random
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.store.files import SEALED
from broker.store.options import StoreOptions
from broker.store.records import Batch, KeptSkyMap
from schemas.densities import skymap_of
from schemas.records import Kind
from tests.broker.store.made import HOUR, Station, alerts_near, an_engine, told
from tests.matchers.made import DAY, MINUTE, T0, alerts_of, cone, notice_of, taken

STEPS = ("add", "add", "cut", "notice", "moved", "retracted", "seal", "restart", "day", "expire")


def notice(chance, **fields):
    serial = chance.randrange(1 << 30)
    return notice_of(f"fermi-gbm:{chance.randrange(3)}", f"ivo://t/n#{serial}", serial=serial, **fields)


def alerts_numbered(numbers, *, is_good):
    return alerts_of([
        {
            "id": 2 * n + is_good, "obj": f"ZTF{n % 37}", "t": T0 + 20 * MINUTE * n + is_good,
            "first": T0 + 20 * MINUTE * n - n % 5 * DAY, "ra": 10 + n % 90 / 100, "dec": 20, "mag": 18 + n % 7,
            "reliability": float(is_good),
        }
        for n in numbers
    ])  # fmt: skip


async def take(step: str, station: Station, twin, chance: random.Random) -> None:
    """One step, which the twin, an engine without a store, takes as well."""
    now_us = station.clock()
    match step:
        case "add" | "cut":
            # What an alert says depends on its number alone; some are those of earlier steps again.
            last = (now_us - T0) // (20 * MINUTE)
            alerts = alerts_numbered(range(max(last - chance.randrange(60), 0), last), is_good=step == "add")
            await station.add(alerts)
            taken(twin, alerts, now_us)
        case "notice" | "moved" | "retracted":
            fields = {
                "notice": {"trigger_time_us": now_us - DAY // 2},
                "moved": {"localisation": cone(ra=10.5 + chance.random(), radius=0.3)},
                "retracted": {"kind": Kind.RETRACTION, "localisation": None},
            }[step]
            heard = notice(chance, **fields)
            await station.hear(heard)
            density = skymap_of(heard.localisation) if heard.localisation else None
            for _ in twin.put_notice(heard, density, now_us):
                pass
        case "seal":
            await station.seal()
        case "restart":
            await station.restart()
        case "day":
            station.clock.now_us += DAY
        case "expire":
            station.clock.now_us += 6 * DAY
            await station.expire()
            twin.expire(station.clock())


@given(st.lists(st.sampled_from(STEPS), max_size=25), st.integers(0, 1 << 20))
@settings(max_examples=25)
def test_restarts_change_nothing(steps, seed):
    async def run(folder: Path) -> None:
        chance, twin = random.Random(seed), an_engine()
        async with Station(folder, StoreOptions(seal_after_s=60)) as station:
            for step in [*steps, "seal", "restart"]:
                station.clock.now_us += HOUR
                await take(step, station, twin, chance)
            assert told(station.engine) == told(twin)

    with TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


async def test_sky_maps_are_restored_in_their_order(tmp_path):
    wide, narrow = skymap_of(cone(radius=5.0)), skymap_of(cone(radius=1.0))
    async with Station(tmp_path) as station:
        heard = notice_of(localisation=None)
        await station.hear(heard)
        for ivorn, body in ((heard.ivorn, b"wide"), (heard.ivorn, b"narrow"), ("ivo://other", b"unreadable")):
            kept = KeptSkyMap(heard.trigger_id, ivorn, "https://example.org/map.fits", body, T0)
            await station.store.commit(Batch(source="maps", skymaps=[kept]))
        await station.store.close()
        known = {b"wide": wide, b"narrow": narrow}
        station.read_skymap = lambda kept: known.get(kept.body)
        restored = await station.start()
        assert (restored.skymaps, restored.notices) == (1, 1)
        (trigger,) = station.engine.triggers()
        assert trigger.skymap is not None
        assert trigger.skymap.area_deg2(0.9) == narrow.area_deg2(0.9)


@pytest.fixture
async def sealed(tmp_path):
    """A station with two sealed nights and what was known of it; its store is closed."""
    station = Station(tmp_path)
    await station.start()
    await station.hear(notice_of())
    await station.add(alerts_near(range(10)))
    await station.add(alerts_near(range(10, 20), T0 + DAY))
    station.clock.now_us = T0 + 2 * DAY
    assert await station.seal() == 20
    await station.add(alerts_near(range(20, 30), T0 + 2 * DAY - MINUTE))
    known = told(station.engine)
    await station.store.close()
    return station, known


def _truncate(part: Path) -> None:
    path = part / "pixel.npy"
    path.write_bytes(path.read_bytes()[:-8])


def _lose_a_column(part: Path) -> None:
    (part / "time_us.npy").unlink()


def _strange_head(part: Path) -> None:
    path = part / "time_us.npy"
    path.write_bytes(b"?" * path.stat().st_size)


@pytest.mark.parametrize("damage", [shutil.rmtree, _truncate, _lose_a_column, _strange_head])
async def test_a_damaged_night_is_left_out_and_named(sealed, damage):
    station, known = sealed
    part = next((station.folder / SEALED).glob("ztf-18267-*"))
    damage(part)
    restored = await station.start()
    assert restored.damaged == [part.name]
    assert (restored.sealed_alerts, restored.open_alerts) == (10, 10)
    assert told(station.engine)["alerts"] == [row for row in known["alerts"] if row[1] >= 10]
    assert list(station.engine.ledger) == known["coincidences"]
    await station.add(alerts_near(range(10)))
    assert len(station.engine.index) == 30
    await station.store.close()


@pytest.mark.parametrize("damage", [shutil.rmtree, lambda part: (part / "slots.npy").unlink()])
async def test_a_damaged_checkpoint_is_made_up_for_by_the_alerts(sealed, damage):
    station, known = sealed
    part = next((station.folder / SEALED).glob("objects-ztf-*"))
    damage(part)
    restored = await station.start()
    assert restored.damaged == [part.name]
    now = told(station.engine)
    assert now["alerts"] == known["alerts"]
    first = {name: state.first_detection_us for name, state in known["objects"].items()}
    assert {name: state.first_detection_us for name, state in now["objects"].items()} == first
    station.clock.now_us += 3 * DAY
    await station.seal()
    assert (await station.restart()).damaged == []
    await station.store.close()


async def test_a_disk_that_refuses_the_files_loses_nothing(tmp_path):
    async with Station(tmp_path) as station:
        await station.add(alerts_near(range(10)))
        before = told(station.engine)
        station.clock.now_us = T0 + DAY
        folder = tmp_path / SEALED
        folder.rename(tmp_path / "away")
        folder.touch()
        assert await station.seal() == 0
        assert told(station.engine) == before
        folder.unlink()
        (tmp_path / "away").rename(folder)
        station.clock.now_us += DAY
        assert await station.seal() == 10
        assert (await station.restart()).sealed_alerts == 10
        assert told(station.engine) == before
