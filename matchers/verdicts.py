"""Verdicts on objects, entered into the ledger: what both directions of matching do once they know what to judge."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np

from matchers.counts import Counts
from matchers.judge import Matcher, coincidence_id, judge
from matchers.ledger import Cause, Ledger
from matchers.windows import rows_inside
from schemas.records import Alerts, Coincidence, Ints, Provenance, State, Trigger, Window

T = TypeVar("T")
_LONG_AGO = -(1 << 63)
_WITHDRAWN_AT_ONCE = 512


class Opened(NamedTuple):
    """A matcher with an open window for a trigger."""

    matcher: Matcher
    trigger: Trigger
    window: Window


class StoredObjects:
    """All stored alerts of some objects of one survey, to be asked for some of these."""

    def __init__(self, alerts: Alerts | None) -> None:
        self._alerts = alerts
        self._rows: Mapping[str, Ints] = {}
        if alerts is not None:
            names, of_name = np.unique(alerts.object_id, return_inverse=True)
            order = np.argsort(of_name, kind="stable")
            starts = np.searchsorted(of_name[order], np.arange(1, len(names)))
            self._rows = dict(zip(names.tolist(), np.split(order, starts), strict=True))

    def of(self, names: Iterable[str]) -> Alerts | None:
        """All stored alerts of these objects; None if there are none."""
        rows = [self._rows[name] for name in names if name in self._rows]
        return self._alerts.take(np.concatenate(rows)) if self._alerts is not None and rows else None


class Verdicts:
    """Judges objects and enters what came of it.

    Attributes
    ----------
    made_by
        Software and configuration, for the provenance of coincidences.
    ledger
        The coincidences as last published.
    horizon_us
        What was published of alerts before it stands, as they are not stored any more.
    """

    def __init__(self, made_by: Provenance, counts: Counts) -> None:
        self.made_by, self._counts = made_by, counts
        self.ledger = Ledger()
        self.horizon_us = _LONG_AGO

    def settle(
        self, opened: Opened, survey: str, names: Iterable[str], stored: StoredObjects, cause: Cause, now_us: int
    ) -> list[Coincidence]:
        """Judge objects against one window by all that is stored of them; returns the revisions, sorted by object."""
        matcher, trigger, window = opened
        identities = {name: coincidence_id(matcher.name, trigger.id, survey, name) for name in sorted(names)}
        judgeable = [name for name, identity in identities.items() if not self._is_frozen(identity)]
        alerts = stored.of(judgeable)
        judged = {} if alerts is None else judge(matcher, window, trigger, alerts, self.made_by)
        changes = []
        for name in judgeable:
            verdict = judged.get(name)
            if verdict is not None:
                changes += self._enter(identities[name], verdict, cause, now_us)
            elif identities[name] in self.ledger:
                changes += self._enter(identities[name], None, _why_not_matched(window, stored.of([name])), now_us)
        return changes

    def withdraw(self, said: Iterable[Coincidence], why: Cause, now_us: int) -> Iterator[list[Coincidence]]:
        """Withdraw coincidences, in steps of some milliseconds."""
        # Of a trigger that was forgotten, an absent position says nothing; a statement counts at any age.
        stands = why in {Cause.NO_POSITION, Cause.NOT_SEARCHED}
        for some in batched(said, _WITHDRAWN_AT_ONCE):
            changes = []
            for last in some:
                if not (stands and self._is_frozen(last.id)):
                    changes += self._enter(last.id, None, why, now_us)
            yield changes

    def _enter(self, identity: str, judged: Coincidence | None, why: Cause, now_us: int) -> list[Coincidence]:
        said = self.ledger.settle(identity, judged, why, now_us)
        if said is None:
            return []
        self._counts.changes[said.state] += 1
        return [said]

    def _is_frozen(self, identity: str) -> bool:
        """Whether alerts that made this coincidence have been dropped, so that it cannot be judged any more."""
        said = self.ledger.get(identity)
        return said is not None and said.state is not State.WITHDRAWN and said.object.first_match_us < self.horizon_us


def _why_not_matched(window: Window, stored: Alerts | None) -> Cause:
    """Why an object that matched once does not match now; its stored alerts may lie outside the window."""
    if stored is None or not len(rows_inside(window, stored)):
        return Cause.MOVED_OUT
    return Cause.NOT_NEW if int(stored.first_detection_us[0]) < window.start_us else Cause.NOT_MATCHED


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Consecutive lists of at most so many."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
