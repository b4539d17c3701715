"""When a counterpart can be found: how bright each class is so long after the trigger, against what a survey sees.

Two things must hold of a counterpart at a visit: it has appeared, which for some takes days, and it is still brighter
than the survey's limit, which for others lasts only days. As a survey looks again and again, what can be found at one
visit could often have been found at the one before (`chances`).
"""

import math
from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from schemas.pixels import Array
from schemas.statistics import SourceClass

Fraction = Annotated[float, Field(ge=0, le=1)]
Magnitude = Annotated[float, Field(ge=-30, le=40)]
Scatter = Annotated[float, Field(gt=0, le=10)]

CLASSES = tuple(SourceClass)
_STEPS_PER_OCTAVE = 16
_EARLIEST_D = 1 / 1440
_DELAYS_D: Array = _EARLIEST_D * 2.0 ** (np.arange(20 * _STEPS_PER_OCTAVE) / _STEPS_PER_OCTAVE)
"""From a minute to two years."""
_DEPTH_STEP_MAG = 0.1
_AFTERGLOW_INDEX, _AFTERGLOW_INDEX_SCATTER = 1.2, 0.3
_JET_BREAK_D, _STEEPENING = 1.5, 0.9
"""After the jet break they fade faster by so much in the index (Zeh, Klose & Kann 2006, ApJ 637, 889)."""
_DARK_FAINTER_MAG = 3.0
"""Dark afterglows are behind dust for the most part, A_V of half a magnitude to a few at redshifts of 1 to 3, and few
are too far to be seen (Greiner et al. 2011, A&A 526, A30): so early on many of them are bright enough."""
_KILONOVA_PEAK_D, _KILONOVA_APPEARS_D, _KILONOVA_FADES_MAG_PER_D = 0.5, 0.1, 1.0
"""AT2017gfo in r: at 0.5 d at its peak, then 1 mag/d (Villar et al. 2017, ApJ 851, L21)."""
_SUPERNOVA_PEAKS_D = 15.0


