import asyncio
import contextlib
import gzip
import os
import socket
import zlib

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bridges.map_fetcher import (
    HOSTS,
    MapFetcher,
    MapFetchOptions,
    NotThereYet,
    Refused,
    TimedOut,
    TooLarge,
    Unreachable,
    _PublicResolver,
)

MAP = os.urandom(300_000)
MIB = 1 << 20


class MapHost:
    """A web server on this machine that answers as it is told.

    Attributes
    ----------
    answers
        By path, what is answered; 404 elsewhere.
    asked
        Paths, in order, and the headers of the last request.
    """

    def __init__(self) -> None:
        self.answers = {}
        self.asked: list[str] = []
        self.headers = {}
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self.server = TestServer(app)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        self.headers = dict(request.headers)
        answer = self.answers.get(request.path, web.HTTPNotFound)
        made = answer(request) if callable(answer) else answer
        return await made if asyncio.iscoroutine(made) else made

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.server.port}{path}"

    def options(self, **more) -> MapFetchOptions:
        here = (f"127.0.0.1:{self.server.port}",)
        return MapFetchOptions(**{"hosts": here, "allow_http": True, "allow_private": True} | more)

    async def fetch(self, path: str, host: str = "127.0.0.1", **more) -> bytes:
        async with MapFetcher(self.options(**more)) as fetcher:
            return await fetcher.fetch(self.url(path, host))


@pytest.fixture
async def maps():
    host = MapHost()
    async with host.server:
        yield host


async def test_a_map_comes_as_it_is(maps):
    maps.answers["/a.fits.gz"] = lambda _: web.Response(body=MAP, headers={"Set-Cookie": "a=1"})
    async with MapFetcher(maps.options()) as fetcher:
        assert await fetcher.fetch(maps.url("/a.fits.gz")) == MAP
        assert await fetcher.fetch(maps.url("/a.fits.gz#here")) == MAP
    assert maps.headers["Accept-Encoding"] == "identity"
    assert "Cookie" not in maps.headers


@pytest.mark.parametrize("status", [404, 410])
async def test_not_there_yet(maps, status):
    maps.answers["/soon"] = lambda _: web.Response(status=status, body=b"x" * 1000)
    with pytest.raises(NotThereYet, match=f"answers {status}"):
        await maps.fetch("/soon")


@pytest.mark.parametrize("status", [204, 206, 304, 403, 429, 500, 503])
async def test_other_answers(maps, status):
    maps.answers["/odd"] = lambda _: web.Response(status=status)
    with pytest.raises(Unreachable, match=f"answers {status}"):
        await maps.fetch("/odd")


async def test_nobody_there(unused_tcp_port):
    url = f"http://127.0.0.1:{unused_tcp_port}/a"
    options = MapFetchOptions(hosts=(f"127.0.0.1:{unused_tcp_port}",), allow_http=True, allow_private=True)
    async with MapFetcher(options) as fetcher:
        with pytest.raises(Unreachable, match="Cannot connect"):
            await fetcher.fetch(url)


async def test_a_name_that_does_not_exist():
    async with MapFetcher(MapFetchOptions(hosts=("*",))) as fetcher:
        with pytest.raises(Unreachable):
            await fetcher.fetch("https://nowhere.invalid/a")


async def test_too_large_by_its_length(maps):
    sent = []

    async def large(request):
        response = web.StreamResponse(headers={"Content-Length": str(2 * MIB)})
        await response.prepare(request)
        sent.append(request)
        return response

    maps.answers["/large"] = large
    with pytest.raises(TooLarge, match="larger than 1048576"):
        await maps.fetch("/large", size_mib=1)


async def test_too_large_without_a_length(maps):
    written = 0

    async def endless(request):
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(1 << 16))
                written += 1 << 16
        except ConnectionError:
            return response

    maps.answers["/endless"] = endless
    with pytest.raises(TooLarge, match="larger than 1048576"):
        await maps.fetch("/endless", size_mib=1)
    assert written < 64 * MIB


async def test_exactly_as_large_as_allowed(maps):
    maps.answers["/a"] = lambda _: web.Response(body=bytes(MIB))
    assert await maps.fetch("/a", size_mib=1) == bytes(MIB)


