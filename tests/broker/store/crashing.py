"""A process that stores, seals, expires and delivers until it is killed; `test_crash` kills it.

Writes a line once something is durable: ``kept N`` (alerts below N are stored) or ``done N`` (entry N was delivered).
"""

import asyncio
import random
import sys
from pathlib import Path

from broker.store.options import StoreOptions
from broker.store.sealer_process import SealerProcess
from tests.broker.store.made import HOUR, Station, alerts_near
from tests.matchers.made import T0, notice_of

OPTIONS = StoreOptions(open_alerts=1000, seal_after_s=3600)
NOTICE = notice_of()
MOST_A_BATCH = 700


def time_of(number: int) -> int:
    """Every alert is three minutes after the one before it, so that nights come and go, and alerts expire."""
    return T0 + number * HOUR // 20


def alerts_from(first: int, end: int):
    """Alerts of these numbers; each fifth is cut, as its real-bogus score is poor."""
    alerts = alerts_near(range(first, end))
    alerts.time_us[:] = [time_of(number) for number in range(first, end)]
    alerts.first_detection_us[:] = alerts.time_us
    alerts.reliability[:] = [0.0 if number % 5 == 0 else 0.9 for number in range(first, end)]
    return alerts


def station_in(folder: Path) -> Station:
    """The station that the process and the test both have."""
    return Station(folder, OPTIONS, notices={NOTICE.message: NOTICE})


async def _store(station: Station, chance: random.Random) -> None:
    first = station.store.positions("station").get("next", 0)
    if not first:
        await station.hear(NOTICE)
    while True:
        end = first + chance.randrange(1, MOST_A_BATCH)
        station.clock.now_us = time_of(end)
        await station.add(alerts_from(first, end), {"next": end})
        first = end
        sys.stdout.write(f"kept {end}\n")
        sys.stdout.flush()


async def _seal(station: Station) -> None:
    while True:
        await station.seal()
        await asyncio.sleep(0)


async def _expire(station: Station) -> None:
    while True:
        await station.expire()
        await asyncio.sleep(0)


async def _deliver(station: Station) -> None:
    while True:
        delivered = await station.store.next("sink", 50)
        await station.store.done("sink", [delivery.id for delivery in delivered])
        sys.stdout.write(f"done {delivered[-1].id}\n")
        sys.stdout.flush()


async def main(folder: Path, seed: int, few_rows: int) -> None:
    """Go on until killed; what has more rows is sealed by a process of its own."""
    async with station_in(folder) as station, asyncio.TaskGroup() as tasks:
        station.store._sealing._sealer = SealerProcess(few_rows=few_rows)
        tasks.create_task(_store(station, random.Random(seed)))
        tasks.create_task(_seal(station))
        tasks.create_task(_expire(station))
        tasks.create_task(_deliver(station))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
