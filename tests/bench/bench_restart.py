"""A restart: how long it takes until what was stored in sealed files can be asked, next to adding the alerts anew."""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from broker.store.files import map_night, map_objects
from matchers.index import AlertIndex
from schemas.times import US_PER_DAY
from tests.bench import made
from tests.bench.rows import Row, row_of_ms

NIGHTS, AT_ONCE = 20, 100_000


def restart(*, full: bool = False) -> list[Row]:
    """300,000 alerts of 20 nights; `full`: 10 million, in 3 GB of memory and of disk."""
    return [row for n in ((1_000_000, 10_000_000) if full else (300_000,)) for row in _of(n, 5)]


def _of(n: int, repeats: int) -> list[Row]:
    window = next(w for _, w in made.windows(20, maps=1, days=1) if not isinstance(w.region, made.Circle))
    with TemporaryDirectory(prefix="starcross-bench-") as name:
        folder = Path(name)
        found, added_s = _write(folder, n, window)
        ready, first = [], []
        for _ in range(repeats):
            begun = perf_counter()
            index = _restored(folder)
            ready.append(perf_counter() - begun)
            begun = perf_counter()
            again = sum(map(len, index.query(window)))
            first.append(perf_counter() - begun)
            if (len(index), again) != (n, found):
                raise ValueError(f"{len(index)} alerts instead of {n}, {again} found instead of {found}")
    size = f"{n:,} alerts, {NIGHTS} nights, files in memory"
    return [
        row_of_ms("sealed files to ready", size, ready, baseline="adding them anew", baseline_median=added_s * 1e3),
        row_of_ms("the first search, a GW map at 90 %", f"{n:,} alerts, {found:,} found", first),
    ]


def _write(folder: Path, n: int, window: made.Window) -> tuple[int, float]:
    """Store alerts, and write them as sealed columns; how many of them lie in a window, and how long storing took."""
    index, seconds = AlertIndex(), 0.0
    for start in range(0, n, 1_000_000):
        some = made.alerts(min(n - start, 1_000_000), days=NIGHTS, seed=7 + start, first_id=start)
        begun = perf_counter()
        for part in made.batches(some, AT_ONCE):
            index.add(part)
        seconds += perf_counter() - begun
    found = sum(map(len, index.query(window)))
    for number, night in enumerate(index.close(made.T0 + 99 * US_PER_DAY, 0)):
        _save(folder / f"night{number}", night.sealed().arrays())
    _save(folder / "objects", index.checkpoint("lsst"))
    return found, seconds


def _save(folder: Path, columns: dict[str, np.ndarray]) -> None:
    folder.mkdir()
    for name, column in columns.items():
        np.save(folder / f"{name}.npy", column)


def _restored(folder: Path) -> AlertIndex:
    index = AlertIndex()
    index.restore_objects("lsst", map_objects(folder / "objects"))
    for night in sorted(folder.glob("night*")):
        index.adopt(map_night(night, "lsst"))
    return index
