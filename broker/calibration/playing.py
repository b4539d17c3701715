"""Alerts and notices through the engine in order of time, with looks at what stands at set instants."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from matchers.engine import Engine
from schemas.records import Alerts, Notice
from schemas.sky import SkyMap


class Heard(NamedTuple):
    """A notice, the density of the position that it gives, and when it comes."""

    time_us: int
    notice: Notice
    skymap: SkyMap | None


def play(engine: Engine, alerts: Sequence[Alerts], heard: Sequence[Heard], looks_us: Sequence[int]) -> Iterator[int]:
    """Put everything into an engine; yields each look when all that came before it is in and assessed.

    Nothing is assessed in between: that changes nothing of what is found then.

    Parameters
    ----------
    alerts
        By survey, each sorted by time.
    looks_us
        Instants at which to stop; what comes after the last of them is left out.
    """
    events = sorted(
        [(one.time_us, 0, number) for number, one in enumerate(heard)]
        + [(time_us, 1, number) for number, time_us in enumerate(looks_us)]
    )
    times = np.array([time_us for time_us, _, _ in events], np.int64)
    cuts = [[0, *np.searchsorted(of_survey.time_us, times, side="right").tolist()] for of_survey in alerts]
    for place, (time_us, is_look, number) in enumerate(events):
        for of_survey, cut in zip(alerts, cuts, strict=True):
            if cut[place + 1] > cut[place]:
                engine.add_alerts(of_survey.take(slice(cut[place], cut[place + 1])))
        if is_look:
            for _ in engine.reassess(time_us):
                pass
            yield time_us
        else:
            one = heard[number]
            for _ in engine.put_notice(one.notice, one.skymap, time_us):
                pass
