import base64
import contextlib
import gzip
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import BadNotice, Reason
from schemas.gcn import content_ivorn, fits_of_base64, read_gcn_json
from schemas.localisation import Cone, InlineMap, Systematics
from schemas.records import Citation, Kind, Message, Messenger, Role
from schemas.times import us_from_iso
from schemas.voevent_notice import read_voevent
from tests.schemas.gcn_notices import FITS, SCHEMAS, T0_US, TIME, assert_sane, body_of, read
from tests.schemas.voevent_packets import packet


def refused(record: object, reason: Reason, **message: str) -> str:
    body = record if isinstance(record, bytes) else body_of(record)
    with pytest.raises(BadNotice) as caught:
        read_gcn_json(Message(body, message.get("origin", "x"), message.get("topic", "")))
    assert caught.value.reason is reason
    return caught.value.detail


def test_the_shared_fields_of_a_mission_that_nobody_has_seen():
    body = body_of(
        {
            "mission": "New Eye",
            "instrument": "Cam",
            "messenger": "Neutrino",
            "id": ["NE 1", "other"],
            "event_name": "NE-240824A",
            "alert_datetime": "2024-08-24T02:20:00",
            "alert_type": "update",
            "record_number": 3,
            "trigger_time": TIME,
            "trigger_time_error": [0.5, 0.75],
            "ra": 10,
            "dec": -20.5,
            "ra_dec_error": 1.5,
            "containment_probability": 0.68,
            "far": 1e-7,
            "p_astro": 0.9,
            "classification": {"GRB": 0.75, "noise": 0.25},
            "page_url": "https://example.org/1",
            "healpix_url": "https://example.org/map.fits.gz",
            "ref_ID": "S240824a",
            "reference": {"gcn.circulars": 12345},
            "more": {"deep": [1, 2]},
        }
    )
    message = Message(body, "new[0]@1", "gcn.notices.new_eye.cam.alert")
    notice = read_gcn_json(message)
    digest = hashlib.sha256(body).hexdigest()[:16]
    assert notice.message is message
    assert notice.notice_type == "new_eye.cam.alert"
    assert notice.ivorn == f"ivo://starcross.invalid/notices/new_eye.cam.alert#{digest}"
    assert notice.trigger_id == "new-eye:NE_1"
    assert notice.names == ("NE-240824A", "NE 1", "other")
    assert (notice.mission, notice.instrument, notice.messenger) == ("New Eye", "Cam", Messenger.NEUTRINO)
    assert (notice.role, notice.kind, notice.stage, notice.serial) == (Role.OBSERVATION, Kind.UPDATE, 10, 3)
    assert notice.issued_us == us_from_iso("2024-08-24T02:20:00Z")
    assert (notice.trigger_time_us, notice.trigger_time_error_s) == (T0_US, 0.75)
    assert notice.localisation == Cone(10.0, -20.5, 1.5, 0.68, Systematics.NONE_KNOWN)
    assert notice.skymap_url == "https://example.org/map.fits.gz"
    assert notice.links == {"page_url": "https://example.org/1", "healpix_url": "https://example.org/map.fits.gz"}
    assert notice.classification == {"GRB": 0.75, "noise": 0.25}
    assert (notice.significance, notice.significance_unit) == (0.9, "p_astro")
    assert notice.far_hz == 1e-7
    assert notice.citations == (Citation("S240824a", "followup"), Citation("12345", "followup"))
    assert notice.params["more.deep"] == "1, 2"
    assert notice.astrophysical is None
    assert notice.warnings == ()


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ({"topic": "gcn.notices.einstein_probe.wxt.alert"}, "einstein_probe.wxt.alert"),
        ({"schema": "einstein_probe/wxt/alert"}, "einstein_probe.wxt.alert"),
        ({"topic": "gcn.notices.chime.frb", "schema": "einstein_probe/wxt/alert"}, "chime.frb"),
        ({"topic": "archive", "schema": "swift/bat/Guano"}, "swift.bat.guano"),
        ({"origin": "night/notices/einstein_probe/wxt/alert.example.json"}, "einstein_probe.wxt.alert"),
        ({"origin": "gcn.notices.einstein_probe.wxt.alert[3]@17"}, "einstein_probe.wxt.alert"),
        ({"origin": "a/gcn.notices.km3net.alert.json"}, "km3net.alert"),
        ({"schema": "core/Alert", "mission": "KM3NeT"}, "km3net.alert"),
        ({"mission": "Fermi", "instrument": "GBM"}, "fermi.gbm.trigger"),
        ({"mission": "Swift", "instrument": "BAT-GUANO"}, "swift.bat.guano"),
        ({"mission": "Swift", "instrument": "XRT"}, "swift"),
        ({"mission": "IceCube", "instrument": "IC86"}, "icecube"),
        ({"instrument": "WXT"}, "einstein_probe.wxt.alert"),
        ({"instrument": "ECLAIRs"}, "svom.trigger"),
        ({"mission": "Else", "instrument": "GRM"}, "else"),
        ({"mission": "???"}, "unknown"),
        ({"topic": "gcn.notices.maxi.gsc.new"}, "maxi.gsc"),
    ],
)
def test_a_notice_is_routed_by_topic_then_schema_then_file_then_fields(where, named):
    assert read(**where).notice_type == named


