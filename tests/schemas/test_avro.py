import json
import random
import tracemalloc
import zlib
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro import (
    Block,
    confluent_block,
    confluent_id,
    container_schema,
    open_container,
    read_container,
    records,
)
from schemas.errors import BadPacket, Reason
from schemas.writer_schema import DEFAULT_LIMITS, AvroLimits, judged, projected, writer_schema
from tests.survey_packets import ZTF, container, encoded, handmade, maybe, record, varint, ztf_alert

SIMPLE = record("simple", n="long", s=maybe("string"))
VALUES = st.lists(
    st.fixed_dictionaries({"n": st.integers(-(1 << 63), (1 << 63) - 1), "s": st.none() | st.text(max_size=20)}),
    max_size=30,
)
ONE = encoded(SIMPLE, {"n": 1, "s": None})


def _fails(body, limits=DEFAULT_LIMITS):
    with pytest.raises(BadPacket) as caught:
        list(read_container(body, limits))
    assert caught.value.detail
    return caught.value.reason


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy"])
@given(values=VALUES, sync_interval=st.sampled_from([1, 50, 16_000]))
def test_containers_of_every_codec_are_read_as_fastavro_wrote_them(codec, values, sync_interval):
    body = container(SIMPLE, values, codec=codec, sync_interval=sync_interval)
    assert list(read_container(body)) == values


@given(VALUES, st.booleans())
def test_zstandard_is_read_with_and_without_a_stated_size(values, stated):
    compress = zstandard.ZstdCompressor(write_content_size=stated).compress
    blocks = [(1, compress(encoded(SIMPLE, value))) for value in values]
    assert list(read_container(handmade(SIMPLE, *blocks, codec="zstandard"))) == values


def test_a_packet_is_read_whole():
    alert = ztf_alert(previous=[{"jd": 2458840.5, "candid": None}])
    assert list(read_container(container(ZTF, [alert, alert]))) == [alert, alert]


def test_schema_and_metadata_of_a_container():
    body = container(SIMPLE, [], metadata={"who": "me"})
    assert container_schema(body)["name"] == "simple"
    assert open_container(body).metadata["who"] == b"me"


def test_headers_that_are_alike():
    """A header is known again by its bytes: not one that only begins so, nor by those who allow less, nor a cut one."""
    plain, longer = container(SIMPLE, [], sync_marker=b"a" * 16), container(SIMPLE, [], metadata={"x": "y"})
    for _ in range(2):
        assert open_container(plain).writer is open_container(container(SIMPLE, [])).writer
        assert open_container(plain).sync == b"a" * 16
        assert open_container(longer).metadata["x"] == b"y"
        assert _fails(plain[:-1]) is Reason.TRUNCATED
        assert _fails(plain[:-17]) is Reason.TRUNCATED
        assert _fails(plain, AvroLimits(schema_bytes=10)) is Reason.TOO_LARGE
        padded = container(SIMPLE, [], metadata={"x": "y" * 300_000})
        assert len(open_container(padded).metadata["x"]) == 300_000


def test_metadata_in_sized_blocks_and_without_a_codec():
    raw = json.dumps(SIMPLE).encode()
    entry = varint(11) + b"avro.schema" + varint(len(raw)) + raw
    body = (
        b"Obj\x01"
        + varint(-1)
        + varint(len(entry))
        + entry
        + varint(0)
        + b"s" * 16
        + varint(1)
        + varint(len(ONE))
        + ONE
    )
    assert list(read_container(body + b"s" * 16)) == [{"n": 1, "s": None}]


def test_a_block_without_records_is_passed_over():
    assert list(read_container(handmade(SIMPLE, (0, b""), (1, ONE)))) == [{"n": 1, "s": None}]


