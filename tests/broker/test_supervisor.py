"""Parts that fail, end, hang and are stopped."""

import asyncio

import pytest

from broker.supervisor import LONGEST_PAUSE_S, PartStatus, Supervisor


class Clock:
    """Time that passes only in pauses."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.pauses_s: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, pause_s: float) -> None:
        self.pauses_s.append(pause_s)
        self.now_s += pause_s
        await asyncio.sleep(0)


async def test_a_part_that_fails_is_restarted_after_growing_pauses_and_others_go_on():
    clock, told, runs = Clock(), [], 0
    supervisor = Supervisor(told.append, clock=clock, sleep=clock.sleep)
    other = asyncio.Event()

    async def fails() -> None:
        nonlocal runs
        runs += 1
        if runs <= 9:
            raise ConnectionError(f"no broker ({runs})")

    supervisor.start("other", other.wait)
    supervisor.start("source", fails)
    await supervisor.ended(["source"])
    source = supervisor.parts["source"]
    assert (runs, source.restarts, source.status) == (10, 9, PartStatus.ENDED)
    assert source.trouble == "ConnectionError: no broker (9)"
    assert told == ["source"] * 9
    expected = [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert all(0.75 * e <= p <= 1.25 * e for p, e in zip(clock.pauses_s, expected, strict=True))
    assert max(clock.pauses_s) <= 1.25 * LONGEST_PAUSE_S
    assert supervisor.parts["other"].status is PartStatus.RUNNING
    assert await supervisor.stop() == []
    assert supervisor.parts["other"].status is PartStatus.STOPPED


async def test_a_part_that_ran_for_long_is_restarted_quickly():
    clock, runs = Clock(), 0
    supervisor = Supervisor(clock=clock, sleep=clock.sleep)

    async def fails() -> None:
        nonlocal runs
        runs += 1
        clock.now_s += 3600 if runs == 4 else 0
        if runs <= 4:
            raise OSError

    supervisor.start("source", fails)
    await supervisor.ended(["source"])
    assert [round(pause_s) for pause_s in (clock.pauses_s[2] / 4, clock.pauses_s[3])] == [1, 1]


async def test_what_does_not_stop_in_time_is_told():
    supervisor = Supervisor()
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    supervisor.start("stubborn", stubborn)
    await asyncio.sleep(0)
    task = next(task for task in asyncio.all_tasks() if task.get_name() == "stubborn")
    assert await supervisor.stop(within_s=0.05) == ["stubborn"]
    released.set()
    await task


async def test_a_name_is_given_once():
    supervisor = Supervisor()
    supervisor.start("a", asyncio.Event().wait)
    with pytest.raises(ValueError, match="already"):
        supervisor.start("a", asyncio.Event().wait)
    await supervisor.stop()
    supervisor.start("a", asyncio.Event().wait)
    await supervisor.stop(["a"])
    assert await supervisor.stop() == []
