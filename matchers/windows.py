"""Which alerts lie inside a window: the one test that live matching, stored alerts and the final verdict share."""

import numpy as np

from schemas.records import Alerts, Bools, Ints, Window
from schemas.sky import Region, inner_of


def in_time(window: Window, time_us: Ints) -> Bools:
    """Whether each instant lies in the window's span, both ends included. Shape (n,)."""
    return (window.start_us <= time_us) & (time_us <= window.end_us)


def covered(region: Region, pixel: Ints) -> Bools:
    """Whether each pixel lies in one of the intervals that cover the region. Shape (n,).

    The cover holds the region and a little more, so this spares most exact tests and decides nothing alone.
    """
    return _in_intervals(region.lo, region.hi, pixel)


def rows_inside(window: Window, alerts: Alerts) -> Ints:
    """Ascending indices of the alerts that lie inside the window, exactly: first time, then cover, then the region."""
    rows = np.flatnonzero(in_time(window, alerts.time_us))
    if len(rows):
        rows = rows[covered(window.region, alerts.pixel[rows])]
    if len(rows):
        rows = rows[window.region.contains(alerts.ra_deg[rows], alerts.dec_deg[rows], alerts.pixel[rows])]
    return rows


def inside_for_sure(region: Region, pixel: Ints) -> Bools:
    """Which pixels in the region's cover lie inside without asking the region. Shape (n,)."""
    return _in_intervals(*inner_of(region), pixel)


def is_its_cells(region: Region) -> bool:
    """Whether a region is known to be just its intervals, so that it need never be asked."""
    lo, hi = inner_of(region)
    return lo is region.lo and hi is region.hi


def _in_intervals(lo: Ints, hi: Ints, pixel: Ints) -> Bools:
    if not len(lo):
        return np.zeros(len(pixel), np.bool_)
    interval = np.searchsorted(lo, pixel, side="right") - 1
    return (interval >= 0) & (pixel < hi[interval])
