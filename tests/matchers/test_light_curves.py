import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.random import Generator

from bridges.simulator.detections import Camera, Nature, Neighbours, Source
from bridges.simulator.light_curves import Afterglow, Kilonova, LightCurve, Outburst, Supernova, Variable
from bridges.simulator.survey import fields, observe
from matchers.colours import COLOURS, UnrelatedColours
from matchers.light_curves import evidence
from matchers.rates import BINS, GROUPS, RateHistogram, bins_of
from matchers.unrelated import UNMEASURED, UnrelatedCurves
from schemas.records import Measurement
from schemas.statistics import LightCurveEvidence, Rate, SourceClass
from schemas.times import US_PER_DAY, us_from_iso

AFTERGLOW, KILONOVA, SUPERNOVA = SourceClass
T0 = us_from_iso("2026-10-08T20:00:00Z")
NIGHTS = 20


def point(time_d: float, band: str, mag: float | None, err: float | None = 0.1) -> Measurement:
    return Measurement(1, T0 + round(time_d * US_PER_DAY), band, mag, err)


def told(
    *points: Measurement,
    first_d: float | None = None,
    missed_d: float | None = None,
    trigger_us: int = T0,
    background: UnrelatedCurves = UNMEASURED,
) -> LightCurveEvidence:
    earliest_us = min((one.time_us for one in points), default=T0)
    return evidence(
        points,
        trigger_time_us=trigger_us,
        first_detection_us=earliest_us if first_d is None else T0 + round(first_d * US_PER_DAY),
        last_non_detection_us=None if missed_d is None else T0 + round(missed_d * US_PER_DAY),
        background=background,
    )


def test_an_afterglow_by_hand():
    found = told(
        *(point(t, "r", 18 + 2.5 * math.log10(t)) for t in (1.0, 10.0)),
        *(point(t, "g", 18.5 + 2.5 * math.log10(t)) for t in (1.0, 10.0)),
        missed_d=-0.5,
    )
    assert [(rate.band, rate.points) for rate in found.rates] == [("g", 2), ("r", 2)]
    for rate in found.rates:
        assert (rate.mag_per_d, rate.mag_per_d_err) == pytest.approx((2.5 / 9, 0.1 * math.sqrt(2) / 9))
        assert rate.span_d == 9.0
    # Each band tells alpha with hypot(0.1, 0.1) over 2.5 mag.
    assert (found.decay_index, found.decay_index_err) == pytest.approx((1.0, 0.04))
    assert found.colour_bands == "g-r"
    assert (found.colour_mag, found.colour_err_mag) == pytest.approx((0.5, math.hypot(0.1, 0.1)))
    assert (found.onset_after_s, found.onset_before_s) == (-43_200.0, 86_400.0)
    assert set(found.log_likelihood_ratio) == {"afterglow", "kilonova", "supernova"}
    assert found.log_likelihood_ratio["afterglow"] > 0


def test_one_point_tells_its_onset_only():
    assert told(point(2.0, "r", 19.0)) == LightCurveEvidence(
        onset_before_s=172_800.0, log_likelihood_ratio=dict.fromkeys(SourceClass, 0.0)
    )
    found = told(point(2.0, "r", 19.0), missed_d=0.2)
    assert found.onset_after_s == pytest.approx(17_280)
    assert found.log_likelihood_ratio[AFTERGLOW] < -3


def test_no_points_tell_nothing_but_what_is_known_of_the_onset():
    assert told(first_d=1.0) == replace(told(point(1.0, "r", 19.0)), onset_before_s=86_400.0)
    assert told(point(1.0, "r", None), point(2.0, "r", math.nan), first_d=1.0) == told(first_d=1.0)


def test_points_too_near_in_time_have_a_colour_and_no_rate():
    found = told(point(1.0, "g", 19.4, 0.03), point(1.01, "r", 19.0, 0.04), point(1.015, "g", 19.4, 0.05))
    assert found.rates == ()
    assert found.decay_index is None
    assert found.colour_mag == pytest.approx(0.4)
    assert found.colour_err_mag == pytest.approx(math.hypot(0.03, 0.04, 0.01))


