"""Twisted's reactor on the process's asyncio loop. Only a process that speaks VTP imports this.

Comet's classes take the reactor from `twisted.internet.reactor` when they are imported, and whoever imports that first
installs a reactor of its own: so ours has to be there before.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import cast

import structlog
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.base import ReactorBase
from twisted.internet.main import installReactor
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogBeginner

_log = structlog.get_logger(__name__)


class LoopReactor(AsyncioSelectorReactor):
    """A reactor that ends without ending the loop, which is not its own."""

    def crash(self) -> None:
        """Stop running; the loop goes on."""
        ReactorBase.crash(self)


def install(loop: asyncio.AbstractEventLoop) -> LoopReactor:
    """Make the one reactor of this process, and import what takes half a second while the loop is still idle.

    Raises
    ------
    twisted.internet.error.ReactorAlreadyInstalledError
        If there is one already.
    """
    reactor = LoopReactor(loop)
    installReactor(reactor)  # type: ignore[no-untyped-call]
    globalLogBeginner.beginLoggingTo([cast("ILogObserver", _tell)], discardBuffer=True, redirectStandardIO=False)
    import_module("comet.protocol")
    return reactor


@asynccontextmanager
async def running(reactor: LoopReactor) -> AsyncIterator[None]:
    """The reactor runs for the length of this context, once in the life of a process.

    At the end its connections are closed and its threads are joined.
    """
    reactor.startRunning(installSignalHandlers=False)
    stopped = asyncio.Event()
    reactor.addSystemEventTrigger("after", "shutdown", stopped.set)
    try:
        yield
    finally:
        reactor.stop()  # type: ignore[no-untyped-call]
        await stopped.wait()


def _tell(event: LogEvent) -> None:
    """Twisted's warnings and failures go where all logs go; the rest is chatter."""
    if event["log_level"] < LogLevel.warn and not event.get("isError"):
        return
    failure = event.get("log_failure")
    _log.error(
        "twisted",
        what=str(event.get("log_format") or event.get("why") or ""),
        error=failure.getErrorMessage() if failure is not None else None,
        exception=failure.getTraceback() if failure is not None else None,
    )
