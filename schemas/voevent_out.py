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

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from lxml import etree
from pydantic import BaseModel

from schemas.coincidence import CoincidenceDocument, ObjectDocument, ProvenanceDocument, TriggerDocument, to_document
from schemas.errors import ConfigurationError
from schemas.records import Coincidence, State

NAMESPACE: Final = "http://www.ivoa.net/xml/VOEvent/v2.0"
SCHEMA_URL: Final = "http://www.ivoa.net/xml/VOEvent/VOEvent-v2.0.xsd"

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

_FORBIDDEN_IN_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_AUTHORITY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-_.!~*'()+=]{2,}")
_STREAM: Final = re.compile(r"[A-Za-z0-9\-_.!~*'()+=]+(/[A-Za-z0-9\-_.!~*'()+=]+)*")
_URI_CHARACTER: Final = r"(?:[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})"
_IVORN: Final = re.compile(
    rf"ivo://{_AUTHORITY.pattern}(?:[/?]{_URI_CHARACTER}*)?(?:#{_URI_CHARACTER}*)?", re.IGNORECASE
)

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
    "ra_deg": ("deg", "pos.eq.ra;meta.main"),
    "dec_deg": ("deg", "pos.eq.dec;meta.main"),
    "first_detection_utc": ("", "time.start"),
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
"""Unit (CDS notation, as VOEvent 2.0 asks for) and UCD1+ of each Param; names are those of the JSON form."""

_STATISTICS: Final = (
    "delta_t_s",
    "separation_deg",
    "credible_level",
    "probability_density_per_sr",
    "overlap",
    "area_90_deg2",
)
_WHOLE: Final = ("schema_version", "id", "revision", "state", "reason", "changed_utc", "matcher")


@dataclass(frozen=True, slots=True)
class VoeventAuthor:
    """Who publishes.

    Attributes
    ----------
    authority, stream
        The IVORNs are ``ivo://<authority>/<stream>#<event>``; an authority has at least three characters.
    title
        Name of the service.
    contact_name, contact_email
        Whom to ask; empty ones are left out.

    Raises
    ------
    ConfigurationError
        If authority or stream cannot stand in an IVORN.
    """

    authority: str = "starcross.invalid"
    stream: str = "coincidence"
    title: str = "Starcross"
    contact_name: str = ""
    contact_email: str = ""

    def __post_init__(self) -> None:
        if not _AUTHORITY.fullmatch(self.authority):
            raise ConfigurationError(
                f"{self.authority!r} is no IVOA authority: expected three or more letters, digits or -_.!~*'()+="
            )
        if not _STREAM.fullmatch(self.stream):
            raise ConfigurationError(
                f"{self.stream!r} is no name of a stream: expected letters, digits or -_.!~*'()+= between slashes"
            )


def ivorn_of(coincidence: Coincidence, author: VoeventAuthor, revision: int | None = None) -> str:
    """IVORN of the packet of a coincidence at its revision, or at another one."""
    number = coincidence.revision if revision is None else revision
    return f"ivo://{author.authority}/{author.stream}#{quote(_clean(coincidence.id), safe='')}.r{number}"


def is_ivorn(text: str) -> bool:
    """Whether the text is a well-formed ``ivo://`` URI."""
    return _IVORN.fullmatch(text) is not None


def voevent_bytes(coincidence: Coincidence, author: VoeventAuthor) -> bytes:
    """The packet of this revision, as UTF-8 XML; the same for the same coincidence and author.

    Characters that XML 1.0 cannot carry are written as U+FFFD.

    Raises
    ------
    ValueError
        If a number that must be known is NaN or infinite.
    """
    document = to_document(coincidence)
    xsi = "http://www.w3.org/2001/XMLSchema-instance"
    root = etree.Element(f"{{{NAMESPACE}}}VOEvent", nsmap={"voe": NAMESPACE, "xsi": xsi})
    root.set("version", "2.0")
    root.set("role", "test" if coincidence.trigger.test else "observation")
    root.set("ivorn", ivorn_of(coincidence, author))
    root.set(f"{{{xsi}}}schemaLocation", f"{NAMESPACE} {SCHEMA_URL}")
    _who(root, document, author)
    _what(root, document)
    _where_when(root, document)
    _how(root, document)
    _why(root, document)
    _citations(root, coincidence, author)
    _add(root, "Description", _sentence(document))
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _clean(text: str) -> str:
    return _FORBIDDEN_IN_XML.sub("\ufffd", text)


def _add(parent: etree._Element, tag: str, text: str = "", **attributes: str) -> etree._Element:
    child = etree.SubElement(parent, tag)
    for name, value in attributes.items():
        child.set(name, _clean(value))
    if text:
        child.text = _clean(text)
    return child


def _param(parent: etree._Element, name: str, value: Any, *, unit: str = "", ucd: str, description: str) -> None:
    """A Param with all that a reader needs; none for a value that is unknown or empty."""
    if value is None or value in ("", []):
        return
    data_type = "string"
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, int | float):
        data_type = "int" if isinstance(value, int) else "float"
        text = repr(value)
    elif isinstance(value, str):
        text = value
    else:
        text = ", ".join(str(item) for item in value)
    attributes = {"name": name, "value": text, "dataType": data_type, "ucd": ucd}
    if unit:
        attributes["unit"] = unit
    _add(_add(parent, "Param", **attributes), "Description", description)


