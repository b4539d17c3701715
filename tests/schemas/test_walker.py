"""The walker and its plans against fastavro, in both forms: as it is imported (compiled where it could be), and as
the plain Python that it is written in."""

import importlib.util
import json
import math
import random
import struct
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import detections, plan, survey, walker
from schemas.avro import Block, records
from schemas.catalogue import SchemaCatalogue
from schemas.errors import BadPacket
from schemas.picked import Picked
from schemas.plan import Column, Pick
from schemas.records import COLUMNS, Message
from schemas.survey import read_batch
from schemas.walker import Kind
from schemas.writer_schema import cut_short, judged, projected
from tests.schemas.made_schemas import cases
from tests.survey_packets import (
    LSST_WHOLE,
    LSST_WITH_LIMITS,
    ZTF,
    container,
    encoded,
    framed,
    handmade,
    lsst_alert,
    maybe,
    record,
    varint,
    ztf_alert,
)


def _uncompiled():
    spec = importlib.util.spec_from_file_location("uncompiled_walker", Path(plan.__file__).with_name("walker.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


UNCOMPILED = _uncompiled()
FORMS = {"as imported": walker, "plain": UNCOMPILED}
both_forms = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())


def test_the_plain_form_is_plain():
    assert not UNCOMPILED.COMPILED
    assert UNCOMPILED.__file__.endswith("walker.py")


PICKS = (
    Pick("i", Column.INTEGER),
    Pick("x", Column.NUMBER),
    Pick("inner.never|b", Column.FLAG),
    Pick("inner.t|other", Column.TEXT),
    Pick("inner.x", Column.NUMBER),
    Pick("past.t", Column.HISTORY, given="g"),
    Pick("plain.t", Column.HISTORY),
)
WANTED = {
    "i": None,
    "x": None,
    "inner": dict.fromkeys(("b", "t", "x")),
    "past": dict.fromkeys(("t", "g")),
    "plain": {"t": None},
}


@contextmanager
def _form(form):
    with pytest.MonkeyPatch.context() as patch:
        for module in (plan, detections):
            for name in ("Program", "Walk"):
                if hasattr(module, name):
                    patch.setattr(module, name, getattr(form, name))
        yield


def _walk(form, writer, data, count, *, patterns, picks=PICKS, wanted=WANTED):
    """What the walker makes of a block: the rows, where it ended, or None without a plan."""
    with _form(form):
        made = plan.plan(writer.tree, picks, wanted, patterns=patterns)
        if made is None:
            return None
        walk = form.Walk(plan.width(picks))
        run = made.short if count == 1 else made.whole
        padded = b"before" + data + b"behind"
        end = walk.add(made.program, run, padded, 6, 6 + len(data), count) - 6
        picked = Picked(walk, plan.cells(picks))
        rows = {
            "i": list(zip(picked.stated("i").tolist(), picked.integers("i").tolist(), strict=True)),
            "x": picked.numbers("x").tolist(),
            "there": picked.there("inner.x").tolist(),
            "inner.x": picked.numbers("inner.x").tolist(),
            "b": picked.integers("inner.never|b").tolist(),
            "t": picked.texts("inner.t|other"),
            "past": picked.earliest("past.t").tolist(),
            "missed": picked.latest("past.t").tolist(),
            "plain": picked.earliest("plain.t").tolist(),
            "last": picked.latest("plain.t").tolist(),
        }
        return rows, end, [at - 6 for at in walk.starts[: walk.rows]]


def _oracle_row(found):
    number = lambda value: value if isinstance(value, int | float) and abs(value) < 3.4e38 else math.nan  # noqa: E731
    inner = found.get("inner") or {}
    items, plain = found.get("past") or [], [item.get("t") for item in found.get("plain") or []]
    past = [item.get("t") for item in items if item.get("g") is not None]
    missed = [item.get("t") for item in items if item.get("g", ...) is None]
    positive = [[time for time in map(number, of) if time > 0] for of in (past, missed, plain)]
    return {
        "i": (found.get("i") is not None, found.get("i") or 0),
        "x": float(number(found.get("x"))),
        "there": "x" in inner,
        "inner.x": float(number(inner.get("x"))),
        "b": int(inner.get("b") or 0),
        "t": inner.get("t") or "",
        "past": min(positive[0], default=math.nan),
        "missed": max(positive[1], default=math.nan),
        "plain": min(positive[2], default=math.nan),
        "last": max(positive[2], default=math.nan),
    }


def _assert_rows(rows, expected):
    for name, values in rows.items():
        got, want = values, [row[name] for row in expected]
        assert len(got) == len(want)
        assert repr(got) == repr(want), name


@given(cases(), st.booleans())
def test_the_values_are_fastavros(case, patterns):
    schema, written = case
    writer = judged(schema, {})
    for group in ([written[0]], written):
        block = Block(len(group), b"".join(group), 0, sum(map(len, group)))
        of = cut_short(writer, WANTED) if len(group) == 1 else writer.parsed
        expected = [_oracle_row(found) for found in records(block, of, projected(writer, WANTED))]
        for form in FORMS.values():
            rows, end, starts = _walk(form, writer, block.data, block.count, patterns=patterns)
            _assert_rows(rows, expected)
            assert starts == [sum(map(len, group[:at])) for at in range(len(group))]
            assert end == block.end if len(group) > 1 else end <= block.end


@given(cases(), st.booleans(), st.randoms(use_true_random=False), st.integers(0, 3))
def test_of_damaged_records_the_values_are_fastavros_or_they_are_refused(case, patterns, rng, changes):
    schema, written = case
    writer = judged(schema, {})
    data = bytearray(b"".join(written))
    for _ in range(changes if data else 0):
        data[rng.randrange(len(data))] = rng.choice([0, 1, 2, 3, 127, 128, 255, rng.randrange(256)])
    data = bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.5 else data)
    block = Block(len(written), data, 0, len(data))
    of = cut_short(writer, WANTED) if len(written) == 1 else writer.parsed
    expected = []
    with suppress(BadPacket):
        expected.extend(_oracle_row(found) for found in records(block, of, projected(writer, WANTED)))
    made = [_walk(form, writer, data, block.count, patterns=patterns) for form in FORMS.values()]
    assert repr(made[0]) == repr(made[1])
    rows, end, starts = made[0]
    assert len(starts) <= len(expected)
    assert 0 <= end <= len(data)
    _assert_rows(rows, expected[: len(starts)])


