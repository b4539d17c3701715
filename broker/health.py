"""The small HTTP port for those who watch the service: is it alive, is it ready, how is it, what does it measure.

Not for the open network: it tells names of topics and subscribers to whoever asks.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from broker.metrics import Metrics

Checks = Callable[[], Mapping[str, str]]
"""By name what keeps the service from being ready, for a person; an empty text where all is well."""

LARGEST_REQUEST_BYTES = 4096

_log = structlog.get_logger(__name__)


class HealthServer:
    """Answers ``GET`` of ``/healthz``, ``/readyz``, ``/status`` and ``/metrics``; an async context manager.

    Parameters
    ----------
    host, port
        Where to listen; port 0 takes a free one.
    checks, status
        Asked on the event loop with each request, so they are quick. What ``status`` returns is made of dataclasses,
        mappings, sequences, numbers and texts.
    """

    def __init__(
        self, host: str, port: int, *, metrics: Metrics, checks: Checks, status: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._host, self._port = host, port
        self._measured = metrics
        self._checks = checks
        self._told = status
        app = web.Application(client_max_size=LARGEST_REQUEST_BYTES)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/status", self._status)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)

    @property
    def url(self) -> str:
        """Where it answers, such as ``http://127.0.0.1:8090``."""
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def __aenter__(self) -> Self:
        """Begin to answer; raises OSError if the address cannot be listened at."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="the event loop turns\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        try:
            checks = dict(self._checks())
        except Exception as error:  # noqa: BLE001 - what is not known to be well is not ready
            _log.exception("the checks of readiness failed")
            checks = {"checks": f"failed: {type(error).__name__}: {error}"}
        ready = not any(checks.values())
        shown = {name: trouble or "ok" for name, trouble in checks.items()}
        return _json({"ready": ready, "checks": shown}, status=200 if ready else 503)

    async def _status(self, _request: web.Request) -> web.Response:
        return _json(self._told())

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._measured.page(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _json(value: Mapping[str, Any], status: int = 200) -> web.Response:
    text = json.dumps(value, default=_plain, indent=1, ensure_ascii=False)
    return web.Response(text=text + "\n", status=status, content_type="application/json")


def _plain(value: object) -> object:
    """What JSON does not know: records as objects, the rest as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return str(value)
