"""Closed forms against quadrature on the sphere, against the plane, and against published numbers."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.errors import BadSkyMap, Reason
from schemas.pixels import DEG2_PER_SR, cell_centres, separation_deg
from schemas.shapes import Fisher, FisherEllipse, Ring, fisher_kappa
from schemas.sky import Shape

CONTAINMENT = st.one_of(st.sampled_from([0.39, 0.5, 0.6827, 0.9, 0.95, 0.99]), st.floats(0.3, 0.999))
LEVELS = np.array([0.01, 0.1, 0.5, 0.9, 0.99])
GRID_ORDER = 6
GRID = cell_centres(np.arange(12 << 2 * GRID_ORDER, dtype=np.int64), GRID_ORDER)
CELL_SR = 4 * np.pi / len(GRID[0])


def fisher(ra: float, dec: float, radius: float, containment: float) -> Fisher:
    return Fisher(ra, dec, (1.0,), (fisher_kappa(radius, containment),))


def north_of(dec: float, distance: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros_like(np.atleast_1d(distance)), dec + np.atleast_1d(distance)


WIDE: list[Shape] = [
    fisher(10, 20, 30, 0.9),
    fisher(300, -88, 100, 0.9),
    Fisher(45, 0, (0.6, 0.4), (20.0, 3.0)),
    FisherEllipse.of_contour(10, 20, (40, 15), 30, 0.9),
    FisherEllipse.of_contour(0, 90, (120, 30), 0, 0.9),
    FisherEllipse.of_contour(200, -45, (60, 60), 10, 0.5),
    Ring.of_band(10, 20, 60, 10, 0.9),
    Ring.of_band(180, -80, 10, 20, 0.9),
    Ring.of_band(180, -80, 170, 25, 0.68),
]


@pytest.mark.parametrize("shape", WIDE)
def test_density_integrates_to_one_and_its_contours_hold_their_level(shape: Shape) -> None:
    probability = shape.density_per_sr(*GRID) * CELL_SR
    assert probability.sum() == pytest.approx(1, abs=1e-3)
    level = shape.credible_level(*GRID)
    assert ((level >= 0) & (level <= 1)).all()
    for inside in LEVELS[1:]:
        assert probability[level <= inside].sum() == pytest.approx(inside, abs=0.01)
        assert (level <= inside).sum() * CELL_SR * DEG2_PER_SR == pytest.approx(shape.area_deg2(inside), rel=0.06)


@pytest.mark.parametrize("shape", WIDE)
def test_level_rises_as_density_falls(shape: Shape) -> None:
    density, level = shape.density_per_sr(*GRID), shape.credible_level(*GRID)
    rows = np.argsort(-density)
    assert (np.diff(level[rows]) >= -1e-12).all()


@pytest.mark.parametrize("shape", WIDE)
@pytest.mark.parametrize("radius", [0.5, 7.0, 48.0])
def test_level_bounds_hold_for_every_point_within(shape: Shape, radius: float) -> None:
    rows = np.arange(0, len(GRID[0]), 997)
    low, high = shape.level_bounds(GRID[0][rows], GRID[1][rows], radius)
    level = shape.credible_level(*GRID)
    for i, row in enumerate(rows):
        near = separation_deg(*GRID, float(GRID[0][row]), float(GRID[1][row])) <= radius
        assert low[i] - 1e-7 <= level[near].min()
        assert level[near].max() <= high[i] + 1e-7


@pytest.mark.parametrize("shape", WIDE)
@pytest.mark.parametrize("radius", [0.5, 7.0, 48.0])
def test_density_bounds_hold_for_every_point_within(shape: Shape, radius: float) -> None:
    rows = np.arange(0, len(GRID[0]), 997)
    low, high = shape.density_bounds(GRID[0][rows], GRID[1][rows], np.full(len(rows), radius))
    density = shape.density_per_sr(*GRID)
    for i, row in enumerate(rows):
        near = separation_deg(*GRID, float(GRID[0][row]), float(GRID[1][row])) <= radius
        assert low[i] * (1 - 1e-9) <= density[near].min()
        assert density[near].max() <= high[i] * (1 + 1e-9)


@pytest.mark.parametrize("shape", WIDE)
def test_areas_of_nothing_and_everything(shape: Shape) -> None:
    assert shape.area_deg2(0) == pytest.approx(0, abs=1e-9)
    assert shape.area_deg2(1) == pytest.approx(129600 / np.pi)
    areas = [shape.area_deg2(float(level)) for level in LEVELS]
    assert areas == sorted(areas)


@given(st.floats(-4.5, 1.9).map(lambda x: float(10**x)), CONTAINMENT)
@example(0.1 / 3600, 0.9)
@example(80.0, 0.9)
def test_a_circle_holds_exactly_what_was_reported(radius: float, containment: float) -> None:
    if containment <= math.sin(math.radians(radius) / 2) ** 2:
        with pytest.raises(BadSkyMap) as caught:
            fisher_kappa(radius, containment)
        assert caught.value.reason is Reason.OUT_OF_RANGE
        return
    shape = fisher(0.0, 0.0, radius, containment)
    assert shape.credible_level(*north_of(0.0, radius))[0] == pytest.approx(containment, abs=1e-9)
    circle_deg2 = 4 * np.pi * math.sin(math.radians(radius) / 2) ** 2 * DEG2_PER_SR
    assert shape.area_deg2(containment) == pytest.approx(circle_deg2, rel=1e-9)


@given(st.floats(-4, 0).map(lambda x: float(10**x)), CONTAINMENT)
def test_small_circles_are_gaussians_of_the_plane(radius: float, containment: float) -> None:
    sigma = math.radians(radius) / math.sqrt(-2 * math.log(1 - containment))
    shape = fisher(0.0, 0.0, radius, containment)
    distance = np.array([0.0, 0.5, 1.0, 2.0]) * radius
    psi = np.radians(distance)
    expected = np.exp(-(psi**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    np.testing.assert_allclose(shape.density_per_sr(*north_of(0.0, distance)), expected, rtol=6e-3)


def test_density_far_from_a_small_circle_is_zero_and_its_level_one() -> None:
    shape = fisher(120.0, 30.0, 0.1 / 3600, 0.9)
    far_ra, far_dec = np.array([300.0, 121.0]), np.array([-30.0, 30.0])
    assert shape.density_per_sr(far_ra, far_dec).tolist() == [0.0, 0.0]
    assert shape.credible_level(far_ra, far_dec).tolist() == [1.0, 1.0]


ROBOBA_LONG = (0.579, 1.86, 4.14)
"""Goldstein et al. 2020: weight and standard deviation of the core, and of the tail."""


def roboba(statistical_68_deg: float) -> Fisher:
    weight, core, tail = ROBOBA_LONG
    variance = 1 / fisher_kappa(statistical_68_deg, 0.6827)
    kappas = tuple(1 / (variance + math.radians(sigma) ** 2) for sigma in (core, tail))
    return Fisher(0, 0, (weight, 1 - weight), kappas)


@pytest.mark.parametrize(
    ("statistical", "within", "within_capped", "radius_90", "radius_99"),
    [(1, 0.08, 0.08, 7.1, 11.5), (3, 0.35, 0.35, 8.0, 12.5), (5, 0.49, 0.49, 9.7, 14.6), (8, 0.58, 0.29, 13.1, 18.9)],
)
def test_core_and_tail_give_the_known_radii(
    statistical: float, within: float, within_capped: float, radius_90: float, radius_99: float
) -> None:
    """What GBM's statistical circles hold of true counterparts."""
    shape = roboba(statistical)
    level = shape.credible_level(*north_of(0.0, np.array([statistical, min(statistical, 5.0), radius_90, radius_99])))
    np.testing.assert_allclose(level, [within, within_capped, 0.9, 0.99], atol=0.006)


