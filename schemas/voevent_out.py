"""A coincidence as a VOEvent 2.0 packet (IVOA Recommendation, 2011).

A packet is a function of the coincidence and of its author alone: its date is the clock of the data, its
IVORN is made of id and revision. What a first packet says, each later one repeats, changed or not, so that
the newest is enough.

Citations: the trigger's notice and the first matching alert as ``followup``; the packet of the revision
before as ``supersedes``, or as ``retraction`` once the coincidence is withdrawn. Surveys give their alerts no IVORN, so
that one is made in the author's own name space.

``Inference/@probability`` is 1 - credible level: how often a true counterpart lies as far out in the
localisation as this object, or further. It judges the position alone, and a withdrawn coincidence has 0.
"""

from typing import Any, Final
from urllib.parse import quote

from lxml import etree
from pydantic import BaseModel

from schemas.coincidence import to_document
from schemas.coincidence_documents import (
    CoincidenceDocument,
    MeasurementDocument,
    ObjectDocument,
    ProvenanceDocument,
    TriggerDocument,
)
from schemas.records import Coincidence, State
from schemas.voevent_packet import (
    NAMESPACE,
    SCHEMA_URL,
    VoeventAuthor,
    add,
    add_citations,
    add_param,
    add_position,
    add_time,
    add_where_when,
    add_who,
    clean,
    is_ivorn,
    packet,
    written,
)

__all__ = ["NAMESPACE", "SCHEMA_URL", "VoeventAuthor", "is_ivorn", "ivorn_of", "voevent_bytes"]

POSITION_RADIUS_ARCSEC: Final = 1.0
"""Error of an alert's position. Surveys do not give it in the packet: ZTF ties its frames to Gaia within 0.1 arcsec
(Masci et al. 2019, PASP 131, 018003, section 4.3), and at the detection limit (2 arcsec seeing, signal to
noise 5) the centroid of a source scatters by 2 / (2.355 * 5) = 0.17 arcsec an axis; 1 arcsec holds more than
the stated containment of it."""
POSITION_CONTAINMENT: Final = 0.99

_SITES: Final = {
    "ztf": "Palomar Observatory, Samuel Oschin 48-inch telescope",
    "lsst": "Vera C. Rubin Observatory, Cerro Pachon",
    "decam": "Cerro Tololo Inter-American Observatory, Blanco 4-m telescope",
}
_ANY_SITE: Final = "GEOSURFACE"
"""STC's name for an unspecified place on the ground."""

_UNITS_AND_UCDS: Final = {
    "schema_version": ("", "meta.version"),
    "id": ("", "meta.id"),
    "names": ("", "meta.id"),
    "revision": ("", "meta.version"),
    "state": ("", "meta.code.status"),
    "reason": ("", "meta.note"),
    "changed_utc": ("", "time.processing"),
    "matcher": ("", "meta.id;meta.software"),
    "messenger": ("", "meta.code.class"),
    "mission": ("", "meta.id;instr.obsty"),
    "instrument": ("", "meta.id;instr"),
    "time_utc": ("", "time.epoch"),
    "ivorn": ("", "meta.ref.uri"),
    "origin": ("", "meta.ref"),
    "localisation_model": ("", "meta.note"),
    "far_hz": ("Hz", "stat.falsePositive"),
    "significance": ("", "stat.confidenceLevel"),
    "significance_unit": ("", "meta.note"),
    "test": ("", "meta.code"),
    "survey": ("", "meta.id;instr.obsty"),
    "object_id": ("", "meta.id;src"),
    "alert_ids": ("", "meta.id.part"),
    "alert_id": ("", "meta.id"),
    "ra_deg": ("deg", "pos.eq.ra;meta.main"),
    "dec_deg": ("deg", "pos.eq.dec;meta.main"),
    "first_detection_utc": ("", "time.start"),
    "last_non_detection_utc": ("", "time.end"),
    "first_match_utc": ("", "time.epoch;meta.main"),
    "last_match_utc": ("", "time.epoch"),
    "mag": ("mag", "phot.mag;em.opt"),
    "mag_err": ("mag", "stat.error;phot.mag"),
    "band": ("", "meta.id;instr.filter"),
    "delta_t_s": ("s", "time.interval"),
    "separation_deg": ("deg", "pos.angDistance"),
    "credible_level": ("", "stat.probability"),
    "probability_density_per_sr": ("sr-1", "stat.probability"),
    "overlap": ("", "stat.likelihood"),
    "area_90_deg2": ("deg2", "phys.angArea"),
    "software": ("", "meta.id;meta.software"),
    "config_hash": ("", "meta.id;meta.software"),
}
"""Unit (CDS notation, as VOEvent 2.0 asks for) and UCD1+ of each Param and Field; names are those of the JSON form."""

