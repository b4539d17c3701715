import base64
import contextlib
import gzip
import io
import json
from collections import Counter, defaultdict

import fastavro
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import SchemaCatalogue
from schemas.errors import BadInput, Reason, UnknownSchema
from schemas.reading import MESSAGE_BYTES, Reading, format_of, read_message
from schemas.records import Message
from schemas.skymap import read_skymap
from tests.schemas.gcn_notices import SCHEMAS, TIME, as_avro, body_of, container, superevent
from tests.schemas.maps import flat
from tests.schemas.voevent_packets import packet

CANDIDATE = {"candid": 123, "jd": 2458855.5, "ra": 10.0, "dec": -20.0, "fid": 1, "magpsf": 18.5, "rb": 0.9, "nbad": 0}
ZTF_SCHEMA = {
    "type": "record",
    "name": "alert",
    "namespace": "ztf",
    "version": "3.3",
    "fields": [
        {"name": "objectId", "type": "string"},
        {"name": "candid", "type": "long"},
        {
            "name": "candidate",
            "type": {
                "type": "record",
                "name": "candidate",
                "fields": [
                    {"name": name, "type": "long" if isinstance(value, int) else "double"}
                    for name, value in CANDIDATE.items()
                ],
            },
        },
    ],
}
ZTF_RECORD = {"objectId": "ZTF20aaeqmed", "candid": 123, "candidate": CANDIDATE}
FRAMED_ID = 7


def ztf_container(*records):
    out = io.BytesIO()
    fastavro.writer(out, ZTF_SCHEMA, records or [ZTF_RECORD])
    return out.getvalue()


def framed(schema_id=FRAMED_ID):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, ZTF_SCHEMA, ZTF_RECORD)
    return b"\0" + schema_id.to_bytes(4, "big") + out.getvalue()


def catalogue():
    made = SchemaCatalogue()
    made.add(FRAMED_ID, json.dumps(ZTF_SCHEMA).encode())
    return made


def read(body, origin="night.tar/7"):
    return read_message(Message(body, origin), catalogue())


GCN = body_of({"$schema": f"{SCHEMAS}km3net/alert.schema.json", "id": "1", "trigger_time": TIME})
MAP = flat(np.full(12, 1 / 12))
MOC = b'{"1": [0, 1], "2": [16, 17]}'
SAMPLES = {
    "voevent": (packet(111, {"TrigID": 1}), "VOEvent 2.0", "notices"),
    "voevent 1.1": (packet(111, {"TrigID": 1}, version="1.1"), "VOEvent 1.1", "notices"),
    "voevent with a mark": (b"\xef\xbb\xbf" + packet(111, {"TrigID": 1}), "VOEvent 2.0", "notices"),
    "gcn": (GCN, "GCN notice, JSON", "notices"),
    "gcn with a mark": (b"\xef\xbb\xbf \n" + GCN, "GCN notice, JSON", "notices"),
    "lvk": (body_of(superevent()), "LVK alert, JSON", "notices"),
    "lvk avro": (container(as_avro(superevent())), "LVK alert, Avro", "notices"),
    "ztf": (ztf_container(), "Avro container of ztf.alert 3.3", "alerts"),
    "framed": (framed(), "Confluent record of schema 7", "alerts"),
    "map": (MAP, "flat sky map, FITS", "skymaps"),
    "moc": (MOC, "MOC, JSON", "skymaps"),
}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("packed", [False, True])
def test_content_alone_tells_what_a_message_is(name, packed):
    body, named, held = SAMPLES[name]
    reading = read(gzip.compress(body, mtime=0) if packed else body, origin="misleading.txt")
    assert reading.rejections == ()
    assert reading.format == named + (", gzipped" if packed and name == "map" else "")
    for part in ("alerts", "notices", "skymaps"):
        assert len(getattr(reading, part)) == (part == held)


