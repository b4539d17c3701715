import math

import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st

from schemas.bounded_json import Fields
from schemas.gcn import read_gcn_json
from schemas.gcn_topics import BY_MISSION, TOPICS, containment_of, position
from schemas.localisation import Cone, Ellipse, Systematics
from schemas.records import Citation, Kind, Message, Messenger, Role
from schemas.times import us_from_iso
from schemas.voevent_notice import read_voevent
from tests.schemas.gcn_notices import assert_sane, read
from tests.schemas.voevent_packets import packet

PLACE = {"ra": 120.5, "dec": -33.25, "ra_dec_error": 8.5}


def test_every_mission_leads_to_a_topic():
    assert set(BY_MISSION.values()) <= set(TOPICS)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (0.5, Cone(10, 20, 0.5, 0.9)),
        ([0.5], Cone(10, 20, 0.5, 0.9)),
        ([0.5, 0.5, 30], Cone(10, 20, 0.5, 0.9)),
        ([0.8, 0.5, 30], Ellipse(10, 20, 0.8, 0.5, 30, 0.9)),
        ([0.8, 0.5], Ellipse(10, 20, 0.8, 0.5, 0, 0.9)),
        ([0.5, 0.8, 30], Ellipse(10, 20, 0.8, 0.5, 120, 0.9)),
        ([0.5, 0.8, 100], Ellipse(10, 20, 0.8, 0.5, 10, 0.9)),
        ([0.8, 0.5, -30], Ellipse(10, 20, 0.8, 0.5, 150, 0.9)),
        ("0.5", Cone(10, 20, 0.5, 0.9)),
    ],
)
def test_circles_and_ellipses(error, expected):
    fields = Fields({"ra": 10, "dec": 20, "ra_dec_error": error})
    assert position(fields, 0.9) == expected
    assert not fields.warnings


@pytest.mark.parametrize(
    ("ra", "dec", "error"),
    [
        (-1, -1, 1),
        (-360, 0, 1),
        (360.5, 0, 1),
        (10, 91, 1),
        (10, 20, 0),
        (10, 20, -1),
        (10, 20, 90.5),
        (10, 20, [1, 0]),
        (10, 20, [1, 1000, 0]),
        (10, 20, []),
        (10, 20, None),
        (10, 20, "wide"),
        (0, 0, None),
    ],
)
def test_what_is_no_position(ra, dec, error):
    fields = Fields({"ra": ra, "dec": dec, "ra_dec_error": error})
    assert position(fields, 0.9) is None
    assert any("no position" in warning for warning in fields.warnings)


def test_no_position_is_nothing_odd():
    fields = Fields({"ra": 1, "far": 2})
    assert position(fields, 0.9) is None
    assert not fields.warnings


def test_right_ascension_360_is_0():
    assert position(Fields({"ra": 360, "dec": 0, "ra_dec_error": 1}), 0.9) == Cone(0, 0, 1, 0.9)


def test_systematics_are_in_only_where_the_notice_says_so():
    for said, systematics in (
        (True, Systematics.INCLUDED),
        (False, Systematics.NONE_KNOWN),
        ("yes", Systematics.NONE_KNOWN),
    ):
        fields = Fields({"ra": 1, "dec": 2, "ra_dec_error": 3, "systematic_included": said})
        assert position(fields, 0.9) == Cone(1, 2, 3, 0.9, systematics)


@pytest.mark.parametrize(
    ("said", "held", "odd"),
    [(0.5, 0.5, 0), (None, 0.68, 0), (1, 0.68, 1), (0, 0.68, 1), (90, 0.68, 1), ("x", 0.68, 1), ("0.95", 0.95, 0)],
)
def test_containment(said, held, odd):
    fields = Fields({"containment_probability": said})
    assert containment_of(fields, 0.68) == held
    assert len(fields.warnings) == odd


def test_containment_where_it_is_absent():
    for schema, held in (
        ("fermi/gbm/trigger", 0.68),
        ("superk/sn_alert", 0.68),
        ("km3net/alert", 0.9),
        ("new/alert", 0.9),
    ):
        assert read(schema, **PLACE).localisation.containment == held


