"""Draining outboxes into sinks that work, fail, refuse and come back."""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import pytest

from bridges.delivery import DeliveryRefused, Undelivered
from broker.outgoing import LONGEST_ASKED_PAUSE_S, REFUSALS, Drain, Watch
from broker.store.records import Batch, Delivery, KeptNotice
from schemas.catalogue import SchemaCatalogue
from schemas.errors import Reason
from schemas.reading import read_message
from schemas.records import Message, Notice, Publication
from tests.coincidences import changed
from tests.e2e.hostile_inputs import GOOD_NOTICE


class MemoryOutbox:
    """An outbox that ends the test once it is empty."""

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        self.left = list(deliveries)
        self.kept: list[Batch] = []
        self.empty = asyncio.Event()

    async def next(self, sink: str, limit: int, *, packets: bool = False) -> list[Delivery]:  # noqa: ARG002
        if not self.left:
            self.empty.set()
            await asyncio.Event().wait()
        return self.left[:limit]

    async def done(self, sink: str, ids: Sequence[int]) -> None:  # noqa: ARG002
        self.left = [delivery for delivery in self.left if delivery.id not in ids]

    def commit(self, batch: Batch) -> asyncio.Future[None]:
        self.kept.append(batch)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


class ListSink:
    """Keeps what it is sent; ``hinder`` may raise before."""

    def __init__(self, hinder: Callable[[Sequence[Publication]], None] = lambda _: None) -> None:
        self.sent: list[str] = []
        self.relayed: list[Notice] = []
        self.opened = 0
        self._hinder = hinder

    async def __aenter__(self) -> Self:
        self.opened += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.opened -= 1

    async def send(self, publications: Sequence[Publication]) -> None:
        self._hinder(publications)
        self.sent += [publication.coincidence.id for publication in publications]

    async def relay(self, notice: Notice) -> None:
        self.relayed.append(notice)


def publication(number: int) -> Delivery:
    return Delivery(number, number, Publication(changed(id=f"c{number}"), ("all",)))


def notice(number: int) -> Delivery:
    return Delivery(number, number, notice=KeptNotice(Message(GOOD_NOTICE, "n"), 0, "ivo://x", None))


def read(delivery: Delivery) -> Notice:
    assert delivery.notice is not None
    return read_message(delivery.notice.message, SchemaCatalogue()).notices[0]


async def drained(sink: ListSink, deliveries: Sequence[Delivery], watch: Watch | None = None) -> MemoryOutbox:
    outbox, pauses = MemoryOutbox(deliveries), []

    async def sleep(pause_s: float) -> None:
        pauses.append(pause_s)

    drain = Drain("out", lambda: sink, outbox, read, watch=watch, sleep=sleep)
    task = asyncio.create_task(drain.run())
    await drain.opened.wait()
    await outbox.empty.wait()
    assert drain.sink is sink
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (sink.opened, drain.sink) == (0, None)
    outbox.pauses = pauses
    return outbox


async def test_all_is_sent_in_order_publications_together_and_each_notice_by_itself():
    sink, told = ListSink(), []
    watch = Watch(sent=lambda *what: told.append(what[:3]))
    await drained(sink, [publication(1), publication(2), notice(3), publication(4)], watch)
    assert sink.sent == ["c1", "c2", "c4"]
    assert len(sink.relayed) == 1
    assert told == [("out", 2, 1), ("out", 1, 3), ("out", 1, 4)]


@pytest.mark.parametrize("trouble", [Undelivered("away"), ConnectionResetError("away"), TimeoutError()])
async def test_what_hinders_is_waited_for_with_growing_pauses(trouble):
    failures = [trouble] * 8

    def hinder(_: Sequence[Publication]) -> None:
        if failures:
            raise failures.pop()

    sink, told = ListSink(hinder), []
    outbox = await drained(sink, [publication(1), publication(2)], Watch(failed=lambda *what: told.append(what)))
    assert sink.sent == ["c1", "c2"]
    assert told == [("out", type(trouble).__name__)] * 8
    expected = [1, 2, 4, 8, 16, 32, 60, 60]
    assert all(0.75 * e <= p <= 1.25 * e for e, p in zip(expected, outbox.pauses, strict=True))


async def test_a_next_hop_that_asks_to_be_left_alone_is_left_alone_within_bounds():
    asked = [30.0, 1e9]

    def hinder(_: Sequence[Publication]) -> None:
        if asked:
            raise Undelivered("busy", retry_after_s=asked.pop(0))

    outbox = await drained(ListSink(hinder), [publication(1)])
    assert outbox.pauses == [30.0, LONGEST_ASKED_PAUSE_S]


async def test_what_is_refused_again_and_again_is_set_aside_and_holds_up_nobody():
    def hinder(publications: Sequence[Publication]) -> None:
        for place, offered in enumerate(publications):
            if offered.coincidence.id == "c2":
                sink.sent += [before.coincidence.id for before in publications[:place]]
                raise DeliveryRefused(offered, "400 we do not take these")

    sink = ListSink(hinder)
    outbox = await drained(sink, [publication(1), publication(2), publication(3)])
    assert sink.sent == ["c1", "c3"]
    assert len(outbox.pauses) == REFUSALS - 1
    ((rejection, body),) = outbox.kept[0].rejected
    assert (rejection.origin, rejection.reason) == ("out: c2 r2", Reason.REFUSED)
    assert b'"id":"c2"' in body.replace(b" ", b"")


async def test_a_failure_nobody_foresaw_is_for_the_supervisor():
    def hinder(_: Sequence[Publication]) -> None:
        raise ZeroDivisionError

    sink = ListSink(hinder)
    with pytest.raises(ZeroDivisionError):
        await Drain("out", lambda: sink, MemoryOutbox([publication(1)]), read).run()
    assert sink.opened == 0


async def test_what_makes_no_packet_is_found_among_others_and_set_aside():
    def hinder(publications: Sequence[Publication]) -> None:
        if any(offered.coincidence.id == "c2" for offered in publications):
            raise ValueError("a number is not finite")

    sink = ListSink(hinder)
    outbox = await drained(sink, [publication(1), publication(2), publication(3)])
    assert sink.sent == ["c1", "c3"]
    ((rejection, body),) = outbox.kept[0].rejected
    assert (rejection.origin, rejection.reason) == ("out: c2 r2", Reason.REFUSED)
    assert rejection.detail == "a number is not finite"
    assert b'"id":"c2"' in body.replace(b" ", b"")


async def test_a_notice_that_makes_no_packet_is_set_aside_with_its_bytes():
    class Choosy(ListSink):
        async def relay(self, notice: Notice) -> None:  # noqa: ARG002
            raise ValueError("too large")

    sink = Choosy()
    outbox = await drained(sink, [notice(1), publication(2)])
    assert sink.sent == ["c2"]
    assert [(r.origin, body) for r, body in outbox.kept[0].rejected] == [("out: ivo://x", GOOD_NOTICE)]
