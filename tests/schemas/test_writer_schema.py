import json
import tracemalloc
from contextlib import suppress
from io import BytesIO

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import BadPacket, Reason
from schemas.writer_schema import DEFAULT_LIMITS, AvroLimits, cut_short, judged, projected, schema_json, writer_schema
from tests.survey_packets import ZTF, container, encoded, maybe, record, varint, ztf_alert


def _reason(schema, limits=DEFAULT_LIMITS):
    raw = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
    with pytest.raises(BadPacket) as caught:
        writer_schema(raw, limits)
    return caught.value.reason


def _array(items):
    return {"type": "array", "items": items}


def test_a_schema_is_judged_once_and_remembered():
    raw = json.dumps(ZTF).encode()
    assert writer_schema(raw) is writer_schema(bytes(bytearray(raw)))


def test_named_types_are_written_out_wherever_they_are_used():
    inner = record("space.inner", a="int")
    whole = writer_schema(
        json.dumps(record("space.outer", first=inner, again="inner", far=["null", "space.inner"])).encode()
    )
    first, again, far = (field["type"] for field in whole.tree["fields"])
    assert first["fields"] == again["fields"] == far[1]["fields"] == [{"name": "a", "type": "int"}]
    assert len({first["name"], again["name"], far[1]["name"]}) == 3


def test_definitions_from_elsewhere_are_used_by_full_name():
    definitions = {"s.b": record("b", x="double") | {"namespace": "s"}}
    assert judged(record("s.a", b="b"), definitions).smallest_bytes == 8
    assert judged(record("s.a", b="s.b"), definitions).smallest_bytes == 8


def test_logical_types_give_plain_values():
    schema = record(
        "r", t={"type": "long", "logicalType": "timestamp-millis"}, d={"type": {"type": "int", "logicalType": "date"}}
    )
    judged_schema = writer_schema(json.dumps(schema).encode())
    assert [field["type"] for field in judged_schema.tree["fields"]] == ["long", "int"]


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (b"", Reason.MALFORMED),
        (b"{", Reason.MALFORMED),
        (b'{"type": "record", "name": "\xff"}', Reason.MALFORMED),
        (b"[" * 100_000 + b"]" * 100_000, Reason.TOO_DEEP),
        (b'"' + b'\\"' * 200_000, Reason.MALFORMED),
        (b" " * (1 << 20) + b"1", Reason.TOO_LARGE),
        ("long", Reason.UNSUPPORTED),
        (None, Reason.MALFORMED),
        (7, Reason.MALFORMED),
        ([], Reason.MALFORMED),
        ({}, Reason.MALFORMED),
        ({"type": "record"}, Reason.MALFORMED),
        ({"type": "record", "name": "r"}, Reason.MALFORMED),
        ({"type": "record", "name": "r", "namespace": 3, "fields": []}, Reason.MALFORMED),
        ({"type": "record", "name": "r", "fields": [3]}, Reason.MALFORMED),
        ({"type": "record", "name": "r", "fields": [{"name": "a"}]}, Reason.MALFORMED),
        (record("r", a="nowhere"), Reason.MALFORMED),
        (record("r", a=[["null"], "int"]), Reason.MALFORMED),
        (record("r", a=[]), Reason.MALFORMED),
        (record("r"), Reason.FORBIDDEN),
        (record("r", a="null"), Reason.FORBIDDEN),
        (record("r", a=_array("null")), Reason.FORBIDDEN),
        (record("r", a=_array(record("empty"))), Reason.FORBIDDEN),
        (record("r", a=["null", "r"]), Reason.FORBIDDEN),
        (record("r", a=_array("r")), Reason.FORBIDDEN),
        (record("r", a=record("r", b="int")), Reason.FORBIDDEN),
        (record("r", a=record("q", b=["null", "r"])), Reason.FORBIDDEN),
        (record("r", a={"type": "fixed", "name": "f", "size": 0}), Reason.MALFORMED),
        (record("r", a={"type": "fixed", "name": "f", "size": 1 << 40}), Reason.MALFORMED),
        (record("r", a={"type": "fixed", "name": "f", "size": True}), Reason.MALFORMED),
        (record("r", a={"type": "enum", "name": "e", "symbols": []}), Reason.MALFORMED),
        (record("r", a={"type": "enum", "name": "e", "symbols": [1]}), Reason.MALFORMED),
        (record("r", a={"type": "enum", "name": "e", "symbols": ["a", "a"]}), Reason.UNSUPPORTED),
    ],
)
def test_what_is_refused(schema, reason):
    assert _reason(schema) is reason


def test_a_schema_that_doubles_at_each_step_is_refused_before_it_grows():
    fields = {"t0": record("t0", x="int")}
    for step in range(1, 60):
        fields[f"t{step}"] = record(f"t{step}", left=f"t{step - 1}", right=f"t{step - 1}")
    assert _reason(record("bomb", **fields)) is Reason.TOO_LARGE


