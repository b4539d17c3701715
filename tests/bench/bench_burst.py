"""A live stream: a visit of 40,000 alerts at once, and Rubin's peak rate as it comes, from packets to coincidences."""

import asyncio
import resource
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Self

from broker.reader import Reader
from matchers.engine import Engine
from schemas.records import Alerts, Message
from tests.bench import engines, made, packets
from tests.bench.rows import Row, row_of, row_of_ms, slowest_in_100

LIVE, MAPS, HISTORY = 220, 20, 100
FETCH, STEP = 500, 100
"""Packets that come together, and alerts that the engine takes before others get the event loop."""
VISIT = 40_000
PEAK_ALERTS_PER_S, POLL_S = 1026, 0.005
MIB = 1 << 20


def burst(*, full: bool = False) -> list[Row]:
    """An eighth of a visit, and 2 seconds of the peak rate; `full`: a whole one, and 12."""
    notices = packets.notices(LIVE, maps=MAPS)
    rows = _drained(VISIT if full else VISIT // 8, notices, HISTORY)
    return rows + _steady(12.0 if full else 2.0, notices, HISTORY)


def _drained(number: int, notices: list[Message], history: int) -> list[Row]:
    engine, reader = engines.make_live_engine(notices), engines.make_reader()
    alerts = made.alerts(number)
    engines.take(engine, reader, list(packets.lsst_packets(made.alerts(FETCH, seed=9, first_id=10**8), history)))
    before_mib, seconds = resident_mib(), 0.0
    with Highest() as highest:
        for part in made.batches(alerts, FETCH):
            messages = list(packets.lsst_packets(part, history))
            begun = perf_counter()
            asyncio.run(_take(engine, reader, messages))
            seconds += perf_counter() - begun
    size = f"{number:,} alerts at once, LSST, {history} previous sources"
    extra_mb = (highest.mib - before_mib) * MIB / 1e6
    return [
        row_of("drain a burst", size, "s", [seconds]),
        row_of("memory for it, packets of a fetch included", size, "MB", [extra_mb]),
    ]


def _steady(seconds: float, notices: list[Message], history: int) -> list[Row]:
    """Packets arrive evenly; what arrived while the ones before were worked on is taken together."""
    engine, reader = engines.make_live_engine(notices), engines.make_reader()
    number = int(seconds * PEAK_ALERTS_PER_S)
    messages = list(packets.lsst_packets(made.alerts(number), history))
    delays_s, coincidences = asyncio.run(_paced(engine, reader, messages))
    size = f"{number:,} alerts, {PEAK_ALERTS_PER_S} a second, {coincidences:,} changes of coincidences"
    return [
        row_of_ms("alert received to handed on", size, delays_s),
        slowest_in_100("alert received to handed on", size, delays_s),
    ]


async def _paced(engine: Engine, reader: Reader, messages: list[Message]) -> tuple[list[float], int]:
    begun, taken, delays_s, coincidences = perf_counter(), 0, [], 0
    while taken < len(messages):
        arrived = min(int((perf_counter() - begun) * PEAK_ALERTS_PER_S), len(messages))
        if arrived > taken:
            coincidences += await _take(engine, reader, messages[taken:arrived])
            now = perf_counter() - begun
            delays_s += [now - number / PEAK_ALERTS_PER_S for number in range(taken, arrived)]
            taken = arrived
        await asyncio.sleep(POLL_S)
    return delays_s, coincidences


async def _take(engine: Engine, reader: Reader, messages: list[Message]) -> int:
    """As a live service does: read in a thread, match on the loop in steps; how many changes were handed on."""
    changes = 0
    for reading in await reader.read_async(messages):
        if reading.rejections:
            raise ValueError(reading.rejections[0])
        for part in _steps(reading.alerts):
            engine.add_alerts(part)
            await asyncio.sleep(0)
    for step in engine.assess(engines.NOW_US):
        changes += len(step.published)
        await asyncio.sleep(0)
    return changes


def _steps(parts: tuple[Alerts, ...]) -> Iterator[Alerts]:
    for alerts in parts:
        yield from made.batches(alerts, STEP)


class Highest:
    """The most memory that the process has within it; where the system does not tell, since it began."""

    mib = 0.0

    def __enter__(self) -> Self:
        if _CLEAR.is_file():
            _CLEAR.write_text("5")  # forgets the highest until now
        return self

    def __exit__(self, *_: object) -> None:
        told = _status("VmHWM")
        self.mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 if told is None else told


_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def resident_mib() -> float:
    """What the process has now."""
    told = _status("VmRSS")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 if told is None else told


def _status(name: str) -> float | None:
    lines = _STATUS.read_text(encoding="utf-8").splitlines() if _STATUS.is_file() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":")), None)
