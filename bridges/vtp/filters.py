"""Subscribers' XPath filters, honoured and bounded.

Which expressions of XPath are slow depends on the library and on the packet, what is left when all that can be slow is
forbidden is of little use, and an evaluation in a thread cannot be ended. So strangers' expressions are compiled and
evaluated in processes of their own (`bridges.vtp.filter_process`), each under a limit of CPU time that the kernel
enforces: what runs into it ends the process, is known by name, and a new process goes on with the others. What can be
seen to be unreasonable is refused before: long, deeply nested, or calling what is no function of XPath 1.0.

A filter is tried once, on a large packet, when it comes. Each different text is evaluated once a packet, however many
subscribers sent it.
"""

import asyncio
import contextlib
import json
import mmap
import re
import signal
import struct
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import structlog

from bridges.vtp import filter_process
from bridges.vtp.filter_process import EVENT, FILTERS, NOT_ASKED, RUNNING, TRY, YES
from bridges.vtp.options import BroadcastOptions
from bridges.vtp.protocol import frame
from schemas.errors import StarcrossError

log = structlog.get_logger()

MAX_NESTING: Final = 8
MAX_DEEP_STEPS: Final = 16

_CALLABLE: Final = re.compile(
    "boolean|ceiling|concat|contains|count|false|floor|lang|last|local-name|name|namespace-uri|normalize-space|not|number|"
    "position|round|starts-with|string|string-length|substring|substring-after|substring-before|sum|translate|true|"
    "comment|node|processing-instruction|text|and|div|mod|or"
)
"""What may stand before a parenthesis: functions of XPath 1.0 but ``id``, tests of nodes, and operators."""
_LITERAL: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
_CALL: Final = re.compile(r"([A-Za-z_][\w.\-]*(?::[A-Za-z_][\w.\-]*)?)\s*\(")
_DEEP_STEP: Final = re.compile(r"//|\b(?:ancestor|descendant|following|preceding)[a-z\-]*\s*::")
_LENGTH: Final = struct.Struct(">I")
_REMEMBERED: Final = 4096
"""Verdicts on filters that are kept."""
_MAX_ENDED: Final = 3
"""Filters that may run over their limit in one event before the others are not asked."""
_TRIAL_NICENESS: Final = 10
"""So that many who come with costly filters take no CPU time from the rest of the service."""
_GOODBYE_S: Final = 1.0
_PATIENCE: Final = 20
"""A process that takes this many times its limit in wall-clock time hangs, or the machine does."""


class FilterRefusedError(StarcrossError):
    """A filter that is not accepted; the text says why, for its sender."""


