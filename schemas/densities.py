"""From what a notice says of a position to the density of it.

A circle is a Fisher density, an ellipse its extension to two axes, an annulus a ring with a Gaussian profile
(`schemas.shapes`), several annuli the product of theirs (`schemas.product`); each circle, ellipse and ring holds
exactly the reported containment inside the reported contour. A map is taken as it is. Only Fermi GBM's radii are known
to lack a systematic error that matters; it is added here.
"""

import math

from schemas.errors import BadSkyMap, Reason
from schemas.localisation import MOST_ANNULI, Annuli, Annulus, Cone, Ellipse, InlineMap, Localisation, Systematics
from schemas.pictures import pictured
from schemas.product import product
from schemas.shapes import Fisher, FisherEllipse, Ring, fisher_kappa
from schemas.sky import SkyMap
from schemas.skymap import read_skymap

GBM_SYSTEMATICS: dict[Systematics, tuple[float, float, float]] = {
    Systematics.GBM_FLIGHT: (0.897, 7.52, 55.6),
    Systematics.GBM_GROUND: (0.804, 3.72, 13.7),
    Systematics.GBM_FINAL: (0.900, 3.71, 14.3),
}
"""Weight of the core, radius of the core and of the tail (deg) of the systematic error of each kind of GBM position:
Connaughton et al. 2015 (ApJS 216, 32), table of the flight software's, the automatic ground software's and the
human-guided positions. Later automatic final positions (RoboBA, since 2019) are better than this: Goldstein et
al. 2020 (ApJ 895, 40); notices do not say which of the two made them, so the wider model is the default."""

GBM_STATISTICAL_FACTOR: dict[Systematics, float] = {Systematics.GBM_FLIGHT: 0.5}
"""What the statistical radius of a kind of GBM position is multiplied by before its systematic error is added. The
flight software's is too large: measured on 28 bursts that Swift localised, the factor is 0.45 +- 0.1; with the
radius as it is the levels of the true positions are not uniform (docs/science.md; `starcross calibrate --pairs`)."""

SIGMA_OF_68_RADIUS = 0.66
"""Connaughton et al. give systematic errors as radii that hold 68 % and use kappa = 1 / (0.66 radius)^2, so that 0.4356
= 0.66^2 turns the sum of the squares of two such radii into a variance on each axis: 0.66 = 1 / sqrt(-2 ln(1 - 0.68)).
The figures of Goldstein et al. are standard deviations on each axis already and must not be scaled by it."""

_SMALLEST_RADIUS_DEG = 1e-7
"""The size of an order-29 pixel; no position is known as well."""


def skymap_of(localisation: Localisation) -> SkyMap:
    """The density of a reported position.

    Raises
    ------
    BadSkyMap
        If a number is not finite or out of range, or the bytes of a map cannot be read.

    Examples
    --------
    A circle of 1 deg that holds 90 % is the 90 % region, of pi square degrees:

    >>> skymap = skymap_of(Cone(ra_deg=180.0, dec_deg=30.0, radius_deg=1.0, containment=0.9))
    >>> print(f"{skymap.area_deg2(0.9):.2f}")
    3.14
    """
    match localisation:
        case Cone():
            return _cone(localisation)
        case Ellipse():
            return _ellipse(localisation)
        case Annulus():
            return _annulus(localisation)
        case Annuli():
            return _annuli(localisation)
        case InlineMap():
            return read_skymap(localisation.body)


def _cone(cone: Cone) -> SkyMap:
    _check_position(cone.ra_deg, cone.dec_deg)
    _check_angle("radius", cone.radius_deg)
    _check_containment(cone.containment)
    kappa = fisher_kappa(cone.radius_deg, cone.containment)
    stated = f"the circle of {cone.radius_deg:g} deg holds {100 * cone.containment:g} %"
    if cone.systematics not in GBM_SYSTEMATICS:
        added = "systematic error included" if cone.systematics is Systematics.INCLUDED else "no systematic error added"
        fisher = Fisher(cone.ra_deg, cone.dec_deg, (1.0,), (kappa,))
        model = f"Fisher density on the sphere: {stated}, {added}"
    else:
        weight, core_deg, tail_deg = GBM_SYSTEMATICS[cone.systematics]
        factor = GBM_STATISTICAL_FACTOR.get(cone.systematics, 1.0)
        statistical = fisher_kappa(cone.radius_deg * factor, cone.containment)
        kappas = tuple(
            1 / (1 / statistical + (SIGMA_OF_68_RADIUS * math.radians(radius_deg)) ** 2)
            for radius_deg in (core_deg, tail_deg)
        )
        fisher = Fisher(cone.ra_deg, cone.dec_deg, (weight, 1 - weight), kappas)
        stage = cone.systematics.removeprefix("gbm_")
        scaled = f", times {factor:g} as Swift's bursts show" if factor != 1 else ""
        model = (
            f"two Fisher densities on the sphere: {stated} (statistical{scaled}), widened by the systematic 68 % radii "
            f"of GBM's {stage} positions, {core_deg:g} deg ({100 * weight:.3g} %) and {tail_deg:g} deg "
            f"({100 * (1 - weight):.3g} %), of Connaughton et al. 2015"
        )
    return pictured(fisher, cone.ra_deg, cone.dec_deg, model)


