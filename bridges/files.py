"""Messages out of files, folders and tar archives."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bridges.archives import is_archive, read_archive, too_large
from schemas.errors import ConfigurationError, Reason
from schemas.records import Message, Rejection

MESSAGE_BYTES_MAX = 64 << 20
"""Largest single file or archive member that is read; GCN's own limit is 4 MiB, maps reach tens."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file below one of the given paths, with the name that messages from it carry: beginning with the given
    file's or folder's own name, so that it does not matter from where the path was given."""

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
        shown = Path(path.resolve().name)
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
                    yield from read_archive(raw, file.label, bytes_max, on_progress)
                else:
                    yield _whole(raw, file, bytes_max)
                    on_progress(file.size)
        except OSError as error:
            yield Rejection(file.label, Reason.CORRUPT, f"cannot be read: {error.strerror or error}")


def _whole(raw: BinaryIO, file: FoundFile, bytes_max: int) -> Message | Rejection:
    if file.size > bytes_max:
        return too_large(file.label, file.size, bytes_max)
    return Message(raw.read(bytes_max), file.label)
