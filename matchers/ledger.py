"""What has been said of every coincidence so far, what holds of it now, and what is to be looked at again."""

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from operator import attrgetter

from matchers.index import ObjectKey
from schemas.records import Coincidence, State
from schemas.statistics import Statistics


class Cause(StrEnum):
    """What made a revision: `Coincidence.reason`. The first seven propose or update, the others withdraw."""

    ALERT = "alert"
    NOTICE = "notice"
    SKYMAP = "skymap"
    LINKED = "linked"
    ANNOTATION = "annotation"
    ASSESSMENT = "assessment"
    CONFIGURATION = "configuration"
    RETRACTED = "retracted"
    NOT_ASTROPHYSICAL = "not_astrophysical"
    RECLASSIFIED = "reclassified"
    MERGED = "merged"
    NO_POSITION = "no_position"
    TEST = "test"
    NOT_SEARCHED = "not_searched"
    MOVED_OUT = "moved_out"
    NOT_NEW = "not_new"
    NOT_MATCHED = "not_matched"
    CONTAMINANT = "contaminant"


GroupKey = tuple[str, str]
"""Id of a trigger and name of a matcher: their coincidences are assessed together."""
Place = tuple[str, str, str]
"""Survey, name of the object and id of a coincidence: the order within a group."""


@dataclass(slots=True)
class Changes:
    """What a step brought about.

    Attributes
    ----------
    published
        New revisions.
    quiet
        What holds now of coincidences that differ from their last revision too little for a new one: under that
        revision's number, state and reason.
    """

    published: list[Coincidence] = field(default_factory=list)
    quiet: list[Coincidence] = field(default_factory=list)

    @classmethod
    def of(cls, steps: Iterable["Changes"]) -> "Changes":
        """All that some steps bring about."""
        all_of_them = cls()
        for changes in steps:
            all_of_them.add(changes)
        return all_of_them

    def all(self) -> list[Coincidence]:
        """Published and quiet ones."""
        return self.published + self.quiet

    def add(self, more: "Changes") -> None:
        """Take up what a further step brought about."""
        self.published += more.published
        self.quiet += more.quiet


@dataclass(slots=True)
class _Group:
    ids: set[str] = field(default_factory=set)
    """All of which anything is known."""
    places: list[Place] = field(default_factory=list)
    """Those with a verdict, sorted."""


