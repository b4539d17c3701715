"""Which triggers are joined does not depend on the order in which they come, change and go."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers import joining
from matchers.joining import JoinedTriggers
from matchers.linking import LinkOptions, group_of
from schemas.records import Messenger, Trigger
from tests.matchers.made import T0, cone, notice_of, trigger_of

SECOND = 1_000_000
OPTIONS = LinkOptions()


def trigger(number: int, t_s: float = 0.0, ra: float = 10.0, **fields) -> Trigger:
    """One of a mission of its own, so that any two may be linked."""
    mission = ("Fermi", "Swift", "INTEGRAL", "AGILE", "SVOM", "Konus")[number % 6]
    notice = notice_of(
        f"{mission.lower()}:{number}",
        f"ivo://t/n#{number}",
        mission=mission,
        instrument=mission,
        trigger_time_us=T0 + round(t_s * SECOND),
        localisation=cone(ra, 20.0, 2.0),
    )
    return replace(trigger_of(notice), **fields)


def states(joined: JoinedTriggers, triggers: list[Trigger]) -> dict[str, tuple[object, ...]]:
    found = {}
    for one in triggers:
        state = joined.get(one.id)
        assert state is not None
        model = state.skymap and state.skymap.model
        found[one.id] = (tuple(link.id for link in state.linked), tuple(link.by for link in state.linked), model)
    return found


def test_two_of_one_burst_are_searched_together():
    joined = JoinedTriggers(OPTIONS)
    fermi, swift, other = trigger(0), trigger(1, 3.0), trigger(2, 3600.0)
    assert joined.put(fermi) == {fermi.id}
    assert joined.get(fermi.id) is fermi
    assert joined.put(other) == {other.id}
    assert joined.put(swift) == {fermi.id, swift.id}
    assert joined.group(fermi.id) == {fermi.id, swift.id}
    assert joined.group(other.id) == {other.id}
    assert joined.group("unknown") == {"unknown"}
    (link,) = joined.get(fermi.id).linked
    assert (link.id, link.delta_t_s) == (swift.id, 3.0)
    assert joined.get(fermi.id).skymap is joined.get(swift.id).skymap
    assert joined.get("unknown") is None


def test_what_does_not_change_stays_the_same_object():
    joined = JoinedTriggers(OPTIONS)
    fermi, swift = trigger(0), trigger(1)
    joined.put(fermi)
    joined.put(swift)
    before = joined.get(fermi.id)
    assert joined.put(fermi) == joined.put(swift) == set()
    assert joined.put(trigger(2, 3600.0)) == {trigger(2).id}
    assert joined.get(fermi.id) is before


@pytest.mark.parametrize("fields", [{"retracted": True}, {"astrophysical": False}, {"time_us": T0 + 7200 * SECOND}])
def test_they_part_if_one_turns_out_to_be_something_else(fields):
    joined = JoinedTriggers(OPTIONS)
    fermi, swift = trigger(0), trigger(1)
    joined.put(fermi)
    joined.put(swift)
    assert joined.put(replace(swift, **fields)) == {fermi.id, swift.id}
    assert joined.get(fermi.id) is fermi
    assert joined.remove("unknown") == set()
    assert joined.remove(swift.id) == set()
    assert joined.get(swift.id) is None


def test_one_that_goes_leaves_the_others():
    joined = JoinedTriggers(OPTIONS)
    fermi, swift = trigger(0), trigger(1)
    for one in (fermi, swift):
        joined.put(one)
    assert joined.remove(fermi.id) == {swift.id}
    assert joined.get(swift.id) is swift
    assert joined.put(fermi) == {fermi.id, swift.id}


def test_an_observatory_may_say_so_whatever_the_times():
    joined = JoinedTriggers(OPTIONS)
    fermi, swift = trigger(0), trigger(1, 7200.0, related=("fermi:0",))
    joined.put(swift)
    assert joined.put(fermi) == {fermi.id, swift.id}
    assert [link.by for link in joined.get(fermi.id).linked] == ["cited"]
    assert joined.put(replace(swift, related=())) == {fermi.id, swift.id}
    assert joined.get(fermi.id).linked == ()


def test_triggers_that_cannot_meet_are_not_compared(monkeypatch):
    asked = []

    def links_of(_own, others, _options):
        asked.append([other.id for other in others])
        return ()

    monkeypatch.setattr(joining, "links_of", links_of)
    joined = JoinedTriggers(OPTIONS)
    for number in range(30):
        joined.put(trigger(number, number * 2 * OPTIONS.longest_s))
    assert not any(asked)
    joined.put(trigger(99, OPTIONS.longest_s))
    assert [names for names in asked if names] == [["fermi:0", "swift:1"]]


WORLDS = st.lists(
    st.builds(
        lambda t_s, ra, fields: (t_s, ra, fields),
        st.sampled_from([0.0, 2.0, 100.0, 299.0, 500.0, 5000.0]),
        st.sampled_from([10.0, 11.0, 14.0, 60.0]),
        st.sampled_from([
            {},
            {},
            {"retracted": True},
            {"messenger": Messenger.X_RAY},
            {"related": ("swift:1",)},
            {"related": ("fermi:0", "fermi:6")},
            {"test": True},
        ]),
    ),
    min_size=2,
    max_size=7,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(WORLDS, WORLDS, st.integers(0, 2**32))
def test_the_joined_states_are_a_function_of_the_set_of_triggers(first, last, seed):
    shuffle = Random(seed)
    earlier = [trigger(n, t_s, ra, **fields) for n, (t_s, ra, fields) in enumerate(first)]
    final = [trigger(n, t_s, ra, **fields) for n, (t_s, ra, fields) in enumerate(last)]
    ends = []
    for _ in range(2):
        joined = JoinedTriggers(OPTIONS)
        for one in shuffle.sample(earlier, len(earlier)):
            joined.put(one)
        for one in earlier:
            if one.id not in {other.id for other in final} or shuffle.random() < 0.3:
                joined.remove(one.id)
        for one in shuffle.sample(final, len(final)):
            before = {other.id: joined.get(other.id) for other in (*earlier, *final)}
            changed = joined.put(one)
            assert changed == {name for name, state in before.items() if joined.get(name) is not state}
        ends.append(states(joined, final))
    fresh = JoinedTriggers(OPTIONS)
    for one in final:
        fresh.put(one)
    assert ends[0] == ends[1] == states(fresh, final)
    for one in final:
        others = [other for other in final if other is not one]
        assert [link.id for link in fresh.get(one.id).linked] == [o.id for o in group_of(one, others, OPTIONS)]
