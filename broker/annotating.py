"""What services say of the objects of coincidences: wanted, kept, and handed to the engine as it comes.

A coincidence never waits for it: it goes out marked as pending, and is revised when there is an answer.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import structlog

from bridges.asker import Answered, Asker, Observe, Service
from bridges.delivery import shown
from broker.catalogues import Catalogues
from broker.clocks import Clock
from broker.pipeline import Pipeline
from broker.store.records import KeptAnnotation
from matchers.ledger import Changes
from matchers.neighbourhood import Neighbourhood
from matchers.verdicts import batched
from schemas.annotations import Annotation, Answer, Target
from schemas.records import Coincidence, State

log = structlog.get_logger()


def target_of(coincidence: Coincidence) -> Target:
    """What is asked about a coincidence: its object where and when it was first seen to match."""
    told = coincidence.object
    return Target(told.survey, told.object_id, told.ra_deg, told.dec_deg, told.first_match_us)


def ask_at_once(catalogues: Catalogues, coincidences: Iterable[Coincidence]) -> Iterator[tuple[Target, Annotation]]:
    """Ask all services about the objects of coincidences, and wait for what they say; for a replay.

    A question is tried twice; one that fails leaves its objects marked so.
    """
    wanted: dict[str, dict[Target, None]] = {name: {} for name in catalogues.services}
    for coincidence in coincidences:
        for name in catalogues.services_of(coincidence.matcher):
            wanted[name][target_of(coincidence)] = None
    for name, targets in wanted.items():
        service = catalogues.services[name]
        for some in batched(targets, service.batch):
            yield from zip(some, _tried_twice(name, service, some), strict=True)


def _tried_twice(name: str, service: Service, targets: Sequence[Target]) -> Sequence[Annotation]:
    for _ in range(2):
        try:
            return service.ask(targets)
        except Exception as error:  # noqa: BLE001 - whatever a library makes of what a stranger sends
            log.warning("service does not answer", catalogue=name, trouble=shown(str(error)))
    return [Annotation(name, Answer.FAILED)] * len(targets)


class Annotating:
    """Ties the askers of services to the pipeline.

    Parameters
    ----------
    options
        Of the services, by name.
    neighbourhood
        That of the pipeline's engine.
    wall_clock, clock
        By which answers age, and by which coincidences change.

    Attributes
    ----------
    askers
        One for each service, to be run.
    """

    def __init__(
        self,
        catalogues: Catalogues,
        options: Mapping[str, Any],
        pipeline: Pipeline,
        neighbourhood: Neighbourhood,
        *,
        wall_clock: Callable[[], int],
        clock: Clock,
        observe: Observe = lambda *_: None,
    ) -> None:
        self._catalogues, self._pipeline, self._neighbourhood = catalogues, pipeline, neighbourhood
        self._wall_clock, self._clock = wall_clock, clock
        self.askers = {
            name: Asker(name, service, options[name], clock=wall_clock, deliver=self._deliver, observe=observe)
            for name, service in catalogues.services.items()
        }

    def want(self, coincidences: Iterable[Coincidence]) -> None:
        """Ask about the objects of coincidences that stand, as far as their matchers want to know.

        Of private ones nobody outside is asked: a question tells where somebody looks.
        """
        for coincidence in coincidences:
            if coincidence.state is not State.WITHDRAWN and not coincidence.trigger.private_to:
                for name in self._catalogues.services_of(coincidence.matcher):
                    self.askers[name].want(target_of(coincidence))

    def restore(self, kept: Iterable[KeptAnnotation]) -> None:
        """Know what was answered before a restart; before the engine judges anything."""
        for one in kept:
            asker = self.askers.get(one.annotation.catalogue)
            if asker is not None:  # of a service that is not asked any more, nothing is told any more
                self._neighbourhood.put(one.survey, one.object_id, [one.annotation])
                asker.knows(one.survey, one.object_id, one.annotation, one.answered_us)

    def forget(self) -> None:
        """Drop what is known of objects that are part of no coincidence any more; within a turn."""
        ledger = self._pipeline.engine.ledger
        for survey, object_id in list(self._neighbourhood):
            if not ledger.of_object(survey, object_id):
                self._neighbourhood.forget(survey, [object_id])
                for asker in self.askers.values():
                    asker.forget(survey, object_id)

    async def _deliver(self, name: str, answered: Sequence[Answered]) -> None:
        now_us = self._wall_clock()
        kept = [KeptAnnotation(target.survey, target.object_id, said, now_us) for target, said in answered]
        await self._pipeline.act(f"catalogue {name}", lambda: self._put(kept), kept)

    def _put(self, kept: Sequence[KeptAnnotation]) -> Iterator[Changes]:
        engine = self._pipeline.engine
        for (survey, object_id), said in groupby(kept, key=lambda one: (one.survey, one.object_id)):
            annotations = [one.annotation for one in said]
            yield from engine.put_annotations(survey, object_id, annotations, self._clock())
