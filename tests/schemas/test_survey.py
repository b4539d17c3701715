import gzip
import json
import math
import random
import re
from contextlib import suppress
from io import BytesIO

import fastavro
import numpy as np
import pytest
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from schemas import survey
from schemas.catalogue import SchemaCatalogue
from schemas.errors import BadPacket, Reason, UnknownSchema
from schemas.lsst import BAD_FLAGS
from schemas.records import COLUMNS, Alerts, Message
from schemas.survey import is_survey_schema, looks_like_alerts, quality_columns, read_alerts, read_batch
from schemas.times import us_from_astropy
from schemas.writer_schema import AvroLimits
from tests.survey_packets import (
    LSST_WHOLE,
    ZTF,
    ZTF_CANDIDATE,
    container,
    encoded,
    framed,
    handmade,
    lsst_alert,
    record,
    ztf_alert,
)

NO_SCHEMAS = SchemaCatalogue()
CATALOGUE = SchemaCatalogue()
CATALOGUE.add(1000, json.dumps(LSST_WHOLE).encode())
CATALOGUE.add(2, json.dumps(record("weather", temperature="float")).encode())
OTHER = record("igwn.alerts.v1_0.Alert", superevent_id="string")


def _read(body, catalogue=CATALOGUE, **limits):
    return read_alerts(Message(body, "here"), catalogue, AvroLimits(**limits))


def _reason(body, **limits):
    with pytest.raises(BadPacket) as caught:
        _read(body, **limits)
    assert caught.value.detail
    return caught.value.reason


def test_several_records_of_a_container():
    (found,), rejections = _read(container(ZTF, [ztf_alert(candid=n) for n in range(1, 8)]))
    assert (found.survey, found.alert_id.tolist(), rejections) == ("ztf", list(range(1, 8)), [])
    assert set(found.origin) == {"here"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ra": math.nan}, Reason.NOT_FINITE),
        ({"dec": math.inf}, Reason.NOT_FINITE),
        ({"dec": 90.0001}, Reason.OUT_OF_RANGE),
        ({"dec": -100.0}, Reason.OUT_OF_RANGE),
        ({"ra": -0.5}, Reason.OUT_OF_RANGE),
        ({"ra": 360.5}, Reason.OUT_OF_RANGE),
        ({"jd": math.nan}, Reason.BAD_TIME),
        ({"jd": 0.0}, Reason.BAD_TIME),
        ({"jd": 58849.75}, Reason.BAD_TIME),
        ({"jd": 1.5778e12}, Reason.BAD_TIME),
        ({"object_id": ""}, Reason.MISSING_FIELD),
        ({"object_id": "x" * 201}, Reason.MISSING_FIELD),
    ],
)
def test_a_bad_record_is_rejected_alone(changes, reason):
    alerts = [ztf_alert(candid=1), ztf_alert(candid=2, **changes), ztf_alert(candid=3)]
    (found,), (rejection,) = _read(container(ZTF, alerts))
    assert found.alert_id.tolist() == [1, 3]
    assert (rejection.origin, rejection.reason) == ("here", reason)
    assert rejection.detail.startswith("record 2: ")
    assert _reason(container(ZTF, [alerts[1]])) is reason


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("ra", None, Reason.MISSING_FIELD),
        ("jd", None, Reason.MISSING_FIELD),
        ("candid", None, Reason.MISSING_FIELD),
        ("ra", "150", Reason.WRONG_TYPE),
        ("jd", True, Reason.WRONG_TYPE),
        ("candid", "12", Reason.WRONG_TYPE),
        ("candid", 1.5, Reason.WRONG_TYPE),
        ("fid", [1], Reason.WRONG_TYPE),
    ],
)
def test_fields_of_another_type(field, value, reason):
    anything = ["null", "boolean", "long", "double", "string", {"type": "array", "items": "int"}]
    candidate = record("candidate", **{f["name"]: anything for f in ZTF_CANDIDATE["fields"]})
    schema = record("r", objectId="string", candidate=candidate)
    assert _reason(container(schema, [ztf_alert(**{"candid": 5} | {field: value})])) is reason


def test_a_field_that_only_recognition_did_not_ask_for_is_missing():
    candidate = record("candidate", **{f["name"]: f["type"] for f in ZTF_CANDIDATE["fields"] if f["name"] != "candid"})
    assert (
        _reason(container(record("r", objectId="string", candidate=candidate), [ztf_alert()])) is Reason.MISSING_FIELD
    )


