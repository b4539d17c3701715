"""Several densities of one event's position: their product, and how much they speak for a common origin.

The overlap, 4 pi times the integral of p1 p2, is the Bayes factor of a common position against two unrelated ones
(Ashton et al. 2018, ApJ 860, 6; the sky map overlap integral of LVK's RAVEN). Over unrelated positions it averages 1.

Gridded maps are constant in their cells, so that on the intersections of cells their product is exact. So is that of
Fisher densities of one term each, which is a Fisher density. All other closed forms are evaluated at the centres of
cells that are divided until what varies inside them is too little to matter.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, reduce
from itertools import chain
from typing import NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from schemas.pictures import pictured
from schemas.pixels import ORDER, PIXEL_SR, Array, Pixels, cell_centres, cell_radius_deg, separation_deg
from schemas.shapes import Fisher
from schemas.sky import CellTable, Shape, SkyMap, rows_holding, skymap_of_cells
from schemas.skymap import MOC_LEVEL

_UNCERTAIN = 3e-5
"""A cell is divided while its probability, by the bounds of the densities in it, is uncertain by more than this part of
the whole. The errors that are left mostly cancel: the tests find overlaps good to 1e-4, and levels, which are those of
whole cells, to 0.01 or, of what several narrow rings and ellipses leave, to 0.05."""
_FRONT = 1e-3
"""As long as something narrow is not resolved, the whole is not known: then only those cells are divided that are
uncertain by more than this part of the most uncertain one."""
_CURVED = 1e-6
"""Cells that are uncertain by more than this take the mean over their quarters, not the value at their centre."""
_COARSE_ORDER = 3
_MOST_NEW_CELLS = 100_000
_POWERS_OF_4 = sum(1 << 2 * order for order in range(ORDER + 1))
_ROUNDING = 1e-12
_LEAST_KAPPA = 1e-9
"""Of a density that is as good as the same everywhere."""


def overlap(one: SkyMap, other: SkyMap) -> float:
    """4 pi times the integral of both densities' product: 1 over unrelated ones on average, 0 without common sky."""
    if isinstance(one.shape, Fisher) and isinstance(other.shape, Fisher):
        return _fisher_overlap(one.shape, other.shape)
    return 4 * math.pi * float(_common_cells((one, other)).integral.sum())


def product(maps: Sequence[SkyMap]) -> SkyMap | None:
    """What independent observations of one position say together: the product of their densities, normalised.

    Its distance layers are those of the map that has them; of several, of the one with the smallest 90 % area.

    Parameters
    ----------
    maps
        At least one; one alone is returned as it is.

    Returns
    -------
    SkyMap or None
        None if they have no common sky.
    """
    if len(maps) == 1:
        return maps[0]
    model = f"product of {len(maps)} densities: {'; '.join(skymap.model for skymap in maps)}"
    warnings = tuple(dict.fromkeys(chain.from_iterable(skymap.warnings for skymap in maps)))
    circles = [skymap.shape for skymap in maps if _is_circle(skymap.shape)]
    if len(circles) == len(maps):
        circle = _product_of_circles(circles)
        return None if circle is None else pictured(circle, circle.ra_deg, circle.dec_deg, model, warnings)
    cells = _common_cells(tuple(maps))
    if not cells.density.size:
        return None
    far = [skymap for skymap in maps if skymap.distance is not None]
    if len(far) > 1:
        model += "; distances as in the one with the smallest 90 % area"
    result = skymap_of_cells(cells.lo, cells.hi, cells.integral, model, _distance(far, cells), warnings)
    if np.ptp(cells.density) > _ROUNDING * cells.density[0]:
        return result
    # Of coverage maps alone: like them it has no contours.
    level = np.full(len(cells.lo), MOC_LEVEL)
    return replace(result, cells=CellTable(cells.lo, cells.hi, result.cell_density_per_sr, level))


def _distance(far: Sequence[SkyMap], cells: "_Cells") -> Array | None:
    """Distance layers of the cells, of maps that have them."""
    kept = min(far, key=lambda skymap: skymap.area_deg2(0.9), default=None)
    if kept is None or kept.distance is None:
        return None
    rows, _ = rows_holding(kept.lo, kept.hi, cells.lo)
    return kept.distance[:, rows]


def _fisher_overlap(one: Fisher, other: Fisher) -> float:
    """In closed form: the product of two Fisher densities is one about the sum of the vectors of length kappa to
    their centres (Mardia & Jupp 2000, Directional Statistics). In a plane, with s^2 = 1/kappa and psi apart, this is
    2 / (s1^2 + s2^2) exp(-psi^2 / 2 (s1^2 + s2^2)) (Budavari & Szalay 2008, ApJ 679, 301)."""
    versine = _versine_between(one, other)
    total = 0.0
    for weight1, kappa1 in zip(one.weights, one.kappas, strict=True):
        for weight2, kappa2 in zip(other.weights, other.kappas, strict=True):
            kappa, lost = _sum_of_kappas(kappa1, kappa2, versine)
            total += weight1 * weight2 * _peak(kappa1) * _peak(kappa2) / _peak(kappa) * math.exp(-lost)
    return 4 * math.pi * total


