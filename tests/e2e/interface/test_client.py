"""The client against a real service: what it asks, what it follows, and what it says when something is wrong."""

import asyncio
import socket
from contextlib import AsyncExitStack, aclosing
from itertools import islice
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bridges.client import AsyncClient, Client, ServerProblem, Unreachable
from schemas.errors import ConfigurationError
from tests.e2e.http.site import CONE, TRIGGER, alert, site
from tests.e2e.interface.conftest import MAP

WIDE = {"cone": {"ra_deg": 100.0, "dec_deg": 30.0, "radius_deg": 40.0}, "trigger_time": "2026-10-06T05:00:00Z"}
BURST, NEAR = {"cone": CONE, "trigger_time": TRIGGER}, (150.1, -12.1)


@pytest.fixture
def client(interface):
    with Client(interface.url, interface.token()) as one:
        yield one


def test_who_one_is(client, interface):
    assert client.status()["owner"] == "ada"
    assert client.status()["scopes"] == ["read", "upload"]
    with Client(interface.url) as nobody:
        assert nobody.status()["owner"] == ""


def test_an_upload_lives_and_ends(client, map_file):
    made = client.upload(str(map_file), name="mine", level=0.5, new_object=False, private=True)
    assert (made["name"], made["private"], made["owner"]) == ("mine", True, "ada")
    assert made["search"] == {"before_s": 0.0, "after_d": 20.0, "level": 0.5, "new_object": False}
    better = client.replace(made["id"], MAP, level=0.9)
    assert (better["revision"], better["id"]) == (2, made["id"])
    assert len(better["coincidences"]) > len(made["coincidences"]) > 0
    best = better["coincidences"][0]
    assert client.coincidence(best["id"])["newest"] == best
    listed = list(client.coincidences(trigger=made["trigger"], state=None))
    assert {one["id"] for one in better["coincidences"]} <= {one["id"] for one in listed}
    source = best["object"]
    where = {"ra_deg": source["ra_deg"], "dec_deg": source["dec_deg"], "time_utc": source["first_match_utc"]}
    assert made["trigger"] in {one["trigger"] for one in client.match([where])}
    client.delete(made["id"])
    assert client.skymap(made["id"])["state"] == "withdrawn"
    assert client.match([where]) == [one for one in client.match([where]) if one["trigger"] != made["trigger"]]


def test_a_position_instead_of_a_file(client):
    assert client.upload(WIDE, name="a cone")["position"]["area_90_deg2"] == pytest.approx(4825, rel=0.1)


def test_all_parts_of_a_list_are_read(client, monkeypatch):
    at_once = [one["id"] for one in client.coincidences(matcher="grb")]
    monkeypatch.setattr("bridges.client._PAGE", 3)
    assert [one["id"] for one in client.coincidences(matcher="grb")] == at_once
    assert len(set(at_once)) == len(at_once) > 6


def test_who_has_enough_may_leave(client):
    first, second = islice(client.coincidences(revisions="all"), 2)
    since = f"{first['id']}.r{first['revision']}"
    for one in client.follow(since=since, where="overlap >= 0"):
        assert (one["id"], one["revision"]) == (second["id"], second["revision"])
        break
    assert client.status()["ready"]


def test_what_is_wrong_is_said_with_its_place(client, interface):
    with pytest.raises(ServerProblem, match=r"422: .*query\.where: .*read on") as wrong:
        next(client.follow(where="mag <"))
    assert wrong.value.status == 422
    with pytest.raises(ServerProblem, match=r"422: .*trigger_time: the file does not say"):
        client.upload({"cone": CONE})
    with pytest.raises(ServerProblem, match=r"404: there is no trigger 'upload:0000'"):
        client.skymap("0000")
    with Client(interface.url, "st_0") as stranger, pytest.raises(ServerProblem, match="401: the token does not count"):
        stranger.status()
    with Client(interface.url) as nobody, pytest.raises(ServerProblem, match="401: this needs a token"):
        nobody.upload(WIDE)
    with pytest.raises(RuntimeError, match="outside of its with block"):
        nobody.status()


async def test_without_async_beside_a_loop_that_runs(interface):
    """As in a notebook."""
    with Client(interface.url) as client:
        assert client.status()["ready"]


@pytest.mark.parametrize(
    ("server", "token", "said"),
    [("http://[::1", "", "is not the URL"), ("http://127.0.0.1:1", "st_\n", "the token has characters")],
)
def test_what_cannot_be_a_server_or_a_token(server, token, said):
    with pytest.raises(ConfigurationError, match=said) as wrong:
        Client(server, token)
    assert "st_" not in str(wrong.value)


def test_a_server_that_is_away():
    with Client("http://127.0.0.1:1") as client, pytest.raises(Unreachable, match=r"127\.0\.0\.1:1: cannot be reached"):
        client.status()


async def test_a_server_that_is_none_of_ours():
    async def answer(request: web.Request) -> web.StreamResponse:
        if "moved" in request.path:
            raise web.HTTPMovedPermanently("https://elsewhere.example/api/v1/status")
        return web.Response(text="hello", status=int(request.path.split("/")[1]))

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    async with TestServer(app) as server:
        for path, said in (
            ("200", "something else than JSON"),
            ("502", "502: Bad Gateway"),
            ("moved", "sends on to https://elsewhere"),
        ):
            async with AsyncClient(str(server.make_url(f"/{path}"))) as client:
                with pytest.raises((Unreachable, ServerProblem), match=said):
                    await client.status()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def test_a_restart_loses_nothing_and_repeats_nothing(tmp_path: Path, caplog):
    port = f"port = {free_port()}"
    heard: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

    async def follow(client: AsyncClient) -> None:
        async with aclosing(client.follow()) as revisions:
            async for one in revisions:
                heard.put_nowait((one["id"], one["revision"]))

    async with AsyncExitStack() as stack:
        async with site(tmp_path, port) as here:
            client = await stack.enter_async_context(AsyncClient(here.url, here.token("ada", "read", "upload")))
            following = asyncio.create_task(follow(client))
            while not (await client.status())["listeners"]:  # noqa: ASYNC110 - it is the server who knows
                await asyncio.sleep(0.02)
        received: list[tuple[str, int]] = []
        # The server goes while nothing was heard yet, and after that while something was.
        for hours in range(1, 4):
            async with site(tmp_path, port) as here:
                await here.alerts(*(alert(f"ZTF20x{hours}{number}", *NEAR, hours=hours) for number in range(5)))
                made = await client.upload(BURST)
                told = [(one["id"], one["revision"]) async for one in client.coincidences(revisions="all")]
                while len(received := [*received, await asyncio.wait_for(heard.get(), 60)]) < len(told):
                    pass
                assert received == told
                await client.delete(made["id"])
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert "is interrupted, and tried again" in caplog.text
