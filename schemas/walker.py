"""Steps through encoded Avro records and keeps only what was asked for, as numbers in a table.

A program (made by `schemas.plan`) says what stands where. The walker is strict: it goes through plainly
encoded bytes and refuses anything odd (an index or a count out of range, a number of more than 64 bits, a block whose
stated size is wrong, an end too early), so that a caller may hand what it refuses to a slow and lenient reader.

This file is plain Python. Where there is a C compiler it is also built into an extension module, for which
`walker.pxd` gives the types; both forms have the same answers.
"""

from array import array
from collections.abc import Sequence
from enum import IntEnum
from re import Pattern


class Op(IntEnum):
    """What an instruction does; its three arguments are in brackets."""

    END = 0
    """The walk of this run of instructions is done."""
    FIXED = 1
    """[n] Step over n bytes."""
    MAYBE_FIXED = 2
    """[null, n, times] Step over so many unions of a null (of this index byte) and n bytes."""
    MAYBE_NUMBER = 3
    """[null, , times] The same with an integer."""
    NUMBER = 4
    """Step over an integer."""
    LENGTH = 5
    """Step over a text or bytes."""
    MAYBE_LENGTH = 6
    """[null] Step over a union of a null and a text or bytes."""
    UNION = 7
    """[n, next] One of the n runs whose addresses follow, then go on at next."""
    ITEMS = 8
    """[run] An array; of a map, keys are part of the run."""
    HISTORY = 9
    """[run, slot, given] An array; its run puts a double of each item two slots behind this one. Of the positive ones
    keep the least in the slot, and the greatest in the one behind it; unless slot ``given`` is negative, the least is
    of the items that have something there (not null), the greatest of those that have a null."""
    TAKE_NULL = 10
    TAKE_BOOL = 11
    TAKE_NUMBER = 12
    TAKE_FLOAT = 13
    TAKE_DOUBLE = 14
    TAKE_TEXT = 15
    """[slot] Put the value into the slot."""
    MATCH = 16
    """[pattern, next] Step over what the pattern matches and go on at next; if it does not match, just go on."""


class Kind(IntEnum):
    """What a cell of the table holds, and what its 64 bits are."""

    ABSENT = 0
    NULL = 1
    BOOL = 2
    """0 or 1."""
    INT = 3
    """The number."""
    FLOAT = 4
    """The bits of a float of 32 bits, without sign extension."""
    DOUBLE = 5
    """The bits of a float of 64 bits."""
    TEXT = 6
    """The place in the table's list of texts."""


WORDS = 4
"""Length of an instruction: its `Op` and three arguments."""
COMPILED = not __file__.endswith(".py")
"""Whether this is the extension module."""

_WORDS = WORDS
_END, _FIXED, _MAYBE_FIXED, _MAYBE_NUMBER = int(Op.END), int(Op.FIXED), int(Op.MAYBE_FIXED), int(Op.MAYBE_NUMBER)
_NUMBER, _LENGTH, _MAYBE_LENGTH, _UNION = int(Op.NUMBER), int(Op.LENGTH), int(Op.MAYBE_LENGTH), int(Op.UNION)
_ITEMS, _HISTORY, _MATCH = int(Op.ITEMS), int(Op.HISTORY), int(Op.MATCH)
_TAKE_NULL, _TAKE_BOOL, _TAKE_NUMBER = int(Op.TAKE_NULL), int(Op.TAKE_BOOL), int(Op.TAKE_NUMBER)
_TAKE_FLOAT, _TAKE_DOUBLE = int(Op.TAKE_FLOAT), int(Op.TAKE_DOUBLE)
_ABSENT, _NULL, _BOOL, _INT = int(Kind.ABSENT), int(Kind.NULL), int(Kind.BOOL), int(Kind.INT)
_FLOAT, _DOUBLE, _TEXT = int(Kind.FLOAT), int(Kind.DOUBLE), int(Kind.TEXT)

_MOST_BITS = 0x47EFF933C78CDFAD
"""Bits of the double 3.4e38: positive doubles are ordered as their bits are."""
_REFUSED = -1
_LEAST_ROWS = 64


class Program:
    """What is at each place of the records of one writer schema, and what to take of it.

    Parameters
    ----------
    code
        Instructions, `WORDS` integers each.
    patterns
        What `Op.MATCH` refers to.
    """

    def __init__(self, code: Sequence[int], patterns: Sequence[Pattern[bytes]]) -> None:
        self.code = array("q", code)
        self.patterns = tuple(patterns)


