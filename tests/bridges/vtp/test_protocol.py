"""Frames and Transport messages, without any socket."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from bridges.vtp.protocol import (
    MAX_TRANSPORT_BYTES,
    FrameReader,
    TransportMessage,
    TransportRole,
    frame,
    parse_transport,
    transport_bytes,
)
from schemas.errors import BadTransport, Reason

OF_COMET = b"""<?xml version='1.0' encoding='UTF-8'?>
<trn:Transport xmlns:trn="http://www.telescope-networks.org/xml/Transport/v1.1" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="1.0" xsi:schemaLocation=\
"http://telescope-networks.org/schema/Transport/v1.1 http://www.telescope-networks.org/schema/Transport-v1.1.xsd" \
role="authenticate">
  <Origin>ivo://org.starcross/test</Origin>
  <Response>ivo://org.example/comet</Response>
  <TimeStamp>2020-01-01T00:00:00Z</TimeStamp>
  <Meta>
    <Param name="xpath-filter" value="//Param[@name='SC_Lat' and @value&lt;600]"/>
    <Param name="other" value="ignored"/>
  </Meta>
</trn:Transport>
"""
"""What Comet 3.1 sends when it is asked to authenticate."""

payloads = st.lists(st.binary(min_size=1, max_size=300), max_size=8)
xml_text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x2FFF, exclude_categories=("Cs", "Cc"))).map(
    str.strip
)


@given(payloads, st.data())
def test_frames_are_found_however_the_bytes_are_split(sent, data):
    stream = b"".join(map(frame, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    reader = FrameReader(300)
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [payload for piece in pieces for payload in reader.feed(piece)] == sent


def test_a_reader_that_is_left_early_goes_on_with_the_next_frame():
    reader = FrameReader()
    for payload in reader.feed(frame(b"one") + frame(b"two")):
        assert payload == b"one"
        break
    assert list(reader.feed(b"")) == [b"two"]


@pytest.mark.parametrize(
    ("head", "reason"),
    [(b"\0\0\0\x65", Reason.TOO_LARGE), (b"\xff\xff\xff\xff", Reason.TOO_LARGE), (b"\0" * 4, Reason.EMPTY)],
)
def test_a_length_that_makes_no_sense_is_refused_before_its_bytes_come(head, reason):
    reader = FrameReader(100)
    with pytest.raises(BadTransport) as error:
        list(reader.feed(head))
    assert error.value.reason is reason
    assert list(FrameReader(100).feed(b"\0\0\0\x64" + b"x" * 100)) == [b"x" * 100]


def test_an_empty_frame_is_not_made():
    with pytest.raises(ValueError, match="empty"):
        frame(b"")


@given(
    st.builds(
        TransportMessage,
        role=st.sampled_from(TransportRole),
        origin=xml_text,
        response=xml_text,
        sent=xml_text,
        filters=st.lists(xml_text, max_size=4).map(tuple),
        result=xml_text,
    )
)
def test_what_is_made_is_read_back(message):
    assert parse_transport(transport_bytes(message)) == message


def test_what_is_made_is_valid_by_the_schema():
    folder = find_spec("comet").submodule_search_locations[0]
    schema = etree.XMLSchema(etree.parse(Path(folder) / "schema" / "transport-1.1.xsd"))
    for role in TransportRole:
        message = TransportMessage(role, "ivo://a.b/c", "ivo://d.e/f", "2026-01-01T00:00:00.5Z", ("@role",), "why")
        schema.assertValid(etree.fromstring(transport_bytes(message)))


def test_what_comet_says_is_understood():
    message = parse_transport(OF_COMET)
    assert message.role is TransportRole.AUTHENTICATE
    assert message.filters == ("//Param[@name='SC_Lat' and @value<600]",)
    assert (message.origin, message.response) == ("ivo://org.starcross/test", "ivo://org.example/comet")
    assert message.sent == "2020-01-01T00:00:00Z"


def test_older_forms_are_understood():
    filters = b'<filter type="xpath">@role</filter><filter type="x">y</filter>'
    old = b'<Transport role=" authenticate "><Meta>' + filters + b"</Meta></Transport>"
    assert parse_transport(old).filters == ("@role",)
    assert (
        parse_transport(b'<Transport role="nak"><Origin/><Meta><Result>no</Result></Meta></Transport>').result == "no"
    )
    empty = (
        b'<Transport role="authenticate"><Meta><filter type="xpath"/><Param name="xpath-filter"/></Meta></Transport>'
    )
    assert parse_transport(empty).filters == ("", "")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"hello", Reason.UNKNOWN_FORMAT),
        (b"<VOEvent role='iamalive'/>", Reason.UNKNOWN_FORMAT),
        (b"<Transport/>", Reason.UNSUPPORTED),
        (b"<Transport role='shout'/>", Reason.UNSUPPORTED),
        (b"<!DOCTYPE x []><Transport role='ack'/>", Reason.FORBIDDEN),
        (b"<Transport role='ack'>" + b"<a>" * 70 + b"</a>" * 70 + b"</Transport>", Reason.TOO_DEEP),
        (b"<Transport role='ack'>" + b" " * MAX_TRANSPORT_BYTES + b"</Transport>", Reason.TOO_LARGE),
    ],
)
def test_what_cannot_be_read_is_named(body, reason):
    with pytest.raises(BadTransport) as error:
        parse_transport(body)
    assert error.value.reason is reason


@given(st.binary(max_size=200), st.integers(0, len(OF_COMET)), st.integers(0, len(OF_COMET)))
def test_any_bytes_are_a_message_or_refused(noise, start, end):
    for body in (noise, OF_COMET[:start] + noise + OF_COMET[end:]):
        try:
            message = parse_transport(body)
        except BadTransport:
            continue
        assert message.role in TransportRole
