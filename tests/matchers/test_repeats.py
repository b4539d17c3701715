import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matchers.background import Background
from matchers.coverage import Coverage
from matchers.exposure import Exposure, FirstLooks
from matchers.objects import Objects
from matchers.repeats import SEEN_ONCE, Looked, Repeats, Seen, seen_of
from matchers.searched_sky import searched_sky
from matchers.visibility import CLASSES, CounterpartOptions, Visibility
from schemas.densities import skymap_of
from schemas.localisation import Cone
from schemas.pixels import pixels_of
from schemas.records import Alerts
from schemas.statistics import SourceClass
from schemas.times import US_PER_DAY, US_PER_S, us_from_iso

AFTERGLOW = CLASSES.index(SourceClass.AFTERGLOW)
NIGHT_US = us_from_iso("2026-11-02T04:00:00")
MINUTE_US = 60 * US_PER_S


def test_how_often_an_object_was_seen():
    alerts = np.array([1, 1, 2, 2, 9, 9])
    span_us = np.array([0, 3 * US_PER_DAY, 20 * MINUTE_US, US_PER_DAY, 6 * 60 * MINUTE_US, 20 * US_PER_DAY])
    assert seen_of(alerts, span_us).tolist() == [
        Seen.ONCE,
        Seen.ONCE,
        Seen.ONE_NIGHT,
        Seen.SEVERAL_NIGHTS,
        Seen.ONE_NIGHT,
        Seen.SEVERAL_NIGHTS,
    ]


@given(st.lists(st.integers(0, 10**6), min_size=3, max_size=3))
def test_fractions_add_up_and_are_never_0(counts):
    told = Repeats.measured(np.array(counts))
    assert sum(told.fractions) == pytest.approx(1.0)
    assert min(told.fractions) > 0
    assert told.objects == sum(counts)


def test_a_young_store_has_the_fallback_and_an_old_one_what_it_saw():
    assert Repeats.measured(np.zeros(3, np.int64)).fractions == pytest.approx(Repeats.FALLBACK.fractions)
    assert Repeats.measured(np.array([10**6, 10**6, 2 * 10**6])).fractions == pytest.approx((0.25, 0.25, 0.5), rel=1e-3)


@given(
    still=st.floats(0, 1),
    fractions=st.tuples(*[st.floats(0.01, 1.0)] * 3).map(lambda f: tuple(x / sum(f) for x in f)),
    looked=st.sampled_from(Looked),
)
def test_both_hypotheses_are_distributions(still, fractions, looked):
    """The mean of a likelihood ratio over what is unrelated is 1."""
    seen = np.array(list(Seen))
    ratios = Repeats(fractions).ratios(seen, np.full(3, looked), np.full((1, 3), still))[0]
    assert float(ratios @ np.array(fractions)) == pytest.approx(1.0)
    assert np.isfinite(ratios).all()
    assert (ratios > 0).all()


def test_nobody_looked_and_so_it_says_nothing():
    ratios = Repeats.FALLBACK.ratios(np.array(list(Seen)), np.full(3, Looked.NOT_YET), np.ones((len(CLASSES), 3)))
    assert (ratios == 1.0).all()


def test_what_fades_is_missed_later_and_what_does_not_is_seen():
    later = np.full(2, Looked.LATER_NIGHT)
    seen = np.array([Seen.ONE_NIGHT, Seen.SEVERAL_NIGHTS])
    faded, lasting = (Repeats.FALLBACK.ratios(seen, later, np.full((1, 2), still))[0] for still in (0.0, 1.0))
    assert faded[0] > 1 > faded[1]
    assert lasting[0] < 1 < lasting[1]


