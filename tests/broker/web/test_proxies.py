"""Who asks through a proxy: as much as the proxy is to be believed, and not a word more."""

from ipaddress import ip_address

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from broker.web.proxies import address_of, behind_proxies

LOOPBACK, OTHER = "127.0.0.1", "10.0.0.7"


async def seen(headers, *trusted):
    """Address and scheme as the application sees them."""

    async def handler(request):
        return web.json_response([request.remote, request.scheme])

    app = web.Application(middlewares=[behind_proxies([ip_address(one) for one in trusted])])
    app.router.add_get("/", handler)
    async with TestClient(TestServer(app)) as client:
        return await (await client.get("/", headers=headers)).json()


@pytest.mark.parametrize(
    ("told", "remote"),
    [
        ([], LOOPBACK),
        (["192.0.2.1"], "192.0.2.1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["198.51.100.1, 192.0.2.1"], "192.0.2.1"),
        ([f"198.51.100.1, 192.0.2.1, {OTHER}"], "192.0.2.1"),
        ([f"{OTHER}, {OTHER}"], OTHER),
        (["198.51.100.1", "192.0.2.1"], "192.0.2.1"),  # a proxy's own header behind that of whoever asks
        (["198.51.100.1", f"192.0.2.1, {OTHER}"], "192.0.2.1"),
        (["evil"], LOOPBACK),
        (["192.0.2.1, evil"], LOOPBACK),
        (["192.0.2.1,"], LOOPBACK),
        (["192.0.2.1:8080"], LOOPBACK),
        ([f"192.0.2.1, evil, {OTHER}"], OTHER),
        (["::ffff:192.0.2.1"], "192.0.2.1"),
    ],
)
async def test_the_last_address_that_is_no_trusted_proxy_counts(told, remote):
    headers = [("X-Forwarded-For", one) for one in told]
    assert await seen(headers, LOOPBACK, OTHER) == [remote, "http"]


@pytest.mark.parametrize("trusted", [(), (OTHER,), ("::1",)])
async def test_of_others_nothing_is_believed(trusted):
    headers = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "X-Real-IP": "192.0.2.1"}
    assert await seen(headers, *trusted) == [LOOPBACK, "http"]


@pytest.mark.parametrize(
    ("told", "scheme"),
    [
        (["https"], "https"),
        (["HTTPS"], "https"),
        (["ftp"], "http"),
        (["https", "http"], "http"),
        (["x, https"], "https"),
    ],
)
async def test_the_scheme_is_what_the_last_proxy_says(told, scheme):
    assert (await seen([("X-Forwarded-Proto", one) for one in told], LOOPBACK))[1] == scheme


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_none(text):
    address = address_of(text)
    assert address is None or address_of(str(address)) == address
