import pytest

from schemas.classic_fermi import FERMI, GBM_CLASSES, GBM_NO_BURST, GBM_NO_BURST_PROBABILITY, is_burst_name_of
from schemas.localisation import Cone, Systematics
from schemas.records import Kind, Messenger, Role
from tests.schemas.voevent_packets import T0_US, read

PLOT = "https://heasarc.gsfc.nasa.gov/FTP/fermi/data/gbm/triggers/2020/bn200107810/quicklook/glg_locplot_all_bn200107810.png"
LIGHT_CURVE = PLOT.replace("glg_locplot_all_bn200107810.png", "glg_lc_medres34_bn200107810.gif")


def gbm(packet_type: int, date: str = "2020-01-07T04:31:00", **params: object):
    params = {"TrigID": 600117987, "Sequence_Num": 7, "LightCurve_URL": LIGHT_CURVE, **params}
    return read(packet_type, params, date=date)


@pytest.mark.parametrize(
    ("packet_type", "name", "stage", "systematics"),
    [
        (111, "FERMI_GBM_FLT_POS", 20, Systematics.GBM_FLIGHT),
        (112, "FERMI_GBM_GND_POS", 30, Systematics.GBM_GROUND),
        (115, "FERMI_GBM_FIN_POS", 40, Systematics.GBM_FINAL),
        (146, "FERMI_GBM_FIN_POS_INTERNAL", 39, Systematics.GBM_FINAL),
    ],
)
def test_gbm_positions_are_68_percent_without_their_systematic_error(packet_type, name, stage, systematics):
    notice = gbm(packet_type)
    assert notice.notice_type == name
    assert notice.trigger_id == "fermi-gbm:600117987"
    assert (notice.mission, notice.instrument, notice.messenger) == ("Fermi", "GBM", Messenger.GAMMA_RAY)
    assert notice.stage == stage
    assert notice.localisation == Cone(120.5, -33.25, 1.5, 0.68, systematics)
    assert notice.trigger_time_us == T0_US
    assert notice.names == ("bn200107810",)
    assert notice.links["LightCurve_URL"] == LIGHT_CURVE


def test_the_time_of_issue_orders_ground_positions_and_their_sequence_numbers_do_not():
    first = gbm(112, Sequence_Num=58, date="2020-01-07T04:31:00")
    second = gbm(112, Sequence_Num=0, date="2020-01-07T04:32:00")
    assert (first.stage, first.serial) == (second.stage, second.serial)
    assert first.issued_us < second.issued_us


@pytest.mark.parametrize("number", [111, 112, 115])
def test_within_a_stage_the_time_of_issue_gives_the_order_as_in_the_json_form(number):
    assert gbm(number, Sequence_Num=47).serial == 0


def test_a_gbm_alert_has_no_position():
    notice = read(110, {"TrigID": 600117987, "Coords_String": "unavailable/inappropriate"}, position=(0, 0), radius=0)
    assert notice.trigger_id == "fermi-gbm:600117987"
    assert (notice.stage, notice.kind) == (10, Kind.INITIAL)
    assert notice.localisation is None
    assert "unavailable" in notice.warnings[0]


def test_a_gbm_alert_with_coordinates_gives_no_position_either():
    assert read(110, {"TrigID": 1}).localisation is None


def test_the_gbm_map_lies_beside_the_plot():
    notice = gbm(112, LocationMap_URL=PLOT)
    assert notice.skymap_url == PLOT.replace("locplot", "healpix").replace(".png", ".fit")
    assert notice.links["LocationMap_URL"] == PLOT
    assert gbm(111, LocationMap_URL=PLOT).skymap_url is None


def test_the_map_of_a_ground_position_lies_beside_the_light_curve():
    notice = gbm(112, LocationMap_URL="http://gcn.gsfc.nasa.gov/notices_f/gbm_gnd_loc_map_600117987.fits")
    assert notice.skymap_url == PLOT.replace("locplot", "healpix").replace(".png", ".fit")
    assert gbm(111).skymap_url is None


@pytest.mark.parametrize("link", ["", "https://example.org/plot.png", PLOT + "?size=2", "glg_lc_medres34_bn1.gif"])
def test_other_links_name_no_map(link: str):
    assert gbm(112, LocationMap_URL=link, LightCurve_URL=link).skymap_url is None


def test_a_significance_of_zero_is_none():
    assert gbm(112, Burst_Signif="0.00").significance is None
    assert gbm(115, Burst_Signif="0.00").significance is None
    notice = gbm(111, Data_Signif="7.90")
    assert (notice.significance, notice.significance_unit) == (7.9, "sigma")


@pytest.mark.parametrize(
    ("index", "percent", "astrophysical"),
    [
        (4, 97, True),
        (4, 35, True),
        (8, 95, False),
        (8, 90, False),
        (8, 89, None),
        (2, 100, False),
        (3, 100, False),
        (5, 91, False),
        (7, 91, False),
        (9, 91, False),
        (10, 91, False),
        (11, 91, False),
        (19, 100, False),
        (6, 95, None),
        (1, 100, None),
        (0, 100, None),
        (13, 100, None),
    ],
)
def test_what_gbms_flight_class_says_of_a_burst(index: int, percent: int, astrophysical: bool | None):
    notice = gbm(111, Most_Likely_Index=index, Most_Likely_Prob=percent)
    assert notice.astrophysical is astrophysical
    assert notice.classification == {GBM_CLASSES.get(index, "CLASS_13"): percent / 100}


