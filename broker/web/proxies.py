"""Who asks through a reverse proxy, as far as the proxy is to be believed."""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

Address = IPv4Address | IPv6Address


def behind_proxies(trusted: Collection[Address]) -> Middleware:
    """A middleware that takes address and scheme of a request from what a trusted proxy adds to it.

    Of several addresses in ``X-Forwarded-For`` the last counts that is no trusted proxy: what stands before it anybody
    may have written.
    """

    @web.middleware
    async def seen_through(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not trusted or address_of(request.remote or "") not in trusted:
            return await handler(request)
        remote, scheme = request.remote or "", request.scheme
        # A proxy may add a header of its own behind that of whoever asks: all of them are one list.
        for text in reversed(",".join(request.headers.getall("X-Forwarded-For", [])).split(",")):
            told = address_of(text.strip())
            if told is None:
                break
            remote = str(told)
            if told not in trusted:
                break
        told_scheme = ",".join(request.headers.getall("X-Forwarded-Proto", [])).rpartition(",")[2].strip().lower()
        scheme = told_scheme if told_scheme in {"http", "https"} else scheme
        return await handler(request.clone(remote=remote, scheme=scheme))

    return seen_through


def address_of(text: str) -> Address | None:
    """Of an IPv4 address that an IPv6 socket shows as ``::ffff:192.0.2.1``, that of IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
