"""Verdicts on objects, entered into the ledger: what both directions of matching do once they know what to judge."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import NamedTuple, TypeVar

import numpy as np

from matchers.judge import Matcher, coincidence_id, judge
from matchers.ledger import Cause, Ledger
from matchers.neighbourhood import Neighbourhood
from matchers.windows import rows_inside
from schemas.records import Alerts, Coincidence, Ints, Provenance, Trigger, Window

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
        What holds of coincidences, and what was published.
    neighbourhood
        What catalogues and services say of objects.
    horizon_us
        What was published of alerts before it stands, as they are not stored any more.
    """

    def __init__(self, made_by: Provenance, neighbourhood: Neighbourhood) -> None:
        self.made_by, self.neighbourhood = made_by, neighbourhood
        self.ledger = Ledger()
        self.horizon_us = _LONG_AGO

    def judge(self, opened: Opened, survey: str, names: Iterable[str], stored: StoredObjects, cause: Cause) -> None:
        """Judge objects against one window by all that is stored of them."""
        matcher, trigger, window = opened
        identities = {name: coincidence_id(matcher.name, trigger.id, survey, name) for name in sorted(names)}
        judgeable = [name for name, identity in identities.items() if not self._is_frozen(identity)]
        alerts = stored.of(judgeable)
        around = partial(self.neighbourhood.around, matcher.name)
        judged = {} if alerts is None else judge(matcher, window, trigger, alerts, self.made_by, around)
        for name in judgeable:
            verdict = judged.get(name)
            if verdict is not None:
                self.ledger.hold(verdict, cause)
            elif identities[name] in self.ledger:
                self.ledger.drop(identities[name], _why_not_matched(window, stored.of([name])))

    def withdraw(self, known: Iterable[Coincidence], why: Cause) -> Iterator[None]:
        """Drop verdicts, in steps of some milliseconds."""
        # Of a trigger that was forgotten, an absent position says nothing; a statement counts at any age.
        stands = why in {Cause.NO_POSITION, Cause.NOT_SEARCHED, Cause.MERGED}
        for some in batched(known, _WITHDRAWN_AT_ONCE):
            for last in some:
                if not (stands and self._is_frozen(last.id)):
                    self.ledger.drop(last.id, why)
            yield

    def _is_frozen(self, identity: str) -> bool:
        """Whether alerts that made this coincidence have been dropped, so that it cannot be judged any more."""
        verdict = self.ledger.verdict(identity)
        return verdict is not None and verdict.object.first_match_us < self.horizon_us


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