def test_core_and_tail_give_the_known_areas() -> None:
    """GCN Circular 25726 states medians of 46 and 200 deg2 for final positions."""
    assert roboba(3).area_deg2(0.5) == pytest.approx(48, abs=0.5)
    assert roboba(3).area_deg2(0.9) == pytest.approx(201, abs=1)


@given(st.floats(-3, 1.7).map(lambda x: float(10**x)), st.floats(0.02, 1), st.floats(-400, 400), CONTAINMENT)
def test_an_ellipse_holds_exactly_what_was_reported(
    major: float, ratio: float, angle: float, containment: float
) -> None:
    minor = major * ratio
    try:
        shape = FisherEllipse.of_contour(0.0, 0.0, (major, minor), angle, containment)
    except BadSkyMap as error:
        assert containment < math.sin(math.radians(major) / 2) ** 2
        assert error.reason is Reason.OUT_OF_RANGE  # noqa: PT017
        return
    assert shape.credible_level(*along(angle, major))[0] == pytest.approx(containment, abs=2e-7)
    assert shape.credible_level(*along(angle + 90, minor))[0] == pytest.approx(containment, abs=2e-7)
    assert shape.credible_level(*along(angle + 180, 0.5 * major))[0] < containment
    plane = 4 * math.sin(math.radians(major) / 2) * math.sin(math.radians(minor) / 2)
    assert shape.area_deg2(containment) == pytest.approx(math.pi * plane * DEG2_PER_SR, rel=1e-6)


