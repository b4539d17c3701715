"""Filters that are honoured, and those that are not: with real processes where it matters."""

import asyncio
import io
import json
import shutil
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridges.vtp import filter_process
from bridges.vtp.filter_process import EVENT, FILTERS, NO, NOT_ASKED, TRY, YES, Evaluator
from bridges.vtp.filters import FilterJudge, FilterRefusedError, Verdicts, check_filter
from bridges.vtp.options import BroadcastOptions
from bridges.vtp.protocol import frame

VOEVENT = b"""<voe:VOEvent xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0"
  role="test" ivorn="ivo://a.b/c#1" version="2.0">
<What><Param name="SC_Lat" value="400"/><Group name="x"><Param name="Sun_Distance" value="80.5"/></Group></What>
</voe:VOEvent>"""
MATCHING = (
    '//Param[@name="SC_Lat" and @value<600]',
    "@role",
    '/*[local-name()="VOEvent" and @role="test"]',
    "/voe:VOEvent",
    "count(//Param) > 1",
    "count(//Param)",
    'starts-with(@ivorn, "ivo://a.b/")',
    "string(//Param/@name)",
    "not(//Citations)",
    "number(//Nothing)",
)
"""Whatever Python takes for true selects the event, as in Comet; not-a-number is one of these."""
OTHERS = ('//Param[@name="SC_Lat" and @value>600]', "//Citations", "count(//Citations)", "string(//Nothing)", "false()")
SLOW = "count(//*[count(//*[count(//*)=1])=1])"
MANY = b"<VOEvent role='test'>" + b"<Param/>" * 4000 + b"</VOEvent>"
PATIENT = {"filter_limit_s": 2.0, "filters_limit_s": 5.0}
"""For machines so busy that an ordinary filter might take long."""


@pytest.fixture
def anyone():
    return lambda: True


@pytest.mark.parametrize("text", [*MATCHING, *OTHERS, "a and (b or c) div (d)", "//text()[contains(., '((((((((((')]"])
def test_reasonable_filters_pass_the_first_look(text):
    check_filter(text, 1024)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("x" * 101, "101 characters"),
        ("a\x07b", "cannot be printed"),
        ("(" * 9 + "1" + ")" * 9, "nested 9 levels"),
        ("a[" * 9, "nested 9 levels"),
        ("|".join(["//a"] * 17), "17 times"),
        ("a/descendant::b" + "/following :: c" * 17, "18 times"),
        ("document('file:///etc/passwd')", r"document\(\)"),
        ("re:test(., 'a')", r"re:test\(\)"),
        ("id ('x')", r"id\(\)"),
    ],
)
def test_what_can_be_seen_to_be_unreasonable_is_refused(text, why):
    with pytest.raises(FilterRefusedError, match=why):
        check_filter(text, 100 if len(text) == 101 else 1024)


@given(st.text(max_size=60))
def test_any_text_passes_or_is_refused(text):
    try:
        check_filter(text, 50)
    except FilterRefusedError:
        return
    assert 0 < len(text) <= 50


