"""How many sky maps may be uploaded, and how many at a time are read."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from limits import RateLimitItemPerDay

from broker.web.limits import Limiter
from broker.web.options import HttpOptions
from broker.web.problems import Problem
from matchers.engine import Engine
from schemas.upload import MISSION

_READ_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Held:
    """Uploads that the engine has: how many of each owner are searched, and how many bytes all take.

    Maps that were replaced or withdrawn take their room too, until the upload's window is over.
    """

    searched: Counter[str]
    all_bytes: int

    @classmethod
    def by(cls, engine: Engine) -> "Held":
        """What an engine has."""
        uploads = [trigger for trigger in engine.triggers() if trigger.mission == MISSION]
        return cls(
            Counter(trigger.instrument for trigger in uploads if not trigger.retracted),
            sum(len(notice.message.body) for trigger in uploads for notice in engine.notices(trigger.id)),
        )


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
        self._limiter = Limiter()
        self._coming: list[tuple[str, int]] = []
        """Owner and bytes of what the engine does not have yet; the owner is empty for a better map."""
        self.reading = asyncio.Semaphore(_READ_AT_ONCE)
        self.changing = asyncio.Lock()

    async def admit(self, held: Held, owner: str, *, new: bool) -> None:
        """Count an upload of an owner, before it is read.

        Raises
        ------
        Problem
            429 if it is one too many in a day, and as `room`.
        """
        self._require_room(held, owner, 0, new=new)
        most = self._options.uploads_per_day
        what = f"uploads of {owner} a day"
        if not most:
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, f"more than {most} {what}", headers={"Retry-After": "86400"})
        await self._limiter.count(RateLimitItemPerDay(most), owner, what)

    @contextmanager
    def room(self, held: Held, owner: str, size_bytes: int, *, new: bool) -> Iterator[None]:
        """Room for an upload on its way to the engine; those that come at once do not get the same room.

        Raises
        ------
        Problem
            409 if too many of the owner are searched already, 507 if there is no room for more.
        """
        self._require_room(held, owner, size_bytes, new=new)
        coming = owner if new else "", size_bytes
        self._coming.append(coming)
        try:
            yield
        finally:
            self._coming.remove(coming)

    def _require_room(self, held: Held, owner: str, size_bytes: int, *, new: bool) -> None:
        options = self._options
        own = held.searched[owner] + sum(other == owner for other, _ in self._coming)
        if new and own >= options.skymaps_most:
            detail = f"{own} maps of {owner} are searched, the most that may be; delete one"
            raise Problem(HTTPStatus.CONFLICT, detail)
        if held.all_bytes + sum(size for _, size in self._coming) + size_bytes > options.skymaps_total_mib << 20:
            detail = "the uploaded maps take all the room that they may, until windows of some are over"
            raise Problem(HTTPStatus.INSUFFICIENT_STORAGE, detail)