def test_a_colour_is_taken_at_one_time_by_the_rate():
    fading = [point(t, band, 19 + (band == "g") * 0.3 + 0.8 * t, 0.02) for t, band in
              ((0.0, "g"), (0.4, "r"), (1.0, "g"), (1.4, "r"))]  # fmt: skip
    found = told(*fading)
    assert found.colour_mag == pytest.approx(0.3)
    rate_err = math.hypot(0.02 * math.sqrt(2), 0.02 * math.sqrt(2)) / 2
    assert found.colour_err_mag == pytest.approx(math.hypot(0.02, 0.02, 0.4 * rate_err))
    # Without a rate the difference in time makes the colour uncertain, by 1 mag/d.
    assert told(*fading[:2]).colour_err_mag == pytest.approx(math.hypot(0.02, 0.02, 0.4))


def test_the_colour_is_of_one_night_and_of_the_first_pair_of_bands_that_has_one():
    assert told(point(1.0, "g", 19.0), point(1.6, "r", 19.0)).colour_mag is None
    found = told(point(1.0, "g", 19.5), point(1.6, "r", 19.0), point(1.7, "i", 18.8))
    assert (found.colour_bands, found.colour_mag) == ("r-i", pytest.approx(0.2))
    assert max(map(abs, found.log_likelihood_ratio.values())) == 0
    assert told(point(1.0, "u", 19.5), point(1.1, "q", 19.0)).colour_bands == ""


def test_after_a_rise_the_rate_is_that_of_the_decline():
    found = told(*(point(t, "r", mag) for t, mag in ((1, 20.0), (2, 18.5), (3, 18.9), (4, 19.3))))
    assert found.rates == (Rate("r", pytest.approx(0.4), pytest.approx(0.1 / math.sqrt(2)), 3, 2.0),)


def test_only_what_follows_the_trigger_is_judged():
    after = [point(t, "r", 18 + 3 * math.log10(t)) for t in (0.5, 1.5, 2.5)]
    before = [point(-t, "r", 17.0 - 0.1 * t) for t in (0.5, 1.5)]
    seen_before = told(*before, *after, first_d=0.5)
    assert seen_before.rates[0].points == 5
    assert seen_before.log_likelihood_ratio == pytest.approx(told(*after).log_likelihood_ratio)
    assert seen_before.decay_index == pytest.approx(1.2)
    # That it was seen before counts once more, and against all.
    early = told(*before, *after).log_likelihood_ratio
    for name, ratio in told(*after).log_likelihood_ratio.items():
        assert early[name] == pytest.approx(ratio + math.log(0.02))
    only_before = told(*before)
    assert only_before.decay_index is None
    assert only_before.rates[0].points == 2
    assert only_before.log_likelihood_ratio == dict.fromkeys(SourceClass, pytest.approx(math.log(0.02)))


POINTS = st.lists(
    st.builds(
        point,
        st.floats(-5.0, 20.0),
        st.sampled_from(["g", "r", "i"]),
        st.none() | st.floats(10.0, 25.0),
        st.none() | st.floats(0.01, 1.0),
    ),
    max_size=8,
)
BACKGROUNDS = st.lists(st.integers(0, 10**4), min_size=BINS, max_size=BINS).map(
    lambda counts: UnrelatedCurves(
        RateHistogram.measured(np.array([[counts] * len(GROUPS)] * COLOURS)),
        UnrelatedColours.measured(np.array(counts) / 10**4),
    )
)


