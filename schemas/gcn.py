"""Notices in GCN's unified JSON, read by what all missions share; `schemas.gcn_topics` has what is particular to each.

Rules that hold for all topics:

- A notice is routed by its Kafka topic, else by its ``$schema``, else by the name of the file that it came in, else by
  its mission and instrument. One that no table knows is read as far as the shared fields go.
- ``alert_tense`` test makes a test, injection a mock, planned a prediction and commanded a utility notice; the last
  two are about no trigger.
- Where ``containment_probability`` is absent an error holds 90 %, unless the topic says otherwise.
- A map inside the notice comes before its circle or ellipse, and before the map that it links to.
- A notice that begins a trigger must say when it was; a retraction and an update may leave it to others.
"""

import base64
import binascii
import hashlib
import re
import reprlib
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Final
from urllib.parse import urlsplit

from schemas.bounded import is_gzip
from schemas.bounded_json import MAX_TEXT, Fields, Json, JsonObject, flat_params, parse_json_object
from schemas.errors import BadInput, BadNotice, Reason
from schemas.gcn_topics import BY_MISSION, RETRACTED_LAST, TOPICS, Topic, position
from schemas.localisation import InlineMap, Localisation
from schemas.records import Citation, Kind, Message, Messenger, Notice, Role
from schemas.references import trigger_id_of
from schemas.times import US_PER_S
from schemas.voevent import us_from_scale

FITS_MAGIC: Final = b"SIMPLE  ="
CONTENT_IVORNS: Final = "ivo://starcross.invalid/notices/"
"""Beginning of the identifiers that `content_ivorn` makes."""

_TOPIC: Final = re.compile(r"gcn\.notices\.([A-Za-z0-9_.-]+)")
_SCHEMA: Final = re.compile(r"/notices/([A-Za-z0-9_./-]+?)(?:\.schema)?\.json")
_PATH: Final = re.compile(r"(?:^|/)notices/([A-Za-z0-9_./-]+)")
_SHARED: Final = ("core.", "neutrino.")
"""Schemas of parts, which say nothing on who sends."""
_TEST: Final = "test"
"""Part of the names of topics for tests, such as ``icecube.test.gold_bronze_track_alerts``."""
_EVENT_FIELDS: Final = ("trigger_time", "id", "event_name", "observation_start", "ref_ID")
_KINDS: Final[Mapping[str, Kind]] = {
    "initial": Kind.INITIAL,
    "subsequent": Kind.UPDATE,
    "update": Kind.UPDATE,
    "retraction": Kind.RETRACTION,
}
_TENSES: Final[Mapping[str, Role]] = {
    "current": Role.OBSERVATION,
    "archival": Role.OBSERVATION,
    "planned": Role.PREDICTION,
    "injection": Role.MOCK,
    "commanded": Role.UTILITY,
    "test": Role.TEST,
}
_MESSENGERS: Final[Mapping[str, Messenger]] = {
    "gw": Messenger.GRAVITATIONAL_WAVE,
    "neutrino": Messenger.NEUTRINO,
}
_BANDS: Final[Mapping[str, Messenger]] = {"MHz": Messenger.RADIO, "nm": Messenger.OPTICAL}
_ENERGY_RANGES: Final = ("image_energy_range", "rate_energy_range", "spectral_band", "flux_spectral_band")
_X_RAY_KEV: Final = 20.0
_STAGE: Final = 10
_ID_LENGTH: Final = 100
_MAX_NAMES: Final = 20
MAX_LINKS: Final = 50


def read_gcn_json(message: Message) -> Notice:
    """Read a notice of GCN's unified JSON, of any mission.

    Raises
    ------
    BadNotice
        What `schemas.bounded_json.parse_json_object` refuses; what `gcn_notice` refuses.
    """
    try:
        record = parse_json_object(message.body)
    except BadInput as error:
        raise BadNotice(error.reason, error.detail) from error
    return gcn_notice(record, message)


