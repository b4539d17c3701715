"""What each stream of notices says of a position, and the density that is made of it: one test a stream.

The facts are the observatories': which containment an error radius has, whether the systematic error is in it, and what
stands for no position at all.
"""

import base64
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from astropy.coordinates import offset_by

from schemas.classic_other import _MXT_R90_DEG
from schemas.densities import GBM_STATISTICAL_FACTOR, GBM_SYSTEMATICS, skymap_of
from schemas.errors import BadSkyMap, Reason
from schemas.localisation import Annuli, Annulus, Cone, Ellipse, InlineMap, Localisation, Systematics
from schemas.pixels import pixels_of
from schemas.records import Notice
from schemas.sky import SkyMap
from tests.schemas.gcn_notices import read as read_json
from tests.schemas.gcn_notices import read_superevent
from tests.schemas.maps import blob, flat
from tests.schemas.voevent_packets import read as read_classic

RA, DEC = 120.5, -33.25
MAP = flat(blob(3))
IN_BASE64 = base64.b64encode(MAP).decode()
NONE, INCLUDED = Systematics.NONE_KNOWN, Systematics.INCLUDED
FLIGHT, GROUND, FINAL = Systematics.GBM_FLIGHT, Systematics.GBM_GROUND, Systematics.GBM_FINAL


def classic(packet_type: int, radius: float | None = 1.5, **parts: object) -> Callable[[], Notice]:
    params = parts.pop("params", {})
    ids = {"TrigID": 600117987, "AMON_ID": 7, "run_id": 128290, "event_id": 6888376, "GraceID": "S200115j"}
    assert isinstance(params, dict)
    return lambda: read_classic(packet_type, ids | params, radius=radius, **parts)


def json(schema: str, error: object = 1.5, **fields: object) -> Callable[[], Notice]:
    return lambda: read_json(schema, **({"ra": RA, "dec": DEC, "ra_dec_error": error} | fields))


def svom(packet_type: int, local: str = "sb26051101_grm-trigger", **parts: object) -> Callable[[], Notice]:
    groups = {"Svom_Identifiers": {"Burst_Id": "sb26051101"}}
    return lambda: read_classic(packet_type, {}, ivorn=f"ivo://org.svom/fsc#{local}", groups=groups, **parts)


def cone(radius_deg: float, containment: float, systematics: Systematics = NONE) -> Cone:
    return Cone(RA, DEC, radius_deg, containment, systematics)


ICECUBE_RADII = {"src_error_90": 1.2, "src_error_50": 0.5}
STAGES_OF_GBM = {"FLIGHT_POSITION": FLIGHT, "GROUND_POSITION": GROUND, "FINAL_POSITION": FINAL}
AN_ELLIPSE = Ellipse(RA, DEC, 0.5, 0.2, 30.0, 0.9)

