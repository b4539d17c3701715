import numpy as np
import pytest

from matchers.windows import covered, in_time, rows_inside
from schemas.records import Window
from schemas.sky import Cells, Circle
from tests.matchers.made import T0, alerts_of

HERE = Circle.around(10.0, 20.0, 1.0)


def test_both_ends_of_the_time_belong_to_the_window_to_the_microsecond():
    window = Window(T0, T0 + 10, HERE)
    times = np.array([T0 - 1, T0, T0 + 10, T0 + 11])
    assert in_time(window, times).tolist() == [False, True, True, False]


def test_an_empty_region_covers_nothing():
    nothing = Cells(np.empty(0, np.int64), np.empty(0, np.int64))
    assert covered(nothing, np.array([0, 7])).tolist() == [False, False]
    alerts = alerts_of([{"id": 1, "obj": "a", "t": T0, "ra": 10, "dec": 20}])
    assert rows_inside(Window(T0, T0, nothing), alerts).tolist() == []


def test_intervals_are_half_open():
    region = Cells(np.array([10, 30]), np.array([20, 31]))
    assert covered(region, np.array([9, 10, 19, 20, 30, 31])).tolist() == [False, True, True, False, True, False]


@pytest.mark.parametrize(("dec", "inside"), [(20.9999999, True), (21.0000001, False), (-70.0, False)])
def test_the_exact_test_decides_at_the_border(dec, inside):
    alerts = alerts_of([{"id": 1, "obj": "a", "t": T0, "ra": 10, "dec": dec}])
    assert rows_inside(Window(T0, T0, HERE), alerts).tolist() == ([0] if inside else [])
