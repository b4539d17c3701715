import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matchers.colours import COLOURS, UnrelatedColours
from matchers.rates import BINS, GROUPS, Compared, MeasuredRate, RateHistogram, bins_of
from matchers.slopes import Line, Point, line
from matchers.source_classes import class_priors, colour_terms, onset_terms, rate_terms
from schemas.records import Messenger
from schemas.statistics import SourceClass

AFTERGLOW, KILONOVA, SUPERNOVA = SourceClass
FALLBACK = RateHistogram.FALLBACK
DAY_S = 86_400.0
FINITE = st.floats(allow_nan=False, allow_infinity=False)
TIMES = st.floats(1e-11, 1e13)


def straight(rate: float, err: float, times_d: tuple[float, float] = (1.0, 3.0), band: str = "r") -> Line:
    """A line of two points with this slope and this error of it."""
    start, end = times_d
    each = err * (end - start) / math.sqrt(2)
    found = line(band, [Point(start, 18.0, each), Point(end, 18.0 + rate * (end - start), each)])
    assert found is not None
    return found


def judged(rate: float, err: float = 0.05, times_d: tuple[float, float] = (1.0, 3.0), band: str = "r") -> dict:
    return rate_terms([straight(rate, err, times_d, band)], FALLBACK)


@pytest.mark.parametrize("messenger", Messenger)
def test_priors_are_probabilities(messenger):
    priors = class_priors(messenger)
    assert set(priors) == set(SourceClass)
    assert sum(priors.values()) == pytest.approx(1)
    assert min(priors.values()) > 0


def test_priors_tell_bursts_from_mergers_and_neutrinos():
    def likeliest(messenger: Messenger) -> SourceClass:
        return max(class_priors(messenger), key=class_priors(messenger).__getitem__)

    assert [likeliest(one) for one in (Messenger.GAMMA_RAY, Messenger.X_RAY)] == [AFTERGLOW, AFTERGLOW]
    assert likeliest(Messenger.GRAVITATIONAL_WAVE) == KILONOVA
    assert likeliest(Messenger.NEUTRINO) == SUPERNOVA


def test_without_a_rate_there_is_nothing_to_judge():
    assert rate_terms([], FALLBACK) == dict.fromkeys(SourceClass, 0.0)


def test_a_rate_that_nobody_knows_says_nothing():
    worst = [max(map(abs, judged(0.5, err).values())) for err in (0.1, 1.0, 10.0, 100.0)]
    assert worst == sorted(worst, reverse=True)
    assert worst[-1] < 0.1


def test_each_class_is_found_by_what_it_is_known_for():
    # alpha = 1.2 between 1 and 3 d is 3 log10(3) mag in 2 d.
    assert max(judged(0.716), key=judged(0.716).__getitem__) == AFTERGLOW
    fast_in_g = [straight(1.5, 0.1, band="g"), straight(0.9, 0.1, band="r"), straight(0.6, 0.1, band="i")]
    kilonova = rate_terms(fast_in_g, FALLBACK)
    assert max(kilonova, key=kilonova.__getitem__) == KILONOVA
    # Flux ~ t^2 from 3 to 8 d is 5 log10(8/3) mag in 5 d.
    supernova = judged(-0.426, times_d=(3.0, 8.0))
    assert max(supernova, key=supernova.__getitem__) == SUPERNOVA
    assert supernova[SUPERNOVA] > 1
    assert supernova[AFTERGLOW] < 0


def test_an_afterglow_by_hand():
    """The true rates are those of decay indices around 1.2, with 0.5; the cut at 0.5 and 2.5 leaves 91 %."""
    per_index = 2.5 * math.log10(3) / 2
    err = math.hypot(0.4, 0.03, 0.1 * 0.7)
    random = np.random.default_rng(2)
    index = random.normal(1.2, 0.5, 1_000_000)
    index = index[(index > 0.5) & (index < 2.5)]
    likelihood = np.mean(np.exp(-0.5 * ((0.7 - per_index * index) / err) ** 2)) / err / math.sqrt(2 * math.pi)
    ratio = math.log(likelihood) - math.log(FALLBACK.seen("r", MeasuredRate.of(0.7, err)))
    assert judged(0.7, 0.4)[AFTERGLOW] == pytest.approx(ratio, abs=0.05)


def test_the_faster_it_fades_the_more_it_is_a_kilonova():
    for band, most in (("g", 1.5), ("r", 1.0), ("i", 0.7)):
        terms = [judged(rate, 0.05, band=band)[KILONOVA] for rate in np.linspace(0.1, most, 12)]
        assert terms == sorted(terms)
        assert terms[0] < 0 < terms[-1]


