"""Fermi bursts that Swift localised: Swift's arcminutes are the truth for Fermi's degrees.

If the density that is made of a notice of Fermi GBM is right, the credible levels of the true positions in it are
uniform from 0 to 1: half of all bursts lie inside the 50 % regions, nine in ten inside the 90 % regions.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from broker.inputs import Inputs
from matchers.statements import order_of
from matchers.triggers import fold
from schemas.densities import skymap_of
from schemas.errors import BadSkyMap
from schemas.localisation import Cone, Systematics
from schemas.records import Notice, Trigger
from schemas.sky import SkyMap, pixels_of, separation_deg
from schemas.skymap import read_skymap
from schemas.times import US_PER_S

WITHIN_S: Final = 200.0
"""Two instruments trigger on different pulses of one burst, minutes apart if it is a long one."""
FARTHEST_DEG: Final = 90.0
"""A trigger in the other hemisphere at the same minute is another source: no GBM position is as wrong."""
_LARGEST_TRUTH_DEG: Final = 0.2
_STAGES: Final = {
    Systematics.GBM_FLIGHT: "flight",
    Systematics.GBM_GROUND: "ground",
    Systematics.GBM_FINAL: "final",
}
MAP: Final = "map"
STAGES: Final = (*_STAGES.values(), MAP)
"""What GBM sends of a burst, in order: three kinds of positions, and the official map where that is among the files."""


@dataclass(frozen=True, slots=True)
class StageLevel:
    """Where the true position lies in the last density of one stage.

    Attributes
    ----------
    stage
        One of `STAGES`.
    burst, truth
        Trigger ids of Fermi and Swift.
    delay_s
        Fermi's trigger time minus Swift's.
    radius_deg
        As the notice states it (68 %, statistical); None for a map.
    separation_deg
        From the most probable to the true position.
    level
        Credible level of the true position.
    area_90_deg2
        Area of the 90 % region.
    """

    stage: str
    burst: str
    truth: str
    delay_s: float
    radius_deg: float | None
    separation_deg: float
    level: float
    area_90_deg2: float


@dataclass(frozen=True, slots=True)
class Pairs:
    """What was found among some notices.

    Attributes
    ----------
    bursts
        How many bursts of Fermi have a position of Swift.
    elsewhere
        Trigger ids of Fermi that had a burst of Swift at the same time in the other hemisphere.
    levels
        By burst and stage.
    """

    bursts: int
    elsewhere: tuple[str, ...]
    levels: tuple[StageLevel, ...]


def compare_pairs(inputs: Inputs, within_s: float = WITHIN_S) -> Pairs:
    """Compare all of Fermi's positions with those that Swift has of the same burst.

    Of several Swift triggers at the time of a burst the nearest in time counts; those that are no bursts do not.
    """
    maps = {ivorn: density for ivorn, message in inputs.maps.items() if (density := _map_of(message.body)) is not None}
    heard: defaultdict[str, list[Notice]] = defaultdict(list)
    for notice in inputs.notices:
        if notice.trigger_id is not None and notice.trigger_id.startswith(("swift:", "fermi-gbm:")):
            heard[notice.trigger_id].append(notice)
    triggers = {name: trigger for name, notices in heard.items() if (trigger := _folded(notices)) is not None}
    truths = sorted((t for t in triggers.values() if _is_truth(t)), key=lambda t: (t.time_us, t.id))
    levels: list[StageLevel] = []
    elsewhere, bursts = [], 0
    for name, trigger in sorted(triggers.items()):
        if not name.startswith("fermi-gbm:"):
            continue
        truth = _nearest(trigger, truths, within_s)
        if truth is None:
            continue
        of_burst = [
            _level(stage, trigger, truth, notice, density)
            for stage, notice, density in _last_of_stages(heard[name], maps)
        ]
        if of_burst and min(level.separation_deg for level in of_burst) > FARTHEST_DEG:
            elsewhere.append(name)
        elif of_burst:
            bursts += 1
            levels += of_burst
    return Pairs(bursts, tuple(elsewhere), tuple(levels))


def _folded(notices: Sequence[Notice]) -> Trigger | None:
    densities = {}
    for notice in notices:
        density = _density_of(notice)
        if density is not None:
            densities[notice.ivorn] = density
    return fold(notices, densities)


def _is_truth(trigger: Trigger) -> bool:
    """Whether it is a burst with a position by Swift of some arcminutes or better."""
    if not trigger.id.startswith("swift:") or trigger.astrophysical is False or trigger.localised_by is None:
        return False
    where = trigger.localised_by.localisation
    return not trigger.retracted and isinstance(where, Cone) and where.radius_deg <= _LARGEST_TRUTH_DEG


def _nearest(burst: Trigger, truths: Iterable[Trigger], within_s: float) -> Trigger | None:
    near = (truth for truth in truths if abs(truth.time_us - burst.time_us) <= within_s * US_PER_S)
    return min(near, key=lambda truth: (abs(truth.time_us - burst.time_us), truth.id), default=None)


def _last_of_stages(notices: Iterable[Notice], maps: Mapping[str, SkyMap]) -> Iterable[tuple[str, Notice, SkyMap]]:
    last: dict[str, tuple[Notice, SkyMap]] = {}
    for notice in sorted(notices, key=order_of):
        if notice.ivorn in maps:
            last[MAP] = (notice, maps[notice.ivorn])
        if isinstance(notice.localisation, Cone) and (density := _density_of(notice)) is not None:
            stage = _STAGES.get(notice.localisation.systematics)
            if stage is not None:
                last[stage] = (notice, density)
    return ((stage, *last[stage]) for stage in STAGES if stage in last)


def _level(stage: str, burst: Trigger, truth: Trigger, notice: Notice, density: SkyMap) -> StageLevel:
    assert truth.localised_by is not None and isinstance(truth.localised_by.localisation, Cone)  # noqa: PT018, S101
    where = truth.localised_by.localisation
    ra, dec = np.array([where.ra_deg]), np.array([where.dec_deg])
    cone = notice.localisation if stage != MAP else None
    return StageLevel(
        stage=stage,
        burst=burst.id,
        truth=truth.id,
        delay_s=(burst.time_us - truth.time_us) / US_PER_S,
        radius_deg=cone.radius_deg if isinstance(cone, Cone) else None,
        separation_deg=float(separation_deg(ra, dec, density.peak_ra_deg, density.peak_dec_deg)[0]),
        level=float(density.credible_level(ra, dec, pixels_of(ra, dec))[0]),
        area_90_deg2=density.area_deg2(0.9),
    )


def _density_of(notice: Notice) -> SkyMap | None:
    try:
        return skymap_of(notice.localisation) if notice.localisation is not None else None
    except BadSkyMap:
        return None


def _map_of(body: bytes) -> SkyMap | None:
    try:
        return read_skymap(body)
    except BadSkyMap:
        return None
