"""VOEvents of any sender, read as notices.

The kind of a notice is looked up in the tables by packet type or stream; what no table knows is read as far as the
generic fields go.

Rules that hold for all kinds:

- ``role`` counts as sent, so GBM's sub-threshold candidates before 2023, real ones sent as tests, stay tests: what an
  observatory calls a test is never published as an observation. A test flag in the packet makes a test of an
  observation. No utility and no prediction is about a trigger.
- Right ascensions outside 0 to 360 deg, declinations beyond 90 deg, radii below 0 or above 90 deg, and (0, 0) with
  radius 0 or none (MAXI: with any radius) stand for "no position".
- A notice of a trigger must say when the trigger was, unless its kind leaves that to other notices or it is a
  retraction. Where ISOTime is unreadable the truncated Julian day and second of day in the Params are used.
"""

import re
from dataclasses import replace
from typing import Final

from schemas.classic_fermi import FERMI
from schemas.classic_gamma import GAMMA
from schemas.classic_other import GRAVITATIONAL_WAVE, NEUTRINO, SVOM
from schemas.classic_swift import SWIFT
from schemas.errors import BadNotice, Reason
from schemas.localisation import Cone
from schemas.notice_types import Draft, NoticeType, NoticeTypes
from schemas.records import Kind, Message, Messenger, Notice, Role
from schemas.streams import STREAMS
from schemas.times import MJD_UNIX_EPOCH, US_PER_DAY, US_PER_S, iso_from_us
from schemas.voevent import VOEvent, parse_voevent
from schemas.voevent_relay import conversion_in

PACKET_TYPES: Final[NoticeTypes] = {**FERMI, **SWIFT, **GAMMA, **NEUTRINO, **GRAVITATIONAL_WAVE, **SVOM}
"""Every classic kind of notice that is known, by GCN's packet type."""

_PACKET_TYPE_SENDERS: Final = ("nasa.gsfc.gcn", "gwnet/", "org.svom/")
_ROLES: Final = {role.value: role for role in (Role.OBSERVATION, Role.PREDICTION, Role.UTILITY, Role.TEST)}
_TEST_FLAGS: Final = ("Test", "Test_Submission", "Test_Notice", "InternalTest")
_RETRACTION_FLAGS: Final = ("Retraction", "RetractFlag", "retraction")
_NO_BURST_FLAGS: Final = ("Def_NOT_a_GRB", "Definite_NOT_GRB", "NonGRB")
_DOUBT_FLAGS: Final = {
    "Values_Out_of_Range": "the sender marks values as out of range",
    "CRC_Error": "the sender marks a transmission error",
}
_NO_SOURCE: Final = {"unavailable/inappropriate", "pointing_direction"}
_NO_ID: Final = {"", "none", "null", "-1", "0", "99999", "16777215"}
_GENERIC_IDS: Final = ("TrigID", "Trigger_Number", "id", "ID", "event_name", "AMON_ID")
_GENERIC_SERIALS: Final = ("Rev", "rev", "Record_Num", "record_number", "Sequence_Num")
_CONCEPTS: Final = (
    ("neutrino", Messenger.NEUTRINO),
    ("gravit", Messenger.GRAVITATIONAL_WAVE),
    ("em.gamma", Messenger.GAMMA_RAY),
    ("em.x-ray", Messenger.X_RAY),
    ("em.opt", Messenger.OPTICAL),
    ("em.radio", Messenger.RADIO),
)
_TJD_EPOCH_MJD: Final = 40_000
_DATE_PARAMS: Final = (("EVENT_DATE", "EVENT_TIME"), ("Discovery_date", "Discovery_time"), ("TJD", "SOD"))
_YEAR_S: Final = 365.25 * 86_400
_ARCMIN_DEG: Final = 1 / 60
_MAX_RADIUS_DEG: Final = 90.0
_BURST_NAME: Final = re.compile(r"GRB \d{6}[A-Z]?")
_ID_LENGTH: Final = 100
_REPLACING: Final = {"supersedes", "retraction"}
_MAX_SERIAL: Final = 2**31 - 1