_STATISTICS: Final = (
    "delta_t_s",
    "separation_deg",
    "credible_level",
    "probability_density_per_sr",
    "overlap",
    "area_90_deg2",
)
LATEST_POINTS: Final = 10
"""Points of the light curve in a packet, the latest: brokers drop packets of 100 kB, and the JSON form has them all."""
_NUMBERS: Final = frozenset({"mag", "mag_err"})
_WHOLE: Final = ("schema_version", "id", "revision", "state", "reason", "changed_utc", "matcher")


def ivorn_of(coincidence: Coincidence, author: VoeventAuthor, revision: int | None = None) -> str:
    """IVORN of the packet of a coincidence at its revision, or at another one."""
    number = coincidence.revision if revision is None else revision
    return f"ivo://{author.authority}/{author.stream}#{quote(clean(coincidence.id), safe='')}.r{number}"


def voevent_bytes(coincidence: Coincidence, author: VoeventAuthor) -> bytes:
    """The packet of this revision, as UTF-8 XML; the same for the same coincidence and author.

    Characters that XML 1.0 cannot carry are written as U+FFFD.

    Raises
    ------
    ValueError
        If a number that must be known is NaN or infinite.
    """
    document = to_document(coincidence)
    root = packet(ivorn_of(coincidence, author), "test" if coincidence.trigger.test else "observation")
    add_who(root, author, document["changed_utc"])
    _what(root, document)
    _where_when(root, document)
    _how(root, document)
    _why(root, document)
    _citations(root, coincidence, author)
    add(root, "Description", _sentence(document))
    return written(root)


def _params(parent: etree._Element, document: dict[str, Any], model: type[BaseModel], names: tuple[str, ...]) -> None:
    for name in names:
        unit, ucd = _UNITS_AND_UCDS[name]
        add_param(
            parent, name, document[name], unit=unit, ucd=ucd, description=model.model_fields[name].description or ""
        )


def _what(root: etree._Element, document: dict[str, Any]) -> None:
    what = add(root, "What")
    trigger, source, provenance = document["trigger"], document["object"], document["provenance"]
    _params(what, document, CoincidenceDocument, _WHOLE)

    group = add(what, "Group", name="trigger", type="trigger")
    _params(
        group,
        trigger,
        TriggerDocument,
        tuple(name for name in trigger if name not in {"links", "classification", "linked"}),
    )
    if trigger["links"]:
        group = add(what, "Group", name="links", type="links")
        for name, url in trigger["links"].items():
            add_param(group, name, url, ucd="meta.ref.url", description="Link from the trigger's notices.")

    group = add(what, "Group", name="object", type="object")
    _params(group, source, ObjectDocument, tuple(name for name in source if name not in {"light_curve", "annotations"}))
    add_param(
        group,
        "position_error_radius",
        POSITION_RADIUS_ARCSEC,
        unit="arcsec",
        ucd="stat.error;pos.eq",
        description="Radius around the position; Error2Radius is the same in degrees.",
    )
    add_param(
        group,
        "position_error_containment",
        POSITION_CONTAINMENT,
        ucd="stat.probability",
        description="Probability that the source lies inside that radius, at least.",
    )
    add_param(
        group,
        "position_error_kind",
        "statistical and systematic",
        ucd="meta.note",
        description="Which errors the radius includes.",
    )

    if source["light_curve"]:
        _light_curve(what, source["light_curve"])

    group = add(what, "Group", name="statistics", type="statistics")
    _params(group, document, CoincidenceDocument, _STATISTICS)

    group = add(what, "Group", name="provenance", type="provenance")
    _params(group, provenance, ProvenanceDocument, ("software", "config_hash"))
    add_param(
        group,
        "input_count",
        len(provenance["inputs"]),
        ucd="meta.number",
        description="Number of notices and alerts behind this revision; the JSON form names them.",
    )


