"""VOEvents in and out over VTP, with Comet at every other end, and the service a process of its own."""

import asyncio
import sys
import uuid
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from lxml import etree

from bridges.simulator import NightPlan, simulate
from broker.store.database import open_for_reading
from schemas.coincidence import from_document
from schemas.voevent_out import VoeventAuthor, ivorn_of
from tests.bridges.vtp.test_comet_subscribes import comet as comet_that_subscribes
from tests.bridges.vtp.test_comet_subscribes import ivorns
from tests.bridges.vtp_in.peers import role_of, submit
from tests.bridges.vtp_in.test_comet import comet as comet_broker
from tests.bridges.vtp_in.test_comet import framed
from tests.children import unmeasured
from tests.e2e.conftest import lines_of
from tests.e2e.live.child import until, until_it_is
from tests.e2e.live.conftest import Site
from tests.kafka_server import free_ports

AUTHOR = VoeventAuthor(authority="example.org", stream="coincidence")
SENDVO = Path(sys.executable).parent / "comet-sendvo"


def ivorn_in(body: bytes) -> str:
    return etree.fromstring(body).get("ivorn")


async def send_with_comet(port: int, bodies: Iterable[bytes], folder: Path) -> None:
    """As an author who has Comet's command."""
    for number, body in enumerate(bodies):
        file = folder / f"{number}.xml"
        file.write_bytes(body)
        done = await asyncio.create_subprocess_exec(
            SENDVO, "--host=127.0.0.1", f"--port={port}", f"--file={file}", env=unmeasured()
        )
        assert await done.wait() == 0


async def test_comet_hears_our_coincidences_and_its_events_and_authors_make_them(kafka, tmp_path):
    """Notices come from a Comet we subscribe to, from authors that use Comet's command, and from GCN over Kafka."""
    few = {"variables": 40, "supernovae": 120, "outbursts": 60, "asteroids": 40, "artefacts": 40}
    night = simulate(7, NightPlan(nights=4, history_d=4.0, bursts_seen=3, bursts_unseen=1, **few))
    night.write(tmp_path / "night")
    bodies = [timed.message.body for timed in night.notices()]
    classic = [body for body in bodies if body.lstrip().startswith(b"<")]
    merger = [body for body in bodies if not body.lstrip().startswith(b"<")]
    over_broker, by_authors, over_gcn = classic[::2], classic[1:6:2], classic[7::2]
    receives, broadcasts = free_ports(2)
    site, prefix = Site(kafka, tmp_path), f"vtp-{uuid.uuid4().hex[:8]}"
    async with comet_broker(_folder(tmp_path / "broker")) as broker:
        tables: dict[str, Any] = {
            "triggers": {"include_tests": True},
            "substreams": {"all": {"include_tests": True}},
            "service": {"clock": "data"},
            "voevent": {"authority": AUTHOR.authority, "stream": AUTHOR.stream},
            "sources": {
                "alerts": {"kind": "replay", "paths": ["night/alerts"]},
                "brokers": {"kind": "vtp-subscriber", "remotes": [broker.broadcasts]},
                "authors": {"kind": "vtp-receiver", "port": receives},
                "gcn": site.gcn(topic_patterns=[rf"{prefix}\..+"]),
            },
            "sinks": {
                "vtp": {"kind": "vtp", "port": broadcasts, "relay_notices": True, "filters_limit_s": 5.0},
                "lines": {"kind": "json-lines", "path": "lines.jsonl"},
            },
        }
        async with (
            site.service(tables) as service,
            comet_that_subscribes(_folder(tmp_path / "subscriber"), broadcasts) as saved,
        ):

            async def is_connected() -> bool:
                status = await service.ask()
                return bool(status["sinks"]["vtp"].get("status")) and broker.heard("New subscriber") > 0

            await until_it_is(is_connected)
            for body in over_broker:
                assert role_of(await submit(broker.receives, framed(body)) or b"<x/>") == "ack"
            await send_with_comet(receives, by_authors, tmp_path)
            site.topics = {f"{prefix}.notices": 1}
            await kafka.create_topic(name=f"{prefix}.notices")
            await site.produce((f"{prefix}.notices", body) for body in [*over_gcn, *merger])
            await until(lambda: _heard(service) == len(bodies))
            await site.until_kept(service)
            documents = [line["coincidence"] for line in lines_of(tmp_path / "lines.jsonl")]
            ours = {ivorn_of(from_document(document), AUTHOR) for document in documents}
            assert ours
            wanted = ours | {ivorn_in(body) for body in over_gcn}
            await until(lambda: wanted <= ivorns(saved))
            heard = ivorns(saved)
            made_of_mergers = {name for name in heard - wanted if name.startswith("ivo://example.org/")}
            assert len(made_of_mergers) == len(merger)
            assert not heard & {ivorn_in(body) for body in (*over_broker, *by_authors)}  # only GCN's are passed on
            assert await service.stop() == 0


def _heard(service) -> int:
    with closing(open_for_reading(service.store)) as database:
        return database.execute("SELECT count(*) FROM notice").fetchone()[0]


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
