"""What the service measures of itself, for Prometheus.

One rule for names: ``starcross_``, what is counted or measured, its unit if it has one, and ``_total`` for what only
grows. Labels are names of the configuration or of fixed lists, so that strangers cannot make them grow; Kafka's topics
and VTP's peers are summed up.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class MetricRow(NamedTuple):
    """One metric: its kind, what it tells, and its labels."""

    kind: type[Counter | Gauge | Histogram]
    tells: str
    labels: tuple[str, ...] = ()


_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

METRICS: Mapping[str, MetricRow] = {
    "starcross_messages_total": MetricRow(Counter, "Messages taken in.", ("source",)),
    "starcross_message_bytes_total": MetricRow(Counter, "Their bytes.", ("source",)),
    "starcross_rejected_total": MetricRow(
        Counter, "Inputs, or parts of them, that could not be read.", ("source", "reason")
    ),
    "starcross_notices_total": MetricRow(Counter, "Notices taken in.", ("source",)),
    "starcross_alerts_stored_total": MetricRow(Counter, "New alerts that passed the cuts.", ("survey",)),
    "starcross_alerts_cut_total": MetricRow(Counter, "Alerts that a quality cut dropped.", ("survey",)),
    "starcross_changes_total": MetricRow(Counter, "Revisions of coincidences, by their state.", ("state",)),
    "starcross_capped_total": MetricRow(
        Counter, "Coincidences beyond a substream's number of the night.", ("substream",)
    ),
    "starcross_batch_seconds": MetricRow(
        Histogram, "How long a batch took: read, waited for its turn, matched, kept.", ("source", "stage")
    ),
    "starcross_arrival_seconds": MetricRow(
        Histogram, "From the time stamp of the oldest message of a batch in Kafka until it was kept.", ("source",)
    ),
    "starcross_source_connected": MetricRow(Gauge, "1 while the source is connected.", ("source",)),
    "starcross_lag_messages": MetricRow(Gauge, "Messages that wait in Kafka, all partitions together.", ("source",)),
    "starcross_gap_messages_total": MetricRow(
        Counter, "Messages that Kafka dropped before they were read.", ("source",)
    ),
    "starcross_heartbeat_silence_seconds": MetricRow(Gauge, "Since GCN's last heartbeat.", ("source",)),
    "starcross_not_notices_total": MetricRow(Counter, "GCN's messages that were the text of an error.", ("source",)),
    "starcross_source_troubles_total": MetricRow(Counter, "Troubles of GCN's Kafka or the way to it.", ("source",)),
    "starcross_vtp_packets_total": MetricRow(Counter, "What became of packets over VTP.", ("source", "outcome")),
    "starcross_vtp_subscribers": MetricRow(Gauge, "Who subscribes over VTP at present.", ("sink",)),
    "starcross_map_fetches_total": MetricRow(Counter, "How attempts to fetch a linked sky map ended.", ("outcome",)),
    "starcross_maps_pending": MetricRow(Gauge, "Linked sky maps that have not come."),
    "starcross_service_answers_total": MetricRow(
        Counter, "What services said of objects, or that they did not.", ("catalogue", "outcome")
    ),
    "starcross_service_seconds": MetricRow(Histogram, "How long a question to a service took.", ("catalogue",)),
    "starcross_service_waiting": MetricRow(Gauge, "Objects that a service has not answered about.", ("catalogue",)),
    "starcross_catalogue_entries": MetricRow(Gauge, "Entries of a catalogue that is at hand.", ("catalogue",)),
    "starcross_sent_total": MetricRow(Counter, "Publications and notices that a sink's next hop has.", ("sink",)),
    "starcross_send_failures_total": MetricRow(Counter, "Deliveries that failed and are tried again.", ("sink", "why")),
    "starcross_send_seconds": MetricRow(Histogram, "How long a delivery took.", ("sink",)),
    "starcross_outbox_entries": MetricRow(Gauge, "What waits for a sink.", ("sink",)),
    "starcross_outbox_age_seconds": MetricRow(Gauge, "How long the oldest of it has waited.", ("sink",)),
    "starcross_http_requests_total": MetricRow(
        Counter, "Requests of the HTTP interface that were answered.", ("route", "status")
    ),
    "starcross_http_request_seconds": MetricRow(Histogram, "How long an answer took, but for streams.", ("route",)),
    "starcross_http_listeners": MetricRow(Gauge, "Who follows streams of events at present."),
    "starcross_http_dropped_total": MetricRow(Counter, "Listeners that were sent away.", ("why",)),
    "starcross_http_uploads_total": MetricRow(Counter, "Sky maps that were uploaded and taken.", ("kind",)),
    "starcross_http_upload_bytes_total": MetricRow(Counter, "Their size as they are kept."),
    "starcross_restarts_total": MetricRow(Counter, "Parts that failed and were restarted.", ("part",)),
    "starcross_store_trouble": MetricRow(Gauge, "1 while the store cannot write."),
    "starcross_stored_alerts": MetricRow(Gauge, "Alerts in the index."),
    "starcross_index_bytes": MetricRow(Gauge, "Size of the index, mapped files included.", ("part",)),
    "starcross_triggers": MetricRow(Gauge, "Triggers that are remembered."),
    "starcross_windows": MetricRow(Gauge, "Triggers that are searched.", ("matcher",)),
    "starcross_coincidences": MetricRow(Gauge, "Coincidences by their present state.", ("state",)),
    "starcross_loop_lag_seconds": MetricRow(Histogram, "How late the event loop was for a wake-up every 100 ms."),
}


class Metrics(Collector):
    """Every metric of `METRICS`, in a registry of its own.

    Parameters
    ----------
    refresh
        Called before each reading, to set the gauges that are not set when they change.
    """

    def __init__(self, refresh: Callable[["Metrics"], None] = lambda _: None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, which says when this process began
        self.refresh = refresh
        self.registry = CollectorRegistry()
        self.registry.register(self)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for name, row in METRICS.items():
            if row.kind is Counter:
                self._counters[name] = Counter(name, row.tells, row.labels, registry=self.registry)
            elif row.kind is Gauge:
                self._gauges[name] = Gauge(name, row.tells, row.labels, registry=self.registry)
            else:
                self._histograms[name] = Histogram(
                    name, row.tells, row.labels, registry=self.registry, buckets=_SECONDS
                )

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        if amount:
            counter = self._counters[name]
            (counter.labels(**labels) if labels else counter).inc(amount)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        (gauge.labels(**labels) if labels else gauge).set(value)

    def observe(self, name: str, value_s: float, **labels: str) -> None:
        """Note a duration in a histogram."""
        histogram = self._histograms[name]
        (histogram.labels(**labels) if labels else histogram).observe(value_s)

    def value(self, name: str, **labels: str) -> float | None:
        """The present value of a counter or gauge; None if it has none yet."""
        return self.registry.get_sample_value(name, labels)

    def page(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self.registry)

    def collect(self) -> Iterable[Metric]:
        """Called by the registry at each reading, before the other collectors; tells nothing itself."""
        self.refresh(self)
        return ()
