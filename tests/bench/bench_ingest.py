"""Alerts into the index: how many a second, how long a batch takes at worst, and how much memory an alert takes."""

from time import perf_counter

import numpy as np

from matchers.index import AlertIndex
from schemas.records import Alerts
from schemas.times import US_PER_DAY
from tests.bench import made
from tests.bench.rows import Row, row_of_ms, row_of_rates, slowest_in_100

BATCH = 1000
_BASELINE_BATCHES = 5


def ingest(*, full: bool = False) -> list[Row]:
    """Batches of 1,000 into one night; `full`: up to 10 million (about 3 GB)."""
    rows = []
    for n in (100_000, 1_000_000, 10_000_000) if full else (100_000,):
        rows += _of(n)
    return rows


def _of(n: int) -> list[Row]:
    index, seconds, size = AlertIndex(), [], f"{n:,} alerts"
    for start in range(0, n, 1_000_000):
        some = made.alerts(min(n, 1_000_000), days=0.5, seed=7 + start, first_id=start)
        for part in made.batches(some, BATCH):
            begun = perf_counter()
            index.add(part)
            seconds.append(perf_counter() - begun)
    assert len(index) == n, "alerts were lost"
    sizes = index.nbytes
    rates = [float(np.sum(part)) for part in np.array_split(seconds, 5)]
    rows = [
        row_of_rates(
            "store alerts, batches of 1000", size, n // 5, rates,
            baseline="sorting all columns anew with each batch", baseline_median=_sorting_anew(some),
            bytes_an_alert=sizes["runs"] / n,
        ),
        row_of_ms("store a batch of 1000", size, seconds),
        slowest_in_100("store a batch of 1000", size, seconds),
    ]  # fmt: skip
    names = some.object_id[:: max(len(some) // 200, 1)].tolist()
    rows.append(
        row_of_ms("all alerts of an object", size, [_timed(lambda n=n: index.of_objects("lsst", [n])) for n in names])
    )
    rows.append(
        row_of_ms(
            "the same alerts again", size, [_timed(lambda p=p: index.add(p)) for p in made.batches(some, BATCH)[:100]]
        )
    )
    rows.append(row_of_ms("seal the night", size, [_timed(lambda: _seal(index))]))
    rows.append(row_of_ms("expire half of it", size, [_timed(lambda: index.expire(made.T0 + US_PER_DAY // 4))]))
    return rows


def _sorting_anew(alerts: Alerts) -> float:
    """Alerts a second of the last batches (of a million) when everything is put in order with every batch."""
    last = _BASELINE_BATCHES * BATCH
    stored = alerts.take(np.argsort(alerts.pixel[:-last], kind="stable"))
    begun = perf_counter()
    for part in made.batches(alerts.take(slice(-last, None)), BATCH):
        stored = Alerts.concatenate([stored, part])
        stored = stored.take(np.argsort(stored.pixel, kind="stable"))
    return last / (perf_counter() - begun)


def _timed(work: object) -> float:
    begun = perf_counter()
    work()  # type: ignore[operator]
    return perf_counter() - begun


def _seal(index: AlertIndex) -> None:
    for night in index.close(made.T0 + 99 * US_PER_DAY, 0):
        index.adopt(night.sealed(), [night])
