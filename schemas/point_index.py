"""Points on the sky, sorted by pixel, that tell which of them lie near a position: exactly, and among millions."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from cdshealpix import nested
from numpy.typing import NDArray

from schemas.pixels import ORDER, Array, Pixels, pixels_of, separation_deg

RADIUS_MAX_DEG = 30.0
"""The largest radius that can be asked: the cells of order 0 are not much larger."""
_CELL_HEIGHT_DEG = 39.0
"""At order k no cell is lower than this over 2^k from an edge to the one opposite, so that whoever stands in a cell
sees no further than its neighbours with a radius below it. The exact value falls from 48.19 at order 0 towards 39.7."""
_FOUND_AT_ONCE = 1 << 20
"""So many candidates are measured in one step, which bounds the memory."""
_AROUND = 9
"""A cell and its eight neighbours."""


class Near(NamedTuple):
    """Pairs of a position that was asked and a point that lies near it, by position and distance. Shape (n,) each.

    Attributes
    ----------
    asked
        Which of the positions, ascending.
    row
        Which of the points.
    separation_deg
        How far they are apart, ascending for each position.
    """

    asked: Pixels
    row: Pixels
    separation_deg: Array

    def nearest(self) -> Self:
        """The first point of each position."""
        first = np.ones(len(self.asked), np.bool_)
        first[1:] = self.asked[1:] != self.asked[:-1]
        return self.take(first)

    def take(self, pairs: Pixels | NDArray[np.bool_]) -> Self:
        """These pairs."""
        return type(self)(self.asked[pairs], self.row[pairs], self.separation_deg[pairs])

    def counts(self, positions: int) -> Pixels:
        """How many points there are near each of so many positions. Shape (positions,)."""
        return np.bincount(self.asked, minlength=positions).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class PointIndex:
    """Points in the order of their pixels; the arrays may be mapped files.

    Attributes
    ----------
    pixel
        Order-29 NESTED pixels, ascending. Shape (n,).
    ra_deg, dec_deg
        ICRS positions. Shape (n,).
    """

    pixel: Pixels
    ra_deg: Array
    dec_deg: Array

    @classmethod
    def of(cls, ra_deg: Array, dec_deg: Array) -> tuple[Self, Pixels]:
        """The index of points in any order, and which of them each of its rows is.

        Raises
        ------
        ValueError
            As `schemas.pixels.pixels_of`.
        """
        pixel = pixels_of(ra_deg, dec_deg)
        order = np.argsort(pixel, kind="stable")
        return cls(pixel[order], ra_deg[order], dec_deg[order]), order

    def __len__(self) -> int:
        return len(self.pixel)

    def within(self, ra_deg: Array, dec_deg: Array, radius_deg: float) -> Near:
        """All points within a radius of positions, its border included.

        Parameters
        ----------
        ra_deg, dec_deg
            The positions. Shape (m,).
        radius_deg
            At most `RADIUS_MAX_DEG`.

        Raises
        ------
        ValueError
            If a position is not on the sphere, or the radius is negative or too large.
        """
        if not 0 <= radius_deg <= RADIUS_MAX_DEG:
            raise ValueError(f"a radius of {radius_deg} deg, expected 0 to {RADIUS_MAX_DEG}")
        asked, first, counts = self._candidates(pixels_of(ra_deg, dec_deg), _order_for(radius_deg))
        found = []
        ends = np.cumsum(counts)
        start = 0
        while start < len(asked):
            before = int(ends[start - 1]) if start else 0
            end = max(int(np.searchsorted(ends, before + _FOUND_AT_ONCE, side="right")), start + 1)
            some = slice(start, end)
            found.append(self._measured(asked[some], first[some], counts[some], (ra_deg, dec_deg), radius_deg))
            start = end
        near = Near(*(np.concatenate(columns) for columns in zip(*found, strict=True))) if found else _NOTHING
        return near.take(np.lexsort((near.row, near.separation_deg, near.asked)))

    def _candidates(self, pixel: Pixels, order: int) -> tuple[Pixels, Pixels, Pixels]:
        """Slices of rows that hold all that may lie near: whose, their first rows and their lengths; none is empty."""
        if not len(pixel):
            return _NONE, _NONE, _NONE
        shift = 2 * (ORDER - order)
        # The cell itself is among them; -1 stands where only seven others touch it.
        cells = nested.neighbours((pixel >> shift).astype(np.uint64), order, num_threads=1).astype(np.int64)
        first = np.searchsorted(self.pixel, (cells << shift).ravel())
        counts = np.searchsorted(self.pixel, ((cells + 1) << shift).ravel()) - first
        any_there = (counts > 0) & (cells.ravel() >= 0)
        return np.repeat(np.arange(len(pixel)), _AROUND)[any_there], first[any_there], counts[any_there]

    def _measured(
        self, asked: Pixels, first: Pixels, counts: Pixels, position: tuple[Array, Array], radius_deg: float
    ) -> Near:
        asked = np.repeat(asked, counts)
        row = np.repeat(first - (np.cumsum(counts) - counts), counts) + np.arange(len(asked))
        ra_deg, dec_deg = (coordinate[asked] for coordinate in position)
        away_deg = separation_deg(self.ra_deg[row], self.dec_deg[row], ra_deg, dec_deg)
        return Near(asked, row, away_deg).take(away_deg <= radius_deg)


_NONE = np.zeros(0, np.int64)
_NOTHING = Near(_NONE, _NONE, np.zeros(0))


def _order_for(radius_deg: float) -> int:
    """The highest order at which a circle lies within the neighbours of the cell of its centre."""
    if radius_deg <= _CELL_HEIGHT_DEG / (1 << ORDER):
        return ORDER
    return min(max(int(np.floor(np.log2(_CELL_HEIGHT_DEG / radius_deg))), 0), ORDER)
