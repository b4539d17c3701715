"""Contours: known answers, at poles, across RA 0, and on whole skies."""

import itertools

import numpy as np
import pytest

from broker.web.contours import contours
from schemas.densities import skymap_of
from schemas.localisation import Annulus, Cone, Systematics
from schemas.sky import pixels_of, separation_deg
from schemas.skymap import read_skymap
from tests.schemas.maps import blob, flat


def cone(ra_deg, dec_deg, radius_deg):
    return skymap_of(Cone(ra_deg, dec_deg, radius_deg, 0.9, Systematics.INCLUDED))


def points(feature):
    return np.array([point for line in feature["geometry"]["coordinates"] for point in line])


@pytest.mark.parametrize(
    ("ra_deg", "dec_deg", "radius_deg"),
    [
        (150.0, -12.0, 3.0), (0.0, 0.0, 5.0), (359.9, 45.0, 2.0), (10.0, 90.0, 4.0), (200.0, -90.0, 10.0),
        (77.0, 89.5, 3.0), (180.0, 10.0, 30.0), (0.3, -60.0, 0.001), (120.0, 20.0, 60.0), (30.0, 30.0, 90.0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("level", [0.5, 0.9])
def test_a_circles_contour_lies_at_its_radius(ra_deg, dec_deg, radius_deg, level):
    skymap = cone(ra_deg, dec_deg, radius_deg)
    (feature,) = contours(skymap, [level])
    line = points(feature)
    assert np.all((line[:, 0] >= -180) & (line[:, 0] <= 180))
    ra = line[:, 0] % 360
    apart = separation_deg(ra, line[:, 1], ra_deg, dec_deg)
    expected = radius_deg * np.sqrt(np.log(1 - level) / np.log(0.1)) if radius_deg < 20 else np.median(apart)
    rounding_deg = 2e-5
    assert apart == pytest.approx(expected, rel=0.02, abs=rounding_deg)
    levels = skymap.credible_level(ra, line[:, 1], pixels_of(ra, line[:, 1]))
    if radius_deg > 0.01:
        assert levels == pytest.approx(level, abs=0.03)
    assert feature["properties"]["credible_level"] == level
    assert feature["properties"]["area_deg2"] == pytest.approx(skymap.area_deg2(level), abs=1e-4)
    bearing = np.degrees(np.arctan2(np.sin(np.radians(ra - ra_deg)), np.cos(np.radians(ra - ra_deg))))
    if abs(dec_deg) < 80 and radius_deg < 10:
        assert bearing.min() < 0 < bearing.max()


def steps_deg(line):
    line = np.array(line)
    return separation_deg(line[1:, 0] % 360, line[1:, 1], line[:-1, 0] % 360, line[:-1, 1])


@pytest.mark.parametrize("sigma_deg", [1.0, 10.0, 40.0])
@pytest.mark.parametrize(("ra_deg", "dec_deg"), [(0.0, 0.0), (180.0, 89.0), (270.0, -45.0)])
def test_a_maps_contour_is_made_of_short_steps_around_its_region(sigma_deg, ra_deg, dec_deg):
    skymap = read_skymap(flat(blob(6, ra_deg, dec_deg, sigma_deg)))
    for feature in contours(skymap, [0.5, 0.9]):
        lines = feature["geometry"]["coordinates"]
        assert lines
        assert max(steps_deg(line).max() for line in lines) < 5
        line = points(feature)
        ra = line[:, 0] % 360
        apart = separation_deg(ra, line[:, 1], ra_deg, dec_deg)
        level = feature["properties"]["credible_level"]
        radius = np.degrees(np.arccos(1 + np.radians(sigma_deg) ** 2 * np.log(1 - level)))
        if sigma_deg <= 10:
            assert np.median(apart) == pytest.approx(radius, rel=0.1, abs=0.7)


def test_a_ring_has_two_contours():
    skymap = skymap_of(Annulus(40.0, 10.0, 30.0, 1.0, 0.9))
    (feature,) = contours(skymap, [0.9])
    line = points(feature)
    apart = separation_deg(line[:, 0] % 360, line[:, 1], 40.0, 10.0)
    inner, outer = apart[apart < 30], apart[apart > 30]
    assert np.median(inner) == pytest.approx(29, abs=0.5)
    assert np.median(outer) == pytest.approx(31, abs=0.5)


def test_a_whole_sky_has_a_contour_or_none_but_no_failure():
    for body in (flat(np.full(12 * 64, 1 / (12 * 64))), flat(blob(4, sigma_deg=400.0))):
        features = contours(read_skymap(body), [0.1, 0.5, 0.9, 0.99])
        assert len(features) == 4
        for line in itertools.chain.from_iterable(feature["geometry"]["coordinates"] for feature in features):
            assert len(line) > 1
            assert np.isfinite(np.array(line)).all()
