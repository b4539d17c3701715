"""A folder into which packets, notices, sky maps and tar archives are dropped: a site without Kafka can use rsync.

Only whole regular files are taken, in the order of their names: a file counts as whole once it has not changed for a
while. Names that begin with a dot (as rsync's temporary files do) or have the ending of an unfinished transfer are not
looked at; nor are links and special files, so that what is read always lies in the folder.
"""

import asyncio
import hashlib
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from time import monotonic
from typing import Final, Literal, Protocol, Self

import structlog
import watchfiles
from pydantic import Field, model_validator

from bridges.archives import is_archive, read_archive, too_large
from bridges.emit import Emit
from bridges.files import MESSAGE_BYTES_MAX
from bridges.options import Options
from schemas.errors import Reason
from schemas.records import Message, Rejection

log = structlog.get_logger()

BATCH_ITEMS: Final = 2000
BATCH_BYTES: Final = 16 << 20

_UNFINISHED: Final = (".part", ".partial", ".tmp", ".filepart", ".crdownload", ".swp", "~")
_DEBOUNCE_MS: Final = 100
_ROUND_MS: Final = 1000
_SHORTEST_PAUSE_S: Final = 0.05


class DropFolderOptions(Options):
    """Which folder is watched, and what becomes of its files."""

    path: Path = Field(description="The folder; relative to the configuration file.")
    patterns: tuple[str, ...] = Field(("*",), description="Names of files that are taken, with `*` and `?`.")
    recursive: bool = Field(True, description="Look into the folders below it too.")
    settle_s: float = Field(2.0, ge=0, le=3600, description="How long a file must not have changed.")
    after: Literal["keep", "move", "delete"] = Field(
        "keep", description="What becomes of a file that was taken, understood or not. One that cannot be opened stays."
    )
    done: Path | None = Field(
        None, description="Folder that files are moved to, by the same names; relative to the configuration file."
    )
    rescan_s: float = Field(
        15.0, gt=0, le=3600, description="Look at the folder at least so often; network file systems tell no changes."
    )

    @model_validator(mode="after")
    def _knows_where_to_move(self) -> Self:
        if (self.after == "move") != (self.done is not None):
            raise ValueError('`done` names the folder for after = "move", and only for that')
        return self


class FolderObserver(Protocol):
    """Is told what a folder source cannot tell by `emit`."""

    def unreadable(self, rejection: Rejection) -> None:
        """A file, or a member of an archive, could not be read at all; it is not tried again until it changes."""


@dataclass(frozen=True, slots=True)
class _Dropped:
    """A file in the folder.

    Attributes
    ----------
    name
        Its path below the folder, as text that any store can keep: the name of its position.
    fingerprint
        Changes when the file does: 62 bits of size, time of modification and permissions.
    """

    path: Path
    name: str
    fingerprint: int


@dataclass(frozen=True, slots=True)
class _Ended:
    """All of a file has been read; ``is_whole`` if all of it could be."""

    dropped: _Dropped
    is_whole: bool


_Item = Message | Rejection | _Ended