def gcn_notice(record: JsonObject, message: Message) -> Notice:
    """Make a notice of a decoded JSON object.

    Raises
    ------
    BadNotice
        UNKNOWN_FORMAT if it is no notice, UNSUPPORTED if it is a circular, a JSON Schema or a survey's alert,
        MISSING_FIELD or BAD_TIME if it is about a trigger but does not say which or when.
    """
    fields = Fields(record)
    _refuse_others(fields, message)
    topic = topic_of(fields, message)
    ident = re.sub(r"\s+", "_", topic.ident(fields))[:_ID_LENGTH]
    role = _role(fields, topic)
    kind = _kind(fields)
    trigger_id = f"{topic.namespace}:{ident}" if topic.namespace and ident else None
    if role in {Role.UTILITY, Role.PREDICTION}:
        trigger_id = None
    elif topic.known and topic.namespace and not ident:
        raise BadNotice(Reason.MISSING_FIELD, f"{topic.name}: no identifier of the trigger, expected one in 'id'")
    issued_us = _instant(fields, "alert_datetime")
    time_us, time_error_s = _trigger_time(fields, topic, kind, needed=trigger_id is not None)
    inline = _inline_map(fields)
    significance, unit = _significance(fields, topic)
    far = fields.number("far")
    unordered = issued_us is None and "record_number" not in fields
    notice = Notice(
        message=message,
        notice_type=topic.name,
        ivorn=content_ivorn(topic.name, message.body),
        trigger_id=trigger_id,
        messenger=topic.messenger,
        mission=topic.mission,
        instrument=fields.text("instrument")[:_ID_LENGTH] or topic.instrument,
        role=role,
        kind=kind,
        stage=RETRACTED_LAST if kind is Kind.RETRACTION and (topic.staged or unordered) else _STAGE,
        serial=fields.integer("record_number") or 0,
        issued_us=issued_us,
        trigger_time_us=time_us,
        trigger_time_error_s=time_error_s,
        localisation=inline or position(fields, topic.containment),
        skymap_url=None if inline or kind is Kind.RETRACTION else _skymap_url(fields),
        names=_names(fields, ident),
        classification=fields.probabilities("classification"),
        significance=significance,
        significance_unit=unit,
        far_hz=far if far is not None and far >= 0 else None,
        links=_links(fields),
        citations=_citations(fields),
        related=_related(fields),
    )
    if topic.refine is not None:
        notice = topic.refine(fields, notice)
    return replace(
        notice,
        localisation=None if kind is Kind.RETRACTION else notice.localisation,
        params=flat_params(record),
        warnings=tuple(fields.warnings),
    )


def topic_of(fields: Fields, message: Message) -> Topic:
    """The topic that a notice belongs to, by what it came under or says of itself; one made for it if none is known."""
    found = _TOPIC.search(message.topic) or _SCHEMA.search(fields.text("$schema"))
    name = found[1].replace("/", ".").strip(".").lower()[:_ID_LENGTH] if found else ""
    if name and not name.startswith(_SHARED):
        parts = name.split(".")
        topic = known_topic(".".join(part for part in parts if part != _TEST)) or _unknown(fields, name)
        return replace(topic, role=Role.TEST) if _TEST in parts else topic
    for pattern in (_TOPIC, _PATH):
        if (path := pattern.search(message.origin)) and (known := known_topic(path[1].replace("/", ".").lower())):
            return known
    mission, instrument = fields.text("mission").casefold(), fields.text("instrument").casefold()
    for key in ((mission, instrument), (mission, ""), ("", instrument)):
        if any(key) and key in BY_MISSION and (key[0] or not mission):
            return TOPICS[BY_MISSION[key]]
    if "ref_ID" in fields and "n_events_coincident" in fields:
        return TOPICS["icecube.lvk_nu_track_search"]
    return _unknown(fields, "")


