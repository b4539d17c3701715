"""The cases are a function of the set of notices, and strangers cannot make one of all."""

from collections.abc import Iterable, Sequence
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matchers.case import MAX_NOTICES
from matchers.cases import MAX_IDS, MAX_REFERENCES, MAX_REFERRING, MAX_WAITING, Cases
from schemas.densities import skymap_of
from schemas.records import Citation, Kind, Notice, Role
from tests.matchers.made import MINUTE, T0, cone, notice_of

HERE, THERE = skymap_of(cone(10, 20)), skymap_of(cone(50, 60))
BN = "fermi-gbm:bn200107123"


def told(cases: Cases, notices: Iterable[Notice]) -> Cases:
    for number, notice in enumerate(notices):
        cases.hear(notice, HERE if notice.localisation else None, T0 + number)
    return cases


def states(cases: Cases) -> dict[str, Any]:
    return {
        name: case.trigger
        and (case.trigger.id, case.trigger.revision, case.trigger.notice.ivorn, case.trigger.related, case.retracted)
        for name, case in cases.items()
    }


def cites(*ivorns: str, relation: str = "followup") -> tuple[Citation, ...]:
    return tuple(Citation(ivorn, relation) for ivorn in ivorns)


class TestAliases:
    TOLD = (
        notice_of("fermi-gbm:1", "ivo://t/n#1"),
        notice_of(BN, "ivo://t/n#2", issued_us=T0 + 2 * MINUTE),
        notice_of("fermi-gbm:1", "ivo://t/n#3", issued_us=T0 + 3 * MINUTE, aliases=(BN,)),
    )

    @pytest.mark.parametrize("order", list(permutations(TOLD)))
    def test_ids_that_a_notice_calls_aliases_are_one_trigger_in_whatever_order_they_come(self, order):
        cases = told(Cases(), order)
        assert states(cases) == {"fermi-gbm:1": ("fermi-gbm:1", 3, "ivo://t/n#3", (), False)}
        assert cases.get(BN) is cases.get("fermi-gbm:1")
        assert cases.ids(BN) == cases.ids("fermi-gbm:1") == ("fermi-gbm:1", BN)
        assert BN in cases
        cases.forget(BN)
        assert (len(cases), BN in cases, cases.resolve(BN), cases.ids(BN)) == (0, False, BN, (BN,))

    def test_what_is_merged_is_said_once(self):
        cases = Cases()
        first, second, third = self.TOLD
        assert (heard := cases.hear(second, HERE, T0)) is not None
        assert (heard.trigger_id, heard.merged, heard.news) == (BN, (), True)
        assert (heard := cases.hear(third, THERE, T0 + 1)) is not None
        assert (heard.trigger_id, heard.merged, heard.news) == ("fermi-gbm:1", (BN,), True)
        assert (heard := cases.hear(third, THERE, T0 + 2)) is not None
        assert (heard.trigger_id, heard.merged, heard.news) == ("fermi-gbm:1", (), False)
        assert (heard := cases.hear(first, None, T0 + 3)) is not None
        assert (heard.trigger_id, heard.merged, heard.news) == ("fermi-gbm:1", (), True)
        case = cases.get(BN)
        assert case is not None
        assert [notice.ivorn for notice in case.before(first.ivorn)] == [third.ivorn, second.ivorn]
        assert case.heard_us == T0 + 3

    def test_maps_find_their_trigger_by_any_id_also_before_and_after_it_is_merged(self):
        first, second, third = self.TOLD
        cases = Cases()
        assert cases.hear_skymap(BN, second.ivorn, THERE, T0) == BN
        told(cases, (first, second))
        assert (case := cases.get(BN)) is not None
        assert case.trigger is not None
        assert case.trigger.skymap is THERE
        cases.hear(third, None, T0)
        assert cases.hear_skymap(BN, third.ivorn, HERE, T0) == "fermi-gbm:1"
        assert (case := cases.get(BN)) is not None
        assert case.trigger is not None
        assert (case.trigger.skymap, case.trigger.localised_by) == (HERE, third)

    def test_an_alias_counts_in_the_namespace_of_its_sender_only(self):
        cases = told(Cases(), [notice_of("lvk:S1"), notice_of("fermi-gbm:1", "ivo://t/n#2", aliases=("lvk:S1",))])
        assert list(cases) == ["fermi-gbm:1", "lvk:S1"]

    def test_no_chain_of_aliases_makes_one_trigger_of_all(self):
        chain = [notice_of(f"x:{n:03d}", f"ivo://t/n#{n}", aliases=(f"x:{n + 1:03d}",)) for n in range(100)]
        for order in (chain, chain[::-1]):
            cases = told(Cases(), order)
            assert max(len(cases.ids(name)) for name in cases) <= MAX_IDS
            assert len(cases) >= 100 / MAX_IDS
        flood = notice_of("x:000", aliases=tuple(f"x:{n:03d}" for n in range(1, 1000)))
        assert len(told(Cases(), [flood]).ids("x:000")) <= MAX_REFERENCES


