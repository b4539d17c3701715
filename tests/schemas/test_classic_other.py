import pytest

from schemas.localisation import Cone, Systematics
from schemas.records import Citation, Kind, Messenger, Role
from tests.schemas.voevent_packets import T0_US, read

YEAR_S = 365.25 * 86400
TRACK = {
    "run_id": 136241,
    "event_id": 22093816,
    "AMON_ID": 13624122093816,
    "Rev": 0,
    "signalness": 0.2056,
    "FAR": 1.9253,
}


@pytest.mark.parametrize(
    ("packet_type", "name"),
    [(173, "ICECUBE_ASTROTRACK_GOLD"), (174, "ICECUBE_ASTROTRACK_BRONZE"), (176, "ICECUBE_CASCADE")],
)
def test_icecube(packet_type: int, name: str):
    notice = read(
        packet_type, {**TRACK, "src_error_90": 0.5134, "src_error_50": 0.2}, radius=0.5134, units={"FAR": "yr^-1"}
    )
    assert notice.notice_type == name
    assert notice.trigger_id == "icecube:136241_22093816"
    assert (notice.mission, notice.messenger) == ("IceCube", Messenger.NEUTRINO)
    assert notice.localisation == Cone(120.5, -33.25, 0.5134, 0.9, Systematics.INCLUDED)
    assert (notice.significance, notice.significance_unit) == (0.2056, "signalness")
    assert notice.far_hz == pytest.approx(1.9253 / YEAR_S)
    assert (notice.kind, notice.serial, notice.stage) == (Kind.INITIAL, 0, 10)


def test_icecubes_rates_are_per_year_even_without_a_unit():
    assert read(173, TRACK).far_hz == pytest.approx(1.9253 / YEAR_S)
    assert read(173, TRACK, units={"FAR": "Hz"}).far_hz == 1.9253


def test_a_revised_icecube_notice_is_an_update_and_a_retraction_retracts():
    update = read(174, {**TRACK, "Rev": 1})
    assert (update.kind, update.serial) == (Kind.UPDATE, 1)
    retraction = read(174, {**TRACK, "Rev": 2}, groups={"Trigger_ID": {"Retraction": "true"}})
    assert (retraction.kind, retraction.serial) == (Kind.RETRACTION, 2)
    assert retraction.trigger_id == update.trigger_id
    assert retraction.localisation is None


def test_radec_valid_is_ignored():
    assert read(173, TRACK, groups={"Trigger_ID": {"RADec_valid": "false"}}).localisation is not None


def test_a_cascade_links_to_its_map():
    url = "https://roc.icecube.wisc.edu/public/hese_cascades/hese_60075_run00137930.evt000036941090.fits"
    notice = read(176, {**TRACK, "event_name": "IceCubeCascade-230511a"}, groups={"Misc_flags": {"skymap_fits": url}})
    assert notice.skymap_url == url
    assert notice.names == ("IceCubeCascade-230511a",)


def test_error2radius_is_sometimes_the_50_percent_radius():
    notice = read(169, {"run_id": 1, "event_id": 2, "src_error_50": 0.2917, "Signalness": 0.28}, radius=0.2917)
    assert notice.localisation == Cone(120.5, -33.25, 0.2917, 0.5)
    assert notice.significance == 0.28
    notice = read(
        172,
        {"Event_ID": 108094, "Run_ID": 0, "src_err_90": 34.31, "src_err_50": 18.59, "FAR": 2.8695},
        radius=0.3099,
        units={"src_err_90": "arcmin", "src_err_50": "arcmin", "FAR": "yr^-1"},
    )
    assert notice.localisation == Cone(120.5, -33.25, pytest.approx(34.31 / 60), 0.9)
    assert notice.trigger_id == "amon-nu-em:108094"
    assert notice.messenger is Messenger.NEUTRINO


