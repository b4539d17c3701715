"""The interface under load: listeners and uploads at once while alerts flow, and whether everybody was told everything.

Three processes: the service, those who listen, and whoever uploads and asks. The service plays nights that were
simulated before, in order of time, into a store on the disk.
"""

import argparse
import asyncio
import io
import json
import sys
import tarfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from bridges.client import AsyncClient
from bridges.simulator import NightPlan, simulate
from broker.clocks import WallClock
from broker.event_loop import loops
from broker.store.database import open_for_reading
from broker.web.tokens import Scope, Tokens
from schemas.times import US_PER_DAY, iso_from_us
from tests.bench import made, packets
from tests.bench.rows import Row, row_of, row_of_ms, slowest_in_100

MESSAGES_PER_S, LISTENERS, UPLOADS = 1000, 200, 20
SEEDS = (8, 13, 24, 31, 33, 49, 57)
"""Of maps of about 1,000 deg2, some 20,000 rows and 500 kB."""
ASK_EVERY_S, PATIENCE_S = 0.1, 120.0
_LAG = "starcross_loop_lag_seconds"
_PROJECT = Path(__file__).resolve().parents[2]
_CONFIG = f"""
[service]
clock = "data"
http_port = 0
log_format = "json"
[triggers]
include_tests = true
[http]
enabled = true
port = 0
[sources.nights]
kind = "replay"
paths = ["nights.tar"]
messages_per_s = {MESSAGES_PER_S}
batch_messages = 100
"""


@dataclass
class Heard:
    """What one who listens was told.

    Attributes
    ----------
    last, count
        The number of the last revision, and how many came.
    wrong
        Numbers that came twice, or after a greater one.
    interrupted
        How often the stream ended before it should.
    """

    last: int = 0
    count: int = 0
    wrong: list[int] = field(default_factory=list)
    interrupted: int = 0

    def take(self, number: int) -> None:
        """A revision came."""
        if number <= self.last:
            self.wrong.append(number)
        self.last, self.count = max(number, self.last), self.count + 1


Lateness = Mapping[float, int]
"""How many wake-ups of the service's loop were at most so many seconds late, by its own metric."""


def load(scale: float, *, listeners: int = LISTENERS, uploads: int = UPLOADS, map_rows: int = 20_000) -> list[Row]:
    """A week of so many times the simulator's usual alerts.

    Raises
    ------
    ValueError
        If somebody was not told everything that is stored, once, in order and in one stream.
    """
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        return runner.run(_load(scale, listeners, uploads, map_rows))


