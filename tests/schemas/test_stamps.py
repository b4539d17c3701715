"""Packets without their stamps."""

import json
from io import BytesIO

import fastavro
import pytest
import zstandard

from schemas.avro import read_container
from schemas.catalogue import SchemaCatalogue
from schemas.errors import BadPacket, Reason, UnknownSchema
from schemas.stamps import without_stamps
from tests.survey_packets import (
    LSST_WHOLE,
    ZTF,
    container,
    encoded,
    framed,
    handmade,
    lsst_alert,
    lsst_source,
    ztf_alert,
)


def records_of(body: bytes):
    return list(fastavro.reader(BytesIO(body)))


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "zstandard"])
def test_a_container_keeps_all_but_its_stamps(codec):
    stamp = {"fileName": "a.fits.gz", "stampData": b"\x1f\x8b" * 5000}
    alert = ztf_alert() | {"cutoutScience": stamp}
    if codec == "zstandard":
        body = handmade(ZTF, (1, zstandard.compress(encoded(ZTF, alert))), codec=codec)
    else:
        body = container(ZTF, [alert], codec=codec)
    stripped = without_stamps(body, SchemaCatalogue())
    (before,), (after,) = read_container(body), records_of(stripped)
    assert before["cutoutScience"] == stamp
    assert after == before | {"cutoutScience": None}
    reader = fastavro.reader(BytesIO(stripped))
    assert reader.writer_schema["name"] == "ztf.alert"
    assert reader.codec == ("deflate" if codec == "zstandard" else codec)
    assert codec != "null" or len(stripped) < len(body) - 9000


def test_what_asks_for_stamps_or_cannot_be_read_is_refused():
    asking = ZTF | {"fields": [*ZTF["fields"][:-1], {"name": "cutoutScience", "type": "bytes"}]}
    body = container(asking, [ztf_alert() | {"cutoutScience": b"1"}])
    with pytest.raises(BadPacket) as raised:
        without_stamps(body, SchemaCatalogue())
    assert (raised.value.reason, "cutoutScience" in raised.value.detail) == (Reason.UNSUPPORTED, True)
    with pytest.raises(BadPacket):
        without_stamps(b"text", SchemaCatalogue())
    with pytest.raises(UnknownSchema):
        without_stamps(b"\0\0\0\0\1abc", SchemaCatalogue())


def test_a_framed_record_keeps_its_frame():
    catalogue = SchemaCatalogue()
    catalogue.add(1000, json.dumps(LSST_WHOLE).encode())
    alert = lsst_alert(previous=[lsst_source()]) | {"cutoutDifference": b"fits" * 4000}
    body = framed(1000, LSST_WHOLE, alert)
    stripped = without_stamps(body, catalogue)
    assert stripped[:5] == body[:5]
    assert len(stripped) < len(body) - 15_000
    assert stripped == framed(1000, LSST_WHOLE, alert | {"cutoutDifference": None})
