"""Alerts to live triggers: how many a second, and what it costs to change a trigger."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib import import_module
from time import perf_counter

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord, angular_separation, search_around_sky
from mocpy import MOC

from matchers.triggers import TriggerBook
from matchers.windows import rows_inside
from schemas.records import Alerts, Trigger, Window
from schemas.sky import Cells
from tests.bench import made
from tests.bench.needs import SERVER, lacking
from tests.bench.rows import Row, rate, row_of_ms, row_of_rates, seconds_of

SEARCH, CROSSMATCH, ALCHEMY = (
    "astropy search_around_sky", "ligo.skymap crossmatch", "healpix-alchemy on PostgreSQL",
)  # fmt: skip
NEEDED: dict[str, tuple[str, ...]] = {
    SEARCH: ("scipy",),
    CROSSMATCH: ("ligo.skymap",),
    ALCHEMY: ("healpix_alchemy", "psycopg", SERVER),
}
"""Baselines that need more than Starcross does: packages, and PostgreSQL's server."""

Windows = Sequence[tuple[Trigger, Window]]
Pairs = set[tuple[int, int]]


def live(*, full: bool = False) -> list[Row]:
    """Batches of 1,000 alerts against 220 live windows, 20 of them GW maps; `full`: other batches and numbers too."""
    live = made.windows(220, maps=20)
    rows = _of(live, 1_000_000 if full else 100_000, full=full) + _kinds(live, made.alerts(100_000))
    for number, maps in [(10, 1), (50, 5), (1000, 20), (5000, 20)] if full else []:
        rows += _of(made.windows(number, maps=maps), 1_000_000 if number < len(live) else 100_000, full=full)
    return rows


def missing() -> dict[str, str]:
    """Baselines that cannot run, and what they lack."""
    return {baseline: ", ".join(lack) for baseline, needs in NEEDED.items() if (lack := lacking(needs))}