class TestEvaluator:
    """What the process does, in this one."""

    @pytest.fixture
    def table(self):
        return bytearray(64)

    @pytest.fixture
    def evaluator(self, table):
        return Evaluator(table, filter_limit_s=100.0, event_limit_s=100.0)

    def test_verdicts_are_those_of_comet(self, evaluator, table):
        assert evaluator.answer(FILTERS + json.dumps(MATCHING + OTHERS).encode()) is None
        assert evaluator.answer(EVENT + VOEVENT) == b" "
        assert table[: len(MATCHING)] == bytes([YES]) * len(MATCHING)
        assert table[len(MATCHING) : len(MATCHING + OTHERS)] == bytes([NO]) * len(OTHERS)

    def test_what_fails_selects_nothing(self, evaluator, table):
        evaluator.answer(FILTERS + json.dumps(["/x:y", "@role"]).encode())
        evaluator.answer(EVENT + VOEVENT)
        assert table[:2] == bytes([NO, YES])
        table[:] = bytes(64)
        evaluator.answer(EVENT + b"<!DOCTYPE x []><VOEvent role='test'/>")
        assert table[:2] == bytes([NO, NO])

    def test_a_new_filter_is_tried(self, evaluator):
        assert evaluator.answer(TRY + b"//Param[@name='parameter_3']") == b" "
        for text in (b"((", b"/x:y", b"foo()", b"$x"):
            assert evaluator.answer(TRY + text).strip()

    def test_when_the_time_is_over_the_costly_are_not_asked(self, table):
        evaluator = Evaluator(table, filter_limit_s=100.0, event_limit_s=100.0)
        filters = ["count(//*[count(//*)=1])", "@role", "@version"]
        evaluator.answer(FILTERS + json.dumps(filters).encode())
        evaluator.answer(EVENT + MANY)
        evaluator._event_limit_s = 0.0
        table[:] = bytes(64)
        evaluator.answer(EVENT + VOEVENT)
        assert table[0] == NOT_ASKED
        assert {table[1], table[2]} <= {YES, NOT_ASKED}
        assert YES in table[1:3]

    def test_it_serves_until_there_are_no_more_questions(self, evaluator):
        answers = io.BytesIO()
        filter_process.serve(io.BytesIO(frame(TRY + b"@role") + frame(TRY + b"((") + b"\0\0"), answers, evaluator)
        said = answers.getvalue()
        assert said[:5] == struct.pack(">I", 1) + b" "
        assert said.endswith(b"Invalid expression")


async def test_filters_of_several_are_asked_together(anyone):
    async with FilterJudge(BroadcastOptions(**PATIENT)) as judge:
        filters = await judge.try_filters([*MATCHING[:4], *MATCHING[:2]], anyone)
        assert filters == MATCHING[:4]
        others = await judge.try_filters(OTHERS, anyone)
        judge.hold(filters)
        judge.hold(others)
        judge.hold(filters[:1])
        verdicts = await judge.judge(VOEVENT)
        assert verdicts == Verdicts(matching=frozenset(filters))
        assert verdicts.select(filters[:1])
        assert not verdicts.select(others)
        judge.release(filters)
        assert await judge.judge(VOEVENT) == Verdicts(matching=frozenset(filters[:1]))
        judge.release([*filters[:1], *others])
        assert await judge.judge(VOEVENT) == Verdicts()


@pytest.mark.parametrize(
    ("filters", "why"),
    [
        (("@role", "(("), "Invalid expression"),
        (("/x:y",), "Undefined namespace prefix"),
        (("$x",), "Undefined variable"),
        (("id('x')",), "no function"),
        (tuple(f"@a{n}" for n in range(9)), "at most 8"),
    ],
)
async def test_a_filter_that_is_no_good_is_refused_with_the_reason(anyone, filters, why):
    async with FilterJudge(BroadcastOptions(**PATIENT)) as judge:
        with pytest.raises(FilterRefusedError, match=why):
            await judge.try_filters(filters, anyone)


async def test_a_filter_that_takes_long_at_once_is_refused_and_remembered(anyone, monkeypatch):
    async with FilterJudge(BroadcastOptions(filter_limit_s=0.05)) as judge:
        with pytest.raises(FilterRefusedError, match="CPU time"):
            await judge.try_filters([SLOW], anyone)

        async def never(*_):
            raise AssertionError("it was asked again")

        monkeypatch.setattr(judge._trial, "ask", never)
        with pytest.raises(FilterRefusedError, match="CPU time"):
            await judge.try_filters([SLOW], anyone)


async def test_nothing_is_tried_for_those_who_are_gone():
    async with FilterJudge(BroadcastOptions()) as judge:
        with pytest.raises(FilterRefusedError, match="nobody"):
            await judge.try_filters(["@role"], lambda: False)
        assert not judge._trial.running


