"""The one geometry: order-29 NESTED HEALPix pixels, and regions as intervals of them.

A position is one int64 pixel. A region is sorted, disjoint, half-open intervals of pixels
that *cover* it, and an exact test for what lies on its border. A `SkyMap` is such intervals with a
density and a credible level each.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.pixels import (
    DEG2_PER_SR,
    ORDER,
    PIXEL_COUNT,
    PIXEL_SR,
    Array,
    Pixels,
    cell_centres,
    graded_cover,
    merge,
    pixels_of,
    separation_deg,
)
from schemas.shapes import Fisher

__all__ = [
    "ORDER",
    "PIXEL_COUNT",
    "Array",
    "Cap",
    "Cells",
    "Circle",
    "Contour",
    "Pixels",
    "Region",
    "Shape",
    "SkyMap",
    "cap_of",
    "inner_of",
    "pixels_of",
    "rows_holding",
    "separation_deg",
    "skymap_of_cells",
]


class Region(Protocol):
    """A part of the sky: intervals that cover it and an exact test.

    One that knows more says so by two more attributes, which spare exact tests: see `inner_of` and `cap_of`.
    """

    @property
    def lo(self) -> Pixels:
        """First pixel of each covering interval, sorted."""

    @property
    def hi(self) -> Pixels:
        """One past the last pixel of each interval; intervals are disjoint."""

    def contains(self, ra_deg: Array, dec_deg: Array, pixel: Pixels) -> NDArray[np.bool_]:
        """Whether each position lies inside, exactly; positions may lie outside the cover."""


class Cap(NamedTuple):
    """What is certain of a region that is a circle, by a position's versine 1 - cos(distance) from the centre.

    Positions whose versine is at most `surely_within` lie inside, those above `surely_beyond` do not.
    """

    ra_deg: float
    dec_deg: float
    surely_within: float
    surely_beyond: float


def inner_of(region: Region) -> tuple[Pixels, Pixels]:
    """Sorted, disjoint, half-open intervals in which every position lies inside the region; none if it does not say."""
    return getattr(region, "inner_lo", _nowhere()), getattr(region, "inner_hi", _nowhere())


def cap_of(region: Region) -> Cap | None:
    """What is certain of a circle; None if the region is no circle or does not say."""
    cap: Cap | None = getattr(region, "cap", None)
    return cap


def _nowhere() -> Pixels:
    return np.zeros(0, np.int64)


class Shape(Protocol):
    """A density known in closed form, so that level and density are exact at any point."""

    def density_per_sr(self, ra_deg: Array, dec_deg: Array) -> Array:
        """Density at each position."""

    def credible_level(self, ra_deg: Array, dec_deg: Array) -> Array:
        """Credible level of each position: probability where the density is higher."""

    def level_bounds(self, ra_deg: Array, dec_deg: Array, radius_deg: float) -> tuple[Array, Array]:
        """Lower and upper bound of the credible level within a radius of each position."""

    def density_bounds(self, ra_deg: Array, dec_deg: Array, radius_deg: Array | float) -> tuple[Array, Array]:
        """Lower and upper bound of the density within a radius of each position."""

    def area_deg2(self, level: float) -> float:
        """Area inside the contour of this level."""


class CellTable(NamedTuple):
    """Cells of a density, as columns of shape (n,).

    Attributes
    ----------
    lo, hi
        Sorted, disjoint, half-open order-29 intervals.
    density_per_sr
        Density of each interval; the sum of density times solid angle is 1 for gridded maps.
    level
        Credible level of each interval: cumulative probability in descending density, the
        interval itself included.
    """

    lo: Pixels
    hi: Pixels
    density_per_sr: Array
    level: Array


@dataclass(frozen=True, eq=False)
class SkyMap:
    """Probability density of a trigger's position.

    Attributes
    ----------
    cells
        The cells, or what makes them: those of a closed form are only for pictures, and take longer to make than
        all that matching asks of it.
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

    cells: CellTable | Callable[[], CellTable]
    peak_ra_deg: float
    peak_dec_deg: float
    model: str
    shape: Shape | None = None
    distance: Array | None = None
    warnings: tuple[str, ...] = ()

    @cached_property
    def _table(self) -> CellTable:
        return self.cells if isinstance(self.cells, CellTable) else self.cells()

    @property
    def lo(self) -> Pixels:
        """First pixel of each cell."""
        return self._table.lo

    @property
    def hi(self) -> Pixels:
        """One past the last pixel of each cell."""
        return self._table.hi

    @property
    def cell_density_per_sr(self) -> Array:
        """Density of each cell."""
        return self._table.density_per_sr

    @property
    def cell_level(self) -> Array:
        """Credible level of each cell."""
        return self._table.level

    def density_per_sr(self, ra_deg: Array, dec_deg: Array, pixel: Pixels) -> Array:
        """Density at each position; 0 outside the map."""
        if self.shape is not None:
            return self.shape.density_per_sr(ra_deg, dec_deg)
        rows, inside = rows_holding(self.lo, self.hi, pixel)
        return np.where(inside, self.cell_density_per_sr[rows], 0.0)

    def credible_level(self, ra_deg: Array, dec_deg: Array, pixel: Pixels) -> Array:
        """Credible level at each position; 1 outside the map."""
        if self.shape is not None:
            return self.shape.credible_level(ra_deg, dec_deg)
        rows, inside = rows_holding(self.lo, self.hi, pixel)
        return np.where(inside, self.cell_level[rows], 1.0)

    def area_deg2(self, level: float) -> float:
        """Area of the smallest region that holds probability `level`.

        Of a gridded map it is the area of the cells in descending density, up to and including the one with
        which their probability reaches `level`; that one's own level may be above `level`, so that
        `credible_region` can be one cell smaller.
        """
        if self.shape is not None:
            return self.shape.area_deg2(level)
        reached = self.cell_level[self.cell_level >= level]
        crossing = reached.min() if reached.size else self.cell_level.max()
        used = self.cell_level <= crossing
        return float((self.hi[used] - self.lo[used]).sum(dtype=np.float64) * PIXEL_SR * DEG2_PER_SR)

    def credible_region(self, level: float) -> Region:
        """All positions with credible level <= `level`."""
        if self.shape is not None:
            return Contour(self.shape, level, *graded_cover(self.shape.level_bounds, level))
        used = self.cell_level <= level
        return Cells(*merge(self.lo[used], self.hi[used]))


