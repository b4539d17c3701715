"""The life of the service's parts in one loop: reloading, stopping, going on; its process is tested in `tests/e2e`."""

import asyncio
import json

import pytest
from lxml import etree
from structlog.testing import capture_logs

from bridges.vtp.broadcaster import Broadcaster
from broker.clocks import DataClock
from schemas.errors import ConfigurationError
from schemas.records import Message
from tests.broker.test_status import HOOK, LINES, serving
from tests.e2e.hostile_inputs import GOOD_ALERT, GOOD_NOTICE

FOLDER = "[sources.drop]\nkind = 'folder'\npath = 'dropped'\nsettle_s = 0.0\n"


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for is another task's doing
            await asyncio.sleep(0.005)


async def reloaded(service, folder, text) -> list[dict]:
    (folder / "next.toml").write_text(text)
    with capture_logs() as lines:
        await service.reload()
    return lines


async def test_parts_that_did_not_change_run_on_and_others_come_and_go(tmp_path):
    (tmp_path / "dropped").mkdir()
    async with serving(tmp_path, FOLDER + LINES) as (service, _):
        drop, lines = service.sources["drop"], service.drains["lines"]
        await reloaded(
            service, tmp_path, FOLDER + LINES + "[sources.sim]\nkind = 'simulator'\nenabled = false\n" + HOOK
        )
        assert (service.sources["drop"], service.drains["lines"]) == (drop, lines)
        assert service.drains.keys() == {"lines", "hook"}
        await reloaded(service, tmp_path, FOLDER.replace("0.0", "0.5") + LINES.replace("out", "other"))
        assert service.sources["drop"] is not drop
        assert service.drains["lines"] is not lines
        assert service.drains.keys() == {"lines"}
        await reloaded(service, tmp_path, LINES.replace("out", "other"))
        assert service.sources == {}
        assert str(service.supervisor.parts["source drop"].status) == "stopped"


async def test_sinks_change_with_the_author_and_their_substreams(tmp_path):
    async with serving(tmp_path, LINES) as (service, _):
        before = service.drains["lines"]
        await reloaded(service, tmp_path, LINES + "[voevent]\nauthority = 'example.org'\n")
        after = service.drains["lines"]
        assert after is not before
        await reloaded(service, tmp_path, LINES + "substreams = ['all']\n[voevent]\nauthority = 'example.org'\n")
        assert service.drains["lines"] is not after


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[sinks.x]\nkind = 'json-lines'\npth = 'x'\n", "sinks.x.pth"),
        ("[sources.x]\nkind = 'vtp-subscriber'\nremotes = ['example.org']\n", "from the next start on"),
        ("[sources.x]\nkind = 'gcn'\nclient_id = 'x'\nclient_secret = {file = 'nowhere'}\n", "sources.x"),
        ("[matchers.mine]\npython = 'nowhere.py:Mine'\n", "matchers.mine"),
    ],
)
async def test_a_wrong_configuration_changes_nothing(tmp_path, text, told):
    async with serving(tmp_path, LINES) as (service, _):
        plan, drain = service.plan, service.drains["lines"]
        (line,) = await reloaded(service, tmp_path, text)
        assert line["event"] == "configuration not changed"
        assert told in line["why"]
        assert (service.plan, service.drains) == (plan, {"lines": drain})


async def test_to_stop_while_it_reloads_does_no_harm(tmp_path):
    (tmp_path / "dropped").mkdir()
    cancelled, let_go = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
            await let_go.wait()

    async with serving(tmp_path, FOLDER + LINES) as (service, _):
        await service.supervisor.stop(["source drop"])
        service.supervisor.start("source drop", stubborn)
        await asyncio.sleep(0)
        (tmp_path / "next.toml").write_text(LINES)
        reloading = asyncio.create_task(service.reload())
        await cancelled.wait()
        reloading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reloading
        let_go.set()


async def test_what_counts_from_the_next_start_on_is_told(tmp_path):
    async with serving(tmp_path, LINES) as (service, _):
        lines = await reloaded(service, tmp_path, LINES + "[store]\npackets = 'full'\n[cuts]\nenabled = false\n")
        assert {
            "event": "counts from the next start on",
            "log_level": "warning",
            "sections": ["cuts", "store"],
        } in lines


async def test_a_part_that_cannot_be_made_keeps_all_from_starting(tmp_path):
    with pytest.raises(ConfigurationError, match=r"sinks\.hook: .*secret cannot be read"):
        async with serving(tmp_path, LINES + HOOK.replace("'key'", "'nowhere'")):
            pass