CATALOGUE = SchemaCatalogue()
CATALOGUE.add(1000, json.dumps(LSST_WHOLE).encode())


def _both(messages, catalogue=CATALOGUE, form=walker):
    """Alerts and rejections of a batch, with the walker and by fastavro alone."""
    reading = survey._reading.__wrapped__
    known = {}

    def read(with_plan):
        def of(writer):
            if (writer, with_plan) not in known:
                known[writer, with_plan] = reading(writer) if with_plan else replace(reading(writer), plan=None)
            return known[writer, with_plan]

        with _form(form), pytest.MonkeyPatch.context() as patch:
            patch.setattr(survey, "_reading", of)
            return read_batch(messages, catalogue)

    return read(with_plan=True), read(with_plan=False)


def _assert_same(walked, decoded):
    assert walked[1] == decoded[1]
    assert [part.survey for part in walked[0]] == [part.survey for part in decoded[0]]
    for one, other in zip(walked[0], decoded[0], strict=True):
        for name in COLUMNS:
            left, right = getattr(one, name), getattr(other, name)
            assert left.dtype.kind == right.dtype.kind, name
            np.testing.assert_array_equal(left, right, err_msg=name)


NUMBERS = st.none() | st.floats() | st.sampled_from([-999.0, 0.0, 0.5, 20.0, -0.0, 3.5e38])
DAYS = st.sampled_from([2458849.75, 2458840.25, 2458000.0, 0.0, 1e300, -5.0, math.nan, math.inf])
ZTF_WIDE = json.loads(json.dumps(ZTF).replace('"null", "float"', '"null", "double"').replace('"float"', '"double"'))
ZTF_ALERTS = st.builds(
    lambda numbers, previous, **values: ztf_alert(previous=previous, **numbers, **values),
    st.dictionaries(
        st.sampled_from(["rb", "magap", "neargaia", "distpsnr1", "sgscore1", "ssdistnr"]), NUMBERS, max_size=3
    ),
    st.lists(st.fixed_dictionaries({"jd": DAYS, "candid": st.none() | st.integers(0, 9)}), max_size=4),
    object_id=st.sampled_from(["ZTF20aaaaaaa", "ZTF20aaaaaaa", "é", "x" * 130, "x" * 201, ""]),
    candid=st.integers(0, 1 << 60),
    jd=st.just(2458849.75) | DAYS,
    jdstarthist=DAYS | st.none(),
    fid=st.integers(-1, 5),
    ra=st.sampled_from([0.0, -0.0, 360.0, 150.25, 150.25, 400.0, math.nan]),
    dec=st.floats(-90, 90) | st.sampled_from([90.5, math.inf]),
    magpsf=st.floats(10, 25) | st.floats(),
)
FLUXES = st.none() | st.floats(width=32) | st.floats(1, 1e6, width=32)
IDS = st.sampled_from([None, 0, 0, 5, 1 << 60])
LSST_ALERTS = st.builds(
    lambda previous, limits, static, moving, flags, **values: lsst_alert(
        previous=previous, limits=limits, static=static, moving=moving, **values, **flags
    ),
    st.lists(st.fixed_dictionaries({"midpointMjdTai": st.floats() | st.floats(60000, 61041.5)}), max_size=4),
    st.none() | st.lists(st.floats() | st.sampled_from([61041.0, 61041.25, 61041.5, 60000.0, 5.0]), max_size=4),
    st.none()
    | st.just("same")
    | st.fixed_dictionaries(
        {
            "diaObjectId": st.integers(0, 3),
            "firstDiaSourceMjdTai": NUMBERS | st.just(61000.0),
            "nDiaSources": st.just(1),
        }
    ),
    st.none() | st.fixed_dictionaries({"diaSourceId": st.just(1), "ssObjectId": st.integers(0, 2)}),
    st.dictionaries(
        st.sampled_from(["pixelFlags_bad", "pixelFlags_saturatedCenter"]), st.none() | st.booleans(), max_size=2
    ),
    diaObjectId=IDS,
    ssObjectId=IDS,
    midpointMjdTai=st.sampled_from([61041.25, 61041.25, 0.0, math.nan]),
    apFlux=FLUXES,
    psfFlux=FLUXES,
    psfFluxErr=FLUXES,
    reliability=FLUXES,
    band=st.sampled_from([None, "", "i", "long" * 20]),
)


