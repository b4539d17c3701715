"""Makes a large set of survey packets of a small one: every copy another alert of another object, nearby, in a night
nearby.

``python -m tests.bench.repeat PACKETS... --out FOLDER --alerts 100000`` reads the packets with fastavro, changes what
says which alert of which object it is, where and when, and writes them with fastavro and the schema that they came with
into tar archives of `MEMBERS` packets. Equal seeds give equal bytes.
"""

import argparse
import io
import itertools
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fastavro
import numpy as np

from bridges.files import find_files, read_files
from bridges.simulator.night import simulate
from schemas.catalogue import SchemaCatalogue
from schemas.errors import BadPacket
from schemas.records import Message
from schemas.survey import looks_like_alerts, read_alerts

MEMBERS, SIMULATED = 10_000, 500
NIGHTS, DEGREES = 3, 1.0
"""How far a copy may be from its original, either way; by whole nights, so that exposures stay together."""
_TIMES = re.compile(r"jd|jdstarthist|jdendhist|midpointMjdTai|midPointTai|mjd")
_IDS = re.compile(r"candid|objectId|diaSourceId|diaObjectId")
SYNC = b"starcross repeat"
Json = Any


def packets_of(paths: Sequence[Path]) -> list[tuple[Json, Json]]:
    """Schema and record of each packet of one alert that is in Avro containers; without paths, simulated ones."""
    found = read_files(find_files(paths)) if paths else (timed.message for timed in simulate(7).alerts())
    messages = (message for message in found if isinstance(message, Message))
    packets = (packet for message in messages if (packet := _packet(message)) is not None)
    return list(packets if paths else itertools.islice(packets, SIMULATED))


def copies(packets: Sequence[tuple[Json, Json]], number: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of so many packets, each of those given in its turn."""
    rng = np.random.default_rng(seed)
    headers = [_header(schema) for schema, _ in packets]
    turns = itertools.cycle(zip(packets, headers, strict=True))
    for count, ((schema, record), header) in enumerate(itertools.islice(turns, number)):
        days, (along, across) = int(rng.integers(-NIGHTS, NIGHTS + 1)), rng.uniform(-DEGREES, DEGREES, 2).tolist()
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, _moved(record, count, days, (along, across)))
        counts = io.BytesIO()
        for size in (1, out.tell()):
            fastavro.schemaless_writer(counts, "long", size)
        yield f"{count:07}.avro", b"".join((header, counts.getvalue(), out.getvalue(), SYNC))


def write(packets: Sequence[tuple[Json, Json]], folder: Path, number: int, seed: int) -> None:
    """The copies as ``00.tar`` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    made = copies(packets, number, seed)
    for part in range(-(-number // MEMBERS)):
        with tarfile.open(folder / f"{part:02}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for name, body in itertools.islice(made, MEMBERS):
                member = tarfile.TarInfo(name)
                member.size = len(body)
                tar.addfile(member, io.BytesIO(body))


def _header(schema: Json) -> bytes:
    """What a container begins with; made once, as to make it takes longer than to encode a packet."""
    out = io.BytesIO()
    fastavro.writer(out, schema, [], codec="null", sync_marker=SYNC)
    return out.getvalue()


def _packet(message: Message) -> tuple[Json, Json] | None:
    """None for what is no single alert that Starcross and fastavro both read."""
    if message.body[:3] != b"Obj" or not looks_like_alerts(message.body):
        return None
    try:
        read_alerts(message, SchemaCatalogue())
        reader = fastavro.reader(io.BytesIO(message.body))
        records = list(reader)
    except (BadPacket, ValueError, EOFError, IndexError, KeyError):
        return None
    return (fastavro.parse_schema(reader.writer_schema), records[0]) if len(records) == 1 else None


def _moved(value: Json, count: int, days: int, by: tuple[float, float], key: str = "") -> Json:
    """The record with other identifiers, times and positions, its history included."""
    if isinstance(value, dict):
        return {name: _moved(inner, count, days, by, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_moved(inner, count, days, by) for inner in value]
    return value if value is None else _moved_value(value, count, days, by, key)


def _moved_value(value: Json, count: int, days: int, by: tuple[float, float], key: str) -> Json:
    if _TIMES.fullmatch(key):
        value = value + days
    elif key == "ra":
        value = (value + by[0]) % 360
    elif key in {"dec", "decl"}:
        value = float(np.clip(value + by[1], -90, 90))
    elif _IDS.fullmatch(key):
        value = f"{value[:5]}{count:07}" if isinstance(value, str) else value // 1_000_000 * 1_000_000 + count
    return value


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("packets", nargs="*", type=Path, help="files, folders, archives; without, simulated packets")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--alerts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(argv)
    write(packets_of(arguments.packets), arguments.out, arguments.alerts, arguments.seed)


if __name__ == "__main__":
    main()
