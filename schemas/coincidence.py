"""A coincidence as JSON, and back; `schemas.coincidence_avro` writes the same as Avro.

Both forms have the same names and the same sense; the models below are their one definition.
`json_schema` is published as ``schemas/json/coincidence-1.1.json``, the Avro schema is
``schemas/avro/coincidence/1/1/coincidence.avsc``; a test holds all three together. Within a major
version fields are only added, each with a default, so that what was written by an earlier one is still read: 1.0 had no
light curve.

* Instants are ISO 8601 UTC with six decimals and ``Z`` in JSON, ``timestamp-micros`` in Avro.
* What is unknown is ``null``; a number is never NaN or infinite.
* ``alert_ids`` are 64-bit integers, as in the surveys' own packets, in JSON too. They pass 2^53, so
  that a reader whose only number is a double (JavaScript's ``JSON.parse``) must take them from the text.
* JSON text is pure ASCII: whatever a packet contained, one coincidence is one line for every reader.
* Lone surrogates, which UTF-8 cannot carry, are written as U+FFFD.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema

from schemas.errors import BadCoincidence, Reason
from schemas.records import Coincidence, Measurement, ObjectSummary, Provenance, State, TriggerSummary
from schemas.times import iso_from_us, us_from_datetime, us_from_iso

SCHEMA_VERSION = "1.1"
MAX_JSON_BYTES = 4 * 1024 * 1024
"""A coincidence in JSON may be no longer; a typical one has 2 kB."""

_ISO_PATTERN = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$"


def _instant(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("an instant is text such as 2020-01-07T04:30:12.345678Z")  # noqa: TRY004 - for pydantic
    # Python's own reading is three times as fast as `us_from_iso`, and a restart reads some ten thousand instants.
    us = us_from_datetime(datetime.fromisoformat(value)) if value.endswith("Z") else us_from_iso(value)
    if iso_from_us(us) != value:
        raise ValueError("an instant has six decimals and ends in Z")
    return us


Instant = Annotated[
    int,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": _ISO_PATTERN}),
]
AlertId = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class TriggerDocument(_Document):
    """The astrophysical event, as its notices told it when this revision was made."""

    id: str = Field(description="Namespace and the observatory's own identifier, such as fermi-gbm:600117987.")
    names: tuple[str, ...] = Field(description="Further names of the trigger.")
    messenger: str = Field(description="gamma-ray, x-ray, neutrino, gravitational-wave, optical, radio or unknown.")
    mission: str = Field(description="Mission or observatory, such as Fermi.")
    instrument: str = Field(description="Instrument, such as GBM.")
    time_utc: Instant = Field(description="Time of the event.")
    revision: int = Field(ge=0, description="Number of the trigger's revision, from 1.")
    ivorn: str = Field(description="IVORN of the notice in force, or an identifier made for a notice without one.")
    origin: str = Field(description="Where that notice was read: a file, or topic[partition]@offset.")
    localisation_model: str = Field(description="Which model made a probability density of the reported position.")
    far_hz: float | None = Field(description="False-alarm rate of the trigger as reported, per second.")
    significance: float | None = Field(description="Significance as reported, in significance_unit.")
    significance_unit: str = Field(description="What the significance is, such as sigma or signalness.")
    test: bool = Field(description="True if any notice of the trigger is a test or a mock.")
    links: dict[str, str] = Field(description="Named URLs from the notices.")


class MeasurementDocument(_Document):
    """One point of a light curve: an alert of the object."""

    alert_id: AlertId = Field(description="The survey's 64-bit number of the alert; beyond 2^53.")
    time_utc: Instant = Field(description="Time of the alert.")
    band: str = Field(description="Its filter.")
    mag: float | None = Field(description="Its PSF magnitude (AB).")
    mag_err: float | None = Field(description="Error of mag.")


class ObjectDocument(_Document):
    """The optical source, as its matching alerts told it when this revision was made."""

    survey: str = Field(description="Name of the survey, such as ztf.")
    object_id: str = Field(description="The survey's name of the object.")
    alert_ids: tuple[AlertId, ...] = Field(
        description="The survey's 64-bit numbers of the matching alerts; beyond 2^53."
    )
    ra_deg: float = Field(ge=0, le=360, description="ICRS right ascension at the first matching alert, degrees.")
    dec_deg: float = Field(ge=-90, le=90, description="ICRS declination at the first matching alert, degrees.")
    first_detection_utc: Instant = Field(description="Earliest detection of the object that is known.")
    first_match_utc: Instant = Field(description="Time of the first matching alert.")
    last_match_utc: Instant = Field(description="Time of the latest matching alert.")
    mag: float | None = Field(description="PSF magnitude (AB) of the latest matching alert.")
    mag_err: float | None = Field(description="Error of mag.")
    band: str = Field(description="Filter of the latest matching alert.")
    light_curve: tuple[MeasurementDocument, ...] = Field(
        (), description="All stored alerts of the object inside the window, by time; since 1.1."
    )


class ProvenanceDocument(_Document):
    """What made the coincidence."""

    software: str = Field(description="Name and version of the software.")
    config_hash: str = Field(description="Hash of the configuration in force.")
    inputs: tuple[str, ...] = Field(description="Where the notices and alerts were read.")


class CoincidenceDocument(_Document):
    """An optical object and an astrophysical trigger that a matcher put together, at one revision."""

    model_config = ConfigDict(title="Starcross coincidence 1.1")

    schema_version: Literal["1.0", "1.1"] = Field(description="Version of this format, major.minor.")
    id: str = Field(description="Deterministic: the same object and trigger by the same matcher have the same id.")
    revision: int = Field(ge=1, description="1 when first proposed, one more with each change.")
    state: Literal["proposed", "updated", "withdrawn"] = Field(description="Where the coincidence stands.")
    reason: str = Field(description="What made this revision.")
    changed_utc: Instant = Field(description="When this revision was made, by the clock of the data.")
    matcher: str = Field(description="Name of the matcher in the configuration.")
    trigger: TriggerDocument = Field(description="The trigger.")
    object: ObjectDocument = Field(description="The object.")
    delta_t_s: float = Field(description="First matching alert minus trigger time, seconds.")
    separation_deg: float = Field(ge=0, le=180, description="From the trigger's most probable position, degrees.")
    credible_level: float = Field(
        ge=0, le=1, description="Probability inside the contour on which the object lies: 0 at the peak, 1 far away."
    )
    probability_density_per_sr: float = Field(ge=0, description="Of the trigger's position at the object, per sr.")
    overlap: float = Field(
        ge=0, description="4 pi times that density: Bayes factor of a common position against an unrelated one."
    )
    area_90_deg2: float = Field(ge=0, description="Area of the trigger's 90 % credible region, square degrees.")
    provenance: ProvenanceDocument = Field(description="Which software, configuration and inputs.")


class _Untitled(GenerateJsonSchema):
    """Leaves out the titles that pydantic makes of the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - its signature is pydantic's
        return False


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a coincidence, as it is published."""
    schema = CoincidenceDocument.model_json_schema(schema_generator=_Untitled)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _text(text: str) -> str:
    """The text as UTF-8 can carry it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _texts(texts: Iterable[str]) -> list[str]:
    return [_text(text) for text in texts]


