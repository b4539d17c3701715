import contextlib
import dataclasses
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import BadNotice, Reason
from schemas.localisation import Cone
from schemas.records import Citation, Kind, Message, Messenger, Notice, Role
from schemas.times import us_from_iso
from schemas.voevent_notice import PACKET_TYPES, read_voevent
from tests.schemas.voevent_packets import T0_US, packet, read

STREAM = "ivo://some.observatory/Alerts#2020-1"


def assert_sane(notice: Notice) -> None:
    """What must hold of every notice, whatever it was made of."""
    assert notice.ivorn
    assert notice.notice_type
    assert notice.trigger_id is None or re.fullmatch(r"[a-z0-9-]+:\S.{0,99}", notice.trigger_id)
    assert notice.stage >= 0
    assert 0 <= notice.serial < 2**31
    assert notice.far_hz is None or 0 <= notice.far_hz < math.inf
    assert notice.significance is None or math.isfinite(notice.significance)
    assert all(0 <= p <= 1 for p in notice.classification.values())
    place = notice.localisation
    if isinstance(place, Cone):
        assert 0 <= place.ra_deg < 360
        assert -90 <= place.dec_deg <= 90
        assert 0 < place.radius_deg <= 90
        assert 0 < place.containment < 1
    if notice.kind is Kind.RETRACTION:
        assert place is None


def test_the_raw_message_and_all_params_are_kept():
    body = packet(111, {"TrigID": 1, "x": " a b "}, groups={"G": {"x": "c"}, "H": {"x": "d"}})
    message = Message(body, "a.tar/b.xml")
    notice = read_voevent(message)
    assert notice.message is message
    assert notice.params == {"Packet_Type": "111", "TrigID": "1", "x": "a b", "G/x": "c", "H/x": "d"}
    assert notice.ivorn == "ivo://nasa.gsfc.gcn/Test#Packet_1-001"
    assert notice.issued_us == us_from_iso("2020-01-07T04:31:00")


def test_links_are_all_urls_and_the_references():
    notice = read(
        None,
        {"LC_URL": "https://a.org/lc.gif", "note": "see https://a.org"},
        ivorn=STREAM,
        references=["http://a.org/1", "http://a.org/2", "http://a.org/1"],
    )
    assert notice.links == {
        "LC_URL": "https://a.org/lc.gif",
        "reference": "http://a.org/1",
        "reference 2": "http://a.org/2",
    }


def test_a_reference_to_what_is_no_web_address_is_no_link():
    assert read(112, references=["javascript:alert(1)", "file:///etc/passwd", "https://a.org/1"]).links == {
        "reference": "https://a.org/1"
    }


class TestPositions:
    @pytest.mark.parametrize(
        ("position", "radius", "why"),
        [
            ((0, 0), 0, "stands for none"),
            ((0, 0), None, "stands for none"),
            ((-1, -1), -1, "not on the sky"),
            ((-360, 10), 1, "not on the sky"),
            ((361, 10), 1, "not on the sky"),
            ((10, 91), 1, "not on the sky"),
            ((10, -91), 1, "not on the sky"),
            ((10, 10), -0.05, "error radius"),
            ((10, 10), 90.03, "error radius"),
            ((0, 0), 360, "error radius"),
            ((10, 10), 0, "no error radius"),
            ((10, 10), None, "no error radius"),
        ],
    )
    def test_numbers_that_stand_for_no_position(self, position, radius, why):
        notice = read(111, {"TrigID": 1}, position=position, radius=radius)
        assert notice.localisation is None
        assert why in notice.warnings[0]
        assert notice.trigger_id == "fermi-gbm:1"

    @pytest.mark.parametrize("text", ["nan", "inf", "", "12h", "1e999"])
    def test_what_is_no_number_is_no_position(self, text: str):
        assert read(111, {"TrigID": 1}, position=(text, 1)).localisation is None
        assert read(111, {"TrigID": 1}, position=(1, text)).localisation is None

    def test_zero_zero_with_a_radius_is_a_position(self):
        notice = read(111, {"TrigID": 1}, position=(0, 0), radius=10)
        assert isinstance(notice.localisation, Cone)

    def test_right_ascension_360_is_0(self):
        notice = read(111, {"TrigID": 1}, position=(360, 10))
        assert isinstance(notice.localisation, Cone)
        assert notice.localisation.ra_deg == 0

    @pytest.mark.parametrize("ra", [0, 359.9999])
    @pytest.mark.parametrize("dec", [-90, 90])
    def test_poles_are_on_the_sky(self, ra: float, dec: float):
        assert read(111, {"TrigID": 1}, position=(ra, dec)).localisation is not None

    @pytest.mark.parametrize("coords", ["unavailable/inappropriate", "pointing_direction"])
    def test_coordinates_of_something_else_are_no_position(self, coords: str):
        assert read(111, {"TrigID": 1, "Coords_String": coords}).localisation is None
        assert read(111, {"TrigID": 1, "Coords_String": "source_object"}).localisation is not None

    def test_no_position_at_all(self):
        notice = read(111, {"TrigID": 1}, position=None)
        assert notice.localisation is None
        assert notice.warnings == ()


