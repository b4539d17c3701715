"""Triggers as their notices tell them, and the windows in which alerts of them are awaited."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from matchers.windows import rows_inside
from schemas.records import Alerts, Ints, Kind, Notice, Role, Trigger, Window
from schemas.sky import SkyMap

_LONG_AGO = -(1 << 63)


def order_of(notice: Notice) -> tuple[Any, ...]:
    """Sort key among the notices of one trigger: stage, serial, time of issue, and then whatever tells them apart.

    At the same instant a retraction comes last: what was taken back is not revived by what it takes back.

    A notice that does not say when it was issued comes before those that do.
    """
    issued_us = _LONG_AGO if notice.issued_us is None else notice.issued_us
    return notice.stage, notice.serial, issued_us, notice.kind is Kind.RETRACTION, notice.ivorn, notice.message.body


def fold(notices: Iterable[Notice], skymaps: Mapping[str, SkyMap]) -> Trigger | None:
    """The state of a trigger: a function of the *set* of its notices, whatever the order of their arrival.

    Notices are ordered by `order_of`; of several with the same IVORN the last counts, so that a redelivery
    changes nothing. Each part of the state comes from the newest notice that tells of it:

    - the position from the newest that has a sky map (so a retraction or a late alert takes none away);
    - the time, the significance, the false-alarm rate, the classification, whether it is astrophysical: the newest
      that says; names and links are those of all;
    - messenger, mission and instrument are those of the first, which made the trigger (XRT refines what BAT found);
    - it is retracted if the newest of all is a retraction, so that a later statement revives it;
    - it is a test if any is a test or a mock;
    - the revision is the number of different notices.

    Parameters
    ----------
    notices
        All of one trigger, in any order.
    skymaps
        By a notice's IVORN the density of the position that it gave, be it an observatory's map or a model.

    Returns
    -------
    Trigger or None
        None while no notice says when it was.
    """
    by_ivorn = {notice.ivorn: notice for notice in sorted(notices, key=order_of)}
    oldest_first = sorted(by_ivorn.values(), key=order_of)
    newest_first = oldest_first[::-1]
    timed = next((n for n in newest_first if n.trigger_time_us is not None), None)
    if timed is None or timed.trigger_time_us is None:
        return None
    first, newest = oldest_first[0], newest_first[0]
    localised = next((n for n in newest_first if n.ivorn in skymaps), None)
    significant = next((n for n in newest_first if n.significance is not None), None)
    return Trigger(
        id=newest.trigger_id or "",
        messenger=first.messenger,
        mission=first.mission,
        instrument=first.instrument,
        time_us=timed.trigger_time_us,
        time_error_s=timed.trigger_time_error_s,
        revision=len(by_ivorn),
        notice=newest,
        localised_by=localised,
        skymap=skymaps[localised.ivorn] if localised else None,
        retracted=newest.kind is Kind.RETRACTION,
        astrophysical=next((n.astrophysical for n in newest_first if n.astrophysical is not None), None),
        test=any(n.role in {Role.TEST, Role.MOCK} for n in oldest_first),
        names=tuple(dict.fromkeys(name for n in oldest_first for name in n.names)),
        classification=next((n.classification for n in newest_first if n.classification), {}),
        significance=significant.significance if significant else None,
        significance_unit=significant.significance_unit if significant else "",
        far_hz=next((n.far_hz for n in newest_first if n.far_hz is not None), None),
        links={name: url for n in oldest_first for name, url in n.links.items()},
    )


def is_retracted(notices: Iterable[Notice]) -> bool:
    """Whether the newest of these notices of one trigger, by `order_of`, is a retraction."""
    newest = max(notices, key=order_of, default=None)
    return newest is not None and newest.kind is Kind.RETRACTION


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """A window that holds some of the alerts that were asked about.

    Attributes
    ----------
    matcher
        Name of the matcher whose window it is.
    trigger, window
        Which trigger, and where and when.
    rows
        Ascending indices of the alerts inside, shape (n,), n > 0.
    """

    matcher: str
    trigger: Trigger
    window: Window
    rows: Ints


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    trigger: Trigger
    windows: Mapping[str, Window]

    @property
    def end_us(self) -> int:
        """When nothing more is awaited."""
        return max((window.end_us for window in self.windows.values()), default=self.trigger.time_us)


@dataclass(frozen=True, slots=True, eq=False)
class _Live:
    """All windows at one moment, with their spans as columns. Never changed, only replaced."""

    windows: tuple[tuple[str, _Entry, Window], ...]
    start_us: Ints
    end_us: Ints

    @classmethod
    def of(cls, entries: Iterable[_Entry]) -> "_Live":
        windows = tuple((name, entry, window) for entry in entries for name, window in entry.windows.items())
        start_us = np.array([window.start_us for _, _, window in windows], np.int64)
        end_us = np.array([window.end_us for _, _, window in windows], np.int64)
        return cls(windows, start_us, end_us)


class TriggerBook:
    """The triggers that are remembered, each with the windows that matchers opened for it.

    The columns that alerts are compared with are made when they are first asked for after windows changed, so that a
    flood of notices costs no more than its notices.
    """

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._live_now: _Live | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Trigger]:
        return (entry.trigger for _, entry in sorted(self._entries.items()))

    def get(self, trigger_id: str) -> Trigger | None:
        """The newest state of a trigger."""
        entry = self._entries.get(trigger_id)
        return entry.trigger if entry else None

    def windows(self, trigger_id: str) -> Mapping[str, Window]:
        """The windows of a trigger by the name of the matcher; none if it is unknown."""
        entry = self._entries.get(trigger_id)
        return entry.windows if entry else {}

    def put(self, trigger: Trigger, windows: Mapping[str, Window]) -> None:
        """Remember a trigger's state and its windows by matcher, in place of what was known of it."""
        if windows or self.windows(trigger.id):
            self._live_now = None
        self._entries[trigger.id] = _Entry(trigger, dict(windows))

    def remove(self, trigger_id: str) -> None:
        """Forget a trigger, if it is known."""
        if self._entries.pop(trigger_id, None) is not None:
            self._live_now = None

    def holding(self, alerts: Alerts) -> list[Hit]:
        """All windows that hold any of these alerts, exactly, sorted by trigger and matcher."""
        live = self._live
        if not len(alerts) or not live.windows:
            return []
        in_reach = (live.start_us <= alerts.time_us.max()) & (alerts.time_us.min() <= live.end_us)
        hits = []
        for place in np.flatnonzero(in_reach):
            name, entry, window = live.windows[place]
            rows = rows_inside(window, alerts)
            if len(rows):
                hits.append(Hit(name, entry.trigger, window, rows))
        return sorted(hits, key=lambda hit: (hit.trigger.id, hit.matcher))

    def earliest_open_us(self, now_us: int) -> int | None:
        """Start of the earliest window that has not ended; None if none is open."""
        live = self._live
        starts = live.start_us[live.end_us >= now_us]
        return int(starts.min()) if len(starts) else None

    def expire(self, before_us: int) -> list[Trigger]:
        """Forget triggers whose last window ended before an instant (without any window: that were before it)."""
        gone = [entry.trigger for _, entry in sorted(self._entries.items()) if entry.end_us < before_us]
        for trigger in gone:
            self.remove(trigger.id)
        return gone

    @property
    def _live(self) -> _Live:
        if self._live_now is None:
            self._live_now = _Live.of(self._entries.values())
        return self._live_now
