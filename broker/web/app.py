"""The application: routes, and what every request goes through before it reaches one."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp_cors
from aiohttp import web
from aiohttp.typedefs import Handler

from bridges.vtp.options import TlsOptions
from broker.web.access import admission, required
from broker.web.limits import rate_limits
from broker.web.observing import REQUEST_ID, observed
from broker.web.options import HttpOptions
from broker.web.problems import Problem, told_as_problems
from broker.web.proxies import behind_proxies
from broker.web.routes import SECURITY_HEADERS, VARY, Route
from broker.web.site import SITE, Site
from broker.web.tokens import Scope, Token
from schemas.errors import ConfigurationError

_IDLE_S = 75.0
"""So long a connection is kept for a further request."""
_LEAST_PACKED_BYTES = 1000
"""Less than a packet is not smaller in one."""
_UNHEARD = logging.getLogger(f"{__name__}.malformed")
"""aiohttp would log a traceback for everybody who does not speak HTTP; what fails in our handlers we log ourselves."""
_UNHEARD.setLevel(logging.CRITICAL)
_CLOSING_S = 5.0
"""So long streams and uploads may go on when the service ends."""


def make_app(site: Site, routes: Sequence[Route]) -> web.Application:
    """The application of a site with these routes."""
    options = site.options
    find: Callable[[str], Awaitable[Token | None]] = partial(_found, site)
    anonymous = frozenset({Scope.READ}) if options.anonymous == "read" else frozenset[Scope]()
    refused, limited = rate_limits(options.requests_per_minute)
    app = web.Application(
        middlewares=[
            behind_proxies(options.trusted_proxies),
            observed(site.service.observers.metrics),
            _safe_headers,
            told_as_problems,
            refused,
            admission(find, site.now_us, anonymous=anonymous),
            limited,
            _plain_bodies,
            _compressed,
            web.normalize_path_middleware(append_slash=False, remove_slash=True, merge_slashes=False),
        ],
        client_max_size=1 << 20,
    )
    app[SITE] = site
    added = [app.router.add_route(route.method, route.path, _guarded(route)) for route in routes]
    for route in routes:
        if route.method == "GET" and not route.is_stream:
            app.router.add_route("HEAD", route.path, _guarded(route))
    _allow_origins(app, options.cors_origins, added)
    return app


class WebServer:
    """The interface while it is served; an async context manager.

    Parameters
    ----------
    folder
        Where relative paths of the configuration start.

    Raises
    ------
    ConfigurationError
        When it is entered, if the address cannot be listened at or the certificate not be read.
    """

    def __init__(self, app: web.Application, options: HttpOptions, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=_CLOSING_S,
            keepalive_timeout=_IDLE_S,
            logger=_UNHEARD,
            auto_decompress=False,  # nothing that strangers packed is unpacked on the loop: see `_plain_bodies`
        )

    @property
    def url(self) -> str:
        """Where it answers, such as ``http://127.0.0.1:8080``."""
        scheme = "http" if self._options.tls_certificate is None else "https"
        host, port = self._runner.addresses[0][:2]
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def __aenter__(self) -> Self:
        options = self._options
        context = await asyncio.to_thread(tls_context, options, self._folder)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, str(options.address), options.port, ssl_context=context).start()
        except OSError as error:
            await self._runner.cleanup()
            where = f"{options.address}:{options.port}"
            raise ConfigurationError(f"http.port: {where} cannot be listened at: {error.strerror}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()


def tls_context(options: HttpOptions, folder: Path) -> ssl.SSLContext | None:
    """What HTTPS is spoken with, if it is.

    Raises
    ------
    ConfigurationError
        If certificate or key cannot be read.
    """
    if options.tls_certificate is None or options.tls_key is None:
        return None
    try:
        return TlsOptions(certificate=options.tls_certificate, key=options.tls_key).server_context(folder)
    except ConfigurationError as error:
        raise ConfigurationError(f"http: {error}") from error


async def _found(site: Site, text: str) -> Token | None:
    return await asyncio.to_thread(site.tokens.find, text, site.now_us())


def _guarded(route: Route) -> Handler:
    """The route's handler, behind what it needs."""
    if route.scope is None:
        return route.handler
    scope = route.scope

    async def handle(request: web.Request) -> web.StreamResponse:
        required(request, scope)
        return await route.handler(request)

    return handle


@web.middleware
async def _safe_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What every answer carries; those of the interface depend on who asks, and no cache gives one to another."""
    try:
        response = await handler(request)
    except web.HTTPException as redirect:
        redirect.headers.update(SECURITY_HEADERS)
        raise
    if not response.prepared:  # a stream has sent its own
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        if request.path.startswith("/api/") and not isinstance(response, web.FileResponse):
            response.headers.setdefault("Cache-Control", "private, no-cache")
            response.headers.setdefault("Vary", VARY)
    return response


@web.middleware
async def _plain_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A body that is packed as a whole is refused: a map may be, as ``application/gzip``, and is unpacked in bounds."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        detail = "a body with Content-Encoding is not taken; send a gzipped map as it is, as application/gzip"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
    return await handler(request)


@web.middleware
async def _compressed(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    if not response.prepared and isinstance(response, web.Response) and _is_worth_packing(response):
        response.enable_compression()
    return response


def _is_worth_packing(response: web.Response) -> bool:
    kind, size = response.content_type, len(response.body) if isinstance(response.body, bytes) else 0
    return size >= _LEAST_PACKED_BYTES and (kind.startswith("text/") or kind.endswith(("json", "xml", "javascript")))


def _allow_origins(app: web.Application, origins: Iterable[str], routes: Iterable[web.AbstractRoute]) -> None:
    """Let pages of other origins read answers: with tokens in headers, never with the page's cookie."""
    allowed = {
        origin: aiohttp_cors.ResourceOptions(  # type: ignore[no-untyped-call]
            allow_credentials=False,
            expose_headers=("ETag", "Retry-After", "Location", REQUEST_ID),
            allow_headers=("Authorization", "Content-Type", "Last-Event-ID", "If-None-Match", "If-Match"),
            max_age=600,
        )
        for origin in origins
    }
    if allowed:
        cors = aiohttp_cors.setup(app, defaults=allowed)
        for route in routes:
            cors.add(route)
