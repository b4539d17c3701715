"""Programs for `schemas.walker`, made once for a writer schema: where in its records the wanted values stand.

A schema in which a wanted value could be of a type that a survey's columns do not expect has no program; its
packets are read by fastavro as a whole.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from schemas.walker import COMPILED, WORDS, Op, Program
from schemas.writer_schema import Json, Wanted


class Column(StrEnum):
    """What a picked value is read as."""

    NUMBER = "number"
    INTEGER = "integer"
    FLAG = "flag"
    TEXT = "text"
    HISTORY = "history"
    """The least and the greatest of the positive doubles with this name in an array of records."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A value that is wanted of each record.

    Attributes
    ----------
    path
        Names of fields, with dots between; of names with a bar between, the first that the record has.
    column
        What to read it as.
    given
        For `Column.HISTORY`: the least is of the records of the array in which this field is there and not null,
        the greatest of those in which it is null.
    """

    path: str
    column: Column = Column.NUMBER
    given: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How to walk the records of one writer schema.

    Attributes
    ----------
    program
        For `Walk.add`; `cells` says where each pick is.
    whole, short
        Where the instructions begin for a record that others follow, and for one of which the end is not
        wanted.
    """

    program: Program
    whole: int
    short: int


_TAKES: dict[Column, dict[str, Op]] = {
    Column.NUMBER: {
        "int": Op.TAKE_NUMBER,
        "long": Op.TAKE_NUMBER,
        "float": Op.TAKE_FLOAT,
        "double": Op.TAKE_DOUBLE,
    },
    Column.INTEGER: {"int": Op.TAKE_NUMBER, "long": Op.TAKE_NUMBER},
    Column.FLAG: {"boolean": Op.TAKE_BOOL},
    Column.TEXT: {"string": Op.TAKE_TEXT},
    Column.HISTORY: {"double": Op.TAKE_DOUBLE},
}
_CELLS_OF_HISTORY = 4
_MAYBE = {Op.FIXED: Op.MAYBE_FIXED, Op.NUMBER: Op.MAYBE_NUMBER, Op.LENGTH: Op.MAYBE_LENGTH}
_REPEATED = (Op.MAYBE_FIXED, Op.MAYBE_NUMBER)

_TEXT_BYTES = 63
"""Longest text that a pattern steps over; the length of each is one byte."""
_NUMBER_PATTERN = rb"[\x80-\xff]{0,8}[\x00-\x7f]"
_TEXT_PATTERN = b"(?:%b)" % b"|".join(rb"\x%02x.{%d}" % (2 * size, size) for size in range(_TEXT_BYTES + 1))


class _NoPlanError(Exception):
    """The schema asks for the slow reader."""


@dataclass(frozen=True, slots=True)
class _Step:
    """An instruction that has no address yet, with the runs that it refers to."""

    op: Op
    arguments: tuple[int, ...] = ()
    runs: tuple[tuple["_Step", ...], ...] = ()


_Steps = tuple[_Step, ...]
_Wants = dict[str, "_Want"]
_SKIPS: dict[str, _Steps] = {
    "null": (),
    "boolean": (_Step(Op.FIXED, (1,)),),
    "int": (_Step(Op.NUMBER),),
    "long": (_Step(Op.NUMBER),),
    "float": (_Step(Op.FIXED, (4,)),),
    "double": (_Step(Op.FIXED, (8,)),),
    "bytes": (_Step(Op.LENGTH),),
    "string": (_Step(Op.LENGTH),),
}


@dataclass(frozen=True, slots=True)
class _Leaf:
    slot: int
    column: Column


@dataclass(frozen=True, slots=True)
class _History:
    """What is wanted of an array: the slot of the earliest time, behind it that of the latest and two cells for the
    item at hand."""

    slot: int
    time: str
    given: str


_Want = _Leaf | _History | _Wants


def width(picks: Sequence[Pick]) -> int:
    """Cells of a row: picks, and behind each that looks through an array its latest and two for the item at hand."""
    return sum(_CELLS_OF_HISTORY if pick.column is Column.HISTORY else 1 for pick in picks)


def cells(picks: Sequence[Pick]) -> dict[str, int]:
    """The cell of each pick, by its path."""
    found: dict[str, int] = {}
    at = 0
    for pick in picks:
        found[pick.path] = at
        at += width([pick])
    return found


