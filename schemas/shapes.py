"""Densities on the sphere in closed form: what a reported radius, ellipse or ring stands for.

Each is normalised on the sphere, falls monotonically with its own notion of distance (so that the
contours of that distance are the credible regions) and holds exactly the reported containment inside
the reported contour. In a plane they would be Gaussians; at small radii they are.

With h = 1 - cos(theta) = 2 sin(theta/2)^2, which loses no digits at small angles, the Fisher (von Mises-Fisher)
density is proportional to exp(-kappa h) and holds (1 - exp(-kappa h)) / (1 - exp(-2 kappa)) within theta
(Fisher 1953, Proc. R. Soc. A 217, 295).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from schemas.errors import BadSkyMap, Reason
from schemas.pixels import DEG2_PER_SR, Array, separation_deg

_EXACT_KAPPA = 20.0
"""Above it exp(-2 kappa) is below the last digit of 1."""
_LEVEL_ROUNDING = 1e-12
"""Far more than a credible level, which is at most 1, is off by rounding."""
_RING_STEPS = 8192
"""So many steps out to 9 sigma make linear interpolation of the level of a ring good to 1e-7."""


def fisher_kappa(radius_deg: float, containment: float) -> float:
    """Concentration of the Fisher density whose circle of this radius holds `containment`.

    For small radii it is 1/sigma^2 with sigma = radius / sqrt(-2 ln(1 - containment)), radians.

    Raises
    ------
    BadSkyMap
        OUT_OF_RANGE if the circle holds as much or more of the sphere itself: then no density that falls
        outwards has that containment.
    """
    h = 2 * math.sin(math.radians(radius_deg) / 2) ** 2
    _require_concentration(containment, h / 2, f"a circle of {radius_deg:g} deg")
    kappa = -math.log1p(-containment) / h
    if kappa > _EXACT_KAPPA:
        return kappa
    return _solve(lambda k: math.expm1(-k * h) / math.expm1(-2 * k), containment, 0.0, kappa)


@dataclass(frozen=True, slots=True, eq=False)
class Fisher:
    """A sum of Fisher densities about one centre: one term for a circular error, two for a core and a tail.

    Attributes
    ----------
    ra_deg, dec_deg
        The centre.
    weights
        Probability of each term; their sum is 1.
    kappas
        Concentration of each term; 1/sqrt(kappa) is its standard deviation on each axis in radians.
    """

    ra_deg: float
    dec_deg: float
    weights: tuple[float, ...]
    kappas: tuple[float, ...]

    def density_per_sr(self, ra_deg: Array, dec_deg: Array) -> Array:
        """Density at each position."""
        return self._density(_versine(ra_deg, dec_deg, self.ra_deg, self.dec_deg))

    def density_bounds(self, ra_deg: Array, dec_deg: Array, radius_deg: Array | float) -> tuple[Array, Array]:
        """Densities at the farthest and nearest distance from the centre within the radius."""
        near, far = self._versines_within(ra_deg, dec_deg, radius_deg)
        return self._density(far), self._density(near)

    def credible_level(self, ra_deg: Array, dec_deg: Array) -> Array:
        """Probability nearer to the centre than each position."""
        return self._within(_versine(ra_deg, dec_deg, self.ra_deg, self.dec_deg))

    def level_bounds(self, ra_deg: Array, dec_deg: Array, radius_deg: float) -> tuple[Array, Array]:
        """Levels at the nearest and farthest distance from the centre within the radius."""
        near, far = self._versines_within(ra_deg, dec_deg, radius_deg)
        return self._within(near), self._within(far)

    def area_deg2(self, level: float) -> float:
        """Area of the circle that holds `level`."""
        if level <= 0 or level >= 1:
            h = 2.0 if level >= 1 else 0.0
        else:
            # The circle lies between those that the terms would need alone.
            alone = [-math.log1p(level * math.expm1(-2 * kappa)) / kappa for kappa in self.kappas]
            h = _solve(self._within_one, level, min(alone), max(alone))
        return 2 * math.pi * h * DEG2_PER_SR

    def versine_bounds(self, level: float) -> tuple[float, float]:
        """Versines 1 - cos(distance) below which the level is surely under `level`, and above which surely over it.

        Between the two, which differ by rounding errors, only `credible_level` decides. The first is -1 where
        nothing is sure to lie within, the second above 2 where nothing is sure to lie beyond.
        """
        low, high = level - _LEVEL_ROUNDING, level + _LEVEL_ROUNDING
        within = _solve(self._within_one, low, 0.0, 2.0) if low > 0 else -1.0
        beyond = _solve(self._within_one, high, 0.0, 2.0) if high < 1 else 3.0
        return within, beyond

    def _versines_within(self, ra_deg: Array, dec_deg: Array, radius_deg: Array | float) -> tuple[Array, Array]:
        """Versines of the nearest and farthest distance from the centre within the radius."""
        theta, radius = np.radians(separation_deg(ra_deg, dec_deg, self.ra_deg, self.dec_deg)), np.radians(radius_deg)
        near, far = np.maximum(theta - radius, 0), np.minimum(theta + radius, np.pi)
        return 2 * np.sin(near / 2) ** 2, 2 * np.sin(far / 2) ** 2

    def _density(self, h: Array) -> Array:
        density = np.zeros_like(h)
        for weight, kappa in zip(self.weights, self.kappas, strict=True):
            density += weight * kappa / (-2 * np.pi * math.expm1(-2 * kappa)) * np.exp(-kappa * h)
        return density

    def _within(self, h: Array) -> Array:
        held = np.zeros_like(h)
        for weight, kappa in zip(self.weights, self.kappas, strict=True):
            held = held + weight * np.expm1(-kappa * h) / math.expm1(-2 * kappa)
        return np.asarray(np.minimum(held, 1.0))

    def _within_one(self, h: float) -> float:
        """The same number, to the last digit, in half the time: bisections ask for many."""
        held = 0.0
        for weight, kappa in zip(self.weights, self.kappas, strict=True):
            held += weight * float(np.expm1(-kappa * h)) / math.expm1(-2 * kappa)
        return min(held, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class FisherEllipse:
    """A Gaussian of two widths in Lambert's azimuthal equal-area projection about the centre.

    In that plane (distance from the centre 2 sin(theta/2), the sky a disc of radius 2) a density per area is a
    density per solid angle, and a circular Gaussian is exactly the Fisher density: this is its extension to
    two axes. Like that, it is cut where the sky ends and normalised to what is left.

    Attributes
    ----------
    ra_deg, dec_deg
        The centre.
    sigma_major, sigma_minor
        Standard deviations in the plane (radians near the centre).
    position_angle_deg
        Of the major axis, from north through east.
    """

    ra_deg: float
    dec_deg: float
    sigma_major: float
    sigma_minor: float
    position_angle_deg: float
    _edge: Array = field(init=False, repr=False)
    _held: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # In units of sigma the disc is an ellipse: at which distance it ends, by direction, and how much of the
        # Gaussian each of these directions holds.
        edge = np.sort(2 / _axis_length(self.sigma_major, self.sigma_minor))
        object.__setattr__(self, "_edge", edge)
        object.__setattr__(self, "_held", np.concatenate([[0.0], np.cumsum(-np.expm1(-(edge**2) / 2))]))

    @classmethod
    def of_contour(
        cls,
        ra_deg: float,
        dec_deg: float,
        semi_axes_deg: tuple[float, float],
        position_angle_deg: float,
        containment: float,
    ) -> "FisherEllipse":
        """The one that holds `containment` in the contour with these semi-axes (major, minor).

        Raises
        ------
        BadSkyMap
            OUT_OF_RANGE if the ellipse holds as much of the sphere itself.
        """
        major, minor = (2 * math.sin(math.radians(semi_axis) / 2) for semi_axis in semi_axes_deg)
        edge = 2 / _axis_length(major, minor)
        _require_concentration(
            containment, 1 / float(np.mean(edge**2)), f"an ellipse of {semi_axes_deg[0]:g} by {semi_axes_deg[1]:g} deg"
        )
        sigmas = _solve(
            lambda q: math.expm1(-q * q / 2) / float(np.mean(np.expm1(-((q * edge) ** 2) / 2))),
            containment,
            0.0,
            math.sqrt(-2 * math.log1p(-containment)),
        )
        return cls(ra_deg, dec_deg, major / sigmas, minor / sigmas, position_angle_deg)

    def density_per_sr(self, ra_deg: Array, dec_deg: Array) -> Array:
        """Density at each position."""
        return self._density(self._distance(ra_deg, dec_deg))

    def density_bounds(self, ra_deg: Array, dec_deg: Array, radius_deg: Array | float) -> tuple[Array, Array]:
        """Bounds as those of `level_bounds`."""
        near, far = self._distances_within(ra_deg, dec_deg, radius_deg)
        return self._density(far), self._density(near)

    def credible_level(self, ra_deg: Array, dec_deg: Array) -> Array:
        """Probability inside the ellipse through each position."""
        return self._within(self._distance(ra_deg, dec_deg))

    def level_bounds(self, ra_deg: Array, dec_deg: Array, radius_deg: float) -> tuple[Array, Array]:
        """Bounds from the most that the projection stretches any path within the radius, 1 / cos(theta/2)."""
        near, far = self._distances_within(ra_deg, dec_deg, radius_deg)
        return self._within(near), self._within(far)

    def area_deg2(self, level: float) -> float:
        """Area of the ellipse that holds `level`."""
        if level <= 0:
            return 0.0
        distance = float(self._edge[-1])
        if level < 1:
            distance = _solve(lambda x: float(self._within(np.float64(x))), level, 0.0, distance)
        squares = np.minimum(distance, self._edge) ** 2
        return float(math.pi * self.sigma_major * self.sigma_minor * np.mean(squares) * DEG2_PER_SR)

    def _distances_within(self, ra_deg: Array, dec_deg: Array, radius_deg: Array | float) -> tuple[Array, Array]:
        """Bounds of the distance, in units of sigma, within the radius of each position."""
        theta, radius = np.radians(separation_deg(ra_deg, dec_deg, self.ra_deg, self.dec_deg)), np.radians(radius_deg)
        farthest = theta + radius
        stretch = np.cos(np.minimum(farthest, np.pi) / 2)
        narrowest = min(self.sigma_major, self.sigma_minor)
        with np.errstate(divide="ignore"):
            reach = np.where(farthest < np.pi, radius / (narrowest * stretch), np.inf)
        distance = self._distance(ra_deg, dec_deg)
        return np.maximum(distance - reach, 0), distance + reach

    def _density(self, distance: Array) -> Array:
        total = self._held[-1] / len(self._edge)
        peak = 1 / (2 * np.pi * self.sigma_major * self.sigma_minor * total)
        return np.asarray(peak * np.exp(-(distance**2) / 2))

    def _distance(self, ra_deg: Array, dec_deg: Array) -> Array:
        """Distance from the centre in units of sigma along its direction."""
        d_ra, dec, dec0 = np.radians(ra_deg - self.ra_deg), np.radians(dec_deg), math.radians(self.dec_deg)
        east = np.cos(dec) * np.sin(d_ra)
        north = np.sin(dec - dec0) + 2 * math.sin(dec0) * np.cos(dec) * np.sin(d_ra / 2) ** 2
        angle = np.arctan2(east, north) - math.radians(self.position_angle_deg)
        plane = np.sqrt(2 * _versine(ra_deg, dec_deg, self.ra_deg, self.dec_deg))
        return np.asarray(np.hypot(plane * np.cos(angle) / self.sigma_major, plane * np.sin(angle) / self.sigma_minor))

    def _within(self, distance: Array | np.float64) -> Array:
        ended = np.searchsorted(self._edge, distance)
        going = (len(self._edge) - ended) * -np.expm1(-(distance**2) / 2)
        return np.asarray(np.minimum((self._held[ended] + going) / self._held[-1], 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Ring:
    """Density exp(-(theta - radius)^2 / 2 sigma^2) in the distance theta from a centre.

    Attributes
    ----------
    ra_deg, dec_deg
        Centre of the ring.
    radius
        Radius of its middle in radians.
    sigma
        Standard deviation across, in radians.
    """

    ra_deg: float
    dec_deg: float
    radius: float
    sigma: float
    _offsets: Array = field(init=False, repr=False)
    _levels: Array = field(init=False, repr=False)
    _norm: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        offsets, held = _ring_table(self.radius, self.sigma)
        object.__setattr__(self, "_offsets", offsets)
        object.__setattr__(self, "_levels", held / held[-1])
        object.__setattr__(self, "_norm", float(held[-1]))

    @classmethod
    def of_band(
        cls, ra_deg: float, dec_deg: float, radius_deg: float, half_width_deg: float, containment: float
    ) -> "Ring":
        """The one that holds `containment` within `half_width_deg` of the circle of this radius.

        Raises
        ------
        BadSkyMap
            OUT_OF_RANGE if the band holds as much of the sphere itself.
        """
        radius, half_width = math.radians(radius_deg), math.radians(half_width_deg)
        inner, outer = max(radius - half_width, 0.0), min(radius + half_width, math.pi)
        _require_concentration(
            containment, (math.cos(inner) - math.cos(outer)) / 2, f"a ring of {radius_deg:g} +- {half_width_deg:g} deg"
        )

        def outside(sigma: float) -> float:
            offsets, held = _ring_table(radius, sigma)
            return 1 - float(np.interp(half_width, offsets, held / held[-1]))

        high = half_width
        while outside(high) < 1 - containment:
            high *= 2
        return cls(ra_deg, dec_deg, radius, _solve(outside, 1 - containment, half_width * 1e-3, high))

    def density_per_sr(self, ra_deg: Array, dec_deg: Array) -> Array:
        """Density at each position."""
        return self._density(self._offset(ra_deg, dec_deg))

    def density_bounds(self, ra_deg: Array, dec_deg: Array, radius_deg: Array | float) -> tuple[Array, Array]:
        """Densities at the farthest and nearest distance from the ring within the radius."""
        offset, radius = self._offset(ra_deg, dec_deg), np.radians(radius_deg)
        return self._density(offset + radius), self._density(np.maximum(offset - radius, 0))

    def credible_level(self, ra_deg: Array, dec_deg: Array) -> Array:
        """Probability nearer to the middle of the ring than each position."""
        return np.interp(self._offset(ra_deg, dec_deg), self._offsets, self._levels)

    def level_bounds(self, ra_deg: Array, dec_deg: Array, radius_deg: float) -> tuple[Array, Array]:
        """Levels at the nearest and farthest distance from the ring within the radius."""
        offset, radius = self._offset(ra_deg, dec_deg), math.radians(radius_deg)
        near, far = np.maximum(offset - radius, 0), offset + radius
        return np.interp(near, self._offsets, self._levels), np.interp(far, self._offsets, self._levels)

    def area_deg2(self, level: float) -> float:
        """Area of the band that holds `level`."""
        if level >= 1:
            return 4 * math.pi * DEG2_PER_SR
        offset = float(np.interp(level, self._levels, self._offsets))
        inner, outer = max(self.radius - offset, 0.0), min(self.radius + offset, math.pi)
        # cos(inner) - cos(outer) without loss of digits
        return 4 * math.pi * math.sin((outer + inner) / 2) * math.sin((outer - inner) / 2) * DEG2_PER_SR

    def _density(self, offset: Array) -> Array:
        return np.asarray(np.exp(-((offset / self.sigma) ** 2) / 2) / self._norm)

    def _offset(self, ra_deg: Array, dec_deg: Array) -> Array:
        theta = np.radians(separation_deg(ra_deg, dec_deg, self.ra_deg, self.dec_deg))
        return np.asarray(np.abs(theta - self.radius))


def _ring_table(radius: float, sigma: float) -> tuple[Array, Array]:
    """Offsets from the ring, and the integral of exp(-offset^2 / 2 sigma^2) over the sphere within each (sr)."""
    farthest = min(max(radius, math.pi - radius), 9 * sigma)  # beyond 9 sigma lies 1e-18

    def both_sides(offset: Array) -> Array:
        inner, outer = radius - offset, radius + offset
        ring = np.where(inner > 0, np.sin(inner), 0) + np.where(outer < np.pi, np.sin(outer), 0)
        return np.asarray(2 * np.pi * ring * np.exp(-((offset / sigma) ** 2) / 2))

    offsets = np.linspace(0, farthest, _RING_STEPS + 1)
    ends, middles = both_sides(offsets), both_sides((offsets[1:] + offsets[:-1]) / 2)
    panels = (ends[1:] + 4 * middles + ends[:-1]) / 6 * (farthest / _RING_STEPS)  # Simpson's rule
    return offsets, np.concatenate([[0.0], np.cumsum(panels)])


def _axis_length(major: float, minor: float) -> Array:
    """Length of the ellipse's image of a unit vector in directions all around (a quadrant has them all)."""
    angle = (np.arange(1024) + 0.5) * (np.pi / 2048)
    return np.asarray(np.hypot(major * np.cos(angle), minor * np.sin(angle)))


def _versine(ra_deg: Array, dec_deg: Array, ra0_deg: float, dec0_deg: float) -> Array:
    """1 - cos(theta) of the distance theta, with all its digits at small angles."""
    d_ra, dec, dec0 = np.radians(ra_deg - ra0_deg), np.radians(dec_deg), math.radians(dec0_deg)
    h = 2 * (np.sin((dec - dec0) / 2) ** 2 + np.cos(dec) * math.cos(dec0) * np.sin(d_ra / 2) ** 2)
    return np.asarray(np.minimum(h, 2.0))


def _require_concentration(containment: float, of_sphere: float, what: str) -> None:
    if containment <= of_sphere:
        raise BadSkyMap(
            Reason.OUT_OF_RANGE,
            f"{what} cannot hold just {containment:g} of the probability: it is {of_sphere:.3g} of the whole sky",
        )


def _solve(rising: Callable[[float], float], value: float, low: float, high: float) -> float:
    """Where a rising function has this value, by bisection to the last digit."""
    while low < (middle := (low + high) / 2) < high:
        if rising(middle) < value:
            low = middle
        else:
            high = middle
    return high
