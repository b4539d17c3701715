import base64
import contextlib
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.densities import skymap_of
from schemas.errors import BadNotice, Reason
from schemas.localisation import InlineMap
from schemas.lvk import is_lvk, lvk_notice, read_lvk_avro, read_lvk_json
from schemas.records import Citation, Kind, Message, Messenger, Role
from schemas.times import us_from_iso
from schemas.voevent_notice import read_voevent
from tests.schemas.gcn_notices import FITS, as_avro, assert_sane, body_of, container, read_superevent, superevent


def external(**changes):
    return {
        "gcn_notice_id": 600117987,
        "ivorn": "ivo://nasa.gsfc.gcn/Fermi#GBM_Fin_Pos2023-05-18",
        "observatory": "Fermi",
        "search": "GRB",
        "time_difference": 1.7,
        "time_coincidence_far": 1e-9,
        "time_sky_position_coincidence_far": None,
        "combined_skymap": None,
    } | changes


def refused(record, reason):
    with pytest.raises(BadNotice) as caught:
        read_lvk_json(Message(body_of(record), "x"))
    assert caught.value.reason is reason


def test_an_alert_with_everything():
    notice = read_superevent()
    assert_sane(notice)
    assert notice.notice_type == "LVK_INITIAL"
    assert notice.ivorn.startswith("ivo://starcross.invalid/notices/igwn.gwalert#")
    assert notice.trigger_id == "lvk:S230518h"
    assert notice.names == ("S230518h",)
    assert (notice.messenger, notice.mission, notice.instrument) == (Messenger.GRAVITATIONAL_WAVE, "LVK", "H1,L1")
    assert (notice.role, notice.kind) == (Role.OBSERVATION, Kind.INITIAL)
    assert (notice.stage, notice.serial) == (10, 0)
    assert notice.issued_us == us_from_iso("2023-05-18T16:07:18Z")
    assert notice.trigger_time_us == us_from_iso("2023-05-18T12:59:08.167Z")
    assert notice.localisation == InlineMap(FITS)
    assert notice.skymap_url is None
    assert notice.classification == {"BNS": 0.0, "NSBH": 0.86, "BBH": 0.04, "Terrestrial": 0.1}
    assert notice.far_hz == 3.2e-10
    assert notice.links == {"gracedb": "https://gracedb.ligo.org/superevents/S230518h/view/"}
    assert notice.params["event.properties.HasNS"] == "1.0"
    assert notice.params["event.significant"] == "true"
    assert notice.warnings == ()


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("S230518h", Role.OBSERVATION),
        ("MS230518h", Role.MOCK),
        ("TS230518h", Role.TEST),
        ("GW170817", Role.OBSERVATION),
    ],
)
def test_mocks_are_told_by_their_names(name, role):
    notice = read_superevent(name)
    assert notice.role is role
    assert notice.trigger_id == f"lvk:{name}"
    assert notice.warnings == ()


def test_a_search_of_mock_data_makes_a_mock():
    assert read_superevent(event={"search": "MDC"}).role is Role.MOCK


@pytest.mark.parametrize(
    ("alert_type", "kind"),
    [
        ("EARLYWARNING", Kind.INITIAL),
        ("PRELIMINARY", Kind.INITIAL),
        ("INITIAL", Kind.INITIAL),
        ("update", Kind.UPDATE),
        ("RETRACTION", Kind.RETRACTION),
        ("NEW", Kind.UPDATE),
    ],
)
def test_kinds(alert_type, kind):
    notice = read_superevent(alert_type=alert_type)
    assert notice.kind is kind
    assert bool(notice.warnings) is (alert_type == "NEW")


def test_a_retraction_has_no_event_and_is_read():
    notice = read_superevent(alert_type="RETRACTION")
    assert notice.kind is Kind.RETRACTION
    assert notice.trigger_id == "lvk:S230518h"
    assert notice.issued_us == us_from_iso("2023-05-18T16:07:18Z")
    assert (notice.trigger_time_us, notice.localisation, notice.far_hz, notice.instrument) == (None, None, None, "")


def test_a_map_may_be_null():
    notice = read_superevent(event={"skymap": None})
    assert notice.localisation is None
    assert notice.warnings == ()