def test_it_is_compared_with_others_of_its_colour_and_not_with_itself():
    red = [
        point(t, band, mag + fainter)
        for t, mag in ((2.0, 19.0), (4.0, 20.0))
        for band, fainter in (("g", 0.5), ("r", 0))
    ]
    blue = [replace(one, mag=one.mag - 0.8) if one.band == "g" and one.mag else one for one in red]
    counts = np.zeros((COLOURS, len(GROUPS), BINS), np.int64)
    counts[0, :, bins_of(np.array([0.5]))] = 1000
    all_fade = UnrelatedCurves(RateHistogram.measured(counts), UnrelatedColours.FALLBACK)
    counts[0], counts[COLOURS - 2, :, bins_of(np.array([-0.1]))] = 0, 1000
    rising = RateHistogram.measured(counts)
    counts[COLOURS - 2, :, bins_of(np.array([0.5]))] = 1
    with_it = RateHistogram.measured(counts)

    def afterglow(points: list[Measurement], rates: RateHistogram) -> float:
        curves = UnrelatedCurves(rates, UnrelatedColours.FALLBACK)
        return told(*points, background=curves).log_likelihood_ratio[AFTERGLOW]

    assert afterglow(red, all_fade.rates) > afterglow(blue, all_fade.rates) + 2
    assert afterglow(red, with_it) == pytest.approx(afterglow(red, rising), abs=0.05)
    others = counts.copy()
    others[COLOURS - 2, :, bins_of(np.array([0.5]))] = 2
    assert afterglow(red, RateHistogram.measured(others)) < afterglow(red, with_it) - 0.2


@given(POINTS, st.randoms(use_true_random=False))
def test_the_order_of_points_makes_no_difference(points, random):
    shuffled = random.sample(points, len(points))
    assert told(*shuffled, first_d=0.3) == told(*points, first_d=0.3)


@given(POINTS, st.integers(-(10**16), 10**16))
def test_only_times_since_the_trigger_count(points, shift_us):
    moved = [replace(one, time_us=one.time_us + shift_us) for one in points]
    assert evidence(
        moved,
        trigger_time_us=T0 + shift_us,
        first_detection_us=T0 + shift_us + 5,
        last_non_detection_us=T0 + shift_us - 7,
        background=UNMEASURED,
    ) == evidence(
        points,
        trigger_time_us=T0,
        first_detection_us=T0 + 5,
        last_non_detection_us=T0 - 7,
        background=UNMEASURED,
    )


@given(POINTS, st.floats(-3.0, 3.0))
def test_a_band_that_is_fainter_changes_the_colour_only(points, fainter):
    assume(len({one.time_us for one in points}) == len(points))  # or the brightest of an instant may be another
    other = [replace(one, mag=one.mag + fainter) if one.band == "g" and one.mag is not None else one for one in points]
    before, after = told(*points), told(*other)
    for one, two in zip(before.rates, after.rates, strict=True):
        assert (two.band, two.points, two.span_d) == (one.band, one.points, one.span_d)
        assert two.mag_per_d == pytest.approx(one.mag_per_d, abs=1e-6 * two.mag_per_d_err)
        assert two.mag_per_d_err == pytest.approx(one.mag_per_d_err)
    if before.decay_index is not None:
        assert after.decay_index == pytest.approx(before.decay_index, abs=1e-6 * before.decay_index_err)
        assert after.decay_index_err == pytest.approx(before.decay_index_err)
    if before.colour_bands in {"g-r", "g-i"}:
        assert after.colour_mag == pytest.approx(before.colour_mag + fainter)
    else:
        assert after.colour_mag == before.colour_mag
    assert (after.onset_after_s, after.onset_before_s) == (before.onset_after_s, before.onset_before_s)


ANY_POINT = st.builds(
    Measurement,
    alert_id=st.just(1),
    time_us=st.integers(-(2**63), 2**63 - 1) | st.integers(T0 - 10**11, T0 + 10**12),
    band=st.sampled_from(["g", "r", "i", "u", "", "weird"]),
    mag=st.none() | st.floats() | st.floats(15, 22),
    mag_err=st.none() | st.floats() | st.floats(0.01, 0.3),
)