class TestRoles:
    @pytest.mark.parametrize("role", ["observation", "test", "utility", "prediction"])
    def test_roles_are_as_sent(self, role: str):
        assert read(111, {"TrigID": 1}, role=role).role == Role(role)

    def test_an_absent_role_is_an_observation_as_the_standard_says(self):
        assert read(111, {"TrigID": 1}, role=None).role is Role.OBSERVATION

    def test_an_unknown_role_is_no_observation(self):
        notice = read(111, {"TrigID": 1}, role="observe")
        assert notice.role is Role.UTILITY
        assert "'observe'" in notice.warnings[0]

    @pytest.mark.parametrize("flag", ["Test", "Test_Submission", "Test_Notice", "InternalTest"])
    def test_a_test_flag_makes_a_test_of_an_observation(self, flag: str):
        notice = read(111, {"TrigID": 1}, groups={"Trigger_ID": {flag: "true"}})
        assert notice.role is Role.TEST
        assert flag in notice.warnings[0]
        assert read(111, {"TrigID": 1}, groups={"Trigger_ID": {flag: "false"}}).role is Role.OBSERVATION

    def test_a_false_test_flag_makes_no_observation_of_a_test(self):
        assert read(111, {"TrigID": 1, "Test_Submission": "false"}, role="test").role is Role.TEST

    @pytest.mark.parametrize("role", ["utility", "prediction"])
    def test_utilities_and_predictions_are_about_no_trigger(self, role: str):
        assert read(111, {"TrigID": 1}, role=role).trigger_id is None


class TestKinds:
    @pytest.mark.parametrize("relation", ["followup", "supersedes"])
    def test_what_cites_an_earlier_notice_is_an_update(self, relation: str):
        assert read(111, {"TrigID": 1}, cites=[("ivo://a/b#c", relation)]).kind is Kind.UPDATE

    def test_what_cites_a_retraction_is_one(self):
        notice = read(111, {"TrigID": 1}, cites=[("ivo://a/b#c", "Retraction")])
        assert notice.kind is Kind.RETRACTION
        assert notice.citations == (Citation("ivo://a/b#c", "retraction"),)

    @pytest.mark.parametrize("flag", ["Retraction", "RetractFlag", "retraction"])
    @pytest.mark.parametrize("value", ["true", "1"])
    def test_retraction_flags(self, flag: str, value: str):
        assert read(172, {"AMON_ID": 1, flag: value}).kind is Kind.RETRACTION
        assert read(172, {"AMON_ID": 1, flag: "0"}).kind is Kind.INITIAL

    def test_other_citations_change_nothing(self):
        assert read(111, {"TrigID": 1}, cites=[("ivo://a/b#c", "cites")]).kind is Kind.INITIAL


class TestTimes:
    @pytest.mark.parametrize(
        "text", ["2020-01-07T04:30:12.34", "2020-01-07T04:30:12.34Z", "2020-01-07T04:30:12.340000+00:00"]
    )
    def test_times_without_a_zone_are_utc(self, text: str):
        assert read(111, {"TrigID": 1}, time=text).trigger_time_us == T0_US

    @pytest.mark.parametrize("text", ["2022-01--2T22:18:45.18", "2016-01-00T13:46:40.00", None])
    def test_an_unreadable_time_is_taken_from_the_julian_day(self, text: str | None):
        params = {"TrigID": 1, "Burst_TJD": 17366, "Burst_SOD": "3556.64"}
        notice = read(115, params, time=text)
        assert notice.trigger_time_us == us_from_iso("2015-12-10T00:59:16.64")
        assert "2015-12-10" in notice.warnings[-1]

    @pytest.mark.parametrize(
        ("day", "second"), [(10854, -1494.78), (99999, 1.0), (17366, 90000), (0, 0), ("x", 1), (450000, 1)]
    )
    def test_impossible_julian_days_are_no_time(self, day: object, second: object):
        with pytest.raises(BadNotice) as caught:
            read(115, {"TrigID": 1, "Burst_TJD": day, "Burst_SOD": second}, time="2015-13-01T00:00:00")
        assert caught.value.reason == Reason.BAD_TIME
        assert "fermi-gbm:1" in caught.value.detail
        assert "2015-13-01" in caught.value.detail

    def test_a_packets_own_time_is_not_the_events(self):
        params = {
            "Trigger_Number": 5,
            "Pkt_TJD": 18000,
            "Pkt_SOD": 1,
            "Discovery_date": 17366,
            "Discovery_time": "3556.64",
        }
        assert read(175, params, time=None).trigger_time_us == us_from_iso("2015-12-10T00:59:16.64")

    def test_gecams_time(self):
        params = {"Trigger_Number": 5, "EVENT_DATE": 17366, "EVENT_TIME": "3556.64"}
        assert read(188, params, time=None, date=None).trigger_time_us == us_from_iso("2015-12-10T00:59:16.64")

    def test_a_trigger_without_a_time_is_refused(self):
        with pytest.raises(BadNotice, match="no usable trigger time"):
            read(111, {"TrigID": 1}, time=None)

    def test_what_is_about_no_trigger_or_a_retraction_needs_no_time(self):
        assert read(140, {"TrigID": 1}, time=None).trigger_time_us is None
        assert read(111, {"TrigID": 1, "Retraction": "true"}, time=None).trigger_time_us is None

    def test_an_event_after_its_notice_is_odd(self):
        notice = read(111, {"TrigID": 1}, date="2019-12-07T00:00:00")
        assert "later than the notice" in notice.warnings[0]


