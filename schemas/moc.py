"""Coverage maps (IVOA MOC 2.0, 2022): FITS and JSON to order-29 intervals.

Only maps of space: a map of time, or of space and time, says nothing on where within the sky alone.
"""

import json

import numpy as np

from schemas.errors import BadSkyMap, Reason
from schemas.fits import Table
from schemas.pixels import ORDER, PIXEL_COUNT, Pixels, merge

_MOST_JSON_BYTES = 8 << 20
_THRESHOLDS = np.array([4 << 2 * order for order in range(ORDER + 2)], np.int64)
"""Smallest UNIQ of each order."""


def orders_of_uniq(uniq: Pixels) -> Pixels:
    """HEALPix order of each NUNIQ number 4 x 4^order + pixel, with integers throughout.

    Raises
    ------
    BadSkyMap
        OUT_OF_RANGE if a number stands for no cell of order 0 to 29.
    """
    bad = (uniq < _THRESHOLDS[0]) | (uniq >= _THRESHOLDS[-1])
    if bad.any():
        row = int(np.argmax(bad))
        raise BadSkyMap(Reason.OUT_OF_RANGE, f"UNIQ of row {row} is {uniq[row]}, expected 4 to {_THRESHOLDS[-1] - 1}")
    return np.asarray(np.searchsorted(_THRESHOLDS, uniq, side="right") - 1, np.int64)


def intervals_of_uniq(uniq: Pixels) -> tuple[Pixels, Pixels]:
    """Order-29 interval of each NUNIQ number, in the same order. Raises as `orders_of_uniq`."""
    order = orders_of_uniq(uniq)
    shift = 2 * (ORDER - order)
    cell = uniq - _THRESHOLDS[order]
    return cell << shift, (cell + 1) << shift


def require_disjoint(lo: Pixels, hi: Pixels) -> None:
    """Refuse sorted intervals of which two share a pixel."""
    overlap = lo[1:] < hi[:-1]
    if overlap.any():
        at = int(np.argmax(overlap))
        same = "twice" if (lo[at], hi[at]) == (lo[at + 1], hi[at + 1]) else "in two overlapping cells"
        raise BadSkyMap(Reason.MALFORMED, f"order-{ORDER} pixel {lo[at + 1]} is {same}, expected disjoint cells")


def read_moc_table(table: Table) -> tuple[Pixels, Pixels]:
    """Merged intervals of a MOC's FITS table.

    Raises
    ------
    BadSkyMap
        UNSUPPORTED if it is not a map of space in ICRS, others if its numbers make no sense.
    """
    dimension = table.text("MOCDIM") or "SPACE"
    if dimension != "SPACE":
        raise BadSkyMap(Reason.UNSUPPORTED, f"the MOC is one of {dimension}, expected SPACE")
    if table.text("COORDSYS") not in {"", "C"}:
        raise BadSkyMap(Reason.UNSUPPORTED, f"COORDSYS of the MOC is {table.text('COORDSYS')}, the standard has C only")
    if len(table.columns) != 1:
        raise BadSkyMap(Reason.NOT_A_MAP, f"a MOC has one column, the table has {', '.join(table.columns)}")
    numbers = table.values(next(iter(table.columns)))
    if numbers.dtype.kind != "i":
        raise BadSkyMap(Reason.WRONG_TYPE, "the MOC's column is not one of integers")
    match table.text("ORDERING") or "NUNIQ":
        case "NUNIQ" | "UNIQ":
            lo, hi = intervals_of_uniq(numbers)
        case "RANGE":
            lo, hi = _ranges(numbers)
        case other:
            raise BadSkyMap(Reason.UNSUPPORTED, f"ORDERING of the MOC is {other}, expected NUNIQ or RANGE")
    return _normal(lo, hi)


def read_moc_json(body: bytes) -> tuple[Pixels, Pixels]:
    """Merged intervals of a MOC's JSON form, ``{"order": [cell, ...], ...}``.

    Raises
    ------
    BadSkyMap
        NOT_A_MAP if it is other JSON, others if its numbers make no sense.
    """
    if len(body) > _MOST_JSON_BYTES:
        raise BadSkyMap(Reason.TOO_LARGE, f"JSON of {len(body)} bytes, a MOC may have {_MOST_JSON_BYTES}")
    # An object with one list an order opens no more brackets; this also bounds the depth.
    if body.count(b"{") + body.count(b"[") > ORDER + 2:
        raise BadSkyMap(Reason.NOT_A_MAP, "the JSON is no MOC: more lists than there are HEALPix orders")
    try:
        orders = json.loads(body, object_pairs_hook=_no_duplicates)
    except ValueError as error:  # also of bytes that are no UTF-8, and of endless digits
        raise BadSkyMap(Reason.MALFORMED, f"the MOC is no valid JSON: {error}") from None
    if not isinstance(orders, dict):
        raise BadSkyMap(Reason.NOT_A_MAP, 'the JSON is no MOC, expected {"order": [cell, ...]}')
    starts, ends = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for name, cells in orders.items():
        if not (name.isascii() and name.isdigit() and len(name) <= 2 and int(name) <= ORDER):  # noqa: PLR2004
            raise BadSkyMap(Reason.NOT_A_MAP, f"the JSON is no MOC: {name[:40]!r} is no HEALPix order")
        if not (isinstance(cells, list) and all(type(cell) is int for cell in cells)):
            raise BadSkyMap(Reason.WRONG_TYPE, f"the MOC's cells of order {name} are not a list of integers")
        count = 12 << 2 * int(name)
        wrong = next((cell for cell in cells if not 0 <= cell < count), None)
        if wrong is not None:
            raise BadSkyMap(
                Reason.OUT_OF_RANGE, f"a cell of order {name} is {str(wrong)[:24]}, expected 0 to {count - 1}"
            )
        shift = 2 * (ORDER - int(name))
        starts.append(np.array(cells, np.int64) << shift)
        ends.append((np.array(cells, np.int64) + 1) << shift)
    return _normal(np.concatenate(starts), np.concatenate(ends))


def _ranges(numbers: Pixels) -> tuple[Pixels, Pixels]:
    if numbers.size % 2:
        raise BadSkyMap(Reason.TRUNCATED, f"the MOC has {numbers.size} ends of ranges, expected pairs")
    lo, hi = numbers[::2], numbers[1::2]
    if not ((lo >= 0) & (lo < hi) & (hi <= PIXEL_COUNT)).all():
        raise BadSkyMap(Reason.OUT_OF_RANGE, f"a range of the MOC is empty or outside 0 to {PIXEL_COUNT}")
    return lo, hi


def _normal(lo: Pixels, hi: Pixels) -> tuple[Pixels, Pixels]:
    if not lo.size:
        raise BadSkyMap(Reason.EMPTY, "the MOC has no cells")
    rows = np.argsort(lo, kind="stable")
    require_disjoint(lo[rows], hi[rows])
    return merge(lo, hi)


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)
