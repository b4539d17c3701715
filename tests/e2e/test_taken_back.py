"""What observatories really took back, reclassified or moved: coincidences are proposed and then withdrawn.

The notices are real; the alerts are written next to them. Each story is told twice: to a replay and to a live pipeline
with a store. SVOM's positions and retractions that are at hand are of different bursts: there a real retraction is
given the name and the date of a burst with a real position.
"""

import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bridges.folder import OutputFolder
from broker.audience import Audience
from broker.clocks import DataClock
from broker.config import load_config
from broker.inputs import issue_time_us
from broker.pipeline import Pipeline, make_engine
from broker.reader import Reader
from broker.registry import make_matchers
from broker.replay import Progress, replay
from broker.store.checking import problems
from broker.store.database import open_for_reading
from broker.store.store import Store
from broker.substreams import Router, make_substreams
from matchers.regions import credible_region
from matchers.search import Search, SearchOptions
from schemas.catalogue import SchemaCatalogue
from schemas.coincidence import from_json
from schemas.densities import skymap_of
from schemas.reading import read_message
from schemas.records import Coincidence, Message, Messenger, Notice
from schemas.sky import SkyMap
from schemas.times import US_PER_DAY, US_PER_S
from schemas.voevent_out import VoeventAuthor
from tests.survey_packets import ZTF, container, ztf_alert

JD_1970 = 2440587.5
SETTINGS = ["triggers.include_tests=true", "substreams.all.include_tests=true"]
Revision = tuple[str, str, str]

RADIO = Search(
    "radio",
    Messenger.RADIO,
    600 * US_PER_S,
    US_PER_DAY,
    lambda trigger: credible_region(trigger, 0.9),
    SearchOptions(),
)
"""As a user might write it for bursts of CHIME, which no built-in kind searches for."""


@dataclass(frozen=True)
class Story:
    """Notices of one trigger, and alerts.

    Attributes
    ----------
    notices
        Sorted by when they were issued.
    """

    notices: list[Notice]

    @classmethod
    def of(cls, bodies: Iterable[bytes]) -> "Story":
        found = [n for number, body in enumerate(bodies) for n in read(body, f"notice-{number}")]
        return cls(sorted(found, key=issue_time_us))

    def alert(self, name: str, beside: Notice, *, after_s: float = 1.0) -> Message:
        """A new object at the most probable position of a notice, so long after that was issued."""
        assert beside.localisation is not None
        skymap = skymap_of(beside.localisation)
        jd = JD_1970 + (issue_time_us(beside) + after_s * US_PER_S) / US_PER_DAY
        where = {"ra": skymap.peak_ra_deg, "dec": skymap.peak_dec_deg}
        candid = int.from_bytes(name.encode(), "big")
        packet = ztf_alert(object_id=f"ZTF{name}", candid=candid, jd=jd, jdstarthist=jd, **where)
        return Message(container(ZTF, [packet]), f"{name}.avro")


def read(body: bytes, origin: str) -> Sequence[Notice]:
    return read_message(Message(body, origin), SchemaCatalogue()).notices


def from_archive(data_dir: Path, month: str, part: str) -> list[bytes]:
    """The VOEvents of a month whose names hold a text."""
    with tarfile.open(data_dir / f"voevent/monthly_signal/{month}.signal.tar.gz", "r|*") as tar:
        found = [stream.read() for member in tar if part in member.name and (stream := tar.extractfile(member))]
    assert found
    return found


def replayed(story: Story, alerts: Sequence[Message], folder: Path) -> list[Coincidence]:
    """The revisions of a replay."""
    for message in (*alerts, *(notice.message for notice in story.notices)):
        suffix = "" if message.origin.endswith(".avro") else ".xml" if message.body.startswith(b"<") else ".json"
        (folder / (message.origin + suffix)).write_bytes(message.body)
    config = load_config(None, SETTINGS)
    out = folder / "out"
    with OutputFolder(out, VoeventAuthor("org.example", "test")) as results:
        matchers = [*make_matchers(config, folder), RADIO]
        files = [folder / name.name for name in folder.iterdir() if name.is_file()]
        replay(config, matchers, Reader(SchemaCatalogue(), None), files, files, results, Progress())
    return [from_json(line) for line in (out / "changes.jsonl").read_text().splitlines()]


