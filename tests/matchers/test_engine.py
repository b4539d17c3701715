from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers import assessing as assessing_module
from matchers import openings
from matchers import verdicts as verdicts_module
from matchers.cuts import Cuts
from matchers.engine import Engine
from matchers.judge import Matcher
from matchers.ledger import Changes
from matchers.options import build_matcher
from matchers.revisions import Notability, RevisionOptions
from schemas.densities import skymap_of
from schemas.errors import ConfigurationError
from schemas.records import Alerts, Bools, Coincidence, Kind, Message, Messenger, Notice, Role, State, Trigger, Window
from schemas.sky import Circle, SkyMap
from tests.matchers.made import CARRIED, DAY, MINUTE, T0, alerts_of, cone, notice_of, taken

Change = tuple[str, str, str]
UNMOVED = RevisionOptions(posterior=1.0, chance_factor=1e6, ranks=())
"""What others bring is no reason for a revision."""
COARSE = RevisionOptions(
    position_arcsec=9999.0, level=0.3, area_factor=9.0, light_curve=False, posterior=0.3, chance_factor=9.0, ranks=(2,)
)


def engine_of(*matchers: Matcher, **options: object) -> Engine:
    made = matchers or [build_matcher(kind, kind, {}) for kind in ("grb", "gw", "neutrino", "xray")]
    surveys = ("ztf", "lsst")
    told = {"cuts": dict.fromkeys(surveys, Cuts()), "carried": dict.fromkeys(surveys, CARRIED), "revisions": UNMOVED}
    return Engine(made, **(told | options), software="starcross 0", config_hash="abc")


def row(number: int, obj: str, t: int, ra: float = 10.0, dec: float = 20.0, **columns: object) -> dict:
    return {"id": number, "obj": obj, "t": T0 + t, "ra": ra, "dec": dec} | columns


def put(engine: Engine, notice: Notice, now_us: int = 0) -> list[Coincidence]:
    return all_of(engine.put_notice(notice, skymap_of(notice.localisation) if notice.localisation else None, now_us))


def all_of(steps: Iterable[Changes]) -> list[Coincidence]:
    return Changes.of(steps).published


def take(engine: Engine, alerts: Alerts, now_us: int = 0) -> list[Coincidence]:
    return taken(engine, alerts, now_us).published


def add(engine: Engine, *rows: dict, survey: str = "ztf") -> list[Coincidence]:
    return take(engine, alerts_of(rows, survey))


def said(changes: list[Coincidence]) -> list[Change]:
    return [(change.object.object_id, str(change.state), change.reason) for change in changes]


def update(number: int, **fields: object) -> Notice:
    told = {"kind": Kind.UPDATE, "serial": number, "issued_us": T0 + number * MINUTE} | fields
    return notice_of(ivorn=f"ivo://t/n#{number}", **told)


class TestBothDirections:
    def test_a_new_alert_meets_a_known_trigger(self):
        engine = engine_of()
        assert put(engine, notice_of()) == []
        changes = add(engine, row(1, "in", DAY), row(2, "out", DAY, dec=-40))
        assert said(changes) == [("in", "proposed", "alert")]
        assert changes[0].revision == 1
        assert changes[0].provenance.software == "starcross 0"
        assert list(engine.ledger) == changes

    def test_a_new_trigger_meets_stored_alerts(self):
        engine = engine_of()
        assert add(engine, row(1, "in", DAY), row(2, "out", DAY, dec=-40)) == []
        assert add(engine, row(1, "in", DAY), survey="lsst") == []
        changes = put(engine, notice_of(), 77)
        assert said(changes) == [("in", "proposed", "notice")] * 2
        assert [change.object.survey for change in changes] == ["lsst", "ztf"]
        assert [change.changed_us for change in changes] == [77, 77]

    def test_a_further_alert_updates_and_a_repeated_one_does_not(self):
        engine = engine_of()
        put(engine, notice_of())
        add(engine, row(1, "a", DAY))
        (change,) = add(engine, row(2, "a", 2 * DAY, mag=18.5), row(1, "a", DAY))
        assert (change.revision, change.state, change.object.alert_ids, change.object.mag) == (
            2,
            "updated",
            (1, 2),
            18.5,
        )
        assert add(engine, row(2, "a", 2 * DAY)) == []
        assert add(engine, row(3, "a", 3 * DAY, dec=-40)) == []
        assert engine.counts.duplicates == {"ztf": 2}
        assert engine.counts.indexed == {"ztf": 3}

    def test_one_object_may_belong_to_two_triggers(self):
        engine = engine_of()
        put(engine, notice_of())
        put(engine, notice_of("swift:2", "ivo://t/n#2", mission="Swift", localisation=cone(10, 20, 0.05, 0.9)))
        changes = add(engine, row(1, "a", DAY))
        assert [change.trigger.id for change in changes] == ["fermi-gbm:1", "swift:2"]
        assert len({change.id for change in changes}) == 2