def skymap_of_cells(
    lo: Pixels,
    hi: Pixels,
    probability: Array,
    model: str,
    distance: Array | None = None,
    warnings: tuple[str, ...] = (),
) -> SkyMap:
    """The map of whole HEALPix cells, with levels by descending density; equally dense cells count as they are sorted.

    Parameters
    ----------
    lo, hi
        Sorted, disjoint, half-open order-29 intervals, each one cell.
    probability
        Of each cell, up to a common factor, positive.
    model, distance, warnings
        As in `SkyMap`.
    """
    density = probability / ((hi - lo) * PIXEL_SR)
    density /= probability.sum()
    descending = np.argsort(-density, kind="stable")
    cumulative = np.cumsum(probability[descending])
    level = np.empty_like(density)
    level[descending] = cumulative / cumulative[-1]
    peak = descending[0]
    order = ORDER - (int(hi[peak] - lo[peak]).bit_length() - 1) // 2
    ra, dec = cell_centres(lo[peak : peak + 1] >> 2 * (ORDER - order), order)
    return SkyMap(CellTable(lo, hi, density, level), float(ra[0]), float(dec[0]), model, None, distance, warnings)


@dataclass(frozen=True, slots=True, eq=False)
class Circle:
    """All positions within `radius_deg` of a centre, the border included. A `Region`."""

    ra_deg: float
    dec_deg: float
    radius_deg: float
    lo: Pixels
    hi: Pixels
    inner_lo: Pixels = field(default_factory=_nowhere)
    inner_hi: Pixels = field(default_factory=_nowhere)

    @property
    def cap(self) -> Cap:
        """See `cap_of`."""
        versine = float(2 * np.sin(np.radians(self.radius_deg) / 2) ** 2)
        return Cap(self.ra_deg, self.dec_deg, versine, versine)

    @classmethod
    def around(cls, ra_deg: float, dec_deg: float, radius_deg: float) -> "Circle":
        """The circle with intervals that surely cover it, for 0 < radius <= 180 deg.

        Raises
        ------
        ValueError
            If the radius is outside that range or the centre is no position.

        Examples
        --------
        >>> circle = Circle.around(ra_deg=359.9, dec_deg=0.0, radius_deg=0.2)
        >>> ra_deg, dec_deg = np.array([0.05, 0.2]), np.zeros(2)
        >>> circle.contains(ra_deg, dec_deg, pixels_of(ra_deg, dec_deg)).tolist()
        [True, False]
        """
        if not 0 < radius_deg <= 180:  # noqa: PLR2004 - degrees
            raise ValueError(f"radius of a circle is {radius_deg} deg, expected 0 < radius <= 180")
        if not (np.isfinite(ra_deg) and -90 <= dec_deg <= 90):  # noqa: PLR2004 - degrees
            raise ValueError(f"centre of a circle is ({ra_deg}, {dec_deg}) deg, expected a position")

        def bounds(ra: Array, dec: Array, radius: float) -> tuple[Array, Array]:
            distance = separation_deg(ra, dec, ra_deg, dec_deg)
            return distance - radius, np.minimum(distance + radius, 180)

        return cls(ra_deg, dec_deg, radius_deg, *graded_cover(bounds, radius_deg))

    def contains(self, ra_deg: Array, dec_deg: Array, pixel: Pixels) -> NDArray[np.bool_]:  # noqa: ARG002 - a Region
        """Exact: separation <= radius."""
        return separation_deg(ra_deg, dec_deg, self.ra_deg, self.dec_deg) <= self.radius_deg


