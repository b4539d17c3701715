import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matchers.background import Background
from matchers.bands import BandPoints
from matchers.colours import COLOURS, NO_COLOUR, UnrelatedColours
from matchers.coverage import CELL_SHIFT, Coverage
from matchers.exposure import Exposure, FirstLooks
from matchers.objects import Objects
from matchers.rates import BINS, GROUPS, RateHistogram, bins_of, group_of
from matchers.repeats import (
    ECLIPTIC_EDGES_DEG,
    LATER_NIGHTS,
    SEEN_ONCE,
    Looked,
    Repeats,
    Seen,
    counts_of,
    once_counts_of,
    seen_of,
)
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


SHAPE = LATER_NIGHTS, COLOURS, len(Seen)
COUNTS = st.lists(st.integers(0, 10**5), min_size=36, max_size=36).map(lambda counts: np.array(counts).reshape(SHAPE))
BANDS = len(ECLIPTIC_EDGES_DEG) + 1
NOTHING = np.zeros((BANDS, 2), np.int64)
"""Is known of what is seen once."""
ON_ECLIPTIC, AT_POLE = (
    (pixels_of(np.array([ra]), np.array([dec])) >> CELL_SHIFT)[0] for ra, dec in ((0, 0), (270, 66))
)
A_COLOUR = np.array([-1.0, 0.1, 1.0, np.nan])
"""In each bin."""


def in_one_night(told: Repeats, later: int) -> np.ndarray:
    """By colour, of what was not counted itself."""
    return told.in_one_night(np.full(COLOURS, later), np.full(COLOURS, Seen.ONCE), A_COLOUR)


@given(COUNTS)
def test_no_fraction_is_0_or_1(counts):
    told = Repeats.measured(counts, counts.reshape(-1, 2)[:BANDS])
    assert 0 < min(told.once) <= max(told.once) < 1
    for later in range(LATER_NIGHTS):
        for gone in in_one_night(told, later).tolist():
            assert 0 < gone < 1


def test_a_young_store_has_the_fallback_and_an_old_one_what_it_saw():
    nothing = Repeats.measured(np.zeros(SHAPE, np.int64), NOTHING)
    assert nothing.once == pytest.approx(Repeats.FALLBACK.once)
    for later, missed in enumerate((0.1, 0.01, 0.001)):
        expected = [flares + (1 - flares) * missed for flares in (0.12, 0.01, 0.01, 0.05)]
        assert in_one_night(nothing, later) == pytest.approx(expected)
    counts = np.zeros(SHAPE, np.int64)
    counts[1] = [[0, 10**6, 10**6], [0, 0, 10**6], [0, 10**6, 0], [3 * 10**6, 0, 0]]
    once_counts = NOTHING.copy()
    once_counts[1] = 3 * 10**6, 4 * 10**6
    seen = Repeats.measured(counts, once_counts)
    assert seen.once == pytest.approx((0.45, 3 / 7, 0.45, 0.45, 0.45), rel=1e-3)
    assert in_one_night(seen, 1)[:3] == pytest.approx((0.5, 0.0, 1.0), abs=1e-3)
    assert in_one_night(seen, 2) == pytest.approx(in_one_night(nothing, 2))


def test_the_more_nights_looked_the_less_it_was_missed():
    """One look in ten misses what is there, so that what two nights have missed is gone."""
    for colour in range(COLOURS):
        gone = [in_one_night(Repeats.FALLBACK, later)[colour] for later in range(LATER_NIGHTS)]
        assert gone == sorted(gone, reverse=True)


@given(
    COUNTS,
    st.integers(0, LATER_NIGHTS - 1),
    st.integers(0, COLOURS - 1),
    st.sampled_from([Seen.ONE_NIGHT, Seen.SEVERAL_NIGHTS]),
)
def test_an_object_is_not_compared_with_itself(counts, later, colour, seen):
    with_it = counts.copy()
    with_it[later, colour, seen] += 1
    own, g_minus_r = np.array([seen]), A_COLOUR[[colour]]
    told = Repeats.measured(with_it, NOTHING)
    found = told.in_one_night(np.array([later]), own, g_minus_r)
    assert found.tolist() == in_one_night(Repeats.measured(counts, NOTHING), later)[[colour]].tolist()


def test_objects_are_counted_by_later_nights_and_colour():
    later = np.array([1, 3, 2, 2, 9, 0])
    seen = np.array([Seen.ONCE, Seen.ONE_NIGHT, Seen.SEVERAL_NIGHTS, Seen.SEVERAL_NIGHTS, Seen.ONE_NIGHT, Seen.ONCE])
    counts = counts_of(later, seen, np.array([np.nan, -0.3, 0.1, 0.1, 1.0, 1.0]))
    expected = np.zeros(SHAPE, np.int64)
    expected[0, 3, 0], expected[2, 0, 1], expected[1, 1, 2], expected[2, 2, 1] = 1, 1, 2, 1
    assert counts.tolist() == expected.tolist()