def test_the_faster_it_rises_the_more_it_is_a_kilonova():
    for band, least in (("g", 1.0), ("r", 1.0), ("i", 0.5)):
        early = judged(-1.5 * least, 0.05, (0.3, 0.8), band)[KILONOVA]
        assert early > judged(-0.5 * least, 0.05, (0.3, 0.8), band)[KILONOVA]
        assert early > 1
        assert early > judged(-1.5 * least, 0.05, (5.3, 5.8), band)[KILONOVA] + 1


@pytest.mark.parametrize(("band", "lasts_d"), [("g", 6), ("r", 8), ("i", 10)])
def test_what_lasts_too_long_without_evolution_is_no_kilonova(band, lasts_d):
    terms = [judged(0.05, 0.02, (0.5, factor * lasts_d), band)[KILONOVA] for factor in (0.25, 0.5, 1, 2, 4)]
    assert terms == sorted(terms, reverse=True)
    assert terms[-1] < terms[0] - 1
    # It is the time in units of that band's which counts.
    assert terms[2] == pytest.approx(judged(0.05, 0.02, (0.5, 6.0), "g")[KILONOVA], abs=0.8)


def test_steeper_and_flatter_than_any_afterglow_speak_against_it():
    per_index = 2.5 * math.log10(3) / 2
    by_index = {index: judged(per_index * index)[AFTERGLOW] for index in (-1.0, 0.2, 0.8, 1.2, 1.8, 3.5, 6.0)}
    assert min(by_index[index] for index in (0.8, 1.2, 1.8)) > 1
    assert max(by_index[index] for index in (-1.0, 0.2)) < 0
    assert by_index[6.0] < by_index[3.5] < by_index[1.8]


def test_the_rates_of_two_bands_are_not_two_pieces_of_evidence():
    one = judged(0.7)
    two = rate_terms([straight(0.7, 0.05, band="g"), straight(0.7, 0.05, band="r")], FALLBACK)
    assert two[AFTERGLOW] == pytest.approx(one[AFTERGLOW], abs=0.7)
    assert one[AFTERGLOW] > 2


def test_the_background_is_that_of_the_store():
    counts = np.zeros((COLOURS, len(GROUPS), BINS), np.int64)
    counts[0, :, bins_of(np.array([0.7]))] = 10**6
    counts[1, :, bins_of(np.array([-0.7]))] = 10**6
    like, unlike = (
        rate_terms([straight(0.7, 0.05)], RateHistogram.measured(counts), Compared(colour))[AFTERGLOW]
        for colour in (0, 1)
    )
    assert like < 0 < judged(0.7)[AFTERGLOW] < unlike


def test_no_light_curve_decides_alone():
    for rate in (-1e3, -3.0, 0.0, 0.7, 1e3):
        assert max(map(abs, judged(rate, 0.01).values())) < 8


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["u", "g", "r", "i", "z", "y", "w"]),
            st.lists(st.builds(Point, TIMES, st.floats(-50, 60), st.floats(0.01, 10.0)), min_size=2, max_size=5),
        ),
        max_size=4,
        unique_by=lambda told: told[0],
    )
)
def test_rates_of_any_points_after_the_trigger_give_finite_terms(told):
    lines = [found for band, points in told if (found := line(band, sorted(points)))]
    assert all(map(math.isfinite, rate_terms(lines, FALLBACK).values()))


def test_colours_of_each_class():
    assert colour_terms(0.5, 0.1, 0.5)[AFTERGLOW] > 0 > colour_terms(-0.5, 0.1, 0.5)[AFTERGLOW]
    young, old = colour_terms(1.6, 0.1, 0.5), colour_terms(1.6, 0.1, 3.5)
    assert old[KILONOVA] > 2
    assert young[KILONOVA] < old[KILONOVA] - 1
    assert max(map(abs, colour_terms(0.3, 50.0, 1.0).values())) < 0.1


def test_a_colour_by_hand():
    # Halves of normal densities that meet at 0.3, with 0.15 below and 0.35 above, and a normal one around 0.08 +- 0.25;
    # both with 3 % of outliers over 8 mag.
    for colour, in_sigma in ((0.0, 0.3 / 0.15), (0.2, 0.1 / 0.15), (0.3, 0.0), (1.0, 0.7 / 0.35)):
        here = 0.97 * math.exp(-0.5 * in_sigma**2) / 0.25 / math.sqrt(2 * math.pi) + 0.03 / 8
        there = 0.97 * math.exp(-0.5 * ((colour - 0.08) / 0.25) ** 2) / 0.25 / math.sqrt(2 * math.pi) + 0.03 / 8
        assert colour_terms(colour, 0.0, 1.0)[AFTERGLOW] == pytest.approx(math.log(here / there))


