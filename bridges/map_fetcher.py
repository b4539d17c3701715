"""Sky maps that notices only link to, fetched over HTTP, with care: the links come from strangers.

Only hosts of a list are asked, and only at public addresses. The name of a host is looked up once for each connection
and the connection goes to the address that was checked, so that a name whose address changes in between (DNS
rebinding) leads nowhere else. Redirects are followed by hand, each under the same rules.
"""

import asyncio
import re
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from types import TracebackType
from typing import ClassVar, Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from pydantic import Field, field_validator
from yarl import URL

from bridges.delivery import shown
from bridges.options import Options
from schemas.bounded import gunzip
from schemas.errors import BadInput, Reason, StarcrossError

HOSTS: Final = (
    "gracedb.ligo.org",
    "gracedb-playground.ligo.org",
    "emfollow.docs.ligo.org",
    "heasarc.gsfc.nasa.gov",
    "gcn.gsfc.nasa.gov",
    "gcn.nasa.gov",
    "roc.icecube.wisc.edu",
    "opendata.km3net.de",
)
"""Where the notices of LVK, Fermi, Swift, IceCube and KM3NeT keep their maps."""

_URL_CHARACTERS: Final = 2048
_CHUNK_BYTES: Final = 1 << 16
_HOST: Final = re.compile(r"(?:\*|(?:\*\.)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::\d{1,5})?")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_NOT_THERE: Final = frozenset({404, 410})
_OK: Final = 200
_PORTS: Final = {"http": 80, "https": 443}
_NAT64: Final = IPv6Network("64:ff9b::/96")


class FetchError(StarcrossError):
    """A link that did not lead to a map.

    Attributes
    ----------
    outcome
        For counting.
    is_final
        Whether to try again would make no difference.
    """

    outcome: ClassVar[str] = "failed"
    is_final: ClassVar[bool] = False


class NotThereYet(FetchError):  # noqa: N818
    """The host is asked too early: it has no such file (yet)."""

    outcome = "not_there_yet"


class Refused(FetchError):  # noqa: N818
    """We do not follow this link."""

    outcome = "refused"
    is_final = True


class TooLarge(FetchError):  # noqa: N818
    """The file is larger than allowed."""

    outcome = "too_large"
    is_final = True


class TimedOut(FetchError):  # noqa: N818
    """The whole file did not come in time."""

    outcome = "timed_out"


class Unreachable(FetchError):  # noqa: N818
    """The host does not answer, or not with the file."""

    outcome = "unreachable"