def _encoded(body: bytes, encoding: str):
    return lambda _: web.Response(body=body, headers={"Content-Encoding": encoding})


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip"])
async def test_a_compressed_transfer_is_unpacked_once(maps, encoding):
    twice = gzip.compress(gzip.compress(MAP))
    maps.answers["/a"] = _encoded(twice, encoding)
    assert await maps.fetch("/a") == gzip.decompress(twice)


async def test_a_compressed_transfer_is_bounded(maps):
    maps.answers["/bomb"] = _encoded(gzip.compress(bytes(40 * MIB)), "gzip")
    with pytest.raises(TooLarge, match="unpacks to more than"):
        await maps.fetch("/bomb", size_mib=1)


@pytest.mark.parametrize(
    ("body", "encoding", "message"),
    [
        (gzip.compress(MAP)[:-20], "gzip", "gzip"),
        (b"plain", "gzip", "gzip"),
        (zlib.compress(MAP), "deflate", "sent as 'deflate'"),
        (MAP, "br", "sent as 'br'"),
    ],
)
async def test_a_transfer_that_cannot_be_unpacked(maps, body, encoding, message):
    maps.answers["/a"] = _encoded(body, encoding)
    with pytest.raises(Unreachable, match=message):
        await maps.fetch("/a")


async def test_a_transfer_that_breaks_off(maps):
    async def torn(request):
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 500)
        request.transport.close()
        return response

    maps.answers["/torn"] = torn
    with pytest.raises(Unreachable):
        await maps.fetch("/torn")


async def test_a_host_that_dawdles(maps):
    async def drip(request):
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b"x")
            await asyncio.sleep(0.05)
        return response

    maps.answers["/slow"] = drip
    with pytest.raises(TimedOut, match=r"within 0.3 s"):
        await maps.fetch("/slow", timeout_s=0.3)


def _redirect(to: str, status: int = 302):
    return lambda _: web.Response(status=status, headers={"Location": to})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(maps, status):
    maps.answers |= {
        "/deep/a": _redirect("../b", status),
        "/b": _redirect(maps.url("/c"), status),
        "/c": lambda _: web.Response(body=MAP),
    }
    assert await maps.fetch("/deep/a", redirects=2) == MAP
    with pytest.raises(Refused, match="more than 1 redirects"):
        await maps.fetch("/deep/a", redirects=1)


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("http://169.254.169.254/latest/meta-data", "not among the hosts"),
        ("file:///etc/passwd", "begins neither"),
        ("http://[", "no URL"),
        ("http://user:word@127.0.0.1/", "comes with a user name"),
        ("http://127.0.0.1:1/", "not among the hosts"),
    ],
)
async def test_redirects_keep_to_the_rules(maps, to, message):
    maps.answers["/a"] = _redirect(to)
    with pytest.raises(Refused, match=message):
        await maps.fetch("/a")
    assert maps.asked == ["/a"]


async def test_a_redirect_to_nowhere(maps):
    maps.answers["/a"] = lambda _: web.Response(status=302)
    with pytest.raises(Refused, match="more than 5 redirects"):
        await maps.fetch("/a")


@pytest.mark.parametrize("pattern", ["localhost", "*"])
async def test_a_name_of_a_private_address_is_refused(maps, pattern):
    maps.answers["/a"] = lambda _: web.Response(body=MAP)
    hosts = (f"{pattern}:{maps.server.port}",)
    with pytest.raises(Refused, match="no public address"):
        await maps.fetch("/a", "localhost", allow_private=False, hosts=hosts)
    assert not maps.asked
    assert await maps.fetch("/a", "localhost", hosts=hosts) == MAP


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104
        "224.0.1.1",
        "[::1]",
        "[fe80::1]",
        "[fd00::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[2002:7f00:1::]",
        "[64:ff9b::10.0.0.1]",
        "[ff02::1]",
    ],
)
async def test_special_addresses_are_refused(host):
    async with MapFetcher(MapFetchOptions(hosts=("*",))) as fetcher:
        with pytest.raises(Refused, match="not a public address"):
            await fetcher.fetch(f"https://{host}/a.fits")


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f.1", "017700000001"])
async def test_addresses_in_disguise_lead_nowhere(host):
    async with MapFetcher(MapFetchOptions(hosts=("*",))) as fetcher:
        with pytest.raises((Refused, Unreachable)):
            await fetcher.fetch(f"https://{host}/a.fits")


