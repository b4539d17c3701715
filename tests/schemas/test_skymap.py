"""Files of every kind, real and broken, as sky maps."""

import base64
import contextlib
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mocpy import MOC

from schemas.errors import BadSkyMap, Reason
from schemas.pixels import DEG2_PER_SR, PIXEL_SR
from schemas.sky import SkyMap, pixels_of
from schemas.skymap import MOC_LEVEL, MapLimits, SkyMapHeader, read_skymap, read_skymap_header
from schemas.times import iso_from_us
from tests.schemas.maps import blob, fits_file, flat, multi_order

MULTI_ORDER = multi_order(
    np.arange(64, 256),
    blob(2) * 192 / (4 * np.pi),
    OBJECT="S230518h",
    CREATOR="BAYESTAR",
    INSTRUME="H1,L1",
    REFERENC="https://example.org/S230518h",
    **{"DATE-OBS": "2023-05-18T12:59:08.167", "DATE": "2023-05-18T13:02:00"},
)
FLAT = flat(blob(3), OBJECT="PARTIAL")
MOC_JSON = b'{"1": [3, 4], "2": [100]}'


def reason_of(body: bytes, limits: MapLimits | None = None) -> Reason:
    with pytest.raises(BadSkyMap) as caught:
        read_skymap(body, limits or MapLimits())
    assert len(caught.value.detail) > 15
    return caught.value.reason


def test_gzip_makes_no_difference() -> None:
    for body in (MULTI_ORDER, FLAT, MOC_JSON):
        plain, packed = read_skymap(body), read_skymap(gzip.compress(body))
        np.testing.assert_array_equal(plain.lo, packed.lo)
        np.testing.assert_array_equal(plain.cell_level, packed.cell_level)
        assert read_skymap_header(body) == read_skymap_header(gzip.compress(body))


def test_a_moc_is_uniform_inside_and_wholly_in_its_region() -> None:
    skymap = read_skymap(MOC_JSON)
    area_deg2 = (2 / 48 + 1 / 192) * 129600 / np.pi
    for level in (0.1, 0.9, 1.0):
        assert skymap.area_deg2(level) == pytest.approx(area_deg2)
    inside = np.array([skymap.lo[0], skymap.hi[-1] - 1])
    zero = np.zeros(2)
    np.testing.assert_allclose(skymap.density_per_sr(zero, zero, inside), DEG2_PER_SR / area_deg2)
    assert skymap.credible_level(zero, zero, inside).tolist() == [MOC_LEVEL] * 2
    assert skymap.credible_level(zero, zero, skymap.hi[-1:]).tolist() == [1.0]
    region = skymap.credible_region(0.9)
    assert (region.lo.tolist(), region.hi.tolist()) == (skymap.lo.tolist(), skymap.hi.tolist())
    assert skymap.credible_region(0.4).lo.size == 0
    peak = pixels_of(np.array([skymap.peak_ra_deg]), np.array([skymap.peak_dec_deg]))
    assert region.contains(zero[:1], zero[:1], peak).all()
    assert "MOC" in skymap.model


def test_mocs_as_fits_and_as_json_are_one() -> None:
    out = io.BytesIO()
    MOC.from_json({"1": [3, 4], "2": [100]}).serialize("fits").writeto(out)
    np.testing.assert_array_equal(read_skymap(out.getvalue()).lo, read_skymap(MOC_JSON).lo)


