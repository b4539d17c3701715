"""What is known of each object of a survey, whether or not its alerts are stored: columns, no Python objects.

An object is found by its name in a hash table with linear probing (Knuth, The Art of Computer Programming 3, 6.4,
algorithm L), a whole batch at a time; it takes about 60 bytes, and 30 for each band in which it was seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchers.bands import BandPoints
from matchers.colours import UnrelatedColours, colour_bins
from matchers.coverage import CELL_SHIFT, Coverage
from matchers.rates import RateHistogram
from matchers.repeats import Repeats, counts_of, once_counts_of, seen_of
from matchers.unrelated import UnrelatedCurves
from schemas.records import Alerts, Ints, Strings
from schemas.times import night_of

Keys = NDArray[np.uint64]
Names = NDArray[np.bytes_]
_LATEST = np.iinfo(np.int64).max
_NEVER = np.iinfo(np.int64).min
_LEAST_SLOTS = 64
_LAST_ASCII = 127
_NO_CELL = np.iinfo(np.uint16).max
_LONGEST_NAME = 32
"""In bytes, so that one long name does not widen all."""
_MOST_SAMPLED = 1 << 17
"""Objects of which the rest is told from: it takes 25 ms, once an hour."""
_REBUILT_AT_ONCE = 1 << 18


@dataclass(frozen=True, slots=True)
class ObjectState:
    """What rules may ask of an object.

    Attributes
    ----------
    first_detection_us, last_detection_us
        The earliest detection that any packet told of, and the latest that was offered to the index.
    last_non_detection_us
        The latest visit that is known not to have seen it; None if none is known.
    detections
        How many different alerts of it were stored since it is known.
    rates
        Magnitudes a day by band: from the first to the last of these alerts that has a magnitude (of several at one
        instant the brightest), in bands where half an hour or more lies between them; positive where it fades.
    """

    first_detection_us: int
    last_detection_us: int
    last_non_detection_us: int | None
    detections: int
    rates: Mapping[str, float]


def names_of(object_id: Strings) -> Names:
    """Names as bytes: ASCII, or else UTF-8, with what file names hold that is none. Shape (n,)."""
    points = np.ascontiguousarray(object_id).view(np.uint32)
    if not len(points) or points.max() > _LAST_ASCII:
        return np.asarray(np.char.encode(object_id, "utf-8", "surrogatepass"), np.bytes_)
    return points.astype(np.uint8).view(f"S{len(points) // len(object_id)}")


def keys_of(names: Names) -> Keys:
    """A 64-bit hash of each name, the same whatever the width of the column. Shape (n,)."""
    words = -(-names.dtype.itemsize // 8)
    packed = np.ascontiguousarray(names.astype(f"S{8 * words}", copy=False)).view("<u8").reshape(len(names), words)
    return mixed((packed * _multipliers(words)).sum(axis=1, dtype=np.uint64))


@lru_cache
def _multipliers(words: int) -> Keys:
    return mixed(np.arange(1, words + 1, dtype=np.uint64) << np.uint64(32))


def mixed(number: Keys) -> Keys:
    """Bits spread over the whole word: the finaliser of SplitMix64 (Steele et al. 2014, OOPSLA, 453)."""
    number = number + np.uint64(0x9E3779B97F4A7C15)
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(number ^ (number >> np.uint64(31)), np.uint64)


@dataclass(slots=True, eq=False)
class _Columns:
    """By an object's code; room for more than there are. ``last_us`` is `_NEVER` for an object that was forgotten."""

    name: Names
    first_us: Ints
    last_us: Ints
    missed_us: Ints
    stored: NDArray[np.int32]
    head: NDArray[np.int32]
    """Of its nodes in `BandPoints`."""
    cell: NDArray[np.uint16]
    """Of `Coverage`: the lowest in which one of its stored alerts lies; `_NO_CELL` if none is stored."""

    @classmethod
    def empty(cls, size: int, width: int) -> "_Columns":
        return cls(
            np.zeros(size, f"S{width}"),
            np.full(size, _LATEST, np.int64),
            np.full(size, _NEVER, np.int64),
            np.full(size, _NEVER, np.int64),
            np.zeros(size, np.int32),
            np.full(size, -1, np.int32),
            np.full(size, _NO_CELL, np.uint16),
        )

    def taken(self, rows: Ints | slice, size: int) -> "_Columns":
        """These rows, with room for ``size``."""
        new = _Columns.empty(size, self.name.dtype.itemsize)
        for column in self.__slots__:
            values = getattr(self, column)[rows]
            getattr(new, column)[: len(values)] = values
        return new


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Columns and the hash table of their names; replaced as a whole when it grows, so that a reader has one that fits.

    ``slots`` holds codes plus 1, or 0; its length is a power of two, at least twice the number of objects.
    """

    columns: _Columns
    slots: NDArray[np.int32]

    def codes(self, names: Names, keys: Keys) -> Ints:
        """Code of each name, -1 where there is none; those forgotten count as any other."""
        codes = np.full(len(names), -1, np.int64)
        open_rows = np.arange(len(names))
        mask = np.uint64(len(self.slots) - 1)
        place = (keys & mask).astype(np.int64)
        while len(open_rows):
            code = self.slots[place].astype(np.int64) - 1
            right = (code >= 0) & (self.columns.name[code] == names[open_rows])
            codes[open_rows[right]] = code[right]
            on = np.flatnonzero((code >= 0) & ~right)
            open_rows, place = open_rows[on], (place[on] + 1) & int(mask)
        return codes

    def enter(self, keys: Keys, codes: Ints) -> None:
        """Put new codes, all different, where their names will be looked for."""
        mask = len(self.slots) - 1
        place = (keys & np.uint64(mask)).astype(np.int64)
        entries = (codes + 1).astype(np.int32)
        while len(entries):
            free = np.flatnonzero(self.slots[place] == 0)
            self.slots[place[free]] = entries[free]
            on = np.flatnonzero(self.slots[place] != entries)
            entries, place = entries[on], (place[on] + 1) & mask


class Objects:
    """Detections, non-detections and number of stored alerts of every object of one survey.

    Attributes
    ----------
    coverage
        Where and when the survey looked, by all detections that it told of, and where its new objects are.
    """

    def __init__(self) -> None:
        self._used = 0
        self._forgotten = 0
        self._table = _Table(_Columns.empty(_LEAST_SLOTS // 2, 1), np.zeros(_LEAST_SLOTS, np.int32))
        self._points = BandPoints()
        self.coverage = Coverage()

    def __len__(self) -> int:
        return self._used - self._forgotten

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes."""
        columns = self._table.columns
        known = sum(getattr(columns, name).nbytes for name in columns.__slots__)
        return int(self._table.slots.nbytes + known + self._points.nbytes + self.coverage.nbytes)

    def observe(self, alerts: Alerts) -> tuple[Ints, tuple[str, ...]]:
        """Learn of detections.

        A detection's own time counts as well as the ``first_detection_us`` that its packet names.

        Returns
        -------
        codes
            Code of each alert's object, shape (n,); they hold until `expire`.
        moved
            Names, sorted, of the objects that were known before and whose earliest detection became earlier.
        """
        used = self._used
        codes = self._entered(_bounded(names_of(alerts.object_id)))
        columns = self._table.columns
        before, known = columns.first_us[codes], columns.last_us[codes] != _NEVER
        if self._forgotten:
            self._forgotten -= len(np.unique(codes[~known & (codes < used)]))
        np.minimum.at(columns.first_us, codes, np.minimum(alerts.first_detection_us, alerts.time_us))
        # The instant that stands for "forgotten" is no time of a detection.
        np.maximum.at(columns.last_us, codes, np.maximum(alerts.time_us, _NEVER + 1))
        np.maximum.at(columns.missed_us, codes, alerts.last_non_detection_us)
        earlier = known & (columns.first_us[codes] < before)
        self._recount(codes[earlier], before[earlier])
        self.coverage.look(alerts.pixel, alerts.time_us)
        return codes, tuple(sorted(set(alerts.object_id[earlier].tolist())))

    def known(self, object_id: Strings) -> NDArray[np.bool_]:
        """Of which of these objects something is known, shape (n,)."""
        return self._found(object_id)[1]

    def store(self, codes: Ints, alerts: Alerts) -> None:
        """Learn that these alerts, of the objects with these codes, were stored, for the first time."""
        columns = self._table.columns
        np.add.at(columns.stored, codes, 1)
        self._place(codes, alerts)
        self.coverage.measure(alerts.time_us, alerts.mag)
        self._points.observe(columns.head, codes, alerts.band, alerts.time_us, alerts.mag)

    def state(self, object_id: str) -> ObjectState | None:
        """What is known of an object; None if nothing is."""
        codes, known = self._found(np.array([object_id]))
        if not known[0]:
            return None
        columns, code = self._table.columns, int(codes[0])
        missed_us = int(columns.missed_us[code])
        return ObjectState(
            int(columns.first_us[code]),
            int(columns.last_us[code]),
            None if missed_us == _NEVER else missed_us,
            int(columns.stored[code]),
            self._points.rates(int(columns.head[code])),
        )

    def span_of(self, object_id: Strings) -> tuple[int, int]:
        """The earliest and the latest detection of any of these objects; the earlier is the later if none is known."""
        codes, known = self._found(object_id)
        columns, codes = self._table.columns, codes[known]
        return int(columns.first_us[codes].min(initial=_LATEST)), int(columns.last_us[codes].max(initial=_NEVER))

    def new(self) -> Ints:
        """Codes of new objects, first detected since anything is known of visits: at most some hundred thousand, evenly
        chosen.
        """
        columns, every = self._table.columns, slice(0, self._used, self._used // _MOST_SAMPLED + 1)
        new = (columns.first_us[every] >= self.coverage.since_us) & (columns.cell[every] != _NO_CELL)
        return np.flatnonzero(new) * every.step

    def curves_of(self, codes: Ints) -> UnrelatedCurves:
        """What the light curves of these objects are like."""
        head = self._table.columns.head[codes]
        g_minus_r = self._points.first_colours(head)
        rates = RateHistogram.measured(self._points.rate_counts(head, colour_bins(g_minus_r)))
        return UnrelatedCurves(rates, UnrelatedColours.measured(g_minus_r))

    def repeats_of(self, codes: Ints) -> Repeats:
        """How often these objects are seen again, where their place was looked at in later nights."""
        columns = self._table.columns
        first_us = columns.first_us[codes]
        cell = columns.cell[codes].astype(np.int64)
        later_nights = self.coverage.later_visits(cell, night_of(first_us))
        seen = seen_of(columns.stored[codes], columns.last_us[codes] - first_us)
        counts = counts_of(later_nights, seen, self._points.first_colours(columns.head[codes]))
        return Repeats.measured(counts, once_counts_of(later_nights, seen, cell))

    def first_us_of(self, codes: Ints) -> Ints:
        """Earliest detection of the objects with these codes, shape (n,)."""
        return self._table.columns.first_us[codes]

    def completed(self, alerts: Alerts) -> Alerts:
        """The same alerts with their objects' earliest detections, where these are known."""
        codes, known = self._found(alerts.object_id)
        first_us = np.where(known, self._table.columns.first_us[codes], alerts.first_detection_us)
        return alerts.with_first_detection(first_us)

    def expire(self, before_us: int) -> None:
        """Forget objects that were last detected before an instant. Codes given before hold no more."""
        self.coverage.expire(before_us)
        columns, used = self._table.columns, self._used
        gone = np.flatnonzero((columns.last_us[:used] < before_us) & (columns.last_us[:used] != _NEVER))
        if not len(gone):
            return
        counted = gone[columns.cell[gone] != _NO_CELL]
        self.coverage.count(columns.cell[counted], columns.first_us[counted], -1)
        columns.first_us[gone], columns.last_us[gone], columns.missed_us[gone] = _LATEST, _NEVER, _NEVER
        columns.stored[gone], columns.head[gone], columns.cell[gone] = 0, -1, _NO_CELL
        self._forgotten += len(gone)
        if 2 * self._forgotten > used:
            stay = np.flatnonzero(columns.last_us[:used] != _NEVER)
            self._used, self._forgotten = len(stay), 0
            kept = columns.taken(stay, max(len(stay), _LEAST_SLOTS // 2))
            kept.head[: len(stay)] = self._points.kept(kept.head[: len(stay)])
            self._rebuild(kept)

    def grow(self) -> None:
        """Make room for as many objects as there are if little is left, which otherwise is done when it is needed."""
        room = len(self._table.columns.name)
        if room - self._used < room // 4:
            self._rebuild(self._table.columns.taken(slice(self._used), 2 * room))
        self._points.grow()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that is known, as arrays to be written, without copying; `of_arrays` makes the same of them again."""
        columns, counts = self._table.columns, np.array([self._used, self._forgotten])
        known = {name: getattr(columns, name) for name in columns.__slots__}
        return known | {"slots": self._table.slots, "counts": counts} | self._points.arrays() | self.coverage.arrays()

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Objects":
        """What `arrays` gave, without computing anything.

        Parameters
        ----------
        arrays
            Files that are mapped copy-on-write (``mmap_mode="c"``) are used as they are; all others are copied.

        Raises
        ------
        ValueError
            If arrays are missing or do not fit each other.
        """
        made = cls()
        if "cell" not in arrays and "stored" in arrays:  # written before there was a background
            arrays = {**arrays, "cell": np.full(len(arrays["stored"]), _NO_CELL, np.uint16)}
        names = made.arrays().keys() - made.coverage.arrays().keys()
        missing = sorted(names - arrays.keys())
        if missing:
            raise ValueError(f"what is known of objects lacks the columns {', '.join(missing)}")
        own = {name: _own(arrays[name]) for name in names}
        table = _Table(_Columns(**{name: own[name] for name in _Columns.__slots__}), own["slots"])
        made._used, made._forgotten = own["counts"].tolist()
        size, room = len(table.slots), {len(own[name]) for name in _Columns.__slots__}
        if len(room) > 1 or size & (size - 1) or size < 2 * made._used or max(room) < made._used:
            raise ValueError("what is known of objects does not fit together")
        made._table, made._points = table, BandPoints.of_arrays(own)
        made.coverage = Coverage.of_arrays(arrays)
        return made

    def _recount(self, codes: Ints, before_us: Ints) -> None:
        """The earliest detections of these objects, which may repeat, were other ones before."""
        cell = self._table.columns.cell[codes]
        counted = cell != _NO_CELL
        if counted.any():
            different, first = np.unique(codes[counted], return_index=True)
            cell = cell[counted][first]
            self.coverage.count(cell, before_us[counted][first], -1)
            self.coverage.count(cell, self._table.columns.first_us[different], 1)

    def _place(self, codes: Ints, alerts: Alerts) -> None:
        """Learn where alerts that are stored now lie, of the objects with these codes."""
        columns = self._table.columns
        cell = (alerts.pixel >> CELL_SHIFT).astype(np.uint16)
        lower = np.flatnonzero(cell < columns.cell[codes])
        if not len(lower):
            return
        different = np.sort(codes[lower])
        different = different[np.append(True, different[1:] != different[:-1])]  # np.unique takes ten times as long
        counted = different[columns.cell[different] != _NO_CELL]
        self.coverage.count(columns.cell[counted], columns.first_us[counted], -1)
        np.minimum.at(columns.cell, codes[lower], cell[lower])
        self.coverage.count(columns.cell[different], columns.first_us[different], 1)

    def _found(self, object_id: Strings) -> tuple[Ints, NDArray[np.bool_]]:
        """Codes, and which of them count: those of unknown names are any."""
        names, table = _bounded(names_of(object_id)), self._table
        codes = table.codes(names, keys_of(names))
        return codes, (codes >= 0) & (table.columns.last_us[codes] != _NEVER)

    def _entered(self, names: Names) -> Ints:
        """Codes of names; those that have none get the next ones, in the order of their first appearance."""
        keys = keys_of(names)
        codes = self._table.codes(names, keys)
        while len(missing := np.flatnonzero(codes < 0)):
            # Should two names have one key, the second is still missing then, and comes next.
            first, of_first = _in_order_of_appearance(keys[missing])
            rows = missing[first]
            self._reserve(self._used + len(rows), names.dtype.itemsize)
            new = self._used + np.arange(len(rows))
            self._table.columns.name[new] = names[rows]
            self._table.enter(keys[rows], new)
            self._used += len(rows)
            same = names[missing] == names[rows][of_first]
            codes[missing[same]] = new[of_first[same]]
        return codes

    def _reserve(self, size: int, width: int) -> None:
        """Grow by doubling, so that the cost of an object stays constant."""
        columns = self._table.columns
        if width > columns.name.dtype.itemsize:
            wider = replace(columns, name=columns.name.astype(f"S{width}"))
            self._table = _Table(wider, self._table.slots)
            columns = wider
        if size > len(columns.name):
            self._rebuild(columns.taken(slice(self._used), max(size, 2 * len(columns.name))))

    def _rebuild(self, columns: _Columns) -> None:
        slots = np.zeros(1 << (2 * len(columns.name) - 1).bit_length(), np.int32)
        table = _Table(columns, slots)
        for start in range(0, self._used, _REBUILT_AT_ONCE):
            rows = np.arange(start, min(start + _REBUILT_AT_ONCE, self._used))
            table.enter(keys_of(columns.name[rows]), rows)
        self._table = table


def _in_order_of_appearance(keys: Keys) -> tuple[Ints, Ints]:
    """Where each different key stands first, and which of these each key is, shape (n,)."""
    ordered = np.sort(keys)
    if (ordered[1:] != ordered[:-1]).all():  # as nearly always: an exposure sees an object once
        every = np.arange(len(keys))
        return every, every
    _, first, of_first = np.unique(keys, return_index=True, return_inverse=True)
    appearance = np.argsort(first)
    rank = np.empty(len(first), np.int64)
    rank[appearance] = np.arange(len(first))
    return first[appearance], rank[of_first]


def _bounded(names: Names) -> Names:
    """Names that are no longer than `_LONGEST_NAME`, with a digest instead of those that are: it is no UTF-8."""
    if names.dtype.itemsize <= _LONGEST_NAME:
        return names
    long = np.flatnonzero(np.char.str_len(names) > _LONGEST_NAME)
    short = names.astype(f"S{_LONGEST_NAME}")
    short[long] = [b"\xff" + blake2b(name, digest_size=15).hexdigest().encode() for name in names[long].tolist()]
    return short


def _own(array: NDArray[Any]) -> NDArray[Any]:
    """An array that may be changed: a copy, unless it is a file mapped so that changes do not reach it."""
    is_private = isinstance(array, np.memmap) and array.mode == "c"
    return np.asarray(array) if is_private else np.array(array)