ELASTICC_SOURCE = record(
    "elasticc.diaSource",
    diaSourceId="long",
    diaObjectId=maybe("long"),
    midPointTai="double",
    filterName=maybe("string"),
    ra="double",
    decl="double",
    psFlux=maybe("float"),
    psFluxErr=maybe("float"),
    nobs=maybe("float"),
)
ELASTICC = record(
    "elasticc.alert",
    alertId="long",
    diaSource=ELASTICC_SOURCE,
    prvDiaSources=maybe({"type": "array", "items": "elasticc.diaSource"}),
    diaObject=maybe(record("elasticc.diaObject", mwebv="float")),
)
ELASTICC_SOURCES = st.fixed_dictionaries(
    {
        "diaSourceId": st.integers(0, 9),
        "diaObjectId": IDS,
        "midPointTai": st.sampled_from([60674.0, 60670.5, 60600.0, 60674.0, math.nan, 0.0]),
        "filterName": st.sampled_from([None, "", "Y"]),
        "ra": st.sampled_from([0.0, 49.0, 360.0, -1.0]),
        "decl": st.floats(-90, 90),
        "psFlux": FLUXES,
        "psFluxErr": FLUXES,
    }
)
ELASTICC_ALERTS = st.fixed_dictionaries(
    {
        "alertId": st.just(1),
        "diaSource": ELASTICC_SOURCES,
        "prvDiaSources": st.none() | st.lists(ELASTICC_SOURCES, max_size=3),
    }
)


