"""Comet itself, as its own process, subscribes to our broadcaster."""

import asyncio
import sys
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from lxml import etree

from bridges.simulator import NightPlan, simulate
from tests.bridges.vtp.peers import LIMIT_S, broadcaster, until
from tests.children import unmeasured

FLOOD = 600
TWIST = Path(sys.executable).parent / "twist"


@asynccontextmanager
async def comet(folder: Path, port: int, *filters: str, save: bool = True) -> AsyncIterator[Path]:
    """Comet subscribed to a port of this machine; gives the folder of what it got."""
    saved = folder / "saved"
    saved.mkdir(parents=True, exist_ok=True)
    (folder / "db").mkdir(exist_ok=True)
    options = ["--local-ivo=ivo://org.example/comet", f"--remote=127.0.0.1:{port}", f"--eventdb={folder / 'db'}"]
    saving = ["--save-event", f"--save-event-directory={saved}"] if save else []
    with (folder / "comet.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            TWIST, "comet", "--verbose", *options, *saving, *(f"--filter={text}" for text in filters),
            stdout=log, stderr=log, cwd=folder, env=unmeasured(),
        )  # fmt: skip
        try:
            yield saved
        finally:
            process.terminate()
            try:
                async with asyncio.timeout(LIMIT_S):
                    await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()


def ivorns(saved: Path) -> set[str]:
    """Of all packets that Comet wrote whole."""
    return {etree.parse(path).getroot().get("ivorn") for path in saved.iterdir() if path.read_bytes().strip()}


async def acknowledged(ours, n_events: int) -> None:
    await until(lambda: ours.counts.get("ack", 0) >= n_events)


@pytest.fixture(scope="module")
def simulated() -> dict[str, bytes]:
    """VOEvents of the simulator by IVORN."""
    few = {"variables": 25, "supernovae": 60, "outbursts": 40, "asteroids": 40, "artefacts": 40}
    night = simulate(7, NightPlan(nights=4, history_d=4.0, bursts_seen=3, bursts_unseen=1, **few))
    bodies = [timed.message.body for timed in night.notices() if timed.message.body.lstrip().startswith(b"<")]
    return {etree.fromstring(body).get("ivorn"): body for body in bodies}


async def test_comet_gets_everything_and_comes_back(simulated, tmp_path):
    events = list(simulated.items())
    assert len(events) > 3
    async with broadcaster() as ours, comet(tmp_path, ours.port) as saved:
        await until(lambda: ours.status() and ours.status()[0].last_answer_us)
        assert ours.status()[0].ivorn == "ivo://org.example/comet"
        for _, body in events[:2]:
            await ours.broadcast(body)
        await acknowledged(ours, 2)
        # As if the network had broken: Comet comes back by itself after a second or so.
        next(iter(ours._roster.subscribers))._transport.abort()
        await until(lambda: ours.counts["connected"] == 2)
        for _, body in events[2:]:
            await ours.broadcast(body)
        await acknowledged(ours, len(events))
        await until(lambda: ivorns(saved) == set(simulated))
        assert "nak" not in ours.counts


async def test_comet_gets_what_its_filters_select(simulated, tmp_path):
    chosen = sorted(simulated)[1]
    filters = (f'/*[@ivorn="{chosen}"]', '//Param[@name="Packet_Type" and @value="-1"]')
    async with broadcaster() as ours, comet(tmp_path, ours.port, *filters) as saved:
        await until(lambda: ours.status() and ours.status()[0].filters == filters)
        for body in simulated.values():
            await ours.broadcast(body)
        await acknowledged(ours, 1)
        await until(lambda: ivorns(saved) == {chosen})
        assert ours.counts["sent"] == 1


async def test_comet_with_a_filter_that_is_no_good_is_not_served(tmp_path):
    async with broadcaster() as ours, comet(tmp_path, ours.port, "/unknown:VOEvent"):
        await until(lambda: ours.counts.get("filter", 0) >= 1)
        await until(lambda: "role=nak" in (tmp_path / "comet.log").read_text())


async def test_comet_gets_a_flood_of_real_packets(data_dir, tmp_path):
    curated = [path.read_bytes() for path in sorted((data_dir / "voevent" / "curated").rglob("*.xml"))]
    with tarfile.open(data_dir / "voevent" / "tarballs" / "2020-02.001.tar.bz2") as archive:
        month = []
        for member in archive:
            if member.isfile():
                month.append(archive.extractfile(member).read())
            if len(month) == FLOOD:
                break
    events = {}
    for body in curated + month:
        root = etree.fromstring(body)
        # Comet's own limit on what it receives.
        if etree.QName(root).localname == "VOEvent" and len(body) < 99_999:
            events.setdefault(root.get("ivorn"), body)
    assert len(events) > FLOOD // 2
    async with broadcaster() as ours, comet(tmp_path, ours.port, save=False):
        await until(lambda: ours.status() and ours.status()[0].last_answer_us)
        for body in events.values():
            await ours.broadcast(body)
        await acknowledged(ours, len(events))
        assert ours.counts["connected"] == 1
        assert "slow" not in ours.counts
