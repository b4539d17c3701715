from itertools import permutations

from matchers.cases import Cases
from schemas.densities import skymap_of
from tests.matchers.made import T0, cone, notice_of

HERE = skymap_of(cone(10, 20))


def test_ids_that_a_notice_calls_aliases_are_one_trigger_in_whatever_order_they_come():
    told = [
        notice_of("fermi-gbm:1", "ivo://t/n#1"),
        notice_of("fermi-gbm:bn200107123", "ivo://t/n#2", issued_us=T0 + 1),
        notice_of("fermi-gbm:1", "ivo://t/n#3", aliases=("fermi-gbm:bn200107123",)),
    ]
    for order in permutations(told):
        cases = Cases()
        for notice in order:
            heard = cases.hear(notice, HERE, T0)
            assert heard is not None
            assert heard.news
        assert list(cases) == ["fermi-gbm:1"]
        case = cases.get("fermi-gbm:bn200107123")
        assert case is not None
        assert case.trigger is not None
        assert (case.trigger.id, case.trigger.revision) == ("fermi-gbm:1", 3)
        assert cases.resolve("fermi-gbm:bn200107123") == "fermi-gbm:1"
        cases.forget("fermi-gbm:bn200107123")
        assert len(cases) == 0
        assert cases.resolve("fermi-gbm:bn200107123") == "fermi-gbm:bn200107123"
