"""``starcross replay``: past alerts and notices through the engine, in the order and by the clock of the data."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from bridges.files import find_files
from bridges.folder import OutputFolder
from broker.annotating import ask_at_once
from broker.catalogues import Catalogues
from broker.config import Config
from broker.inputs import Inputs, issue_time_us, read_inputs
from broker.interfaces import Matcher
from broker.pipeline import make_engine
from broker.reader import Reader
from broker.substreams import Router, Substream
from matchers.neighbourhood import Neighbourhood
from matchers.rank import rank
from schemas.densities import skymap_of
from schemas.errors import BadSkyMap
from schemas.records import Alerts, Coincidence, Ints, Notice, Publication, Rejection, Role, State, Trigger
from schemas.sky import SkyMap
from schemas.skymap import read_skymap
from schemas.times import US_PER_S, iso_from_us

log = structlog.get_logger()

MIB = 1 << 20
Timed = tuple[int, int, Notice | Alerts]
"""An instant (us), 0 for a notice and 1 for alerts, which come after it at the same instant, and what happened."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a long run tells how far it is: a stage with its total, then steps."""

    begin: Callable[[str, int], None] = lambda _stage, _total: None
    advance: Callable[[int], None] = lambda _steps: None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a replay found: all coincidences in their final state, best first, and the counts."""

    coincidences: list[Coincidence]
    triggers: list[Trigger]
    alerts: dict[str, Alerts]
    summary: dict[str, Any]


@cache
def software_name() -> str:
    """Name and version of this software, as provenance states it; looked up once, as it is in files."""
    return f"starcross {version('starcross')}"


def replay(
    config: Config,
    matchers: Sequence[Matcher],
    reader: Reader,
    alert_paths: Sequence[Path],
    notice_paths: Sequence[Path],
    out: OutputFolder,
    progress: Progress,
    *,
    substreams: Sequence[Substream] = (),
    catalogues: Catalogues | None = None,
) -> Outcome:
    """Read all input, play it in the order of its own times, and write what came of it.

    The same input gives the same output, byte for byte: nothing depends on the wall clock, on the order of files in a
    folder, or on where the folders are. Services are asked last of all, if ``catalogues`` has any.

    Raises
    ------
    ConfigurationError
        If a path does not exist or the output folder cannot be used.
    """
    alert_files, notice_files = find_files(alert_paths), find_files(notice_paths)
    unique = {file.path.resolve(): file for file in (*alert_files, *notice_files)}
    progress.begin("reading", sum(file.size for file in unique.values()))
    inputs = read_inputs(
        alert_files,
        notice_files,
        reader,
        bytes_max=config.replay.message_mib * MIB,
        on_progress=progress.advance,
    )
    player = Player(config, matchers, inputs, out, substreams, catalogues)
    progress.begin("matching", player.total)
    for steps in player.play():
        progress.advance(steps)
    coincidences = rank(player.engine.ledger)
    rejected = sorted((*inputs.rejected, *player.rejected), key=lambda r: (r.origin, r.reason, r.detail))
    for rejection in rejected:
        log.debug("rejected", origin=rejection.origin, reason=str(rejection.reason), detail=rejection.detail)
    summary = player.summary(len(unique), rejected)
    out.finish(coincidences, rejected, summary)
    return Outcome(coincidences, list(player.engine.triggers()), inputs.alerts, summary)


class Player:
    """Plays what was read through an engine: alerts at their observation time, notices at their issue time."""

    def __init__(
        self,
        config: Config,
        matchers: Sequence[Matcher],
        inputs: Inputs,
        out: OutputFolder,
        substreams: Sequence[Substream] = (),
        catalogues: Catalogues | None = None,
    ) -> None:
        self.config = config
        self.inputs = inputs
        self.out = out
        self.rejected: list[Rejection] = []
        self.maps: Counter[str] = Counter({"linked": 0, "found": 0, "missing": 0})
        self._catalogues = catalogues or Catalogues()
        neighbourhood = Neighbourhood(self._catalogues.look_up)
        self.engine = make_engine(config, matchers, software_name(), neighbourhood)
        self.router = Router(substreams)
        self.sent: Counter[str] = Counter()
        self.capped: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """How many alerts and notices there are to play."""
        return len(self.inputs.notices) + sum(len(alerts) for alerts in self.inputs.alerts.values())

    def play(self) -> Iterator[int]:
        """Play everything in order of time; yields how many alerts or notices each step took.

        A notice is heard before the alerts of the same instant. Alerts of one survey are taken together as long as no
        notice comes between them and they span no more than ``replay.batch_s``: about an exposure.
        """
        issued_us = np.array([issue_time_us(notice) for notice in self.inputs.notices], np.int64)
        notices: Iterator[Timed] = (
            (int(time_us), 0, notice) for time_us, notice in zip(issued_us, self.inputs.notices, strict=True)
        )
        batches = [self._batches(alerts, issued_us) for alerts in self.inputs.alerts.values()]
        last_us = 0
        for _, _, event in heapq.merge(notices, *batches, key=lambda timed: timed[:2]):
            if isinstance(event, Notice):
                log.debug("notice", type=event.notice_type, trigger=event.trigger_id, origin=event.message.origin)
                now_us, taken = issue_time_us(event), 1
                steps = self.engine.put_notice(event, self._skymap(event), now_us)
            else:
                now_us, taken = int(event.time_us[-1]), len(event)
                self.engine.add_alerts(event)
                steps = self.engine.assess(now_us)
            for changes in chain(steps, self.engine.reassess(now_us)):
                self._publish(changes.published)
            last_us = max(last_us, now_us)
            yield taken
        for target, said in ask_at_once(self._catalogues, self.engine.ledger.current()):
            for changes in self.engine.put_annotations(target.survey, target.object_id, [said], last_us):
                self._publish(changes.published)

    def _batches(self, alerts: Alerts, notices_us: Ints) -> Iterator[Timed]:
        """Alerts of one survey, in order, a batch at a time: time of the first, 1 (after notices), and the batch."""
        pace = self.config.replay
        start = 0
        while start < len(alerts):
            first_us = int(alerts.time_us[start])
            until_us = first_us + round(pace.batch_s * US_PER_S)
            following = int(np.searchsorted(notices_us, first_us, side="right"))
            if following < len(notices_us):
                until_us = min(until_us, int(notices_us[following]))
            end = min(int(np.searchsorted(alerts.time_us, until_us)), start + pace.batch_alerts)
            end = max(end, start + 1)
            yield first_us, 1, alerts.take(slice(start, end))
            start = end

    def _skymap(self, notice: Notice) -> SkyMap | None:
        """The notice's density: the map that it links to where that is at hand, else what it says itself."""
        if not self.config.triggers.include_tests and notice.role in {Role.TEST, Role.MOCK}:
            return None
        if notice.skymap_url:
            self.maps["linked"] += 1
            linked = self.inputs.maps.get(notice.ivorn)
            if linked is not None:
                try:
                    skymap = read_skymap(linked.body)
                except BadSkyMap as error:
                    self.rejected.append(Rejection(linked.origin, error.reason, error.detail))
                else:
                    self.maps["found"] += 1
                    return skymap
            self.maps["missing"] += 1
        if notice.localisation is None:
            return None
        try:
            return skymap_of(notice.localisation)
        except BadSkyMap as error:
            self.rejected.append(Rejection(notice.message.origin, error.reason, error.detail))
            return None

    def _publish(self, changes: Sequence[Coincidence]) -> None:
        for change in changes:
            self.out.change(change)
            log.debug("change", state=change.state, reason=change.reason, trigger=change.trigger.id, id=change.id)
        routes = self.router.route(changes)
        for change, names in routes.sent:
            self.out.publish(Publication(change, names))
            self.sent.update(names)
        self.capped.update(name for name, _ in routes.capped)
        for name, error in routes.failed:
            log.warning("substream's function failed", substream=name, error=f"{type(error).__name__}: {error}")

    def summary(self, files: int, rejected: Sequence[Rejection]) -> dict[str, Any]:
        """Counts of everything read, cut, indexed and matched, with the times that the data span."""
        triggers = list(self.engine.triggers())
        notices, counts = self.inputs.notices, self.engine.counts
        return {
            "software": software_name(),
            "config_hash": self.config.fingerprint(),
            "inputs": {"files": files, **_sorted(self.inputs.messages)},
            "rejected": {"all": len(rejected), **_sorted(Counter(rejection.reason for rejection in rejected))},
            "alerts": {
                survey: {
                    "read": len(alerts),
                    "duplicates": counts.duplicates.get(survey, 0),
                    "cut": _sorted(counts.cut.get(survey, {})),
                    "indexed": counts.indexed.get(survey, 0),
                    "first_utc": iso_from_us(int(alerts.time_us[0])),
                    "last_utc": iso_from_us(int(alerts.time_us[-1])),
                }
                for survey, alerts in self.inputs.alerts.items()
            },
            "notices": {
                "read": self.inputs.messages["notices"],
                "of_triggers": len(notices),
                "duplicates": counts.duplicate_notices,
                "tests_left_out": counts.tests_left_out,
                "first_utc": iso_from_us(issue_time_us(notices[0])) if notices else None,
                "last_utc": iso_from_us(issue_time_us(notices[-1])) if notices else None,
                "by_role": _sorted(self.inputs.notice_roles),
                "by_type": _sorted(self.inputs.notice_types),
            },
            "skymaps": {"files": self.inputs.messages["skymaps"], **_sorted(self.maps)},
            "triggers": {
                "all": len(triggers),
                "localised": sum(trigger.skymap is not None for trigger in triggers),
                "retracted": sum(trigger.retracted for trigger in triggers),
                "by_messenger": _sorted(Counter(trigger.messenger for trigger in triggers)),
                "searched_by": _sorted(counts.windows),
            },
            "changes": {str(state): counts.changes[state] for state in sorted(State)},
            "substreams": {
                substream.name: {"sent": self.sent[substream.name], "capped": self.capped[substream.name]}
                for substream in self.router.substreams
            },
            "coincidences": {
                "live": sum(c.state is not State.WITHDRAWN for c in self.engine.ledger),
                "withdrawn": sum(c.state is State.WITHDRAWN for c in self.engine.ledger),
            },
        }


def _sorted(counter: Any) -> dict[str, int]:
    return {str(name): counter[name] for name in sorted(counter)}
