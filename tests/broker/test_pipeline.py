"""A live source's batches through the engine."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from bridges.emit import Positions
from broker.audience import Audience
from broker.config import load_config
from broker.pipeline import Pipeline, make_engine
from broker.reader import Reader
from broker.registry import make_matchers
from broker.store.records import Batch, CoincidenceEntry, NoticeEntry
from broker.substreams import Router, Substream, SubstreamOptions
from matchers.ledger import Changes
from schemas.catalogue import SchemaCatalogue
from schemas.errors import Reason
from schemas.records import Coincidence, Message, State
from tests.e2e.hostile_inputs import GOOD_ALERT, GOOD_NOTICE
from tests.matchers.made import notice_of
from tests.schemas.maps import flat
from tests.schemas.voevent_packets import packet
from tests.survey_packets import ZTF, container, ztf_alert

ALERT, NOTICE = Message(GOOD_ALERT, "alert"), Message(GOOD_NOTICE, "notice")
NOW = 1_600_000_000_000_000


class Fixed:
    """A clock that stands still."""

    def __call__(self) -> int:
        return NOW

    def saw(self, instant_us: int) -> None:
        pass


class Kept:
    """Keeps batches in memory, once it is allowed to."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.allowed = asyncio.Event()
        self.allowed.set()

    def positions(self, source: str) -> Positions:
        found: dict[str, int] = {}
        for batch in self.batches:
            found |= batch.positions if batch.source == source else {}
        return found

    def commit(self, batch: Batch) -> asyncio.Future[None]:
        self.batches.append(batch)
        return asyncio.ensure_future(self._wait())

    async def _wait(self) -> None:
        await self.allowed.wait()

    async def has(self, batches: int) -> None:
        """Wait until so many were to be kept."""
        while len(self.batches) < batches:  # noqa: ASYNC110 - what is waited for is another task's next step
            await asyncio.sleep(0)

    @property
    def changes(self) -> list[Coincidence]:
        return [change for batch in self.batches for change in batch.changes]


def pipeline(*settings: str, step_alerts: int = 100, **options: Any) -> tuple[Pipeline, Kept]:
    config = load_config(None, settings)
    kept = Kept()
    engine = make_engine(config, make_matchers(config, Path()), "a test")
    reader = Reader(SchemaCatalogue(), None)
    return Pipeline(engine, reader, kept, clock=Fixed(), step_alerts=step_alerts, **options), kept


async def test_either_direction_finds_the_same():
    for order in ([ALERT, NOTICE], [NOTICE, ALERT]):
        pipe, kept = pipeline()
        for message in order:
            receipt = await pipe.take("a", [message])
            assert (receipt.accepted, receipt.rejected) == (1, ())
        (found,) = kept.changes
        assert (found.trigger.id, found.object.object_id, found.state) == (
            "fermi-gbm:600117987", "ZTF20aaaaaaa", State.PROPOSED,
        )  # fmt: skip
        assert found.changed_us == NOW


async def test_a_receipt_names_what_was_not_readable():
    pipe, kept = pipeline()
    receipt = await pipe.take("a", [ALERT, Message(b"?", "text"), NOTICE, Message(b"Obj\x01", "cut")])
    assert receipt.accepted == 2
    assert {(r.origin, r.reason) for r in receipt.rejected} == {
        ("text", Reason.UNKNOWN_FORMAT),
        ("cut", Reason.TRUNCATED),
    }
    assert len(kept.changes) == 1


async def test_a_position_that_makes_no_density_is_rejected_and_its_notice_still_heard():
    body = b"""{"$schema": "https://gcn.nasa.gov/schema/v4.0.0/gcn/notices/km3net/alert.schema.json", "id": "1",
            "trigger_time": "2026-01-01T00:00:00Z", "healpix_file": "U0lNUExFICA9"}"""
    pipe, _ = pipeline()
    receipt = await pipe.take("a", [Message(body, "notice")])
    assert [(r.origin, r.reason) for r in receipt.rejected] == [("notice", Reason.TRUNCATED)]
    (trigger,) = pipe.engine.triggers()
    assert trigger.skymap is None


async def test_notices_of_no_trigger_are_accepted_and_ignored():
    pipe, kept = pipeline()
    receipt = await pipe.take("a", [Message(packet(129, position=(1, 2), radius=None), "pointing")])
    assert (receipt.accepted, kept.changes, list(pipe.engine.triggers())) == (1, [], [])
    assert [notice.trigger_id for notice in kept.batches[0].notices] == [None]


async def test_large_batches_are_matched_in_steps_and_leave_the_loop_free():
    alerts = container(ZTF, [ztf_alert(candid=n, jdstarthist=2458849.75, object_id=f"ZTF{n}") for n in range(25)])
    pipe, kept = pipeline(step_alerts=10)
    await pipe.take("a", [NOTICE])
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    neighbour = asyncio.create_task(others())
    await pipe.take("a", [Message(alerts, "many")])
    neighbour.cancel()
    assert len(kept.changes) == 25
    assert turns > 3


