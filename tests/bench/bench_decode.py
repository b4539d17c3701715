"""How fast survey packets are read into columns, next to fastavro on the same packets in the same run."""

import json
from io import BytesIO

import fastavro

from bridges.simulator.night import simulate
from schemas import lsst, ztf
from schemas.avro import Block, confluent_block, open_container
from schemas.catalogue import SchemaCatalogue
from schemas.packet import Survey
from schemas.records import Message
from schemas.survey import read_batch
from schemas.writer_schema import Json, WriterSchema, projected
from tests.bench.rows import Row, rate, row_of_rates, seconds_of
from tests.survey_packets import LSST_SOURCE, LSST_WHOLE, framed, lsst_alert, lsst_source, maybe

SCHEMA_ID = 1000
STAMP_BYTES = 25_000
FURTHER_FLOATS, FURTHER_FLAGS, FURTHER_COUNTS = 60, 20, 4
"""What the schema of tests lacks of the 98 fields of Rubin's source."""


def lsst_schema():
    """An LSST alert's schema with as many fields a source as Rubin's has."""
    further = [{"name": f"flux{n}", "type": maybe("float")} for n in range(FURTHER_FLOATS)]
    further += [{"name": f"flag{n}", "type": maybe("boolean")} for n in range(FURTHER_FLAGS)]
    further += [{"name": f"count{n}", "type": maybe("int")} for n in range(FURTHER_COUNTS)]
    source = LSST_SOURCE | {"fields": LSST_SOURCE["fields"] + further}
    fields = [field | {"type": source} if field["name"] == "diaSource" else field for field in LSST_WHOLE["fields"]]
    return json.loads(json.dumps(LSST_WHOLE | {"fields": fields}))


def lsst_packets(previous: int, packets: int) -> list[Message]:
    """Framed packets with so many previous sources each, every fifth value of them null."""
    schema = lsst_schema()
    values = {f"flux{n}": None if n % 5 == 0 else 0.5 * n for n in range(FURTHER_FLOATS)}
    values |= {f"flag{n}": False for n in range(FURTHER_FLAGS)} | {f"count{n}": 1000 for n in range(FURTHER_COUNTS)}
    history = [lsst_source(midpointMjdTai=61000.0 + n / 8) | values for n in range(previous)]
    bodies = []
    for number in range(8):
        alert = lsst_alert(diaSourceId=170_000_000_000_000_000 + number, psfFlux=1000.0 + number, **values)
        alert |= {"prvDiaSources": history or None, "cutoutDifference": bytes(3 * STAMP_BYTES)}
        bodies.append(framed(SCHEMA_ID, schema, alert))
    # Each with bytes of its own, as from a network.
    return [Message(bytes(bytearray(bodies[n % len(bodies)])), f"made[0]@{n}") for n in range(packets)]


def ztf_packets(packets: int) -> list[Message]:
    """Containers of a simulated night with their histories; codec null, as ZTF sends them."""
    night = [timed.message for timed in simulate(7).messages() if timed.message.body[:3] == b"Obj"]
    return [Message(bytes(bytearray(night[n % len(night)].body)), f"night/{n}") for n in range(packets)]


def decode(*, full: bool = False) -> list[Row]:
    """1,000 packets of each kind; the baselines, which are slow, over some of them. `full`: more of both."""
    return _of(2000, 5, 200) if full else _of(1000, 5, 50)


def _of(packets: int, repeats: int, few: int) -> list[Row]:
    catalogue = SchemaCatalogue()
    catalogue.add(SCHEMA_ID, json.dumps(lsst_schema()).encode())
    cases = {"ZTF with history, container": (ztf.SURVEY, ztf_packets(packets))}
    for previous in (0, 10, 100):
        cases[f"LSST, {previous} previous sources, framed"] = lsst.SURVEY, lsst_packets(previous, packets)
    rows = []
    for name, (survey, messages) in cases.items():
        rows += _rows(name, survey, messages, catalogue, repeats, few)
    return rows


def _rows(
    name: str, survey: Survey, messages: list[Message], catalogue: SchemaCatalogue, repeats: int, few: int
) -> list[Row]:
    blocks = [_block(message.body, catalogue) for message in messages[:: max(1, len(messages) // few)]]
    schema = projected(blocks[0][1], survey.wanted)

    def read() -> None:
        _, rejections = read_batch(messages, catalogue)
        if rejections:
            raise ValueError(rejections[0])

    def build(reader: Json) -> None:
        for block, writer in blocks:
            stream = BytesIO(block.data[block.start : block.end])
            for _ in range(block.count):
                fastavro.schemaless_reader(stream, writer.parsed, reader)

    read()
    ours, whole, wanted = [], [], []
    for _ in range(repeats):  # in turn, so that a busy machine slows all alike
        ours += seconds_of(read, 1, warm=False)
        whole += seconds_of(lambda: build(None), 1, warm=False)
        wanted += seconds_of(lambda: build(schema), 1, warm=False)
    size = (
        f"{len(messages):,} packets of {sum(len(message.body) for message in messages) / len(messages) / 1000:.0f} kB"
    )
    return [
        row_of_rates(name, size, len(messages), ours, baseline=baseline, baseline_median=rate(len(blocks), theirs))
        for baseline, theirs in (("fastavro, whole packets", whole), ("fastavro, only the wanted fields", wanted))
    ]


def _block(body: bytes, catalogue: SchemaCatalogue) -> tuple[Block, WriterSchema]:
    if body[:1] == b"\0":
        writer = catalogue.get(SCHEMA_ID)
        return confluent_block(body, writer), writer
    container = open_container(body)
    return next(container.blocks()), container.writer
