"""What the light curve of an object tells of it: rates, decay, colour, onset, and what these say of its class."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from matchers.bands import LEAST_COUNTED_SPAN_US
from matchers.colours import colour_bins
from matchers.rates import Compared, bins_of
from matchers.slopes import Line, Point, decay_index, newest_line, points_by_band
from matchers.source_classes import colour_terms, onset_terms, rate_terms
from matchers.unrelated import UnrelatedCurves
from schemas.records import Measurement
from schemas.statistics import LightCurveEvidence, Rate
from schemas.times import US_PER_DAY, US_PER_S

COLOUR_SPAN_D = 0.5
"""A colour is of two points at most so far apart: of one night."""
_COLOURS = (("g", "r"), ("r", "i"), ("g", "i"), ("u", "g"), ("u", "r"), ("i", "z"), ("z", "y"))
"""The first pair of bands that was seen in one night is told; only the first one is judged."""
_UNKNOWN_RATE_MAG_PER_D = 1.0
"""An object whose rate is not known better changes by so much between the two points of a colour."""


def evidence(
    points: Sequence[Measurement],
    *,
    trigger_time_us: int,
    first_detection_us: int,
    last_non_detection_us: int | None,
    background: UnrelatedCurves,
) -> LightCurveEvidence:
    """What a light curve tells, in the light of a trigger.

    Parameters
    ----------
    points
        Of one object, in any order; those without a magnitude tell nothing, those without an error have 0.2 mag.
    first_detection_us, last_non_detection_us
        What is known of the object's onset, whether or not these are stored.
    background
        What those of unrelated objects are like, among which this one is, and with which it is not to be compared.

    Returns
    -------
    LightCurveEvidence
        Rates are those of straight lines through all points of a band, or through those since the brightest if it rose
        before: see `matchers.slopes.newest_line`. The decay index is of all points after the trigger. The likelihood
        ratios have terms for rates and colour (`matchers.source_classes.rate_terms`, `colour_terms`), both of points
        after the trigger, and for the onset (`onset_terms`). All numbers are finite.
    """
    after_s = None if last_non_detection_us is None else (last_non_detection_us - trigger_time_us) / US_PER_S
    before_s = (first_detection_us - trigger_time_us) / US_PER_S
    ratios = onset_terms(after_s, before_s)
    by_band = points_by_band(points, trigger_time_us) if len(points) > 1 else {}
    lines = {band: found for band, of_band in by_band.items() if (found := newest_line(band, of_band))}
    decay = decay_index(by_band.values()) if lines else None
    colour = _colour(by_band, lines)
    terms = []
    if lines:
        terms.append(rate_terms(_after_trigger(by_band, lines), background.rates, _compared(by_band, colour)))
    if colour and colour.bands == "g-r" and colour.time_d > 0:
        terms.append(colour_terms(colour.mag, colour.err_mag, colour.time_d, background.colours))
    return LightCurveEvidence(
        rates=tuple(
            [
                Rate(found.band, found.mag_per_d, found.mag_per_d_err, len(found.times_d), found.span_d)
                for found in lines.values()
            ]
        ),
        decay_index=decay and decay[0],
        decay_index_err=decay and decay[1],
        colour_mag=colour and colour.mag,
        colour_err_mag=colour and colour.err_mag,
        colour_bands=colour.bands if colour else "",
        onset_after_s=after_s,
        onset_before_s=before_s,
        log_likelihood_ratio={
            name: ratio + math.fsum([term[name] for term in terms]) for name, ratio in ratios.items()
        },
    )


class _Colour(NamedTuple):
    """Difference of magnitudes in two bands, and when."""

    err_mag: float
    time_d: float
    mag: float
    bands: str


def _compared(by_band: Mapping[str, Sequence[Point]], colour: _Colour | None) -> Compared:
    """The object as `matchers.bands.BandPoints` counts it."""
    g_minus_r = np.array([colour.mag if colour and colour.bands == "g-r" else np.nan])
    of_colour = int(colour_bins(g_minus_r)[0])
    spans_d = {band: points[-1].time_d - points[0].time_d for band, points in by_band.items()}
    counted = [band for band, span_d in spans_d.items() if span_d >= LEAST_COUNTED_SPAN_US / US_PER_DAY]
    rates = [(by_band[band][-1].mag - by_band[band][0].mag) / spans_d[band] for band in counted]
    own_bins = dict(zip(counted, bins_of(np.array(rates, np.float64)).tolist(), strict=True))
    return Compared(of_colour, own_bins)


def _after_trigger(by_band: Mapping[str, Sequence[Point]], lines: Mapping[str, Line]) -> list[Line]:
    """The lines, of points after the trigger only."""
    if all(found.times_d[0] > 0 for found in lines.values()):
        return list(lines.values())
    after = {band: [point for point in by_band[band] if point.time_d > 0] for band in lines}
    return [found for band, points in after.items() if (found := newest_line(band, points))]


def _colour(by_band: Mapping[str, Sequence[Point]], lines: Mapping[str, Line]) -> _Colour | None:
    """The best known colour of the first pair of bands that has one."""
    for blue, red in _COLOURS:
        if blue in by_band and red in by_band:
            found = [*_colours(by_band, lines, blue, red)]
            if found:
                return min(found)
    return None


def _colours(
    by_band: Mapping[str, Sequence[Point]], lines: Mapping[str, Line], blue: str, red: str
) -> Iterator[_Colour]:
    """Of all neighbours in time, as if both had been seen in the middle between them."""
    rate, rate_err = _common_rate([lines[band] for band in (blue, red) if band in lines])
    both = sorted([*((point, 1) for point in by_band[blue]), *((point, -1) for point in by_band[red])])
    for (one, sign), (other, other_sign) in pairwise(both):
        apart_d = other.time_d - one.time_d
        if sign != other_sign and apart_d <= COLOUR_SPAN_D:
            mag = sign * (one.mag - other.mag + rate * apart_d)
            err = math.hypot(one.err_mag, other.err_mag, rate_err * apart_d)
            yield _Colour(err, (one.time_d + other.time_d) / 2, mag, f"{blue}-{red}")


def _common_rate(lines: Sequence[Line]) -> tuple[float, float]:
    """Mean of the rates in two bands, and its error; 0 and a large error where they are not known well."""
    if lines:
        err = math.hypot(*(found.mag_per_d_err for found in lines)) / len(lines)
        if err < _UNKNOWN_RATE_MAG_PER_D:
            return math.fsum([found.mag_per_d for found in lines]) / len(lines), err
    return 0.0, _UNKNOWN_RATE_MAG_PER_D
