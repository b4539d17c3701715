import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridges.simulator.light_curves import Afterglow, Kilonova, OneExposure, Outburst, Supernova, Together, Variable
from bridges.simulator.survey import G, R
from schemas.times import US_PER_DAY

T0 = 1_790_000_000_000_000


def mags(curve, days, fid=R):
    times = T0 + (np.asarray(days, float) * US_PER_DAY).astype(np.int64)
    return curve.mag(times, np.full(len(times), fid))


@given(alpha=st.floats(0.7, 2.0), brightness=st.floats(16.0, 23.0))
def test_an_afterglow_is_a_power_law_until_the_jet_break(alpha, brightness):
    curve = Afterglow(T0, brightness, alpha, break_d=2.0, steepening=0.9)
    early = mags(curve, [0.01, 0.1, 1.0])
    assert np.diff(early) == pytest.approx(2.5 * alpha, abs=1e-6)
    assert early[2] == pytest.approx(brightness, abs=1e-6)
    late = mags(curve, [3.0, 30.0])
    assert np.diff(late) == pytest.approx(2.5 * (alpha + 0.9), abs=1e-6)


def test_an_afterglow_has_the_colour_of_its_spectrum():
    curve = Afterglow(T0, 19.0, beta=0.75)
    colour = mags(curve, [0.5], G) - mags(curve, [0.5], R)
    assert colour == pytest.approx(0.22, abs=0.005)


def test_a_kilonova_is_at2017gfo_moved_away_and_fades_as_published():
    here, there = Kilonova(T0, 40.7), Kilonova(T0, 407.0)
    assert mags(here, [0.5], G) == pytest.approx(17.35, abs=0.1)
    assert mags(there, [0.5, 2.0]) - mags(here, [0.5, 2.0]) == pytest.approx(5.0)
    assert np.diff(mags(here, [1.0, 2.0, 3.0], G)) == pytest.approx(1.5)
    assert np.diff(mags(here, [1.0, 2.0, 3.0], R)) == pytest.approx(1.0)
    assert (np.diff(mags(here, [0.05, 0.1, 0.3, 0.5])) < 0).all()


def test_a_supernova_rises_as_the_square_of_time_and_fades_slowly():
    curve = Supernova(T0, 18.0, rise_d=20.0, decline_mag_per_d=0.06, g_minus_r_mag=0.2)
    assert mags(curve, [20.0]) == pytest.approx(18.0)
    assert mags(curve, [10.0]) == pytest.approx(18.0 + 5 * np.log10(2.0))
    assert mags(curve, [30.0], G) == pytest.approx(18.8)


def test_an_outburst_fades_on_its_plateau_and_then_faster():
    curve = Outburst(T0, 17.0, 0.1, 5.0, 1.0, -0.05)
    assert mags(curve, [0.0, 5.0, 7.0]) == pytest.approx([17.0, 17.5, 19.5])
    assert mags(curve, [0.0], G) == pytest.approx(16.95)


def test_a_variable_shows_the_size_and_the_sign_of_its_difference():
    curve = Variable(18.0, 0.5, 8.0, -(T0 / US_PER_DAY / 8.0) % 1.0)
    assert mags(curve, [2.0, 6.0]) == pytest.approx(18.0 - 2.5 * np.log10(0.5), abs=1e-6)
    assert curve.is_brighter(T0 + 2 * US_PER_DAY)
    assert not curve.is_brighter(T0 + 6 * US_PER_DAY)
    assert mags(curve, [0.0]) > 25.0


@pytest.mark.parametrize(
    "curve",
    [Afterglow(T0, 18.0), Kilonova(T0, 80.0), Supernova(T0, 18.0), Outburst(T0, 18.0, 0.1, 5.0, 1.0, 0.0)],
)
def test_nothing_is_seen_before_it_happens(curve):
    assert np.isinf(mags(curve, [-30.0, -1.0, -1e-6])).all()


def test_one_exposure_is_seen_in_one_exposure():
    assert mags(OneExposure(T0, 19.0), [-1.0, 0.0, 1.0]).tolist() == [np.inf, 19.0, np.inf]


def test_two_sources_at_one_place_shine_together():
    early, late = Afterglow(T0, r_mag_at_1_d=18.0), Supernova(T0, peak_mag=19.0, rise_d=15.0)
    both = Together(early, late)
    told = mags(both, [-1.0, 0.1, 15.0])
    assert told[0] == np.inf
    assert told[1] == pytest.approx(mags(early, [0.1])[0], abs=0.001)
    assert told[2] == pytest.approx(19.0, abs=0.05)
    assert told[2] < mags(late, [15.0])[0]
