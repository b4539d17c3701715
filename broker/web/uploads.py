"""How many sky maps may be uploaded, and how many at a time are read."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

from limits import RateLimitItemPerDay
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from broker.web.access import Principal
from broker.web.options import HttpOptions
from broker.web.problems import Problem
from matchers.engine import Engine
from schemas.upload import MISSION

_READ_AT_ONCE = 2


class Uploads:
    """Bounds on uploads.

    Attributes
    ----------
    reading
        Held while a map is read: each takes a core and some hundred MB.
    changing
        Held while an upload is changed, so that its serial numbers follow each other.
    """

    def __init__(self, options: HttpOptions) -> None:
        self._options = options
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self.reading = asyncio.Semaphore(_READ_AT_ONCE)
        self.changing = asyncio.Lock()

    def held(self, engine: Engine, principal: Principal) -> "Held":
        """What is searched at present."""
        searched = [trigger for trigger in engine.triggers() if trigger.mission == MISSION and not trigger.retracted]
        return Held(
            sum(trigger.instrument == principal.owner for trigger in searched),
            sum(len(trigger.notice.message.body) for trigger in searched),
        )

    async def admit(self, held: "Held", principal: Principal, *, new: bool) -> None:
        """Count an upload of an owner.

        Raises
        ------
        Problem
            429 if it is one too many in a day, 409 if too many are searched already, 507 if there is no room for more.
        """
        options = self._options
        if new and held.own >= options.skymaps_most:
            detail = f"{held.own} maps of {principal.owner} are searched, the most that may be; delete one"
            raise Problem(HTTPStatus.CONFLICT, detail)
        if held.all_bytes > options.skymaps_total_mib << 20:
            raise Problem(HTTPStatus.INSUFFICIENT_STORAGE, "the uploaded maps take all the room that they may")
        day = RateLimitItemPerDay(options.uploads_per_day)
        if not options.uploads_per_day or not await self._limiter.hit(day, principal.owner):
            detail = f"more than {options.uploads_per_day} uploads of {principal.owner} within a day"
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, headers={"Retry-After": "3600"})


@dataclass(frozen=True, slots=True)
class Held:
    """Uploads that are searched: how many of whoever asks, and how many bytes all take."""

    own: int
    all_bytes: int
