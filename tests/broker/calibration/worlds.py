"""Made-up searches in which everything is known, so that their claims are right by construction."""

import math
from collections.abc import Callable

import numpy as np

from broker.calibration.searched import Claim, Counterpart, Searched


def honest(claimed: float) -> float:
    return claimed


def searches(
    seed: int, count: int, claim: Callable[[float], float] = honest, chance: Callable[[float], float] = honest
) -> list[Searched]:
    """Triggers with Poisson chance candidates, of which some have a counterpart.

    Parameters
    ----------
    claim, chance
        What is claimed of a posterior, and of a chance probability, whose right value is given.
    """
    random = np.random.default_rng(seed)
    return [_search(random, number, claim, chance) for number in range(count)]


FOUND = 0.5
"""So many triggers have a counterpart in the stream."""
_STEEPNESS = 0.2


def _search(random, number, claim, chance) -> Searched:
    """Chance candidates are uniform in what tells them apart, counterparts crowd at 0: x^(a - 1) a."""
    expected = float(random.uniform(0.5, 8.0))
    chances = random.uniform(size=int(random.poisson(expected)))
    is_seen = random.uniform() < FOUND
    told = np.append(chances, random.uniform() ** (1 / _STEEPNESS)) if is_seen else chances
    candidates, true = len(told), len(told) - 1 if is_seen else -1
    weights = np.append(FOUND * _STEEPNESS * told ** (_STEEPNESS - 1) / expected, 1 - FOUND)
    posteriors = weights / weights.sum()
    nearness = told * expected
    ranks = np.argsort(np.argsort(-posteriors[:-1])) + 1
    mag, area = float(random.uniform(16.0, 21.0)), float(10 ** random.uniform(0.0, 3.0))
    return Searched(
        trigger_id=f"fermi-gbm:{number}",
        messenger="gamma-ray",
        mission="Fermi",
        matcher="grb",
        age_d=3.0,
        area_90_deg2=area,
        counterpart=Counterpart(f"SIM{number}", is_seen, 0.5, mag),
        claims=tuple(
            Claim(
                object_id=f"SIM{number}" if row == true else f"X{number}.{row}",
                posterior=claim(float(posteriors[row])),
                # The smallest of many that are uniform from 0 to what is expected.
                chance_probability=chance(-math.expm1(-float(nearness[row]))),
                rank=int(ranks[row]),
                credible_level=0.5,
                true=row == true,
            )
            for row in range(candidates)
        ),
        posterior_none=float(posteriors[-1]) if candidates else None,
        observed_fraction=1.0 if candidates else None,
        expected_chance=expected,
    )
