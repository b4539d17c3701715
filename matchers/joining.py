"""The states of triggers together with those that are the same event, kept as triggers come, change and go.

What they are is for `matchers.linking`; here is which of them are asked: triggers far apart in time can be one event
only if an observatory says so, and cost nothing otherwise.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import is_
from typing import NamedTuple

from matchers.linking import LinkOptions, group_of, joined, links_of
from schemas.records import Link, Trigger
from schemas.times import US_PER_S


class _Instant(NamedTuple):
    time_us: int
    trigger_id: str


@dataclass(slots=True)
class _Known:
    """A trigger in its own state, and what it is together with others.

    Attributes
    ----------
    near
        Ids of those that are linked with it; whether all of them are one event is another question.
    made_of, links
        Of what ``state`` is made: its own state, those of the others, and what links it with them.
    """

    own: Trigger
    near: set[str] = field(default_factory=set)
    made_of: tuple[Trigger, ...] = ()
    links: tuple[Link, ...] = ()
    state: Trigger | None = None


class JoinedTriggers:
    """All triggers as they are together with those that are the same event: a function of their own states."""

    def __init__(self, options: LinkOptions) -> None:
        self._options = options
        self._known: dict[str, _Known] = {}
        self._instants: list[_Instant] = []
        self._related_by: defaultdict[str, set[str]] = defaultdict(set)
        """Of each id the triggers that are said to be the same event."""

    def get(self, trigger_id: str) -> Trigger | None:
        """A trigger with all that others say of the event; None if it is unknown."""
        known = self._known.get(trigger_id)
        return None if known is None else known.state

    def group(self, trigger_id: str) -> frozenset[str]:
        """The ids of all triggers that are one event with this one, itself included."""
        known = self._known.get(trigger_id)
        return frozenset(member.id for member in known.made_of) if known else frozenset({trigger_id})

    def put(self, own: Trigger) -> set[str]:
        """Take in the newest own state of a trigger; returns the ids of all whose state is another than before."""
        last = self._known.get(own.id)
        if last is not None and last.own is own:
            return set()
        touched = self._reached(own.id)
        self._note(own, last)
        known = self._known[own.id]
        others = [self._known[other].own for other in self._candidates(own)]
        near = {link.id for link in links_of(own, others, self._options)}
        for other in known.near - near:
            self._known[other].near.discard(own.id)
        for other in near - known.near:
            self._known[other].near.add(own.id)
        known.near = near
        return self._joined_anew(touched | self._reached(own.id))

    def remove(self, trigger_id: str) -> set[str]:
        """Forget a trigger, if it is known; returns the ids of the others whose state is another than before."""
        touched = self._reached(trigger_id) - {trigger_id}
        known = self._known.pop(trigger_id, None)
        if known is None:
            return set()
        self._unnote(known.own)
        for other in known.near:
            self._known[other].near.discard(trigger_id)
        return self._joined_anew(touched)

    def _note(self, own: Trigger, last: _Known | None) -> None:
        if last is None:
            self._known[own.id] = _Known(own)
        else:
            self._unnote(last.own)
            last.own = own
        insort(self._instants, _Instant(own.time_us, own.id))
        for other in own.related:
            self._related_by[other].add(own.id)

    def _unnote(self, own: Trigger) -> None:
        del self._instants[bisect_left(self._instants, _Instant(own.time_us, own.id))]
        for other in own.related:
            self._related_by[other].discard(own.id)
            if not self._related_by[other]:
                del self._related_by[other]

    def _candidates(self, own: Trigger) -> list[str]:
        """All that may be the same event: near in time, or said to be; sorted."""
        near = {instant.trigger_id for instant in self._near(own.time_us)}
        said = {*own.related, *self._related_by.get(own.id, ())}
        return sorted((near | said) & (self._known.keys() - {own.id}))

    def _near(self, time_us: int) -> Iterator[_Instant]:
        within_us = round(self._options.longest_s * US_PER_S)
        for place in range(bisect_left(self._instants, _Instant(time_us - within_us, "")), len(self._instants)):
            if self._instants[place].time_us > time_us + within_us:
                return
            yield self._instants[place]

    def _reached(self, trigger_id: str) -> set[str]:
        """All that is linked with a trigger through others, itself included."""
        found, rest = {trigger_id}, [trigger_id]
        while rest:
            known = self._known.get(rest.pop())
            more = known.near - found if known else set()
            found |= more
            rest += more
        return found

    def _joined_anew(self, trigger_ids: set[str]) -> set[str]:
        """Those of these triggers, which hold all that is linked with any of them, whose state is another."""
        changed: set[str] = set()
        rest = sorted(trigger_ids & self._known.keys())
        owns = {name: self._known[name].own for name in rest}
        while rest:
            first = owns[rest[0]]
            others = (owns[name] for name in rest[1:])
            group = (first, *group_of(first, others, self._options)) if len(rest) > 1 else (first,)
            names = {member.id for member in group}
            rest = [name for name in rest if name not in names]
            changed.update(member.id for member in group if self._is_joined_anew(member, group))
        return changed

    def _is_joined_anew(self, own: Trigger, group: tuple[Trigger, ...]) -> bool:
        known = self._known[own.id]
        partners = tuple(sorted((other for other in group if other is not own), key=lambda other: other.id))
        made_of = (own, *partners)
        links = links_of(own, partners, self._options)
        same = len(made_of) == len(known.made_of) and all(map(is_, made_of, known.made_of))
        if same and links == known.links:
            return False
        known.made_of, known.links = made_of, links
        known.state = joined(own, partners, links)
        return True