@pytest.mark.parametrize(
    ("subtype", "stage", "systematics"),
    [
        ("INITIAL_ALERT", 10, Systematics.GBM_FLIGHT),
        ("FLIGHT_POSITION", 20, Systematics.GBM_FLIGHT),
        ("GROUND_POSITION", 30, Systematics.GBM_GROUND),
        ("FINAL_POSITION", 40, Systematics.GBM_FINAL),
        ("NEW_POSITION", 20, Systematics.GBM_FLIGHT),
        (None, 20, Systematics.GBM_FLIGHT),
    ],
)
@pytest.mark.parametrize("included", [False, True])
def test_gbm_stages_have_the_systematics_of_the_classic_form(subtype, stage, systematics, included):
    notice = read(
        "fermi/gbm/trigger", id=["745121685", "bn240812094"], subtype=subtype, systematic_included=included, **PLACE
    )
    assert notice.trigger_id == "fermi-gbm:745121685"
    assert notice.names == ("bn240812094",)
    assert notice.stage == stage
    assert notice.localisation == Cone(120.5, -33.25, 8.5, 0.68, systematics)
    known = subtype in {"INITIAL_ALERT", "FLIGHT_POSITION", "GROUND_POSITION", "FINAL_POSITION"}
    assert notice.notice_type == "fermi.gbm.trigger" + (f".{subtype}" if known else "")
    assert len(notice.warnings) == included + (not known)


@pytest.mark.parametrize(
    ("subtype", "classes", "astrophysical"),
    [
        ("FLIGHT_POSITION", {"GRB": 0.85, "GENERIC_SGR": 0.14}, True),
        ("FLIGHT_POSITION", {"SOLAR_FLARE": 0.95, "GRB": 0.05}, False),
        ("FLIGHT_POSITION", {"BELOW_HORIZON": 1}, False),
        ("FLIGHT_POSITION", {"GRB": 0.49, "GENERIC_SGR": 0.51}, None),
        ("FLIGHT_POSITION", {"UNRELIABLE_LOCATION": 1}, None),
        ("GROUND_POSITION", {}, None),
        ("FINAL_POSITION", {}, True),
    ],
)
def test_what_gbm_says_of_the_nature_of_a_trigger(subtype, classes, astrophysical):
    notice = read("fermi/gbm/trigger", subtype=subtype, classification=classes)
    assert notice.astrophysical is astrophysical
    assert notice.classification == classes


def test_both_forms_of_gbm_notices_have_one_order():
    json = read("fermi/gbm/trigger", subtype="GROUND_POSITION", record_number=5, alert_datetime="2024-08-24T02:16:11")
    params = {"TrigID": 42, "Sequence_Num": 58}
    classic = read_voevent(Message(packet(112, params, date="2024-08-24T02:15:20"), "x"))
    assert json.trigger_id == classic.trigger_id
    assert (json.stage, json.serial) == (classic.stage, classic.serial)
    assert json.issued_us > classic.issued_us
    assert read("fermi/gbm/trigger", subtype="GROUND_POSITION", record_number=5).serial == 5


def test_gbm_names_stand_for_numbers_that_are_not_given():
    notice = read("fermi/gbm/trigger", id="bn240812094", subtype="GROUND_POSITION")
    assert notice.trigger_id == "fermi-gbm:bn240812094"
    page = "http://heasarc.gsfc.nasa.gov/FTP/fermi/data/gbm/triggers/2024/bn240812094"
    notice = read("fermi/gbm/trigger", id="745121685", subtype="GROUND_POSITION", data_archive_page=page)
    assert (notice.trigger_id, notice.names) == ("fermi-gbm:745121685", ("bn240812094",))
    assert notice.aliases == ("fermi-gbm:bn240812094",)