def ratios_of(
    told: Repeats, seen: list[Seen], looked: Looked, still: float, colours: np.ndarray, cell: int = ON_ECLIPTIC
) -> np.ndarray:
    """Of one class, and of objects that were not counted themselves."""
    count = len(seen)
    return told.ratios(
        np.array(seen),
        np.full(count, looked),
        np.full((1, count), still),
        colours,
        np.full(count, cell),
    )[0]


def test_what_moves_crowds_along_the_ecliptic():
    """So that something seen once is rarer far away from it, and worth more."""
    cell = np.array([ON_ECLIPTIC, AT_POLE, AT_POLE, AT_POLE])
    counts = once_counts_of(np.array([1, 2, 3, 0]), np.array([Seen.ONCE, Seen.ONCE, Seen.ONE_NIGHT, Seen.ONCE]), cell)
    assert counts.tolist() == [[1, 0], [0, 0], [0, 0], [0, 0], [1, 1]]
    once_counts = NOTHING.copy()
    once_counts[0], once_counts[-1] = (900, 100), (100, 900)
    told = Repeats.measured(np.zeros(SHAPE, np.int64), once_counts)
    near, far = (
        ratios_of(told, [Seen.ONCE], Looked.ONE_NIGHT, 0.5, np.array([0.3]), cell) for cell in (ON_ECLIPTIC, AT_POLE)
    )
    assert (near, far) == pytest.approx((SEEN_ONCE / 0.9, SEEN_ONCE / 0.1), rel=0.1)


