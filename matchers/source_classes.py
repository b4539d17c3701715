"""What afterglows, kilonovae and supernovae look like, as likelihoods of what light curves tell.

All times are since the trigger, at which each of them begins. Likelihoods and not cuts, so that a poor measurement
weighs little; each term admits outliers, so that no single one decides.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType

from matchers.colours import COLOUR_RANGE_MAG, UnrelatedColours
from matchers.rates import (
    ANYTHING,
    FLAT,
    OUTLIERS,
    Compared,
    MeasuredRate,
    RateDensity,
    RateHistogram,
    log_normal_below,
    normal_below,
)
from matchers.slopes import Line
from schemas.records import Messenger
from schemas.statistics import SourceClass
from schemas.times import US_PER_DAY, US_PER_S

S_PER_D = US_PER_DAY // US_PER_S

_MODEL_ERR_MAG_PER_D, _MODEL_ERR, _KILONOVA_ERR = 0.03, 0.1, 0.3
"""No model is better than this, and than this fraction of the rate; kilonovae are known least."""
_MAG_OF_E_FOLD = 2.5 / math.log(10.0)

_DECAY_INDEX, _DECAY_INDEX_SIGMA = 1.2, 0.5
_DECAY_INDEX_RANGE = (0.5, 2.5)
"""Of afterglows: normal, cut off. The flatter ones are plateaus, the steeper ones are past the jet break (Kann et al.
2010, ApJ 720, 1513)."""
_AFTERGLOW_RISES_D = 0.5
"""How long they rise, on average: minutes to hours (Liang et al. 2010, ApJ 725, 2209), seldom days (GRB 970508)."""

_KILONOVA_PACE = {"u": 2.0, "g": 1.5, "r": 1.0, "i": 0.7, "z": 0.55, "y": 0.45}
"""How fast AT2017gfo faded in each band, in units of r (Villar et al. 2017, ApJ 851, L21)."""
_KILONOVA_FADES = RateDensity.of_cumulative(log_normal_below(1.0, 0.5))
"""In r: 99 % faster than the 0.3 mag/d of ZTFReST (Andreoni et al. 2021, ApJ 918, 63)."""
_KILONOVA_RISES = RateDensity.of_cumulative(lambda rate: 1.0 - log_normal_below(2.0, 0.5)(-rate))
"""In r: 92 % faster than ZTFReST's 1 mag/d, and in i 98 % faster than its 0.5."""
_KILONOVA_LINGERS = RateDensity.of_cumulative(normal_below(0.0, 0.25))
"""From before the peak to after it, or on a plateau."""
_KILONOVA_LASTS_D = {"u": 4.0, "g": 6.0, "r": 8.0, "i": 10.0, "z": 10.0, "y": 10.0}
"""ZTFReST: what has not changed fast for so long is none."""

_SUPERNOVA_RISE_INDEX = -2
"""Flux ~ t^2 (Riess et al. 1999, AJ 118, 2675)..."""
_SUPERNOVA_RISES_D = (8.0, 12.0, 16.0, 20.0)
"""...for 8 to 20 d..."""
_SUPERNOVA_FADES_MAG_PER_D = 0.07
"""...and then a slow decline."""
_SUPERNOVA_ERR_MAG_PER_D, _SUPERNOVA_ERR = 0.04, 0.3
"""Which is a rough description."""

_AFTERGLOW_COLOUR = (0.3, 0.15, 0.35)
"""Mode of g - r, and scatter below and above it."""

_LIMITS_SCATTER_MAG = 0.7
"""Of the depths of two visits in different bands or nights."""
_SPURIOUS = 0.02
"""That a detection before the trigger was of something else, or a visit after it failed to see a bright source."""
_EARLY_S = 100.0
"""Bursts have precursors, exposures last, and trigger times have errors."""


def class_priors(messenger: Messenger) -> Mapping[SourceClass, float]:
    """What the optical counterpart of a trigger is, before anything is known of it; the sum is 1.

    These are choices, of what a survey would find first, in round numbers:

    - gamma rays and X-rays: an afterglow. Of the nearest long bursts (some 5 of 100 with an afterglow in a survey's
      reach) a supernova is seen days later, of the nearest short ones a kilonova. Fast X-ray transients without gamma
      rays have shown more supernovae.
    - gravitational waves: a kilonova, whose light goes everywhere, before an afterglow, whose jet must point at us.
    - neutrinos: of these three a supernova that meets dense gas or hides a jet, which is a slow source. What flares of
      nuclei look like is nearest to that, too.
    - others: nobody knows.
    """
    return _PRIORS.get(messenger, _NO_PRIORS)


