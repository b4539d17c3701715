"""Surveys that visit cells of the sky, and unrelated new objects in them, for tests of what a coincidence is worth."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from matchers.background import Background
from matchers.coverage import CELL_DEG2, CELL_SHIFT, CELLS, Coverage
from matchers.grb import GrbOptions, grb
from matchers.judge import judge
from schemas.pixels import ORDER, cell_centres
from schemas.records import Coincidence, Provenance, Trigger, Window
from schemas.times import US_PER_S
from tests.matchers.made import DAY, T0, alerts_of, notice_of, trigger_of

MADE_BY = Provenance("", "", ())


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """New objects, as columns: where and when they were first detected."""

    pixel: NDArray[np.int64]
    time_us: NDArray[np.int64]

    def of_cells(self, cells: NDArray[np.int64]) -> "Seen":
        rows = np.isin(self.pixel >> CELL_SHIFT, cells)
        return Seen(self.pixel[rows], self.time_us[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Sky:
    """A survey that visits cells now and then and finds new objects at random; `coverage` knows of all of it.

    Attributes
    ----------
    visit_us
        When each cell was visited in each night, shape (nights, `CELLS`); 0 where it was not.
    """

    coverage: Coverage
    visit_us: NDArray[np.int64]
    found: Seen

    @classmethod
    def random(cls, random: Generator, *, nights: int, per_deg2_night: float, visited: float) -> "Sky":
        """`visited`: mean probability that a cell is visited in a night; each has its own."""
        often = np.clip(random.uniform(0, 2, CELLS) * visited, 0, 1)
        visit_us = np.zeros((nights, CELLS), np.int64)
        for night in range(nights):
            cells = np.flatnonzero(random.random(CELLS) < often)
            visit_us[night, cells] = T0 + night * DAY + random.integers(0, 6 * 3600 * US_PER_S, len(cells))
        return cls.of(random, visit_us, per_deg2_night)

    @classmethod
    def of(cls, random: Generator, visit_us: NDArray[np.int64], per_deg2_night: float | NDArray[np.float64]) -> "Sky":
        """With these visits, and this rate, everywhere or by cell."""
        rate = np.broadcast_to(per_deg2_night, CELLS)
        coverage, parts = Coverage(), []
        for when_us in visit_us:
            cells = np.flatnonzero(when_us)
            coverage.look(cells << CELL_SHIFT, when_us[cells])
            new = np.repeat(cells, random.poisson(rate[cells] * CELL_DEG2))
            coverage.count(new.astype(np.uint16), when_us[new], 1)
            parts.append(Seen((new << CELL_SHIFT) + random.integers(0, 1 << CELL_SHIFT, len(new)), when_us[new]))
        none = np.zeros(0, np.int64)
        found = Seen(
            *(np.concatenate([none, *(getattr(part, name) for part in parts)]) for name in ("pixel", "time_us"))
        )
        return cls(coverage, visit_us, found)

    def background(self) -> Background:
        """What was measured of it."""
        return Background.measured("ztf", self.coverage)


@cache
def candidate() -> Coincidence:
    """Any."""
    trigger = trigger_of(notice_of())
    matcher = grb("grb", GrbOptions())
    window = matcher.window(trigger)
    assert window is not None
    alerts = alerts_of([{"id": 1, "obj": "a", "t": T0 + DAY, "ra": 10, "dec": 20}])
    return judge(matcher, window, trigger, alerts, MADE_BY)["a"]


def standing(trigger: Trigger, window: Window, seen: Seen, survey: str = "ztf") -> list[Coincidence]:
    """Those of new objects that lie inside a window, as `judge` would have them."""
    assert trigger.skymap is not None
    ra_deg, dec_deg = cell_centres(seen.pixel, ORDER)
    inside = (seen.time_us >= window.start_us) & (seen.time_us <= window.end_us)
    inside[inside] = window.region.contains(ra_deg[inside], dec_deg[inside], seen.pixel[inside])
    rows = np.flatnonzero(inside)
    where = ra_deg[rows], dec_deg[rows], seen.pixel[rows]
    columns = zip(
        rows.tolist(),
        ra_deg[rows].tolist(),
        dec_deg[rows].tolist(),
        seen.time_us[rows].tolist(),
        trigger.skymap.credible_level(*where).tolist(),
        trigger.skymap.density_per_sr(*where).tolist(),
        strict=True,
    )
    return [
        placed(trigger, f"o{row}", ra, dec, time_us, level, density, survey)
        for row, ra, dec, time_us, level, density in columns
    ]


def placed(
    trigger: Trigger,
    name: str,
    ra_deg: float,
    dec_deg: float,
    time_us: int,
    level: float,
    density_per_sr: float,
    survey: str = "ztf",
) -> Coincidence:
    """A new object there and then, whose packet tells of no visit that missed it."""
    any_one = candidate()
    return replace(
        any_one,
        id=f"grb-{name}",
        object=replace(
            any_one.object,
            survey=survey,
            object_id=name,
            ra_deg=ra_deg,
            dec_deg=dec_deg,
            first_detection_us=time_us,
            first_match_us=time_us,
            last_match_us=time_us,
        ),
        delta_t_s=(time_us - trigger.time_us) / US_PER_S,
        credible_level=level,
        probability_density_per_sr=density_per_sr,
        overlap=4 * np.pi * density_per_sr,
    )


def cells_near(window: Window) -> NDArray[np.int64]:
    """Cells that a window's region may touch."""
    first, last = window.region.lo >> CELL_SHIFT, (window.region.hi - 1) >> CELL_SHIFT
    return np.unique(np.concatenate([np.arange(a, b + 1) for a, b in zip(first.tolist(), last.tolist(), strict=True)]))


def every_night(nights: Iterable[int], cells: NDArray[np.int64] | None = None, hour: float = 1.0) -> NDArray[np.int64]:
    """Visits to all cells (or to these) in each of these nights after that of `T0`."""
    chosen = list(nights)
    visit_us = np.zeros((len(chosen), CELLS), np.int64)
    for row, night in enumerate(chosen):
        visit_us[row, slice(None) if cells is None else cells] = T0 + night * DAY + round(hour * 3600 * US_PER_S)
    return visit_us
