"""`starcross run` as a process of its own, for tests: what it logs, what it answers, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.children import unmeasured
from tests.conftest import PROJECT

PATIENCE_S = 120.0
"""How long anything that must happen may take before a test fails; nothing waits so long when all is well."""

COMMON = """
[triggers]
include_tests = true
[service]
clock = "data"
http_port = 0
log_format = "json"
[substreams.all]
include_tests = true
"""


def until(condition: Callable[[], Any], what: str = "what is waited for") -> Any:
    """Wait until something is so, and return what the condition says then."""
    ends_s = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < ends_s, f"{what} did not come"
        time.sleep(0.02)
    return found


class ServiceProcess:
    """One `starcross run`, in whose coverage one is interested or not."""

    def __init__(self, config: Path, *settings: str, prefix: tuple[str, ...] = (), measured: bool = True) -> None:
        self._log_path = config.parent / f"log-{time.monotonic_ns()}.jsonl"
        with self._log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *prefix,
                    sys.executable,
                    "-m",
                    "broker",
                    "run",
                    str(config),
                    *(word for setting in settings for word in ("--set", setting)),
                ],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=PROJECT,
                env=os.environ if measured else unmeasured(),
            )

    @property
    def text(self) -> str:
        """All that it wrote to standard error."""
        return self._log_path.read_text()

    @property
    def logged(self) -> list[dict[str, Any]]:
        """Whole lines of its log."""
        return [json.loads(line) for line in self.text.split("\n")[:-1] if line.startswith("{")]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Lines of the log of one event."""
        return [line for line in self.logged if line["event"] == name]

    def until_logged(self, name: str, times: int = 1) -> dict[str, Any]:
        """Wait for a line of the log."""

        def found() -> dict[str, Any] | None:
            lines = self.events(name)
            if len(lines) >= times:
                return lines[times - 1]
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.text}"
            return None

        return until(found, f"the line {name!r}")

    def until_all_is_played(self) -> None:
        """Wait until a source that ends by itself has ended, and everything was sent."""
        self.until_logged("part ended")
        until(lambda: all(not sink["waiting"] for sink in self.get("/status")[1]["sinks"].values()), "an empty outbox")

    def get(self, path: str) -> tuple[int, Any]:
        """What it answers over HTTP: the status, and the JSON or text."""
        url = self.until_logged("running")["http"]
        try:
            with urllib.request.urlopen(url + path, timeout=PATIENCE_S) as answer:  # noqa: S310 - our own URL
                return answer.status, _read(answer)
        except urllib.error.HTTPError as error:
            return error.code, _read(error)

    def send(self, number: signal.Signals) -> None:
        """A signal."""
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait for its end; its exit code."""
        return self.process.wait(PATIENCE_S)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, once it runs; its exit code."""
        self.until_logged("running")
        self.send(number)
        return self.ended()


def _read(answer: Any) -> Any:
    body = answer.read()
    return json.loads(body) if answer.headers.get_content_type() == "application/json" else body.decode()


@contextmanager
def running(
    config: Path, *settings: str, prefix: tuple[str, ...] = (), measured: bool = True
) -> Iterator[ServiceProcess]:
    """A service, killed at the end if it still runs."""
    service = ServiceProcess(config, *settings, prefix=prefix, measured=measured)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.process.kill()
        service.process.wait()


def configured(folder: Path, night: Path, text: str = "", **replay: Any) -> Path:
    """A configuration that plays a simulated night into lines of JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "starcross.toml"
    options = "\n".join(f"{name} = {json.dumps(value)}" for name, value in replay.items())
    config.write_text(
        f"{COMMON}\n[sources.night]\nkind = 'replay'\npaths = ['{night / 'alerts'}', '{night / 'notices'}']\n"
        f"{options}\n[sinks.lines]\nkind = 'json-lines'\npath = 'out.jsonl'\n{text}"
    )
    return config


def published(folder: Path) -> list[dict[str, Any]]:
    """What the JSON lines sink wrote, in order."""
    path = folder / "out.jsonl"
    return [json.loads(line)["coincidence"] for line in path.read_text().splitlines()] if path.exists() else []


def final_states(coincidences: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The last revision of each by its id; every revision must be there, in order, and all copies of it equal."""
    said: dict[str, list[dict[str, Any]]] = {}
    for coincidence in coincidences:
        revisions = said.setdefault(coincidence["id"], [])
        if coincidence["revision"] <= len(revisions):
            assert revisions[coincidence["revision"] - 1] == coincidence, "a copy differs"
        else:
            revisions.append(coincidence)
            assert coincidence["revision"] == len(revisions), "a revision is missing"
    return {name: revisions[-1] for name, revisions in said.items()}
