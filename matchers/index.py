"""The stored alerts, to be asked for a region and a span of time, or for an object."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchers.background import Background
from matchers.nights import MOST_ROWS, Night, night_of
from matchers.objects import Keys, Objects, ObjectState, keys_of, names_of
from matchers.rows import Rows
from matchers.runs import id_keys
from schemas.records import NEVER_US, Alerts, Bools, Ints, Window
from schemas.times import US_PER_S

HOUR_US = 3600 * US_PER_S
ObjectKey = tuple[str, str]
"""Survey and object id."""


@dataclass(frozen=True, slots=True, eq=False)
class Added:
    """What became of alerts that were offered to the index.

    Attributes
    ----------
    new
        Those that were not stored before, as they came, with their objects' earliest detections.
    moved
        Objects known before whose earliest detection became earlier, sorted: what was said of them must be judged
        again.
    """

    new: Alerts
    moved: tuple[ObjectKey, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All that was stored at one moment; to be asked at leisure, while the index goes on.

    What is known of objects (``first_detection_us``) is told as it is known when asked.
    """

    _surveys: Mapping[str, tuple[Objects, tuple[Night, ...]]]

    def __len__(self) -> int:
        return sum(len(night) for _, nights in self._surveys.values() for night in nights)

    def query(self, window: Window) -> list[Alerts]:
        """As `AlertIndex.query`."""
        found = (
            (objects, _gathered([(night, night.rows_inside(window)) for night in nights if _meets(window, night)]))
            for _, (objects, nights) in sorted(self._surveys.items())
        )
        return [objects.completed(alerts) for objects, alerts in found if alerts is not None]

    def by_night(self, window: Window, most_rows: int = MOST_ROWS) -> Iterator[Alerts]:
        """What `query` finds, in parts of one survey and night each and of so many rows at most, in any order."""
        for _, (objects, nights) in sorted(self._surveys.items()):
            for night in nights:
                rows = night.rows_inside(window) if _meets(window, night) else np.zeros(0, np.int64)
                for start in range(0, len(rows), most_rows):
                    some = np.sort(rows[start : start + most_rows])
                    yield objects.completed(Rows.taken(night.by_chunk(some)))

    def of_objects(self, survey: str, object_ids: Sequence[str]) -> Alerts | None:
        """As `AlertIndex.of_objects`."""
        objects, nights = self._surveys.get(survey, _NOTHING)
        if not len(object_ids):
            return None
        names = np.array(list(dict.fromkeys(object_ids)))
        keys = keys_of(names_of(names))
        order = np.argsort(keys)
        names, keys = names[order], keys[order]
        first_us, last_us = objects.span_of(names)
        alerts = _gathered(
            [
                (night, night.rows_of_objects(names, keys))
                for night in nights
                if night.start_us <= last_us and first_us < night.end_us
            ]
        )
        return alerts and objects.completed(alerts)

    def of_id(self, survey: str, alert_id: int) -> Alerts | None:
        """As `AlertIndex.of_id`."""
        objects, nights = self._surveys.get(survey, _NOTHING)
        asked = np.array([alert_id], np.int64)
        alerts = _gathered([(night, night.rows_of_ids(asked, id_keys(asked))[1]) for night in nights])
        return alerts and objects.completed(alerts)


@dataclass(slots=True, eq=False)
class _Survey:
    objects: Objects = field(default_factory=Objects)
    nights: tuple[Night, ...] = ()
    """Sorted by the time when they begin; of a night with very many alerts there are several."""
    measured: tuple[int, Background] | None = None
    """In which hour, and what."""

    def background(self, name: str, hour: int) -> Background:
        if self.measured is None or self.measured[0] != hour:
            known = self.objects
            new = known.new()
            self.measured = (
                hour,
                Background.measured(name, known.coverage, known.curves_of(new), known.repeats_of(new)),
            )
        return self.measured[1]

    def not_stored(self, alert_id: Ints) -> Ints:
        """Rows of ids that are not stored, the first of each, shape (n,)."""
        ids, rows = np.unique(alert_id, return_index=True)
        key = id_keys(ids)
        order = np.argsort(key)
        ids, rows, key = ids[order], rows[order], key[order]
        new = np.ones(len(ids), np.bool_)
        for night in self.nights:
            new[night.rows_of_ids(ids, key)[0]] = False
        return np.asarray(rows[new], np.int64)

    def store(self, alerts: Alerts) -> None:
        """Alerts that are not stored yet, each in its night."""
        number = night_of(alerts.time_us)
        key = keys_of(names_of(alerts.object_id))
        for night_number in np.unique(number).tolist():
            rows = np.flatnonzero(number == night_number)
            for start in range(0, len(rows), MOST_ROWS):
                part = rows[start : start + MOST_ROWS]
                of_part = alerts if len(part) == len(alerts) else alerts.take(part)
                self._store(Night.empty(alerts.survey, night_number), of_part, key[part])

    def _store(self, empty: Night, alerts: Alerts, key: Keys) -> None:
        nights = list(self.nights)
        place = bisect_right(nights, empty.start_us, key=lambda night: night.start_us)
        last = nights[place - 1] if place else empty
        fits = not last.is_closed and last.rows + len(alerts) <= MOST_ROWS
        if place and last.start_us == empty.start_us and fits:
            nights[place - 1] = last.with_alerts(alerts, key)
        else:
            nights.insert(place, empty.with_alerts(alerts, key))
        self.nights = tuple(nights)