def test_the_same_bytes_get_the_same_identifier_by_whatever_way_they_came():
    record = {"trigger_time": TIME, "id": "1", "$schema": f"{SCHEMAS}km3net/alert.schema.json"}
    one = read_gcn_json(Message(body_of(record), "a.json"))
    other = read_gcn_json(Message(body_of(record), "topic[0]@1", "gcn.notices.km3net.alert"))
    changed = read_gcn_json(Message(body_of(record) + b" ", "a.json"))
    assert one.ivorn == other.ivorn == content_ivorn("km3net.alert", body_of(record))
    assert one.ivorn != changed.ivorn


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (None, Kind.INITIAL),
        ("initial", Kind.INITIAL),
        ("subsequent", Kind.UPDATE),
        ("Update", Kind.UPDATE),
        ("retraction", Kind.RETRACTION),
        ("strange", Kind.UPDATE),
    ],
)
def test_alert_types(sent, kind):
    notice = read("km3net/alert", alert_type=sent)
    assert notice.kind is kind
    assert bool(notice.warnings) is (sent == "strange")


@pytest.mark.parametrize(
    ("sent", "role", "trigger"),
    [
        (None, Role.OBSERVATION, True),
        ("current", Role.OBSERVATION, True),
        ("archival", Role.OBSERVATION, True),
        ("test", Role.TEST, True),
        ("injection", Role.MOCK, True),
        ("planned", Role.PREDICTION, False),
        ("commanded", Role.UTILITY, False),
        ("strange", Role.OBSERVATION, True),
    ],
)
def test_alert_tenses(sent, role, trigger):
    notice = read("km3net/alert", alert_tense=sent)
    assert notice.role is role
    assert (notice.trigger_id is not None) is trigger
    assert bool(notice.warnings) is (sent == "strange")


def test_what_a_topic_for_tests_sends_is_a_test():
    assert read(topic="gcn.notices.new.test", alert_tense="current").role is Role.TEST
    assert read("burstcube/test", alert_tense="current").role is Role.TEST


def test_topics_for_tests_are_read_as_those_that_they_test():
    neutrino = read(topic="gcn.notices.icecube.test.gold_bronze_track_alerts", id=["137840_057034692"], p_astro=0.5)
    assert (neutrino.role, neutrino.trigger_id) == (Role.TEST, "icecube:137840_57034692")
    assert (neutrino.notice_type, neutrino.significance_unit) == ("icecube.single_neutrino_alerts", "signalness")
    search = read(topic="gcn.notices.icecube.test.lvk_nu_track_search", ref_ID="S230914ak")
    assert (search.role, search.trigger_id) == (Role.TEST, "icecube-lvk-nu:S230914ak")
    assert read(origin="notices/test/icecube/alerts/1.json").role is Role.OBSERVATION


def test_an_inline_map_comes_before_everything_else():
    for body in (FITS, gzip.compress(FITS)):
        text = base64.b64encode(body).decode()
        notice = read(
            "swift/bat/guano", ra=1, dec=2, ra_dec_error=3, healpix_file=text, healpix_url="https://a.org/b.fits"
        )
        assert notice.localisation == InlineMap(body)
        assert notice.skymap_url is None
        assert notice.links["healpix_url"] == "https://a.org/b.fits"
        assert notice.warnings == ()