def test_both_classes_are_kept():
    notice = gbm(111, Most_Likely_Index=4, Most_Likely_Prob=69, Sec_Most_Likely_Index=8, Sec_Most_Likely_Prob=13)
    assert notice.classification == {"GRB": 0.69, "SOLAR_FLARE": 0.13}
    assert notice.astrophysical is True


@pytest.mark.parametrize("percent", [0, -1, 101, "x"])
def test_impossible_class_probabilities_say_nothing(percent: object):
    notice = gbm(111, Most_Likely_Index=8, Most_Likely_Prob=percent)
    assert notice.classification == {}
    assert notice.astrophysical is None


def test_an_unreliable_location_is_warned_of_but_kept():
    notice = gbm(111, Most_Likely_Index=1, Most_Likely_Prob=100)
    assert isinstance(notice.localisation, Cone)
    assert "unreliable" in notice.warnings[0]


def test_a_final_position_says_that_it_is_a_burst_and_a_ground_position_does_not():
    assert gbm(115).astrophysical is True
    assert gbm(112).astrophysical is None


def test_definitely_not_a_burst_wins():
    notice = gbm(115, Def_NOT_a_GRB="true")
    assert notice.astrophysical is False
    assert "Def_NOT_a_GRB" in notice.warnings[0]


def test_classes_that_are_no_burst_are_known_classes():
    assert set(GBM_CLASSES.values()) >= GBM_NO_BURST
    assert "GRB" not in GBM_NO_BURST
    assert 0.5 < GBM_NO_BURST_PROBABILITY < 1


@pytest.mark.parametrize("role", ["test", "observation"])
def test_subthreshold_candidates_have_their_own_namespace_and_the_role_as_sent(role: str):
    notice = read(131, {"Trans_Num": 719297190, "Reliability": 2, "HealPix_URL": "https://x.org/m.fits"}, role=role)
    assert notice.trigger_id == "fermi-gbm-subthreshold:719297190"
    assert notice.role == Role(role)
    assert notice.skymap_url == "https://x.org/m.fits"
    assert (notice.significance, notice.significance_unit) == (2, "reliability")
    assert notice.localisation == Cone(120.5, -33.25, 1.5, 0.68, Systematics.GBM_GROUND)
    assert "68% is assumed" in notice.warnings[0]


@pytest.mark.parametrize(("packet_type", "stage"), [(120, 10), (121, 20), (122, 15), (123, 10), (127, 30), (128, 40)])
def test_lat_positions_are_90_percent(packet_type: int, stage: int):
    notice = read(packet_type, {"TrigID": 488587408, "Record_Num": 3}, radius=0.5)
    assert notice.trigger_id == "fermi-lat:488587408"
    assert (notice.instrument, notice.stage, notice.serial) == ("LAT", stage, 3)
    assert notice.localisation == Cone(120.5, -33.25, 0.5, 0.9)


def test_a_lat_retraction():
    notice = read(123, {"TrigID": 1, "Record_Num": 1}, groups={"Trigger_ID": {"Retraction": "true"}}, time=None)
    assert notice.kind is Kind.RETRACTION
    assert notice.localisation is None


def test_the_lat_monitor_is_about_a_known_source_and_no_trigger():
    notice = read(125, {"TrigID": 1451663375, "Signif": 61900}, radius="0.0000")
    assert notice.trigger_id is None
    assert notice.localisation == Cone(120.5, -33.25, 0.1, 0.9)
    assert notice.significance is None
    assert "no error radius" in notice.warnings[0]


@pytest.mark.parametrize("packet_type", [126, 129])
def test_pointings_are_about_nothing(packet_type: int):
    notice = read(packet_type, {"TrigID": 5}, role="utility")
    assert notice.trigger_id is notice.localisation is notice.trigger_time_us is None
    assert notice.role is Role.UTILITY
    assert notice.warnings == ()


@pytest.mark.parametrize("packet_type", [119, 124])
def test_test_positions_are_about_no_trigger(packet_type: int):
    notice = read(packet_type, {"TrigID": 99999}, role="test")
    assert notice.trigger_id is None
    assert isinstance(notice.localisation, Cone)


def test_every_fermi_kind_is_named_fermi():
    assert all(kind.name.startswith("FERMI_") and kind.mission == "Fermi" for kind in FERMI.values())


def test_the_name_of_a_burst_is_an_alias_of_its_trigger():
    assert gbm(111).aliases == gbm(115).aliases == ("fermi-gbm:bn200107810",)
    assert gbm(110, LightCurve_URL="").aliases == ()


def test_the_name_of_another_burst_is_none():
    """As a notice of trigger 548841234 linked to the light curve of a burst two hours later."""
    other = LIGHT_CURVE.replace("bn200107810", "bn200107712")
    notice = gbm(111, LightCurve_URL=other)
    assert (notice.names, notice.aliases) == ((), ())
    assert "no name of trigger 600117987" in notice.warnings[0]


@pytest.mark.parametrize(
    ("name", "number", "is_one"),
    [
        ("bn200107810", "600117987", True),
        ("bn200107809", "600117987", True),
        ("bn200107808", "600117987", False),
        ("bn200107812", "600117987", False),
        ("bn200108810", "600117987", False),
        ("bn201307810", "600117987", False),
        ("bn20010781", "600117987", False),
        ("bn200107810", "1", False),
        ("bn200107810", "bn200107810", False),
    ],
)
def test_a_trigger_number_and_a_burst_name_are_both_times(name, number, is_one):
    assert is_burst_name_of(name, number) is is_one