def test_a_gbm_notice_cannot_call_another_burst_its_own():
    """Else one notice could make one trigger of any two."""
    notice = read("fermi/gbm/trigger", id=["745121685", "bn170817529"], subtype="GROUND_POSITION")
    assert (notice.names, notice.aliases) == (("bn170817529",), ())
    page = "http://heasarc.gsfc.nasa.gov/FTP/fermi/data/gbm/triggers/2017/bn170817529"
    notice = read("fermi/gbm/trigger", id="745121685", subtype="GROUND_POSITION", data_archive_page=page)
    assert (notice.names, notice.aliases) == ((), ())


def test_super_kamiokande_is_known_by_number_and_by_name():
    both = read("superk/sn_alert", id="SN.095001.000001", trigger_number=10070)
    assert (both.trigger_id, both.aliases) == ("superk:10070", ("superk:SN.095001.000001",))
    name = read("superk/sn_alert", id="SN.095001.000001")
    assert (name.trigger_id, name.aliases) == ("superk:SN.095001.000001", ())


@pytest.mark.parametrize(
    ("schema", "fields", "related"),
    [
        ("swift/bat/guano", {"follow_up_event": "Fermi 694215970"}, ("fermi-gbm:694215970",)),
        ("swift/bat/guano", {"follow_up_event": "the sky"}, ()),
        ("km3net/alert", {"ref_ID": "bn240812094", "ref_instrument": "Fermi-GBM"}, ("fermi-gbm:bn240812094",)),
        ("km3net/alert", {"ref_ID": "137840_57034692", "ref_instrument": "IceCube"}, ("icecube:137840_57034692",)),
        ("km3net/alert", {"ref_ID": "1234567", "ref_type": "GRB"}, ()),
        (
            "km3net/alert",
            {"ref_ID": "S230914ak", "reference": {"gcn.notices.LVK.alert": "S230914ak-2-Preliminary", "atel": 123}},
            ("lvk:S230914ak",),
        ),
        ("icecube/lvk_nu_track_search", {"ref_ID": "S230914ak", "pval_generic": 0.004}, ("lvk:S230914ak",)),
        ("icecube/lvk_nu_track_search", {"ref_ID": "S230914ak", "pval_generic": 0.3, "pval_bayesian": 0.05}, ()),
        ("icecube/lvk_nu_track_search", {"ref_ID": "S230914ak", "pval_generic": None}, ()),
    ],
)
def test_what_a_notice_refers_to_is_a_related_trigger(schema, fields, related):
    assert read(schema, **fields).related == related


def test_a_retraction_by_gbm_comes_last():
    assert read("fermi/gbm/trigger", alert_type="retraction", record_number=8, subtype="GROUND_POSITION").stage == 90


@pytest.mark.parametrize(
    "how", [{"schema": "fermi/gbm/trigger", "reliability": "LOW"}, {"topic": "gcn.notices.fermi.gbm.subthreshold"}]
)
def test_gbm_subthreshold(how):
    notice = read(**how, **PLACE)
    assert notice.trigger_id == "fermi-gbm-subthreshold:42"
    assert notice.notice_type == "fermi.gbm.subthreshold"
    assert notice.localisation.systematics is Systematics.GBM_GROUND
    assert read(**how, alert_tense="planned").trigger_id is None


def test_the_identifier_of_a_subthreshold_trigger_is_bounded_and_without_blanks():
    notice = read("fermi/gbm/subthreshold", id=["a b\n" + 200 * "c"])
    assert_sane(notice)
    assert notice.trigger_id == "fermi-gbm-subthreshold:a_b_" + 96 * "c"


def test_flares_of_known_sources_are_no_triggers():
    notice = read("fermi/lat/flare", id=None, event_name="OQ 334", ra=215.6, dec=32.4, TS=45)
    assert notice.trigger_id is None
    assert notice.names == ("OQ 334",)
    assert (notice.significance, notice.significance_unit) == (45, "test statistic")


