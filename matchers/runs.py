"""Stored alerts of one survey and night, as sorted runs of 32 bytes an alert that never change.

The alerts themselves lie elsewhere (see `matchers.nights`), and a run knows each by its row there.
"""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from matchers.objects import Keys, mixed
from matchers.rows import spread
from matchers.windows import covered, inside_for_sure, is_its_cells
from schemas.records import Ints
from schemas.sky import Region

ROW_BITS = 26
"""A row takes so many bits and the time since the night began the 37 others: 86,400,000,000 microseconds fit."""
_ROW_MASK = (1 << ROW_BITS) - 1
_TAG_BITS = np.uint64(32)
_NOT_TAG = (1 << 32) - 1
_FOREVER = -(1 << 63)
_LONG_SLICE = 64
"""Intervals that hold so many alerts on average are copied one by one, which is faster than gathering all at once."""


def tagged(key: Keys, row: Ints) -> Keys:
    """The upper half of each key, with a row below it."""
    return np.asarray((key >> _TAG_BITS << _TAG_BITS) | row.astype(np.uint64), np.uint64)


def id_keys(alert_id: Ints) -> Keys:
    """A hash of each alert id."""
    return mixed(alert_id.astype(np.uint64))


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Some alerts of a night.

    Attributes
    ----------
    pixel
        Sorted.
    when_row
        Of each pixel's alert the time since the night began (us) and, in the lowest `ROW_BITS` bits, its row.
    id_row, object_row
        32 bits of the hash of each alert's id (object's name) and 32 bits of its row, sorted. Several ids can have
        the same bits: whoever finds a row must look there.
    first_us, last_us
        Of the earliest and the latest alert, since the night began.
    first_id, last_id
        The lowest and the highest id.
    since_us
        Alerts before it, since the night began, have expired, and count as not there.
    """

    pixel: Ints
    when_row: Ints
    id_row: NDArray[np.uint64]
    object_row: NDArray[np.uint64]
    first_us: int
    last_us: int
    first_id: int
    last_id: int
    since_us: int = field(default=_FOREVER)

    @classmethod
    def of(cls, pixel: Ints, when_us: Ints, row: Ints, alert_id: Ints, object_key: Keys) -> Self:
        """Sort columns of shape (n,), n > 0, into a run."""
        order = np.argsort(pixel, kind="stable")
        return cls(
            pixel[order],
            ((when_us << ROW_BITS) | row)[order],
            np.sort(tagged(id_keys(alert_id), row)),
            np.sort(tagged(object_key, row)),
            int(when_us.min()),
            int(when_us.max()),
            int(alert_id.min()),
            int(alert_id.max()),
        )

    @classmethod
    def merged(cls, older: Self, newer: Self) -> Self:
        """Two runs as one, without what expired."""
        older, newer = older.without_expired(), newer.without_expired()
        pixel = np.concatenate([older.pixel, newer.pixel])
        order = np.argsort(pixel, kind="stable")
        return cls(
            pixel[order],
            np.concatenate([older.when_row, newer.when_row])[order],
            np.sort(np.concatenate([older.id_row, newer.id_row]), kind="stable"),
            np.sort(np.concatenate([older.object_row, newer.object_row]), kind="stable"),
            min(older.first_us, newer.first_us),
            max(older.last_us, newer.last_us),
            min(older.first_id, newer.first_id),
            max(older.last_id, newer.last_id),
        )

    def __len__(self) -> int:
        """How many alerts there are, expired ones included."""
        return len(self.pixel)

    @property
    def nbytes(self) -> int:
        """Bytes of the four columns."""
        return self.pixel.nbytes + self.when_row.nbytes + self.id_row.nbytes + self.object_row.nbytes

    def live(self) -> int:
        """How many alerts have not expired."""
        if self.since_us <= self.first_us:
            return len(self)
        return int(np.count_nonzero(self.when_row >> ROW_BITS >= self.since_us))

    def since(self, since_us: int) -> Self:
        """The same run, of which nothing before an instant (since the night began) counts any more."""
        return self if since_us <= max(self.first_us, self.since_us) else replace(self, since_us=since_us)

    def without_expired(self) -> Self:
        """The same without the alerts that expired; it may be empty."""
        if self.since_us <= self.first_us:
            return self
        stays = self.when_row >> ROW_BITS >= self.since_us
        alive = np.zeros(int((self.when_row & _ROW_MASK).max()) + 1, np.bool_)
        alive[self.when_row[stays] & _ROW_MASK] = True
        id_row, object_row = (tags[alive[_rows_of(tags)]] for tags in (self.id_row, self.object_row))
        return replace(
            self,
            pixel=self.pixel[stays],
            when_row=self.when_row[stays],
            id_row=id_row,
            object_row=object_row,
            first_us=max(self.first_us, self.since_us),
            since_us=_FOREVER,
        )

    def moved(self, rows: int) -> Self:
        """The same of alerts whose rows lie so many further on."""
        if not rows:
            return self
        tag = np.uint64(rows)
        return replace(self, when_row=self.when_row + rows, id_row=self.id_row + tag, object_row=self.object_row + tag)

    def inside(self, region: Region, start_us: int, end_us: int) -> tuple[Ints, Ints, Ints]:
        """Alerts in a region's cover from one instant (since the night began) to another, both included.

        Returns
        -------
        rows
            Of alerts that lie inside the region for sure, shape (n,).
        unsure_rows, unsure_pixels
            Of those for which the region must be asked, shape (m,) each.
        """
        none = np.zeros(0, np.int64)
        start_us = max(start_us, self.since_us)
        if end_us < self.first_us or start_us > self.last_us:
            return none, none, none
        when_row, pixel = self._in_cover(region, pixels=not is_its_cells(region))
        if start_us > self.first_us or end_us < self.last_us:
            when_us = when_row >> ROW_BITS
            within = (start_us <= when_us) & (when_us <= end_us)
            when_row = when_row[within]
            pixel = pixel[within] if len(pixel) else pixel
        rows = when_row & _ROW_MASK
        if not len(pixel):
            return rows, none, none
        sure = inside_for_sure(region, pixel)
        return rows[sure], rows[~sure], pixel[~sure]

    def _in_cover(self, region: Region, *, pixels: bool) -> tuple[Ints, Ints]:
        """Entries of `when_row`, and of `pixel` if wanted, whose pixels lie in the region's cover."""
        none = np.zeros(0, np.int64)
        if len(self) < len(region.lo):
            place = np.flatnonzero(covered(region, self.pixel))
            return self.when_row[place], self.pixel[place] if pixels else none
        # Both ends of an interval in one search: what the first touched is at hand for the second.
        first, end = np.searchsorted(self.pixel, np.stack([region.lo, region.hi], axis=1)).T
        total = int((end - first).sum())
        if total < _LONG_SLICE * len(first):
            place = spread(first, end - first)
            return self.when_row[place], self.pixel[place] if pixels else none
        slices = [slice(*ends) for ends in zip(first.tolist(), end.tolist(), strict=True)]
        when_row = np.concatenate([self.when_row[part] for part in slices]) if slices else none
        return when_row, np.concatenate([self.pixel[part] for part in slices]) if pixels and slices else none

    def candidates_of_id(self, alert_id: Ints, key: Keys) -> tuple[Ints, Ints]:
        """Pairs of an id's place in the argument and a row that may have this id, shape (m,) each.

        Parameters
        ----------
        alert_id, key
            Ids and their `id_keys`, shape (n,). It is much faster if the keys are sorted.
        """
        near = np.flatnonzero((self.first_id <= alert_id) & (alert_id <= self.last_id))
        if not len(near):
            return near, near
        asked, rows = _tagged_with(self.id_row, key[near] >> _TAG_BITS)
        return near[asked], rows

    def candidates_of_objects(self, key: Keys) -> tuple[Ints, Ints]:
        """Pairs of an object's place in the argument and a row that may be of this object, shape (m,) each.

        Parameters
        ----------
        key
            Of the objects, shape (n,). It is much faster if they are sorted.
        """
        return _tagged_with(self.object_row, key >> _TAG_BITS)


def _tagged_with(tags: NDArray[np.uint64], tag: Keys) -> tuple[Ints, Ints]:
    """Pairs of a place in ``tag`` and a row that has it in ``tags`` (sorted, not empty), shape (m,) each."""
    first = np.searchsorted(tags, tag << _TAG_BITS)
    maybe = np.flatnonzero(tags[np.minimum(first, len(tags) - 1)] >> _TAG_BITS == tag)
    if not len(maybe):
        return maybe, maybe
    first = first[maybe]
    counts = np.searchsorted(tags, tag[maybe] << _TAG_BITS | np.uint64(_NOT_TAG), side="right") - first
    return np.repeat(maybe, counts), _rows_of(tags[spread(first, counts)])


def _rows_of(tags: NDArray[np.uint64]) -> Ints:
    return np.asarray((tags & np.uint64(_NOT_TAG)).astype(np.int64))