async def test_a_filter_that_takes_long_on_one_event_is_found_and_the_others_are_judged():
    async with FilterJudge(BroadcastOptions(filter_limit_s=0.2)) as judge:
        judge.hold(["@role", SLOW, "count(//Param)=4000", "@nothing"])
        verdicts = await judge.judge(MANY)
        assert verdicts.ran_over == {SLOW}
        assert verdicts.matching | verdicts.undecided == {"@role", "count(//Param)=4000"}
        judge.release([SLOW])
        assert (await judge.judge(MANY)).matching == {"@role", "count(//Param)=4000"}
        with pytest.raises(FilterRefusedError, match="CPU time"):
            await judge.try_filters([SLOW], lambda: True)


async def test_many_that_take_long_do_not_take_longer_together():
    slow = [f"{SLOW} and {number}" for number in range(8)]
    async with FilterJudge(BroadcastOptions(filter_limit_s=0.05)) as judge:
        judge.hold(slow)
        verdicts = await judge.judge(MANY)
        assert len(verdicts.ran_over) == 3
        assert verdicts.undecided == set(slow) - verdicts.ran_over


async def test_a_process_that_is_gone_or_hangs_is_replaced(monkeypatch):
    async with FilterJudge(BroadcastOptions(filter_limit_s=1.0, filters_limit_s=1.0)) as judge:
        judge.hold(["@role"])
        assert (await judge.judge(VOEVENT)).matching == {"@role"}
        judge._judging._process.kill()
        await judge._judging._process.wait()
        assert (await judge.judge(VOEVENT)).matching == {"@role"}
        # Stopped, as by a machine without memory: it answers nothing, and its filter is not to blame.
        monkeypatch.setattr("bridges.vtp.filters._PATIENCE", 0)
        judge._judging._process.send_signal(19)
        assert await judge.judge(VOEVENT) == Verdicts(undecided=frozenset({"@role"}))
        monkeypatch.undo()
        assert (await judge.judge(VOEVENT)).matching == {"@role"}


async def test_whoever_is_cancelled_leaves_no_answer_for_the_next():
    async with FilterJudge(BroadcastOptions(**PATIENT)) as judge:
        judge.hold(["@role", "count(//*[count(//*)=1])"])
        task = asyncio.create_task(judge.judge(MANY))
        while not judge._judging.running:  # noqa: ASYNC110 - the process has no event to wait for
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        judge.release(["count(//*[count(//*)=1])"])
        assert (await judge.judge(VOEVENT)).matching == {"@role"}


async def test_only_so_many_verdicts_are_remembered(monkeypatch):
    monkeypatch.setattr("bridges.vtp.filters._REMEMBERED", 2)
    async with FilterJudge(BroadcastOptions(**PATIENT)) as judge:
        await judge.try_filters(["@a", "@b", "@c"], lambda: True)
        assert list(judge._known) == ["@b", "@c"]


async def test_where_no_process_can_be_started_events_are_sent_and_new_filters_refused(monkeypatch):
    async def failing(*_, **__):
        raise OSError(11, "no process")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", failing)
    async with FilterJudge(BroadcastOptions()) as judge:
        judge.hold(["@role"])
        assert await judge.judge(VOEVENT) == Verdicts(undecided=frozenset({"@role"}))
        with pytest.raises(FilterRefusedError, match="at the moment"):
            await judge.try_filters(["@version"], lambda: True)
        assert not judge._known


async def test_a_process_that_cannot_begin_or_is_killed_is_no_filters_fault(monkeypatch):
    monkeypatch.setattr("bridges.vtp.filters.sys.executable", shutil.which("false"))
    async with FilterJudge(BroadcastOptions()) as judge:
        judge.hold(["@role"])
        assert await judge.judge(VOEVENT) == Verdicts(undecided=frozenset({"@role"}))
        with pytest.raises(FilterRefusedError, match="at the moment"):
            await judge.try_filters(["@version"], lambda: True)
