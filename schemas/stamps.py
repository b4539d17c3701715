"""Survey packets without their stamps (cutout images), which are most of their bytes."""

from io import BytesIO
from typing import Any, cast

import fastavro

from schemas.avro import CONFLUENT_HEADER_BYTES, MAGIC, confluent_block, confluent_id, open_container, records
from schemas.catalogue import SchemaCatalogue
from schemas.errors import BadPacket, Reason
from schemas.writer_schema import WriterSchema

_CODECS = {"null", "deflate", "snappy"}
"""Those that fastavro writes without another library; any other becomes deflate."""
_STAMP = "cutout"


def without_stamps(body: bytes, catalogue: SchemaCatalogue) -> bytes:
    """The same packet with null for each stamp: same form and schema, all other values as they were.

    A container may change its codec.

    Parameters
    ----------
    body
        A container, or one record in Confluent's framing.
    catalogue
        Has the schema of a framed record.

    Raises
    ------
    BadPacket
        If it cannot be read, or its schema asks for stamps.
    UnknownSchema
        If its schema is not in the catalogue.
    """
    if body[: len(MAGIC)] == MAGIC:
        return _container(body)
    schema_id = confluent_id(body)
    if schema_id is None:
        raise BadPacket(Reason.UNKNOWN_FORMAT, "neither an Avro container nor a record in Confluent's framing")
    writer = catalogue.get(schema_id)
    (record,) = records(confluent_block(body, writer), writer.parsed)
    out = BytesIO()
    out.write(body[:CONFLUENT_HEADER_BYTES])
    fastavro.schemaless_writer(out, writer.parsed, _emptied(record, writer))
    return out.getvalue()


def _container(body: bytes) -> bytes:
    container = open_container(body)
    codec = container.metadata.get("avro.codec", b"null").decode("ascii", "replace")
    kept = [
        _emptied(record, container.writer)
        for block in container.blocks()
        for record in records(block, container.writer.parsed)
    ]
    metadata = {
        name: value.decode("utf-8", "replace")
        for name, value in container.metadata.items()
        if not name.startswith("avro.")
    }
    out = BytesIO()
    schema = fastavro.parse_schema(cast("dict[str, Any]", container.writer.source))
    fastavro.writer(
        out, schema, kept, codec=codec if codec in _CODECS else "deflate", sync_marker=container.sync, metadata=metadata
    )
    return out.getvalue()


def _emptied(record: dict[str, Any], writer: WriterSchema) -> dict[str, Any]:
    tree = cast("dict[str, Any]", writer.tree)
    stamps = {field["name"]: field["type"] for field in tree["fields"] if field["name"].startswith(_STAMP)}
    asked = sorted(name for name, kind in stamps.items() if not isinstance(kind, list) or "null" not in kind)
    if asked:
        raise BadPacket(Reason.UNSUPPORTED, f"the schema asks for {', '.join(asked)}")
    return record | dict.fromkeys(stamps)
