"""A whole replay of simulated nights on disk, from the files to the results, next to nothing but reading the files."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import fastavro

from bridges.folder import OutputFolder
from bridges.simulator import NightPlan, simulate
from broker.config import load_config
from broker.demonstration import DEMO_SETTINGS
from broker.reader import make_reader
from broker.registry import make_matchers
from broker.replay import Progress
from broker.replay import replay as replay_inputs
from schemas.voevent_out import VoeventAuthor
from tests.bench.rows import Row, rate, row_of_rates

FEW = 300


def replay(*, full: bool = False) -> list[Row]:
    """Three of the demo's nights; `full`: its week with ten times as many sources."""
    return _of(NightPlan().scaled(10) if full else NightPlan(nights=3), 3)


def _of(plan: NightPlan, repeats: int) -> list[Row]:
    config = load_config(None, DEMO_SETTINGS)
    with TemporaryDirectory() as name:
        nights, ours, theirs = Path(name) / "nights", [], []
        simulate(7, plan).write(nights)
        for number in range(repeats):
            begun = perf_counter()
            with OutputFolder(Path(name) / f"out{number}", VoeventAuthor(**config.voevent.model_dump())) as out:
                matchers, reader = make_matchers(config, Path()), make_reader(config, Path())
                outcome = replay_inputs(
                    config, matchers, reader, [nights / "alerts"], [nights / "notices"], out, Progress()
                )
            ours.append(perf_counter() - begun)
            begun = perf_counter()
            read = sum(1 for _ in _some(_bare_records(nights / "alerts"), FEW))
            theirs.append(perf_counter() - begun)
        alerts = sum(len(some) for some in outcome.alerts.values())
    if not outcome.coincidences:
        raise ValueError("the replay found nothing")
    size = f"{alerts:,} alerts, {outcome.summary['inputs']['notices']} notices"
    return [
        row_of_rates(
            "whole replay, files to results", size, alerts, ours,
            baseline="tarfile and fastavro, reading the alerts alone", baseline_median=rate(read, theirs),
        )
    ]  # fmt: skip


def _bare_records(folder: Path) -> Iterator[object]:
    for path in sorted(folder.iterdir()):
        with tarfile.open(path) as archive:
            for member in archive:
                opened = archive.extractfile(member)
                yield from fastavro.reader(io.BytesIO(opened.read() if opened else b""))


def _some(records: Iterator[object], number: int) -> Iterator[object]:
    for _, record in zip(range(number), records, strict=False):
        yield record
