"""What parts tell, as metrics and lines of the log."""

import pytest
from structlog.testing import capture_logs

from bridges.kafka_session import BatchTaken
from broker.metrics import Metrics
from broker.observers import Observers
from broker.pipeline import Stages
from broker.store.records import Batch, Capped, KeptNotice
from schemas.errors import Reason
from schemas.records import Alerts, Message, Rejection
from tests.coincidences import COINCIDENCE
from tests.matchers.made import alerts_of

STAGES = Stages(0.1, 0.2, 0.3, 0.4)


def some_alerts(count: int) -> Alerts:
    return alerts_of([{"id": number, "obj": f"o{number}", "t": 0, "ra": 1.0, "dec": 2.0} for number in range(count)])


def kept(number: int) -> KeptNotice:
    return KeptNotice(Message(b"<v/>", f"n{number}"), 0, f"ivo://x#{number}", f"fermi-gbm:{number}")


def test_a_batch_is_counted_and_told_in_one_line():
    metrics = Metrics()
    batch = Batch(
        source="s",
        stored=[some_alerts(3)],
        noted=[some_alerts(2)],
        notices=[kept(1)],
        rejected=[(Rejection("o", Reason.TRUNCATED, "d"), b"")],
        changes=[COINCIDENCE],
        capped=[Capped("all", 1, "c", 1)],
    )
    with capture_logs() as lines:
        Observers(metrics).taken([Message(b"1234", "a"), Message(b"12", "b")], batch, STAGES)
    (line,) = lines
    assert line == {
        "event": "batch kept", "log_level": "info", "source": "s", "messages": 2, "alerts": 3, "cut": 2, "notices": 1,
        "rejected": {"truncated": 1}, "coincidences": {str(COINCIDENCE.state): 1}, "capped": 1, "took_s": 1.0,
        "trigger": "fermi-gbm:1", "ivorn": "ivo://x#1",
    }  # fmt: skip
    survey = batch.stored[0].survey
    for name, labels, value in [
        ("messages_total", {"source": "s"}, 2),
        ("message_bytes_total", {"source": "s"}, 6),
        ("notices_total", {"source": "s"}, 1),
        ("rejected_total", {"source": "s", "reason": "truncated"}, 1),
        ("alerts_stored_total", {"survey": survey}, 3),
        ("alerts_cut_total", {"survey": survey}, 2),
        ("changes_total", {"state": str(COINCIDENCE.state)}, 1),
        ("capped_total", {"substream": "all"}, 1),
        ("batch_seconds_sum", {"source": "s", "stage": "matched"}, 0.3),
    ]:
        assert metrics.value(f"starcross_{name}", **labels) == value, name


def test_several_notices_have_a_line_each():
    with capture_logs() as lines:
        Observers(Metrics()).taken([], Batch(source="gcn", notices=[kept(1), kept(2)]), STAGES)
    assert [line["event"] for line in lines] == ["batch kept", "notice kept", "notice kept"]
    assert [line.get("trigger") for line in lines] == [None, "fermi-gbm:1", "fermi-gbm:2"]


def test_what_parts_tell_is_counted_under_their_names():
    metrics = Metrics()
    observers = Observers(metrics)
    observers.restarted("source s")
    observers.sent("out", 3, 0, 0.5)
    observers.not_sent("out", "Undelivered")
    observers.map_fetched("delivered")
    observers.vtp_in("v")("accepted")
    observers.folder("f").unreadable(Rejection("o", Reason.CORRUPT, "d"))
    for name, labels, value in [
        ("restarts_total", {"part": "source s"}, 1),
        ("sent_total", {"sink": "out"}, 3),
        ("send_seconds_sum", {"sink": "out"}, 0.5),
        ("send_failures_total", {"sink": "out", "why": "Undelivered"}, 1),
        ("map_fetches_total", {"outcome": "delivered"}, 1),
        ("vtp_packets_total", {"source": "v", "outcome": "accepted"}, 1),
        ("rejected_total", {"source": "f", "reason": "corrupt"}, 1),
    ]:
        assert metrics.value(f"starcross_{name}", **labels) == value, name


def test_a_survey_over_kafka_is_away_until_it_is_connected():
    metrics = Metrics()
    observers = Observers(metrics)
    survey = observers.kafka_survey("ztf")
    assert observers.away.keys() == {"ztf"}
    survey.connected(3)
    assert (observers.away, metrics.value("starcross_source_connected", source="ztf")) == ({}, 1)
    survey.lag("night", 0, 5)
    survey.lag("night", 1, 2)
    survey.lag("night", 0, 1)
    survey.gap("night", 0, 7)
    survey.taken(BatchTaken(0, 0, 1, 0.0, 0.0))
    assert metrics.value("starcross_arrival_seconds_count", source="ztf") is None
    survey.taken(BatchTaken(1, 1, 0, 2.5, 1.0))
    assert metrics.value("starcross_arrival_seconds_sum", source="ztf") == 2.5
    assert metrics.value("starcross_lag_messages", source="ztf") == 3
    assert metrics.value("starcross_gap_messages_total", source="ztf") == 7
    survey.disconnected("no servers")
    assert (observers.away["ztf"], metrics.value("starcross_source_connected", source="ztf")) == ("no servers", 0)


@pytest.mark.parametrize(("tell", "connected"), [("heartbeat", 1), ("silence", 0)])
def test_gcn_is_connected_while_its_heart_beats(tell, connected):
    metrics = Metrics()
    gcn = Observers(metrics).gcn("gcn")
    getattr(gcn, tell)(*([] if tell == "heartbeat" else [99.0]))
    assert metrics.value("starcross_source_connected", source="gcn") == connected
    gcn.not_a_notice("topic[0]@7", "text of a stranger")
    gcn.trouble("_TRANSPORT", "text of a stranger")
    assert metrics.value("starcross_not_notices_total", source="gcn") == 1
    assert metrics.value("starcross_source_troubles_total", source="gcn") == 1
    assert b"stranger" not in metrics.page()
