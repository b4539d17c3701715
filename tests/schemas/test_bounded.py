"""gunzip gives back what gzip packed, and never more than it may."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.bounded import ALWAYS_ALLOWED, MAX_RATIO, gunzip, is_gzip
from schemas.errors import BadInput, Reason


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=4), st.integers(0, 9))
def test_members_come_back_joined(parts: list[bytes], level: int) -> None:
    packed = b"".join(gzip.compress(part, level) for part in parts)
    assert is_gzip(packed)
    assert gunzip(packed, 12_000) == b"".join(parts)


@given(st.binary(max_size=400), st.data())
def test_every_proper_part_is_truncated(body: bytes, data: st.DataObject) -> None:
    packed = gzip.compress(body)
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(BadInput) as caught:
        gunzip(packed[:cut], 10_000)
    assert caught.value.reason is Reason.TRUNCATED


@given(st.binary(max_size=300))
def test_any_bytes_give_bytes_or_bad_input(body: bytes) -> None:
    for candidate in (body, b"\x1f\x8b\x08\x00" + body, gzip.compress(body)[:-3] + b"xyz"):
        try:
            assert isinstance(gunzip(candidate, 1000), bytes)
        except BadInput as error:
            assert error.reason in {Reason.TRUNCATED, Reason.CORRUPT, Reason.TOO_LARGE}  # noqa: PT017


def test_a_wrong_checksum_and_trailing_rubbish_are_corrupt() -> None:
    packed = bytearray(gzip.compress(b"sky" * 100))
    packed[-5] ^= 0xFF
    for bad in (bytes(packed), gzip.compress(b"sky") + b"rubbish", b"no gzip at all"):
        with pytest.raises(BadInput) as caught:
            gunzip(bad, 1000)
        assert caught.value.reason is Reason.CORRUPT


def test_zero_padding_after_the_end_is_allowed() -> None:
    assert gunzip(gzip.compress(b"sky") + b"\0" * 512, 1000) == b"sky"


@pytest.mark.parametrize(
    ("size", "limit", "fits"), [(1000, 1000, True), (1001, 1000, False), (0, 0, True), (1, 0, False)]
)
def test_the_limit_is_exact(size: int, limit: int, fits: bool) -> None:
    packed = gzip.compress(b"\0" * size)
    if fits:
        assert len(gunzip(packed, limit)) == size
        return
    with pytest.raises(BadInput, match="bytes allowed") as caught:
        gunzip(packed, limit)
    assert caught.value.reason is Reason.TOO_LARGE


def test_a_bomb_is_refused_by_its_ratio_and_costs_little() -> None:
    bomb = _bomb(200 << 20)
    assert len(bomb) < 300_000
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match=f"{MAX_RATIO} times") as caught:
            gunzip(bomb, 1 << 40)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.reason is Reason.TOO_LARGE
    assert peak < 1.2 * MAX_RATIO * len(bomb)


def test_what_is_small_may_have_any_ratio() -> None:
    assert len(gunzip(_bomb(ALWAYS_ALLOWED), 1 << 30)) == ALWAYS_ALLOWED


def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    zeros = bytes(1 << 20)
    return b"".join(packer.compress(zeros) for _ in range(size >> 20)) + packer.flush()