class TestCitations:
    BEGUN = notice_of("chime:1", "ivo://chime/frb#1")
    CITING = (
        notice_of(None, "IVO://CHIME/FRB?2", citations=cites("ivo://Chime/frb?1"), issued_us=T0 + 2 * MINUTE),
        notice_of(
            None,
            "ivo://chime/frb#3",
            citations=cites("ivo://other/x#9", "ivo://chime/frb#2", relation="retraction"),
            kind=Kind.RETRACTION,
            issued_us=T0 + 3 * MINUTE,
            localisation=None,
        ),
    )

    @pytest.mark.parametrize("order", list(permutations((BEGUN, *CITING))))
    def test_a_notice_without_an_id_belongs_to_the_trigger_of_what_it_cites(self, order):
        cases = told(Cases(), order)
        assert states(cases) == {"chime:1": ("chime:1", 3, "ivo://chime/frb#3", (), True)}
        assert not any(cases.is_waiting(notice.ivorn) for notice in order)

    def test_it_waits_for_what_it_cites(self):
        cases = Cases()
        for notice in self.CITING[::-1] * 2:
            assert cases.hear(notice, None, T0) is None
            assert cases.is_waiting(notice.ivorn)
        assert len(cases) == 0
        heard = cases.hear(self.BEGUN, HERE, T0)
        assert heard is not None
        assert heard.news
        assert (case := cases.get("chime:1")) is not None
        assert {notice.trigger_id for notice in case.notices} == {"chime:1"}

    @pytest.mark.parametrize(
        "other",
        [
            {"ivorn": "ivo://telescope/requests#2"},
            {"role": Role.UTILITY},
            {"role": Role.PREDICTION},
            {"localisation": None, "trigger_time_us": None},
            {"citations": ()},
            {"citations": cites("S230518h")},
        ],
    )
    def test_requests_pointings_and_what_others_say_of_it_do_not_belong_to_it(self, other):
        fields = {"ivorn": "ivo://chime/frb#2", "citations": cites("ivo://chime/frb#1")} | other
        cases = told(Cases(), [notice_of(None, **fields), self.BEGUN, notice_of(None, **fields)])
        assert states(cases) == {"chime:1": ("chime:1", 1, "ivo://chime/frb#1", (), False)}

    def test_not_everything_is_waited_for(self):
        cases = Cases()
        waiting = [
            notice_of(None, f"ivo://t/n#w{n}", citations=cites(f"ivo://t/n#{n}")) for n in range(MAX_WAITING + 5)
        ]
        told(cases, waiting)
        kept = [cases.is_waiting(notice.ivorn) for notice in waiting]
        assert kept == [False] * 5 + [True] * MAX_WAITING


