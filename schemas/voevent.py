"""The VOEvent format: what any packet of version 1.1, 2.0 or the 2.1 proposal says, whoever sent it.

This knows the standard (IVOA Recommendation 2011-07-11) and no sender: `schemas.voevent_notice` makes a `Notice` of it.
Elements are recognised by their local names, since versions and senders differ in namespaces.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

from astropy import units
from astropy.coordinates import FK4, BarycentricMeanEcliptic, BaseCoordinateFrame, Galactic, SkyCoord
from astropy.time import Time
from lxml import etree

from schemas.errors import BadNotice, Reason
from schemas.records import Citation
from schemas.times import JD_UNIX_EPOCH, US_PER_DAY, US_PER_S, us_from_astropy, us_from_iso
from schemas.xml import local_name, parse_xml

LIGHT_TRAVEL_S: Final = 500.0
"""Largest difference between a time at the Earth and the same time at the Sun or barycentre: 1 au / c is 499 s."""

MAX_IVORN: Final = 1000
"""Longest identifier that is accepted, in characters."""

_SCALES: Final[Mapping[str, str]] = {
    "TT": "tt",
    "ET": "tt",
    "TDT": "tt",
    "TDB": "tdb",
    "TAI": "tai",
    "GPS": "tai",
    "TCB": "tcb",
    "TCG": "tcg",
}
_GPS_BEHIND_TAI_US: Final = 19 * US_PER_S
_EARLIEST_US: Final = us_from_iso("1900-01-01T00:00:00")
_LEAP_SECONDS_BEGIN_US: Final = us_from_iso("1972-01-01T00:00:00")
_LATEST_US: Final = us_from_iso("2100-01-01T00:00:00")
_EQUATORIAL: Final = frozenset({"ICRS", "FK5", "J2000"})
_OTHER_FRAMES: Final[Mapping[str, BaseCoordinateFrame]] = {
    "FK4": FK4(equinox="B1950"),
    "GAL": Galactic(),
    "GALACTIC": Galactic(),
    "GAL_II": Galactic(),
    "ECLIPTIC": BarycentricMeanEcliptic(),
}
_DEGREES: Final[Mapping[str, float]] = {
    "": 1.0,
    "deg": 1.0,
    "degree": 1.0,
    "degrees": 1.0,
    "deg-deg": 1.0,
    "arcmin": 1 / 60,
    "arcsec": 1 / 3600,
    "rad": math.degrees(1.0),
}


class Param(NamedTuple):
    """A named value of the What section, as text; ``group`` is its group's type, or else its name."""

    name: str
    value: str
    unit: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when something was seen.

    Attributes
    ----------
    system
        The coordinate system's id, such as ``UTC-FK5-GEO``.
    time_text, time_us, time_error_s
        The instant as sent, as UTC (None if unreadable) and its error: the sender's, or `LIGHT_TRAVEL_S` for times at
        the barycentre.
    ra_deg, dec_deg, radius_deg
        As sent, in degrees (ICRS), unchecked: senders write -1, 91 or 360 for "none". None where absent.
    """

    system: str = ""
    time_text: str = ""
    time_us: int | None = None
    time_error_s: float | None = None
    ra_deg: float | None = None
    dec_deg: float | None = None
    radius_deg: float | None = None


@dataclass(frozen=True)
class VOEvent:
    """One packet, parsed.

    Attributes
    ----------
    ivorn, role, version
        Attributes of the packet; ``role`` as sent, empty if absent.
    issued_us
        Who/Date.
    params
        All Params of What, in order.
    place
        The first observation location.
    names, concepts
        Of the inferences in Why.
    citations
        What it cites, and how.
    references
        URLs of all References, in order.
    warnings
        What was odd but did not hinder reading.
    """

    ivorn: str
    role: str = ""
    version: str = ""
    issued_us: int | None = None
    params: tuple[Param, ...] = ()
    place: Place = field(default_factory=Place)
    names: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ()
    citations: tuple[Citation, ...] = ()
    references: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def stream(self) -> str:
        """The IVORN up to its local part, in lower case and without ``ivo://``."""
        return re.split(r"[#?]", self.ivorn, maxsplit=1)[0].lower().removeprefix("ivo://").rstrip("/")

    @property
    def local_id(self) -> str:
        """The IVORN's local part: after ``#``, or after ``?`` as the 2.1 proposal has it."""
        parts = re.split(r"[#?]", self.ivorn, maxsplit=1)
        return parts[1] if len(parts) > 1 else ""

    @cached_property
    def values(self) -> Mapping[str, str]:
        """Param values by name; of equal names in several groups the first."""
        found: dict[str, str] = {}
        for param in self.params:
            found.setdefault(param.name, param.value)
        return found

    @cached_property
    def units(self) -> Mapping[str, str]:
        """Param units by name, as `values`."""
        found: dict[str, str] = {}
        for param in self.params:
            found.setdefault(param.name, param.unit)
        return found

    def group(self, name: str) -> dict[str, str]:
        """The Params of all groups of this name or type."""
        return {param.name: param.value for param in self.params if param.group == name}

    def number(self, name: str) -> float | None:
        """A Param as a finite number; None if it is absent or is none."""
        return finite(self.values.get(name))

    def flag(self, name: str) -> bool | None:
        """A Param as truth: true and 1, false and 0; None for anything else."""
        text = self.values.get(name, "").strip().lower()
        return True if text in {"true", "1"} else False if text in {"false", "0"} else None


