from dataclasses import replace
from itertools import pairwise

import pytest

from bridges.simulator import NightPlan, SimulatorSource, simulate
from schemas.records import Receipt


class Taker:
    """Takes batches as an `Emit`, and keeps time: taking a batch takes `busy_s`."""

    def __init__(self, busy_s=0.0, at_most=None):
        self.now_s, self.busy_s, self.at_most = 0.0, busy_s, at_most
        self.batches, self.times, self.positions = [], [], {}

    def clock(self):
        return self.now_s

    async def sleep(self, seconds):
        assert seconds >= 0
        self.now_s += seconds

    async def __call__(self, messages, positions):
        if self.at_most is not None and len(self.batches) == self.at_most:
            raise TimeoutError
        self.batches.append(list(messages))
        self.times.append(self.now_s)
        self.positions |= positions
        self.now_s += self.busy_s
        return Receipt(accepted=len(messages))


@pytest.fixture
def plan(small_plan):
    without_maps = {"mergers_seen": 0, "mergers_unseen": 0, "mergers_retracted": 0}
    return replace(small_plan, variables=10, supernovae=10, outbursts=5, asteroids=10, artefacts=10, **without_maps)


async def test_everything_comes_once_in_order(plan):
    taker = Taker()
    await SimulatorSource(5, plan, batch=7).run(taker)
    expected = [timed.message for timed in simulate(5, plan).messages()]
    assert [message for batch in taker.batches for message in batch] == expected
    assert {len(batch) for batch in taker.batches[:-1]} == {7}
    assert taker.now_s == 0.0


async def test_the_rate_is_kept_on_average(plan):
    taker = Taker()
    await SimulatorSource(5, plan, alerts_per_s=20.0, batch=4, clock=taker.clock, sleep=taker.sleep).run(taker)
    steps = [later - earlier for earlier, later in pairwise(taker.times)]
    assert steps[:-1] == pytest.approx([0.2] * (len(steps) - 1))
    count = sum(map(len, taker.batches))
    assert taker.now_s == pytest.approx(count / 20.0)


async def test_a_slow_taker_does_not_lower_the_average_while_it_can_keep_up(plan):
    taker = Taker(busy_s=0.15)
    await SimulatorSource(5, plan, alerts_per_s=20.0, batch=4, clock=taker.clock, sleep=taker.sleep).run(taker)
    steps = [later - earlier for earlier, later in pairwise(taker.times)]
    assert steps[:-1] == pytest.approx([0.2] * (len(steps) - 1))


async def test_a_taker_that_is_too_slow_is_never_waited_for_twice(plan):
    taker = Taker(busy_s=1.0)
    await SimulatorSource(5, plan, alerts_per_s=20.0, batch=4, clock=taker.clock, sleep=taker.sleep).run(taker)
    assert taker.now_s == pytest.approx(0.2 + len(taker.batches))


async def test_an_endless_source_goes_on_until_it_is_stopped(plan):
    once = sum(1 for _ in simulate(5, plan).messages())
    taker = Taker(at_most=once // 50 + 3)
    with pytest.raises(TimeoutError):
        await SimulatorSource(5, plan, batch=50, endless=True).run(taker)
    assert sum(map(len, taker.batches)) > once


@pytest.mark.parametrize("endless", [False, True])
async def test_it_goes_on_behind_what_was_kept(plan, endless):
    first = Taker(at_most=3)
    with pytest.raises(TimeoutError):
        await SimulatorSource(5, plan, batch=10, endless=endless).run(first)
    second = Taker(at_most=None if not endless else 4)
    second.positions = first.positions
    source = SimulatorSource(5, plan, batch=30, endless=endless)
    if endless:
        with pytest.raises(TimeoutError):
            await source.run(second)
    else:
        await source.run(second)
    whole = [timed.message for timed in simulate(5, plan).messages()]
    brought = [message for batch in [*first.batches, *second.batches] for message in batch]
    assert brought[: len(whole)] == whole[: len(brought)]
    assert second.positions == {"messages": len(brought)}
    assert endless or brought == whole


async def test_a_source_that_had_all_brings_nothing_more(plan):
    taker = Taker()
    taker.positions = {"messages": 10**6}
    await SimulatorSource(5, plan).run(taker)
    assert taker.batches == []
    assert "own messages" in await SimulatorSource(5, plan).check()


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"alerts_per_s": 0.0}, {"alerts_per_s": float("nan")}])
def test_impossible_rates_are_refused(wrong):
    with pytest.raises(ValueError, match="batch"):
        SimulatorSource(1, NightPlan(), **wrong)
