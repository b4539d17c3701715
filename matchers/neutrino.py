"""Optical sources of neutrinos: supernovae and jets that began with the neutrino, or, where objects need not be new,
tidal disruption events and blazars that shone before it."""

from pydantic import Field

from matchers.regions import credible_region
from matchers.search import Days, Level, Search, SearchOptions, days_us
from schemas.records import Messenger


class NeutrinoOptions(SearchOptions):
    """Options of a matcher of kind ``neutrino``."""

    before_d: Days = Field(1.0, description="The window begins so long before the trigger.")
    after_d: Days = Field(20.0, description="The window ends so long after the trigger.")
    level: Level = Field(0.9, description="Probability of the region, of a track as of a cascade's map.")


def neutrino(name: str, options: NeutrinoOptions) -> Search:
    """The matcher with these options."""
    return Search(
        name,
        Messenger.NEUTRINO,
        days_us(options.before_d),
        days_us(options.after_d),
        lambda trigger: credible_region(trigger, options.level),
        options,
    )
