"""The windows that are open for triggers, and what follows when a trigger has a new state: the retrospective direction.

The new state counts at once: windows open and close before anything is judged. What is stored, or was said of it, is
judged by it in steps.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

from matchers.cases import Cases
from matchers.counts import Counts
from matchers.index import AlertIndex, ObjectKey, Snapshot
from matchers.joining import JoinedTriggers
from matchers.judge import Matcher
from matchers.ledger import Cause
from matchers.search import Search
from matchers.triggers import TriggerBook
from matchers.verdicts import Opened, StoredObjects, Verdicts, batched
from schemas.errors import ConfigurationError
from schemas.records import Alerts, Coincidence, Trigger, Window

_FOUND_AT_ONCE = 1 << 12
"""So many stored alerts are gathered in one step..."""
_JUDGED_AT_ONCE = 128
"""...and so many objects judged."""
_END = object()


class Openings:
    """Opens and closes windows as triggers come, change and go, and has judged what lies or lay in them.

    Parameters
    ----------
    matchers
        Each with a name of its own.
    include_tests
        Whether test and mock triggers are searched too.

    Attributes
    ----------
    matchers
        By name, sorted.
    book
        The states of triggers, with their open windows.

    Raises
    ------
    ConfigurationError
        If two matchers have the same name.
    """

    def __init__(
        self,
        matchers: Sequence[Matcher],
        cases: Cases,
        joined: JoinedTriggers,
        index: AlertIndex,
        verdicts: Verdicts,
        counts: Counts,
        *,
        include_tests: bool,
    ) -> None:
        self.matchers = by_name(matchers)
        self.book = TriggerBook()
        self._cases, self._joined, self._index, self._verdicts = cases, joined, index, verdicts
        self._counts, self._include_tests = counts, include_tests

    def get(self, trigger_id: str, matcher: str) -> Opened | None:
        """The window that a matcher has open for a trigger; None if it has none."""
        trigger, window = self.book.get(trigger_id), self.book.windows(trigger_id).get(matcher)
        return None if trigger is None or window is None else Opened(self.matchers[matcher], trigger, window)

    def restore(self) -> None:
        """Open the windows of all triggers that were restored, once everything is; nothing is judged."""
        own = [case.trigger for _, case in self._cases.items() if case.trigger is not None]
        for trigger in own:
            self._joined.put(trigger)
        triggers = [state for trigger in own if (state := self._joined.get(trigger.id)) is not None]
        found = [(trigger, self._windows(trigger)) for trigger in triggers]
        for _, windows in found:
            self._counts.windows.update(windows.keys())
        self.book.put_all(found)

    def refresh(self, trigger_ids: Sequence[str], merged: Sequence[str], cause: Cause) -> list[Iterator[None]]:
        """Take up the new states of triggers, and that others merged with them; the steps judge."""
        touched = set(trigger_ids)
        for name in merged:
            touched |= self._joined.remove(name)
        for name in trigger_ids:
            case = self._cases.get(name)
            if case is not None and case.trigger is not None:
                touched |= self._joined.put(case.trigger)
        judging = [self._closed(name) for name in merged]
        judging += [
            self.reopened(name, cause if name in trigger_ids else Cause.LINKED)
            for name in sorted(touched, key=lambda name: (name not in trigger_ids, name))
        ]
        return judging

    def _closed(self, trigger_id: str) -> Iterator[None]:
        """Close the windows of what is no trigger of its own any more; the steps withdraw."""
        self._counts.windows.subtract(self.book.windows(trigger_id).keys())
        self.book.remove(trigger_id)
        return self._verdicts.withdraw(self._verdicts.ledger.of_trigger(trigger_id), Cause.MERGED)

    def reopened(self, trigger_id: str, cause: Cause) -> Iterator[None]:
        """Open and close the windows of a trigger's new state; the steps judge all that lies or lay in them."""
        trigger = self._joined.get(trigger_id)
        # What was said in another name of it stands if its alerts are dropped already, and is taken back with it.
        known = [said for name in self._cases.ids(trigger_id) for said in self._verdicts.ledger.of_trigger(name)]
        if trigger is None:
            case = self._cases.get(trigger_id)
            retracted = case is not None and case.retracted
            return self._verdicts.withdraw(known, Cause.RETRACTED) if retracted else iter(())
        windows = self._windows(trigger)
        self._counts.windows.update(windows.keys())
        self._counts.windows.subtract(self.book.windows(trigger_id).keys())
        self.book.put(trigger, windows)
        return self._judging(trigger, windows, known, cause)

    def _judging(
        self, trigger: Trigger, windows: Mapping[str, Window], known: Sequence[Coincidence], cause: Cause
    ) -> Iterator[None]:
        stored = self._index.snapshot()
        for name, matcher in self.matchers.items():
            of_matcher = [coincidence for coincidence in known if coincidence.matcher == name]
            window = windows.get(name)
            if window is None:
                why = why_not_searched(trigger, matcher, include_tests=self._include_tests)
                steps = self._verdicts.withdraw(of_matcher, why)
            else:
                self._verdicts.ledger.touch((trigger.id, name))
                steps = self._settling(Opened(matcher, trigger, window), stored, of_matcher, cause)
            while self._is_newest(trigger) and next(steps, _END) is not _END:
                yield

    def _is_newest(self, trigger: Trigger) -> bool:
        return self.book.get(trigger.id) is trigger

    def _settling(self, opened: Opened, stored: Snapshot, known: Iterable[Coincidence], cause: Cause) -> Iterator[None]:
        """Find the stored objects that match, and judge these and those that are known to have matched."""
        objects: set[ObjectKey] = {(one.object.survey, one.object.object_id) for one in known}
        for alerts in stored.by_night(opened.window, most_rows=_FOUND_AT_ONCE):
            names = matching_objects(opened.matcher, opened.trigger, alerts)
            objects.update((alerts.survey, name) for name in names)
            yield
        for survey, of_survey in groupby(sorted(objects), key=itemgetter(0)):
            for some in batched((name for _, name in of_survey), _JUDGED_AT_ONCE):
                self._verdicts.judge(opened, survey, some, StoredObjects(self._index.of_objects(survey, some)), cause)
                yield

    def _windows(self, trigger: Trigger) -> dict[str, Window]:
        if trigger.test and not self._include_tests:
            return {}
        windows = {name: matcher.window(trigger) for name, matcher in self.matchers.items()}
        return {name: window for name, window in windows.items() if window is not None}


