"""What one survey saw of a trigger's region, visit by visit: how much probability, and how many unrelated objects."""

from typing import NamedTuple, Self

import numpy as np

from matchers.background import Background
from matchers.searched_sky import LEVEL_EDGES, SearchedSky
from matchers.visibility import Visibility
from schemas.pixels import Array
from schemas.records import Bools, Ints
from schemas.times import US_PER_DAY, night_of, night_start_us

_US_PER_MS = 1000


class Candidates(NamedTuple):
    """Objects of one survey, as columns of equal length: in which cell they lie, and when they were first detected."""

    cell: Ints
    first_us: Ints

    @classmethod
    def none(cls) -> Self:
        """No objects."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64))


class Exposure:
    """The visits of one survey to a region in a span of time, and what they were to bring.

    Each cell has its own count of visited nights. That a candidate was first detected is a visit, too.

    Parameters
    ----------
    time_us
        Of the trigger.
    span_us
        From when to when visits count, both included.

    Attributes
    ----------
    observed_fraction
        Probability in the cells that were visited.
    expected
        Number of unrelated new objects.
    findable
        Probability that a counterpart has been found by now, by class.
    """

    def __init__(
        self,
        sky: SearchedSky,
        background: Background,
        visibility: Visibility,
        candidates: Candidates,
        time_us: int,
        span_us: tuple[int, int],
    ) -> None:
        self._sky, self._time_us, self._visibility = sky, time_us, visibility
        start_us, end_us = span_us
        self._cells = np.union1d(sky.cells, candidates.cell)
        self._rows = np.searchsorted(self._cells, candidates.cell)
        probability = np.zeros(len(self._cells))
        of_sky = np.searchsorted(self._cells, sky.cells)
        probability[of_sky] = sky.probability
        self._inside = (candidates.first_us >= start_us) & (candidates.first_us <= end_us)
        self._look(background, candidates, start_us, end_us)
        nights = self._visited.sum(axis=0)
        self._chances = visibility.chances(self._delay_d, self._visited)
        self.findable: Array = (self._chances * visibility.bright(self._delay_d)).sum(axis=1) @ probability
        self.observed_fraction = float(probability[nights > 0].sum())
        self._tabulate(background, nights, of_sky)

    def _look(self, background: Background, candidates: Candidates, start_us: int, end_us: int) -> None:
        """Which cells were visited in which night, and when first."""
        first_night, last_night = night_of(np.array([start_us, end_us])).tolist()
        seen = {int(night_of(np.array([night.start_us]))[0]): night for night in background.visits()}
        of_candidate = night_of(candidates.first_us)
        inside = np.flatnonzero(self._inside)
        found = set(of_candidate[inside].tolist())
        numbers = sorted(found | {number for number in seen if first_night <= number <= last_night})
        shape = len(numbers), len(self._cells)
        visited, when_us = np.zeros(shape, np.bool_), np.full(shape, end_us, np.int64)
        for row, number in enumerate(numbers):
            if (night := seen.get(number)) is None:
                continue
            begin_us = night_start_us(number)
            first_us = begin_us + night.first_ms[self._cells].astype(np.int64) * _US_PER_MS
            last_us = begin_us + night.last_ms[self._cells].astype(np.int64) * _US_PER_MS
            visited[row] = (last_us >= np.maximum(start_us, begin_us)) & (first_us <= end_us)
            when_us[row] = np.where(first_us >= start_us, first_us, last_us)
        places = np.searchsorted(numbers, of_candidate[inside]) if numbers else np.zeros(0, np.int64)
        visited[places, self._rows[inside]] = True
        np.minimum.at(when_us, (places, self._rows[inside]), candidates.first_us[inside])
        self._visited, self._delay_d = visited, (when_us - self._time_us) / US_PER_DAY
        self._first_delay_d = (candidates.first_us - self._time_us) / US_PER_DAY
        self._place = np.zeros(len(candidates.cell), np.int64)
        self._place[inside] = places
        self._night = np.ones(len(candidates.cell), np.int64)
        counted = np.cumsum(visited, axis=0)
        if numbers:
            self._night = np.maximum(counted[self._place, self._rows], 1)

    def _tabulate(self, background: Background, nights: Ints, of_sky: Ints) -> None:
        """Expected numbers inside each level by visited night: those up to it, and those of it alone."""
        sky, bins = self._sky, len(LEVEL_EDGES) - 1
        most = max(int(nights.max(initial=0)), 1)
        row = of_sky[sky.rows]
        per_night = background.per_deg2_night[self._cells[row]] * sky.area_deg2
        by_nights = np.bincount(sky.bins * (most + 1) + nights[row], per_night, bins * (most + 1))
        of_night = np.cumsum(by_nights.reshape(bins, most + 1)[:, ::-1], axis=1)[:, ::-1][:, 1:]
        self._of_night = np.concatenate([np.zeros((1, most)), np.cumsum(of_night, axis=0)])
        self._through = np.cumsum(self._of_night, axis=1)
        self.expected = float(self._through[-1, -1])
        # The sum over nights is linear between these.
        self._knots = np.unique(self._through)
        self._as_near = np.zeros(len(self._knots))
        for night in range(most):
            self._as_near += np.interp(self._knots, self._through[:, night], self._of_night[:, night])

    def found_at(self, *, never_missed: Bools) -> Array:
        """That a counterpart is first found at the visit at which each candidate was; by class first.

        0 for candidates that were detected before the window or after it.

        Parameters
        ----------
        never_missed
            Of which it is known that no visit since the trigger missed them, whatever the visits of their cells.
        """
        if not self._chances.shape[1]:
            return np.zeros((len(self._chances), len(self._rows)))
        chance = self._chances[:, self._place, self._rows]
        chance = np.where(never_missed, self._visibility.at_once(self._first_delay_d), chance)
        return np.asarray(chance * self._visibility.bright(self._first_delay_d) * self._inside)

    def nearer(self, level: Array) -> Array:
        """Expected number of unrelated objects on levels as high or higher, and visited nights no later, shape (n,)."""
        found = np.empty(len(level))
        night = np.where(self._inside, np.minimum(self._night, self._through.shape[1]), self._through.shape[1])
        for number in np.unique(night).tolist():
            rows = np.flatnonzero(night == number)
            found[rows] = np.interp(level[rows], LEVEL_EDGES, self._through[:, number - 1])
        return found

    def as_near(self, nearer: Array) -> Array:
        """Expected number of unrelated objects of which `nearer` is as small, whatever their levels and nights.

        Were position and night continuous it would be s (1 + ln(s_max / s)), as in RAVEN's sub-threshold false-alarm
        rate; with nights that are few and differ by cell it is summed night by night.
        """
        return np.interp(nearer, self._knots, self._as_near)