def test_bands_of_ecliptic_latitude():
    """Of the pole, at 18 h and 66.56 deg, and of the solstice, on the ecliptic at 6 h and 23.44 deg."""
    ra, dec = np.array([270.0, 90.0, 90.0, 180.0]), np.array([66.56, 23.44, 35.0, 0.0])
    cell = pixels_of(ra, dec) >> CELL_SHIFT
    counts = [once_counts_of(np.array([1]), np.array([Seen.ONCE]), one)[:, 0].tolist() for one in cell[:, None]]
    assert counts == [[0, 0, 0, 0, 1], [1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [1, 0, 0, 0, 0]]


@given(still=st.floats(0, 1), counts=COUNTS, looked=st.sampled_from(Looked))
def test_both_hypotheses_are_distributions(still, counts, looked):
    """The mean of a likelihood ratio over what is unrelated is 1, of any colour."""
    told = Repeats(Repeats.measured(counts, counts.reshape(-1, 2)[:BANDS]).once)  # in whose counts none of the three is
    later, once = max(looked - Looked.ONE_NIGHT, 0), told.once[0]
    for gone, colour in zip(in_one_night(told, later), A_COLOUR, strict=True):
        ratios = ratios_of(told, list(Seen), looked, still, np.full(3, colour))
        unrelated = np.array([once, (1 - once) * gone, (1 - once) * (1 - gone)])
        assert float(ratios @ unrelated) == pytest.approx(1.0)
        assert np.isfinite(ratios).all()
        assert (ratios > 0).all()


def test_nobody_looked_and_so_it_says_nothing():
    ratios = ratios_of(Repeats.FALLBACK, list(Seen), Looked.NOT_YET, 1.0, np.full(3, np.nan))
    assert (ratios == 1.0).all()


def test_what_fades_is_missed_later_and_what_does_not_is_seen():
    seen, unknown = [Seen.ONE_NIGHT, Seen.SEVERAL_NIGHTS], np.full(2, np.nan)
    faded, lasting = (ratios_of(Repeats.FALLBACK, seen, Looked.ONE_NIGHT, still, unknown) for still in (0.0, 1.0))
    assert faded[0] > 5 * lasting[0]
    assert lasting[1] > 1 > faded[1]


def test_something_red_that_is_gone_soon_is_no_flare():
    blue, red = ratios_of(Repeats.FALLBACK, [Seen.ONE_NIGHT] * 2, Looked.TWO_NIGHTS, 0.3, np.array([-0.4, 0.4]))
    assert red > 3 * blue


def one_alert(
    name: str, time_us: int, ra_deg: float, first_us: int | None = None, band: str = "r", mag: float = 19.0
) -> Alerts:
    return Alerts.from_columns(
        "ztf",
        alert_id=[time_us // US_PER_S],
        object_id=[name],
        time_us=[time_us],
        ra_deg=[ra_deg],
        dec_deg=[10.0],
        first_detection_us=[time_us if first_us is None else first_us],
        mag=[mag],
        mag_err=[0.1],
        band=[band],
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
    expected = np.zeros(SHAPE, np.int64)
    expected[0, NO_COLOUR] = 1
    band = once_counts_of(
        np.array([1]), np.array([Seen.ONCE]), pixels_of(np.array([40.0]), np.array([10.0])) >> CELL_SHIFT
    )
    once_counts = band[:, :1] * [1, 2]
    assert objects.repeats_of(objects.new()) == Repeats.measured(expected, once_counts)
    see("much later", NIGHT_US + 4 * US_PER_DAY)
    see("another night", NIGHT_US + 5 * US_PER_DAY)
    expected[:] = 0
    expected[2, NO_COLOUR] = 1
    expected[0, NO_COLOUR, Seen.ONCE] = 1
    once_counts = band[:, :1] * [2, 2]
    assert objects.repeats_of(objects.new()) == Repeats.measured(expected, once_counts)


def test_light_curves_of_new_objects_are_counted_by_colour():
    objects = Objects()
    for name, g_minus_r, fainter, since_us in (
        ("blue", -0.4, 1.0, None),
        ("red", 0.6, -0.5, None),
        ("known before", 0.1, 0.0, NIGHT_US - 50 * US_PER_DAY),
    ):
        for time_us, mag in ((NIGHT_US, 19.0), (NIGHT_US + 2 * US_PER_DAY, 19.0 + fainter)):
            for band, of_band in (("r", 0.0), ("g", g_minus_r)):
                alerts = one_alert(name, time_us, 40.0, since_us or NIGHT_US, band, mag + of_band)
                objects.store(objects.observe(alerts)[0], alerts)
    told = objects.curves_of(objects.new())
    expected = UnrelatedColours.measured(np.array([-0.4, 0.6]))
    assert told.colours.objects == 2
    assert told.colours.mean_mag == pytest.approx(expected.mean_mag, abs=1e-5)
    assert told.colours.scatter_mag == pytest.approx(expected.scatter_mag, abs=1e-5)
    counts = np.zeros((COLOURS, len(GROUPS), BINS), np.int64)
    for colour, rate in ((0, 0.5), (2, -0.25)):
        counts[colour, [group_of("g"), group_of("r")], bins_of(np.array([rate]))] = 1
    assert told.rates == RateHistogram.measured(counts)


def test_colours_are_of_one_night():
    points = BandPoints()
    head = np.full(5, -1, np.int32)
    times_us = np.array([0, 20 * MINUTE_US, 0, US_PER_DAY, 5, 0, 0, 30 * MINUTE_US])
    points.observe(
        head,
        np.array([0, 0, 1, 1, 2, 3, 3, 3]),
        np.array(["g", "r", "g", "r", "g", "i", "r", "g"]),
        times_us,
        np.array([19.5, 19.0, 20.0, 19.0, 18.0, 17.0, 18.5, 18.25], np.float32),
    )
    np.testing.assert_allclose(points.first_colours(head), [0.5, np.nan, np.nan, -0.25, np.nan], atol=1e-6)
    assert np.isnan(BandPoints().first_colours(head)).all()


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
    unknown = np.full(count, np.nan)
    told = exposure.seen_again(Repeats.FALLBACK, np.full(count, seen), unknown)
    return float(told[AFTERGLOW, candidate])


def test_a_detection_of_a_minute_ago_says_nothing_yet():
    made = exposure_of([NIGHT_US], [NIGHT_US], NIGHT_US + MINUTE_US)
    assert ratio(made, Seen.ONCE) == 1.0


def test_once_that_night_another_exposure_was_made_it_does():
    made = exposure_of([NIGHT_US, NIGHT_US + 20 * MINUTE_US], [NIGHT_US], NIGHT_US + 30 * MINUTE_US)
    once = Repeats.FALLBACK.once[0]
    assert ratio(made, Seen.ONCE) == pytest.approx(SEEN_ONCE / once)
    assert ratio(made, Seen.ONE_NIGHT) == pytest.approx((1 - SEEN_ONCE) / (1 - once))


def test_a_later_night_tells_what_fades_from_what_stays():
    visits = [NIGHT_US, NIGHT_US + 20 * MINUTE_US, NIGHT_US + 3 * US_PER_DAY]
    made = exposure_of(visits, [NIGHT_US, NIGHT_US + 3 * US_PER_DAY], NIGHT_US + 4 * US_PER_DAY)
    assert ratio(made, Seen.ONE_NIGHT) > 2
    assert ratio(made, Seen.SEVERAL_NIGHTS) < 1
    assert made._looked.tolist() == [Looked.ONE_NIGHT, Looked.NOT_YET]
    often = exposure_of(
        [*visits, *(NIGHT_US + day * US_PER_DAY for day in (4, 5, 6))],
        [NIGHT_US + day * US_PER_DAY for day in (0, 3, 4, 6)],
        NIGHT_US + 7 * US_PER_DAY,
    )
    assert often._looked.tolist() == [Looked.MORE_NIGHTS, Looked.MORE_NIGHTS, Looked.TWO_NIGHTS, Looked.NOT_YET]
    assert ratio(often, Seen.ONE_NIGHT) > ratio(made, Seen.ONE_NIGHT)
    # What was first detected in the later night itself has not been looked at again.
    assert ratio(made, Seen.ONCE, candidate=1) == 1.0
    # Nor had the first by then, as it was known the evening before.
    assert ratio(exposure_of(visits, [NIGHT_US], NIGHT_US + US_PER_DAY), Seen.ONE_NIGHT) < 2


def test_what_was_detected_outside_the_window_says_nothing():
    made = exposure_of([NIGHT_US, NIGHT_US + 3 * US_PER_DAY], [NIGHT_US - US_PER_DAY], NIGHT_US + 4 * US_PER_DAY)
    assert ratio(made, Seen.ONCE) == 1.0
