from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers.cuts import Cuts
from matchers.engine import Engine
from matchers.explain import Explanation, delay, explain
from matchers.options import build_matcher
from schemas.densities import skymap_of
from schemas.records import Alerts, Kind, Notice, Role
from tests.matchers.made import CARRIED, DAY, MINUTE, T0, alerts_of, cone, notice_of, taken, trigger_of

MATCHERS = [build_matcher(kind, kind, {}) for kind in ("grb", "neutrino")]
CUTS, COLUMNS = {"ztf": Cuts()}, {"ztf": CARRIED}
HERE = {"id": 1, "obj": "a", "t": T0 + DAY, "ra": 10.0, "dec": 20.0}


def explained(notices: Iterable[Notice], *alerts: Alerts, include_tests: bool = False) -> list[Explanation]:
    return list(explain([trigger_of(*notices)], alerts, MATCHERS, CUTS, COLUMNS, include_tests=include_tests))


@pytest.mark.parametrize(
    ("row", "against"),
    [
        ({}, ()),
        ({"t": T0 + 21 * DAY}, ("outside the window of -10.0 min to 20.00 d",)),
        ({"ra": 40.0}, ("outside the region",)),
        ({"first": T0 - 2 * DAY}, ("not new, first detected at -2.00 d",)),
        ({"reliability": 0.2}, ("cut by reliability",)),
        (
            {"t": T0 - 11 * MINUTE, "dec": 60.0, "ps1_arcsec": 1.0},
            ("cut by ps1", "outside the window of -10.0 min to 20.00 d", "outside the region"),
        ),
    ],
)
def test_each_condition_that_is_not_met_is_named(row, against):
    (one,) = explained([notice_of()], alerts_of([HERE | row]))
    assert (one.trigger_id, one.matcher, one.survey, one.object_id, one.alert_id) == (
        "fermi-gbm:1", "grb", "ztf", "a", 1,
    )  # fmt: skip
    assert one.against == against


def test_the_numbers_are_those_of_the_alert_on_the_map():
    (one,) = explained([notice_of()], alerts_of([HERE | {"dec": 22.0}]))
    assert one.delta_t_s == 86_400
    assert one.separation_deg == pytest.approx(2.0)
    assert one.credible_level == pytest.approx(0.68)


@pytest.mark.parametrize(
    ("notice", "why"),
    [
        (notice_of(kind=Kind.RETRACTION), "retracted"),
        (notice_of(role=Role.TEST), "test"),
        (notice_of(localisation=None), "no_position"),
        (notice_of(astrophysical=False), "not_astrophysical"),
    ],
)
def test_a_trigger_that_no_matcher_searches_says_why(notice, why):
    (one,) = explained([notice], alerts_of([HERE]))
    assert (one.matcher, one.against) == ("", (f"not searched: {why}",))
    assert (one.credible_level is None) == (one.separation_deg is None) == (notice.localisation is None)


def test_tests_are_explained_where_they_are_searched():
    (one,) = explained([notice_of(role=Role.TEST)], alerts_of([HERE]), include_tests=True)
    assert one.against == ()


def test_all_alerts_of_an_object_tell_of_its_first_detection():
    earlier = alerts_of([HERE | {"id": 2, "t": T0 - DAY}])
    _, (late,) = explained([notice_of()], earlier), explained([notice_of()], alerts_of([HERE]))
    assert late.against == ()
    one, two = explained([notice_of()], earlier, alerts_of([HERE]))
    assert (one.alert_id, one.against) == (2, ("outside the window of -10.0 min to 20.00 d",))
    assert (two.alert_id, two.against) == (1, ("not new, first detected at -24.0 h",))


class Even:
    """A matcher of a user's."""

    name = "even"
    window = MATCHERS[0].window

    def match(self, alerts, trigger):  # noqa: ARG002 - a Matcher
        return alerts.alert_id % 2 == 0


def test_a_matcher_of_the_users_own_may_refuse_for_reasons_of_its_own():
    alerts = alerts_of([HERE, HERE | {"id": 2}])
    found = explain([trigger_of(notice_of())], [alerts], [Even()], CUTS, COLUMNS, include_tests=False)
    assert [one.against for one in found] == [("refused by the matcher",), ()]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_what_has_nothing_against_it_is_what_the_engine_matches(seed):
    rng = np.random.default_rng(seed)
    rows = [
        {
            "id": number,
            "obj": f"o{rng.integers(4)}",
            "t": int(T0 + rng.choice([-2 * DAY, -MINUTE, DAY, 30 * DAY])),
            "ra": 10 + rng.normal(0, 2),
            "dec": 20 + rng.normal(0, 2),
            "reliability": rng.choice([0.1, 0.9]),
        }
        for number in range(8)
    ]
    alerts, notice = alerts_of(rows), notice_of(localisation=cone(radius=1.0))
    engine = Engine(MATCHERS, cuts=CUTS, carried=COLUMNS)
    list(engine.put_notice(notice, skymap_of(cone(radius=1.0)), T0))
    taken(engine, alerts, T0)
    matched = {(said.matcher, alert) for said in engine.ledger.current() for alert in said.object.alert_ids}
    assert {(one.matcher, one.alert_id) for one in explained([notice], alerts) if not one.against} == matched


def test_delays_are_told_in_the_unit_that_suits_them():
    assert [delay(seconds) for seconds in (-119, 120, -7_200, 172_800)] == ["-119 s", "2.0 min", "-2.0 h", "2.00 d"]
