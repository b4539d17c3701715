"""Afterglows and supernovae of gamma-ray bursts.

The search of Moeller et al. 2021 (MNRAS 501, 3272, section 4.2): new objects from 600 s before the burst (a precursor)
to 20 d after it (its supernova). Where they looked in a circle of the reported radius, which holds as little as a
third of all counterparts of Fermi's bursts, the default here is a region of stated probability.
"""

from typing import Literal

from pydantic import Field

from matchers.regions import credible_region, fink2021_region
from matchers.search import Days, Level, Search, SearchOptions, Seconds, days_us, seconds_us
from schemas.records import Messenger, Trigger
from schemas.sky import Region


class GrbOptions(SearchOptions):
    """Options of a matcher of kind ``grb``."""

    before_s: Seconds = Field(600.0, description="The window begins so long before the trigger.")
    after_d: Days = Field(20.0, description="The window ends so long after the trigger.")
    rule: Literal["credible", "fink2021"] = Field(
        "credible", description="`credible`: a region of probability `level`. `fink2021`: the published circles."
    )
    level: Level = Field(
        0.95,
        description="Probability of the region of rule `credible`. At 0.9 one counterpart in ten lies outside; above "
        "0.95 what is gained is lost again among the chance coincidences.",
    )


def grb(name: str, options: GrbOptions) -> Search:
    """The matcher with these options."""

    def region(trigger: Trigger) -> Region | None:
        if options.rule == "fink2021":
            return fink2021_region(trigger)
        return credible_region(trigger, options.level)

    before_us, after_us = seconds_us(options.before_s), days_us(options.after_d)
    return Search(name, Messenger.GAMMA_RAY, before_us, after_us, region, options)
