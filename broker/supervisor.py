"""Keeps the parts of the service running: each restarts by itself, and none takes the others down."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import structlog

log = structlog.get_logger()

Run = Callable[[], Awaitable[None]]
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
STEADY_S = 60.0
"""A part that ran so long is taken for mended: its next pause is the first again."""


class PartStatus(StrEnum):
    """How a part is."""

    RUNNING = "running"
    WAITING = "waiting"
    ENDED = "ended"
    STOPPED = "stopped"


@dataclass(slots=True)
class Part:
    """One part and how it is.

    Attributes
    ----------
    status
        Running; waiting to be restarted; ended by itself, as a replay does; or stopped by us.
    restarts
        How often it was restarted.
    trouble
        What ended it last, for a person; empty if nothing did.
    """

    status: PartStatus = PartStatus.RUNNING
    restarts: int = 0
    trouble: str = ""


class Supervisor:
    """Runs parts as tasks and restarts those that fail, after pauses that double up to a minute.

    Parameters
    ----------
    on_restart
        Told the name of a part that failed and will be restarted.
    clock, sleep
        Seconds that only grow, and a wait; for tests.
    """

    def __init__(
        self,
        on_restart: Callable[[str], None] = lambda _: None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.parts: dict[str, Part] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._on_restart, self._clock, self._sleep = on_restart, clock, sleep

    def start(self, name: str, run: Run) -> None:
        """Start a part, and keep it running until it ends by itself or is stopped.

        Raises
        ------
        ValueError
            If a part of this name runs.
        """
        if name in self._tasks:
            raise ValueError(f"there is a part {name} already")
        self.parts[name] = Part()
        self._tasks[name] = asyncio.create_task(self._keep(name, run), name=name)

    async def stop(self, names: Iterable[str] | None = None, *, within_s: float = 10.0) -> list[str]:
        """Cancel parts (all by default), wait until they have ended, and return those that have not by then."""
        asked = {name: self._tasks.pop(name) for name in list(self._tasks if names is None else names)}
        for task in asked.values():
            task.cancel()
        if asked:
            await asyncio.wait(asked.values(), timeout=within_s)
        late = [name for name, task in asked.items() if not task.done()]
        for name in asked:
            self.parts[name].status = PartStatus.STOPPED
            if name in late:
                log.warning("part does not stop", part=name, within_s=within_s)
        return late

    async def ended(self, names: Iterable[str]) -> None:
        """Wait until all of these parts have ended by themselves or were stopped."""
        tasks = [self._tasks[name] for name in names if name in self._tasks]
        if tasks:
            await asyncio.wait(tasks)

    async def _keep(self, name: str, run: Run) -> None:
        part, pause_s = self.parts[name], FIRST_PAUSE_S
        while True:
            began_s = self._clock()
            try:
                await run()
            except Exception as error:
                part.trouble = f"{type(error).__name__}: {error}"
                log.warning("part failed", part=name, trouble=part.trouble, restart_in_s=pause_s, exc_info=True)
            else:
                part.status = PartStatus.ENDED
                log.info("part ended", part=name)
                return
            part.status = PartStatus.WAITING
            self._on_restart(name)
            if self._clock() - began_s >= STEADY_S:
                pause_s = FIRST_PAUSE_S
            # Spread out, so that parts that failed for the same reason do not come back at the same moment.
            await self._sleep(pause_s * random.uniform(0.75, 1.25))  # noqa: S311
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            part.restarts += 1
            part.status = PartStatus.RUNNING
