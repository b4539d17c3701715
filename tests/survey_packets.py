"""Survey packets for tests: compact schemas with the surveys' field names, and writers for them."""

import json
from io import BytesIO

import fastavro


def maybe(kind):
    return ["null", kind]


def record(name, **fields):
    return {"type": "record", "name": name, "fields": [{"name": key, "type": kind} for key, kind in fields.items()]}


ZTF_PREVIOUS = record("ztf.alert.prv_candidate", jd="double", fid="int", candid=maybe("long"), magpsf=maybe("float"))
ZTF_CANDIDATE = record(
    "ztf.alert.candidate",
    jd="double",
    fid="int",
    candid="long",
    isdiffpos="string",
    ra="double",
    dec="double",
    magpsf="float",
    sigmapsf="float",
    magap=maybe("float"),
    nbad=maybe("int"),
    rb=maybe("float"),
    ssdistnr=maybe("float"),
    ssnamenr=maybe("string"),
    distpsnr1=maybe("float"),
    sgscore1=maybe("float"),
    jdstarthist=maybe("double"),
    neargaia=maybe("float"),
)
ZTF_CUTOUT = record("ztf.alert.cutout", fileName="string", stampData="bytes")
ZTF = record(
    "ztf.alert",
    schemavsn="string",
    publisher="string",
    objectId="string",
    candid="long",
    candidate=ZTF_CANDIDATE,
    prv_candidates=maybe({"type": "array", "items": ZTF_PREVIOUS}),
    cutoutScience=maybe(ZTF_CUTOUT),
)
LSST_SOURCE = record(
    "lsst.v10_0.diaSource",
    diaSourceId="long",
    diaObjectId=maybe("long"),
    ssObjectId=maybe("long"),
    midpointMjdTai="double",
    ra="double",
    raErr=maybe("float"),
    dec="double",
    apFlux=maybe("float"),
    psfFlux=maybe("float"),
    psfFluxErr=maybe("float"),
    reliability=maybe("float"),
    band=maybe("string"),
    pixelFlags_bad=maybe("boolean"),
    pixelFlags_cr=maybe("boolean"),
    pixelFlags_saturatedCenter=maybe("boolean"),
)
LSST_OBJECT = record(
    "lsst.v10_0.diaObject", diaObjectId="long", firstDiaSourceMjdTai=maybe("double"), nDiaSources="int"
)
LSST_SS = record("lsst.v10_0.ssSource", diaSourceId="long", ssObjectId="long", ephOffset=maybe("float"))
LSST_PARTS = {part["name"]: part for part in (LSST_SOURCE, LSST_OBJECT, LSST_SS)}
LSST = record(
    "lsst.v10_0.alert",
    diaSourceId="long",
    observation_reason=maybe("string"),
    diaSource="lsst.v10_0.diaSource",
    prvDiaSources=maybe({"type": "array", "items": "lsst.v10_0.diaSource"}),
    diaObject=maybe("lsst.v10_0.diaObject"),
    ssSource=maybe("lsst.v10_0.ssSource"),
    cutoutDifference=maybe("bytes"),
)
LSST_LIMIT = record("lsst.v10_0.diaNondetectionLimit", ccdVisitId="long", midpointMjdTai="double", diaNoise="float")
LSST_WHOLE = record(
    "lsst.v10_0.alert",
    diaSourceId="long",
    observation_reason=maybe("string"),
    diaSource=LSST_SOURCE,
    prvDiaSources=maybe({"type": "array", "items": "lsst.v10_0.diaSource"}),
    diaObject=maybe(LSST_OBJECT),
    ssSource=maybe(LSST_SS),
    cutoutDifference=maybe("bytes"),
)

LSST_WITH_LIMITS = LSST_WHOLE | {
    "fields": [
        *LSST_WHOLE["fields"],
        {"name": "prvDiaNondetectionLimits", "type": maybe({"type": "array", "items": LSST_LIMIT})},
    ]
}
"""As versions up to 7.4: with the visits that did not see the object."""


def ztf_alert(*, previous=(), object_id="ZTF20aaaaaaa", candid=1_000_000_000_000_000_001, **candidate):
    values = {
        "jd": 2458849.75,
        "fid": 2,
        "candid": candid,
        "isdiffpos": "t",
        "ra": 150.25,
        "dec": -12.5,
        "magpsf": 19.5,
        "sigmapsf": 0.125,
        "magap": 19.5625,
        "nbad": 0,
        "rb": 0.75,
        "ssdistnr": -999.0,
        "ssnamenr": None,
        "distpsnr1": 7.5,
        "sgscore1": 0.25,
        "jdstarthist": 2458840.5,
        "neargaia": 6.25,
    }
    cutout = {"fileName": "science.fits.gz", "stampData": b"\x1f\x8b" + bytes(300)}
    return {
        "schemavsn": "3.3",
        "publisher": "a test",
        "objectId": object_id,
        "candid": candid,
        "candidate": values | candidate,
        "prv_candidates": [{"fid": 1, "magpsf": 20.0, "candid": 5} | entry for entry in previous] or None,
        "cutoutScience": cutout,
    }


def lsst_source(**values):
    return {
        "diaSourceId": 170_000_000_000_000_001,
        "diaObjectId": 170_000_000_000_000_000,
        "ssObjectId": 0,
        "midpointMjdTai": 61041.25,
        "ra": 51.5,
        "raErr": 0.0,
        "dec": -29.25,
        "apFlux": 1000.0,
        "psfFlux": 1000.0,
        "psfFluxErr": 50.0,
        "reliability": 0.875,
        "band": "i",
        "pixelFlags_bad": False,
        "pixelFlags_cr": False,
        "pixelFlags_saturatedCenter": False,
    } | values


def lsst_alert(*, previous=(), limits=None, static="same", moving=None, **source):
    values = lsst_source(**source)
    if static == "same":
        static = {"diaObjectId": values["diaObjectId"] or 0, "firstDiaSourceMjdTai": None, "nDiaSources": 1}
    return {
        "diaSourceId": values["diaSourceId"],
        "observation_reason": None,
        "diaSource": values,
        "prvDiaSources": [lsst_source(**entry) for entry in previous] or None,
        "diaObject": static,
        "ssSource": moving,
        "cutoutDifference": bytes(300),
        "prvDiaNondetectionLimits": limits
        and [{"ccdVisitId": 1, "midpointMjdTai": limit, "diaNoise": 0.5} for limit in limits],
    }


def container(schema, records, **options):
    stream = BytesIO()
    fastavro.writer(stream, json.loads(json.dumps(schema)), list(records), **options)
    return stream.getvalue()


def encoded(schema, value):
    stream = BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(json.loads(json.dumps(schema))), value)
    return stream.getvalue()


def framed(schema_id, schema, value):
    return b"\x00" + schema_id.to_bytes(4, "big") + encoded(schema, value)


def varint(value):
    """Avro's zig-zag number, by the book and slowly."""
    value = value * 2 if value >= 0 else -value * 2 - 1
    out = b""
    while value > 127:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def text(value):
    raw = value if isinstance(value, bytes) else value.encode()
    return varint(len(raw)) + raw


def handmade(schema, *blocks, codec="null", sync=b"s" * 16, magic=b"Obj\x01"):
    """A container made byte by byte: blocks are (count, data) or raw bytes."""
    raw = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
    header = magic + varint(2) + text("avro.codec") + text(codec) + text("avro.schema") + text(raw) + varint(0) + sync
    for block in blocks:
        header += block if isinstance(block, bytes) else varint(block[0]) + varint(len(block[1])) + block[1] + sync
    return header
