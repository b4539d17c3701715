"""Files of past nights as a source of messages, in the shape of the live ones."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import monotonic

import structlog
from pydantic import Field

from bridges.emit import Emit, Positions
from bridges.files import FoundFile, find_files, read_files
from bridges.options import Options
from schemas.records import Message, Rejection

log = structlog.get_logger()

_MIB = 1 << 20


class ReplayOptions(Options):
    """Files, folders and tar archives that are played once."""

    paths: tuple[Path, ...] = Field(
        min_length=1, description="Files and folders, played in this order and by name; relative to this file."
    )
    messages_per_s: float | None = Field(None, gt=0, description="How fast; by default as fast as they are taken.")
    batch_messages: int = Field(500, ge=1, le=100_000, description="Messages that are handed over at a time.")
    message_mib: int = Field(64, ge=1, le=4096, description="Largest file or archive member that is read, in MiB.")


class ReplaySource:
    """Plays files. Started again, it goes on behind the last batch that was kept, and plays files that are new.

    Parameters
    ----------
    folder
        Where relative paths of the configuration start.
    clock, sleep
        Seconds that only grow, and a wait; for tests.
    """

    def __init__(
        self,
        options: ReplayOptions,
        folder: Path,
        *,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._options, self._folder, self._clock, self._sleep = options, folder, clock, sleep

    async def run(self, emit: Emit) -> None:
        """Play all, and return.

        Raises
        ------
        ConfigurationError
            If a path does not exist.
        """
        options = self._options
        files = await asyncio.to_thread(self._files)
        played = self._played(files, emit.positions)
        began_s, sent = self._clock(), 0
        while batch := await asyncio.to_thread(lambda: list(islice(played, options.batch_messages))):
            sent += len(batch)
            if options.messages_per_s is not None:
                # A batch is due when its last message is.
                await self._sleep(max(0.0, began_s + sent / options.messages_per_s - self._clock()))
            await emit([message for message, _, _ in batch], {name: number for _, name, number in batch})

    async def check(self) -> str:
        """For `starcross check --connect`: what there is to be played.

        Raises
        ------
        ConfigurationError
            If a path does not exist.
        """
        files = await asyncio.to_thread(self._files)
        return f"{len(files)} files, {sum(file.size for file in files) / _MIB:.1f} MiB"

    def _files(self) -> list[FoundFile]:
        return find_files([self._folder / path for path in self._options.paths])

    def _played(self, files: list[FoundFile], positions: Positions) -> Iterator[tuple[Message, str, int]]:
        """What was not played yet, with the name of its file's position and its number in the file, from 1."""
        for file in files:
            name, number = _plain(os.path.relpath(file.path, self._folder)), 0
            for found in read_files([file], bytes_max=self._options.message_mib * _MIB):
                if isinstance(found, Rejection):
                    log.warning("unreadable file", origin=found.origin, reason=found.reason, detail=found.detail)
                    continue
                number += 1
                if number > positions.get(name, 0):
                    yield replace(found, origin=_plain(found.origin)), name, number


def _plain(name: str) -> str:
    """As any store can keep it: the names of files need not be text."""
    return name.encode("utf-8", "backslashreplace").decode()
