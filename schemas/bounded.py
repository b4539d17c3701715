"""Unpacking of what strangers packed, with the bound set before a byte is unpacked."""

import zlib

from schemas.errors import BadInput, Reason

MAX_RATIO = 300
"""Most bytes out for a byte in. Real maps pack up to about 40 times, sparse ones up to 150; deflate can do 1030."""
ALWAYS_ALLOWED = 1 << 20
"""Bytes that may come out whatever the ratio: what is small does no harm."""

_GZIP = zlib.MAX_WBITS | 16
_CHUNK = 1 << 18


def is_gzip(body: bytes) -> bool:
    """Whether the body begins as a gzip file does."""
    return body[:2] == b"\x1f\x8b"


def gunzip(body: bytes, limit: int) -> bytes:
    """Unpack a gzip file of one or more members, in memory.

    At most `limit` bytes (and at most `MAX_RATIO` times the input) are ever unpacked; while the result
    is put together it is held twice.

    Parameters
    ----------
    body
        The whole file.
    limit
        Most bytes that may come out.

    Raises
    ------
    BadInput
        TOO_LARGE if more would come out, CORRUPT if it is no gzip or its checksum is wrong,
        TRUNCATED if it ends early.
    """
    allowed = min(limit, max(MAX_RATIO * len(body), ALWAYS_ALLOWED))
    chunks: list[bytes] = []
    size = 0
    rest = body
    while True:
        member = zlib.decompressobj(_GZIP)
        try:
            while not member.eof:
                chunk = member.decompress(rest, min(_CHUNK, allowed - size + 1))
                rest = member.unconsumed_tail
                size += len(chunk)
                if size > allowed:
                    raise BadInput(Reason.TOO_LARGE, _too_large(len(body), limit, allowed))
                if not chunk and not rest and not member.eof:
                    raise BadInput(
                        Reason.TRUNCATED, f"gzip ends early: {len(body)} bytes gave {size}, and the end mark is missing"
                    )
                chunks.append(chunk)
        except zlib.error as error:
            raise BadInput(Reason.CORRUPT, f"gzip cannot be unpacked after {size} bytes: {error}") from None
        rest = member.unused_data.lstrip(b"\0")  # archivers pad with zeros
        if not rest:
            return b"".join(chunks)


def gunzip_start(body: bytes, size: int) -> bytes:
    """The first `size` bytes (or all, if fewer) of the first member of a gzip file.

    Raises
    ------
    BadInput
        CORRUPT if it is no gzip.
    """
    try:
        return zlib.decompressobj(_GZIP).decompress(body, size)
    except zlib.error as error:
        raise BadInput(Reason.CORRUPT, f"gzip cannot be unpacked: {error}") from None


def _too_large(packed: int, limit: int, allowed: int) -> str:
    if allowed == limit:
        return f"gzip of {packed} bytes unpacks to more than the {limit} bytes allowed"
    return f"gzip of {packed} bytes unpacks to more than {MAX_RATIO} times its size"
