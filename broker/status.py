"""How the service stands: for ``/readyz``, ``/status`` and the gauges of ``/metrics``."""

from collections import Counter
from typing import Any

from broker.metrics import Metrics
from broker.service import Service
from broker.supervisor import PartStatus
from schemas.times import US_PER_S, iso_from_us

LONGEST_OUTBOX_AGE_S = 3600.0
LONGEST_SILENCE_S = 120.0


def checks(service: Service) -> dict[str, str]:
    """By name what keeps the service from being ready; an empty text where all is well."""
    trouble = service.store.trouble
    told = {
        "store": f"{trouble.what}, since {iso_from_us(trouble.since_us)}" if trouble else "",
        "engine": "failed" if service.pipeline.failed.done() else "",
    }
    for name, part in service.supervisor.parts.items():
        told[name] = "" if part.status is not PartStatus.WAITING else f"restarting: {part.trouble}"
    for name, source in service.sources.items():
        silent_s = getattr(source, "silent_for_s", None)
        if silent_s is not None and silent_s > LONGEST_SILENCE_S:
            told[f"source {name}"] = f"no heartbeat for {silent_s:.0f} s"
        if name in service.observers.away:
            told[f"source {name}"] = f"not connected: {service.observers.away[name]}"
    for name in service.drains:
        age_s = outbox_age_s(service, name)
        if age_s > LONGEST_OUTBOX_AGE_S and not service.is_past:
            told[f"sink {name}"] = f"{service.store.backlog(name).count} wait, the oldest for {age_s:.0f} s"
    return told


def outbox_age_s(service: Service, sink: str) -> float:
    """How long the oldest of what waits for a sink has waited, in seconds; 0 if nothing waits."""
    oldest_us = service.store.backlog(sink).oldest_us
    return 0.0 if oldest_us is None else max(0.0, (service.clock() - oldest_us) / US_PER_S)


def refresh(service: Service, metrics: Metrics) -> None:
    """Set the gauges."""
    engine = service.pipeline.engine
    for name in {*service.drains, *service.store.sinks()}:
        metrics.set("starcross_outbox_entries", service.store.backlog(name).count, sink=name)
        metrics.set("starcross_outbox_age_seconds", outbox_age_s(service, name), sink=name)
    for name, drain in service.drains.items():
        broadcaster = getattr(drain.sink, "broadcaster", None)
        if broadcaster is not None:
            metrics.set("starcross_vtp_subscribers", len(broadcaster.status()), sink=name)
    for name, source in service.sources.items():
        silent_s = getattr(source, "silent_for_s", None)
        if silent_s is not None:
            metrics.set("starcross_heartbeat_silence_seconds", silent_s, source=name)
    metrics.set("starcross_maps_pending", service.maps.pending)
    for name, asker in service.annotating.askers.items():
        metrics.set("starcross_service_waiting", asker.waiting, catalogue=name)
    for name, catalogue in service.catalogues.files.items():
        metrics.set("starcross_catalogue_entries", len(catalogue), catalogue=name)
    metrics.set("starcross_store_trouble", service.store.trouble is not None)
    metrics.set("starcross_stored_alerts", len(engine.index))
    for part, size in engine.index.nbytes.items():
        metrics.set("starcross_index_bytes", size, part=part)
    metrics.set("starcross_triggers", sum(1 for _ in engine.triggers()))
    for matcher, count in dict(engine.counts.windows).items():
        metrics.set("starcross_windows", count, matcher=matcher)
    for state, count in engine.ledger.by_state().items():
        metrics.set("starcross_coincidences", count, state=str(state))


def status(service: Service) -> dict[str, Any]:
    """All that a person wants to know at a glance, as JSON."""
    engine, store = service.pipeline.engine, service.store
    parts = {
        name: {"status": str(part.status), "restarts": part.restarts, "trouble": part.trouble}
        for name, part in service.supervisor.parts.items()
    }
    return {
        "clock_utc": iso_from_us(service.clock()),
        "parts": parts,
        "sources": {
            name: {"positions": len(store.positions(name)), **_told(source)} for name, source in service.sources.items()
        },
        "sinks": {
            name: {
                "waiting": store.backlog(name).count,
                "oldest_s": round(outbox_age_s(service, name), 1),
                **_told(getattr(drain.sink, "broadcaster", None)),
            }
            for name, drain in service.drains.items()
        },
        "outboxes_without_sink": {
            name: store.backlog(name).count for name in store.sinks() if name not in service.drains
        },
        "substreams": [substream.name for substream in service.pipeline.router.substreams],
        "maps_pending": service.maps.pending,
        "catalogues": {name: {"entries": len(catalogue)} for name, catalogue in service.catalogues.files.items()},
        "services": {
            name: {"waiting": asker.waiting, "trouble": asker.trouble}
            for name, asker in service.annotating.askers.items()
        },
        "alerts": len(engine.index),
        "triggers": sum(1 for _ in engine.triggers()),
        "coincidences": {str(state): count for state, count in engine.ledger.by_state().items()},
        "counts": {"received": dict(Counter(engine.counts.received)), "indexed": dict(Counter(engine.counts.indexed))},
    }


def _told(part: Any) -> dict[str, Any]:
    """What a part says of itself, if it says anything."""
    ask = getattr(part, "status", None)
    return {"status": ask()} if callable(ask) else {}
