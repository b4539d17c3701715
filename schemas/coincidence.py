"""A coincidence as JSON, and back; `schemas.coincidence_avro` writes the same as Avro.

The form is that of `schemas.coincidence_documents`. JSON text is pure ASCII: whatever a packet contained, one
coincidence is one line for every reader. Lone surrogates, which UTF-8 cannot carry, are written as U+FFFD.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any

from pydantic import ValidationError

from schemas.annotations import Annotation, Answer
from schemas.coincidence_documents import (
    SCHEMA_VERSION,
    AnnotationDocument,
    CoincidenceDocument,
    EvidenceDocument,
    ObjectDocument,
    StatisticsDocument,
    TriggerDocument,
)
from schemas.errors import BadCoincidence, Reason
from schemas.records import Coincidence, Link, Measurement, ObjectSummary, Provenance, State, TriggerSummary
from schemas.statistics import LightCurveEvidence, Rate, Statistics
from schemas.times import iso_from_us

MAX_JSON_BYTES = 4 * 1024 * 1024
"""A coincidence in JSON may be no longer; a typical one has 4 kB."""
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def _text(text: str) -> str:
    """The text as UTF-8 can carry it."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _texts(texts: Iterable[str]) -> list[str]:
    return [_text(text) for text in texts]


def _text_by_name(texts: Mapping[str, str]) -> dict[str, str]:
    return {_text(name): _text(texts[name]) for name in sorted(texts)}


def _known(value: float | None) -> float | None:
    return None if value is None or not isfinite(value) else float(value)


def _probability(value: float) -> float:
    """A sum of many probabilities may pass 1 by rounding; NaN stays."""
    return 1.0 if value > 1.0 else 0.0 if value < 0.0 else float(value)


def to_document(coincidence: Coincidence) -> dict[str, Any]:
    """The coincidence as a dictionary of JSON types, in the order of the schema.

    Raises
    ------
    ValueError
        If a number that must be known is NaN or infinite.
    """
    c, t, o, p = coincidence, coincidence.trigger, coincidence.object, coincidence.provenance
    numbers = {
        "delta_t_s": float(c.delta_t_s),
        "separation_deg": float(c.separation_deg),
        "credible_level": _probability(c.credible_level),
        "probability_density_per_sr": float(c.probability_density_per_sr),
        "overlap": float(c.overlap),
        "area_90_deg2": float(c.area_90_deg2),
    }
    position = {"ra_deg": float(o.ra_deg), "dec_deg": float(o.dec_deg)}
    return {
        "schema_version": SCHEMA_VERSION,
        "id": _text(c.id),
        "revision": int(c.revision),
        "state": c.state.value,
        "reason": _text(c.reason),
        "changed_utc": iso_from_us(c.changed_us),
        "matcher": _text(c.matcher),
        "trigger": trigger_document(t),
        "object": {
            "survey": _text(o.survey),
            "object_id": _text(o.object_id),
            "alert_ids": [int(alert_id) for alert_id in o.alert_ids],
            **_all_known(f"coincidence {c.id}", position),
            "first_detection_utc": iso_from_us(o.first_detection_us),
            "first_match_utc": iso_from_us(o.first_match_us),
            "last_match_utc": iso_from_us(o.last_match_us),
            "mag": _known(o.mag),
            "mag_err": _known(o.mag_err),
            "band": _text(o.band),
            "light_curve": [
                {
                    "alert_id": int(point.alert_id),
                    "time_utc": iso_from_us(point.time_us),
                    "band": _text(point.band),
                    "mag": _known(point.mag),
                    "mag_err": _known(point.mag_err),
                }
                for point in o.light_curve
            ],
            "last_non_detection_utc": None if o.last_non_detection_us is None else iso_from_us(o.last_non_detection_us),
            "annotations": [_annotation(annotation) for annotation in o.annotations],
        },
        **_all_known(f"coincidence {c.id}", numbers),
        "provenance": {
            "software": _text(p.software),
            "config_hash": _text(p.config_hash),
            "inputs": _texts(p.inputs),
        },
        "changed": _texts(c.changed),
        "evidence": _evidence(c),
        "statistics": None if c.statistics is None else _statistics(c, c.statistics),
    }


def trigger_document(trigger: TriggerSummary) -> dict[str, Any]:
    """What a coincidence says of its trigger, as a dictionary of JSON types; raises as `to_document`."""
    t = trigger
    return {
        "id": _text(t.id),
        "names": _texts(t.names),
        "messenger": _text(t.messenger),
        "mission": _text(t.mission),
        "instrument": _text(t.instrument),
        "time_utc": iso_from_us(t.time_us),
        "revision": int(t.revision),
        "ivorn": _text(t.notice_ivorn),
        "origin": _text(t.notice_origin),
        "localisation_model": _text(t.localisation_model),
        "far_hz": _known(t.far_hz),
        "significance": _known(t.significance),
        "significance_unit": _text(t.significance_unit),
        "test": bool(t.test),
        "links": _text_by_name(t.links),
        "classification": {
            _text(name): float(t.classification[name])
            for name in sorted(t.classification)
            if isfinite(t.classification[name])
        },
        "linked": [_link(link) for link in t.linked],
        "private_to": _text(t.private_to),
    }


