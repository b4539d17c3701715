"""What calibration is measured by: uniformity, reliability and completeness. Pure functions of plain numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

RELIABILITY_EDGES: Final = (0.0, 0.001, 0.01, 0.1, 0.5, 1.0)
"""Most candidates are unlikely, so bins are narrow at the lower end. The upper ones are as wide as it takes to fill
them, with some six entries from four simulated weeks."""
ENOUGH: Final = 50
"""Bins with fewer entries are shown and not judged."""
TOLERANCE: Final = 0.05
"""Claimed and true fraction may differ by so much."""
LEAST_P: Final = 0.01
_ONE_SIGMA: Final = 1.0
_CHANCE_ERRORS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Uniformity:
    """Numbers that should be uniform from 0 to 1, against that.

    Attributes
    ----------
    count
        How many there are.
    mean
        Of them; 0.5 if they are uniform. None without any.
    distance
        Largest distance of their cumulative distribution from the uniform one (Kolmogorov and Smirnov's D); None
        without any.
    p
        Probability of such a distance, or a larger one, if they are uniform; None without any.
    """

    count: int
    mean: float | None
    distance: float | None
    p: float | None

    @classmethod
    def of(cls, values: ArrayLike) -> "Uniformity":
        """Of any numbers.

        Raises
        ------
        ValueError
            If one of them is not within 0 to 1.
        """
        told = np.sort(np.asarray(values, np.float64).ravel())
        if not len(told):
            return cls(0, None, None, None)
        if not (told[0] >= 0.0 and told[-1] <= 1.0):
            raise ValueError("only numbers from 0 to 1 can be uniform there")
        steps = np.arange(len(told) + 1) / len(told)
        distance = float(max((steps[1:] - told).max(), (told - steps[:-1]).max()))
        return cls(len(told), float(told.mean()), distance, kolmogorov_p(distance, len(told)))


def kolmogorov_p(distance: float, count: int) -> float:
    """Probability that ``count`` uniform numbers are at least so far from uniform.

    Kolmogorov's asymptotic series with the correction of Stephens 1970 (J. R. Stat. Soc. B 32, 115), good to a per cent
    from five numbers on.
    """
    scaled = (math.sqrt(count) + 0.12 + 0.11 / math.sqrt(count)) * distance
    if scaled < 0.2:  # noqa: PLR2004 - the series converges slowly there, and 1 - p is below 1e-12
        return 1.0
    terms = ((1.0 if k % 2 else -1.0) * math.exp(-2.0 * (k * scaled) ** 2) for k in range(1, 101))
    return min(max(2.0 * sum(terms), 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Bin:
    """What was claimed between two probabilities, and how often it was true.

    Attributes
    ----------
    low, high
        The claims in it are at least ``low`` and less than ``high``; the last holds 1 as well.
    count, claimed, true
        How many claims, their mean, and the fraction that is true; None without any.
    error
        Standard error of ``true`` if the claims are right.
    """

    low: float
    high: float
    count: int
    claimed: float | None
    true: float | None
    error: float | None

    @property
    def is_judged(self) -> bool:
        """Whether there are enough."""
        return self.count >= ENOUGH

    @property
    def off_by(self) -> float:
        """Difference of claimed and true fraction; 0 without any."""
        return 0.0 if self.claimed is None or self.true is None else abs(self.claimed - self.true)

    @property
    def is_within(self) -> bool:
        """Whether claimed and true fraction differ by no more than the tolerance."""
        return self.off_by <= TOLERANCE

    @property
    def is_off(self) -> bool:
        """Whether they differ by more in a bin with enough entries."""
        return self.is_judged and not self.is_within

    @property
    def may_be_chance(self) -> bool:
        """Whether two standard errors explain the difference: with 50 entries chance alone moves one by 7 %."""
        return self.off_by <= _CHANCE_ERRORS * (self.error or 0.0)


def reliability(claimed: ArrayLike, true: ArrayLike, edges: Sequence[float] = RELIABILITY_EDGES) -> tuple[Bin, ...]:
    """A reliability diagram: claimed probabilities against what came true (Murphy & Winkler 1977, Appl. Stat. 26, 41).

    Parameters
    ----------
    claimed
        Probabilities, shape (n,).
    true
        Whether each was, shape (n,).
    edges
        Of the bins, rising from 0 to 1.
    """
    of_claim, was_true = np.asarray(claimed, np.float64), np.asarray(true, np.bool_)
    place = np.clip(np.searchsorted(edges, of_claim, side="right") - 1, 0, len(edges) - 2)
    bins = []
    for number, (low, high) in enumerate(pairwise(edges)):
        inside = place == number
        count = int(inside.sum())
        if not count:
            bins.append(Bin(low, high, 0, None, None, None))
            continue
        claims = of_claim[inside]
        error = math.sqrt(float((claims * (1.0 - claims)).sum())) / count
        bins.append(Bin(low, high, count, float(claims.mean()), float(was_true[inside].mean()), error))
    return tuple(bins)


@dataclass(frozen=True, slots=True)
class Share:
    """How many of those with a property between two values were found.

    Attributes
    ----------
    low, high
        Of the property; ``low`` is included.
    count, found
        How many there are, and how many of them were found.
    """

    low: float
    high: float
    count: int
    found: int

    @property
    def fraction(self) -> float | None:
        """Found of all; None where there are none."""
        return self.found / self.count if self.count else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's interval of one standard error around the fraction (Brown et al. 2001, Stat. Sci. 16, 101)."""
        if not self.count:
            return None
        n, p, z = self.count, self.found / self.count, _ONE_SIGMA
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return min(max(middle - half, 0.0), p), max(min(middle + half, 1.0), p)


def completeness(value: ArrayLike, found: ArrayLike, edges: Sequence[float]) -> tuple[Share, ...]:
    """How many were found, by a property of theirs; what lies outside the edges is left out."""
    of_value, was_found = np.asarray(value, np.float64), np.asarray(found, np.bool_)
    shares = []
    for low, high in pairwise(edges):
        inside = (of_value >= low) & (of_value < high)
        shares.append(Share(low, high, int(inside.sum()), int((inside & was_found).sum())))
    return tuple(shares)
