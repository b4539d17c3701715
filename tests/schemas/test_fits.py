"""The FITS reader against astropy's, and against files that lie about themselves."""

import contextlib
import io

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table as AstropyTable
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from schemas.errors import BadSkyMap, Reason
from schemas.fits import Table, first_headers, first_table
from tests.schemas.maps import fits_file, hdus

SAMPLE = fits_file({"A": np.arange(5), "B": np.linspace(0, 1, 5)}, {"OBJECT": "it's", "LEVEL": 0.5, "MAGIC": True})


def read(body: bytes) -> Table:
    return first_table(body, 1000)


def reason_of(body: bytes) -> Reason:
    with pytest.raises(BadSkyMap) as caught:
        all_values(read(body))
    return caught.value.reason


def all_values(table: Table) -> list[np.ndarray]:
    return [table.values(name) for name in table.columns]


def changed(old: str, new: str, body: bytes = SAMPLE) -> bytes:
    """The file with a card's beginning replaced."""
    assert body.count(old.encode()) == 1
    return body.replace(old.encode(), new.encode().ljust(len(old)))


@given(
    st.sampled_from(["u1", "i2", "i4", "i8", "u2", "u4", "u8", "f4", "f8"]),
    st.sampled_from([(7,), (3, 4), (1, 1)]),
    st.data(),
)
def test_columns_are_read_as_astropy_reads_them(dtype: str, shape: tuple[int, ...], data: st.DataObject) -> None:
    limit = {"max_value": 2**62, "min_value": 0} if dtype == "u8" else {}
    elements = st.integers(**limit) if dtype == "u8" else None
    values = data.draw(arrays(dtype, shape, elements=elements))
    table = AstropyTable({"OTHER": np.zeros(shape[0], "i2"), "VALUE": values})
    out = io.BytesIO()
    table.write(out, format="fits")
    got = read(out.getvalue()).values("VALUE")
    np.testing.assert_array_equal(got, values.ravel().astype(np.int64 if values.dtype.kind in "iu" else np.float64))
    assert got.dtype in {np.dtype(np.int64), np.dtype(np.float32), np.dtype(np.float64)}


def test_scaled_columns_are_unscaled() -> None:
    body = fits_file({"A": np.array([1, 2, 3], np.int16)}, {"TSCAL1": 0.5, "TZERO1": 10.0})
    assert read(body).values("A").tolist() == [10.5, 11.0, 11.5]


def test_bytes_with_an_offset_are_signed() -> None:
    body = fits_file({"A": np.array([0, 128, 255], np.uint8)}, {"TZERO1": -128})
    assert read(body).values("A").tolist() == [-128, 0, 127]


def test_cards_have_their_types() -> None:
    table = read(
        hdus(
            fits.BinTableHDU.from_columns(
                [fits.Column("A", "J", array=[1])], header=fits.Header([("X", "O''Neil / x")])
            )
        )
    )
    assert table.header["X"] == "O''Neil / x"
    sample = read(SAMPLE)
    assert (sample.header["OBJECT"], sample.header["LEVEL"], sample.header["MAGIC"]) == ("it's", 0.5, True)
    assert sample.text("OBJECT") == "it's"
    assert sample.text("BITPIX") == "8"
    assert sample.text("ABSENT") == ""
    assert sample.primary["SIMPLE"] is True


@pytest.mark.parametrize(
    ("card", "value"),
    [("1.5D3 / comment", 1500.0), ("-7 / comment", -7), ("'open", "open"), ("(1, 2)", "(1, 2)"), ("", ""), ("'", "")],
)
def test_values_of_cards(card: str, value: object) -> None:
    body = changed("LEVEL   =                  0.5", f"LEVEL   = {card}")
    assert read(body).header["LEVEL"] == value


def test_the_first_table_is_found_behind_images() -> None:
    image = fits.ImageHDU(np.ones((70, 80), np.float32))
    table = fits.BinTableHDU.from_columns([fits.Column("A", "J", array=[5, 6])])
    other = fits.BinTableHDU.from_columns([fits.Column("Z", "J", array=[0])])
    assert read(hdus(image, table, other)).values("A").tolist() == [5, 6]


@pytest.mark.parametrize("cut", [0, 1, 79, 2879, 2880, 2881, 5759, 5760, 5761, len(SAMPLE) - 2880 + 79])
def test_cut_files_are_truncated(cut: int) -> None:
    assert reason_of(SAMPLE[:cut]) in {Reason.TRUNCATED, Reason.NOT_A_MAP}