BOMB = zlib.compressobj(9, zlib.DEFLATED, -15)
DEFLATE_BOMB = BOMB.compress(bytes(64 << 20)) + BOMB.flush()
ZSTD_BOMB = zstandard.compress(bytes(64 << 20))
SNAPPY_BOMB = b"\xff\xff\xff\xff\x0f" + b"\x00" * 20


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.UNKNOWN_FORMAT),
        (b"PAR1....", Reason.UNKNOWN_FORMAT),
        (b"Obj\x02", Reason.UNKNOWN_FORMAT),
        (b"Obj\x01", Reason.TRUNCATED),
        (b"Obj\x01" + b"\xff" * 20, Reason.CORRUPT),
        (b"Obj\x01" + varint(1 << 62), Reason.TOO_LARGE),
        (b"Obj\x01" + varint(-(1 << 62)) + varint(8), Reason.TOO_LARGE),
        (b"Obj\x01" + varint(2) + varint(1 << 62), Reason.TRUNCATED),
        (b"Obj\x01" + varint(2) + varint(-5), Reason.CORRUPT),
        (b"Obj\x01" + varint(0) + b"s" * 16, Reason.MISSING_FIELD),
        (b"Obj\x01" + varint(0) + b"s" * 15, Reason.TRUNCATED),
        (handmade(b"{}"), Reason.MALFORMED),
        (handmade(SIMPLE, (1, ONE), codec="bzip2"), Reason.UNSUPPORTED),
        (handmade(SIMPLE, (1, ONE), codec="xz"), Reason.UNSUPPORTED),
        (handmade(SIMPLE, varint(-1) + varint(2) + ONE + b"s" * 16), Reason.CORRUPT),
        (handmade(SIMPLE, varint(1) + varint(-2) + ONE + b"s" * 16), Reason.CORRUPT),
        (handmade(SIMPLE, varint(1) + varint(1 << 60) + ONE + b"s" * 16), Reason.TRUNCATED),
        (handmade(SIMPLE, varint(1) + varint(2) + ONE + b"s" * 15), Reason.TRUNCATED),
        (handmade(SIMPLE, varint(1) + varint(2) + ONE + b"t" * 16), Reason.CORRUPT),
        (handmade(SIMPLE, b"\xff" * 12), Reason.CORRUPT),
        (handmade(SIMPLE, b"\xff" * 3), Reason.TRUNCATED),
        (handmade(SIMPLE, (2, ONE)), Reason.CORRUPT),
        (handmade(SIMPLE, (1 << 33, ONE)), Reason.TOO_LARGE),
        (handmade(SIMPLE, (1, b"\x02\x02\x08ab")), Reason.TRUNCATED),
        (handmade(SIMPLE, (1, b"\x02\x09")), Reason.CORRUPT),
        (handmade(SIMPLE, (1, b"\x02\x02\x04\xff\xff")), Reason.CORRUPT),
        (handmade(SIMPLE, (1, b"garbage!"), codec="deflate"), Reason.CORRUPT),
        (handmade(SIMPLE, (1, zlib.compress(ONE, wbits=-15)[:-1]), codec="deflate"), Reason.TRUNCATED),
        (handmade(SIMPLE, (1, DEFLATE_BOMB), codec="deflate"), Reason.TOO_LARGE),
        (handmade(SIMPLE, (1, ZSTD_BOMB), codec="zstandard"), Reason.TOO_LARGE),
        (handmade(SIMPLE, (1, b"garbage!"), codec="zstandard"), Reason.CORRUPT),
        (handmade(SIMPLE, (1, SNAPPY_BOMB), codec="snappy"), Reason.TOO_LARGE),
        (handmade(SIMPLE, (1, b"\x04garbage"), codec="snappy"), Reason.CORRUPT),
        (handmade(SIMPLE, (1, b""), codec="snappy"), Reason.CORRUPT),
        (handmade(SIMPLE, (1, b"\x02\x04" + ONE + b"nope"), codec="snappy"), Reason.CORRUPT),
        (handmade(record("r", a={"type": "array", "items": "null"}), (1, varint(1 << 33) + b"\x00")), Reason.FORBIDDEN),
        (handmade(record("r", a={"type": "array", "items": "int"}), (1, varint(1 << 33) + b"\x00")), Reason.TRUNCATED),
        (
            handmade(record("r", a={"type": "array", "items": "int"}), (1, varint(-(1 << 62)) + varint(1) + b"\x02")),
            Reason.TRUNCATED,
        ),
        (handmade(record("r", a={"type": "map", "values": "null"}), (1, varint(1 << 33) + b"\x00")), Reason.TRUNCATED),
        (handmade(record("r", a="bytes"), (1, varint(1 << 60) + b"ab")), Reason.TRUNCATED),
        (handmade(record("r", a=maybe("r")), (1, b"\x02" * 100_000)), Reason.FORBIDDEN),
    ],
)
def test_hostile_and_damaged_containers(body, reason):
    tracemalloc.start()
    assert _fails(body) is reason
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 48 << 20