@given(
    st.lists(ANY_POINT, max_size=12),
    st.integers(-(2**63), 2**63 - 1) | st.just(T0),
    st.integers(-(2**63), 2**63 - 1) | st.integers(T0 - 10**11, T0 + 10**12),
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(T0 - 10**11, T0 + 10**12),
    st.just(UNMEASURED) | BACKGROUNDS,
)
def test_whatever_is_told_all_numbers_are_finite(points, trigger_us, first_us, missed_us, background):
    found = evidence(
        points,
        trigger_time_us=trigger_us,
        first_detection_us=first_us,
        last_non_detection_us=missed_us,
        background=background,
    )
    numbers = [
        *(number for rate in found.rates for number in (rate.mag_per_d, rate.mag_per_d_err, rate.span_d)),
        *(
            getattr(found, name)
            for name in LightCurveEvidence.__slots__
            if name.endswith(("_s", "_mag", "_index", "_err"))
        ),
        *found.log_likelihood_ratio.values(),
    ]
    assert all(math.isfinite(number) for number in numbers if number is not None)
    assert max(map(abs, found.log_likelihood_ratio.values())) < 40
    assert [rate.band for rate in found.rates] == sorted(rate.band for rate in found.rates)


# What the simulator's own sources look like to a survey of ZTF's cadence, depth and errors.


def afterglow(random: Generator, trigger_us: int) -> Afterglow:
    index = float(np.clip(random.normal(1.2, 0.25), 0.7, 2.0))
    return Afterglow(trigger_us, random.normal(19.0, 1.3), index, random.normal(0.75, 0.15), random.lognormal(0.6, 0.5))


def kilonova(random: Generator, trigger_us: int) -> Kilonova:
    return Kilonova(trigger_us, random.uniform(30.0, 120.0), random.normal(0.0, 0.3))


def supernova(random: Generator, trigger_us: int) -> Supernova:
    return Supernova(
        trigger_us,
        random.uniform(15.5, 18.0),
        random.uniform(8, 20),
        random.uniform(0.02, 0.12),
        random.normal(0.1, 0.25),
    )


def other_supernova(random: Generator, trigger_us: int) -> Supernova:
    return supernova(random, trigger_us + int(random.uniform(-6.0, 6.0) * US_PER_DAY))


def outburst(random: Generator, trigger_us: int) -> Outburst:
    start_us = trigger_us + int(random.uniform(0.0, 8.0) * US_PER_DAY)
    peak_mag, rate = random.uniform(16.5, 20.0), random.uniform(0.05, 0.2)
    return Outburst(start_us, peak_mag, rate, random.uniform(2.0, 12.0), 1.0, -0.05)


def variable(random: Generator, trigger_us: int) -> Variable:  # noqa: ARG001 - it varies for ever
    return Variable(
        random.uniform(16, 19.5), random.uniform(0.1, 0.6), 10 ** random.uniform(-0.6, 2.0), random.uniform()
    )


@cache
def seen(draw: Callable[[Generator, int], LightCurve], cadence_nights: int, number: int) -> list[LightCurveEvidence]:
    """What is told of so many sources that have a rate, none of which was detected before the trigger."""
    random = np.random.default_rng(20261008)
    camera = Camera(random, observe(random, T0, range(-2, NIGHTS), cadence_nights))
    numbers, found = list(camera.rows_of_field), []
    for _ in range(100 * number):
        ra_deg, dec_deg = fields().draw_inside(random, numbers[int(random.integers(len(numbers)))])
        trigger_us = T0 + int(random.uniform(0.0, 10.0) * US_PER_DAY)
        source = Source(Nature.AFTERGLOW, "", ra_deg, dec_deg, draw(random, trigger_us), Neighbours())
        detections = camera.look(source)
        if isinstance(source.light_curve, Variable):
            detections = [one for one in detections if one.time_us > trigger_us]
        if len(detections) < 2 or detections[0].time_us < trigger_us:
            continue
        first_us = detections[0].time_us
        visits_us = camera.visits.time_us[camera.rows_at(ra_deg, dec_deg)]
        bands = ["gr"[int(camera.visits.fid[one.visit]) - 1] for one in detections]
        one = evidence(
            [Measurement(d.candid, d.time_us, b, d.mag, d.mag_err) for d, b in zip(detections, bands, strict=True)],
            trigger_time_us=trigger_us,
            first_detection_us=first_us,
            last_non_detection_us=max(visits_us[visits_us < first_us].tolist(), default=None),
            background=UNMEASURED,
        )
        if one.rates:
            found.append(one)
            if len(found) == number:
                return found
    raise AssertionError("too few")


