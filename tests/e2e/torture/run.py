"""The service under load, killed again and again, with Kafka killed and restarted now and then; then the reckoning.

The seed decides on the load and on the kind of each kill. When exactly a kill comes depends on the machine as well, so
that a seed does not repeat a run to the microsecond.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from broker.store.files import SEALED
from tests.e2e.live.child import ServiceProcess, until, until_it_is
from tests.e2e.live.hooks import SECRET, webhook_receiver
from tests.e2e.live.topics import ends_of
from tests.e2e.torture.load import Chances, Producer, disturbed, nights
from tests.e2e.torture.reckoning import Reckoning, reckon
from tests.kafka_server import KafkaServer

SUBSTREAMS = {"all": {"include_tests": True}, "near": {"include_tests": True, "where": "credible_level < 0.5"}}
STARTING_S, RUNNING_S = 2.0, 2.5
"""Kills come so long after the start, or after it has read everything that was stored, at most."""
SECONDS_A_KILL = 3.5
CATCH_UP_S = 240.0


@dataclass(frozen=True)
class Plan:
    """What is done: kills of the service, one Kafka restart in so many kills, and the load.

    Attributes
    ----------
    messages
        About so many alerts; by default so many that they last for the kills.
    """

    seed: int = 1
    kills: int = 100
    per_s: float = 100.0
    kafka_every: int = 9
    messages: int | None = None


@dataclass
class Report:
    """What was done and what came of it."""

    plan: Plan
    kills: Counter[str] = field(default_factory=Counter)
    kafka_kills: int = 0
    restores: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    catch_up_s: float = 0.0
    reckoning: Reckoning = field(default_factory=Reckoning)

    @property
    def wrong(self) -> list[str]:
        """What should not be; empty if all is well."""
        return self.reckoning.wrong

    def text(self) -> str:
        """For a person."""
        kills = ", ".join(f"{number} {when}" for when, number in sorted(self.kills.items()))
        seconds = sorted(one["seconds"] for one in self.restores) or [0.0]
        told = {
            "seed": self.plan.seed,
            "kills of the service": f"{self.kills.total()} ({kills})",
            "kills of Kafka": self.kafka_kills,
            "under load": f"{self.seconds:.0f} s at {self.plan.per_s:g} messages/s",
            "catching up": f"{self.catch_up_s:.1f} s",
            "restored": f"{len(seconds)} times in {seconds[len(seconds) // 2]:.3f} s (median) to {seconds[-1]:.3f} s",
            **self.reckoning.counts,
        }
        lines = [f"{name:32} {value}" for name, value in told.items()]
        lines += [f"WRONG: {line}" for line in self.wrong] or ["nothing lost, nothing doubled, nothing wrong"]
        return "\n".join(lines) + "\n"


def tables(bootstrap: str, hook_url: str) -> Mapping[str, Any]:
    """A configuration in which everything happens often."""
    return {
        "triggers": {"include_tests": True},
        "substreams": SUBSTREAMS,
        "store": {"open_alerts": 1000, "seal_after_s": 1.0, "packets": "none", "revisions_d": 4000.0},
        "service": {"clock": "data", "maintain_every_s": 0.3, "log_level": "info"},
        "sources": {
            "survey": {
                "kind": "kafka-survey",
                "bootstrap_servers": [bootstrap],
                "topic_pattern": r"ztf_\d{8}_programid1",
                "metadata_age_s": 1.0,
                "batch_messages": 200,
                "group": "torture",
                "commit_interval_s": 1.0,
            },
            "gcn": {
                "kind": "gcn",
                "bootstrap_servers": bootstrap,
                "security": "plaintext",
                "heartbeat_topic": "",
                "refresh_s": 1.0,
            },
        },
        "sinks": {
            "kafka": {"kind": "kafka-avro", "bootstrap_servers": [bootstrap], "create_topics": True, "partitions": 2},
            "lines": {"kind": "json-lines", "path": "lines.jsonl"},
            "hook": {"kind": "webhook", "url": hook_url, "secret": {"env": "TORTURE_SECRET"}, "batch": 20},
        },
    }


async def torture(plan: Plan, kafka: KafkaServer, folder: Path) -> Report:
    """Do it, wait until the service has caught up, and compare."""
    report, chance = Report(plan), random.Random(plan.seed)
    messages = disturbed(
        nights(plan.seed, plan.messages or round(plan.kills * SECONDS_A_KILL * plan.per_s)),
        random.Random(plan.seed + 1),
        Chances(),
    )
    producer = Producer(kafka, messages, plan.per_s, plan.seed + 2)
    async with webhook_receiver(chance=random.Random(plan.seed + 3), refuses=0.03, forgets=0.03) as hook:
        service = ServiceProcess(folder, tables(kafka.bootstrap, hook.url), env={"TORTURE_SECRET": SECRET})
        if not plan.kills:
            await service.start()
        began_s = time.monotonic()
        writing = asyncio.create_task(producer.run())
        try:
            await _kill_often(plan, service, kafka, chance, report)
            await writing
            report.seconds = time.monotonic() - began_s
            await _catch_up(service, kafka, producer, report)
            code = await service.stop()
        finally:
            writing.cancel()
            await service.kill()
        report.reckoning = await reckon(service, kafka.bootstrap, sorted(producer.topics), hook.publications)
        if code != 0:
            report.wrong.append(f"the service ended with {code} on SIGTERM")
    return report


async def _kill_often(
    plan: Plan, service: ServiceProcess, kafka: KafkaServer, chance: random.Random, report: Report
) -> None:
    restarting: asyncio.Task[None] | None = None
    for number in range(1, plan.kills + 1):
        if number % plan.kafka_every == 0 and (restarting is None or restarting.done()):
            restarting = asyncio.create_task(_restart(kafka, chance))
            report.kafka_kills += 1
        await service.start()
        await _wait_for_the_moment(service, chance)
        report.kills[_phase(service)] += 1
        await service.kill()
        _note_restore(service, report)
    if restarting is not None:
        await restarting


async def _restart(kafka: KafkaServer, chance: random.Random) -> None:
    await (kafka.kill() if chance.random() < 0.7 else kafka.stop())
    await asyncio.sleep(chance.uniform(0.0, 4.0))
    await kafka.start()


async def _wait_for_the_moment(service: ServiceProcess, chance: random.Random) -> None:
    """While it starts and restores, at any time while it runs, or when it has just begun to seal alerts."""
    kind = chance.random()
    if kind < 0.3:
        await asyncio.sleep(chance.uniform(0.0, STARTING_S))
        return
    await service.until_running()
    if kind < 0.7:
        await asyncio.sleep(chance.uniform(0.0, RUNNING_S))
        return
    before = _sealed(service)
    with suppress(TimeoutError):
        await until(lambda: _sealed(service) - before, RUNNING_S)
    await asyncio.sleep(chance.uniform(0.0, 0.03))


def _phase(service: ServiceProcess) -> str:
    """What it was about, by what it said and what lies on the disk."""
    if service.event("restored") is None:
        return "while it started"
    if service.event("running") is None:
        return "when it had restored"
    return "while it sealed" if _sealed(service) - service.named_folders() else "while it ran"


def _sealed(service: ServiceProcess) -> set[str]:
    folder = service.store / SEALED
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _note_restore(service: ServiceProcess, report: Report) -> None:
    restored = service.event("restored")
    if restored is not None:
        report.restores.append({"seconds": restored["seconds"], "alerts": restored["sealed_alerts"]})


async def _catch_up(service: ServiceProcess, kafka: KafkaServer, producer: Producer, report: Report) -> None:
    began_s = time.monotonic()
    if report.kills:
        await service.start()
    await service.until_running()
    _note_restore(service, report)
    ends = {f"{p.topic}[{p.partition}]": end for p, end in (await ends_of(kafka.bootstrap, producer.topics)).items()}
    await until(lambda: all(service.positions().get(name, 0) >= end for name, end in ends.items()), CATCH_UP_S)

    async def is_sent() -> bool:
        return not any((await service.waiting()).values())

    await until_it_is(is_sent, CATCH_UP_S)
    report.catch_up_s = time.monotonic() - began_s
