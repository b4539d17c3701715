"""Messages out of files, folders and tar archives, read as streams and never unpacked to disk."""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from schemas.errors import ConfigurationError, Reason
from schemas.records import Message, Rejection

ARCHIVE_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MESSAGE_BYTES_MAX = 64 << 20
"""Largest single file or archive member that is read; GCN's own limit is 4 MiB, maps reach tens."""

_DECOMPRESSORS: tuple[tuple[bytes, Callable[[BinaryIO], object]], ...] = (
    (b"\x1f\x8b", lambda raw: gzip.GzipFile(fileobj=raw)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
)
_USTAR_OFFSET = 257
_BROKEN_ARCHIVE = (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file below one of the given paths, with the name that messages from it carry."""

    path: Path
    label: str
    size: int


def find_files(paths: Iterable[Path]) -> list[FoundFile]:
    """All regular files at or below the paths, sorted by name within each folder, each once.

    Raises
    ------
    ConfigurationError
        If a path does not exist or cannot be listed.
    """
    found: dict[Path, FoundFile] = {}
    for path in paths:
        if not path.exists():
            raise ConfigurationError(f"no such file or folder: {path}")
        shown = path if not path.is_absolute() and ".." not in path.parts else Path(path.resolve().name)
        try:
            below = sorted(path.rglob("*")) if path.is_dir() else [path]
            for file in below:
                if file.is_file():
                    label = (shown / file.relative_to(path)).as_posix() if path.is_dir() else shown.as_posix()
                    found.setdefault(file.resolve(), FoundFile(file, label, file.stat().st_size))
        except OSError as error:
            raise ConfigurationError(f"cannot list {path}: {error.strerror}") from error
    return list(found.values())


def read_files(
    files: Sequence[FoundFile],
    *,
    bytes_max: int = MESSAGE_BYTES_MAX,
    on_progress: Callable[[int], None] = lambda _read: None,
) -> Iterator[Message | Rejection]:
    """Every message of the files in order; an archive gives one for each regular member.

    At most one message of at most ``bytes_max`` is in memory at a time.

    Parameters
    ----------
    on_progress
        Called with the bytes of the files on disk that were newly read.
    """
    for file in files:
        try:
            with file.path.open("rb") as raw:
                if is_archive(raw, file.label):
                    yield from _archive_members(raw, file.label, bytes_max, on_progress)
                else:
                    yield _whole(raw, file, bytes_max)
                    on_progress(file.size)
        except OSError as error:
            yield Rejection(file.label, Reason.CORRUPT, f"cannot be read: {error.strerror or error}")


def is_archive(raw: BinaryIO, name: str) -> bool:
    """Whether a seekable stream is a tar archive, plain or compressed; leaves it at its start."""
    raw.seek(0)
    head = raw.read(512)
    raw.seek(0)
    for magic, opened in _DECOMPRESSORS:
        if head.startswith(magic):
            try:
                head = cast("BinaryIO", opened(raw)).read(512)
            except _BROKEN_ARCHIVE:
                head = b""
            raw.seek(0)
            break
    is_tar = head[_USTAR_OFFSET : _USTAR_OFFSET + 5] == b"ustar"
    return is_tar or name.lower().endswith(ARCHIVE_ENDINGS)


def _whole(raw: BinaryIO, file: FoundFile, bytes_max: int) -> Message | Rejection:
    if file.size > bytes_max:
        return _too_large(file.label, file.size, bytes_max)
    return Message(raw.read(bytes_max), file.label)


def _archive_members(
    raw: BinaryIO, label: str, bytes_max: int, on_progress: Callable[[int], None]
) -> Iterator[Message | Rejection]:
    told = 0
    try:
        with tarfile.open(fileobj=raw, mode="r|*") as archive:
            for member in archive:
                origin = f"{label}/{member.name}"
                if member.isfile() and member.size > bytes_max:
                    yield _too_large(origin, member.size, bytes_max)
                elif member.isfile():
                    stream = archive.extractfile(member)
                    yield Message(stream.read() if stream else b"", origin)
                archive.members.clear()  # type: ignore[attr-defined]  # else it keeps every header of the night
                on_progress(raw.tell() - told)
                told = raw.tell()
    except _BROKEN_ARCHIVE as error:
        yield Rejection(label, Reason.CORRUPT, f"the archive breaks off or is damaged: {error}")


def _too_large(origin: str, size: int, bytes_max: int) -> Rejection:
    return Rejection(origin, Reason.TOO_LARGE, f"{size} bytes; at most {bytes_max} are read")
