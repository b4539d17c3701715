"""Colours g - r of unrelated new objects: how they are distributed, and the bins by which more is told of them.

Flares and outbursts are blue, so that what is known of unrelated objects is asked of those of about the same colour.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numpy as np

from schemas.records import Floats, Ints

COLOUR_EDGES_MAG: Final = (0.0, 0.2)
"""Of the bins..."""
COLOURS: Final = len(COLOUR_EDGES_MAG) + 2
"""...of which there is one more for what has no colour: the last."""
NO_COLOUR: Final = COLOURS - 1
COLOUR_RANGE_MAG: Final = (-3.0, 5.0)
"""What is beyond counts as these."""
_MAGNITUDE: Final = 1.0
"""Colours further from the median by more are outliers, which have a term of their own."""


def colour_bins(g_minus_r: Floats) -> Ints:
    """The bin of each colour, shape (n,); NaN is none."""
    return np.where(np.isnan(g_minus_r), NO_COLOUR, np.searchsorted(COLOUR_EDGES_MAG, g_minus_r, side="right"))


@dataclass(frozen=True, slots=True)
class UnrelatedColours:
    """The colours of unrelated new objects, as a normal distribution; with the errors of a night's photometry in it.

    Attributes
    ----------
    mean_mag, scatter_mag
        Of g - r.
    objects
        How many were measured; 0 in the fallback.
    """

    mean_mag: float
    scatter_mag: float
    objects: int = 0

    FALLBACK: ClassVar["UnrelatedColours"]
    """22 new objects among real ZTF packets have 0.08 and -0.14 to 0.26 (16 and 84 %)."""
    PSEUDO_OBJECTS: ClassVar[float] = 22.0
    """The fallback counts as much as so many objects."""

    @classmethod
    def measured(cls, g_minus_r: Floats) -> Self:
        """Of measured ones, blended with the fallback; NaN tells nothing."""
        known = g_minus_r[np.isfinite(g_minus_r)].astype(np.float64)
        if len(known):
            known = known[np.abs(known - np.median(known)) <= _MAGNITUDE]
        fallback, total = cls.FALLBACK, len(known) + cls.PSEUDO_OBJECTS
        mean = (float(known.sum()) + cls.PSEUDO_OBJECTS * fallback.mean_mag) / total
        apart = fallback.scatter_mag**2 + (fallback.mean_mag - mean) ** 2
        square = float(((known - mean) ** 2).sum()) + cls.PSEUDO_OBJECTS * apart
        return cls(mean, math.sqrt(square / total), len(known))


UnrelatedColours.FALLBACK = UnrelatedColours(0.08, 0.25)