POSITIONS: dict[str, tuple[Callable[[], Notice], Localisation]] = {
    # classic notices
    "GBM_FLT_POS": (classic(111), cone(1.5, 0.68, FLIGHT)),
    "GBM_GND_POS": (classic(112), cone(1.5, 0.68, GROUND)),
    "GBM_FIN_POS": (classic(115), cone(1.5, 0.68, FINAL)),
    "GBM_SUBTHRESH": (classic(131, params={"Trans_Num": 5}), cone(1.5, 0.68, GROUND)),
    "LAT_POS_INI": (classic(120), cone(1.5, 0.9)),
    "LAT_POS_UPD": (classic(121), cone(1.5, 0.9)),
    "LAT_TRANS": (classic(123), cone(1.5, 0.9)),
    "LAT_MONITOR": (classic(125, 0.0), cone(0.1, 0.9)),
    "LAT_GND": (classic(127), cone(1.5, 0.9)),
    "LAT_OFFLINE": (classic(128), cone(1.5, 0.9)),
    "BAT_GRB_POS_ACK": (classic(61, 0.05), cone(0.05, 0.9)),
    "BAT_GRB_POS_ACK without a radius": (classic(61, 0.0), cone(3 / 60, 0.9)),
    "BAT_QL_POS": (classic(97, 0.05), cone(0.05, 0.9)),
    "BAT_LC": (classic(63, 0.05), cone(0.05, 0.9)),
    "BAT_TRANS": (classic(84, 0.05), cone(0.05, 0.9)),
    "XRT_POSITION": (classic(67, 0.0012), cone(0.0012, 0.9)),
    "UVOT_POS": (classic(81, 0.0002), cone(0.0002, 0.9)),
    "UVOT_POS cut to nothing": (classic(81, 0.0), cone(1 / 3600, 0.9)),
    "ICECUBE_ASTROTRACK_GOLD": (classic(173, params=ICECUBE_RADII), cone(1.2, 0.9, INCLUDED)),
    "ICECUBE_ASTROTRACK_BRONZE": (classic(174, params=ICECUBE_RADII), cone(1.2, 0.9, INCLUDED)),
    "ICECUBE_CASCADE": (classic(176, params=ICECUBE_RADII), cone(1.2, 0.9, INCLUDED)),
    "ICECUBE with the half radius only": (classic(173, params={"src_error_50": 0.5}), cone(0.5, 0.5, INCLUDED)),
    "ICECUBE whose RADec_valid is false": (classic(173, params={"RADec_valid": "false"}), cone(1.5, 0.9, INCLUDED)),
    "AMON_NU_EM_COINC": (classic(172), cone(1.5, 0.9)),
    "HAWC_BURST_MONITOR": (classic(171), cone(1.5, 0.9)),
    "INTEGRAL_WAKEUP": (classic(53, 0.04), cone(0.04, 0.9)),
    "INTEGRAL_REFINED": (classic(54, 0.03), cone(0.03, 0.9)),
    "INTEGRAL_OFFLINE": (classic(55, 0.02), cone(0.02, 0.9)),
    "INTEGRAL_WEAK": (classic(56, 0.05), cone(0.05, 0.9)),
    "SVOM_GRM": (svom(201), cone(1.5, 0.9)),
    "SVOM_ECLAIRS": (svom(202, "sb26051101_eclairs-wakeup", radius=0.1), cone(0.1, 0.9)),
    "SVOM_ECLAIRS_CATALOGUE": (svom(203, radius=0.1), cone(0.1, 0.9)),
    **{
        f"SVOM_MXT quality {quality}": (svom(209, f"sb26051101_mxt_qf{quality}", radius=None), cone(r90, 0.9))
        for quality, r90 in {1: 300 / 3600, 2: 120 / 3600, 3: 60 / 3600, 4: 30 / 3600}.items()
    },
    "MAXI_UNKNOWN": (classic(134, 0.5), cone(0.5, 0.9, INCLUDED)),
    # unified JSON
    **{
        f"fermi.gbm.trigger {subtype}": (json("fermi/gbm/trigger", subtype=subtype), cone(1.5, 0.68, systematics))
        for subtype, systematics in STAGES_OF_GBM.items()
    },
    "icecube record 0": (json("icecube/single_neutrino_alerts", record_number=0), cone(1.5, 0.9)),
    "icecube record 1": (json("icecube/single_neutrino_alerts", healpix_file=IN_BASE64), InlineMap(MAP)),
    "icecube.lvk_nu_track_search": (
        lambda: read_json(
            "icecube/lvk_nu_track_search",
            ref_ID="S230914ak",
            coincident_events=[
                {"localization": {"ra": 1.0, "dec": 2.0, "ra_dec_error": 0.4}, "event_pval_generic": 0.3},
                {"localization": {"ra": RA, "dec": DEC, "ra_dec_error": 0.5}, "event_pval_generic": 0.01},
            ],
        ),
        cone(0.5, 0.9),
    ),
    "swift.bat.guano arcminute": (json("swift/bat/guano", 0.05), cone(0.05, 0.9)),
    "swift.bat.guano map": (json("swift/bat/guano", 0.05, healpix_file=IN_BASE64), InlineMap(MAP)),
    "einstein_probe.wxt.alert": (json("einstein_probe/wxt/alert", 0.05), cone(0.05, 0.9)),
    "superk": (json("superk/sn_alert", 4.0), cone(4.0, 0.68)),
    "maxi circle": (json("maxi/gsc.unknown", 0.5), cone(0.5, 0.9)),
    "maxi ellipse": (json("maxi/gsc.unknown", [0.5, 0.2, 30.0]), AN_ELLIPSE),
    "chime": (json("chime/frb", [0.5, 0.2, 30.0], containment_probability=0.68), replace(AN_ELLIPSE, containment=0.68)),
    "km3net": (json("km3net/alert", 1.0, systematic_included=True), cone(1.0, 0.9, INCLUDED)),
    "containment stated": (json("km3net/alert", 1.0, containment_probability=0.5), cone(1.0, 0.5)),
    # LVK
    "igwn.gwalert": (lambda: read_superevent(event={"skymap": IN_BASE64}), InlineMap(MAP)),
}  # fmt: skip


