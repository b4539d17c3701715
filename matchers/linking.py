"""Which triggers are one event, and what they say together.

Two triggers are linked if an observatory says so (`by` is ``cited``), or if they are so near to each other in time and on
the sky that chance would seldom bring it about (``time and sky``). All of it is a function of the *set* of triggers, each
in its own state, whatever their order.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Final, NamedTuple
from weakref import WeakKeyDictionary

from pydantic import BaseModel, ConfigDict, Field

from matchers import joint
from schemas.product import overlap, product
from schemas.records import Link, Messenger, Trigger
from schemas.sky import SkyMap
from schemas.times import US_PER_S

CITED: Final = "cited"
TIME_AND_SKY: Final = "time and sky"
THROUGH_OTHERS: Final = "through others"

_YEAR_S = 365.25 * 86_400
_EXCLUDED = 1e-3
"""Skies with an overlap below this exclude each other: then not even an observatory's word links them."""
_CLOSEST_S = 1.0
"""Trigger times depend on the instrument's time scale: differences below this say no more."""

_PER_YEAR: Final = {
    "fermi": 480.0,
    "swift": 90.0,
    "integral": 5.0,
    "agile": 5.0,
    "lvk": 122.0,
    "icecube": 34.0,
    "chime": 572.0,
}
"""Triggers a year by mission: Fermi GBM's bursts and as many others that it cannot tell yet, Swift BAT's bursts, IceCube's
public tracks; INTEGRAL and AGILE as RAVEN has them; one gravitational wave in 3 days (GCN Circular 38356); 536 bursts
in 342 days of CHIME/FRB's first catalogue (2021, ApJS 257, 59)."""
_OTHERS_PER_YEAR: Final = 200.0

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class LinkOptions(BaseModel):
    """When two triggers are taken for one event."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    enabled: bool = Field(True, description="Search for triggers that are one event.")
    far_per_year: float = Field(
        0.2, ge=0, description="Link a pair if chance brings one as close in time and sky less often than this a year."
    )
    least_overlap: float = Field(
        0.1, gt=0, description="Link a pair only if its positions speak against a common one by no more than this."
    )
    gamma_ray_s: Seconds = Field(300.0, description="Longest time between two triggers of one gamma-ray burst.")
    x_ray_s: Seconds = Field(600.0, description="Longest time between X-rays and gamma rays, or other X-rays.")
    neutrino_s: Seconds = Field(500.0, description="Longest time between a neutrino and gamma rays.")

    @property
    def longest_s(self) -> float:
        """Triggers further apart in time than this are one event only if an observatory says so."""
        windows = (joint.BURST_WITH_GW_BURST, joint.NEUTRINO_WITH_GW_BURST)
        of_gw = max(abs(end) for window in windows for end in window)
        return max(self.gamma_ray_s, self.x_ray_s, self.neutrino_s, of_gw)


def links_of(trigger: Trigger, others: Iterable[Trigger], options: LinkOptions) -> tuple[Link, ...]:
    """Those of the others that are the same event as the trigger, each with what it is judged by, sorted by id.

    All are given in their own states, as their notices tell them.
    """
    return ()


def group_of(trigger: Trigger, others: Iterable[Trigger], options: LinkOptions) -> tuple[Trigger, ...]:
    """Those of the others that are the same event as the trigger, by links to it or to each other, sorted by id."""
    return ()


def joined(trigger: Trigger, partners: Sequence[Trigger], links: tuple[Link, ...]) -> Trigger:
    """The trigger as it and its partners (see `group_of`) tell it together: with the product of all their densities."""
    return trigger
