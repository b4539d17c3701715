"""Where and when a survey looked, and how many new objects it found there: told from the alerts that it sent.

The sky lies in coarse cells, time in nights. A cell and night in which anything was detected, stored or not, was
*visited*; an object of which an alert is stored is a *new object* of the cell and night of its first detection. All of
it is a function of the set of alerts, whatever their order and batches.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from schemas.pixels import DEG2_PER_SR, ORDER, Array
from schemas.records import Floats, Ints
from schemas.times import night_of, night_start_us

CELL_ORDER = 5
"""Cells of 3.4 deg2: several in a camera's field, and some hundred in the region of a burst."""
CELL_SHIFT = 2 * (ORDER - CELL_ORDER)
CELLS = 12 << 2 * CELL_ORDER
CELL_DEG2 = 4 * np.pi * DEG2_PER_SR / CELLS
NEVER_MS = -1
"""In `Visits.last_ms`, where there was no visit."""
MOST_NIGHTS = 128
"""The newest nights are kept: 150 kB each, and packets tell of nights of any age."""
MAG_STEP = 0.25
_MAG_BINS = 128
_MOST_WAITING = 1 << 16
_US_PER_MS = 1000
_LATER_MS = np.iinfo(np.int32).max
_LONG_AGO, _FAR_AHEAD = -(1 << 26), 1 << 26
_EARLIEST_US = -(1 << 62)


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """When each cell was visited in one night; never changed.

    Attributes
    ----------
    number
        Of the night.
    first_ms, last_ms
        Earliest and latest detection of anything, in milliseconds since the night began, by cell, shape (`CELLS`,);
        where there was none the latest is `NEVER_MS` and the earliest after any night.
    """

    number: int
    first_ms: NDArray[np.int32]
    last_ms: NDArray[np.int32]


@dataclass(slots=True, eq=False)
class _Night:
    """``is_shown``: whether somebody holds the arrays of visits, which then are replaced before they change."""

    first_ms: NDArray[np.int32]
    last_ms: NDArray[np.int32]
    new: NDArray[np.int32]
    mags: NDArray[np.int32]
    is_visited: bool = False
    is_shown: bool = False

    @classmethod
    def empty(cls) -> Self:
        return cls(
            np.full(CELLS, _LATER_MS, np.int32),
            np.full(CELLS, NEVER_MS, np.int32),
            np.zeros(CELLS, np.int32),
            np.zeros(_MAG_BINS, np.int32),
        )


_COLUMNS = ("first_ms", "last_ms", "new", "mags")


