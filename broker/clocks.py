"""What time it is: by the wall, or by the data when past nights are played."""

from time import time_ns
from typing import Protocol


class Clock(Protocol):
    """Tells the instant now, in microseconds since 1970-01-01 UTC."""

    def __call__(self) -> int:
        """Now."""

    def saw(self, instant_us: int) -> None:
        """Something of this instant came in."""


class WallClock:
    """The machine's own clock."""

    def __call__(self) -> int:
        """Now."""
        return time_ns() // 1000

    def saw(self, instant_us: int) -> None:
        """Does not change it."""


class DataClock:
    """The latest instant that came in: when past nights are played, nothing of them is old before its time."""

    def __init__(self) -> None:
        self._now_us = 0

    def __call__(self) -> int:
        """The latest instant so far; 1970 before the first."""
        return self._now_us

    def saw(self, instant_us: int) -> None:
        """Go on to this instant, and never back; what claims to be of the future counts as of today."""
        self._now_us = max(self._now_us, min(instant_us, WallClock()()))
