import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.pixels import separation_deg
from schemas.point_index import RADIUS_MAX_DEG, PointIndex

RADII = st.one_of(st.floats(0, 1e-6), st.floats(1e-6, 0.1), st.floats(0.1, RADIUS_MAX_DEG))
CENTRES = st.tuples(st.floats(0, 359.99), st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, 90.0, 41.8103149])))


def around(centre, radius_deg, seed, points=300):
    """Points at all distances up to three times the radius, and some anywhere."""
    random = np.random.default_rng(seed)
    ra_deg, dec_deg = centre
    away = np.radians(random.uniform(0, min(3 * radius_deg, 180), points))
    angle = random.uniform(0, 2 * np.pi, points)
    dec = np.arcsin(
        np.sin(np.radians(dec_deg)) * np.cos(away) + np.cos(np.radians(dec_deg)) * np.sin(away) * np.cos(angle)
    )
    across = np.sin(angle) * np.sin(away) * np.cos(np.radians(dec_deg))
    ra = np.radians(ra_deg) + np.arctan2(across, np.cos(away) - np.sin(np.radians(dec_deg)) * np.sin(dec))
    anywhere = random.uniform(0, 360, 99), np.degrees(np.arcsin(random.uniform(-1, 1, 99)))
    return np.concatenate([np.degrees(ra) % 360, anywhere[0]]), np.concatenate([np.degrees(dec), anywhere[1]])


@given(st.lists(CENTRES, min_size=1, max_size=4), RADII, st.integers(0, 2**32))
def test_all_points_within_the_radius_are_found_and_no_others(centres, radius_deg, seed):
    ra_deg, dec_deg = around(centres[0], radius_deg, seed)
    index, order = PointIndex.of(ra_deg, dec_deg)
    assert np.array_equal(index.ra_deg, ra_deg[order])
    near = index.within(*np.array(centres).T, radius_deg)
    for number, (ra, dec) in enumerate(centres):
        away_deg = separation_deg(index.ra_deg, index.dec_deg, ra, dec)
        mine = near.asked == number
        assert sorted(near.row[mine].tolist()) == np.flatnonzero(away_deg <= radius_deg).tolist()
        assert near.separation_deg[mine].tolist() == sorted(away_deg[away_deg <= radius_deg].tolist())


def test_the_nearest_and_the_number_of_each():
    index, _ = PointIndex.of(np.array([10.0, 10.0, 50.0]), np.array([0.3, 0.1, 50.0]))
    near = index.within(np.array([10.0, 200.0, 50.0]), np.array([0.0, 0.0, 50.0]), 1.0)
    assert near.counts(3).tolist() == [2, 0, 1]
    nearest = near.nearest()
    assert nearest.asked.tolist() == [0, 2]
    assert nearest.separation_deg.tolist() == pytest.approx([0.1, 0.0])
    assert index.dec_deg[nearest.row].tolist() == [0.1, 50.0]


def test_many_candidates_are_measured_in_steps(monkeypatch):
    ra_deg, dec_deg = around((80.0, 10.0), 2.0, 7, 5000)
    index, _ = PointIndex.of(ra_deg, dec_deg)
    asked = np.linspace(79, 81, 9), np.linspace(9, 11, 9)
    whole = index.within(*asked, 1.0)
    monkeypatch.setattr("schemas.point_index._FOUND_AT_ONCE", 10)
    for one, other in zip(index.within(*asked, 1.0), whole, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("points", [0, 5])
@pytest.mark.parametrize("positions", [0, 3])
def test_none_are_near_where_there_are_none(points, positions):
    index, _ = PointIndex.of(np.zeros(points), np.zeros(points))
    assert len(index) == points
    near = index.within(np.full(positions, 90.0), np.zeros(positions), 0.5)
    assert len(near.row) == len(near.nearest().row) == 0
    assert near.counts(positions).tolist() == [0] * positions


@pytest.mark.parametrize("radius_deg", [-1e-9, np.nan, RADIUS_MAX_DEG + 1])
def test_a_radius_that_cannot_be_asked(radius_deg):
    with pytest.raises(ValueError, match="expected 0 to"):
        PointIndex.of(np.zeros(1), np.zeros(1))[0].within(np.zeros(1), np.zeros(1), radius_deg)


def test_a_position_that_is_none():
    with pytest.raises(ValueError, match="not finite"):
        PointIndex.of(np.zeros(1), np.zeros(1))[0].within(np.array([np.nan]), np.zeros(1), 1.0)