class DropFolderSource:
    """Watches a folder. A folder that is not there (yet, or not mounted) is waited for.

    Parameters
    ----------
    folder
        Where relative paths of the configuration start.
    bytes_max
        Largest single file or member of an archive.
    """

    def __init__(
        self,
        options: DropFolderOptions,
        folder: Path,
        *,
        observe: FolderObserver | None = None,
        bytes_max: int = MESSAGE_BYTES_MAX,
    ) -> None:
        self._options = options
        self._root = folder / options.path
        self._done = None if options.done is None else folder / options.done
        self._observe = observe
        self._bytes_max = bytes_max
        self._taken: dict[str, int] = {}
        self._settling: dict[str, tuple[int, float]] = {}
        self._troubles: set[str] = set()

    async def run(self, emit: Emit) -> None:
        """Hand over what is dropped, until cancelled; as `broker.interfaces.Source`."""
        self._taken = dict(emit.positions)
        self._settling.clear()
        changed, loop, stop = asyncio.Event(), asyncio.get_running_loop(), threading.Event()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop has closed meanwhile
                loop.call_soon_threadsafe(changed.set)

        threading.Thread(target=self._watch, args=(wake, stop), name="drop folder", daemon=True).start()
        try:
            while True:
                changed.clear()
                ready, pause_s = await self._look()
                await self._take(ready, emit)
                if not ready:
                    # Not wait_for: before Python 3.12 it loses a cancellation that comes together with a change.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(pause_s):
                            await changed.wait()
        finally:
            stop.set()

    async def check(self) -> str:
        """For `starcross check --connect`: whether the folder is there and can be read.

        Raises
        ------
        OSError
            If it is not, or cannot.
        """
        found = await asyncio.to_thread(lambda: sum(1 for _ in os.scandir(self._root)))
        return f"{found} entries"

    def _watch(self, wake: Callable[[], None], stop: threading.Event) -> None:
        """Wake `run` when the system tells of a change. Where it tells none, `run` wakes by itself.

        A thread of its own: watchfiles' asynchronous form, on anyio, now and then does not hear that it is cancelled.
        """
        while not stop.is_set():
            try:
                changes = watchfiles.watch(
                    self._root,
                    watch_filter=None,
                    debounce=_DEBOUNCE_MS,
                    recursive=self._options.recursive,
                    stop_event=stop,
                    rust_timeout=_ROUND_MS,
                    yield_on_timeout=True,
                    ignore_permission_denied=True,
                )
                for number, news in enumerate(changes):
                    if news or not number:  # what came before the watch stood was not told
                        wake()
            except (OSError, RuntimeError) as error:  # watchfiles' own errors are RuntimeErrors
                log.debug("folder not watched, only looked at", folder=str(self._root), trouble=str(error))
            stop.wait(self._options.rescan_s)

    async def _look(self) -> tuple[list[_Dropped], float]:
        """The files that are whole and not taken yet, by name; and how long to wait if there are none."""
        found = await asyncio.to_thread(lambda: sorted(self._find(), key=lambda dropped: dropped.name))
        now_s = monotonic()
        fresh = [dropped for dropped in found if self._taken.get(dropped.name) != dropped.fingerprint]
        before, self._settling = self._settling, {}
        ready, pause_s = [], self._options.rescan_s
        for dropped in fresh:
            fingerprint, since_s = before.get(dropped.name, (None, now_s))
            since_s = since_s if fingerprint == dropped.fingerprint else now_s
            self._settling[dropped.name] = dropped.fingerprint, since_s
            left_s = since_s + self._options.settle_s - now_s
            if left_s <= 0:
                ready.append(dropped)
            pause_s = min(pause_s, max(left_s, _SHORTEST_PAUSE_S))
        return ready, pause_s

    def _find(self) -> Iterator[_Dropped]:
        """Every regular file that may be taken. Links are not followed, neither to files nor to folders."""
        folders, troubles = [self._root], set()
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(folder) as entries:
                    listed = [entry for entry in entries if not _is_unfinished(entry.name)]
            except OSError as error:
                troubles.add(f"{folder}: cannot be listed: {error.strerror}")
                continue
            for entry in listed:
                path = Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    if self._options.recursive and path != self._done:
                        folders.append(path)
                elif any(fnmatchcase(entry.name, pattern) for pattern in self._options.patterns):
                    with suppress(OSError):  # gone since it was listed
                        found = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(found.st_mode):
                            yield _Dropped(path, _name(path.relative_to(self._root)), _fingerprint(found))
        for trouble in sorted(troubles - self._troubles):
            log.warning("folder not readable", detail=trouble)
        self._troubles = troubles

    async def _take(self, ready: Sequence[_Dropped], emit: Emit) -> None:
        """Hand over all of these files, and remember each once all of it is kept."""
        items = _read_all(ready, _name(Path(self._root.name)), self._bytes_max)
        while batch := await asyncio.to_thread(_next_batch, items):
            messages = [item for item in batch if isinstance(item, Message)]
            ended = [item for item in batch if isinstance(item, _Ended)]
            for item in batch:
                if isinstance(item, Rejection):
                    self._report(item)
            remembered = {
                end.dropped.name: end.dropped.fingerprint
                for end in ended
                if self._options.after == "keep" or not end.is_whole
            }
            if messages or remembered:
                await emit(messages, remembered)
            self._taken |= {end.dropped.name: end.dropped.fingerprint for end in ended}
            if self._options.after != "keep":
                whole = [end.dropped for end in ended if end.is_whole]
                clearing = asyncio.create_task(asyncio.to_thread(self._clear, whole))
                try:
                    await asyncio.shield(clearing)
                except asyncio.CancelledError:  # what is kept is cleared away first, else it would come twice
                    await clearing
                    raise

    def _report(self, rejection: Rejection) -> None:
        log.warning("file not readable", origin=rejection.origin, reason=rejection.reason, detail=rejection.detail)
        if self._observe is not None:
            self._observe.unreadable(rejection)

    def _clear(self, taken: Sequence[_Dropped]) -> None:
        """Delete or move files that were taken. One that has changed since is left alone, and taken again."""
        for dropped in taken:
            try:
                if _fingerprint(dropped.path.lstat()) == dropped.fingerprint:
                    self._clear_one(dropped)
                    del self._taken[dropped.name]  # another by this name is another
            except OSError as error:
                log.warning("taken file not cleared away", file=dropped.name, trouble=str(error))

    def _clear_one(self, dropped: _Dropped) -> None:
        if self._done is None:
            dropped.path.unlink()
            return
        target = self._done / dropped.path.relative_to(self._root)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():  # another of the same name, taken before
            target = target.with_name(f"{target.name}.{dropped.fingerprint:x}")
        shutil.move(dropped.path, target)