def test_alerts_have_the_origin_of_their_message():
    reading = read(ztf_container(ZTF_RECORD, ZTF_RECORD | {"candid": 124}))
    (alerts,) = reading.alerts
    assert list(alerts.alert_id) == [123, 124]
    assert list(alerts.origin) == ["night.tar/7"] * 2


def test_good_records_are_kept_beside_bad_ones():
    bad = ZTF_RECORD | {"candidate": CANDIDATE | {"dec": 91.0}}
    reading = read(ztf_container(ZTF_RECORD, bad))
    assert len(reading.alerts[0]) == 1
    assert [(rejection.origin, rejection.reason) for rejection in reading.rejections] == [
        ("night.tar/7", Reason.OUT_OF_RANGE)
    ]


def test_a_notice_keeps_the_bytes_that_were_read():
    body = packet(111, {"TrigID": 1})
    (plain,) = read(body).notices
    (packed,) = read(gzip.compress(body)).notices
    assert plain.message.body == packed.message.body == body
    (one,), (other,) = read(GCN).notices, read(gzip.compress(GCN)).notices
    assert one.ivorn == other.ivorn


def test_a_map_is_kept_as_it_came_with_what_it_says_of_itself():
    packed = gzip.compress(flat(np.full(12, 1 / 12), OBJECT="S230518h"))
    (found,) = read(packed).skymaps
    assert found.body == packed
    assert found.origin == "night.tar/7"
    assert (found.header.kind, found.header.object_name) == ("flat", "S230518h")
    assert read_skymap(found.body).area_deg2(1) == pytest.approx(41_252.96, rel=1e-6)
    (moc,) = read(MOC).skymaps
    assert moc.header.kind == "moc"
    assert len(read_skymap(moc.body).lo) == 3 - 1


def test_an_unknown_schema_is_for_the_caller():
    with pytest.raises(UnknownSchema) as caught:
        read(framed(schema_id=8))
    assert caught.value.schema_id == 8


@pytest.mark.parametrize(
    ("body", "reason", "named"),
    [
        (b"", Reason.EMPTY, "unknown format"),
        (b"name,ra,dec\n", Reason.UNKNOWN_FORMAT, "unknown format"),
        (b"Broker: Unknown topic or partition", Reason.UNKNOWN_FORMAT, "unknown format"),
        (b"[1, 2]", Reason.UNKNOWN_FORMAT, "unknown format"),
        (b"\0\0\0", Reason.UNKNOWN_FORMAT, "unknown format"),
        (b"PAR1\x15\x04", Reason.UNKNOWN_FORMAT, "unknown format"),
        (b"{", Reason.MALFORMED, "JSON"),
        (b'{"a": NaN}', Reason.NOT_FINITE, "JSON"),
        (b'{"foo": "bar"}', Reason.UNKNOWN_FORMAT, "JSON"),
        (b"{}", Reason.UNKNOWN_FORMAT, "JSON"),
        (body_of({"circularId": 7}), Reason.UNSUPPORTED, "JSON"),
        (body_of({"alert_type": "UPDATE", "superevent_id": "S230518h", "event": None}), Reason.MISSING_FIELD, "JSON"),
        (b"<html><body/></html>", Reason.UNKNOWN_FORMAT, "XML"),
        (packet(111, {"TrigID": 1})[:-30], Reason.TRUNCATED, "VOEvent 2.0"),
        (b"SIMPLE  =", Reason.TRUNCATED, "FITS"),
        (b"Obj\x01", Reason.TRUNCATED, "Avro container"),
        (ztf_container()[:-5], Reason.TRUNCATED, "Avro container of ztf.alert 3.3"),
        (b"\x1f\x8b", Reason.TRUNCATED, "gzip"),
        (b"\x1f\x8bxxxxxxxxxxxxxxxx", Reason.CORRUPT, "gzip"),
        (gzip.compress(packet(111))[:-12], Reason.TRUNCATED, "gzip"),
        (gzip.compress(gzip.compress(GCN)), Reason.UNKNOWN_FORMAT, "gzip"),
    ],
)
def test_what_cannot_be_read_is_rejected_with_its_reason(body, reason, named):
    reading = read(body)
    assert [(rejection.origin, rejection.reason) for rejection in reading.rejections] == [("night.tar/7", reason)]
    assert reading.rejections[0].detail
    assert reading.format == named
    assert (reading.alerts, reading.notices, reading.skymaps) == ((), (), ())


