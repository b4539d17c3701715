"""Simulated spans through the engine, small enough for each test run."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bridges.simulator import NightPlan, simulate
from broker.calibration import command, weeks
from broker.calibration.command import calibrate_weeks
from broker.calibration.playing import Heard, play
from broker.calibration.report import Chance
from broker.calibration.weeks import Truth, heard_of, plan_of, search_span
from broker.config import load_config
from broker.demonstration import DEMO_SETTINGS
from broker.pipeline import make_engine
from broker.registry import make_matchers
from broker.replay import Progress
from schemas.records import Alerts
from schemas.times import US_PER_DAY, us_from_iso

CONFIG = load_config(None, DEMO_SETTINGS)
SMALL = replace(
    plan_of(0),
    nights=8,
    history_d=4.0,
    variables=20,
    supernovae=300,
    outbursts=200,
    asteroids=300,
    artefacts=100,
    bursts_drawn=25,
    mergers_drawn=1,
    neutrinos_drawn=4,
    drawn_from_night=1.0,
)


@pytest.fixture(scope="module")
def searched():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weeks, "_LOOK_EVERY_D", 3.5)
        return search_span(CONFIG, Path(), 5, SMALL)


def test_spans_follow_one_another_through_the_seasons():
    starts = [plan_of(span).start_us for span in range(14)]
    assert {later - earlier for earlier, later in pairwise(starts)} == {28 * US_PER_DAY}
    assert starts[13] - starts[0] > 360 * US_PER_DAY


TINY = replace(SMALL, nights=4, bursts_drawn=4, mergers_drawn=0, neutrinos_drawn=1, supernovae=60, outbursts=60)


def test_every_trigger_is_looked_at_more_than_once_and_the_last_time_at_the_end(searched):
    ages = {}
    for one in searched:
        ages.setdefault(one.trigger_id, []).append(one.age_d)
    assert len(ages) == 30
    assert max(map(len, ages.values())) > 1
    end_us = SMALL.start_us + SMALL.nights * US_PER_DAY
    truth = {injection.trigger_id: injection for injection in simulate(5, SMALL).injections}
    for name, of_trigger in ages.items():
        assert of_trigger == sorted(of_trigger)
        if name in truth:
            assert of_trigger[-1] == pytest.approx((end_us - truth[name].time_us) / US_PER_DAY, abs=1e-3)


def test_counterparts_are_true_and_in_the_stream_from_when_they_are(searched):
    claimed = [one for one in searched if one.true_claim is not None]
    assert claimed
    for one in claimed:
        assert one.counterpart.in_stream
        assert one.true_claim.object_id == one.counterpart.object_id
    assert any(one.counterpart is not None and not one.counterpart.in_stream for one in searched)
    assert any(one.counterpart is None for one in searched)


def test_claims_are_probabilities_and_ranks_are_places(searched):
    for one in searched:
        total = sum(claim.posterior for claim in one.claims) + (one.posterior_none if one.claims else 1.0)
        assert total == pytest.approx(1.0)
        assert sorted(claim.rank for claim in one.claims) == list(range(1, len(one.claims) + 1))
        assert one.expected_chance >= 0


def test_as_many_chance_coincidences_are_found_as_expected(searched):
    last = {one.trigger_id: one for one in searched}.values()
    alone = [one for one in last if one.counterpart is None or not one.counterpart.in_stream]
    told = Chance.told("all", alone, np.random.default_rng(1))
    assert told.expected > 3
    assert abs(told.found - told.expected) < 4 * np.sqrt(told.expected)


def test_processes_make_no_difference(monkeypatch):
    """Nor does it that they are simulated again: equal seeds give equal searches."""
    monkeypatch.setattr(command, "plan_of", lambda span: replace(TINY, start=f"2026-0{span + 1}-05"))
    steps = []
    alone = calibrate_weeks(CONFIG, Path(), 5, 7, 1, Progress(advance=steps.append))
    assert (alone.weeks, alone.seed, steps) == (8, 7, [1, 1])
    assert calibrate_weeks(CONFIG, Path(), 8, 7, 2, Progress()) == alone


def test_a_failure_in_a_process_is_told_and_ends_the_others(monkeypatch):
    monkeypatch.setattr(command, "plan_of", lambda span: NightPlan(start=f"2043-0{span + 1}-05"))
    with pytest.raises(ValueError, match="2042"):
        calibrate_weeks(CONFIG, Path(), 8, 7, 2, Progress())


def test_what_is_played_comes_in_order_and_looks_see_what_came_before():
    night = simulate(5, TINY)
    alerts = night.columns()
    engine = make_engine(CONFIG, make_matchers(CONFIG, Path()), "")
    heard = list(heard_of(night, CONFIG, Path()))
    assert all(isinstance(one, Heard) for one in heard)
    middle_us, end_us = int(alerts.time_us[len(alerts) // 2]), int(alerts.time_us[-1])
    taken = [
        (time_us, engine.counts.received["ztf"], engine.counts.notices)
        for time_us in play(engine, [alerts], heard, [middle_us, end_us])
    ]
    assert taken == [
        (middle_us, int((alerts.time_us <= middle_us).sum()), sum(one.time_us <= middle_us for one in heard)),
        (end_us, len(alerts), sum(one.time_us <= end_us for one in heard)),
    ]


def test_a_truth_without_alerts_has_nothing_in_the_stream():
    night = simulate(5, TINY)
    truth = Truth(night, CONFIG, Alerts.from_columns("ztf", alert_id=[], object_id=[], ra_deg=[], dec_deg=[]))
    assert truth._good_since == {}
    assert us_from_iso(f"{night.plan.start}T20:00:00") == night.plan.start_us
