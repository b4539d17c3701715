"""Mistakes that systems of this kind have made with notices and alerts: one test each that they are not made here."""

import json
import math

import numpy as np
import pytest

from matchers.cases import Cases
from schemas.densities import skymap_of
from schemas.gcn import read_gcn_json
from schemas.localisation import Cone
from schemas.pixels import pixels_of
from schemas.records import Kind, Message, Notice
from schemas.times import us_from_iso
from tests.matchers.made import DAY, T0, cone, notice_of, trigger_of
from tests.matchers.test_engine import add, engine_of, put, row, said, update
from tests.schemas.gcn_notices import read as read_json
from tests.schemas.gcn_notices import read_superevent
from tests.schemas.voevent_packets import read as read_classic

RA, DEC = 120.5, -33.25


def sigma_deg(stated: Cone) -> float:
    """Standard deviation on each axis of the density of a small circle, by its peak of 1 / (2 pi sigma^2)."""
    ra, dec = np.array([stated.ra_deg]), np.array([stated.dec_deg])
    peak_per_sr = skymap_of(stated).density_per_sr(ra, dec, pixels_of(ra, dec))[0]
    return math.degrees(1 / math.sqrt(2 * math.pi * peak_per_sr))


def position_of(notice: Notice) -> Cone:
    assert isinstance(notice.localisation, Cone)
    return notice.localisation


@pytest.mark.parametrize(
    ("notice", "factor"),
    [
        (read_classic(61, {"TrigID": 1}, radius=0.05), 2.146),
        (read_classic(173, {"run_id": 1, "event_id": 2, "src_error_90": 0.05}), 2.146),
        (read_json("superk/sn_alert", ra=RA, dec=DEC, ra_dec_error=0.05), 1.510),
    ],
)
def test_a_radius_is_no_standard_deviation(notice, factor):
    """Taken for one, maps are 1.5 to 2.1 times too wide."""
    assert sigma_deg(position_of(notice)) == pytest.approx(0.05 / factor, rel=1e-3)


def test_a_radius_of_90_percent_is_not_divided_by_the_quantile_of_95():
    stated = position_of(read_classic(61, {"TrigID": 1}, radius=0.05))
    assert sigma_deg(stated) == pytest.approx(0.05 / math.sqrt(-2 * math.log(0.1)), rel=1e-4)
    assert sigma_deg(stated) != pytest.approx(0.05 / math.sqrt(-2 * math.log(0.05)), rel=0.1)


def test_the_area_of_a_gravitational_wave_is_no_error_radius():
    """A wave's notice has no position of its own: nothing in it becomes a circle, whatever numbers it has."""
    notice = read_classic(
        151,
        {"GraceID": "S200115j", "area_90": 24.0},
        groups={"GW_SKYMAP": {"skymap_fits": "https://gracedb.ligo.org/bayestar.multiorder.fits,1"}},
        radius=24.0,
    )
    assert notice.localisation is None
    assert notice.skymap_url == "https://gracedb.ligo.org/bayestar.multiorder.fits,1"
    assert read_superevent(event={"skymap": None, "area_90": 24.0}).localisation is None


def test_an_update_after_a_restart_is_no_new_event():
    engine = engine_of()
    add(engine, row(1, "in", DAY))
    first, second = notice_of(), update(2, significance=9.0)
    (proposed,) = put(engine, first)
    restarted = engine_of()
    restarted.restore_notice(first, skymap_of(cone()), 0)
    restarted.restore_coincidences([proposed])
    add(restarted, row(1, "in", DAY))
    restarted.reopen()
    put(restarted, second)
    (trigger,) = restarted.triggers()
    assert (trigger.id, trigger.revision) == ("fermi-gbm:1", 2)
    (standing,) = restarted.standing()
    assert (standing.id, standing.trigger.revision) == (proposed.id, 2)


@pytest.mark.parametrize("event", [None, {}])
def test_a_retraction_whose_event_is_null_is_read_and_withdraws(event):
    engine = engine_of()
    add(engine, row(1, "in", DAY))
    wave = notice_of("lvk:S230518h", mission="LVK", issued_us=us_from_iso("2023-05-18T12:00:00Z"))
    assert said(put(engine, wave)) == [("in", "proposed", "notice")]
    retraction = read_superevent(alert_type="RETRACTION", event=event)
    assert (retraction.kind, retraction.trigger_id) == (Kind.RETRACTION, "lvk:S230518h")
    assert said(put(engine, retraction)) == [("in", "withdrawn", "retracted")]


