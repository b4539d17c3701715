from dataclasses import replace

import numpy as np
import pytest

from bridges.simulator import NightPlan
from bridges.simulator.detections import NONE_NEAR, Camera, Nature, Neighbours, Source, night_number
from bridges.simulator.light_curves import OneExposure, Supernova, Variable
from bridges.simulator.survey import Visits, fields, observe
from schemas.times import US_PER_DAY, us_from_iso

PLAN = NightPlan()
ALONE = Neighbours()


@pytest.fixture
def camera():
    visits = observe(np.random.default_rng(1), PLAN.start_us, range(6), 2)
    return Camera(np.random.default_rng(2), visits)


def busiest(camera):
    field = max(camera.rows_of_field, key=lambda number: len(camera.rows_of_field[number]))
    return float(fields().ra_deg[field]), float(fields().dec_deg[field])


def steady(camera, mag, nature=Nature.SUPERNOVA):
    curve = Supernova(PLAN.start_us - 400 * US_PER_DAY, mag, rise_d=1.0, decline_mag_per_d=0.0)
    return Source(nature, "SIM", *busiest(camera), curve, ALONE)


def test_a_bright_source_is_seen_in_every_exposure_and_a_faint_one_in_none(camera):
    rows = camera.rows_at(*busiest(camera))
    assert [d.visit for d in camera.look(steady(camera, 17.0))] == rows.tolist()
    assert camera.look(steady(camera, 24.0)) == []


def test_magnitudes_scatter_as_their_errors_say(camera):
    seen = [d for _ in range(200) for d in camera.look(steady(camera, 19.0))]
    pulls = np.array([(d.mag - 19.0) / d.mag_err for d in seen])
    assert abs(pulls.mean()) < 0.2
    assert 0.7 < pulls.std() < 1.1
    offsets = [
        np.hypot((d.ra_deg - d.source.ra_deg) * np.cos(np.radians(d.dec_deg)), d.dec_deg - d.source.dec_deg)
        for d in seen
    ]
    assert 0.05 < 3600 * np.median(offsets) < 0.4


def test_a_place_outside_the_fields_is_never_seen(camera):
    far = replace(steady(camera, 15.0), dec_deg=-80.0)
    assert camera.look(far) == []
    assert len(camera.rows_at(0.0, -80.0)) == 0


def test_numbers_are_those_of_the_night_and_never_repeat(camera):
    seen = [d for _ in range(30) for d in camera.look(steady(camera, 18.0))]
    assert len({d.candid for d in seen}) == len(seen)
    for d in seen:
        assert d.candid // 1_000_000 == d.pid
        assert str(d.pid).startswith(str(night_number(d.time_us)))
        assert d.pid // 100 % 100 == d.rcid
        assert d.pid % 100 == 15
    # A real packet: night 1060, 2019-11-27.
    assert night_number(us_from_iso("2019-11-27T03:15:36")) == 1060


def test_a_camera_channel_has_room_for_999_detections():
    visits = Visits(np.array([PLAN.start_us]), np.array([300]), np.array([1]), np.array([20.8]))
    camera = Camera(np.random.default_rng(1), visits)
    place = float(fields().ra_deg[300]) + 0.4, float(fields().dec_deg[300]) + 0.4
    source = Source(Nature.ASTEROID, "SIM", *place, OneExposure(PLAN.start_us, 15.0), ALONE)
    for _ in range(999):
        camera.look(source)
    with pytest.raises(ValueError, match="too crowded"):
        camera.look(source)


def test_artefacts_look_worse_than_sources(camera):
    real = [d for _ in range(60) for d in camera.look(steady(camera, 18.0))]
    false = [d for _ in range(60) for d in camera.look(steady(camera, 18.0, Nature.ARTEFACT))]
    assert np.mean([d.is_good for d in real]) > 0.8
    assert np.mean([d.is_good for d in false]) < 0.1


def test_a_variable_is_fainter_than_its_reference_half_of_the_time(camera):
    curve = Variable(15.0, 0.8, 0.37, 0.2)
    seen = [d for _ in range(20) for d in camera.look(Source(Nature.VARIABLE, "SIM", *busiest(camera), curve, ALONE))]
    assert {d.brighter for d in seen} == {True, False}
    assert all(d.candid // 1000 % 1000 == (15 if d.brighter else 10) for d in seen)


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"real_bogus": 0.55}, False),
        ({"bad_pixels": 1}, False),
        ({"ap_minus_psf_mag": -0.1}, False),
    ],
)
def test_good_is_what_the_published_cuts_keep(camera, change, good):
    plain = replace(camera.look(steady(camera, 17.0))[0], real_bogus=0.9, bad_pixels=0, ap_minus_psf_mag=0.05)
    assert replace(plain, **change).is_good == good


@pytest.mark.parametrize("column", ["gaia_arcsec", "ps1_arcsec", "solar_system_arcsec"])
def test_good_is_away_from_neighbours(camera, column):
    plain = replace(camera.look(steady(camera, 17.0))[0], real_bogus=0.9, bad_pixels=0, ap_minus_psf_mag=0.05)
    for distance, good in ((4.999, False), (5.0, True), (NONE_NEAR, True)):
        source = replace(plain.source, neighbours=replace(ALONE, **{column: distance}))
        assert replace(plain, source=source).is_good == good


def test_chance_neighbours_are_as_dense_as_stated_and_denser_in_the_plane():
    random = np.random.default_rng(8)
    pole = [Neighbours.by_chance(random, 192.86, 27.13) for _ in range(2000)]
    plane = [Neighbours.by_chance(random, 266.4, -28.9) for _ in range(2000)]
    assert np.mean([0 <= n.ps1_arcsec < 5 for n in pole]) == pytest.approx(1 - np.exp(-np.pi * 25 * 8 / 3600), abs=0.03)
    assert np.mean([0 <= n.gaia_arcsec < 5 for n in pole]) == pytest.approx(1 - np.exp(-np.pi * 25 / 3600), abs=0.02)
    assert np.mean([0 <= n.ps1_arcsec < 5 for n in plane]) > 0.6
    assert {n.ps1_arcsec for n in pole if n.ps1_arcsec > 30} == set()
    assert any(n.ps1_arcsec == NONE_NEAR for n in pole) or any(n.gaia_arcsec == NONE_NEAR for n in pole)
