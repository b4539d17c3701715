"""What every source's ``emit`` does: read a batch, match it, keep what came of it, and only then say that it is taken.

What `broker.intake` read in threads is given to the engine, which has one turn at a time, on the loop, in short steps.
Whoever has the turn hands its batch to the store before the next gets it, so that the store's order is the engine's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any, Protocol

from bridges.emit import NOWHERE, Positions
from bridges.linked_maps import linking_notice
from broker.audience import EVERYTHING, Audience, addressed
from broker.clocks import Clock
from broker.config import Config
from broker.intake import map_of, take_in
from broker.interfaces import Matcher
from broker.packets import packets_to_keep
from broker.reader import Reader
from broker.store.options import PacketPolicy
from broker.store.records import Batch, KeptAnnotation, KeptNotice, KeptSkyMap
from broker.substreams import Router
from matchers.engine import Engine
from matchers.ledger import Changes
from matchers.neighbourhood import Neighbourhood
from schemas.errors import Reason
from schemas.reading import MapFile
from schemas.records import Alerts, Message, Notice, Receipt, Rejection
from schemas.sky import SkyMap
from schemas.survey import SURVEYS
from schemas.times import US_PER_DAY
from schemas.upload import TOPIC as UPLOADS

MAPS = "maps"
"""The source of linked sky maps, in the store and in metrics."""
ASSESSMENT = "assessment"
"""The source of what the passing of time changes."""


def make_engine(
    config: Config, matchers: Sequence[Matcher], software: str, neighbourhood: Neighbourhood | None = None
) -> Engine:
    """The engine that a configuration asks for, ready for every survey."""
    return Engine(
        matchers,
        cuts={survey.name: config.cuts_of(survey.name) for survey in SURVEYS},
        carried={survey.name: survey.quality_columns for survey in SURVEYS},
        include_tests=config.triggers.include_tests,
        software=software,
        config_hash=config.fingerprint(),
        retention_us=round(config.store.retention_d * US_PER_DAY),
        links=config.links,
        counterparts=config.counterparts,
        revisions=config.revisions,
        neighbourhood=neighbourhood,
    )


class Keeper(Protocol):
    """What keeps batches: the store, or nothing at all."""

    def positions(self, source: str) -> Positions:
        """Where a source stood with the last batch that was kept."""

    def commit(self, batch: Batch) -> asyncio.Future[None]:
        """Keep a batch, which is safe once the future is done. Batches are kept in the order of the calls."""


class KeepNothing:
    """A keeper for load tests and benchmarks, where nothing needs to survive."""

    def positions(self, source: str) -> Positions:  # noqa: ARG002 - as `Keeper` has it
        """Nowhere."""
        return NOWHERE

    def commit(self, batch: Batch) -> asyncio.Future[None]:  # noqa: ARG002 - as `Keeper` has it
        """Forget it."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


