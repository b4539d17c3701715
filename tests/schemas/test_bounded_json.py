import json
import math
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.bounded_json import (
    DEFAULT_LIMITS,
    MAX_CLASSES,
    MAX_PARAMS,
    MAX_TEXT,
    MAX_WARNINGS,
    Fields,
    JsonLimits,
    flat_params,
    parse_json,
    parse_json_object,
)
from schemas.errors import BadInput, Reason

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


def reason_of(body: bytes, limits: JsonLimits = DEFAULT_LIMITS) -> Reason:
    with pytest.raises(BadInput) as caught:
        parse_json(body, limits)
    return caught.value.reason


@given(documents, st.booleans())
def test_what_json_can_say_is_read_as_json_reads_it(document, ascii_only):
    body = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert parse_json(body) == document
    assert parse_json(b"\xef\xbb\xbf" + body) == document


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.EMPTY),
        (b" \n", Reason.EMPTY),
        (b'{"a": NaN}', Reason.NOT_FINITE),
        (b'{"a": Infinity}', Reason.NOT_FINITE),
        (b'{"a": -Infinity}', Reason.NOT_FINITE),
        (b'{"a": 1e999}', Reason.NOT_FINITE),
        (b'{"a": 1, "a": 2}', Reason.MALFORMED),
        (b'{"b": {"a": 1, "c": 0, "a": 1}}', Reason.MALFORMED),
        (b'{"a": 1', Reason.MALFORMED),
        (b'{"a": 1} {"a": 2}', Reason.MALFORMED),
        (b"{'a': 1}", Reason.MALFORMED),
        (b'{"a": "b\nc"}', Reason.MALFORMED),
        (b'"' + b"\\" * 3, Reason.MALFORMED),
        (b"9" * 5000, Reason.MALFORMED),
        (b'{"a": "\xff"}', Reason.BAD_ENCODING),
        ('{"a": 1}'.encode("utf-16"), Reason.BAD_ENCODING),
        (b'{"a": "\\ud800"}', Reason.BAD_ENCODING),
        (b'{"\\udfff": 1}', Reason.BAD_ENCODING),
        (b"[" * 65 + b"]" * 65, Reason.TOO_DEEP),
        (b"[" * 100_000, Reason.TOO_DEEP),
        (b'{"a":' * 100_000, Reason.TOO_DEEP),
        (b"[" + b"0," * 500_000 + b"0]", Reason.TOO_LARGE),
        (b"[" + b"[]," * 250_000 + b"[]]", Reason.TOO_LARGE),
    ],
)
def test_what_is_refused_and_why(body, reason):
    assert reason_of(body) is reason


def test_limits_are_exact():
    assert parse_json(b"[" * 64 + b"]" * 64)
    assert len(parse_json(b"[0,1,2]", JsonLimits(values=4))) == 3
    assert reason_of(b"[0,1,2]", JsonLimits(values=3)) is Reason.TOO_LARGE
    assert parse_json(b"[1]", JsonLimits(bytes=3)) == [1]
    assert reason_of(b"[1]", JsonLimits(bytes=2)) is Reason.TOO_LARGE


def test_brackets_and_commas_in_texts_do_not_count():
    text = '\\"[[{{,,' * 100 + "\\\\"
    assert parse_json(f'["{text}", "{text}"]'.encode(), JsonLimits(depth=1, values=3))


@given(documents)
def test_depth_and_values_are_counted_as_a_walk_counts_them(document):
    def depth(value):
        if not isinstance(value, list | dict):
            return 0
        return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)

    body = json.dumps(document).encode()
    assert parse_json(body, JsonLimits(depth=depth(document))) == document
    if depth(document):
        assert reason_of(body, JsonLimits(depth=depth(document) - 1)) is Reason.TOO_DEEP


@pytest.mark.parametrize(
    "body", [b'"' + b'\\"' * 500_000, b'\\"' * 500_000, b'"' * 199_999, b'"\\' * 500_000, b"]" * 199_999]
)
def test_unending_quotes_are_bounded_in_memory(body):
    tracemalloc.start()
    assert reason_of(body) is Reason.MALFORMED
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * len(body)


@given(st.binary(max_size=200) | st.text(alphabet='{}[],:"\\u019eE.- \n', max_size=60).map(str.encode))
def test_no_bytes_make_it_fail_otherwise(body):
    try:
        value = parse_json(body)
    except BadInput:
        return
    assert json.loads(json.dumps(value)) == value


