"""What a VOEvent of a coincidence says of it: the element What, from the published form.

What always stands there is bounded by itself. What there may be any number of (linked triggers, rates, annotations,
classes, links) follows as one Group each, the most important first, as long as the packet has room: brokers drop
packets of 100 kB, and the JSON form has everything.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from lxml import etree
from pydantic import BaseModel

from schemas.annotations import Answer
from schemas.coincidence_documents import (
    AnnotationDocument,
    CoincidenceDocument,
    EvidenceDocument,
    LinkDocument,
    MeasurementDocument,
    ObjectDocument,
    ProvenanceDocument,
    RateDocument,
    StatisticsDocument,
    TriggerDocument,
)
from schemas.statistics import SourceClass
from schemas.voevent_packet import add, add_param

MAX_TEXT: Final = 300
"""Longest text in characters; no identifier is that long."""
LATEST_POINTS: Final = 10
"""Points of the light curve in a packet, the latest."""
LATEST_ALERTS: Final = 100
"""Numbers of alerts in a packet, the latest."""
POSITION_RADIUS_ARCSEC: Final = 1.0
"""Error of an alert's position. Surveys do not give it in the packet: ZTF ties its frames to Gaia within 0.1 arcsec
(Masci et al. 2019, PASP 131, 018003, section 4.3), and at the detection limit (2 arcsec seeing, signal to
noise 5) the centroid of a source scatters by 2 / (2.355 * 5) = 0.17 arcsec an axis; 1 arcsec holds more than
the stated containment of it."""
POSITION_CONTAINMENT: Final = 0.99

UCDS: Final = {
    "schema_version": "meta.version",
    "id": "meta.id",
    "names": "meta.id",
    "revision": "meta.version",
    "state": "meta.code.status",
    "reason": "meta.note",
    "changed": "meta.note",
    "changed_utc": "time.processing",
    "matcher": "meta.id;meta.software",
    "messenger": "meta.code.class",
    "mission": "meta.id;instr.obsty",
    "instrument": "meta.id;instr",
    "time_utc": "time.epoch",
    "ivorn": "meta.ref.uri",
    "origin": "meta.ref",
    "localisation_model": "meta.note",
    "far_hz": "stat.falsePositive",
    "significance": "stat.confidenceLevel",
    "significance_unit": "meta.note",
    "test": "meta.code",
    "private_to": "meta.id",
    "survey": "meta.id;instr.obsty",
    "object_id": "meta.id;src",
    "alert_ids": "meta.id.part",
    "alert_id": "meta.id",
    "ra_deg": "pos.eq.ra;meta.main",
    "dec_deg": "pos.eq.dec;meta.main",
    "first_detection_utc": "time.start",
    "last_non_detection_utc": "time.end",
    "first_match_utc": "time.epoch;meta.main",
    "last_match_utc": "time.epoch",
    "mag": "phot.mag;em.opt",
    "mag_err": "stat.error;phot.mag",
    "band": "meta.id;instr.filter",
    "delta_t_s": "time.interval",
    "separation_deg": "pos.angDistance",
    "credible_level": "stat.probability",
    "probability_density_per_sr": "stat.probability",
    "overlap": "stat.likelihood",
    "area_90_deg2": "phys.angArea",
    "software": "meta.id;meta.software",
    "config_hash": "meta.id;meta.software",
    # of a linked trigger
    "by": "meta.note",
    "far_per_year": "stat.falsePositive",
    # of the light curve
    "mag_per_d": "arith.rate;phot.mag",
    "mag_per_d_err": "stat.error",
    "points": "meta.number",
    "span_d": "time.interval",
    "decay_index": "stat.fit.param",
    "decay_index_err": "stat.error;stat.fit.param",
    "colour_mag": "phot.color",
    "colour_err_mag": "stat.error;phot.color",
    "colour_bands": "meta.id;instr.filter",
    "onset_after_s": "time.interval;time.start",
    "onset_before_s": "time.interval;time.start",
    "log_likelihood_ratio": "stat.likelihood;src.class",
    # of what it is worth
    "background_per_deg2_night": "src.density",
    "background_model": "meta.note",
    "observed_fraction": "stat.probability",
    "expected_chance": "meta.number;src",
    "chance_probability": "stat.probability",
    "weight": "stat.likelihood",
    "posterior": "stat.probability",
    "posterior_none": "stat.probability",
    "class_posteriors": "stat.probability;src.class",
    "rank": "stat.rank",
    "host_distance_mpc": "pos.distance",
    "credible_level_3d": "stat.probability",
    # of an annotation
    "catalogue": "meta.id;meta.table",
    "answer": "meta.code.status",
    "name": "meta.id;src",
    "separation_arcsec": "pos.angDistance",
    "kind": "src.class",
    "star_probability": "stat.probability;src.class.starGalaxy",
    "redshift": "src.redshift",
    "distance_mpc": "pos.distance",
    "distance_err_mpc": "stat.error;pos.distance",
}
"""UCD1+ of each Param and Field; names are those of the JSON form, which also has their units."""

_NUMBERS: Final = frozenset({"mag", "mag_err"})
_INDENT_BYTES: Final = 4
"""By which a line of a group stands further right in the packet than in a text of its own."""
_WHOLE: Final = ("schema_version", "id", "revision", "state", "reason", "changed", "changed_utc", "matcher")
_GEOMETRY: Final = (
    "delta_t_s",
    "separation_deg",
    "credible_level",
    "probability_density_per_sr",
    "overlap",
    "area_90_deg2",
)
_MANY: Final = frozenset(
    {
        "links",
        "classification",
        "linked",
        "alert_ids",
        "light_curve",
        "annotations",
        "values",
        "rates",
        "log_likelihood_ratio",
        "class_posteriors",
    }
)
"""What is no one Param of its group."""


def add_what(root: etree._Element, document: Mapping[str, Any]) -> etree._Element:
    """Say what there is one of, in bounded room; the element is returned for `add_details`."""
    what = add(root, "What")
    provenance = document["provenance"]
    _add_params(what, document, CoincidenceDocument, _WHOLE)
    _add_params(add(what, "Group", name="trigger", type="trigger"), document["trigger"], TriggerDocument)
    _add_object(what, document["object"])
    if document["object"]["light_curve"]:
        _add_light_curve(what, document["object"]["light_curve"])
    _add_statistics(what, document)
    _add_evidence(what, document["evidence"])
    group = add(what, "Group", name="provenance", type="provenance")
    _add_params(group, provenance, ProvenanceDocument, ("software", "config_hash"))
    add_param(
        group,
        "input_count",
        len(provenance["inputs"]),
        ucd="meta.number",
        description="Number of notices and alerts behind this revision; the JSON form names them.",
    )
    return what


def add_as_fit(what: etree._Element, groups: Iterable[etree._Element], room_bytes: int) -> None:
    """Add groups of details until one does not fit into the room that is left; each is counted as a bit too long."""
    for group in groups:
        size = len(etree.tostring(group, pretty_print=True, encoding="UTF-8")) + _INDENT_BYTES * (2 + 3 * len(group))
        room_bytes -= size
        if room_bytes < 0:
            add(what, "Description", "There are more details than a packet can carry; the JSON form has all.")
            return
        what.append(group)


def add_details(what: etree._Element, document: Mapping[str, Any]) -> Iterator[etree._Element]:
    """Add a group for each of what there may be any number of, the most important first; they are returned."""
    trigger, source = document["trigger"], document["object"]
    if trigger["classification"]:
        yield _group_of_values(
            what, "classification", trigger["classification"], "stat.probability;src.class", TriggerDocument
        )
    for link in trigger["linked"]:
        group = add(what, "Group", name=f"linked:{link['id'][:MAX_TEXT]}", type="linked")
        _add_params(group, link, LinkDocument)
        yield group
    for rate in document["evidence"]["rates"]:
        group = add(what, "Group", name=f"rate:{rate['band'][:MAX_TEXT]}", type="rate")
        _add_params(group, rate, RateDocument)
        yield group
    for annotation in sorted(source["annotations"], key=lambda one: one["answer"] != Answer.FOUND):
        group = add(what, "Group", name=f"annotation:{annotation['catalogue'][:MAX_TEXT]}", type="annotation")
        _add_params(group, annotation, AnnotationDocument)
        for name, value in annotation["values"].items():
            add_param(
                group, name[:MAX_TEXT], value[:MAX_TEXT], ucd="meta.note", description="A column of the catalogue."
            )
        yield group
    if trigger["links"]:
        yield _group_of_values(what, "links", trigger["links"], "meta.ref.url", TriggerDocument)


def _group_of_values(
    what: etree._Element, name: str, values: Mapping[str, Any], ucd: str, model: type[BaseModel]
) -> etree._Element:
    """A group of the values of a mapping; addresses are never cut."""
    group = add(what, "Group", name=name, type=name)
    for key, value in values.items():
        add_param(group, key[:MAX_TEXT], value, ucd=ucd, description=_told(model)[name][1])
    return group


@cache
def _told(model: type[BaseModel]) -> Mapping[str, tuple[str, str]]:
    """Unit of each field and what it is, with the source of its formula."""
    told = {}
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        source = f" ({extra['source']})" if "source" in extra else ""
        told[name] = str(extra.get("unit", "")), f"{field.description}{source}"
    return told


@cache
def _params_of(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(name for name in model.model_fields if name not in _MANY)


def _add_params(
    parent: etree._Element, values: Mapping[str, Any], model: type[BaseModel], names: Sequence[str] = ()
) -> None:
    """Params of these fields, or of all that are no mapping and no list of records."""
    told = _told(model)
    for name in names or _params_of(model):
        value = values[name]
        if isinstance(value, list):
            value = ", ".join(value)
        if isinstance(value, str):
            value = value[:MAX_TEXT]
        unit, description = told[name]
        add_param(parent, name, value, unit=unit, ucd=UCDS[name], description=description)


def _add_object(what: etree._Element, source: Mapping[str, Any]) -> None:
    group = add(what, "Group", name="object", type="object")
    _add_params(group, source, ObjectDocument)
    alerts = source["alert_ids"]
    told = _told(ObjectDocument)["alert_ids"][1]
    if len(alerts) > LATEST_ALERTS:
        told = f"{told} The latest {LATEST_ALERTS} of {len(alerts)}."
    add_param(group, "alert_ids", alerts[-LATEST_ALERTS:], ucd=UCDS["alert_ids"], description=told)
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


def _add_light_curve(what: etree._Element, points: Sequence[Mapping[str, Any]]) -> None:
    """A table of the latest points; an empty cell is what is unknown."""
    latest = points[-LATEST_POINTS:]
    table = add(what, "Table", name="light_curve", type="light_curve")
    add(
        table, "Description", f"The latest {len(latest)} of the object's {len(points)} stored alerts inside the window."
    )
    for name, (unit, description) in _told(MeasurementDocument).items():
        attributes = {"name": name, "ucd": UCDS[name], "dataType": "float" if name in _NUMBERS else "string"}
        field = add(table, "Field", **attributes, **({"unit": unit} if unit else {}))
        add(field, "Description", description)
    data = add(table, "Data")
    for point in latest:
        row = add(data, "TR")
        for value in point.values():
            add(row, "TD", "" if value is None else str(value)[:MAX_TEXT])


def _add_statistics(what: etree._Element, document: Mapping[str, Any]) -> None:
    group = add(what, "Group", name="statistics", type="statistics")
    _add_params(group, document, CoincidenceDocument, _GEOMETRY)
    statistics = document["statistics"]
    if statistics is not None:
        _add_params(group, statistics, StatisticsDocument)
        _add_by_class(group, "posterior", statistics["class_posteriors"], "class_posteriors", StatisticsDocument)


def _add_evidence(what: etree._Element, evidence: Mapping[str, Any]) -> None:
    group = add(what, "Group", name="evidence", type="evidence")
    _add_params(group, evidence, EvidenceDocument)
    name = "log_likelihood_ratio"
    _add_by_class(group, name, evidence[name], name, EvidenceDocument)
    if not len(group):
        what.remove(group)


def _add_by_class(
    group: etree._Element, prefix: str, by_class: Mapping[str, float], name: str, model: type[BaseModel]
) -> None:
    """A Param for each class of sources."""
    for source_class in SourceClass:
        if source_class in by_class:
            add_param(
                group,
                f"{prefix}_{source_class}",
                by_class[source_class],
                ucd=UCDS[name],
                description=_told(model)[name][1],
            )
