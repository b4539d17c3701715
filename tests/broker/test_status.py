"""What the service tells of itself: readiness, status and gauges."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridges.emit import Emit
from broker.clocks import DataClock, WallClock
from broker.metrics import METRICS, Metrics
from broker.observers import Observers
from broker.plan import Plan
from broker.service import Service
from broker.status import LONGEST_OUTBOX_AGE_S, checks, outbox_age_s, refresh, status
from broker.store.records import Trouble
from broker.store.store import Store
from schemas.records import Message
from schemas.times import US_PER_S
from tests.broker.test_parts import KEY, config_of
from tests.e2e.hostile_inputs import GOOD_ALERT, GOOD_NOTICE

HOOK = "[sinks.hook]\nkind = 'webhook'\nurl = 'http://127.0.0.1:9/'\nsecret = {file = 'key'}\n"
LINES = "[sinks.lines]\nkind = 'json-lines'\npath = 'out.jsonl'\n"


class Calm:
    """A source that brings what it is told to, and may be silent."""

    silent_for_s = 1.0

    async def run(self, emit: Emit) -> None:
        await emit([Message(GOOD_ALERT, "alert"), Message(GOOD_NOTICE, "notice"), Message(b"?", "text")], {"t[0]": 3})
        await asyncio.Event().wait()

    def status(self) -> dict[str, int]:
        return {"peers": 1}


@asynccontextmanager
async def serving(folder: Path, text: str, clock=None):
    """A service that runs in this loop, and its metrics."""
    (folder / "key").write_text(KEY)
    clock = clock or WallClock()

    def load() -> Plan:
        return Plan.of(config_of(folder, (folder / "next.toml").read_text()), folder)

    (folder / "next.toml").write_text(text)
    plan = load()
    store = await Store.open(folder / plan.config.store.folder, plan.config.store, clock)
    try:
        metrics = Metrics()
        service = Service(plan, store, clock, Observers(metrics), load)
        metrics.refresh = lambda metrics: refresh(service, metrics)
        await service.restore()
        service.start()
        yield service, metrics
        await service.stop()
    finally:
        await store.close()


async def take(service: Service) -> None:
    service.sources["calm"] = calm = Calm()
    service.supervisor.start("source calm", lambda: calm.run(service.pipeline.inlet("calm")))
    async with asyncio.timeout(30):
        while not service.store.backlog("hook").count:  # noqa: ASYNC110 - what is waited for is in the store
            await asyncio.sleep(0.01)


async def test_all_is_told_of_a_service_that_runs(tmp_path):
    async with serving(tmp_path, HOOK + LINES + "[service]\nstop_within_s = 0.1") as (service, metrics):
        assert set(checks(service).values()) == {""}
        assert checks(service).keys() == {"store", "engine", "maps", "maintenance", "sink hook", "sink lines"}
        await take(service)
        told = status(service)
        assert told["sources"]["calm"] == {"positions": 1, "status": {"peers": 1}}
        assert told["sinks"]["hook"]["waiting"] == 1
        assert told["parts"]["source calm"] == {"status": "running", "restarts": 0, "trouble": ""}
        assert (told["alerts"], told["triggers"], told["coincidences"]) == (1, 1, {"proposed": 1})
        assert told["counts"]["received"] == {"ztf": 1}
        assert told["outboxes_without_sink"] == {}
        families = {family.name: family for family in text_string_to_metric_families(metrics.page().decode())}
        for name, value in [("stored_alerts", 1), ("triggers", 1), ("maps_pending", 0), ("store_trouble", 0)]:
            assert metrics.value(f"starcross_{name}") == value, name
        assert metrics.value("starcross_outbox_entries", sink="hook") == 1
        assert metrics.value("starcross_heartbeat_silence_seconds", source="calm") == 1.0
        assert metrics.value("starcross_coincidences", state="proposed") == 1
        assert not any(name.endswith("_created") for name in families)


async def test_no_label_comes_from_strangers(tmp_path):
    async with serving(tmp_path, HOOK + "[service]\nstop_within_s = 0.1") as (service, metrics):
        await take(service)
        ours = {"calm", "hook", "ztf", "all", "maps", "lsst", "elasticc", "gw", "grb", "neutrino", "xray"}
        fixed = {"state", "reason", "stage", "part", "outcome", "why", "le"}
        seen = set()
        for family in text_string_to_metric_families(metrics.page().decode()):
            for sample in family.samples:
                if sample.name.startswith("starcross_"):
                    seen |= sample.labels.keys()
                    assert {v for k, v in sample.labels.items() if k not in fixed} <= ours, sample
        assert seen <= fixed | {label for row in METRICS.values() for label in row.labels}


async def test_what_keeps_it_from_being_ready_is_told(tmp_path, monkeypatch):
    async with serving(tmp_path, HOOK + "[service]\nstop_within_s = 0.1") as (service, metrics):
        await take(service)
        service.sources["calm"].silent_for_s = 500.0
        assert checks(service)["source calm"] == "no heartbeat for 500 s"
        service.observers.away["calm"] = "Kafka at example.org: no answer"
        assert checks(service)["source calm"] == "not connected: Kafka at example.org: no answer"
        now_us = service.clock() + round(2 * LONGEST_OUTBOX_AGE_S * US_PER_S)
        monkeypatch.setattr(WallClock, "__call__", lambda _: now_us)
        assert outbox_age_s(service, "hook") > LONGEST_OUTBOX_AGE_S
        assert checks(service)["sink hook"].startswith("1 wait, the oldest for 7")
        monkeypatch.setattr(service.store._writer, "trouble", Trouble("disk full", 0))
        assert checks(service)["store"] == "disk full, since 1970-01-01T00:00:00.000000Z"
        assert metrics.page()
        assert metrics.value("starcross_store_trouble") == 1
        monkeypatch.setattr(service.store._writer, "trouble", None)

        async def failing() -> None:
            raise ConnectionError("nobody there")

        service.supervisor.start("source bad", failing)
        async with asyncio.timeout(30):
            while not checks(service).get("source bad"):  # noqa: ASYNC110 - another task's next step
                await asyncio.sleep(0)
        assert checks(service)["source bad"] == "restarting: ConnectionError: nobody there"
        service.pipeline.failed.set_exception(ZeroDivisionError())
        assert checks(service)["engine"] == "failed"


async def test_by_the_clock_of_the_data_nothing_is_late(tmp_path):
    async with serving(tmp_path, HOOK + "[service]\nstop_within_s = 0.1", DataClock()) as (service, _):
        await take(service)
        service.clock.saw(service.clock() + 10**12)
        assert outbox_age_s(service, "hook") > LONGEST_OUTBOX_AGE_S
        assert checks(service)["sink hook"] == ""


async def test_subscribers_over_vtp_are_counted(tmp_path):
    async with serving(tmp_path, "[sinks.vtp]\nkind = 'vtp'\nport = 0\n") as (service, metrics):
        async with asyncio.timeout(30):
            while service.drains["vtp"].sink is None:  # noqa: ASYNC110 - another task's next step
                await asyncio.sleep(0)
        assert metrics.page()
        assert metrics.value("starcross_vtp_subscribers", sink="vtp") == 0
        assert status(service)["sinks"]["vtp"]["status"] == []


async def test_it_tells_the_service_manager_in_a_line(tmp_path):
    async with serving(tmp_path, LINES) as (service, _):
        assert service.in_a_line() == "0 sources, 1 sinks, 0 alerts"


@pytest.mark.parametrize("part", [SimpleNamespace(), None])
async def test_a_part_need_not_tell_anything(tmp_path, part):
    async with serving(tmp_path, LINES) as (service, metrics):
        service.sources["mute"] = part
        assert status(service)["sources"]["mute"] == {"positions": 0}
        assert metrics.page()
        del service.sources["mute"]
