"""What a batch says, and what becomes of a batch that a mistake of ours keeps from being read."""

import pytest
from structlog.testing import capture_logs

from broker import intake
from broker.intake import map_of, take_in
from broker.reader import Reader
from schemas.catalogue import SchemaCatalogue
from schemas.errors import Reason
from schemas.records import Message
from tests.broker.test_pipeline import pipeline
from tests.e2e.hostile_inputs import GOOD_ALERT, GOOD_NOTICE
from tests.survey_packets import ZTF, container, ztf_alert

ALERT, NOTICE = Message(GOOD_ALERT, "alert"), Message(GOOD_NOTICE, "notice")
POISON = Message(b"<poison/>", "poison")


class Stumbling(Reader):
    """Has a mistake that one message brings out."""

    def _decode(self, messages):
        if any(message.body == POISON.body for message in messages):
            raise ZeroDivisionError("a mistake")
        return super()._decode(messages)


def reader() -> Reader:
    return Stumbling(SchemaCatalogue(), None)


async def test_a_mistake_costs_the_one_message_that_brings_it_out():
    with capture_logs() as lines:
        read = await take_in(reader(), [ALERT, POISON, NOTICE], include_tests=False)
    assert [(r.origin, r.reason, r.detail) for r in read.rejected] == [
        ("poison", Reason.INTERNAL, "ZeroDivisionError: a mistake")
    ]
    assert [alerts.object_id.tolist() for alerts in read.alerts if len(alerts)] == [["ZTF20aaaaaaa"]]
    ((notice, skymap),) = read.heard
    assert notice.trigger_id == "fermi-gbm:600117987"
    assert skymap is not None
    together, alone = lines
    assert together["exc_info"] is True
    assert together["log_level"] == "error"
    assert isinstance(alone["exc_info"], ZeroDivisionError), "the log shows where"
    assert alone["origin"] == "poison"


async def test_a_source_is_not_held_up_by_it_and_it_goes_into_quarantine():
    pipe, kept = pipeline()
    pipe.reader = reader()
    receipt = await pipe.inlet("a")([POISON, ALERT], {"t": 2})
    assert (receipt.accepted, [r.reason for r in receipt.rejected]) == (1, [Reason.INTERNAL])
    assert [(r.reason, body) for r, body in kept.batches[0].rejected] == [(Reason.INTERNAL, POISON.body)]
    assert kept.positions("a") == {"t": 2}
    assert not pipe.failed.done()


async def test_a_mistake_in_making_a_density_costs_only_the_density(monkeypatch):
    def stumble(_):
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(intake, "skymap_of", stumble)
    read = await take_in(reader(), [NOTICE], include_tests=False)
    assert [(r.origin, r.reason) for r in read.rejected] == [("notice", Reason.INTERNAL)]
    assert [skymap for _, skymap in read.heard] == [None]


@pytest.mark.parametrize(
    ("raised", "reason"), [(None, Reason.UNKNOWN_FORMAT), (ZeroDivisionError("a mistake"), Reason.INTERNAL)]
)
def test_a_map_that_cannot_be_read_is_rejected(monkeypatch, raised, reason):
    if raised is not None:
        monkeypatch.setattr(intake, "read_skymap", lambda _: (_ for _ in ()).throw(raised))
    rejected = []
    assert map_of(Message(b"<html>soon</html>", "map"), rejected) is None
    assert [(r.origin, r.reason) for r in rejected] == [("map", reason)]


async def test_densities_of_tests_are_made_on_request():
    body = GOOD_NOTICE.replace(b'role="observation"', b'role="test"')
    assert body != GOOD_NOTICE
    for asked in (False, True):
        ((_, skymap),) = (await take_in(reader(), [Message(body, "n")], include_tests=asked)).heard
        assert (skymap is not None) == asked


async def test_packets_are_made_without_stamps_on_request():
    body = container(ZTF, [ztf_alert() | {"cutoutScience": {"fileName": "a", "stampData": b"\0" * 5000}}])
    messages = [Message(body, "alert"), Message(body[:-20], "torn"), NOTICE]
    assert (await take_in(reader(), messages, include_tests=False)).stripped == {}
    read = await take_in(reader(), messages, include_tests=False, strip=True)
    assert read.stripped.keys() == {"alert"}
    assert len(read.stripped["alert"]) < len(body) - 4900
