"""All of matching tied together: alerts and notices in, changes of coincidences out. Pure, and without a clock.

Whatever the order and the batches in which the same alerts and notices come, the coincidences that stand in the end are
the same, as each is judged from all that is stored of its object and its trigger. (What expired is stored no more.)
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from matchers.case import Case
from matchers.counts import Counts
from matchers.cuts import Cuts
from matchers.index import AlertIndex, ObjectKey
from matchers.judge import Matcher, coincidence_id, judge
from matchers.ledger import Cause, Ledger
from matchers.triggers import TriggerBook
from matchers.windows import rows_inside
from schemas.errors import ConfigurationError
from schemas.records import Alerts, Coincidence, Notice, Provenance, Role, State, Trigger, Window
from schemas.sky import SkyMap
from schemas.times import US_PER_DAY, US_PER_S

EXPIRY_STEP_US = 3600 * US_PER_S
"""Things expire at full hours of the data's clock, so that it does not matter how often `Engine.expire` is called."""
_LONG_AGO = -(1 << 63)


class _Search(NamedTuple):
    """A matcher with an open window for a trigger."""

    matcher: Matcher
    trigger: Trigger
    window: Window


class Engine:
    """Alerts, notices and maps in; new revisions of coincidences out, in a stated order.

    Parameters
    ----------
    matchers
        Each with a name of its own.
    cuts, carried
        By survey: the quality cuts, and the names of the quality columns that the survey has.
    include_tests
        Whether test and mock triggers are searched too.
    software, config_hash
        For the provenance of coincidences.
    retention_us
        Alerts and triggers are kept at least so long (see `expire`).

    Raises
    ------
    ConfigurationError
        If two matchers have the same name.
    """

    def __init__(
        self,
        matchers: Sequence[Matcher],
        *,
        cuts: Mapping[str, Cuts],
        carried: Mapping[str, frozenset[str]],
        include_tests: bool = False,
        software: str = "",
        config_hash: str = "",
        retention_us: int = 20 * US_PER_DAY,
    ) -> None:
        self._matchers = {matcher.name: matcher for matcher in sorted(matchers, key=lambda matcher: matcher.name)}
        if len(self._matchers) < len(matchers):
            raise ConfigurationError("two matchers have the same name")
        self._cuts, self._carried, self._include_tests = cuts, carried, include_tests
        self._made_by = Provenance(software, config_hash, ())
        self._retention_us = retention_us
        self._horizon_us = _LONG_AGO
        self._cases: dict[str, Case] = {}
        self.index = AlertIndex()
        self.book = TriggerBook()
        self.ledger = Ledger()
        self.counts = Counts()

    def triggers(self) -> Iterator[Trigger]:
        """All triggers that are remembered, sorted by id: searched or not, retracted or not."""
        return iter(self.book)

    def add_alerts(self, alerts: Alerts, now_us: int) -> list[Coincidence]:
        """Cut, store and match alerts of one survey.

        Returns
        -------
        list of Coincidence
            The revisions to publish, sorted by trigger, matcher and object.

        Raises
        ------
        KeyError
            If the survey has no entry in ``cuts`` or ``carried``.
        """
        survey, counts = alerts.survey, self.counts
        keep, cut = self._cuts[survey].apply(alerts, self._carried[survey])
        kept = alerts.take(keep)
        moved = set(self.index.note(alerts.take(~keep)))
        added = self.index.add(kept)
        moved.update(added.moved)
        counts.received[survey] += len(alerts)
        counts.cut[survey].update(cut)
        counts.indexed[survey] += len(added.new)
        counts.duplicates[survey] += len(kept) - len(added.new)

        touched = self._matching(added.new)
        stored_of_moved = [stored for key in moved if (stored := self.index.of_object(*key)) is not None]
        if stored_of_moved:
            touched |= self._matching(Alerts.concatenate(stored_of_moved))
        for key in moved:
            touched.update((said.trigger.id, said.matcher, key) for said in self.ledger.of_object(*key))
        changes = []
        for trigger_id, name, key in sorted(touched):
            trigger, window = self.book.get(trigger_id), self.book.windows(trigger_id).get(name)
            if trigger is not None and window is not None:
                search = _Search(self._matchers[name], trigger, window)
                changes += self._settle(search, key, self.index.of_object(*key), Cause.ALERT, now_us)
        return changes

    def put_notice(self, notice: Notice, skymap: SkyMap | None, now_us: int) -> list[Coincidence]:
        """Take in a notice, with the density of the position that it gives (None if it gives none); match its trigger.

        A notice about no trigger, and one of role utility, is counted and ignored. Returns as `add_alerts`.
        """
        self.counts.notices += 1
        if notice.trigger_id is None or notice.role is Role.UTILITY:
            self.counts.ignored_notices += 1
            return []
        case = self._cases.setdefault(notice.trigger_id, Case(now_us))
        if notice.ivorn in case:
            self.counts.duplicate_notices += 1
        elif not self._include_tests and notice.role in {Role.TEST, Role.MOCK}:
            self.counts.tests_left_out += 1
        return self._refresh(notice.trigger_id, Cause.NOTICE, now_us) if case.hear(notice, skymap) else []

    def put_skymap(self, trigger_id: str, notice_ivorn: str, skymap: SkyMap, now_us: int) -> list[Coincidence]:
        """Take in the map that a notice linked to, in place of the position that the notice gave itself.

        It may come before its notice, but then counts only with it. Returns as `add_alerts`.
        """
        self.counts.late_skymaps += 1
        self._cases.setdefault(trigger_id, Case(now_us)).hear_skymap(notice_ivorn, skymap)
        return self._refresh(trigger_id, Cause.SKYMAP, now_us)

    def expire(self, now_us: int) -> list[Trigger]:
        """Drop what is older than the retention, and return the triggers that were dropped.

        Alerts stay as long as a window that has not ended reaches back to them; triggers stay until their windows ended
        before the oldest alert that is kept. What was published of dropped alerts stands: it
        is no longer judged, but still withdrawn if its trigger is retracted.
        """
        before_us = now_us - self._retention_us
        open_us = self.book.earliest_open_us(now_us)
        horizon_us = before_us if open_us is None else min(before_us, open_us)
        horizon_us -= horizon_us % EXPIRY_STEP_US
        if horizon_us <= self._horizon_us:
            return []
        self._horizon_us = horizon_us
        gone = self.book.expire(horizon_us)
        for trigger in gone:
            del self._cases[trigger.id]
        for trigger_id in [key for key, case in self._cases.items() if case.heard_us < horizon_us]:
            if self.book.get(trigger_id) is None:
                del self._cases[trigger_id]
        self.counts.expired_triggers += len(gone)
        self.counts.expired_alerts += self.index.expire(horizon_us)
        return gone

    def _matching(self, alerts: Alerts) -> set[tuple[str, str, ObjectKey]]:
        """Trigger, matcher and object wherever one of these alerts matches."""
        return {
            (hit.trigger.id, hit.matcher, (alerts.survey, name))
            for hit in self.book.holding(alerts)
            for name in _matching_objects(self._matchers[hit.matcher], hit.trigger, alerts.take(hit.rows))
        }

    def _refresh(self, trigger_id: str, cause: Cause, now_us: int) -> list[Coincidence]:
        """Fold a trigger anew, open and close its windows, and judge all that lies or lay in them."""
        case = self._cases[trigger_id]
        case.heard_us = max(case.heard_us, now_us)
        trigger = case.fold()
        said = self.ledger.of_trigger(trigger_id)
        if trigger is None:
            if not case.retracted:
                return []
            return self._withdraw(said, Cause.RETRACTED, now_us)
        windows = self._windows(trigger)
        self.counts.windows.update(windows.keys())
        self.counts.windows.subtract(self.book.windows(trigger_id).keys())
        self.book.put(trigger, windows)
        changes = []
        for name, matcher in self._matchers.items():
            known = [coincidence for coincidence in said if coincidence.matcher == name]
            window = windows.get(name)
            if window is None:
                changes += self._withdraw(known, why_not_searched(trigger, include_tests=self._include_tests), now_us)
                continue
            search = _Search(matcher, trigger, window)
            for key, stored in sorted(self._stored_objects(search, known).items(), key=lambda item: item[0]):
                changes += self._settle(search, key, stored, cause, now_us)
        return changes

    def _windows(self, trigger: Trigger) -> dict[str, Window]:
        if trigger.test and not self._include_tests:
            return {}
        windows = {name: matcher.window(trigger) for name, matcher in self._matchers.items()}
        return {name: window for name, window in windows.items() if window is not None}

    def _stored_objects(self, search: _Search, known: Iterable[Coincidence]) -> dict[ObjectKey, Alerts | None]:
        """The stored alerts inside a window of every object that matches or is known to have matched."""
        objects: dict[ObjectKey, Alerts | None] = {(said.object.survey, said.object.object_id): None for said in known}
        for alerts in self.index.query(search.window):
            wanted = set(_matching_objects(search.matcher, search.trigger, alerts))
            wanted.update(name for survey, name in objects if survey == alerts.survey)
            order = np.argsort(alerts.object_id, kind="stable")
            names, starts = np.unique(alerts.object_id[order], return_index=True)
            for name, rows in zip(names.tolist(), np.split(order, starts[1:]), strict=True):
                if name in wanted:
                    objects[alerts.survey, name] = alerts.take(rows)
        return objects

    def _settle(
        self, search: _Search, key: ObjectKey, stored: Alerts | None, cause: Cause, now_us: int
    ) -> list[Coincidence]:
        """Judge one object against one window, and enter the verdict."""
        matcher, trigger, window = search
        identity = coincidence_id(matcher.name, trigger.id, *key)
        last = self.ledger.get(identity)
        if last is not None and self._is_frozen(last):
            return []
        judged = judge(matcher, window, trigger, stored, self._made_by) if stored is not None else None
        why = cause if judged else _why_not_matched(window, stored)
        return self._enter(identity, judged, why, now_us)

    def _withdraw(self, said: Iterable[Coincidence], why: Cause, now_us: int) -> list[Coincidence]:
        changes = []
        for last in said:
            # Of a trigger that was forgotten, an absent position says nothing; a statement counts at any age.
            if why in {Cause.NO_POSITION, Cause.NOT_SEARCHED} and self._is_frozen(last):
                continue
            changes += self._enter(last.id, None, why, now_us)
        return changes

    def _enter(self, identity: str, judged: Coincidence | None, why: Cause, now_us: int) -> list[Coincidence]:
        said = self.ledger.settle(identity, judged, why, now_us)
        if said is None:
            return []
        self.counts.changes[said.state] += 1
        return [said]

    def _is_frozen(self, said: Coincidence) -> bool:
        """Whether alerts that made this coincidence have been dropped, so that it cannot be judged any more."""
        return said.state is not State.WITHDRAWN and said.object.first_match_us < self._horizon_us


def why_not_searched(trigger: Trigger, *, include_tests: bool) -> Cause:
    """Why no matcher, or not a certain one, has a window for a trigger."""
    if trigger.retracted:
        return Cause.RETRACTED
    if trigger.test and not include_tests:
        return Cause.TEST
    if trigger.skymap is None:
        return Cause.NO_POSITION
    return Cause.NOT_ASTROPHYSICAL if trigger.astrophysical is False else Cause.NOT_SEARCHED


def _why_not_matched(window: Window, stored: Alerts | None) -> Cause:
    """Why an object that matched once does not match now; its stored alerts may lie outside the window."""
    if stored is None or not len(rows_inside(window, stored)):
        return Cause.MOVED_OUT
    return Cause.NOT_NEW if int(stored.first_detection_us[0]) < window.start_us else Cause.NOT_MATCHED


def _matching_objects(matcher: Matcher, trigger: Trigger, inside: Alerts) -> set[str]:
    """Which objects have an alert that matches, of alerts inside the window."""
    matched = matcher.match(inside, trigger)
    return set(inside.object_id[matched].tolist())
