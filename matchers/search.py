"""What the built-in matchers share: a messenger, a span of time around the trigger, a region, and new objects only."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from schemas.errors import ConfigurationError
from schemas.records import Alerts, Bools, Coincidence, Messenger, Trigger, Window
from schemas.sky import Region
from schemas.times import US_PER_DAY, US_PER_S
from schemas.upload import MISSION as UPLOADED

Seconds = Annotated[float, Field(ge=0, le=366 * 86_400)]
Days = Annotated[float, Field(ge=0, le=366)]
Level = Annotated[float, Field(gt=0, lt=1)]
Classes = dict[str, Annotated[float, Field(ge=0, le=1)]]
Missions = Annotated[tuple[str, ...], Field(strict=False)] | None


class SearchOptions(BaseModel):
    """Options of every built-in matcher."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    new_object: bool = Field(True, description="Only objects that were not detected before the window began.")
    astrophysical_only: bool = Field(
        True, description="Leave out triggers of which the observatory says that they are no astrophysical event."
    )
    missions: Missions = Field(None, description="Only triggers of these missions, such as Fermi; without it all.")
    classes_above: Classes = Field(
        {}, description="Only triggers whose classes have at least these probabilities, such as `{ BNS = 0.1 }`."
    )
    classes_below: Classes = Field(
        {}, description="Only triggers whose classes have at most these, such as `{ Terrestrial = 0.5 }`."
    )
    exclude: str = Field(
        "", description="A condition, as of substreams; coincidences for which it holds are not proposed, or withdrawn."
    )

    @field_validator("exclude")
    @classmethod
    def _is_a_condition(cls, given: str) -> str:
        """Find mistakes when the configuration is read."""
        if given.strip():
            try:
                _condition(given)
            except ConfigurationError as error:
                raise ValueError(str(error)) from error
        return given


def _condition(text: str) -> Callable[[Coincidence], bool]:
    # The language takes a third of a second: it is for who has a condition.
    from matchers.selection import Selection  # noqa: PLC0415

    return Selection.of(text).holds


def seconds_us(seconds: float) -> int:
    """Microseconds of seconds, rounded."""
    return round(seconds * US_PER_S)


def days_us(days: float) -> int:
    """Microseconds of days, rounded."""
    return round(days * US_PER_DAY)


@dataclass(frozen=True)
class Search:
    """A matcher: alerts from ``before_us`` before to ``after_us`` after the trigger, inside its region.

    Satisfies `broker.interfaces.Matcher`.

    Attributes
    ----------
    name
        The key of its section in the configuration.
    messenger
        Only triggers of this messenger are searched.
    before_us, after_us
        The span of time around the trigger; both ends belong to it.
    region
        Makes the region of a trigger; None where the trigger has none.
    options
        What all searches can be told.
    """

    name: str
    messenger: Messenger
    before_us: int
    after_us: int
    region: Callable[[Trigger], Region | None]
    options: SearchOptions

    def window(self, trigger: Trigger) -> Window | None:
        """Where and when to look; None if the trigger is retracted, not ours, or without a position."""
        options = self.options
        if trigger.retracted or trigger.messenger is not self.messenger or trigger.mission == UPLOADED:
            return None
        if options.astrophysical_only and trigger.astrophysical is False:
            return None
        if options.missions is not None and trigger.mission.casefold() not in map(str.casefold, options.missions):
            return None
        region = self.region(trigger) if self.suits(trigger) else None
        if region is None:
            return None
        return Window(trigger.time_us - self.before_us, trigger.time_us + self.after_us, region)

    def suits(self, trigger: Trigger) -> bool:
        """Whether a trigger is of the wanted classes; one of which no class is told is."""
        told, options = trigger.classification, self.options
        return not told or (
            all(told.get(name, 0.0) >= least for name, least in options.classes_above.items())
            and all(told.get(name, 0.0) <= most for name, most in options.classes_below.items())
        )

    @cached_property
    def excludes(self) -> Callable[[Coincidence], bool] | None:
        """Which coincidences are not wanted after all; None if all are."""
        return _condition(self.options.exclude) if self.options.exclude.strip() else None

    def match(self, alerts: Alerts, trigger: Trigger) -> Bools:
        """Which alerts belong to new objects: none of whose detections is earlier than the window. Shape (n,)."""
        if not self.options.new_object:
            return np.ones(len(alerts), np.bool_)
        return alerts.first_detection_us >= trigger.time_us - self.before_us
