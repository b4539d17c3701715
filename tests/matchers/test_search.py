"""Also `grb`, `gw`, `neutrino`, `xray` and `options`: what the built-in matchers do with triggers and alerts."""

import pytest
from pydantic import ValidationError

from broker.interfaces import Matcher
from matchers.options import BUILTIN, build_matcher
from schemas.records import Kind, Messenger
from schemas.sky import Circle
from tests.matchers.made import DAY, T0, alerts_of, cone, notice_of, trigger_of

MESSENGER = {
    "grb": Messenger.GAMMA_RAY,
    "gw": Messenger.GRAVITATIONAL_WAVE,
    "neutrino": Messenger.NEUTRINO,
    "xray": Messenger.X_RAY,
}
SPAN = {
    "grb": (-600_000_000, 20 * DAY),
    "gw": (0, 20 * DAY),
    "neutrino": (-DAY, 20 * DAY),
    "xray": (-DAY, 10 * DAY),
}
LEVEL = {"grb": 0.95, "gw": 0.9, "neutrino": 0.9, "xray": 0.9}


def trigger(of_kind: str, **fields: object):
    return trigger_of(notice_of(messenger=MESSENGER[of_kind], **fields))


def matcher(kind: str, **options: object) -> Matcher:
    return build_matcher("mine", kind, options)


def test_the_kinds_are_those_documented():
    assert BUILTIN.keys() == MESSENGER.keys()


@pytest.mark.parametrize("kind", BUILTIN)
class TestEachKind:
    def test_its_window(self, kind):
        window = matcher(kind).window(trigger(kind))
        assert window is not None
        assert (window.start_us - T0, window.end_us - T0) == SPAN[kind]
        assert matcher(kind).name == "mine"

    def test_its_default_region_holds_so_much(self, kind):
        window = matcher(kind).window(trigger(kind, localisation=cone(10, 0, 2.0, LEVEL[kind])))
        assert window is not None
        alerts = alerts_of(
            [{"id": 1, "obj": "a", "t": T0, "ra": 10, "dec": dec} for dec in (1.9999, 2.0001)],
        )
        assert window.region.contains(alerts.ra_deg, alerts.dec_deg, alerts.pixel).tolist() == [True, False]

    def test_it_looks_for_new_objects_unless_told_otherwise(self, kind):
        start = T0 + SPAN[kind][0]
        alerts = alerts_of([{"id": 1, "obj": "a", "t": T0, "ra": 1, "dec": 2, "first": start + k} for k in (-1, 0, 1)])
        assert matcher(kind).match(alerts, trigger(kind)).tolist() == [False, True, True]
        assert matcher(kind, new_object=False).match(alerts, trigger(kind)).tolist() == [True, True, True]

    @pytest.mark.parametrize(
        "fields",
        [{"kind": Kind.RETRACTION}, {"localisation": None}, {"astrophysical": False}],
        ids=lambda f: next(iter(f)),
    )
    def test_it_leaves_out_what_is_no_event_or_nowhere(self, kind, fields):
        assert matcher(kind).window(trigger(kind, **fields)) is None

    def test_it_can_be_told_to_search_what_is_not_astrophysical(self, kind):
        assert matcher(kind, astrophysical_only=False).window(trigger(kind, astrophysical=False)) is not None

    def test_it_leaves_out_other_messengers(self, kind):
        for other in MESSENGER.keys() - {kind}:
            assert matcher(kind).window(trigger(other)) is None

    def test_it_can_be_kept_to_some_missions(self, kind):
        assert matcher(kind, missions=["FERMI", "Swift"]).window(trigger(kind)) is not None
        assert matcher(kind, missions=["Swift"]).window(trigger(kind)) is None
        assert matcher(kind, missions=[]).window(trigger(kind)) is None

    def test_its_window_and_level_can_be_set(self, kind):
        before = {"before_s": 1.5} if kind in {"grb", "gw"} else {"before_d": 0.5}
        before_us = 1_500_000 if kind in {"grb", "gw"} else DAY // 2
        made = matcher(kind, **before, after_d=0.25, level=0.5)
        window = made.window(trigger(kind, localisation=cone(10, 0, 2.0, 0.5)))
        assert window is not None
        assert (window.start_us, window.end_us) == (T0 - before_us, T0 + DAY // 4)
        alerts = alerts_of(
            [{"id": 1, "obj": "a", "t": T0, "ra": 10, "dec": dec, "first": T0 - before_us} for dec in (1.99, 2.01)]
        )
        assert window.region.contains(alerts.ra_deg, alerts.dec_deg, alerts.pixel).tolist() == [True, False]
        assert made.match(alerts, trigger(kind)).all()

    @pytest.mark.parametrize(
        "options",
        [
            {"befor_s": 1},
            {"after_d": -1},
            {"after_d": "20"},
            {"after_d": float("inf")},
            {"level": 1.0},
            {"level": 0},
            {"new_object": "yes"},
            {"missions": "Fermi"},
        ],
    )
    def test_options_that_make_no_sense_are_refused(self, kind, options):
        with pytest.raises(ValidationError):
            matcher(kind, **options)


def test_bursts_can_be_searched_in_the_published_circles():
    window = matcher("grb", rule="fink2021").window(trigger("grb", localisation=cone(10, 20, 12)))
    assert window is not None
    assert isinstance(window.region, Circle)
    assert window.region.radius_deg == 5
    with pytest.raises(ValidationError):
        matcher("grb", rule="fink")


def test_there_is_no_other_kind():
    with pytest.raises(KeyError):
        build_matcher("mine", "optical", {})
