"""Avro writer schemas of strangers: judged before anything is decoded with them.

A schema tells a reader what to build, so a hostile one can ask for endless recursion or for a huge
value out of a few bytes. Here a schema is bounded in size and depth, its named types are replaced by their
definitions (so that a recursive type cannot exist), values of no size are refused as items, and the most
memory that a byte of input can turn into is worked out.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import fastavro

from schemas.errors import BadPacket, Reason

Json = Any
Wanted = Mapping[str, "Wanted | None"]
"""Names of wanted fields; under each the wanted fields of the record (or of the records in the array or
map) that it holds, or None for all of it. A name that a schema does not have is passed over."""

_SMALLEST = {"null": 0, "boolean": 1, "int": 1, "long": 1, "float": 4, "double": 8, "bytes": 1, "string": 1}
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_RECORDS = ("record", "error")

_VALUE_BYTES = 60
"""Memory of a number or of an empty text or list and its slot, CPython 3.11 to 3.14, 64 bit, rounded up."""
_DICT_BYTES, _ENTRY_BYTES = 232, 64
"""Memory of a dict and of each entry, at its worst just after it has grown."""


@dataclass(frozen=True, slots=True)
class AvroLimits:
    """How much of a stranger's Avro is taken. Real packets: 27 kB of schema, 10 levels, 0.3 MB a record.

    Attributes
    ----------
    body_bytes
        Whole message, unpacked if it was gzipped.
    schema_bytes, schema_depth, schema_nodes
        JSON text of a writer schema, its nesting, and its types after named ones are written out.
    block_bytes
        One block after decompression, or one framed record.
    records
        Records in one message.
    memory_bytes
        What a decoded record as large as a block may take, by the worst that its schema allows; a schema that
        allows much for little has its blocks limited further.
    """

    body_bytes: int = 64 << 20
    schema_bytes: int = 1 << 20
    schema_depth: int = 48
    schema_nodes: int = 20_000
    block_bytes: int = 16 << 20
    records: int = 100_000
    memory_bytes: int = 1 << 30


DEFAULT_LIMITS = AvroLimits()


@dataclass(frozen=True, slots=True, eq=False)
class WriterSchema:
    """A schema that was found harmless.

    Attributes
    ----------
    source
        The schema as it was written, parsed from JSON.
    tree
        The same with named types written out, and only what decoding needs: logical types give
        their plain values, since a converter could fail on a value that nobody wants.
    parsed
        `tree` as fastavro wants it.
    smallest_bytes
        Least size of one encoded record, at least 1.
    block_bytes
        Largest block that is decoded, so that memory stays within the limits.
    """

    source: Json
    tree: Json
    parsed: Json
    smallest_bytes: int
    block_bytes: int


@lru_cache(maxsize=64)
def writer_schema(text: bytes, limits: AvroLimits = DEFAULT_LIMITS) -> WriterSchema:
    """The schema in this JSON text; the last ones are remembered by their text.

    Raises
    ------
    BadPacket
        If it is no schema of a record, or asks for too much.
    """
    return judged(schema_json(text, limits), {}, limits)


def schema_json(text: bytes, limits: AvroLimits = DEFAULT_LIMITS) -> Json:
    """JSON of a schema, bounded in size and depth before it is parsed.

    Raises
    ------
    BadPacket
        If it is too large, too deep or no JSON.
    """
    if len(text) > limits.schema_bytes:
        raise BadPacket(Reason.TOO_LARGE, f"writer schema of {len(text)} bytes; at most {limits.schema_bytes} are read")
    depth = 0
    for token in _TOKEN.finditer(text):
        first = token[0][:1]
        depth += first in b"[{"
        depth -= first in b"]}"
        if depth > limits.schema_depth:
            raise BadPacket(Reason.TOO_DEEP, f"writer schema nests deeper than {limits.schema_depth} levels")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadPacket(Reason.MALFORMED, f"writer schema is not JSON: {error}") from error


def judged(source: Json, definitions: Mapping[str, Json], limits: AvroLimits = DEFAULT_LIMITS) -> WriterSchema:
    """The schema, with named types that it does not define itself taken from ``definitions`` by full name.

    Raises
    ------
    BadPacket
        As `writer_schema`.
    """
    tree = _Expansion(definitions, limits).expand(source, "", 0)
    if not (isinstance(tree, dict) and tree["type"] == "record"):
        raise BadPacket(Reason.UNSUPPORTED, "writer schema is not of a record")
    smallest, per_byte = _weigh(tree)
    if not smallest:
        raise BadPacket(Reason.FORBIDDEN, "records of this writer schema take no bytes")
    try:
        parsed = fastavro.parse_schema(tree)
    except Exception as error:
        raise BadPacket(Reason.UNSUPPORTED, f"writer schema is not valid Avro: {error}") from error
    most = min(limits.block_bytes, limits.memory_bytes // per_byte)
    return WriterSchema(source, tree, parsed, smallest, most)


def projected(schema: WriterSchema, wanted: Wanted) -> Json:
    """The reader schema, as fastavro wants it, of the wanted fields."""
    return fastavro.parse_schema(_pruned(schema.tree, wanted))


def cut_short(schema: WriterSchema, wanted: Wanted) -> Json:
    """The writer schema, as fastavro wants it, cut after the last wanted field: enough where nothing follows."""
    fields = schema.tree["fields"]
    ends = [at for at, field in enumerate(fields, 1) if field["name"] in wanted]
    return fastavro.parse_schema({**schema.tree, "fields": fields[: max(ends, default=0)]})


def _pruned(tree: Json, wanted: Wanted | None) -> Json:
    if wanted is None or isinstance(tree, str):
        return tree
    if isinstance(tree, list):
        return [_pruned(branch, wanted) for branch in tree]
    kind = tree["type"]
    if kind == "record":
        kept = [
            {"name": field["name"], "type": _pruned(field["type"], wanted[field["name"]])}
            for field in tree["fields"]
            if field["name"] in wanted
        ]
        return {**tree, "fields": kept}
    inner = {"array": "items", "map": "values"}.get(kind)
    return {**tree, inner: _pruned(tree[inner], wanted)} if inner else tree


class _Expansion:
    """Writes out named types of one schema, counting as it goes."""

    def __init__(self, definitions: Mapping[str, Json], limits: AvroLimits) -> None:
        self._known: dict[str, tuple[Json, str]] = {
            name: (definition, name.rpartition(".")[0]) for name, definition in definitions.items()
        }
        self._open: set[str] = set()
        self._limits = limits
        self._nodes = 0

    def expand(self, schema: Json, namespace: str, depth: int) -> Json:  # noqa: PLR0911 - one for each form
        self._nodes += 1
        if self._nodes > self._limits.schema_nodes:
            raise BadPacket(Reason.TOO_LARGE, f"writer schema has more than {self._limits.schema_nodes} types")
        if depth > self._limits.schema_depth:
            raise BadPacket(Reason.TOO_DEEP, f"types nest deeper than {self._limits.schema_depth} levels")
        if isinstance(schema, str):
            return schema if schema in _SMALLEST else self._named(schema, namespace, depth)
        if isinstance(schema, list):
            return self._union(schema, namespace, depth)
        if not isinstance(schema, dict):
            raise BadPacket(Reason.MALFORMED, f"a type in the writer schema is a {type(schema).__name__}")
        kind = schema.get("type")
        if not isinstance(kind, str):
            return self.expand(kind, namespace, depth + 1)
        if kind in _RECORDS or kind in {"enum", "fixed"}:
            return self._definition(schema, kind, namespace, depth)
        if kind == "array":
            return {"type": "array", "items": self._item(schema.get("items"), namespace, depth)}
        if kind == "map":
            return {"type": "map", "values": self.expand(schema.get("values"), namespace, depth + 1)}
        return self.expand(kind, namespace, depth + 1)

    def _item(self, schema: Json, namespace: str, depth: int) -> Json:
        tree = self.expand(schema, namespace, depth + 1)
        if not _weigh(tree)[0]:
            raise BadPacket(Reason.FORBIDDEN, "writer schema has an array of items that take no bytes")
        return tree

    def _union(self, branches: list[Json], namespace: str, depth: int) -> Json:
        expanded = [self.expand(branch, namespace, depth + 1) for branch in branches]
        if not expanded or any(isinstance(branch, list) for branch in expanded):
            raise BadPacket(Reason.MALFORMED, "writer schema has a union that is empty or holds a union")
        return expanded

    def _named(self, name: str, namespace: str, depth: int) -> Json:
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        full = full if full in self._known else name
        if full in self._open:
            raise BadPacket(Reason.FORBIDDEN, f"writer schema is recursive at {full[:100]!r}")
        if full not in self._known:
            raise BadPacket(Reason.MALFORMED, f"writer schema does not define {name[:100]!r}")
        definition, outer = self._known[full]
        return self._body(definition, full, outer, depth)

    def _definition(self, schema: dict[str, Json], kind: str, namespace: str, depth: int) -> Json:
        name, own_namespace = schema.get("name"), schema.get("namespace", namespace)
        if not isinstance(name, str) or not isinstance(own_namespace, str):
            raise BadPacket(Reason.MALFORMED, f"a {kind} in the writer schema has no name")
        full = name if "." in name or not own_namespace else f"{own_namespace}.{name}"
        if full in self._open:
            raise BadPacket(Reason.FORBIDDEN, f"writer schema defines {full[:100]!r} inside itself")
        self._known[full] = (schema, full.rpartition(".")[0])
        return self._body(schema, full, full.rpartition(".")[0], depth)

    def _body(self, schema: Json, full: str, namespace: str, depth: int) -> Json:
        unique = f"type{self._nodes}"
        kind = schema.get("type") if isinstance(schema, dict) else None
        if kind == "fixed":
            size = schema.get("size")
            if type(size) is not int or not 0 < size <= self._limits.block_bytes:
                raise BadPacket(Reason.MALFORMED, f"fixed type {full[:100]!r} has size {str(size)[:20]}")
            return {"type": "fixed", "name": unique, "size": size}
        if kind == "enum":
            symbols = schema.get("symbols")
            if not isinstance(symbols, list) or not symbols or not all(isinstance(s, str) for s in symbols):
                raise BadPacket(Reason.MALFORMED, f"enum {full[:100]!r} has no list of symbols")
            return {"type": "enum", "name": unique, "symbols": symbols}
        fields = schema.get("fields") if kind in _RECORDS else None
        if not isinstance(fields, list):
            raise BadPacket(Reason.MALFORMED, f"{full[:100]!r} in the writer schema is no record with fields")
        self._open.add(full)
        expanded = []
        for field in fields:
            if not isinstance(field, dict) or not isinstance(field.get("name"), str):
                raise BadPacket(Reason.MALFORMED, f"a field of {full[:100]!r} has no name")
            expanded.append({"name": field["name"], "type": self.expand(field.get("type"), namespace, depth + 1)})
        self._open.discard(full)
        return {"type": "record", "name": unique, "fields": expanded}


def _weigh(tree: Json) -> tuple[int, int]:
    """Least bytes of an encoded value, and a bound on the memory that each encoded byte can become.

    The bound holds for lists and maps, whose number of items the input decides: an item's containers
    are charged to its least size, its values to their own bytes. What stands outside of any list
    is there once and bounded by the number of types, so that a record costs no more than its parts.
    """
    if isinstance(tree, str):
        return _SMALLEST[tree], 4
    if isinstance(tree, list):
        weights = [_weigh(branch) for branch in tree]
        return 1 + min(least for least, _ in weights), max(bound for _, bound in weights)
    if tree["type"] == "record":
        weights = [_weigh(field["type"]) for field in tree["fields"]]
        return sum(least for least, _ in weights), max((bound for _, bound in weights), default=4)
    if tree["type"] == "array":
        return 1, _item_bound(tree["items"])
    if tree["type"] == "map":
        return 1, _item_bound(tree["values"]) + _VALUE_BYTES + _ENTRY_BYTES
    return (tree["size"] if tree["type"] == "fixed" else 1), 4


def _item_bound(tree: Json) -> int:
    """Most memory for each encoded byte of a value that the input may repeat at will."""
    if isinstance(tree, str):
        return _VALUE_BYTES
    if isinstance(tree, list):
        return max(_item_bound(branch) for branch in tree)
    if tree["type"] == "record":
        own = _DICT_BYTES + _ENTRY_BYTES * len(tree["fields"])
        least = max(1, _weigh(tree)[0])
        return own // least + max((_item_bound(field["type"]) for field in tree["fields"]), default=0)
    if tree["type"] in {"array", "map"}:
        return _VALUE_BYTES + _weigh(tree)[1]
    return _VALUE_BYTES
