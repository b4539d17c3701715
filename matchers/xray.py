"""Optical counterparts of X-ray transients (Einstein Probe, SVOM MXT, MAXI): new objects within days, as their
triggers are often found late and their afterglows fade soon."""

from pydantic import Field

from matchers.regions import credible_region
from matchers.search import Days, Level, Search, SearchOptions, days_us
from schemas.records import Messenger


class XrayOptions(SearchOptions):
    """Options of a matcher of kind ``xray``."""

    before_d: Days = Field(1.0, description="The window begins so long before the trigger.")
    after_d: Days = Field(10.0, description="The window ends so long after the trigger.")
    level: Level = Field(0.9, description="Probability of the region.")


def xray(name: str, options: XrayOptions) -> Search:
    """The matcher with these options."""
    return Search(
        name,
        Messenger.X_RAY,
        days_us(options.before_d),
        days_us(options.after_d),
        lambda trigger: credible_region(trigger, options.level),
        options,
    )
