"""Which differences of a coincidence are worth a revision, and what they are called.

A revision is published where something differs notably from the *last published* one, so that small steps add up and
no published number is ever further off than its threshold.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from schemas.annotations import Annotation
from schemas.records import Coincidence, ObjectSummary, TriggerSummary
from schemas.statistics import Statistics
from schemas.times import US_PER_S

_ARCSEC_PER_RAD = math.degrees(3600.0)
_LEAST_CHANCE = 1e-12
"""Smaller chances are all the same to a reader."""
_QUIET_PART = 0.1
_NUMBERS = re.compile(r"\d+(\.\d+)?")

Factor = Annotated[float, Field(ge=1, le=1e6)]


class RevisionOptions(BaseModel):
    """From which difference on a revision is published; a smaller one is stored, and counts with the next ones."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    position_arcsec: float = Field(1.0, ge=0, description="The object's position moves by more.")
    level: float = Field(0.01, ge=0, le=1, description="The credible level differs by more.")
    area_factor: Factor = Field(1.25, description="The area of the 90 % credible region changes by more.")
    trigger_time_s: float = Field(1.0, ge=0, description="The trigger's time changes by more.")
    trigger_class: float = Field(0.05, ge=0, le=1, description="The probability of a class of the trigger, by more.")
    far_factor: Factor = Field(
        2.0, description="A false-alarm rate of the trigger, alone or joint, changes by more; its significance too."
    )
    light_curve: bool = Field(True, description="Each new point of the light curve counts.")
    mag: float = Field(0.2, ge=0, description="Without that: the latest magnitude differs by more.")
    posterior: float = Field(0.05, ge=0, le=1, description="The posterior probability differs by more.")
    chance_factor: Factor = Field(2.0, description="The chance probability or the false-alarm rate changes by more.")
    ranks: Annotated[tuple[int, ...], Field(strict=False)] = Field(
        (1, 3, 10), description="The rank comes to be among the first so many, or is so no longer."
    )


class Difference(StrEnum):
    """What may differ: `Coincidence.changed`."""

    ANNOTATIONS = "annotations"
    CHANCE = "chance"
    LEVEL = "level"
    LIGHT_CURVE = "light_curve"
    LINKS = "links"
    LOCALISATION = "localisation"
    ONSET = "onset"
    POSITION = "position"
    POSTERIOR = "posterior"
    RANK = "rank"
    SIGNIFICANCE = "significance"
    TRIGGER = "trigger"
    TRIGGER_CLASS = "trigger_class"
    TRIGGER_TIME = "trigger_time"


@dataclass(frozen=True, slots=True)
class Notability:
    """Tells notable differences from small ones.

    Attributes
    ----------
    options
        The thresholds.
    quiet
        The same with a tenth of the thresholds of statistics: smaller differences of these are not even stored, as
        what stands makes them again.
    """

    options: RevisionOptions
    quiet: RevisionOptions = field(init=False)

    def __post_init__(self) -> None:
        given = self.options
        finer = {
            "posterior": given.posterior * _QUIET_PART,
            "chance_factor": given.chance_factor**_QUIET_PART,
            "ranks": tuple(range(1, max(given.ranks, default=0) + 1)),
        }
        object.__setattr__(self, "quiet", given.model_copy(update=finer))

    def differences(self, before: Coincidence, after: Coincidence) -> tuple[str, ...]:
        """What differs notably, sorted."""
        found = [name for name, differs in _DIFFERENCES if differs(before, after, self.options)]
        if after.statistics is not None:
            found += of_statistics(before.statistics, after.statistics, self.options)
        return tuple(sorted(name.value for name in found))


def of_statistics(before: Statistics | None, after: Statistics, options: RevisionOptions) -> tuple[Difference, ...]:
    """What of the statistics differs by more than the options admit; all, where there were none before."""
    if before is None:
        return Difference.CHANCE, Difference.POSTERIOR, Difference.RANK
    found: tuple[Difference, ...] = ()
    if _apart(before.chance_probability, after.chance_probability, options.chance_factor) or _apart(
        before.far_per_year, after.far_per_year, options.chance_factor
    ):
        found += (Difference.CHANCE,)
    if abs(before.posterior - after.posterior) > options.posterior:
        found += (Difference.POSTERIOR,)
    if before.rank != after.rank and any((before.rank <= first) != (after.rank <= first) for first in options.ranks):
        found += (Difference.RANK,)
    return found


def _apart(one: float, other: float, factor: float) -> bool:
    low, high = (one, other) if one < other else (other, one)
    return high > factor * max(low, _LEAST_CHANCE)


def _changed_by_more(one: float | None, other: float | None, factor: float) -> bool:
    if one is None or other is None:
        return one is not other
    return max(abs(one), abs(other)) > factor * min(abs(one), abs(other)) or one * other < 0