def test_a_candidate_that_is_no_record():
    kinds = ["string", ZTF_CANDIDATE]
    assert _reason(
        container(record("r", objectId="string", candidate=kinds), [{"objectId": "a", "candidate": "b"}])
    ) is (Reason.WRONG_TYPE)


def test_a_field_that_a_record_lacks_is_missing():
    kinds = [ZTF_CANDIDATE, record("another", pid="long")]
    schema = record("r", objectId="string", candidate=kinds)
    good, bad = ztf_alert(), {"objectId": "a", "candidate": {"pid": 1}}
    (found,), (rejection,) = _read(container(schema, [bad, good]))
    assert len(found) == 1
    assert rejection.reason is Reason.MISSING_FIELD
    assert "'jd'" in rejection.detail


def test_right_ascension_360_is_0():
    (found,), _ = _read(container(ZTF, [ztf_alert(ra=360.0), ztf_alert(ra=0.0)]))
    assert found.ra_deg.tolist() == [0.0, 0.0]
    assert found.pixel[0] == found.pixel[1]


def test_a_band_of_any_length_does_not_widen_the_column():
    (found,), _ = _read(framed(1000, LSST_WHOLE, lsst_alert(band="i" * 100_000)))
    assert found.band[0] == ""


def test_what_comes_before_damage_is_kept():
    body = container(ZTF, [ztf_alert(candid=n) for n in range(1, 6)], sync_interval=1)
    (found,), (rejection,) = _read(body[:-20])
    assert found.alert_id.tolist() == [1, 2, 3, 4]
    assert rejection.reason is Reason.TRUNCATED


def test_a_block_that_does_not_fit_its_schema_costs_only_itself():
    good, bad = encoded(ZTF, ztf_alert(candid=4)), b"\x06abc\xff"
    (found,), (rejection,) = _read(handmade(ZTF, (1, good), (1, bad + bytes(400)), (1, good)))
    assert found.alert_id.tolist() == [4, 4]
    assert rejection.reason in {Reason.CORRUPT, Reason.TRUNCATED}


def test_the_framed_record():
    (found,), rejections = _read(framed(1000, LSST_WHOLE, lsst_alert()))
    assert (found.survey, found.alert_id[0], rejections) == ("lsst", 170_000_000_000_000_001, [])


def test_a_frame_whose_schema_is_not_at_hand():
    with pytest.raises(UnknownSchema) as caught:
        _read(framed(1000, LSST_WHOLE, lsst_alert()), NO_SCHEMAS)
    assert caught.value.schema_id == 1000


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.EMPTY),
        (container(ZTF, []), Reason.EMPTY),
        (b"\x00\x00\x00\x03", Reason.UNKNOWN_FORMAT),
        (b"SIMPLE  =", Reason.UNKNOWN_FORMAT),
        (b"<?xml version='1.0'?>", Reason.UNKNOWN_FORMAT),
        (container(OTHER, [{"superevent_id": "S1"}]), Reason.UNKNOWN_SCHEMA),
        (framed(2, record("w", temperature="float"), {"temperature": 1.0}), Reason.UNKNOWN_SCHEMA),
        (gzip.compress(container(ZTF, [ztf_alert()]))[:-9], Reason.TRUNCATED),
        (gzip.compress(bytes(80 << 20)), Reason.TOO_LARGE),
        (b"\x00\x00\x00\x03\xe8" + b"\xff" * 30, Reason.TRUNCATED),
        (b"\x00\x00\x00\x03\xe8\x02", Reason.TRUNCATED),
    ],
)
def test_messages_of_which_nothing_can_be_read(body, reason):
    assert _reason(body) is reason


def test_a_message_beyond_the_limit():
    body = container(ZTF, [ztf_alert()])
    assert _reason(body, body_bytes=len(body) - 1) is Reason.TOO_LARGE
    assert len(_read(body, body_bytes=len(body))[0]) == 1


def test_gzipped_packets_are_unpacked():
    (found,), _ = _read(gzip.compress(container(ZTF, [ztf_alert()])))
    assert found.alert_id[0] == 1_000_000_000_000_000_001


def test_surveys_are_known_by_their_fields():
    assert is_survey_schema(ZTF).name == "ztf"
    assert is_survey_schema(LSST_WHOLE).name == "lsst"
    assert is_survey_schema(ZTF | {"name": "topLevelRecord"}).name == "ztf"
    assert is_survey_schema(OTHER) is None
    assert is_survey_schema({"type": "nonsense"}) is None
    assert is_survey_schema(record("ztf.alert", objectId="string")) is None


