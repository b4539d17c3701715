"""Which notices are of the same trigger: all cases, by every id that their triggers go by.

The cases are a function of the *set* of the notices that were heard, whatever their order:

- Ids that some notice calls aliases are one trigger; the first of them in alphabetical order is its canonical id (of
  Fermi GBM's the number of the trigger).
- A notice without an id belongs to the trigger of the notice of the same sender that it cites; if it comes before that,
  it waits for it.
- What notices say of *other* triggers, by id or by citing one of their notices, becomes `Trigger.related`.

What strangers can do is bounded: an alias counts within its own namespace only, a trigger has at most `MAX_ALIASES`
ids, at most `MAX_WAITING` notices wait, and those that have waited longest are dropped first.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from matchers.case import Case
from schemas.records import Notice, Role
from schemas.sky import SkyMap

MAX_ALIASES = 16
"""Most ids of one trigger. Real ones have two."""
MAX_CITATIONS = 16
"""So many of a notice's citations, and of its aliases and related triggers, are heeded."""
MAX_WAITING = 1000
"""Most notices that wait for what they cite."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a notice.

    Attributes
    ----------
    trigger_id
        Canonical id of the trigger that it is about.
    merged
        Ids of triggers that were known and turned out to be this one: they are no triggers of their own any more.
    news
        Whether the trigger's state is another than before.
    relinked
        Other triggers whose state is another than before, as only now it is known to which trigger they relate.
    """

    trigger_id: str
    merged: tuple[str, ...] = ()
    news: bool = False
    relinked: tuple[str, ...] = ()


class Cases:
    """All triggers that were heard of, each with its notices."""

    def __init__(self) -> None:
        self._cases: dict[str, Case] = {}
        self._canonical: dict[str, str] = {}
        self._names: defaultdict[str, set[str]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._cases)

    def __iter__(self) -> Iterator[str]:
        """Canonical ids, sorted."""
        return iter(sorted(self._cases))

    def items(self) -> list[tuple[str, Case]]:
        """Canonical ids with their cases, sorted."""
        return sorted(self._cases.items())

    def __contains__(self, trigger_id: str) -> bool:
        """Whether a trigger was heard of, under any of its ids."""
        return self.resolve(trigger_id) in self._cases

    def resolve(self, trigger_id: str) -> str:
        """The canonical id of a trigger; the id itself if it is unknown."""
        return self._canonical.get(trigger_id, trigger_id)

    def get(self, trigger_id: str) -> Case | None:
        """The case of a trigger, by any of its ids."""
        return self._cases.get(self.resolve(trigger_id))

    def hear(self, notice: Notice, skymap: SkyMap | None, now_us: int) -> Heard | None:
        """Take in a notice with the density of its position; None if it is about no trigger that is known yet."""
        if notice.trigger_id is None or notice.role is Role.UTILITY:
            return None
        trigger_id, merged = self._unite((notice.trigger_id, *notice.aliases))
        case = self._cases.setdefault(trigger_id, Case(now_us, id=trigger_id))
        news = case.hear(notice, skymap)
        if news or merged:
            case.heard_us = max(case.heard_us, now_us)
            case.fold()
        return Heard(trigger_id, merged, news or bool(merged))

    def hear_skymap(self, trigger_id: str, ivorn: str, skymap: SkyMap, now_us: int) -> str:
        """Take in the map that a notice linked to; returns the canonical id of the trigger."""
        trigger_id = self.resolve(trigger_id)
        case = self._cases.setdefault(trigger_id, Case(now_us, id=trigger_id))
        case.hear_skymap(ivorn, skymap)
        case.heard_us = max(case.heard_us, now_us)
        case.fold()
        return trigger_id

    def forget(self, trigger_id: str) -> None:
        """Forget a trigger with all its ids and notices, if it is known."""
        trigger_id = self.resolve(trigger_id)
        self._cases.pop(trigger_id, None)
        for name in self._names.pop(trigger_id, ()):
            self._canonical.pop(name, None)

    def _unite(self, ids: Iterable[str]) -> tuple[str, tuple[str, ...]]:
        """Make one trigger of all that go by these ids: its canonical id, and those of the cases that it took in."""
        first, *others = ids
        namespace = first.partition(":")[0] + ":"
        names = self._names[self.resolve(first)] | {first}
        for other in others[:MAX_CITATIONS]:
            more = self._names[self.resolve(other)] | {other}
            if other.startswith(namespace) and len(names | more) <= MAX_ALIASES:
                names = names | more
        canonical = min(names)
        before = {self.resolve(name) for name in names}
        for name in before:
            self._names.pop(name, None)
        merged = sorted(name for name in before & self._cases.keys() if name != canonical)
        for name in merged:
            case = self._cases.pop(name)
            if canonical in self._cases:
                self._cases[canonical].absorb(case)
            else:
                case.id = canonical
                self._cases[canonical] = case
        self._names[canonical] = names
        self._canonical.update(dict.fromkeys(names, canonical))
        return canonical, tuple(merged)
