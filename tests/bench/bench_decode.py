"""How fast survey packets are read into columns, next to fastavro on the same packets in the same run."""

from io import BytesIO

import fastavro

from schemas import lsst, ztf
from schemas.avro import Block, confluent_block, open_container
from schemas.catalogue import SchemaCatalogue
from schemas.packet import Survey
from schemas.records import Message
from schemas.survey import read_batch
from schemas.writer_schema import Json, WriterSchema, projected
from tests.bench import made, packets
from tests.bench.rows import Row, rate, row_of_rates, seconds_of


def decode(*, full: bool = False) -> list[Row]:
    """1,000 packets of each kind; the baselines, which are slow, over some of them. `full`: more of both."""
    return _of(2000, 5, 200) if full else _of(1000, 5, 50)


def _of(number: int, repeats: int, few: int) -> list[Row]:
    catalogue = packets.catalogue()
    rows = _rows("ZTF with history, container", ztf.SURVEY, packets.ztf_packets(number), catalogue, repeats, few)
    for previous in (0, 10, 100):
        messages = list(packets.lsst_packets(made.alerts(number), previous))
        rows += _rows(f"LSST, {previous} previous sources, framed", lsst.SURVEY, messages, catalogue, repeats, few)
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
        writer = catalogue.get(packets.SCHEMA_ID)
        return confluent_block(body, writer), writer
    container = open_container(body)
    return next(container.blocks()), container.writer
