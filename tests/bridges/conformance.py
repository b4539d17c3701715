"""What every source and every sink passes. Derive a class from `SourceConformance` or `SinkConformance`, and give it a
fixture ``bench`` that says how to make the part and how to play the outside world::

    class TestDropFolder(SourceConformance):
        @pytest.fixture
        def bench(self, tmp_path):
            return FolderBench(tmp_path)
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bridges.emit import NOWHERE, Positions
from broker.interfaces import Sink, Source
from schemas.records import Message, Publication, Receipt, State
from tests.coincidences import COINCIDENCE

PATIENCE_S = 120.0
"""How long anything that must happen may take before a test fails; nothing waits so long when all is well."""


class Keeper:
    """An ``emit`` as the pipeline's: keeps messages and positions together, and may fail or be slow.

    Attributes
    ----------
    positions
        What was kept of the positions, of "earlier runs" too: hand a keeper to a second source to start it again.
    messages, batches
        What was kept.
    failing
        Raised instead of keeping anything, until it is None again.
    gate
        While it is not set, a batch waits and is not kept yet.
    """

    def __init__(self, positions: Positions = NOWHERE) -> None:
        self.positions: dict[str, int] = dict(positions)
        self.messages: list[Message] = []
        self.batches: list[list[Message]] = []
        self.failing: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.calls = 0
        self._news = asyncio.Condition()

    @property
    def bodies(self) -> list[bytes]:
        return [message.body for message in self.messages]

    async def __call__(self, messages: Sequence[Message], positions: Positions = NOWHERE) -> Receipt:
        async with self._news:
            self.calls += 1
            self._news.notify_all()
        await self.gate.wait()
        if self.failing is not None:
            raise self.failing
        async with self._news:
            self.messages.extend(messages)
            if messages:
                self.batches.append(list(messages))
            self.positions.update(positions)
            self._news.notify_all()
        return Receipt(len(messages))

    async def until(self, condition) -> None:
        """Wait until something is so, looked at with each call of this emit."""
        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(condition)

    async def until_kept(self, *bodies: bytes) -> None:
        """Wait until all of these are kept."""
        try:
            await self.until(lambda: set(bodies) <= set(self.bodies))
        except TimeoutError:
            pytest.fail(f"never came: {[body[:60] for body in bodies if body not in self.bodies]}")


@asynccontextmanager
async def running(source: Source, emit: Keeper) -> AsyncIterator[asyncio.Task[None]]:
    """The source as a task, cancelled at the end; what it raised by itself is raised here."""
    task = asyncio.create_task(source.run(emit))
    try:
        yield task
    finally:
        ended = task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError) if not ended else contextlib.nullcontext():
            await task


class SourceBench(ABC):
    """How a kind of source is made and fed. What `bring` brought stays where it is, as Kafka and folders keep it."""

    @abstractmethod
    def make(self) -> Source:
        """A new source for the same things, as after a restart of the process."""

    @abstractmethod
    async def bring(self, *bodies: bytes) -> None:
        """Put messages where the source finds them, in order."""


class SourceConformance:
    """The promises of `broker.interfaces.Source`."""

    async def test_messages_come_with_where_they_came_from(self, bench: SourceBench) -> None:
        await bench.bring(b"<one/>", b"<two/>")
        emit = Keeper()
        async with running(bench.make(), emit):
            await emit.until_kept(b"<one/>", b"<two/>")
            await bench.bring(b"<three/>")
            await emit.until_kept(b"<three/>")
        origins = [message.origin for message in emit.messages]
        assert len(set(origins)) == len(origins) == 3
        assert all(origin and not origin.startswith("/") for origin in origins)

    async def test_messages_keep_their_order(self, bench: SourceBench) -> None:
        bodies = [f"<n{number}/>".encode() for number in range(30)]
        await bench.bring(*bodies)
        emit = Keeper()
        async with running(bench.make(), emit):
            await emit.until_kept(*bodies)
        assert emit.bodies == bodies

    async def test_it_begins_where_it_stood(self, bench: SourceBench) -> None:
        await bench.bring(b"<one/>", b"<two/>")
        before = Keeper()
        async with running(bench.make(), before):
            await before.until_kept(b"<one/>", b"<two/>")
        await bench.bring(b"<three/>")
        after = Keeper(before.positions)
        async with running(bench.make(), after):
            await after.until_kept(b"<three/>")
        assert after.bodies == [b"<three/>"]

    async def test_what_was_not_kept_comes_again(self, bench: SourceBench) -> None:
        await bench.bring(b"<one/>", b"<two/>")
        emit = Keeper()
        emit.gate.clear()
        async with running(bench.make(), emit):
            await emit.until(lambda: emit.calls)
        assert not emit.bodies
        again = Keeper(emit.positions)
        async with running(bench.make(), again):
            await again.until_kept(b"<one/>", b"<two/>")

    async def test_what_emit_raises_ends_it_and_nothing_is_lost(self, bench: SourceBench) -> None:
        await bench.bring(b"<one/>")
        emit = Keeper()
        emit.failing = ZeroDivisionError("the emit of a test")
        source = bench.make()
        with pytest.raises(ZeroDivisionError, match="emit of a test"):
            await asyncio.wait_for(source.run(emit), PATIENCE_S)
        emit.failing = None
        async with running(bench.make(), emit):
            await emit.until_kept(b"<one/>")

    async def test_the_same_source_can_run_again(self, bench: SourceBench) -> None:
        await bench.bring(b"<one/>")
        emit = Keeper()
        emit.failing = ZeroDivisionError("the emit of a test")
        source = bench.make()
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(source.run(emit), PATIENCE_S)
        emit.failing = None
        async with running(source, emit):
            await emit.until_kept(b"<one/>")

    async def test_it_does_not_read_on_while_a_batch_waits(self, bench: SourceBench) -> None:
        await bench.bring(b"<one/>")
        emit = Keeper()
        emit.gate.clear()
        async with running(bench.make(), emit):
            await emit.until(lambda: emit.calls)
            await bench.bring(b"<two/>")
            calls = emit.calls
            emit.gate.set()
            await emit.until_kept(b"<one/>", b"<two/>")
        assert calls == 1

    @pytest.mark.parametrize("busy", [False, True], ids=["idle", "in emit"])
    async def test_it_stops_when_cancelled(self, bench: SourceBench, busy: bool) -> None:
        await bench.bring(b"<one/>")
        emit = Keeper()
        if busy:
            emit.gate.clear()
        task = asyncio.create_task(bench.make().run(emit))
        await emit.until(lambda: emit.calls if busy else emit.messages)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=PATIENCE_S)
        assert done
        assert task.cancelled()


class SinkBench(ABC):
    """How a kind of sink is made, and who receives what it sends."""

    @abstractmethod
    def make(self) -> Sink:
        """A new sink towards the same receiver, as after a restart of the process."""

    @abstractmethod
    async def received(self, count: int) -> list[tuple[str, int]]:
        """Coincidence id and revision of everything that came, in order, once there are so many."""

    @abstractmethod
    async def go_away(self) -> None:
        """From now on the next hop takes nothing."""

    @abstractmethod
    async def come_back(self) -> None:
        """The next hop is as before."""


def publications(count: int, *, substreams: tuple[str, ...] = ("grb",)) -> list[Publication]:
    """So many revisions of `COINCIDENCE`, from 1 on."""
    return [
        Publication(
            replace(COINCIDENCE, revision=number, state=State.UPDATED if number > 1 else State.PROPOSED), substreams
        )
        for number in range(1, count + 1)
    ]


def named(sent: Sequence[Publication]) -> list[tuple[str, int]]:
    """Coincidence id and revision of each."""
    return [(publication.coincidence.id, publication.coincidence.revision) for publication in sent]


class SinkConformance:
    """The promises of `broker.interfaces.Sink`."""

    async def test_all_is_delivered_in_order_when_send_returns(self, bench: SinkBench) -> None:
        sent = publications(7)
        async with bench.make() as sink:
            await sink.send(sent[:1])
            await sink.send(sent[1:])
            assert await bench.received(7) == named(sent)

    async def test_to_send_again_is_harmless(self, bench: SinkBench) -> None:
        sent = publications(3)
        async with bench.make() as sink:
            await sink.send(sent)
        async with bench.make() as sink:
            await sink.send(sent)
            assert set(await bench.received(3)) == set(named(sent))

    async def test_it_raises_while_the_next_hop_is_away_and_works_when_it_is_back(self, bench: SinkBench) -> None:
        sent = publications(3)
        async with bench.make() as sink:
            await sink.send(sent[:1])
            await bench.go_away()
            with pytest.raises(Exception, match=r".") as error:
                await asyncio.wait_for(sink.send(sent[1:]), PATIENCE_S)
            assert not isinstance(error.value, TimeoutError), "it must find out by itself"
            await bench.come_back()
            async with asyncio.timeout(PATIENCE_S):
                await sink.send(sent[1:])
            assert set(await bench.received(3)) == set(named(sent))
