import json
import os
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from bridges.files import find_files, read_files
from bridges.simulator import NightPlan, simulate, simulate_on
from schemas.catalogue import SchemaCatalogue
from schemas.lvk import read_lvk_json
from schemas.records import Alerts, Kind, Role
from schemas.survey import read_alerts
from schemas.times import iso_from_us
from schemas.voevent_notice import read_voevent


@pytest.fixture(scope="module")
def messages(night):
    return list(night.messages())


@pytest.fixture(scope="module")
def alerts(night):
    parts = []
    for timed in night.alerts():
        read, rejected = read_alerts(timed.message, SchemaCatalogue())
        assert not rejected
        parts += read
    return Alerts.concatenate(parts)


def read_notice(message):
    return read_voevent(message) if message.origin.endswith(".xml") else read_lvk_json(message)


@pytest.fixture(scope="module")
def notices(night):
    return [(timed, read_notice(timed.message)) for timed in night.notices()]


def test_equal_seeds_give_equal_bytes_and_others_do_not(messages, small_plan):
    again = list(simulate(20, small_plan).messages())
    assert again == messages
    other = simulate(21, small_plan)
    assert [timed.message.body for timed in islice(other.alerts(), 5)] != [
        timed.message.body for timed in messages if timed.message.origin.endswith(".avro")
    ][:5]


def test_messages_come_in_order_of_time_and_none_is_lost(messages, night):
    times = [timed.time_us for timed in messages]
    assert times == sorted(times)
    assert len(messages) == night.alert_count + len(list(night.notices()))
    assert len({timed.message.origin for timed in messages}) == len(messages)
    assert night.plan.start_us <= times[0]


def test_the_survey_reader_reads_what_was_simulated(alerts, night):
    assert len(alerts) == night.alert_count
    assert alerts.survey == "ztf"
    assert len(np.unique(alerts.alert_id)) == len(alerts)
    assert alerts.time_us.tolist() == [timed.time_us for timed in night.alerts()]
    assert (alerts.first_detection_us <= alerts.time_us).all()
    assert set(alerts.band) == {"g", "r"}
    for column in (alerts.mag, alerts.mag_err, alerts.reliability, alerts.bad_pixels, alerts.ap_minus_psf_mag):
        assert np.isfinite(column).all()


def test_the_truth_is_what_the_packets_show(alerts, night):
    assert {found.kind for found in night.injections} == {"afterglow", "kilonova", "neutrino counterpart"}
    for found in night.injections:
        mine = alerts.take(alerts.object_id == found.object_id)
        assert len(mine) == found.alerts >= found.good_alerts
        assert found.detectable == (found.good_alerts > 0)
        assert bool(found.why_not) != found.detectable
        if not found.alerts:
            assert found.peak_mag is None
            assert found.first_detection_us is None
            continue
        assert mine.time_us.min() == found.first_detection_us > found.time_us
        assert found.peak_mag == pytest.approx(float(mine.mag.min()), abs=1e-5)
        # A new object: never seen before the event.
        assert (mine.first_detection_us == found.first_detection_us).all()
        good = (
            (mine.reliability > 0.55)
            & (mine.bad_pixels == 0)
            & (np.abs(mine.ap_minus_psf_mag) < 0.1)
            & ~(mine.gaia_arcsec < 5)
            & ~(mine.ps1_arcsec < 5)
        )
        assert good.sum() == found.good_alerts


def test_there_are_as_many_injections_as_planned(night):
    plan = night.plan
    of_kind = {kind: [i for i in night.injections if i.kind == kind] for kind in ("afterglow", "kilonova")}
    # The first burst is seen by two observatories and so is listed twice.
    assert len(of_kind["afterglow"]) == plan.bursts_seen + plan.bursts_unseen + 1
    assert len({i.object_id for i in of_kind["afterglow"] if i.detectable}) == plan.bursts_seen
    assert [i.detectable for i in of_kind["kilonova"]].count(True) == plan.mergers_seen
    assert [i.detectable for i in of_kind["kilonova"]].count(False) == plan.mergers_unseen


def test_no_notice_can_be_taken_for_an_observation(notices):
    assert len(notices) > 20
    for timed, notice in notices:
        assert notice.role in {Role.TEST, Role.MOCK}
        assert notice.issued_us == timed.time_us


def test_every_injection_has_notices_of_its_trigger(notices, night):
    told = {notice.trigger_id for _, notice in notices}
    assert {found.trigger_id for found in night.injections} <= told
    assert len({notice.ivorn for _, notice in notices}) == len(notices)


def test_gravitational_waves_are_updated_and_retracted(notices):
    kinds: dict[str, list[Kind]] = {}
    for _, notice in notices:
        if notice.trigger_id.startswith("lvk:"):
            kinds.setdefault(notice.trigger_id, []).append(notice.kind)
    assert sorted(k[-1] for k in kinds.values()) == [Kind.RETRACTION, Kind.UPDATE, Kind.UPDATE]


def test_written_nights_are_read_back_as_they_were(tmp_path, messages, night):
    night.write(tmp_path)
    found = list(read_files(find_files([tmp_path / "alerts", tmp_path / "notices"])))
    assert sorted(m.body for m in found) == sorted(timed.message.body for timed in messages)
    assert {file.suffix for file in (tmp_path / "alerts").iterdir()} == {".tar"}
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert [row["object_id"] for row in truth] == [found.object_id for found in night.injections]
    assert truth[0]["time_utc"] == iso_from_us(night.injections[0].time_us)


def test_writing_twice_gives_the_same_files(tmp_path, night):
    for name in ("one", "two"):
        night.write(tmp_path / name)
    for file in sorted((tmp_path / "one").rglob("*")):
        if file.is_file():
            assert file.read_bytes() == (tmp_path / "two" / os.path.relpath(file, tmp_path / "one")).read_bytes()


def test_the_endless_stream_has_fresh_names_and_later_times(small_plan):
    few = {"variables": 3, "supernovae": 0, "outbursts": 0, "asteroids": 3, "artefacts": 3, "bursts_seen": 1}
    plan = replace(small_plan, **few, mergers_seen=0, mergers_unseen=0, mergers_retracted=0)
    once = sum(1 for _ in simulate(1, plan).messages())
    stream = list(islice(simulate_on(1, plan), 2 * once))
    assert len({timed.message.origin for timed in stream}) == len(stream)
    times = [timed.time_us for timed in stream]
    assert times[-1] - times[0] > plan.nights * 86_400_000_000
    # A notice may be issued after the last night of its span, when the next has begun.
    alerts = [timed.time_us for timed in stream if timed.message.origin.endswith(".avro")]
    assert alerts == sorted(alerts)


def test_the_calendar_ends_where_numbers_would_overflow():
    late = NightPlan(start="2042-03-25")
    with pytest.raises(ValueError, match="2042"):
        simulate(1, late)
    assert list(simulate_on(1, late)) == []


def test_a_plan_that_cannot_be_fulfilled_is_refused(small_plan, monkeypatch):
    monkeypatch.setattr("bridges.simulator.night._TRIES", 3)
    with pytest.raises(ValueError, match="asks for too much"):
        simulate(1, replace(small_plan, bursts_seen=9))
