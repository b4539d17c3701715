import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import BarycentricMeanEcliptic, SkyCoord
from hypothesis import given
from hypothesis import strategies as st

from bridges.simulator.sphere import (
    ecliptic_latitude_deg,
    fisher_angle_deg,
    galactic_latitude_deg,
    isotropic,
    offset,
    position_of,
    vector_of,
)

RA = st.floats(0.0, 359.999)
DEC = st.floats(-89.99, 89.99)


@given(ra=RA, dec=DEC, distance=st.floats(1e-5, 179.0), angle=st.floats(0.0, 360.0))
def test_offset_agrees_with_astropy(ra, dec, distance, angle):
    moved = SkyCoord(*offset(ra, dec, distance, angle), unit="deg")
    expected = SkyCoord(ra, dec, unit="deg").directional_offset_by(angle * u.deg, distance * u.deg)
    assert moved.separation(expected).deg < 1e-9


@given(ra=RA, dec=DEC)
def test_a_vector_and_its_position_are_one(ra, dec):
    back_ra, back_dec = position_of(vector_of(ra, dec))
    assert float(back_dec) == pytest.approx(dec, abs=1e-10)
    assert abs((float(back_ra) - ra + 180.0) % 360.0 - 180.0) * np.cos(np.radians(dec)) < 1e-10


@given(ra=RA, dec=DEC)
def test_latitudes_agree_with_astropy(ra, dec):
    point = SkyCoord(ra, dec, unit="deg")
    assert float(galactic_latitude_deg(ra, dec)) == pytest.approx(point.galactic.b.deg, abs=1e-3)
    mean = point.transform_to(BarycentricMeanEcliptic(equinox="J2000"))
    assert float(ecliptic_latitude_deg(ra, dec)) == pytest.approx(mean.lat.deg, abs=1e-3)


@pytest.mark.parametrize("kappa", [0.5, 30.0, 5e3, 1e11])
def test_distances_follow_the_fisher_density(kappa):
    random = np.random.default_rng(4)
    angles = np.radians([fisher_angle_deg(random, kappa) for _ in range(4000)])
    versine = 2.0 * np.sin(angles / 2.0) ** 2
    level = np.sort(np.expm1(-kappa * versine) / np.expm1(-2.0 * kappa))
    # Kolmogorov-Smirnov: 1.63 / sqrt(n) is exceeded by one sample in a hundred.
    assert np.abs(level - (np.arange(4000) + 0.5) / 4000).max() < 1.63 / np.sqrt(4000)


def test_isotropic_points_have_no_direction():
    ra, dec = isotropic(np.random.default_rng(1), 20_000)
    assert np.abs(vector_of(ra, dec).mean(axis=0)).max() < 4.0 / np.sqrt(3 * 20_000)
