"""Questions to a real store: filters, paging, and in every question what is private to others left out."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.web import queries
from broker.web.queries import Filter
from matchers.rank import rank
from matchers.selection import Selection
from schemas.coincidence import from_json
from schemas.records import State
from tests.broker.web.stored import ADA, BOB, NOBODY, ROOT, kept, revision
from tests.coincidences import COINCIDENCE

CHANGES = (
    revision("a", 1, credible_level=0.1),
    revision("b", 1, trigger="lvk:S2", matcher="gw"),
    revision("p", 1, private_to="ada", trigger="upload:1"),
    revision("a", 2, credible_level=0.6, state=State.UPDATED, changed_us=20),
    revision("q", 1, private_to="bob", trigger="upload:2"),
    revision("p", 2, private_to="ada", trigger="upload:1", state=State.WITHDRAWN, changed_us=30),
    revision("c", 1, obj="ZTFa"),
)
SEEN = {"nobody": (NOBODY, "abac"), "ada": (ADA, "abpapc"), "bob": (BOB, "abaqc"), "root": (ROOT, "abpaqpc")}


def ids(page) -> str:
    return "".join(one.id for one in page.items)


@pytest.mark.parametrize("who", SEEN)
async def test_who_asks_sees_their_own_and_what_is_public(tmp_path, who):
    principal, seen = SEEN[who]
    async with kept(tmp_path, CHANGES) as store:
        ask = store.questions.coincidences
        assert ids(await ask(Filter(newest=False), principal, 100)) == seen
        newest = ids(await ask(Filter(), principal, 100))
        assert sorted(newest) == sorted(set(seen))
        for name, owner in (("p", "ada"), ("q", "bob")):
            own = [one for one in CHANGES if one.id == name]
            visible = name in seen
            assert len(await store.questions.history(name, principal)) == (len(own) if visible else 0), owner
            assert (await store.questions.number_of(name, 1, principal) is not None) is visible
            assert bool((await ask(Filter(trigger_id=own[0].trigger.id), principal, 9)).items) is visible
            assert bool((await ask(Filter(object_key=("ztf", f"ZTF{name}")), principal, 9)).items) is visible
            where = Selection.of(f'trigger.id == "{own[0].trigger.id}"')
            assert bool((await ask(Filter(where=where, newest=False), principal, 9)).items) is visible
        assert await store.questions.last() == 7


@settings(max_examples=20)
@given(
    told=st.lists(
        st.tuples(
            st.none() | st.sampled_from((0.0, 0.25, 0.5)),
            st.sampled_from((0.1, 2.0)),
            st.sampled_from((0.3, 0.9)),
            st.sampled_from((-2.0, 1.0, 2.0)),
            st.sampled_from(State),
        ),
        max_size=12,
    ),
    limit=st.integers(1, 12),
)
async def test_the_best_are_those_of_the_rank(tmp_path_factory, told, limit):
    """Whatever is known of them; of each the newest revision, and none that was withdrawn."""
    changes = []
    for number, (posterior, overlap, level, delta_t_s, state) in enumerate(told):
        known = {"overlap": overlap, "credible_level": level, "delta_t_s": delta_t_s}
        known["statistics"] = None if posterior is None else replace(COINCIDENCE.statistics, posterior=posterior)
        changes += [revision(f"n{number}", 1, overlap=99.0), revision(f"n{number}", 2, state=state, **known)]
    changes += [revision("other", trigger="lvk:S2"), revision("hidden", private_to="ada")]
    async with kept(tmp_path_factory.mktemp("ranked"), changes) as store:
        found = await store.questions.best("lvk:S1", NOBODY, limit)
    standing = [one for one in changes if one.revision == 2 and one.state is not State.WITHDRAWN]
    assert [one.id for one in found] == [one.id for one in rank(standing)[:limit]]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (Filter(), "bac"),
        (Filter(newest=False), "abac"),
        (Filter(state="proposed"), "bc"),
        (Filter(state="updated"), "a"),
        (Filter(matcher="gw"), "b"),
        (Filter(trigger_id="lvk:S1"), "ac"),
        (Filter(trigger_id="lvk:S1", newest=False), "aac"),
        (Filter(object_key=("ztf", "ZTFa")), "ac"),
        (Filter(object_key=("lsst", "ZTFa")), ""),
        (Filter(changed_from_us=20), "a"),
        (Filter(changed_from_us=20, newest=False), "a"),
        (Filter(changed_before_us=20, newest=False), "abc"),
        (Filter(after=3), "ac"),
        (Filter(where=Selection.of("credible_level < 0.2"), newest=False), "a"),
        (Filter(where=Selection.of("credible_level < 0.2")), ""),
        (Filter(where=Selection.of("credible_level > 0.5"), trigger_id="lvk:S1"), "a"),
        (Filter(after=100), ""),
    ],
)
async def test_filters(tmp_path, asked, found):
    async with kept(tmp_path, CHANGES) as store:
        page = await store.questions.coincidences(asked, NOBODY, 100)
        assert (ids(page), page.next_after) == (found, None)
        for one in page.items:
            coincidence = from_json(one.document)
            assert asked.passes(coincidence)
            assert coincidence.id == one.id
        if not asked.newest:
            seqs = {one.seq for one in page.items}
            for seq, one in enumerate(CHANGES, 1):
                public = not one.trigger.private_to and seq > asked.after
                assert (asked.passes(one) and public) == (seq in seqs)


async def test_an_empty_store_answers(tmp_path):
    async with kept(tmp_path) as store:
        page = await store.questions.coincidences(Filter(), NOBODY, 1)
        assert (page.items, page.next_after, await store.questions.last()) == ((), None, 0)


@settings(max_examples=15)
@given(
    owners=st.lists(st.sampled_from(["", "", "ada", "bob"]), min_size=1, max_size=25),
    limit=st.integers(1, 7),
    scanned=st.integers(1, 9),
    condition=st.sampled_from([None, "credible_level < 0.5"]),
    newest=st.booleans(),
)
async def test_pages_are_the_whole_without_a_gap_or_a_repeat(
    tmp_path_factory, owners, limit, scanned, condition, newest
):
    changes = [
        revision(f"{owner or 'x'}{number % 5}", number + 1, private_to=owner, credible_level=number % 3 / 3)
        for number, owner in enumerate(owners)
    ]
    where = None if condition is None else Selection.of(condition)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queries, "SCANNED_AT_ONCE", scanned)
        async with kept(tmp_path_factory.mktemp("paged"), changes) as store:
            for principal in (NOBODY, ADA, ROOT):
                whole = [
                    seq
                    for seq, one in enumerate(changes, 1)
                    if principal.sees(one.trigger.private_to)
                    and (where is None or where.holds(one))
                    and not (newest and any(later.id == one.id for later in changes[seq:]))
                ]
                got, after = [], 0
                while after is not None:
                    asked = Filter(after=after, where=where, newest=newest)
                    page = await store.questions.coincidences(asked, principal, limit)
                    assert len(page.items) <= limit
                    got += [one.seq for one in page.items]
                    assert page.next_after is None or page.next_after > after
                    after = page.next_after
                assert got == whole


async def test_a_condition_that_takes_long_ends_a_page_early(tmp_path, monkeypatch):
    monkeypatch.setattr(queries, "_SCANNED_S", 0.0)
    async with kept(tmp_path, CHANGES) as store:
        asked = Filter(where=Selection.of("credible_level < 0.2"), newest=False)
        page = await store.questions.coincidences(asked, NOBODY, 100)
        assert (ids(page), page.next_after) == ("a", 1)
        assert (await store.questions.coincidences(Filter(newest=False), NOBODY, 100)).next_after is None


async def test_sql_in_what_is_asked_is_only_text(tmp_path):
    evil = "' OR 1=1 --"
    async with kept(tmp_path, CHANGES) as store:
        for asked in (
            Filter(state=evil),
            Filter(matcher=evil),
            Filter(trigger_id=evil),
            Filter(object_key=(evil, evil)),
        ):
            assert (await store.questions.coincidences(asked, NOBODY, 9)).items == ()
        assert await store.questions.history(evil, NOBODY) == ()
