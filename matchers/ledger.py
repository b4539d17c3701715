"""What has been said of every coincidence so far, and what must be said next."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from enum import StrEnum
from operator import attrgetter

from matchers.index import ObjectKey
from schemas.records import Coincidence, State, TriggerSummary


class Cause(StrEnum):
    """What made a revision: `Coincidence.reason`. The first four propose or update, the others withdraw."""

    ALERT = "alert"
    NOTICE = "notice"
    SKYMAP = "skymap"
    CONFIGURATION = "configuration"
    RETRACTED = "retracted"
    NOT_ASTROPHYSICAL = "not_astrophysical"
    NO_POSITION = "no_position"
    TEST = "test"
    NOT_SEARCHED = "not_searched"
    MOVED_OUT = "moved_out"
    NOT_NEW = "not_new"
    NOT_MATCHED = "not_matched"


class Ledger:
    """The coincidences as last published, withdrawn ones included."""

    def __init__(self) -> None:
        self._last: dict[str, Coincidence] = {}
        self._of_trigger: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._of_object: defaultdict[ObjectKey, dict[str, None]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._last)

    def __contains__(self, coincidence_id: str) -> bool:
        return coincidence_id in self._last

    def __iter__(self) -> Iterator[Coincidence]:
        """All, sorted by id."""
        return (self._last[key] for key in sorted(self._last))

    def get(self, coincidence_id: str) -> Coincidence | None:
        """As last published; None if it never was."""
        return self._last.get(coincidence_id)

    def by_state(self) -> Counter[State]:
        """How many are in each state."""
        return Counter(coincidence.state for coincidence in self._last.values())

    def current(self) -> list[Coincidence]:
        """All that stand, sorted by id."""
        return [coincidence for coincidence in self if coincidence.state is not State.WITHDRAWN]

    def of_trigger(self, trigger_id: str) -> list[Coincidence]:
        """Those of a trigger, withdrawn ones included, sorted by id."""
        return [self._last[key] for key in sorted(self._of_trigger.get(trigger_id, ()))]

    def of_object(self, survey: str, object_id: str) -> list[Coincidence]:
        """Those of an object, withdrawn ones included, sorted by id."""
        return [self._last[key] for key in sorted(self._of_object.get((survey, object_id), ()))]

    def settle(
        self, coincidence_id: str, judged: Coincidence | None, reason: str, changed_us: int
    ) -> Coincidence | None:
        """Compare a verdict with what was published.

        What does not count as a change: the number, IVORN and origin of the trigger's notice, its links, and
        the provenance. All else does: a notice that alters nothing else makes no revision.

        Parameters
        ----------
        judged
            As `matchers.judge.judge` gives it; None if it is no coincidence (any more).
        reason, changed_us
            Why, and when by the data's clock, for the new revision.

        Returns
        -------
        Coincidence or None
            The revision to publish: proposed (for the first time, or again after a withdrawal), updated or
            withdrawn; None if nothing changed.
        """
        last = self._last.get(coincidence_id)
        stands = last is not None and last.state is not State.WITHDRAWN
        if judged is None:
            if last is None or not stands:
                return None
            state, content = State.WITHDRAWN, last
        elif last is None or not stands:
            state, content = State.PROPOSED, judged
        elif _is_same(last, judged):
            return None
        else:
            state, content = State.UPDATED, judged
        revision = last.revision + 1 if last else 1
        said = replace(content, revision=revision, state=state, reason=str(reason), changed_us=changed_us)
        self.restore(said)
        return said

    def restore(self, said: Coincidence) -> None:
        """Know that this revision was published, in place of what was known of its coincidence."""
        self._last[said.id] = said
        self._of_trigger[said.trigger.id][said.id] = None
        self._of_object[said.object.survey, said.object.object_id][said.id] = None


def _getter(record: type, *left_out: str) -> Callable[[object], tuple[object, ...]]:
    return attrgetter(*(field.name for field in fields(record) if field.name not in left_out))


_of_coincidence = _getter(Coincidence, "revision", "state", "reason", "changed_us", "trigger", "provenance")
_of_trigger = _getter(TriggerSummary, "revision", "notice_ivorn", "notice_origin", "links")


def _is_same(one: Coincidence, other: Coincidence) -> bool:
    """Whether two verdicts differ in nothing that counts as a change."""
    return _of_coincidence(one) == _of_coincidence(other) and _of_trigger(one.trigger) == _of_trigger(other.trigger)
