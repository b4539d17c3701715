"""Which notices only repeat what was said in another form."""

from dataclasses import replace
from itertools import permutations

import pytest

from matchers.case import Case
from matchers.statements import SAME_ISSUE_US, repeats, statements_of
from matchers.triggers import fold
from schemas.densities import skymap_of
from schemas.localisation import Annulus, Cone, Ellipse, InlineMap, Systematics
from schemas.records import Kind, Notice, Role
from schemas.skymap import read_skymap
from tests.matchers.made import MINUTE, T0, notice_of
from tests.schemas.maps import blob, flat

CLASSIC, JSON = "ivo://nasa.gsfc.gcn/Fermi#GBM_Flt_Pos_1", "ivo://starcross.invalid/notices/fermi.gbm.trigger#1"
SAID = notice_of(
    ivorn=CLASSIC,
    stage=20,
    localisation=Cone(10.12, 20.34, 2.0, 0.68, Systematics.GBM_FLIGHT),
    classification={"GRB": 0.97},
    significance=9.4,
    significance_unit="sigma",
    far_hz=1e-6,
    astrophysical=True,
)
FORM = replace(SAID, ivorn=JSON, issued_us=T0 + 2 * MINUTE, names=("bn200107167",))


@pytest.mark.parametrize(
    "left_out_or_rounded",
    [
        {},
        {"trigger_time_us": T0 + 9_000},
        {"trigger_time_us": None},
        {"localisation": Cone(10.123, 20.344, 1.98, 0.68, Systematics.GBM_FLIGHT)},
        {"localisation": None},
        {"classification": {}, "significance": None, "far_hz": None, "astrophysical": None},
        {"classification": {"GRB": 0.96, "SOLAR_FLARE": 0.01}, "significance": 9.3},
        {"kind": Kind.UPDATE},
    ],
)
def test_what_is_left_out_or_rounded_is_no_statement_of_its_own(left_out_or_rounded):
    assert repeats(replace(FORM, **left_out_or_rounded), SAID)


@pytest.mark.parametrize(
    "new",
    [
        {"ivorn": CLASSIC.replace("_1", "_2")},
        {"stage": 30},
        {"serial": 1},
        {"role": Role.TEST},
        {"kind": Kind.RETRACTION},
        {"trigger_time_us": T0 + 1_000_001},
        {"localisation": Cone(10.3, 20.34, 2.0, 0.68, Systematics.GBM_FLIGHT)},
        {"localisation": Cone(10.12, 20.34, 2.2, 0.68, Systematics.GBM_FLIGHT)},
        {"localisation": Cone(10.12, 20.34, 2.0, 0.9, Systematics.GBM_FLIGHT)},
        {"localisation": Cone(10.12, 20.34, 2.0, 0.68, Systematics.GBM_GROUND)},
        {"localisation": Ellipse(10.12, 20.34, 2.0, 2.0, 0.0, 0.68, Systematics.GBM_FLIGHT)},
        {"localisation": InlineMap(b"map")},
        {"skymap_url": "https://example.org/map.fit"},
        {"classification": {"SOLAR_FLARE": 0.97}},
        {"significance": 12.0},
        {"significance_unit": "snr"},
        {"far_hz": 2e-6},
        {"astrophysical": False},
    ],
)
def test_what_is_new_is_a_statement_of_its_own(new):
    assert not repeats(replace(FORM, **new), SAID)


def test_what_was_not_said_before_is_new():
    for name in ("trigger_time_us", "localisation", "significance", "far_hz", "astrophysical"):
        assert not repeats(FORM, replace(SAID, **{name: None}))
    assert not repeats(FORM, replace(SAID, classification={}))


def test_ellipses_and_rings_are_compared_too():
    ellipse, ring = Ellipse(10.0, 20.0, 2.0, 1.0, 30.0, 0.9), Annulus(10.0, 20.0, 40.0, 1.0, 0.9)
    said, form = replace(SAID, localisation=ellipse), replace(FORM, localisation=replace(ellipse, ra_deg=10.005))
    assert repeats(form, said)
    assert not repeats(replace(form, localisation=replace(ellipse, position_angle_deg=40.0)), said)
    assert not repeats(replace(form, localisation=replace(ellipse, semi_major_deg=2.2)), said)
    assert repeats(replace(FORM, localisation=ring), replace(SAID, localisation=ring))
    assert not repeats(replace(FORM, localisation=replace(ring, radius_deg=41.0)), replace(SAID, localisation=ring))


