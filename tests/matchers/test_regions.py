import math

import numpy as np
import pytest

from matchers.regions import credible_region, fink2021_region
from matchers.triggers import fold
from schemas.densities import skymap_of
from schemas.localisation import Annulus, Cone, Ellipse
from schemas.records import Notice
from schemas.sky import Circle, Region, pixels_of
from tests.matchers.made import cone, notice_of, trigger_of


def holds(region: Region, ra: float, dec: float) -> bool:
    where = np.array([ra]), np.array([dec])
    return bool(region.contains(*where, pixels_of(*where))[0])


def test_the_credible_region_of_a_circle_at_its_own_level_is_the_circle():
    region = credible_region(trigger_of(notice_of(localisation=cone(10, 0, 2.0, 0.9))), 0.9)
    assert region is not None
    assert holds(region, 10, 1.9999)
    assert not holds(region, 10, 2.0001)


def test_notices_that_do_not_move_a_trigger_make_no_new_region():
    skymap = skymap_of(cone())
    first, second = notice_of(), notice_of(ivorn="ivo://t/n#2", localisation=None, stage=9)
    before, after = fold([first], {first.ivorn: skymap}), fold([first, second], {first.ivorn: skymap})
    assert before is not None
    assert after is not None
    assert credible_region(before, 0.9) is credible_region(after, 0.9)
    assert credible_region(before, 0.5) is not credible_region(after, 0.9)
    assert credible_region(trigger_of(first), 0.9) is not credible_region(after, 0.9)


def test_without_a_position_there_is_no_region():
    trigger = trigger_of(notice_of(localisation=None))
    assert credible_region(trigger, 0.9) is None
    assert fink2021_region(trigger) is None


def circle_of(mission: str, localisation: Cone | Ellipse) -> Circle:
    region = fink2021_region(trigger_of(notice_of(mission=mission, localisation=localisation)))
    assert isinstance(region, Circle)
    return region


@pytest.mark.parametrize(
    ("mission", "reported", "containment", "radius_deg"),
    [
        ("Swift", 0.05, 0.9, 0.15),
        ("SWIFT", 90.0, 0.9, 180.0),
        ("Fermi", 3.0, 0.68, 3.0),
        ("Fermi", 5.0, 0.68, 5.0),
        ("Fermi", 12.0, 0.68, 5.0),
        ("INTEGRAL", 1.0, 0.9, 3 / 2.1460),
        ("SVOM", 1.0, 1 - math.exp(-0.5), 3.0),
    ],
)
def test_the_published_radius_by_mission(mission, reported, containment, radius_deg):
    circle = circle_of(mission, Cone(10, 20, reported, containment))
    assert (circle.ra_deg, circle.dec_deg) == (10, 20)
    assert circle.radius_deg == pytest.approx(radius_deg, rel=1e-4)


def test_an_ellipse_counts_by_its_semi_major_axis():
    assert circle_of("Fermi", Ellipse(10, 20, 2.0, 0.5, 30, 0.9)).radius_deg == 2.0


def test_the_radius_is_that_of_the_notice_that_gave_the_position_in_use():
    flight = notice_of(localisation=cone(10, 20, 4), stage=20)
    final = notice_of(ivorn="ivo://t/n#2", localisation=cone(11, 21, 3), stage=40)
    silent = notice_of(ivorn="ivo://t/n#3", localisation=None, stage=50)
    region = fink2021_region(trigger_of(final, silent, flight))
    assert isinstance(region, Circle)
    assert (region.ra_deg, region.radius_deg) == (11, 3)


@pytest.mark.parametrize("localisation", [Annulus(10, 20, 30, 1, 0.9), None])
def test_what_reports_no_circle_is_not_searched_by_the_published_rule(localisation):
    newest: Notice = notice_of(ivorn="ivo://t/n#2", localisation=localisation, stage=9)
    trigger = (
        trigger_of(newest) if localisation else trigger_of(newest, notice_of(localisation=Annulus(1, 2, 3, 1, 0.9)))
    )
    assert trigger.skymap is not None
    assert fink2021_region(trigger) is None
    assert skymap_of(cone()) is not None


@pytest.mark.parametrize("mission", ["Fermi", "Swift", "INTEGRAL"])
@pytest.mark.parametrize(
    "reported",
    [
        Cone(10, 20, 0.0, 0.9),
        Cone(10, 20, -1.0, 0.9),
        Cone(10, 20, math.nan, 0.9),
        Cone(10, 20, math.inf, 0.9),
        Cone(10, 20, 1.0, 1.0),
        Cone(10, 20, 1.0, 0.0),
        Cone(math.nan, 20, 1.0, 0.9),
        Cone(10, 91, 1.0, 0.9),
    ],
)
def test_numbers_that_make_no_circle_are_no_region_although_a_linked_map_gives_a_position(mission, reported):
    notice = notice_of(mission=mission, localisation=reported)
    trigger = fold([notice], {notice.ivorn: skymap_of(cone())})
    assert trigger is not None
    assert fink2021_region(trigger) is None
