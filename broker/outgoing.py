"""A sink's outbox, drained at the sink's own pace: in order, at least once, for as long as it takes."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import structlog

from bridges.delivery import DeliveryRefused, Undelivered
from broker.interfaces import NoticeSink, Sink
from broker.store.records import Batch, Delivery
from schemas.coincidence import to_json
from schemas.errors import Reason
from schemas.records import Notice, Rejection

log = structlog.get_logger()

AT_ONCE = 100
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
LONGEST_ASKED_PAUSE_S = 900.0
REFUSALS = 5
"""So often a publication is offered again that the next hop does not want, and is set aside then."""


class Outbox(Protocol):
    """What a drain needs of the store."""

    async def next(self, sink: str, limit: int, *, packets: bool = False) -> list[Delivery]:
        """What is to be sent next; waits until there is something."""

    async def done(self, sink: str, ids: Sequence[int]) -> None:
        """These have been sent."""

    def commit(self, batch: Batch) -> asyncio.Future[None]:
        """Keep a batch."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told how the sending goes: name of the sink, and what happened.

    Attributes
    ----------
    sent
        After each delivery: how many, the oldest's instant of storing (us), and how long it took in seconds.
    failed
        After each failure: what for.
    """

    sent: Callable[[str, int, int, float], None] = lambda *_: None
    failed: Callable[[str, str], None] = lambda *_: None


class Drain:
    """Sends what lies in the outbox of one sink.

    What the next hop refuses, or what makes no packet, is offered `REFUSALS` times and then set aside into the store's
    quarantine, so that it cannot hold up what is behind it for ever; whatever else hinders the sink is waited for.

    Parameters
    ----------
    make_sink
        Makes the sink anew, each time it is opened.
    read_notice
        The notices of a kept message.
    packets
        Whether the sink is given the survey's packets.
    """

    def __init__(
        self,
        name: str,
        make_sink: Callable[[], Sink],
        outbox: Outbox,
        read_notice: Callable[[Delivery], Notice | None],
        *,
        packets: bool = False,
        watch: Watch | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self.sink: Sink | None = None
        self.opened = asyncio.Event()
        self._make_sink, self._outbox, self._read_notice, self._packets = make_sink, outbox, read_notice, packets
        self._watch, self._sleep = watch or Watch(), sleep
        self._refusals: dict[int, int] = {}
        self._pause_s = FIRST_PAUSE_S

    async def run(self) -> None:
        """Send until cancelled."""
        made = self._make_sink()
        async with made as sink:
            self.sink = sink
            self.opened.set()
            try:
                while True:
                    for part in _parts(await self._outbox.next(self.name, AT_ONCE, packets=self._packets)):
                        if not await self._sent(sink, part):
                            break  # those behind wait their turn
            finally:
                self.sink = None

    async def _sent(self, sink: Sink, part: list[Delivery]) -> bool:
        """Send deliveries of one kind; False if they are to be tried again."""
        began_s = perf_counter()
        try:
            await self._hand_over(sink, part)
        except DeliveryRefused as refused:
            place = next(i for i, delivery in enumerate(part) if delivery.publication == refused.publication)
            await self._outbox.done(self.name, [delivery.id for delivery in part[:place]])  # these were delivered
            await self._refused(part[place], refused, refused.retry_after_s)
            return False
        except ValueError as error:  # a packet that cannot be made, or is too large: no waiting mends that
            if len(part) > 1:
                return await self._one_by_one(sink, part)
            await self._refused(part[0], error, None)
            return False
        except Undelivered as error:
            await self._wait(error, error.retry_after_s)
            return False
        except (OSError, TimeoutError) as error:
            await self._wait(error, None)
            return False
        self._pause_s = FIRST_PAUSE_S
        await self._outbox.done(self.name, [delivery.id for delivery in part])
        self._watch.sent(self.name, len(part), part[0].stored_us, perf_counter() - began_s)
        return True

    async def _hand_over(self, sink: Sink, part: list[Delivery]) -> None:
        publications = [delivery.publication for delivery in part if delivery.publication is not None]
        if publications:
            await sink.send(publications)
            return
        notice = self._read_notice(part[0])
        if notice is not None and isinstance(sink, NoticeSink):
            await sink.relay(notice)

    async def _one_by_one(self, sink: Sink, part: list[Delivery]) -> bool:
        """Find out which of them it is."""
        for delivery in part:
            if not await self._sent(sink, [delivery]):
                return False
        return True

    async def _refused(self, culprit: Delivery, refused: Exception, asked_s: float | None) -> None:
        """It is tried again, and at last set aside."""
        self._watch.failed(self.name, "refused")
        times = self._refusals[culprit.id] = self._refusals.get(culprit.id, 0) + 1
        if times < REFUSALS:
            await self._wait(refused, asked_s)
            return
        name, body = _set_aside(culprit)
        log.error("set aside", sink=self.name, what=name, why=str(refused))
        rejection = Rejection(f"{self.name}: {name}", Reason.REFUSED, str(refused))
        await self._outbox.commit(Batch(source=self.name, rejected=[(rejection, body)]))
        await self._outbox.done(self.name, [culprit.id])
        del self._refusals[culprit.id]

    async def _wait(self, error: Exception, asked_s: float | None) -> None:
        self._watch.failed(self.name, type(error).__name__)
        pause_s = self._pause_s * random.uniform(0.75, 1.25)  # noqa: S311 - spread out, not secret
        if asked_s is not None:
            pause_s = max(pause_s, min(asked_s, LONGEST_ASKED_PAUSE_S))
        log.warning(
            "not delivered", sink=self.name, why=str(error) or type(error).__name__, again_in_s=round(pause_s, 1)
        )
        await self._sleep(pause_s)
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)


def _parts(deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    """In order, publications that follow each other together, each notice by itself."""
    parts: list[list[Delivery]] = []
    for delivery in deliveries:
        if delivery.publication is not None and parts and parts[-1][0].publication is not None:
            parts[-1].append(delivery)
        else:
            parts.append([delivery])
    return parts


def _set_aside(delivery: Delivery) -> tuple[str, bytes]:
    """What it is, and what is kept of it."""
    if delivery.publication is not None:
        coincidence = delivery.publication.coincidence
        return f"{coincidence.id} r{coincidence.revision}", to_json(coincidence).encode()
    assert delivery.notice is not None  # noqa: S101 - one of them is there
    return delivery.notice.ivorn, delivery.notice.message.body