class Coverage:
    """Visits, new objects and magnitudes of one survey by night; its memory is bounded."""

    def __init__(self) -> None:
        self._nights: dict[int, _Night] = {}
        self._looked: list[tuple[NDArray[Any], ...]] = []
        self._measured: list[tuple[NDArray[Any], ...]] = []
        self._counted: list[tuple[NDArray[Any], ...]] = []
        self._waiting = 0
        self._since = _LONG_AGO
        """Nights before are not told of any more; of this one something has expired, unless it is `_LONG_AGO`."""

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes."""
        return sum(getattr(night, name).nbytes for night in self._nights.values() for name in _COLUMNS)

    def look(self, pixel: Ints, time_us: Ints) -> None:
        """Learn that something was detected, shape (n,) each; a negative pixel is one not known."""
        self._wait(self._looked, pixel, time_us)

    def measure(self, time_us: Ints, mag: Floats) -> None:
        """Learn of the magnitudes of alerts that are stored, each once, shape (n,) each; NaN tells nothing."""
        self._wait(self._measured, time_us, mag)

    def count(self, cell: NDArray[np.uint16], first_us: Ints, change: int) -> None:
        """Count new objects in (1) or out (-1): different ones, by cell and first detection, shape (n,) each."""
        self._wait(self._counted, cell, first_us, np.full(len(cell), change, np.int32))

    def _wait(self, waiting: list[tuple[NDArray[Any], ...]], *columns: NDArray[Any]) -> None:
        """Much at a time is entered in no more time than little."""
        if len(columns[0]):
            waiting.append(columns)
            self._waiting += len(columns[0])
            if self._waiting > _MOST_WAITING:
                self._enter()

    def _enter(self) -> None:
        """Enter all that waits."""
        looked, measured, counted = (_joined(waiting) for waiting in (self._looked, self._measured, self._counted))
        self._looked, self._measured, self._counted, self._waiting = [], [], [], 0
        if looked:
            self._enter_looks(*looked)
        if measured:
            self._enter_magnitudes(*measured)
        if counted:
            self._enter_objects(*counted)

    def _enter_looks(self, pixel: Ints, time_us: Ints) -> None:
        for number, rows in _by_night(night_of(time_us)):
            rows = rows[pixel[rows] >= 0]  # noqa: PLW2901 - those that are known
            night = self._night(number) if len(rows) else None
            if night is None:
                continue
            if night.is_shown:
                night.first_ms, night.last_ms, night.is_shown = night.first_ms.copy(), night.last_ms.copy(), False
            night.is_visited = True
            cell = pixel[rows] >> CELL_SHIFT
            since_ms = ((time_us[rows] - night_start_us(number)) // _US_PER_MS).astype(np.int32)
            np.minimum.at(night.first_ms, cell, since_ms)
            np.maximum.at(night.last_ms, cell, since_ms)

    def _enter_magnitudes(self, time_us: Ints, mag: Floats) -> None:
        time_us, mag = time_us[np.isfinite(mag)], mag[np.isfinite(mag)]
        step = np.clip(mag / MAG_STEP, 0, _MAG_BINS - 1).astype(np.int64)
        for number, rows in _by_night(night_of(time_us)):
            night = self._night(number)
            if night is not None:
                night.mags += np.bincount(step[rows], minlength=_MAG_BINS).astype(np.int32)

    def _enter_objects(self, cell: NDArray[np.uint16], first_us: Ints, change: NDArray[np.int32]) -> None:
        for number, rows in _by_night(night_of(np.maximum(first_us, _EARLIEST_US))):
            night = self._night(number)
            if night is not None:
                np.add.at(night.new, cell[rows], change[rows])

    def expire(self, before_us: int) -> None:
        """Forget the nights that ended before an instant."""
        self._enter()
        # Before the earliest instant of a column there is no night: the difference to its noon would wrap around.
        self._since = max(self._since, int(night_of(np.array([max(before_us, -(2**62))]))[0]))
        for number in [number for number in self._nights if number < self._since]:
            del self._nights[number]

    @property
    def since_us(self) -> int:
        """When the oldest night with a visit begins; after everything without any."""
        self._enter()
        return night_start_us(min((n for n, night in self._nights.items() if night.is_visited), default=_FAR_AHEAD))

    def visits(self) -> tuple[Visits, ...]:
        """By night, those with any visit, in the order of time."""
        self._enter()
        shown = []
        for number, night in sorted(self._nights.items()):
            if night.is_visited:
                night.is_shown = True
                shown.append(Visits(number, night.first_ms, night.last_ms))
        return tuple(shown)

    def later_visits(self, cell: Ints, night: Ints) -> Ints:
        """In how many nights after the given ones these cells were visited, shape (n,)."""
        # Most nights are only known as the first of objects that were found before.
        visited = [(number, each) for number, each in sorted(self._nights.items()) if each.is_visited]
        later = np.zeros((len(visited) + 1, CELLS), np.int16)
        for row in range(len(visited) - 1, -1, -1):
            later[row] = later[row + 1] + (visited[row][1].last_ms != NEVER_MS)
        first = np.searchsorted(np.array([number for number, _ in visited], np.int64), night, side="right")
        return later[first, cell].astype(np.int64)

    def new_objects(self) -> tuple[Array, Array, int]:
        """New objects and visited nights by cell, shape (`CELLS`,) each, and how many nights were visited anywhere.

        Of nights that are told of wholly; an object whose first detection lies in a night in which its cell was not
        visited, as far as is known, does not count: it was found before anybody listened.
        """
        self._enter()
        new, visited, nights = np.zeros(CELLS), np.zeros(CELLS), 0
        for number, night in self._nights.items():
            if number > self._since and night.is_visited:
                seen = night.last_ms != NEVER_MS
                new += night.new * seen
                visited += seen
                nights += 1
        return new, visited, nights

    def magnitudes(self) -> Ints:
        """How many stored alerts there are by magnitude, in steps of `MAG_STEP` from 0 on."""
        self._enter()
        counts = np.zeros(_MAG_BINS, np.int64)
        for night in self._nights.values():
            counts += night.mags
        return counts

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, as arrays to be written; `of_arrays` makes the same of them again."""
        self._enter()
        nights = sorted(self._nights.items())
        columns = {
            f"coverage_{name}": np.concatenate([np.zeros(0, np.int32), *(getattr(night, name) for _, night in nights)])
            for name in _COLUMNS
        }
        return columns | {"coverage_nights": np.array([self._since, *(number for number, _ in nights)], np.int64)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `arrays` gave, copied; nothing is known if there is none of it, as in what earlier versions wrote.

        Raises
        ------
        ValueError
            If arrays are missing or do not fit each other.
        """
        made = cls()
        names = made.arrays().keys()
        if not names & arrays.keys():
            return made
        missing = sorted(names - arrays.keys())
        if missing:
            raise ValueError(f"what is known of visits lacks the columns {', '.join(missing)}")
        since, *numbers = arrays["coverage_nights"].tolist()
        parts = {}
        for name in _COLUMNS:
            column = np.array(arrays[f"coverage_{name}"], np.int32)
            width = _MAG_BINS if name == "mags" else CELLS
            if len(column) != width * len(numbers):
                raise ValueError("what is known of visits does not fit together")
            parts[name] = column.reshape(-1, width)
        made._since = since
        for row, number in enumerate(numbers):
            columns = {name: part[row] for name, part in parts.items()}
            made._nights[number] = _Night(**columns, is_visited=bool(columns["last_ms"].max() != NEVER_MS))
        return made

    def _night(self, number: int) -> _Night | None:
        """The night of this number, made if need be; None if it is too old to be kept."""
        night = self._nights.get(number)
        if night is not None or number < self._since:
            return night
        if len(self._nights) >= MOST_NIGHTS:
            oldest = min(self._nights)
            if number < oldest:
                return None
            del self._nights[oldest]
        self._nights[number] = night = _Night.empty()
        return night


def _joined(waiting: list[tuple[NDArray[Any], ...]]) -> tuple[NDArray[Any], ...]:
    return tuple(np.concatenate(columns) for columns in zip(*waiting, strict=True))


def _by_night(number: Ints) -> Iterator[tuple[int, Ints]]:
    """Each night among these numbers, and its places, in the order of time."""
    for each in sorted(set(number.tolist())):
        yield each, np.flatnonzero(number == each)
