"""Packets from their bytes to a decision: read, cut, stored and matched with live triggers, next to fastavro."""

from io import BytesIO
from time import perf_counter

import fastavro

from broker.config import load_config
from schemas import lsst, ztf
from schemas.avro import confluent_block
from schemas.packet import Survey
from schemas.records import Alerts, Message
from tests.bench import engines, made, packets
from tests.bench.rows import Row, rate, row_of_rates

LIVE, MAPS, BATCH, HISTORY = 220, 20, 250, 100


def whole(*, full: bool = False) -> list[Row]:
    """2,000 packets of each survey against 220 live triggers; `full`: 6,000."""
    return _of(6000 if full else 2000, packets.notices(LIVE, maps=MAPS), few=50 if full else 25)


def _of(number: int, notices: list[Message], few: int, history: int = HISTORY) -> list[Row]:
    cases = {
        "ZTF with history": (ztf.SURVEY, packets.ztf_packets(number)),
        f"LSST, {history} previous sources": (lsst.SURVEY, list(packets.lsst_packets(made.alerts(number), history))),
    }
    rows = []
    for name, (survey, messages) in cases.items():
        engine, reader = engines.make_live_engine(notices), engines.make_reader()
        engines.take(engine, reader, messages[:1])
        some = messages[:: max(1, len(messages) // few)]
        ours, theirs = [], []
        for start in range(1, len(messages), (len(messages) - 1) // 5 + 1):
            part = messages[start : start + (len(messages) - 1) // 5 + 1]
            begun = perf_counter()
            for first in range(0, len(part), BATCH):
                engines.take(engine, reader, part[first : first + BATCH])
            ours.append((perf_counter() - begun) * len(messages) / 5 / len(part))
            begun = perf_counter()
            read_and_cut(survey, some)
            theirs.append(perf_counter() - begun)
        body_bytes = sum(len(message.body) for message in messages) / len(messages)
        rows.append(
            row_of_rates(
                f"{name}, bytes to decision", f"{len(messages):,} packets of {body_bytes / 1000:.0f} kB",
                len(messages) // 5, ours,
                baseline="fastavro, whole packets, and the same cuts", baseline_median=rate(len(some), theirs),
            )
        )  # fmt: skip
    return rows


def read_and_cut(survey: Survey, messages: list[Message]) -> int:
    """How many pass the cuts when all of each packet is decoded."""
    writer = packets.catalogue().get(packets.SCHEMA_ID)
    records = []
    for message in messages:
        if message.body[:1] == b"\0":
            block = confluent_block(message.body, writer)
            stream = BytesIO(block.data[block.start : block.end])
            records.append(fastavro.schemaless_reader(stream, writer.parsed, None))
        else:
            records += fastavro.reader(BytesIO(message.body))
    rows = [survey.row(record) for record in records]
    alerts = Alerts.from_columns(
        survey.name,
        alert_id=[row.alert_id for row in rows],
        object_id=[row.object_id for row in rows],
        time_us=survey.days.to_us([row.time for row in rows]),
        **{name: [getattr(row, name) for row in rows] for name in ("ra_deg", "dec_deg", *survey.quality_columns)},
    )
    keep, _ = load_config(None).cuts_of(survey.name).apply(alerts, survey.quality_columns)
    return int(keep.sum())
