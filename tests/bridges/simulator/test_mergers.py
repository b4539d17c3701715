import base64
import json

import numpy as np
import pytest

from bridges.simulator.bursts import Event
from bridges.simulator.mergers import Arc, distance_layers, draw_map, lvk_alert, superevent_name
from schemas.pixels import pixels_of
from schemas.skymap import read_skymap, read_skymap_header
from schemas.times import us_from_iso

EVENT = Event(us_from_iso("2026-10-08T01:02:03.5"), 200.0, -35.0)
ARC = Arc(60.0, 3.0, 15.0)
INSTRUMENTS = "H1,L1,V1"
DRAWS = 25


@pytest.fixture(scope="module")
def one_map():
    return draw_map(np.random.default_rng(5), EVENT, ARC, 100.0)


def test_a_map_covers_the_sky_once_and_sums_to_one(one_map):
    order = (np.log2(one_map.uniq.astype(float)) // 2 - 1).astype(int)
    area_sr = 4 * np.pi / (12.0 * 4.0**order)
    assert area_sr.sum() == pytest.approx(4 * np.pi)
    assert (one_map.density_per_sr * area_sr).sum() == pytest.approx(1.0, abs=1e-9)
    assert len(np.unique(one_map.uniq)) == len(one_map.uniq)
    assert (one_map.density_per_sr >= 0).all()
    assert set(order) > {3, 7}


def test_the_truth_is_at_a_uniform_credible_level():
    random = np.random.default_rng(6)
    levels = []
    for _ in range(DRAWS):
        ra, dec = random.uniform(0, 360), np.degrees(np.arcsin(random.uniform(-1, 1)))
        event = Event(EVENT.time_us, float(ra), float(dec))
        skymap = read_skymap(draw_map(random, event, ARC, 100.0).to_fits("MS1", INSTRUMENTS, EVENT.time_us))
        place = np.array([ra]), np.array([dec])
        levels.append(float(skymap.credible_level(*place, pixels_of(*place))[0]))
    assert np.abs(np.sort(levels) - (np.arange(DRAWS) + 0.5) / DRAWS).max() < 1.63 / np.sqrt(DRAWS)


def test_the_map_is_read_back_as_it_was_made(one_map):
    body = one_map.to_fits("MS261008a", INSTRUMENTS, EVENT.time_us)
    header = read_skymap_header(body)
    assert header.object_name == "MS261008a"
    assert header.time_us == EVENT.time_us
    skymap = read_skymap(body)
    assert len(skymap.lo) == len(one_map.uniq)
    assert skymap.distance is not None
    # A ring of these widths: 2.3 x 2 pi sigma_across sigma_along sin(radius), by the Gaussian in two dimensions.
    expected = 2 * np.pi * 2.303 * 3.0 * 15.0 * np.sin(np.radians(60.0))
    assert skymap.area_deg2(0.9) == pytest.approx(expected, rel=0.08)
    assert body == one_map.to_fits("MS261008a", INSTRUMENTS, EVENT.time_us)


def test_distances_are_normalised_along_each_line_of_sight():
    mu, sigma, norm = distance_layers(np.array([0.1, 1.0, 3.0]), 80.0, 30.0)
    r = np.linspace(0.0, 500.0, 200_001)
    for m, s, n in zip(mu, sigma, norm, strict=True):
        density = n * r**2 * np.exp(-0.5 * ((r - m) / s) ** 2) / (s * np.sqrt(2 * np.pi))
        assert density.sum() * (r[1] - r[0]) == pytest.approx(1.0, rel=1e-4)


def test_an_alert_is_lvks_json_about_a_mock_candidate(one_map):
    alert = json.loads(lvk_alert("MS261008a", EVENT, "PRELIMINARY", EVENT.time_us + 300_000_000, one_map))
    assert alert["superevent_id"] == superevent_name(EVENT.time_us, "a") == "MS261008a"
    assert alert["time_created"] == "2026-10-08T01:07:03Z"
    assert alert["event"]["search"] == "MDC"
    assert alert["event"]["time"] == "2026-10-08T01:02:03.500Z"
    assert read_skymap(base64.b64decode(alert["event"]["skymap"])).area_deg2(0.9) > 100


def test_a_retraction_has_no_event():
    alert = json.loads(lvk_alert("MS261008a", EVENT, "RETRACTION", EVENT.time_us, None))
    assert alert["event"] is None
    assert alert["alert_type"] == "RETRACTION"
