"""Visits and new objects, held to what a plain count over all alerts says."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers import coverage as module
from matchers.coverage import CELL_SHIFT, CELLS, NEVER_MS, Coverage
from matchers.index import AlertIndex
from matchers.objects import Objects
from schemas.pixels import pixels_of
from schemas.records import Alerts
from schemas.times import night_of, night_start_us
from tests.matchers.made import DAY, T0, alerts_of

HOUR = DAY // 24
PLACES = [(10.0, 20.0), (10.0, 20.0001), (11.25, 0.0), (11.2501, 0.0), (200.0, -89.9)]
"""The third and the fourth lie in two cells."""
TONIGHT = int(night_of(np.array([T0]))[0])

Row = tuple[str, int, int, int, bool]
"""Object, place, hours since `T0`, hours before that of the first detection, whether it is stored."""
ROWS = st.lists(
    st.tuples(
        st.sampled_from("abcd"), st.integers(0, 4), st.integers(0, 90), st.sampled_from([0, 0, 1, 30, 9000]),
        st.booleans(),
    ),
    max_size=25,
)  # fmt: skip


def alerts(rows: Iterable[Row]) -> Alerts:
    return alerts_of(
        [
            {"id": i, "obj": obj, "t": T0 + t * HOUR, "first": T0 + (t - before) * HOUR, "mag": 15.0 + t / 100}
            | dict(zip(("ra", "dec"), PLACES[place], strict=True))
            for i, (obj, place, t, before, _) in enumerate(rows)
        ]
    )


def cell_of(place: int) -> int:
    ra, dec = PLACES[place]
    return int(pixels_of(np.array([ra]), np.array([dec]))[0] >> CELL_SHIFT)


def number_of(hours: int) -> int:
    return int(night_of(np.array([T0 + hours * HOUR]))[0])


def learn(objects: Objects, rows: list[Row]) -> None:
    if rows:
        told = alerts(rows)
        codes, _ = objects.observe(told)
        stored = np.array([row[4] for row in rows])
        objects.store(codes[stored], told.take(stored))


def counted(coverage: Coverage) -> Counter[tuple[int, int]]:
    """New objects by night and cell."""
    columns = coverage.arrays()
    new = columns["coverage_new"].reshape(-1, CELLS)
    return Counter(
        {
            (int(columns["coverage_nights"][1 + night]), int(cell)): int(new[night, cell])
            for night, cell in zip(*np.nonzero(new), strict=True)
        }
    )


def visited(coverage: Coverage) -> dict[tuple[int, int], tuple[int, int]]:
    """Night and cell: hours of the first and the last detection."""
    return {
        (seen.number, int(cell)): (int(seen.first_ms[cell]) // 3_600_000, int(seen.last_ms[cell]) // 3_600_000)
        for seen in coverage.visits()
        for cell in np.flatnonzero(seen.last_ms != NEVER_MS)
    }


def expected_visits(rows: Iterable[Row], since: int = -(10**9)) -> dict[tuple[int, int], tuple[int, int]]:
    found: dict[tuple[int, int], list[int]] = {}
    for _, place, t, _, _ in rows:
        if (number := number_of(t)) >= since:
            start_us = night_start_us(number)
            found.setdefault((number, cell_of(place)), []).append((T0 + t * HOUR - start_us) // HOUR)
    return {key: (min(hours), max(hours)) for key, hours in found.items()}


def expected_new(objects: dict[str, list[Row]], since: int = -(10**9)) -> Counter[tuple[int, int]]:
    found: Counter[tuple[int, int]] = Counter()
    for rows in objects.values():
        stored = [cell_of(place) for _, place, _, _, is_stored in rows if is_stored]
        first = min((t - before for _, _, t, before, _ in rows), default=0)
        if stored and number_of(first) >= since:
            found[number_of(first), min(stored)] += 1
    return found


def by_object(rows: Iterable[Row]) -> dict[str, list[Row]]:
    return {name: [row for row in rows if row[0] == name] for name in "abcd"}


@settings(max_examples=60)
@given(ROWS, st.randoms(use_true_random=False), st.integers(1, 6))
def test_it_is_what_a_plain_count_says_whatever_the_order_and_the_batches(rows, random, batches):
    told = [Objects(), Objects()]
    learn(told[0], rows)
    shuffled = random.sample(rows, len(rows))
    for part in np.array_split(np.arange(len(rows)), batches):
        learn(told[1], [shuffled[k] for k in part])
    for objects in told:
        assert visited(objects.coverage) == expected_visits(rows)
        assert counted(objects.coverage) == expected_new(by_object(rows))
        assert objects.coverage.magnitudes().sum() == sum(row[4] for row in rows)


@settings(max_examples=60)
@given(st.lists(st.tuples(ROWS, st.integers(0, 90)), max_size=5))
def test_nights_and_objects_are_forgotten_together(steps):
    objects, known, since = Objects(), by_object([]), -(10**9)
    everything: list[Row] = []
    for rows, before in steps:
        rows = [row for row in rows if number_of(row[2]) >= since]  # noqa: PLW2901 - what is too late is not offered
        learn(objects, rows)
        everything += rows
        for name, of_name in by_object(rows).items():
            known[name] += of_name
        objects.expire(T0 + before * HOUR)
        since = max(since, number_of(before))
        known = {name: of if max((row[2] for row in of), default=0) >= before else [] for name, of in known.items()}
        objects = Objects.of_arrays(objects.arrays()) if before % 2 else objects
        assert counted(objects.coverage) == expected_new(known, since)
        assert visited(objects.coverage) == expected_visits(everything, since)


def test_visits_that_were_given_away_do_not_change():
    coverage = Coverage()
    pixel, time_us = np.array([5]), np.array([T0])
    coverage.look(pixel, time_us)
    before = coverage.visits()
    kept = before[0].last_ms.copy()
    coverage.look(pixel, time_us + HOUR)
    assert np.array_equal(before[0].last_ms, kept)
    assert coverage.visits()[0].last_ms[0] == kept[0] + 3_600_000


def test_alerts_of_an_unknown_place_are_no_visits():
    coverage = Coverage()
    coverage.look(np.array([-1, 5 << CELL_SHIFT, -1]), np.array([T0, T0, T0 + 3 * DAY]))
    assert [np.flatnonzero(seen.last_ms != NEVER_MS).tolist() for seen in coverage.visits()] == [[5]]
    coverage = Coverage()
    coverage.look(np.array([-1]), np.array([T0]))
    assert coverage.visits() == ()


def test_only_the_newest_nights_are_kept_in_whatever_order_they_come(monkeypatch):
    monkeypatch.setattr(module, "MOST_NIGHTS", 4)
    days = np.arange(8)
    made = []
    for order in (days, days[::-1], np.roll(days, 3)):
        coverage = Coverage()
        for day in order.tolist():
            coverage.look(np.array([0]), np.array([T0 + day * DAY]))
            coverage.count(np.array([0], np.uint16), np.array([T0 + day * DAY]), 1)
        made.append(coverage.arrays())
        assert coverage.nbytes < 4 * 150_000
    assert made[0]["coverage_nights"].tolist()[1:] == [TONIGHT + day for day in (4, 5, 6, 7)]
    assert all(np.array_equal(made[0][name], other[name]) for other in made for name in other)


def test_an_object_counts_only_where_somebody_looked_when_it_was_new():
    objects = Objects()
    learn(objects, [("a", 0, 20, 0, True), ("b", 0, 20, 40, True), ("c", 2, 44, 0, False)])
    new, looked, nights = objects.coverage.new_objects()
    assert (new.sum(), looked.sum(), nights) == (1, 2, 2)
    assert new[cell_of(0)] == 1
    # The night in which the horizon lies is told of in part only.
    objects.expire(T0 + 18 * HOUR)
    assert objects.coverage.new_objects()[2] == 1


def test_magnitudes_of_stored_alerts_are_counted():
    objects = Objects()
    learn(objects, [("a", 0, 0, 0, True), ("b", 0, 50, 0, True), ("b", 0, 51, 0, False)])
    objects.coverage.measure(np.array([T0, T0, T0]), np.array([np.nan, -3.0, 99.0], np.float32))
    counts = objects.coverage.magnitudes()
    assert counts.sum() == 4
    assert np.flatnonzero(counts).tolist() == [0, 60, 62, len(counts) - 1]


def test_what_was_written_before_there_was_any_is_read():
    objects = Objects()
    learn(objects, [("a", 0, 0, 0, True)])
    written = {
        name: column for name, column in objects.arrays().items() if name != "cell" and not name.startswith("coverage_")
    }
    again = Objects.of_arrays(written)
    assert again.state("a") == objects.state("a")
    assert again.coverage.visits() == ()
    learn(again, [("a", 0, 5, 5, True)])
    assert counted(again.coverage) == Counter({(TONIGHT, cell_of(0)): 1})


def test_a_restarted_index_knows_the_same_background():
    index, again = AlertIndex(), AlertIndex()
    rows = [("a", 0, 0, 0, True), ("b", 0, 30, 1, True), ("c", 4, 50, 0, True)]
    index.add(alerts(rows))
    index.note(alerts([("d", 2, 60, 0, False)]))
    again.restore_objects("ztf", index.checkpoint("ztf"))
    for later in (index, again):
        later.note(alerts([("b", 0, 5, 0, False)]))
    one, other = (each.backgrounds(T0 + 4 * DAY)["ztf"] for each in (index, again))
    assert np.array_equal(one.per_deg2_night, other.per_deg2_night)
    assert one.depth_mag == other.depth_mag
    assert len(one.visits()) == len(other.visits()) == 3
    for here, there in zip(one.visits(), other.visits(), strict=True):
        assert here.number == there.number
        assert np.array_equal(here.first_ms, there.first_ms)
        assert np.array_equal(here.last_ms, there.last_ms)


@pytest.mark.parametrize("broken", ["missing", "short"])
def test_what_does_not_fit_is_refused(broken):
    objects = Objects()
    learn(objects, [("a", 0, 0, 0, True)])
    columns = dict(objects.coverage.arrays())
    if broken == "missing":
        del columns["coverage_mags"]
    else:
        columns["coverage_new"] = columns["coverage_new"][:-1]
    with pytest.raises(ValueError, match="what is known of visits"):
        Coverage.of_arrays(columns)
