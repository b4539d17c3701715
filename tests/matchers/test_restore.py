"""A restart in the middle of anything: what was stored is given to a fresh engine, which goes on as it would have."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers.engine import Engine
from matchers.ledger import Changes
from matchers.nights import Night
from matchers.revisions import RevisionOptions
from schemas.records import Alerts, Coincidence, Notice
from schemas.sky import SkyMap
from tests.matchers.made import DAY, MINUTE, T0, alerts_of
from tests.matchers.test_engine import LATE, MAPS, POOL, engine_of, random_alerts, row

Event = Callable[["Stored"], list[Coincidence]]


@dataclass
class Stored:
    """An engine, and the records of it that a store would keep."""

    engine: Engine = field(default_factory=lambda: engine_of(revisions=RevisionOptions()))
    batches: list[Alerts | int] = field(default_factory=list)
    """Stored alerts, and horizons, since the beginning."""
    since: list[Callable[[Engine], Any]] = field(default_factory=list)
    """What happened to objects since the checkpoint."""
    objects: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    observed: int = 0
    """So many of the batches are counted in the checkpoint."""
    sealed: list[dict[str, np.ndarray]] = field(default_factory=list)
    in_sealed: int = 0
    heard: list[tuple[str, Callable[[Engine], None]]] = field(default_factory=list)
    published: dict[str, Coincidence] = field(default_factory=dict)
    quiet: dict[str, Coincidence] = field(default_factory=dict)

    def add(self, alerts: Alerts, now_us: int) -> list[Coincidence]:
        taken = self.engine.add_alerts(alerts)
        self.batches.append(taken.stored)
        self.since += [
            lambda engine: engine.index.restore(taken.stored, observed=False),
            lambda engine: engine.index.note(taken.noted),
        ]
        return self.publish(self.engine.assess(now_us))

    def put(self, notice: Notice, skymap: SkyMap | None, now_us: int) -> list[Coincidence]:
        assert notice.trigger_id is not None
        self.heard.append((notice.trigger_id, lambda engine: engine.restore_notice(notice, skymap, now_us)))
        return self.publish(self.engine.put_notice(notice, skymap, now_us))

    def put_skymap(self, trigger_id: str, ivorn: str, skymap: SkyMap, now_us: int) -> list[Coincidence]:
        self.heard.append((trigger_id, lambda engine: engine.restore_skymap(trigger_id, ivorn, skymap, now_us)))
        return self.publish(self.engine.put_skymap(trigger_id, ivorn, skymap, now_us))

    def expire(self, now_us: int) -> list[Coincidence]:
        gone = self.engine.expire(now_us)
        horizon_us = self.engine.horizon_us
        self.since.append(lambda engine: engine.restore_horizon(horizon_us))
        self.heard = [(trigger_id, tell) for trigger_id, tell in self.heard if trigger_id not in gone]
        return []

    def checkpoint(self) -> list[Coincidence]:
        index = self.engine.index
        self.objects = {
            name: {key: column.copy() for key, column in index.checkpoint(name).items()} for name in index.surveys()
        }
        self.since = [lambda engine, us=self.engine.horizon_us: engine.restore_horizon(us)]
        self.observed = len(self.batches)
        return []

    def seal(self) -> list[Coincidence]:
        """Write what is stored now as sealed nights, in place of its batches; objects are written with it."""
        for night in self.engine.index.close(2**62, 0):
            self.engine.index.adopt(night.sealed(), [night])
        nights = [night for night in self.engine.index.nights() if len(night) == night.rows]
        self.sealed = [night.arrays() for night in nights]
        if len(nights) == len(self.engine.index.nights()):
            self.in_sealed = len(self.batches)
        else:
            self.sealed, self.in_sealed = [], 0
        return self.checkpoint()

    def reassess(self, now_us: int) -> list[Coincidence]:
        return self.publish(self.engine.reassess(now_us))

    def publish(self, steps: Iterable[Changes]) -> list[Coincidence]:
        changes = Changes.of(steps)
        self.published.update((said.id, said) for said in changes.published)
        self.quiet.update((kept.id, kept) for kept in changes.quiet)
        return changes.published

    def restarted(self) -> Engine:
        engine = engine_of(revisions=RevisionOptions())
        for name, arrays in self.objects.items():
            engine.index.restore_objects(name, arrays)
        for arrays in self.sealed:
            assert engine.index.adopt(Night.of_arrays("ztf", arrays))
        for alerts in self.batches[self.in_sealed : self.observed]:
            engine.index.restore(alerts, observed=True)
        for tell in self.since:
            tell(engine)
        for _, tell in self.heard:
            tell(engine)
        engine.restore_coincidences(self.published.values(), self.quiet.values())
        engine.reopen()
        return engine


def events_of(random: Random, number: int, earlier: int = 0) -> list[Event]:
    alerts = random_alerts(random.getrandbits(32), 60)
    kinds = random.choices(
        ["add", "put", "map", "expire", "reassess", "checkpoint", "seal"], [6, 6, 1, 3, 1, 1, 1], k=number
    )
    # Each in another hour: within one, what is unrelated is measured once, and by a restarted engine once more.
    return [event_of(kind, random, alerts, n * 60 * MINUTE) for n, kind in enumerate(kinds, earlier)]


def event_of(kind: str, random: Random, alerts: Alerts, after_us: int) -> Event:
    now_us = T0 + random.randint(0, 50) * DAY + after_us
    if kind == "add":
        part = alerts.take(np.array(random.sample(range(len(alerts)), random.randint(0, 30)), np.int64))
        return lambda stored: stored.add(part, now_us)
    if kind == "put":
        k = random.randrange(len(POOL))
        return lambda stored: stored.put(POOL[k], MAPS[k], now_us)
    if kind == "map":
        late = random.choice(LATE)
        return lambda stored: stored.put_skymap(*late, now_us)
    if kind == "expire":
        return lambda stored: stored.expire(now_us)
    if kind == "reassess":
        return lambda stored: stored.reassess(now_us)
    return Stored.checkpoint if kind == "checkpoint" else Stored.seal


@pytest.mark.not_measured
@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 12), st.integers(1, 12))
def test_a_restarted_engine_goes_on_as_the_old_one_would(seed, before, after):
    random, stored = Random(seed), Stored()
    for event in events_of(random, before):
        event(stored)
    again = Stored(stored.restarted())
    assert list(again.engine.ledger) == list(stored.engine.ledger)
    assert again.engine.horizon_us == stored.engine.horizon_us
    assert told(again.engine) == told(stored.engine)
    for event in events_of(random, after, before):
        assert event(again) == event(stored)
        assert told(again.engine) == told(stored.engine)
    assert list(again.engine.ledger) == list(stored.engine.ledger)
    # Until then the newest statistics of what is not worth a note are only in memory.
    assert again.reassess(T0 + 99 * DAY) == stored.reassess(T0 + 99 * DAY)
    live = {trigger.id for trigger in stored.engine.triggers()}
    ends = [[c for c in one.engine.standing() if c.trigger.id in live] for one in (again, stored)]
    assert ends[0] == ends[1]


def told(engine: Engine) -> tuple[object, ...]:
    """What is known of triggers, windows and objects."""
    triggers = [
        (t.id, t.revision, t.notice.ivorn, t.localised_by and t.localised_by.ivorn, t.retracted, t.test)
        for t in engine.triggers()
    ]
    windows = [sorted(engine.book.windows(trigger_id)) for trigger_id, *_ in triggers]
    objects = [engine.index.state("ztf", f"o{k}") for k in range(20)]
    return triggers, windows, objects, sorted(engine._cases), len(engine.index)


def test_the_property_above_has_something_to_restore():
    stored = Stored()
    stored.add(random_alerts(1, 60), T0)
    stored.seal()
    for notice, skymap in zip(POOL, MAPS, strict=True):
        stored.put(notice, skymap, T0)
    stored.expire(T0 + 30 * DAY)
    engine = stored.restarted()
    assert len(engine.ledger) > 5
    assert 0 < len(engine.index) < 60
    assert engine.horizon_us > T0
    assert len(list(engine.triggers())) == 3


def test_what_would_have_expired_is_not_stored_but_tells_of_its_object():
    stored = Stored()
    stored.add(alerts_of([row(1, "a", 30 * DAY)]), T0)
    stored.expire(T0 + 30 * DAY)
    late = [row(2, "a", 2 * DAY), row(3, "b", 2 * DAY), row(4, "a", 11 * DAY, reliability=0.1)]
    taken = stored.engine.add_alerts(alerts_of(late))
    assert sorted(taken.noted.alert_id.tolist()) == [2, 4]
    assert (len(taken.stored), stored.engine.counts.late) == (0, {"ztf": 2})
    states = [stored.engine.index.state("ztf", name) for name in "ab"]
    assert [state and state.first_detection_us for state in states] == [T0 + 2 * DAY, None]
