import numpy as np
import pytest

from bridges.simulator.bursts import (
    Event,
    fermi_chain,
    misplaced,
    mission_elapsed_s,
    neutrino_chain,
    subthreshold_notice,
    swift_chain,
)
from schemas.densities import skymap_of
from schemas.localisation import Cone, Systematics
from schemas.pixels import pixels_of
from schemas.records import Kind, Message, Role
from schemas.times import us_from_iso
from schemas.voevent_notice import read_voevent

DRAWS = 60
EVENT = Event(us_from_iso("2026-10-07T08:09:10.11"), 123.4, 25.6)


def read(notices):
    return [read_voevent(Message(notice.to_xml(), "notice.xml")) for notice in notices]


def level_of(event, cone):
    place = np.array([event.ra_deg]), np.array([event.dec_deg])
    return float(skymap_of(cone).credible_level(*place, pixels_of(*place))[0])


@pytest.mark.parametrize(
    ("radius_deg", "containment", "model"),
    [
        (4.0, 0.68, Systematics.GBM_FINAL),
        (8.0, 0.68, Systematics.GBM_FLIGHT),
        (0.05, 0.9, Systematics.NONE_KNOWN),
        (0.0014, 0.9, Systematics.NONE_KNOWN),
    ],
)
def test_credible_levels_of_the_truth_are_uniform(radius_deg, containment, model):
    random = np.random.default_rng(11)
    levels = []
    for _ in range(DRAWS):
        reported = misplaced(random, EVENT, radius_deg, containment, model)
        cone = Cone(reported.ra_deg, reported.dec_deg, radius_deg, containment, model)
        levels.append(level_of(EVENT, cone))
    # Kolmogorov-Smirnov: 1.63 / sqrt(n) is exceeded by one sample in a hundred.
    assert np.abs(np.sort(levels) - (np.arange(DRAWS) + 0.5) / DRAWS).max() < 1.63 / np.sqrt(DRAWS)


def test_mission_elapsed_time_is_fermis():
    # GRB 200107B, trigger 600117987: its packets say 2020-01-07T19:26:22.81.
    assert mission_elapsed_s(us_from_iso("2020-01-07T19:26:22.81")) == 600117987


def test_a_fermi_burst_goes_from_alert_to_final_position():
    trigger_id, chain = fermi_chain(np.random.default_rng(1), EVENT)
    notices = read(chain)
    assert {n.trigger_id for n in notices} == {trigger_id} == {f"fermi-gbm:{mission_elapsed_s(EVENT.time_us)}"}
    assert {n.role for n in notices} == {Role.TEST}
    assert [n.notice_type for n in notices] == [
        "FERMI_GBM_ALERT",
        "FERMI_GBM_FLT_POS",
        "FERMI_GBM_GND_POS",
        "FERMI_GBM_FIN_POS",
    ]
    assert notices[0].localisation is None
    assert [n.localisation.systematics for n in notices[1:]] == [
        Systematics.GBM_FLIGHT,
        Systematics.GBM_GROUND,
        Systematics.GBM_FINAL,
    ]
    assert [n.localisation.containment for n in notices[1:]] == [0.68] * 3
    assert [n.issued_us for n in notices] == sorted(n.issued_us for n in notices)
    assert all(abs(n.trigger_time_us - EVENT.time_us) < 10_000 for n in notices)
    assert all("bn261007339" in n.names for n in notices)
    assert [c.ivorn for c in notices[3].citations] == [notices[0].ivorn]


def test_a_disowned_trigger_ends_as_no_burst():
    _, chain = fermi_chain(np.random.default_rng(1), EVENT, disowned=True)
    notices = read(chain)
    assert [n.notice_type for n in notices] == ["FERMI_GBM_ALERT", "FERMI_GBM_FLT_POS", "FERMI_GBM_FLT_POS"]
    assert notices[1].astrophysical is not False
    assert notices[2].astrophysical is False
    assert (notices[2].stage, notices[2].serial, notices[2].issued_us) > (
        notices[1].stage,
        notices[1].serial,
        notices[1].issued_us,
    )


def test_a_swift_burst_gets_better_from_bat_to_xrt():
    trigger_id, chain = swift_chain(np.random.default_rng(2), EVENT, 9_000_001)
    bat, xrt = read(chain)
    assert bat.trigger_id == xrt.trigger_id == trigger_id == "swift:9000001"
    assert bat.localisation.radius_deg == pytest.approx(0.05)
    assert xrt.localisation.radius_deg < 0.01
    assert xrt.stage > bat.stage
    assert {bat.role, xrt.role} == {Role.TEST}
    assert abs(bat.trigger_time_us - EVENT.time_us) < 10_000


def test_a_neutrino_comes_twice_and_is_placed_better_the_second_time():
    trigger_id, chain = neutrino_chain(np.random.default_rng(3), EVENT, 1_000_001)
    first, second = read(chain)
    assert first.trigger_id == second.trigger_id == trigger_id
    assert (first.serial, second.serial) == (0, 1)
    assert second.localisation.radius_deg <= first.localisation.radius_deg
    assert first.localisation.containment == 0.9
    assert {first.role, second.role} == {Role.TEST}
    assert first.kind is not Kind.RETRACTION


def test_a_subthreshold_transient_has_no_trigger_number_of_bursts():
    trigger_id, notice = subthreshold_notice(np.random.default_rng(4), EVENT)
    (read_back,) = read([notice])
    assert read_back.trigger_id == trigger_id
    assert trigger_id.startswith("fermi-gbm-subthreshold:")
    assert read_back.role is Role.TEST
    assert read_back.notice_type == "FERMI_GBM_SUBTHRESH"
