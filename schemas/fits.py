"""Binary tables of FITS files (FITS 4.0, Pence et al. 2010, A&A 524, A42) with every claim checked first.

astropy trusts a header: it allocates what a damaged or hostile file claims, and a map takes it 40 times as long. A
sky map needs numeric columns of one table, and these are views of the bytes: nothing is allocated before
the header is known to describe no more than is there.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import BadSkyMap, Reason

Value = str | int | float | bool
Header = Mapping[str, Value]

_BLOCK = 2880
_CARD = 80
_MOST_HEADER_BLOCKS = 1000
_MOST_HDUS = 20
_MOST_COLUMNS = 999  # the standard's own limit
_DTYPES = {"L": "S1", "X": "u1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "A": "S1", "E": ">f4", "D": ">f8"}
_BYTES = {code: np.dtype(dtype).itemsize for code, dtype in _DTYPES.items()} | {"C": 8, "M": 16, "P": 8, "Q": 16}
_TFORM = re.compile(r"\s*(\d{0,9})([A-Z])(.*)", re.DOTALL)
_SIGN = 1 << 63


@dataclass(frozen=True, slots=True)
class Column:
    """Where a column lies in a row: `repeat` values of FITS type `code` from byte `offset` on."""

    code: str
    repeat: int
    offset: int
    number: int


@dataclass(frozen=True, slots=True)
class Table:
    """A binary table in bytes.

    Attributes
    ----------
    header, primary
        Its own header and the file's first.
    columns
        By name in capitals; unnamed ones as ``#1``, ``#2``.
    rows, row_bytes, start
        Their number and size, and where the first begins in `body`.
    most_values
        Most values of a column that are read.
    """

    body: bytes
    header: Header
    primary: Header
    columns: Mapping[str, Column]
    rows: int
    row_bytes: int
    start: int
    most_values: int

    def text(self, keyword: str) -> str:
        """A keyword of the table or else of the file, as text without blanks around; empty if absent."""
        return str(self.header.get(keyword, self.primary.get(keyword, ""))).strip()

    @np.errstate(over="ignore", invalid="ignore")  # damaged numbers are for the reader of the map to refuse
    def values(self, name: str) -> NDArray[Any]:
        """All values of a numeric column, rows one after another, in native byte order.

        Integers stay integers (64 bits); an unsigned one that does not fit is refused.

        Raises
        ------
        BadSkyMap
            If the column is not numeric, is empty, is too long, or is scaled in a way that cannot be undone.
        """
        column = self.columns[name]
        if self.rows * column.repeat > self.most_values:
            raise BadSkyMap(
                Reason.TOO_LARGE,
                f"column {name} has {self.rows * column.repeat} values, at most {self.most_values} are read",
            )
        if column.code not in "BIJKED":
            raise BadSkyMap(Reason.WRONG_TYPE, f"column {name} has FITS type {column.code}, expected plain numbers")
        if not column.repeat:
            raise BadSkyMap(Reason.EMPTY, f"column {name} has no values")
        row = np.dtype(
            {
                "names": ["value"],
                "formats": [(_DTYPES[column.code], (column.repeat,))],
                "offsets": [column.offset],
                "itemsize": self.row_bytes,
            }
        )
        raw = np.frombuffer(self.body, row, self.rows, self.start)["value"].ravel()
        zero = self._number(f"TZERO{column.number}", 0)
        scale = self._number(f"TSCAL{column.number}", 1)
        if column.code in "ED" or scale != 1 or not float(zero).is_integer():
            values = raw.astype(np.float64)
            return values if (scale, zero) == (1, 0) else values * scale + zero
        return self._integers(name, raw.astype(np.int64), int(zero))

    def _integers(self, name: str, values: NDArray[np.int64], zero: int) -> NDArray[np.int64]:
        if zero == _SIGN:  # the standard's way to store unsigned 64 bits
            if (values >= 0).any():
                raise BadSkyMap(Reason.OUT_OF_RANGE, f"column {name} has an unsigned integer of 2^63 or more")
            return values + np.int64(-_SIGN)  # wraps round to the value meant
        if not zero:
            return values
        if abs(zero) > 1 << 32 or np.abs(values).max(initial=0) > 1 << 61:
            raise BadSkyMap(Reason.UNSUPPORTED, f"column {name} has integers with an offset of {zero}")
        return values + zero

    def _number(self, keyword: str, default: int) -> int | float:
        value = self.header.get(keyword, default)
        if isinstance(value, str | bool) or not math.isfinite(value):
            raise BadSkyMap(Reason.WRONG_TYPE, f"{keyword} is {value!r}, expected a number")
        return value


def first_table(body: bytes, most_values: int) -> Table:
    """The first binary table of a FITS file.

    Raises
    ------
    BadSkyMap
        TRUNCATED, MALFORMED, TOO_LARGE (more rows than values allowed), UNSUPPORTED (a compressed image),
        EMPTY (no rows) or NOT_A_MAP (no binary table).
    """
    primary, header, start = first_headers(body)
    if header.get("ZIMAGE") is True:
        raise BadSkyMap(Reason.UNSUPPORTED, "the table is a compressed image, expected a sky map")
    row_bytes, rows = _integer(header, "NAXIS1"), _integer(header, "NAXIS2")
    if rows > most_values:
        raise BadSkyMap(Reason.TOO_LARGE, f"the table claims {rows} rows, at most {most_values} are read")
    if rows == 0 or row_bytes == 0:
        raise BadSkyMap(Reason.EMPTY, "the table has no rows")
    if start + rows * row_bytes > len(body):
        raise BadSkyMap(
            Reason.TRUNCATED,
            f"the table needs {rows} rows of {row_bytes} bytes, {len(body) - start} of {rows * row_bytes} are there",
        )
    return Table(body, header, primary, _columns(header, row_bytes), rows, row_bytes, start, most_values)


def first_headers(body: bytes) -> tuple[Header, Header, int]:
    """Header of the file, header of its first binary table, and where that table's data begin.

    Only the bytes up to there are needed. Raises as `first_table` does.
    """
    headers = _headers(body)
    primary, _ = next(headers)
    if primary.get("SIMPLE") is not True:
        raise BadSkyMap(Reason.MALFORMED, "the file does not begin with SIMPLE = T")
    for header, start in headers:
        if str(header.get("XTENSION", "")).strip() in {"BINTABLE", "A3DTABLE"}:
            return primary, header, start
    raise BadSkyMap(Reason.NOT_A_MAP, "the FITS file has no binary table, expected one with a sky map")


def _headers(body: bytes) -> Iterator[tuple[Header, int]]:
    """Each header and where its data begin."""
    at = 0
    for _ in range(_MOST_HDUS):
        header, at = _header(body, at)
        yield header, at
        size = abs(_integer(header, "BITPIX")) // 8
        axes = [_integer(header, f"NAXIS{i + 1}") for i in range(min(_integer(header, "NAXIS"), 999))]
        size *= math.prod(axes) + _integer(header, "PCOUNT", 0) if axes else 0
        if at + size > len(body):
            # Not how far they go: 999 axes of 40 digits make a number that Python refuses to print.
            raise BadSkyMap(
                Reason.TRUNCATED, f"the file ends at byte {len(body)}, before the data that a header claims"
            )
        at += -(-size // _BLOCK) * _BLOCK
        if not body[at : at + _BLOCK].strip(b"\0 "):  # some writers pad beyond the last block
            return
    raise BadSkyMap(Reason.TOO_LARGE, f"no binary table among the first {_MOST_HDUS} parts of the FITS file")


def _header(body: bytes, at: int) -> tuple[dict[str, Value], int]:
    header: dict[str, Value] = {}
    for start in range(at, at + _MOST_HEADER_BLOCKS * _BLOCK, _BLOCK):
        block = body[start : start + _BLOCK]
        if len(block) < _BLOCK:
            raise BadSkyMap(Reason.TRUNCATED, f"the FITS header at byte {at} ends before its END card")
        try:
            text = block.decode("ascii")
        except UnicodeDecodeError:
            raise BadSkyMap(Reason.MALFORMED, f"the FITS header at byte {at} is not ASCII text") from None
        for i in range(0, _BLOCK, _CARD):
            keyword = text[i : i + 8].rstrip()
            if keyword == "END":
                return header, start + _BLOCK
            if text[i + 8 : i + 10] == "= ":
                header.setdefault(keyword, _value(text[i + 10 : i + _CARD]))
    raise BadSkyMap(Reason.TOO_LARGE, f"the FITS header at byte {at} is longer than {_MOST_HEADER_BLOCKS} blocks")


def _value(text: str) -> Value:
    """Value of a card: quoted text, T or F, an integer or a real; anything else as it stands."""
    text = text.strip()
    if text.startswith("'"):
        quoted = re.match(r"'((?:[^']|'')*)'?", text)
        return quoted[1].replace("''", "'").rstrip() if quoted else ""
    text = text.split("/")[0].strip()
    if text in {"T", "F"}:
        return text == "T"
    if re.fullmatch(r"[+-]?\d{1,40}", text):
        return int(text)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([EDed][+-]?\d+)?", text):
        return float(text.upper().replace("D", "E"))
    return text


def _integer(header: Header, keyword: str, default: int | None = None) -> int:
    value = header.get(keyword, default)
    if value is None:
        raise BadSkyMap(Reason.MISSING_FIELD, f"the FITS header has no {keyword}")
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadSkyMap(Reason.WRONG_TYPE, f"{keyword} of the FITS header is {value!r}, expected an integer")
    if value < 0 and keyword != "BITPIX":
        raise BadSkyMap(Reason.OUT_OF_RANGE, f"{keyword} of the FITS header is {value}")
    return value


def _columns(header: Header, row_bytes: int) -> dict[str, Column]:
    count = _integer(header, "TFIELDS")
    if count > _MOST_COLUMNS:
        raise BadSkyMap(Reason.TOO_LARGE, f"the table claims {count} columns, FITS allows {_MOST_COLUMNS}")
    columns: dict[str, Column] = {}
    offset = 0
    for number in range(1, count + 1):
        form = _TFORM.fullmatch(str(header.get(f"TFORM{number}", "")))
        if not form or form[2] not in _BYTES:
            raise BadSkyMap(
                Reason.MALFORMED, f"TFORM{number} is {header.get(f'TFORM{number}')!r}, expected a FITS column format"
            )
        repeat = int(form[1] or 1)
        name = str(header.get(f"TTYPE{number}", "")).strip().upper() or f"#{number}"
        if name in columns:
            raise BadSkyMap(Reason.MALFORMED, f"the table has two columns named {name}")
        columns[name] = Column(form[2], repeat, offset, number)
        offset += -(-repeat // 8) if form[2] == "X" else repeat * _BYTES[form[2]]
    if offset != row_bytes:
        raise BadSkyMap(Reason.MALFORMED, f"the columns take {offset} bytes a row but NAXIS1 says {row_bytes}")
    return columns
