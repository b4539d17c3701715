"""Contours of credible levels as lines on the sky, for maps that others draw."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray

from broker.smoothing import smooth
from schemas.pixels import ORDER, cell_centres
from schemas.sky import SkyMap, pixels_of, separation_deg

Array = NDArray[np.float64]
_SIDE = 192
"""Points on a side of the grid on which levels are evaluated."""
_WIDEST_DEG = 85.0
"""A region that reaches farther from its peak is drawn in two halves of the sky."""
_SMALLEST_DEG = 0.2 / 3600
_AROUND = 1.15
_DIGITS = 5


@dataclass(frozen=True, slots=True)
class _Plane:
    """Lambert's azimuthal equal-area projection about a centre; the unit is the radian there."""

    ra_deg: float
    dec_deg: float

    def unproject(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Positions of points within 2 of the centre; x grows to the east and y to the north."""
        radius = np.hypot(x, y)
        angle = 2 * np.arcsin(np.clip(radius / 2, 0, 1))
        sin_over = np.sqrt(np.clip(1 - (radius / 2) ** 2, 0, 1))
        ra0, dec0 = np.radians(self.ra_deg), np.radians(self.dec_deg)
        north, east, towards = y * sin_over, x * sin_over, np.cos(angle)
        z = np.clip(towards * np.sin(dec0) + north * np.cos(dec0), -1, 1)
        across = towards * np.cos(dec0) - north * np.sin(dec0)
        return np.degrees(ra0 + np.arctan2(east, across)) % 360.0, np.degrees(np.arcsin(z))


def contours(skymap: SkyMap, levels: Sequence[float]) -> list[dict[str, Any]]:
    """The contours as GeoJSON features with `MultiLineString` geometries, one a level.

    Longitude is right ascension from -180 to 180 degrees, latitude declination; lines are made of short steps, and none
    crosses the whole sky.

    Parameters
    ----------
    levels
        Between 0 and 1.
    """
    patches = list(_patches(skymap, max(levels)))
    return [
        {
            "type": "Feature",
            "properties": {"credible_level": level, "area_deg2": round(skymap.area_deg2(level), 4)},
            "geometry": {
                "type": "MultiLineString",
                "coordinates": [line for one in patches for line in one.lines(level)],
            },
        }
        for level in levels
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Patch:
    """Levels on a grid of a plane; what is farther than `radius` from its centre belongs to the other patch."""

    plane: _Plane
    axis: Array
    level: Array
    radius: float

    def lines(self, level: float) -> Iterator[list[list[float]]]:
        """The contour's lines as lists of longitude and latitude."""
        for line in contour_generator(self.axis, self.axis, self.level).lines(level):
            points = np.asarray(line)
            inside = np.hypot(points[:, 0], points[:, 1]) <= self.radius
            for start, end in _runs(inside):
                ra, dec = self.plane.unproject(points[start:end, 0], points[start:end, 1])
                longitude = (ra + 180.0) % 360.0 - 180.0
                yield np.column_stack([longitude, dec]).round(_DIGITS).tolist()


def _patches(skymap: SkyMap, most: float) -> Iterator[_Patch]:
    reach_deg = _reach_deg(skymap, most)
    if reach_deg <= _WIDEST_DEG:
        half = 2 * np.sin(np.radians(reach_deg) / 2)
        yield _patch(skymap, _Plane(skymap.peak_ra_deg, skymap.peak_dec_deg), half, 2.0)
        return
    for ra_deg, dec_deg in (
        (skymap.peak_ra_deg, skymap.peak_dec_deg),
        ((skymap.peak_ra_deg + 180) % 360, -skymap.peak_dec_deg),
    ):
        yield _patch(skymap, _Plane(ra_deg, dec_deg), 1.02 * sqrt(2), sqrt(2))


def _patch(skymap: SkyMap, plane: _Plane, half: float, radius: float) -> _Patch:
    axis = np.linspace(-half, half, _SIDE)
    ra, dec = plane.unproject(*(points.ravel() for points in np.meshgrid(axis, axis)))
    level = skymap.credible_level(ra, dec, pixels_of(ra, dec)).reshape(_SIDE, _SIDE)
    return _Patch(plane, axis, level if skymap.shape else smooth(level, times=2), radius)


def _reach_deg(skymap: SkyMap, most: float) -> float:
    """How far the region of this level reaches from the peak."""
    if skymap.shape is not None:
        region = skymap.credible_region(most)
        lo, hi = region.lo, region.hi
    else:
        rows = skymap.cell_level <= max(most, float(skymap.cell_level.min()))
        lo, hi = skymap.lo[rows], skymap.hi[rows]
    ends = np.concatenate([lo, hi - 1])
    apart = separation_deg(*cell_centres(ends, ORDER), skymap.peak_ra_deg, skymap.peak_dec_deg)
    return max(float(apart.max()) * _AROUND, _SMALLEST_DEG)


def _runs(inside: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Start and end of each run of at least two points inside."""
    padded = np.concatenate([[False], inside, [False]])
    for start, end in np.flatnonzero(np.diff(padded)).reshape(-1, 2).tolist():
        if end - start > 1:
            yield start, end