def _all_known(of: str, told: dict[str, Any]) -> dict[str, Any]:
    """The same, if no number of it is NaN or infinite."""
    for name, value in told.items():
        if isinstance(value, float) and not isfinite(value):
            raise ValueError(f"{name} of {of} is {value}")
    return told


def _link(link: Link) -> dict[str, Any]:
    told = {
        "id": _text(link.id),
        "names": _texts(link.names),
        "messenger": _text(link.messenger),
        "mission": _text(link.mission),
        "instrument": _text(link.instrument),
        "by": _text(link.by),
        "delta_t_s": float(link.delta_t_s),
        "overlap": float(link.overlap),
        "far_per_year": _known(link.far_per_year),
    }
    return _all_known(f"link {link.id}", told)


def _annotation(annotation: Annotation) -> dict[str, Any]:
    star = annotation.star_probability
    return {
        "catalogue": _text(annotation.catalogue),
        "answer": annotation.answer.value,
        "name": _text(annotation.name),
        "separation_arcsec": _known(annotation.separation_arcsec),
        "kind": _text(annotation.kind),
        # Catalogues have numbers such as -999 for what they do not know.
        "star_probability": None if star is None or not 0 <= star <= 1 else float(star),
        "redshift": _known(annotation.redshift),
        "distance_mpc": _known(annotation.distance_mpc),
        "distance_err_mpc": _known(annotation.distance_err_mpc),
        "values": _text_by_name(annotation.values),
    }


def _evidence(coincidence: Coincidence) -> dict[str, Any]:
    e = coincidence.evidence
    return {
        "rates": [_rate(coincidence, rate) for rate in e.rates],
        "decay_index": _known(e.decay_index),
        "decay_index_err": _known(e.decay_index_err),
        "colour_mag": _known(e.colour_mag),
        "colour_err_mag": _known(e.colour_err_mag),
        "colour_bands": _text(e.colour_bands),
        "onset_after_s": _known(e.onset_after_s),
        "onset_before_s": _known(e.onset_before_s),
        "log_likelihood_ratio": _by_class(coincidence, e.log_likelihood_ratio, float),
    }


def _rate(coincidence: Coincidence, rate: Rate) -> dict[str, Any]:
    told = {
        "band": _text(rate.band),
        "mag_per_d": float(rate.mag_per_d),
        "mag_per_d_err": float(rate.mag_per_d_err),
        "points": int(rate.points),
        "span_d": float(rate.span_d),
    }
    return _all_known(f"coincidence {coincidence.id}", told)


def _by_class(
    coincidence: Coincidence, numbers: Mapping[str, float], convert: Callable[[float], float]
) -> dict[str, float]:
    return _all_known(f"coincidence {coincidence.id}", {str(name): convert(numbers[name]) for name in sorted(numbers)})


def _statistics(coincidence: Coincidence, statistics: Statistics) -> dict[str, Any]:
    s = statistics
    level = _known(s.credible_level_3d)
    told = {
        "background_per_deg2_night": float(s.background_per_deg2_night),
        "background_model": _text(s.background_model),
        "observed_fraction": _probability(s.observed_fraction),
        "expected_chance": float(s.expected_chance),
        "chance_probability": _probability(s.chance_probability),
        "far_per_year": float(s.far_per_year),
        "weight": float(s.weight),
        "posterior": _probability(s.posterior),
        "posterior_none": _probability(s.posterior_none),
        "class_posteriors": _by_class(coincidence, s.class_posteriors, _probability),
        "rank": int(s.rank),
        "host_distance_mpc": _known(s.host_distance_mpc),
        "credible_level_3d": None if level is None else _probability(level),
    }
    return _all_known(f"coincidence {coincidence.id}", told)


def to_json(coincidence: Coincidence) -> str:
    """The coincidence as one line of JSON, without the line's end. The same for the same coincidence.

    Raises
    ------
    ValueError
        If a number that must be known is NaN or infinite.
    """
    return _ENCODER.encode(to_document(coincidence))


def from_json(body: bytes | str) -> Coincidence:
    """The coincidence that `to_json` wrote, of this or an earlier minor version.

    Raises
    ------
    BadCoincidence
        If the text is longer than `MAX_JSON_BYTES` or does not follow the schema.
    """
    if len(body) > MAX_JSON_BYTES:
        raise BadCoincidence(Reason.TOO_LARGE, f"{len(body)} bytes of JSON, expected at most {MAX_JSON_BYTES}")
    try:
        return _record(CoincidenceDocument.model_validate_json(body))
    except ValidationError as error:
        raise _bad(error) from error


