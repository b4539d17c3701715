"""How bright things are when. Times are integer microseconds UTC, magnitudes AB in ZTF's g and r.

A light curve gives ``inf`` where there is nothing to see. The models are simple on purpose: each
states the one published number that matters for telling the classes apart, its rate of change.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bridges.simulator.sphere import Array
from bridges.simulator.survey import R
from schemas.times import US_PER_DAY

Times = NDArray[np.int64]
Filters = NDArray[np.int64]

WAVELENGTH_UM = {"g": 0.4747, "r": 0.6214}
"""Effective wavelengths of ZTF's filters."""


class LightCurve(Protocol):
    """Brightness of the difference to the reference image."""

    def mag(self, time_us: Times, fid: Filters) -> Array:
        """Magnitude at each time through each filter, shape (n,); inf where there is nothing."""


def days_since(time_us: Times, start_us: int) -> Array:
    """Days from `start_us`."""
    return np.asarray((time_us - start_us) / US_PER_DAY, np.float64)


@dataclass(frozen=True, slots=True)
class Afterglow:
    """Synchrotron afterglow of a burst: F ~ t^-alpha nu^-beta, steeper after the jet break.

    Sari, Piran & Narayan 1998 (ApJ 497, L17) for the spectrum and decay of the slow-cooling
    synchrotron shock; Sari, Piran & Halpern 1999 (ApJ 519, L17) for the break. Brightness at one day as in
    Kann et al. 2010 (ApJ 720, 1513): most bursts between R = 17 and 23.

    Attributes
    ----------
    burst_us
        Time of the burst.
    r_mag_at_1_d
        Magnitude in r one day later, were there no break before.
    alpha, beta
        Indices of the decay and of the spectrum.
    break_d
        Time of the jet break; the index grows by `steepening` then.
    """

    burst_us: int
    r_mag_at_1_d: float
    alpha: float = 1.2
    beta: float = 0.75
    break_d: float = 2.0
    steepening: float = 0.9

    def mag(self, time_us: Times, fid: Filters) -> Array:
        """Magnitude; inf before the burst."""
        t = days_since(time_us, self.burst_us)
        after = t > 0
        t = np.where(after, t, 1.0)
        mag = self.r_mag_at_1_d + 2.5 * self.alpha * np.log10(t)
        mag = mag + 2.5 * self.steepening * np.log10(np.maximum(t / self.break_d, 1.0))
        redder = 2.5 * self.beta * np.log10(WAVELENGTH_UM["r"] / WAVELENGTH_UM["g"])
        return np.where(after, mag + np.where(fid == R, 0.0, redder), np.inf)


@dataclass(frozen=True, slots=True)
class Kilonova:
    """A kilonova like AT2017gfo: a rise of half a day, then a fast and reddening decline.

    Absolute magnitudes and rates describe AT2017gfo at 40.7 Mpc between 0.5 and 3.5 d: about 1.5 mag/d in
    g and 1.0 mag/d in r (Cowperthwaite et al. 2017, ApJ 848, L17; Villar et al. 2017, ApJ 851,
    L21). Before the peak the flux grows as t^2, an expanding photosphere of constant temperature (Arnett
    1982, ApJ 253, 785).

    Attributes
    ----------
    merger_us
        Time of the merger.
    distance_mpc
        Luminosity distance.
    fainter_mag
        How much fainter than AT2017gfo.
    """

    merger_us: int
    distance_mpc: float
    fainter_mag: float = 0.0

    PEAK_D = 0.5
    PEAK_ABSOLUTE_MAG = (-15.7, -15.8)
    DECLINE_MAG_PER_D = (1.5, 1.0)

    def mag(self, time_us: Times, fid: Filters) -> Array:
        """Magnitude; inf before the merger."""
        t = days_since(time_us, self.merger_us)
        modulus = 5.0 * np.log10(self.distance_mpc) + 25.0
        peak = np.where(fid == R, self.PEAK_ABSOLUTE_MAG[1], self.PEAK_ABSOLUTE_MAG[0]) + modulus + self.fainter_mag
        rate = np.where(fid == R, self.DECLINE_MAG_PER_D[1], self.DECLINE_MAG_PER_D[0])
        return _rise_and_decline(t, self.PEAK_D, peak, rate)


