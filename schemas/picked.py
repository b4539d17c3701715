"""What a walk took out of packets, as columns, and the surveys' arithmetic on columns.

Each function here has its twin for a single packet in `schemas.packet`, and gives the same numbers bit for bit.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from schemas.walker import Kind, Walk

NANOJANSKY_AB_ZERO_POINT = 31.4
"""AB magnitude of 1 nJy: 8.9 of 1 Jy (Oke & Gunn 1983, ApJ 266, 713) plus 2.5 x 9."""
MAG_PER_RELATIVE_FLUX = 2.5 / math.log(10)
"""Derivative of -2.5 log10 of a flux, but for the sign."""
FLOAT32_MAX = 3.4e38
"""What is larger finds no place in a column of 32-bit floats."""

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


class Picked:
    """The rows of a walk as columns of length n.

    Parameters
    ----------
    walk
        With at least one row.
    cells
        The cell of each pick by its path, as `schemas.plan.cells` gives them.
    """

    def __init__(self, walk: Walk, cells: Mapping[str, int]) -> None:
        shape = (-1, walk.width)
        self._bits = np.frombuffer(walk.bits, np.int64).reshape(shape)[: walk.rows]
        self._kinds = np.frombuffer(walk.kinds, np.int8).reshape(shape)[: walk.rows]
        self._texts = walk.texts
        self._cells = cells

    def stated(self, path: str) -> Bools:
        """Where the field is there and not null."""
        return self._kinds[:, self._cells[path]] > Kind.NULL

    def there(self, path: str) -> Bools:
        """Where the field is there, be it null."""
        return self._kinds[:, self._cells[path]] > Kind.ABSENT

    def numbers(self, path: str) -> Array:
        """Floats; NaN where there is none and for what a 32-bit float cannot hold."""
        return self._floats(self._cells[path])

    def earliest(self, path: str) -> Array:
        """Of a history the earliest time; NaN where there is none."""
        return self._floats(self._cells[path])

    def latest(self, path: str) -> Array:
        """Of a history the latest time; NaN where there is none."""
        return self._floats(self._cells[path] + 1)

    def _floats(self, cell: int) -> Array:
        bits, kinds = np.ascontiguousarray(self._bits[:, cell]), self._kinds[:, cell]
        values = np.where(kinds == Kind.DOUBLE, bits.view(np.float64), np.nan)
        floats = kinds == Kind.FLOAT
        if floats.any():
            with np.errstate(invalid="ignore"):  # of a signalling NaN
                values[floats] = bits[floats].astype(np.uint32).view(np.float32)
        integers = kinds == Kind.INT
        if integers.any():
            values[integers] = bits[integers]
        return _bounded(values)

    def not_negative(self, path: str) -> Array:
        """As `numbers`, NaN also where they are negative."""
        values = self.numbers(path)
        return np.where(values >= 0, values, np.nan)

    def integers(self, path: str) -> Ints:
        """Integers (of flags 0 or 1); 0 where there is none."""
        return np.where(self.stated(path), self._bits[:, self._cells[path]], 0)

    def texts(self, path: str) -> list[str]:
        """Texts; empty where there is none."""
        places = self._bits[:, self._cells[path]].tolist()
        return [self._texts[at] if found else "" for at, found in zip(places, self.stated(path).tolist(), strict=True)]


def earliest(*days: Array) -> Array:
    """The least of those that are positive; NaN where there is none."""
    return np.asarray(np.fmin.reduce([np.where(day > 0, day, np.nan) for day in days]), np.float64)


def ab_mags(flux: Array, zero_point: float = NANOJANSKY_AB_ZERO_POINT) -> Array:
    """AB magnitudes of fluxes, by default in nJy; NaN where a flux is not positive."""
    # numpy's logarithm differs from math's in the last bit on some processors.
    logs = [math.log10(value) if value > 0 else math.nan for value in flux.tolist()]
    return zero_point - 2.5 * np.array(logs, np.float64)


def mag_errors(flux: Array, flux_error: Array) -> Array:
    """Errors of the magnitudes of fluxes, to first order; NaN where a flux is not positive."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return _bounded(np.where(flux > 0, MAG_PER_RELATIVE_FLUX * flux_error / flux, np.nan))


def _bounded(values: Array) -> Array:
    return np.where(np.abs(values) < FLOAT32_MAX, values, np.nan)
