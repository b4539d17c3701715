"""Events of remote brokers."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from ssl import SSLContext
from typing import Any

import structlog
from comet.protocol.messages import authenticateresponse, iamaliveresponse
from comet.protocol.subscriber import VOEventSubscriber
from lxml import etree
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from bridges.attempts import reach
from bridges.emit import Emit
from bridges.vtp_in.connection import Connection
from bridges.vtp_in.handover import Handover, Observe, Outcome, uncounted
from bridges.vtp_in.options import Remote, VtpSubscriberOptions
from bridges.vtp_in.protocols import BoundedEvents, Event, EventFactory, demand_reactor, hand_over, now_us

FIRST_PAUSE_S = 1.0
"""Before the second attempt to connect; doubled with each that fails."""
LASTING_S = 5.0
"""A connection that held so long was a success, and the pauses begin anew."""
CONNECT_S = 30.0

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class RemoteStatus:
    """How it stands with one remote broker.

    Attributes
    ----------
    since_us
        When the connection was made; None without one.
    last_us
        When something came last, be it an iamalive; None if nothing did yet.
    events
        How many came.
    waiting, waiting_bytes
        Those of them that are not kept yet.
    """

    address: str
    filters: tuple[str, ...]
    since_us: int | None = None
    last_us: int | None = None
    events: int = 0
    waiting: int = 0
    waiting_bytes: int = 0


class Subscription(BoundedEvents, VOEventSubscriber):  # type: ignore[misc]
    """One connection to a remote broker. It acknowledges an event when it is kept, and one that is rejected as well: a
    broker that is refused an event sends no more of any (VTP, section 6.4)."""

    may_refuse = False

    def __init__(
        self,
        remote: Remote,
        status: RemoteStatus,
        factory: EventFactory,
        options: VtpSubscriberOptions,
        observe: Observe,
    ) -> None:
        VOEventSubscriber.__init__(self, list(remote.filters))
        self.factory = factory
        self.MAX_LENGTH = options.message_bytes
        self.ALIVE_INTERVAL = options.silence_s
        self._options = options
        self._status = status
        self._observe = observe
        self._gone = False

    @property
    def peer(self) -> str:
        """The remote as the configuration has it."""
        return self._status.address

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        """Begin to wait for what comes."""
        self._status.since_us = now_us()
        _log.info("subscribed", remote=self.peer)
        super().connectionMade()

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802 - Twisted's name
        """The remote is gone."""
        self._gone = True
        self._status.since_us = None
        _log.info("remote lost", remote=self.peer, why=reason.getErrorMessage())
        super().connectionLost(reason)

    def timeoutConnection(self) -> None:  # noqa: N802 - Twisted's name
        """Nothing came for too long."""
        self._observe(Outcome.TIMED_OUT)
        _log.warning("remote is silent", remote=self.peer, seconds=self.ALIVE_INTERVAL)
        self.transport.abortConnection()

    def lengthLimitExceeded(self, length: int) -> None:  # noqa: N802 - Twisted's name
        """A packet is too large, or the remote speaks something else: what follows cannot be told apart."""
        self._observe(Outcome.TOO_LARGE)
        _log.warning("remote sends too large a packet", remote=self.peer, bytes=length, most=self.MAX_LENGTH)
        self.transport.abortConnection()

    def stringReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """A whole message is here."""
        self._status.last_us = now_us()
        self.resetTimeout()
        super().stringReceived(data)

    def event(self, event: Event) -> None:
        """A VOEvent came."""
        self._wait_for(len(event.raw_bytes), self.process_event(event, can_nak=self.may_refuse))

    def unreadable(self, data: bytes) -> None:
        """Something else came."""
        self._wait_for(len(data), self.answer_unreadable(data).addErrback(_forget))

    def transport_message(self, root: etree._Element) -> None:
        """The remote asks whether we live, or who we are and what we want."""
        role = root.get("role")
        origin = (root.findtext("Origin") or "").strip()
        if role == "iamalive":
            self.send_xml(iamaliveresponse(self.factory.local_ivo, origin))
        elif role == "authenticate":
            self.send_xml(authenticateresponse(self.factory.local_ivo, origin, self.filters))

    def _wait_for(self, size: int, answered: "Deferred[Any]") -> None:
        """Read no further while too much waits to be kept."""
        status, options = self._status, self._options
        status.events += 1
        status.waiting += 1
        status.waiting_bytes += size
        answered.addBoth(self._waited_for, size)
        if status.waiting >= options.waiting_messages or status.waiting_bytes >= options.waiting_bytes:
            self.setTimeout(None)  # who is not read cannot be found silent
            self.pauseProducing()

    def _waited_for(self, result: object, size: int) -> object:
        status, options = self._status, self._options
        status.waiting -= 1
        status.waiting_bytes -= size
        few = status.waiting <= options.waiting_messages // 2 and status.waiting_bytes <= options.waiting_bytes // 2
        if self.paused and few and not self._gone:
            self.setTimeout(self.ALIVE_INTERVAL)
            self.resumeProducing()
        return result


def _forget(failure: Failure) -> None:
    """What is not kept at the end of the process nobody was told to be."""
    failure.trap(asyncio.CancelledError)  # type: ignore[no-untyped-call]


class VtpSubscriberSource:
    """Subscribes to remote brokers, each with its own connection and its own pauses.

    VTP repeats nothing: what a broker sends while there is no connection is lost, unless another broker sends it too.
    An event is acknowledged when ``emit`` kept it.

    Parameters
    ----------
    folder
        Where relative paths of the configuration start.
    observe
        Told what became of each packet.
    """

    def __init__(self, options: VtpSubscriberOptions, folder: Path, *, observe: Observe = uncounted) -> None:
        self._options = options
        self._contexts = [remote.client_context(folder) for remote in options.remotes]
        self._statuses = [RemoteStatus(remote.address, remote.filters) for remote in options.remotes]
        self._observe = observe

    def status(self) -> Sequence[RemoteStatus]:
        """How it stands with each remote."""
        return [replace(status) for status in self._statuses]

    async def check(self) -> str:
        """For `starcross check --connect`: whether the remotes can be reached.

        Raises
        ------
        ConnectionError
            Naming the first that cannot.
        """
        for remote, context in zip(self._options.remotes, self._contexts, strict=True):
            await reach(remote.host, remote.port, context)
        return f"{len(self._contexts)} remotes listen"

    async def run(self, emit: Emit) -> None:
        """Bring events in until cancelled; raises what ``emit`` raises."""
        demand_reactor()
        options = self._options
        handover = Handover(
            emit, batch_messages=options.batch_messages, remembered=options.remembered_events, observe=self._observe
        )
        factory = EventFactory(
            options.local_ivo, options.message_bytes, handover, [lambda event: hand_over(event, handover)]
        )
        followers = [
            asyncio.create_task(self._follow(remote, context, status, factory))
            for remote, context, status in zip(options.remotes, self._contexts, self._statuses, strict=True)
        ]
        try:
            await handover.run()
        finally:
            for follower in followers:
                follower.cancel()
            await asyncio.gather(*followers, return_exceptions=True)
            handover.close()

    async def _follow(
        self, remote: Remote, context: SSLContext | None, status: RemoteStatus, factory: EventFactory
    ) -> None:
        """Connect, stay as long as it lasts, and connect again."""
        loop = asyncio.get_running_loop()
        pause_s = FIRST_PAUSE_S

        def subscription() -> Connection:
            return Connection(lambda _: Subscription(remote, status, factory, self._options, self._observe))

        while True:
            began = loop.time()
            try:
                async with asyncio.timeout(CONNECT_S):
                    _, connection = await loop.create_connection(subscription, remote.host, remote.port, ssl=context)
                began = loop.time()
                try:
                    await asyncio.shield(connection.lost)
                finally:
                    connection.abort()
                    await connection.lost
            except (OSError, TimeoutError) as error:
                _log.warning("no connection to remote", remote=remote.address, why=str(error) or "timed out")
            pause_s = FIRST_PAUSE_S if loop.time() - began > LASTING_S else min(2 * pause_s, self._options.reconnect_s)
            await asyncio.sleep(min(pause_s, self._options.reconnect_s) * random.uniform(0.8, 1.2))  # noqa: S311
