"""What systemd is told of the service: that it is ready, that it reloads or stops, that it lives (sd_notify(3))."""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Self

import structlog

_log = structlog.get_logger(__name__)


class ServiceManager:
    """Speaks to the service manager, or to nobody where there is none.

    Parameters
    ----------
    address
        The manager's datagram socket: a path, or ``@name`` in the abstract namespace. Empty for none.
    watchdog_s
        It restarts the service if it hears nothing for so long; None if it does not watch.
    """

    def __init__(self, address: str = "", watchdog_s: float | None = None) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog_s = watchdog_s

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Of ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``, which systemd sets."""
        address = environment.get("NOTIFY_SOCKET", "")
        watchdog_us = environment.get("WATCHDOG_USEC", "")
        ours = environment.get("WATCHDOG_PID", "") in {"", str(os.getpid())}
        watched = address and ours and watchdog_us.isdecimal() and int(watchdog_us) > 0
        return cls(address, int(watchdog_us) / 1e6 if watched else None)

    def ready(self, status: str = "running") -> None:
        """The service has begun, or has reloaded: what depends on it may begin."""
        self._tell("READY=1", f"STATUS={_line(status)}")

    def reloading(self) -> None:
        """The configuration is read again; `ready` ends that."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The service has begun to end."""
        self._tell("STOPPING=1", "STATUS=stopping")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._tell(f"STATUS={_line(text)}")

    async def watch(self, healthy: Callable[[], bool] = lambda: True) -> None:
        """Tell the watchdog that the event loop turns, twice as often as it wants to hear, until cancelled.

        Parameters
        ----------
        healthy
            While it says no, nothing is told, so that the service is restarted. Only what a restart can mend belongs
            into it: a sink that is away is none of it.
        """
        while self._watchdog_s is not None:
            if healthy():
                self._tell("WATCHDOG=1")
            await asyncio.sleep(self._watchdog_s / 2)

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            _log.warning("the service manager cannot be told", what=lines[0], error=str(error))


def _line(text: str) -> str:
    """One line: each further one would be a message of its own."""
    return " ".join(text.split())
