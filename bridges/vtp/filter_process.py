"""The process that evaluates what strangers wrote: ``python -m bridges.vtp.filter_process``, started by
`bridges.vtp.filters` and by nothing else.

An evaluation cannot be interrupted from inside, but a process can be ended: before each one a timer of CPU time is set
whose signal is left to the kernel. Which filter was running and what the others said stands in a table in memory that
both sides see, so that it outlives the process.

It is asked by frames on standard input and answers each that wants an answer by a frame on standard output:

=======  ==========================  ==========================================
kind     content                     answer
=======  ==========================  ==========================================
TRY      a filter                    why it is no good; one blank if it is good
FILTERS  JSON: list of filters       none
EVENT    XML of an event             one blank; the verdicts are in the table
=======  ==========================  ==========================================
"""

import contextlib
import json
import mmap
import os
import resource
import signal
import struct
import sys
import time
from typing import BinaryIO, Final

from lxml import etree

from schemas.errors import BadInput
from schemas.xml import parse_xml

TRY: Final = b"T"
FILTERS: Final = b"F"
EVENT: Final = b"E"

NOT_ASKED: Final = 0
RUNNING: Final = 1
NO: Final = 2
YES: Final = 3

_LENGTH: Final = struct.Struct(">I")
_MEMORY_BYTES: Final = 256 << 20
_NAMESPACES: Final = {"voe": "http://www.ivoa.net/xml/VOEvent/v2.0"}
_USUAL: Final = 0.1
"""Weight of the newest duration in the running mean of a filter's cost."""


class Evaluator:
    """Tries and evaluates filters.

    Parameters
    ----------
    table
        A byte a filter, see NOT_ASKED and so on; it is all zeros before a question.
    filter_limit_s
        CPU time after which the kernel ends the process.
    event_limit_s
        CPU time of all filters for an event; those after it are not asked.
    """

    def __init__(self, table: mmap.mmap | bytearray, filter_limit_s: float, event_limit_s: float) -> None:
        self._table = table
        self._filter_limit_s = filter_limit_s
        self._event_limit_s = event_limit_s
        self._filters: list[tuple[str, etree.XPath]] = []
        self._usual_s: dict[str, float] = {}
        self._trial = _large_event()

    def answer(self, question: bytes) -> bytes | None:
        """What is answered to one frame; None if nothing is."""
        kind, content = question[:1], question[1:]
        if kind == TRY:
            return self._try(content.decode()).encode() or b" "
        if kind == FILTERS:
            self._filters = [(text, _compiled(text)) for text in json.loads(content)]
            self._usual_s = {text: self._usual_s.get(text, 0.0) for text, _ in self._filters}
            return None
        self._judge(content)
        return b" "

    def _try(self, text: str) -> str:
        """Why a filter is no good; empty if it is good. It is asked of a larger event than any that is common."""
        self._table[0] = RUNNING
        self._set_timer(self._filter_limit_s)
        try:
            _compiled(text)(self._trial)
        except (etree.XPathError, MemoryError) as error:
            return f"{error}" or type(error).__name__
        finally:
            self._set_timer(0)
        return ""

    def _judge(self, event: bytes) -> None:
        """Ask the cheap filters first, so that those that cost much can delay or starve only each other."""
        n = len(self._filters)
        try:
            root = parse_xml(event)
        except BadInput:
            self._table[:n] = bytes([NO]) * n
            return
        spent_s = 0.0
        for at in sorted(range(n), key=lambda at: self._usual_s[self._filters[at][0]]):
            if spent_s > self._event_limit_s:
                return
            text, xpath = self._filters[at]
            before_s = time.thread_time()
            self._table[at] = RUNNING
            self._set_timer(self._filter_limit_s)
            try:
                verdict = YES if xpath(root) else NO
            except (etree.XPathError, MemoryError):
                verdict = NO
            self._set_timer(0)
            self._table[at] = verdict
            took_s = time.thread_time() - before_s
            spent_s += took_s
            self._usual_s[text] += _USUAL * (took_s - self._usual_s[text])

    def _set_timer(self, limit_s: float) -> None:
        signal.setitimer(signal.ITIMER_PROF, limit_s)


def _compiled(text: str) -> etree.XPath:
    return etree.XPath(text, namespaces=_NAMESPACES, regexp=False, smart_strings=False)


def _large_event() -> etree._Element:
    """A packet with 400 parameters in 20 groups: as many as the largest of the common streams have."""
    root = etree.Element(
        f"{{{_NAMESPACES['voe']}}}VOEvent", role="test", ivorn="ivo://example.org/large#1", version="2.0"
    )
    etree.SubElement(etree.SubElement(root, "Who"), "AuthorIVORN").text = "ivo://example.org"
    what = etree.SubElement(root, "What")
    for group in range(20):
        element = etree.SubElement(what, "Group", name=f"group_{group}")
        for number in range(20):
            param = etree.SubElement(element, "Param", name=f"parameter_{number}", value=str(number), unit="deg")
            etree.SubElement(param, "Description").text = "What it means, in a sentence of the usual length."
    position = root
    for tag in ("WhereWhen", "ObsDataLocation", "ObservationLocation", "AstroCoords", "Position2D", "Value2", "C1"):
        position = etree.SubElement(position, tag)
    position.text = "12.5"
    etree.SubElement(etree.SubElement(root, "Why", importance="0.5"), "Inference", probability="0.9")
    return root


def serve(questions: BinaryIO, answers: BinaryIO, evaluator: Evaluator) -> None:
    """Answer until there are no more questions."""
    while len(head := questions.read(_LENGTH.size)) == _LENGTH.size:
        answer = evaluator.answer(questions.read(*_LENGTH.unpack(head)))
        if answer is not None:
            answers.write(_LENGTH.pack(len(answer)) + answer)
            answers.flush()


def _confine() -> None:
    """Bounded memory, no new files, and the timer's signal left to the kernel whatever was inherited."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for limit, value in ((resource.RLIMIT_DATA, _MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, (value, value))


def main(arguments: list[str]) -> None:
    """``TABLE_FD FILTER_LIMIT_S EVENT_LIMIT_S NICENESS``."""
    os.nice(int(arguments[3]))
    table = mmap.mmap(int(arguments[0]), 0)
    _confine()
    serve(sys.stdin.buffer, sys.stdout.buffer, Evaluator(table, float(arguments[1]), float(arguments[2])))


if __name__ == "__main__":
    main(sys.argv[1:])
