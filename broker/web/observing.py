"""What the interface tells of its requests: metrics, and a line each in the log, never with a token or a query."""

import secrets
import time
from http import HTTPStatus

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from broker.metrics import Metrics
from broker.web.access import PRINCIPAL, Principal

REQUEST_ID = "X-Request-Id"
_LONGEST_PATH = 200
_log = structlog.get_logger(__name__)


def observed(metrics: Metrics) -> Middleware:
    """A middleware that counts and logs each request, and names it: the answer and the log have the same name."""

    @web.middleware
    async def measured(request: web.Request, handler: Handler) -> web.StreamResponse:
        began_s, name = time.perf_counter(), secrets.token_hex(6)
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        response: web.StreamResponse | None = None
        with structlog.contextvars.bound_contextvars(request=name):
            try:
                response = await handler(request)
                status = response.status
                if not response.prepared:
                    response.headers[REQUEST_ID] = name
            except web.HTTPException as redirect:
                status = redirect.status
                raise
            finally:
                took_s, route = time.perf_counter() - began_s, route_of(request)
                metrics.add("starcross_http_requests_total", route=route, status=str(status))
                if response is None or not response.prepared:  # a stream takes as long as whoever listens likes
                    metrics.observe("starcross_http_request_seconds", took_s, route=route)
                _log_request(request, status, took_s)
        return response

    return measured


def route_of(request: web.Request) -> str:
    """Method and path of the route that a request takes, of which there are only so many."""
    resource = request.match_info.route.resource
    if resource is None or request.match_info.http_exception is not None:
        return "none"
    path = resource.canonical
    return f"{request.method} {path}" if path.startswith("/api/") else "page"


def _log_request(request: web.Request, status: int, took_s: float) -> None:
    tell = _log.warning if status >= HTTPStatus.INTERNAL_SERVER_ERROR else _log.debug
    principal = request.get(PRINCIPAL, Principal())
    tell(
        "request",
        method=request.method[:20],
        path=request.path[:_LONGEST_PATH],
        status=status,
        took_s=round(took_s, 4),
        remote=request.remote,
        token=principal.token_id,
        owner=principal.owner,
    )