def plan(tree: Json, picks: Sequence[Pick], wanted: Wanted, *, patterns: bool = not COMPILED) -> Plan | None:
    """The plan for a writer schema, or None if it needs the slow reader.

    Parameters
    ----------
    tree
        `WriterSchema.tree`.
    picks
        The values to take.
    wanted
        What the slow reader decodes; a schema is refused that has anything of it beyond the picks.
    patterns
        Whether to step over fields by regular expressions, which is faster where the walker is not compiled.
    """
    fields = tree["fields"]
    last = max((at for at, field in enumerate(fields, 1) if field["name"] in wanted), default=0)
    assembly = _Assembly(patterns=patterns)
    try:
        whole, short = (
            assembly.place(_record({**tree, "fields": fields[:end]}, _wants(picks), wanted)) for end in (None, last)
        )
    except _NoPlanError:
        return None
    return Plan(Program(assembly.code, assembly.patterns), whole, short)


def _wants(picks: Sequence[Pick]) -> _Wants:
    """Picks as a tree of names."""
    top: _Wants = {}
    for pick, slot in zip(picks, cells(picks).values(), strict=True):
        *records, name = pick.path.split(".")
        leaf: _Want = _Leaf(slot, pick.column)
        if pick.column is Column.HISTORY:
            leaf = _History(slot, name, pick.given)
            *records, name = records
        below = top
        for record in records:
            found = below.setdefault(record, {})
            below = found if isinstance(found, dict) else {}
        below[name] = leaf
    return top


def _record(tree: Json, wants: _Wants, wanted: Wanted) -> _Steps:
    names = [field["name"] for field in tree["fields"]]
    if len(set(names)) < len(names):
        raise _NoPlanError
    chosen: _Wants = {}
    for alternatives, want in wants.items():
        name = next((name for name in alternatives.split("|") if name in names), None)
        if name is not None:
            chosen[name] = want
    steps: list[_Step] = []
    for field in tree["fields"]:
        name, kind = field["name"], field["type"]
        if name in chosen:
            steps += _take(kind, chosen[name], wanted.get(name) or {})
        elif name in wanted:
            raise _NoPlanError
        else:
            steps += _skip(kind)
    return tuple(steps)


def _take(kind: Json, want: _Want, wanted: Wanted) -> _Steps:
    if isinstance(want, _Leaf):
        return _leaf(kind, want.slot, _TAKES[want.column])
    if isinstance(kind, list):
        if len([branch for branch in kind if branch != "null"]) != 1:
            raise _NoPlanError
        runs = tuple(() if branch == "null" else _take(branch, want, wanted) for branch in kind)
        return (_Step(Op.UNION, (len(runs),), runs),)
    if isinstance(kind, str):
        raise _NoPlanError
    if isinstance(want, _History):
        if kind["type"] != "array":
            raise _NoPlanError
        item: _Wants = {want.time: _Leaf(want.slot + 2, Column.HISTORY)}
        if want.given:
            item[want.given] = _Leaf(want.slot + 3, Column.INTEGER)
        run = _take(kind["items"], item, wanted)
        return (_Step(Op.HISTORY, (want.slot, want.slot + 3 if want.given else -1), (run,)),)
    if kind["type"] != "record":
        raise _NoPlanError
    return _record(kind, want, wanted)


def _leaf(kind: Json, slot: int, takes: Mapping[str, Op]) -> _Steps:
    if isinstance(kind, list):
        runs = tuple(_leaf(branch, slot, takes) for branch in kind)
        return (_Step(Op.UNION, (len(runs),), runs),)
    if kind == "null":
        return (_Step(Op.TAKE_NULL, (slot,)),)
    if not isinstance(kind, str) or kind not in takes:
        raise _NoPlanError
    return (_Step(takes[kind], (slot,)),)


def _skip(kind: Json) -> _Steps:
    """Steps over a value that nobody wants."""
    if isinstance(kind, list):
        return (_skip_union(kind),)
    if isinstance(kind, str):
        return _SKIPS[kind]
    if kind["type"] == "record":
        return tuple(step for field in kind["fields"] for step in _skip(field["type"]))
    if kind["type"] == "array":
        return (_Step(Op.ITEMS, runs=(_skip(kind["items"]),)),)
    if kind["type"] == "map":
        return (_Step(Op.ITEMS, runs=((_Step(Op.LENGTH), *_skip(kind["values"])),)),)
    return (_Step(Op.FIXED, (kind["size"],)),) if kind["type"] == "fixed" else (_Step(Op.NUMBER),)