def check_filter(text: str, max_chars: int) -> None:
    """Refuse what can be seen to be no reasonable filter, without compiling it.

    Raises
    ------
    FilterRefusedError
        If it is empty, too long, nested too deeply, has too many steps to anywhere, or calls unknown functions.
    """
    if not text.strip():
        raise FilterRefusedError("the filter is empty")
    if len(text) > max_chars:
        raise FilterRefusedError(f"the filter has {len(text)} characters, at most {max_chars} are accepted")
    if any(not (char.isprintable() or char in "\t\r\n") for char in text):
        raise FilterRefusedError("the filter has characters that cannot be printed")
    bare = _LITERAL.sub('""', text)
    depth = deepest = 0
    for char in bare:
        depth += (char in "([") - (char in ")]")
        deepest = max(deepest, depth)
    if deepest > MAX_NESTING:
        raise FilterRefusedError(f"the filter is nested {deepest} levels deep, at most {MAX_NESTING} are accepted")
    if (steps := len(_DEEP_STEP.findall(bare))) > MAX_DEEP_STEPS:
        raise FilterRefusedError(
            f"the filter searches the whole packet {steps} times (//), at most {MAX_DEEP_STEPS} times are accepted"
        )
    for name in _CALL.findall(bare):
        if not _CALLABLE.fullmatch(name):
            raise FilterRefusedError(f"{name}() is no function of XPath 1.0 that a filter may use")


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What filters say to an event.

    Attributes
    ----------
    matching
        Filters that select it.
    undecided
        Those that could not be asked in time.
    ran_over
        Those that took more than their time, and are not asked again.
    """

    matching: frozenset[str] = frozenset()
    undecided: frozenset[str] = frozenset()
    ran_over: frozenset[str] = frozenset()

    def select(self, filters: Iterable[str]) -> bool:
        """Whether an event goes to a subscriber with these filters: if any matches, or might."""
        return any(text in self.matching or text in self.undecided for text in filters)


class _FilterProcess:
    """One `bridges.vtp.filter_process`, started when it is first asked and again after it ended."""

    def __init__(self, filter_limit_s: float, event_limit_s: float, n_filters: int, niceness: int = 0) -> None:
        self._limits_s = (filter_limit_s, event_limit_s)
        self._niceness = niceness
        self._n_filters = max(n_filters, 1)
        self._process: Process | None = None
        self._table: mmap.mmap | None = None
        self.ended = False
        """Whether it ended over the last question; if so by the filter that was running, if one was."""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def states(self, n_filters: int) -> bytes:
        """What stands in the table, also after the process ended."""
        return bytes(n_filters) if self._table is None else self._table[:n_filters]

    async def ask(self, *questions: bytes) -> bytes | None:
        """The answer to the last of the questions; None if the process ended, hung over them or cannot be started."""
        self.ended = False
        if self._process is None or not self.running:
            try:
                self._process = await self._start()
            except OSError as error:
                log.warning("filters cannot be evaluated: no process can be started", error=str(error))
                self._table = None
                return None
        if self._table is not None:
            self._table[:] = bytes(len(self._table))
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None  # noqa: S101, PT018 - both are pipes
        answer, broken = None, False
        try:
            async with asyncio.timeout(1.0 + _PATIENCE * sum(self._limits_s)):
                stdin.writelines([frame(question) for question in questions])
                await stdin.drain()
                (n_bytes,) = _LENGTH.unpack(await stdout.readexactly(_LENGTH.size))
                answer = await stdout.readexactly(n_bytes)
        except (asyncio.IncompleteReadError, ConnectionError):
            broken = True
        except TimeoutError:
            log.warning("the process that evaluates filters hangs, and is replaced")
        finally:
            # Also if cancelled in the middle of a question: its answer would be taken for that to the next one.
            if answer is None:
                await self._end(self._process)
        # Killed from outside, as when memory is short: no filter is to blame.
        self.ended = broken and self._process.returncode != -signal.SIGKILL
        return answer

    async def _start(self) -> Process:
        with tempfile.TemporaryFile() as file:
            file.truncate(self._n_filters)
            self._table = mmap.mmap(file.fileno(), 0)
            arguments = [str(file.fileno()), *(str(limit_s) for limit_s in self._limits_s), str(self._niceness)]
            # -P: nothing in the folder where the service happens to run is imported.
            command = [sys.executable, "-P", "-m", filter_process.__name__, *arguments]
            return await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, pass_fds=(file.fileno(),))

    async def close(self) -> None:
        """Let it go when it has nothing more to do."""
        if (process := self._process) is not None and process.stdin is not None:
            process.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    await process.wait()
            await self._end(process)
        self._process = None

    async def _end(self, process: Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class FilterJudge:
    """Says which filters select an event. An asynchronous context manager: at its end its processes end.

    No process is started before there is a filter. Trying new filters and judging events are done by two processes, so
    that those who come do not delay those who are there.

    Parameters
    ----------
    options
        Of them, the limits on filters.
    """

    def __init__(self, options: BroadcastOptions) -> None:
        self._options = options
        n_filters = options.subscribers_max * options.filters_max
        self._trial = _FilterProcess(options.filter_limit_s, options.filter_limit_s, 1, _TRIAL_NICENESS)
        self._judging = _FilterProcess(options.filter_limit_s, options.filters_limit_s, n_filters)
        self._trial_free = asyncio.Lock()
        self._judging_free = asyncio.Lock()
        self._held: Counter[str] = Counter()
        self._sent: list[str] = []
        self._known: OrderedDict[str, str] = OrderedDict()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._trial.close()
        await self._judging.close()

    async def try_filters(self, texts: Iterable[str], still_wanted: Callable[[], bool]) -> tuple[str, ...]:
        """The different ones of these, all of which may be used.

        Parameters
        ----------
        texts
            As a subscriber sent them.
        still_wanted
            Asked before each is tried, since others may have to be tried first.

        Raises
        ------
        FilterRefusedError
            If there are too many, or one is refused by `check_filter`, is no XPath, or takes or took too long.
        """
        filters = tuple(dict.fromkeys(texts))
        if len(filters) > self._options.filters_max:
            raise FilterRefusedError(
                f"there are {len(filters)} filters, at most {self._options.filters_max} are accepted"
            )
        for text in filters:
            check_filter(text, self._options.filter_chars)
        for text in filters:
            async with self._trial_free:
                if not still_wanted():
                    raise FilterRefusedError("nobody waits for the filter any more")
                if verdict := await self._try(text):
                    raise FilterRefusedError(f"{verdict}: {text}")
        return filters

    async def _try(self, text: str) -> str:
        """Why a filter is refused, empty if it is not; what was found before is remembered."""
        if (verdict := self._known.get(text)) is None:
            answer = await self._trial.ask(TRY + text.encode())
            if answer is None and not (self._trial.ended and self._trial.states(1)[0] == RUNNING):
                return "filters cannot be tried at the moment"
            verdict = self._too_slow() if answer is None else answer.decode().strip()
            self._remember(text, verdict)
        return verdict

    def hold(self, filters: Iterable[str]) -> None:
        """Ask these, which were tried, of each event from now on."""
        self._held.update(filters)

    def release(self, filters: Iterable[str]) -> None:
        """Take back one `hold` of these."""
        for text in filters:
            self._held[text] -= 1
            if self._held[text] <= 0:
                del self._held[text]

    async def judge(self, event: bytes) -> Verdicts:
        """Ask all filters that are held. Takes no longer than all filters together may, but for what ends a process.

        Parameters
        ----------
        event
            XML of a VOEvent.
        """
        async with self._judging_free:
            filters = list(self._held)
            matching: set[str] = set()
            ran_over: set[str] = set()
            for _ in range(_MAX_ENDED):
                if not filters:
                    break
                filters, ended = await self._judge(event, filters, matching)
                ran_over |= ended
                if not ended:
                    break
            for text in ran_over:
                self._remember(text, self._too_slow())
            return Verdicts(frozenset(matching), frozenset(filters), frozenset(ran_over))

    async def _judge(self, event: bytes, filters: list[str], matching: set[str]) -> tuple[list[str], set[str]]:
        """Ask some filters; those that were not asked, and the one that ended the process."""
        questions = [EVENT + event]
        if filters != self._sent or not self._judging.running:
            questions.insert(0, FILTERS + json.dumps(filters).encode())
            self._sent = filters
        await self._judging.ask(*questions)
        by_state: dict[int, list[str]] = {}
        for text, state in zip(filters, self._judging.states(len(filters)), strict=True):
            by_state.setdefault(state, []).append(text)
        matching.update(by_state.get(YES, ()))
        interrupted = by_state.get(RUNNING, [])
        ended = set(interrupted) if self._judging.ended else set()
        for text in ended:
            log.warning("a filter ran over its limit", filter=text[:200], limit_s=self._options.filter_limit_s)
        return [text for text in (*by_state.get(NOT_ASKED, ()), *interrupted) if text not in ended], ended

    def _too_slow(self) -> str:
        return f"a filter took more than {self._options.filter_limit_s:g} s of CPU time on one packet"

    def _remember(self, text: str, verdict: str) -> None:
        self._known[text] = verdict
        self._known.move_to_end(text)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
