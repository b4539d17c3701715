"""The service from Kafka to store, match and subscribers, next to a bare consumer of the same topics in the same run.

``python -m tests.bench.bench_kafka throughput latency`` starts a Kafka of its own (see `tests.kafka_server`), which
shares the machine with the service, with whoever writes to it and with the subscribers: a service that has its machine
for itself does better. ``--ztf FOLDER`` names real packets of ZTF to be repeated; without, simulated ones are.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, time
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from lxml import etree

from schemas.coincidence import from_document
from schemas.coincidence_avro import from_record
from schemas.records import Alerts
from schemas.times import US_PER_DAY, us_from_iso
from schemas.voevent_out import VoeventAuthor, ivorn_of
from tests.bench import made, packets, repeat
from tests.bench.rows import Row, row_of, row_of_ms, slowest_in_100
from tests.bridges.vtp.peers import connected
from tests.e2e.live.child import ServiceProcess, until, until_it_is
from tests.e2e.live.hooks import SECRET, WebhookReceiver, webhook_receiver
from tests.e2e.live.topics import ends_of, publication_of
from tests.kafka_server import Cluster, KafkaServer, free_ports, quick_runner

PARTITIONS, LIVE, HISTORY = 4, 220, 80
TOPIC = "alerts"
RATES_PER_S = (100, 1026)
AUTHOR = VoeventAuthor(authority="example.org", stream="bench")
WARM_UP_S = 3.0
PATIENCE_S = 200.0
LATER_D = 20
"""Days from the first trigger to the night of the alerts, when two of three triggers have come."""
_OLD_D = 300.0
_NIGHT_JD = made.T0 / US_PER_DAY + 2_440_587.5 + LATER_D


def lsst(number: int) -> Iterable[bytes]:
    """Packets of some 110 kB, as the benchmarks without Kafka have them."""
    return (message.body for message in packets.lsst_packets(of_a_night(number), HISTORY))


def of_a_night(number: int) -> Alerts:
    """Alerts of a day."""
    alerts, later_us = made.alerts(number, days=1), LATER_D * US_PER_DAY
    alerts.time_us[:] += later_us
    alerts.first_detection_us[:] += later_us
    return alerts


def ztf(number: int, folder: Path | None) -> Iterable[bytes]:
    """Real packets with their images, moved to the nights of the triggers and repeated; or simulated ones.

    As in `packets.lsst_packets`, one in 50 is of an object that was first seen lately.
    """
    whole = []
    for schema, record in repeat.packets_of([folder] if folder else []):
        if record.get("cutoutScience") and "jd" in record.get("candidate", ()):
            moved = repeat._moved(record, 0, round(_NIGHT_JD - record["candidate"]["jd"]), (0.0, 0.0))
            moved["candidate"]["jdstarthist"] = moved["candidate"]["jd"] - (_OLD_D if len(whole) % 50 else 0.0)
            whole.append((schema, moved))
    return (body for _, body in repeat.copies(whole, number, 1))


class Bench:
    """A Kafka with notices of `LIVE` triggers and a topic of alerts, and the service's configuration."""

    def __init__(self, kafka: Cluster, folder: Path, hook_url: str = "") -> None:
        self.kafka, self.folder = kafka, folder
        self.vtp_port = free_ports(1)[0]
        self._hook_url = hook_url
        (folder / "schemas").mkdir()
        (folder / "schemas" / f"{packets.SCHEMA_ID}.avsc").write_text(json.dumps(packets.lsst_schema()))
        (folder / "notices").mkdir()
        for number, message in enumerate(packets.notices(LIVE)):
            (folder / "notices" / f"{number:03}.{'json' if message.body[:1] == b'{' else 'xml'}").write_bytes(
                message.body
            )

    def tables(self, sources: Mapping[str, Any]) -> dict[str, Any]:
        """The defaults, but for the clock, as the alerts are of past nights, and without cuts: all are stored."""
        hook = {"kind": "webhook", "url": self._hook_url, "secret": {"env": "BENCH_SECRET"}, "batch": 100}
        return {
            "service": {"clock": "data"},
            "cuts": {"enabled": False},
            "lsst": {"schema_package": False, "schema_folder": "schemas"},
            "voevent": {"authority": AUTHOR.authority, "stream": AUTHOR.stream},
            "sources": sources,
            "sinks": {
                "kafka": {"kind": "kafka-avro", "bootstrap_servers": [self.kafka.bootstrap], "create_topics": True},
                **(
                    {"hook": hook, "vtp": {"kind": "vtp", "port": self.vtp_port, "buffer_bytes": 64 << 20}}
                    if self._hook_url
                    else {}
                ),
            },
        }

    @property
    def survey(self) -> dict[str, Any]:
        """The source of alerts, by its defaults."""
        return {"kind": "kafka-survey", "bootstrap_servers": [self.kafka.bootstrap], "topics": [TOPIC]}

    @asynccontextmanager
    async def service(self, *before: str) -> AsyncIterator[ServiceProcess]:
        """The service, which has heard the notices and now reads the topic."""
        notices = {"notices": {"kind": "replay", "paths": ["notices"]}}
        service = ServiceProcess(self.folder, self.tables(notices), {"BENCH_SECRET": SECRET})
        async with service:

            async def has_heard_all() -> bool:
                return (await service.ask())["triggers"] >= LIVE

            await until_it_is(has_heard_all, PATIENCE_S)
            await service.stop()
            service.configure(self.tables({"survey": self.survey}))
            await service.start(*before)
            await service.until_running()
            yield service

    async def produce(self, bodies: Iterable[bytes]) -> int:
        """Write alerts to the topic; how many bytes."""
        total = 0
        async with producing(self.kafka) as producer:
            for number, body in enumerate(bodies):
                total += len(body)
                await producer.send(TOPIC, body, partition=number % PARTITIONS)
            await producer.flush()
        return total


