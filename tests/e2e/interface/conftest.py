"""A service with its interface, as a process of its own, and tokens for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridges.simulator import NightPlan, SimulatedNight, simulate
from broker.clocks import WallClock
from broker.web.tokens import Scope, Tokens
from tests.e2e.service_process import ServiceProcess, configured, running
from tests.schemas.maps import blob, flat

MAP = flat(blob(3), **{"DATE-OBS": "2026-10-06T05:00:00"})
"""A map of the whole northern sky, of an event in the simulated nights."""
UNLIMITED = "requests_per_minute = 1000000\nuploads_per_day = 100000\nskymaps_most = 10000"


@dataclass
class Interface:
    """A running service.

    Attributes
    ----------
    config
        Its configuration.
    made
        Tokens by owner and scopes, so that each is made once.
    """

    service: ServiceProcess
    config: Path
    made: dict[tuple[str, ...], str] = field(default_factory=dict)

    @cached_property
    def url(self) -> str:
        return str(self.service.until_logged("serving")["url"])

    def token(self, owner: str = "ada", *scopes: str) -> str:
        """A token of somebody who may read and upload, or what the scopes say."""
        key = owner, *scopes
        if key not in self.made:
            wanted = [Scope(scope) for scope in scopes or ("read", "upload")]
            self.made[key] = Tokens(self.config.parent / "store").make(owner, wanted, WallClock()())[0]
        return self.made[key]

    def get(self, path: str, token: str = "", **headers: str) -> httpx.Response:
        """What is answered."""
        return self.ask("GET", path, token, **headers)

    def ask(self, method: str, path: str, token: str = "", content: bytes = b"", **headers: str) -> httpx.Response:
        shown = {"authorization": f"Bearer {token}"} if token else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        where = path if path.startswith("/") else f"/api/v1/{path}"
        return httpx.request(method, f"{self.url}{where}", headers=shown | named, content=content, verify=False)  # noqa: S501

    def coincidences(self, **query: Any) -> list[dict[str, Any]]:
        return httpx.get(f"{self.url}/api/v1/coincidences", params=query).json()["items"]


@contextmanager
def serving(
    folder: Path, night: Path, http: str = "", text: str = "", *settings: str, measured: bool = True
) -> Iterator[Interface]:
    """A service that has played simulated nights; started again in the same folder it goes on where it was."""
    config = configured(folder, night, f"[http]\nenabled = true\nport = 0\n{http}\n{text}")
    with running(config, *settings, measured=measured) as service:
        service.until_logged("serving")
        service.until_all_is_played()
        yield Interface(service, config)


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[SimulatedNight, Path]:
    """A simulated week that is played in a second or two."""
    folder = tmp_path_factory.mktemp("night")
    made = simulate(7, NightPlan().scaled(0.05))
    made.write(folder)
    return made, folder


@pytest.fixture(scope="module")
def interface(request: pytest.FixtureRequest, night, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interface]:
    """A service that has played a simulated night, for all tests of a module; measured if that has ``MEASURED``."""
    folder = tmp_path_factory.mktemp("interface")
    with serving(folder, night[1], UNLIMITED, measured=getattr(request.module, "MEASURED", False)) as one:
        yield one


@pytest.fixture
def map_file(tmp_path: Path) -> Path:
    """A sky map as a file."""
    path = tmp_path / "burst.fits"
    path.write_bytes(MAP)
    return path
