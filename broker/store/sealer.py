"""Makes sealed files of a night's alerts; as a program (``python -m broker.store.sealer``) for another process.

numpy sorts and gathers millions of rows without letting go of the interpreter, which would hold up the event loop, so
that `broker.store.sealer_process` has it done here. The work comes as `send` writes it, and the answer is one line of
JSON. Nothing is kept: whoever asked is gone once standard input ends, and so is this process.
"""

import json
import os
import pickle
import signal
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from threading import Thread
from typing import IO, Any, Protocol

from broker.store.files import SealedFile, map_night, write_columns
from matchers.nights import Night

READY = b"ready\n"
"""Said once everything is imported."""
_NICE = 10
"""Alerts that come in go before those that were kept long ago."""
_SENT_BYTES = 1 << 20
_LENGTH = struct.Struct("<Q")


class Work(Protocol):
    """A sealed folder to be made."""

    @property
    def survey(self) -> str:
        """Whose alerts they are."""

    @property
    def folder(self) -> Path:
        """Is not there yet; the folder above it is."""

    @property
    def rows(self) -> int:
        """How many alerts it is of, or more."""

    def write(self) -> list[SealedFile]:
        """Write the folder, as `write_columns` does; no files if no alert is left."""


@dataclass(frozen=True, slots=True, eq=False)
class SealNight:
    """A closed part of a night that lies in memory is to be sealed."""

    night: Night
    folder: Path

    @property
    def survey(self) -> str:
        """As `Work` has it."""
        return self.night.survey

    @property
    def rows(self) -> int:
        """As `Work` has it."""
        return self.night.rows

    def write(self) -> list[SealedFile]:
        """As `Work` has it."""
        return _written(self.night.sealed(), self.folder)


@dataclass(frozen=True, slots=True, eq=False)
class MergeParts:
    """Sealed folders of one night are to become one."""

    survey: str
    parts: Sequence[Path]
    rows: int
    folder: Path

    def write(self) -> list[SealedFile]:
        """As `Work` has it."""
        return _written(Night.merged([map_night(part, self.survey) for part in self.parts]), self.folder)


def _written(night: Night, folder: Path) -> list[SealedFile]:
    return write_columns(folder, night.arrays()) if night.rows else []


def send(work: Work, pipe: IO[bytes]) -> None:
    """Write work to an unbuffered pipe; its arrays go as they lie in memory, a piece at a time.

    Raises
    ------
    OSError
        If nobody reads it.
    """
    arrays: list[pickle.PickleBuffer] = []
    told = pickle.dumps(work, protocol=5, buffer_callback=arrays.append)
    parts = [memoryview(told), *(array.raw() for array in arrays)]
    _write(pipe, memoryview(_LENGTH.pack(len(parts))))
    for part in parts:
        _write(pipe, memoryview(_LENGTH.pack(part.nbytes)))
        for start in range(0, part.nbytes, _SENT_BYTES):
            _write(pipe, part[start : start + _SENT_BYTES])


def _write(pipe: IO[bytes], part: memoryview) -> None:
    while part:
        part = part[pipe.write(part) :]


def receive(pipe: FileIO) -> Any:
    """What `send` wrote.

    Raises
    ------
    EOFError
        If the other side went away before it was done.
    """
    (count,) = _LENGTH.unpack(_read(pipe, _LENGTH.size))
    told, *arrays = [_read(pipe, *_LENGTH.unpack(_read(pipe, _LENGTH.size))) for _ in range(count)]
    return pickle.loads(told, buffers=arrays)  # noqa: S301 - what our own process sent


def _read(pipe: FileIO, length: int) -> bytearray:
    part = bytearray(length)
    left = memoryview(part)
    while left:
        count = pipe.readinto(left)
        if not count:
            raise EOFError("the other side went away")
        left = left[count:]
    return part


def answer_of(files: Sequence[SealedFile]) -> dict[str, Any]:
    """The answer if all went well; `files_of` reads it."""
    return {"files": [[file.name, file.size, file.digest.hex()] for file in files]}


def files_of(answer: dict[str, Any]) -> list[SealedFile]:
    """The files that were written.

    Raises
    ------
    OSError
        As it was raised by whoever wrote them.
    """
    if "errno" in answer:
        raise OSError(answer["errno"], answer["trouble"], answer["file"])
    return [SealedFile(name, size, bytes.fromhex(digest)) for name, size, digest in answer["files"]]


def _end_with(pipe: FileIO) -> None:
    """End at once when whoever asked does, however that ends."""
    with suppress(OSError):
        pipe.read(1)
    os._exit(1)


def main() -> None:
    """Do what standard input says, and answer to standard output."""
    # Who stops the service, by a terminal or systemd, signals all its processes; it is the service that ends this one.
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    with suppress(AttributeError, OSError):
        os.nice(_NICE)
    with open(0, "rb", buffering=0, closefd=False) as asked:
        sys.stdout.buffer.write(READY)
        sys.stdout.flush()
        work: Work = receive(asked)
        Thread(target=_end_with, args=[asked], daemon=True).start()
        try:
            answer = answer_of(work.write())
        except OSError as error:
            answer = {"errno": error.errno, "trouble": error.strerror or str(error), "file": error.filename}
        sys.stdout.write(json.dumps(answer, default=str) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
