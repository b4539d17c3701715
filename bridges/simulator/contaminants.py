"""Everything in the sky that is no counterpart: what a search must tell from the injected sources."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from bridges.simulator.detections import NONE_NEAR, Camera, Nature, Neighbours, Source
from bridges.simulator.light_curves import OneExposure, Outburst, Supernova, Variable
from bridges.simulator.plan import NightPlan
from bridges.simulator.sphere import ecliptic_latitude_deg, galactic_latitude_deg
from bridges.simulator.survey import fields
from schemas.times import US_PER_DAY

Names = Callable[[], str]
"""Gives the next object name."""

_ECLIPTIC_SCALE_DEG = 10.0
_GALACTIC_SCALE_DEG = 12.0
_UNKNOWN_ASTEROIDS = 0.2
_VARIABLE_NUCLEI = 0.3
_STELLAR_FLARES = 0.35


def contaminants(random: Generator, plan: NightPlan, camera: Camera, names: Names) -> Iterator[Source]:
    """All contaminants of a plan, in a fixed order."""
    yield from _variables(random, plan, camera, names)
    yield from _supernovae(random, plan, camera, names)
    yield from _outbursts(random, plan, camera, names)
    yield from _single(random, plan, camera, names)


def _place(random: Generator, camera: Camera) -> tuple[float, float]:
    numbers = list(camera.rows_of_field)
    return fields().draw_inside(random, numbers[int(random.integers(len(numbers)))])


def _near_plane(random: Generator, camera: Camera) -> tuple[float, float]:
    """A position that the survey sees, more often near the Galactic plane (density 1 + 5 exp(-|b| / 12 deg))."""
    while True:
        ra, dec = _place(random, camera)
        latitude = abs(float(galactic_latitude_deg(ra, dec)))
        if random.uniform() < (1 + 5 * np.exp(-latitude / _GALACTIC_SCALE_DEG)) / 6:
            return ra, dec


def _variables(random: Generator, plan: NightPlan, camera: Camera, names: Names) -> Iterator[Source]:
    """Variable stars (a Gaia and a PS1 source on top) and active nuclei (a PS1 source); known for years."""
    for _ in range(plan.variables):
        nucleus = random.uniform() < _VARIABLE_NUCLEI
        ra, dec = _place(random, camera) if nucleus else _near_plane(random, camera)
        chance = Neighbours.by_chance(random, ra, dec)
        on_top = round(float(random.rayleigh(0.25)), 4)
        near = replace(
            chance,
            ps1_arcsec=on_top,
            gaia_arcsec=chance.gaia_arcsec if nucleus else round(float(random.rayleigh(0.25)), 4),
            star_score=0.03 if nucleus else 0.98,
        )
        curve = Variable(
            mean_mag=float(random.uniform(16.0, 19.5)),
            amplitude=float(random.uniform(0.1, 0.6)),
            period_d=float(random.uniform(20.0, 200.0) if nucleus else 10 ** random.uniform(-0.6, 1.5)),
            phase=float(random.uniform()),
        )
        known = plan.start_us - int(random.uniform(60.0, 2500.0) * US_PER_DAY)
        yield Source(Nature.VARIABLE, names(), ra, dec, curve, near, known)


def _supernovae(random: Generator, plan: NightPlan, camera: Camera, names: Names) -> Iterator[Source]:
    """Supernovae in hosts some arcseconds away; more than half explode within the span or shortly before."""
    for _ in range(plan.supernovae):
        ra, dec = _place(random, camera)
        chance = Neighbours.by_chance(random, ra, dec)
        host = round(float(random.gamma(2.0, 3.0)), 4)
        near = chance if host > abs(chance.ps1_arcsec) else replace(chance, ps1_arcsec=host, star_score=0.05)
        young = random.uniform() < 0.6  # noqa: PLR2004
        # Of a long span they explode from 20 d before it, so that as many are new early in it as later, until three
        # nights before its end, as those that come after are hardly seen any more.
        oldest_d, last_d = max(8.0, min(20.0, plan.nights - 8.0)), max(0.6 * plan.nights, plan.nights - 3.0)
        age_d = random.uniform(-last_d, oldest_d) if young else random.uniform(10.0, 60.0)
        explosion_us = plan.start_us - int(age_d * US_PER_DAY)
        # Volume-limited: numbers grow as 10^(0.6 m), down to a little below what the survey sees.
        peak = 20.0 + float(np.log10(random.uniform(0.01, 1.0)) / 0.6)
        curve = Supernova(
            explosion_us,
            peak_mag=max(peak, 16.0),
            rise_d=float(random.uniform(8.0, 20.0)),
            decline_mag_per_d=float(random.uniform(0.02, 0.12)),
            g_minus_r_mag=float(random.normal(0.1, 0.25)),
        )
        oldest_us = int(camera.visits.time_us[0])
        known = explosion_us + 5 * US_PER_DAY if explosion_us + 5 * US_PER_DAY < oldest_us else None
        yield Source(Nature.SUPERNOVA, names(), ra, dec, curve, near, known)


def _outbursts(random: Generator, plan: NightPlan, camera: Camera, names: Names) -> Iterator[Source]:
    """Dwarf novae and flares of faint stars, new to the survey; a third have no catalogued star in reach."""
    for _ in range(plan.outbursts):
        ra, dec = _near_plane(random, camera)
        near = Neighbours.by_chance(random, ra, dec)
        if random.uniform() < 0.65:  # noqa: PLR2004
            near = replace(near, ps1_arcsec=round(float(random.rayleigh(0.3)), 4), star_score=0.9)
        start_us = plan.start_us + int(random.uniform(-4.0, plan.nights) * US_PER_DAY)
        peak = float(random.uniform(16.5, 20.2))
        if random.uniform() < _STELLAR_FLARES:
            rows = camera.rows_at(ra, dec)
            # A flare lasts an hour: it is drawn shortly before an exposure, or nobody would ever see it.
            start_us = int(camera.visits.time_us[random.choice(rows)]) - int(random.uniform(0.0, 0.02) * US_PER_DAY)
            curve = Outburst(start_us, peak, 20.0, 1.0, 20.0, -0.4)
        else:
            curve = Outburst(
                start_us, peak, float(random.uniform(0.05, 0.2)), float(random.uniform(2.0, 12.0)), 1.0, -0.05
            )
        yield Source(Nature.OUTBURST, names(), ra, dec, curve, near)


def _single(random: Generator, plan: NightPlan, camera: Camera, names: Names) -> Iterator[Source]:
    """Asteroids, each at a new place in each exposure and so a new object, and artefacts."""
    visits = camera.visits
    rows = np.flatnonzero(visits.time_us >= plan.start_us)
    for number in range(plan.asteroids + plan.artefacts):
        moving = number < plan.asteroids
        while True:
            row = int(rows[random.integers(len(rows))])
            ra, dec = fields().draw_inside(random, int(visits.field[row]))
            ecliptic = abs(float(ecliptic_latitude_deg(ra, dec)))
            if not moving or random.uniform() < np.exp(-ecliptic / _ECLIPTIC_SCALE_DEG):
                break
        near = Neighbours.by_chance(random, ra, dec)
        brightness = float(visits.limit_mag[row]) - float(random.exponential(0.8)) - 0.1
        if moving:
            known = random.uniform() >= _UNKNOWN_ASTEROIDS
            near = replace(
                near,
                solar_system_arcsec=round(float(random.rayleigh(0.8)), 4) if known else NONE_NEAR,
                solar_system_name=str(int(random.integers(1000, 600_000))) if known else "null",
            )
        elif random.uniform() < 0.5:  # noqa: PLR2004
            near = replace(near, gaia_arcsec=round(float(random.rayleigh(1.5)), 4), star_score=0.99)
        nature = Nature.ASTEROID if moving else Nature.ARTEFACT
        yield Source(nature, names(), ra, dec, OneExposure(int(visits.time_us[row]), brightness), near)
