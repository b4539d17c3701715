"""All live windows on one coarse grid of the sky, so that a batch of alerts is matched with all of them at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from matchers.footprint import (
    ALL_INSIDE,
    COARSE_CELLS,
    COARSE_SHIFT,
    DEEPEST,
    INSIDE,
    UNDECIDED,
    Footprint,
)
from schemas.records import Alerts, Bools, Floats, Ints, Window
from schemas.sky import Cap, cap_of

Bytes = NDArray[np.uint8]
_SLOT_BITS = 20
"""An entry is the first byte of its block in the pool, and the slot of its window in the lowest bits."""
_SLOT_MASK = (1 << _SLOT_BITS) - 1
_WHOLE = 1 << (2 * DEEPEST - 2)
"""The pool begins with a block that is inside everywhere, for cells that need no other."""
_ROUNDING = 1e-14
"""More than the error (rad) of a distance between two unit vectors, or of `separation_deg`."""
_ROWS_AT_ONCE = 16_384
"""Larger batches are matched in parts, which stay in the processor's cache."""
_LEAST_WASTE = 1 << 20


@dataclass(slots=True, eq=False)
class _Pool:
    """Blocks of grades one after the other. What was written is never changed, so old snapshots stay right."""

    data: Bytes = field(default_factory=lambda: np.full(_WHOLE, ALL_INSIDE, np.uint8))
    used: int = _WHOLE

    def append(self, block: Bytes) -> int:
        """Where the block begins."""
        start, self.used = self.used, self.used + len(block)
        if self.used > len(self.data):
            grown = np.zeros(max(2 * len(self.data), self.used), np.uint8)
            grown[:start] = self.data[:start]
            self.data = grown
        self.data[start : self.used] = block
        return start


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """What is known of the window in each slot, shape (slots,)."""

    start_us: Ints
    end_us: Ints
    shift: Ints
    mask: Ints
    pool_start: Ints
    pool_size: Ints
    cap: Floats
    """x, y, z of the centre, and the squares of the chords surely within and surely beyond; shape (5, slots)."""

    @classmethod
    def empty(cls, slots: int) -> "_Columns":
        start_us, end_us, shift, mask, pool_start, pool_size = np.zeros((6, slots), np.int64)
        return cls(start_us, end_us, shift, mask, pool_start, pool_size, np.zeros((5, slots)))

    def grown(self, slots: int) -> "_Columns":
        """A copy with at least so many slots."""
        have = len(self.start_us)
        copy = _Columns.empty(max(slots, have))
        for name in self.__slots__:
            getattr(copy, name)[..., :have] = getattr(self, name)
        return copy


