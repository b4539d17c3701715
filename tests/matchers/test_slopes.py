import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matchers.slopes import LEAST_SPAN_D, Point, decay_index, line, newest_line, points_by_band
from schemas.records import Measurement
from schemas.times import US_PER_DAY

POINTS = st.lists(
    st.builds(Point, st.floats(0.1, 20.0), st.floats(10.0, 25.0), st.floats(0.01, 1.0)), min_size=2, max_size=12
).map(sorted)


def measured(time_us: int, band: str, mag: float | None, err: float | None = 0.1) -> Measurement:
    return Measurement(1, time_us, band, mag, err)


def test_points_are_sorted_by_band_and_time_and_those_without_a_magnitude_left_out():
    points = points_by_band(
        [
            measured(3 * US_PER_DAY, "r", 19.0, None),
            measured(2 * US_PER_DAY, "g", 18.0, 0.3),
            measured(2 * US_PER_DAY, "r", None),
            measured(2 * US_PER_DAY, "r", math.nan),
            measured(2 * US_PER_DAY, "r", math.inf),
            measured(2 * US_PER_DAY, "i", -999.0),
            measured(US_PER_DAY // 2, "r", 18.5, math.nan),
            measured(US_PER_DAY, "r", 18.5, 0.0),
            measured(US_PER_DAY, "r", 18.5, 1e-9),
            measured(US_PER_DAY, "r", 18.5, math.inf),
        ],
        US_PER_DAY,
    )
    assert list(points) == ["g", "r"]
    assert points["g"] == [(1.0, 18.0, 0.3)]
    assert points["r"] == [(-0.5, 18.5, 0.2), (0.0, 18.5, 0.01), (0.0, 18.5, 0.2), (0.0, 18.5, 10.0), (2.0, 19.0, 0.2)]


def test_a_line_by_hand():
    found = line("g", [Point(1.0, 18.0, 0.3), Point(3.0, 19.0, 0.4)])
    assert found is not None
    assert found.mag_per_d == pytest.approx(0.5)
    assert found.mag_per_d_err == pytest.approx(0.25)  # hypot(0.3, 0.4) over 2 d
    assert (found.band, found.span_d, found.middle_d) == ("g", 2.0, 2.0)
    assert found.slope_of([7.0, 7.5]) == pytest.approx(0.25)


@given(POINTS)
def test_lines_are_those_of_least_squares(points):
    found = line("r", points)
    if points[-1].time_d - points[0].time_d < LEAST_SPAN_D:
        assert found is None
        return
    assert found is not None
    time_d, mag, err = (np.array(column) for column in zip(*points, strict=True))
    design = np.stack([np.ones_like(time_d), time_d - time_d.mean()]).T / err[:, None]
    covariance = np.linalg.inv(design.T @ design)
    slope = (covariance @ design.T @ (mag / err))[1]
    assert found.mag_per_d == pytest.approx(slope, rel=1e-6, abs=1e-6 * found.mag_per_d_err)
    assert found.mag_per_d_err == pytest.approx(math.sqrt(covariance[1, 1]), rel=1e-6)


@pytest.mark.parametrize(
    "points",
    [
        [],
        [Point(1.0, 18.0, 0.1)],
        [Point(1.0, 18.0, 0.1), Point(1.0 + 0.9 * LEAST_SPAN_D, 19.0, 0.1)],
    ],
)
def test_there_is_no_line_of_too_little(points):
    assert line("r", points) is None
    assert newest_line("r", points) is None


def test_after_a_rise_and_a_fade_the_line_is_that_since_the_brightest():
    rise = [Point(t, 21.0 - t, 0.1) for t in (0.0, 1.0, 2.0)]
    fade = [Point(t, 19.0 + 0.5 * (t - 2.0), 0.1) for t in (3.0, 4.0)]
    found = newest_line("g", [*rise, *fade])
    assert found is not None
    assert found.times_d == (2.0, 3.0, 4.0)
    assert found.mag_per_d == pytest.approx(0.5)
    assert found.after_rise
    # While it rises, and once it only fades, all points count.
    for points in (rise, rise[2:] + fade, [*rise, Point(2.01, 19.1, 0.1)]):
        found = newest_line("g", points)
        assert found is not None
        assert len(found.times_d) == len(points)
        assert not found.after_rise


def test_noise_is_no_peak():
    random = np.random.default_rng(3)
    rates = []
    for _ in range(400):
        points = [Point(float(t), float(random.normal(19.0, 0.1)), 0.1) for t in range(6)]
        found = newest_line("r", points)
        assert found is not None
        rates.append(found.mag_per_d / found.mag_per_d_err)
    assert abs(np.mean(rates)) < 0.15
    assert np.std(rates) == pytest.approx(1.0, abs=0.12)


def test_a_rise_needs_three_errors():
    def curve(rise_mag: float) -> list[Point]:
        return [Point(0.0, 19.0 + rise_mag, 0.1), Point(1.0, 19.0, 0.1), Point(2.0, 19.5, 0.1)]

    for rise_mag, points in ((0.42, 3), (0.43, 2)):  # 3 x hypot(0.1, 0.1) = 0.424
        found = newest_line("r", curve(rise_mag))
        assert found is not None
        assert len(found.times_d) == points


@given(st.floats(-3.0, 4.0), st.lists(st.floats(0.03, 20.0), min_size=2, max_size=6), st.floats(-2.0, 2.0))
def test_the_decay_index_of_a_power_law_is_its_index_whatever_its_colour(alpha, times_d, colour):
    g = sorted(Point(t, 18.0 + 2.5 * alpha * math.log10(t), 0.1) for t in times_d)
    r = [Point(t, mag + colour, err) for t, mag, err in g]
    found = decay_index([g, [Point(-1.0, 3.0, 0.01), *r]])
    if g[-1].time_d - g[0].time_d < LEAST_SPAN_D:
        assert found is None
    else:
        assert found is not None
        assert found[0] == pytest.approx(alpha, abs=1e-6)


def test_the_error_of_the_decay_index_by_hand():
    pair = [Point(1.0, 18.0, 0.3), Point(10.0, 20.5, 0.4)]
    assert decay_index([pair]) == pytest.approx((1.0, 0.2))  # hypot(0.3, 0.4) over 2.5 mag
    assert decay_index([pair, pair]) == pytest.approx((1.0, 0.2 / math.sqrt(2)))
    assert decay_index([]) is None
    assert decay_index([[Point(-3.0, 18.0, 0.1), Point(-1.0, 19.0, 0.1), Point(1.0, 20.0, 0.1)]]) is None


@given(POINTS)
def test_the_decay_index_is_that_of_least_squares(points):
    half = [points[::2], points[1::2]]
    told = [band for band in half if len(band) > 1 and band[-1].time_d - band[0].time_d >= LEAST_SPAN_D]
    found = decay_index(half)
    assert (found is None) == (not told)
    if found:
        rows = [(band, point) for band, points in enumerate(told) for point in points]
        err = np.array([point.err_mag for _, point in rows])
        columns = [[float(band == other) for band, _ in rows] for other in range(len(told))]
        columns.append([2.5 * math.log10(point.time_d) for _, point in rows])
        design = np.array(columns).T / err[:, None]
        covariance = np.linalg.inv(design.T @ design)
        best = covariance @ design.T @ (np.array([point.mag for _, point in rows]) / err)
        assert found[0] == pytest.approx(best[-1], rel=1e-5, abs=1e-5 * found[1])
        assert found[1] == pytest.approx(math.sqrt(covariance[-1, -1]), rel=1e-5)