def _ellipse(ellipse: Ellipse) -> SkyMap:
    _check_position(ellipse.ra_deg, ellipse.dec_deg)
    _check_angle("semi-major axis", ellipse.semi_major_deg)
    _check_angle("semi-minor axis", ellipse.semi_minor_deg)
    _check_containment(ellipse.containment)
    angle_deg = ellipse.position_angle_deg
    if not math.isfinite(angle_deg):
        raise BadSkyMap(Reason.NOT_FINITE, f"position angle of the localisation is {angle_deg} deg")
    if ellipse.systematics in GBM_SYSTEMATICS:
        raise BadSkyMap(Reason.UNSUPPORTED, "GBM's systematic error is known for circles, not for an ellipse")
    axes_deg = (ellipse.semi_major_deg, ellipse.semi_minor_deg)
    shape = FisherEllipse.of_contour(ellipse.ra_deg, ellipse.dec_deg, axes_deg, angle_deg, ellipse.containment)
    model = (
        f"Gaussian ellipse in Lambert's equal-area projection: {axes_deg[0]:g} by {axes_deg[1]:g} deg, position angle "
        f"{angle_deg:g} deg, holds {100 * ellipse.containment:g} %"
    )
    return pictured(shape, ellipse.ra_deg, ellipse.dec_deg, model)


def _annulus(annulus: Annulus) -> SkyMap:
    _check_position(annulus.ra_deg, annulus.dec_deg)
    _check_angle("radius", annulus.radius_deg)
    _check_angle("half width", annulus.half_width_deg)
    _check_containment(annulus.containment)
    shape = Ring.of_band(
        annulus.ra_deg, annulus.dec_deg, annulus.radius_deg, annulus.half_width_deg, annulus.containment
    )
    model = (
        f"Gaussian ring: the band of {annulus.radius_deg:g} +- {annulus.half_width_deg:g} deg holds "
        f"{100 * annulus.containment:g} %"
    )
    # Every position on the ring is as probable; one must be named: that due north of the centre.
    ra_deg, dec_deg = annulus.ra_deg, annulus.dec_deg + annulus.radius_deg
    if dec_deg > 90:  # noqa: PLR2004 - over the pole
        ra_deg, dec_deg = (ra_deg + 180) % 360, 180 - dec_deg
    return pictured(shape, ra_deg, dec_deg, model)


def _annuli(annuli: Annuli) -> SkyMap:
    """Where several rings cross: the product of their densities, as each is measured by another pair of spacecraft."""
    if not 1 <= len(annuli.rings) <= MOST_ANNULI:
        raise BadSkyMap(
            Reason.OUT_OF_RANGE, f"the localisation has {len(annuli.rings)} rings, expected 1 to {MOST_ANNULI}"
        )
    skymap = product([_annulus(ring) for ring in annuli.rings])
    if skymap is None:
        raise BadSkyMap(Reason.NOT_NORMALISED, "the rings of the localisation have no part of the sky in common")
    return skymap


def _check_position(ra_deg: float, dec_deg: float) -> None:
    if not (math.isfinite(ra_deg) and math.isfinite(dec_deg)):
        raise BadSkyMap(Reason.NOT_FINITE, f"centre of the localisation is ({ra_deg}, {dec_deg}) deg")
    if not (0 <= ra_deg <= 360 and -90 <= dec_deg <= 90):  # noqa: PLR2004 - degrees
        raise BadSkyMap(
            Reason.OUT_OF_RANGE,
            f"centre of the localisation is ({ra_deg}, {dec_deg}) deg, expected 0 to 360 and -90 to 90",
        )


def _check_angle(name: str, angle_deg: float) -> None:
    if not math.isfinite(angle_deg):
        raise BadSkyMap(Reason.NOT_FINITE, f"{name} of the localisation is {angle_deg} deg")
    if not _SMALLEST_RADIUS_DEG <= angle_deg <= 180:  # noqa: PLR2004 - degrees
        raise BadSkyMap(
            Reason.OUT_OF_RANGE,
            f"{name} of the localisation is {angle_deg:g} deg, expected {_SMALLEST_RADIUS_DEG:g} to 180",
        )


def _check_containment(containment: float) -> None:
    if not 0 < containment < 1:
        raise BadSkyMap(
            Reason.OUT_OF_RANGE, f"containment of the localisation is {containment}, expected between 0 and 1"
        )
