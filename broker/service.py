"""``starcross run``: sources, engine, store and sinks as one process that a team leaves running for months."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Any

import structlog

from broker.annotating import Annotating
from broker.catalogues import Catalogues
from broker.clocks import Clock, WallClock
from broker.intake import density
from broker.interfaces import Source
from broker.live_maps import LiveMaps
from broker.observers import Observers
from broker.outgoing import Drain, Watch
from broker.parts import SINK_KINDS, SOURCE_KINDS, Surroundings
from broker.pipeline import Hooks, Pipeline, Stages, make_engine
from broker.plan import Plan
from broker.reader import Reader, make_reader
from broker.replay import software_name
from broker.store.records import Batch, Delivery, KeptSkyMap
from broker.store.store import Store
from broker.substreams import Router
from broker.supervisor import Supervisor
from matchers.neighbourhood import Neighbourhood
from schemas.errors import BadSkyMap, ConfigurationError
from schemas.records import Message, Notice
from schemas.sky import SkyMap
from schemas.skymap import read_skymap

log = structlog.get_logger()


class Service:
    """The parts of a running service, and their life.

    Parameters
    ----------
    load
        Reads the configuration again, for `reload`.
    catalogues
        Those of the plan, opened.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        clock: Clock,
        observers: Observers,
        load: Callable[[], Plan],
        catalogues: Catalogues | None = None,
    ) -> None:
        self.plan, self.store, self.clock, self.observers = plan, store, clock, observers
        self.catalogues = catalogues or Catalogues()
        self._load = load
        self._reader: Reader = make_reader(plan.config, plan.folder)
        self.supervisor = Supervisor(observers.restarted)
        self.drains: dict[str, Drain] = {}
        self.changed: list[Callable[[], None]] = []
        """Called once new revisions of coincidences are durable."""
        self.sources: dict[str, Source] = {}
        config = plan.config
        neighbourhood = Neighbourhood(self.catalogues.look_up)
        self.pipeline = Pipeline(
            make_engine(config, plan.matchers, software_name(), neighbourhood),
            self._reader,
            store,
            clock=clock,
            router=Router(plan.substreams),
            audience=plan.audience(),
            packets=config.store.packets,
            step_alerts=config.service.step_alerts,
            include_tests=config.triggers.include_tests,
            hooks=Hooks(taken=self._taken, linked=self._linked),
        )
        self.annotating = Annotating(
            self.catalogues,
            plan.catalogues,
            self.pipeline,
            neighbourhood,
            wall_clock=WallClock(),
            clock=clock,
            observe=observers.service_asked,
        )
        self.maps = LiveMaps(
            config.maps,
            self.pipeline,
            clock,
            include_tests=config.triggers.include_tests,
            observe=observers.map_fetched,
        )
        self._around = self._surroundings(plan)

    def _surroundings(self, plan: Plan) -> Surroundings:
        # Those whom bridges speak to live by the wall's clock, whatever nights are played.
        before = self.pipeline.engine.heard_before
        return Surroundings(plan.folder, plan.author, software_name(), WallClock(), self.observers, before)

    async def restore(self) -> None:
        """Fill the engine with what is stored."""
        began_s = perf_counter()
        self.annotating.restore(await self.store.annotations())
        restored = await self.store.restore(self.pipeline.engine, self._read_notices, _read_skymap)
        log.info("restored", seconds=round(perf_counter() - began_s, 3), **_shown(restored))
        self.pipeline.router = Router(self.plan.substreams, await self.store.sent())
        for night in self.pipeline.engine.index.nights():
            self.clock.saw(night.start_us)
        self.maps.want_missing(self.pipeline.engine)
        self.annotating.want(self.pipeline.engine.ledger.current())

    @property
    def is_past(self) -> bool:
        """Whether the clock is the data's: how long something waited by it says nothing."""
        return not isinstance(self.clock, WallClock)

    def start(self) -> None:
        """Start all parts.

        Raises
        ------
        ConfigurationError
            If one cannot be made, such as for want of a secret. None was started then.
        """
        made = self.plan.made(self._around)
        for name in self.plan.sinks:
            self._start_sink(name)
        self.supervisor.start("maps", self.maps.run)
        self.supervisor.start("maintenance", self._maintain)
        for name, asker in self.annotating.askers.items():
            self.supervisor.start(f"catalogue {name}", asker.run)
        for name, source in made.items():
            self._start_source(name, source)

    async def opened(self, within_s: float = 5.0) -> None:
        """Wait until every sink is open, so that subscribers are admitted, but not for one whose next hop is away."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                for drain in list(self.drains.values()):
                    await drain.opened.wait()

    async def stop(self) -> None:
        """Stop reading, finish what is under way, and send what can be sent in the set time."""
        within_s = self.plan.config.service.stop_within_s
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + within_s
        askers = self._running(self.annotating.askers, "catalogue")
        readers = [*self._running(self.sources, "source"), *askers, "maps", "maintenance"]
        await self.supervisor.stop(readers, within_s=within_s)
        try:
            async with asyncio.timeout_at(ends_s):
                await self.pipeline.close()
                if not self.pipeline.failed.done():
                    await self._flushed()
        except TimeoutError:
            log.warning("not all is finished in time", stop_within_s=within_s, store=self.store.trouble)
        await self.supervisor.stop(within_s=max(1.0, ends_s - loop.time()))
        left = {name: self.store.backlog(name).count for name in self.store.sinks()}
        log.info("stopped", waiting_for_sinks=left)

    def in_a_line(self) -> str:
        """What runs, for the service manager."""
        engine = self.pipeline.engine
        return f"{len(self.sources)} sources, {len(self.drains)} sinks, {len(engine.index)} alerts"

    async def reload(self) -> None:
        """Read the configuration again, and change what can be changed while running; a wrong one changes nothing.

        Matchers, substreams, sources and sinks change; the window stays. The rest of the configuration counts from
        the next start on.
        """
        try:
            # Modules are imported and secrets read: not on the loop.
            plan, around, made = await asyncio.to_thread(self._loaded)
        except ConfigurationError as error:
            log.warning("configuration not changed", why=str(error))
            return
        old, self.plan, self._around = self.plan, plan, around
        fixed = [name for name in _FIXED if getattr(old.config, name) != getattr(plan.config, name)]
        if fixed:
            log.warning("counts from the next start on", sections=fixed)
        await self._change(
            self.sources, "source", old.sources, plan.sources, lambda name: self._start_source(name, made[name])
        )
        async with self.pipeline.turn:
            self.pipeline.router = self.pipeline.router.with_substreams(plan.substreams)
            self.pipeline.audience = plan.audience()
        await self._change(self.drains, "sink", _with_sections(old), _with_sections(plan), self._start_sink)
        if old.config.matchers != plan.config.matchers or old.matchers != plan.matchers:
            search = partial(
                self.pipeline.engine.search_by,
                plan.matchers,
                config_hash=plan.config.fingerprint(),
                now_us=self.clock(),
            )
            await self.pipeline.act("configuration", search)
        log.info("configuration changed", matchers=[matcher.name for matcher in plan.matchers])

    def _loaded(self) -> tuple[Plan, Surroundings, dict[str, Source]]:
        plan = self._load()
        if plan.with_reactor and not self.plan.with_reactor:
            raise ConfigurationError("sources: VOEvents over VTP are taken in from the next start on")
        around = self._surroundings(plan)
        return plan, around, plan.made(around, self.plan)

    def _start_source(self, name: str, source: Source) -> None:
        self.sources[name] = source
        inlet = self.pipeline.inlet(name, relayed=SOURCE_KINDS[self.plan.config.sources[name].kind].relayed)
        self.supervisor.start(f"source {name}", partial(source.run, inlet))

    def _start_sink(self, name: str) -> None:
        kind, options = SINK_KINDS[self.plan.config.sinks[name].kind], self.plan.sinks[name]
        drain = Drain(
            name,
            lambda: kind.make(name, options, self._around),
            self.store,
            self._notice_of,
            packets=getattr(options, "packets", False),
            watch=Watch(self.observers.sent, self.observers.not_sent),
        )
        self.drains[name] = drain
        self.supervisor.start(f"sink {name}", drain.run)

    async def _change(
        self, running: dict[str, Any], what: str, old: dict[str, Any], new: dict[str, Any], start: Callable[[str], None]
    ) -> None:
        """Stop what is gone or differs, and start what is new."""
        gone = [name for name in running if old.get(name) != new.get(name)]
        for name in gone:
            del running[name]
            self.observers.away.pop(name, None)
        await self.supervisor.stop([f"{what} {name}" for name in gone])
        for name in new:
            if name not in running:
                start(name)
        if gone:
            log.info("parts stopped", kind=what, names=gone)

    async def _flushed(self) -> None:
        """Wait until the outboxes of the running sinks are empty."""
        while any(self.store.backlog(name).count for name in self.drains):  # noqa: ASYNC110 - the store has many events
            await asyncio.sleep(0.05)

    async def _maintain(self) -> None:
        """Expire and seal now and then."""
        while True:
            await asyncio.sleep(self.plan.config.service.maintain_every_s)
            engine = self.pipeline.engine
            async with self.pipeline.turn:
                # With millions of alerts these take longer than the loop may be held up.
                gone = await asyncio.to_thread(engine.expire, self.clock())
                expiring = self.store.expire(engine.horizon_us, gone)
                await asyncio.to_thread(engine.index.grow)
                self.annotating.forget()
            await expiring
            await self.pipeline.reassess()
            sealed = await self.store.seal(engine, self.pipeline.turn)
            if gone or sealed:
                log.info("maintained", expired_triggers=len(gone), sealed_alerts=sealed)

    def _taken(self, messages: Sequence[Message], batch: Batch, stages: Stages) -> None:
        self.observers.taken(messages, batch, stages)
        self.annotating.want(batch.changes)
        if batch.changes:
            for call in self.changed:
                call()

    def _linked(self, notice: Notice) -> None:
        self.maps.want(notice)

    def _read_notices(self, message: Message) -> Iterable[tuple[Notice, SkyMap | None]]:
        """The notices of a kept message, with their densities; what a mistake of ours hinders is left out."""
        try:
            notices = self._reader.read_one(message).notices
        except Exception:
            log.exception("a stored notice cannot be read any more", origin=message.origin)
            return
        for notice in notices:
            self.clock.saw(notice.issued_us or 0)
            try:
                yield notice, density(notice, include_tests=self.plan.config.triggers.include_tests)
            except Exception:  # noqa: BLE001 - as when it came in, with its rejection told then
                yield notice, None

    def _notice_of(self, delivery: Delivery) -> Notice | None:
        if delivery.notice is None:
            return None
        found = self._reader.read_one(delivery.notice.message).notices
        return next((notice for notice in found if notice.ivorn == delivery.notice.ivorn), None)

    def _running(self, parts: Iterable[str], what: str) -> Iterator[str]:
        return (f"{what} {name}" for name in parts)


_FIXED = (
    *("catalogues", "cuts", "survey_cuts", "triggers", "links", "counterparts", "revisions"),
    *("lsst", "store", "maps", "service"),
)


def _with_sections(plan: Plan) -> dict[str, Any]:
    return {name: (options, plan.config.sinks[name], plan.author) for name, options in plan.sinks.items()}


def _read_skymap(kept: KeptSkyMap) -> SkyMap | None:
    try:
        return read_skymap(kept.body)
    except BadSkyMap:
        return None


def _shown(restored: Any) -> dict[str, Any]:
    return {name: getattr(restored, name) for name in type(restored).__slots__}