async def lived(messages: Sequence[Message], folder: Path) -> list[Coincidence]:
    """The revisions that a sink is sent when these come one after the other, with a restart after each of them.

    Of later revisions the condition of the sink's substream does not hold any more.
    """
    config = load_config(None, [*SETTINGS, "store.retention_d=400", 'substreams.all.where="revision == 1"'])
    sent: list[Coincidence] = []
    for message in messages:
        clock = DataClock()
        store = await Store.open(folder / "store", config.store, clock)
        engine = make_engine(config, [*make_matchers(config, folder), RADIO], "a test")
        await store.restore(engine, heard, lambda _: None)
        router = Router(make_substreams(config.substreams, folder), await store.sent())
        pipe = Pipeline(
            engine,
            Reader(SchemaCatalogue(), None),
            store,
            clock=clock,
            router=router,
            audience=Audience({"sink": frozenset({"all"})}),
            include_tests=True,
        )
        receipt = await pipe.take("source", [message])
        assert receipt.rejected == ()
        while store.backlog("sink").count:
            deliveries = await store.next("sink", 10)
            sent += [delivery.publication.coincidence for delivery in deliveries if delivery.publication]
            await store.done("sink", [delivery.id for delivery in deliveries])
        await store.close()
    with closing(open_for_reading(folder / "store")) as database:
        assert list(problems(database, folder / "store")) == []
    return sent


def heard(message: Message) -> Iterator[tuple[Notice, SkyMap | None]]:
    for notice in read_message(message, SchemaCatalogue()).notices:
        yield notice, skymap_of(notice.localisation) if notice.localisation else None


def told(changes: Iterable[Coincidence], name: str) -> list[Revision]:
    return [(c.matcher, str(c.state), c.reason) for c in changes if c.object.object_id == f"ZTF{name}"]


async def both(story: Story, alerts: Sequence[tuple[int, Message]], folder: Path) -> list[Coincidence]:
    """The revisions, if a replay and a live pipeline make the same; an alert comes after so many notices."""
    messages = [notice.message for notice in story.notices]
    for after, alert in sorted(alerts, key=lambda pair: pair[0], reverse=True):
        messages.insert(after, alert)
    for name in ("played", "live"):
        (folder / name).mkdir()
    played = replayed(story, [alert for _, alert in alerts], folder / "played")
    live = await lived(messages, folder / "live")
    assert [essence(c) for c in played] == [essence(c) for c in live]
    return live


def essence(c: Coincidence) -> tuple[object, ...]:
    return (
        c.id,
        c.revision,
        c.state,
        c.reason,
        c.changed,
        c.credible_level,
        c.trigger.classification,
        c.object.alert_ids,
    )


async def test_a_superevent_that_lvk_retracted(data_dir, tmp_path):
    folder = data_dir / "gcn-kafka/lvk-userguide"
    story = Story.of((folder / f"MS181101ab-{what}.json").read_bytes() for what in ("initial", "retraction"))
    changes = await both(story, [(1, story.alert("a", story.notices[0]))], tmp_path)
    assert told(changes, "a") == [("gw", "proposed", "alert"), ("gw", "withdrawn", "retracted")]


