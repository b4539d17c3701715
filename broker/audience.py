"""Who gets what of a batch: which changes go to which sinks, as entries of their outboxes."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from broker.store.records import Capped, CoincidenceEntry, Entry, NoticeEntry
from broker.substreams import Router, Substream, SubstreamOptions, night_of_instant
from schemas.records import Coincidence, Notice

log = structlog.get_logger()

ROUTED_AT_ONCE = 100
"""More changes are routed in a thread: substreams' conditions take some microseconds each."""
EVERYTHING = Substream("all", SubstreamOptions(), lambda _: True)


@dataclass(frozen=True, slots=True)
class Audience:
    """Who gets what.

    Attributes
    ----------
    substreams
        By sink: the substreams that it sends.
    relays
        The sinks that pass on notices.
    """

    substreams: Mapping[str, frozenset[str]] = field(default_factory=dict)
    relays: tuple[str, ...] = ()


async def addressed(
    changes: Sequence[Coincidence], router: Router, audience: Audience, notices: Sequence[Notice] = ()
) -> dict[str, Any]:
    """Outbox and capped changes, as a `Batch` has them; the router learns what was sent.

    Parameters
    ----------
    notices
        Those that are passed on.
    """
    if len(changes) <= ROUTED_AT_ONCE:
        return _entries(changes, router, audience, notices)
    return await asyncio.to_thread(_entries, changes, router, audience, notices)


def _entries(
    changes: Sequence[Coincidence], router: Router, audience: Audience, notices: Sequence[Notice]
) -> dict[str, Any]:
    routes = router.route(changes)
    failed: dict[str, list[Exception]] = {}
    for name, error in routes.failed:
        failed.setdefault(name, []).append(error)
    for name, errors in failed.items():
        log.error("substream's function failed", substream=name, times=len(errors), exc_info=errors[0])
    outbox: list[Entry] = [NoticeEntry(sink, notice.ivorn) for notice in notices for sink in audience.relays]
    for change, names in routes.sent:
        for sink, wanted in audience.substreams.items():
            if mine := tuple(name for name in names if name in wanted):
                outbox.append(CoincidenceEntry(sink, change.id, change.revision, mine))
    capped = [Capped(name, night_of_instant(c.changed_us), c.id, c.revision) for name, c in routes.capped]
    return {"outbox": outbox, "capped": capped}
