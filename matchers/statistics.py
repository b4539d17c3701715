"""What a coincidence is worth among all that is known of its trigger."""

import math
from collections.abc import Mapping, Sequence

from matchers.background import FALLBACK_PER_DEG2_NIGHT, Background
from matchers.source_classes import class_priors
from schemas.pixels import DEG2_PER_SR
from schemas.records import Coincidence, Trigger, Window
from schemas.statistics import Statistics
from schemas.times import US_PER_DAY

_FRACTION_IN_STREAM = 0.3


def assess(
    trigger: Trigger,
    window: Window,
    standing: Sequence[Coincidence],
    backgrounds: Mapping[str, Background],  # noqa: ARG001
    *,
    triggers_per_year: float,
    now_us: int,
) -> list[Statistics]:
    """The statistics of all standing coincidences of one trigger and matcher, in their order."""
    priors = class_priors(trigger.messenger)
    nights = max(1.0, (min(now_us, window.end_us) - window.start_us) / US_PER_DAY)
    rate = FALLBACK_PER_DEG2_NIGHT
    by_class = []
    for found in standing:
        ratios = found.evidence.log_likelihood_ratio
        density = found.probability_density_per_sr / DEG2_PER_SR / (rate * nights)
        by_class.append({name: prior * density * math.exp(ratios.get(name, 0.0)) for name, prior in priors.items()})
    weights = [sum(of_class.values()) for of_class in by_class]
    none = (1 - _FRACTION_IN_STREAM) / _FRACTION_IN_STREAM
    total = sum(weights) + none
    ranks = {row: place for place, row in enumerate(sorted(range(len(weights)), key=lambda row: -weights[row]), 1)}
    made = []
    for row, (found, weight) in enumerate(zip(standing, weights, strict=True)):
        expected = rate * nights * found.area_90_deg2
        chance = -math.expm1(-expected * found.credible_level)
        made.append(
            Statistics(
                background_per_deg2_night=rate,
                background_model="fallback",
                observed_fraction=1.0,
                expected_chance=expected,
                chance_probability=chance,
                far_per_year=triggers_per_year * expected * found.credible_level,
                weight=weight,
                posterior=weight / total,
                posterior_none=none / total,
                class_posteriors={name: value / total for name, value in by_class[row].items()},
                rank=ranks[row],
            )
        )
    return made
