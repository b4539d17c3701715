"""Whether an object was seen again: what moves is seen once, what fades soon in one night, and others for weeks.

How often unrelated new objects do either is measured in our own store; how often counterparts do follows from how they
fade. It counts only where somebody looked again: a first detection of a minute ago says nothing yet.
"""

import math
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from matchers.colours import COLOURS, colour_bins
from matchers.coverage import CELL_ORDER, CELLS
from schemas.pixels import Array, cell_centres
from schemas.records import Floats, Ints
from schemas.times import US_PER_DAY

_NIGHT_US: Final = US_PER_DAY // 2
"""No night is longer, and nights are further apart."""


class Seen(IntEnum):
    """How often an object was seen, by its stored alerts."""

    ONCE = 0
    ONE_NIGHT = 1
    SEVERAL_NIGHTS = 2


class Looked(IntEnum):
    """Whether its place was looked at after its first detection, and in how many later nights."""

    NOT_YET = 0
    SAME_NIGHT = 1
    ONE_NIGHT = 2
    TWO_NIGHTS = 3
    MORE_NIGHTS = 4


LATER_NIGHTS: Final = Looked.MORE_NIGHTS - Looked.SAME_NIGHT
"""So many numbers of later nights are told apart: the last is of all that are larger."""
ECLIPTIC_EDGES_DEG: Final = (5.0, 10.0, 20.0, 40.0)
"""Between bands of ecliptic latitude, north and south alike."""
_OBLIQUITY_DEG: Final = 23.43928
"""Of the ecliptic in J2000 (IAU 1976)."""
SEEN_ONCE: Final = 0.25
"""Of counterparts at whose place somebody looked again: a tenth of all alerts fail the cuts, and more are so near the
limit that one of two bands does not reach them."""
_SEEN_LATER_LEAST, _SEEN_LATER_MOST = 0.1, 0.9
"""Of those that are seen again and are surely too faint, or surely bright enough, in a later night."""


def seen_of(alerts: Ints | NDArray[np.int32], span_us: Ints) -> Ints:
    """`Seen` of objects with so many alerts, and so long from the first to the last of them. Shape (n,)."""
    again = np.where(span_us > _NIGHT_US, Seen.SEVERAL_NIGHTS, Seen.ONE_NIGHT)
    return np.asarray(np.where(alerts > 1, again, Seen.ONCE), np.int64)


def counts_of(later_nights: Ints, seen: Ints, g_minus_r: Floats) -> Ints:
    """How many objects were seen how often, by the nights in which somebody looked, and by colour.

    Parameters
    ----------
    later_nights
        In how many nights after its first the place of each was looked at, shape (n,); those with none do not count.
    seen, g_minus_r
        `Seen` and colour of each, shape (n,); NaN where the colour is not known.

    Returns
    -------
    ndarray
        Shape (`LATER_NIGHTS`, `COLOURS`, `Seen`).
    """
    shape = LATER_NIGHTS, COLOURS, len(Seen)
    on = np.flatnonzero(later_nights > 0)
    nights = np.minimum(later_nights[on], LATER_NIGHTS) - 1
    places = np.ravel_multi_index((nights, colour_bins(g_minus_r[on]), seen[on]), shape)
    return np.bincount(places, minlength=LATER_NIGHTS * COLOURS * len(Seen)).reshape(shape)


def once_counts_of(later_nights: Ints, seen: Ints, cell: Ints) -> Ints:
    """How many objects were seen once, and how many again, by ecliptic latitude; shape (bands, 2).

    Parameters
    ----------
    later_nights, seen
        As in `counts_of`, shape (n,).
    cell
        Of `matchers.coverage`, where each object lies, shape (n,).
    """
    on = np.flatnonzero(later_nights > 0)
    bands = len(ECLIPTIC_EDGES_DEG) + 1
    places = 2 * _ecliptic_band()[cell[on]] + (seen[on] > Seen.ONCE)
    return np.bincount(places, minlength=2 * bands).reshape(bands, 2)


