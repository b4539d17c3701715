"""The three interfaces, on one page. To add a part is one file, one line in `broker.registry`,
one configuration model, and the conformance tests that every part of its kind passes.
"""

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from schemas.records import Alerts, Bools, Coincidence, Message, Receipt, Trigger, Window

Emit = Callable[[Sequence[Message]], Awaitable[Receipt]]
"""Hands over a batch. Returns once every readable message is indexed, matched and kept; the
receipt names those that were not readable. Awaiting it is the back-pressure, the order and the
acknowledgement."""


class Source(Protocol):
    """Brings messages in."""

    async def run(self, emit: Emit) -> None:
        """Bring messages in until there are no more, or until cancelled.

        Commits or acknowledges a batch only after ``emit`` returned. Reconnects by itself; raises
        only what no waiting can mend.
        """


class Sink(Protocol):
    """Takes coincidences out."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    async def send(self, coincidence: Coincidence) -> None:
        """Return once the next hop has it. May be called again for the same revision: ids are
        deterministic, so that a receiver recognises it."""


class Matcher(Protocol):
    """Decides which alerts belong to a trigger. Pure and synchronous."""

    @property
    def name(self) -> str:
        """The key of its section in the configuration."""

    def window(self, trigger: Trigger) -> Window | None:
        """Where and when to look for alerts of this trigger; None if it is not ours to match
        (another messenger, no position, retracted)."""

    def match(self, alerts: Alerts, trigger: Trigger) -> Bools:
        """Which of these alerts, all of them inside `window(trigger)`, belong to the trigger.

        ``first_detection_us`` of the alerts is the earliest that is known of their *object*. The answer
        for an alert may not depend on which other alerts are in the batch.
        """
