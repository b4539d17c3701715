"""Avro schemas that hypothesis makes up around fields that a test wants, and records of them encoded by the book."""

import struct

from hypothesis import strategies as st

from tests.survey_packets import varint

PRIMITIVES = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(1 << 31), (1 << 31) - 1),
    "long": st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-70, 70),
    "float": st.floats(width=32),
    "double": st.floats(),
    "bytes": st.binary(max_size=80),
    "string": st.text(max_size=80),
}


class Names:
    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1
        return f"name{self.count}"


@st.composite
def unwanted(draw, names, depth):  # noqa: PLR0911 - one for each form
    """A schema of any kind with a strategy for its values."""
    forms = ["primitive"] * 4 + ["enum", "fixed", "logical"] + (["array", "map", "record", "union"] if depth else [])
    form = draw(st.sampled_from(forms))
    if form == "primitive":
        kind = draw(st.sampled_from(sorted(PRIMITIVES)))
        return kind, PRIMITIVES[kind]
    if form == "enum":
        symbols = [f"S{n}" for n in range(draw(st.integers(1, 80)))]
        return {"type": "enum", "name": names(), "symbols": symbols}, st.sampled_from(symbols)
    if form == "fixed":
        size = draw(st.integers(1, 90))
        return {"type": "fixed", "name": names(), "size": size}, st.binary(min_size=size, max_size=size)
    if form == "logical":
        return {"type": "long", "logicalType": "timestamp-micros"}, PRIMITIVES["long"]
    if form == "union":
        branches = draw(st.lists(unwanted(names, depth - 1), min_size=1, max_size=4))
        taken = {}
        for schema, values in branches:
            key = schema if isinstance(schema, str) else schema["type"] if isinstance(schema, dict) else None
            if key is not None and key not in ("record", "long" if "long" in taken else ""):
                taken.setdefault(key, (schema, values))
        chosen = list(taken.values()) or [("null", st.none())]
        numbers = range(len(chosen))
        pairs = st.sampled_from(numbers).flatmap(lambda at: st.tuples(st.just(at), chosen[at][1]))
        return [schema for schema, _ in chosen], pairs.map(lambda pair: Branch(*pair))
    if form == "record":
        fields = draw(st.lists(unwanted(names, depth - 1), max_size=4))
        named = [(names(), schema, values) for schema, values in fields]
        schema = {
            "type": "record",
            "name": names(),
            "fields": [{"name": name, "type": kind, "default": None} for name, kind, _ in named],
        }
        return schema, st.fixed_dictionaries({name: values for name, _, values in named})
    schema, values = draw(unwanted(names, depth - 1).filter(lambda found: _sized(found[0])))
    if form == "array":
        return {"type": "array", "items": schema}, st.lists(values, max_size=5)
    return {"type": "map", "values": schema}, st.dictionaries(st.text(max_size=5), values, max_size=4)


class Branch:
    """A value of a union with the branch that it is written as."""

    def __init__(self, at, value):
        self.at, self.value = at, value


def _sized(schema):
    if isinstance(schema, dict) and schema["type"] == "record":
        return any(_sized(field["type"]) for field in schema["fields"])
    return schema != "null"


def write(schema, value, chunk=None):  # noqa: PLR0911 - one for each kind
    """The encoding of a value, by the book: an own writer, so that blocks can be written in all ways."""
    if isinstance(schema, list):
        return varint(value.at) + write(schema[value.at], value.value, chunk)
    kind = schema if isinstance(schema, str) else schema["type"]
    if kind == "record":
        return b"".join(write(field["type"], value[field["name"]], chunk) for field in schema["fields"])
    if kind in ("array", "map"):
        if kind == "array":
            items = [write(schema["items"], item, chunk) for item in value]
        else:
            items = [write("string", key) + write(schema["values"], item, chunk) for key, item in value.items()]
        size = chunk or max(1, len(items))
        out = b""
        for at in range(0, len(items), size):
            part = items[at : at + size]
            body = b"".join(part)
            out += (varint(-len(part)) + varint(len(body)) if chunk else varint(len(part))) + body
        return out + varint(0)
    if kind == "enum":
        return varint(schema["symbols"].index(value))
    if kind == "fixed":
        return value
    if kind in ("string", "bytes"):
        raw = value.encode() if kind == "string" else value
        return varint(len(raw)) + raw
    if kind in ("float", "double"):
        return struct.pack("<f" if kind == "float" else "<d", value)
    return {"null": lambda _: b"", "boolean": lambda v: bytes([v])}.get(kind, varint)(value)


@st.composite
def leaf(draw, kinds):
    """A wanted value: of one kind or a union of some and null."""
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=3, unique=True))
    if len(chosen) == 1 and draw(st.booleans()):
        return chosen[0], PRIMITIVES[chosen[0]]
    branches = draw(st.permutations([*chosen, "null"]))
    pairs = st.sampled_from(range(len(branches))).flatmap(lambda at: st.tuples(st.just(at), PRIMITIVES[branches[at]]))
    return list(branches), pairs.map(lambda pair: Branch(*pair))


def _nullable(draw, schema, values):
    if not draw(st.booleans()):
        return schema, values
    null = draw(st.booleans())
    pairs = st.none().map(lambda _: Branch(int(not null), None)) | values.map(lambda value: Branch(int(null), value))
    return (["null", schema] if null else [schema, "null"]), pairs


@st.composite
def wanted_record(draw, names, leaves):
    """A record with some of these leaves among other fields, in any order."""
    fields = {name: draw(leaf(kinds)) for name, kinds in leaves.items() if draw(st.integers(0, 9))}
    return draw(_mixed(names, fields))


@st.composite
def _mixed(draw, names, fields):
    others = {names(): draw(unwanted(names, 2)) for _ in range(draw(st.integers(0, 5)))}
    every = draw(st.permutations(list((fields | others).items())))
    schema = {"type": "record", "name": names(), "fields": [{"name": n, "type": s} for n, (s, _) in every]}
    return schema, st.fixed_dictionaries({name: values for name, (_, values) in every})


@st.composite
def cases(draw):
    """A writer schema with the wanted fields, and encoded records of it."""
    names = Names()
    fields = {names(): ("boolean", PRIMITIVES["boolean"])}
    for name, kinds in {"i": ("int", "long"), "x": ("int", "long", "float", "double")}.items():
        if draw(st.integers(0, 9)):
            fields[name] = draw(leaf(kinds))
    leaves = {"b": ("boolean",), "t": ("string",), "x": ("float", "double")}
    fields["inner"] = _nullable(draw, *draw(wanted_record(names, leaves)))
    for name, leaves in {"past": {"t": ("double",), "g": ("long",)}, "plain": {"t": ("double",)}}.items():
        schema, values = draw(wanted_record(names, leaves))
        if _sized(schema):
            array = {"type": "array", "items": schema}
            fields[name] = _nullable(draw, array, st.lists(values, max_size=4))
    schema, values = draw(_mixed(names, fields))
    chunk = draw(st.none() | st.integers(1, 3))
    written = [write(schema, value, chunk) for value in draw(st.lists(values, min_size=1, max_size=3))]
    return schema, written
