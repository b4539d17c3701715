"""Bytes for benchmarks: survey packets of made alerts, and notices of observatories."""

import base64
import json
import struct
from collections.abc import Iterator
from itertools import islice

import numpy as np

from bridges.simulator.night import simulate
from schemas.catalogue import SchemaCatalogue
from schemas.records import Alerts, Message
from schemas.sky import SkyMap
from schemas.times import US_PER_DAY, iso_from_us
from schemas.writer_schema import Json
from tests.bench import made
from tests.schemas.maps import multi_order
from tests.schemas.voevent_packets import packet
from tests.survey_packets import LSST_SOURCE, LSST_WHOLE, framed, lsst_alert, lsst_source, maybe, varint

SCHEMA_ID = 1000
STAMP_BYTES = 25_000
FURTHER_FLOATS, FURTHER_FLAGS, FURTHER_COUNTS = 60, 20, 4
"""What the schema of tests lacks of the 98 fields of Rubin's source."""
_FIRST_ID = 171_000_000_000_000_000
_ID, _OBJECT = 171_987_654_321_987_654, 3_138_987_654_321_987
_MJD, _EARLIER_MJD, _RA, _DEC = 61234.56789, 61123.45678, 234.56789, -23.456789
"""What is found in a packet and replaced."""
_NEW_OF, _OLD_DAYS = 50, 300
"""One alert in so many is of an object that was first seen lately; the others were seen for so many days."""
_MJD_OF_1970, _TAI_MINUS_UTC_S = 40587, 37


def lsst_schema() -> Json:
    """An LSST alert's schema with as many fields a source as Rubin's has."""
    further = [{"name": f"flux{n}", "type": maybe("float")} for n in range(FURTHER_FLOATS)]
    further += [{"name": f"flag{n}", "type": maybe("boolean")} for n in range(FURTHER_FLAGS)]
    further += [{"name": f"count{n}", "type": maybe("int")} for n in range(FURTHER_COUNTS)]
    source = LSST_SOURCE | {"fields": LSST_SOURCE["fields"] + further}
    fields = [field | {"type": source} if field["name"] == "diaSource" else field for field in LSST_WHOLE["fields"]]
    return json.loads(json.dumps(LSST_WHOLE | {"fields": fields}))


def catalogue() -> SchemaCatalogue:
    """What knows `lsst_schema`."""
    known = SchemaCatalogue()
    known.add(SCHEMA_ID, json.dumps(lsst_schema()).encode())
    return known


def lsst_packets(alerts: Alerts, previous: int, *, new_of: int = _NEW_OF) -> Iterator[Message]:
    """A framed packet of each alert, with so many previous sources, every fifth value of them null; one in ``new_of``
    of an object that was first seen lately.

    Encoded once, and changed where it tells of identity, time and position: to encode each would take minutes.
    """
    values = {f"flux{n}": None if n % 5 == 0 else 0.5 * n for n in range(FURTHER_FLOATS)}
    values |= {f"flag{n}": False for n in range(FURTHER_FLAGS)} | {f"count{n}": 1000 for n in range(FURTHER_COUNTS)}
    own = {"diaSourceId": _ID, "diaObjectId": _OBJECT, "midpointMjdTai": _MJD, "ra": _RA, "dec": _DEC}
    alert = lsst_alert(**own, **values)
    alert["prvDiaSources"] = [lsst_source(midpointMjdTai=_EARLIER_MJD) | values] * previous or None
    alert["cutoutDifference"] = bytes(3 * STAMP_BYTES)
    body = framed(SCHEMA_ID, lsst_schema(), alert)
    mjd, first_mjd = _mjd(alerts.time_us), _mjd(alerts.first_detection_us)
    first_mjd[np.arange(len(alerts)) % new_of > 0] -= _OLD_DAYS
    for row in range(len(alerts)):
        changed = body
        for old, new in (
            (varint(_ID), varint(_FIRST_ID + int(alerts.alert_id[row]))),
            (varint(_OBJECT), varint(int(alerts.object_id[row]))),
            (_double(_MJD), _double(mjd[row])),
            (_double(_EARLIER_MJD), _double(first_mjd[row])),
            (_double(_RA), _double(alerts.ra_deg[row])),
            (_double(_DEC), _double(alerts.dec_deg[row])),
        ):
            changed = changed.replace(old, new)
        yield Message(changed, f"made[0]@{row}")