@pytest.mark.parametrize("stream", POSITIONS)
def test_a_stream_of_notices_states_its_error_with_its_containment(stream):
    read, stated = POSITIONS[stream]
    assert read().localisation == stated


@pytest.mark.parametrize("stream", [name for name, (_, stated) in POSITIONS.items() if isinstance(stated, Cone)])
def test_the_density_holds_the_containment_inside_the_radius(stream):
    """Of GBM's model: what is left inside the statistical radius once the systematic error is in it."""
    stated = POSITIONS[stream][1]
    assert isinstance(stated, Cone)
    skymap = skymap_of(stated)
    expected = stated.containment
    if stated.systematics in GBM_SYSTEMATICS:
        expected = held_by_gbm_model(stated, stated.radius_deg)
        assert expected < 0.3
        assert "Connaughton et al. 2015" in skymap.model
        assert held_within(skymap, 180.0) == pytest.approx(1, abs=1e-4)
    assert held_within(skymap, stated.radius_deg) == pytest.approx(expected, rel=2e-3)
    assert f"{stated.radius_deg:g} deg holds {100 * stated.containment:g} %" in skymap.model
    if stated.systematics is INCLUDED:
        assert "systematic error included" in skymap.model
    elif stated.systematics is NONE:
        assert "no systematic error added" in skymap.model


@pytest.mark.parametrize("stream", [name for name, (_, stated) in POSITIONS.items() if isinstance(stated, Ellipse)])
def test_the_density_holds_the_containment_inside_the_ellipse(stream):
    stated = POSITIONS[stream][1]
    assert isinstance(stated, Ellipse)
    skymap = skymap_of(stated)
    for axis_deg, angle_deg in ((stated.semi_major_deg, 0.0), (stated.semi_minor_deg, 90.0)):
        for way in (0.0, 180.0):
            place = away(stated.position_angle_deg + angle_deg + way, axis_deg)
            assert skymap.credible_level(*place) == pytest.approx(stated.containment, abs=1e-3)
    assert held_within(skymap, 3.0, stated.containment) == pytest.approx(stated.containment, abs=5e-3)
    assert "Gaussian ellipse" in skymap.model


def test_the_density_of_a_ring_holds_the_containment_inside_the_band():
    stated = Annulus(RA, DEC, 40.0, 2.0, 0.9)
    skymap = skymap_of(stated)
    assert held_within(skymap, 42.0) - held_within(skymap, 38.0) == pytest.approx(0.9, abs=1e-4)
    assert "Gaussian ring" in skymap.model


def test_several_rings_are_the_product_of_their_densities():
    """At every position, whatever their order; the constant is the same everywhere."""
    rings = (Annulus(80.0, 10.0, 53.0, 1.0, 0.9), Annulus(350.0, 40.0, 64.0, 0.8, 0.68))
    both, again = skymap_of(Annuli(rings)), skymap_of(Annuli(rings[::-1]))
    ra_deg, dec_deg = np.array([both.peak_ra_deg, both.peak_ra_deg + 0.5]), np.full(2, both.peak_dec_deg)
    pixel = pixels_of(ra_deg, dec_deg)
    one, other = (skymap_of(ring).density_per_sr(ra_deg, dec_deg, pixel) for ring in rings)
    density = both.density_per_sr(ra_deg, dec_deg, pixel)
    assert density[1] / density[0] == pytest.approx(one[1] * other[1] / (one[0] * other[0]), rel=0.05)
    assert again.density_per_sr(ra_deg, dec_deg, pixel) == pytest.approx(density, rel=1e-6)
    assert both.area_deg2(0.9) < min(skymap_of(ring).area_deg2(0.9) for ring in rings) / 5
    assert both.model.count("Gaussian ring") == 2


