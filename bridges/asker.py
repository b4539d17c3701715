"""Asks one service about objects: a batch at a time, at its own pace, in a thread, and again until it answers.

Nothing waits for it, and nothing is kept on disk: at start the caller wants anew what it still lacks.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import Any, Final, Protocol

import structlog

from bridges.catalogue_options import ServiceOptions
from bridges.delivery import shown
from schemas.annotations import Annotation, Answer, Target
from schemas.times import US_PER_DAY, US_PER_S

_GRACE: Final = 4
"""A question may be some requests, each with the time of one; after so many times that it is given up."""

log = structlog.get_logger()


class Service(Protocol):
    """A service that is asked over the network. It blocks, and is used by one thread at a time."""

    @property
    def batch(self) -> int:
        """How many targets it is asked about at once, at most..."""

    @property
    def gather_s(self) -> float:
        """...and how long to wait for as many."""

    def ask(self, targets: Sequence[Target]) -> Sequence[Annotation]:
        """What it says of each target; raises `bridges.service_session.ServiceFailed`."""

    def check(self) -> str:
        """Ask once, and tell a person what is there; raises as `ask`."""


Answered = tuple[Target, Annotation]
Deliver = Callable[[str, Sequence[Answered]], Awaitable[None]]
"""Takes the name of the service and what it answered; returns once that is kept."""
Observe = Callable[[str, str, int, float], None]
"""Told the name of the service, an outcome (``found``, ``none``, ``failed`` or ``dropped``), how many objects it is of,
and how many seconds the question took."""
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Wanted:
    target: Target
    since_us: int


class Asker:
    """The queue of a service.

    Parameters
    ----------
    name
        Key of the service in the configuration.
    clock
        The instant now, in microseconds; that of the wall, as answers age by it.

    Attributes
    ----------
    trouble
        What hindered the last question; empty if nothing did.
    """

    def __init__(
        self,
        name: str,
        service: Service,
        options: ServiceOptions,
        *,
        clock: Callable[[], int],
        deliver: Deliver,
        observe: Observe = lambda *_: None,
    ) -> None:
        self.name, self._service, self._options = name, service, options
        self._clock, self._deliver, self._observe = clock, deliver, observe
        self._queue: dict[_Key, _Wanted] = {}
        self._answered_us: dict[_Key, int] = {}
        self._filled = asyncio.Event()
        self._question: asyncio.Future[Sequence[Annotation]] | None = None
        self._most = service.batch
        self.trouble = ""

    @property
    def waiting(self) -> int:
        """How many objects it has not been asked about, or has not answered."""
        return len(self._queue)

    def want(self, target: Target) -> None:
        """Ask about an object, unless there is an answer that is not too old."""
        key = target.survey, target.object_id
        kept_us = round(self._options.keep_d * US_PER_DAY)
        if key in self._queue or self._clock() - self._answered_us.get(key, -kept_us) < kept_us:
            return
        if len(self._queue) >= self._options.queue:
            self._observe(self.name, "dropped", 1, 0.0)
            return
        self._queue[key] = _Wanted(target, self._clock())
        self._filled.set()

    def knows(self, survey: str, object_id: str, said: Annotation, answered_us: int) -> None:
        """Learn of an answer. One that failed is asked for again once the object is heard of again."""
        if said.answer is not Answer.FAILED:
            self._answered_us[survey, object_id] = answered_us

    def forget(self, survey: str, object_id: str) -> None:
        """Nobody wants to know about an object any more."""
        self._answered_us.pop((survey, object_id), None)
        self._queue.pop((survey, object_id), None)

    async def run(self) -> None:
        """Ask until cancelled."""
        failures = 0
        while True:
            await self._filled.wait()
            if len(self._queue) < self._most:
                await asyncio.sleep(self._service.gather_s)
            wanted = list(self._queue.values())[: self._most]
            if not wanted:
                self._filled.clear()
                continue
            began_s = asyncio.get_running_loop().time()
            try:
                found = await self._ask([one.target for one in wanted])
            except Exception as error:  # noqa: BLE001 - whatever a library makes of what a stranger sends
                failures += 1
                await self._failed(wanted, error, began_s)
                await asyncio.sleep(self._rest_s(failures, error))
                continue
            failures, self.trouble = 0, ""
            self._most = min(2 * self._most, self._service.batch)
            await self._came(wanted, found, began_s)
            await asyncio.sleep(self._options.pause_s)

    async def _ask(self, targets: list[Target]) -> Sequence[Annotation]:
        """Ask in a thread, and give up when that takes too long: nobody can end it, but there is never a second one."""
        if self._question is not None and not self._question.done():
            raise TimeoutError("the last question has still not come back")
        self._question = _in_thread(lambda: self._service.ask(targets), f"ask-{self.name}")
        try:
            async with asyncio.timeout(_GRACE * self._options.timeout_s):
                return await asyncio.shield(self._question)
        except TimeoutError:
            raise TimeoutError(f"no answer within {_GRACE * self._options.timeout_s:g} s") from None

    async def _came(self, wanted: Sequence[_Wanted], found: Sequence[Annotation], began_s: float) -> None:
        took_s = asyncio.get_running_loop().time() - began_s
        for answer in (Answer.FOUND, Answer.NONE):
            count = sum(one.answer is answer for one in found)
            if count:
                self._observe(self.name, str(answer), count, took_s)
        await self._settle([(one.target, said) for one, said in zip(wanted, found, strict=True)])

    async def _failed(self, wanted: Sequence[_Wanted], error: Exception, began_s: float) -> None:
        """Try those again later, behind the others, in smaller batches: one of them may be what hinders all."""
        trouble = shown(str(error) or type(error).__name__)
        if trouble != self.trouble:
            log.warning("service does not answer, trying again", catalogue=self.name, trouble=trouble)
        self.trouble = trouble
        self._observe(self.name, "failed", len(wanted), asyncio.get_running_loop().time() - began_s)
        self._most = max(1, self._most // 2)
        patience_us = round(self._options.patience_s * US_PER_S)
        given_up = [one for one in wanted if self._clock() - one.since_us >= patience_us]
        for one in wanted:
            key = one.target.survey, one.target.object_id
            if key in self._queue:
                self._queue[key] = self._queue.pop(key)
        if given_up:
            await self._settle([(one.target, Annotation(self.name, Answer.FAILED)) for one in given_up])

    async def _settle(self, answered: Sequence[Answered]) -> None:
        """These objects are not asked about any more, once that is kept."""
        await self._deliver(self.name, answered)
        for target, said in answered:
            self._queue.pop((target.survey, target.object_id), None)
            self.knows(target.survey, target.object_id, said, self._clock())

    def _rest_s(self, failures: int, error: Exception) -> float:
        asked_s = getattr(error, "retry_after_s", None) or 0.0
        doubled_s = self._options.retry_s * 2.0 ** min(failures - 1, 30)
        return float(max(min(doubled_s, self._options.retry_most_s), asked_s))


def _in_thread(work: Callable[[], Any], name: str) -> asyncio.Future[Any]:
    """Work in a thread that keeps no process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def tell(result: Any, error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result, trouble = None, None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - for whoever waits
            # A future takes no StopIteration.
            trouble = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error
        with suppress(RuntimeError):  # the loop ended meanwhile
            loop.call_soon_threadsafe(tell, result, trouble)

    # What is raised after everybody gave up was told as a time-out.
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    Thread(target=run, name=name, daemon=True).start()
    return future
