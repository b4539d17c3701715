"""Compares what is in the store and what came out with what should be, by what lies in the topics."""

import asyncio
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from broker.store.checking import problems
from broker.store.database import open_for_reading
from broker.store.exporting import export_night
from broker.store.options import StoreOptions
from broker.store.store import Store
from schemas.coincidence import from_json
from schemas.records import Coincidence, Message, State
from tests.e2e.live.child import ServiceProcess
from tests.e2e.live.reference import Reference, essence_of, far_off, stored_standing, worth_of
from tests.e2e.live.topics import Record, publication_of, read_topics

SHOWN = 5
"""So many examples of what is wrong."""


@dataclass
class Reckoning:
    """What was found: numbers for a person, and what is wrong, a sentence each."""

    counts: dict[str, object] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def same(self, what: str, expected: Iterable[Any], found: Iterable[Any]) -> None:
        """Both must have the same members; neither any twice."""
        expected, found = Counter(iter(expected)), Counter(iter(found))  # of a mapping its keys, not its values
        for name, difference in (("missing", expected - found), ("not expected", found - expected)):
            if difference:
                some = "; ".join(f"{key} x{n}" for key, n in islice(difference.items(), SHOWN))
                self.wrong.append(f"{what}: {difference.total()} {name}: {some}")

    def equal(self, what: str, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> None:
        """Both must have the same keys, and the same for each."""
        self.same(what, expected, found)
        differ = [key for key in expected.keys() & found.keys() if expected[key] != found[key]]
        if differ:
            some = "; ".join(f"{key}: {expected[key]} and not {found[key]}" for key in sorted(differ)[:SHOWN])
            self.wrong.append(f"{what}: {len(differ)} differ: {some}")


async def reckon(service: ServiceProcess, bootstrap: str, topics: list[str], posted: list[dict[str, Any]]) -> Reckoning:
    """Compare, once the service has ended."""
    found = Reckoning()
    records = await read_topics(bootstrap, topics)
    streams = {
        name: [publication_of(r.value or b"") for r in await read_topics(bootstrap, [f"starcross.{name}"])]
        for name in ("all", "near")
    }
    reference = Reference(service.config)
    await asyncio.to_thread(
        reference.take, [Message(r.value, r.origin, r.topic) for r in records if r.value is not None]
    )
    _compare_inputs(found, service, records, reference)
    history = _compare_coincidences(found, service, reference)
    lines = [json.loads(line) for line in (service.folder / "lines.jsonl").read_text().splitlines()]
    _compare_sink(found, "json-lines", history, [line["coincidence"] for line in lines])
    _compare_sink(found, "webhook", history, [publication["coincidence"] for publication in posted])
    _compare_sink(found, "kafka, all", history, [_coincidence(p) for p in streams["all"]])
    _compare_near(found, service, history, [_coincidence(p) for p in streams["near"]])
    await _compare_objects(found, service, reference)
    with closing(open_for_reading(service.store)) as database:
        found.wrong += [f"store: {told}" for told in problems(database, service.store)]
    return found


def _coincidence(publication: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in publication.items() if name not in {"substreams", "packet"}}


def _compare_inputs(found: Reckoning, service: ServiceProcess, records: list[Record], reference: Reference) -> None:
    """Every message is accounted for once: stored, cut, a duplicate, a notice, in quarantine, or without a body."""
    with closing(open_for_reading(service.store)) as database:
        quarantined = Counter(database.execute("SELECT origin, reason FROM rejected").fetchall())
        heard = {origin for (origin,) in database.execute("SELECT origin FROM notice")}
        rows = _exported(database, service.store)
    found.same("quarantine", reference.rejected.elements(), quarantined.elements())
    kept = reference.stored()
    found.same("stored alerts", kept, [(row["survey"], row["alert_id"]) for row in rows])
    stored = {(row["survey"], row["alert_id"]): row for row in rows}
    found.equal("what is stored of alerts", kept, {key: _row_of(row) for key, row in stored.items()})
    for key, row in stored.items():
        if row["origin"] not in reference.alerts.get(key, ()):
            found.wrong.append(f"stored alert {key} says it came from {row['origin']}, which does not hold it")
    if not heard <= set(reference.notices):
        found.wrong.append(f"notices that nobody sent: {sorted(heard - set(reference.notices))[:SHOWN]}")
    times = {key: len(origins) for key, origins in reference.alerts.items()}
    tombstones = sum(record.value is None for record in records)
    accounted = {
        "stored": len(stored),
        "cut": sum(n for key, n in times.items() if key not in kept),
        "duplicates of stored": sum(n - 1 for key, n in times.items() if key in kept),
        "notices": len(reference.notices),
        "in quarantine": quarantined.total(),
        "tombstones": tombstones,
    }
    found.counts["messages in the topics"] = f"{len(records):,} in {len({record.topic for record in records})} topics"
    found.counts["accounted for"] = ", ".join(f"{number:,} {what}" for what, number in accounted.items())
    if sum(accounted.values()) != len(records):
        found.wrong.append(f"{len(records)} messages, {sum(accounted.values())} accounted for")
    ends: defaultdict[str, int] = defaultdict(int)
    for record in records:
        ends[f"{record.topic}[{record.partition}]"] = record.offset + 1
    positions = service.positions()
    found.equal("positions", ends, {name: positions[name] for name in ends if name in positions})


def _row_of(row: Mapping[str, Any]) -> tuple[object, ...]:
    """As `reference.rows_of` has it."""
    return row["alert_id"], row["object_id"], row["time_us"], row["ra_deg"], row["dec_deg"]


def _exported(database: Any, store: Path) -> list[dict[str, Any]]:
    """All stored alerts, by way of Parquet."""
    asked = "SELECT night FROM part UNION SELECT night FROM alerts"
    with tempfile.TemporaryDirectory() as folder:
        rows: list[dict[str, Any]] = []
        for (night,) in database.execute(asked).fetchall():
            out = Path(folder) / f"{night}.parquet"
            export_night(database, store, night, out)
            rows += pq.read_table(out).to_pylist()
    return rows


def _compare_coincidences(
    found: Reckoning, service: ServiceProcess, reference: Reference
) -> dict[tuple[str, int], dict[str, Any]]:
    """What stands is what should stand; returns all revisions as they are stored."""
    with closing(open_for_reading(service.store)) as database:
        asked = database.execute("SELECT id, revision, document FROM coincidence ORDER BY id, revision").fetchall()
    revisions: defaultdict[str, list[int]] = defaultdict(list)
    newest: dict[str, Coincidence] = {}
    for identity, revision, document in asked:
        revisions[identity].append(revision)
        newest[identity] = from_json(document)
    gaps = [identity for identity, n in revisions.items() if n != list(range(1, len(n) + 1))]
    if gaps:
        found.wrong.append(f"revisions in the store are not consecutive: {gaps[:SHOWN]}")
    published = {key: essence_of(c) for key, c in newest.items() if c.state is not State.WITHDRAWN}
    expected, standing = reference.standing(), stored_standing(service.store)
    found.equal("coincidences that stand", expected, standing)
    found.same("coincidences that were published and stand", expected, published)
    if off := far_off(published, expected):
        found.wrong.append(f"published and further off than the thresholds: {dict(islice(off.items(), SHOWN))}")
    found.equal("what they are worth", worth_of(reference.engine), worth_of(reference.restored(service.store)))
    found.counts["coincidences"] = (
        f"{len(standing):,} stand as expected, {len(newest) - len(standing):,} are withdrawn, {len(asked):,} revisions"
    )
    return {(identity, revision): json.loads(document) for identity, revision, document in asked}


def _compare_sink(
    found: Reckoning,
    sink: str,
    stored: Mapping[tuple[str, int], dict[str, Any]],
    came: list[dict[str, Any]],
) -> None:
    """Everything came, as it is stored, each coincidence in the order of its revisions; what came again is the same."""
    latest: defaultdict[str, int] = defaultdict(int)
    unknown = changed = jumped = 0
    for document in came:
        key = document["id"], document["revision"]
        unknown += key not in stored
        changed += key in stored and stored[key] != document
        jumped += key[1] > latest[key[0]] + 1
        latest[key[0]] = max(latest[key[0]], key[1])
    names = {(document["id"], document["revision"]) for document in came}
    found.same(f"{sink}: revisions", stored, names)
    for number, what in ((unknown, "are not in the store"), (changed, "differ from the store"), (jumped, "came early")):
        if number:
            found.wrong.append(f"{sink}: {number} publications {what}")
    found.counts[f"sink {sink}"] = f"{len(names):,} revisions, {len(came) - len(names):,} came again"


def _compare_near(
    found: Reckoning,
    service: ServiceProcess,
    stored: Mapping[tuple[str, int], dict[str, Any]],
    came: list[dict[str, Any]],
) -> None:
    """A substream with a condition: all revisions from the first that it sent on."""
    first: dict[str, int] = {}
    for document in came:
        first.setdefault(document["id"], document["revision"])
    with closing(open_for_reading(service.store)) as database:
        routed = [row[0] for row in database.execute("SELECT coincidence_id FROM routed WHERE substream = 'near'")]
    found.same("substream near", routed, first)
    admitted = {
        key[0]: key[1]
        for key, document in sorted(stored.items(), reverse=True)
        if document["credible_level"] < 0.5 and document["state"] != "withdrawn"
    }
    found.equal("first revision of substream near", admitted, first)
    wanted = {key: document for key, document in stored.items() if key[1] >= first.get(key[0], 1 << 30)}
    shifted = {(key[0], key[1] - first[key[0]] + 1): document for key, document in wanted.items()}
    _compare_sink(
        found,
        "kafka, near",
        {key: document | {"revision": key[1]} for key, document in shifted.items()},
        [document | {"revision": document["revision"] - first[document["id"]] + 1} for document in came],
    )


async def _compare_objects(found: Reckoning, service: ServiceProcess, reference: Reference) -> None:
    """What is known of every object after one more restart."""
    restored = Reference(service.config)
    store = await Store.open(service.store, StoreOptions(), lambda: 0)
    try:
        await store.restore(restored.engine, lambda _: (), lambda _: None)
    finally:
        await store.close()
    names = sorted({row[1] for row in reference.stored().values()})
    surveys = sorted({survey for survey, _ in reference.stored()})
    keys = list(chain.from_iterable(((survey, str(name)) for name in names) for survey in surveys))
    found.equal(
        "what is known of objects",
        {key: reference.engine.index.state(*key) for key in keys},
        {key: restored.engine.index.state(*key) for key in keys},
    )
    found.counts["objects"] = f"{len(names):,} known"
