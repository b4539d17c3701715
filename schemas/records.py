"""The records that pass between the floors.

Units are in the names. Every instant is UTC, as integer microseconds since 1970-01-01T00:00:00
(``_us``; leap seconds are not counted, as in POSIX time) in columns and records alike;
`schemas.times` converts. Every position is ICRS in degrees; a pixel is an order-29 NESTED
HEALPix index. ``None`` (NaN in a float column) means that the sender did not say.

The page is long because the records are one vocabulary, to be read in one place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from schemas.annotations import Annotation
from schemas.localisation import Localisation
from schemas.sky import Region, SkyMap, pixels_of
from schemas.statistics import NO_EVIDENCE, LightCurveEvidence, Statistics

Bools = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
Strings = NDArray[np.str_]

NEVER_US = -(2**63)
"""The instant of what never happened, in a column."""


class Messenger(StrEnum):
    """What carried the news."""

    GAMMA_RAY = "gamma-ray"
    X_RAY = "x-ray"
    NEUTRINO = "neutrino"
    GRAVITATIONAL_WAVE = "gravitational-wave"
    OPTICAL = "optical"
    RADIO = "radio"
    UNKNOWN = "unknown"


class Role(StrEnum):
    """Whether a notice speaks of the real sky."""

    OBSERVATION = "observation"
    PREDICTION = "prediction"
    UTILITY = "utility"
    TEST = "test"
    MOCK = "mock"


class Kind(StrEnum):
    """What a notice does to its trigger."""

    INITIAL = "initial"
    UPDATE = "update"
    RETRACTION = "retraction"


class State(StrEnum):
    """Where a coincidence stands after a revision."""

    PROPOSED = "proposed"
    UPDATED = "updated"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it arrived.

    Attributes
    ----------
    body
        The raw bytes.
    origin
        Where it came from, for a person and for provenance: ``night.tar.gz/1234.avro`` or
        ``topic[partition]@offset``. Never an absolute path of this machine.
    topic
        The Kafka topic, empty where there is none.
    """

    body: bytes = field(repr=False)
    origin: str
    topic: str = ""


