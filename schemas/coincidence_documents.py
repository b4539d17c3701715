"""The published form of a coincidence: every field's name, type, sense and unit, in one place.

`json_schema` is published as ``schemas/json/coincidence-1.2.json``, the Avro schema is
``schemas/avro/coincidence/1/2/coincidence.avsc``; a test holds all three together. Within a major
version fields are only added, each with a default, so that what was written by an earlier one is still read: 1.0 had no
light curve, 1.1 no evidence and no statistics.

* Instants are ISO 8601 UTC with six decimals and ``Z`` in JSON, ``timestamp-micros`` in Avro.
* What is unknown is ``null``; a number is never NaN or infinite.
* ``alert_ids`` are 64-bit integers, as in the surveys' own packets, in JSON too. They pass 2^53, so
  that a reader whose only number is a double (JavaScript's ``JSON.parse``) must take them from the text.
* The schemas tell the ``unit`` of a number, in the notation of the CDS, where it has one, and the ``source`` of the
  formula of a statistic.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema

from schemas.times import iso_from_us, us_from_datetime, us_from_iso

SCHEMA_VERSION = "1.2"
OWN_METHOD = "Starcross, docs/science.md"
"""Source of the formulas that are our own."""

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
Probability = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]


def _in(unit: str, source: str = "") -> dict[str, Any]:
    """What a schema tells of a number beside its description."""
    return {"unit": unit} | ({"source": source} if source else {})


def _from(source: str) -> dict[str, Any]:
    """The same of a number that has no unit."""
    return {"source": source}


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class LinkDocument(_Document):
    """Another trigger that is the same event."""

    id: str = Field(description="Namespace and identifier of the other trigger.")
    names: tuple[str, ...] = Field(description="Its further names.")
    messenger: str = Field(description="Its messenger.")
    mission: str = Field(description="Its mission or observatory.")
    instrument: str = Field(description="Its instrument.")
    by: str = Field(description="What links both: time and sky, or cited by an observatory.")
    delta_t_s: float = Field(
        description="Time of the other trigger minus that of this one.", json_schema_extra=_in("s")
    )
    overlap: NotNegative = Field(
        description="4 pi times the integral of the product of both positions' densities: Bayes factor of a common "
        "position against two unrelated ones.",
        json_schema_extra=_from("Ashton et al. 2018, ApJ 860, 6"),
    )
    far_per_year: NotNegative | None = Field(
        description="How often a year two unrelated triggers would come as near to each other in time and sky; null if "
        "a rate that it needs is unknown.",
        json_schema_extra=_in("yr-1", "Urban 2016, PhD thesis, University of Wisconsin-Milwaukee (RAVEN)"),
    )


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
    far_hz: float | None = Field(
        description="False-alarm rate of the trigger as reported, per second.", json_schema_extra=_in("Hz")
    )
    significance: float | None = Field(description="Significance as reported, in significance_unit.")
    significance_unit: str = Field(description="What the significance is, such as sigma or signalness.")
    test: bool = Field(description="True if any notice of the trigger is a test or a mock.")
    links: dict[str, str] = Field(description="Named URLs from the notices.")
    classification: dict[str, float] = Field(
        {}, description="Probabilities of the classes that the notices report, such as BNS; since 1.2."
    )
    linked: tuple[LinkDocument, ...] = Field(
        (), description="Other triggers that are the same event, by id; since 1.2."
    )
    private_to: str = Field(
        "", description="The owner who alone may see what comes of the trigger; empty if everybody may; since 1.2."
    )


class MeasurementDocument(_Document):
    """One point of a light curve: an alert of the object."""

    alert_id: AlertId = Field(description="The survey's 64-bit number of the alert; beyond 2^53.")
    time_utc: Instant = Field(description="Time of the alert.")
    band: str = Field(description="Its filter.")
    mag: float | None = Field(description="Its PSF magnitude (AB).", json_schema_extra=_in("mag"))
    mag_err: float | None = Field(description="Error of mag.", json_schema_extra=_in("mag"))


class AnnotationDocument(_Document):
    """What one catalogue or service says of the object."""

    catalogue: str = Field(
        description="Name of the catalogue or service; gaia, ps1 or solar_system for what the survey's packet carries."
    )
    answer: Literal["found", "none", "pending", "failed"] = Field(
        description="Whether it has an entry, has none, has not answered yet, or failed to answer."
    )
    name: str = Field(description="Name of the entry.")
    separation_arcsec: NotNegative | None = Field(
        description="From the object to the entry.", json_schema_extra=_in("arcsec")
    )
    kind: str = Field(description="What the catalogue calls it, such as QSO.")
    star_probability: Probability | None = Field(description="0 for a galaxy, 1 for a star.")
    redshift: float | None = Field(description="Redshift of the entry.")
    distance_mpc: float | None = Field(description="Distance of the entry.", json_schema_extra=_in("Mpc"))
    distance_err_mpc: float | None = Field(description="Error of distance_mpc.", json_schema_extra=_in("Mpc"))
    values: dict[str, str] = Field(description="Further columns that were asked for, as text.")


class ObjectDocument(_Document):
    """The optical source, as its matching alerts told it when this revision was made."""

    survey: str = Field(description="Name of the survey, such as ztf.")
    object_id: str = Field(description="The survey's name of the object.")
    alert_ids: tuple[AlertId, ...] = Field(
        description="The survey's 64-bit numbers of the matching alerts; beyond 2^53."
    )
    ra_deg: float = Field(
        ge=0,
        le=360,
        description="ICRS right ascension at the first matching alert, degrees.",
        json_schema_extra=_in("deg"),
    )
    dec_deg: float = Field(
        ge=-90,
        le=90,
        description="ICRS declination at the first matching alert, degrees.",
        json_schema_extra=_in("deg"),
    )
    first_detection_utc: Instant = Field(description="Earliest detection of the object that is known.")
    first_match_utc: Instant = Field(description="Time of the first matching alert.")
    last_match_utc: Instant = Field(description="Time of the latest matching alert.")
    mag: float | None = Field(
        description="PSF magnitude (AB) of the latest matching alert.", json_schema_extra=_in("mag")
    )
    mag_err: float | None = Field(description="Error of mag.", json_schema_extra=_in("mag"))
    band: str = Field(description="Filter of the latest matching alert.")
    light_curve: tuple[MeasurementDocument, ...] = Field(
        (), description="All stored alerts of the object inside the window, by time; since 1.1."
    )
    last_non_detection_utc: Instant | None = Field(
        None, description="Latest visit before the first detection that did not see the object; since 1.2."
    )
    annotations: tuple[AnnotationDocument, ...] = Field(
        (), description="What catalogues and services say of the object; since 1.2."
    )


class RateDocument(_Document):
    """How fast the object changes in one band."""

    band: str = Field(description="The filter.")
    mag_per_d: float = Field(
        description="Slope of the object's magnitudes against time, positive where it fades.",
        json_schema_extra=_in("mag.d-1", "Andreoni et al. 2021, ApJ 918, 63"),
    )
    mag_per_d_err: float = Field(description="Standard error of mag_per_d.", json_schema_extra=_in("mag.d-1"))
    points: int = Field(ge=0, description="Number of points that the slope is told from.")
    span_d: NotNegative = Field(description="Time between the first and the last of them.", json_schema_extra=_in("d"))


class EvidenceDocument(_Document):
    """What the light curve tells of the object."""

    rates: tuple[RateDocument, ...] = Field((), description="Fading or rising rate in each band, by its name.")
    decay_index: float | None = Field(
        None,
        description="alpha of a flux that falls as t^-alpha with the time t since the trigger; an afterglow's is about "
        "1.2.",
    )
    decay_index_err: float | None = Field(None, description="Standard error of decay_index.")
    colour_mag: float | None = Field(
        None,
        description="Difference of the magnitudes in the two bands of colour_bands at about the same time.",
        json_schema_extra=_in("mag"),
    )
    colour_err_mag: float | None = Field(
        None, description="Standard error of colour_mag.", json_schema_extra=_in("mag")
    )
    colour_bands: str = Field("", description="Which bands the colour is the difference of, such as g-r.")
    onset_after_s: float | None = Field(
        None,
        description="The object appeared after this time relative to the trigger: its last non-detection.",
        json_schema_extra=_in("s"),
    )
    onset_before_s: float | None = Field(
        None,
        description="The object appeared before this time relative to the trigger: its first detection.",
        json_schema_extra=_in("s"),
    )
    log_likelihood_ratio: dict[str, float] = Field(
        {},
        description="For afterglow, kilonova and supernova each: natural logarithm of how much better it explains the "
        "light curve than an unrelated object does; 0 where there is nothing to judge.",
    )


class StatisticsDocument(_Document):
    """What the coincidence is worth among all that was known when this revision was made."""

    background_per_deg2_night: NotNegative = Field(
        description="New objects that pass the same quality cuts, per square degree and night with a visit, measured "
        "around the object.",
        json_schema_extra=_in("deg-2"),
    )
    background_model: str = Field(description="How background_per_deg2_night was found: measured, or which fallback.")
    observed_fraction: Probability = Field(
        description="Fraction of the trigger's probability on the sky that the survey visited in the window so far."
    )
    expected_chance: NotNegative = Field(
        description="Expected number of unrelated objects that match the trigger in the window so far."
    )
    chance_probability: Probability = Field(
        description="Probability that at least one unrelated object comes as near to the trigger in position and time "
        "as this one, or nearer; uniform between 0 and 1 for the nearest if all are unrelated.",
        json_schema_extra=_from(OWN_METHOD),
    )
    far_per_year: NotNegative = Field(
        description="Number of unrelated coincidences as good as this one, or better, that all triggers of the matcher "
        "bring in a year.",
        json_schema_extra=_in("yr-1", OWN_METHOD),
    )
    weight: NotNegative = Field(
        description="How much more probable position, time and light curve are for the counterpart than for an "
        "unrelated object.",
        json_schema_extra=_from(OWN_METHOD),
    )
    posterior: Probability = Field(
        description="Probability that this object is the trigger's counterpart: its weight among the weights of all "
        "objects of the trigger and that of none of them.",
        json_schema_extra=_from(OWN_METHOD),
    )
    posterior_none: Probability = Field(
        description="Probability that none of the trigger's objects is its counterpart."
    )
    class_posteriors: dict[str, Probability] = Field(
        description="posterior, divided among afterglow, kilonova and supernova."
    )
    rank: int = Field(ge=1, description="Place among the trigger's coincidences of the same matcher, 1 for the best.")
    host_distance_mpc: float | None = Field(
        None, description="Distance of the object's host galaxy, where one is known.", json_schema_extra=_in("Mpc")
    )
    credible_level_3d: Probability | None = Field(
        None,
        description="Probability inside the surface in volume on which the host lies: 0 at the peak, 1 far away; null "
        "without a host distance or distances in the sky map.",
        json_schema_extra=_from("Singer et al. 2016, ApJL 829, L15"),
    )


class ProvenanceDocument(_Document):
    """What made the coincidence."""

    software: str = Field(description="Name and version of the software.")
    config_hash: str = Field(description="Hash of the configuration in force.")
    inputs: tuple[str, ...] = Field(description="Where the notices and alerts were read.")


NO_EVIDENCE_DOCUMENT = EvidenceDocument()


class CoincidenceDocument(_Document):
    """An optical object and an astrophysical trigger that a matcher put together, at one revision."""

    model_config = ConfigDict(title="Starcross coincidence 1.2")

    schema_version: Literal["1.0", "1.1", "1.2"] = Field(description="Version of this format, major.minor.")
    id: str = Field(description="Deterministic: the same object and trigger by the same matcher have the same id.")
    revision: int = Field(ge=1, description="1 when first proposed, one more with each change.")
    state: Literal["proposed", "updated", "withdrawn"] = Field(description="Where the coincidence stands.")
    reason: str = Field(description="What made this revision.")
    changed_utc: Instant = Field(description="When this revision was made, by the clock of the data.")
    matcher: str = Field(description="Name of the matcher in the configuration.")
    trigger: TriggerDocument = Field(description="The trigger.")
    object: ObjectDocument = Field(description="The object.")
    delta_t_s: float = Field(
        description="First matching alert minus trigger time, seconds.", json_schema_extra=_in("s")
    )
    separation_deg: float = Field(
        ge=0,
        le=180,
        description="From the trigger's most probable position, degrees.",
        json_schema_extra=_in("deg"),
    )
    credible_level: float = Field(
        ge=0, le=1, description="Probability inside the contour on which the object lies: 0 at the peak, 1 far away."
    )
    probability_density_per_sr: float = Field(
        ge=0, description="Of the trigger's position at the object, per sr.", json_schema_extra=_in("sr-1")
    )
    overlap: float = Field(
        ge=0,
        description="4 pi times that density: Bayes factor of a common position against an unrelated one.",
        json_schema_extra=_from("Ashton et al. 2018, ApJ 860, 6"),
    )
    area_90_deg2: float = Field(
        ge=0,
        description="Area of the trigger's 90 % credible region, square degrees.",
        json_schema_extra=_in("deg2"),
    )
    provenance: ProvenanceDocument = Field(description="Which software, configuration and inputs.")
    changed: tuple[str, ...] = Field(
        (), description="What differs from the revision before, such as level or light_curve; since 1.2."
    )
    evidence: EvidenceDocument = Field(
        NO_EVIDENCE_DOCUMENT, description="What the light curve tells of the object; since 1.2."
    )
    statistics: StatisticsDocument | None = Field(None, description="What the coincidence is worth; since 1.2.")


class _Untitled(GenerateJsonSchema):
    """Leaves out the titles that pydantic makes of the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - its signature is pydantic's
        return False


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a coincidence, as it is published."""
    schema = CoincidenceDocument.model_json_schema(schema_generator=_Untitled)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