def test_headers_say_what_the_file_says() -> None:
    header = read_skymap_header(MULTI_ORDER)
    assert header.time_us is not None
    assert header.created_us is not None
    assert iso_from_us(header.time_us) == "2023-05-18T12:59:08.167000Z"
    assert iso_from_us(header.created_us) == "2023-05-18T13:02:00.000000Z"
    assert (header.kind, header.object_name, header.creator) == ("multi-order", "S230518h", "BAYESTAR")
    assert (header.instruments, header.reference) == ("H1,L1", "https://example.org/S230518h")
    assert read_skymap_header(FLAT) == SkyMapHeader("flat")
    assert read_skymap_header(MOC_JSON) == SkyMapHeader("moc")
    assert read_skymap_header(fits_file({"UNIQ": np.array([64])}, {"MOCDIM": "SPACE"})) == SkyMapHeader("moc")
    assert read_skymap_header(fits_file({"FLUX": np.array([64])}, {})) == SkyMapHeader("flat")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"TRIGTIME": 537755817.807014}, "2018-01-16T00:36:52.807014Z"),
        ({"TRIGTIME": 537755817.807014, "MJDREFF": "7.428703703703703e-4"}, "2018-01-16T00:36:52.807014Z"),
        ({"TRIGTIME": -5.0}, None),
        ({"TRIGTIME": 1e300}, None),
        ({}, None),
        ({"TIMESYS": "UTC"}, "2018-01-16T00:34:43.000000Z"),
        ({"TIMESYS": "UTC", "DATE-OBS": "yesterday"}, None),
        ({"TIMESYS": "UTC", "DATE-OBS": "0001-01-01T00:00:00+12:00"}, None),
    ],
)
def test_mission_time_is_understood(words: dict[str, object], expected: str | None) -> None:
    """As Fermi GBM's maps count it: DATE-OBS is the start of the data, TRIGTIME the burst."""
    common = {"TIMESYS": "TT", "MJDREFI": 51910, "MJDREFF": 7.428703703703703e-4, "DATE-OBS": "2018-01-16T00:34:43"}
    header = read_skymap_header(flat(blob(1), **(common | words)))
    assert (header.time_us and iso_from_us(header.time_us)) == expected


def test_a_header_needs_only_the_beginning() -> None:
    assert read_skymap_header(MULTI_ORDER[:8640]) == read_skymap_header(MULTI_ORDER)
    packed = gzip.compress(MULTI_ORDER + np.random.default_rng(1).bytes(3 << 20))
    assert read_skymap_header(packed[: len(packed) // 2]) == read_skymap_header(MULTI_ORDER)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"<voe:VOEvent/>", Reason.UNKNOWN_FORMAT),
        (b"BZh9", Reason.UNKNOWN_FORMAT),
        (b"\x1f\x8b\x08", Reason.TRUNCATED),
        (b"\x1f\x8bxxxxxxxxxxxx", Reason.CORRUPT),
        (gzip.compress(b"hello"), Reason.UNKNOWN_FORMAT),
        (gzip.compress(b""), Reason.UNKNOWN_FORMAT),
        (gzip.compress(bytes(30 << 20)), Reason.TOO_LARGE),
        (MULTI_ORDER[:-3000], Reason.TRUNCATED),
        (b'{"event": null}', Reason.NOT_A_MAP),
    ],
)
def test_what_is_no_map_is_refused(body: bytes, reason: Reason) -> None:
    assert reason_of(body) is reason


@pytest.mark.parametrize("body", [b"", b"hello", b"\x1f\x8bxxxxxxxxxxxx", MULTI_ORDER[:3000]])
def test_what_has_no_header_is_refused(body: bytes) -> None:
    with pytest.raises(BadSkyMap):
        read_skymap_header(body)


def test_limits_hold() -> None:
    assert reason_of(MULTI_ORDER, MapLimits(packed_bytes=1000)) is Reason.TOO_LARGE
    assert reason_of(MULTI_ORDER, MapLimits(cells=191)) is Reason.TOO_LARGE
    assert reason_of(gzip.compress(MULTI_ORDER), MapLimits(unpacked_bytes=5000)) is Reason.TOO_LARGE
    assert len(read_skymap(MULTI_ORDER, MapLimits(len(MULTI_ORDER), len(MULTI_ORDER), 192)).lo) == 192


@given(st.data())
def test_damaged_files_give_a_map_or_a_bad_sky_map(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from([MULTI_ORDER, FLAT, MOC_JSON, gzip.compress(MULTI_ORDER)])))
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(body[: data.draw(st.integers(1, len(body)))]) if data.draw(st.booleans()) else bytes(body)
    for read in (read_skymap, read_skymap_header):
        with contextlib.suppress(BadSkyMap):
            found = read(damaged)
            assert isinstance(found, SkyMapHeader) or is_sound(found)


