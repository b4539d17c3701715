"""What the light curves of unrelated new objects are like, to compare those of candidates with."""

from typing import Final, NamedTuple

from matchers.colours import UnrelatedColours
from matchers.rates import RateHistogram


class UnrelatedCurves(NamedTuple):
    """Measured in our own store, as far as it is old enough (`matchers.objects.Objects.curves_of_new`).

    Attributes
    ----------
    rates
        How fast they change, by colour and group of bands.
    colours
        How their colours are distributed.
    """

    rates: RateHistogram
    colours: UnrelatedColours


UNMEASURED: Final = UnrelatedCurves(RateHistogram.FALLBACK, UnrelatedColours.FALLBACK)
"""Of a store that has seen nothing yet."""
