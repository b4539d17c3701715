"""The three interfaces, on one page. To add a part is one file, one line in `broker.parts` (or `broker.registry`),
one configuration model, and the conformance tests that every part of its kind passes.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from bridges.emit import Emit
from schemas.records import Alerts, Bools, Notice, Publication, Trigger, Window

__all__ = ["Emit", "Matcher", "NoticeSink", "Sink", "Source"]


class Source(Protocol):
    """Brings messages in."""

    async def run(self, emit: Emit) -> None:
        """Bring messages in until there are no more, or until cancelled.

        Begins at ``emit.positions`` where there are any. Commits or acknowledges a batch only after
        ``emit`` returned. Reconnects by itself with back-off; raises only what no waiting can mend.
        What is wrong with a single message is for ``emit`` to find out and never ends the source.
        """

    async def check(self) -> str:
        """Try once whether it could run, and tell a person what is there. Nothing is read, and no trace is left.

        Raises whatever hinders it, with a text for a person.
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

    async def send(self, publications: Sequence[Publication]) -> None:
        """Return once the next hop has all of them, in order; at least one.

        Raises whatever hinders it, and is called again then, later, with the same ones first: ids are
        deterministic, so that a receiver recognises what it had.
        """

    async def check(self) -> str:
        """Try once, outside of the context, whether it could send; as `Source.check`. Nothing is sent."""


@runtime_checkable
class NoticeSink(Protocol):
    """A sink that can also pass on the notices that came in."""

    async def relay(self, notice: Notice) -> None:
        """Return once the next hop has it; as `Sink.send`."""


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
