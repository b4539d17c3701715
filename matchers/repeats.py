"""Whether an object was seen again: what moves is seen once, what fades soon in one night, and others for weeks.

How often unrelated new objects do either is measured in our own store; how often counterparts do follows from how they
fade. It counts only where somebody looked again: a first detection of a minute ago says nothing yet.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from matchers.colours import COLOURS, NO_COLOUR, colour_bins
from schemas.pixels import Array
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
    """Whether its place was looked at after its first detection."""

    NOT_YET = 0
    SAME_NIGHT = 1
    LATER_NIGHT = 2


SEEN_ONCE: Final = 0.2
"""Of counterparts at whose place somebody looked again: a tenth of all alerts fail the cuts, others are too faint."""
_SEEN_LATER_LEAST, _SEEN_LATER_MOST = 0.1, 0.9
"""Of those that are seen again and are surely too faint, or surely bright enough, in a later night."""


def seen_of(alerts: Ints | NDArray[np.int32], span_us: Ints) -> Ints:
    """`Seen` of objects with so many alerts, and so long from the first to the last of them. Shape (n,)."""
    again = np.where(span_us > _NIGHT_US, Seen.SEVERAL_NIGHTS, Seen.ONE_NIGHT)
    return np.asarray(np.where(alerts > 1, again, Seen.ONCE), np.int64)


def counts_of(seen: Ints, g_minus_r: Floats) -> Ints:
    """How many objects were seen how often, by colour; shape (`COLOURS`, `Seen`).

    Parameters
    ----------
    seen, g_minus_r
        `Seen` and colour of each, shape (n,); NaN where the colour is not known.
    """
    places = colour_bins(g_minus_r) * len(Seen) + seen
    return np.bincount(places, minlength=COLOURS * len(Seen)).reshape(COLOURS, len(Seen))


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often unrelated new objects are seen again.

    Attributes
    ----------
    fractions
        Of those whose place was looked at in a later night, by `Seen`; the sum is 1.
    again
        Of those of them that were seen again and have a colour, by its bin: how many in one night only, and in several.
        Flares are blue, so that something red that is gone soon is no flare.
    objects
        How many were counted; 0 in the fallback.
    """

    fractions: tuple[float, ...]
    again: tuple[tuple[int, int], ...] = ((0, 0),) * NO_COLOUR
    objects: int = 0

    FALLBACK: ClassVar["Repeats"]
    """Of simulated weeks (`bridges.simulator`)."""
    FALLBACK_IN_ONE_NIGHT: ClassVar[tuple[float, ...]] = (0.15, 0.03, 0.03)
    """Of what is seen again, by colour."""
    PSEUDO_OBJECTS: ClassVar[float] = 50.0
    """The fallback counts as much as so many objects (a Dirichlet prior), a third of them in each bin of colour."""

    @classmethod
    def measured(cls, counts: Ints) -> Self:
        """Of what was counted, as `counts_of` gives it, blended with the fallback."""
        total = int(counts.sum())
        blended = counts.sum(axis=0) + cls.PSEUDO_OBJECTS * np.array(cls.FALLBACK.fractions)
        again = [(one_night, several) for _, one_night, several in counts[:NO_COLOUR].tolist()]
        return cls(tuple((blended / (total + cls.PSEUDO_OBJECTS)).tolist()), tuple(again), total)

    def in_one_night(self, seen: Ints, g_minus_r: Floats) -> Array:
        """Of what is unrelated, of the colour of each candidate, and seen again: how much is in one night only.

        The candidate itself was counted, too; it is left out, as few others may be like it.
        """
        _, one_night, several = self.fractions
        pseudo, colour = self.PSEUDO_OBJECTS / NO_COLOUR, colour_bins(g_minus_r)
        of_colour = np.array([*self.again, (0, 0)])[colour]
        own = np.stack([seen == Seen.ONE_NIGHT, seen == Seen.SEVERAL_NIGHTS], axis=-1)
        others = np.maximum(of_colour - own, 0)
        fallback = np.array([*self.FALLBACK_IN_ONE_NIGHT, one_night / (one_night + several)])[colour]
        return np.asarray((others[:, 0] + pseudo * fallback) / (others.sum(axis=1) + pseudo))

    def ratios(self, seen: Ints, looked: Ints, still_bright: Array, g_minus_r: Floats) -> Array:
        """Likelihood ratio of a counterpart to what is unrelated, by class first, shape (classes, n).

        Parameters
        ----------
        seen, looked
            `Seen` and `Looked` of each candidate, shape (n,).
        still_bright
            Of the counterparts that are bright enough at the first detection so many are in the later night, by class
            first, shape (classes, n).
        g_minus_r
            Colour of each, NaN where it is not known, shape (n,).
        """
        once, one_night, several = self.fractions
        gone = self.in_one_night(seen, g_minus_r)
        again = one_night + several
        later = (1 - SEEN_ONCE) * np.clip(still_bright, _SEEN_LATER_LEAST, _SEEN_LATER_MOST)
        is_once, is_one_night = seen == Seen.ONCE, seen == Seen.ONE_NIGHT
        in_later = np.where(is_one_night, (1 - SEEN_ONCE - later) / (again * gone), later / (again * (1 - gone)))
        found = np.where(looked == Looked.LATER_NIGHT, in_later, (1 - SEEN_ONCE) / again)
        found = np.where(is_once, SEEN_ONCE / once, found)
        return np.asarray(np.where(looked == Looked.NOT_YET, 1.0, found))


Repeats.FALLBACK = Repeats((0.45, 0.05, 0.50))
