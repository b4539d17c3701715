"""What is stored into a new engine, so that it goes on where the last one ended."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import zstandard

from broker.store.columns import unpack_alerts
from broker.store.files import SEALED, StoreDamaged, check_sizes, map_night, map_objects
from broker.store.records import KeptSkyMap
from broker.store.schema import sealed_files
from broker.store.sealing import Part
from matchers.engine import Engine
from schemas.coincidence import from_json
from schemas.records import Alerts, Message, Notice
from schemas.sky import SkyMap

ReadNotice = Callable[[Message], Iterable[tuple[Notice, SkyMap | None]]]
ReadSkyMap = Callable[[KeptSkyMap], SkyMap | None]

_TOGETHER = 100_000
"""Alerts restored in one step."""
_BATCHES = """
    SELECT survey, seq, 'stored' AS what, columns, rows FROM alerts UNION ALL
    SELECT survey, seq, 'noted', columns, rows FROM noted UNION ALL
    SELECT '', seq, 'horizon', NULL, horizon_us FROM horizon
    ORDER BY seq
"""
_HEARD = """
    SELECT seq, 0 AS late, id, body, origin, topic, heard_us, ivorn, trigger_id, '' FROM notice WHERE NOT forgotten
    UNION ALL
    SELECT seq, 1, id, body, '', '', heard_us, ivorn, trigger_id, url FROM skymap
    ORDER BY seq, late, id
"""
_NEWEST = "SELECT document, max(revision) FROM coincidence GROUP BY id"
_STANDING = "SELECT document FROM standing"
_log = structlog.get_logger()


@dataclass(slots=True)
class Restored:
    """How much was restored, and what could not be: folders of sealed columns that are damaged."""

    sealed_alerts: int = 0
    open_alerts: int = 0
    noted_alerts: int = 0
    notices: int = 0
    skymaps: int = 0
    coincidences: int = 0
    damaged: list[str] = field(default_factory=list)


def restore(
    database: sqlite3.Connection, folder: Path, engine: Engine, read_notice: ReadNotice, read_skymap: ReadSkyMap
) -> tuple[Restored, list[Part]]:
    """Fill a new engine; see `Store.restore`. Returns the sealed parts too, as they were mapped."""
    restored = Restored()
    known_through = _restore_objects(database, folder, engine, restored)
    parts = _restore_parts(database, folder, engine, known_through, restored)
    _restore_alerts(database, engine, known_through, restored)
    _restore_heard(database, engine, read_notice, read_skymap, restored)
    said = [from_json(document) for document, _ in database.execute(_NEWEST)]
    engine.restore_coincidences(said, [from_json(document) for (document,) in database.execute(_STANDING)])
    restored.coincidences = len(said)
    engine.reopen()
    return restored, parts


def _restore_objects(database: sqlite3.Connection, folder: Path, engine: Engine, restored: Restored) -> dict[str, int]:
    """The checkpoints; by survey the last batch that each of them knows."""
    known_through = {}
    for survey, seq, name in database.execute("SELECT survey, seq, folder FROM checkpoint").fetchall():
        try:
            check_sizes(folder / SEALED / name, sealed_files(database, name))
            engine.index.restore_objects(survey, map_objects(folder / SEALED / name))
        except (StoreDamaged, ValueError) as error:
            _damaged(restored, name, error)
        else:
            known_through[survey] = seq
    return known_through


def _restore_parts(
    database: sqlite3.Connection, folder: Path, engine: Engine, known_through: dict[str, int], restored: Restored
) -> list[Part]:
    """The sealed parts of nights. Where the checkpoint is damaged, they tell what they know of objects."""
    parts = []
    for number, survey, name in database.execute("SELECT id, survey, folder FROM part ORDER BY night, id").fetchall():
        try:
            check_sizes(folder / SEALED / name, sealed_files(database, name))
            part = Part(number, name, map_night(folder / SEALED / name, survey))
        except StoreDamaged as error:
            _damaged(restored, name, error)
            continue
        parts.append(part)
        engine.index.adopt(part.night)
        restored.sealed_alerts += part.night.rows
        if survey not in known_through:
            for alerts in part.night.batches(_TOGETHER):
                engine.index.note(alerts)
    return parts


def _damaged(restored: Restored, folder: str, error: Exception) -> None:
    _log.error("a part of the store is damaged and left out; see `starcross store DIR check`", trouble=str(error))
    restored.damaged.append(folder)


def _restore_alerts(
    database: sqlite3.Connection, engine: Engine, known_through: dict[str, int], restored: Restored
) -> None:
    """The batches since, in their order, many at a time between two moves of the horizon."""
    waiting: defaultdict[tuple[str, str, bool], list[Alerts]] = defaultdict(list)

    def flush() -> None:
        for (_, what, observed), parts in waiting.items():
            alerts = Alerts.concatenate(parts)
            if what == "stored":
                engine.index.restore(alerts, observed=observed)
                restored.open_alerts += len(alerts)
            elif not observed:
                engine.index.note(alerts)
                restored.noted_alerts += len(alerts)
        waiting.clear()

    rows_waiting = 0
    for survey, seq, what, columns, number in database.execute(_BATCHES):
        if what == "horizon":
            flush()
            engine.restore_horizon(number)
            continue
        waiting[survey, what, seq <= known_through.get(survey, 0)].append(unpack_alerts(survey, columns))
        rows_waiting += number
        if rows_waiting > _TOGETHER:
            flush()
            rows_waiting = 0
    flush()


def _restore_heard(
    database: sqlite3.Connection, engine: Engine, read_notice: ReadNotice, read_skymap: ReadSkyMap, restored: Restored
) -> None:
    """Notices and sky maps in the order in which they were heard."""
    for _, late, _, packed, origin, topic, heard_us, ivorn, trigger_id, url in database.execute(_HEARD):
        body = zstandard.decompress(packed)
        if not late:
            for notice, skymap in read_notice(Message(body, origin, topic)):
                engine.restore_notice(notice, skymap, heard_us)
                restored.notices += 1
            continue
        density = read_skymap(KeptSkyMap(trigger_id, ivorn, url, body, heard_us))
        if density is None:
            _log.warning("a stored sky map cannot be read any more", trigger=trigger_id, ivorn=ivorn, url=url)
            continue
        engine.restore_skymap(trigger_id, ivorn, density, heard_us)
        restored.skymaps += 1
