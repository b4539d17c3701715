"""``starcross bench``: runs the benchmarks of ``tests/bench``, and describes the machine that they ran on."""

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from broker.replay import Progress
from schemas import walker
from schemas.errors import ConfigurationError

NAMES: Final = ("decode", "whole", "live", "retro", "ingest", "notice", "replay", "burst", "restart", "http")
"""Each is the function of that name in the module ``bench_`` with that name."""
INSTALL: Final = "pip install 'starcross[bench]'"
PROJECT: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure, and the baseline's for the same work in the same run.

    Attributes
    ----------
    benchmark
        One of `NAMES`.
    name, size
        What was measured, and on how much.
    amount
        The number that ``size`` begins with.
    unit
        ``alerts/s``, where more is better, or ``ms``, ``s``, ``MB`` or ``%``, where less is.
    median, low, high
        Over the repeats.
    baseline, baseline_median
        Empty and None without.
    ratio
        How many times better than the baseline.
    bytes_an_alert
        Memory of what was measured, where that is told.
    """

    benchmark: str
    name: str
    size: str
    amount: int
    unit: str
    median: float
    low: float
    high: float
    baseline: str
    baseline_median: float | None
    ratio: float | None
    bytes_an_alert: float | None


@dataclass(frozen=True, slots=True)
class Machine:
    """What the figures depend on.

    Attributes
    ----------
    memory_gib
        None where the system does not tell.
    load
        The mean number of busy cores over the last minute before the run; None where the system does not tell.
    walker_compiled
        Whether the reader of packets is compiled.
    """

    cpu: str
    cores: int
    memory_gib: float | None
    load: float | None
    python: str
    numpy: str
    walker_compiled: bool


@dataclass(frozen=True, slots=True)
class BenchReport:
    """What ``starcross bench`` tells.

    Attributes
    ----------
    missing
        Baselines that could not run, with what each needs.
    """

    machine: Machine
    missing: dict[str, str]
    measurements: tuple[Measurement, ...]

    def document(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return {**asdict(self), "install": INSTALL if self.missing else None}


def run_benchmarks(names: Sequence[str], progress: Progress, *, full: bool) -> BenchReport:
    """Run some of `NAMES`, in the order of that tuple; all if none is named.

    Parameters
    ----------
    full
        Larger and more sizes, which takes minutes and some 7 GB of memory.

    Raises
    ------
    ConfigurationError
        If the benchmarks are not there, as in an installed wheel.
    """
    machine = describe_machine()
    missing: dict[str, str] = {}
    measurements: list[Measurement] = []
    chosen = [name for name in NAMES if name in names or not names]
    for name in chosen:
        progress.begin(name, 1)
        module = _load(name)
        missing |= getattr(module, "missing", dict)()
        with _importable(PROJECT):  # by the processes that it starts, too
            rows = list(getattr(module, name)(full=full))
        measurements += [Measurement(benchmark=name, amount=row.amount, ratio=row.ratio, **asdict(row)) for row in rows]
        progress.advance(1)
    return BenchReport(machine, missing, tuple(measurements))


def describe_machine() -> Machine:
    """The machine as the system tells it."""
    return Machine(
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        memory_gib=_memory_gib(),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        python=platform.python_version(),
        numpy=np.__version__,
        walker_compiled=walker.COMPILED,
    )


def _load(name: str) -> Any:
    if not (PROJECT / "tests" / "bench" / f"bench_{name}.py").is_file():
        raise ConfigurationError(
            "the benchmarks lie in tests/bench of Starcross's source, which is not at hand here: "
            "get the source and install it with `make setup`"
        )
    with _importable(PROJECT):
        return import_module(f"tests.bench.bench_{name}")


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """The tests are no part of the package, so their folder is on the path only while they are needed."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _cpu(listing: Path = Path("/proc/cpuinfo")) -> str:
    try:
        lines = listing.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30), 1)
    except (AttributeError, OSError, ValueError):
        return None
