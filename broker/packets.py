"""Which packets of a batch are kept: those of matched alerts in full, the others by choice."""

from collections.abc import Mapping, Sequence

import numpy as np

from broker.store.options import PacketPolicy
from broker.store.records import KeptPacket
from schemas.avro import confluent_id
from schemas.records import Alerts, Bools, Coincidence, Message, State


def packets_to_keep(
    messages: Sequence[Message],
    stored: Sequence[Alerts],
    changes: Sequence[Coincidence],
    policy: PacketPolicy,
    stripped: Mapping[str, bytes],
) -> list[KeptPacket]:
    """The packets to keep of what came with a batch.

    Parameters
    ----------
    stored
        The batch's alerts that are new.
    changes
        What the batch changed, be it published or not: alerts that are named there matched.
    policy
        For alerts that did not match.
    stripped
        By origin: packets without their stamps; of others the whole is kept.
    """
    if not stored or (policy == "none" and not changes):
        return []
    matched_ids: dict[str, set[int]] = {}
    for change in changes:
        if change.state is not State.WITHDRAWN:
            matched_ids.setdefault(change.object.survey, set()).update(change.object.alert_ids)
    bodies = {message.origin: message.body for message in messages}
    kept = []
    for alerts in stored:
        matched = _is_among(alerts, matched_ids.get(alerts.survey, set()))
        rows = np.flatnonzero(matched) if policy == "none" else np.arange(len(alerts))
        for row in rows.tolist():
            origin = str(alerts.origin[row])
            body = bodies[origin]
            if policy == "stripped" and not matched[row]:
                body = stripped.get(origin, body)
            kept.append(
                KeptPacket(
                    alerts.survey,
                    int(alerts.alert_id[row]),
                    str(alerts.object_id[row]),
                    int(alerts.time_us[row]),
                    body,
                    confluent_id(body),
                    bool(matched[row]),
                )
            )
    return kept


def _is_among(alerts: Alerts, ids: set[int]) -> Bools:
    return np.isin(alerts.alert_id, np.fromiter(ids, np.int64, len(ids)))
