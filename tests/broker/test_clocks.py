"""What time it is."""

from time import time_ns

from hypothesis import given
from hypothesis import strategies as st

from broker.clocks import DataClock, WallClock


def test_the_wall_clock_is_the_machines_whatever_came_in():
    clock = WallClock()
    before_us = time_ns() // 1000
    clock.saw(before_us + 10**15)
    assert before_us <= clock() <= time_ns() // 1000


@given(st.lists(st.integers(0, 1_700_000_000_000_000)))
def test_the_clock_of_the_data_is_the_latest_instant_that_came_in(instants_us):
    clock = DataClock()
    for instant_us in instants_us:
        clock.saw(instant_us)
    assert clock() == max(instants_us, default=0)


def test_what_claims_to_be_of_the_future_is_of_today():
    clock = DataClock()
    clock.saw(1 << 62)
    assert clock() <= time_ns() // 1000
