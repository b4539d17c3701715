"""Counterparts of uploaded sky maps: the window is what the upload asks for."""

from dataclasses import dataclass

import numpy as np

from matchers.regions import credible_region
from matchers.search import days_us, seconds_us
from schemas.records import Alerts, Bools, Trigger, Window
from schemas.upload import MISSION, search_of


@dataclass(frozen=True, slots=True)
class UploadSearch:
    """A matcher for uploads alone, each of which says itself how it is searched.

    Satisfies `broker.interfaces.Matcher`.
    """

    name: str = MISSION

    def window(self, trigger: Trigger) -> Window | None:
        """Where and when to look; None for what is no upload, or was taken back."""
        if trigger.mission != MISSION or trigger.retracted:
            return None
        search = search_of(trigger.notice.params)
        region = credible_region(trigger, search.level)
        if region is None:
            return None
        start_us = trigger.time_us - seconds_us(search.before_s)
        return Window(start_us, trigger.time_us + days_us(search.after_d), region)

    def match(self, alerts: Alerts, trigger: Trigger) -> Bools:
        """Which alerts belong to objects that the upload asks for. Shape (n,)."""
        search = search_of(trigger.notice.params)
        if not search.new_object:
            return np.ones(len(alerts), np.bool_)
        return alerts.first_detection_us >= trigger.time_us - seconds_us(search.before_s)
