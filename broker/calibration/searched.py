"""What a search made of its triggers: the records that calibration judges."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    """What was claimed of one object and one trigger at one look.

    Attributes
    ----------
    object_id
        The object.
    posterior, chance_probability
        As in `schemas.statistics.Statistics`.
    rank
        Among the trigger's coincidences of the same matcher.
    credible_level
        Of the object in the trigger's map.
    true
        Whether it is the trigger's counterpart.
    of_another
        Whether it is the counterpart of another trigger, of which there are more than in reality.
    """

    object_id: str
    posterior: float
    chance_probability: float
    rank: int
    credible_level: float
    true: bool
    of_another: bool = False


@dataclass(frozen=True, slots=True)
class Counterpart:
    """The true counterpart of a trigger.

    Attributes
    ----------
    object_id
        Its name in the stream.
    in_stream
        Whether an alert of it that passes the cuts came before the look, so that a search could find it.
    credible_level
        Of its true position in the trigger's map.
    peak_mag
        Of its brightest alert before the look; None without alerts.
    """

    object_id: str
    in_stream: bool
    credible_level: float
    peak_mag: float | None


@dataclass(frozen=True, slots=True)
class Searched:
    """One trigger as one matcher had searched it at one look.

    Attributes
    ----------
    trigger_id, messenger, mission, matcher
        Which.
    age_d
        Days from the trigger to the look.
    area_90_deg2
        Of its map.
    counterpart
        The true one; None if there is none, by construction.
    claims
        Of all standing coincidences.
    posterior_none, observed_fraction, expected_chance
        As in `schemas.statistics.Statistics`; None where nothing was found that would say.
    """

    trigger_id: str
    messenger: str
    mission: str
    matcher: str
    age_d: float
    area_90_deg2: float
    counterpart: Counterpart | None
    claims: tuple[Claim, ...]
    posterior_none: float | None
    observed_fraction: float | None
    expected_chance: float | None

    @property
    def true_claim(self) -> Claim | None:
        """That of the counterpart; None if it was not found or there is none."""
        return next((claim for claim in self.claims if claim.true), None)