@asynccontextmanager
async def producing(kafka: Cluster) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, max_request_size=10 << 20, max_batch_size=1 << 20, linger_ms=5
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def throughput(
    kafka: Cluster, folder: Path, name: str, bodies: Iterable[bytes], *, profile: Path | None = None
) -> list[Row]:
    """Alerts that lie in Kafka, to the store and to the subscribers; alerts a second."""
    bench = Bench(kafka, folder)
    await kafka.create_topic(name=TOPIC, partitions=PARTITIONS)
    size_bytes = await bench.produce(bodies)
    ends = {f"{p.topic}[{p.partition}]": end for p, end in (await ends_of(kafka.bootstrap, [TOPIC])).items()}
    number = sum(ends.values())
    bare_s = [await asyncio.to_thread(_bare, kafka.bootstrap, number)]
    before = ("-m", "cProfile", "-o", str(profile)) if profile else ()
    memory_mib: list[float] = []
    async with bench.service(*before) as service:

        def is_kept() -> bool:
            memory_mib.append(service.resident_mib())
            positions = service.positions()
            return all(positions.get(key, 0) >= end for key, end in ends.items())

        await until(is_kept, PATIENCE_S)
        seconds = _seconds_of_batches(service)
        status = await service.ask()
        await service.stop()
    bare_s.append(await asyncio.to_thread(_bare, kafka.bootstrap, number))
    size = f"{number:,} alerts of {size_bytes / number / 1e3:.0f} kB, {name}, {LIVE} live triggers"
    sys.stderr.write(f"{name}: {status['alerts']:,} stored, {status['coincidences']}\n")
    rate, bare = number / seconds, [number / value for value in bare_s]
    return [
        Row("Kafka to store and match", size, "alerts/s", rate, rate, rate, "bare aiokafka consumer", median(bare)),
        Row("bare aiokafka consumer", size, "alerts/s", median(bare), min(bare), max(bare)),
        row_of("memory of the service", size, "MB", [value * 1.048576 for value in memory_mib]),
    ]


def _seconds_of_batches(service: ServiceProcess) -> float:
    """From when the first batch began to be read until the last was kept."""
    kept = [line for line in service.said() if line.get("event") == "batch kept" and line.get("messages")]
    first, last = (us_from_iso(line["timestamp"]) / 1e6 for line in (kept[0], kept[-1]))
    return last - first + float(kept[0]["took_s"])


