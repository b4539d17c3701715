"""Whether an object's host lies as far away as a trigger says: distances of catalogues in maps with distance layers."""

import math
from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from schemas.annotations import Annotation, Answer
from schemas.pixels import Array, Pixels
from schemas.sky import CellTable, SkyMap, rows_holding
from schemas.volume import credible_level_3d, distance_of

_RELATIVE_ERR = 0.1
"""Of a distance without an error."""
_LEAST_ERR_MPC = 5.0
"""Peculiar velocities of 300 km/s."""
_RIGHT_HOST = 0.9
"""That the galaxy next to an object is its host."""
_UNRELATED_TO_MPC = 1000.0
"""Hosts of unrelated objects are spread evenly in the volume up to this distance, at which supernovae of type Ia reach
magnitude 21, or up to the object's own."""
_MOST_CELLS = 1 << 12
_DEPTHS: Array = np.concatenate([np.linspace(0.0, 4.5, 28), np.linspace(5.0, 9.0, 9)])
"""Of the table of levels in volume, as sqrt(2 ln(highest dP/dV / dP/dV))."""


class Host(NamedTuple):
    """Luminosity distance of a host and its error."""

    distance_mpc: float
    err_mpc: float


def host_of(annotations: Iterable[Annotation]) -> Host | None:
    """The distance that the nearest entry of a catalogue gives, none of a star; None if none gives any."""
    nearest: tuple[float, str, str, Host] | None = None
    for one in annotations:
        if (one.distance_mpc is None and one.redshift is None) or one.answer is not Answer.FOUND:
            continue
        host = _told_by(one)
        if host is not None and not (one.star_probability or 0.0) > 0.5:  # noqa: PLR2004
            away = math.inf if one.separation_arcsec is None else one.separation_arcsec
            entry = away, one.catalogue, one.name, host
            nearest = entry if nearest is None else min(nearest, entry)
    return nearest and nearest[-1]


def _told_by(entry: Annotation) -> Host | None:
    distance_mpc = entry.distance_mpc
    if distance_mpc is None and entry.redshift is not None and 0 < entry.redshift < 20:  # noqa: PLR2004 - no galaxy is farther
        distance_mpc = _distance_of(entry.redshift)
    if distance_mpc is None or not 0 < distance_mpc < math.inf:
        return None
    err_mpc = entry.distance_err_mpc
    if err_mpc is None or not 0 < err_mpc < math.inf:
        err_mpc = _RELATIVE_ERR * distance_mpc
    return Host(distance_mpc, max(err_mpc, _LEAST_ERR_MPC))


@lru_cache(maxsize=1 << 12)
def _distance_of(redshift: float) -> float:
    return float(distance_of(np.array([redshift]))[0])


class DistanceLayers:
    """Distances of a map, by line of sight."""

    def __init__(self, lo: Pixels, hi: Pixels, density: Array, layers: Array) -> None:
        mu, sigma, norm = layers
        known = np.isfinite(mu) & np.isfinite(sigma) & np.isfinite(norm) & (sigma > 0)
        known[known] = density[known] * norm[known] / sigma[known] > 0
        self._lo, self._hi, self._density = lo[known], hi[known], density[known]
        self._mu, self._sigma, self._norm = layers[:, known]

    @cached_property
    def mean_mpc(self) -> float | None:
        """Mean distance of the trigger; None if no line of sight has any."""
        weight = self._density * (self._hi - self._lo)
        squares = self._mu**2 + self._sigma**2
        mean = self._mu * (self._mu**2 + 3 * self._sigma**2) / squares
        good = np.isfinite(mean) & (mean > 0)
        return float(np.average(mean[good], weights=weight[good])) if good.any() else None

    def ratio(self, pixel: Pixels, hosts: list[Host]) -> Array:
        """How much more probable each host's distance is for the trigger's, on its line of sight, than for any other.

        p(r) = DISTNORM r^2 N(r; DISTMU, DISTSIGMA), with the error of r added to DISTSIGMA in quadrature, over that of
        unrelated hosts, 3 r^2 / r_max^3 up to r_max = 1 Gpc; the host may be a wrong one. 1 off the layers.
        """
        rows, inside = rows_holding(self._lo, self._hi, pixel)
        distance, err = np.array(hosts, np.float64).reshape(-1, 2).T
        rows = np.where(inside, rows, 0)
        if not len(self._lo):
            return np.ones(len(pixel))
        sigma = np.hypot(self._sigma[rows], err)
        normal = np.exp(-(((distance - self._mu[rows]) / sigma) ** 2) / 2) / (sigma * math.sqrt(2 * math.pi))
        ratio = self._norm[rows] * normal * np.maximum(distance, _UNRELATED_TO_MPC) ** 3 / 3
        return np.where(inside, _RIGHT_HOST * ratio + (1 - _RIGHT_HOST), 1.0)

    def level(self, pixel: Pixels, hosts: list[Host]) -> Array:
        """Credible level in volume at each host (`schemas.volume.credible_level_3d`), from a table: good to 0.02."""
        if not len(self._lo):
            return np.ones(len(pixel))
        rows, inside = rows_holding(self._lo, self._hi, pixel)
        rows = np.where(inside, rows, 0)
        distance = np.array([host.distance_mpc for host in hosts])
        offset = (distance - self._mu[rows]) / self._sigma[rows]
        lower = self._log_peak[self._best] - self._log_peak[rows]
        depth = np.sqrt(np.maximum(2 * lower + offset**2, 0.0))
        return np.where(inside, np.interp(depth, _DEPTHS, self._levels, right=1.0), 1.0)

    @cached_property
    def _log_peak(self) -> Array:
        """Logarithm of the highest dP/dV of each line of sight, but for a constant."""
        return np.asarray(np.log(self._density * self._norm / self._sigma), np.float64)

    @cached_property
    def _best(self) -> int:
        return int(np.argmax(self._log_peak))

    @cached_property
    def _levels(self) -> Array:
        """Levels on the line of sight on which dP/dV is highest, from there outwards: it falls as on any other."""
        best = self._best
        step = len(self._lo) // _MOST_CELLS + 1
        rows = np.unique(np.append(np.arange(0, len(self._lo), step), best))
        lo = self._lo[rows]
        hi = lo + (self._hi[rows] - lo) * step
        kept = (self._density[rows] * (hi - lo)).sum() / (self._density * (self._hi - self._lo)).sum()
        table = CellTable(lo, hi, self._density[rows] / kept, np.zeros(len(rows)))
        thin = SkyMap(table, 0.0, 0.0, "", distance=np.array([self._mu[rows], self._sigma[rows], self._norm[rows]]))
        anywhere = np.zeros(len(_DEPTHS))
        distance_mpc = self._mu[best] + _DEPTHS * self._sigma[best]
        levels = credible_level_3d(thin, anywhere, anywhere, np.full(len(_DEPTHS), self._lo[best]), distance_mpc)
        return np.asarray(np.maximum.accumulate(levels), np.float64)


_KEPT: WeakKeyDictionary[SkyMap, DistanceLayers] = WeakKeyDictionary()


def layers_of(skymap: SkyMap) -> DistanceLayers | None:
    """The distance layers of a map, kept as long as it is; None if it has none."""
    if skymap.distance is None:
        return None
    layers = _KEPT.get(skymap)
    if layers is None:
        layers = DistanceLayers(skymap.lo, skymap.hi, skymap.cell_density_per_sr, skymap.distance)
        _KEPT[skymap] = layers
    return layers
