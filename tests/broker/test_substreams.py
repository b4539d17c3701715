"""Substreams and what they send."""

from pathlib import Path

import pytest

from broker.substreams import Router, SubstreamOptions, make_substreams
from schemas.errors import ConfigurationError
from schemas.records import Coincidence, State
from schemas.times import US_PER_DAY
from tests.coincidences import changed


def router(folder: Path = Path(), sent=(), **options: dict[str, object]) -> Router:
    given = {name: SubstreamOptions.model_validate(values) for name, values in options.items()}
    return Router(make_substreams(given, folder), sent)


def revision(identity: str, number: int = 1, state: State = State.PROPOSED, **own) -> Coincidence:
    return changed(id=identity, revision=number, state=state, **own)


def names(routes):
    return [(change.id, change.revision, substreams) for change, substreams in routes.sent]


def test_each_change_goes_to_the_substreams_that_admit_it_in_the_order_given():
    made = router(near={"where": "credible_level < 0.5"}, all={})
    routes = made.route([revision("b", credible_level=0.9), revision("a", credible_level=0.1)])
    assert names(routes) == [("b", 1, ("all",)), ("a", 1, ("all", "near"))]


def test_who_was_told_of_a_proposal_hears_of_its_changes_and_its_withdrawal():
    made = router(near={"where": "credible_level < 0.5"})
    assert names(made.route([revision("a", credible_level=0.1), revision("b", credible_level=0.9)])) == [
        ("a", 1, ("near",))
    ]
    later = [revision("a", 2, State.UPDATED, credible_level=0.9), revision("b", 2, State.WITHDRAWN)]
    assert names(made.route(later)) == [("a", 2, ("near",))]
    assert names(made.route([revision("a", 3, State.WITHDRAWN)])) == [("a", 3, ("near",))]


def test_of_several_revisions_at_once_those_before_the_first_that_is_admitted_are_not_sent():
    made = router(near={"where": "credible_level < 0.5"})
    both = [revision("a", credible_level=0.9, overlap=1.0), revision("a", 2, credible_level=0.1, overlap=9.0)]
    assert names(made.route(both)) == [("a", 2, ("near",))]


def test_what_was_sent_before_a_restart_is_remembered():
    made = router(near={"where": "credible_level < 0.5"}, sent=[("near", "a", 0)])
    assert names(made.route([revision("a", 4, State.WITHDRAWN)])) == [("a", 4, ("near",))]


def test_tests_are_left_out_unless_asked_for():
    made = router(real={}, all={"include_tests": True})
    assert names(made.route([changed(trigger={"test": True}, id="t")])) == [("t", 2, ("all",))]


def test_of_a_full_night_the_best_are_sent_and_the_others_told():
    made = router(few={"most_per_night": 2})
    first = [revision(name, overlap=overlap, changed_us=0) for name, overlap in [("c", 1.0), ("a", 3.0), ("b", 2.0)]]
    routes = made.route(first)
    assert names(routes) == [("a", 1, ("few",)), ("b", 1, ("few",))]
    assert [(name, change.id) for name, change in routes.capped] == [("few", "c")]
    again = made.route([revision("a", 2, State.UPDATED, changed_us=1), revision("d", changed_us=1)])
    assert (names(again), [change.id for _, change in again.capped]) == ([("a", 2, ("few",))], ["d"])
    assert names(made.route([revision("c", 2, State.UPDATED, changed_us=US_PER_DAY)])) == [("c", 2, ("few",))]


def test_the_number_of_a_night_is_remembered_over_a_restart():
    made = router(few={"most_per_night": 1}, sent=[("few", "z", 5)])
    assert made.route([revision("a", changed_us=6)]).capped


def test_a_function_decides_what_a_condition_cannot_say(tmp_path):
    (tmp_path / "mine.py").write_text("def faint(coincidence):\n    return coincidence.object.mag > 19\nN = 3\n")
    made = router(tmp_path, mine={"python": "mine.py:faint"})
    routes = made.route([revision("a"), changed(id="b", object={"mag": 18.0}), changed(id="c", object={"mag": None})])
    assert names(routes) == [("a", 1, ("mine",))]
    ((name, error),) = routes.failed
    assert (name, type(error)) == ("mine", TypeError)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"where": "credible_levl < 1"}, "substreams.mine.where: there is no credible_levl"),
        ({"where": "true", "python": "mine.py:f"}, "substreams.mine: has both"),
        ({"python": "absent.py:f"}, "substreams.mine.python: no such Python file"),
        ({"python": "mine.py"}, "expected file.py:name"),
        ({"python": "mine.py:N"}, "is no function"),
        ({"python": "mine.py:absent"}, "AttributeError"),
    ],
)
def test_wrong_substreams_are_told_with_their_key(tmp_path, options, says):
    (tmp_path / "mine.py").write_text("N = 3\n")
    with pytest.raises(ConfigurationError, match=r"substreams\.mine") as raised:
        router(tmp_path, mine=options)
    assert says in str(raised.value)
