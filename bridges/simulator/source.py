"""The simulator as a source of messages, also at a set rate for load tests."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import Final

from bridges.emit import Emit
from bridges.simulator.night import TimedMessage, simulate, simulate_on
from bridges.simulator.plan import NightPlan
from schemas.records import Message

_TAKEN: Final = "messages"


class SimulatorSource:
    """Brings simulated alerts and notices in, in order of their time; started again, it goes on behind what was kept.

    Parameters
    ----------
    seed, plan
        As for `simulate`.
    alerts_per_s
        Messages a second on average, notices counted in; None for as fast as they are taken. If the taker falls
        behind, what is late follows at once: the average holds, as with a real stream.
    batch
        Messages handed over at a time.
    endless
        Go on with later nights, new names and new events instead of ending after the plan's nights.
    clock, sleep
        Seconds that only grow, and a wait; for tests.
    """

    def __init__(
        self,
        seed: int,
        plan: NightPlan | None = None,
        *,
        alerts_per_s: float | None = None,
        batch: int = 100,
        endless: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if batch < 1 or (alerts_per_s is not None and not alerts_per_s > 0):
            raise ValueError("a batch has at least one message, and a rate is above 0")
        self._seed, self._plan, self._endless = seed, plan, endless
        self._alerts_per_s, self._batch = alerts_per_s, batch
        self._clock, self._sleep = clock, sleep

    async def run(self, emit: Emit) -> None:
        """Bring everything in; return after the last batch."""
        # The simulation computes for seconds before the first message, and each batch takes some tens of milliseconds:
        # not on the event loop.
        messages, before = self._messages(), emit.positions.get(_TAKEN, 0)
        await asyncio.to_thread(deque, islice(messages, before), 0)
        batch = await asyncio.to_thread(self._take, messages)
        started_s, sent = self._clock(), 0
        while batch:
            if self._alerts_per_s is not None:
                # A batch is due when its last message is.
                due_s = started_s + (sent + len(batch)) / self._alerts_per_s
                await self._sleep(max(0.0, due_s - self._clock()))
            sent += len(batch)
            await emit(batch, {_TAKEN: before + sent})
            batch = await asyncio.to_thread(self._take, messages)

    async def check(self) -> str:
        """For `starcross check --connect`: there is nothing to try."""
        return "makes its own messages"

    def _messages(self) -> Iterator[TimedMessage]:
        if self._endless:
            yield from simulate_on(self._seed, self._plan)
        else:
            yield from simulate(self._seed, self._plan).messages()

    def _take(self, messages: Iterator[TimedMessage]) -> list[Message]:
        return [timed.message for timed in islice(messages, self._batch)]
