"""Where to look for a trigger's counterpart: the two rules that make a region of a localisation."""

import math
from functools import lru_cache

from schemas.localisation import Cone, Ellipse
from schemas.records import Trigger
from schemas.sky import Circle, Region, SkyMap

FERMI_LARGEST_DEG = 5.0
SWIFT_RADII = 3.0
OTHER_SIGMAS = 3.0
WHOLE_SKY_DEG = 180.0


def credible_region(trigger: Trigger, level: float) -> Region | None:
    """All positions with a credible level of at most ``level``; None without a position."""
    return None if trigger.skymap is None else _region(trigger.skymap, level)


@lru_cache(maxsize=64)
def _region(skymap: SkyMap, level: float) -> Region:
    """Making a cover takes long, and of the many notices of a trigger few move it."""
    return skymap.credible_region(level)


def fink2021_region(trigger: Trigger) -> Region | None:
    """The circle of Moeller et al. 2021 (MNRAS 501, 3272, section 4.2) around the reported position.

    Its radius is 3 times the reported radius for Swift, the reported radius but at most 5 deg for Fermi, and 3 sigma of
    the circular Gaussian that holds the reported containment for all others. The radius is that of the notice
    that gave the position in use, without any systematic error; an ellipse counts by its semi-major axis. None
    where that notice reported neither, or numbers that make no circle: a trigger with nothing but a map is not searched
    by this rule.
    """
    reported = trigger.localised_by.localisation if trigger.localised_by else None
    if isinstance(reported, Cone):
        radius_deg = reported.radius_deg
    elif isinstance(reported, Ellipse):
        radius_deg = reported.semi_major_deg
    else:
        return None
    is_position = math.isfinite(reported.ra_deg) and abs(reported.dec_deg) <= 90  # noqa: PLR2004 - degrees
    if not (is_position and 0 < radius_deg < math.inf and 0 < reported.containment < 1):
        return None
    mission = trigger.mission.casefold()
    if mission == "swift":
        search_deg = SWIFT_RADII * radius_deg
    elif mission == "fermi":
        search_deg = min(radius_deg, FERMI_LARGEST_DEG)
    else:
        search_deg = OTHER_SIGMAS * radius_deg / math.sqrt(-2.0 * math.log1p(-reported.containment))
    return Circle.around(reported.ra_deg, reported.dec_deg, min(search_deg, WHOLE_SKY_DEG))
