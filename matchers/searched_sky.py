"""What a search region holds: how much area at which credible level, and probability, in each cell of the coverage."""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from matchers.coverage import CELL_ORDER, CELL_SHIFT
from schemas.pixels import DEG2_PER_SR, ORDER, PIXEL_SR, Array, Pixels, cell_centres
from schemas.records import Ints
from schemas.sky import Contour, Region, SkyMap, inner_of

LEVEL_EDGES: Array = np.concatenate([[0.0], np.geomspace(1e-4, 0.1, 24, endpoint=False), np.linspace(0.1, 1.0, 37)])
"""Of the bins of credible level: an area inside a level is told to a few per cent at any level."""
_SAMPLES = 2000
"""Of a density in closed form, in its region."""
_MOST_SAMPLES = 1 << 17
"""Of a map's cells; of more, every second or third... stands for its neighbours."""
_EXACT_LEVELS = (1e-4, 1e-3, 0.01, 0.1, 0.3, 0.5, 0.7, 0.85, 1.0)
"""Fractions of a contour's level at which its area is asked for."""
_ALMOST_ALL = 1 - 1e-9
_PIXEL_DEG2 = PIXEL_SR * DEG2_PER_SR


@dataclass(frozen=True, slots=True, eq=False)
class SearchedSky:
    """A region in a density, divided among cells of the coverage and bins of credible level.

    Attributes
    ----------
    cells
        The cells that it lies in, sorted, shape (n,).
    probability
        Of each cell, within the region, shape (n,).
    area_deg2
        Parts of the region, each in one cell and bin, shape (m,).
    bins, rows
        The bin (of `LEVEL_EDGES`) and the place in ``cells`` of each, shape (m,).
    """

    cells: Pixels
    probability: Array
    area_deg2: Array
    bins: NDArray[np.int64]
    rows: NDArray[np.int64]


_KEPT: WeakKeyDictionary[SkyMap, list[tuple[Region, SearchedSky]]] = WeakKeyDictionary()
_MOST_REGIONS = 4
"""Of one map, by as many matchers."""


def searched_sky(skymap: SkyMap, region: Region) -> SearchedSky:
    """What a region holds of a density; kept as long as the density is."""
    kept = _KEPT.setdefault(skymap, [])
    for known, sky in kept:
        if known is region:
            return sky
    sky = _searched(skymap, region)
    del kept[: 1 - _MOST_REGIONS or None]
    kept.append((region, sky))
    return sky


def _searched(skymap: SkyMap, region: Region) -> SearchedSky:
    lo, hi, density, level = _of_cells(skymap, region) if skymap.shape is None else _of_shape(skymap, region)
    areas = (hi - lo) * _PIXEL_DEG2
    cells, rows = np.unique(lo >> CELL_SHIFT, return_inverse=True)
    probability = np.bincount(rows, weights=density * areas / DEG2_PER_SR, minlength=len(cells))
    bins = np.clip(np.searchsorted(LEVEL_EDGES, level, side="right") - 1, 0, len(LEVEL_EDGES) - 2)
    parts, of_part = np.unique(bins * max(len(cells), 1) + rows, return_inverse=True)
    bins, rows = np.divmod(parts, max(len(cells), 1))
    area_deg2 = np.bincount(of_part, weights=areas, minlength=len(parts)).astype(np.float64)
    if isinstance(region, Contour) and region.shape is skymap.shape and len(cells):
        bins, rows, area_deg2 = _with_exact_areas(region, bins, rows, area_deg2)
    return SearchedSky(cells, np.minimum(probability, 1.0), area_deg2, bins, rows)


