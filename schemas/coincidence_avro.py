"""Coincidences as Avro, and back: many in an object container file, or one publication in a message.

The bytes depend on nothing but the coincidences: no random sync marker, and no compression, whose output
differs between versions of its library. Beyond what JSON has, a record names the substreams that it was published to
and may carry the survey's own packet.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cache
from importlib import resources
from io import BytesIO
from typing import Any, BinaryIO, Final, cast

import fastavro

from schemas.avro import MAGIC, confluent_block, confluent_id, read_container, records
from schemas.coincidence import from_document, to_document
from schemas.errors import BadCoincidence, Reason
from schemas.records import Coincidence, Publication
from schemas.times import iso_from_us, us_from_datetime
from schemas.writer_schema import DEFAULT_LIMITS, AvroLimits, WriterSchema, writer_schema


def _load_text() -> str:
    file = resources.files("schemas") / "avro" / "coincidence" / "1" / "2" / "coincidence.avsc"
    return file.read_text("utf-8")


def _ordered(part: Any) -> Any:
    """The same with sorted keys: fastavro leaves them in the order of a set, which differs from process to process."""
    if isinstance(part, dict):
        return {key: _ordered(part[key]) for key in sorted(part)}
    return [_ordered(item) for item in part] if isinstance(part, list) else part


SCHEMA_TEXT: Final = _load_text()
"""The Avro schema, version 1.2, as it is published and as a schema registry is told of it."""
SCHEMA: Final = cast("dict[str, Any]", _ordered(fastavro.parse_schema(json.loads(SCHEMA_TEXT))))
"""The same, parsed."""
MAX_SCHEMA_ID: Final = 2**31 - 1
"""Greatest number that a schema registry gives: Java's int."""


def to_record(publication: Publication) -> dict[str, Any]:
    """The publication as a dictionary that `SCHEMA` encodes: instants are integer microseconds.

    Raises
    ------
    ValueError
        If a number that must be known is NaN or infinite.
    """
    record = _map_instants(to_document(publication.coincidence), _us)
    return record | {"substreams": list(publication.substreams), "packet": publication.packet}


def from_record(record: Mapping[str, Any]) -> Publication:
    """The publication of a decoded Avro record, its instants as microseconds or as datetimes.

    Raises
    ------
    BadCoincidence
        If a value does not follow the schema.
    """
    document = _map_instants(record, _iso)
    substreams, packet = document.pop("substreams", []), document.pop("packet", None)
    if not isinstance(substreams, list) or not all(isinstance(name, str) for name in substreams):
        raise BadCoincidence(Reason.WRONG_TYPE, "substreams: expected a list of names")
    if not isinstance(packet, bytes | None):
        raise BadCoincidence(Reason.WRONG_TYPE, f"packet: a {type(packet).__name__}, expected bytes or null")
    return Publication(from_document(document), tuple(substreams), packet)


def write_container(stream: BinaryIO, coincidences: Iterable[Coincidence]) -> None:
    """Write an object container file, uncompressed.

    The sync marker is a hash of the encoded coincidences, so that the same coincidences make the same bytes
    and no marker can be guessed without them.

    Raises
    ------
    ValueError
        If a number that must be known is NaN or infinite.
    """
    _write(stream, [to_record(Publication(coincidence, ())) for coincidence in coincidences])


def read_coincidences(body: bytes) -> list[Coincidence]:
    """Read back what `write_container` or `encode_container` wrote; the bytes may be anybody's.

    Raises
    ------
    BadPacket
        If the bytes are no sound Avro container.
    BadCoincidence
        If a record does not follow the schema.
    """
    return [from_record(record).coincidence for record in read_container(body)]


def encode_container(publication: Publication) -> bytes:
    """The publication as an object container file of one record.

    Raises
    ------
    ValueError
        If a number that must be known is NaN or infinite.
    """
    stream = BytesIO()
    _write(stream, [to_record(publication)])
    return stream.getvalue()


def encode_framed(publication: Publication, schema_id: int) -> bytes:
    """The publication in Confluent's wire format: a zero byte, the schema's number in four, and the record.

    Parameters
    ----------
    schema_id
        Under which the schema registry knows `SCHEMA_TEXT`, 0 to `MAX_SCHEMA_ID`.

    Raises
    ------
    ValueError
        If a number that must be known is NaN or infinite, or the schema's number is out of range.
    """
    if not 0 <= schema_id <= MAX_SCHEMA_ID:
        raise ValueError(f"schema id {schema_id}, expected 0 to {MAX_SCHEMA_ID}")
    return b"\0" + schema_id.to_bytes(4, "big") + _encoded(to_record(publication))


def read_publication(
    body: bytes, writer: WriterSchema | None = None, limits: AvroLimits = DEFAULT_LIMITS
) -> Publication:
    """Read back what `encode_container` or `encode_framed` wrote; the bytes may be anybody's.

    Parameters
    ----------
    writer
        The schema of a framed record, which does not hold it, as its number says; without it, `SCHEMA`.

    Raises
    ------
    BadPacket
        If the bytes are no sound Avro, or larger than what is read.
    BadCoincidence
        If it holds not just one record, or one that does not follow the schema.
    """
    if body[: len(MAGIC)] == MAGIC:
        found = read_container(body, limits)
    elif confluent_id(body) is not None:
        writer = writer or _own_writer(limits)
        found = records(confluent_block(body, writer), writer.parsed)
    else:
        raise BadCoincidence(Reason.UNKNOWN_FORMAT, f"begins with {body[:8]!r}, expected Avro in a container or frame")
    record = next(found, None)
    if record is None:
        raise BadCoincidence(Reason.EMPTY, "the container holds no record")
    if next(found, None) is not None:
        raise BadCoincidence(Reason.TOO_LARGE, "the container holds more than one record")
    return from_record(record)


@cache
def _own_writer(limits: AvroLimits) -> WriterSchema:
    return writer_schema(SCHEMA_TEXT.encode(), limits)


def _write(stream: BinaryIO, encodable: list[dict[str, Any]]) -> None:
    digest = hashlib.blake2b(digest_size=16)
    for record in encodable:
        digest.update(_encoded(record))
    fastavro.writer(stream, SCHEMA, encodable, codec="null", sync_marker=digest.digest(), strict=True)


def _encoded(record: dict[str, Any]) -> bytes:
    stream = BytesIO()
    fastavro.schemaless_writer(stream, SCHEMA, record, strict=True)
    return stream.getvalue()


def _map_instants(record: Mapping[str, Any], convert: Callable[[Any], Any]) -> dict[str, Any]:
    """The record with every ``*_utc`` field converted, in the records inside it too."""
    mapped: dict[str, Any] = {}
    for name, value in record.items():
        if name.endswith("_utc"):
            mapped[name] = None if value is None else convert(value)
        elif name in {"trigger", "object"} and isinstance(value, dict):
            mapped[name] = _map_instants(value, convert)
        elif name == "light_curve" and isinstance(value, list):
            mapped[name] = [_map_instants(item, convert) if isinstance(item, dict) else item for item in value]
        else:
            mapped[name] = value
    return mapped


def _us(iso: str) -> int:
    """Microseconds of an instant of a document, which is always whole and ends in Z."""
    return us_from_datetime(datetime.fromisoformat(iso))


def _iso(instant: object) -> object:
    """Text of an instant; what is none stays, for the schema to refuse."""
    if isinstance(instant, datetime):
        return iso_from_us(us_from_datetime(instant))
    try:
        return iso_from_us(instant) if isinstance(instant, int) else instant
    except OverflowError:
        return instant
