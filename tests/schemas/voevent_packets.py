"""VOEvents made to order, so that the readers are tested without anybody's data."""

from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape, quoteattr

from schemas.records import Message, Notice
from schemas.voevent_notice import read_voevent

DEFAULT_TIME = "2020-01-07T04:30:12.34"
T0_US = 1_578_371_412_340_000
"""The default time in microseconds."""


def packet(
    packet_type: int | None = None,
    params: Mapping[str, object] | None = None,
    *,
    ivorn: str = "ivo://nasa.gsfc.gcn/Test#Packet_1-001",
    role: str | None = "observation",
    date: str | None = "2020-01-07T04:31:00",
    groups: Mapping[str, Mapping[str, object]] | None = None,
    units: Mapping[str, str] | None = None,
    position: tuple[object, object] | None = (120.5, -33.25),
    radius: object | None = 1.5,
    time: str | None = DEFAULT_TIME,
    time_error: object | None = None,
    system: str = "UTC-FK5-GEO",
    unit: str = "deg",
    axes: tuple[str, str] = ("RA", "Dec"),
    cites: Iterable[tuple[str, str]] = (),
    names: Iterable[str] = (),
    concepts: Iterable[str] = (),
    references: Iterable[str] = (),
    version: str = "2.0",
) -> bytes:
    """A packet with these parts; None leaves a part out."""
    params = dict(params or {})
    if packet_type is not None:
        params = {"Packet_Type": packet_type, **params}

    def lines(of: Mapping[str, object]) -> str:
        return "".join(
            f"<Param name={quoteattr(k)} value={quoteattr(str(v))}"
            + (f" unit={quoteattr(units[k])}" if units and k in units else "")
            + "/>"
            for k, v in of.items()
        )

    what = lines(params) + "".join(
        f"<Group name={quoteattr(k)} type={quoteattr(k)}>{lines(of)}</Group>" for k, of in (groups or {}).items()
    )
    what += "".join(f"<Reference uri={quoteattr(uri)}/>" for uri in references)
    where = ""
    if time is not None:
        error = "" if time_error is None else f"<Error>{time_error}</Error>"
        where += f'<Time unit="s"><TimeInstant><ISOTime>{escape(time)}</ISOTime></TimeInstant>{error}</Time>'
    if position is not None:
        error = "" if radius is None else f"<Error2Radius>{radius}</Error2Radius>"
        where += (
            f"<Position2D unit={quoteattr(unit)}><Name1>{axes[0]}</Name1><Name2>{axes[1]}</Name2>"
            f"<Value2><C1>{position[0]}</C1><C2>{position[1]}</C2></Value2>{error}</Position2D>"
        )
    why = "".join(f"<Name>{escape(n)}</Name>" for n in names)
    why += "".join(f"<Concept>{escape(c)}</Concept>" for c in concepts)
    citations = "".join(f"<EventIVORN cite={quoteattr(how)}>{escape(who)}</EventIVORN>" for who, how in cites)
    sent = "" if date is None else f"<Date>{escape(date)}</Date>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<voe:VOEvent xmlns:voe="http://www.ivoa.net/xml/VOEvent/v{version}" version="{version}" '
        f"ivorn={quoteattr(ivorn)}{'' if role is None else f' role={quoteattr(role)}'}>"
        f"<Who><AuthorIVORN>ivo://test/author</AuthorIVORN>{sent}</Who>"
        f"<What>{what}</What>"
        f'<WhereWhen><ObsDataLocation><ObservatoryLocation id="GEOLUN"/><ObservationLocation>'
        f'<AstroCoordSystem id="{system}"/><AstroCoords coord_system_id="{system}">{where}</AstroCoords>'
        f"</ObservationLocation></ObsDataLocation></WhereWhen>"
        f"<Why><Inference>{why}</Inference></Why><Citations>{citations}</Citations></voe:VOEvent>"
    ).encode()


def read(*args: object, topic: str = "", **parts: object) -> Notice:
    """The notice that such a packet makes."""
    return read_voevent(Message(packet(*args, **parts), "test.xml", topic))  # type: ignore[arg-type]
