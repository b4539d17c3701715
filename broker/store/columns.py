"""Alerts as one blob: a line of JSON that names the columns, then their values, compressed.

1,000 alerts take 0.2 ms and 75 kB, and 0.12 ms to read again. Arrow's IPC and numpy's own files take as many bytes and
two to five times as long. Strings lie in UTF-8, of fixed width, which compression makes up for.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from schemas.records import COLUMNS, Alerts

_LEVEL = 1
_WORD_BYTES = 8
_LAST_ASCII = 127

OBJECT_COLUMNS = ("alert_id", "object_id", "time_us", "pixel", "first_detection_us", "last_non_detection_us")
"""What is kept of an alert that is not stored: what its object's state and the survey's visits need."""
_NOT_TOLD = -1
"""A pixel, in blobs of earlier versions that have no positions."""


def pack_alerts(alerts: Alerts, names: Sequence[str] = tuple(COLUMNS)) -> bytes:
    """These columns of alerts as a blob; `unpack_alerts` reads it."""
    columns = {name: _as_bytes(getattr(alerts, name)) for name in names}
    types = {name: column.dtype.str for name, column in columns.items()}
    parts = [json.dumps({"rows": len(alerts), "types": types}, separators=(",", ":")).encode() + b"\n"]
    for column in columns.values():
        parts += [_padding(len(parts[-1])), np.ascontiguousarray(column).tobytes()]
    return zstandard.compress(b"".join(parts), _LEVEL)


def unpack_alerts(survey: str, blob: bytes) -> Alerts:
    """The alerts of a blob; columns that it lacks are as `Alerts.from_columns` makes them.

    Raises
    ------
    ValueError
        If it is not what `pack_alerts` makes.
    """
    try:
        return Alerts.from_columns(survey, **_unpacked(zstandard.decompress(blob)))
    except (zstandard.ZstdError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a blob of {survey} alerts cannot be read: {error}") from error


def _unpacked(raw: bytes) -> Mapping[str, NDArray[Any]]:
    head, _, _ = raw.partition(b"\n")
    told = json.loads(head)
    columns: dict[str, NDArray[Any]] = {}
    last, at = len(head) + 1, len(head) + 1
    for name, code in told["types"].items():
        dtype = np.dtype(code)
        at += -last % _WORD_BYTES
        column = np.frombuffer(raw, dtype, told["rows"], at)
        last = column.nbytes
        at += last
        if name in COLUMNS:
            columns[name] = _as_text(column)
    if "ra_deg" not in columns:
        columns.setdefault("pixel", np.full(told["rows"], _NOT_TOLD, np.int64))
    return columns


def _padding(length: int) -> bytes:
    """So that the next column begins at a whole word."""
    return bytes(-length % _WORD_BYTES)


def _as_bytes(column: NDArray[Any]) -> NDArray[Any]:
    """Text as UTF-8 (a quarter of the size), anything else as it is. Shape (n,)."""
    if column.dtype.kind != "U":
        return column
    points = np.ascontiguousarray(column).view(np.uint32)
    if not points.size or points.max() > _LAST_ASCII:
        return np.char.encode(column, "utf-8", "surrogatepass")
    return points.astype(np.uint8).view(f"S{points.size // len(column)}")


def _as_text(column: NDArray[Any]) -> NDArray[Any]:
    """What `_as_bytes` was given. Shape (n,)."""
    if column.dtype.kind != "S":
        return column
    points = np.ascontiguousarray(column).view(np.uint8)
    if not points.size or points.max() > _LAST_ASCII:
        return np.char.decode(column, "utf-8", "surrogatepass")
    return points.astype(np.uint32).view(f"U{column.dtype.itemsize}")