def test_avro_of_no_survey():
    out = io.BytesIO()
    fastavro.writer(out, {"type": "record", "name": "x", "fields": [{"name": "foo", "type": "int"}]}, [{"foo": 1}])
    reading = read(out.getvalue())
    assert [rejection.reason for rejection in reading.rejections] == [Reason.UNKNOWN_SCHEMA]
    assert reading.format == "Avro container of x"


def test_a_gzip_bomb_is_refused_unopened():
    bomb = gzip.compress(b" " * (MESSAGE_BYTES + 1), 9)
    assert [rejection.reason for rejection in read(bomb).rejections] == [Reason.TOO_LARGE]


def test_gzipped_json_may_begin_with_blanks():
    assert len(read(gzip.compress(b"\n\n" + GCN)).notices) == 1


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail(body):
    check_sound(body)


@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_damaged_messages_do_not_make_it_fail(name, data):
    body = bytearray(SAMPLES[name][0])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)) | st.just(len(body)))
    check_sound(bytes(body[:cut]))
    check_sound(gzip.compress(bytes(body[:cut])))


def check_sound(body):
    with contextlib.suppress(UnknownSchema):
        reading = read(body)
        assert reading.alerts or reading.notices or reading.skymaps or reading.rejections
        assert all(rejection.detail and rejection.origin == "night.tar/7" for rejection in reading.rejections)
        assert reading.format


def test_format_of_packed_maps():
    assert format_of(gzip.compress(MAP)) == "FITS"
    with pytest.raises(BadInput):
        format_of(gzip.compress(GCN))


def test_a_reading_of_nothing():
    assert Reading() == Reading(alerts=(), notices=(), skymaps=(), rejections=(), format="unknown format")


def test_a_map_inside_a_notice_is_not_a_map_by_itself():
    text = base64.b64encode(MAP).decode()
    reading = read(body_of(superevent(event={"skymap": text})))
    assert reading.skymaps == ()
    assert reading.notices[0].localisation.body == MAP


