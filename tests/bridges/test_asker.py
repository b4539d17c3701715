"""The queue of a service, with the service's own code and a server that stands in for it."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from schemas.annotations import Annotation, Answer, Target
from tests.bridges.service_stand_ins import Reply, cross_matched, stand_in

pytest.importorskip("astroquery")

from bridges.asker import Asker
from bridges.catalogue_options import XMatchOptions
from bridges.catalogue_services import XMatchService

DAY_US = 86_400_000_000
GALAXY = Target("ztf", "galaxy", 197.4487, -23.3835, 0)
SOON = {"gather_s": 0, "pause_s": 0, "retry_s": 0.001, "retry_most_s": 0.01}


class World:
    """An asker that runs, what it delivered and told, and a clock that stands still."""

    def __init__(self, url, **options):
        self.now_us, self.delivered, self.told = DAY_US, [], []
        self.came = asyncio.Event()
        made = XMatchOptions.model_validate({"url": url} | SOON | options)
        self.asker = Asker(
            "simbad", XMatchService("simbad", made), made,
            clock=lambda: self.now_us, deliver=self.deliver, observe=lambda *told: self.told.append(told[:3]),
        )  # fmt: skip

    async def deliver(self, name, answered):
        assert name == "simbad"
        self.delivered += answered
        self.came.set()

    async def answers(self, count):
        """The answers so far, once there are so many."""
        while len(self.delivered) < count:
            await self.came.wait()
            self.came.clear()
        return {target.object_id: said.answer for target, said in self.delivered}

    async def failures(self, count):
        while sum(outcome == "failed" for _, outcome, _ in self.told) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@asynccontextmanager
async def asking(speak, **options):
    with stand_in(speak) as server:
        world = World(server.url, **options)
        task = asyncio.create_task(world.asker.run())
        world.server = server
        yield world
        assert not task.done()
        task.cancel()
        server.released.set()


def some(count):
    return [Target("ztf", f"o{number}", 10.0 + number, 20.0, 0) for number in range(count)]


async def test_objects_are_asked_about_together():
    async with asking(cross_matched, gather_s=0.05) as world:
        for target in (*some(5), GALAXY):
            world.asker.want(target)
        assert world.asker.waiting == 6
        answers = await world.answers(6)
        assert answers.pop("galaxy") is Answer.FOUND
        assert set(answers.values()) == {Answer.NONE}
        assert len(world.server.asked) == 1
        await asyncio.sleep(0)
        assert (world.asker.waiting, world.asker.trouble) == (0, "")
        assert world.told == [("simbad", "found", 1), ("simbad", "none", 5)]


async def test_no_more_than_a_batch_at_once():
    async with asking(cross_matched, batch=2) as world:
        for target in some(5):
            world.asker.want(target)
        assert len(await world.answers(5)) == 5
        assert len(world.server.asked) == 3


async def test_an_answer_is_not_asked_for_again_until_it_is_old():
    async with asking(cross_matched, keep_d=1) as world:
        world.asker.knows("ztf", "galaxy", Annotation("simbad", Answer.NONE), world.now_us - DAY_US + 1)
        world.asker.want(GALAXY)
        assert world.asker.waiting == 0
        world.now_us += 1
        world.asker.want(GALAXY)
        world.asker.want(GALAXY)
        assert world.asker.waiting == 1
        await world.answers(1)
        world.asker.want(GALAXY)
        assert world.asker.waiting == 0
        world.asker.forget("ztf", "galaxy")
        world.asker.want(GALAXY)
        assert world.asker.waiting == 1
        world.asker.forget("ztf", "galaxy")
        assert world.asker.waiting == 0


async def test_a_full_queue_takes_no_more():
    async with asking(cross_matched, queue=3, gather_s=600) as world:
        for target in some(5):
            world.asker.want(target)
        assert world.asker.waiting == 3
        assert world.told == [("simbad", "dropped", 1)] * 2


@pytest.mark.parametrize(
    "bad",
    [
        Reply(b"not now", 503),
        Reply(b"<html>a page</html>"),
        Reply(b"x" * (2 << 20)),
        Reply(b"<!DOCTYPE a><a/>"),
        Reply(status=302, headers={"Location": "http://example.org/"}),
        Reply(send=lambda _: None, headers={"Content-Length": "9"}),
    ],
)
async def test_it_asks_again_until_there_is_an_answer(bad):
    async with asking(lambda _: bad, answer_mib=1) as world:
        world.asker.want(GALAXY)
        await world.failures(3)
        assert world.asker.trouble
        assert world.asker.waiting == 1
        assert world.delivered == []
        world.server.speak = cross_matched
        assert await world.answers(1) == {"galaxy": Answer.FOUND}


async def test_one_that_spoils_the_question_does_not_hinder_the_others():
    def speak(question):
        return Reply(status=500) if ",13.0,20.0" in question.form["cat1"] else cross_matched(question)

    async with asking(speak, batch=8) as world:
        for target in (*some(6), GALAXY):
            world.asker.want(target)
        answers = await world.answers(6)
        assert sorted(answers) == ["galaxy", "o0", "o1", "o2", "o4", "o5"]
        await world.failures(3)
        assert world.asker.waiting == 1
        world.now_us += 2 * DAY_US
        assert (await world.answers(7))["o3"] is Answer.FAILED
        assert world.delivered[-1][1] == Annotation("simbad", Answer.FAILED)
        await asyncio.sleep(0)
        assert world.asker.waiting == 0
        world.asker.want(world.delivered[-1][0])
        assert world.asker.waiting == 1


async def test_an_answer_that_does_not_come_is_given_up_and_asked_again():
    def hold(question):
        world.server.released.wait(20)
        return cross_matched(question)

    async with asking(hold, timeout_s=0.1) as world:
        world.asker.want(GALAXY)
        await world.failures(2)
        assert world.asker.trouble == "127.0.0.1: no answer within 0.1 s"
        world.server.speak = cross_matched
        world.server.released.set()
        assert await world.answers(1) == {"galaxy": Answer.FOUND}


async def test_a_question_that_hangs_has_no_second_one_beside_it(monkeypatch):
    monkeypatch.setattr("bridges.asker._GRACE", 0.001)  # less than one request may take

    def hold(question):
        world.server.released.wait(20)
        return cross_matched(question)

    async with asking(hold, timeout_s=20) as world:
        world.asker.want(GALAXY)
        await world.failures(3)
        assert world.asker.trouble == "the last question has still not come back"
        assert len(world.server.asked) == 1
        monkeypatch.setattr("bridges.asker._GRACE", 4)
        world.server.released.set()
        assert await world.answers(1) == {"galaxy": Answer.FOUND}


async def test_it_rests_as_long_as_it_is_asked_to():
    async with asking(lambda _: Reply(status=429, headers={"Retry-After": "600"})) as world:
        world.asker.want(GALAXY)
        await world.failures(1)
        world.server.speak = cross_matched
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert len(world.server.asked) == 1
