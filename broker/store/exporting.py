"""A night of stored alerts as one Parquet file."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from broker.store.columns import unpack_alerts
from broker.store.files import SEALED, map_night
from schemas.records import COLUMNS, NEVER_US, Alerts

_ROWS = 100_000
"""Of a row group."""
_NEVER = "last_non_detection_us"
_TYPES: dict[type, Any] = {
    np.int64: pa.int64(),
    np.float64: pa.float64(),
    np.float32: pa.float32(),
    np.str_: pa.string(),
}
SCHEMA = pa.schema([pa.field("survey", pa.string()), *(pa.field(name, _TYPES[kind]) for name, kind in COLUMNS.items())])
"""The columns of `schemas.records.Alerts`; what is unknown is NaN, and null where the last non-detection is."""


def export_night(database: sqlite3.Connection, folder: Path, night: int, out: Path) -> int:
    """Write all stored alerts of a night, of all surveys; how many there were.

    Raises
    ------
    StoreDamaged
        If a sealed file is missing.
    OSError
        If the file cannot be written; a file of that name is as it was then.
    """
    partial = out.with_name(f".{out.name}.partial")
    rows = 0
    try:
        with pq.ParquetWriter(partial, SCHEMA, compression="zstd") as writer:
            for alerts in _alerts_of(database, folder, night):
                writer.write_table(_table(alerts), row_group_size=_ROWS)
                rows += len(alerts)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return rows


def _alerts_of(database: sqlite3.Connection, folder: Path, night: int) -> Iterator[Alerts]:
    """Sealed and open ones, at one moment of the database."""
    database.execute("BEGIN")
    try:
        for survey, name in database.execute(
            "SELECT survey, folder FROM part WHERE night = ? ORDER BY survey, id", [night]
        ):
            yield from map_night(folder / SEALED / name, survey).batches(_ROWS)
        for survey, columns in database.execute(
            "SELECT survey, columns FROM alerts WHERE night = ? ORDER BY survey, seq", [night]
        ):
            yield unpack_alerts(survey, columns)
    finally:
        database.execute("ROLLBACK")


def _table(alerts: Alerts) -> pa.Table:
    columns: dict[str, Any] = {"survey": pa.array([alerts.survey] * len(alerts))}
    for name, values in alerts.columns().items():
        unknown = values == NEVER_US if name == _NEVER else None
        columns[name] = pa.array(
            values.tolist() if values.dtype.kind == "U" else values, SCHEMA.field(name).type, mask=unknown
        )
    return pa.table(columns, SCHEMA)
