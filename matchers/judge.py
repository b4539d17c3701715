"""The verdict on one object and one trigger. Both directions, live and retrospective, end here."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from matchers.light_curves import evidence
from matchers.neighbourhood import packet_annotations
from matchers.rank import overlap
from matchers.unrelated import UnrelatedCurves
from matchers.windows import rows_inside
from schemas.annotations import Annotation, Target
from schemas.records import (
    NEVER_US,
    Alerts,
    Bools,
    Coincidence,
    Measurement,
    ObjectSummary,
    Provenance,
    State,
    Trigger,
    TriggerSummary,
    Window,
)
from schemas.sky import SkyMap, separation_deg
from schemas.statistics import LightCurveEvidence
from schemas.times import US_PER_S

AREA_LEVEL = 0.9
Around = Callable[[Sequence[Target]], Sequence[tuple[Annotation, ...]]]
"""What catalogues and services say of objects."""


class Matcher(Protocol):
    """`broker.interfaces.Matcher`, as imports point downwards only."""

    @property
    def name(self) -> str:
        """Its key in the configuration."""

    def window(self, trigger: Trigger) -> Window | None:
        """Where and when to look; None for a trigger that is not its to match."""

    def match(self, alerts: Alerts, trigger: Trigger) -> Bools:
        """Which of these alerts, all inside the window, belong to the trigger."""


@lru_cache(maxsize=1 << 12)
def coincidence_id(matcher: str, trigger_id: str, survey: str, object_id: str) -> str:
    """A short name of a coincidence that is always the same for the same four, and fit for a URL or an IVORN.

    The matcher's name, in lower-case letters and digits, leads it for the reader's sake; 96 bits of BLAKE2b tell
    them apart.
    """
    prefix = re.sub(r"[^a-z0-9]", "", matcher.lower())[:16] or "match"
    four = json.dumps([matcher, trigger_id, survey, object_id])
    return f"{prefix}-{blake2b(four.encode(), digest_size=12).hexdigest()}"


def judge(
    matcher: Matcher,
    window: Window,
    trigger: Trigger,
    alerts: Alerts,
    provenance: Provenance,
    around: Around = lambda targets: [()] * len(targets),
) -> dict[str, Coincidence]:
    """The coincidences of objects with a trigger. A trigger without a sky map has none.

    Parameters
    ----------
    window
        That of ``matcher`` for ``trigger``.
    alerts
        All stored alerts of some objects of one survey; those outside the window make no difference, nor do those of
        the others to the verdict on an object.
    provenance
        Software and configuration; its inputs are completed by those of notices and alerts.
    around
        Adds to what the packets carry of the neighbourhood.

    Returns
    -------
    dict of str to Coincidence
        By the name of the object, of those that are a coincidence.
        Revision 0, proposed, without a reason and unchanged since 1970: the ledger decides on these. Position,
        separation, level and density are those of the first matching detection, magnitude, band and what the packet
        says of the neighbourhood of the latest. The light curve is not weighed yet: see `evidence_of`.
    """
    skymap = trigger.skymap
    inside = alerts.take(rows_inside(window, alerts))
    if not len(inside) or skymap is None:
        return {}
    _, of_name = np.unique(inside.object_id, return_inverse=True)
    order = np.lexsort((inside.alert_id, inside.time_us, of_name))
    inside, of_name = inside.take(order), of_name[order]
    matches = matcher.match(inside, trigger)
    of_match, first = np.unique(of_name[matches], return_index=True)
    if not len(first):
        return {}
    ours = np.searchsorted(of_name, [of_match, of_match + 1]).T.tolist()
    first = np.flatnonzero(matches)[first]
    where = inside.ra_deg[first], inside.dec_deg[first]
    position = zip(
        separation_deg(*where, skymap.peak_ra_deg, skymap.peak_dec_deg).tolist(),
        skymap.credible_level(*where, inside.pixel[first]).tolist(),
        skymap.density_per_sr(*where, inside.pixel[first]).tolist(),
        strict=True,
    )
    points, plain = _points(inside), _Plain.of(inside)
    unseen = _last_non_detections(alerts)
    of_trigger, area_90_deg2 = trigger_summary(trigger), _area_90_deg2(skymap)
    heard = {notice.message.origin for notice in (trigger.notice, trigger.localised_by) if notice}
    matching, found = matches.tolist(), {}
    near = around([plain.target(row, points[row].time_us) for row in first.tolist()])
    for (start, end), (away_deg, level, density), said in zip(ours, position, near, strict=True):
        rows = [row for row in range(start, end) if matching[row]]
        annotations = *packet_annotations(inside, rows[-1]), *said
        summary = plain.summary(rows, tuple(points[start:end]), start, unseen, annotations)
        inputs = {*provenance.inputs, *heard, *(plain.origin[row] for row in rows)} - {""}
        found[summary.object_id] = Coincidence(
            id=coincidence_id(matcher.name, trigger.id, summary.survey, summary.object_id),
            revision=0,
            state=State.PROPOSED,
            reason="",
            changed_us=0,
            matcher=matcher.name,
            trigger=of_trigger,
            object=summary,
            delta_t_s=(summary.first_match_us - trigger.time_us) / US_PER_S,
            separation_deg=away_deg,
            credible_level=level,
            probability_density_per_sr=density,
            overlap=overlap(density),
            area_90_deg2=area_90_deg2,
            provenance=Provenance(provenance.software, provenance.config_hash, tuple(sorted(inputs))),
        )
    return found


def evidence_of(coincidence: Coincidence, background: UnrelatedCurves) -> LightCurveEvidence:
    """What the light curve of a coincidence tells, compared with those of unrelated objects."""
    found = coincidence.object
    return evidence(
        found.light_curve,
        trigger_time_us=coincidence.trigger.time_us,
        first_detection_us=found.first_detection_us,
        last_non_detection_us=found.last_non_detection_us,
        background=background,
    )


def _last_non_detections(alerts: Alerts) -> dict[str, int]:
    """Of each object the latest visit before its first detection that, by any of its packets, did not see it."""
    latest: dict[str, int] = {}
    before = alerts.last_non_detection_us < alerts.first_detection_us
    rows = np.flatnonzero(before & (alerts.last_non_detection_us != NEVER_US))
    for name, time_us in zip(alerts.object_id[rows].tolist(), alerts.last_non_detection_us[rows].tolist(), strict=True):
        latest[name] = max(time_us, latest.get(name, time_us))
    return latest


@dataclass(frozen=True, slots=True)
class _Plain:
    """Columns of alerts as lists: one by one, their values are wanted as plain numbers and names."""

    survey: str
    object_id: list[str]
    ra_deg: list[float]
    dec_deg: list[float]
    first_detection_us: list[int]
    origin: list[str]

    @classmethod
    def of(cls, alerts: Alerts) -> "_Plain":
        names = ("object_id", "ra_deg", "dec_deg", "first_detection_us", "origin")
        return cls(alerts.survey, *(getattr(alerts, name).tolist() for name in names))

    def target(self, row: int, time_us: int) -> Target:
        """What catalogues are asked about."""
        return Target(self.survey, self.object_id[row], self.ra_deg[row], self.dec_deg[row], time_us)

    def summary(
        self,
        rows: list[int],
        points: tuple[Measurement, ...],
        first_row: int,
        last_non_detections_us: Mapping[str, int],
        annotations: tuple[Annotation, ...],
    ) -> ObjectSummary:
        """Of the rows of one object that match, sorted by (time, id), and its light curve, which begins at a row."""
        first = rows[0]
        matched = [points[row - first_row] for row in rows]
        return ObjectSummary(
            survey=self.survey,
            object_id=self.object_id[first],
            alert_ids=tuple([point.alert_id for point in matched]),
            ra_deg=self.ra_deg[first],
            dec_deg=self.dec_deg[first],
            first_detection_us=self.first_detection_us[first],
            first_match_us=matched[0].time_us,
            last_match_us=matched[-1].time_us,
            mag=matched[-1].mag,
            mag_err=matched[-1].mag_err,
            band=matched[-1].band,
            light_curve=points,
            last_non_detection_us=last_non_detections_us.get(self.object_id[first]),
            annotations=annotations,
        )


def _points(alerts: Alerts) -> list[Measurement]:
    names = alerts.alert_id.tolist(), alerts.time_us.tolist(), alerts.band.tolist()
    return [Measurement(*told) for told in zip(*names, shortest(alerts.mag), shortest(alerts.mag_err), strict=True)]


@lru_cache(maxsize=4)
def _area_90_deg2(skymap: SkyMap) -> float:
    """Summing a map's cells takes long; the objects of a trigger are judged one after the other."""
    return skymap.area_deg2(AREA_LEVEL)


def trigger_summary(trigger: Trigger) -> TriggerSummary:
    """What coincidences say of a trigger."""
    return TriggerSummary(
        id=trigger.id,
        names=trigger.names,
        messenger=trigger.messenger.value,
        mission=trigger.mission,
        instrument=trigger.instrument,
        time_us=trigger.time_us,
        revision=trigger.revision,
        notice_ivorn=trigger.notice.ivorn,
        notice_origin=trigger.notice.message.origin,
        localisation_model="" if trigger.skymap is None else trigger.skymap.model,
        far_hz=trigger.far_hz,
        significance=trigger.significance,
        significance_unit=trigger.significance_unit,
        test=trigger.test,
        links=trigger.links,
        classification=trigger.classification,
        linked=trigger.linked,
        private_to=trigger.private_to,
    )


def shortest(values: NDArray[np.float32]) -> list[float | None]:
    """The shortest number that is each float32, so that a magnitude reads as in the packet: 19.1, not 19.10000038."""
    return [
        float(text) if finite else None
        for text, finite in zip(values.astype(np.str_), np.isfinite(values).tolist(), strict=True)
    ]
