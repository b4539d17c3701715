"""Stored alerts of one survey, in sorted runs that never change."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from schemas.records import Alerts, Bools, Ints
from schemas.sky import Region


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Some alerts of one survey, sorted by pixel, with what finds them by id and by object.

    Attributes
    ----------
    alerts
        Sorted by pixel.
    code
        Code of each alert's object (see `matchers.objects`).
    sorted_ids
        All alert ids, sorted.
    by_code, sorted_codes
        Row numbers in the order of their codes, and the codes in that order.
    """

    alerts: Alerts
    code: Ints
    sorted_ids: Ints
    by_code: Ints
    sorted_codes: Ints

    @classmethod
    def of(cls, alerts: Alerts, code: Ints) -> Self:
        """Sort alerts into a run. Already sorted stretches make this cheap."""
        order = np.argsort(alerts.pixel, kind="stable")
        alerts, code = alerts.take(order), code[order]
        by_code = np.argsort(code, kind="stable")
        return cls(alerts, code, np.sort(alerts.alert_id), by_code, code[by_code])

    @classmethod
    def merged(cls, older: Self, newer: Self) -> Self:
        """Two runs as one."""
        return cls.of(Alerts.concatenate([older.alerts, newer.alerts]), np.concatenate([older.code, newer.code]))

    def __len__(self) -> int:
        return len(self.alerts)

    def holds(self, alert_id: Ints) -> Bools:
        """Which of these ids are stored here, shape (n,)."""
        place = np.searchsorted(self.sorted_ids, alert_id)
        return np.asarray(self.sorted_ids[np.minimum(place, len(self) - 1)] == alert_id, np.bool_)

    def rows_covered_by(self, region: Region) -> Ints:
        """Rows whose pixels lie in the region's cover, ascending."""
        first = np.searchsorted(self.alerts.pixel, region.lo)
        counts = np.searchsorted(self.alerts.pixel, region.hi) - first
        ends = np.cumsum(counts)
        total = int(ends[-1]) if len(ends) else 0
        return np.repeat(first - (ends - counts), counts) + np.arange(total)

    def rows_of(self, code: int) -> Ints:
        """Rows of one object."""
        first, end = np.searchsorted(self.sorted_codes, [code, code + 1])
        return self.by_code[first:end]
