import numpy as np
import pytest

from broker.smoothing import smooth


def test_smoothing_keeps_constants_and_gaps_and_takes_off_steps() -> None:
    level = np.full((20, 20), 0.7)
    level[:, 12:] = np.nan
    smoothed = smooth(level)
    assert smoothed[:, :12] == pytest.approx(0.7)
    assert np.isnan(smoothed[:, 12:]).all()
    step = np.where(np.arange(20) < 10, 0.0, 1.0) * np.ones((20, 1))
    assert 0.3 < smooth(step)[5, 9] < 0.5
    assert smooth(step)[5, 2] == 0