def from_document(document: Mapping[str, Any]) -> Coincidence:
    """The coincidence of which `to_document` made this dictionary.

    Raises
    ------
    BadCoincidence
        If it does not follow the schema.
    """
    try:
        return _record(CoincidenceDocument.model_validate(document, strict=False))
    except ValidationError as error:
        raise _bad(error) from error


def _bad(error: ValidationError) -> BadCoincidence:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the document"
    reasons = {"missing": Reason.MISSING_FIELD, "finite_number": Reason.NOT_FINITE, "json_invalid": Reason.MALFORMED}
    return BadCoincidence(reasons.get(first["type"], Reason.WRONG_TYPE), f"{place}: {first['msg']}")


def _record(document: CoincidenceDocument) -> Coincidence:
    p = document.provenance
    return Coincidence(
        id=document.id,
        revision=document.revision,
        state=State(document.state),
        reason=document.reason,
        changed_us=document.changed_utc,
        matcher=document.matcher,
        trigger=_trigger_of(document.trigger),
        object=_object_of(document.object),
        delta_t_s=document.delta_t_s,
        separation_deg=document.separation_deg,
        credible_level=document.credible_level,
        probability_density_per_sr=document.probability_density_per_sr,
        overlap=document.overlap,
        area_90_deg2=document.area_90_deg2,
        provenance=Provenance(software=p.software, config_hash=p.config_hash, inputs=p.inputs),
        changed=document.changed,
        evidence=_evidence_of(document.evidence),
        statistics=None if document.statistics is None else _statistics_of(document.statistics),
    )


def _trigger_of(t: TriggerDocument) -> TriggerSummary:
    return TriggerSummary(
        id=t.id,
        names=t.names,
        messenger=t.messenger,
        mission=t.mission,
        instrument=t.instrument,
        time_us=t.time_utc,
        revision=t.revision,
        notice_ivorn=t.ivorn,
        notice_origin=t.origin,
        localisation_model=t.localisation_model,
        far_hz=t.far_hz,
        significance=t.significance,
        significance_unit=t.significance_unit,
        test=t.test,
        links=t.links,
        classification=t.classification,
        linked=tuple(
            Link(
                id=one.id,
                names=one.names,
                messenger=one.messenger,
                mission=one.mission,
                instrument=one.instrument,
                by=one.by,
                delta_t_s=one.delta_t_s,
                overlap=one.overlap,
                far_per_year=one.far_per_year,
            )
            for one in t.linked
        ),
        private_to=t.private_to,
    )


def _object_of(o: ObjectDocument) -> ObjectSummary:
    return ObjectSummary(
        survey=o.survey,
        object_id=o.object_id,
        alert_ids=o.alert_ids,
        ra_deg=o.ra_deg,
        dec_deg=o.dec_deg,
        first_detection_us=o.first_detection_utc,
        first_match_us=o.first_match_utc,
        last_match_us=o.last_match_utc,
        mag=o.mag,
        mag_err=o.mag_err,
        band=o.band,
        light_curve=tuple(
            Measurement(point.alert_id, point.time_utc, point.band, point.mag, point.mag_err) for point in o.light_curve
        ),
        last_non_detection_us=o.last_non_detection_utc,
        annotations=tuple(_annotation_of(annotation) for annotation in o.annotations),
    )


def _annotation_of(a: AnnotationDocument) -> Annotation:
    return Annotation(
        catalogue=a.catalogue,
        answer=Answer(a.answer),
        name=a.name,
        separation_arcsec=a.separation_arcsec,
        kind=a.kind,
        star_probability=a.star_probability,
        redshift=a.redshift,
        distance_mpc=a.distance_mpc,
        distance_err_mpc=a.distance_err_mpc,
        values=a.values,
    )


def _evidence_of(e: EvidenceDocument) -> LightCurveEvidence:
    return LightCurveEvidence(
        rates=tuple(Rate(one.band, one.mag_per_d, one.mag_per_d_err, one.points, one.span_d) for one in e.rates),
        decay_index=e.decay_index,
        decay_index_err=e.decay_index_err,
        colour_mag=e.colour_mag,
        colour_err_mag=e.colour_err_mag,
        colour_bands=e.colour_bands,
        onset_after_s=e.onset_after_s,
        onset_before_s=e.onset_before_s,
        log_likelihood_ratio=e.log_likelihood_ratio,
    )


def _statistics_of(s: StatisticsDocument) -> Statistics:
    return Statistics(
        background_per_deg2_night=s.background_per_deg2_night,
        background_model=s.background_model,
        observed_fraction=s.observed_fraction,
        expected_chance=s.expected_chance,
        chance_probability=s.chance_probability,
        far_per_year=s.far_per_year,
        weight=s.weight,
        posterior=s.posterior,
        posterior_none=s.posterior_none,
        class_posteriors=s.class_posteriors,
        rank=s.rank,
        host_distance_mpc=s.host_distance_mpc,
        credible_level_3d=s.credible_level_3d,
    )