async def test_only_public_addresses_of_a_name_are_used():
    resolver = _PublicResolver()
    found = [{"host": host} for host in ("93.184.215.14", "10.0.0.1", "2606:2800::1", "fe80::1%eth0")]

    async def resolve(*_):
        return found

    resolver._inner.resolve = resolve
    public = await resolver.resolve("example.org", 443, socket.AF_UNSPEC)
    await resolver.close()
    assert [result["host"] for result in public] == ["93.184.215.14", "2606:2800::1"]


@pytest.mark.parametrize(
    ("link", "followed"),
    [
        ("http://heasarc.gsfc.nasa.gov/FTP/a.fit", "https://heasarc.gsfc.nasa.gov/FTP/a.fit"),
        ("http://gcn.gsfc.nasa.gov:80/a.fits", "https://gcn.gsfc.nasa.gov/a.fits"),
        ("HTTPS://GraceDB.LIGO.org./api/a.fits,0?x=1#y", "https://gracedb.ligo.org./api/a.fits,0?x=1"),
    ],
)
def test_how_links_are_followed(link, followed):
    assert str(MapFetcher(MapFetchOptions())._allowed(link)) == followed


def test_http_as_it_is_by_choice():
    fetcher = MapFetcher(MapFetchOptions(allow_http=True))
    assert str(fetcher._allowed("http://heasarc.gsfc.nasa.gov/a")) == "http://heasarc.gsfc.nasa.gov/a"


@pytest.mark.parametrize(
    "link",
    [
        "",
        "a.fits",
        "//gracedb.ligo.org/a",
        "https:///a",
        "ftp://heasarc.gsfc.nasa.gov/a",
        "file:///etc/passwd",
        "https://gracedb.ligo.org.evil.example/a",
        "https://evilgracedb.ligo.org/a",
        "https://gracedb.ligo.org:8443/a",
        "https://gracedb.ligo.org@evil.example/a",
        "https://user@gracedb.ligo.org/a",
        "http://gracedb.ligo.org:8080/a",
        "https://gracedb.ligo.org:99999/a",
        "https://gracedb.ligo.org/" + "a" * 3000,
        "https://[::1/a",
    ],
)
async def test_links_that_are_not_followed(link):
    async with MapFetcher(MapFetchOptions()) as fetcher:
        with pytest.raises(Refused) as refused:
            await fetcher.fetch(link)
    assert len(str(refused.value)) < 400


@given(st.text() | st.from_regex(r"https?://[a-z.:@\[\]%0-9]*/.*"))
def test_no_link_is_anything_but_followed_or_refused(link):
    fetcher = MapFetcher(MapFetchOptions(hosts=("*.nasa.gov", "*:8080")))
    with contextlib.suppress(Refused):
        assert fetcher._allowed(link).scheme == "https"


def test_hosts_below_a_name():
    fetcher = MapFetcher(MapFetchOptions(hosts=("*.ligo.org",)))
    fetcher._allowed("https://a.b.ligo.org/")
    for other in ("https://ligo.org/", "https://xligo.org/", "https://a.ligo.org.x/"):
        with pytest.raises(Refused):
            fetcher._allowed(other)


async def test_outside_of_its_context():
    with pytest.raises(RuntimeError, match="async with"):
        await MapFetcher(MapFetchOptions()).fetch("https://gracedb.ligo.org/")


@pytest.mark.parametrize("host", ["", "https://a.b", "A.org", "a.*", "*a.org", "a:b", "a/b", "a b"])
def test_hosts_that_are_none(host):
    with pytest.raises(ValidationError, match="is no host"):
        MapFetchOptions(hosts=(host,))


def test_the_hosts_of_real_notices_are_asked():
    assert {"gracedb.ligo.org", "heasarc.gsfc.nasa.gov", "roc.icecube.wisc.edu"} <= set(HOSTS)
    MapFetchOptions(hosts=HOSTS)
