"""What a message is, by its content alone: survey alerts, a notice or a sky map. Names of files do not matter.

| begins with | is read as |
|---|---|
| ``1f 8b`` | what it unpacks to, once |
| ``Obj 01`` | Avro container: an LVK alert or survey alerts, by its writer schema |
| ``00`` | a survey alert in Confluent's framing |
| ``<``, also behind a byte order mark | VOEvent |
| ``{`` | LVK alert, coverage map (MOC) or notice in GCN's unified JSON, by its keys |
| ``SIMPLE`` | sky map as FITS |
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from schemas.avro import MAGIC, confluent_id, container_schema
from schemas.bounded import gunzip, gunzip_start, is_gzip
from schemas.bounded_json import Json, parse_json_object
from schemas.catalogue import SchemaCatalogue, full_name
from schemas.errors import BadInput, Reason
from schemas.gcn import gcn_notice
from schemas.lvk import is_lvk, lvk_notice, read_lvk_avro
from schemas.records import Alerts, Message, Notice, Rejection
from schemas.skymap import SkyMapHeader, read_skymap_header
from schemas.survey import read_alerts
from schemas.upload import TOPIC as UPLOADS
from schemas.upload import calls_itself_upload, read_upload
from schemas.voevent_notice import read_voevent

MESSAGE_BYTES: Final = 64 << 20
"""Most that a gzipped message may unpack to; sky maps have a bound of their own (`schemas.skymap.MapLimits`)."""

_BOM: Final = b"\xef\xbb\xbf"
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff", b"<\x00", b"\x00<")
_VOEVENT_VERSION: Final = re.compile(rb"<(?:\w+:)?VOEvent\b[^>]*?\sversion\s*=\s*[\"'](\w[\w.]{0,9})[\"']")
_LOOK_BYTES: Final = 4096
_LVK_FIELDS: Final = {"superevent_id", "alert_type"}
_ORDERS: Final = 30


@dataclass(frozen=True, slots=True)
class MapFile:
    """A sky map that came by itself, not yet read further than its header.

    Attributes
    ----------
    origin
        As in `Message.origin`.
    body
        The file as it came, gzipped or not; `schemas.skymap.read_skymap` reads it.
    header
        What it says of itself.
    """

    origin: str
    body: bytes = field(repr=False)
    header: SkyMapHeader


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found in a message: one kind of thing, or rejections, or both where parts are bad.

    Attributes
    ----------
    alerts, notices, skymaps
        What it holds.
    rejections
        What of it could not be read, and why.
    format
        What it was taken for, for a person: ``VOEvent 2.0``, ``GCN notice, JSON``, ``Avro container of ztf.alert 3.3``.
    """

    alerts: tuple[Alerts, ...] = ()
    notices: tuple[Notice, ...] = ()
    skymaps: tuple[MapFile, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    format: str = "unknown format"


def read_message(message: Message, catalogue: SchemaCatalogue) -> Reading:
    """Read any message. What is bad about it is in the result.

    Raises
    ------
    UnknownSchema
        If it is a framed record whose writer schema is not in the catalogue.
    """
    kind = "gzip" if is_gzip(message.body) else "unknown format"
    try:
        plain = _unpacked(message)
        kind = format_of(plain.body)
        reading = _READERS[kind](plain, catalogue)
    except BadInput as error:
        return Reading(rejections=(Rejection(message.origin, error.reason, error.detail),), format=kind)
    if plain.topic != UPLOADS and any(map(calls_itself_upload, reading.notices)):
        told = "a notice that calls itself an upload, but was not uploaded"
        return Reading(rejections=(Rejection(message.origin, Reason.UNSUPPORTED, told),), format=kind)
    return reading


def format_of(body: bytes) -> str:
    """The key of the reader for a message that begins like this.

    Raises
    ------
    BadInput
        EMPTY, or UNKNOWN_FORMAT if nothing that is read begins so.
    """
    if not body:
        raise BadInput(Reason.EMPTY, "the message has no bytes")
    if body.startswith(MAGIC):
        return "Avro container"
    if body.startswith(b"SIMPLE") or (is_gzip(body) and _is_packed_fits(body)):
        return "FITS"
    text = body[:_LOOK_BYTES].removeprefix(_BOM).lstrip()
    if text.startswith(b"<") or body.startswith(_UTF_16):
        return "XML"
    if text.startswith(b"{"):
        return "JSON"
    if confluent_id(body) is not None:
        return "Confluent record"
    expected = "an Avro container, a Confluent frame, XML, a JSON object or FITS, gzipped once or not"
    raise BadInput(Reason.UNKNOWN_FORMAT, f"begins with {body[:16]!r}, expected {expected}")


def _is_packed_fits(body: bytes) -> bool:
    return gunzip_start(body, len(b"SIMPLE")).startswith(b"SIMPLE")


def _unpacked(message: Message) -> Message:
    """The message itself, or what it holds if it is gzipped; sky maps stay packed, since theirs is another bound."""
    if not is_gzip(message.body) or _is_packed_fits(message.body):
        return message
    return replace(message, body=gunzip(message.body, MESSAGE_BYTES))


def _avro(message: Message, catalogue: SchemaCatalogue) -> Reading:
    schema = container_schema(message.body)
    if _field_names(schema) >= _LVK_FIELDS:
        return Reading(notices=tuple(read_lvk_avro(message)), format="LVK alert, Avro")
    name, version = full_name(schema) or "", schema.get("version")
    known_as = f"{name} {version}" if isinstance(version, str | int) else name
    return _alerts(message, catalogue, f"Avro container of {known_as[:80]}".removesuffix(" of "))


def _field_names(schema: Json) -> set[str]:
    fields = schema.get("fields") if isinstance(schema, Mapping) else None
    return {str(one.get("name")) for one in fields or () if isinstance(one, Mapping)}


def _framed(message: Message, catalogue: SchemaCatalogue) -> Reading:
    return _alerts(message, catalogue, f"Confluent record of schema {confluent_id(message.body)}")


def _alerts(message: Message, catalogue: SchemaCatalogue, kind: str) -> Reading:
    try:
        alerts, rejections = read_alerts(message, catalogue)
    except BadInput as error:
        alerts, rejections = [], [Rejection(message.origin, error.reason, error.detail)]
    return Reading(alerts=tuple(alerts), rejections=tuple(rejections), format=kind)


def _xml(message: Message, _catalogue: SchemaCatalogue) -> Reading:
    found = _VOEVENT_VERSION.search(message.body, 0, _LOOK_BYTES)
    kind = f"VOEvent {found[1].decode('ascii', 'replace')}" if found else "XML"
    try:
        return Reading(notices=(read_voevent(message),), format=kind)
    except BadInput as error:
        return Reading(rejections=(Rejection(message.origin, error.reason, error.detail),), format=kind)


def _json(message: Message, _catalogue: SchemaCatalogue) -> Reading:
    if message.topic == UPLOADS:
        return Reading(notices=(read_upload(message),), format="upload")
    record = parse_json_object(message.body)
    if is_lvk(record):
        return Reading(notices=(lvk_notice(record, message),), format="LVK alert, JSON")
    if 0 < len(record) <= _ORDERS and all(key.isascii() and key.isdigit() for key in record):
        return _map(message, "MOC, JSON")
    return Reading(notices=(gcn_notice(record, message),), format="GCN notice, JSON")


def _fits(message: Message, _catalogue: SchemaCatalogue) -> Reading:
    return _map(message, "")


def _map(message: Message, kind: str) -> Reading:
    header = read_skymap_header(message.body)
    packed = ", gzipped" if is_gzip(message.body) else ""
    found = MapFile(message.origin, message.body, header)
    return Reading(skymaps=(found,), format=kind or f"{header.kind} sky map, FITS{packed}")


_READERS: Final[Mapping[str, Callable[[Message, SchemaCatalogue], Reading]]] = {
    "Avro container": _avro,
    "Confluent record": _framed,
    "XML": _xml,
    "JSON": _json,
    "FITS": _fits,
}
