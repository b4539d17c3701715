"""What is known of each candidate of a trigger by itself, as columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from matchers.coverage import CELL_SHIFT
from matchers.exposure import FirstLooks
from matchers.host_distance import Host, host_of, layers_of
from matchers.repeats import seen_of
from matchers.source_classes import onset_terms
from matchers.visibility import CLASSES
from schemas.pixels import DEG2_PER_SR, Array, Pixels, pixels_of
from schemas.records import Bools, Coincidence, Ints
from schemas.sky import SkyMap
from schemas.statistics import LightCurveEvidence

_MOST_LOG_RATIO = 50.0
"""No light curve is taken to say more than this."""
_MOST_DENSITY_PER_SR = 1e20
_NAMES = tuple(name.value for name in CLASSES)
_NOTHING_TOLD = (0.0,) * len(CLASSES)
_PIXELS: dict[tuple[float, float], int] = {}
_MOST_PIXELS = 1 << 17


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Standing coincidences, as columns of equal length. All numbers are finite, whatever the coincidences say.

    Attributes
    ----------
    cell
        Of the coverage, in which it lies.
    first_us, last_us
        Its first detection, and its last in the window.
    seen, g_minus_r
        How often it was (`matchers.repeats.Seen`), and its colour; NaN where it is not known.
    never_missed
        Of which a packet says that no visit missed it since the trigger.
    ratios
        Likelihood ratio of light curve and host to what is unrelated, by class first.
    hosts, levels_3d
        Distance of the host, and the credible level in volume there; None where there is none.
    """

    survey: NDArray[np.str_]
    cell: Pixels
    level: Array
    density_per_deg2: Array
    first_us: Ints
    last_us: Ints
    seen: Ints
    g_minus_r: Array
    never_missed: Bools
    ratios: Array
    hosts: list[Host | None]
    levels_3d: list[float | None]

    @classmethod
    def of(cls, standing: Sequence[Coincidence], skymap: SkyMap) -> Self:
        """Coincidences of one trigger, at least one."""
        objects = [one.object for one in standing]
        pixel = _pixels([(one.ra_deg, one.dec_deg) for one in objects])
        density, level = np.array([(one.probability_density_per_sr, one.credible_level) for one in standing]).T
        evidence = [one.evidence for one in standing]
        after_s = np.array([one.onset_after_s for one in evidence], np.float64)  # NaN where it is not known
        logs = np.array([_log_ratios(one) for one in evidence]).T
        ratios = np.exp(_bounded(logs, -_MOST_LOG_RATIO, _MOST_LOG_RATIO, unknown=0.0))
        hosts = [host_of(one.annotations) if one.annotations else None for one in objects]
        levels_3d: list[float | None] = [None] * len(standing)
        layers = layers_of(skymap)
        if layers is not None and (known := [row for row, host in enumerate(hosts) if host is not None]):
            of_known = [host for host in hosts if host is not None]
            ratios[:, known] *= layers.ratio(pixel[known], of_known)
            for row, level_3d in zip(known, layers.level(pixel[known], of_known).tolist(), strict=True):
                levels_3d[row] = level_3d
        return cls(
            survey=np.array([one.survey for one in objects]),
            cell=pixel >> CELL_SHIFT,
            level=_bounded(level, 0.0, 1.0, unknown=1.0),
            density_per_deg2=_bounded(density, 0.0, _MOST_DENSITY_PER_SR, unknown=0.0) / DEG2_PER_SR,
            first_us=np.array([one.first_detection_us for one in objects], np.int64),
            last_us=np.array([one.last_match_us for one in objects], np.int64),
            seen=seen_of(
                np.array([len(one.alert_ids) for one in objects], np.int64),
                np.array([one.last_match_us - one.first_match_us for one in objects], np.int64),
            ),
            g_minus_r=np.array([one.colour_mag if one.colour_bands == "g-r" else None for one in evidence], np.float64),
            never_missed=after_s <= 0,
            ratios=ratios,
            hosts=hosts,
            levels_3d=levels_3d,
        )

    def first_looks(self, rows: Ints) -> FirstLooks:
        """When and where those of one survey were first detected."""
        return FirstLooks(self.cell[rows], self.first_us[rows])


def _bounded(values: Array, least: float, most: float, *, unknown: float) -> Array:
    """Within bounds, and another number for NaN; of a few, np.nan_to_num and np.clip take five times as long."""
    return np.minimum(np.maximum(np.where(np.isnan(values), unknown, values), least), most)


def _pixels(positions: list[tuple[float, float]]) -> Pixels:
    """Pixels of positions, most of which were asked for before: of a few the library takes 0.1 ms."""
    new = [position for position in positions if position not in _PIXELS]
    if new:
        if len(_PIXELS) > _MOST_PIXELS:
            _PIXELS.clear()
            new = positions
        _PIXELS.update(zip(new, pixels_of(*np.array(new).T).tolist(), strict=True))
    return np.array([_PIXELS[position] for position in positions], np.int64)


def _log_ratios(evidence: LightCurveEvidence) -> tuple[float, ...]:
    """By class. Visits that missed the object since the trigger are the exposure's to weigh."""
    told = evidence.log_likelihood_ratio
    ratios = tuple([told.get(name, 0.0) for name in _NAMES]) if told else _NOTHING_TOLD
    after_s, before_s = evidence.onset_after_s, evidence.onset_before_s
    if after_s is None or before_s is None or not 0 < after_s < before_s:
        return ratios
    return tuple([ratio - term for ratio, term in zip(ratios, _onset_terms(after_s, before_s), strict=True)])


@lru_cache(maxsize=1 << 14)
def _onset_terms(after_s: float, before_s: float) -> tuple[float, ...]:
    terms = onset_terms(after_s, before_s)
    return tuple([terms[name] for name in CLASSES])
