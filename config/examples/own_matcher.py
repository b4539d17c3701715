"""An example of a matcher of one's own: bright new sources, deep inside a burst's region, on its first two days."""

from dataclasses import dataclass

from schemas.records import Alerts, Bools, Messenger, Trigger, Window
from schemas.times import US_PER_DAY


@dataclass(frozen=True)
class BrightAfterglows:
    """Looks for alerts brighter than ``faintest_mag`` in the region of probability ``level``."""

    name: str
    faintest_mag: float
    level: float

    def window(self, trigger: Trigger) -> Window | None:
        """The region for two days from the trigger; None for triggers of another kind."""
        if trigger.retracted or trigger.skymap is None or trigger.messenger is not Messenger.GAMMA_RAY:
            return None
        region = trigger.skymap.credible_region(self.level)
        return Window(trigger.time_us, trigger.time_us + 2 * US_PER_DAY, region)

    def match(self, alerts: Alerts, trigger: Trigger) -> Bools:
        """Bright alerts of objects that were not there before the trigger."""
        return (alerts.mag < self.faintest_mag) & (alerts.first_detection_us >= trigger.time_us)