@dataclass(frozen=True, slots=True)
class Supernova:
    """A supernova: flux ~ t^2 up to the peak (Riess et al. 1999, AJ 118, 2675), then a slow decline.

    Attributes
    ----------
    explosion_us
        Time of first light.
    peak_mag
        In r; g peaks `g_minus_r_mag` fainter.
    rise_d, decline_mag_per_d
        Time to the peak and rate after it.
    """

    explosion_us: int
    peak_mag: float
    rise_d: float = 18.0
    decline_mag_per_d: float = 0.06
    g_minus_r_mag: float = 0.0

    def mag(self, time_us: Times, fid: Filters) -> Array:
        """Magnitude; inf before the explosion."""
        t = days_since(time_us, self.explosion_us)
        peak = self.peak_mag + np.where(fid == R, 0.0, self.g_minus_r_mag)
        return _rise_and_decline(t, self.rise_d, peak, np.full(len(t), self.decline_mag_per_d))


@dataclass(frozen=True, slots=True)
class Together:
    """Two sources at one place, such as an afterglow and the supernova that outshines it later."""

    one: LightCurve
    other: LightCurve

    def mag(self, time_us: Times, fid: Filters) -> Array:
        """Magnitude of both; inf where neither shines."""
        flux = 10.0 ** (-0.4 * self.one.mag(time_us, fid)) + 10.0 ** (-0.4 * self.other.mag(time_us, fid))
        with np.errstate(divide="ignore"):
            return np.asarray(-2.5 * np.log10(flux))


@dataclass(frozen=True, slots=True)
class Outburst:
    """A dwarf nova or a stellar flare: up at once, then exponential or linear in magnitudes.

    Dwarf novae decline by 0.05 to 0.2 mag/d on the plateau and about 1 mag/d at its end; flares of M
    dwarfs fade within hours.
    """

    start_us: int
    peak_mag: float
    decline_mag_per_d: float
    plateau_d: float
    end_mag_per_d: float
    g_minus_r_mag: float

    def mag(self, time_us: Times, fid: Filters) -> Array:
        """Magnitude; inf before the start."""
        t = days_since(time_us, self.start_us)
        fading = self.decline_mag_per_d * np.minimum(t, self.plateau_d)
        fading = fading + self.end_mag_per_d * np.maximum(t - self.plateau_d, 0.0)
        colour = np.where(fid == R, 0.0, self.g_minus_r_mag)
        return np.where(t >= 0, self.peak_mag + fading + colour, np.inf)


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable star or nucleus: what differs from the reference is a fraction of its light.

    The sign of the difference follows the phase; only its size is a magnitude.
    """

    mean_mag: float
    amplitude: float
    period_d: float
    phase: float

    def mag(self, time_us: Times, fid: Filters) -> Array:
        """Magnitude of the size of the difference to the mean."""
        difference = np.abs(self.amplitude * self._sine(time_us))
        colour = np.where(fid == R, 0.0, 0.5)
        return self.mean_mag + colour - 2.5 * np.log10(np.maximum(difference, 1e-9))

    def is_brighter(self, time_us: int) -> bool:
        """Whether it is brighter than its reference."""
        return bool(self._sine(np.array([time_us]))[0] >= 0)

    def _sine(self, time_us: Times) -> Array:
        return np.asarray(np.sin(2 * np.pi * (time_us / US_PER_DAY / self.period_d + self.phase)))


@dataclass(frozen=True, slots=True)
class OneExposure:
    """Something that one exposure shows and no other: a moving object, an artefact."""

    time_us: int
    brightness_mag: float

    def mag(self, time_us: Times, fid: Filters) -> Array:  # noqa: ARG002 - one exposure has one filter
        """Magnitude in that exposure; inf in all others."""
        return np.where(time_us == self.time_us, self.brightness_mag, np.inf)


def _rise_and_decline(t_d: Array, peak_d: float, peak_mag: Array, decline_mag_per_d: Array) -> Array:
    """Flux ~ t^2 from 0 to `peak_d`, then linear in magnitudes."""
    rising = -5.0 * np.log10(np.clip(t_d / peak_d, 1e-9, 1.0))
    declining = decline_mag_per_d * np.maximum(t_d - peak_d, 0.0)
    return np.where(t_d > 0, peak_mag + rising + declining, np.inf)
