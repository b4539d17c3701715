"""From a reported position to its sky map."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.densities import GBM_STATISTICAL_FACTOR, GBM_SYSTEMATICS, skymap_of
from schemas.errors import BadSkyMap, Reason
from schemas.localisation import Annulus, Cone, Ellipse, InlineMap, Localisation, Systematics
from schemas.pixels import DEG2_PER_SR, PIXEL_SR, cell_centres
from schemas.sky import ORDER, SkyMap, pixels_of, separation_deg
from tests.schemas.maps import blob, flat

RA, DEC = st.floats(0, 360), st.one_of(st.floats(-90, 90), st.sampled_from([90.0, -90.0, 0.0]))
RADIUS = st.floats(-3.5, 1.5).map(lambda x: float(10**x))
CONTAINMENT = st.sampled_from([0.39, 0.5, 0.6827, 0.9, 0.99])
CONES = st.builds(Cone, RA, DEC, RADIUS, CONTAINMENT, st.sampled_from(Systematics))
ELLIPSES = st.builds(Ellipse, RA, DEC, RADIUS, RADIUS, st.floats(-180, 180), st.just(0.9))
ANNULI = st.builds(Annulus, RA, DEC, st.floats(5, 175), st.floats(0.02, 5), CONTAINMENT)
LOCALISATIONS = st.one_of(CONES, ELLIPSES, ANNULI)
NOT_THIN = st.one_of(
    CONES,
    st.builds(
        lambda ra, dec, a, ratio: Ellipse(ra, dec, a, min(a * ratio, 40.0), 30, 0.9), RA, DEC, RADIUS, st.floats(0.1, 9)
    ),
    st.builds(Annulus, RA, DEC, st.floats(5, 175), st.floats(1, 5), CONTAINMENT),
)


def at(ra: float, dec: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ra_deg, dec_deg = np.array([ra]), np.array([dec])
    return ra_deg, dec_deg, pixels_of(ra_deg, dec_deg)


def near(skymap: SkyMap, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions in the map's cells and around the whole sky."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(skymap.lo), n)
    inside = cell_centres(rng.integers(skymap.lo[rows], skymap.hi[rows]), ORDER)
    ra = np.concatenate([inside[0], rng.uniform(0, 360, n)])
    dec = np.concatenate([inside[1], np.degrees(np.arcsin(rng.uniform(-1, 1, n)))])
    return ra, dec, pixels_of(ra, dec)


def made(localisation: Localisation) -> SkyMap | None:
    try:
        return skymap_of(localisation)
    except BadSkyMap as error:
        assert error.reason is Reason.OUT_OF_RANGE  # noqa: PT017 - wider than the sphere is
        return None


@given(LOCALISATIONS, st.sampled_from([0.1, 0.5, 0.9, 0.99]), st.integers(0, 999))
def test_a_region_holds_just_what_the_level_says(localisation: Localisation, level: float, seed: int) -> None:
    skymap = made(localisation)
    if skymap is None:
        return
    points = near(skymap, 300, seed)
    region = skymap.credible_region(level)
    inside = skymap.credible_level(*points) <= level
    np.testing.assert_array_equal(region.contains(*points), inside)
    rows = np.searchsorted(region.lo, points[2], side="right") - 1
    covered = (rows >= 0) & (points[2] < region.hi[rows])
    assert covered[inside].all(), "an interval is missing"
    assert (region.hi[:-1] < region.lo[1:]).all()
    covered_deg2 = (region.hi - region.lo).sum(dtype=np.float64) * PIXEL_SR * DEG2_PER_SR
    assert covered_deg2 >= 0.999 * skymap.area_deg2(level)


@given(NOT_THIN)
def test_cells_picture_the_density(localisation: Localisation) -> None:
    skymap = made(localisation)
    if skymap is None:
        return
    assert_cells(skymap)
    probability = skymap.cell_density_per_sr * (skymap.hi - skymap.lo) * PIXEL_SR
    assert probability.sum() == pytest.approx(1, abs=0.03)
    assert probability[skymap.cell_level <= 0.9].sum() == pytest.approx(0.9, abs=0.05)
    assert skymap.density_per_sr(*at(skymap.peak_ra_deg, skymap.peak_dec_deg))[0] >= (
        0.99999 * skymap.cell_density_per_sr.max()
    )


def assert_cells(skymap: SkyMap) -> None:
    assert (skymap.lo < skymap.hi).all()
    assert (skymap.hi[:-1] <= skymap.lo[1:]).all()
    assert len(skymap.lo) <= 20_000
    assert ((skymap.cell_level >= 0) & (skymap.cell_level <= 1)).all()
    assert skymap.credible_level(*at(skymap.peak_ra_deg, skymap.peak_dec_deg))[0] < 1e-5


@pytest.mark.parametrize("thin", [Ellipse(10, 20, 90, 0.001, 30, 0.9), Annulus(10, 20, 60, 1e-4, 0.9)])
def test_thin_shapes_are_covered_with_bounded_effort(thin: Localisation) -> None:
    skymap = skymap_of(thin)
    assert_cells(skymap)
    points = near(skymap, 1000, 1)
    rows = np.searchsorted(skymap.lo, points[2], side="right") - 1
    pictured = (rows >= 0) & (points[2] < skymap.hi[rows])
    assert pictured[skymap.credible_level(*points) <= 0.999].all()
    assert len(skymap.credible_region(0.9).lo) < 40_000


@given(RA, DEC, RADIUS, CONTAINMENT)
def test_a_cone_is_a_gaussian_with_its_containment(ra: float, dec: float, radius: float, containment: float) -> None:
    skymap = skymap_of(Cone(ra, dec, radius, containment))
    north = dec + radius if dec < 0 else dec - radius
    level = skymap.credible_level(*at(ra, north))[0]
    true_radius = separation_deg(np.array([ra]), np.array([north]), ra, dec)[0]
    assert level == pytest.approx(containment, abs=1e-9 + abs(true_radius / radius - 1) * 5)
    assert f"{radius:g} deg" in skymap.model


@pytest.mark.parametrize("stage", GBM_SYSTEMATICS)
@pytest.mark.parametrize("radius", [0.5, 3.0, 10.0])
def test_gbm_is_a_core_and_a_tail(stage: Systematics, radius: float) -> None:
    """kappa = 1 / (0.4356 (statistical^2 + systematic^2)), all 68 % radii in radians; flight positions count half."""
    weight, core, tail = GBM_SYSTEMATICS[stage]
    statistical = radius * GBM_STATISTICAL_FACTOR.get(stage, 1.0)
    theta = np.array([0.0, 1.0, 4.0, 9.0, 30.0, 90.0])
    h = 1 - np.cos(np.radians(theta))
    expected = np.zeros(6)
    for share, systematic in ((weight, core), (1 - weight, tail)):
        kappa = 1 / (0.4356 * (math.radians(statistical) ** 2 + math.radians(systematic) ** 2))
        expected += share * (1 - np.exp(-kappa * h)) / (1 - np.exp(-2 * kappa))
    skymap = skymap_of(Cone(30, 0, radius, 0.6827, stage))
    level = skymap.credible_level(np.full(6, 30.0), theta, np.zeros(6, np.int64))
    np.testing.assert_allclose(level, expected, atol=1e-3)
    assert "Connaughton" in skymap.model
    assert ("times 0.5" in skymap.model) == (stage is Systematics.GBM_FLIGHT)


def test_gbms_systematic_error_finds_the_afterglow_of_grb_200524a() -> None:
    """It lay 2.49 deg from a final position with a statistical radius of 1.08 deg."""
    bare = skymap_of(Cone(30, 0, 1.08, 0.6827))
    whole = skymap_of(Cone(30, 0, 1.08, 0.6827, Systematics.GBM_FINAL))
    assert bare.credible_level(*at(30, 2.49))[0] > 0.99
    assert whole.credible_level(*at(30, 2.49))[0] < 0.5


def test_an_included_systematic_error_is_not_added_again() -> None:
    models = [skymap_of(Cone(30, 0, 1, 0.9, s)).model for s in (Systematics.INCLUDED, Systematics.NONE_KNOWN)]
    areas = [skymap_of(Cone(30, 0, 1, 0.9, s)).area_deg2(0.9) for s in (Systematics.INCLUDED, Systematics.NONE_KNOWN)]
    assert "included" in models[0]
    assert "no systematic" in models[1]
    assert areas == pytest.approx([np.pi, np.pi], rel=1e-4)


def test_an_ellipse_points_where_it_says() -> None:
    skymap = skymap_of(Ellipse(350, 0, 3, 0.3, 90, 0.9))
    east, north = skymap.credible_level(*at(352.9, 0))[0], skymap.credible_level(*at(350, 2.9))[0]
    assert east < 0.9
    assert north > 0.999
    assert skymap.area_deg2(0.9) == pytest.approx(np.pi * 0.9, rel=1e-3)


@pytest.mark.parametrize(("dec", "radius"), [(10.0, 30.0), (80.0, 30.0), (-90.0, 20.0), (90.0, 20.0), (0.0, 180.0)])
def test_the_peak_of_a_ring_is_on_it(dec: float, radius: float) -> None:
    skymap = skymap_of(Annulus(200, dec, radius, 1, 0.9))
    distance = separation_deg(np.array([skymap.peak_ra_deg]), np.array([skymap.peak_dec_deg]), 200, dec)
    assert distance[0] == pytest.approx(radius)
    assert -90 <= skymap.peak_dec_deg <= 90


def test_a_map_is_taken_as_it_is() -> None:
    skymap = skymap_of(InlineMap(flat(blob(3))))
    assert skymap.shape is None
    assert "as given" in skymap.model


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("localisation", "reason"),
    [
        (Cone(0, 0, 0, 0.9), Reason.OUT_OF_RANGE),
        (Cone(0, 0, -1, 0.9), Reason.OUT_OF_RANGE),
        (Cone(0, 0, 1e-12, 0.9), Reason.OUT_OF_RANGE),
        (Cone(0, 0, 181, 0.9), Reason.OUT_OF_RANGE),
        (Cone(0, 0, 180, 0.9), Reason.OUT_OF_RANGE),
        (Cone(0, 0, NAN, 0.9), Reason.NOT_FINITE),
        (Cone(0, 0, INF, 0.9), Reason.NOT_FINITE),
        (Cone(NAN, 0, 1, 0.9), Reason.NOT_FINITE),
        (Cone(0, INF, 1, 0.9), Reason.NOT_FINITE),
        (Cone(-1, 0, 1, 0.9), Reason.OUT_OF_RANGE),
        (Cone(361, 0, 1, 0.9), Reason.OUT_OF_RANGE),
        (Cone(0, 91, 1, 0.9), Reason.OUT_OF_RANGE),
        (Cone(0, 0, 1, 0), Reason.OUT_OF_RANGE),
        (Cone(0, 0, 1, 1), Reason.OUT_OF_RANGE),
        (Cone(0, 0, 1, NAN), Reason.OUT_OF_RANGE),
        (Ellipse(0, 0, 1, 0, 0, 0.9), Reason.OUT_OF_RANGE),
        (Ellipse(0, 0, 200, 1, 0, 0.9), Reason.OUT_OF_RANGE),
        (Ellipse(0, 0, 1, 1, NAN, 0.9), Reason.NOT_FINITE),
        (Ellipse(0, 0, 1, 1, 0, 0.9, Systematics.GBM_FINAL), Reason.UNSUPPORTED),
        (Annulus(0, 0, 0, 1, 0.9), Reason.OUT_OF_RANGE),
        (Annulus(0, 0, 30, 0, 0.9), Reason.OUT_OF_RANGE),
        (Annulus(0, 95, 30, 1, 0.9), Reason.OUT_OF_RANGE),
        (InlineMap(b""), Reason.EMPTY),
    ],
)
def test_numbers_that_make_no_sense_are_refused(localisation: Localisation, reason: Reason) -> None:
    with pytest.raises(BadSkyMap) as caught:
        skymap_of(localisation)
    assert caught.value.reason is reason
