import pytest

from schemas.classic_gamma import GAMMA
from schemas.localisation import Cone, Systematics
from schemas.records import Kind, Messenger, Role
from tests.schemas.voevent_packets import read


@pytest.mark.parametrize("packet_type", [53, 54, 55, 56])
def test_integral_positions_have_a_containment_that_is_assumed(packet_type: int):
    notice = read(packet_type, {"TrigID": 6616, "Inten_Sigma": 8.99, "Time_Error": 8}, radius=0.05)
    assert notice.trigger_id == "integral:6616"
    assert notice.localisation == Cone(120.5, -33.25, 0.05, 0.9)
    assert "90% is assumed" in notice.warnings[0]
    assert notice.trigger_time_error_s == 8
    assert (notice.significance, notice.instrument) == (8.99, "IBIS")


def test_integral_counts_the_notices_of_a_trigger_in_the_upper_bits():
    notice = read(54, {"TrigID": 75873})
    assert (notice.trigger_id, notice.serial) == ("integral:10337", 1)
    notice = read(55, {"TrigID": 204106})
    assert (notice.trigger_id, notice.serial) == ("integral:7498", 3)


def test_the_anticoincidence_shield_has_numbers_of_its_own_and_no_positions():
    notice = read(52, {"TrigID": 8247, "Coords_String": "unavailable/inappropriate"}, position=(0, 0), radius=0)
    assert notice.trigger_id == "integral-spiacs:8247"
    assert notice.localisation is None


def test_a_negative_radius_is_no_position():
    notice = read(55, {"TrigID": 73749, "Def_NOT_a_GRB": "true"}, radius=-0.0511)
    assert notice.localisation is None
    assert notice.astrophysical is False
    assert notice.trigger_id == "integral:8213"


@pytest.mark.parametrize(
    ("packet_type", "trigger_id"),
    [
        (59, "konus:1677761887"),
        (105, "agile:1677761887"),
        (148, "suzaku:1677761887"),
        (160, "calet:1677761887"),
        (161, "calet:1677761887"),
    ],
)
def test_kinds_that_know_only_the_time(packet_type: int, trigger_id: str):
    notice = read(packet_type, {"TrigID": 1677761887, "Coords_String": "pointing_direction"}, radius=0)
    assert notice.trigger_id == trigger_id
    assert notice.localisation is None
    assert notice.trigger_time_us is not None


def test_the_interplanetary_network_numbers_nothing():
    notice = read(31, {"TrigID": -1}, position=(-1, -1), radius=-1)
    assert notice.trigger_id is notice.localisation is None
    assert notice.notice_type == "IPN_RAW"


@pytest.mark.parametrize(("packet_type", "stage"), [(100, 10), (101, 20), (102, 30)])
def test_agile_positions(packet_type: int, stage: int):
    notice = read(packet_type, {"TrigID": 5})
    assert (notice.trigger_id, notice.stage) == ("agile:5", stage)
    assert "assumed" in notice.warnings[0]


def test_maxi_radii_hold_the_systematic_error():
    notice = read(134, {"TrigID": 3947729601}, radius=1)
    assert notice.trigger_id == "maxi:3947729601"
    assert notice.messenger is Messenger.X_RAY
    assert notice.localisation == Cone(120.5, -33.25, 1, 0.9, Systematics.INCLUDED)


def test_maxi_writes_0_0_for_no_position_and_a_radius_all_the_same():
    notice = read(134, {"TrigID": 3947729601}, position=("0.0000", "0.0000"), radius=1)
    assert notice.localisation is None
    assert notice.trigger_id == "maxi:3947729601"


def test_maxis_known_sources_are_named():
    assert read(135, {"TrigID": 1, "Source_Name": "  MAXI J1957+032"}).names == ("MAXI J1957+032",)
    assert read(135, {"TrigID": 1, "Source_Name": " "}).names == ()


def test_microlensing_events_have_positions_without_errors():
    notice = read(139, {"TrigID": 201400185}, radius="0.0000")
    assert notice.trigger_id == "moa:201400185"
    assert notice.messenger is Messenger.OPTICAL
    assert isinstance(notice.localisation, Cone)
    assert notice.localisation.radius_deg == pytest.approx(2 / 3600)


@pytest.mark.parametrize(
    ("source", "astrophysical"), [("GRB", True), ("SFLARE", False), ("UNKNOWN", None), (None, None)]
)
@pytest.mark.parametrize(("packet_type", "stage"), [(188, 20), (189, 30)])
def test_gecam(packet_type: int, stage: int, source: str | None, astrophysical: bool | None):
    params = {"Trigger_Number": 176, "MISSION": "B"} | ({"SRC_CLASS": source} if source else {})
    notice = read(packet_type, params)
    assert (notice.trigger_id, notice.stage) == ("gecam:B176", stage)
    assert notice.astrophysical is astrophysical
    assert isinstance(notice.localisation, Cone)
    assert notice.localisation.containment == 0.68


def test_gecam_without_a_number_is_about_no_trigger():
    assert read(188, {"MISSION": "B"}).trigger_id is None


@pytest.mark.parametrize("packet_type", [2, 44, 45, 51, 109, 136])
def test_tests_counterparts_and_pointings_are_about_no_trigger(packet_type: int):
    notice = read(packet_type, {"TrigID": 99998}, role="test")
    assert notice.trigger_id is None
    assert notice.role is Role.TEST
    assert notice.kind is Kind.INITIAL


def test_every_kind_has_a_name_of_its_own():
    assert len({kind.name for kind in GAMMA.values()}) == len(GAMMA)