def _priors(afterglow: float, kilonova: float, supernova: float) -> Mapping[SourceClass, float]:
    return MappingProxyType(
        {SourceClass.AFTERGLOW: afterglow, SourceClass.KILONOVA: kilonova, SourceClass.SUPERNOVA: supernova}
    )


_PRIORS = {
    Messenger.GAMMA_RAY: _priors(0.94, 0.01, 0.05),
    Messenger.X_RAY: _priors(0.88, 0.02, 0.10),
    Messenger.GRAVITATIONAL_WAVE: _priors(0.15, 0.80, 0.05),
    Messenger.NEUTRINO: _priors(0.20, 0.05, 0.75),
}
_NO_PRIORS = _priors(0.34, 0.33, 0.33)


def rate_terms(
    lines: Sequence[Line], background: RateHistogram, compared: Compared = ANYTHING
) -> dict[SourceClass, float]:
    """Logarithm of the likelihood ratio of each class to the background, of the rates in one or more bands.

    The rates of an object in several bands are not independent. Each model is a shape, which gives the rate in each
    band, times one number for the whole object whose distribution is known: the decay index of an afterglow, the pace
    of a kilonova, the rate itself of what is unrelated.

    Parameters
    ----------
    lines
        One a band, of points after the trigger; none is nothing to judge.
    background
        How fast unrelated objects change.
    compared
        The object with which of them.
    """
    if not lines:
        return dict.fromkeys(SourceClass, 0.0)
    seen, bands = _Rates(lines, _MODEL_ERR), _Rates(lines, _KILONOVA_ERR)
    rate, err, log_scale = seen.scaled([1.0] * len(lines))
    common = MeasuredRate.of(rate, err)
    unknown = log_scale + math.log(FLAT.seen(common))
    if len(lines) > 1:
        each = zip(seen.rates, seen.errs, strict=True)
        unknown = _log_mean([unknown, math.fsum([math.log(FLAT.seen(MeasuredRate.of(*one))) for one in each])])
    unrelated = _over(log_scale + math.log(background.seen(seen.best.band, common, compared)), unknown)
    decays = [line.slope_of([_MAG_OF_E_FOLD * math.log(time_d) for time_d in line.times_d]) for line in lines]
    return {
        SourceClass.AFTERGLOW: _over(_afterglow(seen, decays), unknown) - unrelated,
        SourceClass.KILONOVA: _over(_kilonova(bands), unknown) - unrelated,
        SourceClass.SUPERNOVA: _over(_supernova(seen, decays), unknown) - unrelated,
    }


def colour_terms(
    g_minus_r: float, err_mag: float, time_d: float, unrelated: UnrelatedColours = UnrelatedColours.FALLBACK
) -> dict[SourceClass, float]:
    """Logarithm of the likelihood ratio of each class to the background, of a colour g - r so long after the trigger.

    Afterglows have that of synchrotron light, about 0.3 (Simon et al. 2001, A&A 377, 450), and are reddened by dust, by
    some tenths; what is bluer is seldom one (Ho et al. 2022, ApJ 938, 85). Kilonovae redden by half a magnitude a day
    (AT2017gfo, Villar et al. 2017); young supernovae are about as blue as what is unrelated.
    """
    least, largest = COLOUR_RANGE_MAG
    colour = min(max(g_minus_r, least), largest)
    unknown = OUTLIERS / (largest - least)

    def log_likelihood(mean: float, bluer: float, redder: float) -> float:
        """Of two halves of normal distributions that meet in the mode."""
        # Each half has the share in the probability that makes them meet; far away from both it makes no difference.
        of_half = bluer if colour < mean else redder
        share = 2.0 * of_half / (bluer + redder)
        return math.log((1 - OUTLIERS) * share * math.exp(_log_normal(colour - mean, of_half)) + unknown)

    reddened = 0.5 * min(max(time_d, 0.0), 4.0) - 0.15
    of_class = {
        SourceClass.AFTERGLOW: _AFTERGLOW_COLOUR,
        SourceClass.KILONOVA: (reddened, 0.35, 0.35),
        SourceClass.SUPERNOVA: (0.15, 0.30, 0.30),
    }
    sigma = max(unrelated.scatter_mag, err_mag)  # in which there are errors
    of_unrelated = log_likelihood(unrelated.mean_mag, sigma, sigma)
    return {
        name: log_likelihood(mean, math.hypot(bluer, err_mag), math.hypot(redder, err_mag)) - of_unrelated
        for name, (mean, bluer, redder) in of_class.items()
    }