@dataclass(frozen=True, slots=True)
class Stages:
    """How long a batch took, in seconds: to be read, to get its turn, to be matched and to be kept."""

    read_s: float
    waited_s: float
    matched_s: float
    kept_s: float


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the pipeline tells others, once a batch is kept.

    Attributes
    ----------
    taken
        Its messages, what was kept of them, and how long it took.
    linked
        A notice with a link to a sky map, which is not at hand yet.
    """

    taken: Callable[[Sequence[Message], Batch, Stages], None] = lambda *_: None
    linked: Callable[[Notice], None] = lambda _: None


class Pipeline:
    """One engine, fed by sources in the order in which they emit.

    Parameters
    ----------
    keeper
        Keeps what came of a batch.
    router, audience
        Decide which change goes where.
    clock
        Stamps the changes.
    packets
        What is kept of packets that matched nothing.
    step_alerts
        The engine takes so many alerts, and then others get the loop.

    Attributes
    ----------
    turn
        Held by whoever uses the engine.
    failed
        Done, with what was raised, once the engine failed: what is in memory may differ from what is stored then, so
        that nothing more is taken, and the process is to be started anew.
    """

    def __init__(
        self,
        engine: Engine,
        reader: Reader,
        keeper: Keeper,
        *,
        clock: Clock,
        router: Router | None = None,
        audience: Audience | None = None,
        packets: PacketPolicy = "none",
        step_alerts: int = 500,
        include_tests: bool = False,
        hooks: Hooks | None = None,
    ) -> None:
        self.engine, self.reader, self.keeper = engine, reader, keeper
        self.router = router or Router([EVERYTHING])
        self.audience = audience or Audience()
        self.turn = asyncio.Lock()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.failed.add_done_callback(asyncio.Future.exception)  # whoever emitted was told as well
        self._clock, self._packets, self._step_alerts, self._include_tests = clock, packets, step_alerts, include_tests
        self._hooks = hooks or Hooks()
        self._running: set[asyncio.Task[Any]] = set()

    def inlet(self, source: str, *, relayed: bool = False) -> "Inlet":
        """What a source of this name emits to; ``relayed``: its notices go to the sinks that pass notices on."""
        return Inlet(self, source, relayed=relayed)

    async def take(
        self, source: str, messages: Sequence[Message], positions: Positions = NOWHERE, *, relayed: bool = False
    ) -> Receipt:
        """Take a batch in, as `bridges.emit.Emit` promises."""
        receipt: Receipt = await self._whole(self._take(source, messages, positions, relayed=relayed))
        return receipt

    async def take_skymap(self, trigger_id: str, ivorn: str, url: str, message: Message) -> Receipt:
        """Take in the map to which a notice of a trigger linked."""
        receipt: Receipt = await self._whole(self._take_skymap(trigger_id, ivorn, url, message))
        return receipt

    async def act(
        self, source: str, act: Callable[[], Iterable[Changes]], annotations: Sequence[KeptAnnotation] = ()
    ) -> None:
        """Do something to the engine in a turn, and keep what it changed under the name of a source, together with the
        answers of services that made it.
        """
        await self._whole(self._act(source, act, annotations))

    async def reassess(self) -> None:
        """Assess all that stands anew, if an hour of the clock has passed."""
        if self.engine.is_reassessment_due(self._clock()):
            await self.act(ASSESSMENT, lambda: self.engine.reassess(self._clock()))

    async def close(self) -> None:
        """Wait for what is under way."""
        while self._running:
            await asyncio.wait(self._running)

    def _whole(self, work: Coroutine[Any, Any, Any]) -> Awaitable[Any]:
        """Work that is finished even if who waits for it is cancelled: engine and store must not part."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return asyncio.shield(task)

    async def _take(self, source: str, messages: Sequence[Message], positions: Positions, *, relayed: bool) -> Receipt:
        began_s = perf_counter()
        read = await take_in(
            self.reader, messages, include_tests=self._include_tests, strip=self._packets == "stripped"
        )
        rejected, notices = read.rejected, [notice for notice, _ in read.heard]

        async def work() -> Batch:
            changes, stored, noted = await self._match(read.alerts, read.heard)
            linked = await self._link(read.maps, rejected, changes)
            bad = {rejection.origin for rejection in rejected}
            bodies = {message.origin: message.body for message in messages if message.origin in bad}
            return Batch(
                source=source,
                positions=positions,
                stored=stored,
                noted=noted,
                packets=packets_to_keep(messages, stored, changes.all(), self._packets, read.stripped),
                notices=[KeptNotice(n.message, self._clock(), n.ivorn, self.engine.trigger_of(n)) for n in notices],
                skymaps=linked,
                rejected=[(rejection, bodies.get(rejection.origin, b"")) for rejection in rejected],
                changes=changes.published,
                quiet=changes.quiet,
                **await addressed(changes.published, self.router, self.audience, notices if relayed else ()),
            )

        await self._in_turn(work, messages, perf_counter() - began_s)
        for notice in notices:
            if notice.skymap_url is not None and notice.trigger_id is not None:
                self._hooks.linked(notice)
        bad = {rejection.origin for rejection in rejected}
        return Receipt(sum(message.origin not in bad for message in messages), tuple(rejected))

    async def _take_skymap(self, trigger_id: str, ivorn: str, url: str, message: Message) -> Receipt:
        began_s = perf_counter()
        rejected: list[Rejection] = []
        skymap = await asyncio.to_thread(map_of, message, rejected)

        async def work() -> Batch:
            if skymap is None:
                return Batch(source=MAPS, rejected=[(rejection, message.body) for rejection in rejected])
            now_us = self._clock()
            changes = await _in_steps(
                await asyncio.to_thread(self.engine.put_skymap, trigger_id, ivorn, skymap, now_us)
            )
            kept = KeptSkyMap(trigger_id=trigger_id, ivorn=ivorn, url=url, body=message.body, heard_us=now_us)
            return await self._batch(MAPS, changes, skymaps=[kept])

        await self._in_turn(work, [message], perf_counter() - began_s)
        return Receipt(0 if rejected else 1, tuple(rejected))

    async def _act(
        self, source: str, act: Callable[[], Iterable[Changes]], annotations: Sequence[KeptAnnotation]
    ) -> None:
        async def work() -> Batch:
            return await self._batch(source, await _in_steps(act()), annotations=annotations)

        await self._in_turn(work, [], 0.0)

    async def _in_turn(self, work: Callable[[], Awaitable[Batch]], messages: Sequence[Message], read_s: float) -> None:
        """Use the engine, and keep what came of it."""
        began_s = perf_counter()
        async with self.turn:
            turn_s = perf_counter()
            if self.failed.done():
                raise RuntimeError("the engine failed; nothing is taken any more")
            with self._fatal():
                batch = await work()
            matched_s = perf_counter()
            keeping = self.keeper.commit(batch)
        with self._fatal():
            await keeping
        self._hooks.taken(
            messages, batch, Stages(read_s, turn_s - began_s, matched_s - turn_s, perf_counter() - matched_s)
        )

    @contextmanager
    def _fatal(self) -> Iterator[None]:
        """What goes wrong here is a mistake of ours that leaves engine and store at odds."""
        try:
            yield
        except Exception as error:
            if not self.failed.done():
                self.failed.set_exception(error)
            raise

    async def _match(
        self, alerts: Sequence[Alerts], heard: Sequence[tuple[Notice, SkyMap | None]]
    ) -> tuple[Changes, list[Alerts], list[Alerts]]:
        """What alerts and notices changed, which alerts are new, and which were cut."""
        stored, noted = [], []
        for part in alerts:
            self._clock.saw(int(part.time_us.max(initial=0)))
            for first in range(0, len(part), self._step_alerts):
                taken = self.engine.add_alerts(part.take(slice(first, first + self._step_alerts)))
                stored.append(taken.stored)
                noted.append(taken.noted)
                await asyncio.sleep(0)
        changes = await _in_steps(self.engine.assess(self._clock()))
        for notice, skymap in heard:
            self._clock.saw(notice.issued_us or 0)
            # A window and whether triggers are one event take up to tenths of a second: not on the loop.
            steps = await asyncio.to_thread(self.engine.put_notice, notice, skymap, self._clock())
            changes.add(await _in_steps(steps))
        changes.add(await _in_steps(self.engine.reassess(self._clock())))
        return changes, [part for part in stored if len(part)], [part for part in noted if len(part)]

    async def _link(
        self, maps: Sequence[tuple[MapFile, SkyMap]], rejected: list[Rejection], changes: Changes
    ) -> list[KeptSkyMap]:
        """Give maps that came by themselves to the notices that link to them, and add what that changes."""
        kept: list[KeptSkyMap] = []
        for file, skymap in maps:
            notice = linking_notice(file.origin, file.body, self.engine.unmapped())
            if notice is None or notice.trigger_id is None:
                told = "a sky map by itself: no notice that is known links to a file of this name and event"
                rejected.append(Rejection(file.origin, Reason.UNLINKED, told))
                continue
            now_us = self._clock()
            put = self.engine.put_skymap
            steps = await asyncio.to_thread(put, notice.trigger_id, notice.ivorn, skymap, now_us)
            changes.add(await _in_steps(steps))
            kept.append(
                KeptSkyMap(
                    trigger_id=notice.trigger_id,
                    ivorn=notice.ivorn,
                    url=notice.skymap_url or "",
                    body=file.body,
                    heard_us=now_us,
                )
            )
        return kept

    async def _batch(self, source: str, changes: Changes, **fields: Any) -> Batch:
        """A batch of these changes, within a turn."""
        told: dict[str, Any] = {"changes": changes.published, "quiet": changes.quiet}
        return Batch(source=source, **told, **fields, **await addressed(changes.published, self.router, self.audience))


class Inlet:
    """What a source emits to: `bridges.emit.Emit`."""

    def __init__(self, pipeline: Pipeline, source: str, *, relayed: bool) -> None:
        self._pipeline, self._source = pipeline, source
        self._take = partial(pipeline.take, source, relayed=relayed)

    @property
    def positions(self) -> Positions:
        """As kept with the last batch."""
        return self._pipeline.keeper.positions(self._source)

    async def __call__(self, messages: Sequence[Message], positions: Positions = NOWHERE) -> Receipt:
        """Take a batch in; uploads come another way, whatever a stranger calls a topic."""
        plain = [replace(message, topic="") if message.topic == UPLOADS else message for message in messages]
        return await self._take(plain, positions)


async def _in_steps(steps: Iterable[Changes]) -> Changes:
    """All changes of a search, with the loop free between its steps."""
    changes = Changes()
    for found in steps:
        changes.add(found)
        await asyncio.sleep(0)
    return changes
