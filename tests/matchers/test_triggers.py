from dataclasses import fields
from itertools import count
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers.statements import order_of
from matchers.triggers import TriggerBook, fold, is_retracted
from schemas.densities import skymap_of
from schemas.records import Alerts, Kind, Message, Messenger, Notice, Role, Trigger, Window
from schemas.sky import Circle
from tests.matchers.made import DAY, MINUTE, T0, alerts_of, cone, notice_of, trigger_of

HERE, THERE = skymap_of(cone(10, 20)), skymap_of(cone(50, 60))


@st.composite
def notices(draw: st.DrawFn) -> Notice:
    number = draw(st.integers(0, 4))
    return notice_of(
        ivorn=f"ivo://t/n#{number}",
        message=Message(bytes([draw(st.integers(0, 1))]), "o"),
        stage=draw(st.integers(0, 1)),
        serial=draw(st.integers(0, 1)),
        issued_us=draw(st.none() | st.integers(0, 2)),
        trigger_time_us=draw(st.none() | st.integers(0, 9)),
        kind=draw(st.sampled_from(Kind)),
        role=draw(st.sampled_from([Role.OBSERVATION, Role.TEST])),
        messenger=draw(st.sampled_from([Messenger.GAMMA_RAY, Messenger.X_RAY])),
        astrophysical=draw(st.none() | st.booleans()),
        names=tuple(draw(st.lists(st.sampled_from("abc"), max_size=2))),
        significance=draw(st.none() | st.floats(0, 9)),
        far_hz=draw(st.none() | st.floats(0, 1)),
        links=draw(st.dictionaries(st.sampled_from("xy"), st.sampled_from("pq"), max_size=2)),
    )


def parts(trigger: Trigger | None) -> dict[str, Any] | None:
    return {f.name: getattr(trigger, f.name) for f in fields(Trigger)} if trigger else None


@given(
    st.lists(notices(), max_size=7, unique_by=lambda n: (n.ivorn, n.message.body)),
    st.sets(st.integers(0, 4)),
    st.randoms(),
)
def test_a_trigger_is_a_function_of_the_set_of_its_notices(told, mapped, random):
    skymaps = {f"ivo://t/n#{number}": HERE for number in mapped}
    shuffled = told + random.choices(told, k=3) if told else []
    random.shuffle(shuffled)
    assert parts(fold(shuffled, skymaps)) == parts(fold(told, skymaps))
    assert is_retracted(shuffled) == is_retracted(told)


def test_without_a_time_there_is_no_trigger():
    assert fold([], {}) is None
    assert fold([notice_of(trigger_time_us=None)], {}) is None
    assert not is_retracted([])
    assert is_retracted([notice_of(trigger_time_us=None, kind=Kind.RETRACTION)])


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ({"stage": 10, "serial": 9, "issued_us": T0 + 9}, {"stage": 20, "serial": 1, "issued_us": T0}),
        ({"serial": 1, "issued_us": T0 + 9}, {"serial": 2, "issued_us": T0}),
        ({"issued_us": T0}, {"issued_us": T0 + 1}),
        ({"issued_us": None}, {"issued_us": -5}),
    ],
)
def test_stage_comes_before_serial_and_serial_before_time(older, newer):
    first, second = notice_of(ivorn="ivo://t/n#z", **older), notice_of(ivorn="ivo://t/n#a", **newer)
    assert order_of(first) < order_of(second)
    trigger = fold([second, first], {first.ivorn: HERE, second.ivorn: THERE})
    assert trigger is not None
    assert trigger.notice is trigger.localised_by is second
    assert trigger.skymap is THERE


def test_each_part_comes_from_the_newest_notice_that_tells_of_it():
    told = [
        notice_of(
            ivorn=f"ivo://t/n#{number}",
            stage=number,
            **({"trigger_time_us": None, "instrument": f"I{number}"} | fields),
        )
        for number, fields in enumerate(
            [
                {"messenger": Messenger.GAMMA_RAY, "names": ("bn1",), "links": {"a": "1"}, "mission": "Swift"},
                {"trigger_time_us": T0, "significance": 5.0, "significance_unit": "sigma", "far_hz": 1e-9},
                {
                    "trigger_time_us": T0 + 7,
                    "trigger_time_error_s": 0.5,
                    "classification": {"BNS": 1.0},
                    "names": ("GRB",),
                },
                {"messenger": Messenger.X_RAY, "astrophysical": True, "links": {"a": "2", "b": "3"}, "names": ("bn1",)},
                {"significance": 0.0, "astrophysical": None, "mission": "Other"},
            ]
        )
    ]
    trigger = fold(told[::-1], {told[2].ivorn: HERE, told[0].ivorn: THERE})
    assert parts(trigger) == parts(
        Trigger(
            id="fermi-gbm:1",
            messenger=Messenger.GAMMA_RAY,
            mission="Swift",
            instrument="I0",
            time_us=T0 + 7,
            time_error_s=0.5,
            revision=5,
            notice=told[4],
            localised_by=told[2],
            skymap=HERE,
            astrophysical=True,
            names=("bn1", "GRB"),
            classification={"BNS": 1.0},
            significance=0.0,
            significance_unit="",
            far_hz=1e-9,
            links={"a": "2", "b": "3"},
        )
    )


