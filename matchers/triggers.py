"""Triggers as their notices tell them, and the windows in which alerts of them are awaited."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count, islice, pairwise
from typing import NamedTuple

import numpy as np

from matchers.grid import WindowGrid
from matchers.statements import Statement, order_of, statements_of
from schemas.ivorns import ivorn_key
from schemas.records import Alerts, Ints, Kind, Notice, Role, Trigger, Window
from schemas.sky import SkyMap


def fold(
    notices: Iterable[Notice], skymaps: Mapping[str, SkyMap], trigger_id: str = "", related: tuple[str, ...] = ()
) -> Trigger | None:
    """The state of a trigger: a function of the *set* of its notices, whatever the order of their arrival.

    Notices are ordered by `order_of`; of several with the same IVORN the last counts, so that a redelivery
    changes nothing, and one that only repeats what was said, as another form of the same notice does, is left out
    (`matchers.statements`). Each part of the state comes from the newest notice that tells of it:

    - the position from the newest that has a sky map (so a retraction or a late alert takes none away); of the notices
      of one numbered revision from one with the observatory's map, if there is any;
    - the time, the significance, the false-alarm rate, the classification, whether it is astrophysical: the newest
      that says; names and links are those of all, repeats included;
    - messenger, mission and instrument are those of the first, which made the trigger (XRT refines what BAT found);
    - it is retracted if the newest of all is a retraction, so that a later statement revives it;
    - it is a test if any is a test or a mock, and private if any is;
    - the revision is the number of different statements.

    Parameters
    ----------
    notices
        All of one trigger, in any order.
    skymaps
        By a notice's IVORN the density of the position that it gave, be it an observatory's map or a model.
    trigger_id
        Canonical id of the trigger; empty: that of its newest notice.
    related
        As in `Trigger`.

    Returns
    -------
    Trigger or None
        None while no notice says when it was.
    """
    return state_of(statements_of(notices), skymaps, trigger_id, related)


def state_of(
    said: Sequence[Statement], skymaps: Mapping[str, SkyMap], trigger_id: str = "", related: tuple[str, ...] = ()
) -> Trigger | None:
    """`fold` of notices that are in order already."""
    newest_first = [statement.notice for statement in reversed(said)]
    timed = next((n for n in newest_first if n.trigger_time_us is not None), None)
    if timed is None or timed.trigger_time_us is None:
        return None
    first, newest = said[0].notice, said[-1].notice
    everything = [notice for statement in said for notice in statement.forms]
    position = localising(said, skymaps)
    significant = next((n for n in newest_first if n.significance is not None), None)
    return Trigger(
        id=trigger_id or newest.trigger_id or "",
        messenger=first.messenger,
        mission=first.mission,
        instrument=first.instrument,
        time_us=timed.trigger_time_us,
        time_error_s=timed.trigger_time_error_s,
        revision=len(said),
        notice=newest,
        localised_by=position.notice if position else None,
        skymap=position.skymap if position else None,
        retracted=newest.kind is Kind.RETRACTION,
        astrophysical=next((n.astrophysical for n in newest_first if n.astrophysical is not None), None),
        test=any(n.role in {Role.TEST, Role.MOCK} for n in everything),
        names=tuple(dict.fromkeys(name for n in everything for name in n.names)),
        classification=next((n.classification for n in newest_first if n.classification), {}),
        significance=significant.significance if significant else None,
        significance_unit=significant.significance_unit if significant else "",
        far_hz=next((n.far_hz for n in newest_first if n.far_hz is not None), None),
        links={name: url for n in everything for name, url in n.links.items()},
        related=related,
        private_to=next((n.private_to for n in everything if n.private_to), ""),
    )


class Position(NamedTuple):
    """Where a trigger's position comes from: which of its statements, the notice and the density."""

    place: int
    notice: Notice
    skymap: SkyMap


def localising(said: Sequence[Statement], skymaps: Mapping[str, SkyMap]) -> Position | None:
    """Which statement gives the position of a trigger, if any has a sky map; see `fold`."""
    by_ivorn = {ivorn_key(ivorn): skymap for ivorn, skymap in skymaps.items()}
    best: tuple[tuple[int, int, bool], Position] | None = None
    for place, statement in enumerate(said):
        mapped = [(form, by_ivorn[key]) for form in statement.forms if (key := ivorn_key(form.ivorn)) in by_ivorn]
        if not mapped:
            continue
        notice, skymap = min(mapped, key=lambda pair: pair[1].shape is not None)
        rank = notice.stage, notice.serial, notice.serial > 0 and skymap.shape is None
        if best is None or rank >= best[0]:
            best = rank, Position(place, notice, skymap)
    return best[1] if best is not None else None


def is_retracted(notices: Iterable[Notice]) -> bool:
    """Whether the newest of these notices of one trigger, by `order_of`, is a retraction."""
    newest = max(notices, key=order_of, default=None)
    return newest is not None and newest.kind is Kind.RETRACTION


class Hit(NamedTuple):
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
    slots: tuple[int, ...]
    """Of each window, in the grid."""