def is_sound(skymap: SkyMap) -> bool:
    total = ((skymap.hi - skymap.lo) * PIXEL_SR * skymap.cell_density_per_sr).sum()
    peak = pixels_of(np.array([skymap.peak_ra_deg]), np.array([skymap.peak_dec_deg]))
    zero = np.zeros(1)
    return bool(
        (skymap.lo < skymap.hi).all()
        and (skymap.hi[:-1] <= skymap.lo[1:]).all()
        and ((skymap.cell_level > 0) & (skymap.cell_level <= 1)).all()
        and (skymap.cell_density_per_sr > 0).all()
        and abs(total - 1) < 1e-9
        and skymap.density_per_sr(zero, zero, peak)[0] == skymap.cell_density_per_sr.max()
    )


@given(st.binary(max_size=300))
def test_any_bytes_give_a_map_or_a_bad_sky_map(body: bytes) -> None:
    for candidate in (body, b"SIMPLE  = " + body, b'{"3": [' + body + b"]}", gzip.compress(body)):
        with contextlib.suppress(BadSkyMap):
            assert is_sound(read_skymap(candidate))


KNOWN_AREAS = {
    "skymaps/observing-scenarios/historical/GW170817_skymap.fits": 16.2,
    "skyportal/tests/data/bayestar.fits.gz": 10183,
    "misc/plasticc_alerts/Examples/plasticc_schema/sample_data/S190814bv-bayestar.multiorder.fits": 37.6,
    "mocs/mocpy/resources/bayestar.multiorder.fits": 53.1,
    "voevent/growth-too-marshal/glg_healpix_all_bn180116026.fit": 572,
}


@pytest.mark.parametrize(("name", "area_deg2"), KNOWN_AREAS.items())
def test_known_areas(data_dir: Path, name: str, area_deg2: float) -> None:
    skymap = read_skymap((data_dir / name).read_bytes())
    assert skymap.area_deg2(0.9) == pytest.approx(area_deg2, rel=0.01)
    assert is_sound(skymap)
    region = skymap.credible_region(0.9)
    assert (region.hi - region.lo).sum() * PIXEL_SR * DEG2_PER_SR == pytest.approx(area_deg2, rel=0.01)


def test_the_kilonova_lies_where_it_should(data_dir: Path) -> None:
    skymap = read_skymap((data_dir / "skymaps/observing-scenarios/historical/GW170817_skymap.fits").read_bytes())
    ra, dec = np.array([197.450374]), np.array([-23.381484])
    assert skymap.credible_level(ra, dec, pixels_of(ra, dec))[0] == pytest.approx(0.383, abs=0.001)
    assert skymap.distance is not None


def test_an_alerts_map(data_dir: Path) -> None:
    alert = json.loads((data_dir / "fink-mm/VODB/lvk/initial.txt").read_bytes())
    skymap = read_skymap(base64.b64decode(alert["event"]["skymap"]))
    assert skymap.peak_ra_deg == pytest.approx(95.712891, abs=1e-6)
    assert skymap.peak_dec_deg == pytest.approx(-10.958863, abs=1e-6)
    assert skymap.area_deg2(0.9) == pytest.approx(665.8, rel=0.01)


REJECTED = {"STMOC.fits": Reason.UNSUPPORTED, "STMoc-basic.fits": Reason.UNSUPPORTED, "TMOC.fits": Reason.UNSUPPORTED}


def test_every_file_is_read_or_refused_by_name(data_dir: Path) -> None:
    files = [path for path in data_dir.rglob("*") if path.name.endswith((".fits", ".fit", ".fits.gz"))]
    assert len(files) >= 12
    refused = {}
    for path in files:
        body = path.read_bytes()
        assert read_skymap_header(body).kind in {"flat", "multi-order", "moc"}
        if path.parent.joinpath(path.name).relative_to(data_dir).as_posix() in KNOWN_AREAS:
            continue
        try:
            assert read_skymap(body).area_deg2(0.9) > 0
        except BadSkyMap as error:
            refused[path.name] = error.reason
    assert refused == REJECTED