@pytest.mark.parametrize("text", ["hhhh...", "stuff", "c3R1ZmY=", "\u00e9" * 8, 7, ["x"], {"a": 1}])
def test_what_is_no_inline_map_leaves_the_circle(text):
    notice = read("swift/bat/guano", ra=1, dec=2, ra_dec_error=3, healpix_file=text)
    assert isinstance(notice.localisation, Cone)
    assert len(notice.warnings) == 1
    assert "healpix_file" in notice.warnings[0]


def test_base64_may_be_broken_into_lines():
    text = base64.encodebytes(FITS * 3).decode()
    assert "\n" in text
    assert fits_of_base64(text) == FITS * 3


@pytest.mark.parametrize(
    "url", ["https://opendata.km3net.de/", "ftp://a.org/b.fits", "https://a.org", "b.fits", "http://[x"]
)
def test_a_link_that_names_no_file_is_no_link_to_a_map(url):
    notice = read("km3net/alert", healpix_url=url)
    assert notice.skymap_url is None
    assert len(notice.warnings) == 1


def test_a_notice_that_begins_a_trigger_must_say_when_it_was():
    for sent in (None, "2015-01--6168T00:-24:-54.-77", "", "0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59"):
        record = {"$schema": f"{SCHEMAS}km3net/alert.schema.json", "id": "1", "trigger_time": sent}
        refused(record, Reason.BAD_TIME)
    record = {"$schema": f"{SCHEMAS}km3net/alert.schema.json", "id": "1", "trigger_time": "today"}
    assert "km3net" in refused(record | {"alert_type": "update"}, Reason.BAD_TIME)


def test_updates_and_retractions_may_leave_the_time_to_others_and_no_retraction_is_lost():
    assert read("km3net/alert", trigger_time=None, alert_type="update").trigger_time_us is None
    for time in (None, "yesterday"):
        notice = read("km3net/alert", trigger_time=time, alert_type="retraction")
        assert (notice.kind, notice.trigger_time_us) == (Kind.RETRACTION, None)
        assert notice.trigger_id == "km3net:42"


def test_the_start_of_an_observation_stands_for_a_time_that_is_not_given():
    span = {"observation_start": "2024-08-24T02:00:00", "observation_stop": "2024-08-24T02:01:30Z"}
    notice = read("km3net/alert", trigger_time=None, **span)
    assert notice.trigger_time_us == us_from_iso("2024-08-24T02:00:00Z")
    assert notice.trigger_time_error_s == 90
    assert notice.warnings
    assert read("km3net/alert", **span).trigger_time_us == T0_US
    backwards = {"observation_start": span["observation_stop"], "observation_stop": span["observation_start"]}
    assert read("km3net/alert", trigger_time=None, **backwards).trigger_time_error_s is None


def test_an_issue_time_that_is_none_is_noted():
    notice = read("km3net/alert", alert_datetime="soon")
    assert notice.issued_us is None
    assert "alert_datetime" in notice.warnings[0]


def test_a_retraction_that_nothing_orders_comes_last():
    bare = {"alert_type": "retraction"}
    assert read("chime/frb", **bare).stage == 90
    assert read("chime/frb", alert_datetime="2024-08-24T03:00:00", **bare).stage == 10
    assert read("chime/frb", record_number=2, **bare).stage == 10
    assert read("svom/trigger", alert_datetime="2024-08-24T03:00:00", **bare).stage == 90


def test_a_retraction_has_no_position():
    notice = read(
        "km3net/alert", alert_type="retraction", ra=1, dec=2, ra_dec_error=3, healpix_url="https://a.org/b.fits"
    )
    assert notice.localisation is None
    assert notice.skymap_url is None


def test_far_and_p_values_that_are_null_stay_unknown():
    notice = read("km3net/alert", far=None, p_astro=None)
    assert (notice.far_hz, notice.significance, notice.significance_unit) == (None, None, "")
    record = {
        "$schema": f"{SCHEMAS}km3net/alert.schema.json",
        "id": "1",
        "trigger_time": TIME,
        "far": None,
        "p_astro": None,
    }
    notice = read_gcn_json(Message(body_of(record), "x"))
    assert (notice.far_hz, notice.significance) == (None, None)
    assert read("km3net/alert", far=-1.0).far_hz is None
    assert read("km3net/alert", far=0).far_hz == 0