class CounterpartOptions(BaseModel):
    """What is taken for granted of counterparts before any is seen."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    found: Fraction = Field(
        0.9, description="Of the counterparts in a visited field that are bright enough, so many give a good alert."
    )
    unmasked: Fraction = Field(
        0.6, description="Of all places so many are far enough from any catalogued source for the usual cuts, for good."
    )
    neutrino_sources: Fraction = Field(
        0.1,
        description="Of the neutrinos from space so many have a source in reach (Stein et al. 2023, MNRAS 521, 5046).",
    )
    afterglows_bright: Fraction = Field(
        0.7,
        description="Of the afterglows so many are not dark (Greiner et al. 2011, A&A 526, A30); the others are 3 mag "
        "fainter.",
    )
    afterglow_mag: Magnitude = Field(
        20.5, description="Of these, mean magnitude one day after the burst (Kann et al. 2010, ApJ 720, 1513)."
    )
    afterglow_scatter_mag: Scatter = Field(1.8, description="And its standard deviation.")
    kilonova_absolute_mag: Magnitude = Field(-15.8, description="Mean absolute magnitude at the peak (AT2017gfo).")
    kilonova_scatter_mag: Scatter = Field(0.7, description="And its standard deviation.")
    kilonova_distance_mpc: Annotated[float, Field(gt=0, le=100_000)] = Field(
        150.0, description="Where the trigger tells no distance."
    )
    supernovae_bright: Fraction = Field(0.5, description="Of the supernovae so many are near enough for any survey.")
    supernova_mag: Magnitude = Field(19.0, description="Of these, mean magnitude at the peak.")
    supernova_scatter_mag: Scatter = Field(1.5, description="And its standard deviation.")


class Visibility:
    """Of the counterparts of one survey and distance: what fraction has appeared, and is bright, by class and delay.

    Parameters
    ----------
    depth_mag
        The survey's limit.
    distance_mpc
        Of the trigger; None if unknown.
    """

    def __init__(self, options: CounterpartOptions, depth_mag: float, distance_mpc: float | None) -> None:
        depth_mag = round(depth_mag / _DEPTH_STEP_MAG) * _DEPTH_STEP_MAG
        distance_mpc = options.kilonova_distance_mpc if distance_mpc is None else distance_mpc
        self.found = options.found
        self._appeared, self._bright = _tables(options, depth_mag, float(f"{max(distance_mpc, 1e-3):.2g}"))

    def appeared(self, delay_d: Array) -> Array:
        """Fraction that has appeared by then, by class first. A delay below 0 is taken for one of 0."""
        return self._appeared[:, _steps(delay_d)]

    def bright(self, delay_d: Array) -> Array:
        """Fraction of those that is bright enough then, and where nothing is in the way."""
        return self._bright[:, _steps(delay_d)]

    def at_once(self, delay_d: Array) -> Array:
        """That a counterpart is found at the first visit that there is, if it is bright enough; by class first."""
        return self.found * self.appeared(delay_d)

    def chances(self, delay_d: Array, visited: NDArray[np.bool_]) -> Array:
        """That a counterpart can be found at each visit and was not found at an earlier one, if it is bright enough.

        What appears between two visits is found at the second with the probability `found`; what was missed at one
        may be found at the next.

        Parameters
        ----------
        delay_d
            Of each visit, in their order along the first axis.
        visited
            Which of these visits there were.
        """
        by_then = np.maximum.accumulate(self.appeared(delay_d) * visited, axis=1)
        missed_again = np.where(visited, 1.0 - self.found, 1.0)
        chances = by_then.copy()
        chances[:, 1:] -= by_then[:, :-1]
        for visit in range(1, len(delay_d)):
            chances[:, visit] += chances[:, visit - 1] * missed_again[visit - 1]
        chances *= self.found * visited
        return chances


@lru_cache(maxsize=64)
def _tables(options: CounterpartOptions, depth_mag: float, distance_mpc: float) -> tuple[Array, Array]:
    """Fractions that have appeared and that are bright, by class and step of delay."""
    days, always = _DELAYS_D, np.ones(len(_DELAYS_D))
    log_days = np.log10(days)
    afterglow_mag = (
        options.afterglow_mag
        + 2.5 * _AFTERGLOW_INDEX * log_days
        + 2.5 * _STEEPENING * np.log10(np.maximum(days / _JET_BREAK_D, 1))
    )
    afterglow_scatter_mag = np.hypot(options.afterglow_scatter_mag, 2.5 * _AFTERGLOW_INDEX_SCATTER * log_days)
    afterglow, dark = (
        _brighter(depth_mag, afterglow_mag + fainter_mag, afterglow_scatter_mag)
        for fainter_mag in (0.0, _DARK_FAINTER_MAG)
    )
    peak_mag = options.kilonova_absolute_mag + 5 * math.log10(distance_mpc) + 25
    fainter = _KILONOVA_FADES_MAG_PER_D * np.maximum(days - _KILONOVA_PEAK_D, 0)
    kilonova = _brighter(depth_mag, peak_mag + fainter, options.kilonova_scatter_mag * always)
    # Flux ~ t^2 (Riess et al. 1999, AJ 118, 2675): what is brighter than the limit at a time has appeared by then.
    rising_mag = options.supernova_mag - 5 * np.log10(np.minimum(days / _SUPERNOVA_PEAKS_D, 1))
    supernova = _brighter(depth_mag, rising_mag, options.supernova_scatter_mag * always)
    appeared = {
        SourceClass.AFTERGLOW: always,
        SourceClass.KILONOVA: -np.expm1(-days / _KILONOVA_APPEARS_D),
        SourceClass.SUPERNOVA: supernova,
    }
    bright = {
        SourceClass.AFTERGLOW: options.afterglows_bright * afterglow + (1 - options.afterglows_bright) * dark,
        SourceClass.KILONOVA: kilonova,
        SourceClass.SUPERNOVA: options.supernovae_bright * always,
    }
    unmasked = options.unmasked
    return np.array([appeared[name] for name in CLASSES]), np.array([unmasked * bright[name] for name in CLASSES])


def _brighter(limit_mag: float, mean_mag: Array, scatter_mag: Array) -> Array:
    offset = (limit_mag - mean_mag) / (scatter_mag * math.sqrt(2))
    return np.array([0.5 * math.erfc(-each) for each in offset.tolist()])


def _steps(delay_d: Array) -> NDArray[np.int64]:
    """The place in `_DELAYS_D` next to each delay."""
    octaves = np.log2(np.maximum(delay_d, _EARLIEST_D) / _EARLIEST_D)
    return np.minimum(octaves * _STEPS_PER_OCTAVE + 0.5, len(_DELAYS_D) - 1).astype(np.int64)
