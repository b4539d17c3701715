"""Which notices are of the same trigger: all cases, by every id that their triggers go by.

What is known is a function of the *set* of the notices that were heard, whatever their order:

- Ids that some notice calls aliases are one trigger; the first of them in alphabetical order is its canonical id (of
  those of Fermi GBM the number, before the burst's name).
- A notice without an id belongs to the trigger of the notice in its own stream that it cites first; if it comes before
  that, it waits for it.
- What notices say of *other* triggers, by their ids or by citing their notices, becomes `Trigger.related`.

What strangers can do is bounded: an alias counts only in the namespace of the notice's own id (and the readers of
notices let through only those that the sender can vouch for), a trigger has at most `MAX_IDS` ids, at most
`MAX_WAITING` notices wait, and at most `MAX_REFERRING` triggers are told at once. Beyond these bounds, and nowhere
else, it matters who comes first.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from matchers.case import Case
from matchers.statements import order_of
from schemas.ivorns import ivorn_key, stream_of
from schemas.records import Kind, Notice, Role
from schemas.sky import SkyMap

MAX_IDS = 16
"""Most ids of one trigger; real ones have two."""
MAX_REFERENCES = 16
"""So many aliases, related triggers and citations of a notice are heeded."""
MAX_REFERRING = 100
"""So many triggers are told when it becomes known to what an id or a citation of theirs refers."""
MAX_WAITING = 1000
"""Most notices that wait for what they cite; those that have waited longest are dropped first."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a notice.

    Attributes
    ----------
    trigger_id
        Canonical id of the trigger that it is about.
    merged
        Ids under which triggers were known that turned out to be this one: they are no triggers of their own any more.
    news
        Whether the trigger's state is another than before; of a trigger without a state yet, whether anything was new.
    relinked
        Other triggers whose state is another than before, as it is known only now to which triggers they relate.
    """

    trigger_id: str
    merged: tuple[str, ...] = ()
    news: bool = False
    relinked: tuple[str, ...] = ()


class _Told(NamedTuple):
    notice: Notice
    skymap: SkyMap | None


class _Waiting(NamedTuple):
    cited: str
    told: _Told


class Cases:
    """All triggers that were heard of, each with its notices."""

    def __init__(self) -> None:
        self._cases: dict[str, Case] = {}
        self._ids: defaultdict[str, set[str]] = defaultdict(set)
        """Of each canonical id all ids of the trigger."""
        self._canonical: dict[str, str] = {}
        self._told_by: dict[str, str] = {}
        """Of each notice, by its IVORN as it is compared, the trigger; of several the first in alphabetical order."""
        self._referring: defaultdict[str, set[str]] = defaultdict(set)
        """Of each id and IVORN the triggers whose notices refer to it."""
        self._waiting: dict[str, _Waiting] = {}

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

    def ids(self, trigger_id: str) -> tuple[str, ...]:
        """All ids of a trigger, sorted; the id itself if it is unknown."""
        return tuple(sorted(self._ids.get(self.resolve(trigger_id), {trigger_id})))

    def get(self, trigger_id: str) -> Case | None:
        """The case of a trigger, by any of its ids."""
        return self._cases.get(self.resolve(trigger_id))

    def trigger_of(self, notice: Notice) -> str | None:
        """The canonical id of the trigger that a notice is about; None if it is about none that is known."""
        known = notice.trigger_id or self._told_by.get(ivorn_key(notice.ivorn))
        return None if known is None else self.resolve(known)

    def is_waiting(self, ivorn: str) -> bool:
        """Whether a notice without an id waits for the one that it cites."""
        return ivorn_key(ivorn) in self._waiting

    def hear(self, notice: Notice, skymap: SkyMap | None, now_us: int) -> Heard | None:
        """Take in a notice, with the density of the position that it gives (None if it gives none).

        Returns
        -------
        Heard or None
            None if it is about no trigger, or it is not known yet about which (`is_waiting`).
        """
        if notice.role in {Role.UTILITY, Role.PREDICTION}:
            return None
        trigger_id = notice.trigger_id or self._trigger_of_cited(notice, skymap)
        if trigger_id is None:
            return None
        aliases = notice.aliases[:MAX_REFERENCES] if notice.trigger_id is not None else ()
        canonical, merged, touched = self._unite((trigger_id, *aliases))
        case = self._cases.setdefault(canonical, Case(now_us, id=canonical))
        taken = False
        come = [_Told(notice, skymap)]
        for told, its_map in come:  # grows by those that waited for it, and for them
            named = told if told.trigger_id is not None else replace(told, trigger_id=canonical)
            if case.hear(named, its_map, now_us):
                taken = True
                touched |= self._list(named, canonical)
            come += self._no_longer_waiting(ivorn_key(told.ivorn))
        if not (taken or merged):
            return Heard(canonical)
        for surplus in case.shed():
            self._unlist(surplus, canonical)
        case.heard_us = max(case.heard_us, now_us)
        changed = self._refold({canonical} | touched)
        news = bool(merged) or canonical in changed or case.trigger is None
        return Heard(canonical, merged, news, tuple(sorted(changed - {canonical})))

    def hear_skymap(self, trigger_id: str, ivorn: str, skymap: SkyMap, now_us: int) -> str:
        """Take in the map that a notice linked to; it may come before its notice, but then counts only with it.

        Returns
        -------
        str
            The canonical id of the trigger.
        """
        trigger_id = self.resolve(trigger_id)
        case = self._cases.setdefault(trigger_id, Case(now_us, id=trigger_id))
        case.hear_skymap(ivorn, skymap)
        case.heard_us = max(case.heard_us, now_us)
        case.fold()
        return trigger_id

    def forget(self, trigger_id: str) -> None:
        """Forget a trigger with all its ids and notices, if it is known."""
        trigger_id = self.resolve(trigger_id)
        case = self._cases.pop(trigger_id, None)
        for notice in case.notices if case is not None else ():
            self._unlist(notice, trigger_id)
        for name in self._ids.pop(trigger_id, ()):
            self._canonical.pop(name, None)

    def _unite(self, ids: Iterable[str]) -> tuple[str, tuple[str, ...], set[str]]:
        """Make one trigger of all that go by these ids.

        Returns
        -------
        str, tuple of str, set of str
            Its canonical id, those of the cases that it took in, and the triggers that refer to what has another
            canonical id now.
        """
        first, *others = ids
        namespace = first.partition(":")[0] + ":"
        names = self._ids.get(self.resolve(first), set()) | {first}
        for other in others:
            more = self._ids.get(self.resolve(other), set()) | {other}
            if other.startswith(namespace) and len(names | more) <= MAX_IDS:
                names = names | more
        canonical = min(names)
        renamed = {name for name in names if self.resolve(name) != canonical}
        parts = {self.resolve(name) for name in names} - {canonical}
        for part in parts:
            self._ids.pop(part, None)
        merged = sorted(part for part in parts if part in self._cases)
        self._ids[canonical] = names
        self._canonical.update(dict.fromkeys(names, canonical))
        told = [key for part in merged for key in self._absorb(part, canonical)]
        touched = set[str]().union(*(self._referring.get(name, ()) for name in (*renamed, *told)))
        return canonical, tuple(merged), touched

    def _absorb(self, part: str, canonical: str) -> list[str]:
        """The IVORNs of the notices of a case that is merged into another."""
        absorbed = self._cases.pop(part)
        case = self._cases.setdefault(canonical, Case(absorbed.heard_us, id=canonical))
        for notice in absorbed.notices:
            self._unlist(notice, part)
            self._list(notice, canonical)
        case.absorb(absorbed)
        return [ivorn_key(notice.ivorn) for notice in absorbed.notices]

    def _trigger_of_cited(self, notice: Notice, skymap: SkyMap | None) -> str | None:
        """The trigger of the notice that one without an id cites; while that is unknown, it waits."""
        if not _says_something(notice):
            return None
        stream = stream_of(notice.ivorn)
        cited = next((ivorn for ivorn in _cited(notice) if stream_of(ivorn) == stream), None)
        if cited is None:
            return None
        if cited in self._told_by:
            return self.resolve(self._told_by[cited])
        key = ivorn_key(notice.ivorn)
        known = self._waiting.get(key)
        if known is None or order_of(notice) > order_of(known.told.notice):
            self._waiting[key] = _Waiting(cited, _Told(notice, skymap))
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]
        return None

    def _no_longer_waiting(self, ivorn: str) -> list[_Told]:
        come = [key for key, waiting in self._waiting.items() if waiting.cited == ivorn]
        return [self._waiting.pop(key).told for key in come]

    def _list(self, notice: Notice, trigger_id: str) -> set[str]:
        """Note what a notice is called and refers to; returns the triggers that refer to it, if that was not known."""
        for reference in _references(notice):
            if len(self._referring[reference]) < MAX_REFERRING:
                self._referring[reference].add(trigger_id)
        key = ivorn_key(notice.ivorn)
        known = self._told_by.get(key)
        self._told_by[key] = trigger_id if known is None else min(trigger_id, self.resolve(known))
        return set() if known == self._told_by[key] else set(self._referring.get(key, ()))

    def _unlist(self, notice: Notice, trigger_id: str) -> None:
        for reference in _references(notice):
            self._referring[reference].discard(trigger_id)
            if not self._referring[reference]:
                del self._referring[reference]
        key = ivorn_key(notice.ivorn)
        if self._told_by.get(key) == trigger_id:
            del self._told_by[key]

    def _refold(self, trigger_ids: Iterable[str]) -> set[str]:
        """Those of these triggers whose state is another than before."""
        changed = set()
        for trigger_id in trigger_ids:
            case = self._cases[trigger_id]
            before = case.trigger, case.retracted
            case.related = self._related(case)
            case.fold()
            if case.trigger is not before[0] or case.retracted != before[1]:
                changed.add(trigger_id)
        return changed

    def _related(self, case: Case) -> tuple[str, ...]:
        references = {reference for notice in case.notices for reference in _references(notice)}
        triggers = {self.resolve(self._told_by.get(reference, reference)) for reference in references}
        return tuple(sorted(known for known in triggers if known != case.id and not _is_ivorn(known))[:MAX_REFERENCES])


def _references(notice: Notice) -> list[str]:
    """Ids of triggers that a notice says are the same event, and IVORNs of the notices that it cites."""
    if notice.kind is Kind.RETRACTION:
        return []
    return [*notice.related[:MAX_REFERENCES], *_cited(notice)]


def _cited(notice: Notice) -> list[str]:
    return [ivorn_key(citation.ivorn) for citation in notice.citations[:MAX_REFERENCES] if _is_ivorn(citation.ivorn)]


def _is_ivorn(text: str) -> bool:
    return text[:6].casefold() == "ivo://"


def _says_something(notice: Notice) -> bool:
    """Whether it is about an event at all, and no statement of where a telescope looks."""
    return (
        notice.kind is Kind.RETRACTION
        or notice.localisation is not None
        or notice.skymap_url is not None
        or notice.trigger_time_us is not None
        or notice.astrophysical is not None
    )