class TestUnknownKinds:
    def test_an_unknown_packet_type_is_read_by_its_generic_fields(self):
        notice = read(
            987,
            {"TrigID": 42, "Rev": 2, "FAR": 1e-7},
            ivorn="ivo://nasa.gsfc.gcn/NEWMISSION#Pos_1",
            concepts=["process.variation.burst;em.x-ray"],
        )
        assert notice.trigger_id == "newmission:42"
        assert (notice.mission, notice.notice_type) == ("NEWMISSION", "NEWMISSION type 987")
        assert notice.messenger is Messenger.X_RAY
        assert notice.serial == 2
        assert notice.far_hz == 1e-7
        assert notice.localisation == Cone(120.5, -33.25, 1.5, 0.9)
        assert "assumed" in notice.warnings[0]

    def test_the_topic_names_the_kind(self):
        notice = read(987, topic="gcn.classic.voevent.NEW_THING")
        assert notice.notice_type == "NEW_THING"

    @pytest.mark.parametrize("name", ["TrigID", "Trigger_Number", "id", "ID", "event_name", "AMON_ID"])
    def test_any_of_the_usual_identifiers(self, name: str):
        assert read(None, {name: "E 7"}, ivorn=STREAM).trigger_id == "some-observatory-alerts:E_7"

    def test_without_an_identifier_it_is_about_no_trigger(self):
        notice = read(None, {}, ivorn=STREAM)
        assert notice.trigger_id is None
        assert notice.localisation is not None
        assert notice.messenger is Messenger.UNKNOWN

    def test_a_packet_type_of_another_sender_means_nothing(self):
        assert read(111, {"TrigID": 1}, ivorn=STREAM).trigger_id == "some-observatory-alerts:1"

    @pytest.mark.parametrize(
        ("concept", "messenger"),
        [
            ("phys.particle.neutrino", Messenger.NEUTRINO),
            ("gravitational wave", Messenger.GRAVITATIONAL_WAVE),
            ("process.variation;em.opt", Messenger.OPTICAL),
            ("em.radio", Messenger.RADIO),
            ("em.gamma", Messenger.GAMMA_RAY),
        ],
    )
    def test_the_messenger_is_guessed_from_the_concept(self, concept: str, messenger: Messenger):
        assert read(None, {}, ivorn=STREAM, concepts=[concept]).messenger is messenger

    @pytest.mark.parametrize("ivorn", ["x", "ivo://", "ivo://#", "?", "ivo://ÄÖ/ü#1"])
    def test_odd_ivorns_break_nothing(self, ivorn: str):
        assert_sane(read(None, {"TrigID": 3}, ivorn=ivorn))


@pytest.mark.parametrize(
    ("far", "unit", "hz"),
    [
        ("1e-7", "Hz", 1e-7),
        ("1e-7", "", 1e-7),
        ("3.15576e7", "yr^-1", 1.0),
        ("3.15576e7", "per year", 1.0),
        ("-1", "Hz", None),
        ("x", "", None),
    ],
)
def test_false_alarm_rates_become_hertz(far: str, unit: str, hz: float | None):
    notice = read(None, {"FAR": far}, ivorn=STREAM, units={"FAR": unit})
    assert notice.far_hz == (None if hz is None else pytest.approx(hz))


@pytest.mark.parametrize(("flag", "text"), [("Values_Out_of_Range", "out of range"), ("CRC_Error", "transmission")])
def test_the_senders_doubts_are_warnings(flag: str, text: str):
    assert text in read(111, {"TrigID": 1, flag: "true"}).warnings[0]


