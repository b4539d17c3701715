"""Points on the sphere: drawing, offsetting and naming them. Degrees throughout, arrays welcome."""

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.float64]

_OBLIQUITY_DEG = 23.4393
_GALACTIC_POLE_DEG = (192.85948, 27.12825)
"""North Galactic pole, J2000 (Reid & Brunthaler 2004, ApJ 616, 872)."""


def vector_of(ra_deg: Any, dec_deg: Any) -> Array:
    """Unit vectors, shape (..., 3)."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def position_of(vector: Array) -> tuple[Array, Array]:
    """RA in [0, 360) and declination of vectors of shape (..., 3), which need not be of unit length."""
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))


def isotropic(random: Generator, n: int) -> tuple[Array, Array]:
    """`n` positions without a preferred direction."""
    return random.uniform(0.0, 360.0, n), np.degrees(np.arcsin(random.uniform(-1.0, 1.0, n)))


def offset(ra_deg: float, dec_deg: float, separation_deg: float, position_angle_deg: float) -> tuple[float, float]:
    """The point at a distance and an angle (from north through east) from another."""
    centre = vector_of(ra_deg, dec_deg)
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    east = np.array([-np.sin(ra), np.cos(ra), 0.0])
    north = np.array([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)])
    angle, distance = np.radians(position_angle_deg), np.radians(separation_deg)
    away = np.cos(angle) * north + np.sin(angle) * east
    moved_ra, moved_dec = position_of(np.cos(distance) * centre + np.sin(distance) * away)
    return float(moved_ra), float(moved_dec)


def fisher_angle_deg(random: Generator, kappa: float) -> float:
    """Distance from its centre of a point drawn from a Fisher density of this concentration, 0 to 180 deg.

    The cumulative distribution of the versine is inverted exactly (Fisher 1953, Proc. R. Soc. A 217, 295).
    """
    versine = -np.log1p(random.uniform() * np.expm1(-2.0 * kappa)) / kappa
    return float(np.degrees(2.0 * np.arcsin(np.sqrt(min(versine / 2.0, 1.0)))))


def galactic_latitude_deg(ra_deg: Any, dec_deg: Any) -> Array:
    """Galactic latitude."""
    pole = vector_of(*_GALACTIC_POLE_DEG)
    return np.asarray(90.0 - np.degrees(np.arccos(np.clip(vector_of(ra_deg, dec_deg) @ pole, -1.0, 1.0))))


def ecliptic_latitude_deg(ra_deg: Any, dec_deg: Any) -> Array:
    """Ecliptic latitude."""
    tilt = np.radians(_OBLIQUITY_DEG)
    pole = np.array([0.0, -np.sin(tilt), np.cos(tilt)])
    return np.asarray(90.0 - np.degrees(np.arccos(np.clip(vector_of(ra_deg, dec_deg) @ pole, -1.0, 1.0))))
