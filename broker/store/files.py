"""Folders of sealed columns: one file a column, as numpy writes them, whole or not there.

A folder is written under a temporary name, brought to the disk, and renamed; only then may the database name it.
What the database does not name is a leftover.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from matchers.nights import Night
from schemas.errors import StarcrossError

SEALED = "sealed"
_PARTIAL = ".partial"
_SUFFIX = ".npy"
_DIGEST_BYTES = 16
_READ_BYTES = 1 << 20
_WRITTEN_BYTES = 1 << 20
"""Written at a time, without a copy: between two of them other threads get their turn."""


_HEAD = re.compile(
    rb"\x93NUMPY\x01\x00..{'descr': '([<|][a-zA-Z]\d+)', 'fortran_order': False, 'shape': \((\d+),\), } *\n", re.DOTALL
)
"""What stands before the values of a column that is not empty."""
_HEAD_BYTES = 128


class StoreDamaged(StarcrossError):  # noqa: N818 - what is the matter, as the log shows it
    """A sealed file is missing or not what was written; the message names it."""


@dataclass(frozen=True, slots=True)
class SealedFile:
    """What the database knows of a file: its name in its folder, its size and its BLAKE2b digest."""

    name: str
    size: int
    digest: bytes


def write_columns(folder: Path, columns: Mapping[str, NDArray[Any]]) -> list[SealedFile]:
    """Write a folder of columns that is there wholly, on the disk, or not at all.

    Parameters
    ----------
    folder
        Is not there yet; the folder above it is.

    Raises
    ------
    OSError
        If the disk does not take it; nothing of that name is there then.
    """
    partial = folder.with_name(folder.name + _PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        files = [_write_column(partial / f"{name}{_SUFFIX}", column) for name, column in columns.items()]
        _sync_folder(partial)
        partial.rename(folder)
        _sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return files


def _write_column(path: Path, column: NDArray[Any]) -> SealedFile:
    with path.open("xb") as stream:
        hashed = _Hashed(stream)
        np.lib.format.write_array_header_1_0(hashed, np.lib.format.header_data_from_array_1_0(column))
        values = np.ascontiguousarray(column).view(np.uint8).data
        for start in range(0, len(values), _WRITTEN_BYTES):
            hashed.write(values[start : start + _WRITTEN_BYTES])
        stream.flush()
        os.fsync(stream.fileno())
    return SealedFile(path.name, hashed.size, hashed.digest.digest())


class _Hashed:
    """A file that is written, with the digest of what was."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size = 0
        self.digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)

    def write(self, part: bytes | memoryview) -> int:
        self.digest.update(part)
        self.size += len(part)
        return self._stream.write(part)


def _sync_folder(folder: Path) -> None:
    """A new name is on the disk only once its folder is."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def remove_leftovers(sealed: Path, named: Collection[str]) -> list[str]:
    """Remove the folders that the database does not name; returns their names."""
    gone = sorted(path.name for path in sealed.iterdir() if path.name not in named)
    for name in gone:
        remove_folder(sealed / name)
    return gone


def discard(folder: Path) -> None:
    """Remove a folder whose writing was broken off."""
    remove_folder(folder)
    remove_folder(folder.with_name(folder.name + _PARTIAL))


def remove_folder(folder: Path) -> None:
    """Remove a folder of columns; whoever has mapped it keeps what they have."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
    else:
        folder.unlink(missing_ok=True)


def check_sizes(folder: Path, files: Sequence[SealedFile]) -> None:
    """See at a glance that a folder is what was written; `check_file` reads all of it.

    Raises
    ------
    StoreDamaged
        If a file is missing or of another size.
    """
    for file in files:
        try:
            size = (folder / file.name).stat().st_size
        except OSError as error:
            raise StoreDamaged(f"{folder.name}/{file.name}: {error.strerror}") from error
        if size != file.size:
            raise StoreDamaged(f"{folder.name}/{file.name}: {size} bytes instead of {file.size}")


def check_file(path: Path, known: SealedFile) -> str | None:
    """What is wrong with a file; None if it is the one that was written."""
    try:
        size = path.stat().st_size
        if size != known.size:
            return f"{size} bytes instead of {known.size}"
        digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        with path.open("rb") as stream:
            while part := stream.read(_READ_BYTES):
                digest.update(part)
    except OSError as error:
        return error.strerror or str(error)
    return None if digest.digest() == known.digest else "its content is not what was written"


def map_columns(folder: Path, mode: Literal["r", "c"]) -> dict[str, NDArray[Any]]:
    """Columns as they lie in a folder, mapped.

    Raises
    ------
    StoreDamaged
        If the folder is missing or a file of it cannot be mapped.
    """
    columns = {}
    try:
        for path in sorted(folder.iterdir()):
            columns[path.stem] = _mapped(path, mode)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise StoreDamaged(f"{folder.name}: a sealed column cannot be read: {error}") from error
    return columns


def _mapped(path: Path, mode: Literal["r", "c"]) -> NDArray[Any]:
    """As `np.load` maps a column, which takes five times as long: a store has a thousand of them."""
    with path.open("rb") as stream:
        found = _HEAD.match(stream.read(_HEAD_BYTES))
        if found is None:
            return np.asanyarray(np.load(path, mmap_mode=mode, allow_pickle=False))
        return np.memmap(stream, found[1].decode(), mode, found.end(), (int(found[2]),))


def map_night(folder: Path, survey: str) -> Night:
    """A sealed part of a night; nothing is read but the heads of the files.

    Raises
    ------
    StoreDamaged
        If something of it is missing or cannot be mapped.
    """
    columns = map_columns(folder, "r")
    try:
        return Night.of_arrays(survey, columns)
    except ValueError as error:
        raise StoreDamaged(f"{folder.name}: {error}") from error


def map_objects(folder: Path) -> dict[str, NDArray[Any]]:
    """What a checkpoint knows of objects, mapped so that changes stay in memory.

    Raises
    ------
    StoreDamaged
        As `map_columns`.
    """
    return map_columns(folder, "c")
