"""How many unrelated new objects a survey brings, by place: measured of what it brought, or a stated fallback.

A rate is the number of new objects that pass the cuts, per square degree and visited night (`matchers.coverage`). That
of a cell is found in steps, each of which is the prior of the next (a gamma prior, which counts as some objects more):
the fallback of the survey; that scaled to all that was found; all that was found in the same band of galactic latitude;
and in the surroundings, of some 860, 210 and 50 square degrees. So a young store has the fallback, an old one what it
saw nearby. Asteroids crowd along the ecliptic, outbursts of stars in the plane.
"""

import math
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np

from matchers.coverage import CELL_DEG2, CELL_ORDER, CELLS, MAG_STEP, Coverage, Visits
from matchers.repeats import Repeats
from matchers.unrelated import UNMEASURED, UnrelatedCurves
from schemas.pixels import Array, cell_centres
from schemas.records import Ints

LATITUDE_EDGES_DEG = (0.0, 10.0, 20.0, 40.0, 90.0)
"""Of the bands of galactic latitude, north and south alike."""
PRIOR_OBJECTS = 10.0
"""A prior counts as much as so many objects, and as the exposure in which it would bring them..."""
FALLBACK_OBJECTS = 1.0
"""...but the fallback, which may be off by any factor, as one."""
PRIOR_MAGNITUDES = 200
_FALLBACK_PER_DEG2_NIGHT = {"ztf": 0.01, "lsst": 0.5}
"""ZTF: Moeller et al. 2021 (MNRAS 501, 3272, section 4.2) found 393 candidates in the circles of 142 Fermi bursts, some
50 deg2 each, in 20 d with some six visited nights. LSST: no published number; it sees three magnitudes deeper, and
counts grow fifty times in three magnitudes less what has been seen before."""
_FALLBACK_NEAR_PLANE = (3.0, 2.0, 1.0, 1.0)
"""Times as many in the bands of latitude: outbursts of stars."""
_FALLBACK_DEPTH_MAG = {"ztf": 20.5, "lsst": 24.0}
_DEPTH_QUANTILE = 0.95
_AROUND = tuple(4 ** (CELL_ORDER - order) for order in (1, 2, 3))
"""Cells are surrounded by those of these orders, which hold so many of them."""
_POLE_RA_DEG, _POLE_DEC_DEG = 192.85948, 27.12825
"""North galactic pole, ICRS (Hipparcos catalogue, ESA SP-1200, volume 1, section 1.5.3)."""


