"""The wide columns of stored alerts. Texts take the bytes that they have, so that one long name widens no other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from matchers.objects import names_of
from schemas.records import COLUMNS, Alerts, Ints, Strings

_TEXTS = tuple(name for name, dtype in COLUMNS.items() if dtype is np.str_)
_NUMBERS = tuple(name for name in COLUMNS if name not in _TEXTS)
_LAST_ASCII = 127
_SHORT_ENDS = 1 << 32


def spread(first: Ints, counts: Ints) -> Ints:
    """The places of slices one after the other, each given by its first place and its length."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.asarray(np.repeat(first - (ends - counts), counts) + np.arange(total), np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """A column of texts as UTF-8, one behind the other.

    Attributes
    ----------
    utf8
        All bytes, shape (bytes,).
    end
        One past the last byte of each text, shape (n,); 32 bits wide as long as that is enough.
    """

    utf8: NDArray[np.uint8]
    end: NDArray[np.unsignedinteger[Any]]

    @classmethod
    def of(cls, texts: Strings) -> Self:
        """A column of these texts, shape (n,)."""
        names = names_of(texts)
        square = np.ascontiguousarray(names).view(np.uint8).reshape(len(names), names.dtype.itemsize)
        lengths = np.char.str_len(names)
        if len(lengths) and (lengths == lengths[0]).all():
            return cls._joined(square[:, : lengths[0]].reshape(-1), lengths)
        return cls._joined(square[np.arange(square.shape[1]) < lengths[:, None]], lengths)

    @classmethod
    def _joined(cls, utf8: NDArray[np.uint8], lengths: Ints) -> Self:
        return cls(utf8, np.cumsum(lengths, dtype=np.int64).astype(np.uint32 if len(utf8) < _SHORT_ENDS else np.uint64))

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Several columns as one."""
        return cls._joined(
            np.concatenate([part.utf8 for part in parts]), np.concatenate([part.lengths() for part in parts])
        )

    def take(self, rows: Ints) -> Strings:
        """The texts in these rows, shape (n,), as wide as the longest of them."""
        return self.taken([(self, rows)])

    @classmethod
    def taken(cls, parts: Sequence[tuple[Self, Ints]]) -> Strings:
        """The texts in these rows of several columns, one after the other; at least one column."""
        pieces, counts = [], []
        for column, rows in parts:
            first, lengths = column.places(rows)
            pieces.append(column.utf8[spread(first, lengths)])
            counts.append(lengths)
        utf8, lengths = np.concatenate(pieces), np.concatenate(counts)
        width = int(lengths.max()) if len(lengths) else 0
        if not width:
            return np.zeros(len(lengths), "U1")
        square = np.zeros((len(lengths), width), np.uint8)
        if len(utf8) == square.size:
            square[:] = utf8.reshape(square.shape)
        else:
            square[np.arange(width) < lengths[:, None]] = utf8
        if utf8.max() > _LAST_ASCII:
            return np.asarray(np.char.decode(square.view(f"S{width}")[:, 0], "utf-8", "surrogatepass"), np.str_)
        return np.asarray(square.astype(np.uint32).view(f"U{width}")[:, 0], np.str_)

    def picked(self, rows: Ints) -> Self:
        """A column of the texts in these rows."""
        first, lengths = self.places(rows)
        return self._joined(self.utf8[spread(first, lengths)], lengths)

    def places(self, rows: Ints) -> tuple[Ints, Ints]:
        """First byte and number of bytes of these rows' texts."""
        first = np.where(rows > 0, self.end[np.maximum(rows - 1, 0)], 0).astype(np.int64)
        return first, self.end[rows].astype(np.int64) - first

    def lengths(self) -> Ints:
        """Bytes of each text, shape (n,)."""
        lengths = self.end.astype(np.int64)
        lengths[1:] -= self.end[:-1].astype(np.int64)  # np.diff takes three times as long
        return lengths


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Alerts of one survey, to be kept: as `Alerts`, but for the texts."""

    survey: str
    numbers: Mapping[str, NDArray[Any]]
    texts: Mapping[str, Texts]

    @classmethod
    def of(cls, alerts: Alerts) -> Self:
        """Alerts as rows."""
        numbers = {name: getattr(alerts, name) for name in _NUMBERS}
        return cls(alerts.survey, numbers, {name: Texts.of(getattr(alerts, name)) for name in _TEXTS})

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Several parts as one; at least one."""
        numbers = {name: np.concatenate([part.numbers[name] for part in parts]) for name in _NUMBERS}
        texts = {name: Texts.concatenate([part.texts[name] for part in parts]) for name in _TEXTS}
        return cls(parts[0].survey, numbers, texts)

    def __len__(self) -> int:
        return len(self.numbers["alert_id"])

    @property
    def nbytes(self) -> int:
        """Bytes of all columns."""
        return sum(column.nbytes for column in self.arrays().values())

    @staticmethod
    def taken(parts: Sequence[tuple["Rows", Ints]]) -> Alerts:
        """The alerts in these rows of several parts, one after the other; at least one part."""
        columns: dict[str, NDArray[Any]] = {}
        for name in COLUMNS:
            if name in _TEXTS:
                columns[name] = Texts.taken([(part.texts[name], rows) for part, rows in parts])
            else:
                columns[name] = np.concatenate([part.numbers[name][rows] for part, rows in parts])
        return Alerts(parts[0][0].survey, **columns)

    def column(self, name: str, rows: Ints) -> NDArray[Any]:
        """Values of one column in these rows, shape (n,)."""
        return self.texts[name].take(rows) if name in self.texts else self.numbers[name][rows]

    def picked(self, rows: Ints) -> Self:
        """These rows as rows."""
        numbers = {name: column[rows] for name, column in self.numbers.items()}
        return type(self)(self.survey, numbers, {name: texts.picked(rows) for name, texts in self.texts.items()})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All columns as arrays of numbers, to be written; `of_arrays` makes the same of them again."""
        texts = {f"{name}_{part}": getattr(column, part) for name, column in self.texts.items() for part in _PARTS}
        return dict(self.numbers) | texts

    @classmethod
    def of_arrays(cls, survey: str, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What `arrays` gave; `LATER` columns may be missing, and are unknown then."""
        texts = {name: Texts(*(arrays[f"{name}_{part}"] for part in _PARTS)) for name in _TEXTS}
        unknown = np.broadcast_to(np.float32(np.nan), len(arrays["alert_id"]))
        return cls(survey, {name: arrays.get(name, unknown) for name in _NUMBERS}, texts)


_PARTS = ("utf8", "end")
ARRAYS = (*_NUMBERS, *(f"{name}_end" for name in _TEXTS))
"""Names of the arrays of `Rows.arrays` that have one entry a row..."""
BYTES = tuple(f"{name}_utf8" for name in _TEXTS)
"""...and of the others."""
LATER = frozenset({"star_galaxy"})
"""Those that what earlier versions wrote lacks."""