def test_one_ring_of_several_is_that_ring():
    ring = Annulus(80.0, 10.0, 53.0, 1.0, 0.9)
    assert skymap_of(Annuli((ring,))).area_deg2(0.5) == skymap_of(ring).area_deg2(0.5)


@pytest.mark.parametrize(
    ("rings", "reason"),
    [
        ((), Reason.OUT_OF_RANGE),
        ((Annulus(80.0, 10.0, 53.0, 1.0, 0.9),) * 11, Reason.OUT_OF_RANGE),
        ((Annulus(80.0, 10.0, 5.0, 0.01, 0.9), Annulus(260.0, -10.0, 5.0, 0.01, 0.9)), Reason.NOT_NORMALISED),
        ((Annulus(80.0, 10.0, 53.0, 1.0, 0.9), Annulus(80.0, 100.0, 53.0, 1.0, 0.9)), Reason.OUT_OF_RANGE),
    ],
)
def test_rings_that_make_no_position_are_refused(rings, reason):
    with pytest.raises(BadSkyMap) as caught:
        skymap_of(Annuli(rings))
    assert caught.value.reason is reason


@pytest.mark.parametrize(("held", "factor"), [(0.6827, 1.515), (0.9, 2.146), (0.95, 2.448)])
def test_a_radius_is_so_many_standard_deviations(held, factor):
    """radius(c) = sigma sqrt(-2 ln(1 - c)); of a small circle the density at the peak is 1 / (2 pi sigma^2)."""
    skymap = skymap_of(Cone(RA, DEC, 0.01 * factor, held))
    peak_per_sr = skymap.density_per_sr(*at(RA, DEC))[0]
    assert math.degrees(1 / math.sqrt(2 * math.pi * peak_per_sr)) == pytest.approx(0.01, rel=1e-3)


NOT_POSITIONS: dict[str, tuple[Callable[[], Notice], str]] = {
    "GBM_ALERT": (classic(110, 0.0, position=(0, 0)), "stands for none"),
    "GBM_ALERT with coordinates": (classic(110), ""),
    "BAT_GRB_POS_NACK": (classic(62, position=(0, 0), radius=0), "stands for none"),
    "BAT_GRB_POS_NACK with coordinates": (classic(62), ""),
    "FOM_OBS, where the telescope looks": (classic(65), ""),
    "SC_SLEW, where the telescope looks": (classic(66), ""),
    "SNEWS": (classic(149, 360.0, position=(0, 0)), "error radius 360"),
    "SK_SN": (classic(175, 360.0, position=(0, 0)), "error radius 360"),
    "AMON at the origin": (classic(172, 0.0, position=(0, 0)), "stands for none"),
    "MAXI at the origin": (classic(134, 1.0, position=(0, 0)), "stands for none"),
    "LVC": (classic(151), ""),
    "IPN": (classic(31, position=(-1, -1), radius=-1), "RA -1, Dec -1"),
    "RA -360": (classic(61, position=(-360, 0)), "RA -360"),
    "Dec 91": (classic(61, position=(0, 91)), "Dec 91"),
    "radius below 0": (classic(61, -1.0), "error radius -1"),
    "radius over 90": (classic(61, 91.0), "error radius 91"),
    "no radius where the instrument has no floor": (classic(111, 0.0), "there is no error radius"),
    "type of the coordinates": (classic(61, params={"Coords_String": "unavailable/inappropriate"}), "unavailable"),
    "SVOM_GRM without a position": (svom(201, position=None), ""),
    "SVOM_GRM with a radius below 0": (svom(201, radius=-1), "error radius -1"),
    "fermi.gbm INITIAL_ALERT": (json("fermi/gbm/trigger", None, subtype="INITIAL_ALERT", ra=None, dec=None), ""),
    "JSON RA -1": (json("fermi/gbm/trigger", ra=-1), "RA -1"),
    "JSON Dec 91": (json("km3net/alert", dec=91), "Dec 91"),
    "JSON radius 0": (json("km3net/alert", 0), "the error is"),
    "JSON radius 360": (json("km3net/alert", 360), "the error is"),
    "JSON radius below 0": (json("km3net/alert", -1), "the error is"),
    "JSON without a radius": (json("km3net/alert", None), "there is no error radius"),
    "igwn.gwalert with no map": (lambda: read_superevent(event={"skymap": None}), ""),
    "igwn.gwalert RETRACTION": (lambda: read_superevent(alert_type="RETRACTION"), ""),
    "boom.alert": (lambda: read_json(topic="gcn.notices.boom.alert", ra=None), ""),
}


