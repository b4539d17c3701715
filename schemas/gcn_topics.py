"""What is particular about each topic of GCN's unified JSON: one `Topic` a line, looked up by `schemas.gcn`.

To add a topic is one entry in `TOPICS`, and a small ``refine`` function where it says something that no other does.
Facts are from GCN's schemas (https://github.com/nasa-gcn/gcn-schema) and the missions' pages at
https://gcn.nasa.gov/missions.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from schemas.bounded_json import Fields
from schemas.classic_fermi import GBM_NO_BURST, GBM_NO_BURST_PROBABILITY, gbm_aliases, is_burst_name_of
from schemas.classic_other import SUPEREVENT_ROLES
from schemas.localisation import Cone, Ellipse, Localisation, Systematics
from schemas.records import Citation, Messenger, Notice, Role
from schemas.references import run_and_event

CORE_CONTAINMENT: Final = 0.9
"""What an error holds where a notice does not say, by GCN's core schema."""
MAX_RADIUS_DEG: Final = 90.0
ASSOCIATED_P_VALUE: Final = 0.01
"""Above this p-value a neutrino found around a gravitational wave is not taken as part of it: notices are sent for
every wave, most of them with no more than chance finds."""
RETRACTED_LAST: Final = 90
"""Stage of a retraction of a trigger whose notices come in several stages, so that it wins over all of them."""

_GBM_STAGES: Final[Mapping[str, tuple[int, Systematics]]] = {
    "INITIAL_ALERT": (10, Systematics.GBM_FLIGHT),
    "FLIGHT_POSITION": (20, Systematics.GBM_FLIGHT),
    "GROUND_POSITION": (30, Systematics.GBM_GROUND),
    "FINAL_POSITION": (40, Systematics.GBM_FINAL),
}
_BN_NAME: Final = re.compile(r"bn\d{9}")
_NO_ID: Final = frozenset({"none", "null", "0", "-1", "-"})
_SEARCH_HALF_S: Final = 500.0
_CORNERS: Final = 4
_MAX_CITATIONS: Final = 100

Refine = Callable[[Fields, Notice], Notice]


