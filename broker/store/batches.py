"""A batch as rows of the tables."""

import hashlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import zstandard

from broker.store.annotations import UPSERT, annotation_row
from broker.store.columns import OBJECT_COLUMNS, pack_alerts
from broker.store.options import StoreOptions
from broker.store.records import Batch, CoincidenceEntry, Entry, KeptNotice, KeptPacket, KeptSkyMap
from matchers.nights import night_of
from schemas.coincidence import to_json
from schemas.records import Alerts, Coincidence, Rejection, State

_LEVEL = 1
_DIGEST_BYTES = 16
_KIB = 1024
_MIB = 1024 * 1024

_Rows = list[tuple[Any, ...]]

DROPPED_REJECTED = "rejected_dropped"
"""Name of the total of messages that quarantine had no room for any more."""

_POSITION = "INSERT INTO position VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
_ALERTS = "INSERT INTO alerts (seq, survey, night, rows, first_us, last_us, columns) VALUES (?, ?, ?, ?, ?, ?, ?)"
_NOTED = "INSERT INTO noted (seq, survey, rows, columns) VALUES (?, ?, ?, ?)"
_PACKET = (
    "INSERT INTO packet (survey, alert_id, object_id, time_us, matched, schema_id, bytes, body) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "matched = max(matched, excluded.matched), bytes = excluded.bytes, body = excluded.body, "
    "schema_id = excluded.schema_id WHERE excluded.bytes >= bytes"
)
_MATCHED = "UPDATE packet SET matched = 1 WHERE survey = ? AND alert_id = ? AND NOT matched"
_NOTICE = (
    "INSERT INTO notice (seq, ivorn, digest, trigger_id, origin, topic, heard_us, bytes, body) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq, heard_us = excluded.heard_us, "
    "forgotten = 0 WHERE forgotten"
)
_SKYMAP = (
    "INSERT INTO skymap (seq, trigger_id, ivorn, url, heard_us, bytes, body) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET seq = excluded.seq, url = excluded.url, heard_us = excluded.heard_us, "
    "bytes = excluded.bytes, body = excluded.body"
)
_COINCIDENCE = (
    "INSERT INTO coincidence (id, revision, state, trigger_id, changed_us, stored_us, document) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_STANDING = (
    "INSERT INTO standing (id, revision, document) VALUES (?, ?, ?) "
    "ON CONFLICT DO UPDATE SET revision = excluded.revision, document = excluded.document"
)
_REVISED = "DELETE FROM standing WHERE id = ? AND revision < ?"
_OUTBOX = (
    "INSERT INTO outbox (sink, stored_us, coincidence_id, revision, substreams, notice_id) VALUES (?, ?, ?, ?, ?, ?)"
)
_NOTICE_ID = "SELECT max(id) FROM notice WHERE ivorn = ?"
_ROUTED = (
    "INSERT INTO routed (substream, coincidence_id, first_us) "
    "SELECT ?, id, changed_us FROM coincidence WHERE id = ? AND revision = ? ON CONFLICT DO NOTHING"
)
_CAPPED = "INSERT OR IGNORE INTO capped (substream, night, coincidence_id, revision) VALUES (?, ?, ?, ?)"
_REJECTED = "INSERT INTO rejected (stored_us, source, origin, reason, detail, bytes, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
_TOTAL = "INSERT INTO total VALUES (?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value"


