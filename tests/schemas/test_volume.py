"""Levels in volume against brute force, ligo.skymap's `crossmatch` and what can be worked out by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.densities import skymap_of
from schemas.localisation import Cone
from schemas.pixels import ORDER, PIXEL_SR, cell_centres, pixels_of
from schemas.product import product
from schemas.sky import SkyMap, skymap_of_cells
from schemas.skymap import read_skymap
from schemas.volume import credible_level_3d, distance_of

GW170817 = "skymaps/observing-scenarios/historical/GW170817_skymap.fits"
S190814BV = "misc/plasticc_alerts/Examples/plasticc_schema/sample_data/S190814bv-bayestar.multiorder.fits"
AT2017GFO = (197.450374, -23.381484)
NGC4993_MPC = 40.7
"""Cantiello et al. 2018, ApJL 854, L31."""
CELLS = 12 << 2


def norm_of(mu: float, sigma: float) -> float:
    """DISTNORM: what makes a line of sight hold all of its probability (brute force)."""
    r, step = np.linspace(0, max(mu, 0) + 12 * sigma, 200_001, retstep=True)
    return float(1 / ((r**2 * np.exp(-(((r - mu) / sigma) ** 2) / 2)).sum() * step / (math.sqrt(2 * math.pi) * sigma)))


def map_of(probability: np.ndarray, mu: np.ndarray, sigma: np.ndarray, norm: np.ndarray) -> SkyMap:
    """A map of order 1."""
    lo = np.arange(CELLS) << 2 * (ORDER - 1)
    layers = np.array([mu, sigma, norm])
    return skymap_of_cells(lo, lo + (1 << 2 * (ORDER - 1)), probability, "made", layers)


def level(skymap: SkyMap, cell: int, distance_mpc: float) -> float:
    """At the centre of a cell."""
    ra, dec = cell_centres(np.array([cell]), 1)
    return float(credible_level_3d(skymap, ra, dec, pixels_of(ra, dec), np.array([distance_mpc]))[0])


def brute_level(skymap: SkyMap, cell: int, distance_mpc: float) -> float:
    """Small pieces of volume in descending density."""
    assert skymap.distance is not None
    mu, sigma, norm = (layer[:, None] for layer in skymap.distance)
    r, step = np.linspace(0, 600, 60_001, retstep=True)
    scale = skymap.cell_density_per_sr[:, None] * norm / (math.sqrt(2 * math.pi) * sigma)

    def density(at: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.nan_to_num(scale * np.exp(-(((at - mu) / sigma) ** 2) / 2))

    held = density(r) * r**2 * step * 4 * np.pi / CELLS
    return float(held[density(r) >= density(np.array([distance_mpc]))[cell, 0]].sum())


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.integers(0, CELLS - 1), st.floats(1, 250))
def test_levels_are_those_of_brute_force(seed: int, cell: int, distance_mpc: float) -> None:
    random = np.random.default_rng(seed)
    mu, sigma = random.uniform(-60, 150, CELLS), random.uniform(10, 40, CELLS)
    norm = np.array([norm_of(*pair) for pair in zip(mu, sigma, strict=True)])
    skymap = map_of(random.random(CELLS) + 1e-3, mu, sigma, norm)
    assert level(skymap, cell, distance_mpc) == pytest.approx(brute_level(skymap, cell, distance_mpc), abs=5e-4)


def test_one_distance_everywhere_is_a_shell() -> None:
    """Then the level is that of |r - mu| alone: by hand, the probability of the shell within it."""
    mu, sigma = 100.0, 10.0
    skymap = map_of(np.ones(CELLS), *np.array([[mu], [sigma], [norm_of(mu, sigma)]]).repeat(CELLS, axis=1))
    z = 1.3
    inside = (mu**2 + sigma**2) * math.erf(z / math.sqrt(2)) - sigma**2 * 2 * z * math.exp(-(z**2) / 2) / math.sqrt(
        2 * math.pi
    )
    expected = inside / (mu**2 + sigma**2)
    assert level(skymap, 7, mu + z * sigma) == pytest.approx(expected, abs=1e-6)
    assert level(skymap, 30, mu - z * sigma) == pytest.approx(expected, abs=1e-6)
    assert level(skymap, 0, mu) == pytest.approx(0, abs=1e-9)
    assert level(skymap, 0, 10 * mu) == pytest.approx(1)


def test_lines_of_sight_without_distances_have_no_place_in_volume() -> None:
    """As BAYESTAR writes them: DISTMU infinite, DISTSIGMA 1 and DISTNORM 0."""
    mu, sigma = np.full(CELLS, 100.0), np.full(CELLS, 10.0)
    norm = np.full(CELLS, norm_of(100, 10))
    mu[5], sigma[5], norm[5] = np.inf, 1.0, 0.0
    mu[6], sigma[6], norm[6] = -np.inf, np.nan, np.nan
    skymap = map_of(np.ones(CELLS), mu, sigma, norm)
    assert level(skymap, 5, 100) == 1
    assert level(skymap, 6, 100) == 1
    assert level(skymap, 7, 250) == pytest.approx(1 - 2 / CELLS)


def test_negative_modes_are_no_trouble() -> None:
    mu, sigma = np.full(CELLS, -80.0), np.full(CELLS, 20.0)
    skymap = map_of(np.ones(CELLS), mu, sigma, np.full(CELLS, norm_of(-80, 20)))
    levels = [level(skymap, 3, distance) for distance in (1e-3, 5, 20, 60, 200)]
    assert levels == sorted(levels)
    assert levels[0] == pytest.approx(0, abs=1e-6)
    assert levels[-1] == pytest.approx(1, abs=1e-6)
    assert levels[2] == pytest.approx(brute_level(skymap, 3, 20), abs=5e-4)


def test_no_place_is_outside_everything() -> None:
    mu, sigma = np.full(CELLS, 100.0), np.full(CELLS, 10.0)
    whole = map_of(np.ones(CELLS), mu, sigma, np.full(CELLS, norm_of(100, 10)))
    assert level(whole, 3, 0) == 1
    assert level(whole, 3, -5) == 1
    assert level(whole, 3, math.nan) == 1
    part = SkyMap(whole.cells, 0, 0, "part", distance=whole.distance)
    lo = np.array([1 << 2 * ORDER])
    part = skymap_of_cells(
        lo, lo + (1 << 2 * ORDER), np.ones(1), "part", np.array([[100.0], [10.0], [norm_of(100, 10)]])
    )
    assert level(part, 0, 100) == 1
    assert level(part, 4, 100) < 0.01


def test_a_map_without_distances_is_refused() -> None:
    skymap = skymap_of(Cone(10, 20, 3, 0.9))
    with pytest.raises(ValueError, match="no distances: Fisher"):
        credible_level_3d(skymap, np.array([10.0]), np.array([20.0]), np.array([0]), np.array([40.0]))


def test_ngc_4993_in_gw170817(data_dir: Path) -> None:
    """ligo.skymap 2.5.4 has 0.287 of the same file, with the distance rounded down to its grid (see below)."""
    skymap = read_skymap((data_dir / GW170817).read_bytes())
    ra, dec = np.array([AT2017GFO[0]]), np.array([AT2017GFO[1]])
    at = pixels_of(ra, dec)
    assert credible_level_3d(skymap, ra, dec, at, np.array([NGC4993_MPC]))[0] == pytest.approx(0.2927, abs=5e-4)
    nearer, farther = (credible_level_3d(skymap, ra, dec, at, np.array([d]))[0] for d in (15.0, 80.0))
    assert min(nearer, farther) > 0.9
    # A position to an arcminute leaves the distances of one line of sight.
    both = product([skymap, skymap_of(Cone(*AT2017GFO, 1 / 60, 0.9))])
    assert both is not None
    assert credible_level_3d(both, ra, dec, at, np.array([NGC4993_MPC]))[0] < 0.4


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [GW170817, S190814BV])
def test_ligo_skymap_finds_the_same(data_dir: Path, name: str) -> None:
    """`searched_prob_vol` of `crossmatch`, at distances of its own grid of 1000 shells."""
    pytest.importorskip("ligo.skymap", reason="ligo.skymap is not installed")
    from astropy import units as u  # noqa: PLC0415
    from astropy.coordinates import SkyCoord  # noqa: PLC0415
    from ligo.skymap.distance import parameters_to_marginal_moments  # noqa: PLC0415
    from ligo.skymap.io import read_sky_map  # noqa: PLC0415
    from ligo.skymap.postprocess.crossmatch import crossmatch  # noqa: PLC0415

    skymap = read_skymap((data_dir / name).read_bytes())
    assert skymap.distance is not None
    mu, sigma, _ = skymap.distance
    held = skymap.cell_density_per_sr * (skymap.hi - skymap.lo) * PIXEL_SR
    random = np.random.default_rng(7)
    rows = random.choice(len(mu), 12, p=held / held.sum())
    ra, dec = cell_centres(skymap.lo[rows] + 3 * ((skymap.hi - skymap.lo)[rows] // 4), ORDER)
    mean, _ = parameters_to_marginal_moments(held, mu, sigma)
    step = 6 * mean / 1000
    shell = np.round(np.abs(random.normal(mu[rows], sigma[rows])) / step).clip(1, 998)
    table = read_sky_map(str(data_dir / name), moc=True)
    theirs = crossmatch(table, SkyCoord(ra * u.deg, dec * u.deg, step * (shell + 1e-6) * u.Mpc))
    ours = credible_level_3d(skymap, ra, dec, pixels_of(ra, dec), step * shell)
    np.testing.assert_allclose(ours, theirs.searched_prob_vol, atol=2e-3)
    np.testing.assert_allclose(skymap.credible_level(ra, dec, pixels_of(ra, dec)), theirs.searched_prob, atol=1e-6)


class TestDistances:
    def test_known_answers(self) -> None:
        """Planck18.luminosity_distance of astropy 8.0 with scipy."""
        np.testing.assert_allclose(
            distance_of(np.array([0.0, 0.009783, 0.1, 1.0, 8.0])),
            [0, 43.6711050, 475.822268, 6791.26894, 82187.0843],
            rtol=1e-8,
        )

    def test_astropy_finds_the_same(self) -> None:
        pytest.importorskip("scipy", reason="scipy, which astropy needs for distances, is not installed")
        from astropy.cosmology import Planck18  # noqa: PLC0415

        redshift = np.geomspace(1e-4, 10, 30)
        np.testing.assert_allclose(distance_of(redshift), Planck18.luminosity_distance(redshift).value, rtol=1e-8)

    @pytest.mark.parametrize("redshift", [-0.01, math.nan])
    def test_what_is_no_redshift_is_refused(self, redshift: float) -> None:
        with pytest.raises(ValueError, match="expected 0 or more"):
            distance_of(np.array([0.1, redshift]))
