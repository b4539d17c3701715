import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matchers.runs import Run
from schemas.sky import Cells
from tests.matchers.made import T0, alerts_of


def run_of(pixels: list[int]) -> Run:
    alerts = alerts_of(
        [
            {"id": 100 + row, "obj": f"o{row % 3}", "t": T0, "ra": 1, "dec": 2} | {"pixel": p}
            for row, p in enumerate(pixels)
        ]
    )
    return Run.of(alerts, np.arange(len(pixels)) % 3)


PIXELS = st.lists(st.integers(0, 60), min_size=1, max_size=30)


@given(PIXELS, PIXELS, st.lists(st.integers(0, 70), max_size=12, unique=True))
def test_rows_are_found_by_region_id_and_object(older, newer, borders):
    borders = sorted(borders)[: len(borders) // 2 * 2]
    region = Cells(np.array(borders[::2], np.int64), np.array(borders[1::2], np.int64))
    run = Run.merged(run_of(older), run_of(newer))
    assert len(run) == len(older) + len(newer)
    wanted = sorted(p for p in older + newer if any(lo <= p < hi for lo, hi in zip(region.lo, region.hi, strict=True)))
    assert run.alerts.pixel[run.rows_covered_by(region)].tolist() == wanted
    ids = run.alerts.alert_id
    assert run.holds(np.array([99, *ids, 1000])).tolist() == [False, *[True] * len(ids), False]
    for code in range(4):
        assert set(run.rows_of(code).tolist()) == set(np.flatnonzero(run.code == code).tolist())
