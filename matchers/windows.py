"""Which alerts lie inside a window: the one test that live matching, stored alerts and the final verdict share."""

import numpy as np

from schemas.records import Alerts, Bools, Ints, Window
from schemas.sky import Region


def in_time(window: Window, time_us: Ints) -> Bools:
    """Whether each instant lies in the window's span, both ends included. Shape (n,)."""
    return (window.start_us <= time_us) & (time_us <= window.end_us)


def covered(region: Region, pixel: Ints) -> Bools:
    """Whether each pixel lies in one of the intervals that cover the region. Shape (n,).

    The cover holds the region and a little more, so this spares most exact tests and decides nothing alone.
    """
    if not len(region.lo):
        return np.zeros(len(pixel), np.bool_)
    interval = np.searchsorted(region.lo, pixel, side="right") - 1
    return (interval >= 0) & (pixel < region.hi[interval])


def rows_inside(window: Window, alerts: Alerts) -> Ints:
    """Ascending indices of the alerts that lie inside the window, exactly: first time, then cover, then the region."""
    rows = np.flatnonzero(in_time(window, alerts.time_us))
    if len(rows):
        rows = rows[covered(window.region, alerts.pixel[rows])]
    if len(rows):
        rows = rows[window.region.contains(alerts.ra_deg[rows], alerts.dec_deg[rows], alerts.pixel[rows])]
    return rows
