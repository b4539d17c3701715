"""How large a simulated night is, and what happens in it."""

from dataclasses import dataclass, replace
from typing import Self

from schemas.times import us_from_iso


@dataclass(frozen=True, slots=True)
class NightPlan:
    """What to simulate. The defaults are the demo's: a week of seven nights, some thousands of alerts.

    Counts of contaminants are objects over the whole visible sky and the whole span, far below ZTF's
    real stream (some 10^5 alerts a night) but chosen so that what survives the usual quality cuts is as
    crowded as in reality: of the order of 0.1 new candidates a square degree in 20 days.

    Attributes
    ----------
    start
        Date (UTC) of the first evening; the span begins at local noon of Palomar, 20:00 UTC.
    nights
        How many nights follow one another.
    cadence_nights
        A field is visited, once in g and once in r, every so many nights.
    zone_deg
        Fields within so much right ascension are due in the same nights, as a scheduler has it that saves slews (Bellm
        et al. 2019, PASP 131, 068003); None if neighbours have different nights.
    history_d
        How far back the previous detections and limits in a packet reach (ZTF's own packets: 30 d).
    variables, supernovae, outbursts, asteroids, artefacts
        Numbers of contaminants: stars and nuclei that have varied for years; supernovae, of which
        about half explode within the span; dwarf novae and stellar flares; detections of
        Solar-system objects; subtraction artefacts.
    bursts_seen, bursts_unseen
        Gamma-ray bursts whose afterglow does, and does not, give a good alert. Bursts are drawn until
        both numbers are full, so the two numbers are a choice, not a rate.
    mergers_seen, mergers_unseen
        Neutron-star mergers, likewise.
    mergers_retracted
        Gravitational-wave candidates that are taken back.
    bursts_disowned
        Fermi triggers that turn out to be no burst.
    neutrinos_seen
        Neutrinos whose source gives a good alert.
    neutrinos_alone
        Neutrinos without an optical source.
    subthreshold
        Sub-threshold Fermi transients, without a source.
    bursts_drawn, mergers_drawn, neutrinos_drawn
        Further events as they come, anywhere in the sky, whether or not the survey sees anything of them: what
        fraction it does see is then no choice. Calibration needs such events.
    swift_fraction
        Of the bursts drawn, how many Swift localises; the others are Fermi's.
    neutrino_source_fraction
        Of the neutrinos drawn that are from space, as many as their signalness says, how many come from a source
        that brightens, near or far; the others have none.
    drawn_from_night
        None of the drawn events comes earlier.
    """

    start: str = "2026-10-05"
    nights: int = 7
    cadence_nights: int = 2
    zone_deg: float | None = None
    history_d: float = 14.0
    variables: int = 450
    supernovae: int = 1100
    outbursts: int = 600
    asteroids: int = 1500
    artefacts: int = 1700
    bursts_seen: int = 5
    bursts_unseen: int = 3
    mergers_seen: int = 1
    mergers_unseen: int = 1
    mergers_retracted: int = 1
    bursts_disowned: int = 1
    neutrinos_seen: int = 1
    neutrinos_alone: int = 1
    subthreshold: int = 1
    bursts_drawn: int = 0
    mergers_drawn: int = 0
    neutrinos_drawn: int = 0
    swift_fraction: float = 0.25
    neutrino_source_fraction: float = 0.1
    drawn_from_night: float = 0.0

    def __post_init__(self) -> None:
        if self.zone_deg is not None and not self.zone_deg > 0:
            raise ValueError("the zones of a plan are wider than 0 deg")
        if self.nights < 1 or self.cadence_nights < 1 or self.history_d < 0:
            raise ValueError("a plan needs at least one night, a cadence of at least one night and history_d >= 0")
        us_from_iso(f"{self.start}T20:00:00")

    def scaled(self, factor: float) -> Self:
        """The same week with `factor` times as many contaminants, for load tests."""
        names = ("variables", "supernovae", "outbursts", "asteroids", "artefacts")
        return replace(self, **{name: round(getattr(self, name) * factor) for name in names})

    @property
    def start_us(self) -> int:
        """Local noon at Palomar on the first day."""
        return us_from_iso(f"{self.start}T20:00:00")
