"""How many unrelated objects a survey brings, and where and when it looked."""

from dataclasses import dataclass

from matchers.rates import RateHistogram

FALLBACK_PER_DEG2_NIGHT = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """What is unrelated in the stream of one survey, as it was known at one moment.

    Attributes
    ----------
    survey
        Its name.
    rates
        How fast its objects change.
    """

    survey: str
    rates: RateHistogram = RateHistogram.FALLBACK
