"""Notices in GCN's unified JSON and LVK alerts made to order, so that the readers are tested without anybody's data."""

import base64
import io
import json
import math
import re
from typing import Any

import fastavro

from schemas.gcn import is_link, read_gcn_json
from schemas.localisation import Cone, Ellipse
from schemas.lvk import read_lvk_json
from schemas.records import Kind, Message, Notice, Role

SCHEMAS = "https://gcn.nasa.gov/schema/main/gcn/notices/"
TIME = "2024-08-24T02:14:40.43Z"
T0_US = 1_724_465_680_430_000
FITS = b"SIMPLE  =                    T" + b" " * 50


ALERT_SCHEMA = {
    "type": "record",
    "name": "igwn.alerts.v1_0.Alert",
    "fields": [
        {"name": "alert_type", "type": "string"},
        {"name": "time_created", "type": "string"},
        {"name": "superevent_id", "type": "string"},
        {"name": "urls", "type": {"type": "map", "values": "string"}},
        {
            "name": "event",
            "type": [
                "null",
                {
                    "type": "record",
                    "name": "EventInfo",
                    "fields": [
                        {"name": "time", "type": "string"},
                        {"name": "far", "type": "double"},
                        {"name": "significant", "type": "boolean"},
                        {"name": "instruments", "type": {"type": "array", "items": "string"}},
                        {"name": "search", "type": "string"},
                        {"name": "classification", "type": {"type": "map", "values": "double"}},
                        {"name": "skymap", "type": ["null", "bytes"]},
                    ],
                },
            ],
        },
        {
            "name": "external_coinc",
            "type": ["null", {"type": "map", "values": ["null", "int", "double", "string", "bytes"]}],
        },
    ],
}


def body_of(record: Any) -> bytes:
    return json.dumps(record).encode()


def read(schema: str = "", *, topic: str = "", origin: str = "topic[0]@7", **fields: Any) -> Notice:
    """Read a notice with these fields, and a trigger time unless another is given; None leaves a field out."""
    record = {"trigger_time": TIME, "id": ["42"]} | fields
    if schema:
        record["$schema"] = f"{SCHEMAS}{schema}.schema.json"
    kept = {name: value for name, value in record.items() if value is not None}
    return read_gcn_json(Message(body_of(kept), origin, topic))


def superevent(name: str = "S230518h", alert_type: str = "INITIAL", **changes: Any) -> dict[str, Any]:
    """An LVK alert as it is decoded from JSON; changes to its event are given as ``event``."""
    event: Any = {
        "significant": True,
        "time": "2023-05-18T12:59:08.167Z",
        "far": 3.2e-10,
        "instruments": ["H1", "L1"],
        "group": "CBC",
        "pipeline": "pycbc",
        "search": "AllSky",
        "properties": {"HasNS": 1.0, "HasRemnant": 0.0, "HasMassGap": 0.0},
        "classification": {"BNS": 0.0, "NSBH": 0.86, "BBH": 0.04, "Terrestrial": 0.1},
        "duration": None,
        "central_frequency": None,
        "skymap": base64.b64encode(FITS).decode(),
    }
    given = changes.pop("event", {})
    event = None if given is None or alert_type == "RETRACTION" else event | given
    return {
        "alert_type": alert_type,
        "time_created": "2023-05-18T16:07:18Z",
        "superevent_id": name,
        "urls": {"gracedb": f"https://gracedb.ligo.org/superevents/{name}/view/"},
        "event": event,
        "external_coinc": None,
    } | changes


def read_superevent(*args: Any, **changes: Any) -> Notice:
    return read_lvk_json(Message(body_of(superevent(*args, **changes)), "igwn.gwalert[0]@7", "igwn.gwalert"))


def container(*records, codec="deflate"):
    out = io.BytesIO()
    fastavro.writer(out, ALERT_SCHEMA, records, codec=codec)
    return out.getvalue()


def as_avro(record):
    """The same alert with the map's bytes."""
    event = record["event"]
    if event and event["skymap"]:
        event = event | {"skymap": base64.b64decode(event["skymap"])}
    return record | {"event": event}


def assert_sane(notice: Notice) -> None:
    """What must hold of every notice, whatever it was made of."""
    assert re.fullmatch(r"ivo://starcross\.invalid/notices/[A-Za-z0-9._-]+#[0-9a-f]{16}(\.\d+)?", notice.ivorn)
    assert notice.notice_type
    assert notice.trigger_id is None or re.fullmatch(r"[a-z0-9-]+:\S{1,100}", notice.trigger_id)
    assert notice.role not in {Role.UTILITY, Role.PREDICTION} or notice.trigger_id is None
    assert notice.stage in {10, 15, 20, 30, 40, 90}
    assert 0 <= notice.serial < 2**31
    assert notice.far_hz is None or 0 <= notice.far_hz < math.inf
    assert notice.significance is None or math.isfinite(notice.significance)
    assert all(0 <= p <= 1 for p in notice.classification.values())
    assert all(is_link(link) for link in notice.links.values())
    place = notice.localisation
    if isinstance(place, Cone | Ellipse):
        assert 0 <= place.ra_deg < 360
        assert -90 <= place.dec_deg <= 90
        assert 0 < place.containment < 1
    if isinstance(place, Cone):
        assert 0 < place.radius_deg <= 90
    if isinstance(place, Ellipse):
        assert 0 < place.semi_minor_deg <= place.semi_major_deg <= 90
        assert 0 <= place.position_angle_deg < 180
    if notice.kind is Kind.RETRACTION:
        assert place is None
