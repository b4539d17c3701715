from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers import grid as grid_module
from matchers.footprint import Footprint
from matchers.grid import WindowGrid
from matchers.triggers import TriggerBook
from schemas.records import Alerts, Window
from schemas.sky import Circle, Region
from tests.matchers.made import DAY, T0, notice_of, trigger_of
from tests.matchers.test_nights import REGIONS, made

MANY: list[Region] = [
    *REGIONS,
    *(Circle.around(ra, 20, radius) for ra, radius in ((10, 1 / 3600), (9, 0.3), (12, 170))),
]


def plainly(windows: dict[tuple[str, str], Window], alerts: Alerts) -> list[tuple[str, str, list[int]]]:
    """Each window asked about each alert."""
    found = []
    for (trigger_id, matcher), window in sorted(windows.items(), key=lambda item: item[0]):
        inside = window.region.contains(alerts.ra_deg, alerts.dec_deg, alerts.pixel)
        rows = np.flatnonzero((window.start_us <= alerts.time_us) & (alerts.time_us <= window.end_us) & inside)
        if len(rows):
            found.append((trigger_id, matcher, rows.tolist()))
    return found


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.sampled_from(["put", "put", "put", "remove", "expire", "reopen", "keep"]), max_size=25),
)
def test_the_book_answers_as_asking_all_windows_would_whatever_was_done(seed, steps):
    random, alerts = Random(seed), made(seed, 60)
    book, windows, kept = TriggerBook(), {}, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grid_module, "_LEAST_WASTE", random.choice([0, 1 << 20]))
        patch.setattr(grid_module, "_ROWS_AT_ONCE", random.choice([7, 16_384]))
        for step in steps:
            name = f"t{random.randrange(6)}"
            if step == "put":
                windows = {key: window for key, window in windows.items() if key[0] != name}
                opened = {
                    matcher: Window(T0 + start, T0 + start + random.choice([0, 5, DAY]), random.choice(MANY))
                    for matcher in random.sample(["a", "b", "c"], random.randrange(3))
                    for start in [random.choice([-DAY, 0, 2])]
                }
                book.put(trigger_of(notice_of(name)), opened)
                windows |= {(name, matcher): window for matcher, window in opened.items()}
            elif step == "remove":
                book.remove(name)
                windows = {key: window for key, window in windows.items() if key[0] != name}
            elif step == "reopen":
                book = reopened(book)
            elif step == "keep":
                kept.append((book._now, dict(windows)))
            else:
                before = T0 + random.choice([0, 3, 6])
                gone = {trigger.id for trigger in book.expire(before)}
                ends = {key[0]: max(w.end_us for k, w in windows.items() if k[0] == key[0]) for key in windows}
                assert {name for name in ends if ends[name] < before} <= gone
                windows = {key: window for key, window in windows.items() if key[0] not in gone}
            found = [(hit.trigger.id, hit.matcher, hit.rows.tolist()) for hit in book.holding(alerts)]
            assert found == plainly(windows, alerts)
            for hit in book.holding(alerts):
                assert hit.window is windows[hit.trigger.id, hit.matcher]
        for snapshot, then in kept:
            book._now = snapshot
            found = [(hit.trigger.id, hit.matcher, hit.rows.tolist()) for hit in book.holding(alerts)]
            assert found == plainly(then, alerts), "a snapshot has changed"


def reopened(book: TriggerBook) -> TriggerBook:
    """Another book that was told of all triggers at once."""
    again = TriggerBook()
    again.put_all([(trigger, book.windows(trigger.id)) for trigger in book])
    assert list(again) == list(book)
    return again


@pytest.mark.parametrize("radius", [1e-6, 1 / 3600, 1.0, 89.9999, 90.0, 179.9999999, 180.0])
@pytest.mark.parametrize("centre", [(0.0, 90.0), (10.0, 20.0), (359.9999999, -41.8103148957786)])
def test_circles_are_decided_exactly_at_their_rim(radius, centre):
    region = Circle.around(*centre, radius)
    window = Window(T0, T0, region)
    grid = WindowGrid().replaced([], [(0, window)])
    angle = np.linspace(0, 2 * np.pi, 60)
    away = np.radians(radius * (1 + np.linspace(-3e-13, 3e-13, 60)))
    ra0, dec0 = np.radians(centre)
    dec = np.arcsin(np.clip(np.sin(dec0) * np.cos(away) + np.cos(dec0) * np.sin(away) * np.cos(angle), -1, 1))
    ra = ra0 + np.arctan2(np.sin(angle) * np.sin(away) * np.cos(dec0), np.cos(away) - np.sin(dec0) * np.sin(dec))
    alerts = Alerts.from_columns(
        "ztf", alert_id=range(60), time_us=np.full(60, T0), ra_deg=np.degrees(ra) % 360, dec_deg=np.degrees(dec)
    )
    wanted = np.flatnonzero(region.contains(alerts.ra_deg, alerts.dec_deg, alerts.pixel))
    slot, row = grid.inside(alerts)
    assert row.tolist() == wanted.tolist()
    assert not slot.any()


def test_the_pool_does_not_grow_for_ever(monkeypatch):
    monkeypatch.setattr(grid_module, "_LEAST_WASTE", 1 << 14)
    grid, regions = WindowGrid(), [Circle.around(ra, 0, 20) for ra in (0, 120, 240)]
    for number in range(60):
        grid = grid.replaced([0] if number else [], [(0, Window(T0, T0, regions[number % 3]))])
    assert grid._pool.used < 40_000
    assert sum(len(Footprint.of(region).grades) for region in regions) * 20 > 200_000
    assert len(grid.windows) == 1