@cache
def _ecliptic_band() -> Ints:
    """The band of ecliptic latitude of each cell."""
    ra, dec = np.radians(cell_centres(np.arange(CELLS), CELL_ORDER))
    obliquity = math.radians(_OBLIQUITY_DEG)
    sin_latitude = np.sin(dec) * math.cos(obliquity) - np.cos(dec) * math.sin(obliquity) * np.sin(ra)
    latitude_deg = np.degrees(np.arcsin(np.clip(np.abs(sin_latitude), 0, 1)))
    return np.asarray(np.searchsorted(ECLIPTIC_EDGES_DEG, latitude_deg, side="right"), np.int64)


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often unrelated new objects are seen again.

    Attributes
    ----------
    once
        Fraction that was seen once, by ecliptic latitude: asteroids are, and crowd along the ecliptic.
    again
        By the number of later nights in which somebody looked, and by colour: of what was seen again, how many objects
        in one night only, and how many in several. Flares are blue, so that something red that is gone soon is no
        flare; but one look may miss what is still there.
    """

    once: tuple[float, ...]
    again: tuple[tuple[tuple[int, int], ...], ...] = (((0, 0),) * COLOURS,) * LATER_NIGHTS

    FALLBACK: ClassVar["Repeats"]
    """Of simulated weeks (`bridges.simulator`)."""
    FLARES: ClassVar[tuple[float, ...]] = (0.12, 0.01, 0.01, 0.05)
    """Fallback: of what is seen again so much is gone after the first night, by colour..."""
    MISSED: ClassVar[float] = 0.1
    """...and of the others a look misses so many."""
    PSEUDO_OBJECTS: ClassVar[float] = 20.0
    """The fallback of what is seen once counts as much as so many objects of each band (a Dirichlet prior)..."""
    PSEUDO_OF_COLOUR: ClassVar[float] = 15.0
    """...and that of what is seen again as so many of each colour."""

    @classmethod
    def measured(cls, counts: Ints, once_counts: Ints) -> Self:
        """Of what was counted, as `counts_of` and `once_counts_of` give it, blended with the fallback."""
        total = once_counts.sum(axis=1) + cls.PSEUDO_OBJECTS
        once = (once_counts[:, 0] + cls.PSEUDO_OBJECTS * np.array(cls.FALLBACK.once)) / total
        again = counts[:, :, Seen.ONE_NIGHT :].tolist()
        return cls(tuple(once.tolist()), tuple(tuple(map(tuple, of_nights)) for of_nights in again))

    def in_one_night(self, later: Ints, seen: Ints, g_minus_r: Floats) -> Array:
        """Of what is unrelated, of the colour of each candidate, and seen again: how much is in one night only.

        The candidate itself was counted, too; it is left out, as few others may be like it.

        Parameters
        ----------
        later
            Number of later nights less 1, shape (n,).
        seen, g_minus_r
            As in `ratios`.
        """
        colour = colour_bins(g_minus_r)
        own = np.stack([seen == Seen.ONE_NIGHT, seen == Seen.SEVERAL_NIGHTS], axis=-1)
        others = np.maximum(np.array(self.again)[later, colour] - own, 0)
        flares = np.array(self.FLARES)[colour]
        fallback = flares + (1 - flares) * self.MISSED ** (later + 1.0)
        pseudo = self.PSEUDO_OF_COLOUR
        return np.asarray((others[:, 0] + pseudo * fallback) / (others.sum(axis=1) + pseudo))

    def ratios(self, seen: Ints, looked: Ints, still_bright: Array, g_minus_r: Floats, cell: Ints) -> Array:
        """Likelihood ratio of a counterpart to what is unrelated, by class first, shape (classes, n).

        Parameters
        ----------
        seen, looked
            `Seen` and `Looked` of each candidate, shape (n,).
        still_bright
            Of the counterparts that are bright enough at the first detection so many are in the next night in which
            somebody looked, by class first, shape (classes, n).
        g_minus_r
            Colour of each, NaN where it is not known, shape (n,).
        cell
            Of `matchers.coverage`, where each candidate lies, shape (n,).
        """
        later = np.maximum(looked - Looked.ONE_NIGHT, 0)
        once = np.array(self.once)[_ecliptic_band()[cell]]
        gone = self.in_one_night(later, seen, g_minus_r)
        still = (1 - SEEN_ONCE) * np.clip(still_bright, _SEEN_LATER_LEAST, _SEEN_LATER_MOST)
        is_one_night = seen == Seen.ONE_NIGHT
        in_later = np.where(is_one_night, (1 - SEEN_ONCE - still) / gone, still / (1 - gone))
        again = np.where(looked > Looked.SAME_NIGHT, in_later, 1 - SEEN_ONCE) / (1 - once)
        found = np.where(seen == Seen.ONCE, SEEN_ONCE / once, again)
        return np.asarray(np.where(looked == Looked.NOT_YET, 1.0, found))


Repeats.FALLBACK = Repeats((0.45,) * (len(ECLIPTIC_EDGES_DEG) + 1))
