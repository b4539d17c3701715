"""Distances of hosts against those of triggers."""

import math

import numpy as np
import pytest

from matchers.host_distance import DistanceLayers, Host, host_of, layers_of
from schemas.annotations import Annotation, Answer
from schemas.pixels import PIXEL_SR
from schemas.sky import CellTable, SkyMap
from schemas.volume import credible_level_3d, distance_of


def entry(**told):
    return Annotation(told.pop("catalogue", "glade"), told.pop("answer", Answer.FOUND), **told)


def volume(n: int = 3000, seed: int = 1) -> SkyMap:
    """Cells of order 8, densities of any height, distances about 100 to 200 Mpc; one of them has none."""
    random = np.random.default_rng(seed)
    shift = 2 * 21
    lo = (np.arange(n) + 5000) << shift
    density = random.lognormal(0, 1, n)
    density /= (density * (PIXEL_SR * (1 << shift))).sum()
    mu, sigma = random.uniform(100, 200, n), random.uniform(20, 40, n)
    norm = 1 / (mu**2 + sigma**2)
    mu[7], norm[7] = np.inf, 0.0
    return SkyMap(
        CellTable(lo, lo + (1 << shift), density, np.ones(n)), 0.0, 0.0, "", distance=np.array([mu, sigma, norm])
    )


def test_the_nearest_galaxy_with_a_distance_is_the_host():
    assert host_of(()) is None
    assert host_of([entry(answer=Answer.NONE), entry(separation_arcsec=1.0)]) is None
    assert host_of([entry(distance_mpc=50.0, star_probability=0.9)]) is None
    assert host_of([entry(distance_mpc=-3.0), entry(distance_mpc=math.inf), entry(redshift=-0.001)]) is None
    assert host_of([entry(distance_mpc=50.0, answer=Answer.FAILED)]) is None
    told = [
        entry(distance_mpc=300.0, distance_err_mpc=30.0, separation_arcsec=2.0),
        entry(redshift=0.01, separation_arcsec=1.0, star_probability=0.1, catalogue="ned"),
        entry(distance_mpc=7.0),
    ]
    found = host_of(told)
    assert found is not None
    assert found.distance_mpc == pytest.approx(float(distance_of(np.array([0.01]))[0]))
    assert found.err_mpc == 5.0
    assert host_of(reversed(told)) == found
    assert host_of(told[:1]) == Host(300.0, 30.0)
    assert host_of([entry(distance_mpc=300.0, distance_err_mpc=-1.0)]) == Host(300.0, 30.0)


def test_the_ratio_is_that_of_two_densities():
    """By hand: N(150; 150, sqrt(30^2 + 40^2)) / (150^2 + 30^2), times 1 Gpc^3 / 3."""
    lo = np.array([0])
    layers = DistanceLayers(lo, lo + 100, np.ones(1), np.array([[150.0], [30.0], [1 / (150**2 + 30**2)]]))
    normal = 1 / (50 * math.sqrt(2 * math.pi))
    expected = 0.9 * normal / (150**2 + 30**2) * 1e9 / 3 + 0.1
    assert layers.ratio(np.array([5]), [Host(150.0, 40.0)])[0] == pytest.approx(expected)
    assert expected > 100
    assert layers.ratio(np.array([5]), [Host(2000.0, 40.0)])[0] == pytest.approx(0.1)
    assert layers.ratio(np.array([200]), [Host(150.0, 40.0)])[0] == 1.0
    assert layers.mean_mpc == pytest.approx(150 * (150**2 + 3 * 30**2) / (150**2 + 30**2))


def test_levels_in_volume_are_those_of_each_place():
    skymap = volume()
    random = np.random.default_rng(4)
    rows = random.integers(0, 3000, 40)
    pixel, distance = skymap.lo[rows] + 3, random.uniform(20, 300, 40)
    nowhere = np.zeros(40)
    exact = credible_level_3d(skymap, nowhere, nowhere, pixel, distance)
    layers = layers_of(skymap)
    assert layers is not None
    hosts = [Host(each, 10.0) for each in distance.tolist()]
    assert layers.level(pixel, hosts) == pytest.approx(exact, abs=0.01)
    assert layers_of(skymap) is layers
    assert layers.level(np.array([skymap.lo[7], 0]), [Host(100.0, 1.0)] * 2).tolist() == [1.0, 1.0]


def test_a_map_of_many_cells_is_thinned():
    skymap = volume(20_000)
    layers = layers_of(skymap)
    assert layers is not None
    pixel, distance = skymap.lo[:30], np.linspace(50, 250, 30)
    exact = credible_level_3d(skymap, np.zeros(30), np.zeros(30), pixel, distance)
    found = layers.level(pixel, [Host(each, 10.0) for each in distance.tolist()])
    assert found == pytest.approx(exact, abs=0.02)


def test_layers_without_any_distance_tell_nothing():
    skymap = volume()
    assert skymap.distance is not None
    skymap.distance[2] = 0.0
    layers = layers_of(skymap)
    assert layers is not None
    assert layers.mean_mpc is None
    assert layers.ratio(skymap.lo[:1], [Host(100.0, 10.0)]).tolist() == [1.0]
    assert layers.level(skymap.lo[:1], [Host(100.0, 10.0)]).tolist() == [1.0]
    assert layers_of(SkyMap(CellTable(*np.zeros((2, 1), np.int64), np.ones(1), np.ones(1)), 0.0, 0.0, "")) is None
