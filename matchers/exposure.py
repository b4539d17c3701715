"""What one survey saw of a trigger's region, visit by visit: how much probability, and how many unrelated objects."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from matchers.background import Background
from matchers.coverage import NEVER_MS
from matchers.repeats import Looked, Repeats
from matchers.searched_sky import LEVEL_EDGES, SearchedSky
from matchers.visibility import Visibility
from schemas.pixels import Array
from schemas.records import Bools, Ints
from schemas.times import US_PER_DAY, US_PER_S, night_of, night_start_us

_US_PER_MS = 1000
_LOOK_AGAIN_US = 60 * US_PER_S
"""A detection so much later is of another exposure."""


class FirstLooks(NamedTuple):
    """In which cells candidates of one survey were first detected, and when: columns of equal length."""

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
        candidates: FirstLooks,
        time_us: int,
        span_us: tuple[int, int],
    ) -> None:
        self._sky, self._visibility = sky, visibility
        known = np.searchsorted(sky.cells, candidates.cell)
        if len(sky.cells) and (sky.cells[np.minimum(known, len(sky.cells) - 1)] == candidates.cell).all():
            self._cells, self._rows, probability = sky.cells, known, sky.probability
        else:
            self._cells = np.union1d(sky.cells, candidates.cell)
            self._rows = np.searchsorted(self._cells, candidates.cell)
            probability = np.zeros(len(self._cells))
            probability[np.searchsorted(self._cells, sky.cells)] = sky.probability
        self._inside = (candidates.first_us >= span_us[0]) & (candidates.first_us <= span_us[1])
        self._first_delay_d = (candidates.first_us - time_us) / US_PER_DAY
        self._bright_at_first = visibility.bright(self._first_delay_d)
        when_us, last_us, visited = self._looks(background, candidates, *span_us)
        delay_d = (when_us - time_us) / US_PER_DAY
        counted = np.cumsum(visited, axis=0, dtype=np.int64)
        self._look_again(delay_d, last_us, visited, counted, candidates.first_us)
        nights = counted[-1] if len(counted) else np.zeros(len(self._cells), np.int64)
        self._night = np.maximum(counted[self._place, self._rows], 1) if len(counted) else self._place + 1
        self._chances = visibility.chances(delay_d, visited)
        self.findable: Array = (self._chances * visibility.bright(delay_d)).sum(axis=1) @ probability
        self.observed_fraction = float(probability[nights > 0].sum())
        self._tabulate(background, nights)

    def _looks(
        self, background: Background, candidates: FirstLooks, start_us: int, end_us: int
    ) -> tuple[Ints, Ints, NDArray[np.bool_]]:
        """When each cell was first and last visited in each night, and whether it was, shape (nights, cells)."""
        first_night, last_night = night_of(np.array([start_us, end_us])).tolist()
        inside = np.flatnonzero(self._inside)
        of_candidate = night_of(candidates.first_us[inside])
        seen = {night.number: night for night in background.visits() if first_night <= night.number <= last_night}
        numbers = sorted(seen.keys() | set(of_candidate.tolist()))
        shape = len(numbers), len(self._cells)
        first_ms, last_ms = np.zeros(shape, np.int64), np.full(shape, NEVER_MS, np.int64)
        for row, number in enumerate(numbers):
            if number in seen:
                first_ms[row], last_ms[row] = seen[number].first_ms[self._cells], seen[number].last_ms[self._cells]
        begin_us = np.array([night_start_us(number) for number in numbers], np.int64)[:, None]
        first_us, last_us = begin_us + first_ms * _US_PER_MS, begin_us + last_ms * _US_PER_MS
        visited = (last_ms != NEVER_MS) & (last_us >= start_us) & (first_us <= end_us)
        when_us = np.where(visited, np.where(first_us >= start_us, first_us, last_us), end_us)
        self._place = np.zeros(len(candidates.cell), np.int64)
        if numbers:
            self._place[inside] = places = np.searchsorted(numbers, of_candidate)
            visited[places, self._rows[inside]] = True
            np.minimum.at(when_us, (places, self._rows[inside]), candidates.first_us[inside])
        return when_us, last_us, visited

    def _look_again(
        self, delay_d: Array, last_us: Ints, visited: NDArray[np.bool_], counted: Ints, first_us: Ints
    ) -> None:
        """Whether each candidate's place was looked at after its first detection, and when in the next night."""
        self._looked = np.full(len(first_us), Looked.NOT_YET, np.int64)
        self._later_delay_d = self._first_delay_d.copy()
        nights = len(visited)
        if not nights:
            return
        following = np.full((nights + 1, len(self._cells)), nights)
        for night in range(nights - 1, -1, -1):
            following[night] = np.where(visited[night], night, following[night + 1])
        following_night = following[self._place + 1, self._rows]
        same_night = last_us[self._place, self._rows] > first_us + _LOOK_AGAIN_US
        self._looked[same_night & self._inside] = Looked.SAME_NIGHT
        later = np.flatnonzero((following_night < nights) & self._inside)
        rows = self._rows[later]
        later_nights = counted[-1, rows] - counted[self._place[later], rows]
        self._looked[later] = np.minimum(Looked.SAME_NIGHT + later_nights, Looked.MORE_NIGHTS)
        self._later_delay_d[later] = delay_d[following_night[later], rows]

    def _tabulate(self, background: Background, nights: Ints) -> None:
        """Expected numbers inside each level by visited night: those up to it, and those of it alone."""
        sky, bins = self._sky, len(LEVEL_EDGES) - 1
        most = max(int(nights.max(initial=0)), 1)
        row = sky.rows if self._cells is sky.cells else np.searchsorted(self._cells, sky.cells)[sky.rows]
        per_night = background.per_deg2_night[self._cells[row]] * sky.area_deg2
        by_nights = np.bincount(sky.bins * (most + 1) + nights[row], per_night, bins * (most + 1))
        of_night = np.cumsum(by_nights.reshape(bins, most + 1)[:, ::-1], axis=1)[:, ::-1][:, 1:]
        self._of_night = np.concatenate([np.zeros((1, most)), np.cumsum(of_night, axis=0)])
        self._through = np.cumsum(self._of_night, axis=1)
        self.expected = float(self._through[-1, -1])

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
        return np.asarray(chance * self._bright_at_first * self._inside)

    def seen_again(self, repeats: Repeats, seen: Ints, g_minus_r: Array) -> Array:
        """Likelihood ratio of counterparts to what is unrelated, of how often each candidate was seen; by class first.

        Parameters
        ----------
        seen, g_minus_r
            `matchers.repeats.Seen` and colour of each, NaN where it is not known; shape (n,).
        """
        before, after = self._bright_at_first, self._visibility.bright(self._later_delay_d)
        still = np.divide(after, before, out=np.ones_like(after), where=before > 0)
        return repeats.ratios(seen, self._looked, still, g_minus_r, self._cells[self._rows])

    def nearer(self, level: Array) -> Array:
        """Expected number of unrelated objects on levels as high or higher, and visited nights no later, shape (n,)."""
        found = np.empty(len(level))
        night = np.where(self._inside, np.minimum(self._night, self._through.shape[1]), self._through.shape[1])
        for number in sorted(set(night.tolist())):
            rows = np.flatnonzero(night == number)
            found[rows] = np.interp(level[rows], LEVEL_EDGES, self._through[:, number - 1])
        return found

    def as_near(self, nearer: Array) -> Array:
        """Expected number of unrelated objects of which `nearer` is as small, whatever their levels and nights.

        Were position and night continuous it would be s (1 + ln(s_max / s)), as in RAVEN's sub-threshold false-alarm
        rate; with nights that are few and differ by cell it is summed night by night.
        """
        if len(nearer) > self._through.size:
            knots = np.unique(self._through)  # between which the sum is linear
            return np.interp(nearer, knots, self.as_near(knots))
        total = np.zeros(len(nearer))
        for night in range(self._through.shape[1]):
            total += np.interp(nearer, self._through[:, night], self._of_night[:, night])
        return total
