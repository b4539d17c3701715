"""Surveys and notices in over a real Kafka, coincidences out over it, the service a process of its own."""

import json
import random
import re
import uuid
from contextlib import closing

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridges.files import find_files, read_files
from bridges.simulator import NightPlan, simulate
from broker.store.database import open_for_reading
from schemas.catalogue import SchemaCatalogue
from schemas.reading import read_message
from schemas.records import Kind, Message
from schemas.survey import looks_like_alerts
from tests.e2e.live.child import until
from tests.e2e.live.conftest import Site, by_night, standing
from tests.schemas.gcn_notices import SCHEMAS
from tests.survey_packets import LSST_WHOLE, ZTF, container, framed, lsst_alert, ztf_alert

pytestmark = pytest.mark.not_measured
CODECS = ("gzip", "snappy", "lz4", "zstd")
SCHEMA_ID = 703


def quarantined(service) -> dict[tuple[str, str], int]:
    asked = "SELECT origin, reason, count(*) FROM rejected GROUP BY origin, reason"
    with closing(open_for_reading(service.store)) as database:
        return {(origin, reason): number for origin, reason, number in database.execute(asked)}


def stored(service) -> int:
    with closing(open_for_reading(service.store)) as database:
        asked = "SELECT (SELECT ifnull(sum(rows), 0) FROM alerts) + (SELECT ifnull(sum(rows), 0) FROM part)"
        return database.execute(asked).fetchone()[0]