def test_hawc_identifiers_are_run_and_event_joined_as_amon_does():
    params = {"run_id": 10011296, "event_id": 9331, "FAR": 6.85, "Pvalue": 0.0177, "rev": 0}
    notice = read(171, params, radius=0.4)
    assert notice.trigger_id == "hawc:100112969331"
    assert (notice.significance, notice.significance_unit) == (0.0177, "p-value")
    assert notice.far_hz == pytest.approx(6.85 / YEAR_S)
    assert read(171, {**params, "AMON_ID": 7}).trigger_id == "hawc:7"
    assert read(171, {}).trigger_id is None


def test_icecube_without_run_and_event_is_about_no_trigger():
    assert read(158, {"TrigID": 2147483647}).trigger_id is None


def test_snews_has_no_position():
    notice = read(149, {"TrigID": 1000194}, position=(0, 0), radius=360, groups={"Trigger_ID": {"Test": "true"}})
    assert notice.trigger_id == "snews:1000194"
    assert notice.localisation is None
    assert notice.role is Role.TEST
    assert "Test is set" in notice.warnings[-1] or "Test is set" in notice.warnings[0]


def test_super_kamiokande_gives_its_radius_in_a_param():
    notice = read(175, {"Trigger_Number": 10050, "Src_Error68": 0.6, "Src_Error90": 0.9}, radius=0)
    assert notice.trigger_id == "superk:10050"
    assert notice.localisation == Cone(120.5, -33.25, 0.9, 0.9)
    assert read(175, {"Trigger_Number": 10050}, position=(0, 0), radius=360).localisation is None


def gw(packet_type: int, grace_id: str = "S200115j", **parts: object):
    groups = {
        "GW_SKYMAP": {"skymap_fits": "https://gracedb.ligo.org/api/superevents/S200115j/files/bayestar.fits.gz"},
        "Classification": {"BNS": "0.1", "BBH": "0.7", "Terrestrial": "0.2", "odd": "x", "worse": "7"},
        "Properties": {"HasNS": "1.0"},
    }
    params = {"GraceID": grace_id, "Pkt_Ser_Num": 1, "FAR": 6.6e-10, "Instruments": "H1,L1"}
    return read(
        packet_type,
        params | dict(parts.pop("params", {})),  # type: ignore[call-overload]
        ivorn=f"ivo://gwnet/LVC#{grace_id}-1",
        groups=groups,
        position=None,
        **parts,
    )


@pytest.mark.parametrize("packet_type", [150, 151, 152, 163])
def test_gravitational_waves(packet_type: int):
    notice = gw(packet_type, units={"FAR": "Hz"})
    assert notice.trigger_id == "lvk:S200115j"
    assert (notice.mission, notice.instrument, notice.messenger) == ("LVK", "H1,L1", Messenger.GRAVITATIONAL_WAVE)
    assert notice.role is Role.OBSERVATION
    assert notice.far_hz == 6.6e-10
    assert notice.classification == {"BNS": 0.1, "BBH": 0.7, "Terrestrial": 0.2}
    assert notice.skymap_url is not None
    assert notice.skymap_url.endswith("bayestar.fits.gz")
    assert notice.localisation is None
    assert notice.trigger_time_us == T0_US
    assert (notice.stage, notice.serial) == (10, 0)
    assert notice.astrophysical is None
    assert notice.names == ("S200115j",)


def test_a_superevents_notices_are_ordered_by_time_so_that_json_and_voevent_agree():
    assert gw(152, params={"Pkt_Ser_Num": 4}).serial == 0


def test_a_gw_retraction_retracts():
    notice = gw(164, cites=[("ivo://gwnet/LVC#S200115j-1-Preliminary", "retraction")])
    assert notice.kind is Kind.RETRACTION
    assert notice.citations == (Citation("ivo://gwnet/LVC#S200115j-1-Preliminary", "retraction"),)


def test_a_gw_update_supersedes():
    assert gw(151, cites=[("ivo://gwnet/LVC#S200115j-1-Preliminary", "supersedes")]).kind is Kind.UPDATE
    assert gw(150).kind is Kind.INITIAL


@pytest.mark.parametrize("role", ["test", "observation"])
def test_mock_superevents_are_mocks_whatever_their_role(role: str):
    assert gw(150, "MS181101ab", role=role).role is Role.MOCK