def known_topic(name: str) -> Topic | None:
    """The entry of the table whose key is the longest beginning of a topic's name, dot by dot."""
    parts = name.split(".")
    return next((TOPICS[key] for n in range(len(parts), 0, -1) if (key := ".".join(parts[:n])) in TOPICS), None)


def content_ivorn(name: str, body: bytes) -> str:
    """An identifier for a notice that has none: equal for the same bytes, different for others.

    It is made here, and its authority says so: nobody else's name is used for it.
    """
    return f"{CONTENT_IVORNS}{name}#{hashlib.sha256(body).hexdigest()[:16]}"


def fits_of_base64(text: Json) -> bytes:
    """A FITS file, gzipped or not, that was sent as base64.

    Raises
    ------
    ValueError
        If it is no text or no base64, or what is in it is no FITS file.
    """
    if not isinstance(text, str):
        raise ValueError(f"a {type(text).__name__}, expected base64")  # noqa: TRY004 - one kind of error for callers
    try:
        body = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"no base64: {error}") from None
    if not (body.startswith(FITS_MAGIC) or is_gzip(body)):
        raise ValueError(f"begins with {body[:10]!r}, expected a FITS file")
    return body


def is_link(value: Json) -> bool:
    """Whether it is the text of a web address."""
    return isinstance(value, str) and len(value) <= MAX_TEXT and value.startswith(("http://", "https://"))


def _refuse_others(fields: Fields, message: Message) -> None:
    schema = fields.text("$schema")
    if "json-schema.org" in schema:
        raise BadNotice(Reason.UNSUPPORTED, "a JSON Schema, which describes notices but is none")
    if "circularId" in fields or message.topic == "gcn.circulars" or "/circulars" in schema:
        raise BadNotice(Reason.UNSUPPORTED, "a GCN Circular, which is text for people")
    if message.topic == "gcn.heartbeat" or "heartbeat" in schema:
        raise BadNotice(Reason.UNKNOWN_FORMAT, "a heartbeat, which is no notice")
    if "candid" in fields and "objectId" in fields:
        raise BadNotice(Reason.UNSUPPORTED, "a survey's alert as JSON; survey alerts are read from Avro")
    if not any(name in fields for name in _EVENT_FIELDS) and not ("alert_datetime" in fields and "mission" in fields):
        keys = reprlib.repr(sorted(fields.record))
        raise BadNotice(
            Reason.UNKNOWN_FORMAT, f"a JSON object with the keys {keys}, expected one of {', '.join(_EVENT_FIELDS)}"
        )


