"""All of matching tied together: alerts and notices in, changes of coincidences out. Pure, and without a clock.

Whatever the order and the batches in which the same alerts and notices come, the coincidences that stand in the end are
the same, as each is judged from all that is stored of its object and its trigger. (What expired is stored no more.)
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter

import numpy as np

from matchers.case import Case
from matchers.counts import Counts
from matchers.cuts import Cuts
from matchers.index import AlertIndex, ObjectKey, Snapshot
from matchers.judge import Matcher
from matchers.ledger import Cause
from matchers.triggers import TriggerBook
from matchers.verdicts import Opened, StoredObjects, Verdicts, batched
from schemas.errors import ConfigurationError
from schemas.records import Alerts, Coincidence, Notice, Provenance, Role, Trigger, Window
from schemas.sky import SkyMap
from schemas.times import US_PER_DAY, US_PER_S

EXPIRY_STEP_US = 3600 * US_PER_S
"""Things expire at full hours of the data's clock, so that it does not matter how often `Engine.expire` is called."""
_FOUND_AT_ONCE = 1 << 14
"""So many stored alerts are gathered in one step..."""
_JUDGED_AT_ONCE = 128
"""...and so many objects judged."""


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """What became of a batch of alerts.

    Attributes
    ----------
    changes
        The revisions to publish, sorted by trigger, matcher and object.
    stored
        The alerts that are stored now and were not before.
    noted
        Alerts that are not stored, as they were cut or came after they would have expired; only what they tell of
        their objects counts.
    """

    changes: list[Coincidence]
    stored: Alerts
    noted: Alerts


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
        self._matchers = _by_name(matchers)
        self._cuts, self._carried, self._include_tests = cuts, carried, include_tests
        self._retention_us = retention_us
        self._cases: dict[str, Case] = {}
        self.index = AlertIndex()
        self.book = TriggerBook()
        self.counts = Counts()
        self._verdicts = Verdicts(Provenance(software, config_hash, ()), self.counts)
        self.ledger = self._verdicts.ledger

    def triggers(self) -> Iterator[Trigger]:
        """All triggers that are remembered, sorted by id: searched or not, retracted or not."""
        return iter(self.book)

    @property
    def horizon_us(self) -> int:
        """Nothing before it is stored any more; it moves with `expire`. Far in the past as long as nothing expired."""
        return self._verdicts.horizon_us

    def add_alerts(self, alerts: Alerts, now_us: int) -> Taken:
        """Cut, store and match alerts of one survey.

        Raises
        ------
        KeyError
            If the survey has no entry in ``cuts`` or ``carried``.
        """
        survey, counts = alerts.survey, self.counts
        keep, cut = self._cuts[survey].apply(alerts, self._carried[survey])
        late = alerts.time_us < self._verdicts.horizon_us
        kept, noted = alerts.take(keep & ~late), alerts.take(~keep & ~late)
        moved = set(self.index.note(noted))
        added = self.index.add(kept)
        moved.update(added.moved)
        if late.any():
            too_late = self.index.known(alerts.take(late))
            moved.update(self.index.note(too_late))
            noted = Alerts.concatenate([noted, too_late])
        counts.received[survey] += len(alerts)
        counts.cut[survey].update(cut)
        counts.late[survey] += int(np.count_nonzero(keep & late))
        counts.indexed[survey] += len(added.new)
        counts.duplicates[survey] += len(kept) - len(added.new)

        touched: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._touch(touched, added.new)
        names = sorted(name for _, name in moved)
        if names and (of_moved := self.index.of_objects(survey, names)) is not None:
            self._touch(touched, of_moved)
        for name in names:
            for said in self.ledger.of_object(survey, name):
                touched[said.trigger.id, said.matcher].add(name)
        stored = StoredObjects(self.index.of_objects(survey, sorted(set[str]().union(*touched.values()))))
        changes = []
        for trigger_id, name in sorted(touched):
            opened = self._opened(trigger_id, name)
            if opened is not None:
                changes += self._verdicts.settle(opened, survey, touched[trigger_id, name], stored, Cause.ALERT, now_us)
        return Taken(changes, added.new, noted)

    def put_notice(self, notice: Notice, skymap: SkyMap | None, now_us: int) -> Iterator[list[Coincidence]]:
        """Take in a notice, with the density of the position that it gives (None if it gives none); match its trigger.

        A notice about no trigger, and one of role utility, is counted and ignored.

        Returns
        -------
        iterator of list of Coincidence
            The revisions to publish, sorted by matcher and object, in steps of some 10 ms of work, many of which have
            none. The trigger's new state counts at once, but what is stored or was published is judged by it only
            as the steps are taken. Between them alerts may be added and other notices put; a newer state of the same
            trigger makes the steps that are left needless, and they end.
        """
        self.counts.notices += 1
        if notice.trigger_id is None or notice.role is Role.UTILITY:
            self.counts.ignored_notices += 1
            return iter(())
        if notice.ivorn in self._cases.get(notice.trigger_id, ()):
            self.counts.duplicate_notices += 1
        elif not self._include_tests and notice.role in {Role.TEST, Role.MOCK}:
            self.counts.tests_left_out += 1
        if not self._hear(notice.trigger_id, notice, skymap, now_us):
            return iter(())
        return self._refresh(notice.trigger_id, Cause.NOTICE, now_us)

    def put_skymap(
        self, trigger_id: str, notice_ivorn: str, skymap: SkyMap, now_us: int
    ) -> Iterator[list[Coincidence]]:
        """Take in the map that a notice linked to, in place of the position that the notice gave itself.

        It may come before its notice, but then counts only with it. Returns as `put_notice`.
        """
        self.counts.late_skymaps += 1
        self._hear_skymap(trigger_id, notice_ivorn, skymap, now_us)
        return self._refresh(trigger_id, Cause.SKYMAP, now_us)

    def heard_before(self, notice: Notice) -> list[Notice]:
        """The notices of its trigger that were heard before a notice, the latest first."""
        case = self._cases.get(notice.trigger_id or "")
        return [] if case is None else case.before(notice.ivorn)

    def unmapped(self) -> Iterator[Notice]:
        """The notices with links to sky maps that have not come and would count, by trigger, oldest first."""
        return (notice for _, case in sorted(self._cases.items()) for notice in case.unmapped())

    def search_by(self, matchers: Sequence[Matcher], *, config_hash: str, now_us: int) -> Iterator[list[Coincidence]]:
        """Search with other matchers from now on, and all that is stored anew.

        Returns
        -------
        iterator of list of Coincidence
            As of `put_notice`, for one trigger after the other. All steps are to be taken before anything else is
            done.

        Raises
        ------
        ConfigurationError
            If two matchers have the same name; nothing changes then.
        """
        self._matchers = _by_name(matchers)
        self._verdicts.made_by = replace(self._verdicts.made_by, config_hash=config_hash)
        for trigger_id in sorted(self._cases):
            for name in {said.matcher for said in self.ledger.of_trigger(trigger_id)} - self._matchers.keys():
                known = [said for said in self.ledger.of_trigger(trigger_id) if said.matcher == name]
                yield from self._verdicts.withdraw(known, Cause.NOT_SEARCHED, now_us)
            yield from self._refresh(trigger_id, Cause.CONFIGURATION, now_us)

    def restore_notice(self, notice: Notice, skymap: SkyMap | None, heard_us: int) -> None:
        """Know of a notice that was put before a restart, at ``heard_us``; in the order in which they were put."""
        if notice.trigger_id is not None and notice.role is not Role.UTILITY:
            self._hear(notice.trigger_id, notice, skymap, heard_us)

    def restore_skymap(self, trigger_id: str, notice_ivorn: str, skymap: SkyMap, heard_us: int) -> None:
        """Know of a map that was put before a restart; in its order among the notices."""
        self._hear_skymap(trigger_id, notice_ivorn, skymap, heard_us)

    def restore_coincidences(self, published: Iterable[Coincidence]) -> None:
        """Know of coincidences as they were last published, withdrawn ones included."""
        for said in published:
            self.ledger.restore(said)

    def restore_horizon(self, horizon_us: int) -> None:
        """Drop what `expire` dropped before a restart when it moved `horizon_us` there.

        For objects that were seen again after they had been forgotten, its order among the alerts matters that are
        restored without having been observed.
        """
        self._verdicts.horizon_us = max(self._verdicts.horizon_us, horizon_us)
        self.index.expire(self._verdicts.horizon_us)

    def reopen(self) -> None:
        """Open the windows of all triggers that were restored, once everything is; nothing is judged."""
        self.index.expire(self._verdicts.horizon_us)
        triggers = [case.trigger for case in self._cases.values() if case.trigger is not None]
        found = [(trigger, self._windows(trigger)) for trigger in triggers]
        for _, windows in found:
            self.counts.windows.update(windows.keys())
        self.book.put_all(found)

    def expire(self, now_us: int) -> list[str]:
        """Drop what is older than the retention; returns the ids of the triggers of which nothing is known any more.

        Alerts stay as long as a window that has not ended reaches back to them; triggers stay until their windows ended
        before the oldest alert that is kept. What was published of dropped alerts stands: it
        is no longer judged, but still withdrawn if its trigger is retracted.
        """
        before_us = now_us - self._retention_us
        open_us = self.book.earliest_open_us(now_us)
        horizon_us = before_us if open_us is None else min(before_us, open_us)
        horizon_us -= horizon_us % EXPIRY_STEP_US
        if horizon_us <= self._verdicts.horizon_us:
            return []
        self._verdicts.horizon_us = horizon_us
        gone = {trigger.id for trigger in self.book.expire(horizon_us)}
        self.counts.expired_triggers += len(gone)
        gone.update(
            trigger_id
            for trigger_id, case in self._cases.items()
            if case.heard_us < horizon_us and self.book.get(trigger_id) is None
        )
        for trigger_id in gone:
            del self._cases[trigger_id]
        self.counts.expired_alerts += self.index.expire(horizon_us)
        return sorted(gone)

    def _hear(self, trigger_id: str, notice: Notice, skymap: SkyMap | None, now_us: int) -> bool:
        """Whether this was news."""
        case = self._cases.setdefault(trigger_id, Case(now_us))
        news = case.hear(notice, skymap)
        if news:
            case.heard_us = max(case.heard_us, now_us)
            case.fold()
        return news

    def _hear_skymap(self, trigger_id: str, ivorn: str, skymap: SkyMap, now_us: int) -> None:
        case = self._cases.setdefault(trigger_id, Case(now_us))
        case.hear_skymap(ivorn, skymap)
        case.heard_us = max(case.heard_us, now_us)
        case.fold()

    def _opened(self, trigger_id: str, name: str) -> Opened | None:
        trigger, window = self.book.get(trigger_id), self.book.windows(trigger_id).get(name)
        return None if trigger is None or window is None else Opened(self._matchers[name], trigger, window)

    def _touch(self, touched: Mapping[tuple[str, str], set[str]], alerts: Alerts) -> None:
        """Add the objects that have a matching alert among these, by trigger and matcher."""
        for hit in self.book.holding(alerts):
            names = _matching_objects(self._matchers[hit.matcher], hit.trigger, alerts.take(hit.rows))
            touched[hit.trigger.id, hit.matcher].update(names)

    def _refresh(self, trigger_id: str, cause: Cause, now_us: int) -> Iterator[list[Coincidence]]:
        """Open and close the windows of a trigger's new state; the steps judge all that lies or lay in them."""
        case = self._cases[trigger_id]
        trigger = case.trigger
        said = self.ledger.of_trigger(trigger_id)
        if trigger is None:
            return self._verdicts.withdraw(said, Cause.RETRACTED, now_us) if case.retracted else iter(())
        windows = self._windows(trigger)
        self.counts.windows.update(windows.keys())
        self.counts.windows.subtract(self.book.windows(trigger_id).keys())
        self.book.put(trigger, windows)
        return self._judging(trigger, windows, said, cause, now_us)

    def _judging(
        self, trigger: Trigger, windows: Mapping[str, Window], said: Sequence[Coincidence], cause: Cause, now_us: int
    ) -> Iterator[list[Coincidence]]:
        stored = self.index.snapshot()
        for name, matcher in self._matchers.items():
            known = [coincidence for coincidence in said if coincidence.matcher == name]
            window = windows.get(name)
            if window is None:
                why = why_not_searched(trigger, include_tests=self._include_tests)
                steps = self._verdicts.withdraw(known, why, now_us)
            else:
                steps = self._settling(Opened(matcher, trigger, window), stored, known, cause, now_us)
            while self._is_newest(trigger) and (changes := next(steps, None)) is not None:
                yield changes

    def _is_newest(self, trigger: Trigger) -> bool:
        case = self._cases.get(trigger.id)
        return case is not None and case.trigger is trigger

    def _settling(
        self, opened: Opened, stored: Snapshot, known: Iterable[Coincidence], cause: Cause, now_us: int
    ) -> Iterator[list[Coincidence]]:
        """Find the stored objects that match, and judge these and those that are known to have matched."""
        objects: set[ObjectKey] = {(said.object.survey, said.object.object_id) for said in known}
        for alerts in stored.by_night(opened.window, most_rows=_FOUND_AT_ONCE):
            names = _matching_objects(opened.matcher, opened.trigger, alerts)
            objects.update((alerts.survey, name) for name in names)
            yield []
        for survey, of_survey in groupby(sorted(objects), key=itemgetter(0)):
            for some in batched((name for _, name in of_survey), _JUDGED_AT_ONCE):
                now_stored = StoredObjects(self.index.of_objects(survey, some))
                yield self._verdicts.settle(opened, survey, some, now_stored, cause, now_us)

    def _windows(self, trigger: Trigger) -> dict[str, Window]:
        if trigger.test and not self._include_tests:
            return {}
        windows = {name: matcher.window(trigger) for name, matcher in self._matchers.items()}
        return {name: window for name, window in windows.items() if window is not None}


def _by_name(matchers: Sequence[Matcher]) -> dict[str, Matcher]:
    named = {matcher.name: matcher for matcher in sorted(matchers, key=lambda matcher: matcher.name)}
    if len(named) < len(matchers):
        raise ConfigurationError("two matchers have the same name")
    return named


def why_not_searched(trigger: Trigger, *, include_tests: bool) -> Cause:
    """Why no matcher, or not a certain one, has a window for a trigger."""
    if trigger.retracted:
        return Cause.RETRACTED
    if trigger.test and not include_tests:
        return Cause.TEST
    if trigger.skymap is None:
        return Cause.NO_POSITION
    return Cause.NOT_ASTROPHYSICAL if trigger.astrophysical is False else Cause.NOT_SEARCHED


def _matching_objects(matcher: Matcher, trigger: Trigger, inside: Alerts) -> set[str]:
    """Which objects have an alert that matches, of alerts inside the window."""
    matched = matcher.match(inside, trigger)
    return set(inside.object_id[matched].tolist())
