"""How long ``starcross run`` takes to be ready with many stored alerts: the process, the store and the first answer.

``python -m tests.bench.bench_service_start --alerts 10000000`` fills a store as the service does, batch by batch and by
sealing (some minutes, and 3 GB of disk), and then starts the service several times.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from broker.config import load_config
from broker.pipeline import make_engine
from broker.registry import make_matchers
from broker.store.records import Batch, KeptNotice
from broker.store.store import Store
from schemas.times import US_PER_DAY
from tests.bench import engines, made, packets
from tests.bench.rows import Row, row_of
from tests.e2e.live.child import ServiceProcess

NIGHTS, AT_ONCE, MADE_AT_ONCE, LIVE = 20, 50_000, 1_000_000, 220
STARTS = 5


async def fill(folder: Path, number: int) -> None:
    """A store with so many alerts of twenty nights and the notices of `LIVE` triggers."""
    config, now_us = load_config(folder / "starcross.toml"), made.T0
    store = await Store.open(folder / "store", config.store, lambda: now_us)
    engine, turn = make_engine(config, make_matchers(config, folder), "bench"), asyncio.Lock()
    reader = engines.make_reader()
    messages = packets.notices(LIVE)
    heard = [reader.read_one(message).notices[0] for message in messages]
    kept = [KeptNotice(notice.message, now_us, notice.ivorn, notice.trigger_id) for notice in heard]
    await store.commit(Batch(source="notices", notices=kept))
    for first in range(0, number, MADE_AT_ONCE):
        some = made.alerts(
            min(MADE_AT_ONCE, number - first), days=NIGHTS * MADE_AT_ONCE / number, seed=first, first_id=first
        )
        later_us = first * NIGHTS * US_PER_DAY // number
        some.time_us[:] += later_us
        some.first_detection_us[:] += later_us
        some.reliability[:] = 1.0
        for part in made.batches(some, AT_ONCE):
            now_us = int(part.time_us.max())
            taken = engine.add_alerts(part)
            store.commit(Batch(source="survey", positions={"alerts[0]": first}, stored=[taken.stored]))
            await asyncio.sleep(0)
        await store.seal(engine, turn)
        sys.stderr.write(f"{first + len(some):,} alerts stored\n")
    await store.close()


async def start(service: ServiceProcess) -> tuple[float, float, float, dict[str, int]]:
    """Seconds until it runs and of these to restore, memory in MB, and what was restored."""
    began_s = perf_counter()
    await service.start()
    await service.until_running()
    ready_s = perf_counter() - began_s
    restored = service.event("restored")
    assert restored is not None
    memory_mb = service.resident_mib() * 1.048576
    assert (await service.ask())["alerts"] == restored["sealed_alerts"] + restored["open_alerts"]
    await service.kill()
    return ready_s, float(restored["seconds"]), memory_mb, restored


async def run(number: int) -> list[Row]:
    """Fill a store, and start the service with it."""
    with tempfile.TemporaryDirectory(prefix="starcross-bench-") as name:
        folder = Path(name)
        service = ServiceProcess(folder, {"service": {"clock": "data"}})
        await fill(folder, number)
        started = [await start(service) for _ in range(STARTS)]
    restored = started[0][3]
    size = f"{number:,} alerts, {restored['open_alerts']:,} of them not sealed, {restored['notices']} notices"
    return [
        row_of("start to ready", size, "s", [one[0] for one in started]),
        row_of("of it, to restore", size, "s", [one[1] for one in started]),
        row_of("memory then", size, "MB", [one[2] for one in started]),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--alerts", type=int, default=10_000_000)
    for row in asyncio.run(run(parser.parse_args(argv).alerts)):
        sys.stdout.write(
            f"{row.name:20} {row.size:70} {row.median:10,.2f} {row.unit} ({row.low:.2f} to {row.high:.2f})\n"
        )


if __name__ == "__main__":
    main()