def test_no_schema_is_of_two_surveys():
    for schema, name in ((ZTF, "ztf"), (LSST_WHOLE, "lsst")):
        others = tuple(other for other in survey.SURVEYS if other.name != name)
        assert len(others) == len(survey.SURVEYS) - 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(survey, "SURVEYS", others)
            assert is_survey_schema(schema) is None


def test_quality_columns_are_columns():
    for found in survey.SURVEYS:
        assert quality_columns(found.name) == found.quality_columns <= set(COLUMNS)
    with pytest.raises(KeyError):
        quality_columns("nobody")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (container(ZTF, [ztf_alert()]), True),
        (gzip.compress(container(ZTF, [ztf_alert()])), True),
        (container(ZTF, [ztf_alert()])[:100], True),
        (framed(99, LSST_WHOLE, lsst_alert()), True),
        (container(OTHER, []), False),
        (gzip.compress(container(OTHER, [])), False),
        (gzip.compress(b"SIMPLE  =" * 100), False),
        (b"\x1f\x8bgarbage", False),
        (b"<voe:VOEvent", False),
        (b'{"ra": 1}', False),
        (b"", False),
    ],
)
def test_what_looks_like_alerts(body, expected):
    assert looks_like_alerts(body) is expected


def test_a_batch_of_many_messages():
    bodies = {
        "a": container(ZTF, [ztf_alert(candid=1), ztf_alert(candid=2, ra=math.nan)]),
        "b": framed(1000, LSST_WHOLE, lsst_alert(diaSourceId=3)),
        "c": container(ZTF, [ztf_alert(candid=4)]),
        "d": framed(5, LSST_WHOLE, lsst_alert()),
        "e": b"nothing",
        "f": container(ZTF, []),
    }
    (ztf, lsst), rejections = read_batch([Message(body, origin) for origin, body in bodies.items()], CATALOGUE)
    assert (ztf.survey, ztf.alert_id.tolist(), ztf.origin.tolist()) == ("ztf", [1, 4], ["a", "c"])
    assert (lsst.survey, lsst.alert_id.tolist(), lsst.origin.tolist()) == ("lsst", [3], ["b"])
    assert [(found.origin, found.reason) for found in rejections] == [
        ("a", Reason.NOT_FINITE),
        ("d", Reason.UNKNOWN_SCHEMA),
        ("e", Reason.UNKNOWN_FORMAT),
        ("f", Reason.EMPTY),
    ]
    assert read_batch([], CATALOGUE) == ([], [])


NUMBERS = st.none() | st.floats() | st.sampled_from([-999.0, 0.0, 0.5, 20.0])


@given(
    st.dictionaries(
        st.sampled_from(["rb", "magap", "neargaia", "distpsnr1", "sgscore1", "ssdistnr", "jdstarthist"]), NUMBERS
    )
)
def test_whatever_numbers_stand_there_the_columns_are_made(values):
    wide = {f["name"]: ["null", "double"] if f["name"] in values else f["type"] for f in ZTF_CANDIDATE["fields"]}
    schema = record("r", objectId="string", candidate=record("candidate", **wide))
    (found,), _ = _read(container(schema, [ztf_alert(**values)]))
    for name in quality_columns("ztf"):
        assert not np.isinf(getattr(found, name)[0])
    assert 0 < found.first_detection_us[0] <= found.time_us[0]


PACKETS = [
    container(ZTF, [ztf_alert(previous=[{"jd": 2458840.0}])] * 2),
    framed(1000, LSST_WHOLE, lsst_alert(previous=[{}])),
]


@given(st.sampled_from(PACKETS), st.randoms(use_true_random=False), st.integers(1, 8))
def test_a_damaged_packet_is_read_or_rejected(body, rng: random.Random, times):
    damaged = bytearray(body)
    for _ in range(times):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    for candidate in (bytes(damaged), bytes(damaged[: rng.randrange(len(damaged))])):
        looks_like_alerts(candidate)
        with suppress(BadPacket, UnknownSchema):
            (found,), _ = _read(candidate)
            assert np.all((found.ra_deg >= 0) & (found.ra_deg < 360) & (np.abs(found.dec_deg) <= 90))


@given(st.binary(max_size=200), st.sampled_from([b"", b"Obj\x01", b"\x00\x00\x00\x03\xe8", b"\x1f\x8b\x08\x00"]))
def test_any_bytes_are_alerts_or_a_rejection(tail, head):
    looks_like_alerts(head + tail)
    with suppress(BadPacket, UnknownSchema):
        _read(head + tail)


