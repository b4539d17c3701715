"""Tar archives as streams of messages, never unpacked to disk, and bounded whatever their headers claim.

Python's tarfile takes a damaged header for the end of an archive, reads what stands between two members (long names,
attributes, maps of holes) whole, and steps through a claimed size block by block even past the end of the file. Here
the first is an error, the second has a bound, and so has what an archive may unpack to.
"""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, Self, cast

from schemas.bounded import MAX_RATIO
from schemas.errors import Reason
from schemas.records import Message, Rejection

ENDINGS: Final = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
HEADER_BYTES: Final = 1 << 20
"""Most that may stand between the data of two members; a name and its attributes take some kB."""
ALWAYS_ALLOWED: Final = 256 << 20
"""Bytes that an archive may unpack to whatever their ratio to its size; beyond, at most `MAX_RATIO` times its size."""
_PIECE_BYTES: Final = 1 << 20
"""Most that is unpacked before it is asked whether that is too much."""
NAME_LENGTH: Final = 200
"""Longer names of members are cut at their beginning: every alert carries where it came from."""

_DECOMPRESSORS: Final[tuple[tuple[bytes, Callable[[BinaryIO], object]], ...]] = (
    (b"\x1f\x8b", lambda raw: gzip.GzipFile(fileobj=raw)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
)
_USTAR_OFFSET: Final = 257
_BROKEN: Final = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, ValueError, MemoryError)
"""MemoryError: xz may ask for a window of 4 GiB, and is refused where memory is limited."""


def is_archive(raw: BinaryIO, name: str) -> bool:
    """Whether a seekable stream is a tar archive, plain or compressed; leaves it at its start."""
    raw.seek(0)
    head = raw.read(512)
    try:
        head = _unpacked(raw).read(512)
    except _BROKEN:
        head = b"" if _decompressor(head) else head
    raw.seek(0)
    is_tar = head[_USTAR_OFFSET : _USTAR_OFFSET + 5] == b"ustar"
    return is_tar or name.lower().endswith(ENDINGS)


def read_archive(
    raw: BinaryIO, label: str, bytes_max: int, on_progress: Callable[[int], None]
) -> Iterator[Message | Rejection]:
    """Every regular member as a message, in order; what cannot be read as a rejection.

    At most one message of at most ``bytes_max`` is in memory at a time.

    Parameters
    ----------
    raw
        The file, seekable.
    label
        What the origins of its messages begin with.
    on_progress
        Called with the bytes of the file that were newly read.
    """
    told = 0
    try:
        stream = _Metered(raw)
        with tarfile.TarFile(fileobj=cast("BinaryIO", stream), tarinfo=_Member) as archive:
            for member in archive:
                origin = f"{label}/{_shown(member.name)}"
                # Of a file with holes, the size with the holes says nothing of the bytes that follow.
                stream.left = (min(member.size, bytes_max) if member.issparse() else member.size) + HEADER_BYTES
                if member.isfile() and member.size > bytes_max:
                    yield too_large(origin, member.size, bytes_max)
                elif member.isfile() and not member.issparse():
                    # Past tarfile's own file object, which would copy every body twice.
                    stream.seek(member.offset_data)
                    yield Message(stream.read(member.size), origin)
                elif member.isfile():
                    opened = archive.extractfile(member)
                    yield Message(opened.read() if opened else b"", origin)
                # Else the headers of the whole night stay in memory.
                archive.members.clear()  # type: ignore[attr-defined]
                archive.pax_headers = {}
                on_progress(raw.tell() - told)
                told = raw.tell()
    except _Excess as excess:
        yield Rejection(label, Reason.TOO_LARGE, str(excess))
    except _BROKEN as error:
        yield Rejection(label, Reason.CORRUPT, f"the archive breaks off or is damaged: {error}")


def too_large(origin: str, size: int, bytes_max: int) -> Rejection:
    """The rejection of a file or member of more than ``bytes_max``."""
    return Rejection(origin, Reason.TOO_LARGE, f"{size} bytes; at most {bytes_max} are read")


def _decompressor(head: bytes) -> Callable[[BinaryIO], object] | None:
    return next((opened for magic, opened in _DECOMPRESSORS if head.startswith(magic)), None)


def _unpacked(raw: BinaryIO) -> BinaryIO:
    """The stream from its start, through its decompressor if it needs one."""
    raw.seek(0)
    opened = _decompressor(raw.read(6))
    raw.seek(0)
    return cast("BinaryIO", opened(raw)) if opened else raw


def _shown(name: str) -> str:
    return name if len(name) <= NAME_LENGTH else f"...{name[3 - NAME_LENGTH :]}"


class _Excess(tarfile.ReadError):
    """More came out of an archive than is allowed."""


class _Metered:
    """What tarfile reads from, forwards only: ends with an error, and gives no more than ``left`` bytes.

    tarfile's own stream reads block by block of 10 kB and joins them, which takes longer than to read the packets.

    Attributes
    ----------
    left
        How many bytes may still be read before the next member.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self.left = HEADER_BYTES
        self._raw, self._plain = raw, _unpacked(raw)
        self._position = 0

    def tell(self) -> int:
        """How many bytes were read."""
        return self._position

    def seek(self, position: int) -> int:
        """Read until there; tarfile never goes back."""
        while self._position < position:
            self._piece(min(position - self._position, _PIECE_BYTES))
        return self._position

    def read(self, size: int) -> bytes:
        """So many of the next bytes; tarfile stops by itself at the mark that ends an archive."""
        if size <= _PIECE_BYTES:
            return self._piece(size)
        if size > self.left:
            raise self._excess()
        return b"".join([self._piece(min(size - start, _PIECE_BYTES)) for start in range(0, size, _PIECE_BYTES)])

    def _piece(self, size: int) -> bytes:
        self.left -= size
        if self.left < 0:
            raise self._excess()
        data = self._plain.read(size)
        if len(data) < size:
            raise tarfile.ReadError("it ends without its end mark")
        self._position += size
        if self._position > ALWAYS_ALLOWED and self._position > MAX_RATIO * self._raw.tell():
            raise _Excess(f"the archive unpacks to more than {MAX_RATIO} times its size")
        return data

    @staticmethod
    def _excess() -> _Excess:
        return _Excess(f"more than {HEADER_BYTES} bytes stand between two members")


class _Member(tarfile.TarInfo):
    """A member whose header is damaged is an error, not the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not any(buf):
                raise  # a block of zeros is the mark that ends the archive
            raise tarfile.ReadError(f"the header of a member is damaged: {error}") from error
        if member.size < 0:
            raise tarfile.ReadError(f"a member claims {member.size} bytes")
        return member