@pytest.mark.parametrize("err", [0.0, 0.1, 1.0])
def test_colours_of_afterglows_are_as_likely_in_all(err):
    """Those of unrelated objects are as they were measured, with their errors."""
    colours = np.linspace(-3.0, 5.0, 4001)
    sigma = max(0.3, err)
    unrelated = 0.97 * np.exp(-0.5 * ((colours - 0.2) / sigma) ** 2)
    unrelated = unrelated / sigma / math.sqrt(2 * math.pi) + 0.03 / 8
    measured = UnrelatedColours(0.2, 0.3, 100)
    ratios = [math.exp(colour_terms(float(colour), err, 1.0, measured)[AFTERGLOW]) for colour in colours]
    assert np.trapezoid(ratios * unrelated, colours) == pytest.approx(1.0, abs=0.01)


def test_what_rose_for_days_before_it_faded_is_no_afterglow():
    fading = [straight(0.11, 0.01, (8.0, 16.0))]
    assert rate_terms(fading, FALLBACK)[AFTERGLOW] > 1
    risen = [replace(fading[0], after_rise=True)]
    terms = rate_terms(risen, FALLBACK)
    assert terms[AFTERGLOW] < -2
    assert terms[SUPERNOVA] == rate_terms(fading, FALLBACK)[SUPERNOVA]
    # Within the first hours they may still rise.
    early = straight(2.5, 0.2, (0.05, 0.2))
    rose = rate_terms([replace(early, after_rise=True)], FALLBACK)[AFTERGLOW]
    assert rose == pytest.approx(rate_terms([early], FALLBACK)[AFTERGLOW], abs=0.15)


@given(FINITE, st.floats(0, 1e300), st.floats(-1e13, 1e13))
def test_any_colour_gives_finite_terms(colour, err, time_d):
    assert all(map(math.isfinite, colour_terms(colour, err, time_d).values()))


NOTHING = dict.fromkeys(SourceClass, 0.0)


@pytest.mark.parametrize("after_s", [None, -20 * DAY_S, -1.0, 0.0])
@pytest.mark.parametrize("before_s", [0.0, 60.0, 10 * DAY_S])
def test_an_interval_that_contains_the_trigger_is_no_evidence(after_s, before_s):
    assert onset_terms(after_s, before_s) == NOTHING


def test_what_was_seen_before_the_trigger_began_before():
    terms = [onset_terms(None, before_s)[AFTERGLOW] for before_s in (0.0, -1.0, -30.0, -600.0, -DAY_S, -1e9)]
    assert terms == sorted(terms, reverse=True)
    assert terms[1] > -0.02
    assert terms[3] < -3
    assert terms[-1] == pytest.approx(math.log(0.02))
    assert onset_terms(-2 * DAY_S, -DAY_S) == dict.fromkeys(SourceClass, pytest.approx(math.log(0.02)))


def test_what_was_missed_after_the_trigger_speaks_against_what_is_brightest_at_once():
    missed = onset_terms(0.2 * DAY_S, 2 * DAY_S)
    assert missed[AFTERGLOW] < -3
    assert -1 < missed[KILONOVA] < -0.1
    assert missed[SUPERNOVA] == pytest.approx(0, abs=0.01)
    assert onset_terms(3 * DAY_S, 6 * DAY_S)[KILONOVA] < -3
    # A visit just before the first detection in another band, or seconds after the trigger, proves little.
    for after_s, before_s in ((1.0, 1800.0), (2 * DAY_S, 2.02 * DAY_S)):
        assert min(onset_terms(after_s, before_s).values()) > -0.1


def test_the_later_it_was_seen_after_a_miss_the_less_it_is_a_counterpart():
    for name in SourceClass:
        terms = [onset_terms(DAY_S, seen_d * DAY_S)[name] for seen_d in (1.01, 1.5, 2, 4, 8, 16, 40, 400)]
        assert terms == sorted(terms, reverse=True)


@given(st.none() | FINITE, FINITE)
def test_onsets_are_never_evidence_for_and_finite_against(after_s, before_s):
    for term in onset_terms(after_s, before_s).values():
        assert math.log(0.02) - 1e-9 <= term <= 0
