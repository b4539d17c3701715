"""An engine and a store that tests of the store work with, as a pipeline does."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from bridges.emit import NOWHERE, Positions
from broker.config import load_config
from broker.registry import make_matchers
from broker.store.options import StoreOptions
from broker.store.records import Batch, CoincidenceEntry, KeptNotice
from broker.store.restoring import ReadSkyMap, Restored
from broker.store.store import Store
from matchers.engine import Engine
from matchers.ledger import Changes
from schemas.densities import skymap_of
from schemas.records import Alerts, Message, Notice
from schemas.sky import SkyMap
from schemas.statistics import NO_EVIDENCE
from tests.matchers.made import CARRIED, DAY, T0, alerts_of

HOUR = DAY // 24


@dataclass
class Clock:
    """Stands still until it is set."""

    now_us: int = T0

    def __call__(self) -> int:
        return self.now_us


def an_engine() -> Engine:
    config = load_config(None)
    return Engine(
        make_matchers(config, Path()), cuts={"ztf": config.cuts_of("ztf")}, carried={"ztf": CARRIED}, software="a test"
    )


def alerts_near(ids: Iterable[int], time_us: int = T0, **fields) -> Alerts:
    """Alerts near (10, 20), each of an object of its own unless told otherwise; where an alert is depends on its id."""
    return alerts_of([
        {"id": n, "obj": f"ZTF{n}", "t": time_us + n, "ra": 10 + n % 90 / 100, "dec": 20} | fields for n in ids
    ])  # fmt: skip


@dataclass
class Station:
    """A store with its engine, and what the tests' notices were."""

    folder: Path
    options: StoreOptions = field(default_factory=StoreOptions)
    clock: Clock = field(default_factory=Clock)
    notices: dict[Message, Notice] = field(default_factory=dict)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    read_skymap: ReadSkyMap = lambda _: None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.store.close()

    async def start(self) -> Restored:
        self.engine = an_engine()
        self.store = await Store.open(self.folder, self.options, self.clock)
        return await self.store.restore(self.engine, self._read_notice, self.read_skymap)

    async def restart(self) -> Restored:
        await self.store.close()
        return await self.start()

    async def add(self, alerts: Alerts, positions: Positions = NOWHERE) -> None:
        async with self.turn:
            taken = self.engine.add_alerts(alerts)
            changes = Changes.of(self.engine.assess(self.clock()))
            done = self.store.commit(
                self._batch(changes, stored=[taken.stored], noted=[taken.noted], positions=positions)
            )
        await done

    async def hear(self, notice: Notice) -> None:
        self.notices[notice.message] = notice
        async with self.turn:
            steps = self.engine.put_notice(notice, self._density(notice), self.clock())
            changes = Changes.of(steps)
            kept = KeptNotice(notice.message, self.clock(), notice.ivorn, notice.trigger_id)
            done = self.store.commit(self._batch(changes, notices=[kept]))
        await done

    async def seal(self) -> int:
        return await self.store.seal(self.engine, self.turn)

    async def expire(self) -> None:
        async with self.turn:
            gone = self.engine.expire(self.clock())
            done = self.store.expire(self.engine.horizon_us, gone)
        await done

    def _batch(self, changes: Changes, **fields) -> Batch:
        entries = [CoincidenceEntry("sink", change.id, change.revision, ("all",)) for change in changes.published]
        return Batch(source="station", changes=changes.published, quiet=changes.quiet, outbox=entries, **fields)

    def _density(self, notice: Notice) -> SkyMap | None:
        return skymap_of(notice.localisation) if notice.localisation else None

    def _read_notice(self, message: Message) -> Iterator[tuple[Notice, SkyMap | None]]:
        notice = self.notices[message]
        yield notice, self._density(notice)


def told(engine: Engine) -> dict[str, object]:
    """All that an engine knows, to be compared."""
    stored = [alerts for night in engine.index.nights() for alerts in night.batches(1 << 20)]
    rows = sorted(
        (alerts.survey, number, name, us, origin)
        for alerts in stored
        for number, name, us, origin in zip(
            alerts.alert_id.tolist(),
            alerts.object_id.tolist(),
            alerts.time_us.tolist(),
            alerts.origin.tolist(),
            strict=True,
        )
    )
    return {
        "alerts": rows,
        "objects": {name: engine.index.state(survey, name) for survey, _, name, _, _ in rows},
        "triggers": [(trigger.id, trigger.revision, trigger.retracted) for trigger in engine.triggers()],
        "windows": {trigger.id: sorted(engine.book.windows(trigger.id)) for trigger in engine.triggers()},
        "coincidences": list(engine.ledger),
        # What they are worth is only known to a tenth of what makes a revision until they are assessed again.
        "standing": [replace(c, statistics=None, evidence=NO_EVIDENCE) for c in engine.standing()],
    }