@dataclass(frozen=True, slots=True, eq=False)
class WindowGrid:
    """Windows in numbered slots, by the coarse cells that they touch. Never changed, only replaced.

    Attributes
    ----------
    windows
        By slot; None where a slot is free.
    """

    windows: tuple[Window | None, ...] = ()
    _count: Ints = field(default_factory=lambda: np.zeros(COARSE_CELLS, np.int64))
    _first: Ints = field(default_factory=lambda: np.zeros(COARSE_CELLS, np.int64))
    _entry: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    _columns: _Columns = field(default_factory=lambda: _Columns.empty(0))
    _pool: _Pool = field(default_factory=_Pool)
    _grades: Bytes = field(default_factory=lambda: np.full(_WHOLE, ALL_INSIDE, np.uint8))

    def replaced(self, gone: Iterable[int], new: Sequence[tuple[int, Window]]) -> "WindowGrid":
        """The grid without the windows in some slots, and with others in free slots or just behind the last."""
        windows = list(self.windows)
        count, entry = self._count, self._entry
        columns = self._columns.grown(max((slot + 1 for slot, _ in new), default=0))
        windows += [None] * (len(columns.start_us) - len(windows))
        dropped = list(gone)
        if dropped:
            stays, count = self._without(dropped)
            entry = entry[stays]
            for slot in dropped:
                windows[slot] = None
            columns.pool_size[dropped] = 0
        cells, entries = [], []
        for slot, window in new:
            footprint = Footprint.of(window.region)
            windows[slot] = window
            start = self._pool.append(footprint.grades)
            _describe(columns, slot, window, footprint, start)
            in_block = np.where(footprint.block < 0, 0, start + (footprint.block << (2 * footprint.depth - 2)))
            cells.append(footprint.cells)
            entries.append((in_block << _SLOT_BITS) | slot)
        if cells:
            cell = np.concatenate(cells)
            order = np.argsort(cell, kind="stable")
            entry = np.insert(entry, np.cumsum(count)[cell[order]], np.concatenate(entries)[order])
            count = count + np.bincount(cell, minlength=COARSE_CELLS)
        pool = self._pool
        if pool.used - _WHOLE > 2 * int(columns.pool_size.sum()) + _LEAST_WASTE:
            pool, entry = _compacted(pool, columns, entry)
        return WindowGrid(tuple(windows), count, np.cumsum(count) - count, entry, columns, pool, pool.data)

    def inside(self, alerts: Alerts) -> tuple[Ints, Ints]:
        """All pairs of a window and an alert inside it, exactly.

        Returns
        -------
        slot, row
            Of the window and of the alert, shape (n,); rows ascend.
        """
        if not len(self._entry) or not len(alerts):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        parts = [self._inside(alerts, start) for start in range(0, len(alerts), _ROWS_AT_ONCE)]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([slot for slot, _ in parts]), np.concatenate([row for _, row in parts])

    def _inside(self, alerts: Alerts, start: int) -> tuple[Ints, Ints]:
        columns, pixel = self._columns, alerts.pixel[start : start + _ROWS_AT_ONCE]
        cell = pixel >> COARSE_SHIFT
        count = self._count[cell]
        ends = np.cumsum(count)
        total = int(ends[-1])
        row = np.repeat(np.arange(start, start + len(pixel)), count)
        entry = self._entry[np.repeat(self._first[cell] - (ends - count), count) + np.arange(total)]
        slot = entry & _SLOT_MASK
        time_us = alerts.time_us[row]
        live = np.flatnonzero((columns.start_us[slot] <= time_us) & (time_us <= columns.end_us[slot]))
        row, entry, slot = row[live], entry[live], slot[live]
        fine = (alerts.pixel[row] >> columns.shift[slot]) & columns.mask[slot]
        grade = self._grades[(entry >> _SLOT_BITS) + (fine >> 2)] >> ((fine & 3) << 1).astype(np.uint8) & 3
        known = np.flatnonzero(grade)
        row, slot, grade = row[known], slot[known], grade[known]
        unsure = np.flatnonzero(grade == UNDECIDED)
        if not len(unsure):
            return slot, row
        within = grade == INSIDE
        within[unsure] = self._decide(alerts, slot[unsure], row[unsure])
        return slot[within], row[within]

    def _decide(self, alerts: Alerts, slot: Ints, row: Ints) -> Bools:
        """Whether each alert lies in the region of its window: by the chord where that is certain, else exactly."""
        x, y, z, within, beyond = self._columns.cap[:, slot]
        ra, dec = np.radians(alerts.ra_deg[row]), np.radians(alerts.dec_deg[row])
        across = np.cos(dec)
        square = (across * np.cos(ra) - x) ** 2 + (across * np.sin(ra) - y) ** 2 + (np.sin(dec) - z) ** 2
        inside = np.asarray(square <= within, np.bool_)
        unsure = np.flatnonzero(~inside & (square <= beyond))
        if len(unsure):
            order = unsure[np.argsort(slot[unsure], kind="stable")]
            for group in np.split(order, np.flatnonzero(np.diff(slot[order])) + 1):
                window, rows = self.windows[slot[group[0]]], row[group]
                if window is not None:
                    inside[group] = window.region.contains(
                        alerts.ra_deg[rows], alerts.dec_deg[rows], alerts.pixel[rows]
                    )
        return inside

    def _without(self, dropped: Sequence[int]) -> tuple[Bools, Ints]:
        """Which entries stay when windows go, and how many then stand in each cell."""
        slot = self._entry & _SLOT_MASK
        goes = slot == dropped[0]
        for other in dropped[1:]:
            goes |= slot == other
        cell = np.searchsorted(self._first + self._count, np.flatnonzero(goes), side="right")
        return ~goes, self._count - np.bincount(cell, minlength=COARSE_CELLS)


def _describe(columns: _Columns, slot: int, window: Window, footprint: Footprint, pool_start: int) -> None:
    columns.start_us[slot], columns.end_us[slot] = window.start_us, window.end_us
    columns.shift[slot] = COARSE_SHIFT - 2 * footprint.depth
    columns.mask[slot] = (1 << (2 * footprint.depth)) - 1
    columns.pool_start[slot], columns.pool_size[slot] = pool_start, len(footprint.grades)
    columns.cap[:, slot] = _chords(cap_of(window.region))


def _chords(cap: Cap | None) -> tuple[float, float, float, float, float]:
    """A column of `_Columns.cap`. A chord's square is twice the versine; without a cap nothing is certain."""
    if cap is None:
        return 0.0, 0.0, 0.0, -1.0, np.inf
    ra, dec = np.radians(cap.ra_deg), np.radians(cap.dec_deg)
    within, beyond = 2 * cap.surely_within, 2 * cap.surely_beyond
    within -= 2 * np.sqrt(max(within, 0.0)) * _ROUNDING + _ROUNDING**2
    beyond += 2 * np.sqrt(beyond) * _ROUNDING + _ROUNDING**2
    return np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec), within, beyond


def _compacted(pool: _Pool, columns: _Columns, entry: Ints) -> tuple[_Pool, Ints]:
    """The pool without the blocks of windows that are gone. Changes `columns`, which no snapshot has yet."""
    tight, moved = _Pool(), np.zeros(len(columns.pool_start), np.int64)
    for slot in np.flatnonzero(columns.pool_size):
        first, size = columns.pool_start[slot], columns.pool_size[slot]
        moved[slot] = tight.append(pool.data[first : first + size]) - first
    columns.pool_start[:] += moved
    first_byte = entry >> _SLOT_BITS
    first_byte = np.where(first_byte == 0, 0, first_byte + moved[entry & _SLOT_MASK])
    return tight, (first_byte << _SLOT_BITS) | (entry & _SLOT_MASK)