@pytest.mark.parametrize(
    ("fields", "messenger"),
    [
        ({"messenger": "GW"}, Messenger.GRAVITATIONAL_WAVE),
        ({"spectral_band_units": "MHz"}, Messenger.RADIO),
        ({"spectral_band_units": "nm"}, Messenger.OPTICAL),
        ({"messenger": "EM", "image_energy_range": [0.5, 4]}, Messenger.X_RAY),
        ({"messenger": "EM", "rate_energy_range": [15, 350]}, Messenger.GAMMA_RAY),
        ({"messenger": "EM"}, Messenger.UNKNOWN),
    ],
)
def test_messenger_of_an_unknown_mission(fields, messenger):
    assert read("new/alert", **fields).messenger is messenger


def test_an_unknown_mission_without_an_identifier_is_read_but_is_no_trigger():
    notice = read("new/alert", id=None)
    assert notice.trigger_id is None
    assert notice.trigger_time_us == T0_US


def test_a_known_mission_must_give_an_identifier():
    for schema in ("fermi/gbm/trigger", "icecube/single_neutrino_alerts", "icecube/lvk_nu_track_search", "chime/frb"):
        record = {"$schema": f"{SCHEMAS}{schema}.schema.json", "trigger_time": TIME}
        refused(record, Reason.MISSING_FIELD)
        refused(record | {"id": ["null"]}, Reason.MISSING_FIELD)


@pytest.mark.parametrize(
    ("record", "reason", "message"),
    [
        ({}, Reason.UNKNOWN_FORMAT, {}),
        ({"foo": "bar", "baz": 5}, Reason.UNKNOWN_FORMAT, {}),
        ({"alert_datetime": "2024-08-24T02:20:00Z"}, Reason.UNKNOWN_FORMAT, {"topic": "gcn.heartbeat"}),
        ({"alert_datetime": "2024-08-24T02:20:00Z"}, Reason.UNKNOWN_FORMAT, {}),
        ({"$schema": "https://gcn.nasa.gov/schema/v4.2.0/gcn/heartbeat.schema.json"}, Reason.UNKNOWN_FORMAT, {}),
        ({"mission": "Hubble", "record_number": 1}, Reason.UNKNOWN_FORMAT, {}),
        ({"ra": 120, "dec": 45, "ra_dec_error": 1}, Reason.UNKNOWN_FORMAT, {}),
        ({"circularId": 1, "subject": "GRB", "body": "text"}, Reason.UNSUPPORTED, {}),
        ({"subject": "GRB"}, Reason.UNSUPPORTED, {"topic": "gcn.circulars"}),
        ({"$schema": "https://json-schema.org/draft/2020-12/schema", "id": "x"}, Reason.UNSUPPORTED, {}),
        ({"candid": 1, "objectId": "ZTF1", "jd": 2460000.5}, Reason.UNSUPPORTED, {}),
        (b"Subscribed topic not available: gcn.notices.x: Broker: Unknown topic", Reason.UNKNOWN_FORMAT, {}),
        (b'{"id": NaN}', Reason.NOT_FINITE, {}),
        (b"", Reason.EMPTY, {}),
    ],
)
def test_what_is_no_notice(record, reason, message):
    refused(record, reason, **message)


def test_classic_and_json_form_are_of_one_trigger():
    gbm = read_voevent(Message(packet(111, {"TrigID": 745121685}), "x"))
    assert read("fermi/gbm/trigger", id=["745121685", "bn240812094"]).trigger_id == gbm.trigger_id
    ids = {"run_id": 137840, "event_id": "057034692", "AMON_ID": 13784057034692}
    icecube = read_voevent(Message(packet(173, ids), "x"))
    for ident in ("137840_57034692", "137840_057034692", "137840_57034692_0"):
        assert read("icecube/single_neutrino_alerts", id=[ident]).trigger_id == icecube.trigger_id
    superk = read_voevent(Message(packet(175, {"TrigID": 10070}), "x"))
    assert read("superk/sn_alert", id="SN.095001.000001", trigger_number=10070).trigger_id == superk.trigger_id
    svom = read_voevent(Message(packet(202, {"Burst_Id": "sb24022203"}), "x"))
    assert read("svom/trigger", id=["sb24022203"]).trigger_id == svom.trigger_id