async def test_two_sources_take_turns():
    pipe, kept = pipeline()
    receipts = await asyncio.gather(*(pipe.take("a", [message]) for message in (NOTICE, ALERT, NOTICE, ALERT)))
    assert [receipt.accepted for receipt in receipts] == [1, 1, 1, 1]
    assert len(kept.changes) == 1
    assert pipe.engine.counts.duplicate_notices == 1
    assert pipe.engine.counts.duplicates["ztf"] == 1


async def test_a_batch_holds_all_that_it_changed_with_the_position_of_its_source():
    pipe, kept = pipeline()
    inlet = pipe.inlet("survey")
    assert inlet.positions == {}
    await inlet([NOTICE, ALERT, Message(b"?", "text")], {"topic[0]": 3})
    (batch,) = kept.batches
    assert (batch.source, batch.positions, inlet.positions) == ("survey", {"topic[0]": 3}, {"topic[0]": 3})
    assert pipe.inlet("other").positions == {}
    (stored,) = batch.stored
    assert stored.object_id.tolist() == ["ZTF20aaaaaaa"]
    assert [(n.message.origin, n.trigger_id, n.heard_us) for n in batch.notices] == [
        ("notice", "fermi-gbm:600117987", NOW)
    ]
    assert [(rejection.origin, body) for rejection, body in batch.rejected] == [("text", b"?")]
    (packet_kept,) = batch.packets
    assert (packet_kept.body, packet_kept.matched, packet_kept.object_id) == (GOOD_ALERT, True, "ZTF20aaaaaaa")


@pytest.mark.parametrize(("policy", "kept_bytes"), [("none", 0), ("stripped", 1), ("full", 2)])
async def test_packets_that_matched_nothing_are_kept_by_choice(policy, kept_bytes):
    alert = ztf_alert(jdstarthist=2458849.75) | {"cutoutScience": {"fileName": "a", "stampData": b"\0" * 5000}}
    body = container(ZTF, [alert])
    pipe, kept = pipeline(packets=policy)
    await pipe.take("a", [Message(body, "alert")])
    found = [(packet.matched, (len(packet.body) > 5000) + 1) for packet in kept.batches[0].packets]
    assert found == ([(False, kept_bytes)] if kept_bytes else [])


async def test_changes_go_to_the_sinks_of_their_substreams_and_relayed_notices_to_those_that_pass_them_on():
    audience = Audience({"kafka": frozenset({"all"}), "other": frozenset({"none"})}, ("vtp",))
    pipe, kept = pipeline(audience=audience)
    await pipe.inlet("gcn", relayed=True)([NOTICE])
    await pipe.inlet("survey", relayed=True)([ALERT])
    ((relayed,), (entry,)) = (batch.outbox for batch in kept.batches)
    assert relayed == NoticeEntry("vtp", kept.batches[0].notices[0].ivorn)
    (change,) = kept.changes
    assert entry == CoincidenceEntry("kafka", change.id, 1, ("all",))


async def test_what_is_begun_is_kept_even_if_its_source_is_cancelled():
    pipe, kept = pipeline()
    kept.allowed.clear()
    source = asyncio.create_task(pipe.take("a", [ALERT], {"t": 1}))
    await kept.has(1)
    source.cancel()
    with pytest.raises(asyncio.CancelledError):
        await source
    closing = asyncio.create_task(pipe.close())
    await asyncio.sleep(0)
    assert not closing.done()
    kept.allowed.set()
    await closing
    assert kept.positions("a") == {"t": 1}


async def test_batches_are_kept_in_the_order_of_the_engine():
    pipe, kept = pipeline()
    kept.allowed.clear()
    takes = [asyncio.create_task(pipe.take(name, [message])) for name, message in [("a", ALERT), ("b", NOTICE)]]
    await kept.has(2)
    assert len(kept.batches[1].changes) + len(kept.batches[0].changes) == 1, "the second is matched meanwhile"
    kept.allowed.set()
    await asyncio.gather(*takes)


async def test_nothing_is_taken_any_more_once_the_engine_failed():
    pipe, kept = pipeline()
    pipe.engine.add_alerts = None  # type: ignore[assignment,method-assign]
    for _ in range(2):
        with pytest.raises((TypeError, RuntimeError)):
            await pipe.take("a", [ALERT])
    assert isinstance(pipe.failed.exception(), TypeError)
    assert kept.batches == []


LINK = "https://example.org/files/map.fits"