def _params(parent: etree._Element, document: dict[str, Any], model: type[BaseModel], names: tuple[str, ...]) -> None:
    for name in names:
        unit, ucd = _UNITS_AND_UCDS[name]
        _param(parent, name, document[name], unit=unit, ucd=ucd, description=model.model_fields[name].description or "")


def _who(root: etree._Element, document: dict[str, Any], author: VoeventAuthor) -> None:
    who = _add(root, "Who")
    _add(who, "AuthorIVORN", f"ivo://{author.authority}")
    _add(who, "Date", document["changed_utc"])
    details = {"title": author.title, "contactName": author.contact_name, "contactEmail": author.contact_email}
    if any(details.values()):
        element = _add(who, "Author")
        for tag, text in details.items():
            if text:
                _add(element, tag, text)


def _what(root: etree._Element, document: dict[str, Any]) -> None:
    what = _add(root, "What")
    trigger, source, provenance = document["trigger"], document["object"], document["provenance"]
    _params(what, document, CoincidenceDocument, _WHOLE)

    group = _add(what, "Group", name="trigger", type="trigger")
    _params(group, trigger, TriggerDocument, tuple(name for name in trigger if name != "links"))
    if trigger["links"]:
        group = _add(what, "Group", name="links", type="links")
        for name, url in trigger["links"].items():
            _param(group, name, url, ucd="meta.ref.url", description="Link from the trigger's notices.")

    group = _add(what, "Group", name="object", type="object")
    _params(group, source, ObjectDocument, tuple(name for name in source if name != "light_curve"))
    _param(
        group,
        "position_error_radius",
        POSITION_RADIUS_ARCSEC,
        unit="arcsec",
        ucd="stat.error;pos.eq",
        description="Radius around the position; Error2Radius is the same in degrees.",
    )
    _param(
        group,
        "position_error_containment",
        POSITION_CONTAINMENT,
        ucd="stat.probability",
        description="Probability that the source lies inside that radius, at least.",
    )
    _param(
        group,
        "position_error_kind",
        "statistical and systematic",
        ucd="meta.note",
        description="Which errors the radius includes.",
    )

    group = _add(what, "Group", name="statistics", type="statistics")
    _params(group, document, CoincidenceDocument, _STATISTICS)

    group = _add(what, "Group", name="provenance", type="provenance")
    _params(group, provenance, ProvenanceDocument, ("software", "config_hash"))
    _param(
        group,
        "input_count",
        len(provenance["inputs"]),
        ucd="meta.number",
        description="Number of notices and alerts behind this revision; the JSON form names them.",
    )


def _where_when(root: etree._Element, document: dict[str, Any]) -> None:
    source, system = document["object"], "UTC-ICRS-TOPO"
    location = _add(_add(root, "WhereWhen"), "ObsDataLocation")
    _add(location, "ObservatoryLocation", id=_SITES.get(source["survey"], _ANY_SITE))
    observation = _add(location, "ObservationLocation")
    _add(observation, "AstroCoordSystem", id=system)
    coordinates = _add(observation, "AstroCoords", coord_system_id=system)
    # Without a Z, as the classic packets have it: the coordinate system says UTC, and some readers stumble over a zone.
    instant = _add(_add(coordinates, "Time", unit="s"), "TimeInstant")
    _add(instant, "ISOTime", source["first_match_utc"].removesuffix("Z"))
    position = _add(coordinates, "Position2D", unit="deg")
    _add(position, "Name1", "RA")
    _add(position, "Name2", "Dec")
    values = _add(position, "Value2")
    _add(values, "C1", repr(source["ra_deg"]))
    _add(values, "C2", repr(source["dec_deg"]))
    _add(position, "Error2Radius", f"{POSITION_RADIUS_ARCSEC / 3600:.9f}")


def _how(root: etree._Element, document: dict[str, Any]) -> None:
    trigger = document["trigger"]
    _add(
        _add(root, "How"),
        "Description",
        f"Alerts of {document['object']['survey']} compared with the position of {trigger['id']} by the matcher "
        f"{document['matcher']} of {document['provenance']['software']}. Model of the position: "
        f"{trigger['localisation_model'].removesuffix('.')}.",
    )


def _why(root: etree._Element, document: dict[str, Any]) -> None:
    withdrawn = document["state"] == State.WITHDRAWN
    why = _add(root, "Why")
    probability = 0.0 if withdrawn else 1.0 - document["credible_level"]
    inference = _add(why, "Inference", probability=f"{probability:.6g}", relation="associated")
    for name in (document["trigger"]["id"], *document["trigger"]["names"]):
        _add(inference, "Name", name)
    _add(inference, "Concept", "process.variation;em.opt")
    if withdrawn:
        meaning = f"The association is withdrawn: {document['reason']}."
    else:
        meaning = (
            "The object may be the optical counterpart. The probability is 1 - credible level: how often a true "
            "counterpart lies as far out in the localisation as this object, or further. It weighs neither the "
            "number of unrelated sources in the region nor the light curve."
        )
    _add(inference, "Description", meaning)


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
        survey = quote(_clean(source.survey), safe="")
        cited.append((f"ivo://{author.authority}/alerts/{survey}#{source.alert_ids[0]}", "followup"))
    if coincidence.revision > 1:
        relation = "retraction" if coincidence.state is State.WITHDRAWN else "supersedes"
        cited.append((ivorn_of(coincidence, author, coincidence.revision - 1), relation))
    if cited:
        citations = _add(root, "Citations")
        for ivorn, relation in cited:
            _add(citations, "EventIVORN", ivorn, cite=relation)
