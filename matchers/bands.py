"""The first and the last stored point of every object in every band: what rates of change are told from.

A node an object and band, linked to the object's next one; it takes about 30 bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matchers.colours import COLOURS
from matchers.rates import BINS, GROUPS, bins_of, group_of
from schemas.records import Floats, Ints, Strings
from schemas.times import US_PER_DAY, US_PER_S

LEAST_SPAN_US = 1800 * US_PER_S
"""Between points nearer in time than this there is no rate: it would be the error of the magnitudes."""
LEAST_COUNTED_SPAN_US = US_PER_DAY * 3 // 4
"""Only rates from one night to another are counted: their errors are not stored, and so are to be small."""
_COLOUR_SPAN_US = US_PER_DAY // 2
"""A colour is of points of one night."""
_MOST_BANDS = 255
"""Names of bands come from packets: a survey that has more has no rates in the others."""
_NONE = -1
_LEAST_ROOM = 64
_COUNTED_AT_ONCE = 1 << 15
"""Objects, so that what is computed of them stays in the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class _Nodes:
    """Columns with room for more than there are."""

    band: NDArray[np.uint8]
    next: NDArray[np.int32]
    first_us: Ints
    last_us: Ints
    first_mag: NDArray[np.float32]
    last_mag: NDArray[np.float32]

    @classmethod
    def empty(cls, size: int) -> "_Nodes":
        return cls(*(np.zeros(size, column.dtype) for column in _NO_COLUMNS))

    def grown(self, used: int, size: int) -> "_Nodes":
        new = _Nodes.empty(size)
        for column in fields(self):
            getattr(new, column.name)[:used] = getattr(self, column.name)[:used]
        return new


_NO_COLUMNS = (
    np.zeros(0, np.uint8), np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.int64),
    np.zeros(0, np.float32), np.zeros(0, np.float32),
)  # fmt: skip


