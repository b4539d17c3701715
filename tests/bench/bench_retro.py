"""A region and a span of time to stored alerts: how long it takes, by how many are stored."""

from collections.abc import Sequence
from itertools import chain
from time import perf_counter

import numpy as np

from matchers.index import AlertIndex
from matchers.nights import Night
from matchers.rows import ARRAYS, BYTES, Rows
from matchers.runs import ROW_BITS, Run
from schemas.records import COLUMNS, Window
from schemas.sky import PIXEL_COUNT, Cells
from schemas.times import US_PER_DAY
from tests.bench import made
from tests.bench.rows import Row, row_of_ms

NIGHTS = 20


def retro(*, full: bool = False) -> list[Row]:
    """20 maps and 60 circles against stored alerts of 20 nights; `full`: up to 200 million, in 3.2 GB."""
    windows = [window for _, window in made.windows(80, maps=20, days=1)]
    rows = list(chain.from_iterable(_whole(n, windows) for n in ((100_000, 1_000_000) if full else (100_000,))))
    for n in (100_000, 1_000_000, 10_000_000, 100_000_000, 200_000_000) if full else (100_000, 1_000_000):
        rows += _narrow(n, windows)
    return rows


def _whole(n: int, windows: Sequence[Window]) -> list[Row]:
    """With all columns, and the answers compared with those of each region asked about each alert."""
    alerts, index = made.alerts(n, days=NIGHTS), AlertIndex()
    for part in made.batches(alerts, 10_000):
        index.add(part)
    rows = []
    for state in ("open nights", "sealed nights"):
        if state == "sealed nights":
            _seal(index)
        for kind, some in _kinds(windows):
            ours, theirs = [], []
            for window in some:
                start = perf_counter()
                found = index.query(window)
                middle = perf_counter()
                inside = window.region.contains(alerts.ra_deg, alerts.dec_deg, alerts.pixel)
                wanted = inside & (window.start_us <= alerts.time_us) & (alerts.time_us <= window.end_us)
                theirs.append(perf_counter() - middle)
                ours.append(middle - start)
                ids = found[0].alert_id if found else np.zeros(0, np.int64)
                assert np.array_equal(np.sort(ids), np.sort(alerts.alert_id[wanted])), "a query is wrong"
            rows.append(
                row_of_ms(
                    f"stored alerts in {kind}, whole rows, {state}", f"{n:,} alerts", ours,
                    baseline="each region asked about each alert", baseline_median=float(np.median(theirs)) * 1e3,
                    bytes_an_alert=index.nbytes["runs"] / n,
                )
            )  # fmt: skip
    return rows


def _narrow(n: int, windows: Sequence[Window]) -> list[Row]:
    """Only finding the rows, in sealed nights of which just pixels, times and rows are real."""
    rng = np.random.default_rng(5)
    nights = [_night(rng, n // NIGHTS, made.T0 + number * US_PER_DAY) for number in range(NIGHTS)]
    rows = []
    for kind, some in _kinds(windows):
        seconds: list[float] = []
        found = 0
        for window in some:
            start = perf_counter()
            found += sum(len(night.rows_inside(window)) for night in nights)
            seconds.append(perf_counter() - start)
        rows.append(row_of_ms(f"rows of stored alerts in {kind}", f"{n:,} alerts, {found:,} rows found", seconds))
    return rows


def _kinds(windows: Sequence[Window]) -> list[tuple[str, list[Window]]]:
    maps = [window for window in windows if isinstance(window.region, Cells)]
    return [("GW maps at 90 %", maps), ("circles", [w for w in windows if not isinstance(w.region, Cells)])]


def _night(rng: np.random.Generator, n: int, start_us: int) -> Night:
    """Everywhere on the sky; columns that finding rows in cells does not need are one value without memory."""
    pixel = rng.integers(0, PIXEL_COUNT, n)
    pixel.sort()
    when_us = rng.integers(0, US_PER_DAY, n)
    when_us <<= ROW_BITS
    when_us |= np.arange(n)
    nothing = np.broadcast_to(np.zeros(1, np.uint64), n)
    run = Run(pixel, when_us, nothing, nothing, 0, US_PER_DAY - 1, 0, n)
    wide = {name: np.broadcast_to(np.zeros(1, COLUMNS.get(name, np.uint32)), n) for name in ARRAYS}
    rows = Rows.of_arrays("lsst", wide | dict.fromkeys(BYTES, np.zeros(0, np.uint8)))
    return Night("lsst", start_us, (run,), (rows,), np.array([n]), is_sealed=True)


def _seal(index: AlertIndex) -> None:
    for night in index.close(made.T0 + 99 * US_PER_DAY, 0):
        index.adopt(night.sealed(), [night])