def test_an_array_of_too_many_levels_is_refused():
    schema = "int"
    for _ in range(100):
        schema = {"type": "array", "items": schema}
    assert _fails(handmade(record("r", a=schema))) is Reason.TOO_DEEP


def test_records_before_the_damage_are_given_first():
    body = container(SIMPLE, [{"n": n, "s": None} for n in range(10)], sync_interval=1)
    reader = read_container(body[:-3])
    assert [next(reader)["n"] for _ in range(9)] == list(range(9))
    with pytest.raises(BadPacket, match="block at byte"):
        next(reader)


def test_limits_are_kept_exactly():
    body = container(SIMPLE, [{"n": 1, "s": "x" * 96}] * 10)
    size = len(encoded(SIMPLE, {"n": 1, "s": "x" * 96}))
    assert len(list(read_container(body, AvroLimits(records=10, block_bytes=10 * size, body_bytes=len(body))))) == 10
    assert _fails(body, AvroLimits(records=9)) is Reason.TOO_LARGE
    assert _fails(body, AvroLimits(block_bytes=10 * size - 1)) is Reason.TOO_LARGE
    assert _fails(body, AvroLimits(body_bytes=len(body) - 1)) is Reason.TOO_LARGE


def test_the_confluent_frame():
    body = b"\x00\x00\x00\x03\xe8" + ONE
    assert confluent_id(body) == 1000
    assert [confluent_id(other) for other in (b"", b"\x00" * 5, b"\x01" + body[1:], b"Obj\x01" + body)] == [None] * 4
    schema = writer_schema(json.dumps(SIMPLE).encode(), AvroLimits(block_bytes=len(ONE)))
    assert list(records(confluent_block(body, schema), schema.parsed)) == [{"n": 1, "s": None}]
    with pytest.raises(BadPacket, match="too_large"):
        confluent_block(body + b"\x00", schema)


def test_a_record_that_does_not_fit_its_schema_says_which():
    schema = writer_schema(json.dumps(SIMPLE).encode())
    with pytest.raises(BadPacket, match="record 2 of the block"):
        list(records(Block(2, ONE + b"\x02", 0, len(ONE) + 1), schema.parsed))


def _readable(body):
    with suppress(BadPacket):
        assert all(isinstance(found, dict) for found in read_container(body))


@given(st.binary(max_size=300))
def test_any_bytes_behind_a_magic_number(tail):
    _readable(b"Obj\x01" + tail)


@given(st.binary(max_size=100), st.integers(0, 5), st.sampled_from(["null", "deflate", "snappy", "zstandard"]))
def test_any_bytes_as_a_block(data, count, codec):
    _readable(handmade(ZTF, (count, data), codec=codec))


PACKETS = [
    container(ZTF, [ztf_alert(), ztf_alert()], codec=codec, sync_interval=1) for codec in ("null", "deflate", "snappy")
]


@given(st.sampled_from(PACKETS), st.randoms(use_true_random=False), st.integers(1, 8))
def test_a_damaged_packet_is_read_or_rejected(body, rng: random.Random, times):
    damaged = bytearray(body)
    for _ in range(times):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    _readable(bytes(damaged))
    _readable(bytes(damaged[: rng.randrange(len(damaged))]))


@pytest.mark.parametrize("item", ["float", "double", {"type": "fixed", "name": "four", "size": 4}, "string", "int"])
def test_a_count_without_items_ends_at_once_where_the_array_is_stepped_over(item):
    writer = judged(record("r", numbers={"type": "array", "items": item}, wanted="int"), {})
    endless = b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f"  # the count -2^62, and so on
    for count in (endless, b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"):
        block = Block(1, count + b"\x02" * 40, 0, len(count) + 40)
        with pytest.raises(BadPacket) as caught:
            list(records(block, writer.parsed, projected(writer, {"wanted": None})))
        assert caught.value.reason in {Reason.TRUNCATED, Reason.CORRUPT}