def along(angle_deg: float, distance_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """From (0, 0) in a direction north through east."""
    angle, distance = math.radians(angle_deg), math.radians(distance_deg)
    x, y, z = math.cos(distance), math.sin(distance) * math.sin(angle), math.sin(distance) * math.cos(angle)
    return np.degrees(np.atleast_1d(math.atan2(y, x))), np.degrees(np.atleast_1d(math.atan2(z, math.hypot(x, y))))


@pytest.mark.parametrize(("radius", "containment"), [(0.001, 0.9), (5, 0.68), (60, 0.9), (110, 0.95)])
def test_an_ellipse_of_equal_axes_is_the_circle(radius: float, containment: float) -> None:
    ellipse = FisherEllipse.of_contour(10, 70, (radius, radius), 33, containment)
    circle = fisher(10, 70, radius, containment)
    np.testing.assert_allclose(ellipse.credible_level(*GRID), circle.credible_level(*GRID), atol=1e-12)
    np.testing.assert_allclose(ellipse.density_per_sr(*GRID), circle.density_per_sr(*GRID), rtol=1e-9, atol=1e-300)
    assert ellipse.area_deg2(0.7) == pytest.approx(circle.area_deg2(0.7))


@pytest.mark.parametrize("centre", [(0.0, 90.0), (77.0, -90.0), (359.999, 0.0), (0.001, 89.999)])
def test_an_ellipse_is_the_same_wherever_it_is(centre: tuple[float, float]) -> None:
    """Levels at the ends of the axes, at the awkward places."""
    shape = FisherEllipse.of_contour(*centre, (2.0, 0.5), 0.0, 0.9)
    level = shape.credible_level(*GRID)
    reference = FisherEllipse.of_contour(120.0, 10.0, (2.0, 0.5), 0.0, 0.9)
    inside, expected = (level <= 0.999).sum(), (reference.credible_level(*GRID) <= 0.999).sum()
    assert inside == pytest.approx(expected, abs=3)


@pytest.mark.parametrize(
    ("radius", "half_width", "containment"),
    [(45, 0.1, 0.9), (1, 0.5, 0.68), (0.5, 2, 0.9), (90, 30, 0.9), (179, 3, 0.99)],
)
def test_a_ring_holds_exactly_what_was_reported(radius: float, half_width: float, containment: float) -> None:
    ring = Ring.of_band(0, 0, radius, half_width, containment)
    edges = [radius - half_width, radius + half_width]
    at_edges = [edge for edge in edges if 0 <= edge <= 180]
    ra, dec = (np.concatenate(both) for both in zip(*(along(77, edge) for edge in at_edges), strict=True))
    np.testing.assert_allclose(ring.credible_level(ra, dec), containment, atol=1e-6)
    inner, outer = max(edges[0], 0), min(edges[1], 180)
    band = 2 * np.pi * (math.cos(math.radians(inner)) - math.cos(math.radians(outer))) * DEG2_PER_SR
    assert ring.area_deg2(containment) == pytest.approx(band, rel=1e-5)


@settings(max_examples=20)
@given(st.floats(0, 180))
def test_level_of_a_ring_is_the_integral_of_its_density(distance: float) -> None:
    """Against a slow sum over fine rings about the centre."""
    ring = Ring.of_band(0, 0, 50, 12, 0.9)
    theta = (np.arange(400_000) + 0.5) * (np.pi / 400_000)
    density = ring.density_per_sr(*(np.concatenate(c) for c in zip(*(along(0, 0), along(40, 50)), strict=True)))
    assert density[1] > density[0]
    profile = np.exp(-((theta - math.radians(50)) ** 2) / (2 * ring.sigma**2)) * np.sin(theta)
    within = np.abs(theta - math.radians(50)) <= abs(math.radians(distance) - math.radians(50))
    expected = profile[within].sum() / profile.sum()
    assert ring.credible_level(*along(10, distance))[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    "make",
    [
        lambda: fisher_kappa(180, 0.9),
        lambda: fisher_kappa(90, 0.49),
        lambda: FisherEllipse.of_contour(0, 0, (180, 180), 0, 0.9),
        lambda: Ring.of_band(0, 0, 90, 90, 0.9),
        lambda: Ring.of_band(0, 0, 90, 30, 0.49),
    ],
)
def test_less_than_isotropic_is_refused(make: object) -> None:
    with pytest.raises(BadSkyMap, match="cannot hold just") as caught:
        make()  # type: ignore[operator]
    assert caught.value.reason is Reason.OUT_OF_RANGE