async def test_a_map_that_was_fetched_counts_from_when_it_comes_and_a_bad_one_is_rejected():
    pipe, kept = pipeline()
    pipe.engine.restore_notice(replace(notice_of(), skymap_url=LINK), None, 0)
    pipe.engine.reopen()
    receipt = await pipe.take_skymap("fermi-gbm:1", notice_of().ivorn, LINK, Message(b"SIMPLE", "map"))
    assert [(r.origin, body) for r, body in kept.batches[0].rejected] == [("map", b"SIMPLE")]
    assert (receipt.accepted, len(receipt.rejected), len(list(pipe.engine.unmapped()))) == (0, 1, 1)
    body = flat(np.full(12, 1 / 12))
    assert (await pipe.take_skymap("fermi-gbm:1", notice_of().ivorn, LINK, Message(body, "map"))).accepted == 1
    (stored,) = kept.batches[1].skymaps
    assert (stored.url, stored.body, stored.heard_us, list(pipe.engine.unmapped())) == (LINK, body, NOW, [])
    (trigger,) = pipe.engine.triggers()
    assert trigger.skymap.area_deg2(0.9) > 30_000


async def test_a_map_that_was_dropped_goes_to_the_notice_that_links_to_it():
    pipe, kept = pipeline()
    pipe.engine.restore_notice(replace(notice_of(), skymap_url=LINK), None, 0)
    pipe.engine.reopen()
    receipt = await pipe.take("a", [Message(flat(np.full(12, 1 / 12)), "folder/map.fits")])
    assert receipt.accepted == 1
    assert [(kept_map.trigger_id, kept_map.url) for kept_map in kept.batches[0].skymaps] == [("fermi-gbm:1", LINK)]
    assert list(pipe.engine.unmapped()) == []


async def test_a_sky_map_without_a_notice_is_told():
    pipe, _ = pipeline()
    receipt = await pipe.take("a", [Message(flat(np.full(12, 1 / 12)), "bayestar.fits")])
    assert [(r.origin, r.reason) for r in receipt.rejected] == [("bayestar.fits", Reason.UNLINKED)]


async def test_what_the_engine_is_made_to_do_is_kept_too():
    pipe, kept = pipeline()
    await pipe.take("a", [NOTICE, ALERT])
    (proposed,) = kept.changes
    await pipe.act("configuration", lambda: [Changes([proposed])])
    assert (kept.batches[-1].source, kept.batches[-1].changes) == ("configuration", [proposed])


async def test_many_changes_are_routed_off_the_loop_and_a_function_that_fails_is_told_once():
    alerts = container(ZTF, [ztf_alert(candid=n, jdstarthist=2458849.75, object_id=f"ZTF{n}") for n in range(150)])
    threads = set()

    def condition(_: Coincidence) -> bool:
        threads.add(threading.current_thread().name)
        raise ZeroDivisionError("not a good function")

    router = Router(
        [Substream("mine", SubstreamOptions(), condition), Substream("all", SubstreamOptions(), lambda _: 1)]
    )
    pipe, kept = pipeline(router=router, audience=Audience({"out": frozenset({"all"})}))
    await pipe.take("a", [Message(alerts, "many")])
    with capture_logs() as lines:
        await pipe.take("a", [NOTICE])
    assert len(kept.changes) == len(kept.batches[-1].outbox) == 150
    assert threading.main_thread().name not in threads
    (line,) = (line for line in lines if line["event"] == "substream's function failed")
    assert (line["substream"], line["times"]) == ("mine", 150)


async def test_what_stands_is_assessed_once_an_hour_and_kept_under_a_name_of_its_own(monkeypatch):
    pipe, kept = pipeline("revisions.posterior=0")
    await pipe.take("a", [NOTICE, ALERT])
    before = len(kept.batches)
    await pipe.reassess()
    assert len(kept.batches) == before, "it was, with the batch"
    monkeypatch.setattr(pipe, "_clock", lambda: NOW + 3_600_000_000)
    seen = [ztf_alert(candid=n, object_id=f"ZTF{n}", rb=0.1, jd=2458851.75, ra=148.0 + n / 5) for n in range(2, 22)]
    pipe.engine.add_alerts(pipe.reader.read_one(Message(container(ZTF, seen), "around it")).alerts[0])
    await pipe.reassess()
    await pipe.reassess()
    (batch,) = kept.batches[before:]
    assert batch.source == "assessment"
    assert [(change.reason, change.changed) for change in batch.changes] == [("assessment", ("posterior",))]


async def test_what_differs_too_little_is_kept_and_sent_to_nobody():
    pipe, kept = pipeline(
        "revisions.light_curve=false", "revisions.posterior=1", "revisions.chance_factor=1e6", "revisions.ranks=[]",
        audience=Audience({"out": frozenset({"all"})}),
    )  # fmt: skip
    await pipe.take("a", [NOTICE, ALERT])
    again = ztf_alert(candid=2, jd=2458850.75, jdstarthist=2458849.75)
    await pipe.take("a", [Message(container(ZTF, [again]), "again")])
    batch = kept.batches[-1]
    assert (batch.changes, batch.outbox) == ([], [])
    (quiet,) = batch.quiet
    assert quiet.object.alert_ids[-1] == 2
    assert [packet_kept.matched for packet_kept in batch.packets] == [True]
    assert pipe.engine.standing() == [quiet]
