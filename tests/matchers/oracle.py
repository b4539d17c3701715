"""The search of Moeller et al. 2021, once more and as plainly as can be: loops, astropy's separations, no pixels.

Shares no code with `matchers`; tests compare the two on made-up and on real input.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from schemas.localisation import Cone, Ellipse
from schemas.records import Alerts, Kind, Messenger, Notice, Role

BEFORE_US = 600 * 10**6
AFTER_US = 20 * 86_400 * 10**6


def fink2021_pairs(
    alerts: Sequence[Alerts], notices: Iterable[Notice], carried: frozenset[str] | None
) -> set[tuple[str, str]]:
    """Pairs of trigger id and object id.

    Parameters
    ----------
    alerts
        Of any surveys, in any order, repeats included.
    carried
        The quality columns to cut on; None for no cuts.
    """
    first_seen: dict[tuple[str, str], int] = {}
    for batch in alerts:
        for row in range(len(batch)):
            key = batch.survey, str(batch.object_id[row])
            seen = min(int(batch.first_detection_us[row]), int(batch.time_us[row]))
            first_seen[key] = min(seen, first_seen.get(key, seen))
    by_trigger: dict[str, list[Notice]] = {}
    for notice in notices:
        if notice.trigger_id is not None and notice.role is not Role.UTILITY:
            by_trigger.setdefault(notice.trigger_id, []).append(notice)
    pairs = set()
    for trigger_id, told in by_trigger.items():
        circle = _circle(told)
        if circle is None:
            continue
        time_us, centre, radius_deg = circle
        for batch in alerts:
            if not len(batch):
                continue
            separations = SkyCoord(batch.ra_deg * u.deg, batch.dec_deg * u.deg).separation(centre).deg
            for row in range(len(batch)):
                name = str(batch.object_id[row])
                if (
                    separations[row] <= radius_deg
                    and time_us - BEFORE_US <= int(batch.time_us[row]) <= time_us + AFTER_US
                    and first_seen[batch.survey, name] >= time_us - BEFORE_US
                    and (carried is None or _is_good(batch, row, carried))
                ):
                    pairs.add((trigger_id, name))
    return pairs


def _circle(told: list[Notice]) -> tuple[int, SkyCoord, float] | None:
    """Time, centre and radius of the search for a gamma-ray burst; None if there is nothing to search."""
    in_order = sorted(told, key=_place)
    if in_order[0].messenger is not Messenger.GAMMA_RAY or in_order[-1].kind is Kind.RETRACTION:
        return None
    time_us, place, real = None, None, None
    for notice in in_order:
        if notice.role in (Role.TEST, Role.MOCK):
            return None
        time_us = notice.trigger_time_us if notice.trigger_time_us is not None else time_us
        place = notice.localisation if notice.localisation is not None else place
        real = notice.astrophysical if notice.astrophysical is not None else real
    if time_us is None or real is False or not isinstance(place, Cone | Ellipse):
        return None
    reported = place.radius_deg if isinstance(place, Cone) else place.semi_major_deg
    mission = in_order[0].mission.lower()
    if mission == "swift":
        radius = 3 * reported
    elif mission == "fermi":
        radius = min(reported, 5.0)
    else:
        radius = 3 * reported / math.sqrt(-2 * math.log(1 - place.containment))
    return time_us, SkyCoord(place.ra_deg * u.deg, place.dec_deg * u.deg), min(radius, 180.0)


def _place(notice: Notice) -> tuple[int, int, int, bool, str]:
    """Of several of one instant a retraction is the last."""
    issued_us = notice.issued_us if notice.issued_us is not None else -1
    return notice.stage, notice.serial, issued_us, notice.kind is Kind.RETRACTION, notice.ivorn


def _is_good(batch: Alerts, row: int, carried: frozenset[str]) -> bool:
    if "reliability" in carried and not batch.reliability[row] > np.float32(0.55):
        return False
    if "bad_pixels" in carried and not batch.bad_pixels[row] <= 0:
        return False
    if "ap_minus_psf_mag" in carried and not abs(batch.ap_minus_psf_mag[row]) < np.float32(0.1):
        return False
    for column in ("gaia_arcsec", "ps1_arcsec", "solar_system_arcsec"):
        if column in carried and getattr(batch, column)[row] < 5:
            return False
    return True