def _positions(before: Coincidence, after: Coincidence, options: RevisionOptions) -> bool:
    return _apart_arcsec(before.object, after.object) > options.position_arcsec


def _apart_arcsec(one: ObjectSummary, other: ObjectSummary) -> float:
    dec, other_dec = math.radians(one.dec_deg), math.radians(other.dec_deg)
    across = math.sin(math.radians(other.ra_deg - one.ra_deg) / 2) ** 2 * math.cos(dec) * math.cos(other_dec)
    haversine = math.sin((other_dec - dec) / 2) ** 2 + across
    return 2 * math.asin(min(1.0, math.sqrt(haversine))) * _ARCSEC_PER_RAD


def _levels(before: Coincidence, after: Coincidence, options: RevisionOptions) -> bool:
    return abs(before.credible_level - after.credible_level) > options.level


def _localisations(before: Coincidence, after: Coincidence, options: RevisionOptions) -> bool:
    """Another model, or another area; that only numbers in the model's sentence differ shows in area and level."""
    one, other = (_NUMBERS.sub("", c.trigger.localisation_model) for c in (before, after))
    return one != other or _changed_by_more(before.area_90_deg2, after.area_90_deg2, options.area_factor)


def _trigger_times(before: Coincidence, after: Coincidence, options: RevisionOptions) -> bool:
    return abs(before.trigger.time_us - after.trigger.time_us) > options.trigger_time_s * US_PER_S


def _trigger_classes(before: Coincidence, after: Coincidence, options: RevisionOptions) -> bool:
    one, other = before.trigger.classification, after.trigger.classification
    names = one.keys() | other.keys()
    return any(abs(one.get(name, 0.0) - other.get(name, 0.0)) > options.trigger_class for name in names)


def _significances(before: Coincidence, after: Coincidence, options: RevisionOptions) -> bool:
    one, other = before.trigger, after.trigger
    return (
        one.significance_unit != other.significance_unit
        or _changed_by_more(one.significance, other.significance, options.far_factor)
        or _changed_by_more(one.far_hz, other.far_hz, options.far_factor)
    )


def _triggers(before: Coincidence, after: Coincidence, options: RevisionOptions) -> bool:  # noqa: ARG001
    return _named(before.trigger) != _named(after.trigger)


def _named(trigger: TriggerSummary) -> tuple[object, ...]:
    return trigger.names, trigger.messenger, trigger.mission, trigger.instrument, trigger.test


def _links(before: Coincidence, after: Coincidence, options: RevisionOptions) -> bool:
    one, other = ({link.id: link for link in c.trigger.linked} for c in (before, after))
    return one.keys() != other.keys() or any(
        (one[name].by, one[name].names) != (other[name].by, other[name].names)
        or _changed_by_more(one[name].far_per_year, other[name].far_per_year, options.far_factor)
        for name in one
    )


def _light_curves(before: Coincidence, after: Coincidence, options: RevisionOptions) -> bool:
    one, other = before.object, after.object
    if options.light_curve:
        return one.alert_ids != other.alert_ids or one.light_curve != other.light_curve
    if one.mag is None or other.mag is None:
        return one.mag is not other.mag
    return abs(one.mag - other.mag) > options.mag


def _onsets(before: Coincidence, after: Coincidence, options: RevisionOptions) -> bool:  # noqa: ARG001
    one, other = before.object, after.object
    known = one.first_detection_us, one.last_non_detection_us
    return known != (other.first_detection_us, other.last_non_detection_us)


def _annotations(before: Coincidence, after: Coincidence, options: RevisionOptions) -> bool:  # noqa: ARG001
    return _told(before.object.annotations) != _told(after.object.annotations)


def _told(annotations: Iterable[Annotation]) -> list[tuple[object, ...]]:
    """What counts of annotations: which entry it is, and how far away in space; not the distance on the sky."""
    return [(a.catalogue, a.answer, a.name, a.kind, a.redshift, a.distance_mpc) for a in annotations]


_DIFFERENCES: tuple[tuple[Difference, Callable[[Coincidence, Coincidence, RevisionOptions], bool]], ...] = (
    (Difference.ANNOTATIONS, _annotations),
    (Difference.LEVEL, _levels),
    (Difference.LIGHT_CURVE, _light_curves),
    (Difference.LINKS, _links),
    (Difference.LOCALISATION, _localisations),
    (Difference.ONSET, _onsets),
    (Difference.POSITION, _positions),
    (Difference.SIGNIFICANCE, _significances),
    (Difference.TRIGGER, _triggers),
    (Difference.TRIGGER_CLASS, _trigger_classes),
    (Difference.TRIGGER_TIME, _trigger_times),
)