def by_name(matchers: Sequence[Matcher]) -> dict[str, Matcher]:
    """Matchers by their names, sorted.

    Raises
    ------
    ConfigurationError
        If two have the same name.
    """
    named = {matcher.name: matcher for matcher in sorted(matchers, key=lambda matcher: matcher.name)}
    if len(named) < len(matchers):
        raise ConfigurationError("two matchers have the same name")
    return named


def why_not_searched(trigger: Trigger, matcher: Matcher | None, *, include_tests: bool) -> Cause:
    """Why no matcher (None), or not a certain one, has a window for a trigger."""
    if trigger.retracted:
        return Cause.RETRACTED
    if trigger.test and not include_tests:
        return Cause.TEST
    if trigger.skymap is None:
        return Cause.NO_POSITION
    if trigger.astrophysical is False:
        return Cause.NOT_ASTROPHYSICAL
    reclassified = isinstance(matcher, Search) and not matcher.suits(trigger)
    return Cause.RECLASSIFIED if reclassified else Cause.NOT_SEARCHED


def matching_objects(matcher: Matcher, trigger: Trigger, inside: Alerts) -> set[str]:
    """Which objects have an alert that matches, of alerts inside the window."""
    matched = matcher.match(inside, trigger)
    return set(inside.object_id[matched].tolist())
