"""Straight lines through magnitudes: weighted least squares in plain floats, as light curves have few points."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from schemas.records import Measurement
from schemas.times import US_PER_DAY

LEAST_SPAN_D = 0.02
"""Between points nearer in time there is no rate (Andreoni et al. 2021, ApJ 918, 63): it would be that of errors."""
_RISE_ERRS = 3.0
"""A rise this many times its error is one."""
_UNSTATED_ERR_MAG = 0.2
"""Of a point without a stated error: that of a detection with 5 sigma."""
_LEAST_ERR_MAG, _LARGEST_ERR_MAG = 0.01, 10.0
_BRIGHTEST_MAG, _FAINTEST_MAG = -50.0, 60.0
"""What is beyond is no magnitude."""
_TWO = 2


class Point(NamedTuple):
    """A magnitude at a time, in days since the trigger."""

    time_d: float
    mag: float
    err_mag: float


@dataclass(frozen=True, slots=True)
class Line:
    """The straight line through points of one band.

    Attributes
    ----------
    band
        Its name.
    mag_per_d, mag_per_d_err
        Slope, positive where it fades, and its standard error.
    times_d
        Of its points, since the trigger.
    leverages_per_d
        What each point's magnitude counts in the slope: the slope is the sum of both's products.
    after_rise
        Whether its first point is a peak, up to which the source rose.
    """

    band: str
    mag_per_d: float
    mag_per_d_err: float
    times_d: tuple[float, ...]
    leverages_per_d: tuple[float, ...]
    after_rise: bool = False

    @property
    def span_d(self) -> float:
        """From the first to the last point."""
        return self.times_d[-1] - self.times_d[0]

    @property
    def middle_d(self) -> float:
        """Mean time of the points, since the trigger."""
        return math.fsum(self.times_d) / len(self.times_d)

    def slope_of(self, mags: Iterable[float]) -> float:
        """Slope, in magnitudes a day, of a light curve with these magnitudes at the line's points."""
        return math.fsum(map(float.__mul__, self.leverages_per_d, mags))


def points_by_band(measurements: Sequence[Measurement], trigger_time_us: int) -> dict[str, list[Point]]:
    """Points with a magnitude, sorted by (time, magnitude, error), by band in the order of their names."""
    found: dict[str, list[Point]] = {}
    for measured in measurements:
        mag, err = measured.mag, measured.mag_err
        if mag is not None and _BRIGHTEST_MAG < mag < _FAINTEST_MAG:
            err = min(max(err, _LEAST_ERR_MAG), _LARGEST_ERR_MAG) if err is not None and err > 0 else _UNSTATED_ERR_MAG
            point = Point((measured.time_us - trigger_time_us) / US_PER_DAY, mag, err)
            found.setdefault(measured.band, []).append(point)
    for points in found.values():
        points.sort()
    return dict(sorted(found.items())) if len(found) > 1 else found


def line(band: str, points: Sequence[Point]) -> Line | None:
    """The line through points, sorted by time; None without two that are `LEAST_SPAN_D` apart."""
    if len(points) < _TWO or points[-1].time_d - points[0].time_d < LEAST_SPAN_D:
        return None
    weights = [point.err_mag**-2 for point in points]
    middle_d = math.fsum([w * p.time_d for w, p in zip(weights, points, strict=True)]) / math.fsum(weights)
    offsets_d = [point.time_d - middle_d for point in points]
    moment = math.fsum([w * d * d for w, d in zip(weights, offsets_d, strict=True)])
    leverages = tuple([w * d / moment for w, d in zip(weights, offsets_d, strict=True)])
    slope = math.fsum([lever * point.mag for lever, point in zip(leverages, points, strict=True)])
    return Line(band, slope, moment**-0.5, tuple([point.time_d for point in points]), leverages)


def newest_line(band: str, points: Sequence[Point]) -> Line | None:
    """The line that says how a source changes now: through all points, or through those since the brightest if it rose
    before and has points enough after.

    A peak is told from noise by its rise, of three errors at least, and not by what comes after: of points that scatter
    the brightest is followed by fainter ones, always.
    """
    whole = line(band, points)
    if whole is None or len(points) <= _TWO:
        return whole
    peak = min(range(len(points)), key=[point.mag for point in points].__getitem__)
    rise, rest = line(band, points[: peak + 1]), line(band, points[peak:])
    if rise is not None and rest is not None and rise.mag_per_d < -_RISE_ERRS * rise.mag_per_d_err:
        return replace(rest, after_rise=True)
    return whole


def decay_index(bands: Iterable[Sequence[Point]]) -> tuple[float, float] | None:
    """The index alpha of flux ~ t^-alpha and its standard error, t since the trigger: one for all bands, the brightness
    of each its own. None without a band that has two points after the trigger, `LEAST_SPAN_D` apart.
    """
    products, moments = [], []
    for points in bands:
        after = [point for point in points if point.time_d > 0]
        if len(after) < _TWO or after[-1].time_d - after[0].time_d < LEAST_SPAN_D:
            continue
        weights = [point.err_mag**-2 for point in after]
        # Magnitudes that a source would fade by if alpha were 1.
        fading = [2.5 * math.log10(point.time_d) for point in after]
        middle = math.fsum([w * x for w, x in zip(weights, fading, strict=True)]) / math.fsum(weights)
        moments += [w * (x - middle) ** 2 for w, x in zip(weights, fading, strict=True)]
        products += [w * (x - middle) * p.mag for w, x, p in zip(weights, fading, after, strict=True)]
    moment = math.fsum(moments)
    return (math.fsum(products) / moment, moment**-0.5) if moment > 0 else None
