"""Kilonovae and afterglows of gravitational-wave events: new objects after the merger, in the sky map's region."""

from pydantic import Field

from matchers.regions import credible_region
from matchers.search import Days, Level, Search, SearchOptions, Seconds, days_us, seconds_us
from schemas.records import Messenger


class GwOptions(SearchOptions):
    """Options of a matcher of kind ``gw``."""

    before_s: Seconds = Field(0.0, description="The window begins so long before the trigger.")
    after_d: Days = Field(20.0, description="The window ends so long after the trigger.")
    level: Level = Field(0.9, description="Probability of the region.")


def gw(name: str, options: GwOptions) -> Search:
    """The matcher with these options."""
    before_us, after_us = seconds_us(options.before_s), days_us(options.after_d)
    return Search(
        name,
        Messenger.GRAVITATIONAL_WAVE,
        before_us,
        after_us,
        lambda trigger: credible_region(trigger, options.level),
        options,
    )