async def _load(scale: float, listeners: int, uploads: int, map_rows: int) -> list[Row]:
    asked_s: list[float] = []
    with TemporaryDirectory(prefix="starcross-bench-") as name:
        folder = Path(name)
        messages, first_us = await asyncio.to_thread(_write, folder, scale)
        token, _ = Tokens(folder / "store").make("bench", [Scope.READ, Scope.UPLOAD], WallClock()())
        async with _running(folder) as service, _listening(service.url, listeners) as crowd:
            before = await service.lateness()
            asking = asyncio.create_task(_ask_now_and_then(service.url, asked_s))
            await service.until_stored(messages // 3)
            uploaded_s = await _upload_all(service.url, token, uploads, first_us, map_rows)
            await service.until_said("part ended")
            asking.cancel()
            after = await service.lateness()
            stored = await asyncio.to_thread(_stored, folder)
            heard, spread_s = await crowd.told(stored[-1])
    for one in heard:
        if one.interrupted or one.wrong or (one.count, one.last) != (len(stored), stored[-1]):
            raise ValueError(f"{len(stored)} revisions are stored, and somebody heard {asdict(one)}")
    size = f"{messages:,} alerts and notices, {MESSAGES_PER_S:,} a second, {len(stored):,} revisions"
    within = {le: count - before[le] for le, count in after.items()}
    wakes = within[inf]
    at_most_s = min(le for le, count in within.items() if count == wakes)
    return [
        row_of_ms(f"{uploads} uploads at once, {listeners} listeners", size, uploaded_s),
        row_of_ms("the status is asked meanwhile", size, asked_s),
        slowest_in_100("the status is asked meanwhile", size, asked_s),
        row_of_ms(f"a revision, from the first of {listeners} listeners to the last", size, spread_s),
        slowest_in_100(f"a revision, from the first of {listeners} listeners to the last", size, spread_s),
        row_of("the event loop was 50 ms late", f"{wakes:,} wake-ups", "%", [100 * (1 - within[0.05] / max(wakes, 1))]),
        row_of_ms("the event loop was late, at most", f"{wakes:,} wake-ups", [at_most_s]),
    ]


def _write(folder: Path, scale: float) -> tuple[int, int]:
    """Nights in one archive, alerts and notices in order of time; how many messages, and the first instant."""
    nights = simulate(7, NightPlan().scaled(scale))
    number, first_us = 0, nights.plan.start_us
    with tarfile.open(folder / "nights.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for number, timed in enumerate(nights.messages(), 1):
            member = tarfile.TarInfo(f"{number:07}")
            member.size = len(timed.message.body)
            tar.addfile(member, io.BytesIO(timed.message.body))
    (folder / "starcross.toml").write_text(_CONFIG)
    return number, first_us


def _stored(folder: Path) -> list[int]:
    """The numbers of all revisions that anybody may see."""
    with closing(open_for_reading(folder / "store")) as database:
        return [seq for (seq,) in database.execute("SELECT seq FROM coincidence WHERE private_to = '' ORDER BY seq")]


class _Service:
    """The service as a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process, self._log = process, log
        self.url = self._health = ""

    async def started(self) -> None:
        """Wait until it serves."""
        self._health = str((await self.until_said("running"))["http"])
        self.url = str((await self.until_said("serving"))["url"])

    async def until_said(self, event: str) -> dict[str, Any]:
        """Wait for a line of its log."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                lines = (json.loads(line) for line in self._log.read_text().splitlines() if line.endswith("}"))
                if (found := next((line for line in lines if line["event"] == event), None)) is not None:
                    return found
                if self.process.returncode is not None:
                    raise RuntimeError(f"the service ended: {self._log.read_text()[-2000:]}")
                await asyncio.sleep(0.1)

    async def until_stored(self, messages: int) -> None:
        """Wait until it has taken so many messages."""
        async with asyncio.timeout(PATIENCE_S):
            while (await self._values()).get(("starcross_messages_total", ""), 0) < messages:  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    async def lateness(self) -> Lateness:
        """Since it began."""
        values = await self._values()
        return {float(le): int(count) for (name, le), count in values.items() if name == f"{_LAG}_bucket"}

    async def _values(self) -> dict[tuple[str, str], float]:
        """Sums of metrics by name and, of a histogram, bound."""
        async with aiohttp.ClientSession() as session, session.get(f"{self._health}/metrics") as answer:
            text = await answer.text()
        values: dict[tuple[str, str], float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = sample.name, sample.labels.get("le", "")
                values[key] = values.get(key, 0.0) + sample.value
        return values


@asynccontextmanager
async def _running(folder: Path) -> AsyncIterator[_Service]:
    with (folder / "log").open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "broker", "run", folder / "starcross.toml", stdout=said, stderr=said, cwd=_PROJECT
        )
    service = _Service(process, folder / "log")
    try:
        await service.started()
        yield service
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


class _Crowd:
    """All who listen, in a process of their own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def told(self, last: int) -> tuple[list[Heard], list[float]]:
        """Wait until all were told up to a revision; what each heard, and how long a revision took from one to all."""
        said, _ = await self._process.communicate(f"{last}\n".encode())
        told = json.loads(said)
        return [Heard(**one) for one in told["heard"]], told["spread_s"]


@asynccontextmanager
async def _listening(url: str, listeners: int) -> AsyncIterator[_Crowd]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.http_load", "--listen", url, "--listeners", str(listeners),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=_PROJECT, limit=1 << 30,
    )  # fmt: skip
    try:
        yield _Crowd(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _upload_all(url: str, token: str, uploads: int, first_us: int, map_rows: int) -> list[float]:
    """How long each took that began at the same moment."""
    maps = [made.gw_map(seed, rows=map_rows) for seed in SEEDS]
    bodies = [
        packets.map_file(maps[n % len(maps)], **{"DATE-OBS": iso_from_us(first_us + n * US_PER_DAY // 24).rstrip("Z")})
        for n in range(uploads)
    ]
    async with AsyncClient(url, token) as client:

        async def upload(body: bytes) -> float:
            begun = perf_counter()
            await client.upload(body)
            return perf_counter() - begun

        return list(await asyncio.gather(*map(upload, bodies)))


async def _ask_now_and_then(url: str, took_s: list[float]) -> None:
    async with AsyncClient(url) as client:
        while True:
            begun = perf_counter()
            await client.status()
            took_s.append(perf_counter() - begun)
            await asyncio.sleep(max(0.0, ASK_EVERY_S - took_s[-1]))


async def _listen(url: str, listeners: int) -> dict[str, Any]:
    """Follow as so many, from the first revision on, until the last one that standard input names."""
    heard = [Heard() for _ in range(listeners)]
    arrived: dict[int, tuple[float, float]] = {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=_NO_LIMIT) as session:
        following = [asyncio.create_task(_follow(session, url, one, arrived)) for one in heard]
        until = int(await asyncio.to_thread(sys.stdin.readline))
        async with asyncio.timeout(PATIENCE_S):
            while any(one.last < until for one in heard):  # noqa: ASYNC110 - each has its own stream
                await asyncio.sleep(0.05)
        for task in following:
            task.cancel()
        await asyncio.wait(following)
    return {"heard": [asdict(one) for one in heard], "spread_s": [latest - first for first, latest in arrived.values()]}


async def _follow(
    session: aiohttp.ClientSession, url: str, heard: Heard, arrived: dict[int, tuple[float, float]]
) -> None:
    while True:
        async with aclosing(_numbers(session, url, heard.last)) as numbers:
            async for number in numbers:
                heard.take(number)
                now = perf_counter()
                arrived[number] = arrived.get(number, (now, now))[0], now
        heard.interrupted += 1
        await asyncio.sleep(0.1)


async def _numbers(session: aiohttp.ClientSession, url: str, after: int) -> AsyncIterator[int]:
    """Numbers of the revisions that a stream brings, until it ends."""
    async with session.get(f"{url}/api/v1/stream", headers={"Last-Event-ID": str(after)}) as response:
        rest = b""
        async for chunk in response.content.iter_any():
            *events, rest = (rest + chunk).split(b"\n\n")
            for event in events:
                name, *lines = event.split(b"\n", 2)
                if name.startswith(b"id: ") and lines[0] == b"event: coincidence":
                    yield int(name[4:])


_NO_LIMIT = aiohttp.ClientTimeout(total=None)


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=float, default=3.0)
    parser.add_argument("--listeners", type=int, default=LISTENERS)
    parser.add_argument("--uploads", type=int, default=UPLOADS)
    parser.add_argument("--listen", metavar="URL", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.listen:
        with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
            sys.stdout.write(json.dumps(runner.run(_listen(given.listen, given.listeners))))
        return
    for row in load(given.scale, listeners=given.listeners, uploads=given.uploads):
        sys.stdout.write(
            f"{row.name:65} {row.size:70} {row.median:10,.2f} {row.unit} ({row.low:.2f} to {row.high:.2f})\n"
        )


if __name__ == "__main__":
    main()