def first_id(fields: Fields) -> str:
    """The first of ``id``, or else of ``event_name``."""
    names = (*fields.texts("id"), *fields.texts("event_name"))
    return next((name for name in names if name.lower() not in _NO_ID), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What is particular about a topic, and those below it.

    Attributes
    ----------
    name
        The topic without ``gcn.notices.``, in lower case.
    mission, instrument, messenger
        As in `schemas.records.Notice`; an instrument that the notice names comes first.
    namespace
        First part of the trigger's identifier; empty if it is about no trigger.
    ident
        Finds the observatory's identifier; empty if there is none.
    containment
        What the error holds where ``containment_probability`` is absent; 0.9 by GCN's core schema.
    staged
        True if notices of several stages are sent about a trigger.
    role
        Of notices that are not marked as tests.
    known
        Whether it is one of the table, so that what it must say is known.
    significance
        Fields and units, the best first; zero counts as not given.
    refine
        Reads what is particular to this topic.
    """

    name: str
    mission: str
    instrument: str = ""
    messenger: Messenger = Messenger.GAMMA_RAY
    namespace: str = ""
    ident: Callable[[Fields], str] = first_id
    containment: float = CORE_CONTAINMENT
    staged: bool = False
    role: Role = Role.OBSERVATION
    known: bool = True
    significance: tuple[tuple[str, str], ...] = (
        ("image_snr", "sigma"),
        ("rate_snr", "sigma"),
        ("snr", "sigma"),
        ("p_astro", "p_astro"),
    )
    refine: Refine | None = None


def position(fields: Fields, containment: float) -> Localisation | None:
    """The circle or ellipse of ``ra``, ``dec`` and ``ra_dec_error``; None, with a note, for what is no position."""
    ra, dec = fields.number("ra"), fields.number("dec")
    if ra is None or dec is None:
        return None
    if not (0 <= ra <= 360 and -90 <= dec <= 90):  # noqa: PLR2004 - degrees
        fields.warn(f"no position: RA {ra:g}, Dec {dec:g} is not on the sky")
        return None
    ra %= 360.0
    held = containment_of(fields, containment)
    included = Systematics.INCLUDED if fields.record.get("systematic_included") is True else Systematics.NONE_KNOWN
    errors = fields.numbers("ra_dec_error")
    if not errors:
        fields.warn("no position: there is no error radius")
        return None
    if not all(0 < error <= MAX_RADIUS_DEG for error in errors[:2]):
        fields.warn(f"no position: the error is {errors[:2]} deg, expected above 0 to {MAX_RADIUS_DEG:g}")
        return None
    major, minor = errors[0], errors[1] if len(errors) > 1 else errors[0]
    angle = errors[2] if len(errors) > 2 else 0.0  # noqa: PLR2004 - [semi-major, semi-minor, position angle]
    if major == minor:
        return Cone(ra, dec, major, held, included)
    if major < minor:
        major, minor, angle = minor, major, angle + 90.0
    return Ellipse(ra, dec, major, minor, angle % 180.0, held, included)


def containment_of(fields: Fields, default: float) -> float:
    """``containment_probability``, or the topic's own where it is absent or none."""
    held = fields.number("containment_probability")
    if held is None:
        return default
    if not 0 < held < 1:
        fields.warn(f"containment_probability is {held:g}, expected between 0 and 1; {default:g} is assumed")
        return default
    return held


def _gbm_id(fields: Fields) -> str:
    """The trigger number, or else the burst's name (bnYYMMDDfff)."""
    ids = fields.texts("id")
    return next((ident for ident in ids if ident.isascii() and ident.isdigit()), first_id(fields))


def _gbm(fields: Fields, notice: Notice) -> Notice:
    """Stage by subtype. As for the classic form of the same notices, the published systematics are applied to all,
    and the time of issue orders those of a stage: the record's number is not in the classic form."""
    subtype = fields.text("subtype")
    if "reliability" in fields and not subtype:
        return _gbm_subthreshold(fields, notice)
    stage, systematics = _GBM_STAGES.get(subtype, _GBM_STAGES["FLIGHT_POSITION"])
    if subtype not in _GBM_STAGES:
        fields.warn(f"subtype {subtype[:40]!r} is unknown; taken as a flight position")
    number = (notice.trigger_id or "").partition(":")[2]
    names = [name for name in notice.names if _BN_NAME.fullmatch(name)]
    if not names and (found := _BN_NAME.search(fields.text("data_archive_page"))):
        names = [found[0]] if is_burst_name_of(found[0], number) else []
    where = notice.localisation
    if isinstance(where, Cone | Ellipse):
        if where.systematics is Systematics.INCLUDED:
            fields.warn("the radius is said to hold the systematic error; the published systematics are applied to it")
        where = replace(where, systematics=systematics)
    return replace(
        notice,
        notice_type=f"{notice.notice_type}.{subtype}" if subtype in _GBM_STAGES else notice.notice_type,
        stage=RETRACTED_LAST if notice.stage == RETRACTED_LAST else stage,
        serial=notice.serial if notice.issued_us is None else 0,
        localisation=where,
        names=tuple(dict.fromkeys((*names, *notice.names))),
        aliases=gbm_aliases(notice.trigger_id or "", names),
        astrophysical=_gbm_astrophysical(fields, subtype, notice.classification),
    )


def _gbm_astrophysical(fields: Fields, subtype: str, classes: Mapping[str, float]) -> bool | None:
    if subtype == "FINAL_POSITION":  # made for bursts only
        return True
    likely = max(classes, key=classes.__getitem__, default="")
    if likely == "GRB":
        return True
    if likely in GBM_NO_BURST | {"CYG_X1"} and classes[likely] >= GBM_NO_BURST_PROBABILITY:
        return False
    if likely == "UNRELIABLE_LOCATION":
        fields.warn("the flight software calls this location unreliable")
    return None


def _gbm_subthreshold(_fields: Fields, notice: Notice) -> Notice:
    where = notice.localisation
    if isinstance(where, Cone | Ellipse):
        where = replace(where, systematics=Systematics.GBM_GROUND)
    ident = notice.trigger_id and notice.trigger_id.partition(":")[2]
    return replace(
        notice,
        notice_type="fermi.gbm.subthreshold",
        trigger_id=f"fermi-gbm-subthreshold:{ident}" if ident else None,
        localisation=where,
    )


def _icecube_id(fields: Fields) -> str:
    """Run and event, as in the classic form."""
    return next((pair for ident in fields.texts("id") if (pair := run_and_event(ident))), "") or first_id(fields)


def _lvk_neutrinos(fields: Fields, notice: Notice) -> Notice:
    """The search for neutrinos around a gravitational wave, within 500 s of it.

    The position is that of the coincident neutrino with the least p-value: the most probable direction comes
    without an error.
    """
    p_values = [p for name in ("pval_generic", "pval_bayesian") if (p := fields.number(name)) is not None]
    events: list[tuple[float, Localisation]] = []
    for event in fields.each("coincident_events"):
        where = position(event.inner("localization") if "localization" in event else event, CORE_CONTAINMENT)
        own = [p for name in ("event_pval_generic", "event_pval_bayesian") if (p := event.number(name)) is not None]
        if where is not None:
            events.append((min(own, default=math.inf), where))
    if len(events) > 1:
        fields.warn(f"{len(events)} neutrinos coincide; the position is that of the one with the least p-value")
    wave = fields.text("ref_ID")
    if not p_values or min(p_values) > ASSOCIATED_P_VALUE:
        notice = replace(notice, related=())
    return replace(
        notice,
        role=SUPEREVENT_ROLES.get(wave[:1], notice.role) if notice.role is Role.OBSERVATION else notice.role,
        localisation=notice.localisation or min(events, key=lambda event: event[0], default=(0.0, None))[1],
        trigger_time_error_s=notice.trigger_time_error_s or _SEARCH_HALF_S,
        significance=min(p_values, default=None),
        significance_unit="p-value" if p_values else "",
    )


def _maxi(fields: Fields, notice: Notice) -> Notice:
    """A source that was seen in one scan only has a long box: an ellipse of its area and proportions stands for it."""
    if notice.localisation is not None or "rectangular_error_corners" not in fields:
        return notice
    ra, dec = fields.number("ra"), fields.number("dec")
    corners = _corners(fields, ra, dec)
    if ra is None or dec is None or corners is None:
        fields.warn("rectangular_error_corners and ra, dec are no box on the sky; not used")
        return notice
    (x_1, y_1), (x_2, y_2), (x_3, y_3) = corners
    sides = sorted([(math.hypot(x, y), x, y) for x, y in ((x_2 - x_1, y_2 - y_1), (x_3 - x_2, y_3 - y_2))])
    minor, major = (math.degrees(length) / math.sqrt(math.pi) for length, _, _ in sides)
    if not 0 < minor <= major <= MAX_RADIUS_DEG:
        fields.warn("the error box has no area; not used")
        return notice
    angle = math.degrees(math.atan2(*sides[1][1:])) % 180.0
    fields.warn("the error is a box; an ellipse of the same area and proportions stands for it")
    held = containment_of(fields, CORE_CONTAINMENT)
    return replace(notice, localisation=Ellipse(ra % 360.0, dec, major, minor, angle, held))


def _corners(fields: Fields, ra: float | None, dec: float | None) -> list[tuple[float, float]] | None:
    """The first three corners on the plane that touches the sky at (ra, dec): radians to the east and to the north."""
    corners = fields.record["rectangular_error_corners"]
    if ra is None or dec is None or not isinstance(corners, list) or len(corners) != _CORNERS:
        return None
    plane = []
    centre = math.radians(dec)
    for corner in corners[: _CORNERS - 1]:
        place = Fields({"corner": corner}).numbers("corner")
        if len(place) != 2 or abs(place[1]) > 90 or abs(dec) > 90:  # noqa: PLR2004 - [RA, Dec] in degrees
            return None
        east, north = math.radians(place[0] - ra), math.radians(place[1])
        cosine = math.sin(centre) * math.sin(north) + math.cos(centre) * math.cos(north) * math.cos(east)
        if cosine <= 0:
            return None
        y = math.cos(centre) * math.sin(north) - math.sin(centre) * math.cos(north) * math.cos(east)
        plane.append((math.cos(north) * math.sin(east) / cosine, y / cosine))
    return plane


def _superk(fields: Fields, notice: Notice) -> Notice:
    """Known by the number of the classic form, or by its name if there is no other."""
    name = first_id(fields)
    named = notice.trigger_id and name and notice.trigger_id != f"superk:{name}"
    return replace(notice, aliases=(f"superk:{name}",) if named else ())


def _svom(fields: Fields, notice: Notice) -> Notice:
    """GRM, then sources of the on-board catalogue, then ECLAIRs, then MXT: the order of what a position is worth."""
    instrument = fields.text("instrument").casefold()
    stage = {"mxt": 30, "grm": 10}.get(instrument, 15 if fields.texts("event_name") else 20)
    messenger = Messenger.X_RAY if instrument == "mxt" else Messenger.GAMMA_RAY
    return replace(notice, stage=RETRACTED_LAST if notice.stage == RETRACTED_LAST else stage, messenger=messenger)


def _boom(fields: Fields, notice: Notice) -> Notice:
    """Optical candidates of another broker, with the events that each lies in: no trigger, but worth citing."""
    events = [
        Citation(ident, "associated")
        for target in fields.inner("data").each("targets")
        for event in target.each("gcn_crossmatch")
        if (ident := event.text("ref_ID"))
    ]
    return replace(notice, citations=tuple(dict.fromkeys((*notice.citations, *events)))[:_MAX_CITATIONS])


_GBM: Final = Topic(
    name="fermi.gbm.trigger",
    mission="Fermi",
    instrument="GBM",
    namespace="fermi-gbm",
    ident=_gbm_id,
    containment=0.68,
    staged=True,
    refine=_gbm,
)
_ICECUBE: Final = Topic(
    name="icecube",
    mission="IceCube",
    messenger=Messenger.NEUTRINO,
    namespace="icecube",
    ident=_icecube_id,
    significance=(("p_astro", "signalness"),),
)
_SVOM: Final = Topic(name="svom.trigger", mission="SVOM", namespace="svom", staged=True, refine=_svom)
_MAXI: Final = Topic(
    name="maxi.gsc", mission="MAXI", instrument="GSC", messenger=Messenger.X_RAY, namespace="maxi", refine=_maxi
)

TOPICS: Final[Mapping[str, Topic]] = {
    "fermi.gbm": _GBM,
    "fermi.gbm.subthreshold": replace(
        _GBM, name="fermi.gbm.subthreshold", namespace="fermi-gbm-subthreshold", staged=False, refine=_gbm_subthreshold
    ),
    "fermi.lat": Topic(name="fermi.lat", mission="Fermi", instrument="LAT", namespace="fermi-lat"),
    # Known sources in a flare, with no error and no identifier of the flare: about no trigger, like LAT's monitoring.
    "fermi.lat.flare": Topic(
        name="fermi.lat.flare", mission="Fermi", instrument="LAT", significance=(("TS", "test statistic"),)
    ),
    "swift": Topic(name="swift", mission="Swift", namespace="swift", staged=True),
    "swift.bat.guano": Topic(name="swift.bat.guano", mission="Swift", instrument="BAT-GUANO", namespace="swift-guano"),
    "icecube": _ICECUBE,
    "icecube.single_neutrino_alerts": replace(_ICECUBE, name="icecube.single_neutrino_alerts"),
    "icecube.gold_bronze_track_alerts": replace(_ICECUBE, name="icecube.single_neutrino_alerts"),
    "icecube.lvk_nu_track_search": replace(
        _ICECUBE,
        name="icecube.lvk_nu_track_search",
        namespace="icecube-lvk-nu",
        ident=lambda fields: fields.text("ref_ID"),
        significance=(),
        refine=_lvk_neutrinos,
    ),
    "superk": Topic(
        name="superk.sn_alert",
        mission="Super-Kamiokande",
        messenger=Messenger.NEUTRINO,
        namespace="superk",
        # The number of the classic form, so that both are one trigger.
        ident=lambda fields: fields.text("trigger_number") or first_id(fields),
        containment=0.68,
        refine=_superk,
    ),
    "km3net": Topic(name="km3net.alert", mission="KM3NeT", messenger=Messenger.NEUTRINO, namespace="km3net"),
    "einstein_probe": Topic(
        name="einstein_probe.wxt.alert",
        mission="Einstein Probe",
        instrument="WXT",
        messenger=Messenger.X_RAY,
        namespace="einstein-probe",
    ),
    "svom": _SVOM,
    "maxi": _MAXI,
    "maxi.gsc.known": replace(_MAXI, name="maxi.gsc.known"),
    "maxi.gsc.unknown": replace(_MAXI, name="maxi.gsc.unknown"),
    "chime": Topic(name="chime.frb", mission="CHIME", instrument="FRB", messenger=Messenger.RADIO, namespace="chime"),
    "dsa110": Topic(name="dsa110.frb", mission="DSA-110", messenger=Messenger.RADIO, namespace="dsa110"),
    "burstcube": Topic(name="burstcube.alert", mission="BurstCube", namespace="burstcube"),
    "glowbug": Topic(name="glowbug.alert", mission="Glowbug", namespace="glowbug"),
    "boom": Topic(name="boom.alert", mission="BOOM", messenger=Messenger.OPTICAL, refine=_boom),
    "heasarc": Topic(name="heasarc.archive_alert", mission="HEASARC", messenger=Messenger.UNKNOWN, role=Role.UTILITY),
}
"""By beginning of the topic, dot by dot: the longest that fits counts."""

BY_MISSION: Final[Mapping[tuple[str, str], str]] = {
    ("fermi", "gbm"): "fermi.gbm",
    ("fermi", "lat"): "fermi.lat",
    ("swift", "bat-guano"): "swift.bat.guano",
    ("swift", ""): "swift",
    ("icecube", ""): "icecube",
    ("super-kamiokande", ""): "superk",
    ("km3net", ""): "km3net",
    ("einstein probe", ""): "einstein_probe",
    ("", "wxt"): "einstein_probe",
    ("svom", ""): "svom",
    ("", "eclairs"): "svom",
    ("", "grm"): "svom",
    ("", "mxt"): "svom",
    ("maxi", ""): "maxi",
    ("chime", ""): "chime",
    ("dsa-110", ""): "dsa110",
    ("burstcube", ""): "burstcube",
    ("glowbug", ""): "glowbug",
    ("boom", ""): "boom",
    ("heasarc", ""): "heasarc",
}
"""Topic by mission and instrument in lower case, for notices that come without topic and schema; empty: any or none."""
