"""What both of Comet's receiving protocols are given: our parser before theirs, and the hand-over as their validator.

Comet acknowledges a packet once all validators of the factory are content, and refuses it with the text of what one
raises. So the validator is where an event is handed over: its Deferred fires when the event is kept (a handler would
run only after the acknowledgement).
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import comet.log
from comet.protocol.base import EventHandler
from comet.protocol.messages import ack, nak
from lxml import etree
from twisted.internet import reactor
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred

from bridges.vtp_in.handover import Handover, key_of, key_of_unreadable
from schemas.errors import BadNotice
from schemas.records import Message, Rejection
from schemas.xml import local_name, parse_xml

# Comet tells each step of each packet; what matters of them is counted and logged by us.
comet.log.LEVEL = comet.log.Levels.WARNING

LONGEST_REFUSAL: Final = 500
"""Characters of a reason that are sent to the other end."""

_NOT_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class NotKept(Exception):  # noqa: N818 - its text is what the other end reads
    """An event that was rejected or is not allowed."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(_NOT_XML.sub("?", f"{reason}: {detail}")[:LONGEST_REFUSAL])


@dataclass(frozen=True, slots=True)
class Event:
    """A packet in the shape that Comet's classes expect: the raw bytes beside the parsed root.

    Attributes
    ----------
    peer
        Who sent it: ``host:port`` of a remote broker, the address of an author.
    """

    raw_bytes: bytes
    element: etree._Element
    peer: str

    @property
    def ivorn(self) -> str:
        """Its name; never empty."""
        return self.element.get("ivorn") or ""


Validator = Callable[[Event], "Deferred[None]"]


@dataclass(frozen=True)
class EventFactory:
    """What Comet's classes, and ours, read of their factory."""

    local_ivo: str
    message_bytes: int
    handover: Handover
    validators: Sequence[Validator]
    handlers: Sequence[Callable[[Event], None]] = ()


class BoundedEvents(EventHandler):  # type: ignore[misc]
    """Finds out with our own bounded parser what a message is, before anything of Comet's looks at it."""

    factory: EventFactory
    transport: Any
    may_refuse: bool

    @property
    def peer(self) -> str:
        """Who is at the other end."""
        raise NotImplementedError

    def stringReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """A whole message is here."""
        try:
            root = parse_xml(data, self.factory.message_bytes)
        except BadNotice:
            self.unreadable(data)
            return
        name = local_name(root)
        if name == "VOEvent" and root.get("ivorn"):
            self.event(Event(data, root, self.peer))
        elif name == "Transport":
            self.transport_message(root)
        else:
            self.unreadable(data)

    def event(self, event: Event) -> None:
        """A VOEvent came."""
        raise NotImplementedError

    def transport_message(self, root: etree._Element) -> None:
        """A message of the protocol itself came."""
        raise NotImplementedError

    def unreadable(self, data: bytes) -> None:
        """Something came that is no VOEvent, or one without a name. It is for the quarantine, as all bad input."""
        raise NotImplementedError

    def answer_unreadable(self, data: bytes) -> "Deferred[None]":
        """Hand over what has no name, and answer for all that."""
        message = Message(data, origin_of(self.peer, data))
        kept = Deferred.fromFuture(self.factory.handover.take(key_of_unreadable(data), message))
        return kept.addCallback(self._answer_unreadable)

    def _answer_unreadable(self, rejection: Rejection | None) -> None:
        if rejection is None or not self.may_refuse:
            self.send_xml(ack(self.factory.local_ivo, ""))
        else:
            self.refuse(rejection.reason, rejection.detail)

    def refuse(self, reason: str, detail: str) -> None:
        """Refuse something without a name, in the words that Comet has for what has one."""
        self.send_xml(nak(self.factory.local_ivo, "", f"Event rejected: {NotKept(reason, detail)}"))


def hand_over(event: Event, handover: Handover) -> "Deferred[None]":
    """The validator: fires when the event is kept, and fails with `NotKept` if it was rejected."""
    message = Message(event.raw_bytes, origin_of(event.peer, event.raw_bytes))
    kept = Deferred.fromFuture(handover.take(key_of(event.ivorn, event.element), message))
    return kept.addCallback(_raise_if_rejected)


def _raise_if_rejected(rejection: Rejection | None) -> None:
    if rejection is not None:
        raise NotKept(rejection.reason, rejection.detail)


def origin_of(peer: str, body: bytes) -> str:
    """Where a packet came from, for a person, with the beginning of its SHA-256."""
    return f"vtp://{peer}#{sha256(body).hexdigest()[:16]}"


def now_us() -> int:
    """The instant, in microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1000


def demand_reactor() -> None:
    """Make sure that the timers of Comet's classes run.

    Raises
    ------
    RuntimeError
        If Twisted's reactor does not run on the asyncio loop.
    """
    if not isinstance(reactor, AsyncioSelectorReactor) or not reactor.running:
        raise RuntimeError("VTP needs Twisted's reactor on the asyncio loop: run the service with_reactor=True")