class BandPoints:
    """The first and the last point by object and band.

    Each object has a ``head``, the number of its first node or -1, which whoever knows the objects keeps.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._used = 0
        self._nodes = _Nodes.empty(_LEAST_ROOM)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes."""
        return sum(getattr(self._nodes, column.name).nbytes for column in fields(_Nodes))

    def observe(self, head: NDArray[np.int32], code: Ints, band: Strings, time_us: Ints, mag: Floats) -> None:
        """Learn of points; those without a magnitude tell nothing. Told again, they change nothing.

        Parameters
        ----------
        head
            Of all objects; changed where an object gets its first node.
        code, band, time_us, mag
            The object's place in ``head``, and the point, shape (n,) each.
        """
        told = np.flatnonzero(np.isfinite(mag))
        number = self._numbers(band[told])
        known = number >= 0
        told, number = told[known], number[known]
        if not len(told):
            return
        node = self._entered(head, code[told], number)
        self._stretch(node, time_us[told], mag[told])

    def rates(self, head: int) -> dict[str, float]:
        """Magnitudes a day by band, from the first to the last point; of bands with two far enough apart in time."""
        nodes, rates = self._nodes, {}
        while head != _NONE:
            span_us = int(nodes.last_us[head] - nodes.first_us[head])
            if span_us >= LEAST_SPAN_US:
                change = float(nodes.last_mag[head]) - float(nodes.first_mag[head])
                rates[self._names[nodes.band[head]]] = change / (span_us / US_PER_DAY)
            head = int(nodes.next[head])
        return dict(sorted(rates.items()))

    def rate_counts(self, head: NDArray[np.int32], colour: Ints) -> Ints:
        """How many objects with these heads change how fast in each band, from the first to the last point, where these
        are of different nights. For 10 million it takes a second; sums over parts of the objects are the same.

        Parameters
        ----------
        head, colour
            Of each object, and its bin of `matchers.colours`.

        Returns
        -------
        ndarray
            Shape (`COLOURS`, `GROUPS`, `BINS`) of `matchers.colours` and `matchers.rates`, as `RateHistogram.measured`
            takes it.
        """
        counts = np.zeros((COLOURS, len(GROUPS), BINS), np.int64)
        nodes = self._nodes
        first_bin = np.array([BINS * group_of(name) for name in self._names], np.int64)
        for start in range(0, len(head), _COUNTED_AT_ONCE):
            node = head[start : start + _COUNTED_AT_ONCE]
            of_colour = len(GROUPS) * BINS * colour[start : start + _COUNTED_AT_ONCE]
            while len(on := np.flatnonzero(node != _NONE)):
                node, of_colour = node[on], of_colour[on]
                span_us = nodes.last_us[node] - nodes.first_us[node]
                far = np.flatnonzero(span_us >= LEAST_COUNTED_SPAN_US)
                at = node[far]
                change = nodes.last_mag[at] - nodes.first_mag[at]
                bins = first_bin[nodes.band[at]] + bins_of(change / (span_us[far] / US_PER_DAY))
                counts += np.bincount(of_colour[far] + bins, minlength=counts.size).reshape(counts.shape)
                node = nodes.next[node]
        return counts

    def first_colours(self, head: NDArray[np.int32]) -> Floats:
        """Colour g - r of the first points of the objects with these heads, shape (n,); NaN of those that were not seen
        in both bands in one night."""
        nodes, colour = self._nodes, np.full(len(head), np.nan, np.float32)
        if not {"g", "r"} <= set(self._names):
            return colour
        of_band = {}
        for name in ("g", "r"):
            number, node = self._names.index(name), head.copy()
            on = np.flatnonzero(node != _NONE)
            while len(on := on[nodes.band[node[on]] != number]):
                node[on] = nodes.next[node[on]]
                on = on[node[on] != _NONE]
            of_band[name] = node
        both = np.flatnonzero((of_band["g"] != _NONE) & (of_band["r"] != _NONE))
        blue, red = of_band["g"][both], of_band["r"][both]
        near = np.abs(nodes.first_us[blue] - nodes.first_us[red]) < _COLOUR_SPAN_US
        colour[both[near]] = (nodes.first_mag[blue] - nodes.first_mag[red])[near]
        return colour

    def kept(self, head: NDArray[np.int32]) -> NDArray[np.int32]:
        """Drop the nodes of all objects but those with these heads, and return their new heads."""
        levels = []
        objects, node = np.arange(len(head)), head.astype(np.int64)
        while len(objects := objects[node != _NONE]):
            node = node[node != _NONE]
            levels.append((objects, node))
            node = self._nodes.next[node].astype(np.int64)
        self._used = sum(len(objects) for objects, _ in levels)
        nodes, old = _Nodes.empty(max(self._used, _LEAST_ROOM)), self._nodes
        new_head, end = np.full(len(head), _NONE, np.int32), self._used
        for objects, node in reversed(levels):
            place = np.arange(end - len(objects), end)
            end -= len(objects)
            for column in fields(_Nodes):
                getattr(nodes, column.name)[place] = getattr(old, column.name)[node]
            nodes.next[place] = new_head[objects]
            new_head[objects] = place
        self._nodes = nodes
        return new_head

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it, without copying."""
        columns = {f"band_{column.name}": getattr(self._nodes, column.name) for column in fields(_Nodes)}
        return columns | {"band_names": np.array(self._names, np.str_), "band_used": np.array([self._used])}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "BandPoints":
        """What `arrays` gave; the arrays are used as they are.

        Raises
        ------
        ValueError
            If they differ in length or lack nodes.
        """
        made = cls()
        made._nodes = _Nodes(**{column.name: arrays[f"band_{column.name}"] for column in fields(_Nodes)})
        made._used = int(arrays["band_used"][0])
        room = {len(getattr(made._nodes, column.name)) for column in fields(_Nodes)}
        if len(room) > 1 or max(room) < made._used:
            raise ValueError("what is known of objects by band does not fit together")
        made._names = arrays["band_names"].tolist()
        return made

    def grow(self) -> None:
        """Make room for as many nodes as there are if little is left."""
        room = len(self._nodes.band)
        if room - self._used < room // 4:
            self._reserve(2 * room)

    def _numbers(self, band: Strings) -> Ints:
        """The number of each band's name, -1 if there are too many."""
        number = np.full(len(band), _NONE, np.int64)
        for known, name in enumerate(self._names):
            number[band == name] = known
        new = number == _NONE
        if new.any() and len(self._names) < _MOST_BANDS:
            for name in dict.fromkeys(band[new].tolist()):
                if len(self._names) < _MOST_BANDS:
                    number[band == name] = len(self._names)
                    self._names.append(name)
        return number

    def _entered(self, head: NDArray[np.int32], code: Ints, number: Ints) -> Ints:
        """The node of each object and band; a new one where there is none."""
        node = self._found(head, code, number)
        new = np.flatnonzero(node == _NONE)
        if len(new):
            pairs, of_pair = np.unique((code[new] << 8) | number[new], return_inverse=True)
            self._reserve(self._used + len(pairs))
            made = self._used + np.arange(len(pairs))
            self._append(head, made, pairs >> 8, pairs & _MOST_BANDS)
            node[new] = made[of_pair]
        return node

    def _found(self, head: NDArray[np.int32], code: Ints, number: Ints) -> Ints:
        node = head[code].astype(np.int64)
        on = np.flatnonzero(node != _NONE)
        while len(on):
            on = on[self._nodes.band[node[on]] != number[on]]
            node[on] = self._nodes.next[node[on]]
            on = on[node[on] != _NONE]
        return node

    def _append(self, head: NDArray[np.int32], made: Ints, code: Ints, number: Ints) -> None:
        """Link new nodes, sorted by object, before the others of their objects."""
        nodes = self._nodes
        nodes.band[made] = number
        nodes.first_us[made], nodes.last_us[made] = np.iinfo(np.int64).max, np.iinfo(np.int64).min
        same = code[1:] == code[:-1]
        nodes.next[made] = head[code]
        nodes.next[made[1:][same]] = made[:-1][same]
        head[code] = made
        self._used += len(made)

    def _stretch(self, node: Ints, time_us: Ints, mag: Floats) -> None:
        """Move first and last points; of several at one instant the brightest counts."""
        nodes = self._nodes
        for points_us, points_mag, sign in ((nodes.first_us, nodes.first_mag, -1), (nodes.last_us, nodes.last_mag, 1)):
            # Of a place that is assigned several times the last one stands, so the best comes last.
            best = np.lexsort((-mag, sign * time_us))
            at, when_us, value = node[best], time_us[best], mag[best]
            now_us = points_us[at]
            better = np.where(when_us == now_us, value < points_mag[at], (when_us > now_us) == (sign > 0))
            points_us[at[better]], points_mag[at[better]] = when_us[better], value[better]

    def _reserve(self, size: int) -> None:
        if size > len(self._nodes.band):
            self._nodes = self._nodes.grown(self._used, max(size, 2 * len(self._nodes.band)))
