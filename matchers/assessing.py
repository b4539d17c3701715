"""What standing verdicts are worth, and which of that makes a revision: what follows once objects were judged."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from matchers.background import Background
from matchers.counts import Counts
from matchers.judge import Matcher, evidence_of
from matchers.ledger import Cause, Changes, GroupKey, Ledger, Place, is_same, place_of, under
from matchers.revisions import Notability, of_statistics
from matchers.statistics import Assessment
from matchers.unrelated import UNMEASURED, UnrelatedCurves
from matchers.verdicts import Opened, batched
from matchers.visibility import CounterpartOptions
from schemas.records import Coincidence, State
from schemas.statistics import NO_EVIDENCE, Statistics

_AT_ONCE = 256
"""So many verdicts are compared with what was published in one step..."""
_WEIGHED_AT_ONCE = 64
"""...and so many light curves weighed, each of which takes some 0.1 ms."""

Condition = Callable[[Coincidence], bool]


class Surroundings(NamedTuple):
    """What is known of the unrelated at one moment.

    Attributes
    ----------
    backgrounds
        By survey.
    triggers_per_year
        That the matcher searches.
    now_us
        The data's clock.
    """

    backgrounds: Mapping[str, Background]
    triggers_per_year: float
    now_us: int


@dataclass(slots=True)
class _Assessed:
    """What came of assessing a group.

    Attributes
    ----------
    causes
        What was different in it, by id.
    verdicts, statistics
        By id: what was assessed, and what it is worth.
    barred
        Ids of what the matcher excludes.
    """

    causes: Mapping[str, Cause]
    verdicts: dict[str, Coincidence] = field(default_factory=dict)
    statistics: dict[str, Statistics] = field(default_factory=dict)
    barred: set[str] = field(default_factory=set)


class Assessor:
    """Assesses groups of verdicts and says what is to be published.

    Parameters
    ----------
    ledger
        Where the verdicts are, and what was published.
    notability
        What is worth a revision.
    counterparts
        What is taken for granted of counterparts.
    """

    def __init__(
        self, ledger: Ledger, notability: Notability, counterparts: CounterpartOptions, counts: Counts
    ) -> None:
        self._ledger, self._notability, self._counterparts, self._counts = ledger, notability, counterparts, counts
        self._weighed_by: dict[str, UnrelatedCurves] = {}
        """By coincidence: what its light curve was compared with."""

    def steps(self, key: GroupKey, opened: Opened | None, around: Surroundings) -> Iterator[Changes]:
        """Assess a touched group, in steps of some milliseconds.

        Parameters
        ----------
        opened
            None if the trigger is not searched (any more): nothing is assessed then, and only what was dropped is told.
        """
        causes = self._ledger.take_touched(key)
        if causes is None:
            return
        found = _Assessed(causes)
        if opened is not None:
            yield from self._assess(key, opened, around, found)
        dropped = [said for name in causes if (said := self._ledger.get(name)) and self._ledger.verdict(name) is None]
        places = sorted({*self._ledger.places(key), *map(place_of, dropped)}) if dropped else self._ledger.places(key)
        for some in batched(places, _AT_ONCE):
            yield self._told(some, found, around.now_us)
        for said in dropped:
            self._weighed_by.pop(said.id, None)

    def _assess(self, key: GroupKey, opened: Opened, around: Surroundings, found: _Assessed) -> Iterator[Changes]:
        """What is excluded whatever it is worth takes no part; what is excluded by its worth did."""
        excludes = excludes_of(opened.matcher)
        for some in batched(self._ledger.places(key), _WEIGHED_AT_ONCE):
            weighed = self._weigh_light_curves(some, around.backgrounds)
            if excludes is not None:
                found.barred.update(verdict.id for verdict in self._verdicts(some) if excludes(verdict))
            if excludes is not None or weighed:
                yield Changes()
        standing = [verdict for verdict in self._verdicts(self._ledger.places(key)) if verdict.id not in found.barred]
        if not standing:
            return
        assessment = Assessment.of(
            opened.trigger,
            opened.window,
            standing,
            around.backgrounds,
            triggers_per_year=around.triggers_per_year,
            now_us=around.now_us,
            options=self._counterparts,
        )
        for first in range(0, len(standing), _AT_ONCE):
            yield Changes()
            rows = slice(first, first + _AT_ONCE)
            worth = {v.id: made for v, made in zip(standing[rows], assessment.statistics(rows), strict=True)}
            found.verdicts.update((verdict.id, verdict) for verdict in standing[rows])
            found.statistics.update(worth)
            self._ledger.assessed(worth)
            if excludes is not None:
                whole = (replace(verdict, statistics=worth[verdict.id]) for verdict in standing[rows])
                found.barred.update(verdict.id for verdict in whole if excludes(verdict))

    def _weigh_light_curves(self, places: Sequence[Place], backgrounds: Mapping[str, Background]) -> int:
        """Weigh those light curves that changed, or where what they are compared with did; returns how many."""
        weighed = 0
        for verdict in self._verdicts(places):
            known = backgrounds.get(verdict.object.survey)
            curves = UNMEASURED if known is None else known.curves
            if verdict.evidence is NO_EVIDENCE or self._weighed_by.get(verdict.id) is not curves:
                self._weighed_by[verdict.id] = curves
                self._ledger.refresh(replace(verdict, evidence=evidence_of(verdict, curves)))
                weighed += 1
        return weighed

    def _verdicts(self, places: Sequence[Place]) -> list[Coincidence]:
        held = (self._ledger.verdict(name) for *_, name in places)
        return [verdict for verdict in held if verdict is not None]

    def _told(self, places: Sequence[Place], found: _Assessed, now_us: int) -> Changes:
        """Compare what holds with what was published, in order."""
        changes = Changes()
        for _, _, name in places:
            verdict, said = self._ledger.verdict(name), self._ledger.get(name)
            stands = said is not None and said.state is not State.WITHDRAWN
            if verdict is None or name in found.barred:
                why = found.causes.get(name) if verdict is None else Cause.CONTAMINANT
                if said is not None and stands and why is not None:
                    self._publish(changes, replace(said, changed=()), State.WITHDRAWN, why, now_us)
            elif found.verdicts.get(name) is verdict:  # what came between the steps has its turn afterwards
                worth = found.statistics[name]
                cause = found.causes.get(name)
                if said is None or not stands:
                    content = replace(verdict, statistics=worth)
                    self._publish(changes, content, State.PROPOSED, cause or Cause.ASSESSMENT, now_us)
                else:
                    self._compare(changes, said, verdict, worth, cause, now_us)
        return changes

    def _compare(
        self,
        changes: Changes,
        said: Coincidence,
        verdict: Coincidence,
        worth: Statistics,
        cause: Cause | None,
        now_us: int,
    ) -> None:
        """Publish what stands if it differs notably from the last revision, else keep it if it differs at all."""
        options, quiet = self._notability.options, self._notability.quiet
        kept = self._ledger.kept(said.id) or said
        drifted = bool(of_statistics(kept.statistics, worth, quiet))
        if cause is None and not drifted and not of_statistics(said.statistics, worth, options):
            return
        now = under(said, verdict, worth)
        if self._notability.differences(said, now):
            self._publish(changes, now, State.UPDATED, cause or Cause.ASSESSMENT, now_us)
        elif drifted or not is_same(kept, now):
            self._ledger.keep(now)
            self._counts.quiet += 1
            changes.quiet.append(now)

    def _publish(self, changes: Changes, content: Coincidence, state: State, reason: Cause, now_us: int) -> None:
        last = self._ledger.get(content.id)
        differences: tuple[str, ...] = ()
        if last is not None and state is not State.WITHDRAWN:
            differences = self._notability.differences(last, content)
        revision = replace(
            content,
            revision=last.revision + 1 if last else 1,
            state=state,
            reason=str(reason),
            changed_us=now_us,
            changed=differences,
        )
        self._ledger.publish(revision)
        self._counts.changes[state] += 1
        changes.published.append(revision)


def excludes_of(matcher: Matcher) -> Condition | None:
    """Which coincidences a matcher does not want, by what is known of object and trigger; None if it takes all."""
    excludes: Condition | None = getattr(matcher, "excludes", None)
    return excludes
