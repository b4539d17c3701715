"""``starcross run`` as a process of its own, which a test starts, asks, stops and kills."""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import aiohttp

from broker.store.database import open_for_reading
from broker.store.schema import named_folders
from tests.children import unmeasured
from tests.conftest import PROJECT

PATIENCE_S = 120.0
"""Longer than anything takes on the busiest machine."""
ASK_EVERY_S = 0.02


async def until(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Wait until it is true."""
    async with asyncio.timeout(patience_s):
        while not condition():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(ASK_EVERY_S)


async def until_it_is(ask: Callable[[], Awaitable[object]], patience_s: float = PATIENCE_S) -> None:
    """Wait until what is asked for is true."""
    async with asyncio.timeout(patience_s):
        while not await ask():  # noqa: ASYNC110 - as above
            await asyncio.sleep(ASK_EVERY_S)


def toml_of(tables: Mapping[str, Any]) -> str:
    """A configuration as TOML, a dotted key a line."""
    return "".join(f"{key} = {value}\n" for key, value in _lines(tables))


def _lines(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from _lines(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value, default=str)  # a text, number or list of JSON is one of TOML


class ServiceProcess:
    """The service of a configuration; ``async with`` starts it, and kills what still runs at the end.

    Parameters
    ----------
    folder
        Holds the configuration, the store and what the process says: a file ``service-N.log`` a start.
    tables
        The configuration, but for what a test needs of every service.
    env
        Further variables of the environment.
    """

    def __init__(self, folder: Path, tables: Mapping[str, Any], env: Mapping[str, str] = MappingProxyType({})) -> None:
        self.folder, self.starts, self._env = folder, 0, {**unmeasured(), **env}
        self.process: asyncio.subprocess.Process | None = None
        self.configure(tables)

    def configure(self, tables: Mapping[str, Any]) -> None:
        """Write another configuration, which counts from the next start or SIGHUP on."""
        own = {"service": {"http_port": 0, "log_format": "json"} | tables.get("service", {})}
        self.config.write_text(toml_of({**tables, **own}))

    @property
    def config(self) -> Path:
        return self.folder / "starcross.toml"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def log(self) -> Path:
        return self.folder / f"service-{self.starts}.log"

    async def __aenter__(self) -> Self:
        await self.start()
        await self.until_running()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self, *before: str) -> None:
        """Begin a process; ``before`` are arguments of Python, such as a profiler."""
        self.starts += 1
        with self.log.open("wb") as said:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *before, "-m", "broker", "run", self.config,
                stdout=said, stderr=said, cwd=PROJECT, env=self._env,
            )  # fmt: skip

    async def until_running(self) -> str:
        """Wait until everything is restored and reads; returns the URL of health and status."""
        await until(lambda: self.event("running") or self._ended())
        running = self.event("running")
        if running is None:
            raise RuntimeError(f"the service ended: {self.log.read_text()[-4000:]}")
        return str(running["http"])

    def event(self, name: str) -> dict[str, Any] | None:
        """The first line of the log that tells of this; None if none does."""
        return next((line for line in self.said() if line.get("event") == name), None)

    def said(self) -> list[dict[str, Any]]:
        """The lines of the log since the last start."""
        lines = self.log.read_text(errors="replace").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]

    async def ask(self, path: str = "/status") -> Any:
        """What the health port answers, as JSON or text."""
        url = await self.until_running()
        async with aiohttp.ClientSession() as session, session.get(url + path) as answer:
            return json.loads(text) if (text := await answer.text()).startswith("{") else text

    async def waiting(self) -> dict[str, int]:
        """How much each sink has not been sent yet."""
        return {name: sink["waiting"] for name, sink in (await self.ask())["sinks"].items()}

    def positions(self) -> dict[str, int]:
        """Where all sources stand, as it is on the disk."""
        with closing(open_for_reading(self.store)) as database:
            return dict(database.execute("SELECT name, value FROM position"))

    def named_folders(self) -> set[str]:
        """The folders of sealed alerts that belong to the store."""
        with closing(open_for_reading(self.store)) as database:
            return named_folders(database)

    async def kill(self) -> None:
        """As a power cut would."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """End it well; its exit code."""
        return await self._end(signal.SIGTERM)

    async def _end(self, how: signal.Signals) -> int:
        assert self.process is not None
        if not self._ended():
            self.process.send_signal(how)
        return await self.process.wait()

    def _ended(self) -> bool:
        return self.process is None or self.process.returncode is not None

    def resident_mib(self) -> float:
        """Memory of the process."""
        assert self.process is not None
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))