@both_forms
@given(
    st.lists(st.lists(ZTF_ALERTS, min_size=1, max_size=4), max_size=3),
    st.lists(LSST_ALERTS, max_size=4),
    st.lists(ELASTICC_ALERTS, max_size=4),
)
def test_batches_are_the_same_as_without_the_walker(form, ztf, lsst, elasticc):
    bodies = [container(ZTF_WIDE, alerts, sync_interval=1) for alerts in ztf]
    bodies += [container(ZTF_WIDE, alerts) for alerts in ztf]
    bodies += [framed(1000, LSST_WHOLE, alert) for alert in lsst]
    bodies += [container(LSST_WITH_LIMITS, lsst)]
    bodies += [container(ELASTICC, elasticc, codec="deflate")]
    bodies += [framed(5, LSST_WHOLE, lsst_alert()), b"nothing", container(ZTF, [])]
    walked, decoded = _both([Message(body, f"m{number}") for number, body in enumerate(bodies)], form=form)
    _assert_same(walked, decoded)
    assert len(walked[1]) >= 3


PACKETS = [
    container(ZTF, [ztf_alert(previous=[{"jd": 2458840.0}], candid=n) for n in range(3)]),
    container(ZTF, [ztf_alert(previous=[{"jd": 2458840.0}] * 3)]),
    framed(1000, LSST_WHOLE, lsst_alert(previous=[{}] * 3)),
]


@both_forms
@given(st.sampled_from(PACKETS), st.randoms(use_true_random=False), st.integers(1, 4))
def test_damaged_packets_are_rejected_as_without_the_walker(form, body, rng: random.Random, changes):
    start = body.find(b"a test") if body[:3] == b"Obj" else 5
    messages = []
    for number in range(8):
        damaged = bytearray(body)
        for _ in range(changes):
            damaged[rng.randrange(start, len(damaged))] = rng.choice([0, 1, 2, 128, 255, rng.randrange(256)])
        cut = rng.randrange(start, len(damaged)) if number % 2 else len(damaged)
        messages.append(Message(bytes(damaged[:cut]), f"m{number}"))
    _assert_same(*_both(messages, form=form))


def _walks(form, schema, data, picks=(), wanted=None, count=1):
    """How many records are taken, whatever way they are stepped over."""
    writer = judged(record("r", **schema), {})
    taken = set()
    with _form(form):
        for patterns in (False, True):
            made = plan.plan(writer.tree, picks, wanted or {}, patterns=patterns)
            walk = form.Walk(plan.width(picks))
            walk.add(made.program, made.whole, data, 0, len(data), count)
            taken.add(walk.rows)
    (rows,) = taken
    return rows


@both_forms
@pytest.mark.parametrize(
    ("kind", "data", "taken"),
    [
        ("long", b"\xff" * 9 + b"\x01", 1),
        ("long", b"\xff" * 9 + b"\x02", 0),
        ("long", b"\x80" * 10 + b"\x01", 0),
        ("long", b"\xff" * 9, 0),
        ("string", varint(63) + bytes(63), 1),
        ("string", varint(64) + bytes(64), 1),
        ("string", varint(3) + b"ab", 0),
        ("string", varint(-1), 0),
        ("bytes", varint((1 << 63) - 1) + bytes(9), 0),
        (["null", "string"], b"\x02" + varint(200) + bytes(200), 1),
        (["null", "string"], b"\x02" + varint(200) + bytes(199), 0),
        (["null", "string"], b"\x02" + varint(-1) + bytes(199), 0),
        (["null", "string"], b"\x02", 0),
        (["null", "string"], b"\x04\x00", 0),
        (["null", "string"], b"", 0),
        (["null", "int"], b"", 0),
        (["null", "int"], b"\x04\x00", 0),
        (["null", "int"], b"\x02", 0),
        (["int", "null"], b"\x02", 1),
        (["null", "double"], b"\x02" + bytes(7), 0),
        (["null", "double"], b"\x01" + bytes(8), 0),
        (["null", "double"], b"", 0),
        (["null", "int", "string"], b"\x06\x00", 0),
        (["null", "int", "string"], varint(-1) + b"\x00", 0),
        (["null", "int", "string"], b"", 0),
        (["null", "int", "string"], b"\x02", 0),
        ({"type": "array", "items": "int"}, varint(-2) + varint(2) + b"\x02\x02\x00", 1),
        ({"type": "array", "items": "int"}, varint(-2) + varint(1) + b"\x02\x02\x00", 0),
        ({"type": "array", "items": "int"}, varint(-2) + varint(9) + b"\x02\x02\x00", 0),
        ({"type": "array", "items": "int"}, varint(-2) + varint(-1) + b"\x02\x02\x00", 0),
        ({"type": "array", "items": "int"}, varint(-2), 0),
        ({"type": "array", "items": "int"}, varint(1 << 40) + bytes(50), 0),
        ({"type": "array", "items": "int"}, varint(-(1 << 63)) + varint(2) + bytes(50), 0),
        ({"type": "array", "items": "int"}, varint(2) + b"\x02\x02", 0),
        ({"type": "array", "items": "int"}, b"", 0),
        ({"type": "map", "values": "int"}, varint(1) + varint(1) + b"a\x02\x00", 1),
        ({"type": "map", "values": "int"}, varint(1) + varint(9) + b"a\x02\x00", 0),
        ({"type": "fixed", "name": "f", "size": 3}, b"abc", 1),
        ({"type": "fixed", "name": "f", "size": 3}, b"ab", 0),
    ],
)
def test_what_is_stepped_over(form, kind, data, taken):
    assert _walks(form, {"a": kind}, data) == taken
    assert _walks(form, {"a": kind, "b": "long"}, data + b"\x02") == taken
    assert not taken or _walks(form, {"a": kind, "b": "long"}, (data + b"\x02") * 2, count=2) == 2