def _skip_union(branches: list[Json]) -> _Step:
    runs = tuple(_skip(branch) for branch in branches)
    if len(runs) == 2 and "null" in branches:  # noqa: PLR2004 - one of two may be null
        null = branches.index("null")
        other = _merged(runs[1 - null])
        if len(other) == 1 and other[0].op in _MAYBE:
            size = other[0].arguments[0] if other[0].op is Op.FIXED else 0
            return _Step(_MAYBE[other[0].op], (2 * null, size, 1))
    return _Step(Op.UNION, (len(runs),), runs)


def _merged(steps: _Steps) -> _Steps:
    """The same steps, those of one kind in a row as one."""
    merged: list[_Step] = []
    for step in steps:
        before = merged[-1] if merged else None
        if before and step.op is before.op is Op.FIXED:
            merged[-1] = _Step(Op.FIXED, (before.arguments[0] + step.arguments[0],))
        elif before and step.op is before.op and step.op in _REPEATED and step.arguments[:2] == before.arguments[:2]:
            merged[-1] = _Step(step.op, (*step.arguments[:2], before.arguments[2] + step.arguments[2]))
        else:
            merged.append(step)
    return tuple(merged)


class _Assembly:
    """Gives instructions their addresses."""

    def __init__(self, *, patterns: bool) -> None:
        self.code: list[int] = []
        self.patterns: list[re.Pattern[bytes]] = []
        self._with_patterns = patterns

    def place(self, steps: _Steps) -> int:
        """Put a run of steps down, the runs that they refer to first; its address."""
        groups = _grouped(_merged(steps)) if self._with_patterns else [(None, _merged(steps))]
        runs = {id(step): [self.place(run) for run in step.runs] for _, group in groups for step in group}
        address = len(self.code)
        for pattern, group in groups:
            at = len(self.code)
            if pattern is not None:
                self._instruction(Op.MATCH, len(self.patterns))
                self.patterns.append(re.compile(pattern, re.DOTALL))
            for step in group:
                self._place_step(step, runs[id(step)])
            if pattern is not None:
                self.code[at + 2] = len(self.code)
        self._instruction(Op.END)
        return address

    def _place_step(self, step: _Step, runs: list[int]) -> None:
        at = len(self.code)
        if step.op is Op.UNION:
            self._instruction(step.op, *step.arguments)
            self.code += runs
            self.code[at + 2] = len(self.code)
        else:
            self._instruction(step.op, *runs, *step.arguments)

    def _instruction(self, op: Op, *arguments: int) -> None:
        self.code += [op, *arguments, *(0 for _ in range(WORDS - 1 - len(arguments)))]


def _grouped(steps: _Steps) -> list[tuple[bytes | None, _Steps]]:
    """Steps in a row that one pattern can step over, with that pattern; and the others."""
    groups: list[tuple[bytes | None, _Steps]] = []
    for has_pattern, found in groupby(steps, lambda step: _pattern(step) is not None):
        group = tuple(found)
        worth = has_pattern and (len(group) > 1 or group[0].op in _MAYBE.values())
        groups.append((b"".join(_pattern(step) or b"" for step in group) if worth else None, group))
    return groups


def _pattern(step: _Step) -> bytes | None:
    """A regular expression of what the step goes over, if it is of a usual size; never of anything else."""
    if step.op is Op.FIXED:
        return b".{%d}" % step.arguments[0]
    if step.op is Op.NUMBER:
        return _NUMBER_PATTERN
    if step.op is Op.LENGTH:
        return _TEXT_PATTERN
    if step.op not in _MAYBE.values():
        return None
    null, size, times = step.arguments
    other = {Op.MAYBE_FIXED: b".{%d}" % size, Op.MAYBE_NUMBER: _NUMBER_PATTERN}.get(step.op, _TEXT_PATTERN)
    return rb"(?:\x%02x|\x%02x%b){%d}" % (null, 2 - null, other, times)
