"""Which coincidence to look at first."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from schemas.pixels import Array
from schemas.records import Coincidence, Ints, State


def overlap(probability_density_per_sr: float) -> float:
    """Bayes factor of a common origin against an isotropic one, for a point source: 4 pi p.

    Ashton et al. 2018, ApJ 860, 6, where the second density is a point.
    """
    return 4.0 * math.pi * probability_density_per_sr


def rank(coincidences: Iterable[Coincidence]) -> list[Coincidence]:
    """Best first, whatever the order given; a total order for coincidences that differ in id or revision.

    Withdrawn ones come last; then the greater posterior is better, where there is any, the greater overlap, the lower
    credible level, and the first match nearer in time to the trigger; the rest is decided by id and revision.
    """
    return sorted(
        coincidences,
        key=lambda c: (
            c.state is State.WITHDRAWN,
            -c.statistics.posterior if c.statistics else 0.0,
            -c.overlap,
            c.credible_level,
            abs(c.delta_t_s),
            c.id,
            -c.revision,
        ),
    )


def by_nearness(coincidences: Sequence[Coincidence], weight: Array) -> Ints:
    """Places of coincidences of one trigger, the greatest weight first; those of equal weight as `rank` has them."""
    if len(coincidences) == 1:  # as of most triggers
        return np.zeros(1, np.int64)
    told = np.array([(abs(c.delta_t_s), c.credible_level, -c.overlap) for c in coincidences]).T
    keys = np.vstack([told, -weight])
    order = np.lexsort(keys)
    # Names decide last, and sorting them takes longest.
    same = np.append((keys[:, order[1:]] == keys[:, order[:-1]]).all(axis=0), False)
    if not same.any():
        return order
    names = np.array([c.id for c in coincidences])
    return np.lexsort((names, *keys))