def _of(windows: Windows, n: int, *, full: bool) -> list[Row]:
    alerts, size = made.alerts(n), f"{len(windows)} windows"
    book, puts = _book(windows)
    few = alerts.take(slice(None, None, max(n // 10_000, 1)))
    assert pairs_of(book, [few]) == plain_pairs(windows, few), "live match is wrong"
    plainly = seconds_of(lambda: [rows_inside(window, few) for _, window in windows], 1, warm=False)
    rows = []
    for batch in (100, 1000, 10_000) if full else (1000,):
        parts = made.batches(alerts, batch)
        seconds = seconds_of(lambda parts=parts: [book.holding(part) for part in parts], 5)
        rows.append(
            row_of_rates(
                f"live match, batches of {batch}", size, n, seconds,
                baseline="each window in turn, 10,000 alerts at once", baseline_median=rate(len(few), plainly),
            )
        )  # fmt: skip
    rows.append(row_of_ms("open a trigger's window", size, puts[-50:]))
    rows.append(row_of_ms("replace a trigger's window", size, _puts(book, windows[:50])))
    rows.append(row_of_ms("remove a trigger", size, _removals(book, windows[:50])))
    return rows


def _kinds(windows: Windows, alerts: Alerts) -> list[Row]:
    """Circles against astropy, and maps against those who match them."""
    few = alerts.take(slice(None, 50_000))
    circles = [(trigger, window) for trigger, window in windows if not isinstance(window.region, Cells)]
    maps = [(trigger, window) for trigger, window in windows if isinstance(window.region, Cells)]
    rows = []
    for kind, name, baseline in _baselines():
        some = circles if kind == "circles" else maps
        book, _ = _book(some)
        parts = made.batches(few, 1000)
        ours = seconds_of(lambda book=book, parts=parts: [book.holding(part) for part in parts], 5)
        with baseline(some, few) as pairs:
            theirs = seconds_of(pairs, 1, warm=False)
        rows.append(
            row_of_rates(
                f"live match, {kind}, batches of 1000", f"{len(some)} windows", len(few), ours,
                baseline=f"{name}, all alerts at once", baseline_median=rate(len(few), theirs),
            )
        )  # fmt: skip
    return rows


Baseline = Callable[[Windows, Alerts], AbstractContextManager[Callable[[], int]]]
"""What is made ready, and then counts the pairs."""


def _baselines() -> list[tuple[str, str, Baseline]]:
    """Of those that can run: what they match, their names and themselves."""

    def plain(pairs: Callable[[Windows, Alerts], int]) -> Baseline:
        return lambda windows, alerts: nullcontext(partial(pairs, windows, alerts))

    found = [
        ("circles", "astropy separations, a window at a time", plain(separation_pairs)),
        ("maps", "mocpy contains_lonlat", plain(mocpy_pairs)),
    ]
    if not lacking(NEEDED[SEARCH]):
        found.append(("circles", SEARCH, plain(astropy_pairs)))
    if not lacking(NEEDED[CROSSMATCH]):
        found.append(("maps", CROSSMATCH, plain(import_module("tests.bench.crossmatch").pairs)))
    if not lacking(NEEDED[ALCHEMY]):
        found.append(("maps", ALCHEMY, import_module("tests.bench.alchemy").pairs))
    return found


def pairs_of(book: TriggerBook, batches: Sequence[Alerts]) -> Pairs:
    """Number of the window (as `made.windows` names its trigger) and id of the alert."""
    return {
        (int(hit.trigger.id.partition(":")[2]), int(number))
        for batch in batches
        for hit in book.holding(batch)
        for number in batch.alert_id[hit.rows]
    }


def plain_pairs(windows: Windows, alerts: Alerts) -> Pairs:
    """The same by asking each region about each alert."""
    return {
        (int(trigger.id.partition(":")[2]), int(number))
        for trigger, window in windows
        for number in alerts.alert_id[
            window.region.contains(alerts.ra_deg, alerts.dec_deg, alerts.pixel) & _in_time(window, alerts)
        ]
    }


def astropy_pairs(windows: Windows, alerts: Alerts) -> int:
    """How many pairs astropy finds within the largest radius that are near enough and in time; needs scipy."""
    found = made.circles(windows)
    radius = np.array([circle.radius_deg for _, circle in found])
    centres = SkyCoord(*np.array([(circle.ra_deg, circle.dec_deg) for _, circle in found]).T * u.deg)
    places = SkyCoord(alerts.ra_deg * u.deg, alerts.dec_deg * u.deg)
    window, alert, away, _ = search_around_sky(centres, places, radius.max() * u.deg)
    start, end = (np.array([getattr(w, name) for w, _ in found]) for name in ("start_us", "end_us"))
    time_us = alerts.time_us[alert]
    return int(((away.deg <= radius[window]) & (start[window] <= time_us) & (time_us <= end[window])).sum())


def separation_pairs(windows: Windows, alerts: Alerts) -> int:
    """How many pairs are near enough by astropy's separations, and in time."""
    total, (ra, dec) = 0, np.radians((alerts.ra_deg, alerts.dec_deg))
    for window, circle in made.circles(windows):
        away = np.degrees(angular_separation(ra, dec, np.radians(circle.ra_deg), np.radians(circle.dec_deg)))
        total += int(((away <= circle.radius_deg) & _in_time(window, alerts)).sum())
    return total


def mocpy_pairs(windows: Windows, alerts: Alerts) -> int:
    """How many pairs mocpy finds in the maps' regions that are in time."""
    total = 0
    for _, window in windows:
        moc = MOC.from_depth29_ranges(29, np.stack([window.region.lo, window.region.hi], axis=1).astype(np.uint64))
        inside = moc.contains_lonlat(alerts.ra_deg * u.deg, alerts.dec_deg * u.deg)
        total += int((inside & _in_time(window, alerts)).sum())
    return total


def _in_time(window: Window, alerts: Alerts) -> np.ndarray:
    return (window.start_us <= alerts.time_us) & (alerts.time_us <= window.end_us)


def _book(windows: Windows) -> tuple[TriggerBook, list[float]]:
    book = TriggerBook()
    return book, _puts(book, windows)


def _puts(book: TriggerBook, windows: Windows) -> list[float]:
    seconds = []
    for trigger, window in windows:
        start = perf_counter()
        book.put(trigger, {"bench": window})
        seconds.append(perf_counter() - start)
    return seconds


def _removals(book: TriggerBook, windows: Windows) -> list[float]:
    seconds = []
    for trigger, _ in windows:
        start = perf_counter()
        book.remove(trigger.id)
        seconds.append(perf_counter() - start)
    return seconds
