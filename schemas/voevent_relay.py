"""Notices that came as JSON, converted to VOEvent 2.0 packets of our own; and such packets, of whomever, read back.

A packet is a function of the notice, its author, the packet before and the software's name alone. It says in How and
in the Param ``conversion`` that it is a conversion and by whom. Who/Date is when the observatory sent the notice, and
is left out where it does not say. A sky map is linked, never embedded; a position stands in WhereWhen only where the
notice gives one itself: of an ellipse, Error2Radius is the semi-major axis.

Citations: the conversion of the trigger's notice before as ``supersedes`` by an update (and by any of a
gravitational wave's alerts, each of which replaces the one before), as ``retraction`` by a retraction, else as
``followup``; IVORNs that the notice itself names as ``followup``.

Sizes are bounded, so that a packet stays within 99,999 bytes, beyond which Comet closes the line.
"""

import math
import re
from collections.abc import Mapping
from enum import StrEnum
from itertools import islice
from typing import Any, Final, TypeVar
from urllib.parse import quote

from lxml import etree

from schemas.classic_fermi import gbm_aliases
from schemas.errors import BadNotice, Reason
from schemas.gcn import CONTENT_IVORNS, is_link
from schemas.localisation import Cone, Ellipse, Systematics
from schemas.records import Kind, Message, Messenger, Notice, Role
from schemas.times import iso_from_us
from schemas.voevent import Place, VOEvent, finite
from schemas.voevent_packet import (
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

MAX_TEXT: Final = 210
"""Longest text of a Param in characters, so that no trigger's identifier is ever cut."""
MAX_NAME: Final = 100
"""Longest name of a trigger or a class."""
MAX_ORIGINAL: Final = 100
MAX_ORIGINAL_BYTES: Final = 25_000
"""How many of the notice's other values are passed on, and their bytes as XML."""
MAX_LINKS: Final = 20
MAX_LINKS_BYTES: Final = 8_000
MAX_CLASSES: Final = 30
MAX_NAMES: Final = 20
MAX_CITATIONS: Final = 10
MAX_RELATED: Final = 10

_NOTICE: Final = "notice"
"""The group by which a conversion is known."""
_MARK: Final = "conversion"
_SYSTEM: Final = "UTC-ICRS-GEO"
_ROLES: Final[Mapping[Role, str]] = {role: "test" if role is Role.MOCK else role.value for role in Role}
_CONCEPTS: Final[Mapping[Messenger, str]] = {
    Messenger.GAMMA_RAY: "process.variation.burst;em.gamma",
    Messenger.X_RAY: "process.variation.burst;em.X-ray",
    Messenger.NEUTRINO: "process.variation;phys.particle.neutrino",
    Messenger.OPTICAL: "process.variation;em.opt",
    Messenger.RADIO: "process.variation.burst;em.radio",
}
_URL: Final = re.compile(
    r"https?://[A-Za-z0-9][A-Za-z0-9.\-]*(?::\d{1,5})?"
    r"(?:[/?](?:[A-Za-z0-9\-._~:/?@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)?(?:#(?:[A-Za-z0-9\-._~:/?@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)?"
)
_TRIGGER_ID: Final = re.compile(r"[a-z0-9-]{1,100}:\S{1,100}")
_MAX_RADIUS_DEG: Final = 90.0
_MAX_STAGE: Final = 1000
_MAX_SERIAL: Final = 2**31 - 1

_FIELDS: Final[Mapping[str, tuple[str, str, str]]] = {
    _MARK: ("", "meta.note", "That this packet is a conversion, by what and from what."),
    "trigger_id": ("", "meta.id", "Namespace and the observatory's own identifier of the trigger."),
    "notice_type": ("", "meta.code.class", "What the sender calls this kind of message."),
    "mission": ("", "meta.id;instr.obsty", "Mission or observatory."),
    "instrument": ("", "meta.id;instr", "Instrument."),
    "messenger": ("", "meta.code.class", "What carried the news."),
    "role": ("", "meta.code", "The packet's role; mock for an injection, which VOEvent calls a test."),
    "kind": ("", "meta.code.status", "Whether the notice begins, updates or retracts the trigger."),
    "stage": ("", "meta.version", "Order among the trigger's notices: a higher stage counts for more."),
    "serial": ("", "meta.version", "Order within a stage."),
    "astrophysical": ("", "meta.code", "Whether the observatory takes it for an astrophysical event."),
    "significance": ("", "stat.confidenceLevel", "As reported, in significance_unit."),
    "significance_unit": ("", "meta.note", "What the significance is."),
    "far_hz": ("Hz", "stat.falsePositive", "False-alarm rate, per second."),
    "related": ("", "meta.id.cross", "Another trigger that the sender says is the same event."),
    "skymap_url": ("", "meta.ref.url", "Sky map that replaces the position."),
    "containment": ("", "stat.probability", "Probability inside the stated error."),
    "systematics": ("", "meta.note", "Whether the stated error has the systematic one in it, or which model adds it."),
    "semi_major_deg": ("deg", "phys.angSize.smajAxis", "Semi-major axis of the error ellipse."),
    "semi_minor_deg": ("deg", "phys.angSize.sminAxis", "Semi-minor axis of the error ellipse."),
    "position_angle_deg": ("deg", "pos.posAng", "Of the major axis, from north through east."),
}
"""Unit, UCD1+ and meaning of each Param of the group ``notice``."""

_Choice = TypeVar("_Choice", bound=StrEnum)


def is_convertible(notice: Notice) -> bool:
    """Whether a notice came without an IVORN, as JSON or Avro; any other is a VOEvent, to be passed on as it is."""
    return notice.ivorn.startswith(CONTENT_IVORNS)


def conversion_ivorn(notice: Notice, author: VoeventAuthor) -> str:
    """IVORN of a notice's conversion, made of its topic and its content: the same for a redelivery."""
    local = notice.ivorn.removeprefix(CONTENT_IVORNS).replace("#", "-")
    return f"ivo://{author.authority}/{author.stream}#{quote(clean(local), safe='')}"


def convert_notice(
    notice: Notice, author: VoeventAuthor, previous_ivorn: str | None = None, *, software: str = "Starcross"
) -> bytes:
    """A notice as a VOEvent of ours, as UTF-8 XML.

    Parameters
    ----------
    notice
        One that `is_convertible`.
    author
        Who converts.
    previous_ivorn
        `conversion_ivorn` of the notice of the same trigger that was converted before; None if there was none.
    software
        Name and version of what converts.
    """
    ivorn = conversion_ivorn(notice, author)
    topic = notice.message.topic or notice.notice_type
    conversion = f"converted by {software} from {topic}"
    root = packet(ivorn, _ROLES[notice.role])
    add_who(root, author, "" if notice.issued_us is None else iso_from_us(notice.issued_us))
    _what(root, notice, conversion)
    _where_when(root, notice)
    add(
        add(root, "How"),
        "Description",
        f"A notice of {_clipped(notice.mission)} that is not sent as a VOEvent, {_clipped(conversion)}. "
        f"This packet is by {author.authority}, not by the observatory.",
    )
    _why(root, notice)
    _citations(root, notice, ivorn, previous_ivorn)
    about = f" about {_clipped(notice.trigger_id)}" if notice.trigger_id else ""
    add(root, "Description", f"{_clipped(notice.notice_type)}{about}, {_clipped(conversion)}.")
    return written(root)


def conversion_in(event: VOEvent, message: Message) -> Notice | None:
    """The notice in a packet that `convert_notice` made; without params and links, which are read as of any packet.

    Returns
    -------
    Notice or None
        None for any other packet, and for one whose attribute ``role`` is not that of the Param.

    Raises
    ------
    BadNotice
        BAD_TIME if it begins a trigger and does not say when that was.
    """
    fields = event.group(_NOTICE)
    role, kind = _choice(Role, fields.get("role")), _choice(Kind, fields.get("kind"))
    if _MARK not in fields or role is None or kind is None or _ROLES[role] != event.role.lower():
        return None
    trigger_id = fields.get("trigger_id", "")
    about_one = role not in {Role.UTILITY, Role.PREDICTION} and _TRIGGER_ID.fullmatch(trigger_id) is not None
    if about_one and kind is Kind.INITIAL and event.place.time_us is None:
        sent = event.place.time_text[:60]
        raise BadNotice(Reason.BAD_TIME, f"conversion about {trigger_id}: ISOTime is {sent!r}, expected ISO 8601")
    far = finite(fields.get("far_hz"))
    url = fields.get("skymap_url", "")
    return Notice(
        message=message,
        notice_type=fields.get("notice_type", "")[:MAX_TEXT],
        ivorn=event.ivorn,
        trigger_id=trigger_id if about_one else None,
        messenger=_choice(Messenger, fields.get("messenger")) or Messenger.UNKNOWN,
        mission=fields.get("mission", "")[:MAX_TEXT],
        instrument=fields.get("instrument", "")[:MAX_TEXT],
        role=role,
        kind=kind,
        stage=_whole(fields.get("stage"), _MAX_STAGE),
        serial=_whole(fields.get("serial"), _MAX_SERIAL),
        issued_us=event.issued_us,
        trigger_time_us=event.place.time_us,
        trigger_time_error_s=event.place.time_error_s,
        localisation=None if kind is Kind.RETRACTION else _localisation(event.place, fields),
        skymap_url=url if is_link(url) else None,
        names=tuple(dict.fromkeys(name[:MAX_NAME] for name in event.names))[:MAX_NAMES],
        astrophysical={"true": True, "false": False}.get(fields.get("astrophysical", "")),
        classification={
            name: value
            for name, text in islice(event.group("classification").items(), MAX_CLASSES)
            if (value := finite(text)) is not None and 0 <= value <= 1
        },
        significance=finite(fields.get("significance")),
        significance_unit=fields.get("significance_unit", "")[:MAX_TEXT],
        far_hz=far if far is not None and far >= 0 else None,
        citations=event.citations,
        warnings=event.warnings,
        aliases=gbm_aliases(trigger_id, event.names) if about_one else (),
        related=_related(event),
    )


def _related(event: VOEvent) -> tuple[str, ...]:
    told = (param.value for param in event.params if (param.group, param.name) == (_NOTICE, "related"))
    return tuple(islice((other for other in told if _TRIGGER_ID.fullmatch(other)), MAX_RELATED))


def _clipped(text: str) -> str:
    return text[:MAX_TEXT]


def _what(root: etree._Element, notice: Notice, conversion: str) -> None:
    what = add(root, "What")
    values: dict[str, Any] = {
        _MARK: conversion,
        "trigger_id": notice.trigger_id,
        "notice_type": notice.notice_type,
        "mission": notice.mission,
        "instrument": notice.instrument,
        "messenger": notice.messenger.value,
        "role": notice.role.value,
        "kind": notice.kind.value,
        "stage": notice.stage,
        "serial": notice.serial,
        "astrophysical": notice.astrophysical,
        "significance": notice.significance,
        "significance_unit": notice.significance_unit,
        "far_hz": notice.far_hz,
    }
    where = notice.localisation
    if isinstance(where, Cone | Ellipse):
        values |= {"containment": where.containment, "systematics": where.systematics.value}
    if isinstance(where, Ellipse):
        values |= {
            "semi_major_deg": where.semi_major_deg,
            "semi_minor_deg": where.semi_minor_deg,
            "position_angle_deg": where.position_angle_deg,
        }
    group = add(what, "Group", name=_NOTICE, type=_NOTICE)
    for name, value in values.items():
        unit, ucd, description = _FIELDS[name]
        known = _clipped(value) if isinstance(value, str) else value
        add_param(group, name, known, unit=unit, ucd=ucd, description=description)
    if notice.skymap_url:  # the longest that a notice may have, as a link that is cut leads nowhere
        unit, ucd, description = _FIELDS["skymap_url"]
        add_param(group, "skymap_url", notice.skymap_url, unit=unit, ucd=ucd, description=description)
    unit, ucd, description = _FIELDS["related"]
    for other in notice.related[:MAX_RELATED]:
        add_param(group, "related", _clipped(other), unit=unit, ucd=ucd, description=description)
    if notice.classification:
        group = add(what, "Group", name="classification", type="classification")
        for name, value in islice(notice.classification.items(), MAX_CLASSES):
            add_param(group, name[:MAX_NAME], value, ucd="stat.probability", description="Probability of this class.")
    if notice.params:
        group = add(what, "Group", name="original", type="original")
        original = [{"name": _clipped(name), "value": _clipped(value)} for name, value in notice.params.items()]
        _add_as_far_as(MAX_ORIGINAL_BYTES, group, "Param", original[:MAX_ORIGINAL])
    links = [{"uri": url} for url in notice.links.values() if _URL.fullmatch(url)]
    _add_as_far_as(MAX_LINKS_BYTES, what, "Reference", links[:MAX_LINKS])


def _add_as_far_as(room_bytes: int, parent: etree._Element, tag: str, each: list[dict[str, str]]) -> None:
    """Add an element for each of these attributes, up to the first for which there is no room."""
    for attributes in each:
        element = add(parent, tag, **attributes)
        room_bytes -= len(etree.tostring(element, encoding="UTF-8"))
        if room_bytes < 0:
            parent.remove(element)
            return


def _where_when(root: etree._Element, notice: Notice) -> None:
    where = notice.localisation
    placed = isinstance(where, Cone | Ellipse)
    if notice.trigger_time_us is None and not placed:
        return
    coordinates = add_where_when(root, _clipped(notice.mission) or "unknown", _SYSTEM)
    if notice.trigger_time_us is not None:
        add_time(coordinates, iso_from_us(notice.trigger_time_us), notice.trigger_time_error_s)
    if isinstance(where, Cone):
        add_position(coordinates, where.ra_deg, where.dec_deg, repr(where.radius_deg))
    elif isinstance(where, Ellipse):
        add_position(coordinates, where.ra_deg, where.dec_deg, repr(where.semi_major_deg))


def _why(root: etree._Element, notice: Notice) -> None:
    concept = _CONCEPTS.get(notice.messenger)
    names = [name[:MAX_NAME] for name in notice.names[:MAX_NAMES] if name.strip()]
    if not names and not concept:
        return
    inference = add(add(root, "Why"), "Inference")
    for name in names:
        add(inference, "Name", name)
    if concept:
        add(inference, "Concept", concept)


def _citations(root: etree._Element, notice: Notice, ivorn: str, previous_ivorn: str | None) -> None:
    cited: list[tuple[str, str]] = []
    if previous_ivorn is not None and previous_ivorn != ivorn:
        if notice.kind is Kind.RETRACTION:
            relation = "retraction"
        elif notice.kind is Kind.UPDATE or notice.messenger is Messenger.GRAVITATIONAL_WAVE:
            relation = "supersedes"
        else:
            relation = "followup"
        cited.append((previous_ivorn, relation))
    others = (one.ivorn for one in notice.citations if len(one.ivorn) <= MAX_TEXT and is_ivorn(one.ivorn))
    cited += [(other, "followup") for other in islice(others, MAX_CITATIONS)]
    add_citations(root, cited)


def _choice(kinds: type[_Choice], text: str | None) -> _Choice | None:
    return next((kind for kind in kinds if kind.value == text), None)


def _whole(text: str | None, most: int) -> int:
    number = finite(text)
    return 0 if number is None else max(0, min(int(number), most))


def _localisation(place: Place, fields: Mapping[str, str]) -> Cone | Ellipse | None:
    ra, dec, radius, containment = place.ra_deg, place.dec_deg, place.radius_deg, finite(fields.get("containment"))
    if ra is None or dec is None or radius is None or containment is None:
        return None
    on_the_sky = 0 <= ra <= 360 and -90 <= dec <= 90  # noqa: PLR2004 - degrees
    if not (on_the_sky and 0 < radius <= _MAX_RADIUS_DEG and 0 < containment < 1):
        return None
    systematics = _choice(Systematics, fields.get("systematics")) or Systematics.NONE_KNOWN
    axes = [finite(fields.get(name)) for name in ("semi_major_deg", "semi_minor_deg", "position_angle_deg")]
    major, minor, angle = (math.nan if axis is None else axis for axis in axes)
    if 0 < minor <= major <= _MAX_RADIUS_DEG and math.isfinite(angle):
        return Ellipse(ra % 360.0, dec, major, minor, angle, containment, systematics)
    return Cone(ra % 360.0, dec, radius, containment, systematics)
