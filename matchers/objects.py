"""What is known of each object of a survey, whether or not its alerts are stored: its earliest detection."""

import numpy as np

from schemas.records import Alerts, Ints, Strings

_LATEST = np.iinfo(np.int64).max
_EARLIEST = np.iinfo(np.int64).min


class FirstDetections:
    """Earliest detection of every object of one survey; an object is a small integer, its code."""

    def __init__(self) -> None:
        self._code: dict[str, int] = {}
        self._first_us = np.empty(0, np.int64)
        self._last_us = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._code)

    def observe(self, alerts: Alerts) -> tuple[Ints, tuple[str, ...]]:
        """Learn of detections.

        A detection's own time counts as well as the ``first_detection_us`` that its packet names.

        Returns
        -------
        codes
            Code of each alert's object, shape (n,).
        moved
            Names, sorted, of the objects that were known before and whose earliest detection became earlier.
        """
        known, names = len(self._code), alerts.object_id.tolist()
        codes = np.fromiter((self._code.setdefault(name, len(self._code)) for name in names), np.int64, len(names))
        self._reserve(len(self._code))
        before = self._first_us[codes]
        np.minimum.at(self._first_us, codes, np.minimum(alerts.first_detection_us, alerts.time_us))
        np.maximum.at(self._last_us, codes, alerts.time_us)
        earlier = (codes < known) & (self._first_us[codes] < before)
        return codes, tuple(sorted({names[row] for row in np.flatnonzero(earlier)}))

    def code_of(self, object_id: str) -> int | None:
        """Code of an object, None if it is unknown."""
        return self._code.get(object_id)

    def first_us(self, codes: Ints) -> Ints:
        """Earliest detection of the objects with these codes, shape (n,)."""
        return self._first_us[codes]

    def expire(self, before_us: int) -> Ints | None:
        """Forget objects that were last detected before an instant.

        Returns
        -------
        recoded
            New code of each old one, -1 for those forgotten; None if nothing was forgotten.
        """
        keep = self._last_us[: len(self._code)] >= before_us
        if keep.all():
            return None
        recoded = np.where(keep, np.cumsum(keep) - 1, -1)
        names: Strings = np.array(list(self._code), dtype=object)
        self._code = {name: code for code, name in enumerate(names[keep].tolist())}
        self._first_us, self._last_us = self._first_us[: len(keep)][keep], self._last_us[: len(keep)][keep]
        return recoded

    def _reserve(self, size: int) -> None:
        """Grow by doubling, so that the cost of an object stays constant."""
        missing = size - len(self._first_us)
        if missing > 0:
            more = max(missing, len(self._first_us))
            self._first_us = np.concatenate([self._first_us, np.full(more, _LATEST, np.int64)])
            self._last_us = np.concatenate([self._last_us, np.full(more, _EARLIEST, np.int64)])