@pytest.mark.parametrize("text", ["%%%", base64.b64encode(b"no FITS").decode(), 7, ["x"]])
def test_what_is_no_map_is_noted(text):
    notice = read_superevent(event={"skymap": text})
    assert notice.localisation is None
    assert "skymap is no sky map" in notice.warnings[0]


def test_the_events_own_map_comes_before_the_combined_one():
    other = base64.b64encode(gzip.compress(FITS)).decode()
    notice = read_superevent(external_coinc=external(combined_skymap=other))
    assert notice.localisation == InlineMap(FITS)
    notice = read_superevent(event={"skymap": None}, external_coinc=external(combined_skymap=other))
    assert notice.localisation == InlineMap(gzip.compress(FITS))
    assert len(notice.warnings) == 1


@pytest.mark.parametrize(
    ("changes", "cited", "related"),
    [
        ({}, "ivo://nasa.gsfc.gcn/Fermi#GBM_Fin_Pos2023-05-18", ("fermi-gbm:600117987",)),
        ({"ivorn": ""}, "Fermi 600117987", ("fermi-gbm:600117987",)),
        ({"ivorn": None, "gcn_notice_id": "bn230518541"}, "Fermi bn230518541", ("fermi-gbm:bn230518541",)),
        ({"ivorn": None, "observatory": None}, "600117987", ()),
        ({"ivorn": None, "gcn_notice_id": None}, None, ()),
    ],
)
def test_an_external_coincidence_is_cited_and_is_the_same_event(changes, cited, related):
    notice = read_superevent(external_coinc=external(**changes))
    assert notice.related == related
    assert notice.citations == (() if cited is None else (Citation(cited, "associated"),))
    assert notice.params["external_coinc.time_difference"] == "1.7"


def test_what_is_refused():
    refused({"alert_type": "INITIAL"}, Reason.UNKNOWN_FORMAT)
    refused(superevent(""), Reason.MISSING_FIELD)
    refused(superevent(event=None), Reason.MISSING_FIELD)
    refused(superevent(alert_type="UPDATE", event=None), Reason.MISSING_FIELD)
    refused(superevent(event={"time": "soon"}), Reason.BAD_TIME)
    refused(superevent(event={"time": None}), Reason.BAD_TIME)
    refused(superevent(time_created="2023-05-18"), Reason.BAD_TIME)
    refused(superevent(event={"far": float("inf")}), Reason.NOT_FINITE)
    with pytest.raises(BadNotice) as caught:
        read_lvk_json(Message(b"{", "x"))
    assert caught.value.reason is Reason.MALFORMED


def test_a_strange_name_is_noted_and_harmless():
    notice = read_superevent("S 23/../../etc")
    assert notice.trigger_id == "lvk:S_23_______etc"
    assert len(notice.warnings) == 1


def test_far_below_zero_is_unknown():
    assert read_superevent(event={"far": -1.0}).far_hz is None


@pytest.mark.parametrize("codec", ["null", "deflate"])
@pytest.mark.parametrize("alert_type", ["PRELIMINARY", "UPDATE", "RETRACTION"])
def test_avro_and_json_say_the_same(alert_type, codec):
    record = superevent(alert_type=alert_type, external_coinc=external(gcn_notice_id=7))
    (from_avro,) = read_lvk_avro(Message(container(as_avro(record), codec=codec), "x"))
    from_json = read_superevent(alert_type=alert_type, external_coinc=external(gcn_notice_id=7))
    same = (
        "notice_type",
        "trigger_id",
        "names",
        "role",
        "kind",
        "issued_us",
        "trigger_time_us",
        "localisation",
        "far_hz",
    )
    for name in (*same, "citations", "classification", "links", "instrument"):
        assert getattr(from_avro, name) == getattr(from_json, name)
    assert_sane(from_avro)
    if alert_type != "RETRACTION":
        assert from_avro.params["event.skymap"] == f"({len(FITS)} bytes)"


def test_a_container_may_hold_several_alerts():
    records = [as_avro(superevent(alert_type=alert_type)) for alert_type in ("INITIAL", "UPDATE")]
    first, second = read_lvk_avro(Message(container(*records), "x"))
    assert (first.kind, second.kind) == (Kind.INITIAL, Kind.UPDATE)
    assert first.ivorn != second.ivorn


