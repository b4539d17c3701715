"""Notices that came in, as the VOEvents that sinks pass on."""

from collections import OrderedDict
from typing import Final

from schemas.records import Notice
from schemas.voevent_packet import VoeventAuthor
from schemas.voevent_relay import conversion_ivorn, convert_notice, is_convertible

TRIGGERS_REMEMBERED: Final = 10_000


class NoticePackets:
    """Gives a VOEvent as it came, and converts any other notice, citing the conversion of its trigger's notice before.

    What was converted before is known for the last triggers since the start: after a restart the first conversion of a
    trigger cites none.

    Parameters
    ----------
    author
        Who converts.
    software
        Name and version of what converts.
    """

    def __init__(self, author: VoeventAuthor, software: str) -> None:
        self._author = author
        self._software = software
        self._last: OrderedDict[str, tuple[str | None, str]] = OrderedDict()

    def packet(self, notice: Notice) -> bytes:
        """The notice as XML; the same again if it is asked for again before another of its trigger."""
        if not is_convertible(notice):
            return notice.message.body
        return convert_notice(notice, self._author, self._previous(notice), software=self._software)

    def passed_on(self, notice: Notice) -> None:
        """Remember that the packet was sent: the next of its trigger cites it."""
        if notice.trigger_id is None or not is_convertible(notice):
            return
        self._last[notice.trigger_id] = self._previous(notice), conversion_ivorn(notice, self._author)
        self._last.move_to_end(notice.trigger_id)
        if len(self._last) > TRIGGERS_REMEMBERED:
            self._last.popitem(last=False)

    def _previous(self, notice: Notice) -> str | None:
        before, last = self._last.get(notice.trigger_id or "", (None, None))
        return before if last == conversion_ivorn(notice, self._author) else last
