"""What all VOEvent 2.0 packets of ours share: who sends them, and how their elements are written.

Characters that XML 1.0 cannot carry are written as U+FFFD.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from schemas.errors import ConfigurationError

NAMESPACE: Final = "http://www.ivoa.net/xml/VOEvent/v2.0"
SCHEMA_URL: Final = "http://www.ivoa.net/xml/VOEvent/VOEvent-v2.0.xsd"

_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"

_FORBIDDEN_IN_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_AUTHORITY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-_.!~*'()+=]{2,}")
_STREAM: Final = re.compile(r"[A-Za-z0-9\-_.!~*'()+=]+(/[A-Za-z0-9\-_.!~*'()+=]+)*")
_URI_CHARACTER: Final = r"(?:[A-Za-z0-9\-._~:/?\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})"
_IVORN: Final = re.compile(
    rf"ivo://{_AUTHORITY.pattern}(?:[/?]{_URI_CHARACTER}*)?(?:#{_URI_CHARACTER}*)?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class VoeventAuthor:
    """Who publishes.

    Attributes
    ----------
    authority, stream
        The IVORNs are ``ivo://<authority>/<stream>#<event>``; an authority has at least three characters.
    title
        Name of the service.
    contact_name, contact_email
        Whom to ask; empty ones are left out.

    Raises
    ------
    ConfigurationError
        If authority or stream cannot stand in an IVORN.
    """

    authority: str = "starcross.invalid"
    stream: str = "coincidence"
    title: str = "Starcross"
    contact_name: str = ""
    contact_email: str = ""

    def __post_init__(self) -> None:
        if not _AUTHORITY.fullmatch(self.authority):
            raise ConfigurationError(
                f"{self.authority!r} is no IVOA authority: expected three or more letters, digits or -_.!~*'()+="
            )
        if not _STREAM.fullmatch(self.stream):
            raise ConfigurationError(
                f"{self.stream!r} is no name of a stream: expected letters, digits or -_.!~*'()+= between slashes"
            )


def is_ivorn(text: str) -> bool:
    """Whether the text is a well-formed ``ivo://`` URI."""
    return _IVORN.fullmatch(text) is not None


def packet(ivorn: str, role: str) -> etree._Element:
    """A packet that has nothing in it yet."""
    root = etree.Element(f"{{{NAMESPACE}}}VOEvent", nsmap={"voe": NAMESPACE, "xsi": _XSI})
    root.set("version", "2.0")
    root.set("role", role)
    root.set("ivorn", ivorn)
    root.set(f"{{{_XSI}}}schemaLocation", f"{NAMESPACE} {SCHEMA_URL}")
    return root


def written(root: etree._Element) -> bytes:
    """The packet as UTF-8 XML."""
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def clean(text: str) -> str:
    """The text as XML can carry it."""
    return text if text.isprintable() else _FORBIDDEN_IN_XML.sub("\ufffd", text)


def add(parent: etree._Element, tag: str, text: str = "", **attributes: str) -> etree._Element:
    """Add an element with text and attributes; it is returned."""
    child = etree.SubElement(parent, tag)
    for name, value in attributes.items():
        child.set(name, clean(value))
    if text:
        child.text = clean(text)
    return child


def add_param(parent: etree._Element, name: str, value: Any, *, unit: str = "", ucd: str, description: str) -> None:
    """A Param with all that a reader needs; none for a value that is unknown or empty."""
    if value is None or value in ("", []):
        return
    data_type, text = "string", value
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, int | float):
        data_type = "int" if isinstance(value, int) else "float"
        text = repr(value)
    elif not isinstance(value, str):
        text = ", ".join(str(item) for item in value)
    param = etree.SubElement(parent, "Param")
    param.set("name", clean(name))
    param.set("value", clean(text))
    param.set("dataType", data_type)
    param.set("ucd", ucd)
    if unit:
        param.set("unit", unit)
    etree.SubElement(param, "Description").text = clean(description)


def add_who(root: etree._Element, author: VoeventAuthor, date: str) -> None:
    """Say who sends the packet, and when what it says was made; an empty date is left out."""
    who = add(root, "Who")
    add(who, "AuthorIVORN", f"ivo://{author.authority}")
    if date:
        add(who, "Date", date)
    details = {"title": author.title, "contactName": author.contact_name, "contactEmail": author.contact_email}
    if any(details.values()):
        element = add(who, "Author")
        for tag, text in details.items():
            if text:
                add(element, tag, text)


def add_where_when(root: etree._Element, observatory: str, system: str) -> etree._Element:
    """Name the observatory and the system of coordinates; the element for time and position is returned."""
    location = add(add(root, "WhereWhen"), "ObsDataLocation")
    add(location, "ObservatoryLocation", id=observatory)
    observation = add(location, "ObservationLocation")
    add(observation, "AstroCoordSystem", id=system)
    return add(observation, "AstroCoords", coord_system_id=system)


def add_time(coordinates: etree._Element, iso: str, error_s: float | None = None) -> None:
    """Add an instant; its Z is left out, as the classic packets have it: the system says UTC, and some readers stumble
    over a zone."""
    time = add(coordinates, "Time", unit="s")
    add(add(time, "TimeInstant"), "ISOTime", iso.removesuffix("Z"))
    if error_s is not None:
        add(time, "Error", repr(error_s))


def add_position(coordinates: etree._Element, ra_deg: float, dec_deg: float, radius_deg: str) -> None:
    """Add a position with its error, written as it is to stand there."""
    position = add(coordinates, "Position2D", unit="deg")
    add(position, "Name1", "RA")
    add(position, "Name2", "Dec")
    values = add(position, "Value2")
    add(values, "C1", repr(ra_deg))
    add(values, "C2", repr(dec_deg))
    add(position, "Error2Radius", radius_deg)


def add_citations(root: etree._Element, cited: list[tuple[str, str]]) -> None:
    """Add the IVORNs that are cited, and how; nothing if there are none."""
    if cited:
        citations = add(root, "Citations")
        for ivorn, relation in cited:
            add(citations, "EventIVORN", ivorn, cite=relation)