def read_voevent(message: Message) -> Notice:
    """Read a VOEvent of any version, sender and kind.

    Raises
    ------
    BadNotice
        What `schemas.voevent.parse_voevent` raises; BAD_TIME if it is about a trigger and nothing in it says when that
        was.
    """
    event = parse_voevent(message.body)
    converted = conversion_in(event, message)
    if converted is not None:
        return replace(converted, links=_links(event), params=_params(event))
    kind = _kind_of_notice(event, message)
    draft = Draft(warnings=list(event.warnings), citations=list(event.citations), instrument=kind.instrument)
    draft.role = _role(event, draft)
    draft.ident = _ident(event, kind)
    draft.stage = kind.stage
    draft.serial = _serial(event, kind)
    draft.localisation = _localisation(event, kind, draft)
    draft.links = _links(event)
    _name(event, kind, draft)
    _significance(event, kind, draft)
    draft.kind = _kind(event, kind)
    if kind.timed:
        _time(event, draft)
    if kind.refine is not None:
        kind.refine(event, draft)
    _flags(event, draft)
    trigger_id = _trigger_id(kind, draft)
    if kind.local_id:
        draft.aliases.extend(_superseded(event))
    if trigger_id and kind.timed and draft.time_us is None and draft.kind is not Kind.RETRACTION:
        sent = event.place.time_text[:60]
        raise BadNotice(
            Reason.BAD_TIME,
            f"{kind.name} about {trigger_id}: no usable trigger time (ISOTime is {sent!r}), expected ISO 8601",
        )
    if draft.kind is Kind.RETRACTION:
        draft.localisation = None
    return Notice(
        message=message,
        notice_type=kind.name,
        ivorn=event.ivorn,
        trigger_id=trigger_id,
        messenger=kind.messenger,
        mission=kind.mission,
        instrument=draft.instrument,
        role=draft.role,
        kind=draft.kind,
        stage=draft.stage,
        serial=draft.serial,
        issued_us=event.issued_us,
        trigger_time_us=draft.time_us,
        trigger_time_error_s=draft.time_error_s,
        localisation=draft.localisation,
        skymap_url=draft.skymap_url,
        names=tuple(dict.fromkeys(draft.names)),
        astrophysical=draft.astrophysical,
        classification=draft.classification,
        significance=draft.significance,
        significance_unit=draft.significance_unit,
        far_hz=draft.far_hz,
        links=draft.links,
        citations=tuple(draft.citations),
        params=_params(event),
        warnings=tuple(draft.warnings),
        aliases=() if trigger_id is None else tuple(f"{kind.namespace}:{alias}" for alias in draft.aliases),
        related=tuple(dict.fromkeys(draft.related)),
    )


def _kind_of_notice(event: VOEvent, message: Message) -> NoticeType:
    stream = event.stream
    number = event.number("Packet_Type")
    if number is not None and stream.startswith(_PACKET_TYPE_SENDERS):
        known = PACKET_TYPES.get(int(number))
        if known is not None:
            return known
    for beginning, kind in STREAMS.items():
        if stream.startswith(beginning):
            return kind
    return _unknown(event, message)


def _unknown(event: VOEvent, message: Message) -> NoticeType:
    """A kind that nobody has seen: named by its topic or stream, in a namespace of its mission."""
    mission = event.ivorn.partition("://")[2] or event.ivorn
    mission = re.split(r"[#?]", mission, maxsplit=1)[0].strip("/")
    if mission.lower().startswith("nasa.gsfc.gcn/"):
        mission = mission.partition("/")[2]
    topic = message.topic.rpartition("gcn.classic.voevent.")[2]
    number = event.values.get("Packet_Type")
    name = topic or (f"{mission} type {number}" if number else mission)
    concepts = " ".join(event.concepts).lower()
    messenger = next((m for word, m in _CONCEPTS if word in concepts), Messenger.UNKNOWN)
    return NoticeType(
        name=name[:_ID_LENGTH] or "unknown",
        mission=mission[:_ID_LENGTH] or "unknown",
        messenger=messenger,
        namespace=re.sub(r"[^a-z0-9]+", "-", mission.lower()).strip("-")[:_ID_LENGTH] or "unknown",
        id_params=_GENERIC_IDS,
        serial_params=_GENERIC_SERIALS,
        assumed=True,
    )


