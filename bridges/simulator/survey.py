"""Where and when the survey looks: a camera of 47 square degrees on Palomar Mountain.

Fields tile the sky in strips of declination without overlap, so that each position belongs to one
field. Every clear night (all are) the fields that are due are visited from west to east, once in g
and some minutes later in r (Bellm et al. 2019, PASP 131, 068003 describes the real survey).
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bridges.simulator.sphere import Array
from schemas.times import JD_UNIX_EPOCH, US_PER_DAY, US_PER_S, us_from_jd_utc

FIELD_SIDE_DEG = 47.0**0.5
DEC_MIN_DEG = -30.0
STRIPS = 17
"""Strips from -30 to +86.5 deg; the cap around the pole is not surveyed."""
LONGITUDE_DEG = -116.8648
LATITUDE_DEG = 33.3563
G, R = 1, 2
"""ZTF's numbers of the filters (`fid`)."""

_SUN_ALTITUDE_MAX_DEG = -18.0
_ALTITUDE_MIN_DEG = 30.0
_HOUR_ANGLE_MAX_DEG = 60.0
_EXPOSURE_AND_OVERHEAD_S = 40
_BLOCK_FIELDS = 20
_ZENITH_LIMIT_MAG = {G: 20.8, R: 20.6}
_LIMIT_SCATTER_MAG = 0.15
_EXTINCTION_MAG = {G: 0.2, R: 0.1}
_NIGHT_STEP_US = 120 * US_PER_S


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """The tiling: number, centre and strip of each field, shape (n,)."""

    ra_deg: Array
    dec_deg: Array
    strip_start: NDArray[np.int64]
    strip_count: NDArray[np.int64]

    def number_of(self, ra_deg: float, dec_deg: float) -> int | None:
        """The field that holds a position; None outside the tiling."""
        strip = int(np.floor((dec_deg - DEC_MIN_DEG) / FIELD_SIDE_DEG))
        if not 0 <= strip < STRIPS:
            return None
        count = int(self.strip_count[strip])
        return int(self.strip_start[strip]) + int(ra_deg % 360.0 / 360.0 * count) % count

    def draw_inside(self, random: Generator, field: int) -> tuple[float, float]:
        """A position in a field, uniform in RA and declination."""
        strip = int(np.searchsorted(self.strip_start, field, side="right")) - 1
        width = 360.0 / float(self.strip_count[strip])
        ra = self.ra_deg[field] + (random.uniform() - 0.5) * width
        dec = self.dec_deg[field] + (random.uniform() - 0.5) * FIELD_SIDE_DEG
        return float(ra % 360.0), float(dec)

    def on_camera(self, field: int, ra_deg: float, dec_deg: float) -> tuple[int, float, float]:
        """Readout channel (0 to 63) and pixel position in it of a position in a field."""
        strip = int(np.searchsorted(self.strip_start, field, side="right")) - 1
        width = 360.0 / float(self.strip_count[strip])
        x = ((ra_deg - self.ra_deg[field] + 180.0) % 360.0 - 180.0) / width + 0.5
        y = (dec_deg - self.dec_deg[field]) / FIELD_SIDE_DEG + 0.5
        column, across = divmod(float(np.clip(x, 0.0, 0.999999)) * 8, 1.0)
        row, up = divmod(float(np.clip(y, 0.0, 0.999999)) * 8, 1.0)
        return int(row) * 8 + int(column), 1.0 + across * 3070, 1.0 + up * 3078


@cache
def fields() -> Fields:
    """The one tiling."""
    centres = DEC_MIN_DEG + FIELD_SIDE_DEG * (np.arange(STRIPS) + 0.5)
    count = np.maximum(1, np.ceil(360.0 * np.cos(np.radians(centres)) / FIELD_SIDE_DEG)).astype(np.int64)
    ra = np.concatenate([360.0 * (np.arange(n) + 0.5) / n for n in count])
    return Fields(ra, np.repeat(centres, count), np.concatenate([[0], np.cumsum(count)[:-1]]), count)


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """Exposures in order of time, as columns of shape (n,).

    Attributes
    ----------
    time_us
        Start of the exposure, at the resolution of a packet's Julian date.
    field, fid
        Which field through which filter.
    limit_mag
        Magnitude of a point source at 5 sigma.
    """

    time_us: NDArray[np.int64]
    field: NDArray[np.int64]
    fid: NDArray[np.int64]
    limit_mag: Array

    def __len__(self) -> int:
        return len(self.time_us)

    def by_field(self) -> dict[int, NDArray[np.int64]]:
        """Row numbers of the visits of each field, in order of time."""
        order = np.argsort(self.field, kind="stable")
        numbers, starts = np.unique(self.field[order], return_index=True)
        return dict(zip(numbers.tolist(), np.split(order, starts[1:]), strict=True))


