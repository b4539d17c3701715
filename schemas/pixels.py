"""Positions, order-29 NESTED pixels, and intervals of pixels that surely cover a part of the sky.

Every pixel comes from cdshealpix: libraries disagree on about one position in a million, and on exact
corners, so both sides of a comparison must ask the same one.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from astropy import units as u
from astropy.coordinates import Longitude
from cdshealpix import cdshealpix as compiled  # without `nested` around it, whose units take longer than the pixels
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pixels = NDArray[np.int64]
Bounds = Callable[[Array, Array, float], tuple[Array, Array]]
"""``bounds(ra_deg, dec_deg, radius_deg)``: no value within the radius of a position is below the first
or above the second result."""

ORDER = 29
PIXEL_COUNT = 12 << (2 * ORDER)
"""Number of order-29 pixels on the sphere."""
PIXEL_SR = 4 * np.pi / PIXEL_COUNT
"""Solid angle of one order-29 pixel."""
DEG2_PER_SR = (180 / np.pi) ** 2

_CELL_RADIUS_DEG = 61.3
"""At order k no point of a cell is further from its centre than this over 2^k. The exact value is the distance
from the centre to the farthest corner; it grows from 48.19 at order 0 towards 61.25."""
_BORDER_CELLS = 256
"""A cover is refined until its border has so many cells (for a circle they are then about a 24th of its radius) and
takes no more of the sky than its inside, as that of a thin ring would; or has `_MOST_BORDER_CELLS`."""
_MOST_BORDER_CELLS = 16_384
_TABULATED_ORDER = 6
"""Centres of all cells up to this order are kept (1 MB): each call of the library starts a thread, which takes longer
than to work out the centres of the few cells that a cover begins with."""
_BASE_CELLS = 12
_ONE_THREAD = np.uint16(1)


def pixels_of(ra_deg: Array, dec_deg: Array) -> Pixels:
    """Order-29 NESTED pixel of each position (ICRS, degrees). Shape (n,) in and out.

    Raises
    ------
    ValueError
        If a coordinate is not finite or a declination is outside [-90, 90].
    """
    ra_deg, dec_deg = np.atleast_1d(np.asarray(ra_deg, np.float64)), np.atleast_1d(np.asarray(dec_deg, np.float64))
    if ra_deg.shape != dec_deg.shape:
        raise ValueError(f"{ra_deg.size} right ascensions but {dec_deg.size} declinations")
    if not ra_deg.size:
        return np.zeros(0, np.int64)
    # cdshealpix gives a valid-looking pixel for NaN.
    if not (np.isfinite(ra_deg).all() and np.isfinite(dec_deg).all()):
        raise ValueError("a position is not finite")
    if np.abs(dec_deg).max() > 90:  # noqa: PLR2004 - degrees
        raise ValueError("a declination is outside [-90, 90] deg")
    if ra_deg.min() < 0 or ra_deg.max() >= 360:  # noqa: PLR2004 - degrees
        ra_deg = Longitude(ra_deg, u.deg).deg
    pixel, across, up = np.empty(ra_deg.shape, np.uint64), np.empty(ra_deg.shape), np.empty(ra_deg.shape)
    order = np.full(ra_deg.shape, ORDER, np.uint8)
    compiled.lonlat_to_healpix(order, np.radians(ra_deg), np.radians(dec_deg), pixel, across, up, _ONE_THREAD)
    return pixel.astype(np.int64)


def cell_centres(cells: Pixels, order: int | NDArray[np.uint8]) -> tuple[Array, Array]:
    """Right ascension and declination (deg) of the centres of NESTED cells. Shape (n,).

    Raises
    ------
    ValueError
        If there is no such cell.
    """
    if not cells.size:
        return np.zeros(0), np.zeros(0)
    if isinstance(order, int) and order <= _TABULATED_ORDER:
        ra_deg, dec_deg = _all_centres(order)
        return ra_deg[cells], dec_deg[cells]
    return _centres(cells, order)


@cache
def _all_centres(order: int) -> tuple[Array, Array]:
    return _centres(np.arange(12 << 2 * order), order)


def _centres(cells: Pixels, order: int | NDArray[np.uint8]) -> tuple[Array, Array]:
    orders = np.full(cells.shape, order, np.uint8)
    base = cells >> 2 * orders.astype(np.int64)
    if base.min() < 0 or base.max() >= _BASE_CELLS:
        raise ValueError(f"no cells of a sphere: they begin at {cells.min()} and end at {cells.max()}")
    lon, lat = np.empty(cells.shape), np.empty(cells.shape)
    compiled.healpix_to_lonlat(orders, cells.astype(np.uint64), 0.5, 0.5, lon, lat, _ONE_THREAD)
    return np.degrees(lon), np.degrees(lat)


def cell_radius_deg(order: int) -> float:
    """An angle that no point of a cell of this order exceeds from the cell's centre."""
    return float(_CELL_RADIUS_DEG / (1 << order))


