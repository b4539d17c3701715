"""How much one asker may ask: requests a minute, by token, or by address without one."""

import math
import time
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from broker.web.access import PRINCIPAL
from broker.web.problems import Problem


def rate_limit(requests_per_minute: int) -> Middleware:
    """A middleware that answers 429, with ``Retry-After``, to whoever asks more often."""
    limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
    item = RateLimitItemPerMinute(requests_per_minute)

    @web.middleware
    async def limited(request: web.Request, handler: Handler) -> web.StreamResponse:
        principal = request[PRINCIPAL]
        asker = f"token {principal.token_id}" if principal.token_id else f"address {request.remote}"
        if not await limiter.hit(item, asker):
            stats = await limiter.get_window_stats(item, asker)
            wait_s = max(1, math.ceil(stats.reset_time - time.time()))
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"more than {requests_per_minute} requests a minute; try again in {wait_s} s",
                headers={"Retry-After": str(wait_s)},
            )
        return await handler(request)

    return limited
