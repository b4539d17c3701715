"""Listeners: everything once and in order, whenever they come; who is slow is dropped with a reason, and resumes."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.web import hub as hub_module
from broker.web.hub import Full, Hub, TooSlow
from broker.web.queries import Filter
from matchers.selection import Selection
from tests.broker.web.stored import ADA, BOB, NOBODY, ROOT, kept, revision, until

FROM_NOW = Filter(newest=False)


@asynccontextmanager
async def following(folder, *, most=10, kept_in_memory=100, before=()):
    """A store, and a hub that follows it."""
    async with kept(folder, before) as store:
        hub = Hub(store.questions, most=most, kept=kept_in_memory)
        task = asyncio.create_task(hub.run())
        await until(lambda: hub._last == len(before))
        keep = store.keep

        async def keep_and_tell(*changes):
            await keep(*changes)
            hub.stored()

        store.keep = keep_and_tell
        try:
            yield store, hub
        finally:
            task.cancel()
            await asyncio.wait([task])


class Listener:
    """Somebody who follows, in a task."""

    def __init__(self, hub, principal=NOBODY, wanted=FROM_NOW, *, idle_s=30.0, pause=None, go_on=None):
        self.seen, self.reason, self.idle = [], None, 0
        self._go_on = go_on
        self.task = asyncio.create_task(self._follow(hub.follow(wanted, principal, idle_s=idle_s), pause))

    async def _follow(self, revisions, pause):
        try:
            async for found, after in revisions:
                self.seen += [one.seq for one in found]
                self.idle += not found
                self.after = after
                if pause is not None:
                    await pause(self)
        except (TooSlow, Full) as reason:
            self.reason = reason
        finally:
            await revisions.aclose()

    async def end(self):
        self.task.cancel()
        await asyncio.wait([self.task])


def some(first, count, **fields):
    return [revision(f"n{number}", **fields) for number in range(first, first + count)]


async def test_each_hears_what_they_may(tmp_path):
    async with following(tmp_path) as (store, hub):
        listeners = {principal.owner: Listener(hub, principal) for principal in (NOBODY, ADA, BOB, ROOT)}
        await until(lambda: hub.listeners == 4)
        await store.keep(*some(0, 1), *some(1, 1, private_to="ada"), *some(2, 1, private_to="bob"), *some(3, 1))
        await until(lambda: all(listener.seen[-1:] == [4] for listener in listeners.values()))
        assert {owner: listener.seen for owner, listener in listeners.items()} == {
            "": [1, 4], "ada": [1, 2, 4], "bob": [1, 3, 4], "root": [1, 2, 3, 4],
        }  # fmt: skip
        for listener in listeners.values():
            await listener.end()
        assert hub.listeners == 0


async def test_who_comes_back_is_told_what_they_missed_and_then_what_comes(tmp_path):
    before = some(0, 30)
    async with following(tmp_path, before=before) as (store, hub):
        back = [Listener(hub, wanted=Filter(after=after, newest=False)) for after in (0, 7, 30)]
        await until(lambda: [len(one.seen) for one in back] == [30, 23, 0])
        await store.keep(*some(30, 5))
        await until(lambda: all(one.seen[-1:] == [35] for one in back))
        assert [one.seen for one in back] == [list(range(1, 36)), list(range(8, 36)), list(range(31, 36))]
        for one in back:
            await one.end()


async def test_catching_up_takes_several_pages_and_keeps_the_filter(tmp_path, monkeypatch):
    monkeypatch.setattr(hub_module, "READ_AT_ONCE", 4)
    before = [revision(f"n{number}", credible_level=number % 2) for number in range(30)]
    async with following(tmp_path, before=before) as (store, hub):
        wanted = Filter(newest=True, where=Selection.of("credible_level < 0.5"))
        one = Listener(hub, wanted=wanted)
        await until(lambda: len(one.seen) == 15)
        await store.keep(revision("x", credible_level=0.0), revision("y", credible_level=1.0))
        await store.keep(revision("x", 2, credible_level=0.1))
        await until(lambda: one.seen[-1:] == [33])
        assert one.seen == [*range(1, 31, 2), 31, 33]
        await one.end()


async def test_who_comes_before_it_begins_misses_nothing(tmp_path):
    async with kept(tmp_path, some(0, 3)) as store:
        hub = Hub(store.questions, most=10, kept=100)
        listeners = [Listener(hub, wanted=Filter(after=after, newest=False)) for after in (0, 3)]
        await until(lambda: hub.listeners == 2)
        await store.keep(*some(3, 2))
        hub.stored()
        running = asyncio.create_task(hub.run())
        await until(lambda: [one.seen for one in listeners] == [[1, 2, 3, 4, 5], [4, 5]])
        for task in (running, *(one.task for one in listeners)):
            task.cancel()
            await asyncio.wait([task])


async def test_reading_that_failed_goes_on_where_it_was(tmp_path, monkeypatch):
    async with kept(tmp_path) as store:
        hub, read = Hub(store.questions, most=10, kept=100), store.questions.coincidences
        running = asyncio.create_task(hub.run())
        one = Listener(hub)
        await store.keep(*some(0, 2))
        hub.stored()
        await until(lambda: one.seen == [1, 2])

        async def failing(*_):
            raise OSError("no disk")

        monkeypatch.setattr(store.questions, "coincidences", failing)
        hub.stored()
        with pytest.raises(OSError, match="no disk"):
            await running
        await store.keep(*some(2, 2))
        monkeypatch.setattr(store.questions, "coincidences", read)
        running = asyncio.create_task(hub.run())
        await until(lambda: one.seen == [1, 2, 3, 4])
        assert one.reason is None
        for task in (running, one.task):
            task.cancel()
            await asyncio.wait([task])


async def test_no_more_than_may(tmp_path):
    async with following(tmp_path, most=2) as (store, hub):
        first, second = Listener(hub), Listener(hub)
        await until(lambda: hub.is_full)
        third = Listener(hub)
        await until(lambda: third.reason is not None)
        assert isinstance(third.reason, Full)
        await first.end()
        fourth = Listener(hub)
        await until(lambda: hub.listeners == 2)
        await store.keep(*some(0, 1))
        await until(lambda: fourth.seen == [1] and second.seen == [1])
        await fourth.end()
        await second.end()


async def test_who_is_slow_is_dropped_and_the_others_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(hub_module, "GRACE_S", 0.05)
    stuck = asyncio.Event()

    async def pause(_):
        await stuck.wait()

    async with following(tmp_path, kept_in_memory=10) as (store, hub):
        slow, quick = Listener(hub, pause=pause), Listener(hub)
        await until(lambda: hub.listeners == 2)
        for first in range(0, 60, 3):
            await store.keep(*some(first, 3))
            await until(lambda last=first + 3: quick.seen[-1:] == [last])
        stuck.set()
        await until(lambda: slow.reason is not None)
        assert isinstance(slow.reason, TooSlow)
        assert quick.seen == list(range(1, 61))
        again = Listener(hub, wanted=Filter(after=slow.after, newest=False))
        await until(lambda: again.seen[-1:] == [60])
        assert slow.seen + again.seen == list(range(1, 61))
        for one in (quick, again):
            await one.end()


async def test_a_burst_waits_for_those_who_take_what_comes(tmp_path):
    async with following(tmp_path, kept_in_memory=10) as (store, hub):

        async def pause(_):
            await asyncio.sleep(0.001)

        listeners = [Listener(hub, pause=pause) for _ in range(5)]
        await until(lambda: hub.listeners == 5)
        await store.keep(*some(0, 200))
        await until(lambda: all(one.seen[-1:] == [200] or one.reason for one in listeners))
        assert [one.seen for one in listeners] == [list(range(1, 201))] * 5
        for one in listeners:
            await one.end()


async def test_nothing_for_a_while_is_told(tmp_path):
    async with following(tmp_path) as (_, hub):
        one = Listener(hub, idle_s=0.01)
        await until(lambda: one.idle >= 2)
        assert one.seen == []
        await one.end()


@pytest.mark.parametrize("behind", [False, True])
async def test_all_are_sent_away_at_the_end(tmp_path, behind):
    async with following(tmp_path, before=some(0, 5)) as (_, hub):
        one = Listener(hub, wanted=Filter(after=0 if behind else 5, newest=False))
        await until(lambda: hub.listeners == 1)
        await hub.close()
        await asyncio.wait_for(one.task, 60)
        assert one.reason is None
        late = Listener(hub)
        await asyncio.wait_for(late.task, 60)
        assert hub.listeners == 0


@settings(max_examples=15)
@given(
    batches=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    joins=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 40)), min_size=1, max_size=4),
    kept_in_memory=st.integers(10, 30),
    before=st.integers(0, 15),
)
async def test_whenever_they_come_everything_once_and_in_order(
    tmp_path_factory, batches, joins, kept_in_memory, before
):
    """From wherever they say that they were, whatever is stored meanwhile: no gap, and nothing twice."""
    folder = tmp_path_factory.mktemp("followed")
    async with following(folder, kept_in_memory=kept_in_memory, before=some(0, before)) as (store, hub):
        total, listeners = before, []
        for step, count in enumerate([*batches, 1]):
            for at, after in joins:
                if at == step:
                    start = min(after, total)
                    listeners.append((start, Listener(hub, wanted=Filter(after=start, newest=False))))
            keeping = asyncio.create_task(store.keep(*some(total, count)))
            await asyncio.sleep(0)
            total += count
            await keeping
        ends = [(start, one) for start, one in listeners]
        await until(lambda: all(one.seen[-1:] == [total] or one.reason for _, one in ends))
        for start, one in ends:
            assert one.reason is None
            assert one.seen == list(range(start + 1, total + 1))
            await one.end()