@pytest.mark.parametrize("number", [1e300, -5, 2**40])
def test_serial_numbers_are_bounded(number: float):
    assert 0 <= read(173, {"run_id": 1, "event_id": 2, "Rev": number}).serial < 2**31


def test_identifiers_are_bounded():
    notice = read(111, {"TrigID": "9" * 1000})
    assert notice.trigger_id is not None
    assert len(notice.trigger_id) < 200
    assert_sane(notice)
    assert_sane(read(173, {"run_id": 1e300, "event_id": 1e300}))


@pytest.mark.parametrize("packet_type", sorted(PACKET_TYPES))
def test_every_kind_is_read_with_everything_and_with_nothing(packet_type: int):
    ids = dict.fromkeys(("TrigID", "run_id", "event_id", "Trans_Num", "Trigger_Number", "AMON_ID"), 5)
    ids |= {"GraceID": "S200115j", "Burst_Id": "sb1"}
    stream = (
        "gwnet/LVC" if 150 <= packet_type <= 164 else "org.svom/fsc" if 200 < packet_type < 220 else "nasa.gsfc.gcn/X"
    )
    full = read(packet_type, ids, ivorn=f"ivo://{stream}#a")
    assert_sane(full)
    kind = PACKET_TYPES[packet_type]
    assert full.notice_type == kind.name
    assert bool(full.trigger_id) == bool(kind.namespace)
    assert_sane(read(packet_type, {}, ivorn=f"ivo://{stream}#a", time=None, position=None, date=None))
    assert read_voevent(full.message) == full


def test_names_of_kinds_are_unique():
    names = [kind.name for kind in PACKET_TYPES.values()]
    assert len(set(names)) == len(names)


def test_every_flag_and_number_may_be_nonsense():
    names = ("Packet_Type", "TrigID", "Rev", "FAR", "Most_Likely_Index", "Burst_TJD")
    wild = dict.fromkeys(names, "\u2603 nonsense")
    assert_sane(read(None, wild))


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    """Packets of known and unknown kinds with wild values in all places."""
    number = st.floats() | st.sampled_from([0, -1, 360, 1e300, "", "nan", "x"])
    names = st.sampled_from(
        [
            "TrigID",
            "run_id",
            "event_id",
            "Rev",
            "Sequence_Num",
            "FAR",
            "src_error_90",
            "Src_Error90",
            "Most_Likely_Index",
            "Most_Likely_Prob",
            "Burst_TJD",
            "Burst_SOD",
            "GraceID",
            "Burst_Id",
            "Time_Error",
            "MISSION",
            "Retraction",
            "Test",
        ]
    )
    text = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=30)
    return packet(
        draw(st.none() | st.sampled_from(sorted(PACKET_TYPES)) | st.integers(-5, 999)),
        draw(st.dictionaries(names, number | text, max_size=8)),
        ivorn=draw(
            st.sampled_from(["ivo://nasa.gsfc.gcn/X#1", "ivo://gwnet/LVC#1", "ivo://org.svom/fsc#a_qf2"])
            | text.map(lambda t: "i" + t)
        ),
        role=draw(st.none() | st.sampled_from(["observation", "test", "utility", "odd"])),
        date=draw(st.none() | text | st.datetimes().map(lambda d: d.isoformat())),
        time=draw(st.none() | text | st.datetimes().map(lambda d: d.isoformat())),
        position=draw(st.none() | st.tuples(number, number)),
        radius=draw(st.none() | number),
        system=draw(st.sampled_from(["UTC-FK5-GEO", "TDB-ICRS-BARY", "TT-GALACTIC-GEO", "GPS-FK4-TOPO", "-", "X"])),
        unit=draw(st.sampled_from(["deg", "rad", "arcsec", "?"])),
    )


@given(packets())
def test_wild_packets_are_read_or_refused_with_a_reason(body: bytes):
    with contextlib.suppress(BadNotice):
        assert_sane(read_voevent(Message(body, "x")))


@given(packets(), st.data())
def test_broken_packets_are_read_or_refused_with_a_reason(body: bytes, data: st.DataObject):
    broken = bytearray(body)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(broken) - 1))
        broken[at : at + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=5))
    with contextlib.suppress(BadNotice):
        assert_sane(read_voevent(Message(bytes(broken[: data.draw(st.integers(0, len(broken)))]), "x")))
    with contextlib.suppress(BadNotice):
        assert_sane(read_voevent(Message(bytes(broken), "x")))


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_a_reason(body: bytes):
    with pytest.raises(BadNotice):
        read_voevent(Message(body, "x"))


def test_notices_differ_only_in_their_message_when_redelivered():
    body = packet(111, {"TrigID": 1})
    first, second = read_voevent(Message(body, "a")), read_voevent(Message(body, "b"))
    assert first.ivorn == second.ivorn
    assert dataclasses.replace(first, message=second.message) == second
