"""Each event is handed over once, in batches, and every one who brought it is answered."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bridges.emit import NOWHERE
from bridges.vtp_in.handover import EventKey, Handover, Outcome, key_of, key_of_unreadable
from schemas.records import Message, Receipt, Rejection
from schemas.xml import parse_xml
from tests.bridges.vtp_in.peers import until


class Emitting:
    """Keeps what comes while its gate is open; what says "bad" is rejected."""

    positions = NOWHERE

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, messages, positions=NOWHERE) -> Receipt:
        assert not positions
        self.batches.append([message.body for message in messages])
        await self.gate.wait()
        bad = [Rejection(m.origin, "malformed", "it is bad") for m in messages if b"bad" in m.body]
        return Receipt(len(messages) - len(bad), tuple(bad))


def made(emit, seen: Counter | None = None, *, batch_messages: int = 100, remembered: int = 100) -> Handover:
    count = Counter() if seen is None else seen
    return Handover(
        emit,
        batch_messages=batch_messages,
        remembered=remembered,
        observe=lambda outcome: count.update([outcome]),
    )


def taken(handover: Handover, ivorn: str, body: bytes) -> asyncio.Future:
    return handover.take(EventKey(ivorn, body), Message(body, f"vtp://test#{ivorn}/{body.decode()}"))


@pytest.fixture
async def emit():
    return Emitting()


async def test_what_comes_while_emit_is_busy_is_the_next_batch(emit):
    handover = made(emit, batch_messages=3)
    emit.gate.clear()
    task = asyncio.create_task(handover.run())
    first = taken(handover, "ivo://a#0", b"0")
    await until(lambda: emit.batches)
    others = [taken(handover, f"ivo://a#{n}", str(n).encode()) for n in range(1, 6)]
    assert not first.done()
    emit.gate.set()
    assert await asyncio.gather(first, *others) == [None] * 6
    assert emit.batches == [[b"0"], [b"1", b"2", b"3"], [b"4", b"5"]]
    task.cancel()


async def test_a_batch_ends_when_it_is_large(emit, monkeypatch):
    monkeypatch.setattr("bridges.vtp_in.handover.BATCH_BYTES", 10)
    handover = made(emit)
    all_taken = [taken(handover, f"ivo://a#{n}", b"%06d" % n) for n in range(5)]
    task = asyncio.create_task(handover.run())
    await asyncio.gather(*all_taken)
    assert [len(batch) for batch in emit.batches] == [2, 2, 1]
    task.cancel()


async def test_a_rejection_is_told_and_told_again(emit):
    seen: Counter[Outcome] = Counter()
    handover = made(emit, seen)
    task = asyncio.create_task(handover.run())
    first, good = await asyncio.gather(taken(handover, "ivo://a#1", b"bad"), taken(handover, "ivo://a#2", b"good"))
    assert good is None
    assert first.detail == "it is bad"
    assert await taken(handover, "ivo://a#1", b"bad") == first
    assert len(emit.batches) == 1
    assert seen == {Outcome.ACCEPTED: 1, Outcome.REJECTED: 1, Outcome.REDELIVERED: 1}
    task.cancel()


async def test_the_same_name_with_other_content_is_handed_over_and_logged(emit):
    handover = made(emit)
    task = asyncio.create_task(handover.run())
    with capture_logs() as logs:
        await taken(handover, "ivo://a#1", b"one")
        await taken(handover, "ivo://a#1", b"one")
        assert logs == []
        await taken(handover, "ivo://a#1", b"other")
    assert emit.batches == [[b"one"], [b"other"]]
    assert [entry["ivorn"] for entry in logs] == ["ivo://a#1"]
    task.cancel()


async def test_only_so_many_are_remembered(emit):
    handover = made(emit, remembered=2)
    task = asyncio.create_task(handover.run())
    for body in (b"1", b"2", b"1", b"3"):
        await taken(handover, f"ivo://a#{body.decode()}", body)
    await taken(handover, "ivo://a#1", b"1")  # was used again later than 2
    assert emit.batches == [[b"1"], [b"2"], [b"3"]]
    with capture_logs() as logs:
        await taken(handover, "ivo://a#2", b"2 anew")
    assert logs == []
    assert len(handover._known) == 2
    assert set(handover._contents) == {key.ivorn for key in handover._known}
    task.cancel()


async def test_what_emit_raises_is_raised_and_nobody_is_told_that_it_is_kept():
    async def failing(_messages, _positions=NOWHERE):
        raise ZeroDivisionError

    handover = made(failing)
    kept = taken(handover, "ivo://a#1", b"1")
    with pytest.raises(ZeroDivisionError):
        await handover.run()
    assert not kept.done()
    handover.close()
    assert kept.cancelled()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=40), st.integers(1, 4))
def test_each_content_is_emitted_once_and_each_delivery_answered(deliveries, batch_messages):
    async def play() -> None:
        emit = Emitting()
        handover = made(emit, batch_messages=batch_messages)
        task = asyncio.create_task(handover.run())
        answers = []
        for name, content, pause in deliveries:
            body = f"{name}/{content}{'bad' if content == 0 else ''}".encode()
            answers.append((body, taken(handover, f"ivo://a#{name}", body)))
            if pause:
                await asyncio.sleep(0)
        for body, answer in answers:
            rejection = await answer
            assert (rejection is not None) == (b"bad" in body)
        emitted = [body for batch in emit.batches for body in batch]
        assert emitted == list(dict.fromkeys(body for body, _ in answers))
        task.cancel()

    asyncio.run(play())


@pytest.mark.parametrize(
    "other",
    [
        b'<v:E xmlns:v="u" a="1" b="2" ><W>text</W></v:E >',
        b'<?xml version="1.0"?>\n<v:E  xmlns:v="u" a="1"   b="2">\n  <W>text</W>\n</v:E>\n',
        b'<v:E xmlns:v="u" a="1" b="2"><!-- seen by me --><W>text</W></v:E>',
    ],
)
def test_how_it_is_written_makes_no_other_event(other):
    one = b'<v:E xmlns:v="u" a="1" b="2"><W>text</W></v:E>'
    assert key_of("ivo://a", parse_xml(one)) == key_of("ivo://a", parse_xml(other))


def test_what_it_says_makes_another_event():
    keys = {key_of("ivo://a", parse_xml(b'<E a="%d"><W>%s</W></E>' % (n, w))) for n in (1, 2) for w in (b"x", b"x y")}
    assert len(keys) == 4
    assert key_of_unreadable(b"<E") != key_of_unreadable(b"<E ")
