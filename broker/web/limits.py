"""How much one asker may ask: requests a minute, by token, or by address without one that counts."""

import math
import time
from http import HTTPStatus
from ipaddress import IPv6Address, ip_network

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from broker.web.access import PRINCIPAL
from broker.web.problems import Problem
from broker.web.proxies import address_of

_IPV6_PREFIX = 64
"""One customer has so large a network: its addresses count as one asker."""


class Limiter:
    """Counts what askers do, in memory, and says when it is too much."""

    def __init__(self) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def count(self, item: RateLimitItem, asker: str, what: str) -> None:
        """Count once.

        Raises
        ------
        Problem
            429 with ``Retry-After``, if it is once too often.
        """
        if await self._limiter.hit(item, asker):
            return
        stats = await self._limiter.get_window_stats(item, asker)
        wait_s = max(1, math.ceil(stats.reset_time - time.time()))
        detail = f"more than {item.amount} {what}; try again in {wait_s} s"
        raise Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, headers={"Retry-After": str(wait_s)})


def rate_limits(requests_per_minute: int) -> tuple[Middleware, Middleware]:
    """Two middlewares that answer 429, with ``Retry-After``, to whoever asks more often.

    The first stands before whoever asks is known and counts those who are not let in, by address; the second counts
    all others.
    """
    limiter = Limiter()
    item = RateLimitItemPerMinute(requests_per_minute)

    @web.middleware
    async def refused(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem:
            if PRINCIPAL not in request:
                await limiter.count(item, _address(request), "requests a minute")
            raise

    @web.middleware
    async def limited(request: web.Request, handler: Handler) -> web.StreamResponse:
        principal = request[PRINCIPAL]
        asker = f"token {principal.token_id}" if principal.token_id else _address(request)
        await limiter.count(item, asker, "requests a minute")
        return await handler(request)

    return refused, limited


def _address(request: web.Request) -> str:
    address = address_of(request.remote or "")
    if isinstance(address, IPv6Address):
        return f"address {ip_network((address.packed, _IPV6_PREFIX), strict=False)}"
    return f"address {address or request.remote}"
