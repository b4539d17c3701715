"""``starcross simulate --rate``: the simulator as a live source, and how the engine keeps up with it."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from bridges.emit import NOWHERE, Positions
from bridges.simulator import NightPlan, SimulatorSource
from broker.clocks import WallClock
from broker.config import Config
from broker.interfaces import Emit, Matcher
from broker.pipeline import Hooks, KeepNothing, Pipeline, Stages, make_engine
from broker.reader import Reader
from broker.replay import software_name
from broker.store.records import Batch
from schemas.records import Message, Receipt


@dataclass(frozen=True, slots=True)
class LoadReport:
    """How a load test went.

    Attributes
    ----------
    batch_s_median, batch_s_99
        How long a batch took from ``emit`` to its receipt.
    """

    seconds: float
    alerts: int
    rejected: int
    coincidences: int
    alerts_per_s: float
    batch_s_median: float
    batch_s_99: float


async def load_test(
    config: Config, matchers: Sequence[Matcher], reader: Reader, *, seed: int, alerts_per_s: float, seconds: float
) -> LoadReport:
    """Run the simulator against the engine for a time; ``alerts_per_s`` 0 means as fast as the engine takes them."""
    durations: list[float] = []
    found: set[str] = set()
    rejected = 0

    def taken(_: Sequence[Message], batch: Batch, stages: Stages) -> None:
        nonlocal rejected
        durations.append(stages.read_s + stages.waited_s + stages.matched_s + stages.kept_s)
        rejected += len(batch.rejected)
        found.update(change.id for change in batch.changes)

    pipeline = Pipeline(
        make_engine(config, matchers, software_name()),
        reader,
        KeepNothing(),
        clock=WallClock(),
        step_alerts=config.service.step_alerts,
        include_tests=config.triggers.include_tests,
        hooks=Hooks(taken=taken),
    )
    source = SimulatorSource(seed, NightPlan(), alerts_per_s=alerts_per_s or None, endless=True)
    took = await _run_for(source, pipeline.inlet("simulator"), seconds, alerts_per_s)
    received = sum(pipeline.engine.counts.received.values())
    median_s, high_s = np.percentile(durations or [0.0], [50, 99])
    return LoadReport(took, received, rejected, len(found), received / took, float(median_s), float(high_s))


async def _run_for(source: SimulatorSource, emit: Emit, seconds: float, alerts_per_s: float) -> float:
    """Run a source for a time, and return how long that was.

    It begins with the first batch, as the simulation before it takes seconds itself, and ends with a whole one.
    """
    limit = asyncio.timeout(None)
    timed = _Timed(emit, limit, seconds, alerts_per_s)
    with suppress(TimeoutError):
        async with limit:
            await source.run(timed)
    return seconds if timed.began_s is None else perf_counter() - timed.began_s


class _Timed:
    """An emit whose time begins with its first batch and ends between two."""

    def __init__(self, emit: Emit, limit: asyncio.Timeout, seconds: float, alerts_per_s: float) -> None:
        self._emit, self._limit, self._seconds, self._alerts_per_s = emit, limit, seconds, alerts_per_s
        self._ends_s = 0.0
        self.began_s: float | None = None

    @property
    def positions(self) -> Positions:
        return self._emit.positions

    async def __call__(self, messages: Sequence[Message], positions: Positions = NOWHERE) -> Receipt:
        if self.began_s is None:
            waited_s = len(messages) / self._alerts_per_s if self._alerts_per_s else 0.0
            self.began_s = perf_counter() - waited_s
            self._ends_s = asyncio.get_running_loop().time() - waited_s + self._seconds
        self._limit.reschedule(None)
        receipt = await self._emit(messages, positions)
        self._limit.reschedule(self._ends_s)
        return receipt
