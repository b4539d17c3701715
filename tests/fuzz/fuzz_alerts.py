"""Survey packets: reading never raises anything but what it documents, and every way of reading gives the same.

The first byte says what the rest is: a message as it comes, a gzipped one, records behind a frame of Confluent's, or
records to be put into a container of one of the codecs, with a schema of their own or not, so that mutation reaches
what lies behind lengths and checksums.
"""

import gzip
import importlib.util
import zlib
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path

import atheris
import cramjam
import zstandard

with atheris.instrument_imports(include=["schemas"]):
    from schemas import detections, records, survey, walker
    from schemas import plan as plans
    from schemas.catalogue import SchemaCatalogue
    from schemas.errors import BadPacket, UnknownSchema
    from schemas.records import COLUMNS, Message

import json

import numpy as np

from tests.fuzz.harness import fuzz
from tests.survey_packets import (
    LSST_WHOLE,
    LSST_WITH_LIMITS,
    ZTF,
    container,
    encoded,
    framed,
    handmade,
    lsst_alert,
    record,
    varint,
    ztf_alert,
)

SMALL = record(
    "alert",
    objectId="string",
    extra=["null", {"type": "map", "values": "long"}, "bytes"],
    candid="long",
    candidate=record(
        "candidate",
        jd="double",
        fid="int",
        field={"type": "enum", "name": "e", "symbols": ["a", "b"]},
        ra="double",
        kind={"type": "fixed", "name": "f", "size": 3},
        dec=["double", "null"],
        rb=["null", "float", "int"],
        isdiffpos=["string", "null"],
        magpsf="float",
    ),
    prv_candidates={"type": "array", "items": ["null", record("previous", jd="double", magpsf=["null", "float"])]},
)
SMALL_ALERT = {
    "objectId": "ZTF20a",
    "extra": {"a": 1},
    "candid": 7,
    "candidate": {
        "jd": 2458849.75,
        "fid": 1,
        "field": "a",
        "ra": 1.5,
        "kind": b"abc",
        "dec": 2.5,
        "rb": 1,
        "isdiffpos": "t",
        "magpsf": 1,
    },
    "prv_candidates": [None, {"jd": 2458840.5, "magpsf": None}],
}
SCHEMAS = (ZTF, LSST_WHOLE, LSST_WITH_LIMITS)
CATALOGUE = SchemaCatalogue()
for _number, _schema in enumerate(SCHEMAS, 1):
    CATALOGUE.add(_number, json.dumps(_schema).encode())


def _deflated(data: bytes) -> bytes:
    stream = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


def _snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data)) + zlib.crc32(data).to_bytes(4, "big")


CODECS = {
    "null": lambda data: data,
    "deflate": _deflated,
    "snappy": _snappy,
    "zstandard": zstandard.ZstdCompressor(1).compress,
}
WAYS = ("message", "gzipped", *(("frame", number) for number in range(1, 1 + len(SCHEMAS))))
WAYS += ("schema", *(("container", codec, schema) for codec in CODECS for schema in range(len(SCHEMAS))))

_BLOCK = b"\xffBLOCK\xff"
"""Stands before each block of records, whose first byte says how many it is to hold."""


def message(data: bytes) -> bytes:
    """The message that an input stands for."""
    way, rest = WAYS[data[0] % len(WAYS)] if data else "message", data[1:]
    match way:
        case "message":
            return rest
        case "gzipped":
            return gzip.compress(rest, 1, mtime=0)
        case ("frame", number):
            return b"\0" + number.to_bytes(4, "big") + rest
        case "schema":
            schema, *blocks = rest.split(_BLOCK)
            return handmade(schema, *((b[0], b[1:]) for b in blocks if b))
        case (_, codec, schema):
            blocks = rest.split(_BLOCK)
            return handmade(SCHEMAS[schema], *((b[0], CODECS[codec](b[1:])) for b in blocks if b), codec=codec)


def _plain_walker():
    """The walker as the Python that it is written in, with its branches counted."""
    path = Path(plans.__file__).with_name("walker.py")
    module = importlib.util.module_from_spec(importlib.util.spec_from_file_location("plain_walker", path))
    code = compile(path.read_text(), path, "exec", dont_inherit=True)
    exec(atheris.patch_code(code, trace_dataflow=True), vars(module))  # noqa: S102 - our own module
    return module