def finite(text: str | None) -> float | None:
    """A finite number, or None."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def parse_voevent(body: bytes) -> VOEvent:
    """Read a VOEvent of any version.

    Raises
    ------
    BadNotice
        What `parse_xml` raises; UNKNOWN_FORMAT if the root is no VOEvent; MISSING_FIELD without an IVORN; TOO_LARGE
        with one that is too long.
    """
    root = parse_xml(body)
    if local_name(root) != "VOEvent":
        raise BadNotice(Reason.UNKNOWN_FORMAT, f"the root element is {local_name(root)[:80]!r}, expected 'VOEvent'")
    ivorn = (root.get("ivorn") or root.get("id") or "").strip()
    if not ivorn:
        raise BadNotice(Reason.MISSING_FIELD, "the VOEvent has no attribute 'ivorn'")
    if len(ivorn) > MAX_IVORN:
        raise BadNotice(Reason.TOO_LARGE, f"the IVORN has {len(ivorn)} characters, at most {MAX_IVORN} are read")
    odd: list[str] = []
    sections: dict[str, etree._Element] = {}
    for section in root:
        sections.setdefault(local_name(section), section)
    why = sections.get("Why")
    return VOEvent(
        ivorn=ivorn,
        role=(root.get("role") or "").strip(),
        version=root.get("version") or "",
        issued_us=_issued(sections.get("Who"), odd),
        params=tuple(_params(sections.get("What"))),
        place=_place(sections.get("WhereWhen"), odd),
        names=tuple(_texts(why, "Name")),
        concepts=tuple(_texts(why, "Concept")),
        citations=tuple(_citations(sections.get("Citations"))),
        references=tuple(uri for e in root.iter("{*}Reference") if (uri := e.get("uri"))),
        warnings=tuple(odd),
    )


def _find(parent: etree._Element | None, *path: str) -> etree._Element | None:
    """The first descendant along a path of local names."""
    for name in path:
        if parent is None:
            return None
        parent = next((child for child in parent if local_name(child) == name), None)
    return parent


def _text(parent: etree._Element | None, *path: str) -> str:
    element = _find(parent, *path)
    return (element.text or "").strip() if element is not None else ""


def _texts(parent: etree._Element | None, name: str) -> Iterator[str]:
    if parent is not None:
        yield from (text for e in parent.iter("{*}" + name) if (text := (e.text or "").strip()))


def _issued(who: etree._Element | None, odd: list[str]) -> int | None:
    text = _text(who, "Date")
    try:
        return us_from_scale(text, "UTC") if text else None
    except ValueError:
        odd.append(f"Who/Date {text[:60]!r} is no ISO 8601 date and time")
        return None


def _params(what: etree._Element | None) -> Iterator[Param]:
    for child in what if what is not None else ():
        name = local_name(child)
        if name == "Param":
            yield _param(child, "")
        elif name in {"Group", "Table"}:
            group = child.get("type") or child.get("name") or ""
            yield from (_param(e, group) for e in child.iterchildren("{*}Param"))


def _param(element: etree._Element, group: str) -> Param:
    value = element.get("value")
    if value is None:
        value = _text(element, "Value")
    return Param(element.get("name") or "", value.strip(), element.get("unit") or "", group)


def _citations(section: etree._Element | None) -> Iterator[Citation]:
    for element in section if section is not None else ():
        ivorn = (element.text or "").strip()
        if local_name(element) == "EventIVORN" and ivorn:
            yield Citation(ivorn, (element.get("cite") or "").strip().lower())


def _place(where: etree._Element | None, odd: list[str]) -> Place:
    data = _find(where, "ObsDataLocation")
    if data is None:
        return Place()
    locations = [e for e in data if local_name(e) == "ObservationLocation"]
    if len(locations) > 1:
        odd.append(f"{len(locations)} observation locations; the first is used")
    location = locations[0] if locations else None
    coords = _find(location, "AstroCoords")
    declared = _find(location, "AstroCoordSystem")
    system = (coords.get("coord_system_id") or "") if coords is not None else ""
    if not system and declared is not None:
        system = declared.get("id") or ""
    text, instant, error = _time(coords, system, odd)
    ra, dec, radius = _position(coords, system, odd)
    return Place(system, text, instant, error, ra, dec, radius)


def _time(coords: etree._Element | None, system: str, odd: list[str]) -> tuple[str, int | None, float | None]:
    time = _find(coords, "Time")
    text = _text(time, "TimeInstant", "ISOTime")
    error = finite(_text(time, "Error"))
    error = error if error and error > 0 else None
    if not text:
        return "", None, error
    parts = system.upper().split("-")
    try:
        instant = us_from_scale(text, parts[0])
    except ValueError:
        odd.append(f"ISOTime {text[:60]!r} is no date and time")
        return text, None, error
    if parts[-1] in {"BARY", "HELIO", "BARYCENTER", "HELIOCENTER"}:
        odd.append(f"the time is that at the barycentre ({system}), within {LIGHT_TRAVEL_S:.0f} s of that at the Earth")
        error = max(error or 0.0, LIGHT_TRAVEL_S)
    return text, instant, error


def us_from_scale(text: str, scale: str) -> int:
    """Microseconds UTC of an ISO 8601 date and time in a time scale, such as TT, TDB, TAI or GPS.

    UTC, UT1 and what is unknown are taken as UTC: UT1 stays within 0.9 s of it.

    Raises
    ------
    ValueError
        If the text is no date and time between 1900 and 2100.
    """
    count = us_from_iso(text)
    if not _EARLIEST_US <= count < _LATEST_US:
        raise ValueError(f"{text!r} is not between 1900 and 2100")
    name = _SCALES.get(scale)
    if name is None or count < _LEAP_SECONDS_BEGIN_US:
        return count
    if scale == "GPS":
        count += _GPS_BEHIND_TAI_US
    days, rest = divmod(count, US_PER_DAY)
    return int(us_from_astropy(Time(JD_UNIX_EPOCH + days, rest / US_PER_DAY, format="jd", scale=name)))


def _position(
    coords: etree._Element | None, system: str, odd: list[str]
) -> tuple[float | None, float | None, float | None]:
    position = _find(coords, "Position2D")
    values = _find(position, "Value2")
    if position is None or values is None:
        position = _find(coords, "Position3D")
        values = _find(position, "Value3")
    if position is None or values is None:
        return None, None, None
    unit = (position.get("unit") or "").strip().lower()
    factor = _DEGREES.get(unit)
    if factor is None:
        odd.append(f"unit {unit[:40]!r} of the position is taken as degrees")
        factor = 1.0
    texts = (_text(values, "C1"), _text(values, "C2"), _text(position, "Error2Radius"))
    first, second, radius = (None if (number := finite(text)) is None else number * factor for text in texts)
    if _text(position, "Name1").lower().startswith("dec"):
        first, second = second, first
    if first is None or second is None:
        return first, second, radius
    return *_to_icrs(first, second, system, odd), radius


def _to_icrs(lon: float, lat: float, system: str, odd: list[str]) -> tuple[float, float]:
    parts = system.upper().split("-")
    name = parts[1] if len(parts) > 1 else ""
    frame = _OTHER_FRAMES.get(name)
    if frame is None:
        if name and name not in _EQUATORIAL:
            odd.append(f"coordinate system {system[:40]!r} is taken as equatorial (J2000)")
        return lon, lat
    if not -90 <= lat <= 90:  # noqa: PLR2004 - degrees
        return lon, lat
    icrs = SkyCoord(lon * units.deg, lat * units.deg, frame=frame).icrs
    return float(icrs.ra.deg), float(icrs.dec.deg)
