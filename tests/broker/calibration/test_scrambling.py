"""Triggers that were moved to where they can have no counterpart."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bridges.simulator import NightPlan, simulate
from broker.calibration import scrambling
from broker.calibration.scrambling import search_scrambled
from broker.calibration.weeks import heard_of
from broker.config import load_config
from broker.inputs import Inputs
from broker.replay import Progress
from schemas.errors import BadSkyMap, ConfigurationError, Reason
from schemas.records import Alerts, Message, Notice
from tests.schemas.maps import blob, flat

CONFIG = load_config(None)
NO_ALERTS = Alerts.from_columns("ztf", alert_id=[], object_id=[], ra_deg=[], dec_deg=[])
PLAN = NightPlan(nights=6, history_d=4.0, variables=1500, supernovae=400, outbursts=300, asteroids=200, artefacts=50)


@cache
def night() -> tuple[list[Notice], Alerts]:
    """Notices and alerts."""
    made = simulate(8, PLAN)
    return [one.notice for one in heard_of(made, CONFIG, Path())], made.columns()


def inputs(notices=None, **changes) -> Inputs:
    heard, alerts = night()
    return Inputs(**({"alerts": {"ztf": alerts}, "notices": heard if notices is None else list(notices)} | changes))


def scrambled(given: Inputs, seed: int = 1, copies: int = 5):
    return search_scrambled(CONFIG, Path(), given, seed=seed, copies=copies, progress=Progress())


@pytest.fixture(scope="module")
def report():
    return scrambled(inputs())


def test_every_localised_trigger_is_moved_as_often_as_asked(report):
    localised = {n.trigger_id for n in night()[0] if n.localisation is not None}
    assert (report.triggers, report.copies, report.left_out) == (len(localised), 5, ())
    told = {chance.of: chance for chance in report.chance}
    assert set(told) == {"all", "gamma-ray", "gravitational-wave", "neutrino"}
    assert told["all"].found == sum(told[name].found for name in set(told) - {"all"})


def test_what_is_found_is_about_what_was_expected(report):
    everything = report.chance[0]
    assert everything.of == "all"
    assert everything.found > 30
    # Copies meet the same few objects: the numbers scatter by more than their square roots.
    assert everything.found == pytest.approx(everything.expected, rel=0.4)


def test_claims_of_what_is_there_by_chance_are_counted(report):
    counts = list(report.false_claims.values())
    assert list(report.false_claims) == ["0.1", "0.5", "0.9"]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] < report.chance[0].found / 5


def test_equal_seeds_give_equal_reports():
    few, other = scrambled(inputs(), copies=2), scrambled(inputs(), seed=2, copies=2)
    assert scrambled(inputs(), copies=2) == few != other


def test_a_map_that_is_linked_counts_for_its_notice():
    (fermi, *_) = [n for n in night()[0] if n.notice_type == "FERMI_GBM_FIN_POS"]
    wide = inputs([fermi], maps={fermi.ivorn: Message(flat(blob(4, sigma_deg=60.0)), "map.fits")})
    narrow = inputs([fermi])
    assert scrambled(wide).chance[0].expected > 2 * scrambled(narrow).chance[0].expected
    broken = inputs([fermi], maps={fermi.ivorn: Message(b"no map", "map.fits")})
    assert scrambled(broken) == scrambled(narrow)


def test_what_cannot_be_turned_is_left_out(monkeypatch):
    def refuse(_skymap, _quarters):
        raise BadSkyMap(Reason.UNSUPPORTED, "no")

    monkeypatch.setattr(scrambling, "turned", refuse)
    told = scrambled(inputs())
    assert len(told.left_out) == told.triggers
    assert told.chance == ()
    assert told.acceptance == {"chance probabilities uniform": True}


def test_moved_triggers_are_observations_within_the_span_of_the_alerts():
    _, alerts = night()
    first_us, last_us = int(alerts.time_us[0]), int(alerts.time_us[-1])
    random = np.random.default_rng(1)
    for trigger in scrambling._localised(inputs()):
        heard = scrambling._moved(trigger, 3, random, first_us, last_us)
        assert first_us <= heard.time_us <= last_us
        assert heard.notice.trigger_id == f"{trigger.id}~3"
        assert heard.notice.role == "observation"
        assert heard.skymap.area_deg2(0.9) == pytest.approx(trigger.skymap.area_deg2(0.9))
        assert heard.skymap.peak_dec_deg == trigger.skymap.peak_dec_deg
        assert heard.skymap.peak_ra_deg != trigger.skymap.peak_ra_deg


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"alerts": {}}, "there are no survey alerts"),
        ({"alerts": {"ztf": NO_ALERTS}}, "there are no survey alerts"),
        ({"notices": []}, "there is no trigger with a position"),
    ],
)
def test_without_alerts_or_triggers_there_is_nothing_to_scramble(wrong, said):
    with pytest.raises(ConfigurationError, match=said):
        scrambled(inputs(**wrong))


def test_triggers_without_a_position_cannot_be_scrambled():
    nowhere = [replace(notice, localisation=None) for notice in night()[0]]
    with pytest.raises(ConfigurationError, match="no trigger with a position"):
        scrambled(inputs(nowhere))
