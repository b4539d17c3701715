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
        if not trusted or _address(request.remote or "") not in trusted:
            return await handler(request)
        remote, scheme = request.remote or "", request.scheme
        for text in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
            told = _address(text.strip())
            if told is None:
                break
            remote = str(told)
            if told not in trusted:
                break
        if request.headers.get("X-Forwarded-Proto", "").lower() in {"http", "https"}:
            scheme = request.headers["X-Forwarded-Proto"].lower()
        return await handler(request.clone(remote=remote, scheme=scheme))

    return seen_through


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