REJECTED = {
    # Tables, scripts, prose; archives, which are taken apart before; Avro schemas, which describe packets and are none.
    "PROVENANCE.tsv": {Reason.UNKNOWN_FORMAT: 1},
    "README.md": {Reason.UNKNOWN_FORMAT: 1},
    "alerts-lsst/fink-client": {Reason.UNKNOWN_FORMAT: 2},
    "alerts-lsst/pittgoogle": {Reason.UNKNOWN_FORMAT: 2},
    "catalogues/fermigbrst_heasarc_2008_2025.csv": {Reason.UNKNOWN_FORMAT: 1},
    "catalogues/gdt-fermi": {Reason.UNKNOWN_FORMAT: 1},
    "gcn-kafka/gcn-notice-parser-0.2.0": {Reason.UNKNOWN_FORMAT: 1},
    "schemas/pittgoogle": {Reason.UNKNOWN_FORMAT: 83},
    "schemas/ztf-avro-alert": {Reason.UNKNOWN_FORMAT: 5},
    "voevent/growth-too-marshal": {Reason.UNKNOWN_FORMAT: 3},
    "voevent/icecube-fra": {Reason.UNKNOWN_FORMAT: 1},
    "voevent/misc": {Reason.UNKNOWN_FORMAT: 3},
    "voevent/monthly_signal": {Reason.UNKNOWN_FORMAT: 27},
    "voevent/tarballs": {Reason.UNKNOWN_FORMAT: 3},
    # Two containers break off.
    "alerts-ztf/ampel-ztf": {Reason.UNKNOWN_FORMAT: 12, Reason.TRUNCATED: 2},
    # JSON Schemas and a circular; examples of parts of notices.
    "gcn-kafka/gcn-schema": {Reason.UNSUPPORTED: 42, Reason.UNKNOWN_FORMAT: 5},
    # Another broker's alert of Rubin, as JSON.
    "gcn-kafka/gwcelery-3.0.0": {Reason.UNSUPPORTED: 1},
    # Sample packets at day 0; the same as JSON, with a key that comes twice; schemas.
    "schemas/lsst-alert_packet": {Reason.UNKNOWN_FORMAT: 112, Reason.BAD_TIME: 10, Reason.MALFORMED: 7},
    # What a program printed of messages; Avro of no survey.
    "voevent/hop-client": {Reason.UNKNOWN_FORMAT: 11, Reason.MALFORMED: 2, Reason.UNKNOWN_SCHEMA: 1},
    # A prefix that no namespace is bound to.
    "voevent/tracet": {Reason.MALFORMED: 1},
    # A circular.
    "voevent/voevent2dict": {Reason.UNSUPPORTED: 1},
}
READ = {
    "alerts-derived/ztf_20190903_fink-science": {"alerts": 51},
    "alerts-ztf/alerce": {"alerts": 75},
    "alerts-ztf/ampel-ztf": {"alerts": 10},
    "fink-mm/VODB": {"notices": 18},
    "gcn-kafka/gcn-notice-parser-0.2.0": {"notices": 551},
    "gcn-kafka/gcn-schema": {"notices": 44},
    "gcn-kafka/gwcelery-3.0.0": {"notices": 32, "skymaps": 1},
    "gcn-kafka/lvk-userguide": {"notices": 10},
    "mocs/mocpy": {"skymaps": 6},
    "voevent/curated": {"notices": 476},
    "voevent/growth-too-marshal": {"notices": 10, "skymaps": 1},
    "voevent/oddities": {"notices": 101},
    "voevent/voevent2dict": {"notices": 29},
}
FRAMED = {"alerts-derived/lsst_20260101_fink-filters", "alerts-lsst/boom", "alerts-lsst/pittgoogle"}


@pytest.mark.not_measured
def test_every_real_file_is_read_or_rejected_for_a_reason_that_is_known(data_dir):
    """Archives are files here as well: their members are read by `tests/bridges` and `tests/e2e`."""
    rejected, held, unknown = defaultdict(Counter), defaultdict(Counter), set()
    for path in sorted(data_dir.rglob("*")):
        if not path.is_file():
            continue
        name = path.relative_to(data_dir)
        folder = "/".join(name.parts[:2])
        try:
            reading = read_message(Message(path.read_bytes(), name.as_posix()), SchemaCatalogue())
        except UnknownSchema:
            unknown.add(folder)
            continue
        assert reading.alerts or reading.notices or reading.skymaps or reading.rejections, name
        rejected[folder].update(rejection.reason for rejection in reading.rejections)
        held[folder].update(part for part in ("alerts", "notices", "skymaps") if getattr(reading, part))
    assert {folder: dict(counts) for folder, counts in rejected.items() if counts} == REJECTED
    assert {folder: dict(held[folder]) for folder in READ} == READ
    assert unknown == FRAMED


def test_framed_records_are_read_once_their_schemas_are_at_hand(data_dir):
    schemas = SchemaCatalogue()
    schemas.add_lsst(path.read_bytes() for path in data_dir.glob("schemas/lsst-alert_packet/**/*.avsc"))
    paths = sorted(data_dir.glob("alerts-derived/lsst_20260101_fink-filters/*.avro"))
    assert paths
    for path in paths:
        reading = read_message(Message(path.read_bytes(), path.name), schemas)
        assert reading.rejections == ()
        assert [len(alerts) for alerts in reading.alerts] == [1]
        assert reading.format.startswith("Confluent record of schema ")
