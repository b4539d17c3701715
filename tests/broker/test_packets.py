"""Which packets of a batch are kept."""

import pytest

from broker.packets import packets_to_keep
from schemas.records import Message, State
from tests.coincidences import changed
from tests.matchers.made import alerts_of

ALERTS = alerts_of([{"id": n, "obj": f"o{n}", "t": 5, "ra": 1.0, "dec": 2.0} for n in (1, 2)])
MESSAGES = [Message(b"first", "a1"), Message(b"\0\0\0\0\7second", "a2")]
LIGHT = {"a1": b"1", "a2": b"2"}


def kept(policy, *changes, stored=(ALERTS,)):
    return [
        (packet.alert_id, packet.body, packet.schema_id, packet.matched)
        for packet in packets_to_keep(MESSAGES, stored, changes, policy, LIGHT)
    ]


def of(alert_id: int, state: State = State.PROPOSED):
    return changed(state=state, object={"survey": "ztf", "alert_ids": (alert_id,)})


SECOND = (2, b"\0\0\0\0\7second", 7, True)


@pytest.mark.parametrize(
    ("policy", "others"),
    [("none", []), ("stripped", [(1, b"1", None, False)]), ("full", [(1, b"first", None, False)])],
)
def test_matched_ones_are_kept_whole_and_others_by_choice(policy, others):
    assert kept(policy, of(2)) == [*others, SECOND]


def test_what_was_withdrawn_did_not_match():
    assert kept("none", of(2, State.WITHDRAWN)) == []


@pytest.mark.parametrize("policy", ["none", "full"])
def test_where_no_alert_is_new_there_is_nothing_to_keep(policy):
    assert kept(policy, of(2), stored=()) == []


def test_one_that_could_not_be_made_smaller_is_kept_whole():
    found = packets_to_keep(MESSAGES, [ALERTS], [], "stripped", {"a1": b"1"})
    assert [packet.body for packet in found] == [b"1", MESSAGES[1].body]