def test_hardware_injections_are_tests():
    notice = gw(150, params={"HardwareInj": 1})
    assert notice.role is Role.TEST
    assert "injection" in notice.warnings[0]


def test_an_external_coincidence_is_cited():
    notice = gw(152, params={"External_Ivorn": "ivo://nasa.gsfc.gcn/Fermi#GBM_Gnd_Pos"})
    assert notice.citations == (Citation("ivo://nasa.gsfc.gcn/Fermi#GBM_Gnd_Pos", "associated"),)
    assert notice.related == ()
    named = {"External_GCN_Notice_Id": "600117987", "External_Observatory": "Fermi"}
    assert gw(152, params=named).related == ("fermi-gbm:600117987",)


def svom(packet_type: int, local: str, instrument: str = "ECLAIRs", **parts: object):
    return read(
        packet_type,
        {"Instrument": instrument},
        ivorn=f"ivo://org.svom/fsc#{local}",
        groups={"Svom_Identifiers": {"Burst_Id": "sb26051101"}, "Detection_Info": {"SNR": "9.7"}},
        **parts,
    )


@pytest.mark.parametrize(
    ("packet_type", "instrument", "stage"),
    [(201, "GRM", 10), (202, "ECLAIRs", 20), (203, "ECLAIRs", 15), (204, "ECLAIRs", 20), (205, "ECLAIRs", 20)],
)
def test_svom(packet_type: int, instrument: str, stage: int):
    notice = svom(packet_type, "sb26051101_x", instrument)
    assert notice.trigger_id == "svom:sb26051101"
    assert (notice.mission, notice.instrument, notice.stage) == ("SVOM", instrument, stage)
    assert notice.messenger is Messenger.GAMMA_RAY
    assert notice.significance == 9.7
    assert notice.localisation == Cone(120.5, -33.25, 1.5, 0.9)


def test_svoms_monitor_may_have_no_position_or_a_negative_radius():
    assert svom(201, "sb1_grm-trigger", position=None).localisation is None
    assert svom(201, "sb1_grm-trigger", radius=-1).localisation is None


@pytest.mark.parametrize(("quality", "arcsec"), [(1, 300), (2, 120), (3, 60), (4, 30)])
@pytest.mark.parametrize("packet_type", [209, 210])
def test_mxts_radius_follows_from_its_quality_where_it_is_not_given(packet_type: int, quality: int, arcsec: float):
    notice = svom(packet_type, f"sb26022501_mxt-initial_qf{quality}", "MXT", radius=0)
    assert notice.messenger is Messenger.X_RAY
    assert (notice.stage, notice.serial, notice.kind) == (30, quality, Kind.UPDATE)
    assert notice.localisation == Cone(120.5, -33.25, pytest.approx(arcsec / 3600), 0.9)
    stated = svom(packet_type, f"sb26022501_mxt-initial_qf{quality}", "MXT", radius=0.0643)
    assert stated.localisation == Cone(120.5, -33.25, 0.0643, 0.9)


def test_mxt_without_radius_and_quality_has_no_position():
    assert svom(209, "sb26022501_mxt-initial", "MXT", radius=0).localisation is None
    assert svom(209, "sb26022501_mxt-initial_qf9", "MXT", radius=None).localisation is None


def test_an_svom_retraction_outranks_all():
    notice = svom(219, "sb26051101_retraction", cites=[("ivo://org.svom/fsc#sb26051101_grm-trigger", "retraction")])
    assert notice.kind is Kind.RETRACTION
    assert notice.stage > svom(210, "sb26051101_mxt-update_qf4", "MXT").stage
    assert notice.localisation is None


def test_the_name_of_a_catalogued_source():
    notice = read(203, {"Source_Name": "Cen X-3", "Burst_Id": "sb1"}, ivorn="ivo://org.svom/fsc#sb1_eclairs-catalog")
    assert notice.names == ("Cen X-3",)


@pytest.mark.parametrize("packet_type", [154, 159])
def test_tests_are_about_no_trigger(packet_type: int):
    assert read(packet_type, {"ID": 99998, "GraceID": "T1"}, role="test").trigger_id is None