def test_avro_that_is_no_map_or_no_alert():
    record = as_avro(superevent())
    record["event"]["skymap"] = b"no FITS"
    (notice,) = read_lvk_avro(Message(container(record), "x"))
    assert notice.localisation is None
    assert notice.warnings
    with pytest.raises(BadNotice):
        read_lvk_avro(Message(container(as_avro(superevent()))[:-20], "x"))
    with pytest.raises(BadNotice):
        read_lvk_avro(Message(container(as_avro(superevent(""))), "x"))


NAMES = "alert_type time_created superevent_id urls event external_coinc time far instruments skymap ivorn"
KEYS = st.sampled_from([*NAMES.split(), "classification"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES), st.dictionaries(KEYS, VALUES))
def test_whatever_the_fields_hold_it_is_a_sane_notice_or_a_rejection(changes, event):
    record = superevent() | changes
    if isinstance(record["event"], dict):
        record["event"] = record["event"] | event
    with contextlib.suppress(BadNotice):
        assert_sane(lvk_notice(record, Message(b"{}", "x")))


@given(st.integers(0, 2000), st.integers(0, 255))
def test_damaged_avro_is_a_rejection_or_a_sane_notice(place, byte):
    body = bytearray(container(as_avro(superevent()), codec="null"))
    body[place % len(body)] = byte
    for damaged in (bytes(body), bytes(body[:place])):
        with contextlib.suppress(BadNotice):
            for notice in read_lvk_avro(Message(damaged, "x")):
                assert_sane(notice)


def test_a_real_event(data_dir):
    body = (data_dir / "fink-mm/VODB/lvk/initial.txt").read_bytes()
    notice = read_lvk_json(Message(body, "initial.txt"))
    assert notice.trigger_id == "lvk:S230518h"
    assert (notice.role, notice.kind, notice.instrument) == (Role.OBSERVATION, Kind.INITIAL, "H1,L1")
    assert notice.trigger_time_us == us_from_iso("2023-05-18T12:59:08.167Z")
    skymap = skymap_of(notice.localisation)
    assert (skymap.peak_ra_deg, skymap.peak_dec_deg) == pytest.approx((95.712891, -10.958863), abs=1e-6)
    assert skymap.area_deg2(0.9) == pytest.approx(665.8, rel=0.01)


def test_the_user_guides_mock_in_both_forms(data_dir):
    folder = data_dir / "gcn-kafka" / "lvk-userguide"
    for name, kind in (("initial", Kind.INITIAL), ("retraction", Kind.RETRACTION)):
        from_json = read_lvk_json(Message((folder / f"MS181101ab-{name}.json").read_bytes(), name))
        (from_avro,) = read_lvk_avro(Message((folder / f"MS181101ab-{name}.avro").read_bytes(), name))
        for notice in (from_json, from_avro):
            assert (notice.trigger_id, notice.role, notice.kind) == ("lvk:MS181101ab", Role.MOCK, kind)
        assert from_json.localisation == from_avro.localisation
        assert from_json.issued_us == from_avro.issued_us
    update = read_lvk_json(Message((folder / "MS181101ab-update.json").read_bytes(), "update"))
    assert update.kind is Kind.UPDATE
    assert isinstance(update.localisation, InlineMap)


def test_a_mock_from_the_real_topic(data_dir):
    body = (data_dir / "voevent/voevent2dict/igwn.gwalert.json").read_bytes()
    notice = read_lvk_json(Message(body, "igwn.gwalert[0]@1", "igwn.gwalert"))
    assert (notice.trigger_id, notice.role, notice.notice_type) == ("lvk:MS250122h", Role.MOCK, "LVK_PRELIMINARY")


def test_what_an_lvk_alert_is():
    assert is_lvk(superevent())
    assert not is_lvk({"superevent_id": "S1"})
    assert not is_lvk({"alert_type": "initial", "id": "1"})


def test_voevents_of_the_same_superevent_are_of_the_same_trigger(data_dir):
    folder = data_dir / "gcn-kafka" / "lvk-userguide"
    alert = read_lvk_json(Message((folder / "MS181101ab-update.json").read_bytes(), "update"))
    for path in folder.glob("*.xml"):
        notice = read_voevent(Message(path.read_bytes(), path.name))
        assert (notice.trigger_id, notice.role) == (alert.trigger_id, alert.role)
        assert (notice.stage, notice.serial) == (alert.stage, alert.serial), "only time may order them"
