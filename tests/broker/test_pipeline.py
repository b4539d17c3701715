"""A live source's batches through the engine."""

import asyncio
from pathlib import Path

from broker.config import load_config
from broker.pipeline import Pipeline, make_engine
from broker.reader import Reader
from broker.registry import make_matchers
from schemas.catalogue import SchemaCatalogue
from schemas.errors import Reason
from schemas.records import Coincidence, Message, State
from tests.e2e.hostile_inputs import GOOD_ALERT, GOOD_NOTICE
from tests.schemas.voevent_packets import packet
from tests.survey_packets import ZTF, container, ztf_alert

ALERT, NOTICE = Message(GOOD_ALERT, "alert"), Message(GOOD_NOTICE, "notice")
NOW = 1_600_000_000_000_000


def pipeline(*settings: str, step_alerts: int = 100) -> tuple[Pipeline, list[Coincidence]]:
    config = load_config(None, settings)
    delivered: list[Coincidence] = []

    async def deliver(change: Coincidence) -> None:
        await asyncio.sleep(0)
        delivered.append(change)

    engine = make_engine(config, make_matchers(config, Path()), "a test")
    reader = Reader(SchemaCatalogue(), None)
    return Pipeline(engine, reader, step_alerts=step_alerts, deliver=deliver, clock=lambda: NOW), delivered


async def test_either_direction_finds_the_same():
    for order in ([ALERT, NOTICE], [NOTICE, ALERT]):
        pipe, delivered = pipeline()
        for message in order:
            receipt = await pipe.emit([message])
            assert (receipt.accepted, receipt.rejected) == (1, ())
        (found,) = delivered
        assert (found.trigger.id, found.object.object_id, found.state) == (
            "fermi-gbm:600117987", "ZTF20aaaaaaa", State.PROPOSED,
        )  # fmt: skip
        assert found.changed_us == NOW


async def test_a_receipt_names_what_was_not_readable():
    pipe, delivered = pipeline()
    receipt = await pipe.emit([ALERT, Message(b"?", "text"), NOTICE, Message(b"Obj\x01", "cut")])
    assert receipt.accepted == 2
    assert {(r.origin, r.reason) for r in receipt.rejected} == {
        ("text", Reason.UNKNOWN_FORMAT),
        ("cut", Reason.TRUNCATED),
    }
    assert len(delivered) == 1


async def test_a_position_that_makes_no_density_is_rejected_and_its_notice_still_heard():
    body = b"""{"$schema": "https://gcn.nasa.gov/schema/v4.0.0/gcn/notices/km3net/alert.schema.json", "id": "1",
            "trigger_time": "2026-01-01T00:00:00Z", "healpix_file": "U0lNUExFICA9"}"""
    pipe, _ = pipeline()
    receipt = await pipe.emit([Message(body, "notice")])
    assert [(r.origin, r.reason) for r in receipt.rejected] == [("notice", Reason.TRUNCATED)]
    (trigger,) = pipe.engine.triggers()
    assert trigger.skymap is None


async def test_notices_of_no_trigger_are_accepted_and_ignored():
    pipe, delivered = pipeline()
    receipt = await pipe.emit([Message(packet(129, position=(1, 2), radius=None), "pointing")])
    assert (receipt.accepted, delivered, list(pipe.engine.triggers())) == (1, [], [])


async def test_large_batches_are_matched_in_steps_and_leave_the_loop_free():
    alerts = container(ZTF, [ztf_alert(candid=n, jdstarthist=2458849.75, object_id=f"ZTF{n}") for n in range(25)])
    pipe, delivered = pipeline(step_alerts=10)
    await pipe.emit([NOTICE])
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    neighbour = asyncio.create_task(others())
    await pipe.emit([Message(alerts, "many")])
    neighbour.cancel()
    assert len(delivered) == 25
    assert turns > 3


async def test_two_sources_take_turns():
    pipe, delivered = pipeline()
    receipts = await asyncio.gather(*(pipe.emit([message]) for message in (NOTICE, ALERT, NOTICE, ALERT)))
    assert [receipt.accepted for receipt in receipts] == [1, 1, 1, 1]
    assert len(delivered) == 1
    assert pipe.engine.counts.duplicate_notices == 1
    assert pipe.engine.counts.duplicates["ztf"] == 1
