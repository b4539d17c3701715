"""Sky maps to which live notices link: fetched, or taken from the folder where they were dropped."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from hashlib import blake2b

from bridges.map_fetcher import MapFetcher, MapFetchOptions
from bridges.map_fetches import Fetches, Want
from broker.clocks import Clock
from broker.pipeline import Pipeline
from matchers.engine import Engine
from schemas.records import Message, Notice, Role
from schemas.times import US_PER_S

UNUSABLE_MAX = 1000
"""Of so many links it is remembered what they held instead of a map."""


class LiveMaps:
    """Wants the maps of notices, and hands them to the pipeline as they come.

    Parameters
    ----------
    observe
        Told how each attempt ended; see `bridges.map_fetches.Fetches`.
    """

    def __init__(
        self,
        options: MapFetchOptions,
        pipeline: Pipeline,
        clock: Clock,
        *,
        include_tests: bool,
        observe: Callable[[str], None],
    ) -> None:
        self._options, self._pipeline, self._clock, self._include_tests = options, pipeline, clock, include_tests
        self._fetcher = MapFetcher(options)
        self._fetches = Fetches(self._fetcher, options, clock=clock, observe=observe)
        self._unusable: dict[str, bytes] = {}

    @property
    def pending(self) -> int:
        """How many maps are wanted and have not come."""
        return self._fetches.pending

    def want(self, notice: Notice) -> None:
        """A notice came that may link to a map."""
        if notice.skymap_url is None or notice.trigger_id is None:
            return
        if notice.role in {Role.TEST, Role.MOCK} and not self._include_tests:
            return
        deadline_us = self._clock() + round(self._options.patience_s * US_PER_S)
        newness = (notice.stage, notice.serial, notice.issued_us or 0)
        self._fetches.want(Want(notice.skymap_url, notice.ivorn, deadline_us, notice.trigger_id, newness))

    def want_missing(self, engine: Engine) -> None:
        """After a restart: want what is linked and not at hand."""
        for notice in engine.unmapped():
            self.want(notice)

    async def run(self) -> None:
        """Fetch until cancelled."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._fetcher)
            await self._fetches.run(self._deliver)

    async def _deliver(self, ivorn: str, body: bytes, origin: str) -> bool:
        digest = blake2b(body, digest_size=16).digest()
        if self._unusable.get(ivorn) == digest:
            return False  # the same page that says "soon" is not put into quarantine each time
        async with self._pipeline.turn:
            notice = next((known for known in self._pipeline.engine.unmapped() if known.ivorn == ivorn), None)
        if notice is None or notice.trigger_id is None:
            return True  # withdrawn or expired meanwhile
        receipt = await self._pipeline.take_skymap(
            notice.trigger_id, ivorn, notice.skymap_url or "", Message(body, origin)
        )
        if receipt.rejected:
            if len(self._unusable) >= UNUSABLE_MAX:
                self._unusable.clear()
            self._unusable[ivorn] = digest
            return False
        self._unusable.pop(ivorn, None)
        return True
