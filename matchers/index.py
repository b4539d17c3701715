"""The stored alerts, to be asked for a region and a span of time, or for an object."""

from dataclasses import dataclass, field

import numpy as np

from matchers.objects import FirstDetections
from matchers.runs import Run
from matchers.windows import in_time
from schemas.records import Alerts, Ints, Window

ObjectKey = tuple[str, str]
"""Survey and object id."""


@dataclass(frozen=True, slots=True, eq=False)
class Added:
    """What became of alerts that were offered to the index.

    Attributes
    ----------
    new
        Those that were not stored before, as they came, with their objects' earliest detections.
    moved
        Objects known before whose earliest detection became earlier, sorted: what was said of them must be judged
        again.
    """

    new: Alerts
    moved: tuple[ObjectKey, ...]


@dataclass(slots=True, eq=False)
class _Survey:
    objects: FirstDetections = field(default_factory=FirstDetections)
    runs: tuple[Run, ...] = ()

    def gather(self, found: list[tuple[Run, Ints]]) -> Alerts | None:
        """These rows of these runs, sorted by (time, id), with their objects' earliest detections."""
        parts = [(run.alerts.take(rows), run.code[rows]) for run, rows in found if len(rows)]
        if not parts:
            return None
        alerts = Alerts.concatenate([part for part, _ in parts])
        order = np.lexsort((alerts.alert_id, alerts.time_us))
        code = np.concatenate([code for _, code in parts])[order]
        return alerts.take(order).with_first_detection(self.objects.first_us(code))


class AlertIndex:
    """Stored alerts of all surveys. An alert is known by its survey and id, and stored once.

    New alerts become a small sorted run; a run that is not much smaller than its predecessor is merged into it, so that
    n alerts lie in about log2(n) runs and each is moved about log2(n) times. Runs never change. Not safe to be used by
    two threads at once.
    """

    def __init__(self) -> None:
        self._surveys: dict[str, _Survey] = {}

    def __len__(self) -> int:
        return sum(len(run) for survey in self._surveys.values() for run in survey.runs)

    def add(self, alerts: Alerts) -> Added:
        """Store alerts; of several with the same id the first stays. All tell of their objects' earliest detections."""
        survey = self._surveys.setdefault(alerts.survey, _Survey())
        code, moved = survey.objects.observe(alerts)
        _, first_rows = np.unique(alerts.alert_id, return_index=True)
        rows = np.sort(first_rows)
        for run in survey.runs:
            rows = rows[~run.holds(alerts.alert_id[rows])]
        new = alerts.take(rows).with_first_detection(survey.objects.first_us(code[rows]))
        if len(new):
            survey.runs = _tiered((*survey.runs, Run.of(new, code[rows])))
        return Added(new, tuple((alerts.survey, name) for name in moved))

    def note(self, alerts: Alerts) -> tuple[ObjectKey, ...]:
        """Learn of detections that are not stored; returns what `Added.moved` tells of `add`."""
        _, moved = self._surveys.setdefault(alerts.survey, _Survey()).objects.observe(alerts)
        return tuple((alerts.survey, name) for name in moved)

    def query(self, window: Window) -> list[Alerts]:
        """All stored alerts inside a window, exactly.

        Returns
        -------
        list of Alerts
            One for each survey that has any, surveys in alphabetical order, each sorted by (time, id);
            ``first_detection_us`` is the earliest detection known of the object.
        """
        found = (
            survey.gather([(run, _rows_inside(window, run)) for run in survey.runs])
            for _, survey in sorted(self._surveys.items())
        )
        return [alerts for alerts in found if alerts is not None]

    def of_object(self, survey: str, object_id: str) -> Alerts | None:
        """All stored alerts of one object, sorted and completed as by `query`; None if there are none."""
        stored = self._surveys.get(survey)
        code = stored.objects.code_of(object_id) if stored else None
        if stored is None or code is None:
            return None
        return stored.gather([(run, run.rows_of(code)) for run in stored.runs])

    def expire(self, before_us: int) -> int:
        """Drop alerts detected before an instant, and forget objects last detected before it; how many were dropped."""
        before = len(self)
        for survey in self._surveys.values():
            recoded = survey.objects.expire(before_us)
            runs = (_since(run, before_us, recoded) for run in survey.runs)
            survey.runs = tuple(run for run in runs if len(run))
        return before - len(self)


def _rows_inside(window: Window, run: Run) -> Ints:
    alerts = run.alerts
    rows = run.rows_covered_by(window.region)
    rows = rows[in_time(window, alerts.time_us[rows])]
    return rows[window.region.contains(alerts.ra_deg[rows], alerts.dec_deg[rows], alerts.pixel[rows])]


def _tiered(runs: tuple[Run, ...]) -> tuple[Run, ...]:
    """Merge from the newest, until each run is more than twice as large as the next."""
    while len(runs) > 1 and len(runs[-2]) <= 2 * len(runs[-1]):
        runs = (*runs[:-2], Run.merged(runs[-2], runs[-1]))
    return runs


def _since(run: Run, before_us: int, recoded: Ints | None) -> Run:
    keep = run.alerts.time_us >= before_us
    if recoded is None and keep.all():
        return run
    code = run.code if recoded is None else recoded[run.code]
    return Run.of(run.alerts.take(keep), code[keep])
