"""What should come out: the same messages through a reader and an engine of their own, without store or service."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from broker.config import load_config
from broker.pipeline import make_engine
from broker.reader import make_reader
from broker.registry import make_matchers
from broker.replay import software_name
from broker.store.database import open_for_reading
from broker.store.restoring import restore
from matchers.engine import Engine
from matchers.revisions import Notability, RevisionOptions
from schemas.coincidence import from_json, to_json
from schemas.densities import skymap_of
from schemas.errors import BadSkyMap
from schemas.records import Alerts, Coincidence, Message, Notice, Provenance, State
from schemas.sky import SkyMap
from schemas.skymap import read_skymap
from schemas.statistics import NO_EVIDENCE
from schemas.times import us_from_iso

AT_ONCE = 1000
_LATER_US = us_from_iso("2030-01-01T00:00:00Z")


class Reference:
    """Takes notices first and then alerts, so that all is found in the other direction than live.

    Attributes
    ----------
    alerts
        Alert by survey and number: the origins of the messages that held it.
    notices
        Origins of messages with notices.
    rejected
        Origin and reason of what could not be read.
    engine
        What it came to.
    """

    def __init__(self, config_file: Path) -> None:
        config, folder = load_config(config_file), config_file.parent
        self.engine = make_engine(config, make_matchers(config, folder), software_name())
        self._config, self._folder, self._reader = config, folder, make_reader(config, folder)
        self.alerts: dict[tuple[str, int], list[str]] = {}
        self.notices: list[str] = []
        self.rejected: Counter[tuple[str, str]] = Counter()

    def take(self, messages: Sequence[Message]) -> None:
        """Read and match all."""
        packets: list[Alerts] = []
        for start in range(0, len(messages), AT_ONCE):
            some = messages[start : start + AT_ONCE]
            for reading in self._reader.read(some):
                packets += reading.alerts
                for rejection in reading.rejections:
                    self.rejected[rejection.origin, str(rejection.reason)] += 1
                for notice in reading.notices:
                    self.notices.append(notice.message.origin)
                    for _ in self.engine.put_notice(notice, self._density(notice), 0):
                        pass
        for alerts in reversed(packets):
            for alert_id, origin in zip(alerts.alert_id.tolist(), alerts.origin.tolist(), strict=True):
                self.alerts.setdefault((alerts.survey, alert_id), []).append(origin)
            self.engine.add_alerts(alerts)
        for _ in self.engine.assess(0):
            pass

    def _density(self, notice: Notice) -> SkyMap | None:
        try:
            return skymap_of(notice.localisation) if notice.trigger_id and notice.localisation else None
        except BadSkyMap as error:
            self.rejected[notice.message.origin, str(error.reason)] += 1
            return None

    def stored(self) -> dict[tuple[str, int], tuple[object, ...]]:
        """The alerts that a store should hold, by survey and number: what is to be kept of each, but its origin."""
        return {
            (alerts.survey, row[0]): row
            for night in self.engine.index.nights()
            for alerts in night.batches(1 << 20)
            for row in rows_of(alerts)
        }

    def standing(self) -> dict[str, Coincidence]:
        """The coincidences that should stand in the end, by id, as `essence_of` has them."""
        return {c.id: essence_of(from_json(to_json(c))) for c in self.engine.standing()}

    def restored(self, store: Path) -> Engine:
        """The engine that a service would have after one more restart with its store, which may be in use."""
        with closing(open_for_reading(store)) as database:
            engine = make_engine(self._config, make_matchers(self._config, self._folder), software_name())
            restore(database, store, engine, self._heard, lambda kept: read_skymap(kept.body))
        return engine

    def _heard(self, message: Message) -> Iterator[tuple[Notice, SkyMap | None]]:
        for notice in self._reader.read_one(message).notices:
            with suppress(BadSkyMap):
                yield notice, skymap_of(notice.localisation) if notice.localisation else None


def rows_of(alerts: Alerts) -> Iterator[tuple[object, ...]]:
    """Number, object, time and position of each."""
    columns = (alerts.alert_id, alerts.object_id, alerts.time_us, alerts.ra_deg, alerts.dec_deg)
    return zip(*(column.tolist() for column in columns), strict=True)


def essence_of(c: Coincidence) -> Coincidence:
    """What of a coincidence does not depend on the way to it.

    Left out are how often, when and why it was revised, and what by itself makes no revision. What it is worth depends
    on what was known of others then: see `worth_of`.
    """
    trigger = replace(c.trigger, revision=0, notice_ivorn="", notice_origin="", links={})
    made_by = Provenance("", "", ())
    plain = replace(c, revision=0, state=State.PROPOSED, reason="", changed_us=0, changed=(), evidence=NO_EVIDENCE)
    return replace(plain, trigger=trigger, provenance=made_by, statistics=None)


def stored_standing(store: Path) -> dict[str, Coincidence]:
    """What stands by what lies in a store, by id, as `essence_of` has it: the last revision, or what was kept since."""
    with closing(open_for_reading(store)) as database:
        newest = database.execute("SELECT document, max(revision) FROM coincidence GROUP BY id").fetchall()
        kept = database.execute("SELECT document FROM standing").fetchall()
    found = {c.id: c for c in (from_json(row[0]) for row in (*newest, *kept))}
    return {c.id: essence_of(c) for c in found.values() if c.state is not State.WITHDRAWN}


def far_off(published: Mapping[str, Coincidence], expected: Mapping[str, Coincidence]) -> dict[str, tuple[str, ...]]:
    """By id what differs by more than makes a revision, of those that stand in both; what they are worth apart."""
    notability = Notability(RevisionOptions())
    both = published.keys() & expected.keys()
    found = {name: notability.differences(published[name], expected[name]) for name in sorted(both)}
    return {name: differences for name, differences in found.items() if differences}


def worth_of(engine: Engine) -> dict[str, tuple[object, ...]]:
    """What all that stands is worth, assessed long after the data: then all that is known counts."""
    for _ in engine.reassess(_LATER_US):
        pass
    return {c.id: (c.statistics, c.evidence) for c in engine.standing()}
