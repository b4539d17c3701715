"""Coincidences as an Avro object container file, and back.

The bytes depend on nothing but the coincidences: no random sync marker, and no compression, whose output
differs between versions of its library.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from importlib import resources
from io import BytesIO
from typing import Any, BinaryIO, cast

import fastavro

from schemas.avro import read_container
from schemas.coincidence import from_document, to_document
from schemas.records import Coincidence
from schemas.times import iso_from_us, us_from_datetime, us_from_iso


def _load_schema() -> dict[str, Any]:
    file = resources.files("schemas") / "avro" / "coincidence" / "1" / "0" / "coincidence.avsc"
    return cast("dict[str, Any]", _ordered(fastavro.parse_schema(json.loads(file.read_text("utf-8")))))


def _ordered(part: Any) -> Any:
    """The same with sorted keys: fastavro leaves them in the order of a set, which differs from process to process."""
    if isinstance(part, dict):
        return {key: _ordered(part[key]) for key in sorted(part)}
    return [_ordered(item) for item in part] if isinstance(part, list) else part


SCHEMA = _load_schema()
"""The parsed Avro schema, version 1.0."""


def to_record(coincidence: Coincidence) -> dict[str, Any]:
    """The coincidence as a dictionary that `SCHEMA` encodes: instants are integer microseconds.

    Raises
    ------
    ValueError
        If a number that must be known is NaN or infinite.
    """
    return _map_instants(to_document(coincidence), us_from_iso)


def from_record(record: dict[str, Any]) -> Coincidence:
    """The coincidence of a decoded Avro record, its instants as microseconds or as datetimes.

    Raises
    ------
    BadCoincidence
        If a value does not follow the schema.
    """
    return from_document(_map_instants(record, _iso))


def write_container(stream: BinaryIO, coincidences: Iterable[Coincidence]) -> None:
    """Write an object container file, uncompressed.

    The sync marker is a hash of the encoded coincidences, so that the same coincidences make the same bytes
    and no marker can be guessed without them.

    Raises
    ------
    ValueError
        If a number that must be known is NaN or infinite.
    """
    records = [to_record(coincidence) for coincidence in coincidences]
    digest = hashlib.blake2b(digest_size=16)
    for record in records:
        encoded = BytesIO()
        fastavro.schemaless_writer(encoded, SCHEMA, record)
        digest.update(encoded.getbuffer())
    fastavro.writer(stream, SCHEMA, records, codec="null", sync_marker=digest.digest(), strict=True)


def read_coincidences(body: bytes) -> list[Coincidence]:
    """Read back what `write_container` wrote; the bytes may be anybody's.

    Raises
    ------
    BadPacket
        If the bytes are no sound Avro container.
    BadCoincidence
        If a record does not follow the schema.
    """
    return [from_record(record) for record in read_container(body)]


def _map_instants(record: dict[str, Any], convert: Callable[[Any], Any]) -> dict[str, Any]:
    """The record with every ``*_utc`` field converted, in the records inside it too."""
    mapped: dict[str, Any] = {}
    for name, value in record.items():
        if name.endswith("_utc"):
            mapped[name] = convert(value)
        elif name in {"trigger", "object"} and isinstance(value, dict):
            mapped[name] = _map_instants(value, convert)
        else:
            mapped[name] = value
    return mapped


def _iso(instant: object) -> object:
    """Text of an instant; what is none stays, for the schema to refuse."""
    if isinstance(instant, datetime):
        return iso_from_us(us_from_datetime(instant))
    try:
        return iso_from_us(instant) if isinstance(instant, int) else instant
    except OverflowError:
        return instant
