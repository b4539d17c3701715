import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matchers.bands import LEAST_COUNTED_SPAN_US, LEAST_SPAN_US, BandPoints
from matchers.colours import COLOURS
from matchers.rates import BINS, GROUPS, bins_of, group_of
from schemas.times import US_PER_DAY

POINTS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["g", "r", "i"]),
        st.integers(0, 3).map(lambda k: k * LEAST_SPAN_US),
        st.sampled_from([18.0, 19.5, 20.0, np.nan]),
    ),
    max_size=40,
)


def observe(points: BandPoints, head: np.ndarray, told: list[tuple[int, str, int, float]]) -> None:
    code, band, time_us, mag = zip(*told, strict=True) if told else ((), (), (), ())
    points.observe(
        head, np.array(code, np.int64), np.array(band, np.str_), np.array(time_us, np.int64), np.array(mag, np.float32)
    )


def plain(told: list[tuple[int, str, int, float]], code: int) -> dict[str, float]:
    rates = {}
    for band in ("g", "i", "r"):
        of_band = [(t, mag) for c, b, t, mag in told if (c, b) == (code, band) and mag == mag]  # noqa: PLR0124 - NaN
        if of_band:
            first, last = min(of_band), min((-t, mag) for t, mag in of_band)
            span_us = -last[0] - first[0]
            if span_us >= LEAST_SPAN_US:
                rates[band] = (last[1] - first[1]) / (span_us / US_PER_DAY)
    return rates


@given(POINTS, st.integers(1, 5), st.sets(st.integers(0, 5)))
def test_rates_are_from_the_first_to_the_last_point_however_and_how_often_they_are_told(told, batches, kept):
    points, head = BandPoints(), np.full(6, -1, np.int32)
    for rows in np.array_split(np.arange(len(told)), batches):
        observe(points, head, [told[row] for row in rows])
    observe(points, head, told[::-1])
    for code in range(6):
        assert points.rates(int(head[code])) == plain(told, code)
    again = BandPoints.of_arrays(points.arrays())
    stays = np.array(sorted(kept), np.int64)
    new_head = again.kept(head[stays])
    observe(again, new_head, [(sorted(kept).index(code), *rest) for code, *rest in told if code in kept])
    assert [again.rates(int(one)) for one in new_head] == [plain(told, code) for code in sorted(kept)]
    assert again._used == len({(code, band) for code, band, _, mag in told if code in kept and mag == mag})  # noqa: PLR0124


NIGHTS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["g", "r", "i", "u", "c"]),
        st.integers(0, 4).map(lambda k: k * LEAST_COUNTED_SPAN_US // 2),
        st.floats(14, 22, width=32),
    ),
    max_size=40,
)


@given(NIGHTS, st.sets(st.integers(0, 5)))
def test_rates_from_night_to_night_are_counted_by_group_of_bands(told, counted):
    points, head = BandPoints(), np.full(6, -1, np.int32)
    observe(points, head, told)
    expected = np.zeros((COLOURS, len(GROUPS), BINS), np.int64)
    for code in counted:
        for band in {band for one, band, *_ in told if one == code}:
            of_band = [(t, mag) for c, b, t, mag in told if (c, b) == (code, band)]
            first, last = min(of_band), min((-t, mag) for t, mag in of_band)
            if -last[0] - first[0] >= LEAST_COUNTED_SPAN_US:
                rate = points.rates(int(head[code]))[band]
                expected[code % COLOURS, group_of(band), bins_of(np.array([rate]))] += 1
    codes = np.array(sorted(counted), np.int64)
    assert (points.rate_counts(head[codes], codes % COLOURS) == expected).all()


def test_rates_of_many_objects_are_counted_in_parts():
    points, head = BandPoints(), np.full(100_000, -1, np.int32)
    code = np.repeat(np.arange(0, 100_000, 2), 2)
    time_us = np.tile([0, US_PER_DAY], 50_000)
    points.observe(head, code, np.full(100_000, "r"), time_us, np.tile([19.0, 20.0], 50_000).astype(np.float32))
    colour = np.arange(100_000) // 2 % 2
    counts = points.rate_counts(head, colour)
    assert counts[:2, group_of("r"), bins_of(np.array([1.0]))[0]].tolist() == [25_000, 25_000]
    assert counts.sum() == 50_000
    assert BandPoints().rate_counts(head[1:2], colour[1:2]).sum() == 0


def test_only_so_many_bands_have_rates():
    points, head = BandPoints(), np.full(1, -1, np.int32)
    observe(points, head, [(0, f"b{k}", t, 18.0 + t / LEAST_SPAN_US) for k in range(300) for t in (0, LEAST_SPAN_US)])
    assert len(points.rates(int(head[0]))) == 255
    assert set(points.rates(int(head[0])).values()) == {48.0}


def test_there_is_room_before_it_is_needed():
    points, head = BandPoints(), np.full(60, -1, np.int32)
    observe(points, head, [(k, "g", 0, 18.0) for k in range(40)])
    before = points.nbytes
    points.grow()
    assert points.nbytes == before
    observe(points, head, [(k, "r", 0, 18.0) for k in range(20)])
    points.grow()
    assert points.nbytes == 2 * before


def test_what_was_told_must_fit():
    points, head = BandPoints(), np.full(1, -1, np.int32)
    observe(points, head, [(0, "g", 0, 18.0)])
    arrays = points.arrays()
    with pytest.raises(ValueError, match="does not fit together"):
        BandPoints.of_arrays(arrays | {"band_next": arrays["band_next"][:1]})
    with pytest.raises(ValueError, match="does not fit together"):
        BandPoints.of_arrays(arrays | {"band_used": np.array([99])})