class MapFetchOptions(Options):
    """What is fetched of linked sky maps, and how long."""

    hosts: tuple[str, ...] = Field(
        HOSTS,
        description="Hosts that are asked: a name, `*.name` for all below it, or `*` for all; with `:port` if it is "
        "another than that of the scheme.",
    )
    allow_http: bool = Field(False, description="Follow http:// as it is; else it is taken for https://.")
    allow_private: bool = Field(False, description="Connect to private, loopback and other special addresses too.")
    size_mib: int = Field(64, ge=1, le=1024, description="Largest map, in MiB.")
    timeout_s: float = Field(120.0, gt=0, le=3600, description="Longest time of one attempt, redirects included.")
    redirects: int = Field(5, ge=0, le=20, description="Most redirects of one attempt.")
    concurrent: int = Field(3, ge=1, le=32, description="Most maps that are fetched and read at a time.")
    patience_s: float = Field(
        172_800.0, ge=0, description="How long after its notice a map is tried again when it is not there yet."
    )
    retry_s: float = Field(10.0, gt=0, description="Pause after the first failure; doubled after each further one...")
    retry_most_s: float = Field(300.0, gt=0, description="...up to this.")

    @field_validator("hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(f"{host!r} is no host: expected a name in lower case, *.name or *, and perhaps :port")
        return hosts


class MapFetcher:
    """Fetches one map at a time for each caller. An async context manager."""

    def __init__(self, options: MapFetchOptions) -> None:
        self._options = options
        self._bytes_max = options.size_mib << 20
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        resolver = None if self._options.allow_private else _PublicResolver()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver, limit=self._options.concurrent),
            cookie_jar=aiohttp.DummyCookieJar(),
            # What is packed is unpacked here, where it is bounded.
            headers={"Accept-Encoding": "identity", "User-Agent": "starcross"},
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch(self, url: str) -> bytes:
        """The file behind a link, whatever it is.

        Raises
        ------
        NotThereYet
            If the host says that there is no such file.
        Refused
            If the link, or a redirect, leads where we do not go.
        TooLarge
            If the file, or what it unpacks to after a compressed transfer, is larger than allowed.
        TimedOut
            If it did not come in time.
        Unreachable
            If the host does not answer, or with something else.
        """
        if self._session is None:
            raise RuntimeError("MapFetcher is used outside of its 'async with'")
        try:
            async with asyncio.timeout(self._options.timeout_s):
                return await self._follow(self._session, self._allowed(url))
        except TimeoutError:
            raise TimedOut(f"{shown(url)}: did not come within {self._options.timeout_s:g} s") from None
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, _NotPublic):
                raise Refused(f"{shown(url)}: {error.os_error}") from None
            raise Unreachable(f"{shown(url)}: {error}") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(f"{shown(url)}: {str(error) or type(error).__name__}") from None

    async def _follow(self, session: aiohttp.ClientSession, url: URL) -> bytes:
        for _ in range(self._options.redirects + 1):
            # The overall limit of time is ours; aiohttp's own would end a slow but steady transfer.
            async with session.get(url, allow_redirects=False, timeout=aiohttp.ClientTimeout(total=None)) as response:
                if response.status not in _REDIRECTS:
                    return await self._body(response)
                location = response.headers.get("Location", "")
            try:
                target = url.join(URL(location[:_URL_CHARACTERS]))
            except ValueError:
                raise Refused(f"{url}: redirects to no URL") from None
            url = self._allowed(str(target))
        raise Refused(f"{url}: more than {self._options.redirects} redirects")

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        if response.status in _NOT_THERE:
            raise NotThereYet(f"{response.url}: answers {response.status}")
        if response.status != _OK:
            raise Unreachable(f"{response.url}: answers {response.status}")
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip", "x-gzip", ""}:
            raise Unreachable(f"{response.url}: is sent as {encoding[:40]!r}, which was not asked for")
        too_large = TooLarge(f"{response.url}: is larger than {self._bytes_max} bytes")
        if (response.content_length or 0) > self._bytes_max:
            raise too_large
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            body += chunk
            if len(body) > self._bytes_max:
                raise too_large
        if "gzip" not in encoding:
            return bytes(body)
        try:
            return await asyncio.to_thread(gunzip, bytes(body), self._bytes_max)
        except BadInput as bad:
            if bad.reason is Reason.TOO_LARGE:
                raise TooLarge(f"{response.url}: {bad.detail}") from None
            raise Unreachable(f"{response.url}: {bad.detail}") from None

    def _allowed(self, link: str) -> URL:
        """The link as it is followed."""
        where = shown(link)
        if len(link) > _URL_CHARACTERS:
            raise Refused(f"{where}: longer than {_URL_CHARACTERS} characters")
        try:
            url = URL(link)
            if url.scheme == "http" and not self._options.allow_http:
                # Many notices say http of hosts that only redirect to https.
                url = url.with_scheme("https").with_port(None if url.port == _PORTS["http"] else url.port)
            host, port = (url.raw_host or "").lower().rstrip("."), url.port
        except ValueError:
            raise Refused(f"{where}: is no URL") from None
        if url.scheme not in _PORTS or not host:
            raise Refused(f"{where}: begins neither with http:// nor with https:// and a host")
        if url.raw_user is not None or url.raw_password is not None:
            raise Refused(f"a link to {host} comes with a user name")
        if not any(_fits(pattern, host, port, _PORTS[url.scheme]) for pattern in self._options.hosts):
            raise Refused(f"{where}: {host} is not among the hosts that are asked")
        if not self._options.allow_private and _is_special(host):
            raise Refused(f"{where}: {host} is not a public address")
        return url.with_fragment(None)


def _fits(pattern: str, host: str, port: int | None, default_port: int) -> bool:
    name, _, own_port = pattern.partition(":")
    if port != (int(own_port) if own_port else default_port):
        return False
    return name in {"*", host} or (name.startswith("*.") and host.endswith(name[1:]))


def _is_special(host: str) -> bool:
    """Whether this is an address, and not one of the public Internet."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return not all(part.is_global and not part.is_multicast for part in (address, *_embedded(address)))


def _embedded(address: IPv4Address | IPv6Address) -> tuple[IPv4Address, ...]:
    """IPv4 addresses that an IPv6 address stands for, however it is written."""
    if isinstance(address, IPv4Address):
        return ()
    behind_nat = IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else None
    found = (address.ipv4_mapped, address.sixtofour, *(address.teredo or ()), behind_nat)
    return tuple(inner for inner in found if inner is not None)


class _NotPublic(OSError):  # noqa: N818
    """A name has no public address."""


class _PublicResolver(AbstractResolver):
    """Looks names up, and gives the public addresses only."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        public = [result for result in found if not _is_special(result["host"])]
        if not public:
            raise _NotPublic(f"{host} has no public address")
        return public

    async def close(self) -> None:
        await self._inner.close()
