"""How fast survey packets are read into columns, next to fastavro on the same packets in the same run.

``rows()`` is what a benchmark runner calls; ``python -m tests.bench.bench_decode`` prints it as a table.
"""

import json
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from bridges.simulator.night import simulate
from schemas import lsst, walker, ztf
from schemas.avro import Block, confluent_block, open_container, records
from schemas.catalogue import SchemaCatalogue
from schemas.packet import Survey
from schemas.records import Message
from schemas.survey import read_batch
from schemas.writer_schema import Json, WriterSchema, projected
from tests.survey_packets import LSST_SOURCE, LSST_WHOLE, framed, lsst_alert, lsst_source, maybe

SCHEMA_ID = 1000
STAMP_BYTES = 25_000
FURTHER_FLOATS, FURTHER_FLAGS, FURTHER_COUNTS = 60, 20, 4
"""What the schema of tests lacks of the 98 fields of Rubin's source."""


class Row(NamedTuple):
    """One line of the table: medians over the repeats, in packets a second."""

    name: str
    packets: int
    bytes_a_packet: int
    packets_per_s: float
    spread: float
    fastavro_whole_per_s: float
    fastavro_projected_per_s: float
    ratio_to_whole: float
    ratio_to_projected: float


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


def rows(packets: int = 1_000, repeats: int = 5, baseline_packets: int = 50) -> list[Row]:
    """Measure; the baselines, which are slow, over fewer packets."""
    catalogue = SchemaCatalogue()
    catalogue.add(SCHEMA_ID, json.dumps(lsst_schema()).encode())
    cases = {"ZTF with history, container": (ztf.SURVEY, ztf_packets(packets))}
    for previous in (0, 10, 100):
        cases[f"LSST, {previous} previous sources, framed"] = lsst.SURVEY, lsst_packets(previous, packets)
    return [
        _row(name, survey, messages, catalogue, repeats, baseline_packets) for name, (survey, messages) in cases.items()
    ]


def _row(name: str, survey: Survey, messages: list[Message], catalogue: SchemaCatalogue, repeats: int, few: int) -> Row:
    blocks = [_block(message.body, catalogue) for message in messages[:: max(1, len(messages) // few)]]
    schema = projected(blocks[0][1], survey.wanted)

    def read() -> None:
        _, rejections = read_batch(messages, catalogue)
        if rejections:
            raise ValueError(rejections[0])

    def decode(reader: Json) -> None:
        for block, writer in blocks:
            for _ in records(block, writer.parsed, reader):
                pass

    read()
    times = {"read": [], "whole": [], "projected": []}
    for _ in range(repeats):  # in turn, so that a busy machine slows all alike
        times["read"].append(_seconds(read) / len(messages))
        times["whole"].append(_seconds(lambda: decode(None)) / len(blocks))
        times["projected"].append(_seconds(lambda: decode(schema)) / len(blocks))
    ours, whole, short = (statistics.median(times[key]) for key in ("read", "whole", "projected"))
    return Row(
        name=name,
        packets=len(messages),
        bytes_a_packet=sum(len(message.body) for message in messages) // len(messages),
        packets_per_s=1 / ours,
        spread=(max(times["read"]) - min(times["read"])) / ours,
        fastavro_whole_per_s=1 / whole,
        fastavro_projected_per_s=1 / short,
        ratio_to_whole=whole / ours,
        ratio_to_projected=short / ours,
    )


def _block(body: bytes, catalogue: SchemaCatalogue) -> tuple[Block, WriterSchema]:
    if body[:1] == b"\0":
        writer = catalogue.get(SCHEMA_ID)
        return confluent_block(body, writer), writer
    container = open_container(body)
    return next(container.blocks()), container.writer


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    print("walker:", "compiled" if walker.COMPILED else "plain Python")  # noqa: T201
    for row in rows():
        print(  # noqa: T201
            f"{row.name:36s} {row.bytes_a_packet / 1000:6.1f} kB {row.packets_per_s:9,.0f}/s (spread {row.spread:4.0%})"
            f"  fastavro whole {row.fastavro_whole_per_s:7,.0f}/s x{row.ratio_to_whole:5.1f}"
            f"  projected {row.fastavro_projected_per_s:7,.0f}/s x{row.ratio_to_projected:5.1f}"
        )


if __name__ == "__main__":
    main()
