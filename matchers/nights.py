"""A night of one survey's stored alerts: narrow sorted runs that find rows, and the wide rows themselves.

A night is never changed, only replaced, so whoever holds one sees it whole. It may lie in memory or in mapped files.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from matchers.objects import Keys
from matchers.rows import ARRAYS, BYTES, LATER, Rows
from matchers.runs import ROW_BITS, Run
from schemas.records import Alerts, Bools, Ints, Strings, Window
from schemas.times import US_PER_DAY, night_of, night_start_us

__all__ = ["MOST_ROWS", "Night", "night_of"]

MOST_ROWS = 1 << ROW_BITS
_MOST_MERGED = 1 << 18
"""Runs are merged up to so many alerts (20 ms), larger ones only when the night is sealed..."""
_MOST_CHUNKED = 1 << 16
"""...and wide rows are moved together up to so many."""
_ROWS = np.uint64((1 << 32) - 1)
_RUN_COLUMNS = ("pixel", "when_row", "id_row", "object_row")
_RUN_BOUNDS = ("first_us", "last_us", "first_id", "last_id")


@dataclass(frozen=True, slots=True, eq=False)
class Night:
    """Stored alerts of one survey and night.

    Attributes
    ----------
    survey
        Its name.
    start_us
        When the night begins, which is noon.
    runs
        What finds rows; disjoint, and together all rows that have not expired.
    chunks, ends
        The wide rows in parts, and one past the last row of each.
    is_closed
        Whether nothing is to be added to it any more.
    is_sealed
        Whether it is one run and one chunk in the order of the pixels, as `sealed` makes it.
    """

    survey: str
    start_us: int
    runs: tuple[Run, ...]
    chunks: tuple[Rows, ...]
    ends: Ints
    is_closed: bool = False
    is_sealed: bool = False

    @classmethod
    def empty(cls, survey: str, number: int) -> Self:
        """The night of this number (see `night_of`)."""
        return cls(survey, night_start_us(number), (), (), np.zeros(0, np.int64))

    @property
    def end_us(self) -> int:
        """When the next night begins."""
        return self.start_us + US_PER_DAY

    @property
    def rows(self) -> int:
        """How many rows there are, expired ones included."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def __len__(self) -> int:
        return sum(run.live() for run in self.runs)

    @property
    def nbytes(self) -> tuple[int, int]:
        """Bytes of the runs and of the wide rows."""
        return sum(run.nbytes for run in self.runs), sum(chunk.nbytes for chunk in self.chunks)

    def with_alerts(self, alerts: Alerts, object_key: Keys) -> Self:
        """With more alerts of this night, not stored before, as a new run. At most `MOST_ROWS` fit."""
        row = self.rows + np.arange(len(alerts))
        new = Run.of(alerts.pixel, alerts.time_us - self.start_us, row, alerts.alert_id, object_key)
        runs, chunks = (*self.runs, new), (*self.chunks, Rows.of(alerts))
        while len(runs) > 1 and _merge(len(runs[-2]), len(runs[-1]), _MOST_MERGED):
            runs = (*runs[:-2], Run.merged(runs[-2], runs[-1]))
        while len(chunks) > 1 and _merge(len(chunks[-2]), len(chunks[-1]), _MOST_CHUNKED):
            chunks = (*chunks[:-2], Rows.concatenate(chunks[-2:]))
        ends = np.cumsum([len(chunk) for chunk in chunks])
        return replace(self, runs=runs, chunks=chunks, ends=ends, is_sealed=False)

    def closed(self) -> Self:
        """The same, but nothing is to be added to it any more."""
        return replace(self, is_closed=True)

    def since(self, before_us: int) -> Self:
        """Without the alerts before an instant."""
        if before_us <= self.start_us:
            return self
        since_us = before_us - self.start_us
        return replace(self, runs=tuple(run.since(since_us) for run in self.runs if run.last_us >= since_us))

    def sealed(self) -> Self:
        """The same as one run and one chunk, its rows in the order of their pixels, without what expired.

        For millions of rows it takes seconds; any thread may do it.
        """
        runs = [run for run in (run.without_expired() for run in self.runs) if len(run)]
        if not runs:
            return replace(self, runs=(), chunks=(), ends=np.zeros(0, np.int64), is_closed=True, is_sealed=True)
        run = reduce(Run.merged, sorted(runs, key=len))
        row = run.when_row & (MOST_ROWS - 1)
        alerts = (self.chunks[0] if len(self.chunks) == 1 else Rows.concatenate(self.chunks)).picked(row)
        new_row = np.arange(len(row))
        new_place = np.zeros(self.rows, np.uint64)
        new_place[row] = new_row
        run = replace(
            run,
            when_row=(run.when_row >> ROW_BITS << ROW_BITS) | new_row,
            id_row=np.sort((run.id_row & ~_ROWS) | new_place[(run.id_row & _ROWS).astype(np.int64)]),
            object_row=np.sort((run.object_row & ~_ROWS) | new_place[(run.object_row & _ROWS).astype(np.int64)]),
        )
        return replace(
            self, runs=(run,), chunks=(alerts,), ends=np.array([len(alerts)]), is_closed=True, is_sealed=True
        )

    @classmethod
    def merged(cls, parts: Sequence[Self]) -> Self:
        """One sealed part of several parts of a night, which hold different alerts; as `sealed`.

        Raises
        ------
        ValueError
            If there are none, they are of different nights, or hold more than `MOST_ROWS` alerts.
        """
        if len({(part.survey, part.start_us) for part in parts}) != 1:
            raise ValueError("only parts of one night are merged")
        if sum(part.rows for part in parts) > MOST_ROWS:
            raise ValueError(f"parts of a night of {parts[0].survey} hold more than {MOST_ROWS} alerts")
        ends = np.cumsum([len(chunk) for part in parts for chunk in part.chunks])
        before = np.cumsum([0, *(part.rows for part in parts)]).tolist()
        runs = tuple(run.moved(rows) for part, rows in zip(parts, before, strict=False) for run in part.runs)
        chunks = tuple(chunk for part in parts for chunk in part.chunks)
        return replace(parts[0], runs=runs, chunks=chunks, ends=ends).sealed()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """A sealed night as columns to be written, one a file; `of_arrays` makes the night of them again.

        Raises
        ------
        ValueError
            If the night is not sealed, or something of it expired since.
        """
        if not self.is_sealed or len(self) < self.rows:
            raise ValueError(f"a night of {self.survey} that is not sealed was to be written")
        (run,), (chunk,) = self.runs, self.chunks
        bounds = np.array([self.start_us, *(getattr(run, name) for name in _RUN_BOUNDS)], np.int64)
        return {"bounds": bounds} | {name: getattr(run, name) for name in _RUN_COLUMNS} | chunk.arrays()

    @classmethod
    def of_arrays(cls, survey: str, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The night whose `arrays` these are, be they of an earlier version; mapped files stay mapped.

        Raises
        ------
        ValueError
            If columns are missing or differ in length.
        """
        own = (name for name in ARRAYS if name not in LATER or name in arrays)
        names = (*(name for name in _RUN_COLUMNS if name != "pixel"), *own)
        missing = [name for name in ("bounds", *names, *BYTES) if name not in arrays]
        if missing:
            raise ValueError(f"a night of {survey} lacks the columns {', '.join(missing)}")
        # A view of a mapped file, as numpy's class of mapped arrays is slow.
        plain = {name: np.asarray(arrays[name]) for name in ("bounds", *names, *BYTES)}
        if len({len(plain[name]) for name in names}) > 1:
            raise ValueError(f"the columns of a night of {survey} differ in length")
        start_us, *bounds = plain["bounds"].tolist()
        columns = {name: plain[name] for name in _RUN_COLUMNS} | dict(zip(_RUN_BOUNDS, bounds, strict=True))
        run = Run(**columns)
        alerts = Rows.of_arrays(survey, plain)
        return cls(survey, start_us, (run,), (alerts,), np.array([len(alerts)]), is_closed=True, is_sealed=True)

    def rows_of_ids(self, alert_id: Ints, key: Keys) -> tuple[Ints, Ints]:
        """Which of these ids are stored here and have not expired: their places in the argument, and their rows.

        Parameters
        ----------
        alert_id, key
            As for `matchers.runs.Run.candidates_of_id`.
        """
        places, found = [], []
        for run in self.runs:
            asked, rows = run.candidates_of_id(alert_id, key)
            if len(asked):
                right = self._live(run, rows) & (self.column("alert_id", rows) == alert_id[asked])
                places.append(asked[right])
                found.append(rows[right])
        return _joined(places), _joined(found)

    def rows_of_objects(self, names: Strings, key: Keys) -> Ints:
        """Rows of the objects of these names, with their keys, shape (n,)."""
        asked, live = [], []
        for run in self.runs:
            places, rows = run.candidates_of_objects(key)
            if len(rows):
                stays = self._live(run, rows)
                asked.append(places[stays])
                live.append(rows[stays])
        rows = _joined(live)
        return rows[self.column("object_id", rows) == names[_joined(asked)]] if len(rows) else rows

    def rows_inside(self, window: Window) -> Ints:
        """Rows of alerts inside a window, exactly, in any order, shape (n,)."""
        start_us, end_us = window.start_us - self.start_us, window.end_us - self.start_us
        found = [run.inside(window.region, start_us, end_us) for run in self.runs]
        sure, unsure, pixel = (_joined([parts[column] for parts in found]) for column in range(3))
        if not len(unsure):
            return sure
        inside = window.region.contains(self.column("ra_deg", unsure), self.column("dec_deg", unsure), pixel)
        return np.concatenate([sure, unsure[inside]])

    def column(self, name: str, rows: Ints) -> NDArray[Any]:
        """Values of one column in these rows, shape (n,)."""
        if len(self.chunks) == 1:
            return self.chunks[0].column(name, rows)
        order = np.argsort(rows, kind="stable")
        values = np.concatenate([chunk.column(name, part) for chunk, part in self.by_chunk(rows[order])])
        unsorted = np.empty_like(values)
        unsorted[order] = values
        return unsorted

    def batches(self, most_rows: int) -> Iterator[Alerts]:
        """All alerts that have not expired, so many at a time, in any order."""
        for run in self.runs:
            row = run.without_expired().when_row & (MOST_ROWS - 1)
            for start in range(0, len(row), most_rows):
                yield Rows.taken(self.by_chunk(np.sort(row[start : start + most_rows])))

    def by_chunk(self, ascending: Ints) -> list[tuple[Rows, Ints]]:
        """Of each chunk that has any of these rows, their places in it."""
        if len(self.chunks) == 1:
            return [(self.chunks[0], ascending)]
        borders = np.searchsorted(ascending, [0, *self.ends])
        return [
            (self.chunks[part], ascending[borders[part] : borders[part + 1]] - (self.ends[part - 1] if part else 0))
            for part in np.flatnonzero(np.diff(borders)).tolist()
        ]

    def _live(self, run: Run, rows: Ints) -> Bools:
        if run.since_us <= run.first_us:
            return np.ones(len(rows), np.bool_)
        return np.asarray(self.column("time_us", rows) - self.start_us >= run.since_us, np.bool_)


def _merge(older: int, newer: int, most: int) -> bool:
    """Whether to merge two neighbours: each but the large ones is to be more than twice as large as the next."""
    return older <= 2 * newer and older + newer <= most


def _joined(parts: Sequence[Ints]) -> Ints:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