@dataclass(frozen=True, slots=True, eq=False)
class _Snapshot:
    """All windows at one moment, on the grid. Never changed, only replaced.

    Attributes
    ----------
    entries
        By trigger: those with windows.
    grid
        The windows.
    ranked
        Trigger id, matcher and slot of every window, sorted.
    rank
        Place in ``ranked`` of the window in each slot.
    """

    entries: Mapping[str, _Entry] = field(default_factory=dict)
    grid: WindowGrid = field(default_factory=WindowGrid)
    ranked: list[tuple[str, str, int]] = field(default_factory=list)
    rank: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def replaced(self, gone: Iterable[str], new: Sequence[tuple[Trigger, Mapping[str, Window]]] = ()) -> "_Snapshot":
        """Without some triggers, and then with others that are not among the rest."""
        entries = dict(self.entries)
        dropped = [entries.pop(trigger_id) for trigger_id in gone if trigger_id in entries]
        freed = {slot for entry in dropped for slot in entry.slots}
        ranked = [row for row in self.ranked if row[2] not in freed] if freed else self.ranked.copy()
        opened: list[tuple[int, Window]] = []
        free = _free(self.grid.windows, freed)
        for trigger, windows in new:
            slots = tuple(islice(free, len(windows)))
            entries[trigger.id] = _Entry(trigger, dict(windows), slots)
            opened += zip(slots, windows.values(), strict=True)
            ranked += [(trigger.id, name, slot) for name, slot in zip(windows, slots, strict=True)]
        ranked.sort()
        grid = self.grid.replaced(freed, opened) if freed or opened else self.grid
        rank = np.zeros(len(grid.windows), np.int64)
        rank[np.array([slot for _, _, slot in ranked], np.int64)] = np.arange(len(ranked))
        return _Snapshot(entries, grid, ranked, rank)


def _free(windows: Sequence[Window | None], freed: Collection[int]) -> Iterator[int]:
    """Slots for new windows: those that become or are free, then new ones."""
    return chain((slot for slot, window in enumerate(windows) if window is None or slot in freed), count(len(windows)))


class TriggerBook:
    """The triggers that are remembered, each with the windows that matchers opened for it.

    Each change of windows replaces an immutable snapshot, so that a reader sees one state whole. Triggers without
    windows, by far the most in a flood of notices, are only remembered.
    """

    def __init__(self) -> None:
        self._triggers: dict[str, Trigger] = {}
        self._now = _Snapshot()

    def __len__(self) -> int:
        return len(self._triggers)

    def __iter__(self) -> Iterator[Trigger]:
        return (trigger for _, trigger in sorted(self._triggers.items()))

    def get(self, trigger_id: str) -> Trigger | None:
        """The newest state of a trigger."""
        return self._triggers.get(trigger_id)

    def windows(self, trigger_id: str) -> Mapping[str, Window]:
        """The windows of a trigger by the name of the matcher; none if it is unknown."""
        entry = self._now.entries.get(trigger_id)
        return entry.windows if entry else {}

    def put(self, trigger: Trigger, windows: Mapping[str, Window]) -> None:
        """Remember a trigger's state and its windows by matcher, in place of what was known of it."""
        self._triggers[trigger.id] = trigger
        if windows or trigger.id in self._now.entries:
            self._now = self._now.replaced([trigger.id], [(trigger, windows)] if windows else [])

    def put_all(self, triggers: Iterable[tuple[Trigger, Mapping[str, Window]]]) -> None:
        """Remember the states and windows of many triggers at once, none of them known before."""
        known = list(triggers)
        self._triggers.update((trigger.id, trigger) for trigger, _ in known)
        self._now = self._now.replaced([], [(trigger, windows) for trigger, windows in known if windows])

    def remove(self, trigger_id: str) -> None:
        """Forget a trigger, if it is known."""
        self._triggers.pop(trigger_id, None)
        if trigger_id in self._now.entries:
            self._now = self._now.replaced([trigger_id])

    def holding(self, alerts: Alerts) -> list[Hit]:
        """All windows that hold any of these alerts, exactly, sorted by trigger and matcher."""
        now = self._now
        slot, row = now.grid.inside(alerts)
        if not len(slot):
            return []
        rank = now.rank[slot]
        order = np.argsort(rank, kind="stable")
        rank, row = rank[order], row[order]
        borders = np.flatnonzero(np.diff(rank)) + 1
        hits = []
        for first, end in pairwise((0, *borders.tolist(), len(row))):
            trigger_id, name, _ = now.ranked[rank[first]]
            entry = now.entries[trigger_id]
            hits.append(Hit(name, entry.trigger, entry.windows[name], row[first:end]))
        return hits

    def earliest_open_us(self, now_us: int) -> int | None:
        """Start of the earliest window that has not ended; None if none is open."""
        windows = (window for window in self._now.grid.windows if window is not None)
        return min((window.start_us for window in windows if window.end_us >= now_us), default=None)

    def expire(
        self, before_us: int, group: Callable[[str], Iterable[str]] = lambda trigger_id: (trigger_id,)
    ) -> list[Trigger]:
        """Forget triggers whose last window ended before an instant (without any window: that were before it).

        Of a group, which belongs together, all go or none.
        """
        ended = {trigger.id: trigger for trigger in self if self._end_us(trigger) < before_us}
        gone = [trigger for name, trigger in ended.items() if all(member in ended for member in group(name))]
        for trigger in gone:
            del self._triggers[trigger.id]
        closed = [trigger.id for trigger in gone if trigger.id in self._now.entries]
        if closed:
            self._now = self._now.replaced(closed)
        return gone

    def _end_us(self, trigger: Trigger) -> int:
        """When nothing more is awaited of a trigger."""
        return max((window.end_us for window in self.windows(trigger.id).values()), default=trigger.time_us)
