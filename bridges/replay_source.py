"""Files of past nights as a source of messages, in the shape of the live ones."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from pathlib import Path
from time import monotonic

import structlog
from pydantic import Field

from bridges.emit import Emit
from bridges.files import find_files, read_files
from bridges.options import Options
from schemas.records import Message, Rejection

log = structlog.get_logger()

_TAKEN = "messages"
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
    """Plays files, and goes on behind the last batch that was kept when it is started again.

    Parameters
    ----------
    folder
        Where relative paths of the configuration start.
    sleep
        A wait; for tests.
    """

    def __init__(
        self,
        options: ReplayOptions,
        folder: Path,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._options, self._folder, self._sleep = options, folder, sleep

    async def run(self, emit: Emit) -> None:
        """Play all, and return.

        Raises
        ------
        ConfigurationError
            If a path does not exist.
        """
        options = self._options
        taken = emit.positions.get(_TAKEN, 0)
        files = await asyncio.to_thread(find_files, [self._folder / path for path in options.paths])
        messages = self._readable(read_files(files, bytes_max=options.message_mib * _MIB, on_progress=lambda _: None))
        await asyncio.to_thread(lambda: next(islice(messages, taken, taken), None))
        began_s, sent = monotonic(), 0
        while batch := await asyncio.to_thread(lambda: list(islice(messages, options.batch_messages))):
            if options.messages_per_s is not None:
                await self._sleep(max(0.0, began_s + (sent + len(batch)) / options.messages_per_s - monotonic()))
            sent += len(batch)
            await emit(batch, {_TAKEN: taken + sent})

    @staticmethod
    def _readable(found: Iterator[Message | Rejection]) -> Iterator[Message]:
        for message in found:
            if isinstance(message, Rejection):
                log.warning("unreadable file", origin=message.origin, reason=message.reason, detail=message.detail)
            else:
                yield message
