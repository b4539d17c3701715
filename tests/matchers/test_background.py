"""Rates of unrelated objects: measured, blended with what was assumed, and told in a sentence."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from matchers.background import (
    FALLBACK_OBJECTS,
    LATITUDE_EDGES_DEG,
    PRIOR_OBJECTS,
    Background,
    fallback_per_deg2_night,
)
from matchers.coverage import CELL_DEG2, CELL_ORDER, CELL_SHIFT, CELLS, Coverage
from matchers.index import HOUR_US, AlertIndex
from schemas.pixels import cell_centres
from tests.matchers.made import DAY, T0, alerts_of
from tests.matchers.skies import Sky, every_night


def latitudes() -> np.ndarray:
    ra_deg, dec_deg = cell_centres(np.arange(CELLS), CELL_ORDER)
    return np.abs(SkyCoord(ra_deg * u.deg, dec_deg * u.deg).galactic.b.deg)


def test_a_young_store_has_the_fallback_of_its_survey_by_galactic_latitude():
    made = Background.measured("ztf", Coverage())
    for low, high, rate in zip(
        LATITUDE_EDGES_DEG, LATITUDE_EDGES_DEG[1:], fallback_per_deg2_night("ztf"), strict=False
    ):
        # The pole is rounded to 10^-5 deg.
        inside = (latitudes() > low + 1e-3) & (latitudes() < high - 1e-3)
        assert inside.sum() > 1000
        assert made.per_deg2_night[inside] == pytest.approx(rate)
    assert set(made.models(np.arange(CELLS))) == {
        f"fallback {rate:g} per deg2 and night, as nothing is measured yet" for rate in fallback_per_deg2_night("ztf")
    }
    assert made.visits() == ()
    assert made.depth_mag == 20.5
    other = Background.measured("lsst", Coverage())
    assert (other.per_deg2_night > made.per_deg2_night).all()
    assert other.depth_mag > made.depth_mag
    assert (Background.measured("unheard of", Coverage()).per_deg2_night == made.per_deg2_night).all()


def test_what_was_measured_counts_as_much_as_its_numbers():
    """By hand: one band of latitude, one neighbourhood of 16 cells inside larger ones, one night."""
    near = np.flatnonzero(latitudes() > 60)[:1] // 16 * 16 + np.arange(16)
    coverage = Coverage()
    coverage.look(near << CELL_SHIFT, np.full(16, T0))
    coverage.count(np.repeat(near, 3).astype(np.uint16), np.full(48, T0), 1)
    exposure, fallback = 16 * CELL_DEG2, fallback_per_deg2_night("ztf")[-1]
    scaled = fallback * (48 + FALLBACK_OBJECTS) / (exposure * fallback + FALLBACK_OBJECTS)
    band = (48 + PRIOR_OBJECTS) / (exposure + PRIOR_OBJECTS / scaled)
    around = [band]
    for _ in range(3):
        around.append((48 + PRIOR_OBJECTS) / (exposure + PRIOR_OBJECTS / around[-1]))
    made = Background.measured("ztf", coverage)
    assert made.per_deg2_night[near] == pytest.approx(around[3])
    order_2, order_1 = near[0] // 64 * 64 + np.arange(64), near[0] // 256 * 256 + np.arange(256)
    inside = latitudes() > 41
    for cells, inner, rate in (
        (order_2, near, around[2]),
        (order_1, order_2, around[1]),
        (np.arange(CELLS), order_1, band),
    ):
        elsewhere = np.setdiff1d(cells[inside[cells]], inner)
        assert len(elsewhere)
        assert made.per_deg2_night[elsewhere] == pytest.approx(rate)
    assert made.models(near[:1])[0] == (
        "48 new objects in 54 deg2 x nights at |b| 40 to 90 deg, of 48 anywhere in 1 nights, those nearby weighted, "
        "uncertain by 13 %; fallback 0.01 per deg2 and night counts as 1 object"
    )


def test_an_old_store_has_what_it_saw_nearby():
    """A rate that has nothing to do with the fallback, three times as high in the north."""
    north = cell_centres(np.arange(CELLS), CELL_ORDER)[1] > 0
    sky = Sky.of(np.random.default_rng(5), every_night(range(10)), np.where(north, 0.6, 0.2))
    made = sky.background()
    for half, rate in ((north, 0.6), (~north, 0.2)):
        assert made.per_deg2_night[half].mean() == pytest.approx(rate, rel=0.1)
        assert made.per_deg2_night[half].std() < 0.25 * rate


def test_the_depth_is_that_of_the_stored_alerts_once_there_are_many():
    coverage = Coverage()
    coverage.measure(np.full(20_000, T0), np.random.default_rng(1).uniform(16.0, 22.0, 20_000).astype(np.float32))
    assert Background.measured("ztf", coverage).depth_mag == pytest.approx(21.75, abs=0.05)


def test_rates_are_measured_anew_each_hour_and_visits_are_always_current():
    index = AlertIndex()
    alerts = alerts_of([{"id": i, "obj": f"o{i}", "t": T0, "ra": 10, "dec": 20} for i in range(50)])
    assert index.backgrounds(T0) == {}
    index.add(alerts.take(slice(0, 1)))
    before = index.backgrounds(T0)["ztf"]
    index.add(alerts)
    index.note(alerts_of([{"id": 99, "obj": "cut", "t": T0 + DAY, "ra": 10, "dec": 20}]))
    same, later = index.backgrounds(T0)["ztf"], index.backgrounds(T0 + HOUR_US)["ztf"]
    assert same is before
    assert later.per_deg2_night.max() > same.per_deg2_night.max()
    assert len(same.visits()) == len(later.visits()) == 2