def _read_all(files: Sequence[_Dropped], folder_name: str, bytes_max: int) -> Iterator[_Item]:
    """What is in the files, each followed by its end."""
    for dropped in files:
        is_whole = True
        for item in _read(dropped.path, f"{folder_name}/{dropped.name}", bytes_max):
            is_whole = is_whole and isinstance(item, Message)
            yield item
        yield _Ended(dropped, is_whole)


def _read(path: Path, label: str, bytes_max: int) -> Iterator[Message | Rejection]:
    try:
        # Whatever has taken the place of the file since it was listed: no link is followed, and nothing blocks.
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(number, "rb") as raw:
            found = os.fstat(number)
            if not stat.S_ISREG(found.st_mode):
                yield Rejection(label, Reason.FORBIDDEN, "it is no regular file")
            elif is_archive(raw, label):
                yield from read_archive(raw, label, bytes_max, lambda _read: None)
            elif found.st_size > bytes_max:
                yield too_large(label, found.st_size, bytes_max)
            else:
                yield Message(raw.read(bytes_max), label)
    except OSError as error:
        yield Rejection(label, Reason.CORRUPT, f"cannot be read: {error.strerror or error}")


def _next_batch(items: Iterator[_Item]) -> list[_Item]:
    batch: list[_Item] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item.body) if isinstance(item, Message) else 0
        if len(batch) >= BATCH_ITEMS or size >= BATCH_BYTES:
            break
    return batch


def _is_unfinished(name: str) -> bool:
    return name.startswith(".") or name.endswith(_UNFINISHED)


def _name(path: Path) -> str:
    """A path as text that can be written as UTF-8, whatever bytes a file is named by."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _fingerprint(found: os.stat_result) -> int:
    text = f"{found.st_size} {found.st_mtime_ns} {found.st_mode}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 2
