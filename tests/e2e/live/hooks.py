"""A receiver of webhooks that is now and then not well."""

import asyncio
import json
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import time
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

SECRET = "whsec_" + "c3RhcmNyb3NzLXRlc3Rz" * 2


@dataclass
class WebhookReceiver:
    """Keeps what was posted.

    Attributes
    ----------
    publications
        In the order in which they came; each with when it came.
    refuses, forgets
        Chances to answer 503 to a request, and to take one and hang up without an answer.
    """

    chance: random.Random = field(default_factory=lambda: random.Random(1))
    refuses: float = 0.0
    forgets: float = 0.0
    publications: list[dict[str, Any]] = field(default_factory=list)
    came_s: list[float] = field(default_factory=list)
    requests: int = 0
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        body = await request.read()
        if self.chance.random() < self.refuses:
            return web.Response(status=503)
        now_s = time()
        for publication in json.loads(body)["data"]:
            self.publications.append(publication)
            self.came_s.append(now_s)
        if self.chance.random() < self.forgets and request.transport is not None:
            request.transport.abort()
            await asyncio.sleep(0)
        return web.Response(status=204)


@asynccontextmanager
async def webhook_receiver(**options: Any):
    """A receiver at a port of its own."""
    receiver = WebhookReceiver(**options)
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/hook", receiver.answer)
    async with TestServer(app) as server:
        receiver.url = str(server.make_url("/hook"))
        yield receiver
