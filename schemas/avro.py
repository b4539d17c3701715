"""Avro object containers and Confluent-framed records, read with bounds.

The parts of a container (header, blocks, sync markers) are taken apart here, so that every length is
checked against the bytes at hand, and every decompression is capped, before anything is allocated;
fastavro decodes the records. See `schemas.writer_schema` for what is asked of a writer schema.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import SEEK_CUR, SEEK_SET, BytesIO
from typing import Any

import cramjam
import fastavro
import zstandard

from schemas.errors import BadPacket, Reason
from schemas.writer_schema import DEFAULT_LIMITS, AvroLimits, Json, WriterSchema, writer_schema

MAGIC = b"Obj\x01"
CONFLUENT_HEADER_BYTES = 5

_SYNC_BYTES = 16
_VARINT_BYTES = 10
_METADATA_ENTRIES = 1_000
_SNAPPY_CHECKSUM_BYTES = 4
_KNOWN_HEADERS = 8
_KNOWN_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Block:
    """Some records of a container, decompressed, still encoded: ``data`` from ``start`` to ``end``."""

    count: int
    data: bytes
    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Container:
    """An opened container: its header is read, its blocks are not."""

    body: bytes
    writer: WriterSchema
    metadata: Mapping[str, bytes]
    sync: bytes
    start: int
    limits: AvroLimits

    def blocks(self) -> Iterator[Block]:
        """Every block in order, each only once the sync marker behind it was found in its place.

        Raises
        ------
        BadPacket
            At the block where the container breaks off, is damaged or goes beyond a limit; the blocks before
            it have been given by then.
        """
        codec = self.metadata.get("avro.codec", b"null")
        decompress = _CODECS.get(codec)
        if decompress is None:
            raise BadPacket(Reason.UNSUPPORTED, f"container is compressed with {codec[:20]!r}")
        at, total = self.start, 0
        while at < len(self.body):
            block_at = at
            count, at = _long(self.body, at)
            size, at = _long(self.body, at)
            if count < 0 or size < 0:
                raise BadPacket(Reason.CORRUPT, f"block at byte {block_at} claims {count} records in {size} bytes")
            end = at + size
            if end + _SYNC_BYTES > len(self.body):
                raise BadPacket(Reason.TRUNCATED, f"block at byte {block_at} needs {end + _SYNC_BYTES} bytes in all")
            if self.body[end : end + _SYNC_BYTES] != self.sync:
                raise BadPacket(Reason.CORRUPT, f"no sync marker at byte {end}, behind the block at byte {block_at}")
            total += count
            if total > self.limits.records:
                raise BadPacket(Reason.TOO_LARGE, f"more than {self.limits.records} records")
            if codec == b"null" and size <= self.writer.block_bytes:
                block = Block(count, self.body, at, end)
            else:
                data = decompress(self.body[at:end], self.writer.block_bytes)
                block = Block(count, data, 0, len(data))
            if count * self.writer.smallest_bytes > block.end - block.start:
                what = f"{count} records in {block.end - block.start} bytes"
                raise BadPacket(Reason.CORRUPT, f"block at byte {block_at}: {what}")
            yield block
            at = end + _SYNC_BYTES


@dataclass(frozen=True, slots=True, eq=False)
class _Header:
    """A header without its sync marker, as far as its text says where it ends, and what is in it."""

    text: bytes
    metadata: Mapping[str, bytes]
    writer: WriterSchema
    limits: AvroLimits


class _KnownHeaders:
    """The last headers. One is 10 kB of schema and the same in all packets of a survey, but for the sync marker
    behind it; comparing takes a tenth of the time of reading."""

    def __init__(self) -> None:
        self._last: tuple[_Header, ...] = ()

    def find(self, body: bytes, limits: AvroLimits) -> _Header | None:
        for known in self._last:
            if body.startswith(known.text) and known.limits == limits:
                return known
        return None

    def keep(self, header: _Header) -> None:
        if len(header.text) <= _KNOWN_BYTES:
            self._last = (header, *self._last)[:_KNOWN_HEADERS]


_known_headers = _KnownHeaders()


def open_container(body: bytes, limits: AvroLimits = DEFAULT_LIMITS) -> Container:
    """Read the header of a container.

    Raises
    ------
    BadPacket
        If it is no container, or its header or schema cannot be used.
    """
    if len(body) > limits.body_bytes:
        raise BadPacket(Reason.TOO_LARGE, f"{len(body)} bytes; at most {limits.body_bytes} are read")
    if body[: len(MAGIC)] != MAGIC:
        raise BadPacket(Reason.UNKNOWN_FORMAT, "not an Avro object container: it does not begin with 'Obj' and 1")
    header = _known_headers.find(body, limits)
    metadata, at = (header.metadata, len(header.text)) if header else _metadata(body, len(MAGIC))
    sync = body[at : at + _SYNC_BYTES]
    if len(sync) < _SYNC_BYTES:
        raise BadPacket(Reason.TRUNCATED, f"header breaks off at byte {len(body)}")
    if header is None:
        if "avro.schema" not in metadata:
            raise BadPacket(Reason.MISSING_FIELD, "header has no avro.schema")
        header = _Header(body[:at], metadata, writer_schema(metadata["avro.schema"], limits), limits)
        _known_headers.keep(header)
    return Container(body, header.writer, metadata, sync, at + _SYNC_BYTES, limits)


def container_schema(body: bytes, limits: AvroLimits = DEFAULT_LIMITS) -> dict[str, Json]:
    """Writer schema of a container as it stands there, parsed from JSON.

    Raises
    ------
    BadPacket
        As `open_container`.
    """
    source: dict[str, Json] = open_container(body, limits).writer.source
    return source


def read_container(body: bytes, limits: AvroLimits = DEFAULT_LIMITS) -> Iterator[dict[str, Any]]:
    """Every record of a container, whole; logical types give their plain values (a timestamp is an int).

    Raises
    ------
    BadPacket
        If it cannot be read; part way through if it is damaged there.
    """
    container = open_container(body, limits)
    for block in container.blocks():
        yield from records(block, container.writer.parsed)


class _Bounded(BytesIO):
    """Bytes that end with an error: fastavro steps over fields of fixed size without looking whether anything is left,
    so that a count of 2^60 in a packet of 80 bytes would keep it busy for ever."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Exactly so many bytes."""
        if size is None or size < 0:
            raise ValueError(f"length {size}")
        found = super().read(size)
        if len(found) < size:
            raise EOFError
        return found

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        """Only to where there are bytes."""
        start = self.tell() if whence == SEEK_CUR else 0
        if not start <= start + offset <= self.getbuffer().nbytes:
            raise EOFError
        return super().seek(offset, whence)


