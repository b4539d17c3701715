"""Alerts of LIGO, Virgo and KAGRA: JSON with the sky map in base64 (GCN), and the same as Avro with its bytes (SCiMMA).

By the IGWN Public Alerts User Guide (https://emfollow.docs.ligo.org/userguide/content.html), schema 1.0. Mock
superevents come on the same topic as real ones and are told apart by their names. There is no sequence number: the time
of creation orders the alerts of a superevent.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Final

from schemas.avro import read_container
from schemas.bounded import is_gzip
from schemas.bounded_json import Fields, JsonObject, flat_params, parse_json_object
from schemas.classic_other import SUPEREVENT_ROLES
from schemas.errors import BadInput, BadNotice, Reason
from schemas.gcn import FITS_MAGIC, MAX_LINKS, content_ivorn, fits_of_base64, is_link
from schemas.localisation import InlineMap
from schemas.records import Citation, Kind, Message, Messenger, Notice, Role
from schemas.references import trigger_id_of
from schemas.voevent import us_from_scale

TOPIC: Final = "igwn.gwalert"

_KINDS: Final[Mapping[str, Kind]] = {
    "EARLYWARNING": Kind.INITIAL,
    "EARLY_WARNING": Kind.INITIAL,
    "PRELIMINARY": Kind.INITIAL,
    "INITIAL": Kind.INITIAL,
    "UPDATE": Kind.UPDATE,
    "RETRACTION": Kind.RETRACTION,
}
_SUPEREVENT: Final = re.compile(r"[MT]?(?:S|GW)\d{6}[A-Za-z]{0,8}")
_MOCK_SEARCH: Final = "MDC"
_STAGE: Final = 10


def is_lvk(record: JsonObject) -> bool:
    """Whether a decoded object has what every LVK alert has and no other notice."""
    return "superevent_id" in record and "alert_type" in record


def read_lvk_json(message: Message) -> Notice:
    """Read an LVK alert in JSON.

    Raises
    ------
    BadNotice
        What `schemas.bounded_json.parse_json_object` and `lvk_notice` refuse.
    """
    try:
        record = parse_json_object(message.body)
    except BadInput as error:
        raise BadNotice(error.reason, error.detail) from error
    return lvk_notice(record, message)


def read_lvk_avro(message: Message) -> list[Notice]:
    """Read every LVK alert in an Avro container.

    Raises
    ------
    BadNotice
        If the container cannot be read, or one of its records is refused by `lvk_notice`.
    """
    try:
        records = list(read_container(message.body))
    except BadInput as error:
        raise BadNotice(error.reason, error.detail) from error
    notices = [lvk_notice(record, message) for record in records]
    if len(notices) > 1:
        return [replace(notice, ivorn=f"{notice.ivorn}.{number}") for number, notice in enumerate(notices, 1)]
    return notices


def lvk_notice(record: JsonObject, message: Message) -> Notice:
    """Make a notice of a decoded alert, of JSON or of Avro.

    Raises
    ------
    BadNotice
        UNKNOWN_FORMAT if it is no LVK alert, MISSING_FIELD if it names no superevent, or has no event and is no
        retraction, BAD_TIME if the time of the event or of the alert is unreadable.
    """
    fields = Fields(record)
    if not is_lvk(record):
        raise BadNotice(Reason.UNKNOWN_FORMAT, "no LVK alert: expected superevent_id and alert_type")
    name = fields.text("superevent_id")
    if not name:
        raise BadNotice(Reason.MISSING_FIELD, "superevent_id is empty, expected a name such as S230518h")
    if not _SUPEREVENT.fullmatch(name):
        fields.warn(f"superevent_id {name[:40]!r} is not of the usual form, such as S230518h")
    alert = fields.text("alert_type").upper()
    if alert not in _KINDS:
        fields.warn(f"alert_type {alert[:40]!r} is unknown; taken as an update")
    kind = _KINDS.get(alert, Kind.UPDATE)
    event, external = fields.inner("event"), fields.inner("external_coinc")
    if not event.record and kind is not Kind.RETRACTION:
        raise BadNotice(
            Reason.MISSING_FIELD, f"{alert or 'alert'} of {name} has no event; only a retraction may lack it"
        )
    far = event.number("far")
    return Notice(
        message=message,
        notice_type=f"LVK_{alert}" if alert in _KINDS else "LVK",
        ivorn=content_ivorn(TOPIC, message.body),
        trigger_id=f"lvk:{re.sub(r'[^A-Za-z0-9_-]', '_', name)[:60]}",
        messenger=Messenger.GRAVITATIONAL_WAVE,
        mission="LVK",
        instrument=",".join(event.texts("instruments")),
        role=_role(name, event),
        kind=kind,
        stage=_STAGE,
        issued_us=_instant(fields, "time_created", name),
        trigger_time_us=_instant(event, "time", name),
        localisation=None if kind is Kind.RETRACTION else _localisation(event, external),
        names=(name,),
        classification=event.probabilities("classification"),
        far_hz=far if far is not None and far >= 0 else None,
        links={key: url for key, url in islice(fields.inner("urls").record.items(), MAX_LINKS) if is_link(url)},
        citations=_citations(external),
        params=flat_params(record),
        warnings=tuple(fields.warnings),
        related=tuple(found for found in [_external_trigger(external)] if found),
    )


def _role(name: str, event: Fields) -> Role:
    role = SUPEREVENT_ROLES.get(name[:1].upper(), Role.OBSERVATION)
    if role is Role.OBSERVATION and event.text("search") == _MOCK_SEARCH:
        event.warn("the search is one of mock data, so the superevent is taken as a mock")
        return Role.MOCK
    return role


def _instant(fields: Fields, key: str, name: str) -> int | None:
    """Microseconds UTC; None only where there is no event."""
    if not fields.record:
        return None
    text = fields.text(key)
    try:
        return us_from_scale(text, "UTC")
    except ValueError:
        raise BadNotice(Reason.BAD_TIME, f"{key} of {name[:40]} is {text[:60]!r}, expected ISO 8601") from None


def _localisation(event: Fields, external: Fields) -> InlineMap | None:
    """The gravitational wave's own map. One combined with another observatory's holds only if the two belong
    together, so it is used only where there is no other."""
    own = _map(event, "skymap")
    if own is not None:
        return own
    combined = _map(external, "combined_skymap")
    if combined is not None:
        event.warn("there is no map of the event; the one combined with the external coincidence is used")
    return combined


def _map(fields: Fields, name: str) -> InlineMap | None:
    value = fields.record.get(name)
    if not value:
        return None
    if isinstance(value, bytes):
        problem = "" if value.startswith(FITS_MAGIC) or is_gzip(value) else "expected a FITS file"
    else:
        try:
            value, problem = fits_of_base64(fields.record[name]), ""
        except ValueError as error:
            problem = str(error)
    if problem:
        fields.warn(f"{name} is no sky map: {problem}")
        return None
    return InlineMap(value)


def _external_trigger(external: Fields) -> str | None:
    return trigger_id_of(external.text("gcn_notice_id"), external.text("observatory"))


def _citations(external: Fields) -> tuple[Citation, ...]:
    """The external event: its IVORN, or where there is none the observatory and its number."""
    ivorn, number = external.text("ivorn"), external.text("gcn_notice_id")
    if ivorn:
        return (Citation(ivorn, "associated"),)
    if number:
        return (Citation(f"{external.text('observatory')} {number}".strip(), "associated"),)
    return ()
