"""What the store lets go: what the engine let go, and what is older than the configuration keeps it."""

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from broker.store.options import StoreOptions
from matchers.nights import night_of
from schemas.times import US_PER_DAY

STEP_ROWS = 200
"""So many rows are let go in one transaction, so that batches need not wait long."""

_KNOWN_HORIZONS = "DELETE FROM horizon WHERE seq < (SELECT min(seq) FROM checkpoint) AND seq < ?"


@dataclass(frozen=True, slots=True)
class HorizonChange:
    """Lets go of alerts before an instant, and of triggers, as the engine did with the batch before it.

    Parameters
    ----------
    seq
        Its number among the batches.
    horizon_us, triggers
        As `Engine.horizon_us`, and what `Engine.expire` returned.
    unbound_before_us
        Notices of no trigger that were heard before it go too.
    """

    seq: int
    horizon_us: int
    triggers: Collection[str]
    unbound_before_us: int

    def __call__(self, database: sqlite3.Connection) -> list[str]:
        """Write it; returns the folders that are not named any more."""
        last = database.execute("SELECT max(horizon_us) FROM horizon").fetchone()[0]
        if last is None or self.horizon_us > last:
            database.execute("INSERT INTO horizon VALUES (?, ?)", [self.seq, self.horizon_us])
            # The newest one counts for what is to come; those before the oldest checkpoint are in it.
            database.execute(_KNOWN_HORIZONS, [self.seq])
        database.execute("DELETE FROM alerts WHERE last_us < ?", [self.horizon_us])
        folders = [row[0] for row in database.execute("SELECT folder FROM part WHERE last_us < ?", [self.horizon_us])]
        database.executemany("DELETE FROM file WHERE folder = ?", [(folder,) for folder in folders])
        database.executemany("DELETE FROM part WHERE folder = ?", [(folder,) for folder in folders])
        gone = [(trigger_id,) for trigger_id in self.triggers]
        database.executemany("UPDATE notice SET forgotten = 1 WHERE trigger_id = ?", gone)
        database.executemany("DELETE FROM skymap WHERE trigger_id = ?", gone)
        database.execute(
            "UPDATE notice SET forgotten = 1 WHERE trigger_id IS NULL AND heard_us < ?", [self.unbound_before_us]
        )
        return folders


def outdated(options: StoreOptions, now_us: int) -> list[tuple[str, list[int]]]:
    """Statements that delete what is not kept any longer, each at most so many rows as their last value says, which is
    to be added to the values given here.
    """
    revisions_us = now_us - int(options.revisions_d * US_PER_DAY)
    coincidences_us = now_us - int(options.coincidences_d * US_PER_DAY)
    first_night = int(night_of(np.array([revisions_us]))[0])
    return [
        (_NOTICES, []),
        (_PACKETS, [0, now_us - int(options.packets_d * US_PER_DAY)]),
        (_PACKETS, [1, now_us - int(options.matched_packets_d * US_PER_DAY)]),
        (_CAPPED, [first_night]),
        (_REVISIONS, [revisions_us]),
        (_COINCIDENCES, [coincidences_us]),
        (_ROUTED, [coincidences_us]),
        (_ANNOTATIONS, [coincidences_us]),
    ]


_NOTICES = """
    DELETE FROM notice WHERE id IN (
        SELECT n.id FROM notice n
        WHERE n.forgotten AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.notice_id = n.id) LIMIT ?
    )
"""
_PACKETS = "DELETE FROM packet WHERE id IN (SELECT id FROM packet WHERE matched = ? AND time_us < ? LIMIT ?)"
_CAPPED = """
    DELETE FROM capped WHERE (substream, night, coincidence_id, revision) IN (
        SELECT substream, night, coincidence_id, revision FROM capped WHERE night < ? LIMIT ?
    )
"""
_REVISIONS = """
    DELETE FROM coincidence WHERE (id, revision) IN (
        SELECT c.id, c.revision FROM coincidence c
        WHERE c.stored_us < ?
        AND EXISTS (SELECT 1 FROM coincidence n WHERE n.id = c.id AND n.revision > c.revision)
        AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.coincidence_id = c.id AND o.revision = c.revision)
        AND NOT EXISTS (SELECT 1 FROM capped k WHERE k.coincidence_id = c.id AND k.revision = c.revision)
        LIMIT ?
    )
"""
_COINCIDENCES = """
    DELETE FROM coincidence WHERE (id, revision) IN (
        SELECT c.id, c.revision FROM coincidence c
        WHERE c.stored_us < ?
        AND NOT EXISTS (SELECT 1 FROM coincidence n WHERE n.id = c.id AND n.revision <> c.revision)
        AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.coincidence_id = c.id AND o.revision = c.revision)
        AND NOT EXISTS (SELECT 1 FROM capped k WHERE k.coincidence_id = c.id AND k.revision = c.revision)
        LIMIT ?
    )
"""
_ROUTED = """
    DELETE FROM routed WHERE (coincidence_id, substream) IN (
        SELECT r.coincidence_id, r.substream FROM routed r
        WHERE r.first_us < ? AND NOT EXISTS (SELECT 1 FROM coincidence c WHERE c.id = r.coincidence_id)
        LIMIT ?
    )
"""
_ANNOTATIONS = """
    DELETE FROM annotation WHERE (survey, object_id, catalogue) IN (
        SELECT survey, object_id, catalogue FROM annotation WHERE answered_us < ? LIMIT ?
    )
"""
