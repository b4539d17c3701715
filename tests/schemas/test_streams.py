import pytest

from schemas.localisation import Cone, Ellipse
from schemas.records import Kind, Messenger
from schemas.voevent import LIGHT_TRAVEL_S
from tests.schemas.voevent_packets import T0_US, read


@pytest.mark.parametrize("stream", ["gaia.cam.uk/alerts", "voevent.4pisky.org/GAIA"])
def test_gaia_is_known_by_its_name_through_either_stream(stream: str):
    notice = read(ivorn=f"ivo://{stream}#Gaia17daa", radius=0.00002)
    assert notice.trigger_id == "gaia:Gaia17daa"
    assert notice.names == ("Gaia17daa",)
    assert notice.messenger is Messenger.OPTICAL
    assert notice.localisation == Cone(120.5, -33.25, 0.00002, 0.9)


def test_a_stream_without_a_local_part_names_nothing():
    notice = read(ivorn="ivo://gaia.cam.uk/alerts")
    assert notice.trigger_id is None
    assert notice.names == ()


def test_gaias_barycentric_times():
    notice = read(ivorn="ivo://gaia.cam.uk/alerts#Gaia17daa", system="TDB-ICRS-BARY")
    assert notice.trigger_time_us == pytest.approx(T0_US - 69_184_000, abs=2000)
    assert notice.trigger_time_error_s == LIGHT_TRAVEL_S


def test_asassn_is_known_by_its_param():
    notice = read(None, {"id_assasn": "ASASSN-13ab"}, ivorn="ivo://voevent.4pisky.org/ASASSN#2013-04-14.53_ASASSN-13ab")
    assert notice.trigger_id == "asas-sn:ASASSN-13ab"


@pytest.mark.parametrize(
    ("ivorn", "trigger_id", "messenger"),
    [
        ("ivo://nvo.caltech/voeventnet/catot#1404271230564120300", "crts:1404271230564120300", Messenger.OPTICAL),
        ("ivo://nvo.caltech/voeventnet/mlsot#14", "crts:14", Messenger.OPTICAL),
        ("ivo://nasa.gsfc.gcn/Antares_Alert#1438351269", "antares:1438351269", Messenger.NEUTRINO),
        ("ivo://au.edu.swin/utmost#FRB1/58881.07", "utmost:FRB1/58881.07", Messenger.RADIO),
    ],
)
def test_streams_without_identifiers_use_the_ivorns(ivorn: str, trigger_id: str, messenger: Messenger):
    notice = read(ivorn=ivorn)
    assert notice.trigger_id == trigger_id
    assert notice.messenger is messenger
    assert "assumed" in notice.warnings[0]


CHIME = {"event_no": 202_001_234, "snr": 24.7, "pos_error_semiminor_deg_95": 0.54, "pos_error_semimajor_deg_95": 0.38}


def test_chimes_ellipse_lies_along_right_ascension_and_declination():
    notice = read(None, CHIME, ivorn="ivo://ca.chimenet.frb/FRB-DETECTION-#2022-03-20-10:00:28", radius=0.54)
    assert notice.trigger_id == "chime:202001234"
    assert notice.messenger is Messenger.RADIO
    assert notice.localisation == Ellipse(120.5, -33.25, 0.54, 0.38, 90, 0.95)
    along_dec = CHIME | {"pos_error_semimajor_deg_95": 0.6}
    notice = read(None, along_dec, ivorn="ivo://ca.chimenet.frb/FRB-DETECTION-#2", radius=None)
    assert notice.localisation == Ellipse(120.5, -33.25, 0.6, 0.54, 0, 0.95)
    assert (notice.significance, notice.significance_unit) == (24.7, "sigma")


def test_chime_without_axes_has_a_circle_and_names_known_sources():
    params = {"event_no": 5, "known_source_name": "FRB20180916B"}
    notice = read(None, params, ivorn="ivo://ca.chimenet.frb/FRB-SUBSEQUENT-#1", radius=0.5)
    assert notice.localisation == Cone(120.5, -33.25, 0.5, 0.9)
    assert notice.names == ("FRB20180916B",)


def test_a_chime_retraction():
    notice = read(None, CHIME, ivorn="ivo://ca.chimenet.frb/FRB-RETRACTION-#1")
    assert notice.kind is Kind.RETRACTION
    assert notice.localisation is None


def test_a_stream_whose_names_are_the_notices_own_has_one_trigger_for_what_it_replaces():
    old, other = "ivo://nvo.caltech/voeventnet/MLSOT?1103020182044130863", "ivo://nvo.caltech/voeventnet/catot#7"
    cites = [(old, "supersedes"), (other, "supersedes"), ("ivo://nvo.caltech/voeventnet/mlsot#8", "followup")]
    notice = read(ivorn="ivo://nvo.caltech/voeventnet/mlsot#1404250182044126329", cites=cites)
    assert notice.trigger_id == "crts:1404250182044126329"
    assert notice.aliases == ("crts:1103020182044130863",)