def _role(event: VOEvent, draft: Draft) -> Role:
    sent = event.role.lower()
    role = _ROLES.get(sent, Role.UTILITY) if sent else Role.OBSERVATION
    if sent and sent not in _ROLES:
        draft.warnings.append(f"role {event.role[:40]!r} is none of the four of the standard; taken as utility")
    if role is Role.OBSERVATION:
        for flag in _TEST_FLAGS:
            if event.flag(flag):
                draft.warnings.append(f"the role is observation but {flag} is set; taken as a test")
                return Role.TEST
    return role


def _ident(event: VOEvent, kind: NoticeType) -> str | None:
    for name in kind.id_params:
        text = _clean_id(event.values.get(name, ""))
        if (text.lstrip("0") or "0").lower() not in _NO_ID:
            return text
    if kind.local_id:
        return _clean_id(event.local_id) or None
    return None


def _trigger_id(kind: NoticeType, draft: Draft) -> str | None:
    if not kind.namespace or not draft.ident or draft.role in {Role.UTILITY, Role.PREDICTION}:
        return None
    return f"{kind.namespace}:{draft.ident[:_ID_LENGTH]}"


def _superseded(event: VOEvent) -> list[str]:
    """Local parts of what it replaces in its own stream: where they are the triggers' ids, these are one trigger."""
    cited = [VOEvent(citation.ivorn) for citation in event.citations if citation.relation in _REPLACING]
    return [_clean_id(old.local_id) for old in cited if old.stream == event.stream and old.local_id]


def _clean_id(text: str) -> str:
    return re.sub(r"\s+", "_", text)[:_ID_LENGTH]


def _serial(event: VOEvent, kind: NoticeType) -> int:
    for name in kind.serial_params:
        number = event.number(name)
        if number is not None:
            return max(0, min(int(number), _MAX_SERIAL))
    return 0


def _kind(event: VOEvent, kind: NoticeType) -> Kind:
    relations = {citation.relation for citation in event.citations}
    if kind.retracts or "retraction" in relations or any(event.flag(flag) for flag in _RETRACTION_FLAGS):
        return Kind.RETRACTION
    revised = kind.follows or event.flag("Updated_Notice") or relations & {"followup", "supersedes"}
    revision = kind.serial_params in {("Rev",), ("Rev", "rev"), ("Record_Num",)} and _serial(event, kind) > 0
    return Kind.UPDATE if revised or revision else Kind.INITIAL


def _flags(event: VOEvent, draft: Draft) -> None:
    for flag in _NO_BURST_FLAGS:
        if event.flag(flag):
            draft.astrophysical = False
            draft.warnings.append(f"the sender says that this is no burst ({flag})")
            break
    draft.warnings.extend(text for flag, text in _DOUBT_FLAGS.items() if event.flag(flag))


def _time(event: VOEvent, draft: Draft) -> None:
    place = event.place
    draft.time_us, draft.time_error_s = place.time_us, place.time_error_s
    if draft.time_us is None:
        draft.time_us = _time_of_params(event)
        if draft.time_us is not None:
            draft.warnings.append(f"the time is that of the Params, {iso_from_us(draft.time_us)}")
    if draft.time_us is not None and event.issued_us is not None and draft.time_us > event.issued_us + US_PER_DAY:
        draft.warnings.append("the event is more than a day later than the notice")


def _time_of_params(event: VOEvent) -> int | None:
    """The truncated Julian day and second of day, if they are possible and not after the notice."""
    pairs = [(f"{name[:-4]}_TJD", f"{name[:-4]}_SOD") for name in event.values if name.endswith("_TJD")]
    for date, time in (*pairs, *_DATE_PARAMS):
        day, second = event.number(date), event.number(time)
        if date.startswith("Pkt_") or day is None or second is None:
            continue
        if not 0 < day < 10 * _TJD_EPOCH_MJD or not 0 <= second <= 86_401:  # noqa: PLR2004 - a day with its leap second
            continue
        instant = int(day + _TJD_EPOCH_MJD - MJD_UNIX_EPOCH) * US_PER_DAY + round(second * US_PER_S)
        if event.issued_us is None or instant <= event.issued_us + US_PER_DAY:
            return instant
    return None


