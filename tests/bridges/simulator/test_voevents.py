import pytest
from lxml import etree

from bridges.simulator.voevents import NOWHERE, ClassicNotice, Param, Position, burst_day
from schemas.times import us_from_iso

NOTICE = ClassicNotice(
    stream="Fermi",
    local_id="GBM_Alert_1",
    topic="gcn.classic.voevent.FERMI_GBM_ALERT",
    instrument="Fermi Satellite, GBM Instrument",
    issued_us=us_from_iso("2026-10-06T01:02:08.9"),
    event_us=us_from_iso("2026-10-06T01:02:03.456"),
    position=Position(12.3, -45.6, 0.5),
    params=[Param("Packet_Type", 110), Param("Def_NOT_a_GRB", value=False, group="Trigger_ID")],
    concept="process.variation.burst;em.gamma",
    cites="ivo://nasa.gsfc.gcn-simulated/Fermi#GBM_Alert_0",
)


def test_a_notice_says_in_four_places_that_it_is_simulated():
    root = etree.fromstring(NOTICE.to_xml())
    assert root.get("role") == "test"
    assert root.get("ivorn") == NOTICE.ivorn == "ivo://nasa.gsfc.gcn-simulated/Fermi#GBM_Alert_1"
    assert root.findtext("Who/AuthorIVORN") == "ivo://starcross.simulator/author"
    assert "not an observation" in root.findtext("Description")
    assert root.find("Why").get("importance") == "0.0"


def test_a_notice_holds_what_it_was_given():
    root = etree.fromstring(NOTICE.to_xml())
    assert root.findtext("Who/Date") == "2026-10-06T01:02:08"
    assert root.findtext(".//ISOTime") == "2026-10-06T01:02:03.45"
    assert [root.findtext(f".//{name}") for name in ("C1", "C2", "Error2Radius")] == ["12.3000", "-45.6000", "0.5000"]
    assert root.find("What/Param[@name='Packet_Type']").get("value") == "110"
    assert root.find("What/Group[@name='Trigger_ID']/Param[@name='Def_NOT_a_GRB']").get("value") == "false"
    assert root.find("Citations/EventIVORN").get("cite") == "followup"


def test_the_day_of_a_burst_is_gcns():
    # A real packet: 2020-01-07T19:26:22.81 is TJD 18855, second 69982.81.
    day, second = burst_day(us_from_iso("2020-01-07T19:26:22.81"))
    assert (day.value, second.value) == (18855, "69982.81")


def test_every_notice_of_a_night_is_a_valid_voevent(night):
    voeventparse = pytest.importorskip("voeventparse", reason="voevent-parse has no build for Python 3.12 and later")
    xml = [timed.message.body for timed in night.notices() if timed.message.origin.endswith(".xml")]
    assert len(xml) > 15
    for body in xml:
        event = voeventparse.loads(body)
        voeventparse.assert_valid_as_v2_0(event)
        if event.What.find("Param[@name='Packet_Type']").get("value") != "110":
            place = voeventparse.get_event_position(event)
            assert 0 < place.err < 180


def test_no_position_is_zero_and_zero():
    assert (NOWHERE.ra_deg, NOWHERE.dec_deg, NOWHERE.radius_deg) == (0.0, 0.0, 0.0)
