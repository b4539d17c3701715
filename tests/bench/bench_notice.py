"""A notice from its bytes to a live window: how long it takes, next to the libraries that one would put together."""

import base64
import json
from collections.abc import Callable
from io import BytesIO

import astropy.units as u
import numpy as np
from astropy.coordinates import Latitude, Longitude
from astropy.table import Table
from lxml import etree
from mocpy import MOC

from schemas.records import Message
from tests.bench import engines, made, packets
from tests.bench.rows import Row, row_of_ms, seconds_of, slowest_in_100

LIVE, MAPS = 220, 20
"""Triggers that are live already, and how many of them have maps."""
_FEW = 20


def notice(*, full: bool = False) -> list[Row]:
    """100 VOEvents and 20 LVK alerts with maps of 20,000 rows; `full`: 1,000 and 100."""
    return _of(LIVE, MAPS, (1000, 100) if full else (100, 20))


def _of(live: int, maps: int, numbers: tuple[int, int], map_rows: int = 20_000) -> list[Row]:
    engine, reader = engines.make_live_engine(packets.notices(live, maps=maps)), engines.make_reader()
    skymaps = [made.gw_map(1000 + n, rows=map_rows) for n in range(5)]
    bursts = packets.notices(numbers[0] + live, maps=0, seed=6)[live:]
    mergers = [packets.merger_notice(1000 + n, made.T0, skymaps[n % 5]) for n in range(numbers[1])]
    cases: list[tuple[str, list[Message], str, Callable[[Message], MOC]]] = [
        ("VOEvent of a circle", bursts, "lxml, and mocpy's cone", mocpy_cone),
        (
            f"LVK alert with a map of {len(skymaps[0].lo):,} rows", mergers,
            "json, astropy's table, and mocpy's region of 90 %", mocpy_region,
        ),
    ]  # fmt: skip
    rows = []
    for name, messages, by, baseline in cases:
        ours = [_timed(lambda m=m: engines.hear(engine, reader, m)) for m in messages]
        theirs = [_timed(lambda m=m, b=baseline: b(m)) for m in messages[:_FEW]]
        size = f"{len(messages):,} notices, {live} live triggers"
        row = row_of_ms(name, size, ours, baseline=by, baseline_median=float(np.median(theirs)) * 1e3)
        rows += [row, slowest_in_100(name, size, ours)]
    return rows


def _timed(work: Callable[[], object]) -> float:
    return seconds_of(work, 1, warm=False)[0]


def mocpy_cone(message: Message) -> MOC:
    """The cone of a VOEvent's position and radius."""
    root = etree.fromstring(message.body)
    ra, dec, radius = (float(root.findtext(f".//{name}")) for name in ("C1", "C2", "Error2Radius"))
    return MOC.from_cone(Longitude(ra, u.deg), Latitude(dec, u.deg), radius=radius * u.deg, max_depth=10)


def mocpy_region(message: Message) -> MOC:
    """The region that holds 90 % of an LVK alert's map."""
    event = json.loads(message.body)["event"]
    table = Table.read(BytesIO(base64.b64decode(event["skymap"])))
    uniq = table["UNIQ"]
    order = np.log2(uniq / 4).astype(np.int64) // 2
    held = table["PROBDENSITY"] * (4 * np.pi / 12 / 4.0**order)
    return MOC.from_valued_healpix_cells(uniq, held, max_depth=int(order.max()), cumul_to=0.9)
