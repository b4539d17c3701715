import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matchers.judge import coincidence_id, judge
from matchers.options import build_matcher
from schemas.localisation import Cone
from schemas.records import Alerts, Message, Provenance, State
from tests.matchers.made import DAY, T0, alerts_of, cone, notice_of, trigger_of

GRB = build_matcher("grb", "grb", {"level": 0.9})
MADE_BY = Provenance("starcross 0", "abc", ("from outside",))
TRIGGER = trigger_of(
    notice_of(
        localisation=cone(10, 20, 2.0, 0.9), names=("bn1",), significance=7.0, significance_unit="sigma", far_hz=1e-6
    )
)
WINDOW = GRB.window(TRIGGER)


def verdict(*rows: dict, trigger=TRIGGER, window=WINDOW):
    return judge(GRB, window, trigger, stored(*rows), MADE_BY).get("a")


def stored(*rows: dict) -> Alerts:
    return alerts_of(
        [{"id": k, "obj": "a", "t": T0 + k, "ra": 10, "dec": 20, "first": T0} | r for k, r in enumerate(rows)]
    )


def test_what_a_coincidence_says():
    found = verdict(
        {"id": 7, "t": T0 + 2 * DAY, "mag": 19.1, "mag_err": math.nan, "band": "r", "ra": 10.1},
        {"id": 9, "t": T0 + DAY, "dec": 21.0, "mag": 18.0},
        {"id": 8, "t": T0 + DAY, "dec": 22.0, "origin": "inside later"},
        {"id": 5, "t": T0 + DAY + 5, "dec": 30.0, "origin": "elsewhere"},
        {"id": 6, "t": T0 - DAY, "origin": "before"},
    )
    assert found is not None
    assert (found.revision, found.state, found.reason, found.changed_us) == (0, State.PROPOSED, "", 0)
    assert found.id == coincidence_id("grb", "fermi-gbm:1", "ztf", "a")
    assert found.object.alert_ids == (8, 9, 7)
    assert (found.object.ra_deg, found.object.dec_deg) == (10.0, 22.0)
    assert (found.object.first_match_us, found.object.last_match_us) == (T0 + DAY, T0 + 2 * DAY)
    assert found.object.first_detection_us == T0
    assert (found.object.mag, found.object.mag_err, found.object.band) == (19.1, None, "r")
    assert found.delta_t_s == 86_400.0
    assert found.separation_deg == pytest.approx(2.0)
    assert found.credible_level == pytest.approx(0.9, abs=1e-6)
    skymap = TRIGGER.skymap
    at = np.array([10.0]), np.array([22.0])
    assert found.probability_density_per_sr == skymap.density_per_sr(*at, np.array([0]))[0]
    assert found.overlap == pytest.approx(4 * math.pi * found.probability_density_per_sr)
    assert found.area_90_deg2 == pytest.approx(math.pi * 4, rel=1e-3)
    assert found.provenance == Provenance("starcross 0", "abc", ("a7", "a9", "from outside", "inside later", "n/1"))
    summary = found.trigger
    assert (summary.id, summary.names, summary.messenger, summary.mission) == (
        "fermi-gbm:1",
        ("bn1",),
        "gamma-ray",
        "Fermi",
    )
    assert (summary.time_us, summary.revision, summary.notice_ivorn) == (T0, 1, "ivo://t/n#1")
    assert (summary.significance, summary.significance_unit, summary.far_hz) == (7.0, "sigma", 1e-6)
    assert summary.localisation_model == skymap.model


@pytest.mark.parametrize(
    "row",
    [
        {"t": T0 - 600_000_001},
        {"t": T0 + 20 * DAY + 1},
        {"dec": 22.001},
        {"first": T0 - 600_000_001},
    ],
    ids=["early", "late", "outside", "not new"],
)
def test_what_is_no_coincidence(row):
    assert verdict(row) is None


@pytest.mark.parametrize(
    "row", [{"t": T0 - 600_000_000}, {"t": T0 + 20 * DAY}, {"dec": 21.999}, {"first": T0 - 600_000_000}]
)
def test_what_is_one_by_a_hair(row):
    assert verdict(row) is not None


def test_a_trigger_without_a_position_has_none():
    assert verdict({}, trigger=trigger_of(notice_of(localisation=None))) is None


def test_the_position_may_come_from_an_older_notice_and_both_are_named():
    final = notice_of(ivorn="ivo://t/n#2", stage=9, localisation=None, message=Message(b"", "n/2"))
    trigger = trigger_of(notice_of(), final)
    found = verdict({"origin": ""}, trigger=trigger)
    assert found is not None
    assert found.provenance.inputs == ("from outside", "n/1", "n/2")
    assert isinstance(trigger.localised_by.localisation, Cone)


@given(st.lists(st.tuples(*[st.text()] * 4), min_size=2, max_size=9, unique=True))
def test_ids_differ_and_are_fit_for_urls_and_ivorns(quartets):
    ids = [coincidence_id(*four) for four in quartets]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9]{1,16}-[0-9a-f]{24}", one) for one in ids)


def test_an_id_never_changes():
    assert coincidence_id("grb", "fermi-gbm:600117987", "ztf", "ZTF20aaaaaaa") == "grb-41c69531e6d5962879581fca"
    assert coincidence_id("Gamma Ray!", "a", "b", "c").startswith("gammaray-")
    assert coincidence_id("ünï", "a", "b", "c").startswith("n-")
    assert coincidence_id("?", "a", "b", "c").startswith("match-")
