"""XML from strangers: size, depth and encoding are bounded, and nothing in it may point elsewhere.

No document type at all is accepted, so there are no entities to expand and no files or hosts to fetch.
"""

from typing import Final

from lxml import etree

from schemas.errors import BadNotice, Reason

MAX_BYTES: Final = 1 << 20
"""Largest document that is looked at; the largest real VOEvents are some 60 kB."""

MAX_DEPTH: Final = 64
"""Deepest nesting that is accepted; VOEvents have about nine levels."""

_PARSER: Final = etree.XMLParser(
    resolve_entities=False,
    load_dtd=False,
    dtd_validation=False,
    no_network=True,
    huge_tree=False,
    recover=False,
    remove_comments=True,
    remove_pis=True,
    collect_ids=False,
)
_TOO_DEEP: Final = etree.XPath("boolean(" + "/*" * (MAX_DEPTH + 1) + ")")
_DEPTH_ERROR: Final = "Excessive depth"
_BYTE_ORDER_MARKS: Final = b"\xef\xbb\xbf\xff\xfe \t\r\n"
_ENCODING: Final = frozenset(
    {
        etree.ErrorTypes.ERR_INVALID_CHAR,
        etree.ErrorTypes.ERR_INVALID_ENCODING,
        etree.ErrorTypes.ERR_UNKNOWN_ENCODING,
        etree.ErrorTypes.ERR_UNSUPPORTED_ENCODING,
        etree.ErrorTypes.ERR_ENCODING_NAME,
    }
)


def parse_xml(body: bytes, max_bytes: int = MAX_BYTES) -> etree._Element:
    """The root element of a document.

    Comments and processing instructions are left out; white space before the declaration is forgiven.

    Parameters
    ----------
    body
        The whole document.
    max_bytes
        Largest size that is parsed.

    Raises
    ------
    BadNotice
        EMPTY, UNKNOWN_FORMAT (no XML), TOO_LARGE, TOO_DEEP, FORBIDDEN (a document type or an entity), BAD_ENCODING,
        TRUNCATED or MALFORMED.
    """
    if len(body) > max_bytes:
        raise BadNotice(Reason.TOO_LARGE, f"the XML has {len(body)} bytes, at most {max_bytes} are read")
    text = body.strip()
    if not text:
        raise BadNotice(Reason.EMPTY, "the XML document has no content")
    # Zero bytes are dropped for this look, so that UTF-16 cannot hide a declaration.
    plain = text.replace(b"\0", b"") if b"\0" in text else text
    if not plain.lstrip(_BYTE_ORDER_MARKS).startswith(b"<"):
        raise BadNotice(Reason.UNKNOWN_FORMAT, "the document is no XML: it does not start with '<'")
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
        raise BadNotice(Reason.FORBIDDEN, "the XML declares a document type or an entity; none is accepted")
    try:
        # In UTF-16 half of a blank is a zero byte, so stripping would cut a character in two.
        root = etree.fromstring(text if plain is text else body, _PARSER)
    except etree.XMLSyntaxError as error:
        raise BadNotice(_reason(error, text), f"the XML is not well-formed: {error.msg}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise BadNotice(Reason.FORBIDDEN, "the XML declares a document type; none is accepted")
    if _TOO_DEEP(root):
        raise BadNotice(Reason.TOO_DEEP, f"the XML is nested more than {MAX_DEPTH} levels deep")
    return root


def _reason(error: etree.XMLSyntaxError, text: bytes) -> Reason:
    """Sort libxml2's complaints into ours."""
    if _DEPTH_ERROR in str(error.msg):
        return Reason.TOO_DEEP
    code = getattr(error, "code", None)
    if code in _ENCODING:
        return Reason.BAD_ENCODING
    if code == etree.ErrorTypes.ERR_TAG_NOT_FINISHED or not text.endswith(b">"):
        return Reason.TRUNCATED
    return Reason.MALFORMED


def local_name(element: etree._Element) -> str:
    """The name of an element without its namespace; empty for what is no element."""
    tag: object = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