def _light_curve(what: etree._Element, points: list[dict[str, Any]]) -> None:
    """A table of the latest points; an empty cell is what is unknown."""
    latest = points[-LATEST_POINTS:]
    table = add(what, "Table", name="light_curve", type="light_curve")
    add(
        table, "Description", f"The latest {len(latest)} of the object's {len(points)} stored alerts inside the window."
    )
    for name in latest[0]:
        unit, ucd = _UNITS_AND_UCDS[name]
        attributes = {"name": name, "ucd": ucd, "dataType": "float" if name in _NUMBERS else "string"}
        field = add(table, "Field", **attributes, **({"unit": unit} if unit else {}))
        add(field, "Description", MeasurementDocument.model_fields[name].description or "")
    data = add(table, "Data")
    for point in latest:
        row = add(data, "TR")
        for value in point.values():
            add(row, "TD", "" if value is None else str(value))


def _where_when(root: etree._Element, document: dict[str, Any]) -> None:
    source = document["object"]
    coordinates = add_where_when(root, _SITES.get(source["survey"], _ANY_SITE), "UTC-ICRS-TOPO")
    add_time(coordinates, source["first_match_utc"])
    add_position(coordinates, source["ra_deg"], source["dec_deg"], f"{POSITION_RADIUS_ARCSEC / 3600:.9f}")


def _how(root: etree._Element, document: dict[str, Any]) -> None:
    trigger = document["trigger"]
    add(
        add(root, "How"),
        "Description",
        f"Alerts of {document['object']['survey']} compared with the position of {trigger['id']} by the matcher "
        f"{document['matcher']} of {document['provenance']['software']}. Model of the position: "
        f"{trigger['localisation_model'].removesuffix('.')}.",
    )


def _why(root: etree._Element, document: dict[str, Any]) -> None:
    withdrawn = document["state"] == State.WITHDRAWN
    why = add(root, "Why")
    probability = 0.0 if withdrawn else 1.0 - document["credible_level"]
    inference = add(why, "Inference", probability=f"{probability:.6g}", relation="associated")
    for name in (document["trigger"]["id"], *document["trigger"]["names"]):
        add(inference, "Name", name)
    add(inference, "Concept", "process.variation;em.opt")
    if withdrawn:
        meaning = f"The association is withdrawn: {document['reason']}."
    else:
        meaning = (
            "The object may be the optical counterpart. The probability is 1 - credible level: how often a true "
            "counterpart lies as far out in the localisation as this object, or further. It weighs neither the "
            "number of unrelated sources in the region nor the light curve."
        )
    add(inference, "Description", meaning)


def _sentence(document: dict[str, Any]) -> str:
    trigger, source = document["trigger"], document["object"]
    days = document["delta_t_s"] / 86400
    return (
        f"{source['survey']} object {source['object_id']}, first matching detection {abs(days):.3f} d "
        f"{'before' if days < 0 else 'after'} {trigger['id']} ({trigger['mission']} {trigger['instrument']}), at "
        f"credible level {document['credible_level']:.3f} of its position: {document['state']} ({document['reason']}), "
        f"revision {document['revision']}."
    )


def _citations(root: etree._Element, coincidence: Coincidence, author: VoeventAuthor) -> None:
    source = coincidence.object
    cited: list[tuple[str, str]] = []
    if is_ivorn(coincidence.trigger.notice_ivorn):
        cited.append((coincidence.trigger.notice_ivorn, "followup"))
    if source.alert_ids:
        survey = quote(clean(source.survey), safe="")
        cited.append((f"ivo://{author.authority}/alerts/{survey}#{source.alert_ids[0]}", "followup"))
    if coincidence.revision > 1:
        relation = "retraction" if coincidence.state is State.WITHDRAWN else "supersedes"
        cited.append((ivorn_of(coincidence, author, coincidence.revision - 1), relation))
    add_citations(root, cited)
