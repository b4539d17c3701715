"""All of matching tied together: alerts and notices in, changes of coincidences out. Pure, and without a clock.

Whatever the order and the batches in which the same alerts and notices come, the coincidences that stand in the end are
the same, as each is judged from all that is stored of its object and its trigger, and worth what all that stand with it
and all that is stored say. (What expired is stored no more.)
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from matchers.assessing import Assessor, Surroundings
from matchers.background import Background
from matchers.cases import Cases
from matchers.counts import Counts
from matchers.cuts import Cuts
from matchers.index import AlertIndex
from matchers.joining import JoinedTriggers
from matchers.judge import Matcher
from matchers.ledger import Cause, Changes, GroupKey
from matchers.linking import LinkOptions
from matchers.neighbourhood import Neighbourhood
from matchers.openings import Openings, by_name, matching_objects
from matchers.revisions import Notability, RevisionOptions
from matchers.statements import order_of
from matchers.verdicts import StoredObjects, Verdicts
from matchers.visibility import CounterpartOptions
from schemas.annotations import Annotation
from schemas.records import Alerts, Coincidence, Notice, Provenance, Role, Trigger
from schemas.sky import SkyMap
from schemas.times import US_PER_DAY, US_PER_S

HOUR_US = 3600 * US_PER_S
"""Things expire, and what stands is assessed again, at full hours of the data's clock, so that it does not matter how
often `Engine.expire` and `Engine.reassess` are called."""
Touched = defaultdict[GroupKey, set[str]]
"""Names of objects that are to be judged, by trigger and matcher."""
_YEAR_US = 365.25 * US_PER_DAY
_FALLBACK_PER_YEAR = 200.0
_FALLBACK_SPAN_US = 30 * US_PER_DAY
"""The rate of triggers is measured over what is remembered, and for so long a time it is the fallback's: three on the
first day are not a thousand a year."""


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """What became of a batch of alerts.

    Attributes
    ----------
    stored
        The alerts that are stored now and were not before.
    noted
        Alerts that are not stored, as they were cut or came after they would have expired; only what they tell of
        their objects counts.
    """

    stored: Alerts
    noted: Alerts


class Engine:
    """Alerts, notices, maps and annotations in; new revisions of coincidences out, in a stated order.

    There are two layers: objects are *judged* at once, and groups of verdicts (of one trigger and matcher) *assessed*
    afterwards; only then is something published. What takes long comes in steps of some 10 ms, each with its `Changes`.

    Parameters
    ----------
    matchers
        Each with a name of its own.
    cuts, carried
        By survey: the quality cuts, and the names of the quality columns that the survey has.
    include_tests
        Whether test and mock triggers are searched too.
    software, config_hash
        For the provenance of coincidences.
    retention_us
        Alerts and triggers are kept at least so long (see `expire`).
    links
        Which triggers are one event.
    counterparts
        What is taken for granted of counterparts.
    revisions
        Which differences are published.
    neighbourhood
        What catalogues say of objects.

    Raises
    ------
    ConfigurationError
        If two matchers have the same name.
    """

    def __init__(
        self,
        matchers: Sequence[Matcher],
        *,
        cuts: Mapping[str, Cuts],
        carried: Mapping[str, frozenset[str]],
        include_tests: bool = False,
        software: str = "",
        config_hash: str = "",
        retention_us: int = 20 * US_PER_DAY,
        links: LinkOptions | None = None,
        counterparts: CounterpartOptions | None = None,
        revisions: RevisionOptions | None = None,
        neighbourhood: Neighbourhood | None = None,
    ) -> None:
        self._cuts, self._carried, self._include_tests = cuts, carried, include_tests
        self._retention_us = retention_us
        self._cases = Cases()
        self._joined = JoinedTriggers(links or LinkOptions())
        self.index = AlertIndex()
        self.counts = Counts()
        self._verdicts = Verdicts(Provenance(software, config_hash, ()), neighbourhood or Neighbourhood())
        self.ledger = self._verdicts.ledger
        self._openings = Openings(
            matchers, self._cases, self._joined, self.index, self._verdicts, self.counts, include_tests=include_tests
        )
        self.book = self._openings.book
        self._assessor = Assessor(
            self.ledger,
            Notability(revisions or RevisionOptions()),
            counterparts or CounterpartOptions(),
            self.counts,
        )
        self._backgrounds: Mapping[str, Background] = {}
        self._background_hour: int | None = None
        self._assessed_hour: int | None = None

    def triggers(self) -> Iterator[Trigger]:
        """All triggers that are remembered, sorted by id: searched or not, retracted or not."""
        return iter(self.book)

    def trigger(self, trigger_id: str) -> Trigger | None:
        """The state of a trigger, by any of its ids; None if it is not remembered."""
        return self.book.get(self._cases.resolve(trigger_id))

    def notices(self, trigger_id: str) -> list[Notice]:
        """What was heard of a trigger, oldest first, by its own order."""
        case = self._cases.get(trigger_id)
        return [] if case is None else sorted(case.notices, key=order_of)

    def standing(self, trigger_id: str | None = None) -> list[Coincidence]:
        """What stands (of a trigger) as it is judged now, sorted by id, under the last revision's number.

        Nothing in it is further from what was published than the thresholds admit; the statistics are those of the
        last assessment (see `reassess`).
        """
        return self.ledger.standing(trigger_id and self._cases.resolve(trigger_id))

    @property
    def horizon_us(self) -> int:
        """Nothing before it is stored any more; it moves with `expire`. Far in the past as long as nothing expired."""
        return self._verdicts.horizon_us

    def add_alerts(self, alerts: Alerts) -> Taken:
        """Cut, store and judge alerts of one survey; `assess` then says what is to be published.

        Raises
        ------
        KeyError
            If the survey has no entry in ``cuts`` or ``carried``.
        """
        survey, counts = alerts.survey, self.counts
        keep, cut = self._cuts[survey].apply(alerts, self._carried[survey])
        late = alerts.time_us < self._verdicts.horizon_us
        timely, kept = (alerts.take(~late), keep[~late]) if late.any() else (alerts, keep)
        noted = timely.take(~kept)
        added = self.index.add(timely, kept)
        moved = set(added.moved)
        if late.any():
            too_late = self.index.known(alerts.take(late))
            moved.update(self.index.note(too_late))
            noted = Alerts.concatenate([noted, too_late])
        counts.received[survey] += len(alerts)
        counts.cut[survey].update(cut)
        counts.late[survey] += int(np.count_nonzero(keep & late))
        counts.indexed[survey] += len(added.new)
        counts.duplicates[survey] += int(np.count_nonzero(kept)) - len(added.new)

        touched: Touched = defaultdict(set)
        self._touch(touched, added.new)
        names = sorted(name for _, name in moved)
        if names and (of_moved := self.index.of_objects(survey, names)) is not None:
            self._touch(touched, of_moved)
        for name in names:
            self._touch_known(touched, survey, name)
        self._judge(touched, survey, Cause.ALERT)
        return Taken(added.new, noted)

    def put_notice(self, notice: Notice, skymap: SkyMap | None, now_us: int) -> Iterator[Changes]:
        """Take in a notice, with the density of the position that it gives (None if it gives none); match its trigger.

        A notice about no trigger, and one of role utility, is counted and ignored.

        Returns
        -------
        iterator of Changes
            What is to be published and kept, in steps of some 10 ms of work, many of which have nothing. The trigger's
            new state counts at once, but what is stored or was published is judged by it only
            as the steps are taken. Between them alerts may be added and other notices put; a newer state of the same
            trigger makes the steps that are left needless, and they end.
        """
        self.counts.notices += 1
        case = self._cases.get(self._cases.trigger_of(notice) or "")
        if case is not None and notice.ivorn in case:
            self.counts.duplicate_notices += 1
        elif not self._include_tests and notice.role in {Role.TEST, Role.MOCK}:
            self.counts.tests_left_out += 1
        heard = self._cases.hear(notice, skymap, now_us)
        if heard is None:
            self.counts.ignored_notices += 1
            return iter(())
        news = (*([heard.trigger_id] if heard.news else ()), *heard.relinked)
        return self._stepping(self._openings.refresh(news, heard.merged, Cause.NOTICE), now_us)

    def put_skymap(self, trigger_id: str, notice_ivorn: str, skymap: SkyMap, now_us: int) -> Iterator[Changes]:
        """Take in the map that a notice linked to, in place of the position that the notice gave itself.

        It may come before its notice, but then counts only with it. Returns as `put_notice`.
        """
        self.counts.late_skymaps += 1
        told = self._cases.hear_skymap(trigger_id, notice_ivorn, skymap, now_us)
        return self._stepping(self._openings.refresh([told], (), Cause.SKYMAP), now_us)

    def put_annotations(
        self, survey: str, object_id: str, annotations: Iterable[Annotation], now_us: int
    ) -> Iterator[Changes]:
        """Take in what catalogues and services say of the neighbourhood of an object. Returns as `put_notice`."""
        if self._verdicts.neighbourhood.put(survey, object_id, annotations):
            touched: Touched = defaultdict(set)
            if (stored := self.index.of_objects(survey, [object_id])) is not None:
                self._touch(touched, stored)
            self._touch_known(touched, survey, object_id)
            self._judge(touched, survey, Cause.ANNOTATION)
        return self.assess(now_us)

    def assess(self, now_us: int) -> Iterator[Changes]:
        """Assess what was judged since, and say what of it is to be published: by trigger, matcher and object.

        Returns as `put_notice`.
        """
        for key in self.ledger.touched():
            yield from self._assessor.steps(key, self._openings.get(*key), self._surroundings(key[1], now_us))

    def reassess(self, now_us: int) -> Iterator[Changes]:
        """Assess all that stands anew, if it has not been in this hour of the data's clock. Returns as `put_notice`."""
        if self.is_reassessment_due(now_us):
            self._assessed_hour = now_us // HOUR_US
            for key in self.ledger.groups():
                if self._openings.get(*key) is not None:
                    self.ledger.touch(key)
        return self.assess(now_us)

    def is_reassessment_due(self, now_us: int) -> bool:
        """Whether `reassess` would assess all that stands."""
        return now_us // HOUR_US != self._assessed_hour

    def trigger_of(self, notice: Notice) -> str | None:
        """The id of the trigger that a notice is about, which may have come by it otherwise than from the notice."""
        return self._cases.trigger_of(notice)

    def heard_before(self, notice: Notice) -> list[Notice]:
        """The notices of its trigger that were heard before a notice, the latest first."""
        case = self._cases.get(self._cases.trigger_of(notice) or "")
        return [] if case is None else case.before(notice.ivorn)

    def unmapped(self) -> Iterator[Notice]:
        """The notices with links to sky maps that have not come and would count, by trigger, oldest first."""
        return (notice for _, case in self._cases.items() for notice in case.unmapped())

    def search_by(self, matchers: Sequence[Matcher], *, config_hash: str, now_us: int) -> Iterator[Changes]:
        """Search with other matchers from now on, and all that is stored anew.

        Returns
        -------
        iterator of Changes
            As of `put_notice`, for one trigger after the other. All steps are to be taken before anything else is
            done.

        Raises
        ------
        ConfigurationError
            If two matchers have the same name; nothing changes then.
        """
        self._openings.matchers = by_name(matchers)
        self._verdicts.made_by = replace(self._verdicts.made_by, config_hash=config_hash)
        for trigger_id in self._cases:
            known = self.ledger.of_trigger(trigger_id)
            gone = [said for said in known if said.matcher not in self._openings.matchers]
            judging = [
                self._verdicts.withdraw(gone, Cause.NOT_SEARCHED),
                self._openings.reopened(trigger_id, Cause.CONFIGURATION),
            ]
            yield from self._stepping(judging, now_us)

    def restore_notice(self, notice: Notice, skymap: SkyMap | None, heard_us: int) -> None:
        """Know of a notice that was put before a restart, at ``heard_us``; in the order in which they were put."""
        self._cases.hear(notice, skymap, heard_us)

    def restore_skymap(self, trigger_id: str, notice_ivorn: str, skymap: SkyMap, heard_us: int) -> None:
        """Know of a map that was put before a restart; in its order among the notices."""
        self._cases.hear_skymap(trigger_id, notice_ivorn, skymap, heard_us)

    def restore_coincidences(self, published: Iterable[Coincidence], quiet: Iterable[Coincidence] = ()) -> None:
        """Know of coincidences as they were last published, withdrawn ones included, and what was kept since."""
        for said in published:
            self.ledger.restore(said)
        for kept in quiet:
            self.ledger.restore_quiet(kept)

    def restore_horizon(self, horizon_us: int) -> None:
        """Drop what `expire` dropped before a restart when it moved `horizon_us` there.

        For objects that were seen again after they had been forgotten, its order among the alerts matters that are
        restored without having been observed.
        """
        self._verdicts.horizon_us = max(self._verdicts.horizon_us, horizon_us)
        self.index.expire(self._verdicts.horizon_us)

    def reopen(self) -> None:
        """Open the windows of all triggers that were restored, once everything is; nothing is judged."""
        self.index.expire(self._verdicts.horizon_us)
        self._openings.restore()

    def expire(self, now_us: int) -> list[str]:
        """Drop what is older than the retention; returns the ids of the triggers of which nothing is known any more.

        Alerts stay as long as a window that has not ended reaches back to them; triggers stay until their windows ended
        before the oldest alert that is kept. What was published of dropped alerts stands: it
        is no longer judged, but still withdrawn if its trigger is retracted.
        """
        before_us = now_us - self._retention_us
        open_us = self.book.earliest_open_us(now_us)
        horizon_us = before_us if open_us is None else min(before_us, open_us)
        horizon_us -= horizon_us % HOUR_US
        if horizon_us <= self._verdicts.horizon_us:
            return []
        self._verdicts.horizon_us = horizon_us
        gone = {trigger.id for trigger in self.book.expire(horizon_us, self._joined.group)}
        self.counts.expired_triggers += len(gone)
        gone.update(
            trigger_id
            for trigger_id, case in self._cases.items()
            if case.heard_us < horizon_us and self.book.get(trigger_id) is None
        )
        names = {name for trigger_id in gone for name in self._cases.ids(trigger_id)}
        for trigger_id in gone:
            self._joined.remove(trigger_id)
            self._cases.forget(trigger_id)
        self.counts.expired_alerts += self.index.expire(horizon_us)
        return sorted(names)

    def _touch(self, touched: Touched, alerts: Alerts) -> None:
        """Add the objects that have a matching alert among these."""
        for hit in self.book.holding(alerts):
            names = matching_objects(self._openings.matchers[hit.matcher], hit.trigger, alerts.take(hit.rows))
            touched[hit.trigger.id, hit.matcher].update(names)

    def _touch_known(self, touched: Touched, survey: str, name: str) -> None:
        """Add an object wherever anything is known of it."""
        for known in self.ledger.of_object(survey, name):
            touched[known.trigger.id, known.matcher].add(name)

    def _judge(self, touched: Touched, survey: str, cause: Cause) -> None:
        """Judge objects of one survey by all that is stored of them."""
        names = sorted(set[str]().union(*touched.values()))
        if not names:
            return
        stored = StoredObjects(self.index.of_objects(survey, names))
        for key in sorted(touched):
            opened = self._openings.get(*key)
            if opened is not None:
                self._verdicts.judge(opened, survey, touched[key], stored, cause)

    def _stepping(self, judging: Sequence[Iterator[None]], now_us: int) -> Iterator[Changes]:
        for _ in chain.from_iterable(judging):
            yield Changes()
        yield from self.assess(now_us)

    def _surroundings(self, matcher: str, now_us: int) -> Surroundings:
        hour = now_us // HOUR_US
        if hour != self._background_hour or self._backgrounds.keys() != set(self.index.surveys()):
            self._backgrounds, self._background_hour = self.index.backgrounds(now_us), hour
        return Surroundings(self._backgrounds, self._triggers_per_year(matcher, now_us), now_us)

    def _triggers_per_year(self, matcher: str, now_us: int) -> float:
        """Of the triggers that are remembered, those that a matcher searches, in the time since the first of them."""
        times_us = [trigger.time_us for trigger in self.book if matcher in self.book.windows(trigger.id)]
        span_us = max(now_us - min(times_us, default=now_us), 0)
        number = len(times_us) + _FALLBACK_PER_YEAR * _FALLBACK_SPAN_US / _YEAR_US
        return number * _YEAR_US / (span_us + _FALLBACK_SPAN_US)