@dataclass(frozen=True, slots=True)
class Rejection:
    """An input, or a part of one, that could not be read."""

    origin: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch of messages: how many were taken, and which were not, and why."""

    accepted: int
    rejected: tuple[Rejection, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Alerts:
    """Alerts of one survey, as columns of equal length.

    Attributes
    ----------
    survey
        Name of the survey, ``ztf`` or ``lsst``.
    alert_id
        The survey's number of the packet's detection; unique within the survey.
    object_id
        What the survey calls the object.
    time_us
        Instant of the detection as the survey gives it (ZTF: start of the exposure).
    ra_deg, dec_deg
        ICRS position of this detection.
    pixel
        Order-29 NESTED HEALPix index of the position.
    mag, mag_err
        PSF magnitude (AB) and its error; NaN if unknown.
    band
        Name of the filter, such as ``g``.
    first_detection_us
        The earliest detection of the object that the packet knows of, this one included.
    last_non_detection_us
        The latest visit before this detection that, by the packet, did not see the object; `NEVER_US` if it
        tells of none.
    reliability
        Real-bogus score, 0 to 1; NaN if unknown.
    bad_pixels
        Number of bad pixels or of bad-pixel flags at the source; NaN if unknown.
    ap_minus_psf_mag
        Aperture minus PSF magnitude; NaN if unknown.
    gaia_arcsec, ps1_arcsec
        Distance of the nearest Gaia and Pan-STARRS source; NaN where there is none.
    star_galaxy
        Of that Pan-STARRS source: 0 for a galaxy, 1 for a star; NaN if unknown.
    solar_system_arcsec
        Distance of the nearest known solar-system object; NaN where there is none.
    origin
        Where each alert was read, as in `Message.origin`.
    """

    survey: str
    alert_id: Ints
    object_id: Strings
    time_us: Ints
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    pixel: Ints
    mag: NDArray[np.float32]
    mag_err: NDArray[np.float32]
    band: Strings
    first_detection_us: Ints
    last_non_detection_us: Ints
    reliability: NDArray[np.float32]
    bad_pixels: NDArray[np.float32]
    ap_minus_psf_mag: NDArray[np.float32]
    gaia_arcsec: NDArray[np.float32]
    ps1_arcsec: NDArray[np.float32]
    star_galaxy: NDArray[np.float32]
    solar_system_arcsec: NDArray[np.float32]
    origin: Strings

    @classmethod
    def from_columns(cls, survey: str, **columns: Sequence[Any] | NDArray[Any]) -> Self:
        """Make alerts of lists or arrays; `pixel` is computed, absent float columns become NaN, and without
        `last_non_detection_us` there was none.

        Raises
        ------
        ValueError
            If columns differ in length or are unknown.

        Examples
        --------
        >>> alerts = Alerts.from_columns(
        ...     "ztf", alert_id=[7], object_id=["ZTF20aaaaaaa"], time_us=[0], ra_deg=[45.0], dec_deg=[0.0]
        ... )
        >>> len(alerts), float(alerts.mag[0])
        (1, nan)
        """
        n = len(columns["alert_id"])
        made: dict[str, NDArray[Any]] = {}
        for name, dtype in COLUMNS.items():
            if name in columns:
                made[name] = np.asarray(columns.pop(name), dtype=dtype)
            elif name == "pixel":
                made[name] = pixels_of(made["ra_deg"], made["dec_deg"])
            elif dtype is np.float32:
                made[name] = np.full(n, np.nan, np.float32)
            elif name == "last_non_detection_us":
                made[name] = np.full(n, NEVER_US, np.int64)
            else:
                made[name] = np.zeros(n, dtype)
        if columns:
            raise ValueError(f"unknown columns of alerts: {', '.join(sorted(columns))}")
        if any(len(column) != n for column in made.values()):
            raise ValueError(f"columns of {survey} alerts differ in length")
        return cls(survey=survey, **made)

    def __len__(self) -> int:
        return len(self.alert_id)

    def columns(self) -> dict[str, NDArray[Any]]:
        """All columns by name, without copying."""
        return {name: getattr(self, name) for name in COLUMNS}

    def take(self, rows: Ints | Bools | slice) -> Self:
        """These rows (indices, a mask or a slice) as new alerts."""
        return type(self)(self.survey, **{k: v[rows] for k, v in self.columns().items()})

    def with_first_detection(self, first_detection_us: Ints) -> Self:
        """The same alerts with what is known of their objects' first detections."""
        return type(self)(self.survey, **(self.columns() | {"first_detection_us": first_detection_us}))

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Several batches of one survey as one, in order. At least one part is needed."""
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
        return cls(parts[0].survey, **columns)


COLUMNS: dict[str, type] = {
    "alert_id": np.int64,
    "object_id": np.str_,
    "time_us": np.int64,
    "ra_deg": np.float64,
    "dec_deg": np.float64,
    "pixel": np.int64,
    "mag": np.float32,
    "mag_err": np.float32,
    "band": np.str_,
    "first_detection_us": np.int64,
    "last_non_detection_us": np.int64,
    "reliability": np.float32,
    "bad_pixels": np.float32,
    "ap_minus_psf_mag": np.float32,
    "gaia_arcsec": np.float32,
    "ps1_arcsec": np.float32,
    "star_galaxy": np.float32,
    "solar_system_arcsec": np.float32,
    "origin": np.str_,
}
"""Column names of `Alerts`, in order, with their types."""


@dataclass(frozen=True, slots=True)
class Citation:
    """A notice's reference to another: an IVORN (or identifier) and how they relate."""

    ivorn: str
    relation: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One message of an observatory about a trigger.

    Attributes
    ----------
    message
        The raw message.
    notice_type
        What the sender calls this kind of message: ``FERMI_GBM_FLT_POS``, ``icecube.gold...``.
    ivorn
        The VOEvent's IVORN, or an identifier made of topic and content for other formats. Equal for a
        redelivery of the same notice, different for another notice.
    trigger_id
        ``<mission>:<the observatory's own identifier>``, such as ``fermi-gbm:600117987``; the same
        for the classic and the JSON form. None if the notice is about no trigger (a pointing,
        a heartbeat, a test of the line).
    names
        Further names of the trigger: ``bn200107...``, ``GRB 200107A``.
    aliases
        Other ids of the same trigger, formed as ``trigger_id`` and of its namespace: ``fermi-gbm:bn200107123``.
    related
        Ids of other triggers that the sender says are the same event: ``lvk:S230518h``.
    messenger, mission, instrument
        Who saw what: ``Messenger.GAMMA_RAY``, ``Fermi``, ``GBM``.
    role, kind
        Whether it is real, and whether it begins, updates or retracts the trigger.
    stage, serial
        Order among the notices of a trigger: a higher stage (alert < flight < ground < final,
        BAT < XRT < UVOT) wins, then the higher serial (revision) number, then the later issue.
    issued_us
        When it was sent; None if it does not say.
    trigger_time_us, trigger_time_error_s
        When the event was.
    localisation
        What it says of the position; None if it gives none.
    skymap_url
        Link to a sky map that replaces ``localisation`` once it is there; None if there is none.
    astrophysical
        False if the observatory says that this is no burst (or no astrophysical event) after all; None if
        it does not say.
    classification
        Probabilities by class as reported, 0 to 1: ``{"BNS": 0.9}``.
    significance, significance_unit
        As reported: 12.3 and ``sigma``, or 0.6 and ``signalness``.
    far_hz
        False-alarm rate per second.
    links
        Named URLs.
    citations
        Other notices that it refers to.
    params
        Everything else that was read, by name, as text; for `inspect`.
    warnings
        What was odd about it but did not hinder reading.
    private_to
        The owner who alone may see what comes of it; empty if everybody may.
    """

    message: Message
    notice_type: str
    ivorn: str
    trigger_id: str | None
    messenger: Messenger
    mission: str
    instrument: str
    role: Role
    kind: Kind
    stage: int = 0
    serial: int = 0
    issued_us: int | None = None
    trigger_time_us: int | None = None
    trigger_time_error_s: float | None = None
    localisation: Localisation | None = None
    skymap_url: str | None = None
    names: tuple[str, ...] = ()
    astrophysical: bool | None = None
    classification: Mapping[str, float] = field(default_factory=dict)
    significance: float | None = None
    significance_unit: str = ""
    far_hz: float | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    citations: tuple[Citation, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()
    private_to: str = ""
    aliases: tuple[str, ...] = ()
    related: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """Another trigger that is the same event.

    Attributes
    ----------
    id, names, messenger, mission, instrument
        Of the other trigger.
    by
        What links them: ``time and sky``, ``cited`` by an observatory, or ``through others`` that are linked with both.
    delta_t_s
        The other's time minus this one's.
    overlap
        4 pi times the integral of the product of both densities: Bayes factor of a common position.
    far_per_year
        Joint false-alarm rate in time and sky; None where an input of it is unknown.
    """

    id: str
    names: tuple[str, ...]
    messenger: str
    mission: str
    instrument: str
    by: str
    delta_t_s: float
    overlap: float
    far_per_year: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Trigger:
    """One astrophysical event as its notices tell it so far.

    Attributes
    ----------
    id
        As `Notice.trigger_id`.
    revision
        1 for the first state, one more with each notice that changed it.
    notice
        The newest notice, by the trigger's own order.
    localised_by
        The notice that gave the position in use; None without a position.
    skymap
        The density of the position; None while there is none.
    retracted
        True once the observatory has taken it back.
    astrophysical
        False if it turned out to be no burst or no event.
    test
        True if any of its notices is a test or a mock.
    related
        Ids of other triggers that an observatory says are the same event, sorted.
    private_to
        As in `Notice`.
    linked
        Other triggers that are the same event, sorted by id; ``skymap`` is then the product of all their densities.
    """

    id: str
    messenger: Messenger
    mission: str
    instrument: str
    time_us: int
    time_error_s: float | None
    revision: int
    notice: Notice
    localised_by: Notice | None = None
    skymap: SkyMap | None = None
    retracted: bool = False
    astrophysical: bool | None = None
    test: bool = False
    names: tuple[str, ...] = ()
    classification: Mapping[str, float] = field(default_factory=dict)
    significance: float | None = None
    significance_unit: str = ""
    far_hz: float | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    linked: tuple[Link, ...] = ()
    private_to: str = ""
    related: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """Where and when a matcher looks for alerts of a trigger. Both ends of the time are included."""

    start_us: int
    end_us: int
    region: Region


@dataclass(frozen=True, slots=True)
class TriggerSummary:
    """What a coincidence says of its trigger."""

    id: str
    names: tuple[str, ...]
    messenger: str
    mission: str
    instrument: str
    time_us: int
    revision: int
    notice_ivorn: str
    notice_origin: str
    localisation_model: str
    far_hz: float | None
    significance: float | None
    significance_unit: str
    test: bool
    links: Mapping[str, str]
    classification: Mapping[str, float] = field(default_factory=dict)
    linked: tuple[Link, ...] = ()
    private_to: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One point of a light curve: a stored alert; None where the packet does not say."""

    alert_id: int
    time_us: int
    band: str
    mag: float | None
    mag_err: float | None


