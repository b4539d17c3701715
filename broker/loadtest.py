"""``starcross simulate --rate``: the simulator as a live source, and how the engine keeps up with it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter, time_ns

import numpy as np

from bridges.simulator import NightPlan, SimulatorSource
from broker.config import Config
from broker.interfaces import Emit, Matcher
from broker.pipeline import Pipeline, make_engine
from broker.reader import Reader
from broker.replay import software_name
from schemas.records import Coincidence, Message, Receipt


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

    async def deliver(change: Coincidence) -> None:
        found.add(change.id)

    pipeline = Pipeline(
        make_engine(config, matchers, software_name()),
        reader,
        step_alerts=config.replay.batch_alerts,
        deliver=deliver,
        clock=lambda: time_ns() // 1000,
    )

    async def emit(messages: Sequence[Message]) -> Receipt:
        nonlocal rejected
        began = perf_counter()
        receipt = await pipeline.emit(messages)
        durations.append(perf_counter() - began)
        rejected += len(receipt.rejected)
        return receipt

    source = SimulatorSource(seed, NightPlan(), alerts_per_s=alerts_per_s or None, endless=True)
    took = await _run_for(source, emit, seconds, alerts_per_s)
    received = sum(pipeline.engine.counts.received.values())
    median_s, high_s = np.percentile(durations or [0.0], [50, 99])
    return LoadReport(took, received, rejected, len(found), received / took, float(median_s), float(high_s))


async def _run_for(source: SimulatorSource, emit: Emit, seconds: float, alerts_per_s: float) -> float:
    """Run a source for a time, and return how long that was.

    It begins with the first batch, as the simulation before it takes seconds itself, and ends with a whole one.
    """
    began: float | None = None
    ends = 0.0

    async def timed(messages: Sequence[Message]) -> Receipt:
        nonlocal began, ends
        if began is None:
            waited_s = len(messages) / alerts_per_s if alerts_per_s else 0.0
            began = perf_counter() - waited_s
            ends = asyncio.get_running_loop().time() - waited_s + seconds
        limit.reschedule(None)
        receipt = await emit(messages)
        limit.reschedule(ends)
        return receipt

    try:
        async with asyncio.timeout(None) as limit:
            await source.run(timed)
    except TimeoutError:
        pass
    return seconds if began is None else perf_counter() - began
