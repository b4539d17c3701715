"""The one geometry: order-29 NESTED HEALPix pixels, and regions as intervals of them.

A position is one int64 pixel. A region is sorted, disjoint, half-open intervals of pixels
that *cover* it, and an exact test for what lies on its border. A `SkyMap` is such intervals with a
density and a credible level each.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pixels = NDArray[np.int64]

ORDER = 29
PIXEL_COUNT = 12 << (2 * ORDER)
"""Number of order-29 pixels on the sphere."""


def pixels_of(ra_deg: Array, dec_deg: Array) -> Pixels:
    """Order-29 NESTED pixel of each position (ICRS, degrees). Shape (n,) in and out."""
    raise NotImplementedError


def separation_deg(ra1_deg: Array, dec1_deg: Array, ra2_deg: float, dec2_deg: float) -> Array:
    """Great-circle distance in degrees, accurate from 0 to 180 deg (Vincenty's formula)."""
    raise NotImplementedError


class Region(Protocol):
    """A part of the sky: intervals that cover it and an exact test."""

    @property
    def lo(self) -> Pixels:
        """First pixel of each covering interval, sorted."""

    @property
    def hi(self) -> Pixels:
        """One past the last pixel of each interval; intervals are disjoint."""

    def contains(self, ra_deg: Array, dec_deg: Array, pixel: Pixels) -> NDArray[np.bool_]:
        """Whether each position lies inside, exactly; positions may lie outside the cover."""


class Shape(Protocol):
    """A density known in closed form, so that level and density are exact at any point."""

    def density_per_sr(self, ra_deg: Array, dec_deg: Array) -> Array: ...

    def credible_level(self, ra_deg: Array, dec_deg: Array) -> Array: ...

    def area_deg2(self, level: float) -> float: ...


@dataclass(frozen=True, slots=True, eq=False)
class SkyMap:
    """Probability density of a trigger's position.

    Attributes
    ----------
    lo, hi
        Sorted, disjoint, half-open order-29 intervals, shape (n,).
    cell_density_per_sr
        Density of each interval; the sum of density times solid angle is 1 for gridded maps.
    cell_level
        Credible level of each interval: cumulative probability in descending density, the
        interval itself included.
    peak_ra_deg, peak_dec_deg
        The most probable position.
    model
        A sentence: which localisation model was applied.
    shape
        The closed form where there is one; then it, not the cells, answers `density_per_sr` and
        `credible_level`, and the cells are a picture and cover of it.
    distance
        DISTMU, DISTSIGMA (Mpc) and DISTNORM (Mpc^-2) of each interval, shape (3, n); None without.
    warnings
        What was odd about the input.
    """

    lo: Pixels
    hi: Pixels
    cell_density_per_sr: Array
    cell_level: Array
    peak_ra_deg: float
    peak_dec_deg: float
    model: str
    shape: Shape | None = None
    distance: Array | None = None
    warnings: tuple[str, ...] = ()

    def density_per_sr(self, ra_deg: Array, dec_deg: Array, pixel: Pixels) -> Array:
        """Density at each position; 0 outside the map."""
        raise NotImplementedError

    def credible_level(self, ra_deg: Array, dec_deg: Array, pixel: Pixels) -> Array:
        """Credible level at each position; 1 outside the map."""
        raise NotImplementedError

    def area_deg2(self, level: float) -> float:
        """Area of the smallest region that holds probability `level`."""
        raise NotImplementedError

    def credible_region(self, level: float) -> Region:
        """All positions with credible level <= `level`."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, eq=False)
class Circle:
    """All positions within `radius_deg` of a centre, the border included. A `Region`."""

    ra_deg: float
    dec_deg: float
    radius_deg: float
    lo: Pixels
    hi: Pixels

    @classmethod
    def around(cls, ra_deg: float, dec_deg: float, radius_deg: float) -> "Circle":
        """The circle with intervals that surely cover it, for 0 < radius <= 180 deg."""
        raise NotImplementedError

    def contains(self, ra_deg: Array, dec_deg: Array, pixel: Pixels) -> NDArray[np.bool_]:
        """Exact: separation <= radius."""
        raise NotImplementedError