REJECTED = {
    r"alerts-ztf/ampel-ztf/alerts/ztf_public_20180601/(516401801315010009|516476004815015005)\.avro": Reason.TRUNCATED,
    r"alerts-ztf/ampel-ztf/.*\.tar\.gz": Reason.UNKNOWN_FORMAT,
    r"alerts-ztf/ampel-ztf/tests/test-data/.*\.(json|yaml)": Reason.UNKNOWN_FORMAT,
    r"alerts-lsst/fink-client/.*\.(json|metadata)": Reason.UNKNOWN_FORMAT,
    r"alerts-lsst/pittgoogle/.*\.md": Reason.UNKNOWN_FORMAT,
    r"alerts-lsst/pittgoogle/rapid/rapid\.v01_00\.avro": Reason.UNKNOWN_SCHEMA,
    r"alerts-lsst/pittgoogle/lsst/lsst\.v7_.\.avro": Reason.BAD_TIME,
}
"""Files that hold no alert that can be used, and why: a lost byte, archives (for the reader of files), schemas and
texts, a survey that is not known, and samples made up with seconds in the place of days."""


def _catalogue(data_dir):
    catalogue = SchemaCatalogue()
    folders = (data_dir / "schemas" / "lsst-alert_packet", data_dir / "schemas" / "pittgoogle" / "lsst")
    catalogue.add_lsst(file.read_bytes() for folder in folders for file in sorted(folder.rglob("*.avsc")))
    return catalogue


def _messages(data_dir, *folders):
    for folder in folders:
        for file in sorted((data_dir / folder).rglob("*")):
            if file.is_file():
                yield Message(file.read_bytes(), file.relative_to(data_dir).as_posix())


def test_every_file_of_alerts_is_read_or_rejected_for_a_known_reason(data_dir):
    catalogue = _catalogue(data_dir)
    seen = set()
    for message in _messages(data_dir, "alerts-ztf", "alerts-derived", "alerts-lsst"):
        expected = [pattern for pattern in REJECTED if re.fullmatch(pattern, message.origin)]
        if expected:
            _, (rejection,) = read_batch([message], catalogue)
            assert rejection.reason is REJECTED[expected[0]], rejection
            seen.update(expected)
        else:
            (found,), rejections = read_alerts(message, catalogue)
            assert rejections == []
            assert looks_like_alerts(message.body)
            seen.add(found.survey)
    assert seen == set(REJECTED) | {"ztf", "lsst", "elasticc"}


def test_each_version_of_the_lsst_schema_is_read(data_dir):
    catalogue = _catalogue(data_dir)
    versions = {3: 0, 4: 0, 5: 0, 6: 1, 7: 4, 8: 0, 9: 0, 10: 0, 11: 0}
    for major, minor in versions.items():
        sample = data_dir / f"schemas/lsst-alert_packet/{major}/{minor}/sample_data/fakeAlert.avro"
        (whole,) = fastavro.reader(BytesIO(sample.read_bytes()))
        source = whole["diaSource"]
        source["midpointMjdTai" if major > 4 else "midPointTai"] = 60902.5
        source["ssObjectId"] = 9
        writer = catalogue.get(100 * major + minor)
        stream = BytesIO()
        fastavro.schemaless_writer(
            stream, writer.parsed, json.loads(json.dumps(whole, default=lambda _: 0)) | _cutouts(whole)
        )
        body = b"\x00" + (100 * major + minor).to_bytes(4, "big") + stream.getvalue()
        (found,), _ = read_alerts(Message(body, "sample"), catalogue)
        assert (found.survey, found.alert_id[0], found.object_id[0]) == (
            "lsst",
            281323062375219200,
            "281323062375219201",
        )
        assert (found.ra_deg[0], found.dec_deg[0]) == (351.570546978, 0.126243049656)
        assert found.solar_system_arcsec[0] == 0.0
        assert found.mag[0] == pytest.approx(31.4 - 2.5 * math.log10(1241), abs=1e-4)
        assert found.band[0] in "ugrizy"


def _cutouts(whole):
    return {name: value for name, value in whole.items() if name.startswith("cutout")}


def test_real_packets_have_the_values_of_a_full_decoding(data_dir):
    catalogue = _catalogue(data_dir)
    compared = 0
    for message in _messages(data_dir, "alerts-ztf", "alerts-derived", "alerts-lsst"):
        if not message.origin.endswith(".avro") or any(re.fullmatch(pattern, message.origin) for pattern in REJECTED):
            continue
        (found,), _ = read_alerts(message, catalogue)
        expected = [
            _ztf_oracle(whole) if "candidate" in whole else _lsst_oracle(whole) for whole in _whole(message, catalogue)
        ]
        _assert_equal(found, expected)
        compared += len(expected)
    assert compared > 300


