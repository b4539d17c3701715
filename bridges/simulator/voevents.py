"""Notices as GCN's classic VOEvents, all of them with ``role="test"`` and an IVORN of our own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lxml import etree

from schemas.times import datetime_from_us, iso_from_us

AUTHORITY = "nasa.gsfc.gcn-simulated"
"""Not GCN's own, so that no identifier here is one of theirs, but near enough that readers know the packet types."""
AUTHOR = "starcross.simulator"
_NAMESPACE = "http://www.ivoa.net/xml/VOEvent/v2.0"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
TRUNCATED_JD_OF_UNIX_EPOCH = 587
"""TJD = JD - 2440000.5."""


@dataclass(frozen=True, slots=True)
class Param:
    """A named value of a notice, in a group or on its own."""

    name: str
    value: Any
    unit: str = ""
    ucd: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a notice says that it was; the meaning of the radius depends on the notice's type."""

    ra_deg: float
    dec_deg: float
    radius_deg: float


NOWHERE = Position(0.0, 0.0, 0.0)
"""How classic notices say that they know no position."""


@dataclass(frozen=True, slots=True)
class ClassicNotice:
    """What a classic notice says.

    Attributes
    ----------
    stream, local_id
        Together the IVORN: ``ivo://nasa.gsfc.gcn-simulated/<stream>#<local_id>``.
    topic
        Its name among GCN's classic topics.
    issued_us, event_us
        When it was sent, and the time that it gives for the event.
    params
        Packet type, identifiers and the rest, in order.
    cites
        IVORN of the notice that it follows up; empty if it is the first.
    """

    stream: str
    local_id: str
    topic: str
    instrument: str
    issued_us: int
    event_us: int
    position: Position
    params: Sequence[Param]
    concept: str
    cites: str = ""

    @property
    def ivorn(self) -> str:
        """Its identifier, with an authority of our own."""
        return f"ivo://{AUTHORITY}/{self.stream}#{self.local_id}"

    def to_xml(self) -> bytes:
        """The packet."""
        root = etree.Element(
            f"{{{_NAMESPACE}}}VOEvent",
            {"ivorn": self.ivorn, "role": "test", "version": "2.0"},
            nsmap={"voe": _NAMESPACE, "xsi": _XSI},
        )
        root.set(f"{{{_XSI}}}schemaLocation", f"{_NAMESPACE} http://www.ivoa.net/xml/VOEvent/VOEvent-v2.0.xsd")
        self._who(etree.SubElement(root, "Who"))
        self._what(etree.SubElement(root, "What"))
        self._where_when(etree.SubElement(root, "WhereWhen"))
        how = etree.SubElement(root, "How")
        _text(how, "Description", f"Simulated: {self.instrument}")
        why = etree.SubElement(root, "Why", importance="0.0")
        inference = etree.SubElement(why, "Inference", probability="0.0")
        _text(inference, "Concept", self.concept)
        if self.cites:
            citations = etree.SubElement(root, "Citations")
            _text(citations, "EventIVORN", self.cites).set("cite", "followup")
        _text(root, "Description", "Made by Starcross's simulator. This is not an observation.")
        return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True))

    def _who(self, who: Any) -> None:
        _text(who, "AuthorIVORN", f"ivo://{AUTHOR}/author")
        author = etree.SubElement(who, "Author")
        _text(author, "shortName", "Starcross simulator")
        _text(who, "Date", datetime_from_us(self.issued_us).strftime("%Y-%m-%dT%H:%M:%S"))

    def _what(self, what: Any) -> None:
        groups: dict[str, Any] = {"": what}
        for param in self.params:
            if param.group not in groups:
                groups[param.group] = etree.SubElement(what, "Group", name=param.group)
            value = str(param.value).lower() if isinstance(param.value, bool) else str(param.value)
            attributes = {"name": param.name, "value": value, "unit": param.unit, "ucd": param.ucd}
            etree.SubElement(groups[param.group], "Param", {k: v for k, v in attributes.items() if v})

    def _where_when(self, where_when: Any) -> None:
        location = etree.SubElement(where_when, "ObsDataLocation")
        etree.SubElement(location, "ObservatoryLocation", id="GEOLUN")
        observation = etree.SubElement(location, "ObservationLocation")
        etree.SubElement(observation, "AstroCoordSystem", id="UTC-FK5-GEO")
        coords = etree.SubElement(observation, "AstroCoords", coord_system_id="UTC-FK5-GEO")
        instant = etree.SubElement(etree.SubElement(coords, "Time", unit="s"), "TimeInstant")
        _text(instant, "ISOTime", iso_from_us(self.event_us)[:22])
        position = etree.SubElement(coords, "Position2D", unit="deg")
        _text(position, "Name1", "RA")
        _text(position, "Name2", "Dec")
        value = etree.SubElement(position, "Value2")
        _text(value, "C1", f"{self.position.ra_deg:.4f}")
        _text(value, "C2", f"{self.position.dec_deg:.4f}")
        _text(position, "Error2Radius", f"{self.position.radius_deg:.4f}")


def burst_day(event_us: int) -> list[Param]:
    """The event's day and second of the day, as GCN writes them."""
    days, rest = divmod(event_us, 86_400_000_000)
    return [
        Param("Burst_TJD", days + TRUNCATED_JD_OF_UNIX_EPOCH, "days", "time"),
        Param("Burst_SOD", f"{rest / 1e6:.2f}", "sec", "time"),
    ]


def _text(parent: Any, name: str, text: str) -> Any:
    child = etree.SubElement(parent, name)
    child.text = text
    return child