def _unknown(fields: Fields, name: str) -> Topic:
    """A topic that nobody has seen: in a namespace of its mission."""
    mission = fields.text("mission")[:_ID_LENGTH] or name.partition(".")[0]
    namespace = _slug(name.partition(".")[0] or mission)
    return Topic(
        name=name or namespace or "unknown",
        mission=mission,
        messenger=_messenger(fields),
        namespace=namespace,
        known=False,
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _messenger(fields: Fields) -> Messenger:
    """By what the notice says, else by its spectral band: what is seen up to 20 keV only counts as X-rays."""
    named = _MESSENGERS.get(fields.text("messenger").casefold()) or _BANDS.get(fields.text("spectral_band_units"))
    if named is not None:
        return named
    highest = max((max(band) for name in _ENERGY_RANGES if (band := fields.numbers(name))), default=None)
    if highest is None:
        return Messenger.UNKNOWN
    return Messenger.X_RAY if highest <= _X_RAY_KEV else Messenger.GAMMA_RAY


def _role(fields: Fields, topic: Topic) -> Role:
    tense = fields.text("alert_tense").casefold()
    if tense and tense not in _TENSES:
        fields.warn(f"alert_tense {tense[:40]!r} is unknown; taken as current")
    role = _TENSES.get(tense, Role.OBSERVATION)
    return topic.role if role is Role.OBSERVATION else role


def _kind(fields: Fields) -> Kind:
    sent = fields.text("alert_type").casefold()
    if sent and sent not in _KINDS:
        fields.warn(f"alert_type {sent[:40]!r} is unknown; taken as an update")
        return Kind.UPDATE
    return _KINDS.get(sent, Kind.INITIAL)


def _instant(fields: Fields, name: str) -> int | None:
    text = fields.text(name)
    try:
        return us_from_scale(text, "UTC") if text else None
    except ValueError:
        fields.warn(f"{name} {text[:60]!r} is no ISO 8601 date and time of this age")
        return None


def _trigger_time(fields: Fields, topic: Topic, kind: Kind, *, needed: bool) -> tuple[int | None, float | None]:
    """When it was, and the error in s; where only an observation's span is given, its start and length."""
    time_us = _instant(fields, "trigger_time")
    error = max((abs(value) for value in fields.numbers("trigger_time_error")), default=0.0) or None
    start_us, stop_us = _instant(fields, "observation_start"), _instant(fields, "observation_stop")
    if time_us is None and "trigger_time" not in fields and start_us is not None:
        fields.warn("there is no trigger_time; the start of the observation is used")
        time_us = start_us
        error = (stop_us - start_us) / US_PER_S if stop_us is not None and stop_us > start_us else None
    if (
        time_us is None
        and needed
        and kind is not Kind.RETRACTION
        and ("trigger_time" in fields or kind is Kind.INITIAL)
    ):
        sent = fields.text("trigger_time")[:60]
        raise BadNotice(Reason.BAD_TIME, f"{topic.name}: trigger_time is {sent!r}, expected ISO 8601")
    return time_us, error


def _inline_map(fields: Fields) -> Localisation | None:
    text = fields.record.get("healpix_file")
    if text is None or text == "":
        return None
    try:
        return InlineMap(fits_of_base64(text))
    except ValueError as error:
        fields.warn(f"healpix_file is no sky map: {error}")
        return None


def _skymap_url(fields: Fields) -> str | None:
    url = fields.text("healpix_url")
    if not url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.path.strip("/") or parts.path.endswith("/"):
        fields.warn(f"healpix_url {url[:80]!r} is no link to a file")
        return None
    return url


def _names(fields: Fields, ident: str) -> tuple[str, ...]:
    names = (*fields.texts("event_name"), *fields.texts("id"), *fields.texts("known_source"))
    return tuple(name for name in dict.fromkeys(name[:_ID_LENGTH] for name in names) if name != ident)[:_MAX_NAMES]


def _significance(fields: Fields, topic: Topic) -> tuple[float | None, str]:
    for name, unit in topic.significance:
        if number := fields.number(name):
            return number, unit
    return None, ""


def _links(fields: Fields) -> dict[str, str]:
    found = {name: value for name, value in fields.record.items() if is_link(value) and name != "$schema"}
    return dict(islice(found.items(), MAX_LINKS))


def _related(fields: Fields) -> tuple[str, ...]:
    """The triggers that it follows up, as far as it says whose they are."""
    instrument = " ".join(fields.text(name) for name in ("ref_instrument", "ref_type"))
    named = [(fields.text("ref_ID"), instrument), (fields.text("follow_up_event"), "")]
    references = fields.inner("reference")
    named += [(references.text(source), source) for source in references.record]
    found = [trigger_id_of(name, observatory) for name, observatory in named if name]
    return tuple(dict.fromkeys(ident for ident in found if ident))[:_MAX_NAMES]


def _citations(fields: Fields) -> tuple[Citation, ...]:
    found = [Citation(ident, "followup") for name in ("ref_ID", "follow_up_event") if (ident := fields.text(name))]
    references = fields.inner("reference")
    found.extend(Citation(ident, "followup") for name in references.record if (ident := references.text(name)))
    return tuple(dict.fromkeys(found))[:_MAX_NAMES]
