"""Coincidences as server-sent events, as they are stored; whoever reconnects goes on where they were."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from http import HTTPStatus

from aiohttp import web
from aiohttp_sse import EventSourceResponse
from pydantic import Field

from broker.web.access import PRINCIPAL, Principal
from broker.web.coincidences import FilterQuery, Since, number_since
from broker.web.hub import Full, TooSlow
from broker.web.problems import Problem
from broker.web.queries import Filter, Found
from broker.web.routes import EVENTS, SECURITY_HEADERS, Answer, Part, Route, asked
from broker.web.site import Site, site_of
from broker.web.tokens import Scope

IDLE_S = 15.0
"""A comment is sent so often, so that proxies keep the connection and one that is gone is noticed."""
SEND_S = 30.0
"""Whoever takes nothing for so long is dropped."""
_RETRY_MS = 2000
"""A browser that lost the connection tries again after so long."""
MOST_DIGITS = 19
_HEADERS = SECURITY_HEADERS | {"X-Accel-Buffering": "no"}
"""nginx passes on at once what it would else collect."""
LAST_EVENT = "Last-Event-ID"
LAST_EVENT_PART = Part("Id of the last event that was received: what was stored after it comes first.", "1042")


class StreamQuery(FilterQuery):
    """Which revisions, and where to begin."""

    since: Since | None = Field(None, description="ID.rREVISION or an IVORN: begin with what was stored after it.")
    last_event_id: str | None = Field(
        None, pattern=r"^\d{1,18}$", description="As the header Last-Event-ID, which comes before it."
    )


class EventStream(EventSourceResponse):
    """An answer to which events are written that were made for many."""

    async def send_all(self, events: Iterable[bytes]) -> None:
        """Write some; raises TimeoutError, with the connection given up, as `send` does."""
        try:
            async with asyncio.timeout(SEND_S):
                await self.write(b"".join(events))
        except TimeoutError:
            self._abort_transport()
            raise


async def follow(request: web.Request, wanted: Filter) -> web.StreamResponse:
    """Answer with revisions as they are stored, until whoever asked goes away, is too slow, or the service ends.

    Each event is a ``coincidence``: its id a number with which to go on, its data a coincidence in JSON. An event
    ``idle``, without data, only has such a number; an event ``dropped`` says why the stream ends.

    Raises
    ------
    Problem
        503 if too many follow already.
    """
    site = site_of(request)
    if site.hub.is_full:
        detail = f"{site.options.listeners} follow already; try again later"
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": "60"})
    response = EventStream(send_timeout=SEND_S, ping_interval=IDLE_S, sep="\n", headers=_HEADERS)
    await response.prepare(request)
    principal = request[PRINCIPAL]
    revisions = site.hub.follow(wanted, principal, idle_s=IDLE_S)
    why = await _until_the_end(response, wanted.after, revisions, _watched(site, principal))
    if why:
        site.service.observers.metrics.add("starcross_http_dropped_total", why=why)
    return response


def _watched(site: Site, principal: Principal) -> Callable[[], Awaitable[str]]:
    """A function that tells why the token of whoever follows does not count any more, looked up every `IDLE_S`."""
    loop = asyncio.get_running_loop()
    looked_s = loop.time()

    async def trouble() -> str:
        nonlocal looked_s
        if not principal.token_id or loop.time() - looked_s < IDLE_S:
            return ""
        looked_s = loop.time()
        return await asyncio.to_thread(site.tokens.trouble_of, principal.token_id, site.now_us())

    return trouble


async def _until_the_end(
    response: EventStream,
    after: int,
    revisions: AsyncGenerator[tuple[list[Found], int]],
    trouble: Callable[[], Awaitable[str]],
) -> str:
    """Send events; returns a word for why whoever asked was sent away, empty if they went by themselves."""
    try:
        # At once: headers go with the first bytes, and a listener who hears nothing yet knows where to go on too.
        await response.send("", id=str(after), event="idle", retry=_RETRY_MS)
        return await _tell(response, revisions, trouble)
    except TimeoutError:
        return "stalled"
    except ConnectionError:  # whoever asked is gone
        return ""
    finally:
        response.stop_streaming()


async def _tell(
    response: EventStream, revisions: AsyncGenerator[tuple[list[Found], int]], trouble: Callable[[], Awaitable[str]]
) -> str:
    """Send what comes, and at the end why it ends."""
    why, reason = "end", "the service ends"
    try:
        async with aclosing(revisions):
            async for found, after in revisions:
                if ended := await trouble():
                    why, reason = "token", f"the token does not count any more: {ended}"
                    break
                if found:
                    await response.send_all([one.event for one in found])
                else:
                    await response.send("", id=str(after), event="idle")
                if not response.is_connected():
                    return ""
    except TooSlow:
        why, reason = "slow", "too slow: more was stored meanwhile than is kept for a listener; reconnect to go on"
    except Full:
        why, reason = "full", "too many follow already"
    await response.send(json.dumps({"reason": reason}), event="dropped")
    return why


async def beginning(request: web.Request, since: str | None, last_event_id: str | None) -> int:
    """Behind which number a stream begins: where a listener was, else now."""
    site = site_of(request)
    told = request.headers.get(LAST_EVENT, "") or last_event_id or ""
    if told.isascii() and told.isdigit() and len(told) < MOST_DIGITS:
        return min(int(told), await site.questions.last())  # of another store than this, it may be beyond the end
    if since is not None:
        return await number_since(site, since, request[PRINCIPAL])
    return await site.questions.last()


async def _stream(request: web.Request) -> web.StreamResponse:
    query = asked(request, StreamQuery)
    after = await beginning(request, query.since, query.last_event_id)
    return await follow(request, query.filter(after=after, newest=False))


ROUTES = (
    Route(
        "GET",
        "/api/v1/stream",
        "followCoincidences",
        _stream,
        "Revisions as they are stored, as server-sent events",
        Scope.READ,
        {HTTPStatus.OK: Answer("Events, for as long as you like.", {EVENTS: None})},
        headers={LAST_EVENT: LAST_EVENT_PART},
        query=StreamQuery,
        errors=[HTTPStatus.SERVICE_UNAVAILABLE],
    ),
)