def _localisation(event: VOEvent, kind: NoticeType, draft: Draft) -> Cone | None:
    place = event.place
    ra, dec = place.ra_deg, place.dec_deg
    if ra is None or dec is None or not (kind.positioned or kind.namespace):
        return None
    radius, containment = _radius(event, kind)
    problem = _no_position(event, ra, dec, radius)
    if not problem and ra == 0 and dec == 0 and (kind.blank_origin or not radius):
        problem = "RA 0, Dec 0 stands for none"
    if problem:
        draft.warnings.append(f"no position: {problem}")
        return None
    if not kind.positioned:
        return None
    if not radius:
        radius = kind.floor_deg(event) if callable(kind.floor_deg) else kind.floor_deg
        if radius is None:
            draft.warnings.append("no position: there is no error radius")
            return None
        draft.warnings.append(f"there is no error radius; the instrument's {radius * 3600:.3g} arcsec is used")
    elif kind.assumed:
        draft.warnings.append(f"the sender does not say what the error radius contains; {containment:.0%} is assumed")
    return Cone(ra % 360.0, dec, radius, containment, kind.systematics)


def _radius(event: VOEvent, kind: NoticeType) -> tuple[float | None, float]:
    for name, containment in kind.radii:
        radius = event.number(name)
        if radius is not None and radius > 0:
            return radius * (_ARCMIN_DEG if "arcmin" in event.units[name] else 1.0), containment
    return event.place.radius_deg, kind.containment


def _no_position(event: VOEvent, ra: float, dec: float, radius: float | None) -> str:
    """Why these numbers are no position; empty if they are one."""
    coords = event.values.get("Coords_String", "")
    if coords in _NO_SOURCE:
        return f"the coordinates are of the type {coords}"
    if not 0 <= ra <= 360 or not -90 <= dec <= 90:  # noqa: PLR2004 - degrees
        return f"RA {ra:g}, Dec {dec:g} is not on the sky"
    if radius is not None and not 0 <= radius <= _MAX_RADIUS_DEG:
        return f"error radius {radius:g} deg is not within 0 to {_MAX_RADIUS_DEG:g}"
    return ""


def _significance(event: VOEvent, kind: NoticeType, draft: Draft) -> None:
    for name, unit in kind.significance:
        number = event.number(name)
        if number:
            draft.significance, draft.significance_unit = number, unit
            break
    rate = event.number("FAR")
    if rate is not None and rate >= 0:
        unit = event.units["FAR"].lower()
        per_year = "yr" in unit or "year" in unit or (kind.far_per_year and "hz" not in unit)
        draft.far_hz = rate / _YEAR_S if per_year else rate


def _links(event: VOEvent) -> dict[str, str]:
    web = ("http://", "https://")  # a Reference may name anything, ``javascript:`` too
    links = {p.name: p.value for p in reversed(event.params) if p.value.startswith(web)}
    for number, url in enumerate(url for url in dict.fromkeys(event.references) if url.startswith(web)):
        links[f"reference {number + 1}" if number else "reference"] = url
    return dict(reversed(links.items()))


def _name(event: VOEvent, kind: NoticeType, draft: Draft) -> None:
    """Names in Why; Swift's are of the day only (``GRB 140430``) and broken where the time is."""
    if not kind.namespace:
        return
    for name in event.names:
        clean = " ".join(name.split())
        if clean.startswith("GRB") and not _BURST_NAME.fullmatch(clean):
            continue
        if clean not in {"(null)", "Noise", ""}:
            draft.names.append(clean[:_ID_LENGTH])


def _params(event: VOEvent) -> dict[str, str]:
    params: dict[str, str] = {}
    for param in event.params:
        name = param.name if param.name not in params else f"{param.group}/{param.name}"
        params.setdefault(name, param.value)
    return params