def separation_deg(ra1_deg: Array, dec1_deg: Array, ra2_deg: float | Array, dec2_deg: float | Array) -> Array:
    """Great-circle distance in degrees, accurate from 0 to 180 deg (Vincenty's formula)."""
    d_ra = np.radians(np.asarray(ra1_deg, np.float64) - ra2_deg)
    dec1, dec2 = np.radians(np.asarray(dec1_deg, np.float64)), np.radians(dec2_deg)
    sin1, cos1, sin2, cos2 = np.sin(dec1), np.cos(dec1), np.sin(dec2), np.cos(dec2)
    cos_d_ra = np.cos(d_ra)
    across = np.hypot(cos1 * np.sin(d_ra), cos2 * sin1 - sin2 * cos1 * cos_d_ra)
    return np.asarray(np.degrees(np.arctan2(across, sin2 * sin1 + cos2 * cos1 * cos_d_ra)), np.float64)


def merge(lo: Pixels, hi: Pixels) -> tuple[Pixels, Pixels]:
    """Intervals in any order, which may touch but not overlap, as the fewest sorted ones."""
    rows = np.argsort(lo, kind="stable")
    lo, hi = lo[rows], hi[rows]
    first = np.ones(len(lo), bool)
    first[1:] = lo[1:] != hi[:-1]
    return lo[first], hi[np.roll(first, -1)]


def cover(bounds: Bounds, limit: float) -> tuple[Pixels, Pixels]:
    """Intervals that hold every position where a value is at most `limit`, and few others; see `graded_cover`."""
    return graded_cover(bounds, limit)[:2]


def graded_cover(bounds: Bounds, limit: float) -> tuple[Pixels, Pixels, Pixels, Pixels]:
    """Intervals that hold every position where a value is at most `limit`, and those of them that hold no others.

    Cells are divided from order 0 on: one that lies inside for sure is kept whole, one that lies outside
    for sure is dropped, until the border is fine enough for its length.

    Parameters
    ----------
    bounds
        Lower and upper bound of the value within a radius of positions.
    limit
        Largest value inside.

    Returns
    -------
    lo, hi
        Sorted, disjoint, half-open order-29 intervals: the cover.
    inner_lo, inner_hi
        The same of the cells that lie inside for sure, shape (m,); m may be 0.
    """
    inner: list[Pixels] = []
    inner_ends: list[Pixels] = []
    rim, rim_ends = np.zeros(0, np.int64), np.zeros(0, np.int64)
    whole = 0
    cells = np.arange(12, dtype=np.int64)
    for order in range(ORDER + 1):
        low, high = bounds(*cell_centres(cells, order), cell_radius_deg(order))
        inside = high <= limit
        border = cells[(low <= limit) & ~inside]
        shift = 2 * (ORDER - order)
        whole += int(inside.sum()) << shift
        fine = border.size >= _MOST_BORDER_CELLS or (border.size >= _BORDER_CELLS and border.size << shift <= whole)
        inner.append(cells[inside] << shift)
        inner_ends.append((cells[inside] + 1) << shift)
        if fine or order == ORDER or not border.size:
            rim, rim_ends = border << shift, (border + 1) << shift
            break
        cells = (4 * border[:, None] + np.arange(4)).ravel()
    within, within_ends = np.concatenate(inner), np.concatenate(inner_ends)
    both = merge(np.concatenate([within, rim]), np.concatenate([within_ends, rim_ends]))
    return *both, *merge(within, within_ends)