@dataclass(frozen=True, slots=True)
class ObjectSummary:
    """What a coincidence says of its object; magnitude and band are of the latest matching alert,
    the position is that of the first. The light curve is that of all its stored alerts inside the window, by time.
    The last non-detection is the latest visit before the first detection that did not see it, as the packets tell."""

    survey: str
    object_id: str
    alert_ids: tuple[int, ...]
    ra_deg: float
    dec_deg: float
    first_detection_us: int
    first_match_us: int
    last_match_us: int
    mag: float | None
    mag_err: float | None
    band: str
    light_curve: tuple[Measurement, ...] = ()
    last_non_detection_us: int | None = None
    annotations: tuple[Annotation, ...] = ()


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which software, configuration and inputs made a coincidence."""

    software: str
    config_hash: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Coincidence:
    """An object and a trigger that a matcher put together, at one revision.

    Attributes
    ----------
    id
        Deterministic: made of matcher, trigger, survey and object.
    revision
        1 when first proposed, one more with each change.
    state, reason
        Where it stands, and what made this revision.
    changed_us
        The data's clock when this revision was made.
    delta_t_s
        First matching detection minus trigger time.
    separation_deg
        From the localisation's most probable position to the first matching detection.
    credible_level
        Probability inside the contour on which the position lies: 0 peak, 1 far side.
    probability_density_per_sr
        Of the trigger's localisation at the position.
    overlap
        4 pi times that density: Bayes factor of a common origin against an isotropic one
        (Ashton et al. 2018, ApJ 860, 6).
    area_90_deg2
        Area of the trigger's 90 % credible region.
    changed
        What is different from the revision before, sorted, such as ``level`` and ``light_curve``; empty in the first.
    evidence
        What the light curve tells.
    statistics
        What it is worth; None in what was written before there were any.
    """

    id: str
    revision: int
    state: State
    reason: str
    changed_us: int
    matcher: str
    trigger: TriggerSummary
    object: ObjectSummary
    delta_t_s: float
    separation_deg: float
    credible_level: float
    probability_density_per_sr: float
    overlap: float
    area_90_deg2: float
    provenance: Provenance
    changed: tuple[str, ...] = ()
    evidence: LightCurveEvidence = NO_EVIDENCE
    statistics: Statistics | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """A revision of a coincidence on its way to a sink.

    Attributes
    ----------
    substreams
        Those of the sink that it belongs to, sorted.
    packet
        The survey's own packet of the latest matching alert, untouched, where it is kept and was asked for.
    """

    coincidence: Coincidence
    substreams: tuple[str, ...]
    packet: bytes | None = field(default=None, repr=False)


assert tuple(COLUMNS) == tuple(f.name for f in fields(Alerts) if f.name != "survey")  # noqa: S101
