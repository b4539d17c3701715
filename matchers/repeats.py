"""Whether an object was seen again: what moves is seen once, what fades soon in one night, and others for weeks.

How often unrelated new objects do either is measured in our own store; how often counterparts do follows from how they
fade. It counts only where somebody looked again: a first detection of a minute ago says nothing yet.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from schemas.pixels import Array
from schemas.records import Ints
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


@dataclass(frozen=True, slots=True)
class Repeats:
    """How often unrelated new objects are seen again.

    Attributes
    ----------
    fractions
        Of those whose place was looked at in a later night, by `Seen`; the sum is 1.
    objects
        How many were counted; 0 in the fallback.
    """

    fractions: tuple[float, ...]
    objects: int = 0

    FALLBACK: ClassVar["Repeats"]
    """Of simulated weeks (`bridges.simulator`)."""
    PSEUDO_OBJECTS: ClassVar[float] = 50.0
    """The fallback counts as much as so many objects (a Dirichlet prior)."""

    @classmethod
    def measured(cls, counts: Ints | NDArray[np.int32]) -> Self:
        """Of what was counted, by `Seen`, blended with the fallback."""
        total = int(counts.sum())
        blended = counts + cls.PSEUDO_OBJECTS * np.array(cls.FALLBACK.fractions)
        return cls(tuple((blended / (total + cls.PSEUDO_OBJECTS)).tolist()), total)

    def ratios(self, seen: Ints, looked: Ints, still_bright: Array) -> Array:
        """Likelihood ratio of a counterpart to what is unrelated, by class first, shape (classes, n).

        Parameters
        ----------
        seen, looked
            `Seen` and `Looked` of each candidate, shape (n,).
        still_bright
            Of the counterparts that are bright enough at the first detection so many are in the later night, by class
            first, shape (classes, n).
        """
        once, one_night, several = self.fractions
        later = (1 - SEEN_ONCE) * np.clip(still_bright, _SEEN_LATER_LEAST, _SEEN_LATER_MOST)
        is_once, is_one_night = seen == Seen.ONCE, seen == Seen.ONE_NIGHT
        in_later = np.where(is_one_night, (1 - SEEN_ONCE - later) / one_night, later / several)
        again = np.where(looked == Looked.LATER_NIGHT, in_later, (1 - SEEN_ONCE) / (one_night + several))
        found = np.where(is_once, SEEN_ONCE / once, again)
        return np.asarray(np.where(looked == Looked.NOT_YET, 1.0, found))


Repeats.FALLBACK = Repeats((0.45, 0.12, 0.43))