def ratios(found: list[LightCurveEvidence], name: SourceClass) -> np.ndarray:
    return np.array([one.log_likelihood_ratio[name] for one in found])


@pytest.mark.parametrize(
    ("draw", "name", "cadence_nights", "right"),
    [
        (afterglow, AFTERGLOW, 2, 0.95),
        (afterglow, AFTERGLOW, 1, 0.95),
        (kilonova, KILONOVA, 1, 0.9),
        (supernova, SUPERNOVA, 2, 0.65),
    ],
)
def test_the_right_class_is_likelier_than_the_background(draw, name, cadence_nights, right):
    found = ratios(seen(draw, cadence_nights, 120), name)
    assert (found > 0).mean() >= right
    # A supernova is much like what is unrelated, of which supernovae are the most.
    assert np.median(found) > (0.2 if draw is supernova else 2)


@pytest.mark.parametrize("draw", [other_supernova, outburst, variable])
@pytest.mark.parametrize("name", [AFTERGLOW, KILONOVA])
def test_what_is_unrelated_is_rarely_likelier_than_the_background(draw, name):
    found = ratios(seen(draw, 2, 120), name)
    assert (found > 0).mean() <= 0.2
    # The mean of a likelihood ratio is 1 under what it is compared with, so high ones must be rare.
    assert np.exp(found).mean() < 2


@pytest.mark.parametrize(
    ("draw", "name", "least"), [(afterglow, AFTERGLOW, 0.97), (kilonova, KILONOVA, 0.97), (supernova, SUPERNOVA, 0.75)]
)
def test_sources_come_before_the_background_when_sorted_by_the_ratio(draw, name, least):
    """Area under the curve of true against false positives: that a random source has more than a random other."""
    sources = ratios(seen(draw, 1 if draw is kilonova else 2, 120), name)
    others = np.concatenate([ratios(seen(other, 2, 120), name) for other in (other_supernova, outburst)])
    assert (sources[:, None] > others).mean() > least


def test_decay_indices_are_right_within_their_errors():
    random, pulls = np.random.default_rng(12), []
    camera = Camera(random, observe(random, T0, range(NIGHTS), 1))
    rows_of_fields = list(camera.rows_of_field.values())
    while len(pulls) < 800:
        rows = rows_of_fields[int(random.integers(len(rows_of_fields)))]
        trigger_us = int(camera.visits.time_us[rows[0]]) - int(random.uniform(0.02, 1.0) * US_PER_DAY)
        alpha = random.uniform(0.5, 2.5)
        curve = Afterglow(trigger_us, random.uniform(17.0, 19.0), alpha, break_d=1e9)
        times_us, fid = camera.visits.time_us[rows], camera.visits.fid[rows]
        true_mag = curve.mag(times_us, fid)
        # What is drawn of all visits that are deep enough: which detections are stored is another matter.
        deep = true_mag < camera.visits.limit_mag[rows]
        err = np.hypot(1.0857 / 5 * 10 ** (0.4 * (true_mag - camera.visits.limit_mag[rows])), 0.02)
        mag = random.normal(true_mag, err)
        columns = [column[deep].tolist() for column in (times_us, fid, mag, err)]
        points = [Measurement(1, time_us, "gr"[band - 1], *told) for time_us, band, *told in zip(*columns, strict=True)]
        found = told(*points, trigger_us=trigger_us)
        if found.decay_index is not None:
            pulls.append((found.decay_index - alpha) / found.decay_index_err)
    assert np.mean(pulls) == pytest.approx(0, abs=0.12)
    assert np.std(pulls) == pytest.approx(1, abs=0.08)
    assert np.mean(np.abs(pulls) < 1) == pytest.approx(0.683, abs=0.05)
