import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matchers import runs as module
from matchers.objects import Keys, keys_of, names_of
from matchers.runs import Run, id_keys
from schemas.records import Ints
from schemas.sky import Cells
from tests.matchers.test_nights import Unsaid

ALERTS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), min_size=1, max_size=30)


def key_of(name: str) -> Keys:
    return keys_of(names_of(np.array([name])))


def ids(*numbers: int):
    return np.array(numbers), id_keys(np.array(numbers))


def run_of(alerts: list[tuple[int, int]], first_row: int) -> Run:
    """Pixels and times; ids are 100 + row, objects are o0, o1, o2 by row."""
    pixel, when_us = np.array(alerts, np.int64).T
    row = first_row + np.arange(len(alerts))
    return Run.of(pixel, when_us, row, 100 + row, keys_of(names_of(np.char.add("o", (row % 3).astype(np.str_)))))


def region_of(borders: list[int]) -> Cells:
    borders = sorted(borders)[: len(borders) // 2 * 2]
    return Cells(np.array(borders[::2], np.int64), np.array(borders[1::2], np.int64))


def as_lists(*columns: Ints) -> list[list[int]]:
    return [column.tolist() for column in columns]


@given(
    ALERTS, ALERTS, st.lists(st.integers(0, 70), max_size=12, unique=True), st.integers(-1, 10), st.integers(-1, 10),
    st.integers(-1, 10), st.booleans(), st.sampled_from([0, 64]),
)  # fmt: skip
def test_rows_are_found_by_region_time_id_and_object(older, newer, borders, start, end, since, merged_last, long_slice):
    region = region_of(borders)
    runs = [run_of(older, 0), run_of(newer, len(older))]
    if merged_last:
        runs = [Run.merged(*(run.since(since) for run in runs))] if since <= 9 else [Run.merged(*runs).since(since)]
    else:
        runs = [Run.merged(*runs).since(since).since(0)]
    (run,) = runs
    everything = list(enumerate(older + newer))
    live = [row for row, (_, when) in everything if when >= since]
    assert run.live() == len(live)
    clean = run.without_expired()
    assert len(clean) == len(live)
    for asked in (run, clean) if len(clean) else (run,):
        wanted = [
            (row, p)
            for row, (p, when) in everything
            if row in live
            and start <= when <= end
            and any(a <= p < b for a, b in zip(region.lo, region.hi, strict=True))
        ]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_LONG_SLICE", long_slice)
            sure, *none = asked.inside(region, start, end)
            unsaid, *unsure = asked.inside(Unsaid(region), start, end)
        assert sorted(sure.tolist()) == sorted(row for row, _ in wanted)
        assert sorted(zip(*as_lists(*unsure), strict=True)) == sorted(wanted)
        assert [len(unsaid), *map(len, none)] == [0, 0, 0]
    for row, _ in everything:
        for alert_id in (100 + row, 99):
            found = clean.candidates_of_id(*ids(alert_id))[1].tolist() if len(clean) else []
            assert found == ([row] if alert_id != 99 and row in live else [])
    for number in range(4):
        rows = clean.candidates_of_objects(key_of(f"o{number}"))[1] if len(clean) else np.zeros(0, np.int64)
        assert sorted(rows.tolist()) == [row for row in live if row % 3 == number]


def test_many_ids_are_asked_at_once():
    run = run_of([(5, 1), (3, 2), (9, 3)], 10)
    asked, rows = run.candidates_of_id(*ids(112, 5, 110, 10**12, 111))
    assert dict(zip(*as_lists(asked, rows), strict=True)) == {0: 12, 2: 10, 4: 11}


def test_a_run_takes_32_bytes_an_alert():
    assert run_of([(5, 1)] * 100, 0).nbytes == 3200


def test_nothing_expires_of_a_later_run():
    run = run_of([(5, 7)], 0)
    assert run.since(7) is run
    assert run.since(8).live() == 0
