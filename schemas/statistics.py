"""What a coincidence is worth: the numbers that are stored and published with it.

How they are found is in `matchers.light_curves`, `matchers.background` and `matchers.statistics`; the sentence and the
unit of each are part of the published form (`schemas.coincidence`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class SourceClass(StrEnum):
    """What a counterpart may be."""

    AFTERGLOW = "afterglow"
    KILONOVA = "kilonova"
    SUPERNOVA = "supernova"


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast an object changes in one band.

    Attributes
    ----------
    mag_per_d, mag_per_d_err
        Slope of its magnitudes, positive where it fades, and its standard error.
    points, span_d
        How many points it is told from, and over how many days.
    """

    band: str
    mag_per_d: float
    mag_per_d_err: float
    points: int
    span_d: float


@dataclass(frozen=True, slots=True)
class LightCurveEvidence:
    """What the light curve of an object tells of it. None where there is nothing to tell it from.

    Attributes
    ----------
    rates
        By band, sorted by its name.
    decay_index, decay_index_err
        alpha of flux ~ t^-alpha, t since the trigger, and its standard error.
    colour_mag, colour_err_mag, colour_bands
        Difference of magnitudes in two bands at about one time, its error, and which: ``g-r``.
    onset_after_s, onset_before_s
        It began between these times, relative to the trigger: last non-detection and first detection.
    log_likelihood_ratio
        By `SourceClass`: natural logarithm of the likelihood of these observations under it, over that under what is
        unrelated; 0 where there is nothing to judge.
    """

    rates: tuple[Rate, ...] = ()
    decay_index: float | None = None
    decay_index_err: float | None = None
    colour_mag: float | None = None
    colour_err_mag: float | None = None
    colour_bands: str = ""
    onset_after_s: float | None = None
    onset_before_s: float | None = None
    log_likelihood_ratio: Mapping[str, float] = field(default_factory=dict)


NO_EVIDENCE = LightCurveEvidence()
"""Of a light curve that tells nothing."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a coincidence is worth among all that is known when it is judged.

    Attributes
    ----------
    background_per_deg2_night
        New objects that pass the same cuts, per square degree of sky and visited night, around the object.
    background_model
        How that was found: measured of how many objects, or which fallback.
    observed_fraction
        Fraction of the trigger's probability that the survey visited in the window so far.
    expected_chance
        Expected number of chance coincidences of the trigger in the window so far.
    chance_probability
        That at least one unrelated object would come as near to the trigger in position and time.
    far_per_year
        How many chance coincidences as good as this one all triggers of the matcher bring a year.
    weight
        How much more probable what is known of the object is for the counterpart than for what is unrelated.
    posterior
        Probability that this object is the trigger's counterpart.
    posterior_none
        Probability that none of the trigger's objects is.
    class_posteriors
        `posterior` divided among the classes of sources.
    host_distance_mpc, credible_level_3d
        Distance of the host, where one is known, and the credible level in volume at that distance, where the trigger's
        map has distances.
    rank
        Place among the trigger's coincidences of the same matcher, 1 for the best.
    """

    background_per_deg2_night: float
    background_model: str
    observed_fraction: float
    expected_chance: float
    chance_probability: float
    far_per_year: float
    weight: float
    posterior: float
    posterior_none: float
    class_posteriors: Mapping[str, float]
    rank: int
    host_distance_mpc: float | None = None
    credible_level_3d: float | None = None