@dataclass(eq=False)
class BatchChange:
    """Writes a batch. What costs time is made once, however often the disk refuses it.

    Parameters
    ----------
    batch
        What is written.
    seq
        Number of the batch: higher than any before.
    now_us
        The instant that it is stored.
    options
        Which bound the quarantine.
    """

    batch: Batch
    seq: int
    now_us: int
    options: StoreOptions

    def __call__(self, database: sqlite3.Connection) -> None:
        """Write it, inside a transaction.

        Raises
        ------
        sqlite3.IntegrityError
            If a revision is stored already, or an outbox names what is not stored.
        ValueError
            If a coincidence has a number that is not finite.
        """
        for statement, rows in self._statements:
            database.executemany(statement, rows)
        for entry in self.batch.outbox:
            database.execute(_OUTBOX, self._outbox_row(database, entry))
        if self.batch.rejected:
            self._bound_quarantine(database)

    @cached_property
    def _statements(self) -> list[tuple[str, _Rows]]:
        batch = self.batch
        statements: list[tuple[str, _Rows]] = [
            (_POSITION, [(batch.source, name, value) for name, value in batch.positions.items()]),
            (_ALERTS, [row for alerts in _by_survey(batch.stored) for row in self._alert_rows(alerts)]),
            (
                _NOTED,
                [(self.seq, a.survey, len(a), pack_alerts(a, OBJECT_COLUMNS)) for a in _by_survey(batch.noted)],
            ),
            (_PACKET, [_packet_row(packet) for packet in batch.packets]),
            (_NOTICE, [(self.seq, *_notice_row(notice)) for notice in batch.notices]),
            (_SKYMAP, [(self.seq, *_skymap_row(skymap)) for skymap in batch.skymaps]),
            (UPSERT, [annotation_row(kept) for kept in batch.annotations]),
            (_COINCIDENCE, [self._coincidence_row(change) for change in batch.changes]),
            (_REVISED, [(text(change.id), change.revision) for change in batch.changes]),
            (_STANDING, [(text(quiet.id), quiet.revision, to_json(quiet)) for quiet in _newest(batch)]),
            (_MATCHED, _matched_rows([*batch.changes, *batch.quiet])),
            (_ROUTED, self._routed_rows()),
            (_CAPPED, [(c.substream, c.night, text(c.coincidence_id), c.revision) for c in batch.capped]),
            (_REJECTED, [self._rejected_row(rejection, body) for rejection, body in batch.rejected]),
        ]
        return [(statement, rows) for statement, rows in statements if rows]

    def _alert_rows(self, alerts: Alerts) -> Iterator[tuple[Any, ...]]:
        night = night_of(alerts.time_us)
        for number in np.unique(night).tolist():
            part = alerts.take(night == number)
            first_us, last_us = int(part.time_us.min()), int(part.time_us.max())
            yield self.seq, alerts.survey, number, len(part), first_us, last_us, pack_alerts(part)

    def _coincidence_row(self, change: Coincidence) -> tuple[Any, ...]:
        trigger_id = text(change.trigger.id)
        return (
            text(change.id),
            change.revision,
            str(change.state),
            trigger_id,
            change.changed_us,
            self.now_us,
            to_json(change),
        )

    def _outbox_row(self, database: sqlite3.Connection, entry: Entry) -> tuple[Any, ...]:
        if isinstance(entry, CoincidenceEntry):
            substreams = json.dumps(sorted(entry.substreams))
            return entry.sink, self.now_us, text(entry.coincidence_id), entry.revision, substreams, None
        notice_id = database.execute(_NOTICE_ID, [text(entry.ivorn)]).fetchone()[0]
        return entry.sink, self.now_us, None, None, "[]", notice_id

    def _routed_rows(self) -> _Rows:
        return [
            (substream, text(entry.coincidence_id), entry.revision)
            for entry in self.batch.outbox
            if isinstance(entry, CoincidenceEntry)
            for substream in entry.substreams
        ]

    def _rejected_row(self, rejection: Rejection, body: bytes) -> tuple[Any, ...]:
        kept = compressed(body[: self.options.quarantine_body_kib * _KIB])
        told = text(rejection.origin), str(rejection.reason), text(rejection.detail)
        return self.now_us, self.batch.source, *told, len(body), kept

    def _bound_quarantine(self, database: sqlite3.Connection) -> None:
        """Let the oldest go until there is room for the rest."""
        most, room = self.options.quarantine_messages, self.options.quarantine_mib * _MIB
        sizes: Iterable[tuple[int, int]] = database.execute("SELECT id, length(body) FROM rejected ORDER BY id DESC")
        number = size = 0
        for oldest_id, length in sizes:
            number, size = number + 1, size + length
            if number > most or size > room:
                gone = database.execute("DELETE FROM rejected WHERE id <= ?", [oldest_id]).rowcount
                database.execute(_TOTAL, [DROPPED_REJECTED, gone])
                return


def _by_survey(parts: Sequence[Alerts]) -> list[Alerts]:
    """The alerts of each survey together, in order; none that is empty."""
    by_survey: defaultdict[str, list[Alerts]] = defaultdict(list)
    for part in parts:
        if len(part):
            by_survey[part.survey].append(part)
    return [Alerts.concatenate(same) for same in by_survey.values()]


def _newest(batch: Batch) -> list[Coincidence]:
    """Of each coincidence what was kept last, unless a revision came after it."""
    revisions = {change.id: change.revision for change in batch.changes}
    last = {quiet.id: quiet for quiet in batch.quiet}
    return [quiet for quiet in last.values() if quiet.revision >= revisions.get(quiet.id, 0)]


def _packet_row(packet: KeptPacket) -> tuple[Any, ...]:
    known = packet.survey, packet.alert_id, text(packet.object_id), packet.time_us, packet.matched
    return *known, packet.schema_id, len(packet.body), compressed(packet.body)


def _notice_row(notice: KeptNotice) -> tuple[Any, ...]:
    message = notice.message
    digest = hashlib.blake2b(message.body, digest_size=_DIGEST_BYTES).digest()
    trigger_id = None if notice.trigger_id is None else text(notice.trigger_id)
    where = text(message.origin), text(message.topic), notice.heard_us
    return text(notice.ivorn), digest, trigger_id, *where, len(message.body), compressed(message.body)


def _skymap_row(skymap: KeptSkyMap) -> tuple[Any, ...]:
    known = text(skymap.trigger_id), text(skymap.ivorn), text(skymap.url), skymap.heard_us
    return *known, len(skymap.body), compressed(skymap.body)


def _matched_rows(changes: Sequence[Coincidence]) -> _Rows:
    """The alerts of coincidences that stand: their packets are of matched objects from now on."""
    matched = Counter(
        (change.object.survey, alert_id)
        for change in changes
        if change.state is not State.WITHDRAWN
        for alert_id in change.object.alert_ids
    )
    return list(matched)


def text(given: str) -> str:
    """Text as UTF-8 can carry it: lone surrogates become U+FFFD."""
    return given if given.isascii() else given.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def compressed(body: bytes) -> bytes:
    """A body as it lies in the database."""
    return zstandard.compress(body, _LEVEL)
