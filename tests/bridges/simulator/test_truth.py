from dataclasses import replace

import numpy as np
import pytest

from bridges.simulator import NightPlan
from bridges.simulator.bursts import Event
from bridges.simulator.detections import Camera, Nature, Neighbours, Source
from bridges.simulator.light_curves import Afterglow
from bridges.simulator.survey import fields, observe
from bridges.simulator.truth import injection
from schemas.times import US_PER_DAY

PLAN = NightPlan()


@pytest.fixture
def camera():
    visits = observe(np.random.default_rng(1), PLAN.start_us, range(6), 2)
    return Camera(np.random.default_rng(2), visits)


@pytest.fixture
def event(camera):
    field = max(camera.rows_of_field, key=lambda number: len(camera.rows_of_field[number]))
    return Event(PLAN.start_us + US_PER_DAY, float(fields().ra_deg[field]), float(fields().dec_deg[field]))


def what_became_of(camera, event, mag=17.0, near=Neighbours()):  # noqa: B008 - frozen
    source = Source(Nature.AFTERGLOW, "SIM1", event.ra_deg, event.dec_deg, Afterglow(event.time_us, mag), near)
    return injection("swift:1", event, source, camera.look(source), camera)


def test_a_bright_afterglow_is_detectable(camera, event):
    truth = what_became_of(camera, event)
    assert truth.detectable
    assert truth.why_not == ""
    assert truth.peak_mag < 20.5
    assert truth.first_detection_us > event.time_us
    assert truth.row()["kind"] == "afterglow"


def test_each_way_of_staying_hidden_has_its_reason(camera, event):
    south = replace(event, dec_deg=-75.0)
    assert what_became_of(camera, south).why_not == "outside the survey's fields"
    after = replace(event, time_us=PLAN.start_us + 30 * US_PER_DAY)
    assert what_became_of(camera, after).why_not == "not visited afterwards"
    assert what_became_of(camera, event, mag=26.0).why_not == "too faint at every visit"
    hidden = what_became_of(camera, event, near=Neighbours(ps1_arcsec=0.4))
    assert hidden.why_not == "no alert passes the quality cuts"
    assert hidden.alerts > 0
    assert hidden.row()["detectable"] is False


def test_what_was_never_seen_has_neither_magnitude_nor_time(camera, event):
    row = what_became_of(camera, event, mag=26.0).row()
    assert row["peak_mag"] is None
    assert row["first_detection_utc"] is None
