"""The VOEvent Transport Protocol without any input or output: frames, and the messages about messages.

A frame is four bytes of length, most significant first, and as many bytes of XML: a VOEvent or a Transport message
(IVOA Recommendation VOEvent Transport Protocol 2.0, 2017). What the recommendation leaves open is done as
Comet does it: a subscriber answers ``authenticate`` with its filters as ``Param name="xpath-filter"``.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lxml import etree

from schemas.errors import BadInput, BadTransport, Reason
from schemas.xml import local_name, parse_xml

MAX_FRAME_BYTES: Final = 1 << 20
"""Largest payload that is sent or accepted unless told otherwise."""

MAX_TRANSPORT_BYTES: Final = 1 << 16
"""Largest Transport message that is read; real ones have some 600 bytes."""

FILTER_PARAM: Final = "xpath-filter"

_NAMESPACE: Final = "http://www.telescope-networks.org/xml/Transport/v1.1"
_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_SCHEMA_LOCATION: Final = (
    "http://telescope-networks.org/schema/Transport/v1.1 http://www.telescope-networks.org/schema/Transport-v1.1.xsd"
)
_LENGTH: Final = struct.Struct(">I")


class TransportRole(StrEnum):
    """What a Transport message says."""

    IAMALIVE = "iamalive"
    AUTHENTICATE = "authenticate"
    ACK = "ack"
    NAK = "nak"


@dataclass(frozen=True, slots=True)
class TransportMessage:
    """A message about messages.

    Attributes
    ----------
    role
        What it says.
    origin
        IVORN of who began the exchange, or of the packet that is acknowledged or refused.
    response
        IVORN of who answers; empty if this is no answer.
    sent
        Instant of sending, in ISO form.
    filters
        XPath expressions: a subscriber wants the packets that any of them selects, or all if there are none.
    result
        Why something is refused, for a person.
    """

    role: TransportRole
    origin: str
    response: str = ""
    sent: str = ""
    filters: tuple[str, ...] = ()
    result: str = ""


def frame(payload: bytes) -> bytes:
    """The payload with its length in front.

    Raises
    ------
    ValueError
        If it is empty.
    """
    if not payload:
        raise ValueError("an empty frame says nothing")
    return _LENGTH.pack(len(payload)) + payload


class FrameReader:
    """Finds the frames in a stream of bytes that comes in pieces.

    It never holds more than one frame and the piece it was fed.

    Parameters
    ----------
    max_bytes
        Largest payload that is accepted; a larger one is refused as soon as its length is known.
    """

    def __init__(self, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The payloads that this piece completes, in order. Take all of them before feeding the next piece.

        Raises
        ------
        BadTransport
            TOO_LARGE or EMPTY. The stream is lost then: where the next frame begins is not known.
        """
        self._buffer += piece
        start = 0
        try:
            while len(self._buffer) - start >= _LENGTH.size:
                (n_bytes,) = _LENGTH.unpack_from(self._buffer, start)
                if n_bytes > self._max_bytes:
                    raise BadTransport(
                        Reason.TOO_LARGE, f"a frame claims {n_bytes} bytes, at most {self._max_bytes} are accepted"
                    )
                if n_bytes == 0:
                    raise BadTransport(Reason.EMPTY, "a frame has no content")
                end = start + _LENGTH.size + n_bytes
                if len(self._buffer) < end:
                    break
                payload = bytes(self._buffer[start + _LENGTH.size : end])
                start = end
                yield payload
        finally:
            del self._buffer[:start]


def transport_bytes(message: TransportMessage) -> bytes:
    """The message as XML, its elements in the order of the schema.

    Raises
    ------
    ValueError
        If a text holds characters that XML cannot carry.
    """
    root = etree.Element(f"{{{_NAMESPACE}}}Transport", nsmap={"trn": _NAMESPACE, "xsi": _XSI})
    root.set("role", message.role)
    root.set("version", "1.0")
    root.set(f"{{{_XSI}}}schemaLocation", _SCHEMA_LOCATION)
    etree.SubElement(root, "Origin").text = message.origin
    if message.response:
        etree.SubElement(root, "Response").text = message.response
    etree.SubElement(root, "TimeStamp").text = message.sent
    if message.filters or message.result:
        meta = etree.SubElement(root, "Meta")
        for text in message.filters:
            etree.SubElement(meta, "Param", {"name": FILTER_PARAM, "value": text})
        if message.result:
            etree.SubElement(meta, "Result").text = message.result
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def parse_transport(payload: bytes, max_bytes: int = MAX_TRANSPORT_BYTES) -> TransportMessage:
    """Read a Transport message, of whatever version and namespace.

    Filters are read in Comet's present form (``Param``) and in its older one (``<filter type="xpath">``).

    Raises
    ------
    BadTransport
        For what `schemas.xml.parse_xml` refuses, UNKNOWN_FORMAT for other XML, and UNSUPPORTED for an unknown role.
    """
    try:
        root = parse_xml(payload, max_bytes)
    except BadInput as error:
        raise BadTransport(error.reason, error.detail) from None
    if local_name(root) != "Transport":
        raise BadTransport(Reason.UNKNOWN_FORMAT, f"expected a Transport message, got {local_name(root)[:80]!r}")
    try:
        role = TransportRole(root.get("role", "").strip())
    except ValueError:
        raise BadTransport(
            Reason.UNSUPPORTED, f"a Transport message has the role {root.get('role', '')[:80]!r}"
        ) from None
    texts = {"Origin": "", "Response": "", "TimeStamp": "", "Result": ""}
    filters: list[str] = []
    for element in (*root, *(part for child in root if local_name(child) == "Meta" for part in child)):
        name = local_name(element)
        if name in texts:
            texts[name] = (element.text or "").strip()
        elif name == "Param" and element.get("name") == FILTER_PARAM:
            filters.append(element.get("value", ""))
        elif name == "filter" and element.get("type") == "xpath":
            filters.append(element.text or "")
    return TransportMessage(
        role, texts["Origin"], texts["Response"], texts["TimeStamp"], tuple(filters), texts["Result"]
    )
