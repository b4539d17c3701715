"""The small HTTP port for those who watch the service: is it alive, is it ready, how is it, what does it measure.

Not for the open network: it tells names of topics and subscribers to whoever asks.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from types import TracebackType
from typing import Any, Self

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from pydantic import Field, IPvAnyAddress

from bridges.options import Options

Check = Callable[[], str | None]
"""None if all is well, otherwise what is wrong, for a person. Quick: it is asked on the event loop."""

_log = structlog.get_logger(__name__)


class HealthOptions(Options):
    """The port for those who watch the service."""

    address: IPvAnyAddress = Field(IPv4Address("127.0.0.1"), description="Address to listen at.")
    port: int = Field(8090, ge=0, le=65_535, description="Port to listen at; 0 for any free one.")


class Health:
    """What parts of the service say of themselves."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._statuses: dict[str, Callable[[], Any]] = {}

    def add_check(self, name: str, check: Check) -> None:
        """Make readiness depend on this as well; in the place of one of the same name."""
        self._checks[name] = check

    def add_status(self, name: str, status: Callable[[], Any]) -> None:
        """Show this too. What it returns is made of dataclasses, mappings, sequences, numbers and texts."""
        self._statuses[name] = status

    def remove(self, name: str) -> None:
        """Whatever goes by this name is gone."""
        self._checks.pop(name, None)
        self._statuses.pop(name, None)

    def troubles(self) -> Mapping[str, str | None]:
        """What is wrong, by name; None where all is well."""
        return {name: _asked(name, check) for name, check in self._checks.items()}

    def ready(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.troubles().values())

    def status(self) -> Mapping[str, Any]:
        """How everything is, by name."""
        return {name: status() for name, status in self._statuses.items()}


def _asked(name: str, check: Check) -> str | None:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - a check that fails is a trouble, not the end of the answer
        _log.exception("a check of readiness failed", check=name)
        return f"the check failed: {type(error).__name__}: {error}"


class HealthPort:
    """Answers ``GET`` of ``/healthz``, ``/readyz``, ``/status`` and ``/metrics``; an async context manager."""

    def __init__(self, options: HealthOptions, health: Health, registry: CollectorRegistry) -> None:
        self._options = options
        self._health = health
        self._registry = registry
        app = web.Application(client_max_size=1024)
        for path in ("healthz", "readyz", "status", "metrics"):
            app.router.add_get(f"/{path}", getattr(self, f"_{path}"))
        self._runner = web.AppRunner(app, access_log=None)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port where it listens."""
        host, port = self._runner.addresses[0][:2]
        return str(host), int(port)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, str(self._options.address), self._options.port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        _log.info("health port", address=self.address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="the event loop turns\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        troubles = self._health.troubles()
        ready = not any(troubles.values())
        checks = {name: trouble or "ok" for name, trouble in troubles.items()}
        return _json({"ready": ready, "checks": checks}, status=200 if ready else 503)

    async def _status(self, _request: web.Request) -> web.Response:
        return _json(self._health.status())

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _json(value: Mapping[str, Any], status: int = 200) -> web.Response:
    text = json.dumps(value, default=_plain, indent=1, ensure_ascii=False)
    return web.Response(text=text + "\n", status=status, content_type="application/json")


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return str(value)
