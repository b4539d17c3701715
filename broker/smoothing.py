"""Levels on a grid, made smooth for contours; without matplotlib, which the service does not load."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def smooth(level: Array, times: int = 3) -> Array:
    """Levels averaged with their neighbours, so that the steps of a gridded map do not fray its contours; NaN stays."""
    known = np.isfinite(level)
    value, weight = np.where(known, level, 0.0), known.astype(np.float64)
    for _ in range(times):
        value, weight = _binomial(value), _binomial(weight)
    out = np.full(level.shape, np.nan)
    out[known] = value[known] / weight[known]
    return out


def _binomial(grid: Array) -> Array:
    padded = np.pad(grid, 1, mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    return np.asarray((rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16)
