"""Counterparts of uploaded sky maps: the window is what the upload asks for."""

from dataclasses import dataclass

import numpy as np

from matchers.regions import credible_region
from matchers.search import SearchOptions, days_us, seconds_us
from schemas.records import Alerts, Bools, Trigger, Window
from schemas.upload import MISSION, search_of


class UploadOptions(SearchOptions):
    """Options of a matcher of kind ``upload``: an upload says itself how it is to be searched."""


@dataclass(frozen=True, slots=True)
class UploadSearch:
    """A matcher for uploads alone. Satisfies `broker.interfaces.Matcher`."""

    name: str

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


def upload(name: str, options: UploadOptions) -> UploadSearch:  # noqa: ARG001 - as all kinds are made
    """The matcher of this name."""
    return UploadSearch(name)
