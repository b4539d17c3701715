import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import BadNotice, Reason
from schemas.xml import MAX_BYTES, MAX_DEPTH, local_name, parse_xml


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.EMPTY),
        (b" \n\t ", Reason.EMPTY),
        (b"hello", Reason.UNKNOWN_FORMAT),
        (b"\0\0\0", Reason.UNKNOWN_FORMAT),
        (b'{"ra": 1}', Reason.UNKNOWN_FORMAT),
        (b"SIMPLE  =                    T", Reason.UNKNOWN_FORMAT),
        (b"<a>" + b" " * MAX_BYTES + b"</a>", Reason.TOO_LARGE),
        (b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1), Reason.TOO_DEEP),
        (b"<a>" * 300 + b"</a>" * 300, Reason.TOO_DEEP),
        (b"<a>" * 100_000, Reason.TOO_DEEP),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', Reason.FORBIDDEN),
        (b'<!DOCTYPE a SYSTEM "http://example.org/a.dtd"><a/>', Reason.FORBIDDEN),
        (b'<?xml version="1.0"?>\n<!DOCTYPE a><a/>', Reason.FORBIDDEN),
        ('<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a><a/>'.encode("utf-16"), Reason.FORBIDDEN),
        (b"<a>&x;</a>", Reason.MALFORMED),
        (b"<a><b></a>", Reason.MALFORMED),
        (b"<a/><b/>", Reason.MALFORMED),
        (b'<a x:b="1"/>', Reason.MALFORMED),
        (b"<a><b", Reason.TRUNCATED),
        (b"<a><b>", Reason.TRUNCATED),
        (b'<a b="c', Reason.TRUNCATED),
        (b"<a>text", Reason.TRUNCATED),
        (b"<a>\xff</a>", Reason.BAD_ENCODING),
        (b'<?xml version="1.0" encoding="martian"?><a/>', Reason.BAD_ENCODING),
        (b"<a>\x01</a>", Reason.BAD_ENCODING),
    ],
)
def test_what_is_refused_and_why(body: bytes, reason: Reason):
    with pytest.raises(BadNotice) as caught:
        parse_xml(body)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "body",
    [
        '<?xml version="1.0" encoding="IBM037"?><!DOCTYPE a><a/>'.encode("cp037"),
        b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE a +AFsAPAAh-ENTITY x "y"+AD4AXQA+-<a>+ACY-x;</a>',
    ],
)
def test_a_document_type_in_an_encoding_that_hides_it_is_refused(body: bytes):
    with pytest.raises(BadNotice) as caught:
        parse_xml(body)
    assert caught.value.reason in {Reason.FORBIDDEN, Reason.UNKNOWN_FORMAT, Reason.BAD_ENCODING}


def test_billion_laughs_cost_nothing():
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    with pytest.raises(BadNotice) as caught:
        parse_xml(f'<!DOCTYPE a [<!ENTITY l0 "ha">{laughs}]><a>&l11;</a>'.encode())
    assert caught.value.reason == Reason.FORBIDDEN


@pytest.mark.parametrize(
    "body",
    [
        b"<a/>",
        b"  \n<?xml version='1.0'?><a/>\n",
        b"\xef\xbb\xbf<a/>",
        '<?xml version="1.0" encoding="utf-16"?><a/>'.encode("utf-16"),
        '<?xml version="1.0" encoding="utf-16"?><a/> '.encode("utf-16"),
        '<?xml version="1.0" encoding="iso-8859-1"?><a>é</a>'.encode("latin-1"),
        b"<a>" * MAX_DEPTH + b"</a>" * MAX_DEPTH,
        b'<x:a xmlns:x="urn:x"><!-- comment --><?php echo 1?></x:a>',
    ],
)
def test_what_is_read(body: bytes):
    root = parse_xml(body)
    assert local_name(root) == "a"
    assert all(isinstance(e.tag, str) for e in root.iter())


def test_the_limit_can_be_lowered():
    with pytest.raises(BadNotice):
        parse_xml(b"<a>12345</a>", max_bytes=11)
    assert parse_xml(b"<a>12345</a>", max_bytes=12).text == "12345"


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda b: b"<a>" + b + b"</a>"))
def test_no_bytes_let_anything_else_escape(body: bytes):
    with contextlib.suppress(BadNotice):
        assert local_name(parse_xml(body))
