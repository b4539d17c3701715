"""Which triggers are one event, and what they say together.

Two triggers are linked if an observatory says so (``cited``), or if they are so near to each other in time and on the
sky that chance would seldom bring it about (``time and sky``). All of it is a function of the *set* of triggers, each
in its own state, whatever their order.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Final, NamedTuple
from weakref import WeakKeyDictionary

from pydantic import BaseModel, ConfigDict, Field

from matchers import joint
from matchers.pair_rates import YEAR_S, rates_of_pair
from schemas.product import overlap, product
from schemas.records import Link, Messenger, Trigger
from schemas.sky import SkyMap
from schemas.times import US_PER_S
from schemas.upload import MISSION as UPLOADED

CITED: Final = "cited"
TIME_AND_SKY: Final = "time and sky"
THROUGH_OTHERS: Final = "through others"

_EXCLUDED = 1e-3
"""Skies with an overlap below this exclude each other: then not even an observatory's word links them."""
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class LinkOptions(BaseModel):
    """When two triggers are taken for one event."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    enabled: bool = Field(True, description="Search for triggers that are one event.")
    far_per_year: float = Field(
        0.1, ge=0, description="Link a pair if chance brings one as close in time and sky less often than this a year."
    )
    least_overlap: float = Field(
        0.1, gt=0, description="Link a pair only if its positions speak against a common one by no more than this."
    )
    gamma_ray_s: Seconds = Field(300.0, description="Longest time between two triggers of one gamma-ray burst.")
    x_ray_s: Seconds = Field(600.0, description="Longest time between X-rays and gamma rays, or other X-rays.")
    neutrino_s: Seconds = Field(500.0, description="Longest time between a neutrino and gamma rays.")

    def longest_apart_s(self, one: Messenger, other: Messenger) -> float:
        """How far apart in time two triggers may be of which none is a gravitational wave; negative if they are never
        compared."""
        spans = {
            frozenset({Messenger.GAMMA_RAY}): self.gamma_ray_s,
            frozenset({Messenger.GAMMA_RAY, Messenger.X_RAY}): self.x_ray_s,
            frozenset({Messenger.X_RAY}): self.x_ray_s,
            frozenset({Messenger.GAMMA_RAY, Messenger.NEUTRINO}): self.neutrino_s,
        }
        return spans.get(frozenset({one, other}), -1.0)

    @property
    def longest_s(self) -> float:
        """Triggers further apart in time than this are one event only if an observatory says so."""
        windows = (joint.BURST_WITH_GW_BURST, joint.NEUTRINO_WITH_GW_BURST)
        of_gw = max(abs(end) for window in windows for end in window)
        return max(self.gamma_ray_s, self.x_ray_s, self.neutrino_s, of_gw)


class _Finding(NamedTuple):
    """What two triggers that are one event were judged by."""

    by: str
    overlap: float
    far_per_year: float | None
    chance_per_year: float


def links_of(trigger: Trigger, others: Iterable[Trigger], options: LinkOptions) -> tuple[Link, ...]:
    """Those of the others that are the same event as the trigger, with what tells so, sorted by id.

    All are given in their own states, as their notices tell them. Those that are further apart in time than
    `LinkOptions.longest_s` and not `Trigger.related` cost a comparison each.
    """
    found = ((other, _compared(trigger, other, options)) for other in others)
    links = [_link(trigger, other, finding) for other, finding in found if finding is not None]
    return tuple(sorted(links, key=lambda link: link.id))


def group_of(trigger: Trigger, others: Iterable[Trigger], options: LinkOptions) -> tuple[Trigger, ...]:
    """Those of the others that are the same event by links to the trigger or to one another, sorted by id.

    Links are followed from the least likely by chance on, and one that would bring triggers together whose positions
    exclude each other is not.
    """
    known = {other.id: other for other in others if other.id != trigger.id}
    reached = {trigger.id: trigger}
    found: dict[tuple[str, str], _Finding] = {}
    front = [trigger]
    while front:
        one = front.pop()
        for other in known.values():
            pair = (min(one.id, other.id), max(one.id, other.id))
            finding = None if pair in found else _compared(one, other, options)
            if finding is None:
                continue
            found[pair] = finding
            if other.id not in reached:
                reached[other.id] = other
                front.append(other)
    groups = {trigger_id: {trigger_id} for trigger_id in reached}
    for one_id, other_id in sorted(found, key=lambda pair: (found[pair].chance_per_year, pair)):
        one_group, other_group = groups[one_id], groups[other_id]
        if one_group is not other_group and not _exclude(one_group, other_group, reached):
            one_group |= other_group
            groups |= dict.fromkeys(other_group, one_group)
    return tuple(reached[trigger_id] for trigger_id in sorted(groups[trigger.id] - {trigger.id}))


def joined(trigger: Trigger, partners: Sequence[Trigger], links: tuple[Link, ...]) -> Trigger:
    """The trigger as it and its partners know the event together: the map is the product of all their densities.

    Parameters
    ----------
    trigger
        In its own state.
    partners
        Its `group_of`, in their own states.
    links
        Its `links_of`. A partner that is linked with others of the group only gets a link that says so.
    """
    if not partners:
        return trigger
    together = sorted((trigger, *partners), key=lambda member: member.id)
    maps = tuple(member.skymap for member in together if member.skymap is not None)
    by_id = {link.id: link for link in links}
    linked = tuple(
        by_id.get(member.id)
        or _link(trigger, member, _Finding(THROUGH_OTHERS, _overlap(trigger, member), None, math.inf))
        for member in together
        if member is not trigger
    )
    # Three rings may have no common sky though any two of them do.
    skymap = (_product(maps) if maps else None) or trigger.skymap
    return replace(trigger, skymap=skymap, linked=linked)


def _link(trigger: Trigger, other: Trigger, finding: _Finding) -> Link:
    return Link(
        id=other.id,
        names=other.names,
        messenger=other.messenger.value,
        mission=other.mission,
        instrument=other.instrument,
        by=finding.by,
        delta_t_s=(other.time_us - trigger.time_us) / US_PER_S,
        overlap=finding.overlap,
        far_per_year=finding.far_per_year,
    )


def _compared(one: Trigger, other: Trigger, options: LinkOptions) -> _Finding | None:
    """What tells that two triggers are one event; None if nothing does. The same in either order."""
    if one.id > other.id:
        one, other = other, one
    if not (options.enabled and _may_be_one(one, other)):
        return None
    cited = other.id in one.related or one.id in other.related
    rates = rates_of_pair(one, other, options.longest_apart_s(one.messenger, other.messenger))
    if not cited and rates is None:
        return None
    factor = _overlap(one, other)
    far, chance = (None, math.inf) if rates is None else (rates.far_hz, rates.chance_hz)
    far_per_year = None if far is None or factor <= 0 else YEAR_S * far / factor
    if cited:
        return _Finding(CITED, factor, far_per_year, 0.0) if factor >= _EXCLUDED else None
    chance_per_year = YEAR_S * joint.space_time_far_hz(chance, factor)
    if factor < options.least_overlap or chance_per_year > options.far_per_year:
        return None
    return _Finding(TIME_AND_SKY, factor, far_per_year, chance_per_year)


def _may_be_one(one: Trigger, other: Trigger) -> bool:
    """Neither is taken back, and both are for the same eyes and of the same sky, the real one or that of tests.

    An upload stands for itself: it is often a copy of an observatory's map, which would then count twice, and whoever
    may upload may not change what observatories say.
    """
    return (
        one.id != other.id
        and UPLOADED not in {one.mission, other.mission}
        and one.test == other.test
        and one.private_to == other.private_to
        and not any(trigger.retracted or trigger.astrophysical is False for trigger in (one, other))
    )


def _exclude(one_group: set[str], other_group: set[str], triggers: Mapping[str, Trigger]) -> bool:
    """Whether any of one and any of another group have positions that exclude each other."""
    return any(_overlap(triggers[one], triggers[other]) < _EXCLUDED for one in one_group for other in other_group)


def _overlap(one: Trigger, other: Trigger) -> float:
    """Of their maps; one without a map may be anywhere, which is an overlap of 1 with everything."""
    if one.id > other.id:
        one, other = other, one
    if one.skymap is None or other.skymap is None:
        return 1.0
    known = _overlaps.setdefault(one.skymap, WeakKeyDictionary())
    if other.skymap not in known:
        known[other.skymap] = overlap(one.skymap, other.skymap)
    return known[other.skymap]


_overlaps: WeakKeyDictionary[SkyMap, WeakKeyDictionary[SkyMap, float]] = WeakKeyDictionary()
"""What was found for two maps, as long as both are in use: a map is compared once, not with each notice."""


@lru_cache(maxsize=16)
def _product(maps: tuple[SkyMap, ...]) -> SkyMap | None:
    """Once for all members of a group, and not again while no map of it changes."""
    return product(maps)