def onset_terms(after_s: float | None, before_s: float) -> dict[SourceClass, float]:
    """Logarithm of the likelihood ratio of each class to the background, of when an object began; never above 0.

    Something unrelated begins at any time. A counterpart begins at the trigger: if it was detected before, that
    detection was spurious. If it was missed at ``after_s`` after the trigger and seen at ``before_s``, it was still
    rising then, or that visit was less deep, by the magnitudes that the class fades by from then on. An interval that
    contains the trigger is no evidence: it takes no more than a visit before and one after, which says how often the
    survey looks. Nor is a short delay: who weighs the delay by what the survey could see in between (nights visited and
    missed) leaves this term out where ``after_s`` is above 0, as it is of the same visit.

    Parameters
    ----------
    after_s
        Last visit that did not see it, relative to the trigger; None if none is known.
    before_s
        First detection, relative to the trigger.
    """
    if before_s < 0:
        early = math.log(_SPURIOUS + (1 - _SPURIOUS) * math.exp(before_s / _EARLY_S))
        return dict.fromkeys(SourceClass, early)
    if after_s is None or not 0 < after_s < before_s:
        return dict.fromkeys(SourceClass, 0.0)
    missed_d, seen_d = after_s / S_PER_D, before_s / S_PER_D
    return {name: math.log(_missed(name, missed_d, seen_d)) for name in SourceClass}


class _Rates:
    """The rates of an object in its bands, with the errors of a model that is right within a fraction of the rate."""

    def __init__(self, lines: Sequence[Line], model_err: float) -> None:
        self.lines = lines
        self.rates = [line.mag_per_d for line in lines]
        self.errs = [math.hypot(line.mag_per_d_err, _MODEL_ERR_MAG_PER_D, model_err * line.mag_per_d) for line in lines]
        self.best = min(lines, key=attrgetter("mag_per_d_err"))

    def scaled(self, shape: Sequence[float]) -> tuple[float, float, float]:
        """These rates as one measurement of what the shape, a rate for each band, is to be multiplied by.

        Returns
        -------
        factor, err
            Its value and error.
        log_scale
            The likelihood of the rates, given a true factor, is that of measuring this one times e to this.
        """
        weights = [1.0 / err**2 for err in self.errs]
        # Long after the trigger shapes that depend on its time become flat, to the last digit: then any factor will do.
        moment = max(math.fsum([w * s * s for w, s in zip(weights, shape, strict=True)]), 1e-30)
        factor = math.fsum([w * s * r for w, s, r in zip(weights, shape, self.rates, strict=True)]) / moment
        err = moment**-0.5
        log_each = [
            _log_normal(rate - factor * of_band, of_rate)
            for rate, of_rate, of_band in zip(self.rates, self.errs, shape, strict=True)
        ]
        return factor, err, math.fsum(log_each) - _log_normal(0.0, err)


def _over(log_likelihood: float, log_unknown: float) -> float:
    """Logarithm of a likelihood with outliers in it, over that of an outlier; finite for any, also minus infinity."""
    excess = min(log_likelihood - log_unknown, 700.0)
    return math.log((1 - OUTLIERS) * math.exp(excess) + OUTLIERS)


def _afterglow(seen: _Rates, decays: Sequence[float]) -> float:
    index, err, log_scale = seen.scaled(decays)
    risen_d = max([line.times_d[0] for line in seen.lines if line.after_rise], default=0.0)
    return log_scale + _log_of_truncated(index, err) - max(risen_d, 0.0) / _AFTERGLOW_RISES_D


def _log_of_truncated(index: float, err: float) -> float:
    """Density of measuring a decay index with this error, if true ones are normal and cut off."""
    sigma = math.hypot(err, _DECAY_INDEX_SIGMA)
    share = (_DECAY_INDEX_SIGMA / sigma) ** 2
    true, true_err = _DECAY_INDEX + share * (index - _DECAY_INDEX), err * math.sqrt(share)
    inside = _normal_between(true, true_err, *_DECAY_INDEX_RANGE)
    if inside <= 0:
        return -math.inf
    return _log_normal(index - _DECAY_INDEX, sigma) + math.log(inside / _DECAY_INDEX_INSIDE)