def test_an_object_is_asked_for():
    assert parse_json_object(b' \xef\xbb\xbf{"a": 1}'.strip()) == {"a": 1}
    for body in (b"[1]", b'"text"', b"broker transport failure", b"7"):
        with pytest.raises(BadInput) as caught:
            parse_json_object(body)
        assert caught.value.reason is Reason.UNKNOWN_FORMAT
    with pytest.raises(BadInput) as caught:
        parse_json_object(b"  ")
    assert caught.value.reason is Reason.EMPTY


def test_texts():
    fields = Fields({"a": " x ", "b": ["x", 7, "", 2.5], "c": None, "d": {"x": 1}, "e": True, "f": ["x", None]})
    assert fields.text("a") == "x"
    assert fields.texts("b") == ("x", "7", "2.5")
    assert fields.text("c") == fields.text("none") == ""
    assert not fields.warnings
    assert fields.text("d") == fields.text("e") == ""
    assert fields.texts("f") == ("x",)
    assert len(fields.warnings) == 3
    assert "a" in fields
    assert "c" not in fields


def test_numbers():
    record = {
        "a": 1,
        "b": "2.5",
        "c": None,
        "d": True,
        "e": "x",
        "f": [1, "2"],
        "g": [1, "x"],
        "h": 10**400,
        "i": "nan",
    }
    fields = Fields(record)
    assert [fields.number(name) for name in "abc"] == [1.0, 2.5, None]
    assert not fields.warnings
    assert all(fields.number(name) is None for name in "dehi")
    assert len(fields.warnings) == 4
    assert fields.numbers("f") == (1.0, 2.0)
    assert fields.numbers("a") == (1.0,)
    assert fields.numbers("g") == fields.numbers("none") == ()
    assert fields.integer("b") == 2
    assert fields.integer("none") is None
    assert Fields({"n": -1}).integer("n") is None
    assert Fields({"n": 2**31}).integer("n") is None


def test_objects_and_lists_of_them():
    fields = Fields({"a": {"b": {"c": 1}}, "l": [{"c": 1}, 7, {"c": 2}], "x": 5})
    assert fields.inner("a").inner("b").number("c") == 1
    assert [one.number("c") for one in fields.each("l")] == [1, 2]
    assert fields.inner("none").record == {}
    assert fields.each("none") == []
    assert not fields.warnings
    assert fields.inner("x").record == {}
    assert fields.each("x") == []
    assert len(fields.warnings) == 2


def test_probabilities():
    fields = Fields({"p": {"BNS": 0.9, "a": 1.5, "b": "0.1", "c": None, "d": []}})
    assert fields.probabilities("p") == {"BNS": 0.9, "b": 0.1}
    assert len(fields.warnings) == 1
    assert len(Fields({"p": {str(n): 0.5 for n in range(1000)}}).probabilities("p")) == MAX_CLASSES


def test_warnings_are_bounded_in_number_and_length():
    fields = Fields({str(n): ["x" * 10_000] * 10_000 for n in range(100)})
    for name in fields.record:
        fields.number(name)
    assert len(fields.warnings) == MAX_WARNINGS
    assert max(map(len, fields.warnings)) < 300


def test_params_are_flat_texts():
    record = {
        "a": {"b": 1, "c": [1, None, "x"]},
        "e": [{"f": True}, {"f": False}],
        "g": "x" * (MAX_TEXT + 1),
        "h": b"ab",
    }
    assert flat_params(record) == {
        "a.b": "1",
        "a.c": "1, null, x",
        "e.1.f": "true",
        "e.2.f": "false",
        "g": f"({MAX_TEXT + 1} characters)",
        "h": "(2 bytes)",
    }
    assert len(flat_params({str(n): n for n in range(MAX_PARAMS + 10)})) == MAX_PARAMS


@given(st.dictionaries(st.text(max_size=8), documents, max_size=5), st.text(max_size=8))
def test_fields_take_anything(record, name):
    fields = Fields(record)
    for key in (*record, name):
        assert fields.number(key) is None or math.isfinite(fields.number(key))
        assert all(isinstance(text, str) for text in fields.texts(key))
        assert all(0 <= p <= 1 for p in fields.probabilities(key).values())
        fields.integer(key)
        fields.numbers(key)
        fields.each(key)
    assert all(isinstance(key, str) and len(value) <= MAX_TEXT for key, value in flat_params(record).items())