def _whole(message, catalogue):
    body = message.body
    if body[:1] == b"\x00":
        schema_id = int.from_bytes(body[1:5], "big")
        return [fastavro.schemaless_reader(BytesIO(body[5:]), catalogue.get(schema_id).parsed)]
    return list(fastavro.reader(BytesIO(body)))


def _assert_equal(found: Alerts, expected):
    assert len(found) == len(expected)
    for column in expected[0]:
        values = [row[column] for row in expected]
        got = getattr(found, column)
        if column.endswith("_us"):
            assert np.all(np.abs(got - np.array(values)) <= 50), column
        elif got.dtype.kind == "f":
            np.testing.assert_array_equal(got, np.array(values, got.dtype), err_msg=column)
        else:
            assert got.tolist() == values, column


def _none(value):
    return math.nan if value is None or value < 0 else value


def _ztf_oracle(whole):
    """The columns of a ZTF packet, in other words than the program's."""
    candidate = whole["candidate"]
    detections = [candidate["jd"]] + [p["jd"] for p in whole.get("prv_candidates") or [] if p["candid"] is not None]
    if candidate.get("jdstarthist"):
        detections.append(candidate["jdstarthist"])
    aperture = candidate.get("magap")
    return {
        "alert_id": candidate["candid"],
        "object_id": whole["objectId"],
        "time_us": int(us_from_astropy(Time(candidate["jd"], format="jd", scale="utc"))),
        "first_detection_us": int(us_from_astropy(Time(min(detections), format="jd", scale="utc"))),
        "ra_deg": candidate["ra"],
        "dec_deg": candidate["dec"],
        "mag": candidate["magpsf"],
        "mag_err": candidate["sigmapsf"],
        "band": " gri"[candidate["fid"]],
        "reliability": _none(candidate.get("rb")),
        "bad_pixels": _none(candidate.get("nbad")),
        "ap_minus_psf_mag": math.nan if aperture is None else aperture - candidate["magpsf"],
        "gaia_arcsec": _none(candidate.get("neargaia")),
        "ps1_arcsec": _none(candidate.get("distpsnr1")),
        "star_galaxy": _none(candidate.get("sgscore1")),
        "solar_system_arcsec": _none(candidate.get("ssdistnr")),
    }


def _lsst_oracle(whole):
    """The columns of an LSST packet, in other words than the program's."""
    source, static, moving = whole["diaSource"], whole["diaObject"] or {}, whole["ssSource"] or {}
    name = source["diaObjectId"] or static.get("diaObjectId") or moving.get("ssObjectId")
    times = [source["midpointMjdTai"]] + [before["midpointMjdTai"] for before in whole["prvDiaSources"] or []]
    first = static.get("firstDiaSourceMjdTai")
    times += [first] if first is not None and not math.isnan(first) else []
    flux, aperture = source["psfFlux"], source["apFlux"]
    flags = [source[flag] for flag in BAD_FLAGS if source.get(flag) is not None]
    reliability = source["reliability"]
    return {
        "alert_id": source["diaSourceId"],
        "object_id": str(name),
        "time_us": int(us_from_astropy(Time(times[0], format="mjd", scale="tai"))),
        "first_detection_us": int(us_from_astropy(Time(min(times), format="mjd", scale="tai"))),
        "ra_deg": source["ra"],
        "dec_deg": source["dec"],
        "mag": 31.4 - 2.5 * math.log10(flux) if flux > 0 else math.nan,
        "ap_minus_psf_mag": (31.4 - 2.5 * math.log10(aperture)) - (31.4 - 2.5 * math.log10(flux))
        if flux > 0 and aperture > 0
        else math.nan,
        "band": source["band"],
        "reliability": math.nan if reliability is None else reliability,
        "bad_pixels": sum(flags) if flags else math.nan,
        "solar_system_arcsec": 0.0 if source["ssObjectId"] or moving.get("ssObjectId") else math.nan,
    }


@pytest.mark.parametrize("step", [1, 7])
def test_damaged_real_packets_are_read_or_rejected(data_dir, step):
    catalogue = _catalogue(data_dir)
    rng = random.Random(step)
    messages = list(_messages(data_dir, "alerts-ztf/alerce", "alerts-lsst"))[::9]
    for message in messages:
        for _ in range(4):
            damaged = bytearray(message.body)
            for _ in range(step):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            for body in (bytes(damaged), bytes(damaged[: rng.randrange(len(damaged))])):
                read_batch([Message(body, message.origin)], catalogue)