def records(block: Block, writer: Json, reader: Json = None, before: int = 0) -> Iterator[Any]:
    """Decode the records of a block.

    Parameters
    ----------
    writer, reader
        fastavro's writer schema, and its reader schema where only some fields are wanted.
    before
        How many records of the same block were read already, for what is said of a bad one.

    Raises
    ------
    BadPacket
        At the first record that cannot be decoded; where the next one would begin is unknown then.
    """
    stream = _Bounded(block.data[block.start : block.end])
    for number in range(before + 1, before + block.count + 1):
        try:
            record = fastavro.schemaless_reader(stream, writer, reader)
        except EOFError as error:
            raise BadPacket(Reason.TRUNCATED, f"record {number} of the block goes beyond its end") from error
        except Exception as error:
            what = f"record {number} of the block does not fit its schema: {type(error).__name__} {error}"
            raise BadPacket(Reason.CORRUPT, what[:300]) from error
        yield record


def confluent_id(body: bytes) -> int | None:
    """Schema id of a record in Confluent's framing (a zero byte and four of the id); None without the frame."""
    if len(body) <= CONFLUENT_HEADER_BYTES or body[0] != 0:
        return None
    return int.from_bytes(body[1:CONFLUENT_HEADER_BYTES], "big")


def confluent_block(body: bytes, writer: WriterSchema) -> Block:
    """The record behind Confluent's frame.

    Raises
    ------
    BadPacket
        If it is larger than the writer schema allows.
    """
    size = len(body) - CONFLUENT_HEADER_BYTES
    if size > writer.block_bytes:
        raise BadPacket(Reason.TOO_LARGE, f"record of {size} bytes; at most {writer.block_bytes} are decoded")
    return Block(1, body, CONFLUENT_HEADER_BYTES, len(body))


