from itertools import permutations

from matchers.case import Case
from schemas.densities import skymap_of
from schemas.records import Kind, Message
from tests.matchers.made import T0, cone, notice_of

MAPS = [skymap_of(cone(10 + k, 20)) for k in range(4)]


def test_only_news_is_news():
    case = Case(0)
    notice = notice_of()
    assert case.fold() is None
    assert case.hear(notice, None)
    assert notice.ivorn in case
    assert not case.hear(notice, None)
    assert case.hear(notice, MAPS[0])
    assert not case.hear(notice, MAPS[0])
    trigger = case.fold()
    assert trigger is not None
    assert trigger.skymap is MAPS[0]


def test_a_linked_map_stands_above_what_its_notice_said_in_whatever_order_they_come():
    first, second = notice_of(), notice_of(ivorn="ivo://t/n#2", stage=5)
    events = [
        lambda case: case.hear(first, MAPS[0]),
        lambda case: case.hear(second, MAPS[1]),
        lambda case: case.hear_skymap(second.ivorn, MAPS[2]),
        lambda case: case.hear_skymap(first.ivorn, MAPS[3]),
        lambda case: case.hear(second, MAPS[1]),
    ]
    for order in permutations(events):
        case = Case(0)
        for event in order:
            event(case)
            case.fold()
        trigger = case.fold()
        assert trigger is not None
        assert trigger.skymap is MAPS[2]
        assert trigger.localised_by == second


def test_older_maps_are_let_go_but_the_last():
    case = Case(0)
    for stage in range(3):
        case.hear(notice_of(ivorn=f"ivo://t/n#{stage}", stage=stage), MAPS[stage])
        case.hear_skymap(f"ivo://t/n#{stage}", MAPS[stage])
        case.fold()
    assert case._reported.keys() == case._late.keys() == {"ivo://t/n#1", "ivo://t/n#2"}


def test_different_notices_under_one_name_count_as_the_last_by_their_own_order():
    told = [
        (notice_of(issued_us=T0, message=Message(b"a", "a")), MAPS[0]),
        (notice_of(issued_us=T0 + 1, message=Message(b"b", "b")), MAPS[1]),
        (notice_of(issued_us=T0 + 2, message=Message(b"c", "c"), localisation=None), None),
    ]
    for order in permutations(told):
        case = Case(0)
        for notice, skymap in order:
            case.hear(notice, skymap)
            case.fold()
        trigger = case.fold()
        assert trigger is not None
        assert (trigger.notice, trigger.skymap, trigger.revision) == (told[2][0], MAPS[1], 1)


def test_a_retraction_that_says_no_time_is_still_one():
    case = Case(0)
    case.hear(notice_of(kind=Kind.RETRACTION, trigger_time_us=None, localisation=None), None)
    assert case.retracted
    assert case.fold() is None