def ztf_packets(packets: int) -> list[Message]:
    """Containers of simulated nights with their histories; codec null, as ZTF sends them.

    Raises
    ------
    ValueError
        If the nights do not have so many.
    """
    found = [timed.message for timed in islice(simulate(7).alerts(), packets)]
    if len(found) < packets:
        raise ValueError(f"{packets} packets of simulated nights that have {len(found)}")
    return found


def burst_notice(number: int, time_us: int, place_deg: tuple[float, float], radius_deg: float) -> Message:
    """A VOEvent of a gamma-ray burst, as Fermi's GBM sends it in the end."""
    body = packet(
        115,
        {"TrigID": 700_000_000 + number},
        ivorn=f"ivo://nasa.gsfc.gcn/Fermi#GBM_Fin_Pos{number}",
        date=_iso(time_us + 60_000_000),
        time=_iso(time_us),
        position=place_deg,
        radius=radius_deg,
    )
    return Message(body, f"bursts[0]@{number}", "gcn.classic.voevent.FERMI_GBM_FIN_POS")


def merger_notice(number: int, time_us: int, skymap: SkyMap) -> Message:
    """An LVK alert with this multi-order map in it."""
    event = {
        "time": _iso(time_us) + "Z", "far": 1e-9, "significant": True, "instruments": ["H1", "L1"], "group": "CBC",
        "pipeline": "made", "search": "AllSky",
        "classification": {"BNS": 0.9, "NSBH": 0.05, "BBH": 0, "Terrestrial": 0.05},
        "properties": {"HasNS": 1.0, "HasRemnant": 1.0}, "duration": None, "central_frequency": None,
        "skymap": base64.b64encode(map_file(skymap)).decode(),
    }  # fmt: skip
    letters = "".join(chr(ord("a") + number // 26**power % 26) for power in (2, 1, 0))
    alert = {
        "alert_type": "PRELIMINARY", "superevent_id": f"S260601{letters}", "urls": {}, "event": event,
        "time_created": _iso(time_us + 60_000_000) + "Z", "external_coinc": None,
    }  # fmt: skip
    return Message(json.dumps(alert).encode(), f"mergers[0]@{number}", "igwn.gwalert")


def map_file(skymap: SkyMap, **header: str) -> bytes:
    """A map as a multi-order FITS file."""
    order = 29 - np.log2(skymap.hi - skymap.lo).astype(np.int64) // 2
    uniq = (4 << 2 * order) + (skymap.lo >> 2 * (29 - order))
    return multi_order(uniq, skymap.cell_density_per_sr, MOCORDER=int(order.max()), **header)


def notices(number: int, *, maps: int = 20, days: float = 30, seed: int = 4) -> list[Message]:
    """Of so many triggers, spread over the days of `made.alerts`; some of them with maps of 20,000 rows."""
    rng = np.random.default_rng(seed)
    times_us = (made.T0 + rng.random(number) * days * US_PER_DAY).astype(np.int64).tolist()
    ra_deg, dec_deg = rng.uniform(0, 360, number), np.degrees(np.arcsin(rng.uniform(-1, 1, number)))
    radius_deg = np.exp(rng.uniform(np.log(0.05), np.log(15), number))
    return [
        merger_notice(n, times_us[n], made.gw_map(seed + n))
        if n < maps
        else burst_notice(n, times_us[n], (float(ra_deg[n]), float(dec_deg[n])), float(radius_deg[n]))
        for n in range(number)
    ]


def _mjd(time_us: np.ndarray) -> np.ndarray:
    return time_us / US_PER_DAY + (_MJD_OF_1970 + _TAI_MINUS_UTC_S / 86_400)


def _double(value: float) -> bytes:
    return struct.pack("<d", value)


def _iso(time_us: int) -> str:
    return iso_from_us(time_us).rstrip("Z")