def _of_cells(skymap: SkyMap, region: Region) -> tuple[Pixels, Pixels, Array, Array]:
    """What lies inside the region of the map's cells, divided where they are larger than those of the coverage."""
    if not len(skymap.lo) or not len(region.lo):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
    first = np.maximum(np.searchsorted(skymap.lo, region.lo, side="right") - 1, 0)
    row, interval, step = _ranges(first, np.searchsorted(skymap.lo, region.hi, side="left"), _MOST_SAMPLES)
    lo = np.maximum(skymap.lo[row], region.lo[interval])
    hi = np.minimum(skymap.hi[row], region.hi[interval])
    meets = np.flatnonzero(lo < hi)
    lo, hi, row = lo[meets], hi[meets], row[meets]
    cell, piece, _ = _ranges(lo >> CELL_SHIFT, ((hi - 1) >> CELL_SHIFT) + 1, None)
    lo, hi, row = np.maximum(lo[piece], cell << CELL_SHIFT), np.minimum(hi[piece], (cell + 1) << CELL_SHIFT), row[piece]
    inside = _inside(region, lo, hi)
    lo, hi, row = lo[inside], hi[inside], row[inside]
    return lo, lo + (hi - lo) * step, skymap.cell_density_per_sr[row], skymap.cell_level[row]


def _ranges(first: Ints, end: Ints, most: int | None) -> tuple[Ints, Ints, int]:
    """All numbers of half-open ranges, and the place of the range that each is of.

    Of more than so many it is every second, or third..., which the last result tells.
    """
    count = np.maximum(end - first, 0)
    ends = np.cumsum(count)
    total = int(ends[-1]) if len(ends) else 0
    step = 1 if most is None else total // most + 1
    number = np.arange(0, total, step)
    of_range = np.searchsorted(ends, number, side="right")
    return number - (ends - count)[of_range] + first[of_range], of_range, step


def _of_shape(skymap: SkyMap, region: Region) -> tuple[Pixels, Pixels, Array, Array]:
    """Small cells all over the region, each with the values at its centre."""
    assert skymap.shape is not None  # noqa: S101 - else it has cells of its own
    covered = int((region.hi - region.lo).sum())
    order = CELL_ORDER
    while order < ORDER and covered >> 2 * (ORDER - order) < _SAMPLES:
        order += 1
    shift = 2 * (ORDER - order)
    cells = np.unique(_ranges(region.lo >> shift, ((region.hi - 1) >> shift) + 1, None)[0])
    cells = cells[_inside(region, cells << shift, (cells + 1) << shift)]
    where = cell_centres(cells, order)
    density, level = skymap.shape.density_per_sr(*where), skymap.shape.credible_level(*where)
    return cells << shift, (cells + 1) << shift, density, level


def _inside(region: Region, lo: Pixels, hi: Pixels) -> NDArray[np.bool_]:
    """Which intervals have their middle inside a region."""
    middle = lo + (hi - lo) // 2
    inner_lo, inner_hi = inner_of(region)
    place = np.searchsorted(inner_lo, middle, side="right") - 1
    inside = np.zeros(len(middle), np.bool_)
    known = place >= 0
    inside[known] = middle[known] < inner_hi[place[known]]
    unsure = np.flatnonzero(~inside)
    inside[unsure] = region.contains(*cell_centres(middle[unsure], ORDER), middle[unsure])
    return inside


def _with_exact_areas(
    region: Contour, bins: NDArray[np.int64], rows: NDArray[np.int64], area_deg2: Array
) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """The same parts, with the areas that the shape itself gives to the bins; those without a part get one.

    In a bin that has none, close to the peak, the area is put into the cell of the innermost part.
    """
    levels = np.array(_EXACT_LEVELS) * region.level
    areas = np.array([region.shape.area_deg2(level) for level in levels.tolist()])
    within = _depth(np.minimum(LEVEL_EDGES, region.level))
    within *= np.interp(within, _depth(levels), areas / _depth(levels))
    exact = np.maximum(np.diff(within), 0.0)
    sampled = np.bincount(bins, weights=area_deg2, minlength=len(exact))
    empty = np.flatnonzero((sampled == 0) & (exact > 0))
    innermost = rows[np.argmin(bins)]
    scale = np.divide(exact, sampled, out=np.zeros(len(exact)), where=sampled > 0)
    return (
        np.concatenate([bins, empty]),
        np.concatenate([rows, np.full(len(empty), innermost)]),
        np.concatenate([area_deg2 * scale[bins], exact[empty]]),
    )


def _depth(level: Array) -> Array:
    """What the area of a circular Gaussian is proportional to, and that of other densities nearly."""
    return -np.log1p(-np.minimum(level, _ALMOST_ALL))