def test_a_link_and_a_file_of_the_same_sort_sent_together_are_one_map():
    said = notice_of(
        "lvk:S1", "ivo://gwnet/LVC#S1-2-Initial", notice_type="LVC_INITIAL", skymap_url="https://x.org/a,1"
    )
    said = replace(said, localisation=None)
    form = replace(
        said, ivorn="ivo://starcross.invalid/notices/igwn.gwalert#1", notice_type="LVK_INITIAL", skymap_url=None,
        localisation=InlineMap(b"map"),
    )  # fmt: skip
    assert said.issued_us is not None
    assert repeats(replace(form, issued_us=said.issued_us + SAME_ISSUE_US), said)
    assert not repeats(replace(form, issued_us=said.issued_us + SAME_ISSUE_US + 1), said)
    assert not repeats(replace(form, issued_us=None), said)
    assert not repeats(replace(form, notice_type="LVK_UPDATE"), said)
    linked = replace(FORM, skymap_url="https://x.org/glg_healpix_all_bn.fit")
    assert repeats(linked, replace(SAID, skymap_url=linked.skymap_url))
    assert repeats(replace(linked, localisation=None), replace(SAID, skymap_url=linked.skymap_url))


def test_only_what_comes_right_after_is_a_repeat():
    moved = replace(SAID, ivorn=CLASSIC.replace("_1", "_2"), issued_us=T0 + 3 * MINUTE, significance=20.0)
    late = replace(FORM, issued_us=T0 + 4 * MINUTE)
    said = [statement.forms for statement in statements_of([late, moved, SAID])]
    assert said == [(SAID,), (moved,), (late,)]
    assert [statement.forms for statement in statements_of([FORM, moved, SAID])] == [(SAID, FORM), (moved,)]


def test_forms_of_a_notice_give_one_state_with_the_names_of_all():
    states = [fold(order, {}) for order in permutations((SAID, FORM))]
    for state in states:
        assert state is not None
        assert (state.revision, state.notice, state.names) == (1, SAID, ("bn200107167",))


def numbered(ivorn: str, serial: int, issued_us: int) -> Notice:
    return notice_of("icecube:1_2", ivorn, serial=serial, issued_us=issued_us)


def test_the_map_of_a_numbered_revision_stands_above_its_circle_whichever_form_is_sent_first():
    official, circle = read_skymap(flat(blob(3))), skymap_of(Cone(1.0, 2.0, 0.5, 0.9))
    mapped = numbered("ivo://starcross.invalid/notices/icecube#1", 1, T0 + MINUTE)
    round_one = numbered("ivo://nasa.gsfc.gcn/AMON#1_1", 1, T0 + 2 * MINUTE)
    later = numbered("ivo://nasa.gsfc.gcn/AMON#1_2", 2, T0 + 3 * MINUTE)
    for order in permutations([(mapped, official), (round_one, circle)]):
        case = Case(0)
        for notice, skymap in order:
            case.hear(notice, skymap)
            case.fold()
        assert case.trigger is not None
        assert (case.trigger.skymap, case.trigger.localised_by) == (official, mapped)
        case.hear(later, circle)
        trigger = case.fold()
        assert trigger is not None
        assert trigger.localised_by is later


def test_of_the_forms_of_a_notice_one_map_will_do():
    official = read_skymap(flat(blob(3)))
    url = "https://x.org/glg_healpix_all_bn.fit"
    said, form = replace(SAID, skymap_url=url), replace(FORM, skymap_url=url)
    newest = replace(SAID, ivorn=CLASSIC.replace("_1", "_2"), stage=30, skymap_url=url + "2", issued_us=T0 + 9 * MINUTE)
    case = Case(0)
    for notice in (form, said, newest):
        case.hear(notice, skymap_of(SAID.localisation) if SAID.localisation else None)
    case.fold()
    assert case.unmapped() == [newest]
    older = Case(0)
    older.hear(form, None)
    older.hear(said, None)
    older.fold()
    assert older.unmapped() == [said, form]
    older.hear_skymap(form.ivorn.upper(), official)
    trigger = older.fold()
    assert older.unmapped() == []
    assert trigger is not None
    assert (trigger.skymap, trigger.localised_by, trigger.notice) == (official, form, said)