class Walk:
    """Walks records and puts what was asked for into rows of cells.

    Parameters
    ----------
    width
        Cells in a row.

    Attributes
    ----------
    rows
        How many rows are filled.
    bits, kinds
        The cells, row by row, and the `Kind` of each; behind the last row is room for more.
    starts
        Of each row, where in its data the record begins.
    texts
        All texts.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.rows = 0
        self.texts: list[str] = []
        self.bits = array("q")
        self.kinds = array("b")
        self.starts = array("q")

    def add(self, program: "Program", run: int, data: bytes, at: int, end: int, count: int) -> int:
        """Add a row for each of the records that begin here, as far as they are plain.

        Parameters
        ----------
        run
            Where the program's instructions for a record begin.
        data, at, end
            The bytes, where the first record begins, and where the last must have ended.
        count
            How many records there are.

        Returns
        -------
        int
            Where the walk ended: behind the last record, or at the first that was refused, which is told by the
            number of rows.
        """
        self._reserve(count)
        self._code, self._patterns = program.code, program.patterns
        self._data = self._bytes = data
        self._end = end
        self._bits, self._kinds = self.bits, self.kinds
        starts, width = self.starts, self.width
        for _turn in range(count):
            self._base = self.rows * width
            for cell in range(self._base, self._base + width):
                self._kinds[cell] = _ABSENT
            behind = self._run(run, at)
            if behind < 0:
                break
            starts[self.rows] = at
            self.rows += 1
            at = behind
        self._data = self._bytes = b""
        return at

    def _reserve(self, more: int) -> None:
        """Make room for so many further rows."""
        have = len(self.starts)
        if self.rows + more > have:
            extra = max(more, have, _LEAST_ROWS)
            self.bits = self.bits + array("q", bytes(8 * extra * self.width))
            self.kinds = self.kinds + array("b", bytes(extra * self.width))
            self.starts = self.starts + array("q", bytes(8 * extra))

    def _run(self, pc: int, at: int) -> int:  # noqa: C901, PLR0911, PLR0912, PLR0915 - one machine, flat for speed
        """Follow the instructions from `pc` to their end; where the data then are, or `_REFUSED`."""
        code, data, end = self._code, self._data, self._end
        while True:
            op = code[pc]
            if op == _MATCH:
                found = self._patterns[code[pc + 1]].match(data, at, end)
                if found is None:
                    pc += _WORDS
                else:
                    at = found.end()
                    pc = code[pc + 2]
                continue
            if op == _MAYBE_FIXED:
                null, size = code[pc + 1], code[pc + 2]
                for _turn in range(code[pc + 3]):
                    if at >= end:
                        return _REFUSED
                    byte = data[at]
                    if byte == null:
                        at += 1
                    elif byte + null == 2:  # noqa: PLR2004 - the other index, zig-zag
                        at += 1 + size
                    else:
                        return _REFUSED
                if at > end:
                    return _REFUSED
            elif op == _FIXED:
                if code[pc + 1] > end - at:
                    return _REFUSED
                at += code[pc + 1]
            elif op == _MAYBE_NUMBER:
                null = code[pc + 1]
                for _turn in range(code[pc + 3]):
                    if at >= end:
                        return _REFUSED
                    byte = data[at]
                    at += 1
                    if byte == null:
                        continue
                    if byte + null != 2:  # noqa: PLR2004
                        return _REFUSED
                    at = self._number(at)
                    if at < 0:
                        return _REFUSED
            elif op == _NUMBER:
                at = self._number(at)
                if at < 0:
                    return _REFUSED
            elif op == _LENGTH:
                at = self._number(at)
                if at < 0 or not 0 <= self._value <= end - at:
                    return _REFUSED
                at += self._value
            elif op == _MAYBE_LENGTH:
                if at >= end:
                    return _REFUSED
                byte = data[at]
                at += 1
                if byte != code[pc + 1]:
                    if byte + code[pc + 1] != 2:  # noqa: PLR2004
                        return _REFUSED
                    at = self._number(at)
                    if at < 0 or not 0 <= self._value <= end - at:
                        return _REFUSED
                    at += self._value
            elif op == _UNION:
                at = self._number(at)
                if at < 0 or not 0 <= self._value < code[pc + 1]:
                    return _REFUSED
                at = self._run(code[pc + _WORDS + self._value], at)
                if at < 0:
                    return _REFUSED
                pc = code[pc + 2]
                continue
            elif op == _END:
                return at
            elif op == _ITEMS:
                at = self._items(code[pc + 1], at, -1, -1)
                if at < 0:
                    return _REFUSED
            elif op == _HISTORY:
                at = self._items(code[pc + 1], at, code[pc + 2], code[pc + 3])
                if at < 0:
                    return _REFUSED
            else:
                at = self._take(op, code[pc + 1], at)
                if at < 0:
                    return _REFUSED
            pc += _WORDS

    def _items(self, run: int, at: int, slot: int, given: int) -> int:  # noqa: C901, PLR0911, PLR0912 - flat for speed
        """Follow the blocks of an array or map; with a slot, keep the least and the greatest there."""
        least, most = _MOST_BITS, 0
        time, named = self._base + slot + 2, self._base + given
        if slot >= 0:
            self._kinds[self._base + slot] = self._kinds[self._base + slot + 1] = _NULL
        while True:
            at = self._number(at)
            if at < 0:
                return _REFUSED
            count = self._value
            if count == 0:
                break
            behind = -1
            if count < 0:
                if count < -self._end:
                    return _REFUSED
                count = -count
                at = self._number(at)
                if at < 0 or not 0 <= self._value <= self._end - at:
                    return _REFUSED
                behind = at + self._value
            if not 0 < count <= self._end - at:
                return _REFUSED
            for _turn in range(count):
                if slot >= 0:
                    self._kinds[time] = _ABSENT
                    if given >= 0:
                        self._kinds[named] = _ABSENT
                at = self._run(run, at)
                if at < 0:
                    return _REFUSED
                if slot >= 0 and self._kinds[time] == _DOUBLE:
                    bits = self._bits[time]
                    if 0 < bits < _MOST_BITS:
                        if bits < least and (given < 0 or self._kinds[named] > _NULL):
                            least = bits
                        if bits > most and (given < 0 or self._kinds[named] == _NULL):
                            most = bits
            if behind not in (-1, at):
                return _REFUSED
        if slot >= 0 and least < _MOST_BITS:
            self._kinds[self._base + slot] = _DOUBLE
            self._bits[self._base + slot] = least
        if slot >= 0 and most > 0:
            self._kinds[self._base + slot + 1] = _DOUBLE
            self._bits[self._base + slot + 1] = most
        return at

    def _take(self, op: int, slot: int, at: int) -> int:  # noqa: C901, PLR0911, PLR0912 - flat for speed
        """Put the value that stands here into a cell."""
        end, cell = self._end, self._base + slot
        if op == _TAKE_NULL:
            self._kinds[cell] = _NULL
            return at
        if op == _TAKE_DOUBLE:
            if end - at < 8:  # noqa: PLR2004 - bytes of a double
                return _REFUSED
            bits = self._data[at + 7]
            if bits > 127:  # noqa: PLR2004 - the sign, which must not be shifted into a C integer's
                bits -= 256
            for place in range(at + 6, at - 1, -1):
                bits = bits * 256 + self._data[place]
            self._bits[cell] = bits
            self._kinds[cell] = _DOUBLE
            return at + 8
        if op == _TAKE_FLOAT:
            if end - at < 4:  # noqa: PLR2004 - bytes of a float
                return _REFUSED
            bits = 0
            for place in range(at + 3, at - 1, -1):
                bits = bits * 256 + self._data[place]
            self._bits[cell] = bits
            self._kinds[cell] = _FLOAT
            return at + 4
        if op == _TAKE_BOOL:
            if at >= end or self._data[at] > 1:
                return _REFUSED
            self._bits[cell] = self._data[at]
            self._kinds[cell] = _BOOL
            return at + 1
        at = self._number(at)
        if at < 0:
            return _REFUSED
        if op == _TAKE_NUMBER:
            self._bits[cell] = self._value
            self._kinds[cell] = _INT
            return at
        if not 0 <= self._value <= end - at:
            return _REFUSED
        behind = at + self._value
        try:
            self.texts.append(self._bytes[at:behind].decode())
        except UnicodeDecodeError:
            return _REFUSED
        self._bits[cell] = len(self.texts) - 1
        self._kinds[cell] = _TEXT
        return behind

    def _number(self, at: int) -> int:
        """Read a zig-zag integer of at most 64 bits into `_value`; where it ends, or `_REFUSED`."""
        end = self._end
        if at < end and self._data[at] < 128:  # noqa: PLR2004 - the bit that says more bytes follow
            low = self._data[at]
            self._value = (low >> 1) ^ -(low & 1)
            return at + 1
        low = high = shift = 0  # 28 bits and the rest: no step goes beyond the 64 bits of a C integer
        while at < end:
            byte = self._data[at]
            at += 1
            if shift < 28:  # noqa: PLR2004
                low |= (byte & 0x7F) << shift
            elif shift < 63 or byte <= 1:  # noqa: PLR2004
                high |= (byte & 0x7F) << (shift - 28)
            else:
                return _REFUSED
            if byte < 128:  # noqa: PLR2004
                self._value = (low >> 1 | high << 27) ^ -(low & 1)
                return at
            shift += 7
        return _REFUSED