def test_icecube_tracks():
    notice = read(
        "icecube/single_neutrino_alerts",
        id=["137840_57034692_0"],
        event_name=["IceCube-230416A"],
        record_number=1,
        p_astro=0.34,
        far=8e-8,
        mission="IceCube",
        **PLACE,
    )
    assert notice.trigger_id == "icecube:137840_57034692"
    assert notice.names == ("IceCube-230416A", "137840_57034692_0")
    assert notice.messenger is Messenger.NEUTRINO
    assert (notice.significance, notice.significance_unit) == (0.34, "signalness")
    assert (notice.far_hz, notice.serial, notice.stage) == (8e-8, 1, 10)
    assert read("icecube/single_neutrino_alerts", id="other").trigger_id == "icecube:other"


def neutrinos(*events, **fields):
    given = {"pval_generic": None, "pval_bayesian": None} | fields
    places = [
        {
            "localization": {"ra": ra, "dec": 1, "ra_dec_error": 0.5},
            "event_pval_generic": p,
            "event_pval_bayesian": None,
        }
        for ra, p in events
    ]
    record = {
        "id": None,
        "ref_ID": "S230914ak",
        "coincident_events": places or None,
        "n_events_coincident": len(places),
    }
    return read("icecube/lvk_nu_track_search", **(record | given))


def test_neutrinos_around_a_gravitational_wave():
    notice = neutrinos((17.0, 0.02), (13.0, 0.09), pval_generic=0.0191, pval_bayesian=0.0549)
    assert notice.trigger_id == "icecube-lvk-nu:S230914ak"
    assert notice.localisation == Cone(17, 1, 0.5, 0.9)
    assert notice.trigger_time_error_s == 500
    assert (notice.significance, notice.significance_unit) == (0.0191, "p-value")
    assert notice.citations == (Citation("S230914ak", "followup"),)
    assert notice.role is Role.OBSERVATION
    assert len(notice.warnings) == 1


def test_absent_p_values_stay_unknown():
    notice = neutrinos()
    assert (notice.significance, notice.significance_unit) == (None, "")
    assert notice.localisation is None
    assert neutrinos(pval_bayesian=0.67).significance == 0.67
    assert neutrinos((1.0, None), (2.0, 0.5)).localisation == Cone(2, 1, 0.5, 0.9)


def test_neutrinos_around_a_mock_are_a_mock():
    assert neutrinos(ref_ID="MS230914ak").role is Role.MOCK
    assert neutrinos(ref_ID="MS230914ak", alert_tense="test").role is Role.TEST


def test_the_search_is_known_without_topic_and_schema():
    assert read(id=None, ref_ID="S1", n_events_coincident=0).trigger_id == "icecube-lvk-nu:S1"


def test_swift_guano_cites_what_it_follows():
    notice = read("swift/bat/Guano", id=["694215995"], record_number=3, follow_up_event="Fermi 694215970", **PLACE)
    assert notice.trigger_id == "swift-guano:694215995"
    assert notice.citations == (Citation("Fermi 694215970", "followup"),)
    assert notice.serial == 3


@pytest.mark.parametrize(
    ("fields", "stage", "messenger"),
    [
        ({"instrument": "GRM"}, 10, Messenger.GAMMA_RAY),
        ({"instrument": "ECLAIRs", "event_name": ["M1"]}, 15, Messenger.GAMMA_RAY),
        ({"instrument": "ECLAIRs"}, 20, Messenger.GAMMA_RAY),
        ({"instrument": "MXT"}, 30, Messenger.X_RAY),
        ({"instrument": "MXT", "alert_type": "retraction"}, 90, Messenger.X_RAY),
    ],
)
def test_svom_stages(fields, stage, messenger):
    notice = read("svom/trigger", **fields)
    assert (notice.stage, notice.messenger, notice.mission) == (stage, messenger, "SVOM")


def test_super_kamiokande_has_the_number_of_the_classic_form():
    notice = read("superk/sn_alert", id="SN.095001.000001", trigger_number=10070)
    assert notice.trigger_id == "superk:10070"
    assert notice.names == ("SN.095001.000001",)
    assert read("superk/sn_alert", id="SN.095001.000001").trigger_id == "superk:SN.095001.000001"