def test_a_chain_of_definitions_is_bounded_in_depth():
    definitions = {f"t{step}": record(f"t{step}", x=f"t{step + 1}") for step in range(1_000)}
    with pytest.raises(BadPacket) as caught:
        judged(definitions["t0"], definitions)
    assert caught.value.reason is Reason.TOO_DEEP


def test_limits_of_nodes_and_depth_are_kept_exactly():
    schema = json.dumps(record("r", a=_array(_array("int")))).encode()
    assert schema_json(schema, AvroLimits(schema_depth=5))
    assert _reason(schema, AvroLimits(schema_depth=4)) is Reason.TOO_DEEP
    assert writer_schema(schema, AvroLimits(schema_nodes=4))
    assert _reason(schema, AvroLimits(schema_nodes=3)) is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("items", "item"),
    [
        ("int", b"\x00"),
        ("string", b"\x00"),
        (["null", "double"], b"\x00"),
        (_array("int"), b"\x00"),
        ({"type": "enum", "name": "e", "symbols": ["a"]}, b"\x00"),
        ({"type": "map", "values": "int"}, b"\x00"),
        (record("few", a=maybe("int")), b"\x00"),
        (record("many", **{f"f{i}": maybe("int") for i in range(43)}), b"\x00" * 43),
        (record("nested", a=record("inner", b=maybe("int"), c=_array("int"))), b"\x00\x00"),
        (["null", record("maybe", a="int")], b"\x02\x00"),
    ],
)
def test_the_memory_of_a_block_stays_within_the_limit_whatever_repeats(items, item):
    limits = AvroLimits(memory_bytes=16 << 20)
    schema = writer_schema(json.dumps(record("r", a=_array(items))).encode(), limits)
    count = (schema.block_bytes - 10) // len(item)
    data = varint(count) + item * count + b"\x00"
    assert len(data) <= schema.block_bytes < limits.memory_bytes
    tracemalloc.start()
    value = fastavro.schemaless_reader(BytesIO(data), schema.parsed)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(value["a"]) == count
    assert peak - 2 * len(data) < limits.memory_bytes


def test_bytes_that_stand_once_may_be_large():
    schema = writer_schema(json.dumps(record("r", a="bytes", b=maybe("string"))).encode())
    assert schema.block_bytes == AvroLimits().block_bytes


WANTED = {
    "objectId": None,
    "candidate": {"jd": None, "magap": None},
    "prv_candidates": {"candid": None},
    "absent": None,
}


@given(st.lists(st.integers(0, 1 << 62) | st.none(), max_size=5), st.none() | st.floats(width=32, allow_nan=False))
def test_projection_gives_what_a_full_reading_gives(candids, magap):
    alert = ztf_alert(previous=[{"jd": 2458840.0, "candid": candid} for candid in candids], magap=magap)
    data = encoded(ZTF, alert)
    schema = writer_schema(json.dumps(ZTF).encode())
    expected = {
        "objectId": alert["objectId"],
        "candidate": {"jd": alert["candidate"]["jd"], "magap": magap},
        "prv_candidates": [{"candid": candid} for candid in candids] or None,
    }
    for writer in (schema.parsed, cut_short(schema, WANTED)):
        assert fastavro.schemaless_reader(BytesIO(data), writer, projected(schema, WANTED)) == expected


def test_a_cut_schema_ends_with_the_last_wanted_field():
    schema = writer_schema(json.dumps(ZTF).encode())
    assert [field["name"] for field in cut_short(schema, WANTED)["fields"]][-1] == "prv_candidates"
    assert cut_short(schema, {})["fields"] == []


def test_projection_sees_through_maps_and_keeps_other_types():
    kinds = {"type": "map", "values": record("v", a="int", b="int")}
    fixed, choice = {"type": "fixed", "name": "f", "size": 2}, {"type": "enum", "name": "e", "symbols": ["x", "y"]}
    source = record("r", m=kinds, f=fixed, e=choice, z="int")
    schema = writer_schema(json.dumps(source).encode())
    value = {"m": {"k": {"a": 1, "b": 2}}, "f": b"ab", "e": "y", "z": 3}
    reader = projected(schema, {"m": {"a": None}, "f": None, "e": None})
    assert fastavro.schemaless_reader(BytesIO(encoded(source, value)), schema.parsed, reader) == {
        "m": {"k": {"a": 1}},
        "f": b"ab",
        "e": "y",
    }
    assert schema.smallest_bytes == 1 + 2 + 1 + 1


@given(st.binary(max_size=200) | st.text(max_size=50).map(str.encode))
def test_any_bytes_are_a_schema_or_a_bad_packet(raw):
    with suppress(BadPacket):
        assert writer_schema(raw).smallest_bytes > 0


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["int", "null", "record", "array", "r", "a.b", "fixed", "map"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "name", "fields", "items", "values", "size", "symbols", "namespace"]), inner
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_a_schema_or_a_bad_packet(source):
    with suppress(BadPacket):
        assert container(judged(source, {}).tree, [])
