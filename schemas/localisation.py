"""What a notice says of a position, with the probability that it contains.

These records only state what was reported; ``schemas.densities`` turns each into a `SkyMap`.
A radius means nothing without its containment: every record carries one.
"""

from dataclasses import dataclass
from enum import StrEnum


class Systematics(StrEnum):
    """Which systematic error a reported radius lacks, and so which model must add it."""

    INCLUDED = "included"
    NONE_KNOWN = "none_known"
    GBM_FLIGHT = "gbm_flight"
    GBM_GROUND = "gbm_ground"
    GBM_FINAL = "gbm_final"


@dataclass(frozen=True, slots=True)
class Cone:
    """A position with a circular error.

    Attributes
    ----------
    ra_deg, dec_deg
        Centre, ICRS.
    radius_deg
        Radius as reported (or the instrument's floor where the notice gives 0).
    containment
        Probability inside the radius, 0 < containment < 1.
    systematics
        Whether the radius holds the systematic error already, or which model adds it.
    """

    ra_deg: float
    dec_deg: float
    radius_deg: float
    containment: float
    systematics: Systematics = Systematics.NONE_KNOWN


@dataclass(frozen=True, slots=True)
class Ellipse:
    """A position with an elliptical error.

    Attributes
    ----------
    ra_deg, dec_deg
        Centre, ICRS.
    semi_major_deg, semi_minor_deg
        Semi-axes of the contour that holds ``containment``.
    position_angle_deg
        Of the major axis, from north through east.
    containment
        Probability inside the ellipse.
    """

    ra_deg: float
    dec_deg: float
    semi_major_deg: float
    semi_minor_deg: float
    position_angle_deg: float
    containment: float
    systematics: Systematics = Systematics.NONE_KNOWN


@dataclass(frozen=True, slots=True)
class Annulus:
    """A ring on the sky, as the interplanetary network measures them.

    Attributes
    ----------
    ra_deg, dec_deg
        Centre of the ring, ICRS.
    radius_deg
        Radius of the ring's middle.
    half_width_deg
        Half width of the band that holds ``containment``.
    """

    ra_deg: float
    dec_deg: float
    radius_deg: float
    half_width_deg: float
    containment: float


MOST_ANNULI = 10
"""Most rings of one position; the interplanetary network has had five spacecraft at most."""


@dataclass(frozen=True, slots=True)
class Annuli:
    """Several rings that the position lies on, each measured by itself."""

    rings: tuple[Annulus, ...]


@dataclass(frozen=True, slots=True)
class InlineMap:
    """A sky map that came inside the notice, as the bytes of a FITS file or a MOC."""

    body: bytes


Localisation = Cone | Ellipse | Annulus | Annuli | InlineMap