def parts(messages, number):
    """Consecutive parts of about equal length."""
    size = -(-len(messages) // number)
    return [messages[start : start + size] for start in range(0, len(messages), size)]


def takes_back(body: bytes) -> bool:
    """Whether it is a notice that withdraws its trigger, or says that it was none."""
    if looks_like_alerts(body):
        return False
    notices = read_message(Message(body, ""), SchemaCatalogue()).notices
    return any(notice.kind is Kind.RETRACTION or notice.astrophysical is False for notice in notices)


async def test_coincidences_are_those_of_a_replay_of_what_lies_in_the_topics(site, night):
    """Topics by pattern, some of which come while the service runs; packets of every codec; poison in between."""
    messages = by_night(night[0].messages())
    some = random.Random(1)
    poison = [
        ("ztf_20261006_programid1", messages[5][1][:700]),
        ("ztf_20261006_programid1", some.randbytes(1_000_000)),
        ("ztf_20261006_programid1", b""),
        ("ztf_20261006_programid1", None),
        ("gcn.classic.voevent.FERMI_GBM_ALERT", b"<?xml version='1.0'?><VOEvent"),
        ("gcn.notices.einstein_probe.wxt.alert", b'{"id": ' * 100),
        ("gcn.notices.einstein_probe.wxt.alert", b"Subscribed topic not available: Broker: Unknown topic or partition"),
    ]
    withdrawing = [one for one in messages if takes_back(one[1])]
    first, *rest = parts([one for one in messages if one not in withdrawing], len(CODECS))
    await site.produce(first, compression_type=CODECS[0])
    async with site.service(site.tables()) as service:
        await site.produce(poison)
        for codec, part in zip(CODECS[1:], rest, strict=True):
            await site.produce(part, compression_type=codec)
        await site.until_kept(service)
        before = standing(await site.check(service))
        # Only now, as what is taken back before its alerts come was never proposed.
        await site.produce(withdrawing)
        await site.until_kept(service)
        came = await site.check(service)
        assert {one["state"] for one in came} == {"proposed", "updated", "withdrawn"}
        gone = before.keys() - standing(came).keys()
        assert gone
        assert {one["id"] for one in came if one["state"] == "withdrawn"} >= gone
        reference = await site.reference(service)
        told = b"Subscribed topic not available"
        text = {r.origin for r in await site.records() if r.value is not None and r.value.startswith(told)}
        expected = {key: n for key, n in reference.rejected.items() if key[0] not in text}
        assert quarantined(service) == expected
        assert len(expected) == 5
        assert stored(service) == len(reference.stored())
        assert await service.stop() == 0


async def test_notices_of_all_three_families_make_triggers(site):
    """A classic VOEvent, GCN's unified JSON and LVK's; what a library says of a topic is none of them."""
    few = dict.fromkeys(("variables", "supernovae", "outbursts", "asteroids", "artefacts"), 25)
    made = by_night(simulate(4, NightPlan(nights=4, bursts_seen=1, bursts_unseen=1, **few)).notices())
    probe = {
        "$schema": f"{SCHEMAS}einstein_probe/wxt/alert.schema.json",
        "instrument": "WXT",
        "trigger_time": "2026-10-06T03:21:00Z",
        "id": ["01709130131"],
        "ra": 120.0,
        "dec": 40.0,
        "ra_dec_error": 0.05,
        "image_snr": 9.0,
    }
    await site.produce([("gcn.notices.einstein_probe.wxt.alert", json.dumps(probe).encode())])
    async with site.service(site.tables()) as service:
        await site.produce(made)
        await site.until_kept(service)
        reference = await site.reference(service)
        with closing(open_for_reading(service.store)) as database:
            kept = {trigger for (trigger,) in database.execute("SELECT DISTINCT trigger_id FROM notice")}
    assert kept == {trigger.id for trigger in reference.engine.triggers()}
    assert {name.partition(":")[0] for name in kept} >= {"fermi-gbm", "lvk", "icecube"}
    assert any("01709130131" in name for name in kept)


@pytest.mark.parametrize("schemas", ["registry", "folder"])
async def test_packets_of_rubin_in_confluents_frame(kafka, tmp_path, schemas):
    """The schema comes from a registry, or from a folder."""
    site, topic = Site(kafka, tmp_path), f"lsst-{uuid.uuid4().hex[:8]}"
    text = json.dumps(LSST_WHOLE)
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        found = request.path == f"/schemas/ids/{SCHEMA_ID}"
        return web.json_response({"schema": text}) if found else web.json_response({"error_code": 40403}, status=404)

    packets = [
        framed(SCHEMA_ID, LSST_WHOLE, lsst_alert(diaSourceId=170_000 + n, diaObjectId=n + 1, ra=10.0 + n / 10))
        for n in range(50)
    ]
    unknown = framed(9, LSST_WHOLE, lsst_alert(diaSourceId=1))
    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    async with TestServer(app) as registry:
        lsst = {"schema_registry_url": str(registry.make_url("")).rstrip("/")}
        if schemas == "folder":
            folder = site.folder / "schemas"
            folder.mkdir()
            (folder / f"{SCHEMA_ID}.avsc").write_text(text)
            lsst = {"schema_folder": "schemas"}
        tables = site.tables(lsst=lsst, sources={"ztf": site.survey(re.escape(topic))})
        await site.produce([(topic, body) for body in packets])
        async with site.service(tables) as service:
            await site.produce([(topic, unknown), (topic, packets[0])])
            await site.until_kept(service)
            assert stored(service) == len(packets)
            assert {reason for _, reason in quarantined(service)} == {"unknown_schema"}
    assert (f"/schemas/ids/{SCHEMA_ID}" in asked) == (schemas == "registry")


async def test_real_packets_of_both_surveys_are_stored_as_a_replay_stores_them(site, data_dir):
    """All that are at hand, of a megabyte too, in every codec of Kafka, three partitions, two topics, at once."""
    found = [
        message.body
        for message in read_files(find_files([data_dir / "alerts-ztf", data_dir / "alerts-lsst"]))
        if isinstance(message, Message) and looks_like_alerts(message.body)
    ]
    assert len(found) > 100
    large = container(ZTF, [ztf_alert(candid=77)], codec="null")
    large_alert = ztf_alert(candid=78)
    large_alert["cutoutScience"]["stampData"] = random.Random(2).randbytes(1 << 20)
    found += [large, container(ZTF, [large_alert])]
    for codec, part in zip(CODECS, parts(found, len(CODECS)), strict=True):
        await site.produce(
            ((f"ztf_2026112{n % 2}_programid1", body) for n, body in enumerate(part)), compression_type=codec
        )
    async with site.service(site.tables(store={"retention_d": 400.0, "packets": "full"})) as service:
        await site.until_kept(service)
        reference = await site.reference(service)
        assert stored(service) == len(reference.stored()) > 10
        assert quarantined(service) == reference.rejected


async def test_nothing_is_lost_when_the_service_is_killed_and_then_kafka(own_site, night):
    """Both at once is for `test_torture`."""
    site = own_site
    messages = by_night(night[0].messages())
    first, second, third = parts(messages, 3)
    await site.produce(first)
    async with site.service(site.tables()) as service:
        await service.kill()
        await site.produce(second)
        await service.start()
        await service.until_running()
        await site.kafka.kill()
        # The survey's client may ask a server that is away for 40 seconds before it says so; GCN's says so at once.
        await until(lambda: service.event("no connection to the survey") or service.event("trouble with GCN"))
        await site.kafka.start()
        await site.produce(third)
        await site.until_kept(service)
        came = await site.check(service)
        latest: dict[str, int] = {}
        seen: dict[tuple[str, int], dict] = {}
        for one in came:
            assert one["revision"] <= latest.get(one["id"], 0) + 1
            latest[one["id"]] = max(latest.get(one["id"], 0), one["revision"])
            assert seen.setdefault((one["id"], one["revision"]), one) == one
        assert await service.stop() == 0
