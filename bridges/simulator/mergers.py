"""Gravitational-wave candidates: a map that holds the true position, and LVK's JSON around it.

A map is an arc: a ring of constant delay between two detectors, brighter on one side (Singer & Price 2016, Phys.
Rev. D 93, 024013 show how they look). It is made in a frame of its own, a point is drawn from it, and the
frame is turned so that this point falls on the true position: the credible level of the truth is then
uniform from 0 to 1 in every map of the same event.
"""

import base64
import io
import json
import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from astropy.io import fits
from numpy.random import Generator
from numpy.typing import NDArray

from bridges.simulator.bursts import Event
from bridges.simulator.sphere import Array, vector_of
from schemas.pixels import cell_centres
from schemas.times import US_PER_S, datetime_from_us, iso_from_us

_FINEST_ORDER, _COARSEST_ORDER = 7, 3
_CELL_PROBABILITY = 2e-4
"""Four cells are kept as one while they hold less than this together."""


@dataclass(frozen=True, slots=True)
class Arc:
    """Shape of a map in its own frame: a ring about the z axis, densest towards x.

    Attributes
    ----------
    radius_deg, width_deg
        Opening angle of the ring and standard deviation across it.
    length_deg
        Standard deviation along it (of a von Mises density), in degrees of azimuth.
    """

    radius_deg: float
    width_deg: float
    length_deg: float

    def draw(self, random: Generator) -> Array:
        """A point, as a unit vector of shape (3,)."""
        theta = self.radius_deg + self.width_deg * float(random.normal())
        phi = float(random.vonmises(0.0, 1.0 / math.radians(self.length_deg) ** 2))
        return vector_of(math.degrees(phi), 90.0 - min(max(theta, 0.01), 179.99))

    def relative_density(self, vectors: Array) -> Array:
        """Density of `draw` per solid angle up to a factor, of unit vectors of shape (n, 3)."""
        theta = np.degrees(np.arccos(np.clip(vectors[:, 2], -1.0, 1.0)))
        across = -0.5 * ((theta - self.radius_deg) / self.width_deg) ** 2
        planar = np.maximum(np.hypot(vectors[:, 0], vectors[:, 1]), 1e-9)
        along = (vectors[:, 0] / planar - 1.0) / math.radians(self.length_deg) ** 2
        return np.exp(across + along) / planar


@dataclass(frozen=True, slots=True, eq=False)
class MergerMap:
    """A multi-order map: cells of order and NESTED number, their density per sr and distance layers, shape (n,)."""

    uniq: NDArray[np.int64]
    density_per_sr: Array
    distance_mpc: float
    distance_sigma_mpc: float

    def to_fits(self, name: str, instruments: str, event_us: int) -> bytes:
        """The map as LVK writes it."""
        mu, sigma, norm = distance_layers(self.density_per_sr, self.distance_mpc, self.distance_sigma_mpc)
        columns = [
            fits.Column("UNIQ", "K", array=self.uniq),
            fits.Column("PROBDENSITY", "D", unit="sr-1", array=self.density_per_sr),
            fits.Column("DISTMU", "D", unit="Mpc", array=mu),
            fits.Column("DISTSIGMA", "D", unit="Mpc", array=sigma),
            fits.Column("DISTNORM", "D", unit="Mpc-2", array=norm),
        ]
        table = fits.BinTableHDU.from_columns(columns)
        table.header.update(
            PIXTYPE="HEALPIX",
            ORDERING="NUNIQ",
            COORDSYS="C",
            MOCORDER=_FINEST_ORDER,
            INDXSCHM="EXPLICIT",
            OBJECT=name,
            INSTRUME=instruments,
            CREATOR="Starcross simulator",
            ORIGIN="Starcross simulator: not an observation",
            DISTMEAN=self.distance_mpc,
            DISTSTD=self.distance_sigma_mpc,
        )
        table.header["DATE-OBS"] = iso_from_us(event_us).removesuffix("Z")
        out = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(out)
        return out.getvalue()


def draw_map(random: Generator, event: Event, arc: Arc, distance_mpc: float) -> MergerMap:
    """A map of an event, turned so that the truth lies where a point drawn from the map would."""
    turn = _rotation(random, arc.draw(random), vector_of(event.ra_deg, event.dec_deg))
    density = arc.relative_density(_finest_cells() @ turn)
    probability = density / density.sum()
    sigma = distance_mpc * float(random.uniform(0.2, 0.3))
    measured = max(distance_mpc + sigma * float(random.normal()), 2.0 * sigma)
    uniq, density_per_sr = _merge(probability)
    return MergerMap(uniq, density_per_sr, measured, sigma)


