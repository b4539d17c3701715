from dataclasses import replace

from matchers.ledger import Cause, Ledger
from schemas.records import Coincidence, Provenance, State
from tests.coincidences import COINCIDENCE

JUDGED = replace(COINCIDENCE, id="one", revision=0, state=State.PROPOSED, reason="", changed_us=0)


def settle(ledger: Ledger, judged: Coincidence | None, reason: str = Cause.ALERT, at: int = 5) -> Coincidence | None:
    return ledger.settle("one", judged, reason, at)


def test_proposed_updated_withdrawn_and_proposed_again():
    ledger = Ledger()
    farther = replace(JUDGED, separation_deg=9.0)
    assert settle(ledger, None) is None
    said = [
        settle(ledger, JUDGED),
        settle(ledger, JUDGED, at=6),
        settle(ledger, farther, Cause.NOTICE, 7),
        settle(ledger, None, Cause.RETRACTED, 8),
        settle(ledger, None, Cause.RETRACTED, 9),
        settle(ledger, farther, Cause.NOTICE, 10),
    ]
    assert said == [
        replace(JUDGED, revision=1, reason="alert", changed_us=5),
        None,
        replace(farther, revision=2, state=State.UPDATED, reason="notice", changed_us=7),
        replace(farther, revision=3, state=State.WITHDRAWN, reason="retracted", changed_us=8),
        None,
        replace(farther, revision=4, reason="notice", changed_us=10),
    ]
    assert list(ledger) == ledger.current() == [said[-1]]


def test_a_new_notice_or_input_alone_is_no_change_but_new_science_is():
    ledger = Ledger()
    settle(ledger, JUDGED)
    trigger = JUDGED.trigger
    same = [
        replace(JUDGED, trigger=replace(trigger, revision=77, notice_ivorn="ivo://x/y#z", notice_origin="z")),
        replace(JUDGED, trigger=replace(trigger, links={"new": "https://example.org"})),
        replace(JUDGED, provenance=Provenance("other", "0", ("more",))),
    ]
    assert [settle(ledger, judged) for judged in same] == [None, None, None]
    new = [
        replace(JUDGED, trigger=replace(trigger, far_hz=0.125)),
        replace(JUDGED, trigger=replace(trigger, time_us=1)),
        replace(JUDGED, trigger=replace(trigger, test=not trigger.test)),
        replace(JUDGED, trigger=replace(trigger, localisation_model="better")),
        replace(JUDGED, object=replace(JUDGED.object, alert_ids=(1, 2, 3))),
        replace(JUDGED, credible_level=0.123),
    ]
    assert [said.state for judged in new if (said := settle(ledger, judged))] == [State.UPDATED] * 6


def test_coincidences_are_found_by_trigger_and_object():
    ledger = Ledger()
    others = {
        name: replace(
            JUDGED,
            id=name,
            trigger=replace(JUDGED.trigger, id=trigger),
            object=replace(JUDGED.object, survey=survey, object_id=object_id),
        )
        for name, trigger, survey, object_id in (
            ("c", "t1", "ztf", "x"),
            ("b", "t1", "ztf", "y"),
            ("a", "t2", "ztf", "x"),
        )
    }
    for name, judged in others.items():
        ledger.settle(name, judged, Cause.ALERT, 1)
    ledger.settle("b", None, Cause.NOT_NEW, 2)

    def ids(found: list[Coincidence]) -> list[str]:
        return [coincidence.id for coincidence in found]

    assert ids(ledger.of_trigger("t1")) == ["b", "c"]
    assert ids(ledger.of_object("ztf", "x")) == ["a", "c"]
    assert ids(ledger.current()) == ["a", "c"]
    assert ids(list(ledger)) == ["a", "b", "c"]
    assert (len(ledger), ledger.of_trigger("t9"), ledger.of_object("lsst", "x"), ledger.get("z")) == (3, [], [], None)