@both_forms
@pytest.mark.parametrize(
    ("column", "kind", "data", "taken"),
    [
        (Column.FLAG, "boolean", b"\x01", 1),
        (Column.FLAG, "boolean", b"\x02", 0),
        (Column.FLAG, "boolean", b"", 0),
        (Column.NUMBER, "double", bytes(7), 0),
        (Column.NUMBER, "float", bytes(3), 0),
        (Column.NUMBER, "long", b"\xff", 0),
        (Column.TEXT, "string", b"\x02\xff", 0),
        (Column.TEXT, "string", b"\x04a", 0),
        (Column.TEXT, "string", b"\x01a", 0),
        (Column.TEXT, "string", b"\x04\xc3\xa9", 1),
    ],
)
def test_what_is_taken(form, column, kind, data, taken):
    assert _walks(form, {"a": kind}, data, (Pick("a", column),), {"a": None}) == taken


@both_forms
@given(st.integers(-(1 << 63), (1 << 63) - 1), st.floats(), st.floats(width=32), st.booleans())
def test_numbers_keep_their_bits(form, integer, double, single, flag):
    kinds = {"i": "long", "d": "double", "f": "float", "b": "boolean"}
    writer = judged(record("r", **kinds), {})
    picks = (Pick("i", Column.INTEGER), Pick("d"), Pick("f"), Pick("b", Column.FLAG))
    data = encoded(record("r", **kinds), {"i": integer, "d": double, "f": single, "b": flag})
    with _form(form):
        walk = form.Walk(4)
        walk.add(plan.plan(writer.tree, picks, kinds).program, 0, data, 0, len(data), 1)
    assert walk.bits[0] == integer
    assert struct.pack("<q", walk.bits[1]) == struct.pack("<d", double)
    assert struct.pack("<Q", walk.bits[2])[:4] == struct.pack("<f", single)
    assert walk.bits[2] >> 32 == 0
    assert walk.bits[3] == flag
    assert list(walk.kinds[:4]) == [Kind.INT, Kind.DOUBLE, Kind.FLOAT, Kind.BOOL]


TWO = [record("one", x="double"), record("two", x="double")]


@pytest.mark.parametrize(
    "fields",
    [
        {"i": "string"},
        {"i": ["null", "long", "float"]},
        {"x": {"type": "fixed", "name": "f", "size": 8}},
        {"x": "string"},
        {"inner": "long"},
        {"inner": TWO},
        {"inner": {"type": "array", "items": record("one", x="double")}},
        {"inner": record("one", x="double", t="bytes")},
        {"inner": ["null"]},
        {"past": record("one", t="double", g="long")},
        {"past": {"type": "array", "items": "double"}},
        {"past": {"type": "array", "items": record("one", t="long", g="long")}},
        {"past": {"type": "array", "items": record("one", t="double", g="string")}},
    ],
)
def test_schemas_that_are_left_to_fastavro(fields):
    tree = judged(record("r", n="long", **fields), {}).tree
    assert plan.plan(tree, PICKS, WANTED) is None
    assert plan.plan(judged(record("r", n="long"), {}).tree, PICKS, WANTED) is not None