def distance_layers(density_per_sr: Array, distance_mpc: float, sigma_mpc: float) -> tuple[Array, Array, Array]:
    """DISTMU, DISTSIGMA and DISTNORM of each cell, the first larger where the density is higher.

    DISTNORM makes the integral of DISTNORM r^2 N(r; DISTMU, DISTSIGMA) over r > 0 one (Singer et al. 2016,
    ApJL 829, L15, equation 2).
    """
    mu = distance_mpc * (0.9 + 0.2 * density_per_sr / density_per_sr.max())
    sigma = np.full_like(mu, sigma_mpc)
    z = mu / sigma
    inside = 0.5 * (1.0 + np.array([math.erf(value / math.sqrt(2.0)) for value in z]))
    tail = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    return mu, sigma, 1.0 / ((mu**2 + sigma**2) * inside + mu * sigma * tail)


def superevent_name(event_us: int, letter: str) -> str:
    """LVK's name of a mock candidate: ``MS``, the date, letters."""
    return f"MS{datetime_from_us(event_us):%y%m%d}{letter}"


def lvk_alert(name: str, event: Event, alert_type: str, issued_us: int, skymap: MergerMap | None) -> bytes:
    """LVK's alert as JSON with the map inside; without a map a retraction, whose event is null."""
    instruments = ["H1", "L1", "V1"]
    detail = None
    if skymap is not None:
        body = skymap.to_fits(name, ",".join(instruments), event.time_us)
        detail = {
            "time": iso_from_us(event.time_us)[:23] + "Z",
            "far": 3.1e-10,
            "significant": True,
            "instruments": instruments,
            "group": "CBC",
            "pipeline": "gstlal",
            "search": "MDC",
            "properties": {"HasNS": 1.0, "HasRemnant": 0.98, "HasMassGap": 0.01},
            "classification": {"BNS": 0.96, "NSBH": 0.02, "BBH": 0.0, "Terrestrial": 0.02},
            "duration": None,
            "central_frequency": None,
            "skymap": base64.b64encode(body).decode("ascii"),
        }
    alert = {
        "alert_type": alert_type,
        "time_created": iso_from_us(issued_us // US_PER_S * US_PER_S)[:19] + "Z",
        "superevent_id": name,
        "urls": {"gracedb": f"https://example.org/simulated/superevents/{name}/view/"},
        "event": detail,
        "external_coinc": None,
    }
    return json.dumps(alert).encode()


def _rotation(random: Generator, from_vector: Array, to_vector: Array) -> Array:
    """Matrix M of a rotation such that ``vectors @ M`` takes `to_vector` to `from_vector`, with a random roll."""
    here, there = _frame(random, to_vector), _frame(random, from_vector)
    return np.asarray(here.T @ there)


def _frame(random: Generator, vector: Array) -> Array:
    """Three orthonormal rows of which the first is `vector` and the others point at random."""
    second = np.cross(vector, random.normal(size=3))
    second /= np.linalg.norm(second)
    return np.stack([vector, second, np.cross(vector, second)])


@cache
def _finest_cells() -> Array:
    """Centres of all cells of the finest order as unit vectors."""
    return vector_of(*cell_centres(np.arange(12 << (2 * _FINEST_ORDER), dtype=np.int64), _FINEST_ORDER))


def _merge(probability: Array) -> tuple[NDArray[np.int64], Array]:
    """Cells joined by fours from the finest order up while they hold little; UNIQ and density, in order of UNIQ."""
    intact = np.ones(len(probability), np.bool_)
    uniq, density = [], []
    for order in range(_FINEST_ORDER, _COARSEST_ORDER - 1, -1):
        joined = probability.reshape(-1, 4).sum(axis=1)
        joins = intact.reshape(-1, 4).all(axis=1) & (joined < _CELL_PROBABILITY) & (order > _COARSEST_ORDER)
        kept = np.flatnonzero(intact & ~np.repeat(joins, 4))
        uniq.append((4 << (2 * order)) + kept)
        density.append(probability[kept] * (12 << (2 * order)) / (4.0 * np.pi))
        intact, probability = joins, joined
    return np.concatenate(uniq[::-1]), np.concatenate(density[::-1])
