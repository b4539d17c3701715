"""How ``ligo.skymap`` matches alerts with gravitational-wave maps; imported only where it is installed."""

from collections.abc import Sequence

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table
from ligo.skymap.postprocess import crossmatch

from schemas.records import Alerts, Trigger, Window
from schemas.sky import SkyMap
from tests.bench import made


def pairs(windows: Sequence[tuple[Trigger, Window]], alerts: Alerts) -> int:
    """How many pairs there are within 90 % that are in time."""
    places, total = SkyCoord(alerts.ra_deg * u.deg, alerts.dec_deg * u.deg), 0
    for trigger, window in windows:
        level = crossmatch(_table(made.map_of(trigger)), places).searched_prob
        in_time = (window.start_us <= alerts.time_us) & (alerts.time_us <= window.end_us)
        total += int(((level <= 0.9) & in_time).sum())
    return total


def _table(skymap: SkyMap) -> Table:
    order = 29 - np.log2(skymap.hi - skymap.lo).astype(np.int64) // 2
    uniq = (4 << 2 * order) + (skymap.lo >> 2 * (29 - order))
    return Table({"UNIQ": uniq, "PROBDENSITY": skymap.cell_density_per_sr / u.sr})