async def test_a_trigger_of_gbm_that_turned_out_to_be_a_solar_flare(data_dir, tmp_path):
    story = Story.of(from_archive(data_dir, "2023-05", "_706395416_"))
    _, flight, last = story.notices
    assert (flight.astrophysical, last.astrophysical) == (None, False)
    changes = await both(story, [(2, story.alert("a", flight))], tmp_path)
    assert told(changes, "a") == [("grb", "proposed", "alert"), ("grb", "withdrawn", "not_astrophysical")]
    assert changes[0].trigger.classification["SOLAR_FLARE"] == 0.88


async def test_a_trigger_of_gbm_that_was_a_burst_until_it_lay_behind_the_earth(data_dir, tmp_path):
    story = Story.of(from_archive(data_dir, "2023-05", "_705254856_"))
    claims = [notice.astrophysical for notice in story.notices]
    assert claims == [None, True, True, False, False]
    changes = await both(story, [(2, story.alert("a", story.notices[1]))], tmp_path)
    assert told(changes, "a") == [
        ("grb", "proposed", "alert"),
        ("grb", "updated", "notice"),
        ("grb", "withdrawn", "not_astrophysical"),
    ]
    assert "level" in changes[1].changed


async def test_a_revision_of_icecube_that_moves_a_position_out_of_one_place_and_into_another(data_dir, tmp_path):
    story = Story.of(from_archive(data_dir, "2022-02", "_136348_065788242_"))
    first, last = story.notices
    assert (first.serial, last.serial) == (0, 1)
    here, there = story.alert("here", first), story.alert("there", last, after_s=-60)
    changes = await both(story, [(1, here), (1, there)], tmp_path)
    assert told(changes, "here") == [("neutrino", "proposed", "alert"), ("neutrino", "withdrawn", "moved_out")]
    assert told(changes, "there") == [("neutrino", "proposed", "notice")]


async def test_a_burst_that_svom_retracted(data_dir, tmp_path):
    folder = data_dir / "gcn-kafka/gcn-notice-parser-0.2.0/fixtures/svom"
    retraction = (folder / "grm/grm_342.xml").read_bytes()
    for real, given in ((b"sb26043009", b"sb26022501"), (b"2026-04-30T23:", b"2026-02-25T09:")):
        assert real in retraction
        retraction = retraction.replace(real, given)
    story = Story.of([(folder / "eclairs/eclairs_299.xml").read_bytes(), retraction])
    changes = await both(story, [(1, story.alert("a", story.notices[0]))], tmp_path)
    assert told(changes, "a") == [("grb", "proposed", "alert"), ("grb", "withdrawn", "retracted")]


async def test_a_radio_burst_that_chime_retracted(data_dir, tmp_path):
    """Its notices do not say when they were issued, so that a replay hears all of them at the time of the burst."""
    folder = data_dir / "gcn-kafka/gwcelery-3.0.0"
    names = ("subsequent", "retraction")
    story = Story.of((folder / f"kafka_alert_chime_{name}.json").read_bytes() for name in names)
    changes = await both(story, [(0, story.alert("a", story.notices[0], after_s=-60))], tmp_path)
    assert told(changes, "a") == [("radio", "proposed", "notice"), ("radio", "withdrawn", "retracted")]


async def test_what_was_taken_back_can_come_back(data_dir, tmp_path):
    """The superevent's retraction with an update of the same observatory after it."""
    folder = data_dir / "gcn-kafka/lvk-userguide"
    update = (folder / "MS181101ab-update.json").read_bytes()
    assert b"2018-11-01T22:36:25" in update
    later = update.replace(b"2018-11-01T22:36:25", b"2018-11-01T23:59:00")
    bodies = [(folder / f"MS181101ab-{what}.json").read_bytes() for what in ("initial", "retraction")]
    story = Story.of([*bodies, later])
    changes = await both(story, [(1, story.alert("a", story.notices[0]))], tmp_path)
    assert told(changes, "a") == [
        ("gw", "proposed", "alert"),
        ("gw", "withdrawn", "retracted"),
        ("gw", "proposed", "notice"),
    ]
    assert [change.revision for change in changes] == [1, 2, 3]