def one_alert(name: str, time_us: int, ra_deg: float, first_us: int | None = None) -> Alerts:
    return Alerts.from_columns(
        "ztf",
        alert_id=[time_us // US_PER_S],
        object_id=[name],
        time_us=[time_us],
        ra_deg=[ra_deg],
        dec_deg=[10.0],
        first_detection_us=[time_us if first_us is None else first_us],
        mag=[19.0],
        mag_err=[0.1],
        band=["r"],
    )


def test_new_objects_are_counted_where_a_later_night_has_looked():
    objects = Objects()

    def see(name, *times_us, ra_deg=40.0, first_us=None):
        for time_us in times_us:
            alerts = one_alert(name, time_us, ra_deg, first_us)
            objects.store(objects.observe(alerts)[0], alerts)

    see("once", NIGHT_US)
    see("one night", NIGHT_US, NIGHT_US + 20 * MINUTE_US)
    see("two nights", NIGHT_US, NIGHT_US + 2 * US_PER_DAY)
    see("known before", NIGHT_US, first_us=NIGHT_US - 50 * US_PER_DAY)
    see("not looked at again", NIGHT_US, ra_deg=200.0)
    told = objects.repeats_of_new()
    assert told.objects == 3
    assert told == Repeats.measured(np.array([1, 1, 1]))


def exposure_of(visits: list[int], first_us: list[int], now_us: int) -> Exposure:
    """Of objects in one cell that was looked at at these times."""
    coverage = Coverage()
    ra, dec = np.full(len(visits), 40.0), np.full(len(visits), 10.0)
    coverage.look(pixels_of(ra, dec), np.array(visits, np.int64))
    skymap = skymap_of(Cone(40.0, 10.0, 3.0, 0.9))
    cell = pixels_of(np.array([40.0]), np.array([10.0])) >> 48
    looks = FirstLooks(np.repeat(cell, len(first_us)), np.array(first_us, np.int64))
    background = Background.measured("ztf", coverage)
    trigger_us = NIGHT_US - 6 * 60 * MINUTE_US
    return Exposure(
        searched_sky(skymap, skymap.credible_region(0.9)),
        background,
        Visibility(CounterpartOptions(), background.depth_mag, None),
        looks,
        trigger_us,
        (trigger_us, now_us),
    )


def ratio(exposure: Exposure, seen: Seen, candidate: int = 0) -> float:
    count = len(exposure._looked)
    return float(exposure.seen_again(Repeats.FALLBACK, np.full(count, seen))[AFTERGLOW, candidate])


def test_a_detection_of_a_minute_ago_says_nothing_yet():
    made = exposure_of([NIGHT_US], [NIGHT_US], NIGHT_US + MINUTE_US)
    assert ratio(made, Seen.ONCE) == 1.0


def test_once_that_night_another_exposure_was_made_it_does():
    made = exposure_of([NIGHT_US, NIGHT_US + 20 * MINUTE_US], [NIGHT_US], NIGHT_US + 30 * MINUTE_US)
    once, one_night, several = Repeats.FALLBACK.fractions
    assert ratio(made, Seen.ONCE) == pytest.approx(SEEN_ONCE / once)
    assert ratio(made, Seen.ONE_NIGHT) == pytest.approx((1 - SEEN_ONCE) / (one_night + several))


def test_a_later_night_tells_what_fades_from_what_stays():
    visits = [NIGHT_US, NIGHT_US + 20 * MINUTE_US, NIGHT_US + 3 * US_PER_DAY]
    made = exposure_of(visits, [NIGHT_US, NIGHT_US + 3 * US_PER_DAY], NIGHT_US + 4 * US_PER_DAY)
    assert ratio(made, Seen.ONE_NIGHT) > 2
    assert ratio(made, Seen.SEVERAL_NIGHTS) < 1
    # What was first detected in the later night itself has not been looked at again.
    assert ratio(made, Seen.ONCE, candidate=1) == 1.0
    # Nor had the first by then, as it was known the evening before.
    assert ratio(exposure_of(visits, [NIGHT_US], NIGHT_US + US_PER_DAY), Seen.ONE_NIGHT) < 2


def test_what_was_detected_outside_the_window_says_nothing():
    made = exposure_of([NIGHT_US, NIGHT_US + 3 * US_PER_DAY], [NIGHT_US - US_PER_DAY], NIGHT_US + 4 * US_PER_DAY)
    assert ratio(made, Seen.ONCE) == 1.0