def _is_circle(shape: Shape | None) -> TypeGuard[Fisher]:
    return isinstance(shape, Fisher) and len(shape.kappas) == 1


def _product_of_circles(circles: Sequence[Fisher]) -> Fisher | None:
    """The Fisher density that is the product of those of one term each; None if they have no common sky."""
    result, *others = circles
    lost_by_all = 0.0
    for other in others:
        (kappa1,), (kappa2,) = result.kappas, other.kappas
        kappa, lost = _sum_of_kappas(kappa1, kappa2, _versine_between(result, other))
        lost_by_all += lost
        x, y, z = kappa1 * _vector(result) + kappa2 * _vector(other)
        ra_deg, dec_deg = math.degrees(math.atan2(y, x)) % 360, math.degrees(math.atan2(z, math.hypot(x, y)))
        result = Fisher(ra_deg, dec_deg, (1.0,), (kappa,))
    return result if math.exp(-lost_by_all) > 0 else None


def _sum_of_kappas(kappa1: float, kappa2: float, versine: float) -> tuple[float, float]:
    """Length of the sum of two vectors of these lengths, and what it lacks to the sum of lengths, to the last digit."""
    length = math.sqrt(max((kappa1 + kappa2) ** 2 - 2 * kappa1 * kappa2 * versine, _LEAST_KAPPA**2))
    return length, 2 * kappa1 * kappa2 * versine / (kappa1 + kappa2 + length)


def _peak(kappa: float) -> float:
    """Density per steradian at the centre of a Fisher density."""
    return kappa / (-2 * math.pi * math.expm1(-2 * kappa))


def _versine_between(one: Fisher, other: Fisher) -> float:
    """1 - cos of the distance between both centres."""
    apart_deg = separation_deg(np.array([one.ra_deg]), np.array([one.dec_deg]), other.ra_deg, other.dec_deg)
    return 2 * math.sin(math.radians(apart_deg[0]) / 2) ** 2


def _vector(circle: Fisher) -> Array:
    """Unit vector to the centre."""
    ra, dec = math.radians(circle.ra_deg), math.radians(circle.dec_deg)
    return np.array([math.cos(ra) * math.cos(dec), math.sin(ra) * math.cos(dec), math.sin(dec)])


class _Cells(NamedTuple):
    """Disjoint HEALPix cells, as order-29 intervals, with a product of densities in each. Shape (n,)."""

    lo: Pixels
    hi: Pixels
    density: Array

    @property
    def integral(self) -> Array:
        """Of the product over each cell."""
        return self.density * ((self.hi - self.lo) * PIXEL_SR)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "_Cells":
        """Some of the cells."""
        return _Cells(self.lo[rows], self.hi[rows], self.density[rows])

    def quarters(self) -> "_Cells":
        """The four cells in each cell."""
        size = np.repeat((self.hi - self.lo) >> 2, 4)
        lo = np.repeat(self.lo, 4) + size * np.tile(np.arange(4), len(self.lo))
        return _Cells(lo, lo + size, np.repeat(self.density, 4))


_WHOLE_SKY = _Cells(np.arange(12) << 2 * ORDER, np.arange(1, 13) << 2 * ORDER, np.ones(12))
_NOTHING = _WHOLE_SKY.take(np.zeros(12, bool))


@lru_cache(maxsize=2)
def _common_cells(maps: tuple[SkyMap, ...]) -> _Cells:
    """Cells of the common sky, in order, with the product of all densities; without those where it is 0.

    Kept for a moment: of two maps whose overlap is large, the product is asked for next.
    """
    gridded = [_cells_of(skymap) for skymap in maps if skymap.shape is None]
    shapes = [skymap.shape for skymap in maps if skymap.shape is not None and not _is_circle(skymap.shape)]
    circles = [skymap.shape for skymap in maps if _is_circle(skymap.shape)]
    if circles:
        circle = _product_of_circles(circles)
        if circle is None:
            return _NOTHING
        shapes.append(circle)
    cells = reduce(_intersection, gridded, _reached(shapes))
    if shapes:
        cells = _divided(cells, shapes)
    return cells.take(cells.density > 0)


def _reached(shapes: Sequence[Shape]) -> _Cells:
    """Coarse cells of the sky, without those where the product of some shapes is 0 for sure."""
    if not shapes:
        return _WHOLE_SKY
    cells = _WHOLE_SKY
    for _ in range(_COARSE_ORDER):
        cells = cells.quarters()
    ra_deg, dec_deg, radius_deg = _centres(cells)
    highest = (shape.density_bounds(ra_deg, dec_deg, radius_deg)[1] for shape in shapes)
    return cells.take(reduce(np.multiply, highest) > 0)