def _bare(bootstrap: str, number: int) -> float:
    """A process that only reads the topic, from its first record to its last, in seconds."""
    command = [sys.executable, "-m", "tests.bench.bench_kafka", "bare", bootstrap, str(number)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


async def bare(bootstrap: str, number: int) -> float:
    """Read so many records with the settings of the service's source, and forget them."""
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_bytes=4 << 20,
        max_partition_fetch_bytes=4 << 20,
    )
    await consumer.start()
    read, began_s = 0, 0.0
    try:
        while read < number:
            found = await consumer.getmany(timeout_ms=1000, max_records=1000)
            began_s = began_s or perf_counter()
            read += sum(map(len, found.values()))
    finally:
        await consumer.stop()
    return perf_counter() - began_s


class Subscribers:
    """When each revision came to a subscriber of each kind: by IVORN, in seconds since 1970."""

    def __init__(self) -> None:
        self.kafka: dict[str, float] = {}
        self.vtp: dict[str, float] = {}
        self.alerts_of: dict[str, tuple[int, ...]] = {}

    async def read_topic(self, bootstrap: str) -> None:
        """A subscriber over Kafka."""
        consumer = AIOKafkaConsumer("starcross.all", bootstrap_servers=bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            async for record in consumer:
                came_s = time()
                said = from_record(publication_of(record.value)).coincidence
                ivorn = ivorn_of(said, AUTHOR)
                self.kafka.setdefault(ivorn, came_s)
                if said.reason == "alert" and said.revision == 1:  # of a later one it is not plain which alert made it
                    self.alerts_of[ivorn] = said.object.alert_ids
        finally:
            await consumer.stop()

    async def hear_vtp(self, port: int) -> None:
        """A subscriber over VTP."""
        async with connected(port) as peer:
            await peer.greet()
            while True:
                body = await peer.hear()
                came_s = time()
                if b"Transport" in body:
                    peer.transport("iamalive")
                    continue
                ivorn = etree.fromstring(body).get("ivorn")
                self.vtp.setdefault(ivorn, came_s)
                peer.transport("ack", origin=ivorn)


async def latency(kafka: Cluster, folder: Path, per_s: int, seconds: float) -> list[Row]:
    """Alerts written at a steady rate; from each that makes a revision to when subscribers have it."""
    await kafka.create_topic(name=TOPIC, partitions=PARTITIONS)
    await kafka.create_topic(name="starcross.all")
    async with webhook_receiver() as hook:
        bench, subscribers = Bench(kafka, folder, hook.url), Subscribers()
        async with bench.service() as service:

            async def is_listening() -> bool:
                return "status" in (await service.ask())["sinks"]["vtp"]

            await until_it_is(is_listening)
            listening = [
                asyncio.create_task(subscribers.read_topic(kafka.bootstrap)),
                asyncio.create_task(subscribers.hear_vtp(bench.vtp_port)),
            ]

            async def is_heard() -> bool:
                return bool((await service.ask())["sinks"]["vtp"].get("status"))

            await until_it_is(is_heard)
            memory_mib, written_s = await _write_steadily(bench, service, per_s, seconds)

            async def is_sent() -> bool:
                return not any((await service.waiting()).values())

            await until_it_is(is_sent, PATIENCE_S)
            await until(lambda: subscribers.alerts_of.keys() <= subscribers.vtp.keys(), PATIENCE_S)
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)
            await service.stop()
    came = {"Kafka": subscribers.kafka, "VTP": subscribers.vtp, "webhook": _posted(hook)}
    size = f"{len(written_s):,} alerts, {per_s} a second"
    rows = []
    for kind, came_s in came.items():
        delays_s = [
            came_s[ivorn] - max(written_s[alert] for alert in alerts if alert in written_s)
            for ivorn, alerts in subscribers.alerts_of.items()
        ]
        name = f"produced to received over {kind}"
        rows += [row_of_ms(name, f"{size}, {len(delays_s):,} revisions", delays_s)]
        rows += [slowest_in_100(name, size, delays_s)]
    thirds = [memory_mib[len(memory_mib) * part // 3] * 1.048576 for part in range(3)] + [memory_mib[-1] * 1.048576]
    sys.stderr.write(f"memory at 0, 1/3, 2/3 and the end, MB: {[round(value) for value in thirds]}\n")
    return [*rows, row_of("memory of the service", size, "MB", [value * 1.048576 for value in memory_mib])]


async def _write_steadily(
    bench: Bench, service: ServiceProcess, per_s: int, seconds: float
) -> tuple[list[float], dict[int, float]]:
    """Memory of the service meanwhile, and when each alert was handed to Kafka."""
    alerts = of_a_night(int((seconds + WARM_UP_S) * per_s))
    bodies = list(packets.lsst_packets(alerts, HISTORY, new_of=10))
    ids = [int(number) + packets._FIRST_ID for number in alerts.alert_id.tolist()]
    memory_mib, written_s = [service.resident_mib()], {}
    async with producing(bench.kafka) as producer:
        began_s = time()
        for number, (alert, message) in enumerate(zip(ids, bodies, strict=True)):
            due_s = began_s + number / per_s
            if due_s > time() + 0.002:
                await asyncio.sleep(due_s - time())
            written_s[alert] = time()
            await producer.send(TOPIC, message.body, partition=number % PARTITIONS)
            if number % per_s == 0:
                memory_mib.append(service.resident_mib())
        await producer.flush()
    sys.stderr.write(f"written at {len(ids) / (time() - began_s):.0f} alerts/s instead of {per_s}\n")
    return memory_mib, written_s


def _posted(hook: WebhookReceiver) -> dict[str, float]:
    came: dict[str, float] = {}
    for publication, came_s in zip(hook.publications, hook.came_s, strict=True):
        came.setdefault(ivorn_of(from_document(publication["coincidence"]), AUTHOR), came_s)
    return came


async def run(given: argparse.Namespace) -> list[Row]:
    """The benchmarks that were asked for, each with a Kafka of its own."""
    rows: list[Row] = []
    if "throughput" in given.what:
        surveys = {"LSST": lambda: lsst(given.alerts), "ZTF": lambda: ztf(given.alerts, given.ztf)}
        for name in given.surveys:
            with _kafka() as kafka, tempfile.TemporaryDirectory() as folder:
                rows += await throughput(kafka, Path(folder), name, surveys[name](), profile=given.profile)
    if "latency" in given.what:
        for per_s in given.rates:
            with _kafka() as kafka, tempfile.TemporaryDirectory() as folder:
                rows += await latency(kafka, Path(folder), per_s, given.seconds)
    return rows


def _kafka() -> KafkaServer:
    return KafkaServer(quick_runner(), Path(tempfile.mkdtemp(prefix="starcross-bench-")))


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    if argv is None and sys.argv[1:2] == ["bare"]:
        sys.stdout.write(str(uvloop.run(bare(sys.argv[2], int(sys.argv[3])))))
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="+", choices=["throughput", "latency"])
    parser.add_argument("--alerts", type=int, default=20_000, help="for throughput")
    parser.add_argument("--surveys", nargs="*", default=["LSST", "ZTF"], choices=["LSST", "ZTF"])
    parser.add_argument("--ztf", type=Path, help="folder of ZTF's own packets")
    parser.add_argument("--rates", type=int, nargs="*", default=RATES_PER_S, help="for latency, alerts a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="for latency")
    parser.add_argument("--profile", type=Path, help="file for cProfile's numbers of the service")
    for row in asyncio.run(run(parser.parse_args(argv))):
        low_high = f"({row.low:,.1f} to {row.high:,.1f})"
        ratio = f"  {row.ratio:.2f} of {row.baseline}" if row.ratio is not None else ""
        sys.stdout.write(f"{row.name:40} {row.size:75} {row.median:12,.1f} {row.unit} {low_high}{ratio}\n")


if __name__ == "__main__":
    main()