class TestRelated:
    def test_it_is_the_union_of_what_all_notices_say_by_id_and_by_citation_but_a_retraction(self):
        wave = notice_of("lvk:S1", "ivo://gwnet/LVC#S1-1", related=(BN,), citations=cites("ivo://nasa/fermi?gnd"))
        update = notice_of("lvk:S1", "ivo://gwnet/LVC#S1-2", related=("icecube:1_2",), citations=cites("ivo://no/x#1"))
        retraction = notice_of("lvk:S1", "ivo://gwnet/LVC#S1-3", related=("svom:1",), kind=Kind.RETRACTION)
        burst = notice_of("fermi-gbm:1", "ivo://nasa/Fermi#gnd", aliases=(BN,))
        for order in permutations((wave, update, retraction, burst)):
            cases = told(Cases(), order)
            assert (case := cases.get("lvk:S1")) is not None
            assert case.trigger is not None
            assert case.trigger.related == ("fermi-gbm:1", "icecube:1_2")

    def test_who_relates_to_it_is_told_when_what_was_cited_comes_or_gets_another_name(self):
        cases = Cases()
        wave = notice_of("lvk:S1", "ivo://gwnet/LVC#S1-1", citations=cites("ivo://nasa/fermi?gnd"))
        cases.hear(wave, HERE, T0)
        assert (heard := cases.hear(notice_of(BN, "ivo://nasa/Fermi#gnd"), HERE, T0)) is not None
        assert heard.relinked == ("lvk:S1",)
        assert (heard := cases.hear(notice_of("fermi-gbm:1", "ivo://nasa/Fermi#2", aliases=(BN,)), HERE, T0))
        assert (heard.merged, heard.relinked) == ((BN,), ("lvk:S1",))
        assert (case := cases.get("lvk:S1")) is not None
        assert case.trigger is not None
        assert case.trigger.related == ("fermi-gbm:1",)
        assert (heard := cases.hear(notice_of("fermi-gbm:1", "ivo://nasa/Fermi#3"), HERE, T0)) is not None
        assert heard.relinked == ()
        cases.forget("fermi-gbm:1")
        cases.forget("lvk:S1")
        assert not any((cases._told_by, cases._referring, cases._canonical, cases._ids))

    def test_a_flood_that_refers_to_one_notice_is_not_refolded_as_a_whole(self):
        cases = Cases()
        for n in range(MAX_REFERRING + 5):
            cases.hear(notice_of(f"x:{n:03d}", f"ivo://t/n#{n}", citations=cites("ivo://y/n#1")), None, T0)
        assert (heard := cases.hear(notice_of("y:1", "ivo://y/n#1"), None, T0)) is not None
        assert len(heard.relinked) == MAX_REFERRING

    def test_it_is_bounded(self):
        many = [
            notice_of("lvk:S1", f"ivo://t/n#{k}", related=tuple(f"x:{n}" for n in range(50 * k, 50 * k + 50)))
            for k in range(5)
        ]
        cases = told(Cases(), many)
        assert (case := cases.get("lvk:S1")) is not None
        assert case.trigger is not None
        assert len(case.trigger.related) == MAX_REFERENCES


@pytest.mark.not_measured
def test_a_flood_of_notices_of_one_trigger_leaves_its_last_ones_whatever_the_order():
    flood = [notice_of(ivorn=f"ivo://t/n#{n}", issued_us=T0 + n, localisation=None) for n in range(MAX_NOTICES + 20)]
    for order in (flood, flood[::-1]):
        cases = told(Cases(), order)
        assert (case := cases.get("fermi-gbm:1")) is not None
        assert {notice.issued_us for notice in case.notices} == {T0 + n for n in range(20, MAX_NOTICES + 20)}
        assert len(cases._told_by) == MAX_NOTICES


def test_another_form_of_the_same_notice_is_no_news():
    cases = told(Cases(), [notice_of()])
    form = notice_of(ivorn="ivo://starcross.invalid/notices/fermi#1", issued_us=T0 + MINUTE + 5)
    assert (heard := cases.hear(form, skymap_of(cone()), T0)) is not None
    assert not heard.news
    assert states(cases) == {"fermi-gbm:1": ("fermi-gbm:1", 1, "ivo://t/n#1", (), False)}


def test_a_case_without_a_time_is_news_while_there_is_something_new():
    cases = Cases()
    late = notice_of(trigger_time_us=None)
    assert [heard.news for _ in range(2) if (heard := cases.hear(late, HERE, T0))] == [True, False]


@st.composite
def notices(draw: st.DrawFn, number: int) -> Notice:
    ids = st.sampled_from(["x:1", "x:2", "x:3", "y:1"])
    return notice_of(
        draw(st.none() | ids),
        f"ivo://t/{draw(st.sampled_from('ab'))}#{number}",
        aliases=tuple(draw(st.lists(ids, max_size=1))),
        related=tuple(draw(st.lists(ids, max_size=1))),
        citations=cites(
            *draw(st.lists(st.builds("ivo://T/{}?{}".format, st.sampled_from("AB"), st.integers(0, 7)), max_size=2))
        ),
        kind=draw(st.sampled_from(Kind)),
        issued_us=draw(st.integers(0, 2)),
        localisation=draw(st.sampled_from([None, cone()])),
    )


@given(st.tuples(*map(notices, range(7))), st.randoms())
def test_all_cases_are_a_function_of_the_set_of_notices(all_notices: Sequence[Notice], random):
    shuffled = [*all_notices, *random.choices(all_notices, k=3)]
    random.shuffle(shuffled)
    one, other = told(Cases(), all_notices), told(Cases(), shuffled)
    assert states(one) == states(other)
    assert {name: one.ids(name) for name in one} == {name: other.ids(name) for name in other}
    assert one._waiting.keys() == other._waiting.keys()