def observe(
    random: Generator, noon_us: int, nights: range, cadence_nights: int, zone_deg: float | None = None
) -> Visits:
    """The visits of some nights.

    Parameters
    ----------
    noon_us
        Local noon (20:00 UTC) before night 0.
    nights
        Which nights to observe; negative ones came before.
    cadence_nights, zone_deg
        As in `bridges.simulator.plan.NightPlan`.
    """
    group = np.arange(len(fields().ra_deg)) if zone_deg is None else (fields().ra_deg // zone_deg).astype(np.int64)
    parts = [
        _one_night(random, noon_us + night * US_PER_DAY, np.flatnonzero((group + night) % cadence_nights == 0))
        for night in nights
    ]
    columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Visits(*columns)


def julian_date(time_us: int) -> float:
    """Julian date UTC as packets carry it, to 1e-7 d (ZTF's own resolution, 9 ms)."""
    return round(time_us / US_PER_DAY + JD_UNIX_EPOCH, 7)


def sun_position_deg(time_us: NDArray[np.int64] | int) -> tuple[Array, Array]:
    """RA and declination of the Sun to about 0.01 deg (low-precision formula of the Astronomical Almanac)."""
    n = _days_since_2000(time_us)
    anomaly = np.radians(357.528 + 0.9856003 * n)
    longitude = np.radians(280.460 + 0.9856474 * n + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    tilt = np.radians(23.439)
    ra = np.degrees(np.arctan2(np.cos(tilt) * np.sin(longitude), np.cos(longitude))) % 360.0
    return ra, np.degrees(np.arcsin(np.sin(tilt) * np.sin(longitude)))


def altitude_deg(time_us: NDArray[np.int64] | int, ra_deg: Array, dec_deg: Array) -> Array:
    """Altitude above Palomar's horizon, without refraction."""
    hour_angle = np.radians(sidereal_time_deg(time_us) - ra_deg)
    latitude, dec = np.radians(LATITUDE_DEG), np.radians(dec_deg)
    sine = np.sin(latitude) * np.sin(dec) + np.cos(latitude) * np.cos(dec) * np.cos(hour_angle)
    return np.asarray(np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0))))


def sidereal_time_deg(time_us: NDArray[np.int64] | int) -> Array:
    """Local mean sidereal time at Palomar (UT1 taken as UTC: within 15 arcsec)."""
    return (280.46061837 + 360.98564736629 * _days_since_2000(time_us) + LONGITUDE_DEG) % 360.0


def _days_since_2000(time_us: NDArray[np.int64] | int) -> Array:
    return np.asarray(time_us, np.int64) / US_PER_DAY + (JD_UNIX_EPOCH - 2_451_545.0)


def _one_night(random: Generator, noon_us: int, number: NDArray[np.int64]) -> tuple[NDArray[np.number], ...]:
    """The visits to fields of these numbers."""
    dusk_us, dawn_us = _dark_hours(noon_us)
    due, across = _due_fields(number, dusk_us, dawn_us)
    block_us = 2 * _BLOCK_FIELDS * _EXPOSURE_AND_OVERHEAD_S * US_PER_S
    rows: list[tuple[int, int, int]] = []
    free_us = dusk_us
    for first in range(0, len(due), _BLOCK_FIELDS):
        block = due[first : first + _BLOCK_FIELDS]
        free_us = max(free_us, dusk_us + int(across[first] * (dawn_us - dusk_us - block_us)))
        for fid in (G, R):
            for due_field in block:
                if free_us + _EXPOSURE_AND_OVERHEAD_S * US_PER_S <= dawn_us:
                    rows.append((int(us_from_jd_utc(julian_date(free_us))), int(due_field), fid))
                free_us += _EXPOSURE_AND_OVERHEAD_S * US_PER_S
    table = np.array(rows, np.int64).reshape(-1, 3)
    time_us, visited, filters = table.T
    altitude = altitude_deg(time_us, fields().ra_deg[visited], fields().dec_deg[visited])
    up = altitude >= _ALTITUDE_MIN_DEG
    air_mass = 1.0 / np.sin(np.radians(np.maximum(altitude, _ALTITUDE_MIN_DEG)))
    zenith = np.where(filters == G, _ZENITH_LIMIT_MAG[G], _ZENITH_LIMIT_MAG[R])
    extinction = np.where(filters == G, _EXTINCTION_MAG[G], _EXTINCTION_MAG[R])
    limit = zenith - extinction * (air_mass - 1.0) + random.normal(0.0, _LIMIT_SCATTER_MAG, len(table))
    return time_us[up], visited[up], filters[up], limit[up]


def _dark_hours(noon_us: int) -> tuple[int, int]:
    """Begin and end of astronomical night between two noons at Palomar."""
    times = noon_us + np.arange(0, US_PER_DAY, _NIGHT_STEP_US)
    dark = times[altitude_deg(times, *sun_position_deg(times)) < _SUN_ALTITUDE_MAX_DEG]
    return int(dark[0]), int(dark[-1])


def _due_fields(number: NDArray[np.int64], dusk_us: int, dawn_us: int) -> tuple[NDArray[np.int64], Array]:
    """Those of these fields that are up in a night, from west to east, and at which fraction of it each is due."""
    sky = fields()
    dusk_lst = float(sidereal_time_deg(dusk_us))
    turned_deg = (dawn_us - dusk_us) / US_PER_DAY * 360.9856
    east_deg = (sky.ra_deg[number] - (dusk_lst - _HOUR_ANGLE_MAX_DEG)) % 360.0
    across = east_deg / (turned_deg + 2 * _HOUR_ANGLE_MAX_DEG)
    when_us = (dusk_us + across * (dawn_us - dusk_us)).astype(np.int64)
    up = (across <= 1.0) & (altitude_deg(when_us, sky.ra_deg[number], sky.dec_deg[number]) >= _ALTITUDE_MIN_DEG)
    order = np.argsort(across[up], kind="stable")
    return number[up][order], across[up][order]
