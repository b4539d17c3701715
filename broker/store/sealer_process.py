"""Has sealed files made by a process of its own, one for each piece of work, so that the event loop is not held up."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from threading import Lock
from typing import IO, cast

import structlog

from broker.store.files import SealedFile, discard
from broker.store.sealer import READY, Work, files_of, send
from schemas.errors import StarcrossError

_FEW_ROWS = 20_000
"""So few are sealed in some ten milliseconds, and a process takes a second to start."""
_COMMAND = ("-P", "-m", "broker.store.sealer")
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""numpy would start a thread for each processor, and needs none."""
_LAST_WORDS = 300
_STOPPED = "nothing is sealed any more"
_log = structlog.get_logger()


class SealerFailed(StarcrossError):  # noqa: N818 - what happened, as the log shows it
    """The process that writes sealed files ended before it was done; the message has its last words."""


class SealerProcess:
    """Does work in a child process; its methods may be called in any thread.

    Parameters
    ----------
    python
        The interpreter.
    few_rows
        Work of so many alerts at most is done in the calling thread.
    """

    def __init__(self, python: str = sys.executable, few_rows: int = _FEW_ROWS) -> None:
        self._python, self._few_rows = python, few_rows
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopped = False
        self._was_told = False

    def write(self, work: Work) -> list[SealedFile]:
        """Write a sealed folder; in this thread if it is little work, or where no process can be had.

        Returns
        -------
        list of SealedFile
            Of the folder; none if no alert was left, and then there is no folder.

        Raises
        ------
        OSError
            If the disk does not take it.
        SealerFailed
            If the process was killed or went wrong.
        """
        if work.rows <= self._few_rows:
            return work.write()
        process = self._started()
        if process is None:
            return work.write()
        with process:
            try:
                return _done_by(process, work)
            except SealerFailed:
                process.kill()
                process.wait()
                discard(work.folder)
                raise
            finally:
                process.kill()
                with self._lock:
                    self._process = None

    def stop(self) -> None:
        """End a process that is at work, and start no more. Whoever waits for it gets `SealerFailed`."""
        with self._lock:
            self._is_stopped = True
            if self._process is not None:
                self._process.kill()

    def _started(self) -> subprocess.Popen[bytes] | None:
        """A process that is ready; None if there is none to be had."""
        with self._lock:
            if self._is_stopped:
                raise SealerFailed(_STOPPED)
            try:
                process = self._process = subprocess.Popen(  # noqa: S603 - our own program
                    [self._python, *_COMMAND],
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=os.environ | _ONE_THREAD,
                )
            except OSError as error:
                self._tell(str(error))
                return None
        if READY in iter(cast("IO[bytes]", process.stdout).readline, b""):
            return process
        with process:
            process.kill()
        if self._is_stopped:
            raise SealerFailed(_STOPPED)
        self._tell(f"exit code {process.wait()}")
        return None

    def _tell(self, trouble: str) -> None:
        if not self._was_told:
            self._was_told = True
            _log.warning(
                "no process can be had to seal alerts; a thread does it, which holds others up", trouble=trouble
            )


def _done_by(process: subprocess.Popen[bytes], work: Work) -> list[SealedFile]:
    with suppress(BrokenPipeError):  # what it said at its end tells more
        send(work, cast("IO[bytes]", process.stdin))
    said = cast("IO[bytes]", process.stdout).read().decode(errors="replace").strip()
    try:
        answer = json.loads(said.rpartition("\n")[2])
    except ValueError:
        raise SealerFailed(
            f"the process that seals alerts ended early: {said[-_LAST_WORDS:] or process.wait()}"
        ) from None
    return files_of(answer)
