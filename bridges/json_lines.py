"""Publications as lines of JSON, one each, appended to a file or written to standard output.

What `send` has returned for is on the disk. A line that a crash tore is removed before the next one is written: it
was never acknowledged and comes again. So does a line whose acknowledgement was lost: readers know it by its
coincidence's id and revision.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Iterable, Sequence
from io import FileIO
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from pydantic import Field, field_validator

from bridges.delivery import Undelivered, publication_json
from bridges.options import Options
from schemas.errors import ConfigurationError
from schemas.records import Publication
from schemas.times import US_PER_DAY, iso_from_us

STANDARD_OUTPUT: Final = "-"

_NIGHT: Final = "{night}"
_NOON_US: Final = US_PER_DAY * 3 // 4
_OUR_BEGINNING: Final = b'{"substreams":['
_BLOCK_BYTES: Final = 1 << 16
_LINE_BYTES_MAX: Final = 8 << 20
"""No line of ours is longer."""


class JsonLinesOptions(Options):
    """Where lines are appended."""

    path: str = Field(
        "coincidences-{night}.jsonl",
        description="A file, relative to the configuration file; `{night}` becomes the date on which the night of the "
        "change began (from 18 h UTC), such as 2026-11-21. `-` is standard output.",
    )

    @field_validator("path")
    @classmethod
    def _names_a_file(cls, path: str) -> str:
        if not path or path.endswith("/"):
            raise ValueError("expected the name of a file")
        if _NIGHT in str(Path(path).parent):
            raise ValueError("{night} may stand in the name of the file only")
        return path


class JsonLinesSink:
    """Appends lines. The file is opened anew for each batch, so that it can be moved away or removed at any time.

    Parameters
    ----------
    folder
        Where relative paths of the configuration start.
    """

    def __init__(self, options: JsonLinesOptions, folder: Path) -> None:
        self._path: Literal["-"] | Path = "-" if options.path == STANDARD_OUTPUT else folder / options.path
        self._one_at_a_time = threading.Lock()
        self._named_on_disk: Path | None = None

    async def check(self) -> str:
        """For `starcross check --connect`: whether its folder can be written to.

        Raises
        ------
        ConfigurationError
            If it cannot.
        """
        if not isinstance(self._path, Path):
            return "standard output"
        folder = self._path.parent
        there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            raise ConfigurationError(f"{there}: cannot be written to")
        return f"{folder} can be written to"

    async def __aenter__(self) -> Self:
        """Make the folder.

        Raises
        ------
        ConfigurationError
            If there can be no such folder.
        """
        if isinstance(self._path, Path):
            try:
                await asyncio.to_thread(self._path.parent.mkdir, parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigurationError(f"{self._path.parent}: cannot be a folder: {error.strerror}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Nothing stays open between two calls of `send`."""

    async def send(self, publications: Sequence[Publication]) -> None:
        """Return once all lines are on the disk (or given to standard output).

        Raises
        ------
        Undelivered
            If they cannot be written.
        """
        await asyncio.to_thread(self._write, publications)

    def _write(self, publications: Sequence[Publication]) -> None:
        with self._one_at_a_time:  # a cancelled call goes on in its thread
            try:
                if isinstance(self._path, Path):
                    for path, lines in groupby(publications, self._file_of):
                        self._append(path, _lines(lines))
                else:
                    sys.stdout.buffer.write(_lines(publications))
                    sys.stdout.buffer.flush()
            except OSError as error:
                raise Undelivered(f"{self._path}: cannot be written: {error.strerror or error}") from error

    def _file_of(self, publication: Publication) -> Path:
        path = Path(self._path)
        return path.with_name(path.name.replace(_NIGHT, night_date(publication.coincidence.changed_us)))

    def _append(self, path: Path, lines: bytes) -> None:
        """Append lines, and see them onto the disk, the file's name in its folder included."""
        with path.open("a+b", buffering=0) as file:
            kept_bytes = _mend(file)
            rest = memoryview(lines)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        if not kept_bytes or path != self._named_on_disk:
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            self._named_on_disk = path


def night_date(instant_us: int) -> str:
    """The UTC date on which the night of an instant began, at 18 h UTC, which is noon in the western Americas."""
    return iso_from_us(instant_us - _NOON_US)[:10]


def _lines(publications: Iterable[Publication]) -> bytes:
    return "".join(publication_json(publication) + "\n" for publication in publications).encode("ascii")


def _mend(file: FileIO) -> int:
    """Remove a torn last line of ours; only end one that somebody else has left open. Returns the bytes there are."""
    size = file.seek(0, os.SEEK_END)
    start, torn = size, b""
    while start and b"\n" not in torn and len(torn) < _LINE_BYTES_MAX:
        end, start = start, max(start - _BLOCK_BYTES, 0)
        file.seek(start)
        torn = file.read(end - start) + torn
    torn = torn[torn.rfind(b"\n") + 1 :]
    if torn and (torn.startswith(_OUR_BEGINNING) or _OUR_BEGINNING.startswith(torn)):
        return file.truncate(size - len(torn))
    return size + (file.write(b"\n") if torn else 0)