class Ledger:
    """Of every coincidence the last revision, what was kept since, and the verdict that holds.

    A verdict is what `matchers.judge.judge` says, here without statistics, which belong to all verdicts of a group.
    """

    def __init__(self) -> None:
        self._said: dict[str, Coincidence] = {}
        self._kept: dict[str, Coincidence] = {}
        self._verdicts: dict[str, Coincidence] = {}
        self._statistics: dict[str, Statistics] = {}
        self._groups: defaultdict[GroupKey, _Group] = defaultdict(_Group)
        self._of_trigger: defaultdict[str, set[str]] = defaultdict(set)
        self._of_object: defaultdict[ObjectKey, set[str]] = defaultdict(set)
        self._touched: dict[GroupKey, dict[str, Cause]] = {}

    def __len__(self) -> int:
        return len(self._said)

    def __contains__(self, coincidence_id: str) -> bool:
        """Whether anything is known of it, be it a verdict that nothing was published of."""
        return coincidence_id in self._said or coincidence_id in self._verdicts

    def __iter__(self) -> Iterator[Coincidence]:
        """All as last published, sorted by id."""
        return (self._said[key] for key in sorted(self._said))

    def get(self, coincidence_id: str) -> Coincidence | None:
        """As last published; None if it never was."""
        return self._said.get(coincidence_id)

    def kept(self, coincidence_id: str) -> Coincidence | None:
        """As last published or kept quietly, whichever was later."""
        return self._kept.get(coincidence_id)

    def verdict(self, coincidence_id: str) -> Coincidence | None:
        """What holds; None if it is no coincidence (any more)."""
        return self._verdicts.get(coincidence_id)

    def by_state(self, counts: Callable[[Coincidence], bool] = lambda _: True) -> Counter[State]:
        """How many (of those that count) are in each state."""
        return Counter(coincidence.state for coincidence in self._said.values() if counts(coincidence))

    def current(self) -> list[Coincidence]:
        """All that stand, as last published, sorted by id."""
        return [coincidence for coincidence in self if coincidence.state is not State.WITHDRAWN]

    def standing(self, trigger_id: str | None = None) -> list[Coincidence]:
        """All that stand (of a trigger), as what holds of them now, sorted by id."""
        names = self._verdicts if trigger_id is None else self._ids_of(trigger_id)
        return [held for name in sorted(names) if (held := self._held(name)) is not None]

    def of_trigger(self, trigger_id: str) -> list[Coincidence]:
        """Those of a trigger, withdrawn ones included, sorted by id: their verdicts, or else as last published."""
        return self._known(self._ids_of(trigger_id))

    def of_object(self, survey: str, object_id: str) -> list[Coincidence]:
        """Those of an object, as `of_trigger`."""
        return self._known(self._of_object.get((survey, object_id), ()))

    def groups(self) -> list[GroupKey]:
        """All that have verdicts, sorted."""
        return sorted(key for key, group in self._groups.items() if group.places)

    def places(self, key: GroupKey) -> list[Place]:
        """The verdicts of a group: a copy."""
        return self._groups[key].places.copy() if key in self._groups else []

    def hold(self, verdict: Coincidence, cause: Cause) -> None:
        """A verdict holds from now on."""
        last = self._verdicts.get(verdict.id)
        if last is not None and is_same(last, verdict):
            return
        if last is None:
            self._note(verdict)
            insort(self._groups[_group_of(verdict)].places, place_of(verdict))
        self._verdicts[verdict.id] = verdict
        self.touch(_group_of(verdict))[verdict.id] = cause

    def refresh(self, verdict: Coincidence) -> None:
        """A verdict is told anew, in words that make no difference by themselves."""
        self._verdicts[verdict.id] = verdict

    def drop(self, coincidence_id: str, cause: Cause) -> None:
        """It is no coincidence any more, if it was one."""
        verdict = self._verdicts.pop(coincidence_id, None)
        if verdict is not None:
            places = self._groups[_group_of(verdict)].places
            del places[bisect_left(places, place_of(verdict))]
            self._statistics.pop(coincidence_id, None)
            if coincidence_id not in self._said:
                self._groups[_group_of(verdict)].ids.discard(coincidence_id)
                self._of_object[verdict.object.survey, verdict.object.object_id].discard(coincidence_id)
            self.touch(_group_of(verdict))[coincidence_id] = cause

    def touch(self, key: GroupKey) -> dict[str, Cause]:
        """A group is to be assessed again; returns what is different in it so far, and why."""
        return self._touched.setdefault(key, {})

    def touched(self) -> list[GroupKey]:
        """The groups that are to be assessed again, sorted."""
        return sorted(self._touched)

    def take_touched(self, key: GroupKey) -> dict[str, Cause] | None:
        """What is different in a group, and why, which is forgotten; None if it need not be assessed."""
        return self._touched.pop(key, None)

    def assessed(self, statistics: dict[str, Statistics]) -> None:
        """Know the newest statistics of verdicts, by id."""
        self._statistics.update(statistics)

    def publish(self, said: Coincidence) -> None:
        """Know that this revision is published."""
        self._said[said.id] = self._kept[said.id] = said
        self._note(said)

    def keep(self, quiet: Coincidence) -> None:
        """Know that this is kept under the number of the last revision."""
        self._kept[quiet.id] = quiet

    def restore(self, said: Coincidence) -> None:
        """Know that this revision was published before a restart."""
        self.publish(said)
        if said.state is not State.WITHDRAWN:
            self._restore_verdict(said)

    def restore_quiet(self, quiet: Coincidence) -> None:
        """Know what was kept since the last revision, which was restored before."""
        said = self._said.get(quiet.id)
        if said is not None and said.revision == quiet.revision and said.state is not State.WITHDRAWN:
            self.keep(quiet)
            self._restore_verdict(quiet)

    def _restore_verdict(self, told: Coincidence) -> None:
        if told.id not in self._verdicts:
            insort(self._groups[_group_of(told)].places, place_of(told))
        self._verdicts[told.id] = replace(told, statistics=None)
        if told.statistics is not None:
            self._statistics[told.id] = told.statistics

    def _note(self, known: Coincidence) -> None:
        self._groups[_group_of(known)].ids.add(known.id)
        self._of_trigger[known.trigger.id].add(known.matcher)
        self._of_object[known.object.survey, known.object.object_id].add(known.id)

    def _ids_of(self, trigger_id: str) -> Iterable[str]:
        matchers = self._of_trigger.get(trigger_id, ())
        return [name for matcher in matchers for name in self._groups[trigger_id, matcher].ids]

    def _known(self, names: Iterable[str]) -> list[Coincidence]:
        return [self._verdicts.get(name) or self._said[name] for name in sorted(names)]

    def _held(self, coincidence_id: str) -> Coincidence | None:
        verdict, said = self._verdicts.get(coincidence_id), self._said.get(coincidence_id)
        if verdict is None or said is None or said.state is State.WITHDRAWN:
            return None
        return under(said, verdict, self._statistics.get(coincidence_id))


def under(said: Coincidence, verdict: Coincidence, statistics: Statistics | None) -> Coincidence:
    """What holds now, under the number, state and reason of the last revision."""
    return replace(
        verdict,
        revision=said.revision,
        state=said.state,
        reason=said.reason,
        changed_us=said.changed_us,
        changed=said.changed,
        statistics=statistics,
    )


def place_of(coincidence: Coincidence) -> Place:
    """Where it stands in its group."""
    return coincidence.object.survey, coincidence.object.object_id, coincidence.id


def _group_of(coincidence: Coincidence) -> GroupKey:
    return coincidence.trigger.id, coincidence.matcher


def _getter(record: type, *left_out: str) -> Callable[[object], tuple[object, ...]]:
    return attrgetter(*(one.name for one in fields(record) if one.name not in left_out))


_content_of = _getter(
    Coincidence, "revision", "state", "reason", "changed_us", "changed", "provenance", "evidence", "statistics"
)


def is_same(one: Coincidence, other: Coincidence) -> bool:
    """Whether two verdicts say the same of object and trigger.

    Provenance does not count, nor evidence: that follows from the light curve and from what is known of others.
    """
    return _content_of(one) == _content_of(other)