async def test_a_store_is_taken_up_again_with_its_clock(tmp_path):
    clock = DataClock()
    async with serving(tmp_path, LINES, clock) as (service, _):
        await service.pipeline.inlet("a")([Message(GOOD_ALERT, "alert"), Message(GOOD_NOTICE, "notice")], {"t": 2})
        await until(lambda: not service.store.backlog("lines").count)
    seen_us = clock()
    again = DataClock()
    async with serving(tmp_path, LINES, again) as (service, _):
        assert len(service.pipeline.engine.index) == 1
        assert again() == seen_us
        assert service.pipeline.inlet("a").positions == {"t": 2}


async def test_a_notice_that_can_be_read_no_more_does_not_keep_it_from_starting(tmp_path, monkeypatch):
    async with serving(tmp_path, LINES) as (service, _):
        await service.pipeline.inlet("a")([Message(GOOD_ALERT, "alert"), Message(GOOD_NOTICE, "notice")])

    def stumble(*_, **__):
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr("broker.service.density", stumble)
    async with serving(tmp_path, LINES) as (service, _):
        (trigger,) = service.pipeline.engine.triggers()
        assert trigger.skymap is None
    monkeypatch.setattr("broker.reader.read_message", stumble)
    with capture_logs() as lines:
        async with serving(tmp_path, LINES) as (service, _):
            assert list(service.pipeline.engine.triggers()) == []
            assert len(service.pipeline.engine.index) == 1
    assert any(line["log_level"] == "error" and "notice" in line["event"] for line in lines)


async def test_notices_are_passed_on_as_they_came(tmp_path):
    async with serving(tmp_path, "[sinks.vtp]\nkind = 'vtp'\nport = 0\nrelay_notices = true\n") as (service, metrics):
        await service.pipeline.inlet("gcn", relayed=True)([Message(GOOD_NOTICE, "notice")])
        await until(lambda: metrics.value("starcross_sent_total", sink="vtp") == 1)
        assert service.store.backlog("vtp").count == 0


async def test_a_notice_that_is_converted_cites_the_one_before_it_over_a_restart_too(tmp_path, monkeypatch):
    sent: list[bytes] = []

    async def broadcast(_: Broadcaster, event: bytes) -> None:
        sent.append(event)

    monkeypatch.setattr(Broadcaster, "broadcast", broadcast)
    schema = "https://gcn.nasa.gov/schema/v4.0.0/gcn/notices/einstein_probe/wxt/alert.schema.json"
    told = {"$schema": schema, "instrument": "WXT", "trigger_time": "2026-11-21T03:00:00Z", "id": ["01709000001"]}
    for number, ra_deg in enumerate((120.0, 120.5), 1):
        body = json.dumps(told | {"ra": ra_deg, "dec": 30.0, "ra_dec_error": 0.05}).encode()
        text = "[sinks.vtp]\nkind = 'vtp'\nport = 0\nrelay_notices = true\n"
        async with serving(tmp_path, text) as (service, _):
            message = Message(body, f"topic[0]@{number}", "gcn.notices.einstein_probe.wxt.alert")
            await service.pipeline.inlet("gcn", relayed=True)([message])
            await until(lambda number=number: len(sent) == number)
            await until(lambda service=service: service.store.backlog("vtp").count == 0)
    first, second = map(etree.fromstring, sent)
    assert [cited.text for cited in second.iter("EventIVORN")] == [first.get("ivorn")]
    assert list(first.iter("EventIVORN")) == []


async def test_it_expires_and_seals_now_and_then(tmp_path):
    clock = DataClock()
    async with serving(tmp_path, LINES + "[service]\nmaintain_every_s = 0.01\n", clock) as (service, _):
        await service.pipeline.inlet("a")([Message(GOOD_ALERT, "alert"), Message(GOOD_NOTICE, "notice")])
        clock.saw(clock() + 40 * 86_400_000_000)
        await until(lambda: len(service.pipeline.engine.index) == 0)
        assert list(service.pipeline.engine.triggers()) == []


async def test_it_is_open_once_its_sinks_are_and_does_not_wait_for_ever(tmp_path):
    async with serving(tmp_path, LINES) as (service, _):
        await service.opened()
        drain = service.drains["lines"]
        assert drain.sink is not None
        drain.opened.clear()
        await service.opened(within_s=0.01)
