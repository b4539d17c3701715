"""From what parts tell to metrics and to the log: the one place where all are known."""

from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from bridges.kafka_session import BatchTaken
from broker.metrics import Metrics
from broker.pipeline import Stages
from broker.store.records import Batch
from schemas.records import Message, Rejection

log = structlog.get_logger()


class Observers:
    """Told by the pipeline, the supervisor, the drains and the bridges what happens.

    Attributes
    ----------
    away
        By source: why it is not connected, as long as it is not.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self.away: dict[str, str] = {}

    def taken(self, messages: Sequence[Message], batch: Batch, stages: Stages) -> None:
        """A batch is kept."""
        metrics, source = self.metrics, batch.source
        metrics.add("starcross_messages_total", len(messages), source=source)
        metrics.add("starcross_message_bytes_total", sum(len(message.body) for message in messages), source=source)
        metrics.add("starcross_notices_total", len(batch.notices), source=source)
        rejected = Counter(str(rejection.reason) for rejection, _ in batch.rejected)
        for reason, count in rejected.items():
            metrics.add("starcross_rejected_total", count, source=source, reason=reason)
        for alerts in batch.stored:
            metrics.add("starcross_alerts_stored_total", len(alerts), survey=alerts.survey)
        for alerts in batch.noted:
            metrics.add("starcross_alerts_cut_total", len(alerts), survey=alerts.survey)
        states = Counter(str(change.state) for change in batch.changes)
        for state, count in states.items():
            metrics.add("starcross_changes_total", count, state=state)
        for substream, count in Counter(capped.substream for capped in batch.capped).items():
            metrics.add("starcross_capped_total", count, substream=substream)
        for stage in ("read", "waited", "matched", "kept"):
            metrics.observe("starcross_batch_seconds", getattr(stages, f"{stage}_s"), source=source, stage=stage)
        _log_batch(len(messages), batch, rejected, states, stages)

    def restarted(self, part: str) -> None:
        """A part failed and will be restarted."""
        self.metrics.add("starcross_restarts_total", part=part)

    def sent(self, sink: str, count: int, _oldest_us: int, took_s: float) -> None:
        """A sink's next hop has something."""
        self.metrics.add("starcross_sent_total", count, sink=sink)
        self.metrics.observe("starcross_send_seconds", took_s, sink=sink)

    def not_sent(self, sink: str, why: str) -> None:
        """A delivery failed."""
        self.metrics.add("starcross_send_failures_total", sink=sink, why=why)

    def map_fetched(self, outcome: str) -> None:
        """An attempt to fetch a linked map ended."""
        self.metrics.add("starcross_map_fetches_total", outcome=outcome)

    def service_asked(self, catalogue: str, outcome: str, objects: int, took_s: float) -> None:
        """A service was asked about objects; see `bridges.asker.Observe`."""
        self.metrics.add("starcross_service_answers_total", objects, catalogue=catalogue, outcome=outcome)
        if took_s:
            self.metrics.observe("starcross_service_seconds", took_s, catalogue=catalogue)

    def vtp_in(self, source: str) -> Callable[[str], None]:
        """For a source of VOEvents over VTP."""
        return lambda outcome: self.metrics.add("starcross_vtp_packets_total", source=source, outcome=str(outcome))

    def gcn(self, source: str) -> "GcnMetrics":
        """For a source of GCN's notices."""
        return GcnMetrics(self.metrics, source)

    def folder(self, source: str) -> "FolderMetrics":
        """For a folder into which files are dropped."""
        return FolderMetrics(self.metrics, source)

    def kafka_survey(self, source: str) -> "KafkaSurveyMetrics":
        """For a source of alerts over Kafka."""
        return KafkaSurveyMetrics(self.metrics, source, self.away)


class KafkaSurveyMetrics:
    """`bridges.kafka_session.KafkaSurveyObserver` for one source, which notes in ``away`` why it is not connected."""

    def __init__(self, metrics: Metrics, source: str, away: dict[str, str]) -> None:
        self._metrics, self._source, self._away = metrics, source, away
        self._lag: dict[tuple[str, int], int] = {}
        self.disconnected("not connected yet")

    def connected(self, partitions: int) -> None:  # noqa: ARG002 - as the observer has it
        """A session began."""
        self._lag.clear()
        self._away.pop(self._source, None)
        self._metrics.set("starcross_source_connected", 1, source=self._source)

    def disconnected(self, detail: str) -> None:
        """A session ended."""
        self._away[self._source] = detail
        self._metrics.set("starcross_source_connected", 0, source=self._source)

    def taken(self, batch: BatchTaken) -> None:
        """A batch was kept."""
        if batch.messages:
            self._metrics.observe("starcross_arrival_seconds", batch.oldest_s, source=self._source)

    def lag(self, topic: str, partition: int, messages: int) -> None:
        """So many messages wait in a partition."""
        self._lag[topic, partition] = messages
        self._metrics.set("starcross_lag_messages", sum(self._lag.values()), source=self._source)

    def gap(self, topic: str, partition: int, messages: int) -> None:  # noqa: ARG002 - as the observer has it
        """So many messages are gone that were never read."""
        self._metrics.add("starcross_gap_messages_total", messages, source=self._source)


class GcnMetrics:
    """`bridges.gcn_source.GcnObserver` for one source."""

    def __init__(self, metrics: Metrics, source: str) -> None:
        self._metrics, self._source = metrics, source

    def heartbeat(self) -> None:
        """GCN is alive."""
        self._metrics.set("starcross_source_connected", 1, source=self._source)

    def silence(self, silent_s: float) -> None:  # noqa: ARG002 - as the observer has it; it is asked for at each reading
        """No heartbeat for longer than allowed."""
        self._metrics.set("starcross_source_connected", 0, source=self._source)

    def not_a_notice(self, origin: str, text: str) -> None:  # noqa: ARG002 - as the observer has it
        """A message was the text of an error."""
        self._metrics.add("starcross_not_notices_total", source=self._source)

    def trouble(self, code: str, detail: str) -> None:  # noqa: ARG002 - as the observer has it
        """Kafka is in trouble."""
        self._metrics.add("starcross_source_troubles_total", source=self._source)


class FolderMetrics:
    """`bridges.drop_folder.FolderObserver` for one source."""

    def __init__(self, metrics: Metrics, source: str) -> None:
        self._metrics, self._source = metrics, source

    def unreadable(self, rejection: Rejection) -> None:
        """A file could not be read at all."""
        self._metrics.add("starcross_rejected_total", source=self._source, reason=str(rejection.reason))


def _log_batch(messages: int, batch: Batch, rejected: Counter[str], states: Counter[str], stages: Stages) -> None:
    """A line a batch, in which a single notice is named; several have a line each."""
    counted = {
        "messages": messages,
        "alerts": sum(map(len, batch.stored)),
        "cut": sum(map(len, batch.noted)),
        "notices": len(batch.notices),
        "maps": len(batch.skymaps),
        "rejected": dict(rejected),
        "coincidences": dict(states),
        "capped": len(batch.capped),
    }
    told = {name: count for name, count in counted.items() if count}
    took_s = round(stages.read_s + stages.waited_s + stages.matched_s + stages.kept_s, 4)
    named = [{"trigger": notice.trigger_id, "ivorn": notice.ivorn} for notice in batch.notices]
    if len(named) == 1:
        told |= named[0]
    log.info("batch kept", source=batch.source, **told, took_s=took_s)
    for notice in named if len(named) > 1 else ():
        log.info("notice kept", source=batch.source, **notice)
