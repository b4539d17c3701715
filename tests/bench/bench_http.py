"""A sky map that is uploaded over HTTP: the time until its counterparts are told, by how many alerts are stored.

The service runs in this process, with its store on the disk and its interface at a real port; whoever uploads is the
client that comes with it, in a thread of its own.
"""

import asyncio
import gc
import logging
import multiprocessing
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from io import BytesIO
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Self

import astropy.units as u
import numpy as np
import structlog
from astropy.coordinates import Latitude, Longitude
from astropy.table import Table
from mocpy import MOC

from bridges.client import Client
from broker.clocks import DataClock, WallClock
from broker.config import load_config
from broker.event_loop import loops
from broker.metrics import Metrics
from broker.observers import Observers
from broker.plan import Plan
from broker.running import spare_the_collector
from broker.service import Service
from broker.store.store import Store
from broker.web.serving import serving
from broker.web.tokens import Scope, Tokens
from matchers.index import AlertIndex
from schemas.records import Alerts
from schemas.times import US_PER_DAY, US_PER_S, iso_from_us
from tests.bench import http_load, made, packets
from tests.bench.bench_burst import MIB, Highest, resident_mib
from tests.bench.rows import Row, row_of, row_of_ms, slowest_in_100

NIGHTS, MADE_AT_ONCE, AT_ONCE = 20, 1_000_000, 100_000
SEEDS = (8, 13, 24, 31, 33, 49, 57)
"""Of maps whose regions of 90 % have 907 to 1,127 deg2."""
REPEATS = 5
NEW_PER_DEG2, DETECTIONS = 1.0, 5
"""Objects that are new since the event, and how often each was detected."""
AGES_D = (NIGHTS, 2)
"""How long ago the events were."""
_SKY_DEG2 = 41_253
TICK_S = 0.005
"""As often the loop is asked how late it is."""
_CONFIG = """
[service]
clock = "data"
maintain_every_s = 86400
[http]
enabled = true
port = 0
"""


def http(*, full: bool = False) -> list[Row]:
    """Maps of 1,000 deg2 against 500,000 stored alerts; `full`: against 10 million, in 6 GB, and the load of many."""
    rows = [row for n in ((1_000_000, 10_000_000) if full else (500_000,)) for row in uploads(n)] + matches()
    return rows + http_load.load(3.0) if full else rows


def uploads(n: int, seeds: Sequence[int] = SEEDS, map_rows: int = 20_000) -> list[Row]:
    """One after the other, each searched from its event on."""
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        return runner.run(_uploads(n, seeds, map_rows))


async def _uploads(n: int, seeds: Sequence[int], map_rows: int) -> list[Row]:
    columns = _Columns()
    with TemporaryDirectory(prefix="starcross-bench-") as name:
        async with _service(Path(name)) as (service, _, client):
            _fill(service.pipeline.engine.index, n, columns)
            service.clock.saw(made.T0 + NIGHTS * US_PER_DAY)
            with _spared_collector():
                return [row for days in AGES_D for row in await _measured(n, client, columns, days, seeds, map_rows)]


async def _measured(
    n: int, client: Client, columns: "_Columns", age_d: int, seeds: Sequence[int], map_rows: int
) -> list[Row]:
    ours, theirs, late, extra_mb, found = [], [], [], [], 0
    for number, seed in enumerate(seeds):
        event_us = made.T0 + (NIGHTS - age_d) * US_PER_DAY + number * 3600 * US_PER_S
        body = packets.map_file(made.gw_map(seed, rows=map_rows), **{"DATE-OBS": iso_from_us(event_us).rstrip("Z")})
        before_mib = resident_mib()
        with Highest() as highest:
            async with _Lag() as lag:
                begun = perf_counter()
                told = await asyncio.to_thread(client.upload, body, name=f"made {seed}")
                ours.append(perf_counter() - begun)
        late += lag.late_s
        extra_mb.append((highest.mib - before_mib) * MIB / 1e6)
        begun = perf_counter()
        inside = await asyncio.to_thread(columns.new_inside, body, event_us)
        theirs.append(perf_counter() - begun)
        counterparts = await asyncio.to_thread(_number_of, client, told["trigger"])
        if counterparts != inside:
            raise ValueError(f"{counterparts} counterparts instead of {inside}")
        found += counterparts
    size = f"{n:,} alerts, an event {age_d} days ago, {found // len(seeds):,} counterparts"
    return [
        row_of_ms(
            "upload a map of 1,000 deg2, until its counterparts are told", size, ours,
            baseline="mocpy, all alerts in memory, nothing judged or kept",
            baseline_median=float(np.median(theirs)) * 1e3,
        ),
        row_of("memory for it", size, "MB", extra_mb),
        row_of_ms("lateness of the event loop meanwhile", size, late),
        slowest_in_100("lateness of the event loop meanwhile", size, late),
    ]  # fmt: skip


def matches(positions: int = 10_000, triggers: int = 5) -> list[Row]:
    """Positions all over the sky, each of which every trigger holds: answers are as many as the interface gives."""
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        return runner.run(_matches(positions, triggers))