class Form:
    """A way to read records: with a walker, compiled or plain, with patterns or without, or by fastavro alone."""

    def __init__(self, form, plan):
        self._patches = [
            (survey, "_reading", lru_cache(maxsize=64)(survey._reading.__wrapped__)),
            (survey, "plan", plan),
            (detections, "Walk", form.Walk),
            (plans, "Program", form.Program),
        ]

    @contextmanager
    def __call__(self):
        before = [(module, name, getattr(module, name)) for module, name, _ in self._patches]
        try:
            for module, name, value in self._patches:
                setattr(module, name, value)
            yield
        finally:
            for module, name, value in before:
                setattr(module, name, value)


_PLAIN = _plain_walker()
FORMS = (
    Form(walker, partial(plans.plan, patterns=False)),
    Form(_PLAIN, partial(plans.plan, patterns=True)),
    Form(_PLAIN, lambda *_, **__: None),
)


def _told(found):
    parts, rejections = found
    columns = [(part.survey, [_column(part, name) for name in COLUMNS]) for part in parts]
    return repr((columns, rejections))


def _column(part, name):
    values = getattr(part, name)
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _no_pixels(ra_deg, dec_deg):
    """In the place of `pixels_of`, whose pool of threads, made for each call, takes most of the time."""
    assert np.isfinite(ra_deg).all()
    assert (np.abs(dec_deg) <= 90).all()
    return np.zeros(len(ra_deg), np.int64)


records.pixels_of = _no_pixels


def read(data: bytes) -> None:
    """One input."""
    one = Message(message(data), "fuzz")
    survey.looks_like_alerts(one.body)
    told = []
    for form in FORMS:
        with form():
            told.append(_told(survey.read_batch([one], CATALOGUE)))
    assert told[0] == told[1], "the walker compiled and the walker in plain Python differ"
    assert told[0] == told[2], "the walker and fastavro differ"
    try:
        alone = survey.read_alerts(one, CATALOGUE)
    except (BadPacket, UnknownSchema):
        alone = None
    assert alone is None or _told(alone) == told[0], "read_alerts and read_batch differ"
    assert alone is not None or told[0].startswith("([], [Rejection("), "read_alerts raises where read_batch reads"


def seeds():
    """Packets of the surveys, in every way that there is."""
    alerts = {
        0: [ztf_alert(), ztf_alert(ssnamenr="433", isdiffpos="f", previous=[{"jd": 2458840.5}, {"jd": 1.0}])],
        1: [lsst_alert(), lsst_alert(previous=[{"midpointMjdTai": 61000.5}], ssObjectId=5, diaObjectId=None)],
        2: [lsst_alert(limits=[61000.0, 61010.5])],
    }
    for number, way in enumerate(WAYS):
        first = bytes([number])
        match way:
            case "message" | "gzipped":
                for schema, some in alerts.items():
                    for codec in ("null", "deflate", "snappy") if way == "message" else ("null",):
                        yield first + container(SCHEMAS[schema], some, codec=codec)
                    yield first + framed(1 + schema, SCHEMAS[schema], some[0])
            case "schema":
                for schema, some in alerts.items():
                    blocks = (b"\x01" + encoded(SCHEMAS[schema], alert) for alert in some)
                    yield first + _BLOCK.join((json.dumps(SCHEMAS[schema], separators=(",", ":")).encode(), *blocks))
                yield first + _BLOCK.join((json.dumps(SMALL).encode(), b"\x02" + 2 * encoded(SMALL, SMALL_ALERT)))
            case ("frame", schema):
                for alert in alerts[schema - 1]:
                    yield first + encoded(SCHEMAS[schema - 1], alert)
            case (_, _, schema):
                some = [encoded(SCHEMAS[schema], alert) for alert in alerts[schema]]
                yield first + bytes([len(some)]) + b"".join(some)
                yield first + _BLOCK.join(b"\x01" + data for data in some)


WORDS = ("Obj\x01", "avro.codec", "avro.schema", "deflate", "snappy", "zstandard", '"type"', '"fields"', '"items"')
WORDS += ('"record"', '"array"', '"map"', '"fixed"', '"enum"', '"symbols"', '"size"', '"namespace"', '"logicalType"')
WORDS += ('["null","double"]', '"float"', '"bytes"', '"union"', "\xffBLOCK\xff", varint(-1 << 63).decode("latin-1"))

if __name__ == "__main__":
    fuzz("alerts", read, seeds(), WORDS)