class AlertIndex:
    """Stored alerts of all surveys. An alert is known by its survey and id, and stored once.

    They lie in nights. New ones become a small sorted run; a run that is not much smaller than its predecessor is
    merged into it, so that n alerts lie in about log2(n) runs and each is moved about log2(n) times; a night that is
    over can be sealed, which makes one run of it. A run takes 32 bytes an alert; the alerts' columns lie apart and are
    read only of what was found. Nights never change but are replaced. One thread may write.
    """

    def __init__(self) -> None:
        self._surveys: dict[str, _Survey] = {}
        self._expired_before_us = NEVER_US

    def __len__(self) -> int:
        return len(self.snapshot())

    @property
    def nbytes(self) -> dict[str, int]:
        """Bytes of runs, of alerts' columns (``wide``) and of objects, mapped files included."""
        sizes = [night.nbytes for survey in self._surveys.values() for night in survey.nights]
        objects = sum(survey.objects.nbytes for survey in self._surveys.values())
        return {"runs": sum(runs for runs, _ in sizes), "wide": sum(wide for _, wide in sizes), "objects": objects}

    def snapshot(self) -> Snapshot:
        """What is stored now, at no cost."""
        return Snapshot({name: (survey.objects, survey.nights) for name, survey in self._surveys.items()})

    def add(self, alerts: Alerts, kept: Bools | None = None) -> Added:
        """Store alerts; of several with the same id the first stays. All tell of their objects' earliest detections.

        Parameters
        ----------
        kept
            Which of them are stored, shape (n,); the others are noted, at once, which is faster than apart. None: all.
        """
        if not len(alerts):
            return Added(alerts, ())
        survey = self._survey(alerts.survey)
        code, names = survey.objects.observe(alerts)
        moved = tuple((alerts.survey, name) for name in names)
        if kept is not None:
            code, alerts = code[kept], alerts.take(kept)
        if not len(alerts):  # most exposures, if few alerts pass the cuts
            return Added(alerts, moved)
        rows = np.sort(survey.not_stored(alerts.alert_id))
        if len(rows) < len(alerts):
            code, alerts = code[rows], alerts.take(rows)
        new = alerts.with_first_detection(survey.objects.first_us_of(code))
        survey.objects.store(code, new)
        survey.store(new)
        return Added(new, moved)

    def note(self, alerts: Alerts) -> tuple[ObjectKey, ...]:
        """Learn of detections that are not stored; returns what `Added.moved` tells of `add`."""
        if not len(alerts):
            return ()
        _, moved = self._survey(alerts.survey).objects.observe(alerts)
        return tuple((alerts.survey, name) for name in moved)

    def known(self, alerts: Alerts) -> Alerts:
        """Those of the alerts of whose objects something is known."""
        if alerts.survey not in self._surveys:
            return alerts.take(slice(0, 0))
        return alerts.take(self._surveys[alerts.survey].objects.known(alerts.object_id))

    def query(self, window: Window) -> list[Alerts]:
        """All stored alerts inside a window, exactly.

        Returns
        -------
        list of Alerts
            One for each survey that has any, surveys in alphabetical order, each sorted by (time, id);
            ``first_detection_us`` is the earliest detection known of the object.
        """
        return self.snapshot().query(window)

    def of_objects(self, survey: str, object_ids: Sequence[str]) -> Alerts | None:
        """All stored alerts of several objects, completed as by `query`; None if there are none."""
        return self.snapshot().of_objects(survey, object_ids)

    def of_id(self, survey: str, alert_id: int) -> Alerts | None:
        """The stored alert with this id, completed as by `query`; None if there is none."""
        return self.snapshot().of_id(survey, alert_id)

    def state(self, survey: str, object_id: str) -> ObjectState | None:
        """What is known of an object; None if nothing is."""
        return self._surveys[survey].objects.state(object_id) if survey in self._surveys else None

    def expire(self, before_us: int) -> int:
        """Drop alerts detected before an instant, and forget objects last detected before it; how many were dropped."""
        before = len(self)
        self._expired_before_us = max(self._expired_before_us, before_us)
        for survey in self._surveys.values():
            survey.objects.expire(before_us)
            survey.nights = tuple(night for night in (night.since(before_us) for night in survey.nights) if night.runs)
        return before - len(self)

    def backgrounds(self, now_us: int) -> dict[str, Background]:
        """What is unrelated, by survey, as it is known now; measured anew at each full hour of the data's clock."""
        hour = now_us // HOUR_US
        return {name: survey.background(name, hour) for name, survey in sorted(self._surveys.items())}

    def surveys(self) -> list[str]:
        """Of which something is known, sorted."""
        return sorted(self._surveys)

    def nights(self) -> tuple[Night, ...]:
        """All parts of nights that are stored now, by survey and time."""
        return tuple(night for _, survey in sorted(self._surveys.items()) for night in survey.nights)

    def close(self, before_us: int, most_rows: int) -> list[Night]:
        """Close the open parts of nights that were over before an instant, or that hold more than so many rows.

        Nothing is added to a closed part any more: further alerts of its night go to a fresh one. It stays stored, and
        `adopt` takes what `Night.sealed` and `Night.merged` make of closed parts in their place.

        Returns
        -------
        list of Night
            The parts that were closed now.
        """
        closed = []
        for survey in self._surveys.values():
            nights = tuple(
                night.closed()
                if not night.is_closed and (night.end_us <= before_us or night.rows > most_rows)
                else night
                for night in survey.nights
            )
            closed += [new for new, old in zip(nights, survey.nights, strict=True) if new is not old]
            survey.nights = nights
        return closed

    def adopt(self, night: Night, instead: Sequence[Night] = ()) -> bool:
        """Take in a sealed part of a night, such as one of mapped files, whose objects are known.

        Parameters
        ----------
        instead
            The stored parts (these very ones, as `close`, `nights` or an earlier `adopt` had them) that hold the same
            alerts, and give way to it. Without any it is added: after a restart, before anything else is.

        Returns
        -------
        bool
            Whether it was taken in; if not, as one of ``instead`` is not stored any more (something of it expired),
            nothing was changed.
        """
        survey = self._survey(night.survey)
        gone = {id(part) for part in instead}
        stays = tuple(part for part in survey.nights if id(part) not in gone)
        if len(survey.nights) - len(stays) < len(gone):
            return False
        place = bisect_left(stays, night.start_us, key=lambda part: part.start_us)
        survey.nights = (*stays[:place], *([night] if len(night) else []), *stays[place:])
        return True

    def _survey(self, name: str) -> _Survey:
        """What is known of a survey; one that is new begins where the others were expired to."""
        if name not in self._surveys:
            self._surveys[name] = _Survey()
            self._surveys[name].objects.expire(self._expired_before_us)
        return self._surveys[name]

    def grow(self) -> None:
        """Make room for more objects where little is left; with millions of them it takes seconds.

        It is done by itself when it is needed. Any thread may do it while nothing is added, noted or expired.
        """
        for survey in self._surveys.values():
            survey.objects.grow()

    def checkpoint(self, survey: str) -> dict[str, NDArray[Any]]:
        """All that is known of a survey's objects, as arrays to be written; for `restore_objects`.

        They are the index's own, without copying: whoever copies or writes them sees to it that nothing is added, noted
        or expired meanwhile.
        """
        return self._surveys[survey].objects.arrays()

    def restore_objects(self, survey: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Know of a survey's objects what `checkpoint` told; nothing is computed.

        Parameters
        ----------
        arrays
            Files that are mapped copy-on-write (``mmap_mode="c"``) are used as they are; all others are copied.

        Raises
        ------
        ValueError
            If something is known of this survey's objects already, or arrays are missing.
        """
        known = self._survey(survey)
        if len(known.objects):
            raise ValueError(f"objects of {survey} are known already")
        known.objects = Objects.of_arrays(arrays)

    def restore(self, alerts: Alerts, *, observed: bool) -> None:
        """Store alerts that were stored before a restart.

        Parameters
        ----------
        observed
            Whether the objects that were restored count them already; if not, this is `add`.
        """
        if not observed:
            self.add(alerts)
            return
        survey = self._survey(alerts.survey)
        survey.store(alerts.take(np.sort(survey.not_stored(alerts.alert_id))))


_NOTHING: tuple[Objects, tuple[Night, ...]] = (Objects(), ())


def _meets(window: Window, night: Night) -> bool:
    return night.start_us <= window.end_us and window.start_us < night.end_us


def _gathered(found: list[tuple[Night, Ints]]) -> Alerts | None:
    """These rows of these nights, sorted by (time, id); None if there are none."""
    parts = [part for night, rows in found if len(rows) for part in night.by_chunk(np.sort(rows))]
    if not parts:
        return None
    alerts = Rows.taken(parts)
    return alerts.take(np.lexsort((alerts.alert_id, alerts.time_us))) if len(alerts) > 1 else alerts