def test_missing_padding_does_no_harm() -> None:
    start = first_headers(SAMPLE)[2]
    assert read(SAMPLE[: start + 80]).values("A").tolist() == [0, 1, 2, 3, 4]
    assert reason_of(SAMPLE[: start + 79]) is Reason.TRUNCATED


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("NAXIS2  =                    5", "NAXIS2  =        1000000000000", Reason.TOO_LARGE),
        ("NAXIS2  =                    5", "NAXIS2  =                  500", Reason.TRUNCATED),
        ("NAXIS2  =                    5", "NAXIS2  =                    0", Reason.EMPTY),
        ("NAXIS2  =                    5", "NAXIS2  =                   -5", Reason.OUT_OF_RANGE),
        ("NAXIS2  =                    5", "NAXIS2  =                  5.5", Reason.WRONG_TYPE),
        ("NAXIS2  =                    5", "NAXISX  =                    5", Reason.MISSING_FIELD),
        ("NAXIS1  =                   16", "NAXIS1  =     9999999999999999", Reason.TRUNCATED),
        ("NAXIS1  =                   16", "NAXIS1  =                    8", Reason.MALFORMED),
        ("NAXIS1  =                   16", "NAXIS1  =                    0", Reason.EMPTY),
        ("TFIELDS =                    2", "TFIELDS =                 2000", Reason.TOO_LARGE),
        ("TFIELDS =                    2", "TFIELDS =                    3", Reason.MALFORMED),
        ("TFIELDS =                    2", "TFIELDS =                    T", Reason.WRONG_TYPE),
        ("TFORM1  = '1K      '", "TFORM1  = '1W      '", Reason.MALFORMED),
        ("TFORM1  = '1K      '", "TFORM1  = '999999999K'", Reason.MALFORMED),
        ("TFORM1  = '1K      '", "TFORM1  = '8A      '", Reason.WRONG_TYPE),
        ("TFORM1  = '1K      '", "TFORM1  = '1P      '", Reason.WRONG_TYPE),
        ("TFORM1  = '1K      '", "TFORM1  = '64X     '", Reason.WRONG_TYPE),
        ("TTYPE1  = 'A       '", "TTYPE1  = 'b       '", Reason.MALFORMED),
        ("MAGIC   =                    T", "ZIMAGE  =                    T", Reason.UNSUPPORTED),
        ("MAGIC   =                    T", "TZERO1  =               '2^63'", Reason.WRONG_TYPE),
        ("MAGIC   =                    T", "TSCAL1  =                1E999", Reason.WRONG_TYPE),
        ("MAGIC   =                    T", "TZERO1  =  9223372036854775808", Reason.OUT_OF_RANGE),
        ("MAGIC   =                    T", "TZERO1  =  9223372036854775000", Reason.UNSUPPORTED),
        ("SIMPLE  =                    T", "SIMPLE  =                    F", Reason.MALFORMED),
        ("SIMPLE  =                    T", "SIMPLE  =               \N{SNOWMAN}", Reason.MALFORMED),
        ("XTENSION= 'BINTABLE'", "XTENSION= 'TABLE   '", Reason.NOT_A_MAP),
    ],
)
def test_lying_headers_are_refused(old: str, new: str, reason: Reason) -> None:
    assert reason_of(changed(old, new)) is reason


def test_a_column_without_values_is_refused() -> None:
    body = hdus(fits.BinTableHDU.from_columns([fits.Column("A", "0K"), fits.Column("B", "J", array=[1, 2])]))
    assert reason_of(body) is Reason.EMPTY


def test_a_column_with_more_values_than_allowed_is_refused() -> None:
    body = fits_file({"A": np.zeros((11, 100), np.uint8)}, {})
    assert reason_of(body) is Reason.TOO_LARGE
    assert len(first_table(body, 1100).values("A")) == 1100


def test_a_compressed_image_is_refused() -> None:
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(np.zeros((64, 64), np.int16))]).writeto(out)
    assert reason_of(out.getvalue()) is Reason.UNSUPPORTED


def test_an_image_alone_is_no_map() -> None:
    out = io.BytesIO()
    fits.PrimaryHDU(np.zeros((10, 10))).writeto(out)
    assert reason_of(out.getvalue()) is Reason.NOT_A_MAP
    assert reason_of(out.getvalue()[:2900]) is Reason.TRUNCATED


def test_axes_whose_product_is_too_long_to_be_printed() -> None:
    axes = "".join(f"NAXIS{i + 1}".ljust(8) + "= " + "9" * 40 + " " * 30 for i in range(999))
    head = "".join(card.ljust(80) for card in ("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 999"))
    body = (head + axes + "END").encode()
    assert reason_of(body.ljust(-(-len(body) // 2880) * 2880)) is Reason.TRUNCATED


def test_headers_without_end_and_files_without_tables_are_bounded() -> None:
    card = b"COMMENT".ljust(80)
    assert reason_of(card * 36 * 1001) is Reason.TOO_LARGE
    assert reason_of(hdus(*[fits.ImageHDU(np.zeros(1)) for _ in range(25)])) is Reason.TOO_LARGE


@given(st.binary(max_size=200), st.integers(0, len(SAMPLE) - 1), st.integers(0, 255))
def test_any_bytes_give_a_table_or_a_bad_sky_map(noise: bytes, at: int, byte: int) -> None:
    for body in (
        noise,
        SAMPLE[:2880] + noise.ljust(2880),
        SAMPLE[:at] + bytes([byte]) + SAMPLE[at + 1 :],
        SAMPLE[:at] + noise + SAMPLE[at:],
    ):
        with contextlib.suppress(BadSkyMap):
            assert all(values.size <= 1000 for values in all_values(read(body)))
