import pytest

from schemas.classic_swift import SWIFT
from schemas.localisation import Cone
from schemas.records import Kind, Messenger
from tests.schemas.voevent_packets import T0_US, read


def swift(packet_type: int, radius: object = 0.05, **params: object):
    return read(packet_type, {"TrigID": 948219, **params}, radius=radius)


@pytest.mark.parametrize(
    ("packet_type", "name", "instrument", "stage"),
    [
        (97, "SWIFT_BAT_QL_POS", "BAT", 5),
        (61, "SWIFT_BAT_GRB_POS_ACK", "BAT", 10),
        (84, "SWIFT_BAT_TRANS", "BAT", 10),
        (67, "SWIFT_XRT_POSITION", "XRT", 20),
        (81, "SWIFT_UVOT_POS", "UVOT", 30),
    ],
)
def test_all_instruments_speak_of_one_trigger(packet_type: int, name: str, instrument: str, stage: int):
    notice = swift(packet_type)
    assert notice.notice_type == name
    assert notice.trigger_id == "swift:948219"
    assert (notice.mission, notice.instrument, notice.messenger) == ("Swift", instrument, Messenger.GAMMA_RAY)
    assert notice.stage == stage
    assert notice.localisation == Cone(120.5, -33.25, 0.05, 0.9)


def test_times_of_xrt_and_uvot_are_not_the_triggers():
    assert swift(61).trigger_time_us == T0_US
    assert swift(67).trigger_time_us is None
    assert swift(81).trigger_time_us is None
    assert swift(67).kind is Kind.UPDATE


@pytest.mark.parametrize(("packet_type", "floor_arcsec"), [(61, 180), (97, 180), (63, 180), (67, 5), (81, 1)])
@pytest.mark.parametrize("radius", ["0.0000", None])
def test_a_radius_of_zero_is_the_instruments_floor(packet_type: int, floor_arcsec: float, radius: object):
    notice = swift(packet_type, radius)
    assert isinstance(notice.localisation, Cone)
    assert notice.localisation.radius_deg == pytest.approx(floor_arcsec / 3600)
    assert "no error radius" in notice.warnings[0]


def test_a_light_curve_never_outranks_a_position():
    assert swift(63).stage < swift(61).stage
    assert swift(70).stage < swift(67).stage
    assert swift(79).stage < swift(81).stage


@pytest.mark.parametrize("packet_type", [60, 62, 64, 68, 69, 70, 71, 72, 73, 76, 77, 78, 79, 80, 85, 86, 87, 88, 89])
def test_products_belong_to_the_trigger_without_a_position(packet_type: int):
    notice = swift(packet_type, Light_Curve="https://example.org/lc.gif")
    assert notice.trigger_id == "swift:948219"
    assert notice.localisation is None
    assert notice.links["Light_Curve"] == "https://example.org/lc.gif"


@pytest.mark.parametrize("packet_type", [46, 47, 65, 66, 83, 103])
def test_pointings_are_about_no_trigger(packet_type: int):
    notice = swift(packet_type)
    assert notice.trigger_id is notice.localisation is notice.trigger_time_us is None


@pytest.mark.parametrize("packet_type", [82, 98, 99, 133, 140, 141])
def test_tests_known_sources_and_noise_are_about_no_trigger(packet_type: int):
    notice = swift(packet_type)
    assert notice.trigger_id is None
    assert notice.localisation == Cone(120.5, -33.25, 0.05, 0.9)


@pytest.mark.parametrize(
    ("params", "astrophysical"),
    [
        ({"GRB_Identified": "true"}, True),
        ({"GRB_Identified": "true", "StarTrack_Lost_Lock": "true"}, False),
        ({"GRB_Identified": "true", "ImTrig_during_ST_LoL": "true"}, False),
        ({"GRB_Identified": "false", "Target_in_Flt_Catalog": "true"}, False),
        ({"GRB_Identified": "false", "Target_in_Flt_Catalog": "false"}, None),
        ({"GRB_Identified": "true", "Def_NOT_a_GRB": "true"}, False),
        ({}, None),
    ],
)
@pytest.mark.parametrize("packet_type", [61, 63, 84, 97])
def test_what_bat_says_of_a_burst(packet_type: int, params: dict[str, str], astrophysical: bool | None):
    notice = swift(packet_type, **params)
    assert notice.astrophysical is astrophysical
    assert bool(notice.warnings) == (astrophysical is False)


@pytest.mark.parametrize("packet_type", [67, 81])
def test_a_source_in_x_rays_or_light_does_not_say_that_the_trigger_was_a_burst(packet_type: int):
    assert swift(packet_type, Target_in_Gnd_Catalog="false").astrophysical is None
    assert swift(packet_type, Def_NOT_a_GRB="true").astrophysical is False


def test_a_missing_uvot_detection_says_nothing_of_the_burst():
    assert swift(89, GRB_Identified="false").astrophysical is None


@pytest.mark.parametrize("packet_type", [61, 67, 81])
def test_an_updated_notice_outranks_the_first(packet_type: int):
    notice = swift(packet_type, Updated_Notice="true")
    assert (notice.serial, notice.kind) == (1, Kind.UPDATE)
    assert swift(packet_type, Updated_Notice="false").serial == 0


def test_the_image_significance_comes_first_unless_it_is_zero():
    assert swift(61, Rate_Signif="15.71", Image_Signif="9.01").significance == 9.01
    assert swift(61, Rate_Signif="15.71", Image_Signif="0.00").significance == 15.71


@pytest.mark.parametrize("number", ["16777215", "-1", "0", ""])
def test_numbers_that_stand_for_no_trigger(number: str):
    assert swift(64, TrigID=number).trigger_id is None


def test_names_are_those_that_the_notice_can_mean():
    def names(*given: str) -> tuple[str, ...]:
        return read(61, {"TrigID": 1}, names=given).names

    assert names("GRB 140430") == ("GRB 140430",)
    assert names("(null)") == ()
    assert names("GRB 9999-99", "GRB 2015-0106168") == ()
    assert names("PSR  J1023") == ("PSR J1023",)


def test_every_swift_kind_is_named_swift():
    assert all(kind.name.startswith("SWIFT_") and kind.mission == "Swift" for kind in SWIFT.values())
