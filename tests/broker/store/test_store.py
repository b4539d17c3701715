"""What is committed is there again."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from broker.config import load_config
from broker.registry import make_matchers
from broker.store.options import StoreOptions
from broker.store.records import Batch, CoincidenceEntry, KeptNotice, KeptPacket, NoticeEntry
from broker.store.store import Store
from matchers.engine import Engine
from matchers.ledger import Changes
from schemas.coincidence import to_json
from schemas.densities import skymap_of
from schemas.records import Message
from tests.coincidences import COINCIDENCE
from tests.matchers.made import CARRIED, DAY, T0, alerts_of, notice_of, taken

NOW = 1_600_000_000_000_000


async def opened(folder: Path, **options) -> Store:
    return await Store.open(folder, StoreOptions(**options), lambda: NOW)


def proposal(**fields):
    return Batch(
        source="s",
        changes=[COINCIDENCE],
        outbox=[CoincidenceEntry("kafka", COINCIDENCE.id, COINCIDENCE.revision, ("all", "grb"))],
        **fields,
    )


async def test_positions_are_those_of_what_is_durable(tmp_path):
    store = await opened(tmp_path)
    assert store.positions("s") == {}
    await store.commit(Batch(source="s", positions={"t[0]": 5, "t[1]": 7}))
    await store.commit(Batch(source="s", positions={"t[0]": 6}))
    assert store.positions("s") == {"t[0]": 6, "t[1]": 7}
    await store.close()
    again = await opened(tmp_path)
    assert again.positions("s") == {"t[0]": 6, "t[1]": 7}
    await again.close()


async def test_a_sink_is_sent_what_was_stored_until_it_is_done(tmp_path):
    store = await opened(tmp_path)
    latest = COINCIDENCE.object.alert_ids[-1]
    await store.commit(proposal(packets=[KeptPacket("ztf", latest, "o", 0, b"packet" * 100)]))
    for _ in range(2):
        (delivery,) = await store.next("kafka", 10, packets=True)
        assert delivery.publication.coincidence == COINCIDENCE
        assert delivery.publication.substreams == ("all", "grb")
        assert delivery.publication.packet == b"packet" * 100
    assert store.backlog("kafka").count == 1
    await store.close()
    store = await opened(tmp_path)
    assert (store.backlog("kafka").count, store.backlog("kafka").oldest_us) == (1, NOW)
    (again,) = await store.next("kafka", 10)
    assert (again.id, again.publication.coincidence, again.publication.packet) == (delivery.id, COINCIDENCE, None)
    await store.done("kafka", [again.id])
    assert (store.backlog("kafka").count, store.backlog("kafka").oldest_us) == (0, None)
    assert sorted(await store.sent()) == [(name, COINCIDENCE.id, COINCIDENCE.changed_us) for name in ("all", "grb")]
    await store.close()


async def test_notices_are_relayed_as_they_came(tmp_path):
    store = await opened(tmp_path)
    notice = KeptNotice(Message(b"<xml/>", "gcn[0]@1", "gcn"), NOW, "ivo://n#1", None)
    await store.commit(Batch(source="s", notices=[notice], outbox=[NoticeEntry("vtp", "ivo://n#1")]))
    (delivery,) = await store.next("vtp", 1)
    assert delivery.notice == notice
    await store.close()


async def test_a_wrong_batch_fails_alone_and_wholly(tmp_path):
    store = await opened(tmp_path)
    futures = [
        store.commit(Batch(source="s", positions={"a": 1})),
        store.commit(Batch(source="s", positions={"a": 2}, outbox=[CoincidenceEntry("k", "none", 1, ("all",))])),
        store.commit(proposal()),
    ]
    await futures[0]
    with pytest.raises(sqlite3.IntegrityError):
        await futures[1]
    await futures[2]
    assert store.positions("s") == {"a": 1}
    await store.close()


def night_alerts(ids, *, time_us=T0):
    return alerts_of([{"id": n, "obj": f"ZTF{n}", "t": time_us + n, "ra": 10 + n / 100, "dec": 20} for n in ids])


def an_engine(**options) -> Engine:
    config = load_config(None)
    return Engine(
        make_matchers(config, Path()), cuts={"ztf": config.cuts_of("ztf")}, carried={"ztf": CARRIED}, **options
    )


async def put(store, engine, alerts=None, notice=None):
    """What a pipeline does with one of these."""
    if alerts is not None:
        kept = engine.add_alerts(alerts)
        fields, steps = {"stored": [kept.stored], "noted": [kept.noted]}, engine.assess(NOW)
    else:
        fields = {"notices": [KeptNotice(notice.message, NOW, notice.ivorn, notice.trigger_id)]}
        steps = engine.put_notice(notice, skymap_of(notice.localisation), NOW)
    changes = Changes.of(steps)
    await store.commit(Batch(source="s", changes=changes.published, quiet=changes.quiet, **fields))


def read_again(*notices):
    known = {notice.message: notice for notice in notices}

    def read(message):
        yield known[message], skymap_of(known[message].localisation)

    return read


async def test_an_engine_is_restored(tmp_path):
    store, engine, notice = await opened(tmp_path), an_engine(), notice_of()
    await put(store, engine, night_alerts(range(20)))
    await put(store, engine, notice=notice)
    await put(store, engine, night_alerts(range(10, 30)))
    assert len(engine.ledger) == 30
    await store.close()
    store, again = await opened(tmp_path), an_engine()
    restored = await store.restore(again, read_again(notice), lambda _: None)
    assert (restored.open_alerts, restored.notices, restored.coincidences) == (30, 1, 30)
    assert list(again.ledger) == list(engine.ledger)
    assert again.index.state("ztf", "ZTF15") == engine.index.state("ztf", "ZTF15")
    assert [t.id for t in again.triggers()] == [notice.trigger_id]
    for told in (engine, again):
        assert taken(told, night_alerts(range(30)), NOW).all() == []
    await store.close()


async def rows_of(store: Store, table: str) -> list[tuple[object, ...]]:
    asked = f"SELECT * FROM {table} ORDER BY 1"  # noqa: S608 - the name of a table
    return await store._read(lambda database: database.execute(asked).fetchall())


async def test_what_stands_since_the_last_revision_is_kept_until_the_next(tmp_path):
    quiet, later = (replace(COINCIDENCE, overlap=overlap) for overlap in (5.0, 6.0))
    revised = replace(COINCIDENCE, revision=COINCIDENCE.revision + 1)
    store = await opened(tmp_path)
    await store.commit(Batch(source="s", changes=[COINCIDENCE], quiet=[quiet]))
    await store.commit(Batch(source="s", quiet=[quiet, later]))
    key = COINCIDENCE.id, COINCIDENCE.revision
    assert await rows_of(store, "standing") == [(*key, to_json(later))]
    engine = an_engine()
    await store.restore(engine, read_again(), lambda _: None)
    assert engine.standing() == [later]
    assert list(engine.ledger) == [COINCIDENCE]
    await store.commit(Batch(source="s", changes=[revised], quiet=[later]))
    assert await rows_of(store, "standing") == []
    await store.commit(Batch(source="s", quiet=[replace(revised, overlap=7.0)]))
    assert len(await rows_of(store, "standing")) == 1
    with pytest.raises(sqlite3.IntegrityError):
        await store.commit(Batch(source="s", quiet=[replace(COINCIDENCE, id="unknown")]))
    await store.close()


async def test_what_stands_goes_with_its_coincidence(tmp_path):
    store = await opened(tmp_path, coincidences_d=1.0, revisions_d=1.0)
    await store.commit(Batch(source="s", changes=[COINCIDENCE], quiet=[replace(COINCIDENCE, overlap=5.0)]))
    store._clock = lambda: NOW + 2 * DAY
    await store.expire(0, [])
    assert (await rows_of(store, "coincidence"), await rows_of(store, "standing")) == ([], [])
    await store.close()


async def test_packets_of_what_is_only_kept_count_as_matched(tmp_path):
    store = await opened(tmp_path)
    quiet = replace(COINCIDENCE, object=replace(COINCIDENCE.object, alert_ids=(7,)))
    await store.commit(proposal(packets=[KeptPacket("ztf", 7, "o", 0, b"packet")]))
    await store.commit(Batch(source="s", quiet=[quiet]))
    ((matched,),) = await store._read(lambda database: database.execute("SELECT matched FROM packet").fetchall())
    assert matched == 1
    await store.close()