def _metadata(body: bytes, at: int) -> tuple[dict[str, bytes], int]:
    """The header's map of names to bytes, and where it ends."""
    metadata: dict[str, bytes] = {}
    while True:
        count, at = _long(body, at)
        if count < 0:
            _, at = _long(body, at)
            count = -count
        if len(metadata) + count > _METADATA_ENTRIES:
            raise BadPacket(Reason.TOO_LARGE, f"header claims {count} entries")
        if not count:
            return metadata, at
        for _ in range(count):
            key, at = _bytes(body, at)
            metadata[key.decode("utf-8", "replace")], at = _bytes(body, at)


def _bytes(body: bytes, at: int) -> tuple[bytes, int]:
    size, at = _long(body, at)
    if size < 0:
        raise BadPacket(Reason.CORRUPT, f"a length in the header is {size}, before byte {at}")
    if at + size > len(body):
        raise BadPacket(Reason.TRUNCATED, f"header needs {at + size} bytes, the message has {len(body)}")
    return body[at : at + size], at + size


def _long(body: bytes, at: int) -> tuple[int, int]:
    """A zig-zag variable-length integer and the place behind it."""
    value = 0
    for position, byte in enumerate(body[at : at + _VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says more bytes follow
            return (value >> 1) ^ -(value & 1), at + position + 1
    if at + _VARINT_BYTES > len(body):
        raise BadPacket(Reason.TRUNCATED, f"message breaks off in a number at byte {at}")
    raise BadPacket(Reason.CORRUPT, f"number at byte {at} is longer than {_VARINT_BYTES} bytes")


def _plain(data: bytes, most: int) -> bytes:
    return _within(data, most)


def _deflate(data: bytes, most: int) -> bytes:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = _within(stream.decompress(data, most + 1), most)
    except zlib.error as error:
        raise BadPacket(Reason.CORRUPT, f"compressed data are damaged: {error}") from error
    if not stream.eof:
        raise BadPacket(Reason.TRUNCATED, "compressed data break off")
    return plain


def _snappy(data: bytes, most: int) -> bytes:
    packed, checksum = data[:-_SNAPPY_CHECKSUM_BYTES], data[-_SNAPPY_CHECKSUM_BYTES:]
    try:
        claimed = cramjam.snappy.decompress_raw_len(packed)
        if claimed > most:
            raise BadPacket(Reason.TOO_LARGE, f"block of {claimed} bytes; at most {most} are decoded")
        plain = bytes(cramjam.snappy.decompress_raw(packed))
    except cramjam.DecompressionError as error:
        raise BadPacket(Reason.CORRUPT, f"compressed data are damaged: {error}") from error
    if zlib.crc32(plain).to_bytes(_SNAPPY_CHECKSUM_BYTES, "big") != checksum:
        raise BadPacket(Reason.CORRUPT, "checksum of a snappy block does not agree")
    return plain


def _zstandard(data: bytes, most: int) -> bytes:
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(data) as stream:
            return _within(stream.read(most + 1), most)
    except zstandard.ZstdError as error:
        raise BadPacket(Reason.CORRUPT, f"compressed data are damaged: {error}") from error


def _within(plain: bytes, most: int) -> bytes:
    if len(plain) > most:
        raise BadPacket(Reason.TOO_LARGE, f"unpacks to more than {most} bytes")
    return plain


_CODECS: dict[bytes, Callable[[bytes, int], bytes]] = {
    b"null": _plain,
    b"deflate": _deflate,
    b"snappy": _snappy,
    b"zstandard": _zstandard,
}
