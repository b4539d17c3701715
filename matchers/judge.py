"""The verdict on one object and one trigger. Both directions, live and retrospective, end here."""

import json
import re
from functools import lru_cache
from hashlib import blake2b
from typing import Protocol

import numpy as np

from matchers.rank import overlap
from matchers.windows import rows_inside
from schemas.records import (
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
from schemas.times import US_PER_S

AREA_LEVEL = 0.9


class Matcher(Protocol):
    """`broker.interfaces.Matcher`, as imports point downwards only."""

    @property
    def name(self) -> str:
        """Its key in the configuration."""

    def window(self, trigger: Trigger) -> Window | None:
        """Where and when to look; None for a trigger that is not its to match."""

    def match(self, alerts: Alerts, trigger: Trigger) -> Bools:
        """Which of these alerts, all inside the window, belong to the trigger."""


def coincidence_id(matcher: str, trigger_id: str, survey: str, object_id: str) -> str:
    """A short name of a coincidence that is always the same for the same four, and fit for a URL or an IVORN.

    The matcher's name, in lower-case letters and digits, leads it for the reader's sake; 96 bits of BLAKE2b tell
    them apart.
    """
    prefix = re.sub(r"[^a-z0-9]", "", matcher.lower())[:16] or "match"
    four = json.dumps([matcher, trigger_id, survey, object_id])
    return f"{prefix}-{blake2b(four.encode(), digest_size=12).hexdigest()}"


def judge(
    matcher: Matcher, window: Window, trigger: Trigger, alerts: Alerts, provenance: Provenance
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

    Returns
    -------
    dict of str to Coincidence
        By the name of the object, of those that are a coincidence.
        Revision 0, proposed, without a reason and unchanged since 1970: the ledger decides on these. Position,
        separation, level and density are those of the first matching detection, magnitude and band of the latest.
    """
    inside = alerts.take(rows_inside(window, alerts))
    if not len(inside) or trigger.skymap is None:
        return {}
    inside = inside.take(np.lexsort((inside.alert_id, inside.time_us)))
    matched = matcher.match(inside, trigger)
    verdicts = {}
    for name in sorted(set(inside.object_id[matched].tolist())):
        of_object = inside.object_id == name
        verdicts[name] = _verdict(
            matcher.name, trigger, trigger.skymap, inside.take(of_object), matched[of_object], provenance
        )
    return verdicts


def _verdict(
    matcher: str, trigger: Trigger, skymap: SkyMap, inside: Alerts, matches: Bools, provenance: Provenance
) -> Coincidence:
    """Of one object's alerts inside the window, sorted by (time, id), some of which match."""
    matched = inside.take(matches)
    first = matched.take(slice(0, 1))
    where = first.ra_deg, first.dec_deg
    density = float(skymap.density_per_sr(*where, first.pixel)[0])
    summary = _object_summary(matched, _light_curve(inside))
    return Coincidence(
        id=coincidence_id(matcher, trigger.id, summary.survey, summary.object_id),
        revision=0,
        state=State.PROPOSED,
        reason="",
        changed_us=0,
        matcher=matcher,
        trigger=_trigger_summary(trigger, skymap),
        object=summary,
        delta_t_s=(summary.first_match_us - trigger.time_us) / US_PER_S,
        separation_deg=float(separation_deg(*where, skymap.peak_ra_deg, skymap.peak_dec_deg)[0]),
        credible_level=float(skymap.credible_level(*where, first.pixel)[0]),
        probability_density_per_sr=density,
        overlap=overlap(density),
        area_90_deg2=_area_90_deg2(skymap),
        provenance=_provenance(provenance, trigger, matched),
    )


def _light_curve(inside: Alerts) -> tuple[Measurement, ...]:
    columns = (inside.alert_id, inside.time_us, inside.band, inside.mag, inside.mag_err)
    return tuple(
        Measurement(number, time_us, band, _known(mag), _known(mag_err))
        for number, time_us, band, mag, mag_err in zip(*(c.tolist() for c in columns[:3]), *columns[3:], strict=True)
    )


@lru_cache(maxsize=4)
def _area_90_deg2(skymap: SkyMap) -> float:
    """Summing a map's cells takes long; the objects of a trigger are judged one after the other."""
    return skymap.area_deg2(AREA_LEVEL)


def _object_summary(matched: Alerts, light_curve: tuple[Measurement, ...]) -> ObjectSummary:
    """Of the matching alerts of one object, sorted by (time, id)."""
    return ObjectSummary(
        survey=matched.survey,
        object_id=str(matched.object_id[0]),
        alert_ids=tuple(matched.alert_id.tolist()),
        ra_deg=float(matched.ra_deg[0]),
        dec_deg=float(matched.dec_deg[0]),
        first_detection_us=int(matched.first_detection_us[0]),
        first_match_us=int(matched.time_us[0]),
        last_match_us=int(matched.time_us[-1]),
        mag=_known(matched.mag[-1]),
        mag_err=_known(matched.mag_err[-1]),
        band=str(matched.band[-1]),
        light_curve=light_curve,
    )


def _trigger_summary(trigger: Trigger, skymap: SkyMap) -> TriggerSummary:
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
        localisation_model=skymap.model,
        far_hz=trigger.far_hz,
        significance=trigger.significance,
        significance_unit=trigger.significance_unit,
        test=trigger.test,
        links=trigger.links,
    )


def _provenance(made_by: Provenance, trigger: Trigger, matched: Alerts) -> Provenance:
    notices = {notice.message.origin for notice in (trigger.notice, trigger.localised_by) if notice}
    inputs = {*made_by.inputs, *notices, *matched.origin.tolist()} - {""}
    return Provenance(made_by.software, made_by.config_hash, tuple(sorted(inputs)))


def _known(value: np.float32) -> float | None:
    """The shortest number that is this float32, so that a magnitude reads as in the packet: 19.1, not 19.10000038."""
    return float(str(value)) if np.isfinite(value) else None
