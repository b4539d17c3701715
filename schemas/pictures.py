"""Densities in closed form as cells: for pictures, and for products with maps of cells."""

from functools import partial

import numpy as np

from schemas.pixels import ORDER, Array, Pixels, cell_centres, cell_radius_deg
from schemas.sky import CellTable, Shape, SkyMap

_PICTURED = 0.999
_LEVEL_STEP = 0.1
"""A cell is divided while the level changes by more across it: near the 1 sigma circle, where the level rises fastest,
cells are then a 24th to a 12th of the 90 % radius, and larger where it is flat."""
_MOST_CELLS = 20_000


def pictured(shape: Shape, ra_deg: float, dec_deg: float, model: str, warnings: tuple[str, ...] = ()) -> SkyMap:
    """The map of a closed form whose most probable position is this."""
    return SkyMap(partial(_cells, shape), ra_deg % 360, dec_deg, model, shape, warnings=warnings)


def _cells(shape: Shape) -> CellTable:
    """Cells that show a shape, finer where its level changes faster."""
    kept: list[tuple[Pixels, Pixels, Array, Array]] = []
    count = 0
    cells = np.arange(12, dtype=np.int64)
    for order in range(ORDER + 1):
        ra, dec = cell_centres(cells, order)
        low, high = shape.level_bounds(ra, dec, cell_radius_deg(order))
        pictured = low <= _PICTURED
        coarse = pictured & (high - low > _LEVEL_STEP)
        if order == ORDER or count + pictured.sum() + 3 * coarse.sum() > _MOST_CELLS:
            coarse[:] = False
        done = pictured & ~coarse
        count += int(done.sum())
        shift = 2 * (ORDER - order)
        kept.append(
            (
                cells[done] << shift,
                (cells[done] + 1) << shift,
                shape.density_per_sr(ra[done], dec[done]),
                shape.credible_level(ra[done], dec[done]),
            )
        )
        if not coarse.any():
            break
        cells = (4 * cells[coarse][:, None] + np.arange(4)).ravel()
    lo, hi, density, level = (np.concatenate(column) for column in zip(*kept, strict=True))
    rows = np.argsort(lo)
    return CellTable(lo[rows], hi[rows], density[rows], level[rows])
