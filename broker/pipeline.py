"""Messages of a live source through the engine: what every source's ``emit`` does."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from broker.config import Config
from broker.interfaces import Matcher
from broker.reader import Reader
from matchers.engine import Engine
from schemas.densities import skymap_of
from schemas.errors import BadSkyMap
from schemas.reading import Reading
from schemas.records import Coincidence, Message, Notice, Receipt, Rejection
from schemas.sky import SkyMap
from schemas.survey import SURVEYS

Clock = Callable[[], int]
"""The instant now, in microseconds since 1970-01-01 UTC."""


def make_engine(config: Config, matchers: Sequence[Matcher], software: str) -> Engine:
    """The engine that a configuration asks for, ready for every survey."""
    return Engine(
        matchers,
        cuts={survey.name: config.cuts_of(survey.name) for survey in SURVEYS},
        carried={survey.name: survey.quality_columns for survey in SURVEYS},
        include_tests=config.triggers.include_tests,
        software=software,
        config_hash=config.fingerprint(),
    )


class Pipeline:
    """One engine, fed by sources in the order in which they emit.

    Decoding and the building of densities run in a thread, so that the loop stays free; the engine itself runs on the
    loop, in steps of at most ``step_alerts``.

    Parameters
    ----------
    deliver
        Awaited with each change of a coincidence, in order.
    clock
        Stamps the changes.
    """

    def __init__(
        self,
        engine: Engine,
        reader: Reader,
        *,
        step_alerts: int,
        deliver: Callable[[Coincidence], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self.engine = engine
        self._reader = reader
        self._step_alerts = step_alerts
        self._deliver = deliver
        self._clock = clock
        self._turn = asyncio.Lock()

    async def emit(self, messages: Sequence[Message]) -> Receipt:
        """Read, index and match a batch, as `broker.interfaces.Emit` promises."""
        async with self._turn:
            readings = await self._reader.read_async(messages)
            rejected = [rejection for reading in readings for rejection in reading.rejections]
            for reading in readings:
                for alerts in reading.alerts:
                    for first in range(0, len(alerts), self._step_alerts):
                        step = alerts.take(slice(first, first + self._step_alerts))
                        await self._publish(self.engine.add_alerts(step, self._clock()).changes)
                for notice, skymap in await asyncio.to_thread(_with_densities, reading, rejected):
                    for changes in self.engine.put_notice(notice, skymap, self._clock()):
                        await self._publish(changes)
        bad = {rejection.origin for rejection in rejected}
        return Receipt(sum(message.origin not in bad for message in messages), tuple(rejected))

    async def _publish(self, changes: Sequence[Coincidence]) -> None:
        for change in changes:
            await self._deliver(change)
        await asyncio.sleep(0)  # whoever waits for the loop gets it between two steps


def _with_densities(reading: Reading, rejected: list[Rejection]) -> list[tuple[Notice, SkyMap | None]]:
    """Each notice with the density of the position that it states."""
    made: list[tuple[Notice, SkyMap | None]] = []
    for notice in reading.notices:
        skymap = None
        if notice.trigger_id is not None and notice.localisation is not None:
            try:
                skymap = skymap_of(notice.localisation)
            except BadSkyMap as error:
                rejected.append(Rejection(notice.message.origin, error.reason, error.detail))
        made.append((notice, skymap))
    return made
