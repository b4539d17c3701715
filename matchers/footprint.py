"""What a region is on the coarse grid: for each cell that it touches, wholly inside, or a block of finer cells' grades.

A grade is two bits: 0 outside, 1 undecided (the exact test decides), 2 inside.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.pixels import ORDER
from schemas.records import Bools, Ints
from schemas.sky import Region, inner_of

COARSE_ORDER = 6
COARSE_SHIFT = 2 * (ORDER - COARSE_ORDER)
COARSE_CELLS = 12 << (2 * COARSE_ORDER)
DEEPEST = 6
"""Blocks are divided at most so many times: to order 12, cells of 0.9 arcmin."""
UNDECIDED, INSIDE = 1, 2
ALL_INSIDE = 0b10101010
"""A byte of four grades of a block that lies wholly inside."""
_MOST_GRADES = 1 << 16
"""Blocks of one region are divided no further than into so many cells (16 kB), as a border stays undecided anyway..."""
_MOST_GRADES_OF_CELLS = 1 << 19
"""...but a map's region is its cells: deep enough, nothing is undecided."""


@dataclass(frozen=True, slots=True, eq=False)
class Footprint:
    """A region on the coarse grid.

    Attributes
    ----------
    cells
        Order-6 cells that the region touches, ascending, shape (n,).
    block
        For each, the number of its block; -1 if it lies wholly inside.
    depth
        How often a block's cell is divided: it has 4^depth grades.
    grades
        Four grades a byte, the first in the lowest bits; shape (blocks * 4^(depth - 1),).
    """

    cells: Ints
    block: Ints
    depth: int
    grades: NDArray[np.uint8]

    @classmethod
    def of(cls, region: Region) -> "Footprint":
        """Of a region's cover and of what lies inside for sure."""
        lo, hi = region.lo, region.hi
        inner_lo, inner_hi = inner_of(region)
        touched = _painted(*_touching(lo, hi, COARSE_SHIFT), COARSE_CELLS)
        whole = _painted(*_within(inner_lo, inner_hi, COARSE_SHIFT), COARSE_CELLS)
        partial = touched & ~whole
        depth = _depth(lo, hi, int(np.count_nonzero(partial)), cells_only=_same(lo, inner_lo) and _same(hi, inner_hi))
        number = np.concatenate([[0], np.cumsum(partial)])
        partial_or_end = np.append(partial, False)

        def place(fine: Ints) -> Ints:
            """Where fine cells stand among those of all blocks; those in no block, where the next block begins."""
            coarse = fine >> (2 * depth)
            within = np.where(partial_or_end[coarse], fine & ((1 << (2 * depth)) - 1), 0)
            return np.asarray((number[coarse] << (2 * depth)) + within, np.int64)

        shift, size = COARSE_SHIFT - 2 * depth, int(number[-1]) << (2 * depth)
        some_start, some_end = map(place, _touching(lo, hi, shift))
        all_start, all_end = map(place, _within(inner_lo, inner_hi, shift))
        some, all_of = _painted(some_start, some_end, size), _painted(all_start, all_end, size)
        grades = (some.astype(np.uint8) + (some & all_of)).reshape(-1, 4)
        packed = np.asarray(grades[:, 0] | grades[:, 1] << 2 | grades[:, 2] << 4 | grades[:, 3] << 6, np.uint8)
        cells = np.flatnonzero(touched)
        return cls(cells, np.where(partial[cells], number[cells], -1), depth, packed)


def _same(first: Ints, second: Ints) -> bool:
    return first is second or np.array_equal(first, second)


def _touching(lo: Ints, hi: Ints, shift: int) -> tuple[Ints, Ints]:
    """Cells that each interval touches, from and to."""
    return lo >> shift, ((hi - 1) >> shift) + 1


def _within(lo: Ints, hi: Ints, shift: int) -> tuple[Ints, Ints]:
    """Cells that lie in each interval, from and to; from equals to where there is none."""
    start = -(-lo >> shift)
    return start, np.maximum(hi >> shift, start)


def _painted(start: Ints, end: Ints, size: int) -> Bools:
    """Which of ``size`` places lie in any of these ranges, which may overlap."""
    change = np.bincount(start, minlength=size + 1) - np.bincount(end, minlength=size + 1)
    return np.asarray(np.cumsum(change[:size]) > 0, np.bool_)


def _depth(lo: Ints, hi: Ints, blocks: int, *, cells_only: bool) -> int:
    """As deep as memory allows, and no deeper than all ends of intervals need."""
    deepest = DEEPEST
    if cells_only and len(lo):
        ends = int(np.bitwise_or.reduce(lo) | np.bitwise_or.reduce(hi))
        finest = ORDER - ((ends & -ends).bit_length() - 1) // 2
        deepest = min(max(finest - COARSE_ORDER, 1), DEEPEST)
    most = _MOST_GRADES_OF_CELLS if cells_only else _MOST_GRADES
    while deepest > 1 and blocks << (2 * deepest) > most:
        deepest -= 1
    return deepest
