"""What catalogues and services say of coincidences, by the service's own parts and a server that stands in."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from astropy.table import Table

from bridges.folder import OutputFolder
from broker.catalogues import Catalogues
from broker.clocks import WallClock
from broker.metrics import Metrics
from broker.observers import Observers
from broker.plan import Plan
from broker.reader import make_reader
from broker.replay import Progress, replay
from broker.service import Service
from broker.status import refresh, status
from broker.store.records import Batch, KeptAnnotation
from broker.store.store import Store
from schemas.annotations import Annotation, Answer
from schemas.records import Coincidence, State
from tests.bridges.service_stand_ins import Reply, cross_matched, stand_in
from tests.broker.test_parts import config_of
from tests.broker.test_status import Calm
from tests.e2e.hostile_inputs import GOOD_ALERT, GOOD_NOTICE

pytest.importorskip("astroquery")

SIMBAD = "[catalogues.simbad]\nkind = 'xmatch'\nurl = '{url}'\ngather_s = 0\npause_s = 0\nretry_s = 0.01\n"
HOSTS = "[catalogues.hosts]\npath = 'hosts.csv'\ncolumns = {name = 'id', distance_mpc = 'd'}\n"
KNOWN = Table({
    "main_id": ["QSO J1001"], "ra": [150.25], "dec": [-12.4999], "main_type": ["QSO"], "other_types": ["QSO"],
    "redshift": [1.5],
})  # fmt: skip
QSO = Annotation("simbad", Answer.FOUND, "QSO J1001", 0.36, "QSO", redshift=1.5, values={"other_types": "QSO"})
PENDING, FAILED = Annotation("simbad", Answer.PENDING), Annotation("simbad", Answer.FAILED)
HOST = Annotation("hosts", Answer.FOUND, "NGC 1", 3.6, distance_mpc=40.0)


def known(question):
    return cross_matched(question, KNOWN)


class World:
    """A service that runs in this loop, and all revisions that it stored."""

    def __init__(self, service: Service, metrics: Metrics) -> None:
        self.service, self.metrics = service, metrics
        self.revisions: list[Coincidence] = []
        commit = service.store.commit

        def note(batch: Batch) -> asyncio.Future[None]:
            kept = commit(batch)
            kept.add_done_callback(lambda _: self.revisions.extend(batch.changes))
            return kept

        service.store.commit = note

    def said(self) -> list[Annotation]:
        """What the newest revision says of the neighbourhood, but for what the packet carries."""
        return [one for one in self.revisions[-1].object.annotations if one.values.get("source") != "packet"]

    async def until(self, said: Annotation) -> None:
        """Wait until the newest revision says this."""
        async with asyncio.timeout(30):
            while not self.revisions or said not in self.said():  # noqa: ASYNC110 - what is waited for is in the store
                await asyncio.sleep(0.002)


@asynccontextmanager
async def serving(folder, text):
    (folder / "hosts.csv").write_text("ra,dec,id,d\n150.25,-12.501,NGC 1,40\n")
    plan = Plan.of(config_of(folder, text), folder)
    store = await Store.open(folder / plan.config.store.folder, plan.config.store, WallClock())
    try:
        metrics = Metrics()
        catalogues = await asyncio.to_thread(plan.open_catalogues)
        service = Service(plan, store, WallClock(), Observers(metrics), lambda: plan, catalogues)
        metrics.refresh = lambda metrics: refresh(service, metrics)
        world = World(service, metrics)
        await service.restore()
        service.start()
        yield world
        await service.stop()
    finally:
        await store.close()


async def take(world, source="calm"):
    calm = Calm()
    world.service.supervisor.start(f"source {source}", lambda: calm.run(world.service.pipeline.inlet(source)))


async def test_a_coincidence_goes_out_marked_and_is_revised_once_the_service_answers(tmp_path):
    with stand_in(lambda _: Reply(b"down", 503)) as server:
        async with serving(tmp_path, SIMBAD.format(url=server.url) + HOSTS) as world:
            await take(world)
            await world.until(PENDING)
            first = world.revisions[-1]
            assert (first.state, first.revision) == (State.PROPOSED, 1)
            assert world.said() == [HOST, PENDING]
            asker = world.service.annotating.askers["simbad"]
            async with asyncio.timeout(30):
                while not asker.trouble:  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
            told = status(world.service)
            assert told["services"] == {"simbad": {"waiting": 1, "trouble": "127.0.0.1: answers 503: down"}}
            assert told["catalogues"] == {"hosts": {"entries": 1}}
            server.speak = known
            await world.until(QSO)
            second = world.revisions[-1]
            assert (second.id, second.state, second.revision) == (first.id, State.UPDATED, 2)
            assert second.reason == "annotation"
            assert "annotations" in second.changed
            assert world.said() == [HOST, QSO]
            async with asyncio.timeout(30):
                while asker.waiting:  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
            page = world.metrics.page().decode()
            assert 'starcross_service_answers_total{catalogue="simbad",outcome="found"} 1.0' in page
            assert 'starcross_service_waiting{catalogue="simbad"} 0.0' in page
            assert 'starcross_catalogue_entries{catalogue="hosts"} 1.0' in page


async def test_answers_come_back_after_a_restart_and_are_not_asked_for_again(tmp_path):
    with stand_in(known) as server:
        text = SIMBAD.format(url=server.url)
        async with serving(tmp_path, text) as world:
            await take(world)
            await world.until(QSO)
            (kept,) = await world.service.store.annotations()
            assert (kept.survey, kept.object_id, kept.annotation) == ("ztf", "ZTF20aaaaaaa", QSO)
        asked = len(server.asked)
        async with serving(tmp_path, text) as world:
            assert world.service.annotating.askers["simbad"].waiting == 0
            (stands,) = world.service.pipeline.engine.ledger.standing()
            assert QSO in stands.object.annotations
            world.service.supervisor.start("again", world.service.pipeline.reassess)
            await take(world)
        assert len(server.asked) == asked
        assert [one.object.annotations for one in world.revisions if QSO not in one.object.annotations] == []
        # A service that is not asked any more says nothing any more.
        async with serving(tmp_path, "") as world:
            assert list(world.service.annotating.askers) == []


async def test_what_was_not_answered_is_asked_for_after_a_restart(tmp_path):
    with stand_in(lambda _: Reply(b"down", 503)) as server:
        text = SIMBAD.format(url=server.url)
        async with serving(tmp_path, text) as world:
            await take(world)
            await world.until(PENDING)
        server.speak = known
        async with serving(tmp_path, text) as world:
            await world.until(QSO)
            assert world.revisions[-1].revision == 2


async def test_a_matcher_does_without_what_a_service_says_is_something_else(tmp_path):
    with stand_in(lambda _: Reply(b"down", 503)) as server:
        exclude = '[matchers.grb]\nexclude = \'object.annotations["simbad"].kind == "QSO"\'\n'
        async with serving(tmp_path, SIMBAD.format(url=server.url) + exclude) as world:
            await take(world)
            await world.until(PENDING)
            server.speak = known
            async with asyncio.timeout(30):
                while world.revisions[-1].state is not State.WITHDRAWN:  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
            assert world.revisions[-1].reason == "contaminant"


def test_what_a_catalogue_at_hand_says_is_something_else_is_never_proposed(tmp_path):
    night(tmp_path)
    exclude = '[matchers.grb]\nexclude = \'object.annotations["hosts"].name == "NGC 1"\'\n'
    with pytest.raises(ValueError, match="not enough values"):
        replayed(tmp_path, HOSTS + exclude, "one")
    assert (tmp_path / "one" / "changes.jsonl").read_text() == ""


async def test_an_object_of_no_coincidence_any_more_is_forgotten(tmp_path):
    with stand_in(known) as server:
        async with serving(tmp_path, SIMBAD.format(url=server.url)) as world:
            service = world.service
            await take(world)
            await world.until(QSO)
            other = KeptAnnotation("ztf", "ZTFgone", QSO, 5)
            service.annotating.restore([other])
            service.annotating.forget()
            neighbourhood = service.annotating._neighbourhood
            assert list(neighbourhood) == [("ztf", "ZTF20aaaaaaa")]


async def test_a_matcher_that_does_not_ask_is_told_nothing(tmp_path):
    with stand_in(known) as server:
        async with serving(tmp_path, SIMBAD.format(url=server.url) + "matchers = ['gw']\n") as world:
            await take(world)
            async with asyncio.timeout(30):
                while not world.revisions:  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
            assert world.said() == []
        assert server.asked == []


def night(folder):
    """A folder with an alert and a notice that match."""
    (folder / "alerts").mkdir()
    (folder / "notices").mkdir()
    (folder / "alerts" / "a.avro").write_bytes(GOOD_ALERT)
    (folder / "notices" / "n.xml").write_bytes(GOOD_NOTICE)
    (folder / "hosts.csv").write_text("ra,dec,id,d\n150.25,-12.501,NGC 1,40\n")


def replayed(folder, text, out):
    plan = Plan.of(config_of(folder, text), folder)
    catalogues = plan.open_catalogues(services=plan.config.replay.ask_services)
    reader = make_reader(plan.config, folder)
    with OutputFolder(folder / out, plan.author) as written:
        outcome = replay(
            plan.config, plan.matchers, reader, [folder / "alerts"], [folder / "notices"], written, Progress(),
            catalogues=catalogues,
        )  # fmt: skip
    (found,) = outcome.coincidences
    return found, [one for one in found.object.annotations if one.values.get("source") != "packet"]


@pytest.mark.parametrize(("speak", "said"), [(known, QSO), (lambda _: Reply(b"down", 503), FAILED)])
def test_a_replay_asks_services_only_if_it_is_told_to(speak, said, tmp_path):
    night(tmp_path)
    with stand_in(speak) as server:
        text = SIMBAD.format(url=server.url) + HOSTS
        found, told = replayed(tmp_path, text, "one")
        assert (found.revision, told) == (1, [HOST])
        assert server.asked == []
        found, told = replayed(tmp_path, text + "[replay]\nask_services = true\n", "two")
        assert (found.revision, told) == (2, [HOST, said])
        assert len(server.asked) == (1 if said is QSO else 2)


def test_without_catalogues_a_replay_knows_what_packets_carry(tmp_path):
    night(tmp_path)
    found, told = replayed(tmp_path, "", "one")
    assert told == []
    assert [one.catalogue for one in found.object.annotations] == ["gaia", "ps1", "solar_system"]
    assert found.object.annotations[1].star_probability == 0.25
    assert Catalogues().services == {}


async def test_answers_are_kept_with_their_age_and_go_when_they_are_old(tmp_path):
    plan = Plan.of(config_of(tmp_path, "[store]\ncoincidences_d = 10\n"), tmp_path)
    now_us = 10**15
    store = await Store.open(tmp_path / "store", plan.config.store, lambda: now_us)
    kept = [KeptAnnotation("ztf", name, QSO, now_us - age_d * 86_400_000_000) for name, age_d in (("a", 9), ("b", 11))]
    await store.commit(Batch(source="s", annotations=kept))
    newer = KeptAnnotation("ztf", "a", FAILED, now_us)
    await store.commit(Batch(source="s", annotations=[newer]))
    assert await store.annotations() == [newer, kept[1]]
    await store.expire(now_us, [])
    assert await store.annotations() == [newer]
    await store.close()
