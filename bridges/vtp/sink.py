"""Coincidences, and the notices that came in, as VOEvents to whoever subscribes."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bridges.attempts import listen_once
from bridges.notice_packets import Before, NoticePackets, nothing_before
from bridges.vtp.broadcaster import Broadcaster
from bridges.vtp.options import BroadcastOptions
from schemas.records import Notice, Publication
from schemas.times import iso_from_us
from schemas.voevent_out import voevent_bytes
from schemas.voevent_packet import VoeventAuthor, add, add_who, packet, written


class VtpSink:
    """A `broker.interfaces.Sink` and `NoticeSink`: a `Broadcaster` that is given publications and notices.

    What is sent is in the buffer of each subscriber that is connected then; who comes later does not get it.

    Parameters
    ----------
    options
        Of the broadcaster.
    author
        Who publishes; its name space is also what the broadcaster calls itself.
    folder
        Where relative paths of the configuration start.
    software
        Name and version of what converts notices.
    now_us
        The clock, microseconds UTC.

    Attributes
    ----------
    broadcaster
        Who is connected, and what happened so far.
    """

    def __init__(
        self,
        options: BroadcastOptions,
        author: VoeventAuthor,
        folder: Path = Path(),
        *,
        software: str = "Starcross",
        before: Before = nothing_before,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._options = options
        self._author = author
        self._now_us = now_us
        self.broadcaster = Broadcaster(options, f"ivo://{author.authority}/{author.stream}", folder, now_us)
        self._notices = NoticePackets(author, software, before)
        self._testing: asyncio.Task[None] | None = None

    async def check(self) -> str:
        """For `starcross check --connect`: whether its port is free; raises ConnectionError if it is not."""
        return listen_once(self._options.address, self._options.port)

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

    async def relay(self, notice: Notice) -> None:
        """Broadcast a notice: a VOEvent as it came, any other converted to one.

        Raises
        ------
        ValueError
            If the packet is larger than a frame may be.
        """
        await self.broadcaster.broadcast(self._notices.packet(notice))

    async def _test(self, interval_s: float) -> None:
        while True:
            await self.broadcaster.broadcast(line_test(self._author, self._now_us()))
            await asyncio.sleep(interval_s)


def line_test(author: VoeventAuthor, now_us: int) -> bytes:
    """A VOEvent of role ``test`` that says nothing but that the line works."""
    root = packet(f"ivo://{author.authority}/{author.stream}#test-{now_us}", "test")
    add_who(root, author, iso_from_us(now_us))
    add(add(root, "What"), "Description", "A test of the line.")
    return written(root)
