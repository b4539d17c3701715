import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from bridges.map_fetcher import MapFetchOptions, NotThereYet, Refused, Unreachable
from bridges.map_fetches import Fetches, Want
from tests.bridges.conformance import PATIENCE_S

QUICK = MapFetchOptions(retry_s=0.01, retry_most_s=0.02, concurrent=2)
LATER_US = 1_000_000_000


class Host:
    """In place of the fetcher: files by URL, or what is raised; an event holds an answer back."""

    def __init__(self) -> None:
        self.files = {}
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            answer = self.files.get(url, NotThereYet(url))
            if isinstance(answer, asyncio.Event):
                await answer.wait()
                answer = b"held back"
            await asyncio.sleep(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        finally:
            self.at_once -= 1


class Desk:
    """Fetches, its host, its clock, and to whom it delivers."""

    def __init__(self, options: MapFetchOptions = QUICK) -> None:
        self.host = Host()
        self.now_us = 0
        self.outcomes: list[str] = []
        self.delivered: list[tuple[str, bytes, str]] = []
        self.unusable: set[bytes] = set()
        self.failing: Exception | None = None
        self.during = None
        self.fetches = Fetches(self.host, options, clock=lambda: self.now_us, observe=self.outcomes.append)

    async def deliver(self, key: str, body: bytes, origin: str) -> bool:
        if self.during is not None:
            await self.during()
        if self.failing is not None:
            raise self.failing
        self.delivered.append((key, body, origin))
        return body not in self.unusable

    @property
    def keys(self) -> list[str]:
        return [key for key, _, _ in self.delivered]

    async def until(self, condition) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - conditions of any kind
                await asyncio.sleep(0.001)

    @asynccontextmanager
    async def open(self):
        task = asyncio.create_task(self.fetches.run(self.deliver))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def want(self, url: str, key: str, *newness: int, trigger: str = "lvk:S1", deadline_us: int = LATER_US) -> None:
        self.fetches.want(Want(url, key, deadline_us, trigger, newness))


@pytest.fixture
async def desk():
    return Desk()


async def test_it_is_tried_until_it_comes(desk):
    desk.want("u", "n1")
    async with desk.open():
        await desk.until(lambda: len(desk.host.asked) > 3)
        assert desk.fetches.pending == 1
        desk.host.files["u"] = b"map"
        await desk.until(lambda: not desk.fetches.pending)
    assert desk.delivered == [("n1", b"map", "u")]
    assert desk.outcomes[-1] == "delivered"
    assert set(desk.outcomes[:-1]) == {"not_there_yet"}


async def test_wants_from_before_and_during_a_run(desk):
    desk.host.files |= {"u": b"1", "v": b"2"}
    desk.want("u", "n1", trigger="a")
    async with desk.open():
        await desk.until(lambda: desk.keys == ["n1"])
        desk.want("v", "n2", trigger="b")
        await desk.until(lambda: desk.keys == ["n1", "n2"])


async def test_it_is_given_up_after_its_deadline(desk):
    desk.want("u", "n1", deadline_us=5)
    async with desk.open():
        await desk.until(lambda: len(desk.host.asked) > 2)
        desk.now_us = 6
        await desk.until(lambda: not desk.fetches.pending)
    assert desk.outcomes[-1] == "expired"
    assert not desk.delivered


async def test_what_is_refused_is_given_up_at_once(desk):
    desk.host.files["u"] = Refused("u")
    desk.want("u", "n1")
    async with desk.open():
        await desk.until(lambda: not desk.fetches.pending)
    assert desk.outcomes == ["refused"]
    assert desk.host.asked == ["u"]


async def test_what_is_unusable_is_fetched_again(desk):
    desk.host.files["u"] = b"half a map"
    desk.unusable.add(b"half a map")
    desk.want("u", "n1")
    async with desk.open():
        await desk.until(lambda: len(desk.delivered) > 2)
        desk.host.files["u"] = b"a map"
        await desk.until(lambda: not desk.fetches.pending)
    assert desk.outcomes[-2:] == ["unusable", "delivered"]


async def test_one_that_fails_does_not_hinder_another(desk):
    desk.host.files |= {"u": Unreachable("u"), "v": b"2"}
    desk.want("u", "n1", trigger="a")
    desk.want("v", "n2", trigger="b")
    async with desk.open():
        await desk.until(lambda: desk.keys == ["n2"])
    assert desk.fetches.pending == 1


async def test_the_same_link_is_fetched_once_for_the_newest_notice(desk):
    desk.want("u", "n2", 2)
    desk.want("u", "n3", 3)
    desk.want("u", "n1", 1)
    assert desk.fetches.pending == 1
    desk.host.files["u"] = b"map"
    async with desk.open():
        await desk.until(lambda: not desk.fetches.pending)
    assert desk.keys == ["n3"]
    assert desk.host.asked == ["u"]


async def test_the_later_deadline_holds(desk):
    desk.want("u", "n1", deadline_us=5)
    desk.want("u", "n1", deadline_us=50)
    desk.want("u", "n1", deadline_us=6)
    desk.now_us = 10
    async with desk.open():
        await desk.until(lambda: len(desk.host.asked) > 2)
    assert desk.fetches.pending == 1


async def test_older_ones_are_not_wanted_once_a_newer_has_come(desk):
    desk.want("old", "n1", 1)
    desk.want("new", "n2", 2)
    desk.want("other", "m1", 1, trigger="lvk:S2")
    async with desk.open():
        await desk.until(lambda: len(desk.host.asked) > 5)
        desk.host.files["new"] = b"2"
        await desk.until(lambda: desk.fetches.pending == 1)
        desk.want("older", "n0", 0)
        assert desk.fetches.pending == 1
    assert desk.keys == ["n2"]
    assert desk.outcomes.count("superseded") == 2


async def test_the_older_one_comes_while_the_newer_is_not_there(desk):
    desk.host.files["old"] = b"1"
    desk.want("old", "n1", 1)
    desk.want("new", "n2", 2)
    async with desk.open():
        await desk.until(lambda: desk.keys == ["n1"])
        desk.host.files["new"] = b"2"
        await desk.until(lambda: desk.keys == ["n1", "n2"])


async def test_one_that_is_being_delivered_is_not_interrupted(desk):
    gate = asyncio.Event()
    desk.host.files |= {"old": b"1", "new": b"2"}
    started = []

    async def during():
        started.append(1)
        if len(started) == 1:
            await gate.wait()

    desk.during = during
    desk.want("old", "n1", 1)
    async with desk.open():
        await desk.until(lambda: started)
        desk.want("new", "n2", 2)
        await desk.until(lambda: desk.keys == ["n2"])
        gate.set()
        await desk.until(lambda: not desk.fetches.pending)
    assert desk.keys == ["n2", "n1"]


async def test_a_newer_notice_that_links_the_same_file_while_it_is_delivered(desk):
    desk.host.files["u"] = b"map"

    async def during():
        desk.want("u", "n2", 2)

    desk.during = during
    desk.want("u", "n1", 1)
    async with desk.open():
        await desk.until(lambda: not desk.fetches.pending)
    assert desk.keys == ["n1", "n2"]


async def test_a_newer_notice_that_links_the_same_file_while_it_is_fetched(desk):
    held = desk.host.files["u"] = asyncio.Event()
    desk.want("u", "n1", 1)
    async with desk.open():
        await desk.until(lambda: desk.host.asked)
        desk.want("u", "n2", 2)
        held.set()
        await desk.until(lambda: not desk.fetches.pending)
    assert desk.keys == ["n2"]
    assert desk.host.asked == ["u"]


async def test_a_few_at_a_time(desk):
    for number in range(20):
        desk.host.files[f"u{number}"] = b"map"
        desk.want(f"u{number}", f"n{number}", trigger=f"t{number}")
    async with desk.open():
        await desk.until(lambda: not desk.fetches.pending)
    assert desk.host.most_at_once == 2
    assert len(set(desk.keys)) == 20


async def test_what_deliver_raises_ends_the_run_and_nothing_is_forgotten(desk):
    desk.host.files |= {"u": b"1", "v": b"2"}
    desk.want("u", "n1", trigger="")
    desk.want("v", "n2", trigger="")
    desk.failing = ZeroDivisionError()
    with pytest.raises(ExceptionGroup) as raised:
        await asyncio.wait_for(desk.fetches.run(desk.deliver), PATIENCE_S)
    assert raised.group_contains(ZeroDivisionError)
    assert desk.fetches.pending == 2
    desk.failing = None
    async with desk.open():
        await desk.until(lambda: not desk.fetches.pending)
    assert sorted(desk.keys) == ["n1", "n2"]


async def test_not_more_is_remembered_than_allowed(desk, monkeypatch):
    monkeypatch.setattr("bridges.map_fetches.WANTS_MAX", 3)
    for number in range(5):
        desk.want(f"u{number}", f"n{number}", trigger=f"t{number}", deadline_us=LATER_US - number % 3)
    assert desk.fetches.pending == 3
    desk.want("u2", "n2", trigger="t2")  # once dropped, wanted again
    assert desk.fetches.pending == 3
    desk.host.files |= {f"u{number}": b"map" for number in range(9)}
    async with desk.open():
        await desk.until(lambda: not desk.fetches.pending)
        desk.want("u8", "n8", trigger="t8")
        await desk.until(lambda: not desk.fetches.pending)
    assert sorted(desk.keys) == ["n2", "n3", "n4", "n8"] or len(desk.keys) == 4
    assert desk.outcomes.count("crowded_out") == 3
    assert len(desk.fetches._delivered) == 3