@dataclass(frozen=True, slots=True, eq=False)
class Contour:
    """All positions of a shape with credible level <= `level`. A `Region`."""

    shape: Shape
    level: float
    lo: Pixels
    hi: Pixels
    inner_lo: Pixels = field(default_factory=_nowhere)
    inner_hi: Pixels = field(default_factory=_nowhere)

    @property
    def cap(self) -> Cap | None:
        """See `cap_of`; for a sum of Fisher densities about one centre."""
        if not isinstance(self.shape, Fisher):
            return None
        return Cap(self.shape.ra_deg, self.shape.dec_deg, *self.shape.versine_bounds(self.level))

    def contains(self, ra_deg: Array, dec_deg: Array, pixel: Pixels) -> NDArray[np.bool_]:  # noqa: ARG002 - a Region
        """Exact: by the level of the position itself."""
        return self.shape.credible_level(ra_deg, dec_deg) <= self.level


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Whole cells of a map: a `Region` that its intervals are exactly."""

    lo: Pixels
    hi: Pixels

    @property
    def inner_lo(self) -> Pixels:
        """See `inner_of`: all cells are whole."""
        return self.lo

    @property
    def inner_hi(self) -> Pixels:
        """See `inner_of`."""
        return self.hi

    def contains(self, ra_deg: Array, dec_deg: Array, pixel: Pixels) -> NDArray[np.bool_]:  # noqa: ARG002 - a Region
        """Exact: whether the pixel lies in an interval."""
        return rows_holding(self.lo, self.hi, pixel)[1]


def rows_holding(lo: Pixels, hi: Pixels, pixel: Pixels) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """For each pixel the interval that it could lie in, and whether it does. Where it does not, the row must not be
    used."""
    rows = np.searchsorted(lo, pixel, side="right") - 1
    if not lo.size:
        return rows, np.zeros(rows.shape, bool)
    return rows, (rows >= 0) & (pixel < hi[rows])