class TestRevisions:
    def test_a_better_position_updates_some_withdraws_some_and_proposes_others(self):
        engine = engine_of()
        put(engine, notice_of(localisation=cone(10, 20, 2, 0.9)))
        add(engine, row(1, "stays", DAY, 11.2), row(2, "leaves", DAY, 8.5), row(3, "joins", DAY, 13))
        changes = put(engine, update(2, localisation=cone(12, 20, 2, 0.9)))
        assert said(changes) == [
            ("joins", "proposed", "notice"),
            ("leaves", "withdrawn", "moved_out"),
            ("stays", "updated", "notice"),
        ]
        assert said(put(engine, update(3, localisation=cone(10, 20, 2, 0.9)))) == [
            ("joins", "withdrawn", "moved_out"),
            ("leaves", "proposed", "notice"),
            ("stays", "updated", "notice"),
        ]
        assert {c.object.object_id: c.revision for c in engine.ledger} == {"joins": 2, "leaves": 3, "stays": 3}

    def test_an_older_or_repeated_notice_changes_nothing(self):
        engine = engine_of()
        put(engine, update(2))
        add(engine, row(1, "a", DAY))
        assert put(engine, update(2)) == []
        assert put(engine, notice_of(localisation=cone(100, -20))) == []
        assert engine.counts.duplicate_notices == 1
        (trigger,) = engine.triggers()
        assert trigger.revision == 2

    def test_a_late_map_replaces_the_model(self):
        engine = engine_of()
        put(engine, notice_of(localisation=cone(10, 20, 2, 0.9)))
        add(engine, row(1, "a", DAY), row(2, "b", DAY, 40, 20))
        assert said(all_of(engine.put_skymap("fermi-gbm:1", "ivo://t/n#1", skymap_of(cone(40, 20)), 5))) == [
            ("a", "withdrawn", "moved_out"),
            ("b", "proposed", "skymap"),
        ]
        assert put(engine, notice_of(localisation=cone(10, 20, 2, 0.9))) == []
        assert engine.counts.late_skymaps == 1

    def test_a_map_may_come_before_its_notice(self):
        engine = engine_of()
        add(engine, row(1, "a", DAY))
        assert all_of(engine.put_skymap("fermi-gbm:1", "ivo://t/n#1", skymap_of(cone(10, 20)), 5)) == []
        assert said(put(engine, notice_of(localisation=None))) == [("a", "proposed", "notice")]

    def test_a_trigger_without_a_position_waits_for_one(self):
        engine = engine_of()
        add(engine, row(1, "a", DAY))
        assert put(engine, notice_of(localisation=None)) == []
        assert [trigger.skymap for trigger in engine.triggers()] == [None]
        assert said(put(engine, update(2))) == [("a", "proposed", "notice")]

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"kind": Kind.RETRACTION, "localisation": None, "trigger_time_us": None}, "retracted"),
            ({"astrophysical": False}, "not_astrophysical"),
            ({"role": Role.TEST}, "test"),
            ({"trigger_time_us": T0 + 2 * DAY}, "moved_out"),
            ({"trigger_time_us": T0 - 30 * DAY}, "moved_out"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_a_notice_withdraws_and_says_why(self, fields, reason):
        engine = engine_of()
        put(engine, notice_of())
        add(engine, row(1, "a", DAY))
        assert said(put(engine, update(2, **fields))) == [("a", "withdrawn", reason)]
        assert engine.ledger.current() == []
        assert add(engine, row(2, "a", DAY + 1)) == []
        assert said(put(engine, update(3, astrophysical=True))) == (
            [] if reason == "test" else [("a", "proposed", "notice")]
        )

    def test_a_trigger_time_that_makes_an_object_old_withdraws_it(self):
        engine = engine_of()
        put(engine, notice_of())
        add(engine, row(1, "a", DAY, first=T0 - 600 * 1_000_000))
        assert said(put(engine, update(2, trigger_time_us=T0 + 1))) == [("a", "withdrawn", "not_new")]

    def test_a_rule_that_has_no_region_left_says_so(self):
        engine = engine_of(build_matcher("grb", "grb", {"rule": "fink2021"}))
        put(engine, notice_of())
        add(engine, row(1, "a", DAY))
        without = update(2, localisation=None)
        assert said(all_of(engine.put_notice(without, skymap_of(cone()), 0))) == [("a", "withdrawn", "not_searched")]


class TestFirstDetections:
    @pytest.mark.parametrize("quality", [{}, {"reliability": 0.1}], ids=["stored", "cut"])
    def test_an_earlier_detection_withdraws_what_is_not_new(self, quality):
        engine = engine_of()
        put(engine, notice_of())
        add(engine, row(1, "a", DAY), row(2, "b", DAY))
        assert said(add(engine, row(3, "a", -DAY, **quality))) == [("a", "withdrawn", "not_new")]

    def test_an_earlier_detection_in_the_window_updates(self):
        engine = engine_of()
        put(engine, notice_of())
        add(engine, row(1, "a", DAY))
        (change,) = add(engine, row(2, "a", DAY // 2, reliability=0.1))
        assert (change.state, change.object.alert_ids) == (State.UPDATED, (1,))
        assert change.object.first_detection_us == T0 + DAY // 2

    def test_a_matcher_of_old_objects_hears_of_them_too(self):
        engine = engine_of(OldObjects())
        put(engine, notice_of())
        assert add(engine, row(1, "a", DAY)) == []
        assert said(add(engine, row(2, "a", -DAY, reliability=0.1))) == [("a", "proposed", "alert")]
        assert said(put(engine, update(2, trigger_time_us=T0 - 2 * DAY))) == [("a", "withdrawn", "not_matched")]


class OldObjects:
    """A matcher that a user might write: only what was there before."""

    name = "old"

    def window(self, trigger: Trigger) -> Window:
        return Window(trigger.time_us, trigger.time_us + 9 * DAY, Circle.around(10, 20, 1))

    def match(self, alerts: Alerts, trigger: Trigger) -> Bools:
        return np.asarray(alerts.first_detection_us < trigger.time_us, np.bool_)


class TestWhatIsLeftOut:
    def test_cut_alerts_are_counted_by_reason_and_survey(self):
        engine = engine_of()
        put(engine, notice_of())
        assert add(engine, row(1, "a", DAY, reliability=0.1), row(2, "b", DAY, gaia_arcsec=1.0)) == []
        assert add(engine, row(1, "a", DAY, bad_pixels=2), survey="lsst") == []
        assert engine.counts.cut == {"ztf": Counter(reliability=1, gaia=1), "lsst": Counter(bad_pixels=1)}
        assert engine.counts.received == {"ztf": 2, "lsst": 1}
        assert len(engine.index) == 0

    def test_notices_about_nothing_are_ignored(self):
        engine = engine_of()
        put(engine, notice_of(trigger_id=None))
        put(engine, notice_of(role=Role.UTILITY))
        assert (engine.counts.notices, engine.counts.ignored_notices, list(engine.triggers())) == (2, 2, [])

    @pytest.mark.parametrize("role", [Role.TEST, Role.MOCK])
    def test_tests_are_searched_only_if_asked_for(self, role):
        for wanted in (False, True):
            engine = engine_of(include_tests=wanted)
            add(engine, row(1, "a", DAY))
            changes = put(engine, notice_of(role=role))
            assert [change.trigger.test for change in changes] == [True] * wanted
            assert engine.counts.tests_left_out == (not wanted)
            assert engine.counts.windows == ({"grb": 1} if wanted else {})

    def test_two_matchers_of_one_name_are_refused(self):
        with pytest.raises(ConfigurationError, match="same name"):
            engine_of(OldObjects(), OldObjects())

    def test_a_survey_must_be_known(self):
        with pytest.raises(KeyError):
            add(engine_of(), row(1, "a", DAY), survey="panstarrs")


class TestExpiry:
    def engine(self) -> Engine:
        engine = engine_of()
        put(engine, notice_of(), T0)
        add(engine, row(1, "a", DAY), row(2, "a", 20 * DAY), row(3, "b", 20 * DAY), row(4, "c", -5 * DAY))
        return engine

    def test_what_an_open_window_needs_is_kept(self):
        engine = engine_of(retention_us=3 * DAY)
        put(engine, notice_of(), T0)
        add(engine, row(1, "a", DAY), row(2, "b", -5 * DAY))
        assert engine.expire(T0 + 20 * DAY) == []
        assert len(engine.index) == 1
        assert engine.expire(T0 + 20 * DAY) == []
        assert engine.counts.expired_alerts == 1
        assert [change.revision for change in add(engine, row(3, "a", 20 * DAY))] == [2]
        assert engine.expire(T0 + 24 * DAY) != []
        assert len(engine.index) == 0

    def test_what_was_published_of_dropped_alerts_stands_until_it_is_retracted(self):
        engine = self.engine()
        engine.expire(T0 + 30 * DAY)
        assert len(engine.index) == 2
        before = engine.ledger.current()
        assert said(put(engine, update(2, localisation=cone(200, -20)))) == [("b", "withdrawn", "moved_out")]
        assert said(engine.ledger.current()) == said([c for c in before if c.object.object_id == "a"])
        retraction = update(3, kind=Kind.RETRACTION, localisation=None, trigger_time_us=None)
        assert said(put(engine, retraction)) == [("a", "withdrawn", "retracted")]

    @pytest.mark.parametrize("time_us", [T0, None])
    def test_a_forgotten_trigger_can_still_be_retracted_but_not_lose_its_position(self, time_us):
        engine = self.engine()
        (gone,) = engine.expire(T0 + 41 * DAY)
        assert gone == "fermi-gbm:1"
        assert (len(engine.index), engine.counts.expired_triggers, engine.counts.expired_alerts) == (0, 1, 4)
        assert list(engine.triggers()) == []
        assert put(engine, update(2, localisation=None, trigger_time_us=time_us), T0 + 41 * DAY) == []
        assert len(engine.ledger.current()) == 2
        retraction = update(3, kind=Kind.RETRACTION, localisation=None, trigger_time_us=time_us)
        changes = put(engine, retraction, T0 + 41 * DAY)
        assert {change.reason for change in changes} == {"retracted"}
        assert engine.ledger.current() == []

    def test_what_never_became_a_trigger_is_forgotten_too(self):
        engine = engine_of()
        put(engine, notice_of(trigger_time_us=None), T0)
        engine.expire(T0 + 19 * DAY)
        assert len(engine._cases) == 1
        engine.expire(T0 + 21 * DAY)
        assert len(engine._cases) == 0

    def test_it_happens_at_full_hours_of_the_data(self):
        engine = engine_of()
        add(engine, row(1, "a", 1))
        engine.expire(T0 + 20 * DAY + 59 * MINUTE)
        assert len(engine.index) == 1
        engine.expire(T0 + 20 * DAY + 60 * MINUTE)
        assert len(engine.index) == 0


GW = {"messenger": Messenger.GRAVITATIONAL_WAVE, "mission": "LVK", "trigger_id": "lvk:S1"}
NU = {"messenger": Messenger.NEUTRINO, "mission": "IceCube", "trigger_id": "icecube:1_2"}
SWIFT = {"mission": "Swift", "trigger_id": "swift:7"}
POOL = [
    notice_of(ivorn="f1", stage=10, localisation=None),
    notice_of(ivorn="f2", stage=20, localisation=cone(10, 20, 4)),
    notice_of(ivorn="f3", stage=30, localisation=cone(12, 21, 3), names=("bn1",)),
    notice_of(ivorn="f4", stage=40, localisation=cone(11, 19, 2), trigger_time_us=T0 + 50 * MINUTE, far_hz=1e-9),
    notice_of(ivorn="f5", stage=40, serial=1, localisation=None, astrophysical=False),
    notice_of(ivorn="f6", stage=40, serial=2, localisation=None, astrophysical=True),
    notice_of(ivorn="s1", localisation=cone(9, 20, 1, 0.9), **SWIFT),
    notice_of(ivorn="s2", issued_us=T0 + 2 * MINUTE, kind=Kind.RETRACTION, localisation=None, **SWIFT),
    notice_of(ivorn="s3", issued_us=T0 + 3 * MINUTE, localisation=cone(9, 21, 2, 0.9), **SWIFT),
    notice_of(ivorn="g1", localisation=cone(10, 20, 8), trigger_time_us=T0 + DAY, **GW),
    notice_of(ivorn="g2", issued_us=T0 + DAY, localisation=None, trigger_time_us=T0 + DAY, **GW),
    notice_of(ivorn="n1", localisation=cone(8, 18, 2), trigger_time_us=T0 + 3 * DAY, **NU),
    notice_of(ivorn="n2", serial=1, role=Role.TEST, localisation=None, **NU),
    notice_of(ivorn="f3", stage=30, localisation=cone(12, 21, 3), names=("bn1",)),
    notice_of(ivorn="f2", stage=20, localisation=cone(3, 20, 5), message=Message(b"another", "x")),
]
MAPS: list[SkyMap | None] = [skymap_of(n.localisation) if n.localisation else None for n in POOL]
LATE = [("fermi-gbm:1", "f3", skymap_of(cone(13, 20, 3))), ("lvk:S1", "g2", skymap_of(cone(9, 19, 5)))]


def random_alerts(seed: int, n: int) -> Alerts:
    """Around the places and times of the notices, in and out of every limit, with repeats and poor ones."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        t = int(rng.choice([-DAY, -11 * MINUTE, -10 * MINUTE, 0, DAY, 5 * DAY, 20 * DAY, 20 * DAY + 30 * MINUTE]))
        known = int(rng.choice([0, 0, 0, 5 * MINUTE, 30 * DAY]))
        rows.append(
            row(number, f"o{rng.integers(n // 3)}", t, rng.uniform(4, 16), rng.uniform(15, 25), first=T0 + t - known)
            | {"reliability": rng.choice([0.9, 0.9, 0.9, 0.1]), "mag": float(number)}
        )
    rows += [rows[number] for number in rng.integers(0, n, 5)]
    return alerts_of(rows)


LATER = T0 + 60 * DAY


def science(engine: Engine) -> dict[str, Coincidence]:
    """What stands, without what depends on the way there."""
    return {
        c.id: replace(c, revision=0, state=State.PROPOSED, reason="", changed_us=0, changed=(), provenance=None)
        for c in engine.standing()
    }


def assert_published_is_near(engine: Engine, options: RevisionOptions) -> None:
    """No published number is further off than the thresholds admit."""
    notability, standing = Notability(options), {c.id: c for c in engine.standing()}
    assert standing.keys() == {c.id for c in engine.ledger.current()}
    for c in engine.ledger.current():
        now = standing[c.id]
        assert notability.differences(c, now) == ()
        assert (c.revision, c.state, c.reason, c.changed) == (now.revision, now.state, now.reason, now.changed)


@pytest.mark.not_measured
@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sets(st.integers(0, len(POOL) - 1)), st.sets(st.integers(0, 1)), st.integers(1, 12))
def test_what_stands_in_the_end_depends_neither_on_order_nor_on_batches(seed, told, late, batches):
    alerts, shuffle = random_alerts(seed, 60), Random(seed)
    rows = np.array(shuffle.sample(range(len(alerts)), len(alerts)))
    parts = np.array_split(rows, batches)
    heard: list[Callable[[Engine], list[Coincidence]]]
    heard = [lambda e, k=k: all_of(e.put_notice(POOL[k], MAPS[k], 0)) for k in sorted(told)]
    heard += [lambda e, k=k: all_of(e.put_skymap(*LATE[k], 0)) for k in sorted(late)]
    seen: list[Callable[[Engine], list[Coincidence]]]
    seen = [lambda e, part=part: take(e, alerts.take(part)) for part in parts]
    mixed = shuffle.sample(heard + seen, len(heard + seen))
    options = shuffle.choice([RevisionOptions(), COARSE])
    ends = []
    for events in (mixed, heard + seen, [lambda e: take(e, alerts), *reversed(heard)]):
        engine = engine_of(revisions=options)
        last: dict[str, Coincidence] = {}
        for event in (*events, lambda e: all_of(e.reassess(LATER))):
            for change in event(engine):
                before = last.get(change.id)
                assert change.revision == (before.revision + 1 if before else 1)
                gone = before is None or before.state is State.WITHDRAWN
                assert change.state in ({State.PROPOSED} if gone else {State.UPDATED, State.WITHDRAWN})
                last[change.id] = change
        assert {c.id: c for c in engine.ledger} == last
        assert sum(engine.counts.changes.values()) == sum(c.revision for c in engine.ledger)
        assert_published_is_near(engine, options)
        ends.append(science(engine))
    assert ends[0] == ends[1] == ends[2]


def test_the_scenario_of_the_property_above_has_something_to_find():
    engine = engine_of()
    for notice, skymap in zip(POOL, MAPS, strict=True):
        all_of(engine.put_notice(notice, skymap, 0))
    take(engine, random_alerts(1, 60))
    assert {c.trigger.id for c in engine.ledger} >= {"fermi-gbm:1", "swift:7", "lvk:S1"}
    assert engine.counts.windows == {"grb": 2, "gw": 1, "neutrino": 0}


@pytest.mark.not_measured
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_what_stands_in_the_end_does_not_depend_on_what_happens_between_the_steps_of_a_notice(seed):
    alerts, shuffle = random_alerts(seed, 60), Random(seed)
    plain = engine_of(revisions=RevisionOptions())
    take(plain, alerts)
    for notice, skymap in zip(POOL, MAPS, strict=True):
        all_of(plain.put_notice(notice, skymap, 0))
    engine, last, running = engine_of(revisions=RevisionOptions()), {}, []

    def taking(part: Alerts) -> Iterator[Changes]:
        engine.add_alerts(part)
        yield from engine.assess(0)

    waiting: list[Callable[[], Iterator[Changes]]]
    waiting = [lambda k=k: engine.put_notice(POOL[k], MAPS[k], 0) for k in range(len(POOL))]
    waiting += [
        lambda part=part: taking(alerts.take(part))
        for part in np.array_split(np.array(shuffle.sample(range(len(alerts)), len(alerts))), 6)
    ]
    shuffle.shuffle(waiting)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openings, "_FOUND_AT_ONCE", 3)
        patch.setattr(openings, "_JUDGED_AT_ONCE", 2)
        patch.setattr(verdicts_module, "_WITHDRAWN_AT_ONCE", 1)
        patch.setattr(assessing_module, "_AT_ONCE", 2)
        while waiting or running:
            if waiting and (not running or shuffle.random() < 0.3):
                running.append(waiting.pop()())
            steps = shuffle.choice(running)
            changes = next(steps, None)
            if changes is None:
                running.remove(steps)
            for change in changes.published if changes else ():
                assert change.revision == (last[change.id].revision + 1 if change.id in last else 1)
                last[change.id] = change
    assert {c.id: c for c in engine.ledger} == last
    for one in (engine, plain):
        all_of(one.reassess(LATER))
        assert_published_is_near(one, RevisionOptions())
    assert science(engine) == science(plain)