def test_a_retraction_holds_until_something_newer_is_said():
    initial, retraction = notice_of(), notice_of(ivorn="ivo://t/n#2", kind=Kind.RETRACTION, issued_us=T0 + 2 * MINUTE)
    late = notice_of(ivorn="ivo://t/n#3", kind=Kind.UPDATE, issued_us=T0 + 1)
    revival = notice_of(ivorn="ivo://t/n#4", kind=Kind.UPDATE, issued_us=T0 + 3 * MINUTE)
    states = [trigger_of(*told).retracted for told in ([initial], [initial, retraction], [retraction, late, initial])]
    assert states == [False, True, True]
    assert not trigger_of(initial, revival, retraction).retracted
    assert trigger_of(initial, retraction).skymap is not None


@pytest.mark.parametrize(("role", "test"), [(Role.TEST, True), (Role.MOCK, True), (Role.PREDICTION, False)])
def test_one_test_notice_makes_a_test(role, test):
    assert trigger_of(notice_of(role=role), notice_of(ivorn="ivo://t/n#2", issued_us=T0 + DAY)).test is test


def test_a_redelivery_is_no_revision():
    assert trigger_of(notice_of(), notice_of()).revision == 1
    assert trigger_of(notice_of(), notice_of(ivorn="ivo://t/n#2")).revision == 2


def test_astrophysical_may_be_taken_back():
    first, second = notice_of(astrophysical=False), notice_of(ivorn="ivo://t/n#2", astrophysical=True, stage=9)
    assert trigger_of(first).astrophysical is False
    assert trigger_of(second, first).astrophysical is True


NUMBERS = count()


def put(book: TriggerBook, name: str, **windows: Window) -> Trigger:
    trigger = trigger_of(notice_of(name, f"ivo://t/n#{next(NUMBERS)}"))
    book.put(trigger, windows)
    return trigger


def window(start: int, end: int, ra: float = 10, dec: float = 20, radius: float = 1) -> Window:
    return Window(T0 + start, T0 + end, Circle.around(ra, dec, radius))


def points(*rows: tuple[int, float, float]) -> Alerts:
    return alerts_of(
        [{"id": i, "obj": f"o{i}", "t": T0 + t, "ra": ra, "dec": dec} for i, (t, ra, dec) in enumerate(rows)]
    )


def test_the_book_tells_which_windows_hold_which_alerts():
    book = TriggerBook()
    alerts = points((0, 10, 20), (5, 10, 20), (9, 10, 20.5), (10, 10, 20), (5, 200, -30), (5, 10, 21.5))
    assert book.holding(alerts) == []
    put(book, "b", grb=window(5, 9), wide=window(9, 10, radius=180))
    put(book, "a", grb=window(-9, 5, 200, -30))
    put(book, "c", grb=window(11, 12))
    found = [(hit.trigger.id, hit.matcher, hit.rows.tolist()) for hit in book.holding(alerts)]
    assert found == [("a", "grb", [4]), ("b", "grb", [1, 2]), ("b", "wide", [2, 3])]
    assert book.holding(alerts.take(slice(0, 0))) == []


def test_a_newer_state_replaces_the_older_with_all_its_windows():
    book = TriggerBook()
    put(book, "a", grb=window(0, 9), gw=window(0, 9))
    newer = put(book, "a", grb=window(3, 4))
    assert len(book) == 1
    assert list(book) == [newer]
    assert book.get("a") is newer
    assert book.windows("a").keys() == {"grb"}
    assert book.holding(points((1, 10, 20))) == []
    book.remove("a")
    book.remove("never there")
    assert (len(book), book.get("a"), book.windows("a")) == (0, None, {})
    assert book.holding(points((3, 10, 20))) == []


def test_triggers_expire_with_their_last_window_or_without_any_with_their_own_time():
    book = TriggerBook()
    two, none = put(book, "two", grb=window(0, 5), gw=window(3, 9)), put(book, "none")
    assert [trigger.id for trigger in book] == ["none", "two"]
    assert book.earliest_open_us(T0 + 5) == T0
    assert book.earliest_open_us(T0 + 6) == T0 + 3
    assert book.earliest_open_us(T0 + 10) is None
    assert book.expire(T0) == []
    assert book.expire(T0 + 9) == [none]
    assert book.expire(T0 + 10) == [two]
    assert len(book) == 0


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_the_book_agrees_with_asking_each_window_about_each_alert(seed):
    rng = np.random.default_rng(seed)
    book, windows = TriggerBook(), {}
    for number in range(6):
        start, size = rng.integers(0, 50, 2)
        windows[f"t{number}"] = window(
            start, start + size, rng.uniform(0, 360), rng.uniform(-90, 90), rng.uniform(1, 90)
        )
        put(book, f"t{number}", grb=windows[f"t{number}"])
    alerts = points(*zip(rng.integers(0, 100, 20), rng.uniform(0, 360, 20), rng.uniform(-90, 90, 20), strict=True))
    found = {(hit.trigger.id, row) for hit in book.holding(alerts) for row in hit.rows.tolist()}
    assert found == {
        (name, row)
        for name, w in windows.items()
        for row in range(20)
        if w.start_us <= alerts.time_us[row] <= w.end_us
        and w.region.contains(alerts.ra_deg[[row]], alerts.dec_deg[[row]], alerts.pixel[[row]])[0]
    }


def test_at_the_same_instant_a_retraction_has_the_last_word():
    told = [
        notice_of(ivorn="ivo://t/n#b", kind=Kind.UPDATE, issued_us=T0 + MINUTE),
        notice_of(ivorn="ivo://t/n#a", kind=Kind.RETRACTION, issued_us=T0 + MINUTE, localisation=None),
    ]
    for order in (told, told[::-1]):
        assert trigger_of(*order).retracted