def _kilonova(seen: _Rates) -> float:
    shape = [_KILONOVA_PACE.get(line.band, 1.0) for line in seen.lines]
    factor, err, log_scale = seen.scaled(shape)
    best, pace = seen.best, MeasuredRate.of(factor, err)
    rises = 0.35 * math.exp(-max(best.middle_d, 0.0))
    lingers = 0.35 / (1.0 + (best.times_d[-1] / _KILONOVA_LASTS_D.get(best.band, 8.0)) ** 4)
    fades = 1.0 - rises - lingers
    density = math.fsum(
        [
            rises * _KILONOVA_RISES.seen(pace),
            lingers * _KILONOVA_LINGERS.seen(pace),
            fades * _KILONOVA_FADES.seen(pace),
        ]
    )
    return log_scale + math.log(density)


def _supernova(seen: _Rates, decays: Sequence[float]) -> float:
    return _log_mean([math.fsum(_of_supernova(seen, decays, rise_d)) for rise_d in _SUPERNOVA_RISES_D])


def _of_supernova(seen: _Rates, decays: Sequence[float], rise_d: float) -> Iterator[float]:
    for line, rate, err, decay in zip(seen.lines, seen.rates, seen.errs, decays, strict=True):
        if line.times_d[-1] <= rise_d:
            expected = _SUPERNOVA_RISE_INDEX * decay
        else:
            expected = line.slope_of([_supernova_mag(time_d, rise_d) for time_d in line.times_d])
        yield _log_normal(rate - expected, math.hypot(err, _SUPERNOVA_ERR_MAG_PER_D, _SUPERNOVA_ERR * expected))


def _supernova_mag(time_d: float, rise_d: float) -> float:
    """Magnitude above that of the peak."""
    if time_d < rise_d:
        return _SUPERNOVA_RISE_INDEX * _MAG_OF_E_FOLD * math.log(time_d / rise_d)
    return _SUPERNOVA_FADES_MAG_PER_D * (time_d - rise_d)


def _missed(name: SourceClass, missed_d: float, seen_d: float) -> float:
    """That a counterpart that was seen had been missed before, against what is unrelated."""
    match name:
        case SourceClass.AFTERGLOW:
            rises_d = 300.0 / S_PER_D
            fades_mag = 2.5 * _DECAY_INDEX * math.log10(max(seen_d / max(missed_d, rises_d), 1.0))
        case SourceClass.KILONOVA:
            rises_d = 0.5
            fades_mag = max(seen_d - max(missed_d, rises_d), 0.0)
        case SourceClass.SUPERNOVA:
            rises_d = max(_SUPERNOVA_RISES_D)
            fades_mag = _SUPERNOVA_FADES_MAG_PER_D * max(seen_d - max(missed_d, rises_d), 0.0)
    less_deep = math.erfc(fades_mag / _LIMITS_SCATTER_MAG / math.sqrt(2))
    still_rising = math.exp(-missed_d / rises_d)
    likely = still_rising + (1 - still_rising) * less_deep
    return _SPURIOUS + (1 - _SPURIOUS) * likely


def _log_mean(logs: Sequence[float]) -> float:
    """Logarithm of the mean of values whose logarithms these are."""
    most = max(logs)
    return most + math.log(math.fsum([math.exp(each - most) for each in logs]) / len(logs))


def _log_normal(offset: float, sigma: float) -> float:
    """Logarithm of the normal density; minus infinity where the offset is too large for floats."""
    in_sigma = offset / sigma
    return -0.5 * in_sigma * in_sigma - math.log(sigma * math.sqrt(2 * math.pi))


def _normal_between(mean: float, sigma: float, low: float, high: float) -> float:
    scale = sigma * math.sqrt(2)
    if mean < low:
        return 0.5 * (math.erfc((low - mean) / scale) - math.erfc((high - mean) / scale))
    return 0.5 * (math.erfc((mean - high) / scale) - math.erfc((mean - low) / scale))


_DECAY_INDEX_INSIDE = _normal_between(_DECAY_INDEX, _DECAY_INDEX_SIGMA, *_DECAY_INDEX_RANGE)
