"""What is in a store: sizes and numbers, as a document of JSON types."""

import sqlite3
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from broker.store.batches import DROPPED_REJECTED
from broker.store.database import DATABASE, LOCK, lock
from broker.store.schema import version_of
from schemas.times import iso_from_us

_EPOCH = date(1970, 1, 1)
_ALERTS = """
    SELECT survey, night, sum(sealed), sum(open), sum(parts) FROM (
        SELECT survey, night, rows AS sealed, 0 AS open, 1 AS parts FROM part UNION ALL
        SELECT survey, night, 0, rows, 0 FROM alerts
    ) GROUP BY survey, night ORDER BY survey, night
"""
_STATES = """
    SELECT state, count(*) FROM coincidence c
    WHERE NOT EXISTS (SELECT 1 FROM coincidence n WHERE n.id = c.id AND n.revision > c.revision)
    GROUP BY state ORDER BY state
"""
_TRIGGERS = """
    SELECT trigger_id, count(*), min(heard_us), max(heard_us) FROM notice
    WHERE trigger_id IS NOT NULL AND NOT forgotten GROUP BY trigger_id ORDER BY max(heard_us)
"""


def night_name(night: int) -> str:
    """The date of the evening on which a night (see `matchers.nights.night_of`) began."""
    return (_EPOCH + timedelta(days=night)).isoformat()


def night_number(name: str) -> int:
    """The night that `night_name` names so.

    Raises
    ------
    ValueError
        If it is no date.
    """
    return (date.fromisoformat(name) - _EPOCH).days


def contents(database: sqlite3.Connection, folder: Path) -> dict[str, Any]:
    """What is in the store in a folder, all of one moment."""
    database.execute("BEGIN")
    try:
        return _contents(database, folder)
    finally:
        database.execute("ROLLBACK")


def _contents(database: sqlite3.Connection, folder: Path) -> dict[str, Any]:
    def rows(asked: str, *names: str) -> list[dict[str, Any]]:
        return [dict(zip(names, row, strict=True)) for row in database.execute(asked)]

    def number(asked: str, *values: Any) -> int:
        return database.execute(asked, values).fetchone()[0] or 0

    positions: dict[str, dict[str, int]] = {}
    for source, name, value in database.execute("SELECT source, name, value FROM position ORDER BY source, name"):
        positions.setdefault(source, {})[name] = value
    return {
        "folder": str(folder),
        "version": version_of(database),
        "in_use_by": holder(folder),
        "bytes": {
            "database": _size(folder / DATABASE),
            "write_ahead_log": _size(folder / f"{DATABASE}-wal"),
            "free_in_database": number(
                "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size"
            ),
            "sealed": number("SELECT sum(bytes) FROM file"),
        },
        "alerts": [
            row | {"night": night_name(row["night"])}
            for row in rows(_ALERTS, "survey", "night", "sealed", "open", "parts")
        ],
        "objects": [
            row | {"made_utc": iso_from_us(row["made_utc"])}
            for row in rows(
                "SELECT survey, objects, made_us FROM checkpoint ORDER BY survey", "survey", "objects", "made_utc"
            )
        ],
        "noted_alerts": number("SELECT sum(rows) FROM noted"),
        "packets": rows(
            "SELECT survey, matched, count(*), sum(length(body)) FROM packet GROUP BY survey, matched",
            *("survey", "matched", "packets", "bytes"),
        ),
        "notices": number("SELECT count(*) FROM notice"),
        "skymaps": number("SELECT count(*) FROM skymap"),
        "annotations": dict(
            database.execute(
                "SELECT catalogue, count(*) FROM annotation GROUP BY catalogue ORDER BY catalogue"
            ).fetchall()
        ),
        "triggers": [
            row | {"first_utc": iso_from_us(row["first_utc"]), "last_utc": iso_from_us(row["last_utc"])}
            for row in rows(_TRIGGERS, "trigger", "notices", "first_utc", "last_utc")
        ],
        "coincidences": dict(database.execute(_STATES).fetchall()),
        "revisions": number("SELECT count(*) FROM coincidence"),
        "unpublished": number("SELECT count(*) FROM standing"),
        "outboxes": [
            row | {"oldest_utc": iso_from_us(row["oldest_utc"])}
            for row in rows(
                "SELECT sink, count(*), min(stored_us) FROM outbox GROUP BY sink ORDER BY sink",
                *("sink", "waiting", "oldest_utc"),
            )
        ],
        "capped": dict(
            database.execute("SELECT substream, count(*) FROM capped GROUP BY substream ORDER BY substream").fetchall()
        ),
        "quarantine": {
            "reasons": dict(
                database.execute("SELECT reason, count(*) FROM rejected GROUP BY reason ORDER BY reason").fetchall()
            ),
            "bytes": number("SELECT sum(length(body)) FROM rejected"),
            "dropped": number("SELECT sum(value) FROM total WHERE name = ?", DROPPED_REJECTED),
        },
        "positions": positions,
    }


def holder(folder: Path) -> str | None:
    """The process that has a store open for writing; None if none has."""
    try:
        with (folder / LOCK).open(encoding="ascii") as file:
            try:
                lock(file, shared=True)
            except OSError:
                return file.read(20).strip() or "unknown"
    except OSError:
        pass
    return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


QUARANTINE_NAMES: Sequence[str] = ("id", "stored_utc", "source", "origin", "reason", "detail", "bytes")


def quarantine(database: sqlite3.Connection, reason: str | None) -> list[dict[str, Any]]:
    """What could not be read, the oldest first; of one reason, or of all."""
    asked = (
        "SELECT id, stored_us, source, origin, reason, detail, bytes FROM rejected "
        "WHERE :reason IS NULL OR reason = :reason ORDER BY id"
    )
    listed = [dict(zip(QUARANTINE_NAMES, row, strict=True)) for row in database.execute(asked, {"reason": reason})]
    return [row | {"stored_utc": iso_from_us(row["stored_utc"])} for row in listed]


def capped(database: sqlite3.Connection, substream: str | None) -> list[dict[str, Any]]:
    """What substreams did not send because their night was full: with the coincidence as text of JSON."""
    asked = (
        "SELECT k.substream, k.night, k.coincidence_id, k.revision, c.document FROM capped k "
        "JOIN coincidence c ON c.id = k.coincidence_id AND c.revision = k.revision "
        "WHERE :substream IS NULL OR k.substream = :substream "
        "ORDER BY k.substream, k.night, k.coincidence_id, k.revision"
    )
    names = ("substream", "night", "coincidence", "revision", "document")
    listed = [dict(zip(names, row, strict=True)) for row in database.execute(asked, {"substream": substream})]
    return [row | {"night": night_name(row["night"])} for row in listed]
