"""Sky maps turned about the axis of the poles by quarters of a turn, for searches that must not find anything.

A quarter turn takes every HEALPix cell onto another one, whatever its order: the twelve base pixels lie in three rings
of four, and each ring moves on by one (Gorski et al. 2005, ApJ 622, 759, figure 4). So a turned map is the same map,
exactly, and a survey that sees a band of declinations sees as much of it, at another time of the year.
"""

from dataclasses import replace

import numpy as np

from schemas.errors import BadSkyMap, Reason
from schemas.pixels import ORDER, Pixels
from schemas.shapes import Fisher, FisherEllipse, Ring
from schemas.sky import CellTable, Shape, SkyMap

_BASE_SHIFT = 2 * ORDER
_QUARTERS = 4


def turned(skymap: SkyMap, quarters: int) -> SkyMap:
    """The map with 90 deg added to all right ascensions so many times.

    Raises
    ------
    BadSkyMap
        UNSUPPORTED if it is of a closed form that has no centre.
    """
    peak_ra_deg = (skymap.peak_ra_deg + 90.0 * quarters) % 360.0
    if skymap.shape is not None:
        shape = _turned_shape(skymap.shape, quarters)
        return replace(skymap, cells=lambda: _turned_cells(skymap, quarters)[1], peak_ra_deg=peak_ra_deg, shape=shape)
    rows, cells = _turned_cells(skymap, quarters)
    distance = None if skymap.distance is None else skymap.distance[:, rows]
    return replace(skymap, cells=cells, peak_ra_deg=peak_ra_deg, distance=distance)


def _turned_cells(skymap: SkyMap, quarters: int) -> tuple[Pixels, CellTable]:
    """The cells, and the rows of the map that they were."""
    rows, lo, hi = _split(skymap.lo, skymap.hi)
    lo, hi = _moved(lo, quarters), _moved(hi - 1, quarters) + 1
    order = np.argsort(lo)
    rows = rows[order]
    return rows, CellTable(lo[order], hi[order], skymap.cell_density_per_sr[rows], skymap.cell_level[rows])


def _turned_shape(shape: Shape, quarters: int) -> Shape:
    if not isinstance(shape, Fisher | FisherEllipse | Ring):
        raise BadSkyMap(Reason.UNSUPPORTED, f"a density of the form {type(shape).__name__} cannot be turned")
    return replace(shape, ra_deg=(shape.ra_deg + 90.0 * quarters) % 360.0)


def _split(lo: Pixels, hi: Pixels) -> tuple[Pixels, Pixels, Pixels]:
    """Intervals cut where base pixels meet: the row of each part, and its ends."""
    parts = []
    for base in range(12):
        begin, end = base << _BASE_SHIFT, (base + 1) << _BASE_SHIFT
        first, last = np.maximum(lo, begin), np.minimum(hi, end)
        rows = np.flatnonzero(first < last)
        parts.append((rows.astype(np.int64), first[rows], last[rows]))
    rows, first, last = (np.concatenate(column) for column in zip(*parts, strict=True))
    return rows, first, last


def _moved(pixel: Pixels, quarters: int) -> Pixels:
    base, rest = pixel >> _BASE_SHIFT, pixel & ((1 << _BASE_SHIFT) - 1)
    moved = base - base % _QUARTERS + (base + quarters) % _QUARTERS
    return np.asarray((moved << _BASE_SHIFT) | rest, np.int64)