@pytest.mark.parametrize("stream", NOT_POSITIONS)
def test_what_is_no_position_is_none_and_says_why(stream):
    read, why = NOT_POSITIONS[stream]
    notice = read()
    assert notice.localisation is None
    assert why in " ".join(notice.warnings)


@pytest.mark.parametrize(
    ("read", "link"),
    [
        (
            classic(112, params={"LocationMap_URL": "https://x.org/quicklook/glg_locplot_all_bn200107810.png"}),
            "https://x.org/quicklook/glg_healpix_all_bn200107810.fit",
        ),
        (classic(131, params={"Trans_Num": 5, "HealPix_URL": "https://x.org/s.fit"}), "https://x.org/s.fit"),
        (classic(176, params={"skymap_fits": "https://x.org/c.fits"}), "https://x.org/c.fits"),
        (classic(151, groups={"GW_SKYMAP": {"skymap_fits": "https://x.org/b,1"}}), "https://x.org/b,1"),
        (json("fermi/gbm/trigger", healpix_url="https://x.org/m.fit"), "https://x.org/m.fit"),
    ],
)
def test_official_maps_are_linked(read, link):
    assert read().skymap_url == link


def test_the_quality_classes_of_mxt_are_radii_of_90_percent():
    assert {quality: round(r90 * 3600) for quality, r90 in _MXT_R90_DEG.items()} == {1: 300, 2: 120, 3: 60, 4: 30}


def at(ra_deg: float, dec_deg: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ra, dec = np.array([ra_deg]), np.array([dec_deg])
    return ra, dec, pixels_of(ra, dec)


def away(angle_deg: object, distance_deg: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points at angles from north through east, and distances, from the centre."""
    lon, lat = offset_by(*np.radians((RA, DEC)), np.radians(angle_deg), np.radians(distance_deg))
    ra, dec = np.atleast_1d(lon.to_value("deg")) % 360, np.atleast_1d(lat.to_value("deg"))
    return ra, dec, pixels_of(ra, dec)


def held_within(skymap: SkyMap, radius_deg: float, level: float = 1.0) -> float:
    """Integral of the density around the centre, where the credible level is no higher than this: by rings."""
    steps, around = (2000, 1) if level == 1 else (1000, 90)
    theta = (np.arange(steps) + 0.5) * radius_deg / steps
    angle = (np.arange(around) + 0.5) * 360 / around
    places = away(*(grid.ravel() for grid in np.meshgrid(angle, theta)))
    density = skymap.density_per_sr(*places) * (skymap.credible_level(*places) <= level)
    rings = density.reshape(steps, around).mean(axis=1) * 2 * np.pi * np.sin(np.radians(theta))
    return float(rings.sum() * math.radians(radius_deg) / steps)


def held_by_gbm_model(stated: Cone, radius_deg: float) -> float:
    """The published formula: two Fisher terms, kappa = 1 / (0.4356 (statistical^2 + systematic^2)), radii of 68 %."""
    statistical = math.radians(stated.radius_deg) * GBM_STATISTICAL_FACTOR.get(stated.systematics, 1.0)
    weight, core_deg, tail_deg = GBM_SYSTEMATICS[stated.systematics]
    held = 0.0
    for share, systematic_deg in ((weight, core_deg), (1 - weight, tail_deg)):
        kappa = 1 / (0.4356 * (statistical**2 + math.radians(systematic_deg) ** 2))
        held += share * math.expm1(-kappa * (1 - math.cos(math.radians(radius_deg)))) / math.expm1(-2 * kappa)
    return held