async def _matches(number: int, triggers: int) -> list[Row]:
    event_us = made.T0 - US_PER_DAY
    some = made.alerts(number, days=1)
    columns = zip(some.ra_deg.tolist(), some.dec_deg.tolist(), some.time_us.tolist(), strict=True)
    positions = [{"ra_deg": ra, "dec_deg": dec, "time_utc": iso_from_us(time_us)} for ra, dec, time_us in columns]
    took_s, late_s = [], []
    with TemporaryDirectory(prefix="starcross-bench-") as name:
        async with _service(Path(name)) as (service, server, client):
            service.clock.saw(made.T0)
            for _ in range(triggers):
                cone = {"ra_deg": 10.0, "dec_deg": 20.0, "radius_deg": 90.0, "containment": 0.5}
                await asyncio.to_thread(client.upload, {"cone": cone}, trigger_time=iso_from_us(event_us), level=0.9999)
            # Reading so long an answer takes the client long too, and would hold the loop up were it in this process.
            with _spared_collector(), ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as elsewhere:
                ask = partial(asyncio.get_running_loop().run_in_executor, elsewhere, _match, server, positions)
                await ask()
                for _ in range(REPEATS):
                    async with _Lag() as lag:
                        seconds, found = await ask()
                    took_s.append(seconds)
                    late_s += lag.late_s
    size = f"{number:,} positions, {found:,} answers"
    return [
        row_of_ms("ask which triggers hold positions", size, took_s),
        row_of_ms("lateness of the event loop meanwhile", size, late_s),
        slowest_in_100("lateness of the event loop meanwhile", size, late_s),
    ]


def _match(server: str, positions: Sequence[dict[str, Any]]) -> tuple[float, int]:
    """How long it takes, and how many answers there are."""
    with Client(server) as client:
        begun = perf_counter()
        found = client.match(positions)
        return perf_counter() - begun, len(found)


def _number_of(client: Client, trigger: str) -> int:
    return sum(1 for _ in client.coincidences(trigger=trigger))


@contextmanager
def _spared_collector() -> Iterator[None]:
    """As `starcross run` does once all is restored."""
    before = gc.get_threshold()
    spare_the_collector()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


@asynccontextmanager
async def _service(folder: Path) -> AsyncIterator[tuple[Service, str, Client]]:
    """A service that is served, where, and a client of it."""
    (folder / "starcross.toml").write_text(_CONFIG)
    said = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    plan, clock = Plan.of(load_config(folder / "starcross.toml"), folder), DataClock()
    store = await Store.open(folder / "store", plan.config.store, clock)
    try:
        service = Service(plan, store, clock, Observers(Metrics()), lambda: plan)
        await service.restore()
        service.start()
        async with serving(service) as server:
            token, _ = Tokens(store.folder).make("bench", [Scope.READ, Scope.UPLOAD], WallClock()())
            with Client(server.url, token) as client:
                yield service, server.url, client
        await service.stop()
    finally:
        await store.close()
        structlog.configure(**said)


def _fill(index: AlertIndex, n: int, columns: "_Columns") -> None:
    """Store alerts of `NIGHTS` nights, most of objects that have varied for a year, and seal the nights."""
    new = min(round(NEW_PER_DEG2 * _SKY_DEG2), n // (2 * DETECTIONS))
    fresh = made.new_objects(new, detections=DETECTIONS, days=NIGHTS, seed=3, first_id=10**9)
    old = n - len(fresh)
    parts = (
        made.old_alerts(min(MADE_AT_ONCE, old - first), days=NIGHTS, seed=first, first_id=first)
        for first in range(0, old, MADE_AT_ONCE)
    )
    for part in chain([fresh], parts):
        for some in made.batches(part, AT_ONCE):
            index.add(some)
        columns.add(part)
    for night in index.close(made.T0 + 99 * US_PER_DAY, 0):
        index.adopt(night.sealed(), [night])


class _Columns:
    """All stored alerts, for the baseline."""

    def __init__(self) -> None:
        self._parts: list[tuple[np.ndarray, ...]] = []

    def add(self, alerts: Alerts) -> None:
        """Those of further objects."""
        names = alerts.object_id.astype(np.int64)
        self._parts.append((alerts.ra_deg, alerts.dec_deg, alerts.time_us, alerts.first_detection_us, names))

    def new_inside(self, body: bytes, event_us: int) -> int:
        """How many objects in a map's region of 90 % were not seen before the event."""
        table = Table.read(BytesIO(body))
        order = np.log2(table["UNIQ"] / 4).astype(np.int64) // 2
        held = table["PROBDENSITY"] * (4 * np.pi / 12 / 4.0**order)
        moc = MOC.from_valued_healpix_cells(table["UNIQ"], held, max_depth=int(order.max()), cumul_to=0.9)
        found = []
        for ra_deg, dec_deg, time_us, first_us, names in self._parts:
            within = moc.contains_lonlat(Longitude(ra_deg, u.deg), Latitude(dec_deg, u.deg))
            found.append(names[within & (time_us >= event_us) & (first_us >= event_us)])
        return len(np.unique(np.concatenate(found)))


class _Lag:
    """How late the event loop is for a wake-up every `TICK_S`."""

    def __init__(self) -> None:
        self.late_s: list[float] = []

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._measure())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + TICK_S
            await asyncio.sleep(TICK_S)
            self.late_s.append(max(0.0, loop.time() - due_s))
