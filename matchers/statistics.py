"""What a coincidence is worth among all that is known of its trigger and of what is unrelated.

Of all standing coincidences of a trigger one is the counterpart, or none is. What is unrelated comes at random with a
measured rate (`matchers.background`), so that each candidate's odds are those of a point process: with the density
p of the trigger's position, the probability F that a counterpart is first found at the very visit at which the
candidate was (`matchers.visibility`), the rate of new objects per square degree and visited night, and the likelihood
ratio L of its light curve (`matchers.light_curves`), of how often it was seen again (`matchers.repeats`) and of its
host's distance (`matchers.host_distance`),

    w = p F L / rate,    P = w / (sum of all w + 1 - q),

where q is the probability that a counterpart would have been found by now: p F summed over all visits. Each of the
classes of counterparts has its own F, L and q, weighted by its prior.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from matchers.background import Background
from matchers.candidates import Candidates
from matchers.counterparts import class_weights
from matchers.exposure import Exposure, FirstLooks
from matchers.host_distance import layers_of
from matchers.rank import by_nearness
from matchers.searched_sky import searched_sky
from matchers.visibility import CLASSES, CounterpartOptions, Visibility
from schemas.pixels import Array
from schemas.records import Coincidence, Ints, Trigger, Window
from schemas.sky import SkyMap
from schemas.statistics import Statistics

DEFAULTS = CounterpartOptions()
_LEAST_NONE = 1e-6
"""However much was searched: something may always be missed."""
_NAMES = tuple(name.value for name in CLASSES)
_EVERYTHING = slice(None)


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
    """The statistics of all standing coincidences of one trigger and matcher, in their order.

    As `Assessment.of`; there are none without a coincidence or a sky map.
    """
    if not standing or trigger.skymap is None:
        return []
    made = Assessment.of(
        trigger, window, standing, backgrounds, triggers_per_year=triggers_per_year, now_us=now_us, options=options
    )
    return made.statistics(_EVERYTHING)


@dataclass(frozen=True, slots=True, eq=False)
class Assessment:
    """What all standing coincidences of one trigger and matcher are worth, as columns; some 3 us each to make.

    All numbers are finite, whatever is given; the posteriors and that of none add up to 1.
    """

    _candidates: Candidates
    _expected: float
    _posterior_none: float
    _models: Sequence[str]
    _rate: Array
    _observed: Array
    _chance: Array
    _far_per_year: Array
    _weight: Array
    _class_posteriors: Array
    _rank: Ints

    @classmethod
    def of(
        cls,
        trigger: Trigger,
        window: Window,
        standing: Sequence[Coincidence],
        backgrounds: Mapping[str, Background],
        *,
        triggers_per_year: float,
        now_us: int,
        options: CounterpartOptions = DEFAULTS,
    ) -> Self:
        """Assess coincidences.

        Parameters
        ----------
        trigger, window
            As they are searched now; the trigger has a sky map.
        standing
            All of them, at least one, of any survey in ``backgrounds``.
        backgrounds
            By survey, as `matchers.index.AlertIndex.backgrounds` has them.
        triggers_per_year
            How many triggers the matcher searches a year, measured over the data's own span: a false-alarm rate is the
            number of chance coincidences that each of them brings, times this.
        now_us
            The data's clock: the window counts up to here, or to the latest detection of a candidate.
        options
            What is taken for granted of counterparts.
        """
        assert trigger.skymap is not None  # noqa: S101 - or there would be no coincidence
        found = Candidates.of(standing, trigger.skymap)
        now_us = max(now_us, int(found.last_us.max()))
        n, none, expected = len(standing), 1.0, 0.0
        rate, observed, nearer, as_near = np.ones(n), np.zeros(n), np.zeros(n), np.zeros(n)
        chances, exposures, models = np.zeros((len(CLASSES), n)), [], [""] * n
        shares = class_weights(trigger, options)
        for survey, background in sorted(backgrounds.items()):
            rows = np.flatnonzero(found.survey == survey)
            exposure = _exposure(trigger, trigger.skymap, window, background, found.first_looks(rows), now_us, options)
            exposures.append(exposure)
            none *= 1.0 - float(shares @ exposure.findable)
            expected += exposure.expected
            rate[rows] = background.per_deg2_night[found.cell[rows]]
            observed[rows] = exposure.observed_fraction
            nearer[rows] = exposure.nearer(found.level[rows])
            chances[:, rows] = exposure.found_at(never_missed=found.never_missed[rows])
            chances[:, rows] *= exposure.seen_again(background.repeats, found.seen[rows], found.g_minus_r[rows])
            for row, model in zip(rows.tolist(), background.models(found.cell[rows]), strict=True):
                models[row] = model
        for exposure in exposures:
            as_near += exposure.as_near(nearer)
        weights = found.density_per_deg2 / rate * shares[:, None] * chances * found.ratios
        weight = weights.sum(axis=0)
        total = float(weight.sum()) + max(none, _LEAST_NONE)
        rank = np.empty(n, np.int64)
        rank[by_nearness(standing, weight)] = np.arange(1, n + 1)
        return cls(
            _candidates=found,
            _expected=expected,
            _posterior_none=max(1.0 - float(weight.sum() / total), 0.0),
            _models=models,
            _rate=rate,
            _observed=observed,
            _chance=-np.expm1(-as_near),
            _far_per_year=triggers_per_year * as_near,
            _weight=weight,
            _class_posteriors=weights / total,
            _rank=rank,
        )

    def statistics(self, rows: slice) -> list[Statistics]:
        """Those of some of the coincidences, in the order in which they were given; some 3 us each."""
        by_class = self._class_posteriors[:, rows]
        columns = zip(
            self._rate[rows].tolist(),
            self._models[rows],
            self._observed[rows].tolist(),
            self._chance[rows].tolist(),
            self._far_per_year[rows].tolist(),
            self._weight[rows].tolist(),
            by_class.sum(axis=0).tolist(),
            by_class.T.tolist(),
            self._rank[rows].tolist(),
            self._candidates.hosts[rows],
            self._candidates.levels_3d[rows],
            strict=True,
        )
        return [
            Statistics(
                background_per_deg2_night=rate,
                background_model=model,
                observed_fraction=observed,
                expected_chance=self._expected,
                chance_probability=chance,
                far_per_year=far,
                weight=weight,
                posterior=posterior,
                posterior_none=self._posterior_none,
                class_posteriors=dict(zip(_NAMES, of_class, strict=True)),
                rank=rank,
                host_distance_mpc=host and host.distance_mpc,
                credible_level_3d=level_3d,
            )
            for rate, model, observed, chance, far, weight, posterior, of_class, rank, host, level_3d in columns
        ]


def expected_chance(
    trigger: Trigger, window: Window, backgrounds: Mapping[str, Background], *, now_us: int
) -> float | None:
    """`Statistics.expected_chance` of a trigger, whether or not it has a coincidence; None without a sky map."""
    if trigger.skymap is None:
        return None
    return sum(
        _exposure(trigger, trigger.skymap, window, background, FirstLooks.none(), now_us, DEFAULTS).expected
        for background in backgrounds.values()
    )


def _exposure(
    trigger: Trigger,
    skymap: SkyMap,
    window: Window,
    background: Background,
    first_looks: FirstLooks,
    now_us: int,
    options: CounterpartOptions,
) -> Exposure:
    layers = layers_of(skymap)
    visibility = Visibility(options, background.depth_mag, None if layers is None else layers.mean_mpc)
    span_us = window.start_us, max(min(window.end_us, now_us), window.start_us)
    return Exposure(searched_sky(skymap, window.region), background, visibility, first_looks, trigger.time_us, span_us)
