"""Coincidences, and the notices that came in, as VOEvents to whoever subscribes."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from lxml import etree

from bridges.vtp.broadcaster import Broadcaster
from bridges.vtp.options import BroadcastOptions
from schemas.records import Publication
from schemas.times import iso_from_us
from schemas.voevent_out import NAMESPACE, SCHEMA_URL, VoeventAuthor, voevent_bytes

_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"


class VtpSink:
    """A `broker.interfaces.Sink`: a `Broadcaster` that is given publications.

    What is sent is in the buffer of each subscriber that is connected then; who comes later does not get it.

    Parameters
    ----------
    options
        Of the broadcaster.
    author
        Who publishes; its name space is also what the broadcaster calls itself.
    folder
        Where relative paths of the configuration start.
    now_us
        The clock, microseconds UTC.
    """

    def __init__(
        self,
        options: BroadcastOptions,
        author: VoeventAuthor,
        folder: Path = Path(),
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._options = options
        self._author = author
        self._now_us = now_us
        self.broadcaster = Broadcaster(options, f"ivo://{author.authority}/{author.stream}", folder, now_us)
        self._testing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.broadcaster.__aenter__()
        if self._options.test_interval_s is not None:
            self._testing = asyncio.create_task(self._test(self._options.test_interval_s))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._testing is not None:
            self._testing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._testing
        await self.broadcaster.__aexit__(kind, error, traceback)

    async def send(self, publications: Sequence[Publication]) -> None:
        """Broadcast each as a VOEvent, in order.

        Raises
        ------
        ValueError
            If a number that must be known is NaN or infinite, or a packet is larger than a frame may be.
        """
        for publication in publications:
            await self.broadcaster.broadcast(voevent_bytes(publication.coincidence, self._author))

    async def _test(self, interval_s: float) -> None:
        while True:
            await self.broadcaster.broadcast(line_test(self._author, self._now_us()))
            await asyncio.sleep(interval_s)


def line_test(author: VoeventAuthor, now_us: int) -> bytes:
    """A VOEvent of role ``test`` that says nothing but that the line works."""
    now = iso_from_us(now_us)
    root = etree.Element(f"{{{NAMESPACE}}}VOEvent", nsmap={"voe": NAMESPACE, "xsi": _XSI})
    root.set("version", "2.0")
    root.set("role", "test")
    root.set("ivorn", f"ivo://{author.authority}/{author.stream}#test-{now_us}")
    root.set(f"{{{_XSI}}}schemaLocation", f"{NAMESPACE} {SCHEMA_URL}")
    who = etree.SubElement(root, "Who")
    etree.SubElement(who, "AuthorIVORN").text = f"ivo://{author.authority}"
    etree.SubElement(who, "Date").text = now
    what = etree.SubElement(root, "What")
    etree.SubElement(what, "Description").text = "A test of the line."
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")