def _cells_of(skymap: SkyMap) -> _Cells:
    """The cells of a gridded map; an interval of a coverage map is divided into as few as can be."""
    lo, hi, density = skymap.lo, skymap.hi, skymap.cell_density_per_sr
    rest = hi - lo - 1  # of a power of 4, all bits of pairs below it
    if not ((rest & (rest + 1)) | (lo & rest) | ((rest + 1) & ~_POWERS_OF_4)).any():
        return _Cells(lo, hi, density)
    parts = []
    for order in range(ORDER + 1):
        size = 1 << 2 * (ORDER - order)
        first, end = (lo + size - 1) // size, hi // size
        count = np.maximum(end - first, 0)
        if not count.any():
            continue
        start = np.repeat((first - count.cumsum() + count) * size, count) + np.arange(count.sum()) * size
        parts.append(_Cells(start, start + size, np.repeat(density, count)))
        # What is left of an interval lies before and after its cells of this size.
        split = count > 0
        lo = np.concatenate([lo[~split], lo[split], end[split] * size])
        hi = np.concatenate([hi[~split], first[split] * size, hi[split]])
        density = np.concatenate([density[~split], density[split], density[split]])
        left = lo < hi
        lo, hi, density = lo[left], hi[left], density[left]
    return _sorted(parts)


def _intersection(one: _Cells, other: _Cells) -> _Cells:
    """The cells of either that lie in cells of the other: HEALPix cells share all of the smaller one or nothing."""
    if not (one.lo.size and other.lo.size):
        return _NOTHING
    parts = []
    for inner, outer, smallest in ((one, other, 0), (other, one, 1)):
        row, inside = rows_holding(outer.lo, outer.hi, inner.lo)
        inside &= (outer.hi - outer.lo)[row] - (inner.hi - inner.lo) >= smallest
        parts.append(inner.take(inside)._replace(density=inner.density[inside] * outer.density[row[inside]]))
    return _sorted(parts)


def _sorted(parts: Sequence[_Cells]) -> _Cells:
    cells = _Cells(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    return cells.take(np.argsort(cells.lo, kind="stable"))  # parts are sorted: little is left to do


def _divided(cells: _Cells, shapes: Sequence[Shape]) -> _Cells:
    """Cells so small that closed forms hardly vary in them, with the densities of these multiplied in."""
    density, uncertain = _evaluated(cells, shapes)
    most = len(cells.lo) + _MOST_NEW_CELLS
    while True:
        whole = float(cells._replace(density=density).integral.sum())
        limit = max(_UNCERTAIN * whole, _FRONT * float(uncertain.max(initial=0.0)))
        coarse = (uncertain > limit) & (cells.hi - cells.lo > 1)
        if not coarse.any() or len(density) + 3 * int(coarse.sum()) > most:
            break
        fine, finer = ~coarse, cells.take(coarse).quarters()
        finer_density, finer_uncertain = _evaluated(finer, shapes)
        cells = _Cells(*(np.concatenate(columns) for columns in zip(cells.take(fine), finer, strict=True)))
        density = np.concatenate([density[fine], finer_density])
        uncertain = np.concatenate([uncertain[fine], finer_uncertain])
    curved = (uncertain > _CURVED * whole) & (cells.hi - cells.lo > 1)
    density[curved] = _at_centres(cells.take(curved).quarters(), shapes).reshape(-1, 4).mean(axis=1)
    return _sorted([cells._replace(density=density)])


def _at_centres(cells: _Cells, shapes: Sequence[Shape]) -> Array:
    """Density of the gridded maps in each cell times those of closed forms at its centre."""
    ra_deg, dec_deg, _ = _centres(cells)
    return reduce(lambda density, shape: density * shape.density_per_sr(ra_deg, dec_deg), shapes, cells.density)


def _evaluated(cells: _Cells, shapes: Sequence[Shape]) -> tuple[Array, Array]:
    """As `_at_centres`; and how far apart the bounds of the integral over each cell are."""
    ra_deg, dec_deg, radius_deg = _centres(cells)
    density, low, high = cells.density, cells.integral, cells.integral
    for shape in shapes:
        density = density * shape.density_per_sr(ra_deg, dec_deg)
        lowest, highest = shape.density_bounds(ra_deg, dec_deg, radius_deg)
        low, high = low * lowest, high * highest
    return density, high - low


def _centres(cells: _Cells) -> tuple[Array, Array, Array]:
    """Positions of the centres, and a radius around each that holds its cell, in degrees."""
    size = cells.hi - cells.lo
    order = ORDER - (np.log2(size) / 2).astype(np.int64)
    ra_deg, dec_deg = cell_centres(cells.lo >> 2 * (ORDER - order), order.astype(np.uint8))
    return ra_deg, dec_deg, cell_radius_deg(0) / 2.0**order