def _known(value: float | None) -> float | None:
    return None if value is None or not isfinite(value) else float(value)


def to_document(coincidence: Coincidence) -> dict[str, Any]:
    """The coincidence as a dictionary of JSON types, in the order of the schema.

    Raises
    ------
    ValueError
        If a number that must be known is NaN or infinite.
    """
    c, t, o, p = coincidence, coincidence.trigger, coincidence.object, coincidence.provenance
    numbers = {
        "delta_t_s": c.delta_t_s,
        "separation_deg": c.separation_deg,
        # A sum of many probabilities may pass 1 by rounding.
        "credible_level": min(max(c.credible_level, 0.0), 1.0),
        "probability_density_per_sr": c.probability_density_per_sr,
        "overlap": c.overlap,
        "area_90_deg2": c.area_90_deg2,
    }
    for name, number in (*numbers.items(), ("ra_deg", o.ra_deg), ("dec_deg", o.dec_deg)):
        if not isfinite(number):
            raise ValueError(f"{name} of coincidence {c.id} is {number}")
    return {
        "schema_version": SCHEMA_VERSION,
        "id": _text(c.id),
        "revision": int(c.revision),
        "state": c.state.value,
        "reason": _text(c.reason),
        "changed_utc": iso_from_us(c.changed_us),
        "matcher": _text(c.matcher),
        "trigger": {
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
            "links": {_text(name): _text(t.links[name]) for name in sorted(t.links)},
        },
        "object": {
            "survey": _text(o.survey),
            "object_id": _text(o.object_id),
            "alert_ids": [int(alert_id) for alert_id in o.alert_ids],
            "ra_deg": float(o.ra_deg),
            "dec_deg": float(o.dec_deg),
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
        },
        **{name: float(number) for name, number in numbers.items()},
        "provenance": {
            "software": _text(p.software),
            "config_hash": _text(p.config_hash),
            "inputs": _texts(p.inputs),
        },
    }


def to_json(coincidence: Coincidence) -> str:
    """The coincidence as one line of JSON, without the line's end. The same for the same coincidence.

    Raises
    ------
    ValueError
        If a number that must be known is NaN or infinite.
    """
    return json.dumps(to_document(coincidence), allow_nan=False, separators=(",", ":"))


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
    t, o, p = document.trigger, document.object, document.provenance
    return Coincidence(
        id=document.id,
        revision=document.revision,
        state=State(document.state),
        reason=document.reason,
        changed_us=document.changed_utc,
        matcher=document.matcher,
        trigger=TriggerSummary(
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
        ),
        object=ObjectSummary(
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
                Measurement(point.alert_id, point.time_utc, point.band, point.mag, point.mag_err)
                for point in o.light_curve
            ),
        ),
        delta_t_s=document.delta_t_s,
        separation_deg=document.separation_deg,
        credible_level=document.credible_level,
        probability_density_per_sr=document.probability_density_per_sr,
        overlap=document.overlap,
        area_90_deg2=document.area_90_deg2,
        provenance=Provenance(software=p.software, config_hash=p.config_hash, inputs=p.inputs),
    )
