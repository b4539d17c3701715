"""The same sky in every layout is the same `SkyMap`; what is no probability density is refused by name."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from cdshealpix import ring
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import BadSkyMap, Reason
from schemas.fits import first_table
from schemas.healpix_table import gridded_map
from schemas.pixels import DEG2_PER_SR, ORDER, PIXEL_SR, cell_centres
from schemas.sky import SkyMap, pixels_of, separation_deg
from tests.schemas.maps import blob, fits_file, flat, multi_order, ring_order

N = 192
SHIFT = 2 * (ORDER - 2)
C = {"COORDSYS": "C"}


def read(body: bytes) -> SkyMap:
    return gridded_map(first_table(body, 1_000_000))


def reason_of(body: bytes) -> Reason:
    with pytest.raises(BadSkyMap) as caught:
        read(body)
    assert len(caught.value.detail) > 20
    return caught.value.reason


def same(one: SkyMap, other: SkyMap, rtol: float = 1e-12) -> None:
    np.testing.assert_array_equal(one.lo, other.lo)
    np.testing.assert_array_equal(one.hi, other.hi)
    np.testing.assert_allclose(one.cell_density_per_sr, other.cell_density_per_sr, rtol=rtol)
    np.testing.assert_allclose(one.cell_level, other.cell_level, rtol=rtol)


def layouts(probability: np.ndarray) -> dict[str, bytes]:
    """One order-2 map written in many ways."""
    pixel = np.arange(N)
    shuffled = np.random.default_rng(5).permutation(N)
    density = probability * N / (4 * np.pi)
    in_ring = ring_order(probability)
    explicit = {"ORDERING": "NESTED", "INDXSCHM": "EXPLICIT", "NSIDE": 4, **C}
    return {
        "ring": flat(in_ring, ORDERING="RING"),
        "ring, explicit": fits_file(
            {"PIXEL": pixel[::-1].copy(), "PROB": in_ring[::-1].copy()}, explicit | {"ORDERING": "RING"}
        ),
        "explicit": fits_file({"PIXEL": shuffled.astype(np.int32), "PROB": probability[shuffled]}, explicit),
        "explicit by its column": fits_file(
            {"PIXEL": shuffled, "PROB": probability[shuffled]}, {"ORDERING": "NESTED", "NSIDE": 4, **C}
        ),
        "without nside": flat(probability, NSIDE=None, INDXSCHM=None),
        "rows of 16": fits_file({"PROBABILITY": probability.reshape(12, 16)}, {"ORDERING": "NESTED", "NSIDE": 4, **C}),
        "density by its unit": fits_file(
            {"PROB": density}, {"ORDERING": "NESTED", "NSIDE": 4, "COORDSYS": "ICRS"}, {"PROB": "1 / sr"}
        ),
        "density by its name": fits_file({"PROBDENSITY": density}, {"ORDERING": "nested", "NSIDE": 4, **C}),
        "probability by its unit": fits_file(
            {"PROBDENSITY": probability}, {"ORDERING": "NESTED", "NSIDE": 4, **C}, {"PROBDENSITY": "pix-1"}
        ),
        "multi-order": multi_order(shuffled + 64, density[shuffled]),
        "multi-order, uint64": multi_order((shuffled + 64).astype(np.uint64), density[shuffled]),
        "multi-order, int32": multi_order((shuffled + 64).astype(np.int32), density[shuffled]),
    }


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_every_layout_is_the_same_map(seed: int) -> None:
    values = np.random.default_rng(seed).exponential(size=N)
    probability = values / values.sum()
    expected = read(flat(probability))
    np.testing.assert_array_equal(expected.lo, np.arange(N) << SHIFT)
    np.testing.assert_allclose(expected.cell_density_per_sr, probability * N / (4 * np.pi), rtol=1e-12)
    assert expected.warnings == ()
    for name, body in layouts(probability).items():
        got = read(body)
        try:
            same(got, expected)
        except AssertionError as error:
            raise AssertionError(name) from error
        assert (got.peak_ra_deg, got.peak_dec_deg) == (expected.peak_ra_deg, expected.peak_dec_deg)


def test_maps_of_32_bits_lose_only_digits() -> None:
    probability = blob(2)
    same(read(flat(probability.astype(np.float32))), read(flat(probability)), rtol=1e-6)
    assert read(flat(probability.astype(np.float32))).warnings == ()


def test_a_position_has_the_value_of_its_ring_pixel() -> None:
    values = np.random.default_rng(1).exponential(size=3072)
    skymap = read(flat(values / values.sum(), ORDERING="RING"))
    rng = np.random.default_rng(2)
    ra, dec = rng.uniform(0, 360, 5000), np.degrees(np.arcsin(rng.uniform(-1, 1, 5000)))
    pixel = ring.lonlat_to_healpix(ra * u.deg, dec * u.deg, 16)
    expected = values[pixel.astype(int)] / values.sum() * 3072 / (4 * np.pi)
    np.testing.assert_allclose(skymap.density_per_sr(ra, dec, pixels_of(ra, dec)), expected)


@given(st.integers(0, 2**32), st.sampled_from([0.1, 0.5, 0.9, 0.99, 1.0]))
def test_levels_and_areas_by_a_slow_sum(seed: int, level: float) -> None:
    """Cells of three orders, some empty; the oracle adds one after another in plain Python."""
    rng = np.random.default_rng(seed)
    sizes = [(4 << 2) + 4, *range((4 << 4) + 80, (4 << 4) + 90), *range((4 << 6) + 400, (4 << 6) + 440)]
    uniq = rng.permutation(np.array(sizes))
    orders = np.array([1 if q < 64 else 2 if q < 256 else 3 for q in uniq])
    probability = rng.exponential(size=uniq.size) * (rng.uniform(size=uniq.size) < 0.9)
    probability /= probability.sum()
    sr = 4 * np.pi / (12 * 4.0**orders)
    skymap = read(multi_order(uniq, probability / sr))
    start = (uniq - (4 << 2 * orders)) << 2 * (ORDER - orders)
    cells = sorted(zip(-probability / sr, start, probability, sr, strict=True))
    held, area, expected_area = 0.0, 0.0, None
    for _, first, p, solid_angle in cells:
        held += p
        area += solid_angle * DEG2_PER_SR
        got = skymap.credible_level(np.zeros(1), np.zeros(1), np.array([first]))[0]
        assert got == pytest.approx(held if p else 1.0, abs=1e-12)
        if expected_area is None and held >= level - 1e-14:
            expected_area = area
    assert skymap.area_deg2(level - 1e-13) == pytest.approx(expected_area)
    assert (skymap.cell_density_per_sr > 0).all()
    assert ((skymap.hi - skymap.lo) * PIXEL_SR * skymap.cell_density_per_sr).sum() == pytest.approx(1)


def test_the_peak_is_the_centre_of_the_densest_cell() -> None:
    skymap = read(flat(blob(4, 222.0, -47.0)))
    assert separation_deg(np.array([skymap.peak_ra_deg]), np.array([skymap.peak_dec_deg]), 222.0, -47.0)[0] < 3
    assert "order 4" in skymap.model
    assert "flat" in skymap.model


def test_distance_layers_follow_their_cells() -> None:
    uniq = np.array([67, 64, 66])
    density = np.array([1.0, 2.0, 0.0]) / 3 * 192 / (4 * np.pi)
    columns = {"UNIQ": uniq, "PROBDENSITY": density, "DISTMU": [30.0, 10.0, np.inf], "DISTSIGMA": [3.0, 1.0, 1.0]}
    header = {"ORDERING": "NUNIQ", "CREATOR": "TEST", **C}
    skymap = read(fits_file(columns | {"DISTNORM": [0.3, 0.1, 0.0]}, header))
    assert skymap.distance is not None
    np.testing.assert_allclose(skymap.distance, [[10, 30], [1, 3], [0.1, 0.3]])
    assert skymap.model.endswith("made by TEST")
    assert read(fits_file(columns, header)).distance is None, "two layers of three are no distance"


def test_distance_layers_of_another_length_are_refused() -> None:
    values = blob(2).reshape(12, 16)
    columns = {"PROB": values, "DISTMU": values[:, :8].copy(), "DISTSIGMA": values, "DISTNORM": values}
    assert reason_of(fits_file(columns, {"ORDERING": "NESTED", "NSIDE": 4, **C})) is Reason.MALFORMED


@pytest.mark.parametrize("order", [4, 6])
def test_a_galactic_map_is_turned(order: int) -> None:
    centre = SkyCoord(l=60 * u.deg, b=-20 * u.deg, frame="galactic").icrs
    turned = read(flat(blob(order, 60, -20, 15), COORDSYS="G"))
    straight = read(flat(blob(order, centre.ra.deg, centre.dec.deg, 15)))
    peak = separation_deg(
        np.array([turned.peak_ra_deg]), np.array([turned.peak_dec_deg]), centre.ra.deg, centre.dec.deg
    )
    assert peak[0] < 60 / 2**order
    for level in (0.5, 0.9):
        assert turned.area_deg2(level) == pytest.approx(straight.area_deg2(level), rel=0.02)
    rng = np.random.default_rng(3)
    ra, dec = rng.uniform(0, 360, 3000), np.degrees(np.arcsin(rng.uniform(-1, 1, 3000)))
    pixel = pixels_of(ra, dec)
    difference = turned.credible_level(ra, dec, pixel) - straight.credible_level(ra, dec, pixel)
    assert np.abs(difference).max() < 8 / 2**order
    assert "galactic" in turned.model
    assert (turned.cell_density_per_sr * (turned.hi - turned.lo)).sum() * PIXEL_SR == pytest.approx(1)


def test_a_galactic_map_keeps_its_distances() -> None:
    body = fits_file(
        dict.fromkeys(("PROB", "DISTMU", "DISTSIGMA", "DISTNORM"), blob(2)),
        {"ORDERING": "NESTED", "NSIDE": 4, "COORDSYS": "G"},
    )
    skymap = read(body)
    assert skymap.distance is not None
    density = skymap.distance[0] / skymap.distance[0].sum() / ((skymap.hi - skymap.lo)[0] * PIXEL_SR)
    np.testing.assert_allclose(density, skymap.cell_density_per_sr)


def test_a_fine_galactic_map_is_turned_as_fine_as_it_is() -> None:
    order = 9
    block = np.arange(100_096, 100_096 + 256)
    density = np.full(256, 12 * 4.0**order / (4 * np.pi) / 256)
    turned = read(multi_order((4 << 2 * order) + block, density, COORDSYS="G"))
    longitude, latitude = cell_centres(block, order)
    centre = SkyCoord(l=longitude.mean() * u.deg, b=latitude.mean() * u.deg, frame="galactic").icrs
    ra, dec = np.array([centre.ra.deg]), np.array([centre.dec.deg])
    assert turned.density_per_sr(ra, dec, pixels_of(ra, dec))[0] > 0
    assert turned.area_deg2(1) == pytest.approx(256 * 4 * np.pi * DEG2_PER_SR / (12 * 4**order), rel=0.1)


def test_a_fine_galactic_map_of_few_pixels_takes_little() -> None:
    """It is a file of 9 kB; the sky at its resolution would take more than a gigabyte."""
    block = np.arange(100_096, 100_096 + 256)
    header = {"ORDERING": "NESTED", "NSIDE": 1024, "INDXSCHM": "EXPLICIT", "COORDSYS": "G"}
    body = fits_file({"PIXEL": block, "PROB": np.full(256, 1 / 256)}, header)
    read(flat(blob(4), COORDSYS="G"))  # what is kept from map to map is not counted
    tracemalloc.start()
    try:
        turned = read(body)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 64 << 20
    assert turned.area_deg2(1) == pytest.approx(256 * 4 * np.pi * DEG2_PER_SR / (12 << 20), rel=0.1)


@pytest.mark.parametrize("pixels", [*([pixel] for pixel in range(0, 768, 37)), range(0, 768, 37)])
def test_all_of_a_galactic_map_is_turned_wherever_it_lies(pixels: list[int]) -> None:
    header = {"ORDERING": "NESTED", "NSIDE": 8, "INDXSCHM": "EXPLICIT", "COORDSYS": "G"}
    turned = read(fits_file({"PIXEL": np.array(pixels), "PROB": np.full(len(pixels), 1 / len(pixels))}, header))
    every = np.arange(12 << 10)
    at = SkyCoord(*cell_centres(every, 5), unit="deg").galactic
    inside = np.isin(pixels_of(at.l.deg, at.b.deg) >> 2 * (29 - 3), pixels)
    assert turned.lo.tolist() == (every[inside] << 2 * (29 - 5)).tolist()


def test_a_galactic_map_that_cannot_be_turned_is_refused() -> None:
    fine = multi_order(np.array([(4 << 22) + 5]), np.array([12 * 4.0**11 / (4 * np.pi)]), COORDSYS="G")
    assert reason_of(fine) is Reason.UNSUPPORTED


@pytest.mark.parametrize(("total", "warned"), [(0.999, True), (1.001, True), (1.0000001, False), (1.0, False)])
def test_a_sum_close_to_one_is_normalised(total: float, warned: bool) -> None:
    skymap = read(flat(blob(2) * total))
    assert ((skymap.hi - skymap.lo) * PIXEL_SR * skymap.cell_density_per_sr).sum() == pytest.approx(1, abs=1e-12)
    assert any("normalised" in text for text in skymap.warnings) is warned


@pytest.mark.parametrize("total", [0.998, 1.002, 0.5, 192.0, 1e300, 1e-300])
def test_another_sum_is_refused(total: float) -> None:
    assert reason_of(flat(blob(2) * total)) is Reason.NOT_NORMALISED


def test_a_sum_that_overflows_is_refused() -> None:
    assert reason_of(flat(np.full(192, 1e308))) is Reason.NOT_NORMALISED


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.nan, Reason.NOT_FINITE),
        (np.inf, Reason.NOT_FINITE),
        (-1e-9, Reason.OUT_OF_RANGE),
        (-1.0, Reason.OUT_OF_RANGE),
    ],
)
def test_values_that_are_no_probabilities_are_refused(value: float, reason: Reason) -> None:
    values = blob(2)
    values[77] = value
    with pytest.raises(BadSkyMap, match="value 77") as caught:
        read(flat(values))
    assert caught.value.reason is reason


def test_a_map_of_zeros_is_refused() -> None:
    assert reason_of(flat(np.zeros(192))) is Reason.NOT_NORMALISED


@pytest.mark.parametrize(
    ("missing", "header"), [(-1.6375e30, {}), (-1.6375e30, {"BAD_DATA": -1.6375e30}), (-99.0, {"BAD_DATA": -99.0})]
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_pixels_without_data_are_empty(missing: float, header: dict[str, Any], dtype: type) -> None:
    probability = blob(2)
    probability[:20] = 0
    probability /= probability.sum()
    values = probability.astype(dtype)
    values[:20] = missing
    skymap = read(flat(values, **header))
    assert skymap.lo[0] == 20 << SHIFT
    assert skymap.warnings == ("20 of 192 pixels have no data and were taken as empty",)
    assert skymap.density_per_sr(np.zeros(1), np.zeros(1), np.array([0])).tolist() == [0.0]


@pytest.mark.parametrize(
    ("uniq", "reason"),
    [
        ([64, 65, 64], Reason.MALFORMED),
        ([64, 65, 16], Reason.MALFORMED),
        ([64, 3, 65], Reason.OUT_OF_RANGE),
        ([64, 0, 65], Reason.OUT_OF_RANGE),
        ([64, -5, 65], Reason.OUT_OF_RANGE),
        ([64, 16 << 2 * ORDER, 65], Reason.OUT_OF_RANGE),
    ],
)
def test_cells_that_make_no_sense_are_refused(uniq: list[int], reason: Reason) -> None:
    assert reason_of(multi_order(np.array(uniq), np.full(3, 192 / (4 * np.pi) / 3))) is reason


def test_the_finest_and_the_coarsest_cells_are_read() -> None:
    last = (16 << 2 * ORDER) - 1
    density = np.array([0.5 * 12, 0.5 * 12 * 4.0**ORDER]) / (4 * np.pi)
    skymap = read(multi_order(np.array([4, last]), density))
    assert skymap.lo.tolist() == [0, (12 << 2 * ORDER) - 1]
    assert skymap.hi.tolist() == [1 << 2 * ORDER, 12 << 2 * ORDER]
    np.testing.assert_allclose(skymap.cell_level, [1.0, 0.5])
    assert "orders 0 to 29" in skymap.model


NESTED_4 = {"ORDERING": "NESTED", "NSIDE": 4, **C}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (flat(blob(2), ORDERING=None), Reason.MISSING_FIELD),
        (flat(blob(2), ORDERING="RANDOM"), Reason.UNSUPPORTED),
        (flat(blob(2), COORDSYS=None), Reason.MISSING_FIELD),
        (flat(blob(2), COORDSYS="E"), Reason.UNSUPPORTED),
        (flat(blob(2), NSIDE=8), Reason.MALFORMED),
        (flat(blob(2), NSIDE=3), Reason.UNSUPPORTED),
        (flat(blob(2), NSIDE=0), Reason.UNSUPPORTED),
        (flat(blob(2), NSIDE=True), Reason.MISSING_FIELD),
        (flat(blob(2), NSIDE="4"), Reason.MISSING_FIELD),
        (flat(blob(2)[:100], NSIDE=None), Reason.UNSUPPORTED),
        (flat(blob(2), INDXSCHM="EXPLICIT"), Reason.MALFORMED),
        (flat(blob(2), INDXSCHM="SPARSE"), Reason.MALFORMED),
        (multi_order(np.arange(64, 256), blob(2), ORDERING="RING"), Reason.UNSUPPORTED),
        (multi_order(np.arange(64.0, 256.0), blob(2)), Reason.WRONG_TYPE),
        (fits_file({"UNIQ": np.arange(12), "PROBDENSITY": blob(2).reshape(12, 16)}, NESTED_4), Reason.UNSUPPORTED),
        (
            fits_file({"UNIQ": np.arange(12), "PROBDENSITY": blob(2).reshape(12, 16)}, {"ORDERING": "NUNIQ", **C}),
            Reason.WRONG_TYPE,
        ),
        (fits_file({"FLUX": blob(2)}, NESTED_4), Reason.NOT_A_MAP),
        (fits_file({"PROB": blob(2)}, NESTED_4, {"PROB": "erg"}), Reason.UNSUPPORTED),
        (fits_file({"PIXEL": np.arange(192.0), "PROB": blob(2)}, NESTED_4), Reason.WRONG_TYPE),
        (fits_file({"PIXEL": np.arange(1, 193), "PROB": blob(2)}, NESTED_4), Reason.OUT_OF_RANGE),
        (fits_file({"PIXEL": np.arange(-1, 191), "PROB": blob(2)}, NESTED_4), Reason.OUT_OF_RANGE),
        (fits_file({"PIXEL": np.zeros(192, int), "PROB": blob(2)}, NESTED_4), Reason.MALFORMED),
        (fits_file({"PIXEL": np.arange(192), "PROB": blob(2)}, {"ORDERING": "NESTED", **C}), Reason.MISSING_FIELD),
    ],
)
def test_what_is_not_said_is_not_guessed(body: bytes, reason: Reason) -> None:
    assert reason_of(body) is reason
