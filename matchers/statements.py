"""What the notices of a trigger say one after the other, and which of them only repeat what was said.

The same notice often comes in several forms, as a classic VOEvent and as JSON, with rounded numbers, under another
identifier and seconds apart. Such a repeat is no new statement.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from schemas.ivorns import ivorn_key, stream_of
from schemas.localisation import Cone, Ellipse, InlineMap, Localisation
from schemas.pixels import separation_deg
from schemas.records import Kind, Notice
from schemas.times import US_PER_S

SAME_TIME_US = US_PER_S
"""Forms of a notice give the trigger's time in whole seconds at worst (LVK's)."""
SAME_ISSUE_US = 60 * US_PER_S
"""Forms of a notice are sent within seconds of each other (LVK's 18 s apart)."""
SAME_POSITION_DEG = 2e-4
"""Forms of a notice round positions to 0.0001 deg, or to a small share of their error..."""
SAME_SHARE = 0.02
"""...and other numbers to two digits at worst."""

SAME_ANGLE_DEG = 1.0

_LONG_AGO = -(1 << 63)


@dataclass(frozen=True, slots=True)
class Statement:
    """A notice that said something new, with those right after it that said the same, by `order_of`."""

    notice: Notice
    repeats: tuple[Notice, ...] = ()

    @property
    def forms(self) -> tuple[Notice, ...]:
        """All notices that say it, the first first."""
        return self.notice, *self.repeats


def order_of(notice: Notice) -> tuple[Any, ...]:
    """Sort key among the notices of one trigger: stage, serial, time of issue, and then whatever tells them apart.

    At the same instant a retraction comes last: what was taken back is not revived by what it takes back.

    A notice that does not say when it was issued comes before those that do.
    """
    issued_us = _LONG_AGO if notice.issued_us is None else notice.issued_us
    return notice.stage, notice.serial, issued_us, notice.kind is Kind.RETRACTION, notice.ivorn, notice.message.body


def statements_of(notices: Iterable[Notice]) -> list[Statement]:
    """What the notices of a trigger say, by `order_of`: of several with the same IVORN the last counts."""
    by_ivorn = {ivorn_key(notice.ivorn): notice for notice in sorted(notices, key=order_of)}
    said: list[Statement] = []
    for notice in sorted(by_ivorn.values(), key=order_of):
        if said and repeats(notice, said[-1].notice):
            said[-1] = Statement(said[-1].notice, (*said[-1].repeats, notice))
        else:
            said.append(Statement(notice))
    return said


def repeats(later: Notice, said: Notice) -> bool:
    """Whether a notice adds nothing to what one of another stream said of the same trigger.

    What it leaves out or rounds does not count, nor do names and links, as those of all notices are kept. Whoever says
    something again in the same stream says it anew.
    """
    if (later.stage, later.serial, later.role) != (said.stage, said.serial, said.role):
        return False
    if (later.kind is Kind.RETRACTION) != (said.kind is Kind.RETRACTION):
        return False
    if stream_of(later.ivorn) == stream_of(said.ivorn):
        return False
    return (
        later.astrophysical in {None, said.astrophysical}
        and _same_time(later, said)
        and _same_place(later, said)
        and _same_numbers(later, said)
    )


def _same_time(later: Notice, said: Notice) -> bool:
    if later.trigger_time_us is None:
        return True
    return said.trigger_time_us is not None and abs(later.trigger_time_us - said.trigger_time_us) <= SAME_TIME_US


def _same_place(later: Notice, said: Notice) -> bool:
    if not (_has_map(later) or _has_map(said)):
        return later.localisation is None or _near(later.localisation, said.localisation)
    if later.skymap_url is not None and later.skymap_url == said.skymap_url:
        return later.localisation is None or _near(later.localisation, said.localisation)
    # A link and a file: whether they are the same map is not known before they are read.
    return _has_map(later) == _has_map(said) and _last_word(later) == _last_word(said) and _sent_together(later, said)


def _has_map(notice: Notice) -> bool:
    return notice.skymap_url is not None or isinstance(notice.localisation, InlineMap)


def _last_word(notice: Notice) -> str:
    """Of the sort of notice: that of ``LVC_INITIAL`` and ``LVK_INITIAL``."""
    return notice.notice_type.rpartition("_")[2].casefold()


def _sent_together(later: Notice, said: Notice) -> bool:
    if later.issued_us is None or said.issued_us is None:
        return False
    return abs(later.issued_us - said.issued_us) <= SAME_ISSUE_US


def _near(later: Localisation, said: Localisation | None) -> bool:
    match later, said:
        case Cone(), Cone():
            sizes = [(later.radius_deg, said.radius_deg)]
        case Ellipse(), Ellipse():
            sizes = [(later.semi_major_deg, said.semi_major_deg), (later.semi_minor_deg, said.semi_minor_deg)]
            if abs(later.position_angle_deg - said.position_angle_deg) > SAME_ANGLE_DEG:
                return False
        case _:
            return later == said
    moved_deg = separation_deg(np.array([later.ra_deg]), np.array([later.dec_deg]), said.ra_deg, said.dec_deg)[0]
    return bool(
        (later.containment, later.systematics) == (said.containment, said.systematics)
        and moved_deg <= max(SAME_POSITION_DEG, SAME_SHARE * sizes[-1][1])
        and all(_same_number(one, other) for one, other in sizes)
    )


def _same_numbers(later: Notice, said: Notice) -> bool:
    if later.significance is not None and (
        later.significance_unit != said.significance_unit or not _same_number(later.significance, said.significance)
    ):
        return False
    if later.far_hz is not None and not _same_number(later.far_hz, said.far_hz):
        return False
    return all(
        abs(probability - said.classification.get(name, 0.0)) <= SAME_SHARE
        for name, probability in later.classification.items()
    )


def _same_number(later: float, said: float | None) -> bool:
    return said is not None and abs(later - said) <= SAME_SHARE * abs(said)
