import numpy as np
import pytest
from astropy.coordinates import PrecessedGeocentric, get_sun
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from bridges.simulator import NightPlan
from bridges.simulator.survey import (
    LONGITUDE_DEG,
    G,
    R,
    altitude_deg,
    fields,
    julian_date,
    observe,
    sidereal_time_deg,
    sun_position_deg,
)
from schemas.times import US_PER_DAY, astropy_from_us, us_from_jd_utc

PLAN = NightPlan()


@pytest.fixture(scope="module")
def visits():
    return observe(np.random.default_rng(3), PLAN.start_us, range(-2, 6), 2)


@given(ra=st.floats(0.0, 359.999999), dec=st.floats(-29.9, 86.0))
def test_every_position_of_the_footprint_is_in_the_field_whose_centre_is_near(ra, dec):
    number = fields().number_of(ra, dec)
    assert number is not None
    assert abs(fields().dec_deg[number] - dec) <= 47**0.5 / 2 + 1e-9
    assert abs((fields().ra_deg[number] - ra + 180) % 360 - 180) <= 180.0
    channel, x, y = fields().on_camera(number, ra, dec)
    assert 0 <= channel < 64
    assert 1 <= x <= 3072
    assert 1 <= y <= 3080


@pytest.mark.parametrize("dec", [-90.0, -30.01, 87.0, 90.0])
def test_outside_the_footprint_there_is_no_field(dec):
    assert fields().number_of(10.0, dec) is None


def test_a_field_is_as_large_as_the_camera_and_draws_stay_inside():
    random = np.random.default_rng(1)
    drawn = [fields().draw_inside(random, 100) for _ in range(50)]
    assert {fields().number_of(*position) for position in drawn} == {100}
    covered_deg2 = 4 * np.pi * (180 / np.pi) ** 2 * (np.sin(np.radians(86.54)) - np.sin(np.radians(-30))) / 2
    assert 44 < covered_deg2 / len(fields().ra_deg) <= 47.2


def test_sun_and_stars_are_where_astropy_has_them():
    times = PLAN.start_us + np.arange(0, 200, 17) * US_PER_DAY
    for time_us in times:
        ra, dec = sun_position_deg(time_us)
        when = astropy_from_us(time_us)
        sun = get_sun(when).transform_to(PrecessedGeocentric(equinox=when, obstime=when))
        assert abs((ra - sun.ra.deg + 180) % 360 - 180) < 0.03
        assert abs(dec - sun.dec.deg) < 0.02
    mean = Time(astropy_from_us(times).jd, format="jd", scale="ut1").sidereal_time("mean", LONGITUDE_DEG)
    assert np.abs((sidereal_time_deg(times) - mean.deg + 180) % 360 - 180).max() < 0.01


def test_visits_are_at_night_high_enough_and_one_after_another(visits):
    assert (np.diff(visits.time_us) >= 39_900_000).all()
    assert (altitude_deg(visits.time_us, *sun_position_deg(visits.time_us)) < -17.9).all()
    ra, dec = fields().ra_deg[visits.field], fields().dec_deg[visits.field]
    assert (altitude_deg(visits.time_us, ra, dec) >= 30.0).all()
    assert 19.5 < np.median(visits.limit_mag) < 21.0


def test_a_field_comes_every_second_night_in_g_and_then_in_r(visits):
    rows = max(visits.by_field().values(), key=len)
    nights, fid = (visits.time_us[rows] - PLAN.start_us) // US_PER_DAY, visits.fid[rows]
    assert list(np.diff(np.unique(nights))) == [2] * (len(np.unique(nights)) - 1)
    assert fid.tolist() == [G, R] * (len(rows) // 2)
    assert (np.diff(visits.time_us[rows])[::2] < 3600e6).all()


def test_a_julian_date_survives_the_packet(visits):
    time_us = int(visits.time_us[7])
    assert int(us_from_jd_utc(julian_date(time_us))) == time_us


def test_fields_of_a_zone_are_due_in_the_same_nights():
    found = observe(np.random.default_rng(3), PLAN.start_us, range(4), 2, zone_deg=30.0)
    night = (found.time_us - PLAN.start_us) // US_PER_DAY
    zone = fields().ra_deg[found.field] // 30.0
    nights_of = {int(each): {int(n) % 2 for n in night[zone == each]} for each in np.unique(zone)}
    assert len(nights_of) > 6
    assert all(len(of_zone) == 1 for of_zone in nights_of.values())
    assert {min(of_zone) for of_zone in nights_of.values()} == {0, 1}
