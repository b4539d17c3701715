"""What a coincidence is worth among all that is known of its trigger and of what is unrelated.

Of all standing coincidences of a trigger one is the counterpart, or none is. What is unrelated comes at random with a
measured rate (`matchers.background`), so that each candidate's odds are those of a point process: with the density
p of the trigger's position, the probability F that a counterpart is first found at the very visit at which the
candidate was (`matchers.visibility`), the rate of new objects per square degree and visited night, and the likelihood
ratio L of its light curve (`matchers.light_curves`) and of its host's distance (`matchers.host_distance`),

    w = p F L / rate,    P = w / (sum of all w + 1 - q),

where q is the probability that a counterpart would have been found by now: p F summed over all visits. Each of the
classes of counterparts has its own F, L and q, weighted by its prior.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from matchers.background import Background
from matchers.counterparts import class_weights
from matchers.coverage import CELL_SHIFT
from matchers.exposure import Candidates, Exposure
from matchers.host_distance import Host, host_of, layers_of
from matchers.rank import by_nearness
from matchers.searched_sky import searched_sky
from matchers.source_classes import onset_terms
from matchers.visibility import CLASSES, CounterpartOptions, Visibility
from schemas.pixels import DEG2_PER_SR, Array, Pixels, pixels_of
from schemas.records import Bools, Coincidence, Ints, Trigger, Window
from schemas.sky import SkyMap
from schemas.statistics import LightCurveEvidence, Statistics

DEFAULTS = CounterpartOptions()
_MOST_LOG_RATIO = 50.0
"""No light curve is taken to say more than this."""
_MOST_DENSITY_PER_SR = 1e20
_LEAST_NONE = 1e-6
"""However much was searched: something may always be missed."""
_NAMES = tuple(name.value for name in CLASSES)
_PIXELS: dict[tuple[float, float], int] = {}
_MOST_PIXELS = 1 << 17
_NOTHING_TOLD = (0.0,) * len(CLASSES)


def assess(
    trigger: Trigger,
    window: Window,
    standing: Sequence[Coincidence],
    backgrounds: Mapping[str, Background],
    *,
    triggers_per_year: float,
    now_us: int,
    options: CounterpartOptions = DEFAULTS,
) -> list[Statistics]:
    """The statistics of all standing coincidences of one trigger and matcher.

    Parameters
    ----------
    trigger, window
        As they are searched now.
    standing
        All of them, of any survey in ``backgrounds``.
    backgrounds
        By survey, as `matchers.index.AlertIndex.backgrounds` has them.
    triggers_per_year
        How many triggers the matcher searches a year, measured over the data's own span: a false-alarm rate is the
        number of chance coincidences that each of them brings, times this.
    now_us
        The data's clock: the window counts up to here, or to the latest detection of a candidate.
    options
        What is taken for granted of counterparts.

    Returns
    -------
    list of Statistics
        In the order of ``standing``; none if the trigger has no sky map. All numbers are finite, whatever is given; the
        posteriors and ``posterior_none`` add up to 1.
    """
    skymap = trigger.skymap
    if not standing or skymap is None:
        return []
    found = _Columns.of(standing, skymap)
    now_us = max(now_us, *(one.object.last_match_us for one in standing))
    n, none, expected = len(standing), 1.0, 0.0
    rate, observed, nearer, as_near = np.ones(n), np.zeros(n), np.zeros(n), np.zeros(n)
    chances, exposures = np.zeros((len(CLASSES), n)), []
    models = [""] * n
    priors = class_weights(trigger, options)
    for survey, background in sorted(backgrounds.items()):
        rows = np.flatnonzero(found.survey == survey)
        exposure = _exposure(trigger, skymap, window, background, found.candidates(rows), now_us, options)
        exposures.append(exposure)
        none *= 1.0 - float(priors @ exposure.findable)
        expected += exposure.expected
        rate[rows] = background.per_deg2_night[found.cell[rows]]
        observed[rows] = exposure.observed_fraction
        nearer[rows] = exposure.nearer(found.level[rows])
        chances[:, rows] = exposure.found_at(never_missed=found.never_missed[rows])
        for row, model in zip(rows.tolist(), background.models(found.cell[rows]), strict=True):
            models[row] = model
    for exposure in exposures:
        as_near += exposure.as_near(nearer)
    weights = found.density_per_deg2 / rate * priors[:, None] * chances * found.ratios
    weight = weights.sum(axis=0)
    total = float(weight.sum()) + max(none, _LEAST_NONE)
    columns = zip(
        rate.tolist(),
        models,
        observed.tolist(),
        (-np.expm1(-as_near)).tolist(),
        (triggers_per_year * as_near).tolist(),
        weight.tolist(),
        (weight / total).tolist(),
        (weights / total).T.tolist(),
        _ranks(standing, weight).tolist(),
        found.hosts,
        found.levels_3d,
        strict=True,
    )
    posterior_none = max(1.0 - float((weight / total).sum()), 0.0)
    return [
        Statistics(
            background_per_deg2_night=of_rate,
            background_model=model,
            observed_fraction=of_observed,
            expected_chance=expected,
            chance_probability=chance,
            far_per_year=far,
            weight=of_weight,
            posterior=posterior,
            posterior_none=posterior_none,
            class_posteriors=dict(zip(_NAMES, by_class, strict=True)),
            rank=place,
            host_distance_mpc=host and host.distance_mpc,
            credible_level_3d=level_3d,
        )
        for of_rate, model, of_observed, chance, far, of_weight, posterior, by_class, place, host, level_3d in columns
    ]


def expected_chance(
    trigger: Trigger, window: Window, backgrounds: Mapping[str, Background], *, now_us: int
) -> float | None:
    """`Statistics.expected_chance` of a trigger, whether or not it has a coincidence; None without a sky map."""
    if trigger.skymap is None:
        return None
    return sum(
        _exposure(trigger, trigger.skymap, window, background, Candidates.none(), now_us, DEFAULTS).expected
        for background in backgrounds.values()
    )


def _exposure(
    trigger: Trigger,
    skymap: SkyMap,
    window: Window,
    background: Background,
    candidates: Candidates,
    now_us: int,
    options: CounterpartOptions,
) -> Exposure:
    layers = layers_of(skymap)
    visibility = Visibility(options, background.depth_mag, None if layers is None else layers.mean_mpc)
    span_us = window.start_us, max(min(window.end_us, now_us), window.start_us)
    return Exposure(searched_sky(skymap, window.region), background, visibility, candidates, trigger.time_us, span_us)


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """What is known of each coincidence by itself, as columns of equal length.

    Attributes
    ----------
    never_missed
        Of which a packet says that no visit missed it since the trigger.
    ratios
        Likelihood ratio of light curve and host to what is unrelated, by class first.
    """

    survey: NDArray[np.str_]
    cell: Pixels
    level: Array
    density_per_deg2: Array
    first_us: Ints
    never_missed: Bools
    ratios: Array
    hosts: list[Host | None]
    levels_3d: list[float | None]

    @classmethod
    def of(cls, standing: Sequence[Coincidence], skymap: SkyMap) -> Self:
        objects = [one.object for one in standing]
        pixel = _pixels([(one.ra_deg, one.dec_deg) for one in objects])
        density = np.array([one.probability_density_per_sr for one in standing])
        level = np.array([one.credible_level for one in standing])
        after_s = [one.evidence.onset_after_s for one in standing]
        logs = np.array([_log_ratios(one.evidence) for one in standing]).T
        ratios = np.exp(np.clip(np.nan_to_num(logs), -_MOST_LOG_RATIO, _MOST_LOG_RATIO))
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
            level=np.clip(np.nan_to_num(level, nan=1.0), 0.0, 1.0),
            density_per_deg2=np.clip(np.nan_to_num(density), 0.0, _MOST_DENSITY_PER_SR) / DEG2_PER_SR,
            first_us=np.array([one.first_detection_us for one in objects], np.int64),
            never_missed=np.array([after is not None and after <= 0 for after in after_s]),
            ratios=ratios,
            hosts=hosts,
            levels_3d=levels_3d,
        )

    def candidates(self, rows: Ints) -> Candidates:
        """Those of one survey."""
        return Candidates(self.cell[rows], self.first_us[rows])


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


def _ranks(standing: Sequence[Coincidence], weight: Array) -> Ints:
    """Place of each by weight, and else as `matchers.rank.rank` decides; 1 for the best."""
    order = by_nearness(standing, weight)
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks
