"""How fast things change: distributions of rates, in magnitudes a day, positive where they fade.

The background is what a candidate's rate is compared with: that of unrelated objects, measured in our own store
(`matchers.bands.BandPoints.rate_counts`) and blended with a stated fallback while there are few.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import mul
from types import MappingProxyType
from typing import ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from matchers.colours import COLOURS, NO_COLOUR
from schemas.records import Floats, Ints

GROUPS = ("u g", "r", "i z y")
"""Bands whose rates are counted together."""
_GROUP_OF_BAND = {band: group for group, bands in enumerate(GROUPS) for band in bands.split()}
_OTHER_BANDS = 1

# Bins are told by the bits of |rate| + 1/32 as float32: four in each octave between 2^-5 and 2^5, so that they are
# 0.008 mag/d wide at 0 and a quarter of the rate at most beyond, and millions of rates are put into them in no time.
_OFFSET_MAG_PER_D = 1 / 32
_BELOW_32 = np.nextafter(np.float32(32), np.float32(0))
_BITS_BELOW = 21
_FIRST_CODE = int(np.float32(_OFFSET_MAG_PER_D).view(np.int32)) >> _BITS_BELOW
_HALF = (int(_BELOW_32.view(np.int32)) >> _BITS_BELOW) - _FIRST_CODE + 1
BINS = 2 * _HALF

_POSITIVE_EDGES = [
    2.0**octave * (1 + quarter / 4) - _OFFSET_MAG_PER_D for octave in range(-5, 5) for quarter in range(4)
] + [32 - _OFFSET_MAG_PER_D]
EDGES_MAG_PER_D: tuple[float, ...] = (*(-edge for edge in reversed(_POSITIVE_EDGES[1:])), *_POSITIVE_EDGES)
"""Of the bins, `BINS` + 1 of them, from -31.97 to 31.97; what is faster counts in the last ones."""

FASTEST_MAG_PER_D = EDGES_MAG_PER_D[-1]
_LEAST_ERR, _LARGEST_ERR = 1e-3, 100.0
_REACH = 4.5
"""In errors; beyond is less than 1e-5."""
OUTLIERS = 0.03
"""Fraction of rates that tell nothing, such as those of a bad subtraction: spread evenly over all bins. No rate is
impossible so, and no single one proves anything."""
PSEUDO_OBJECTS = 300
"""The fallback counts as much as so many measured objects (a Dirichlet prior)..."""
PSEUDO_OF_ALL_COLOURS = 30
"""...and all colours together as so many of one."""

_SQRT_2 = math.sqrt(2.0)


def group_of(band: str) -> int:
    """Place of a band in `GROUPS`; unknown ones count with r, in the middle of the spectrum."""
    return _GROUP_OF_BAND.get(band, _OTHER_BANDS)


def bins_of(mag_per_d: Floats) -> Ints:
    """Place of each rate in the bins, shape (n,); rates are finite."""
    size = np.minimum(np.abs(mag_per_d).astype(np.float32) + np.float32(_OFFSET_MAG_PER_D), _BELOW_32)
    step = (size.view(np.int32) >> _BITS_BELOW) - _FIRST_CODE
    return np.asarray(np.where(mag_per_d < 0, _HALF - 1 - step, _HALF + step), np.int64)


@dataclass(frozen=True, slots=True)
class RateDensity:
    """A distribution of true rates: even inside each bin."""

    per_mag_per_d: tuple[float, ...]

    @classmethod
    def of_fractions(cls, fractions: Sequence[float]) -> Self:
        """The one with these fractions in the bins, whose sum is 1, less what is spread evenly: `OUTLIERS`."""
        even = OUTLIERS / BINS
        return cls(
            tuple(
                ((1 - OUTLIERS) * fraction + even) / (end - start)
                for fraction, (start, end) in zip(fractions, pairwise(EDGES_MAG_PER_D), strict=True)
            )
        )

    @classmethod
    def of_cumulative(cls, below: Callable[[float], float]) -> Self:
        """The one of a cumulative distribution; what is beyond the bins counts in the last ones."""
        inner = [below(edge) for edge in EDGES_MAG_PER_D[1:-1]]
        return cls.of_fractions([end - start for start, end in pairwise([0.0, *inner, 1.0])])

    def seen(self, measured: "MeasuredRate") -> float:
        """Density of measuring this, per magnitude a day: greater than 0 and finite."""
        densities = self.per_mag_per_d[measured.first_bin : measured.first_bin + len(measured.shares)]
        return math.fsum(map(mul, densities, measured.shares))


@dataclass(frozen=True, slots=True)
class MeasuredRate:
    """A rate with a normal error, as the shares that each bin has in the probability of the true one.

    Attributes
    ----------
    first_bin
        The first that has any.
    shares
        Of it and the bins that follow.
    """

    first_bin: int
    shares: tuple[float, ...]

    @classmethod
    def of(cls, mag_per_d: float, mag_per_d_err: float) -> Self:
        """Rates beyond the bins are taken as the fastest, and errors as between 0.001 and 100 mag/d."""
        rate = min(max(mag_per_d, -FASTEST_MAG_PER_D), FASTEST_MAG_PER_D)
        err = min(max(mag_per_d_err, _LEAST_ERR), _LARGEST_ERR)
        first = max(bisect_right(EDGES_MAG_PER_D, rate - _REACH * err) - 1, 0)
        last = bisect_right(EDGES_MAG_PER_D, rate + _REACH * err)
        scale = 1.0 / (err * _SQRT_2)
        below = [math.erf((edge - rate) * scale) for edge in EDGES_MAG_PER_D[first : last + 1]]
        return cls(first, tuple([0.5 * (end - start) for start, end in pairwise(below)]))


def normal_below(mean: float, sigma: float) -> Callable[[float], float]:
    """Cumulative distribution of a normal one."""
    return lambda value: 0.5 * math.erfc((mean - value) / (sigma * _SQRT_2))


def log_normal_below(median: float, sigma: float) -> Callable[[float], float]:
    """Cumulative distribution of positive values whose natural logarithm is normal around that of the median."""
    normal = normal_below(math.log(median), sigma)
    return lambda value: normal(math.log(value)) if value > 0 else 0.0


def _fallback_below(mag_per_d: float) -> float:
    return 0.65 * _RISING(mag_per_d) + 0.10 * _SLOW(mag_per_d) + 0.25 * _FADING(mag_per_d)


_RISING = normal_below(-0.12, 0.11)
_SLOW = normal_below(0.03, 0.05)
_FADING = log_normal_below(0.17, 0.75)
FLAT = RateDensity.of_fractions([1 / BINS] * BINS)
"""Of what tells nothing: all bins alike, so that slow and fast are equally likely by their order of magnitude."""


class Compared(NamedTuple):
    """The object that is compared with others: those of its colour, and not itself.

    Attributes
    ----------
    colour
        Its bin (`matchers.colours`).
    own_bins
        By band, of its own rate, if it may have been counted.
    """

    colour: int = NO_COLOUR
    own_bins: Mapping[str, int] = MappingProxyType({})


ANYTHING = Compared()


@dataclass(frozen=True, slots=True)
class RateHistogram:
    """How fast unrelated objects change, by their colour (`matchers.colours`) and group of bands: what is red and new
    rises, as supernovae do, and what fades is blue.

    It is as wide as the measurements of those objects make it; a candidate's own error comes on top. So it is a little
    too wide, and errs on the side of finding a candidate ordinary.

    Attributes
    ----------
    densities
        One for each of `COLOURS`, and in it for each of `GROUPS`.
    counts
        How many rates were measured in each bin of each of them; none in the fallback.
    """

    densities: tuple[tuple[RateDensity, ...], ...]
    counts: tuple[tuple[tuple[int, ...], ...], ...] = (((0,) * BINS,) * len(GROUPS),) * COLOURS

    FALLBACK: ClassVar["RateHistogram"]
    """Of new objects in simulated weeks (`bridges.simulator`) that pass the quality cuts: 65 % supernovae on the rise,
    10 % slow, 25 % dwarf novae and flares on the decline; the same in all bands and of all colours."""

    @classmethod
    def measured(cls, counts: NDArray[np.integer]) -> Self:
        """Of rates that were counted, each group blended with the fallback as if that were `PSEUDO_OBJECTS` more, and
        each colour in it with all colours, as if those were `PSEUDO_OF_ALL_COLOURS`.

        Parameters
        ----------
        counts
            Shape (colours, groups, bins), as `matchers.bands.BandPoints.rate_counts` gives them; sums are fine.
        """
        of_group = counts.sum(axis=0)
        total = of_group.sum(axis=1, keepdims=True)
        of_group = (of_group + PSEUDO_OBJECTS * _FALLBACK_FRACTIONS) / (total + PSEUDO_OBJECTS)
        total = counts.sum(axis=2, keepdims=True)
        fractions = (counts + PSEUDO_OF_ALL_COLOURS * of_group) / (total + PSEUDO_OF_ALL_COLOURS)
        densities = tuple(tuple(map(RateDensity.of_fractions, of_colour)) for of_colour in fractions.tolist())
        return cls(densities, tuple(tuple(map(tuple, of_colour)) for of_colour in counts.tolist()))

    def seen(self, band: str, measured: MeasuredRate, compared: Compared = ANYTHING) -> float:
        """Density of measuring this, per magnitude a day, of what is unrelated: greater than 0 and finite."""
        group, colour = group_of(band), compared.colour
        density = self.densities[colour][group].seen(measured)
        own = compared.own_bins.get(band)
        if own is None or not self.counts[colour][group][own]:
            return density
        objects = sum(self.counts[colour][group]) + PSEUDO_OF_ALL_COLOURS
        even = OUTLIERS * FLAT.seen(measured)
        place = own - measured.first_bin
        share = measured.shares[place] if 0 <= place < len(measured.shares) else 0.0
        of_own = (1 - OUTLIERS) * share / (EDGES_MAG_PER_D[own + 1] - EDGES_MAG_PER_D[own])
        return even + (objects * (density - even) - of_own) / (objects - 1)


_FALLBACK_FRACTIONS = np.diff([0.0, *(_fallback_below(edge) for edge in EDGES_MAG_PER_D[1:-1]), 1.0])
RateHistogram.FALLBACK = RateHistogram(((RateDensity.of_cumulative(_fallback_below),) * len(GROUPS),) * COLOURS)
