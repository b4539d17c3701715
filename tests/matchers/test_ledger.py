from dataclasses import replace

from matchers.ledger import Cause, Changes, Ledger, is_same
from schemas.records import Coincidence, Provenance, State
from tests.coincidences import COINCIDENCE

VERDICT = replace(
    COINCIDENCE, id="one", revision=0, state=State.PROPOSED, reason="", changed_us=0, changed=(), statistics=None
)
KEY = VERDICT.trigger.id, VERDICT.matcher


def named(name: str, trigger: str = VERDICT.trigger.id, object_id: str = "x") -> Coincidence:
    return replace(
        VERDICT,
        id=name,
        trigger=replace(VERDICT.trigger, id=trigger),
        object=replace(VERDICT.object, survey="ztf", object_id=object_id),
    )


def ids(found: list[Coincidence]) -> list[str]:
    return [coincidence.id for coincidence in found]


def test_a_verdict_touches_its_group_until_that_is_taken():
    ledger = Ledger()
    ledger.hold(VERDICT, Cause.ALERT)
    ledger.hold(VERDICT, Cause.NOTICE)
    assert ledger.touched() == ledger.groups() == [KEY]
    assert ledger.take_touched(KEY) == {"one": Cause.ALERT}
    assert (ledger.take_touched(KEY), ledger.touched()) == (None, [])
    ledger.hold(VERDICT, Cause.NOTICE)
    assert ledger.touched() == []
    ledger.hold(replace(VERDICT, credible_level=0.2), Cause.NOTICE)
    assert ledger.take_touched(KEY) == {"one": Cause.NOTICE}
    ledger.drop("one", Cause.MOVED_OUT)
    ledger.drop("one", Cause.RETRACTED)
    assert ledger.take_touched(KEY) == {"one": Cause.MOVED_OUT}
    assert (ledger.groups(), ledger.verdict("one"), "one" in ledger) == ([], None, False)


def test_what_was_never_published_and_does_not_hold_any_more_is_forgotten():
    ledger = Ledger()
    ledger.hold(VERDICT, Cause.ALERT)
    assert ids(ledger.of_trigger(VERDICT.trigger.id)) == ["one"]
    ledger.drop("one", Cause.NOT_NEW)
    assert ledger.of_trigger(VERDICT.trigger.id) == []
    assert ledger.of_object(VERDICT.object.survey, VERDICT.object.object_id) == []


def test_what_stands_is_the_verdict_under_the_number_of_the_last_revision():
    ledger = Ledger()
    ledger.hold(VERDICT, Cause.ALERT)
    assert ledger.standing() == []
    ledger.publish(replace(VERDICT, revision=3, state=State.UPDATED, reason="alert", changed_us=7, changed=("level",)))
    ledger.hold(replace(VERDICT, credible_level=0.25), Cause.ALERT)
    ledger.assessed({"one": COINCIDENCE.statistics})
    (standing,) = ledger.standing()
    assert standing == replace(ledger.get("one"), credible_level=0.25, statistics=COINCIDENCE.statistics)
    assert ledger.standing("another") == []
    ledger.publish(replace(VERDICT, revision=4, state=State.WITHDRAWN))
    assert (ledger.standing(), ledger.current(), ids(list(ledger))) == ([], [], ["one"])


def test_only_science_makes_a_verdict_another():
    trigger = VERDICT.trigger
    assert is_same(VERDICT, replace(VERDICT, provenance=Provenance("other", "0", ("more",)), revision=4))
    different = [
        replace(VERDICT, trigger=replace(trigger, notice_ivorn="ivo://x/y#z")),
        replace(VERDICT, trigger=replace(trigger, far_hz=0.125)),
        replace(VERDICT, object=replace(VERDICT.object, alert_ids=(1, 2, 3))),
        replace(VERDICT, credible_level=0.123),
    ]
    assert not any(is_same(VERDICT, other) for other in different)


def test_coincidences_are_found_by_trigger_and_object():
    ledger = Ledger()
    for verdict in (named("c", "t1", "x"), named("b", "t1", "y"), named("a", "t2", "x")):
        ledger.hold(verdict, Cause.ALERT)
        ledger.publish(replace(verdict, revision=1))
    ledger.drop("b", Cause.NOT_NEW)
    ledger.publish(replace(named("b", "t1", "y"), revision=2, state=State.WITHDRAWN))
    assert ids(ledger.of_trigger("t1")) == ["b", "c"]
    assert ids(ledger.of_object("ztf", "x")) == ["a", "c"]
    assert ids(ledger.current()) == ids(ledger.standing()) == ["a", "c"]
    assert ids(ledger.standing("t1")) == ["c"]
    assert ids(list(ledger)) == ["a", "b", "c"]
    assert ledger.by_state() == {State.PROPOSED: 2, State.WITHDRAWN: 1}
    assert (len(ledger), ledger.of_trigger("t9"), ledger.of_object("lsst", "x"), ledger.get("z")) == (3, [], [], None)


def test_a_group_is_in_the_order_of_its_objects():
    ledger = Ledger()
    for name, of in (("a", "z"), ("b", "x"), ("c", "y")):
        ledger.hold(named(name, "t", of), Cause.ALERT)
    key = "t", VERDICT.matcher
    assert [name for *_, name in ledger.places(key)] == ["b", "c", "a"]
    ledger.drop("c", Cause.NOT_NEW)
    assert [name for *_, name in ledger.places(key)] == ["b", "a"]
    assert ledger.places(("unknown", "grb")) == []


def test_what_was_kept_since_the_last_revision_is_restored():
    ledger = Ledger()
    said, quiet = replace(COINCIDENCE, id="one", revision=2), replace(COINCIDENCE, id="one", revision=2, overlap=9.0)
    ledger.restore(said)
    ledger.restore_quiet(quiet)
    assert (ledger.get("one"), ledger.kept("one"), ledger.standing()) == (said, quiet, [quiet])
    assert ledger.verdict("one").statistics is None
    for stale in (replace(quiet, revision=1, overlap=8.0), replace(quiet, id="unknown")):
        ledger.restore_quiet(stale)
    assert (ledger.kept("one"), len(ledger)) == (quiet, 1)
    withdrawn = replace(said, id="two", state=State.WITHDRAWN)
    ledger.restore(withdrawn)
    assert (ledger.verdict("two"), ids(ledger.current())) == (None, ["one"])
    assert ledger.touched() == []


def test_changes_add_up():
    steps = [Changes([VERDICT], []), Changes(), Changes([], [VERDICT])]
    assert Changes.of(steps) == Changes([VERDICT], [VERDICT])
    assert Changes.of(steps).all() == [VERDICT, VERDICT]
