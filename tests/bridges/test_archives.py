"""Archives that are damaged, or whose headers lie about what follows."""

import bz2
import gzip
import io
import lzma
import tarfile
import zlib

import pytest

from bridges.archives import HEADER_BYTES, NAME_LENGTH, read_archive
from schemas.errors import Reason
from schemas.records import Message, Rejection

BODY = b"x" * 700
"""With its header, a member of 1536 bytes."""
STEP = 1536
MOST = 1 << 20
MIB = bytes(1 << 20)


def tar_of(*names: str, format: int = tarfile.USTAR_FORMAT) -> bytes:  # noqa: A002 - tarfile's own word
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(BODY)
            archive.addfile(info, io.BytesIO(BODY))
    return out.getvalue()


def header(size: int, kind: bytes = tarfile.REGTYPE, name: str = "made") -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


FIVE = tar_of(*"abcde")


def read(body: bytes) -> tuple[list[str], list[tuple[str, Reason]]]:
    """Names of the messages, and origins and reasons of the rejections."""
    seen = list(read_archive(io.BytesIO(body), "n.tar", MOST, lambda _read: None))
    names = [one.origin.removeprefix("n.tar/") for one in seen if isinstance(one, Message)]
    return names, [(one.origin, Reason(one.reason)) for one in seen if isinstance(one, Rejection)]


def with_bit_changed(body: bytes, at: int) -> bytes:
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_damaged_header_is_told_and_not_taken_for_the_end(pack):
    assert read(pack(FIVE)) == (list("abcde"), [])
    damaged = with_bit_changed(FIVE, 2 * STEP + 10)
    assert read(pack(damaged)) == (["a", "b"], [("n.tar", Reason.CORRUPT)])


@pytest.mark.parametrize("cut", [3 * STEP, 3 * STEP + 100, 5 * STEP])
def test_an_archive_that_is_cut_short_is_told_wherever_the_cut_is(cut):
    names, rejected = read(FIVE[:cut])
    assert names == list("abcde")[: cut // STEP]
    assert rejected == [("n.tar", Reason.CORRUPT)]


@pytest.mark.parametrize("body", [b"", gzip.compress(b""), b"no archive", FIVE[:100]])
def test_what_is_no_archive_but_is_called_one(body):
    assert read(body) == ([], [("n.tar", Reason.CORRUPT)])


def test_a_claimed_size_beyond_the_end_is_not_stepped_through():
    names, rejected = read(FIVE[:STEP] + header(10**12) + BODY)
    assert names == ["a"]
    assert rejected == [("n.tar/made", Reason.TOO_LARGE), ("n.tar", Reason.CORRUPT)]


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_negative_size_is_refused(kind):
    assert read(FIVE[:STEP] + header(-512, kind) + FIVE[STEP:]) == (["a"], [("n.tar", Reason.CORRUPT)])


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_stands_between_two_members_is_bounded(kind, pack):
    bomb = FIVE[:STEP] + header(3 * HEADER_BYTES, kind) + MIB * 3 + FIVE[STEP:]
    assert read(pack(bomb)) == (["a"], [("n.tar", Reason.TOO_LARGE)])


def test_holes_do_not_widen_the_bound():
    """A file of one TB of holes, and behind it a name of 3 MiB."""
    holes = bytearray(header(512, tarfile.GNUTYPE_SPARSE))
    holes[386:410] = b"%011o\0%011o\0" % (0, 512)
    holes[483:495] = b"\x80" + (10**12).to_bytes(11, "big")
    holes[148:156] = b" " * 8
    holes[148:156] = b"%06o\0 " % sum(holes)
    name = header(3 * HEADER_BYTES, tarfile.GNUTYPE_LONGNAME) + b"n" * (3 * HEADER_BYTES)
    names, rejected = read(FIVE[:STEP] + bytes(holes) + bytes(512) + name + FIVE[STEP:])
    assert names == ["a"]
    assert rejected == [("n.tar/made", Reason.TOO_LARGE), ("n.tar", Reason.TOO_LARGE)]


def test_an_archive_may_not_unpack_to_more_than_its_share():
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    parts = [packer.compress(FIVE[:STEP] + header(400 << 20))]
    parts += [packer.compress(MIB) for _ in range(400)]
    bomb = b"".join([*parts, packer.compress(FIVE[STEP:]), packer.flush()])
    assert len(bomb) < 500_000
    names, rejected = read(bomb)
    assert names == ["a"]
    assert rejected == [("n.tar/made", Reason.TOO_LARGE), ("n.tar", Reason.TOO_LARGE)]


def test_long_names_are_cut():
    names, rejected = read(tar_of("d/" * 5000 + "night.avro", "short", format=tarfile.PAX_FORMAT))
    assert [len(name) for name in names] == [NAME_LENGTH, 5]
    assert names[0].startswith("...")
    assert names[0].endswith("d/night.avro")
    assert rejected == []


def test_xz_with_a_giant_window_takes_no_memory():
    """The window is only claimed: one byte of the block's header, and its checksum."""
    packed = bytearray(lzma.compress(FIVE, check=lzma.CHECK_NONE))
    assert packed[14:16] == b"\x21\x01"
    packed[16] = 40  # 4 GiB
    size = (packed[12] + 1) * 4
    packed[12 + size - 4 : 12 + size] = zlib.crc32(bytes(packed[12 : 12 + size - 4])).to_bytes(4, "little")
    names, rejected = read(bytes(packed))
    assert (names, rejected) in [(list("abcde"), []), ([], [("n.tar", Reason.CORRUPT)])]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (5 << 20) + 7])
def test_large_members_come_whole(pack, size):
    body = bytes(range(256)) * (size // 256 + 1)
    packed = pack(header(size) + body[:size] + bytes(-size % 512) + FIVE)
    first, *others = read_archive(io.BytesIO(packed), "n.tar", 8 << 20, lambda _read: None)
    assert first.body == body[:size]
    assert [one.body for one in others] == [BODY] * 5


def test_a_file_with_holes_comes_with_zeros_in_them():
    """Two stretches of 512 bytes, at 1024 and at 4096, of a file of 5000."""
    made = bytearray(header(1024, tarfile.GNUTYPE_SPARSE))
    made[386:434] = b"".join(b"%011o\0" % number for number in (1024, 512, 4096, 512))
    made[483:495] = b"%011o\0" % 5000
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    archive = bytes(made) + b"a" * 512 + b"b" * 512 + FIVE
    first, *others = read_archive(io.BytesIO(archive), "n.tar", MOST, lambda _read: None)
    assert first.body == bytes(1024) + b"a" * 512 + bytes(2560) + b"b" * 512 + bytes(392)
    assert len(others) == 5


def test_an_archive_that_breaks_off_in_a_large_member_is_told():
    names, rejected = read(FIVE[:STEP] + header(MOST) + bytes(MOST // 2))
    assert names == ["a"]
    assert rejected == [("n.tar", Reason.CORRUPT)]
