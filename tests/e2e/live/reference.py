"""What should come out: the same messages through a reader and an engine of their own, without store or service."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from broker.config import load_config
from broker.pipeline import make_engine
from broker.reader import make_reader
from broker.registry import make_matchers
from broker.replay import software_name
from schemas.coincidence import from_json, to_json
from schemas.densities import skymap_of
from schemas.errors import BadSkyMap
from schemas.records import Alerts, Coincidence, Message, Notice, Provenance, State
from schemas.sky import SkyMap

AT_ONCE = 1000


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
        config = load_config(config_file)
        self.engine = make_engine(config, make_matchers(config, config_file.parent), software_name())
        self._reader = make_reader(config, config_file.parent)
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
        return {c.id: essence_of(from_json(to_json(c))) for c in self.engine.ledger.current()}


def rows_of(alerts: Alerts) -> Iterator[tuple[object, ...]]:
    """Number, object, time and position of each."""
    columns = (alerts.alert_id, alerts.object_id, alerts.time_us, alerts.ra_deg, alerts.dec_deg)
    return zip(*(column.tolist() for column in columns), strict=True)


def essence_of(c: Coincidence) -> Coincidence:
    """What of a coincidence does not depend on the way to it.

    Left out are how often and when it was revised, and what by itself makes no revision (see `Ledger.settle`).
    """
    trigger = replace(c.trigger, revision=0, notice_ivorn="", notice_origin="", links={})
    made_by = Provenance("", "", ())
    return replace(c, revision=0, state=State.PROPOSED, reason="", changed_us=0, trigger=trigger, provenance=made_by)
