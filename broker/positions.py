"""What a notice's position is made of, in words for a person."""

import math

from schemas.densities import GBM_STATISTICAL_FACTOR, GBM_SYSTEMATICS
from schemas.localisation import Annuli, Annulus, Cone, Ellipse, InlineMap, Localisation, Systematics
from schemas.pixels import DEG2_PER_SR
from schemas.records import Kind, Notice
from schemas.sky import SkyMap


def position_in_words(notice: Notice, skymap: SkyMap | None) -> dict[str, str]:
    """What was stated and what was added to it; or why there is no position.

    Parameters
    ----------
    notice
        The notice.
    skymap
        The density of what it states; None if it states nothing, or nothing that can be used.

    Returns
    -------
    dict of str to str
        In the order in which they are to be read: ``stated``, ``systematic_error``, ``none`` and ``official_map``. What
        does not apply is left out.
    """
    words: dict[str, str] = {}
    stated = notice.localisation
    if stated is None:
        words["none"] = _why_none(notice)
    else:
        words["stated"] = _stated(stated)
        if isinstance(stated, Cone | Ellipse):
            words["systematic_error"] = _systematic_error(stated, skymap)
        if skymap is None:
            words["none"] = "what is stated cannot be used"
    if notice.skymap_url is not None:
        words["official_map"] = f"linked, replaces this as soon as it is there: {notice.skymap_url}"
    elif isinstance(stated, InlineMap):
        words["official_map"] = "this is the observatory's own"
    return words


def _why_none(notice: Notice) -> str:
    if notice.kind is Kind.RETRACTION:
        return "a retraction gives no position"
    reasons = [
        warning.removeprefix("no position: ") for warning in notice.warnings if warning.startswith("no position")
    ]
    if reasons:
        return "; ".join(reasons)
    if notice.skymap_url is not None:
        return "the notice only links to a sky map"
    return "this kind of notice, or this one, gives no position of a source"


def _stated(stated: Localisation) -> str:
    match stated:
        case Cone():
            return f"circle of {_angle(stated.radius_deg)} around {_centre(stated)} {_holds(stated)}"
        case Ellipse():
            axes = f"{_angle(stated.semi_major_deg)} by {_angle(stated.semi_minor_deg)}"
            return (
                f"ellipse of {axes}, position angle {stated.position_angle_deg:g} deg, around {_centre(stated)} "
                f"{_holds(stated)}"
            )
        case Annulus():
            band = f"{_angle(stated.radius_deg)} +- {_angle(stated.half_width_deg)}"
            return f"ring of {band} around {_centre(stated)} {_holds(stated)}"
        case Annuli():
            return " and ".join(_stated(ring) for ring in stated.rings)
        case InlineMap():
            return f"sky map of {len(stated.body)} bytes in the notice itself"


def _centre(stated: Cone | Ellipse | Annulus) -> str:
    return f"RA {stated.ra_deg:g}, Dec {stated.dec_deg:g} deg"


def _holds(stated: Cone | Ellipse | Annulus) -> str:
    return f"that holds {100 * stated.containment:g} %"


def _angle(angle_deg: float) -> str:
    """In the unit in which it is above 1."""
    for size, unit in ((1.0, "deg"), (1 / 60, "arcmin")):
        if angle_deg >= size:
            return f"{angle_deg / size:.4g} {unit}"
    return f"{angle_deg * 3600:.4g} arcsec"


def _systematic_error(stated: Cone | Ellipse, skymap: SkyMap | None) -> str:
    if stated.systematics is Systematics.INCLUDED:
        return "in the stated error, as the sender says"
    if stated.systematics not in GBM_SYSTEMATICS:
        return "none is known to be missing, none is added"
    weight, core_deg, tail_deg = GBM_SYSTEMATICS[stated.systematics]
    stage = stated.systematics.removeprefix("gbm_")
    text = (
        f"not in the stated error; that of GBM's {stage} positions is added, as 68 % radii: {core_deg:g} deg for "
        f"{100 * weight:.3g} %, {tail_deg:g} deg for the rest"
    )
    factor = GBM_STATISTICAL_FACTOR.get(stated.systematics)
    if factor is not None:
        text += f", after the stated radius is multiplied by {factor:g}"
    if skymap is not None:
        text += (
            f"; together {100 * stated.containment:g} % lie within {_angle(_radius_deg(skymap, stated.containment))}"
        )
    return text


def _radius_deg(skymap: SkyMap, level: float) -> float:
    """Of the circle that is as large as the region of a level."""
    return math.degrees(math.acos(1 - skymap.area_deg2(level) / DEG2_PER_SR / (2 * math.pi)))
