"""What really happened: the injected sources, and whether the survey could have shown them."""

from dataclasses import asdict, dataclass
from typing import Any

from bridges.simulator.bursts import Event
from bridges.simulator.detections import Camera, Detection, Source
from schemas.times import iso_from_us


@dataclass(frozen=True, slots=True)
class Injection:
    """A counterpart that was put into the sky, and what the survey saw of it.

    Attributes
    ----------
    kind
        ``afterglow``, ``kilonova`` or ``neutrino counterpart``.
    object_id, trigger_id
        As alerts and notices call them. A burst that two observatories saw has an injection for each.
    time_us, ra_deg, dec_deg
        The event.
    detectable
        Whether at least one alert passes the published quality cuts.
    why_not
        If not, why; empty otherwise.
    alerts, good_alerts
        How many alerts there are, and how many pass the cuts.
    peak_mag
        Of the brightest alert; None without alerts.
    first_detection_us
        Of the first alert; None without alerts.
    """

    kind: str
    object_id: str
    trigger_id: str
    time_us: int
    ra_deg: float
    dec_deg: float
    detectable: bool
    why_not: str
    alerts: int
    good_alerts: int
    peak_mag: float | None
    first_detection_us: int | None

    def row(self) -> dict[str, Any]:
        """For a table or JSON: instants as text."""
        first = None if self.first_detection_us is None else iso_from_us(self.first_detection_us)
        told = asdict(self)
        del told["time_us"], told["first_detection_us"]
        return told | {"time_utc": iso_from_us(self.time_us), "first_detection_utc": first}


def injection(trigger_id: str, event: Event, source: Source, seen: list[Detection], camera: Camera) -> Injection:
    """The truth about a source and what the camera saw of it."""
    good = [d for d in seen if d.is_good]
    return Injection(
        kind=source.nature.value,
        object_id=source.object_id,
        trigger_id=trigger_id,
        time_us=event.time_us,
        ra_deg=event.ra_deg,
        dec_deg=event.dec_deg,
        detectable=bool(good),
        why_not="" if good else _why_not(event, seen, camera),
        alerts=len(seen),
        good_alerts=len(good),
        peak_mag=min((d.mag for d in seen), default=None),
        first_detection_us=min((d.time_us for d in seen), default=None),
    )


def _why_not(event: Event, seen: list[Detection], camera: Camera) -> str:
    rows = camera.rows_at(event.ra_deg, event.dec_deg)
    if not len(rows):
        return "outside the survey's fields"
    if not (camera.visits.time_us[rows] > event.time_us).any():
        return "not visited afterwards"
    if not seen:
        return "too faint at every visit"
    return "no alert passes the quality cuts"
