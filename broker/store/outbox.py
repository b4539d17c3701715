"""What sinks are to be sent: reading it, and striking out what was delivered."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

import zstandard

from broker.store.records import Backlog, Delivery, KeptNotice
from schemas.coincidence import from_json
from schemas.records import Coincidence, Message, Publication

_NEXT = """
    SELECT o.id, o.stored_us, c.document, o.substreams, n.body, n.origin, n.topic, n.heard_us, n.ivorn, n.trigger_id
    FROM outbox o LEFT JOIN coincidence c ON c.id = o.coincidence_id AND c.revision = o.revision
    LEFT JOIN notice n ON n.id = o.notice_id
    WHERE o.sink = ? ORDER BY o.id LIMIT ?
"""
_PACKET = "SELECT body FROM packet WHERE survey = ? AND alert_id = ?"


def read_outbox(database: sqlite3.Connection, sink: str, limit: int, *, packets: bool) -> list[Delivery]:
    """The oldest entries of a sink, in order."""
    return [_delivery(database, row, packets=packets) for row in database.execute(_NEXT, [sink, limit])]


def _delivery(database: sqlite3.Connection, row: tuple[Any, ...], *, packets: bool) -> Delivery:
    number, stored_us, document, substreams, body, origin, topic, heard_us, ivorn, trigger_id = row
    if document is None:
        message = Message(zstandard.decompress(body), origin, topic)
        return Delivery(number, stored_us, notice=KeptNotice(message, heard_us, ivorn, trigger_id))
    coincidence = from_json(document)
    packet = _packet_of(database, coincidence) if packets else None
    publication = Publication(coincidence, tuple(json.loads(substreams)), packet)
    return Delivery(number, stored_us, publication)


def _packet_of(database: sqlite3.Connection, coincidence: Coincidence) -> bytes | None:
    """The packet of the latest matching alert, if it is kept."""
    latest = coincidence.object.alert_ids[-1:]
    found = database.execute(_PACKET, [coincidence.object.survey, *latest]).fetchone() if latest else None
    return zstandard.decompress(found[0]) if found else None


def strike_out(database: sqlite3.Connection, sink: str, ids: Sequence[int]) -> tuple[int, int | None]:
    """Strike out delivered entries; how many there were, and when the oldest that is left was stored."""
    rows = [(sink, number) for number in ids]
    gone = database.executemany("DELETE FROM outbox WHERE sink = ? AND id = ?", rows).rowcount
    return gone, _oldest_us(database, sink)


def backlogs(database: sqlite3.Connection) -> dict[str, Backlog]:
    """Of each sink that has an outbox what it has not been sent yet."""
    counts = database.execute("SELECT sink, count(*) FROM outbox GROUP BY sink").fetchall()
    return {sink: Backlog(count, _oldest_us(database, sink)) for sink, count in counts}


def _oldest_us(database: sqlite3.Connection, sink: str) -> int | None:
    oldest = database.execute("SELECT stored_us FROM outbox WHERE sink = ? ORDER BY id LIMIT 1", [sink]).fetchone()
    return oldest[0] if oldest else None
