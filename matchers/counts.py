"""What matching counts, for summaries and for telemetry."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counts:
    """What the engine did so far.

    Attributes
    ----------
    received, indexed, duplicates
        Alerts by survey: offered, stored, and stored before.
    late
        Alerts by survey that came when they would have expired already.
    cut
        Alerts by survey and by the quality cut that they failed.
    notices, ignored_notices, duplicate_notices, tests_left_out
        Notices: offered, about no trigger, delivered before, and of tests that are not searched.
    late_skymaps
        Maps that came after their notice.
    windows
        Triggers by the matcher that searches for their counterparts.
    changes
        Revisions by state.
    quiet
        What differed too little for a revision, and was only kept.
    expired_alerts, expired_triggers
        What was dropped with age.
    """

    received: Counter[str] = field(default_factory=Counter)
    indexed: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    cut: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    notices: int = 0
    ignored_notices: int = 0
    duplicate_notices: int = 0
    tests_left_out: int = 0
    late_skymaps: int = 0
    windows: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    quiet: int = 0
    expired_alerts: int = 0
    expired_triggers: int = 0
