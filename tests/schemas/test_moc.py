"""Coverage maps as mocpy writes them, and numbers that are none."""

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mocpy import MOC

from schemas.errors import BadSkyMap, Reason
from schemas.fits import first_table
from schemas.moc import intervals_of_uniq, orders_of_uniq, read_moc_json, read_moc_table
from schemas.pixels import ORDER, PIXEL_COUNT
from tests.schemas.maps import fits_file

CELLS = st.integers(0, 6).flatmap(lambda order: st.tuples(st.just(order), st.integers(0, (12 << 2 * order) - 1)))


def reason_of_json(body: bytes | object) -> Reason:
    with pytest.raises(BadSkyMap) as caught:
        read_moc_json(body if isinstance(body, bytes) else json.dumps(body).encode())
    return caught.value.reason


def reason_of_table(numbers: list[int], dtype: type = np.int64, **header: str) -> Reason:
    body = fits_file({"UNIQ": np.array(numbers, dtype)}, {"ORDERING": "NUNIQ", "COORDSYS": "C"} | header)
    with pytest.raises(BadSkyMap) as caught:
        read_moc_table(first_table(body, 1000))
    return caught.value.reason


@given(st.lists(CELLS, min_size=1, max_size=30))
def test_every_form_that_mocpy_writes_is_the_same_region(cells: list[tuple[int, int]]) -> None:
    order, pixel = np.array(cells, np.uint64).T
    moc = MOC.from_healpix_cells(pixel, order.astype(np.uint8), 6)
    expected = moc.to_depth29_ranges.astype(np.int64)
    assert_same(read_moc_json(json.dumps(moc.serialize("json")).encode()), expected)
    out = io.BytesIO()
    moc.serialize("fits").writeto(out)
    assert_same(read_moc_table(first_table(out.getvalue(), 10_000)), expected)
    uniq = np.asarray(moc.uniq_hpx)
    for numbers in (uniq.astype(np.int64), uniq.astype(np.int32), uniq.astype(np.uint64)):
        body = fits_file({"UNIQ": numbers[::-1].copy()}, {"ORDERING": "NUNIQ", "COORDSYS": "C"})
        assert_same(read_moc_table(first_table(body, 10_000)), expected)


def assert_same(got: tuple[np.ndarray, np.ndarray], expected: np.ndarray) -> None:
    np.testing.assert_array_equal(np.column_stack(got), expected)


@given(st.integers(0, ORDER).flatmap(lambda k: st.tuples(st.just(k), st.integers(0, (12 << 2 * k) - 1))))
def test_uniq_is_decoded_with_every_digit(cell: tuple[int, int]) -> None:
    order, pixel = cell
    uniq = np.array([4 * 4**order + pixel], np.int64)
    assert orders_of_uniq(uniq).tolist() == [order]
    lo, hi = intervals_of_uniq(uniq)
    assert (int(lo[0]), int(hi[0])) == (pixel * 4 ** (ORDER - order), (pixel + 1) * 4 ** (ORDER - order))


def test_the_whole_sky() -> None:
    for whole in ({"0": list(range(12))}, {"0": list(range(11)), "1": [44, 45, 46, 47]}):
        lo, hi = read_moc_json(json.dumps(whole).encode())
        assert (lo.tolist(), hi.tolist()) == ([0], [PIXEL_COUNT])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", Reason.MALFORMED),
        (b'{"3": [1, 2', Reason.MALFORMED),
        (b'{"3": [1], "3": [2]}', Reason.MALFORMED),
        (b'{"3": [\xff]}', Reason.MALFORMED),
        (b'{"3": [' + b"9" * 5000 + b"]}", Reason.MALFORMED),
        (b'{"3": [' + b"9" * 4000 + b"]}", Reason.OUT_OF_RANGE),
        (b"[1, 2]", Reason.NOT_A_MAP),
        (b"{}", Reason.EMPTY),
        (b"[" * 100_000, Reason.NOT_A_MAP),
        (b" " * (9 << 20), Reason.TOO_LARGE),
        ({"3": []}, Reason.EMPTY),
        ({"3": [5, 5]}, Reason.MALFORMED),
        ({"3": [5], "4": [20]}, Reason.MALFORMED),
        ({"3": [768]}, Reason.OUT_OF_RANGE),
        ({"3": [-1]}, Reason.OUT_OF_RANGE),
        ({"3": [1.5]}, Reason.WRONG_TYPE),
        ({"3": [True]}, Reason.WRONG_TYPE),
        ({"3": "1-5"}, Reason.WRONG_TYPE),
        ({"30": [1]}, Reason.NOT_A_MAP),
        ({"-1": [1]}, Reason.NOT_A_MAP),
        ({"\N{SUPERSCRIPT TWO}": [1]}, Reason.NOT_A_MAP),
        ({"alert_type": "INITIAL", "event": {"skymap": ""}}, Reason.NOT_A_MAP),
    ],
)
def test_other_json_is_refused(body: object, reason: Reason) -> None:
    assert reason_of_json(body) is reason


@pytest.mark.parametrize(
    ("numbers", "header", "reason"),
    [
        ([64, 64], {}, Reason.MALFORMED),
        ([64, 16], {}, Reason.MALFORMED),
        ([1], {}, Reason.OUT_OF_RANGE),
        ([0, 10, 20], {"ORDERING": "RANGE"}, Reason.TRUNCATED),
        ([10, 10], {"ORDERING": "RANGE"}, Reason.OUT_OF_RANGE),
        ([10, 5], {"ORDERING": "RANGE"}, Reason.OUT_OF_RANGE),
        ([-1, 5], {"ORDERING": "RANGE"}, Reason.OUT_OF_RANGE),
        ([0, PIXEL_COUNT + 1], {"ORDERING": "RANGE"}, Reason.OUT_OF_RANGE),
        ([0, 10, 5, 20], {"ORDERING": "RANGE"}, Reason.MALFORMED),
        ([64], {"ORDERING": "STRING"}, Reason.UNSUPPORTED),
        ([64], {"COORDSYS": "G"}, Reason.UNSUPPORTED),
        ([64], {"MOCDIM": "TIME"}, Reason.UNSUPPORTED),
        ([64], {"MOCDIM": "TIME.SPACE"}, Reason.UNSUPPORTED),
    ],
)
def test_other_tables_are_refused(numbers: list[int], header: dict[str, str], reason: Reason) -> None:
    assert reason_of_table(numbers, **header) is reason


def test_tables_of_other_columns_are_refused() -> None:
    assert reason_of_table([64], np.float64) is Reason.WRONG_TYPE
    body = fits_file({"UNIQ": np.array([64]), "FLUX": np.array([1.0])}, {"ORDERING": "NUNIQ"})
    with pytest.raises(BadSkyMap, match="one column"):
        read_moc_table(first_table(body, 10))
