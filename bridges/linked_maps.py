"""Sky maps that notices only link to, found by file name among the files that were given."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from bridges.files import FoundFile, read_files
from schemas.errors import BadSkyMap
from schemas.records import Message, Notice
from schemas.skymap import read_skymap_header
from schemas.times import US_PER_S

SAME_EVENT_S = 3600
"""A map whose date differs by more from the trigger's is of another event. Maps state the event's time to the
second; the hour allows for those that state when observing began."""


def link_parts(url: str) -> tuple[str, ...]:
    """The path of a URL, component by component: ``("api", "S200115j", "files", "bayestar.fits.gz")``.

    Empty for what is no URL, or has no path.
    """
    try:
        path = urlsplit(url).path
    except ValueError:
        return ()
    return tuple(part for part in PurePosixPath(unquote(path)).parts if part.strip("/"))


def find_linked_maps(
    notices: Iterable[Notice], files: Sequence[FoundFile], map_origins: Collection[str], *, bytes_max: int
) -> dict[str, Message]:
    """The map that each notice links to, where a file of that name is among the files and is of that event.

    Many events' maps share one file name, so the header has the last word: a map that names another event, or a time
    more than an hour from the trigger's, is not taken. Of several that fit, the one whose path is most like the
    link's wins, then the first by path.

    Parameters
    ----------
    map_origins
        Where sky maps were found among the files: only these files, and archives with such a member, are read again.

    Returns
    -------
    dict
        IVORN of the notice -> the map's raw bytes. Only maps that are wanted are kept in memory.
    """
    wanted: dict[str, list[Notice]] = defaultdict(list)
    for notice in notices:
        if notice.skymap_url and (parts := link_parts(notice.skymap_url)):
            wanted[parts[-1]].append(notice)
    places = (PurePosixPath(origin) for origin in map_origins)
    holders = {str(at) for place in places if place.name in wanted for at in (place, *place.parents)}
    best: dict[str, tuple[tuple[int, str], Message]] = {}
    for message in read_files([file for file in files if file.label in holders], bytes_max=bytes_max):
        if not isinstance(message, Message):
            continue  # reported when the same files were read for notices
        for notice in wanted.get(PurePosixPath(message.origin).name, ()):
            if is_of_event(message.body, notice):
                score = (-_likeness(message.origin, notice), message.origin)
                if notice.ivorn not in best or score < best[notice.ivorn][0]:
                    best[notice.ivorn] = (score, message)
    return {ivorn: message for ivorn, (_, message) in best.items()}


def linking_notice(origin: str, body: bytes, notices: Iterable[Notice]) -> Notice | None:
    """The notice that links to a map of this name and event; of several, whose link is most like its path."""
    name = PurePosixPath(origin).name
    linking = [
        notice
        for notice in notices
        if link_parts(notice.skymap_url or "")[-1:] == (name,) and is_of_event(body, notice)
    ]
    return min(linking, key=lambda notice: (-_likeness(origin, notice), notice.ivorn), default=None)


def is_of_event(body: bytes, notice: Notice) -> bool:
    """Whether a file is a sky map whose header does not say that it is of another event than the notice's."""
    try:
        header = read_skymap_header(body)
    except BadSkyMap:
        return False
    names = {name.lower() for name in (*notice.names, (notice.trigger_id or "").partition(":")[2])}
    if header.object_name and header.object_name.lower() in names:
        return True
    if header.object_name and _is_superevent(header.object_name):
        return False
    if header.time_us is None or notice.trigger_time_us is None:
        return True
    return abs(header.time_us - notice.trigger_time_us) <= SAME_EVENT_S * US_PER_S


def _is_superevent(name: str) -> bool:
    return name[:1] in {"S", "M", "T"} and name.lstrip("MST")[:6].isdecimal()


def _likeness(origin: str, notice: Notice) -> int:
    there, link = PurePosixPath(origin).parts, link_parts(notice.skymap_url or "")
    same_tail = 0
    for ours, theirs in zip(reversed(there), reversed(link), strict=False):
        if ours != theirs:
            break
        same_tail += 1
    own_id = (notice.trigger_id or "").partition(":")[2]
    return same_tail + (len(there) if own_id and any(own_id in part for part in there) else 0)
