from datetime import UTC, datetime

import numpy as np
import pytest
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from schemas import times

SINCE_1990 = st.datetimes(datetime(1990, 1, 1), datetime(2026, 12, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(SINCE_1990)
def test_iso_text_and_datetimes_come_back(instant):
    us = times.us_from_datetime(instant)
    assert times.us_from_iso(times.iso_from_us(us)) == us
    assert times.datetime_from_us(us) == instant
    assert times.us_from_iso(instant.isoformat()) == us


@given(SINCE_1990)
def test_julian_dates_agree_with_astropy(instant):
    us = times.us_from_datetime(instant)
    exact = Time(instant)
    # A float64 JD resolves 40 us, an MJD 0.6 us. On a day with a leap second (Time's days are longer) both differ.
    if exact.strftime("%m-%d") not in {"12-31", "06-30"}:
        assert abs(int(times.us_from_jd_utc(exact.jd)) - us) <= 41
        assert abs(int(times.us_from_mjd_utc(exact.mjd)) - us) <= 2
        assert abs(int(times.us_from_astropy(times.astropy_from_us(us))) - us) <= 1


def test_tai_is_37_seconds_from_utc_in_2026_and_36_in_2016():
    for mjd, seconds in ((61000.0, 37), (57600.0, 36)):
        assert int(times.us_from_mjd_utc(mjd)) - int(times.us_from_mjd_tai(mjd)) == seconds * times.US_PER_S


def test_years_without_announced_leap_seconds_are_read_quietly():
    year_2100 = 88069.0
    assert int(times.us_from_mjd_utc(year_2100)) - int(times.us_from_mjd_tai(year_2100)) == 37 * times.US_PER_S
    assert int(times.us_from_astropy(times.astropy_from_us(int(times.us_from_mjd_utc(year_2100))))) == int(
        times.us_from_mjd_utc(year_2100)
    )


@pytest.mark.parametrize("clock", ["00:00:00", "12:00:00", "23:59:59.999999"])
def test_days_that_end_with_a_leap_second_are_like_others(clock):
    text = f"2016-12-31T{clock}"
    for scale in ("utc", "tai"):
        time = getattr(Time(text, scale="utc"), scale)
        assert abs(int(times.us_from_astropy(time)) - times.us_from_iso(text)) <= 1


def test_a_leap_second_counts_as_the_first_second_of_the_next_day():
    assert int(times.us_from_astropy(Time("2016-12-31T23:59:60.5", scale="utc"))) == times.us_from_iso(
        "2017-01-01T00:00:00.5"
    )


def test_gps_seconds():
    # GPS counts from 1980-01-06 and is 18 s ahead of UTC; GW170817 was at GPS 1187008882.43 = 12:41:04.43 UTC.
    assert times.iso_from_us(int(times.us_from_gps(1187008882.43))) == "2017-08-17T12:41:04.430000Z"


def test_columns_keep_their_shape():
    assert times.us_from_jd_utc(np.zeros(3)).shape == (3,)
    assert times.us_from_mjd_tai(np.full(2, 60000.0)).shape == (2,)
    assert times.astropy_from_us(np.zeros(4, np.int64)).shape == (4,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-01-07T04:30:12", "2020-01-07T04:30:12.000000Z"),
        ("2020-01-07T04:30:12.5Z", "2020-01-07T04:30:12.500000Z"),
        ("2020-01-07 04:30:12.1234567", "2020-01-07T04:30:12.123457Z"),
        ("2020-01-07T04:30:12.9999999", "2020-01-07T04:30:13.000000Z"),
        ("2020-01-07T04:30:12+01:30", "2020-01-07T03:00:12.000000Z"),
        ("2020-01-07T04:30:12-0130", "2020-01-07T06:00:12.000000Z"),
        ("2016-12-31T23:59:60.5", "2017-01-01T00:00:00.500000Z"),
        ("  2020-1-7T4:30:12 ", "2020-01-07T04:30:12.000000Z"),
    ],
)
def test_iso_without_a_zone_is_utc(text, expected):
    assert times.iso_from_us(times.us_from_iso(text)) == expected


@pytest.mark.parametrize(
    "text", ["", "2015-01--6168T00:-24:-54.-77", "2020-02-00T00:00:00", "2020-02-30T00:00:00", "2020-01-01", "now"]
)
def test_no_date_is_an_error(text):
    with pytest.raises(ValueError, match=r"day|date"):
        times.us_from_iso(text)


@pytest.mark.parametrize(
    "text",
    [
        "9999-12-31T23:59:60Z",
        "9999-12-31T23:59:59.9999999Z",
        "9999-12-31T23:59:59-10:00",
        "0001-01-01T00:00:00+01:00",
    ],
)
def test_an_instant_beyond_the_calendar_is_an_error(text):
    with pytest.raises(ValueError, match="years 1 to 9999"):
        times.us_from_iso(text)


def test_the_ends_of_the_calendar_are_read():
    assert times.iso_from_us(times.us_from_iso("9999-12-31T23:59:59.999999")) == "9999-12-31T23:59:59.999999Z"
    assert times.datetime_from_us(times.us_from_iso("0001-01-01T00:00:00")).year == 1
