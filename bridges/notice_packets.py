"""Notices that came in, as the VOEvents that sinks pass on."""

from collections.abc import Callable, Iterable

from schemas.records import Notice
from schemas.voevent_packet import VoeventAuthor
from schemas.voevent_relay import conversion_ivorn, convert_notice, is_convertible

Before = Callable[[Notice], Iterable[Notice]]
"""The notices of its trigger that came before a notice, the latest first."""


def nothing_before(_: Notice) -> Iterable[Notice]:
    """Where nobody knows what came before."""
    return ()


class NoticePackets:
    """Gives a VOEvent as it came, and converts any other notice, citing the conversion of its trigger's notice before.

    Parameters
    ----------
    author
        Who converts.
    software
        Name and version of what converts.
    before
        Tells what came before, so that a notice makes the same packet whenever it is asked for.
    """

    def __init__(self, author: VoeventAuthor, software: str, before: Before = nothing_before) -> None:
        self._author, self._software, self._before = author, software, before

    def packet(self, notice: Notice) -> bytes:
        """The notice as XML."""
        if not is_convertible(notice):
            return notice.message.body
        earlier = (known for known in self._before(notice) if is_convertible(known))
        previous = next((conversion_ivorn(known, self._author) for known in earlier), None)
        return convert_notice(notice, self._author, previous, software=self._software)
