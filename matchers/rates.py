"""How fast unrelated objects change: what the rate of a candidate is compared with."""

import math
from dataclasses import dataclass
from typing import ClassVar, Self

_SCALE_MAG_PER_D = 0.3


@dataclass(frozen=True, slots=True)
class RateHistogram:
    """Distribution of the rates of unrelated objects, in magnitudes a day.

    Attributes
    ----------
    objects
        How many rates were measured; 0 in the fallback.
    """

    objects: int = 0
    FALLBACK: ClassVar["RateHistogram"]

    @classmethod
    def measured(cls, objects: int) -> Self:
        """Of what was counted."""
        return cls(objects)

    def log_density(self, band: str, mag_per_d: float, mag_per_d_err: float) -> float:  # noqa: ARG002
        """Natural logarithm of the density at a measured rate, per magnitude a day."""
        sigma = math.hypot(_SCALE_MAG_PER_D, mag_per_d_err)
        return -0.5 * (mag_per_d / sigma) ** 2 - math.log(sigma * math.sqrt(2 * math.pi))


RateHistogram.FALLBACK = RateHistogram()
