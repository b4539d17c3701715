"""Messages of all kinds at once, and schemas that are asked for."""

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web

from broker.config import load_config
from broker.reader import Reader, make_reader
from schemas.catalogue import SchemaCatalogue
from schemas.errors import ConfigurationError, Reason
from schemas.records import Message
from tests.schemas.maps import blob, flat
from tests.schemas.voevent_packets import packet
from tests.survey_packets import LSST_WHOLE, ZTF, container, framed, lsst_alert, ztf_alert

ID = 805
FRAMED = framed(ID, LSST_WHOLE, lsst_alert())


def messages(*bodies: bytes) -> list[Message]:
    return [Message(body, f"m/{number}") for number, body in enumerate(bodies)]


@pytest.fixture
async def registry():
    """A schema registry that knows one schema, and the ids that it was asked for."""
    asked: list[int] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(int(request.match_info["id"]))
        if asked[-1] != ID:
            return web.json_response({"error_code": 40403}, status=404)
        return web.json_response({"schema": json.dumps(LSST_WHOLE)})

    app = web.Application()
    app.router.add_get("/schemas/ids/{id}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    await runner.cleanup()


def test_alerts_come_first_and_in_order_and_the_rest_one_by_one():
    reader = Reader(SchemaCatalogue(), None)
    batch = messages(
        packet(112, {"TrigID": 1}),
        container(ZTF, [ztf_alert(candid=2)]),
        b"?",
        container(ZTF, [ztf_alert(candid=1)])[:-3],
        flat(blob(1)),
        container(ZTF, [ztf_alert(candid=1)]),
    )
    alerts, notice, bad, skymap = reader.read(batch)
    assert alerts.alerts[0].alert_id.tolist() == [2, 1]
    assert alerts.alerts[0].origin.tolist() == ["m/1", "m/5"]
    assert [(r.origin, r.reason) for r in alerts.rejections] == [("m/3", Reason.TRUNCATED)]
    assert [one.message.origin for one in notice.notices] == ["m/0"]
    assert [(r.origin, r.reason) for r in bad.rejections] == [("m/2", Reason.UNKNOWN_FORMAT)]
    assert [one.origin for one in skymap.skymaps] == ["m/4"]


def test_nothing_makes_one_empty_reading():
    (reading,) = Reader(SchemaCatalogue(), None).read([])
    assert (reading.alerts, reading.rejections) == ((), ())


def test_a_schema_that_nobody_has_rejects_its_packets_alone():
    reader = Reader(SchemaCatalogue(), None)
    alerts, _ = reader.read(messages(FRAMED, packet(112, {"TrigID": 1})))
    assert [(r.origin, r.reason) for r in alerts.rejections] == [("m/0", Reason.UNKNOWN_SCHEMA)]
    one = reader.read_one(Message(FRAMED, "m/0"))
    assert [(r.origin, r.reason) for r in one.rejections] == [("m/0", Reason.UNKNOWN_SCHEMA)]


async def test_schemas_are_asked_for_once(registry):
    url, asked = registry
    reader = Reader(SchemaCatalogue(), url)
    for _ in range(2):
        (reading,) = await reader.read_async(messages(FRAMED, framed(7, ZTF, ztf_alert()), FRAMED))
        assert [part.survey for part in reading.alerts] == ["lsst"]
        assert [len(part) for part in reading.alerts] == [2]
        assert [r.reason for r in reading.rejections] == [Reason.UNKNOWN_SCHEMA]
    assert asked == [7, ID]


@pytest.mark.parametrize("way", ["read", "read_one"])
async def test_they_are_asked_for_outside_of_a_loop_too(registry, way):
    url, asked = registry
    reader = Reader(SchemaCatalogue(), url)
    if way == "read":
        (reading,) = await asyncio.to_thread(reader.read, messages(FRAMED))
    else:
        reading = await asyncio.to_thread(reader.read_one, Message(FRAMED, "m/0"))
    assert len(reading.alerts[0]) == 1
    assert asked == [ID]


def test_a_registry_that_does_not_answer_is_named_in_the_rejection():
    reader = Reader(SchemaCatalogue(), "http://127.0.0.1:9")
    rejection = reader.read_one(Message(FRAMED, "m/0")).rejections[0]
    assert rejection.reason == Reason.UNKNOWN_SCHEMA
    assert "127.0.0.1:9 does not answer" in rejection.detail


def test_schemas_may_lie_in_a_folder_that_the_configuration_names(tmp_path):
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / f"{ID}.avsc").write_text(json.dumps(LSST_WHOLE))
    config = load_config(None, ["lsst.schema_folder=schemas", "lsst.schema_package=false"])
    (reading,) = make_reader(config, tmp_path).read(messages(FRAMED))
    assert len(reading.alerts[0]) == 1
    with pytest.raises(ConfigurationError, match="no folder of schemas"):
        make_reader(config, tmp_path / "elsewhere")
    assert make_reader(load_config(None), Path()).read([])