def test_chime_has_names_of_repeaters():
    notice = read("chime/frb", id="427325191", known_source="FRB 20231013B", snr=12.7, trigger_time_error=0.008)
    assert notice.trigger_id == "chime:427325191"
    assert notice.names == ("FRB 20231013B",)
    assert notice.trigger_time_error_s == 0.008
    assert notice.messenger is Messenger.RADIO


def test_boom_cites_the_events_that_its_candidates_lie_in():
    events = [{"ref_type": "GW", "ref_ID": "S251117bs"}, {"ref_type": "GRB", "ref_ID": "GRB 251117A"}]
    data = {"targets": [{"event_name": "ZTF25a", "gcn_crossmatch": events}, {"gcn_crossmatch": events[:1]}]}
    notice = read(
        "boom/alert", id=None, trigger_time=None, mission="Boom", alert_datetime="2025-11-30T10:28:57Z", data=data
    )
    assert notice.trigger_id is None
    assert notice.messenger is Messenger.OPTICAL
    assert [citation.ivorn for citation in notice.citations] == ["S251117bs", "GRB 251117A"]
    many = {"targets": [{"gcn_crossmatch": [{"ref_ID": str(n)} for n in range(1000)]}]}
    assert len(read("boom/alert", id=None, data=many).citations) == 100


def test_archives_are_of_no_trigger():
    notice = read("heasarc/archive_alert", id=None, alert_tense="archival", observation_start="2022-02-21T16:12:23.000")
    assert (notice.role, notice.trigger_id) == (Role.UTILITY, None)


def box(ra_deg, dec_deg, half_long_deg, half_short_deg, angle_deg):
    """Corners of a box around a position, its long side at a position angle, by astropy's spherical geometry."""
    centre = SkyCoord(ra_deg * units.deg, dec_deg * units.deg)
    corners = []
    for along, across in ((1, 1), (1, -1), (-1, -1), (-1, 1)):
        x, y = across * half_short_deg, along * half_long_deg
        turn = math.degrees(math.atan2(x, y)) + angle_deg
        corner = centre.directional_offset_by(turn * units.deg, math.hypot(x, y) * units.deg)
        corners.append([float(corner.ra.deg), float(corner.dec.deg)])
    return corners


@given(
    st.floats(0, 359.9),
    st.sampled_from([-89.9, -60.0, 0.0, 18.6, 89.0]),
    st.floats(0.5, 3.0),
    st.floats(0.1, 0.4),
    st.floats(0, 179),
    st.integers(0, 3),
)
def test_a_box_becomes_the_ellipse_of_its_area_and_proportions(ra, dec, half_long, half_short, angle, first):
    corners = box(ra, dec, half_long, half_short, angle)
    corners = corners[first:] + corners[:first]
    notice = read("maxi/gsc.unknown", ra=ra, dec=dec, rectangular_error_corners=corners, containment_probability=0.8)
    ellipse = notice.localisation
    assert (ellipse.ra_deg, ellipse.dec_deg, ellipse.containment) == (ra, dec, 0.8)
    area = math.pi * ellipse.semi_major_deg * ellipse.semi_minor_deg
    assert area == pytest.approx(4 * half_long * half_short, rel=5e-3)
    assert ellipse.semi_major_deg / ellipse.semi_minor_deg == pytest.approx(half_long / half_short, rel=5e-3)
    off = (ellipse.position_angle_deg - angle + 90) % 180 - 90
    assert abs(off) < 0.5


@pytest.mark.parametrize(
    "corners",
    [
        "box",
        [],
        [[1, 2], [1, 2], [1, 2]],
        [[1, 2], [1, 2], [1], [1, 2]],
        [[1, "x"], [1, 2], [1, 2], [1, 2]],
        [[1, 95], [1, 2], [1, 2], [1, 2]],
        [[181, 0], [1, 2], [1, 2], [1, 2]],
        [[1, 2], [1, 2], [1, 2], [1, 2]],
    ],
)
def test_what_is_no_box(corners):
    notice = read("maxi/gsc.unknown", ra=1, dec=2, rectangular_error_corners=corners)
    assert notice.localisation is None
    assert any("box" in warning for warning in notice.warnings)


