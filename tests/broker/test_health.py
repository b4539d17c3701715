"""The port for those who watch the service."""

from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from broker.health import HealthServer
from broker.metrics import Metrics


@dataclass(frozen=True)
class Remote:
    address: str
    filters: tuple[str, ...]
    folder: Path


def server(*, checks=dict, status=dict, metrics=None, host="127.0.0.1", port=0) -> HealthServer:
    return HealthServer(host, port, metrics=metrics or Metrics(), checks=checks, status=status)


async def get(made: HealthServer, path: str) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.get(made.url + path) as answer:
        return answer.status, answer.content_type, await answer.text()


async def get_json(made: HealthServer, path: str) -> tuple[int, dict]:
    async with aiohttp.ClientSession() as session, session.get(made.url + path) as answer:
        return answer.status, await answer.json()


async def test_it_lives_whatever_is_wrong():
    async with server(checks=lambda: {"store": "the disk is full"}) as made:
        assert (await get(made, "/healthz"))[0] == 200


async def test_it_is_ready_when_nothing_is_wrong():
    troubles = {"store": "", "sink webhook": ""}
    async with server(checks=lambda: troubles) as made:
        ok = {"store": "ok", "sink webhook": "ok"}
        assert await get_json(made, "/readyz") == (200, {"ready": True, "checks": ok})
        troubles["store"] = "the disk is full"
        status, told = await get_json(made, "/readyz")
    assert status == 503
    assert told == {"ready": False, "checks": {"store": "the disk is full", "sink webhook": "ok"}}


async def test_checks_that_fail_are_not_ready():
    def failing():
        raise ZeroDivisionError("of a check")

    async with server(checks=failing) as made:
        status, told = await get_json(made, "/readyz")
    assert status == 503
    assert told["checks"] == {"checks": "failed: ZeroDivisionError: of a check"}


async def test_the_status_is_json_of_records():
    told = {"sources": {"vtp": {"status": [Remote("a:8099", ("//Param",), Path("x"))]}}, "alerts": 7}
    async with server(status=lambda: told) as made:
        status, shown = await get_json(made, "/status")
    assert status == 200
    remote = {"address": "a:8099", "filters": ["//Param"], "folder": "x"}
    assert shown == {"sources": {"vtp": {"status": [remote]}}, "alerts": 7}


async def test_the_metrics_are_prometheus_text():
    metrics = Metrics()
    metrics.add("starcross_messages_total", 3, source="ztf")
    async with server(metrics=metrics) as made:
        status, kind, text = await get(made, "/metrics")
    assert (status, kind) == (200, "text/plain")
    assert 'starcross_messages_total{source="ztf"} 3.0' in text.splitlines()


async def test_there_is_nothing_else():
    async with server() as made, aiohttp.ClientSession() as session:
        async with session.get(made.url + "/") as answer:
            assert answer.status == 404
        async with session.post(made.url + "/readyz", data=b"x") as answer:
            assert answer.status == 405


async def test_a_port_that_is_taken_is_told():
    async with server() as made:
        with pytest.raises(OSError, match="in use"):
            await server(port=int(made.url.rpartition(":")[2])).__aenter__()


async def test_at_an_ipv6_address():
    try:
        async with server(host="::1") as made:
            assert made.url.startswith("http://[::1]:")
            assert (await get(made, "/healthz"))[0] == 200
    except OSError:
        pytest.skip("there is no IPv6 on this machine")