@dataclass(frozen=True, eq=False)
class Background:
    """What is unrelated in the stream of one survey.

    All but the visits is as it was known at one moment; visits are those known when they are asked for, so that a
    candidate in a field that was visited a minute ago is weighed by that visit too.

    Attributes
    ----------
    survey
        Its name.
    curves
        What the light curves of its new objects are like.
    per_deg2_night
        New objects per square degree and visited night, by cell of `matchers.coverage`; above 0.
    depth_mag
        About the faintest magnitude that it still finds.
    repeats
        How often its new objects are seen again.
    """

    survey: str
    curves: UnrelatedCurves
    per_deg2_night: Array
    depth_mag: float
    _coverage: Coverage = field(repr=False)
    _band_new: Array = field(repr=False)
    _band_deg2_nights: Array = field(repr=False)
    _nights: int
    repeats: Repeats = Repeats.FALLBACK

    @classmethod
    def measured(
        cls,
        survey: str,
        coverage: Coverage,
        curves: UnrelatedCurves = UNMEASURED,
        repeats: Repeats = Repeats.FALLBACK,
    ) -> "Background":
        """As it is known now."""
        new, visited, nights = coverage.new_objects()
        deg2_nights = visited * CELL_DEG2
        band = _latitude_band()
        band_new, band_deg2_nights = (
            np.bincount(band, weights=column, minlength=len(_FALLBACK_NEAR_PLANE)).astype(np.float64)
            for column in (new, deg2_nights)
        )
        fallback = fallback_per_deg2_night(survey)
        by_fallback = float(band_deg2_nights @ fallback)
        scaled = fallback * (float(band_new.sum()) + FALLBACK_OBJECTS) / (by_fallback + FALLBACK_OBJECTS)
        rate = _posterior(band_new, band_deg2_nights, scaled)[band]
        for around in _AROUND:
            near_new, near_deg2_nights = (
                np.repeat(column.reshape(-1, around).sum(axis=1), around) for column in (new, deg2_nights)
            )
            rate = _posterior(near_new, near_deg2_nights, rate)
        depth_mag = _depth_mag(survey, coverage.magnitudes())
        return cls(survey, curves, rate, depth_mag, coverage, band_new, band_deg2_nights, nights, repeats)

    def visits(self) -> tuple[Visits, ...]:
        """Where and when the survey looked, as it is known now."""
        return self._coverage.visits()

    def models(self, cells: Ints) -> list[str]:
        """How the rate in each of these cells was found."""
        return [self._models[band] for band in _latitude_band()[cells].tolist()]

    @cached_property
    def _models(self) -> list[str]:
        return [self._model(band) for band in range(len(_FALLBACK_NEAR_PLANE))]

    def _model(self, band: int) -> str:
        where = f"|b| {LATITUDE_EDGES_DEG[band]:.0f} to {LATITUDE_EDGES_DEG[band + 1]:.0f} deg"
        fallback = f"fallback {fallback_per_deg2_night(self.survey)[band]:g} per deg2 and night"
        total, objects = float(self._band_new.sum()), float(self._band_new[band])
        if not self._band_deg2_nights.any():
            return f"{fallback}, as nothing is measured yet"
        percent = 100 / math.sqrt(objects + min(PRIOR_OBJECTS, total + FALLBACK_OBJECTS))
        exposure = f"{self._band_deg2_nights[band]:,.0f} deg2 x nights"
        return (
            f"{objects:,.0f} new objects in {exposure} at {where}, of {total:,.0f} anywhere in {self._nights} nights, "
            f"those nearby weighted, uncertain by {percent:.0f} %; {fallback} counts as {FALLBACK_OBJECTS:.0f} object"
        )


def fallback_per_deg2_night(survey: str) -> Array:
    """What is assumed of a survey of which nothing is known, by band of latitude; an unknown one is taken for ZTF."""
    usual = _FALLBACK_PER_DEG2_NIGHT.get(survey, _FALLBACK_PER_DEG2_NIGHT["ztf"])
    return usual * np.array(_FALLBACK_NEAR_PLANE)


def _posterior(objects: Array, deg2_nights: Array, prior: Array) -> Array:
    """Mean of the rate's gamma distribution after counting these objects in this exposure."""
    return np.asarray((objects + PRIOR_OBJECTS) / (deg2_nights + PRIOR_OBJECTS / prior))


def _depth_mag(survey: str, counts: Ints) -> float:
    """The magnitude that few stored alerts are fainter than, blended with a usual depth while they are few."""
    usual = _FALLBACK_DEPTH_MAG.get(survey, _FALLBACK_DEPTH_MAG["ztf"])
    total = int(counts.sum())
    if not total:
        return usual
    measured = float(np.searchsorted(np.cumsum(counts), _DEPTH_QUANTILE * total) + 1) * MAG_STEP
    return (measured * total + usual * PRIOR_MAGNITUDES) / (total + PRIOR_MAGNITUDES)


@cache
def _latitude_band() -> Ints:
    """The band of galactic latitude of each cell."""
    ra_deg, dec_deg = cell_centres(np.arange(CELLS), CELL_ORDER)
    ra, dec, pole = np.radians(ra_deg - _POLE_RA_DEG), np.radians(dec_deg), np.radians(_POLE_DEC_DEG)
    sin_b = np.sin(dec) * np.sin(pole) + np.cos(dec) * np.cos(pole) * np.cos(ra)
    latitude_deg = np.degrees(np.arcsin(np.clip(np.abs(sin_b), 0, 1)))
    return np.asarray(np.searchsorted(LATITUDE_EDGES_DEG[1:-1], latitude_deg, side="right"), np.int64)
