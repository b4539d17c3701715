"""Simulated alerts without their packets, and events that are drawn as they come."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bridges.simulator import NightPlan, SimulatedNight, simulate
from broker.config import load_config
from broker.reader import make_reader
from schemas.records import COLUMNS, Alerts
from schemas.survey import SURVEYS

SURVEYS_BY_NAME = {survey.name: survey for survey in SURVEYS}

DRAWN = NightPlan(
    nights=4,
    history_d=4.0,
    variables=30,
    supernovae=40,
    outbursts=40,
    asteroids=30,
    artefacts=30,
    bursts_seen=1,
    bursts_unseen=0,
    bursts_drawn=60,
    mergers_drawn=27,
    neutrinos_drawn=30,
    neutrino_source_fraction=0.5,
    drawn_from_night=1.0,
)


@pytest.fixture(scope="module")
def drawn() -> SimulatedNight:
    return simulate(11, DRAWN)


@pytest.mark.parametrize("column", COLUMNS)
def test_columns_are_what_the_reader_makes_of_the_packets(night, read_alerts, column):
    told, read = getattr(night.columns(), column), getattr(read_alerts, column)
    assert told.dtype.kind == read.dtype.kind
    np.testing.assert_array_equal(told, read)


@pytest.fixture(scope="module")
def read_alerts(night) -> Alerts:
    reader = make_reader(load_config(None), Path())
    readings = reader.read([timed.message for timed in night.alerts()])
    return Alerts.concatenate([alerts for reading in readings for alerts in reading.alerts])


def test_drawn_events_are_seen_or_not_as_it_comes(drawn):
    of_kind = {kind: [i for i in drawn.injections if i.kind == kind] for kind in ("afterglow", "kilonova")}
    assert len(of_kind["afterglow"]) == DRAWN.bursts_drawn + 2  # the planned one is seen by two observatories
    assert len(of_kind["kilonova"]) == DRAWN.mergers_drawn + DRAWN.mergers_seen + DRAWN.mergers_unseen
    for found in of_kind.values():
        assert 0 < sum(injection.detectable for injection in found) < len(found) / 2
    assert len({injection.trigger_id for injection in drawn.injections}) == len(drawn.injections)


def test_the_stated_fractions_are_swifts_and_have_sources(drawn):
    ids = [i.trigger_id for i in drawn.injections if i.kind == "afterglow"]
    assert 4 < sum(name.startswith("swift:") for name in ids) < 30
    sources = sum(i.kind == "neutrino counterpart" for i in drawn.injections) - DRAWN.neutrinos_seen
    assert 1 <= sources < DRAWN.neutrinos_drawn / 2


def test_none_is_drawn_before_the_stated_night(drawn):
    alone = {i.trigger_id for i in simulate(11, replace(DRAWN, bursts_drawn=0, mergers_drawn=0)).injections}
    from_us = DRAWN.start_us + 86_400_000_000
    assert all(i.time_us >= from_us for i in drawn.injections if i.trigger_id not in alone)


def test_drawing_further_events_changes_nothing_of_the_planned_ones(drawn):
    planned = simulate(11, replace(DRAWN, bursts_drawn=0, mergers_drawn=0, neutrinos_drawn=0)).injections
    assert set(planned) <= set(drawn.injections)


def test_known_stars_tell_where_the_survey_looked_and_nothing_else(night):
    stars = night.known_stars(30)
    seen = night.columns()
    cells, of_stars = ({*zip((a.pixel >> 50).tolist(), a.time_us.tolist(), strict=True)} for a in (seen, stars))
    assert {time for _, time in of_stars} <= set(night._camera.visits.time_us.tolist())
    assert len(of_stars) > len(cells)
    config = load_config(None)
    keep, _ = config.cuts_of("ztf").apply(stars, SURVEYS_BY_NAME["ztf"].quality_columns)
    assert not keep.any()
    assert (stars.first_detection_us < night.plan.start_us).all()
    where = {}
    for name, ra in zip(stars.object_id.tolist(), stars.ra_deg.tolist(), strict=True):
        assert where.setdefault(name, ra) == ra