def test_an_old_localisation_is_not_searched_any_more():
    engine = engine_of()
    put(engine, notice_of(localisation=cone(10, 20)))
    put(engine, update(2, localisation=cone(50, 60)))
    changes = add(engine, row(1, "old", DAY, ra=10, dec=20), row(2, "new", DAY, ra=50, dec=60))
    assert said(changes) == [("new", "proposed", "alert")]


def test_triggers_are_not_told_apart_by_a_rounded_time():
    """Two within a second are two; one whose time is corrected by minutes is one."""
    cases = Cases()
    for number, shift_us in (("1", 0), ("2", 100_000)):
        cases.hear(notice_of(f"swift:{number}", f"ivo://t/n#{number}", trigger_time_us=T0 + shift_us), None, 0)
    cases.hear(notice_of("swift:1", "ivo://t/n#3", trigger_time_us=T0 + 600_000_000, issued_us=T0 + DAY), None, 0)
    assert list(cases) == ["swift:1", "swift:2"]
    case = cases.get("swift:1")
    assert case is not None
    assert case.trigger is not None
    assert (case.trigger.revision, case.trigger.time_us) == (2, T0 + 600_000_000)


@pytest.mark.parametrize("read", [read_classic, lambda *_: read_json("fermi/gbm/trigger", subtype="FLIGHT_POSITION")])
def test_a_redelivered_notice_is_no_new_revision(read):
    cases = Cases()
    news = [heard.news for _ in range(3) if (heard := cases.hear(read(111, {"TrigID": 600117987}), None, 0))]
    assert news == [True, False, False]
    ((_, case),) = cases.items()
    assert case.trigger is not None
    assert case.trigger.revision == 1


@pytest.mark.parametrize("absent", [{}, {"pval_generic": None, "pval_bayesian": None, "far": None, "p_astro": None}])
def test_an_absent_p_value_is_not_zero(absent):
    record = {"ref_ID": "S230914ak", "trigger_time": "2023-09-14T11:14:01Z", "n_events_coincident": 0} | absent
    notice = read_gcn_json(Message(json.dumps(record).encode(), ""))
    assert notice.trigger_id == "icecube-lvk-nu:S230914ak"
    assert (notice.significance, notice.significance_unit, notice.far_hz) == (None, "", None)
    trigger = trigger_of(notice)
    assert (trigger.significance, trigger.far_hz) == (None, None)


def test_an_object_across_the_border_of_a_coarse_pixel_is_found():
    """Points all around where base pixels meet, and around a pole."""
    for centre_ra, centre_dec in ((45.0, 0.0), (0.0, 90.0), (0.0, 41.8103149)):
        engine = engine_of()
        put(engine, notice_of(localisation=Cone(centre_ra, centre_dec, 1.0, 0.9)))
        angle = np.radians(np.arange(0, 360, 15))
        dec = np.clip(centre_dec + 0.3 * np.sin(angle), -90, 89.7)
        ra = (centre_ra + 0.3 * np.cos(angle) / np.maximum(np.cos(np.radians(dec)), 0.01)) % 360
        rows = [row(k, f"o{k}", DAY, ra=float(ra[k]), dec=float(dec[k])) for k in range(len(ra))]
        assert len(set((pixels_of(ra, dec) >> 58).tolist())) > 1
        assert len(add(engine, *rows)) == len(rows)


def test_one_object_can_match_two_triggers():
    engine = engine_of()
    put(engine, notice_of())
    put(engine, notice_of("swift:2", "ivo://t/n#2", mission="Swift", localisation=cone(10.01, 20, 0.05, 0.9)))
    changes = add(engine, row(1, "a", DAY))
    assert [change.trigger.id for change in changes] == ["fermi-gbm:1", "swift:2"]
    assert len({change.id for change in changes}) == 2


def test_utc_is_not_stored_as_tai():
    """The same instant from each sender: 37 s apart if one scale were taken for the other."""
    instant = us_from_iso("2023-05-18T12:59:08.167Z")
    assert read_superevent().trigger_time_us == instant
    assert read_json("km3net/alert", trigger_time="2023-05-18T12:59:08.167").trigger_time_us == instant
    assert read_classic(61, {"TrigID": 1}, time="2023-05-18T12:59:08.167").trigger_time_us == instant
    tai = read_classic(61, {"TrigID": 1}, time="2023-05-18T12:59:45.167", system="TAI-FK5-GEO")
    assert tai.trigger_time_us == pytest.approx(instant, abs=2)