def test_a_name_of_two_fields_is_left_to_fastavro():
    twice = {"type": "record", "name": "r", "fields": [{"name": "i", "type": "long"}] * 2}
    assert plan.plan(twice, PICKS, WANTED) is None


def test_two_names_of_one_value_are_left_to_fastavro():
    wanted = {"a": None, "b": None}
    picks = (Pick("a|b", Column.INTEGER),)
    assert plan.plan(judged(record("r", a="long", b="long"), {}).tree, picks, wanted) is None
    assert plan.plan(judged(record("r", b="long"), {}).tree, picks, wanted) is not None


def test_many_rows_are_made_into_columns_in_parts(monkeypatch):
    monkeypatch.setattr(detections, "_ROWS", 5)
    bodies = [
        container(ZTF, [ztf_alert(candid=7 * m + n, ra=math.nan if n == m else 1.0) for n in range(3)])
        for m in range(7)
    ]
    walked, decoded = _both([Message(body, f"m{number}") for number, body in enumerate(bodies)])
    _assert_same(walked, decoded)
    assert (len(walked[0][0]), len(walked[1])) == (18, 3)


def test_rows_stay_in_order_where_the_walker_refuses_some():
    good = [encoded(ZTF, ztf_alert(candid=n)) for n in range(6)]
    odd = good[2].replace(b"\x18ZTF", b"\x98\x00ZTF", 1)  # the same length, one byte longer than it need be
    odd_index = encoded(ZTF, ztf_alert(candid=3))[:-1] + b"\xff"
    body = handmade(ZTF, (3, good[0] + odd + good[1]), (2, good[3] + odd_index), (1, good[4]))
    walked, decoded = _both([Message(body, "here")])
    _assert_same(walked, decoded)


def test_a_number_longer_than_it_need_be_is_read_by_fastavro():
    data = encoded(record("r", a="long"), {"a": 1}) + b"\x82\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"
    assert _walks(UNCOMPILED, {"a": "long"}, data, count=2) == _walks(walker, {"a": "long"}, data, count=2) == 1


def _messages(data_dir, *folders):
    for folder in folders:
        for file in sorted((data_dir / folder).rglob("*")):
            if file.is_file():
                yield Message(file.read_bytes(), file.relative_to(data_dir).as_posix())


@pytest.fixture(scope="module")
def real(data_dir):
    catalogue = SchemaCatalogue()
    folders = (data_dir / "schemas" / "lsst-alert_packet", data_dir / "schemas" / "pittgoogle" / "lsst")
    catalogue.add_lsst(file.read_bytes() for folder in folders for file in sorted(folder.rglob("*.avsc")))
    return catalogue, list(_messages(data_dir, "alerts-ztf", "alerts-derived", "alerts-lsst"))


@both_forms
def test_every_real_packet_has_the_same_columns(real, form):
    catalogue, messages = real
    walked, decoded = _both(messages, catalogue, form)
    _assert_same(walked, decoded)
    assert sum(map(len, walked[0])) > 300
    assert all(survey._reading(catalogue.get(number)).plan for number in (300, 400, 600, 704, 1000, 1100))


@both_forms
def test_damaged_real_packets_are_rejected_as_without_the_walker(real, form):
    catalogue, messages = real
    rng = random.Random(7)
    damaged = []
    for message in messages[:: 9 if form is walker else 31]:
        body = bytearray(message.body)
        for _ in range(rng.choice([1, 4])):
            body[rng.randrange(len(body))] = rng.randrange(256)
        damaged += [Message(bytes(body), message.origin), Message(bytes(body[: rng.randrange(len(body))]), "cut")]
    _assert_same(*_both(damaged, catalogue, form))
