"""Credible levels in volume, and distances of redshifts.

A map with distance layers is a density in volume: on each line of sight dP/dV = PROBDENSITY x DISTNORM x N(r; DISTMU,
DISTSIGMA) per Mpc^3, N the normal density (Singer et al. 2016, ApJL 829, L15). There r is the luminosity distance and
the volume element r^2 dr dOmega, as ligo.skymap's `crossmatch` has it without a cosmology.
"""

import math
from functools import cache

import numpy as np
from astropy.cosmology import Planck18

from schemas.pixels import PIXEL_SR, Array, Pixels
from schemas.sky import SkyMap, rows_holding

_LIGHT_KM_S = 299_792.458
_NODES = 64
"""Gauss-Legendre nodes up to a redshift: good to 1e-9 up to 10."""
_TABLED_SIGMAS = 9.0
_TABLE_STEP = 1e-3
"""Linear interpolation of the normal distribution between such steps is good to 3e-8."""


def credible_level_3d(
    skymap: SkyMap,
    ra_deg: Array,  # noqa: ARG001 - a position has three names, as everywhere
    dec_deg: Array,  # noqa: ARG001
    pixel: Pixels,
    distance_mpc: Array,
) -> Array:
    """Credible level in volume: the probability of all places where dP/dV is higher than at these.

    It is the exact integral over each cell, but for the normal distribution, which is interpolated to 3e-8.

    Parameters
    ----------
    skymap
        One with distance layers.
    ra_deg, dec_deg, pixel
        Positions. Shape (n,).
    distance_mpc
        Luminosity distance of each.

    Returns
    -------
    Array
        Shape (n,); 1 where dP/dV is 0, such as outside the map and where it has no distances.

    Raises
    ------
    ValueError
        If the map has no distance layers at all.
    """
    if skymap.distance is None:
        raise ValueError(f"this map has no distances: {skymap.model}")
    mu, sigma, norm = skymap.distance
    # DISTMU is infinite (and the others 0 or anything) where nothing is known of the distance.
    known = np.isfinite(skymap.distance).all(axis=0) & (sigma > 0) & (norm > 0) & (skymap.cell_density_per_sr > 0)
    lo, hi, density = skymap.lo[known], skymap.hi[known], skymap.cell_density_per_sr[known]
    mu, sigma, norm = mu[known], sigma[known], norm[known]
    held = density * ((hi - lo) * PIXEL_SR)
    log_peak = np.log(density) + np.log(norm) - np.log(sigma)  # the densities themselves underflow
    rows, inside = rows_holding(lo, hi, pixel)
    levels = np.ones(len(pixel))
    for place in np.flatnonzero(inside & (distance_mpc > 0)):
        row = rows[place]
        offset = (distance_mpc[place] - mu[row]) / sigma[row]
        # So many sigmas from the middle it is as dense on every line of sight; farther, less.
        reach = np.sqrt(2 * np.maximum(log_peak - log_peak[row] + offset**2 / 2, 0.0))
        near = np.maximum(-reach, -mu / sigma)
        between = _second_moment(np.maximum(reach, near), mu, sigma) - _second_moment(near, mu, sigma)
        levels[place] = (held * np.clip(norm * between, 0.0, 1.0)).sum()
    return np.minimum(levels, 1.0)


def distance_of(redshift: Array) -> Array:
    """Luminosity distance in Mpc, for the cosmology of Planck 2018 (A&A 641, A6; H0 = 67.66 km/s/Mpc, flat).

    Peculiar velocities, some 300 km/s or 4 Mpc, are not known here: at small redshifts they dominate.

    Raises
    ------
    ValueError
        If a redshift is negative or no number.
    """
    redshift = np.atleast_1d(np.asarray(redshift, np.float64))
    if not (redshift >= 0).all():
        raise ValueError(f"a redshift is {redshift.min()}, expected 0 or more")
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    at = redshift[:, None] / 2 * (nodes + 1)
    integral = redshift / 2 * (Planck18.inv_efunc(at) * weights).sum(axis=1)
    return np.asarray((1 + redshift) * _LIGHT_KM_S / Planck18.H0.value * integral)


def _second_moment(z: Array, mu: Array, sigma: Array) -> Array:
    """Integral of r^2 times the normal density from minus infinity up to r = mu + z sigma."""
    normal = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return np.asarray(
        (mu**2 + sigma**2) * np.interp(z, *_normal_distribution()) - sigma * (2 * mu + sigma * z) * normal
    )


@cache
def _normal_distribution() -> tuple[Array, Array]:
    """Points in units of sigma, and the probability below each."""
    points = np.arange(-_TABLED_SIGMAS, _TABLED_SIGMAS, _TABLE_STEP)
    return points, np.array([math.erfc(-point / math.sqrt(2)) / 2 for point in points])