def test_a_circle_comes_before_a_box():
    notice = read("maxi/gsc.unknown", ra=1, dec=2, ra_dec_error=3, rectangular_error_corners=box(1, 2, 1, 0.1, 0))
    assert notice.localisation == Cone(1, 2, 3, 0.9)
    assert (
        read("maxi/gsc.unknown", alert_type="retraction", rectangular_error_corners=box(1, 2, 1, 0.1, 0)).localisation
        is None
    )


EXPECTED = {
    "fermi/gbm/trigger.alert": ("fermi-gbm:745121685", 10, 0, None),
    "fermi/gbm/trigger.flight1": (
        "fermi-gbm:745121685",
        20,
        0,
        Cone(136.917, -78.117, 8.32, 0.68, Systematics.GBM_FLIGHT),
    ),
    "fermi/gbm/trigger.ground2": (
        "fermi-gbm:745121685",
        30,
        0,
        Cone(90.56, -67.87, 1.08, 0.68, Systematics.GBM_GROUND),
    ),
    "fermi/gbm/trigger.final": ("fermi-gbm:745121685", 40, 0, Cone(29.24, -63.62, 1, 0.68, Systematics.GBM_FINAL)),
    "icecube/single_neutrino_alerts.gold_bronze_track_alerts": (
        "icecube:137840_57034692",
        10,
        1,
        Cone(345.82, 9.01, 0.5, 0.9),
    ),
    "icecube/lvk_nu_track_search": ("icecube-lvk-nu:S230914ak", 10, 0, Cone(17.48, 16.15, 0.5, 0.9)),
    "superk/sn_alert.real": ("superk:10070", 10, 1, Cone(270.82, 31.46, 0.91, 0.68)),
    "superk/sn_alert.test": ("superk:10070", 10, 1, Cone(270.82, 31.46, 0.91, 0.68)),
    "maxi/gsc.unknown.circle": ("maxi:9995289617", 10, 1, Cone(346.56, 18.61, 1.5, 0.9)),
    "maxi/gsc.unknown.ellipse": ("maxi:9995289617", 10, 1, Ellipse(346.56, 18.61, 0.22, 0.19, 153, 0.9)),
    "maxi/gsc.unknown.noerror": ("maxi:9995289617", 10, 1, None),
    "maxi/gsc.unknown.retraction": ("maxi:9995289617", 10, 2, None),
    "maxi/gsc.known": ("maxi:0858800020", 10, 1, None),
    "svom/grm/trigger": ("svom:sb24022203", 10, 0, Cone(143.2478, -68.0289, 0.1, 0.9)),
    "svom/eclairs/trigger.catalog": ("svom:sb24022203", 15, 0, Cone(143.2478, -68.0289, 0.1, 0.9)),
    "svom/eclairs/trigger.wakeup": ("svom:sb24022203", 20, 0, Cone(143.2478, -68.0289, 0.1, 0.9)),
    "swift/bat/Guano": ("swift-guano:694215995", 10, 1, None),
    "swift/bat/guano.loc_map": ("swift-guano:694215995", 10, 2, None),
    "swift/bat/guano.loc_arc_min": (
        "swift-guano:694215995",
        10,
        3,
        Cone(336.26, 25.139, 0.5, 0.9, Systematics.INCLUDED),
    ),
    "swift/bat/Guano.Retraction": ("swift-guano:694215995", 10, 4, None),
    "einstein_probe/wxt/alert": ("einstein-probe:01708973486", 10, 0, Cone(120, 40, 0.02, 0.9)),
    "chime/frb.retraction": ("chime:427325191", 90, 0, None),
    "chime/frb.update": ("chime:427325191", 10, 0, None),
    "dsa110/frb.detection": (
        "dsa110:240918aaaa",
        10,
        0,
        Ellipse(346.77850859547, 12.632485229956252, 0.02, 0.016, 90, 0.9),
    ),
    "burstcube/alert": ("burstcube:240601000", 10, 1, Cone(232, -53.1, 10, 0.9)),
    "glowbug/Alert": ("glowbug:BUG230423.789", 10, 0, None),
    "km3net/alert": ("km3net:1", 10, 1, Cone(10.82, 20.01, 0.9, 0.9)),
    "fermi/lat/flare": (None, 10, 0, None),
    "boom/alert": (None, 10, 0, None),
    "heasarc/archive_alert": (None, 10, 0, None),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_schemas_own_examples(data_dir, name):
    path = data_dir / "gcn-kafka" / "gcn-schema" / "notices" / f"{name}.example.json"
    notice = read_gcn_json(Message(path.read_bytes(), path.name))
    assert (notice.trigger_id, notice.stage, notice.serial, notice.localisation) == EXPECTED[name]


def test_an_error_box_of_the_real_sky(data_dir):
    path = data_dir / "gcn-kafka/gcn-schema/notices/maxi/gsc.unknown.rectangle.example.json"
    notice = read_gcn_json(Message(path.read_bytes(), path.name))
    assert notice.localisation.semi_major_deg == pytest.approx(1.36, abs=0.01)
    assert notice.localisation.semi_minor_deg == pytest.approx(0.20, abs=0.01)
    assert notice.localisation.position_angle_deg == pytest.approx(133.5, abs=0.1)


@pytest.mark.parametrize(
    ("name", "trigger_id", "kind", "role", "astrophysical"),
    [
        ("fermi_flight", "fermi-gbm:745121685", Kind.UPDATE, Role.OBSERVATION, True),
        ("fermi_noise", "fermi-gbm:745121685", Kind.UPDATE, Role.OBSERVATION, None),
        ("fermi_noise_2", "fermi-gbm:745121685", Kind.UPDATE, Role.OBSERVATION, None),
        ("fermi_test", "fermi-gbm:745121685", Kind.UPDATE, Role.TEST, True),
        ("fermi_final_noskymap", "fermi-gbm:745121685", Kind.UPDATE, Role.OBSERVATION, True),
        ("icecube_gold", "icecube:137841_57034692", Kind.INITIAL, Role.OBSERVATION, None),
        ("icecube_bronze_subsequent", "icecube:137842_57034692", Kind.UPDATE, Role.OBSERVATION, None),
        ("icecube_retraction", "icecube:137842_57034692", Kind.RETRACTION, Role.OBSERVATION, None),
        ("chime_subsequent", "chime:427325191", Kind.UPDATE, Role.OBSERVATION, None),
        ("chime_retraction", "chime:427325191", Kind.RETRACTION, Role.OBSERVATION, None),
        ("einteinprobe", "einstein-probe:01709015181", Kind.INITIAL, Role.OBSERVATION, None),
        ("svom_wakeup", "svom:sb24022203", Kind.UPDATE, Role.OBSERVATION, None),
    ],
)
def test_notices_of_another_pipelines_tests(data_dir, name, trigger_id, kind, role, astrophysical):
    path = data_dir / "gcn-kafka" / "gwcelery-3.0.0" / f"kafka_alert_{name}.json"
    notice = read_gcn_json(Message(path.read_bytes(), path.name))
    assert (notice.trigger_id, notice.kind, notice.role, notice.astrophysical) == (
        trigger_id,
        kind,
        role,
        astrophysical,
    )


def test_a_real_search_that_found_no_neutrino(data_dir):
    path = data_dir / "voevent/voevent2dict/gcn.notices.icecube.lvk_nu_track_search.json"
    notice = read_gcn_json(Message(path.read_bytes(), path.name))
    assert notice.trigger_id == "icecube-lvk-nu:S250122x"
    assert notice.trigger_time_us == us_from_iso("2025-01-22T22:32:18.930835Z")
    assert notice.localisation is None
    assert (notice.significance, notice.significance_unit) == (0.6742, "p-value")
    assert [citation.ivorn for citation in notice.citations] == ["S250122x", "S250122x-1-Preliminary"]