NAMES = """
trigger_time trigger_time_error id event_name ra dec ra_dec_error alert_type alert_tense containment_probability
systematic_included healpix_url healpix_file far p_astro classification record_number mission instrument messenger
subtype reliability coincident_events ref_ID rectangular_error_corners data reference observation_start observation_stop
alert_datetime pval_generic trigger_number known_source data_archive_page spectral_band n_events_coincident
"""
KEYS = st.sampled_from(NAMES.split())
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-400, 400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(
        [TIME, "1_2", "update", "retraction", "test", "planned", "FINAL_POSITION", "GW", "WXT", "bn240812094"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.just("targets"), inner, max_size=4),
    max_leaves=12,
)
TOPICS = st.sampled_from(
    [
        "",
        "fermi.gbm.trigger",
        "icecube.lvk_nu_track_search",
        "maxi.gsc.unknown",
        "boom.alert",
        "svom.trigger",
        "new.x",
        "chime",
    ]
)


@given(TOPICS, st.dictionaries(KEYS, VALUES, max_size=8))
def test_whatever_the_fields_hold_it_is_a_sane_notice_or_a_rejection(topic, record):
    body = body_of({"trigger_time": TIME, "id": "7", "ref_ID": "S1", **record})
    with contextlib.suppress(BadNotice):
        assert_sane(read_gcn_json(Message(body, "x", f"gcn.notices.{topic}" if topic else "")))


@given(st.recursive(VALUES, lambda inner: st.dictionaries(st.text(max_size=5), inner), max_leaves=5))
def test_whatever_json_it_is_nothing_else_escapes(value):
    with contextlib.suppress(BadNotice):
        assert_sane(read_gcn_json(Message(json.dumps(value).encode(), "x")))


def real(data_dir, pattern):
    files = sorted(data_dir.glob(pattern))
    assert files
    return [(path, Message(path.read_bytes(), path.relative_to(data_dir).as_posix())) for path in files]


def test_every_example_of_the_schemas_is_read_or_is_no_notice(data_dir):
    parts = {"Localization", "Pointing", "Reporter", "Spectral", "Statistics"}
    for path, message in real(data_dir, "gcn-kafka/gcn-schema/notices/**/*.example.json"):
        name = path.name.removesuffix(".example.json")
        if path.parent.name == "core":
            assert name in parts
            refused(message.body, Reason.UNKNOWN_FORMAT)
            continue
        notice = read_gcn_json(message)
        assert_sane(notice)
        mission = path.relative_to(data_dir / "gcn-kafka/gcn-schema/notices").parts[0]
        assert notice.notice_type.startswith(mission)
        of_none = {"boom", "heasarc", "lat"} & set(path.parts)
        assert (notice.trigger_id is None) is bool(of_none), path
        assert (notice.kind is Kind.RETRACTION) is ("retraction" in name.lower())


def test_schemas_are_no_notices(data_dir):
    for _, message in real(data_dir, "gcn-kafka/gcn-schema/**/*.schema.json"):
        refused(message.body, Reason.UNSUPPORTED)


def test_notices_of_einstein_probe(data_dir):
    notices = [
        read_gcn_json(message) for _, message in real(data_dir, "gcn-kafka/gcn-notice-parser-0.2.0/**/alert_*.json")
    ]
    assert len(notices) == 9
    for notice in notices:
        assert_sane(notice)
        assert (notice.mission, notice.instrument, notice.messenger) == ("Einstein Probe", "WXT", Messenger.X_RAY)
        assert notice.warnings == ()
    by_id = {notice.trigger_id: notice for notice in notices}
    one = by_id["einstein-probe:01709260362"]
    assert one.localisation == Cone(223.768, -11.374, 0.05137775, 0.9)
    assert one.trigger_time_us == us_from_iso("2026-04-21T20:52:02.749Z")
    assert (one.significance, one.significance_unit) == (8.7, "sigma")
