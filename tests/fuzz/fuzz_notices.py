"""Notices and the Transport messages of VTP: a bad one is a rejection, never anything else.

The first byte says what the rest is: a message of one of some topics, gzipped or not, or what a peer of VTP sends.
"""

import gzip
from dataclasses import replace

import atheris

with atheris.instrument_imports(include=["schemas", "bridges"]):
    from bridges.vtp.protocol import (
        FrameReader,
        TransportMessage,
        TransportRole,
        frame,
        parse_transport,
        transport_bytes,
    )
    from schemas.catalogue import SchemaCatalogue
    from schemas.errors import BadTransport, UnknownSchema
    from schemas.gcn_topics import TOPICS as KNOWN_TOPICS
    from schemas.reading import read_message
    from schemas.records import Message
    from schemas.streams import STREAMS
    from schemas.voevent_notice import PACKET_TYPES

from bridges.simulator.night import simulate
from bridges.simulator.plan import NightPlan
from tests.fuzz.harness import fuzz
from tests.schemas.gcn_notices import SCHEMAS, TIME, as_avro, assert_sane, body_of, container, superevent
from tests.schemas.voevent_packets import packet

FIELDS = {
    "alert_type": "update",
    "alert_datetime": TIME,
    "record_number": 2,
    "messenger": "EM",
    "instrument": "GBM",
    "subtype": "FINAL_POSITION",
    "event_name": ["GRB 240824A"],
    "ra": 10.5,
    "dec": -20.25,
    "ra_dec_error": [0.5, 0.25, 30.0],
    "containment_probability": 0.9,
    "systematic_included": True,
    "rate_snr": 8.5,
    "image_snr": 9,
    "far": 1e-6,
    "p_astro": 0.99,
    "classification": {"GRB": 0.9, "SGR": 0.1},
    "reliability": 3,
    "healpix_url": "https://example.org/m.fits",
    "url": {"data": "https://example.org"},
    "follow_up_event": "S230518h",
    "n_events_coincident": 1,
    "pval_generic": 0.01,
    "pval_bayesian": None,
    "coincident_events": [{"event_dt": 1.5, "localization": {"ra": 1, "dec": 2, "ra_dec_error": 0.5}}],
    "rectangular_error_corners": [[10, -20], [11, -20], [11, -21], [10, -21]],
    "grm": {"ra": 1, "dec": 2, "ra_dec_error": 3},
    "mxt": {"ra": 1, "dec": 2, "ra_dec_error": 0.1},
    "targets": [{"id": "1", "ra": 5, "dec": 6, "gcn_crossmatch": ["S230518h"]}],
    "data": {"targets": [{"id": "ZTF1"}]},
    "duration": 1.5,
}
OF_JSON = {"ivorn": "ivo://starcross.invalid/notices/a#0123456789abcdef", "stage": 10}
CATALOGUE = SchemaCatalogue()
TOPICS = ("", "igwn.gwalert", "gcn.notices.swift.bat.guano", "gcn.notices.einstein_probe.wxt.alert")
TOPICS += ("gcn.notices.icecube.lvk_nu_track_search", "gcn.classic.voevent.FERMI_GBM_FIN_POS")
GZIPPED, TRANSPORT, FRAMES = range(len(TOPICS), len(TOPICS) + 3)


def read(data: bytes) -> None:
    """One input."""
    way, rest = (data[0] % (FRAMES + 1), data[1:]) if data else (0, data)
    if way == TRANSPORT:
        _transport(rest)
    elif way == FRAMES:
        _frames(rest)
    elif way == GZIPPED:
        _message(gzip.compress(rest, 1, mtime=0), "")
    else:
        _message(rest, TOPICS[way])


def _message(body: bytes, topic: str) -> None:
    try:
        found = read_message(Message(body, "fuzz", topic), CATALOGUE)
    except UnknownSchema:
        assert body.startswith((b"\0", b"\x1f\x8b"))
        return
    assert found.alerts or found.notices or found.skymaps or found.rejections, "nothing is said of a message"
    for rejection in found.rejections:
        assert rejection.detail
        assert len(rejection.detail) < 1000, "a rejection repeats what a stranger wrote"
    for notice in found.notices:
        ours = found.format.startswith(("GCN", "LVK"))  # a VOEvent has an IVORN and stages of its sender's
        assert_sane(notice if ours else replace(notice, **OF_JSON))


def _transport(payload: bytes) -> None:
    try:
        told = parse_transport(payload)
    except BadTransport:
        return
    assert parse_transport(transport_bytes(told)) == told, "what was read is not read again"


def _frames(stream: bytes) -> None:
    """The stream in one piece and cut in two holds the same."""
    cut = stream[0] % (len(stream) + 1) if stream else 0
    assert _payloads(stream) == _payloads(stream[:cut], stream[cut:])


def _payloads(*pieces: bytes) -> list[object]:
    reader, found = FrameReader(4096), []
    try:
        for piece in pieces:
            found += reader.feed(piece)
    except BadTransport as error:
        found.append(error.reason)
    return found


def seeds():
    """Notices of each format, and what peers say."""
    voevents = [
        packet(
            112, {"TrigID": 600117987}, groups={"Trigger_ID": {"Def_NOT_a_GRB": "false"}}, units={"Burst_Inten": "cts"}
        ),
        packet(61, {"TrigID": 100}, cites=[("ivo://a/b#1", "supersedes")], names=["GRB 200107"], concepts=["process"]),
        packet(position=None, time=None, role="test", version="2.1"),
        packet(150, {"GraceID": "S200107a", "skymap_fits": "https://example.org/a.fits"}, references=["https://a.org"]),
        packet(173, {"event_id": 1}, system="UTC-ICRS-GEO", time_error=0.5),
    ]
    for number, kind in PACKET_TYPES.items():
        names = (*kind.id_params, *kind.serial_params, *(name for name, _ in (*kind.radii, *kind.significance)))
        voevents.append(packet(number, {name: 1 for name in names if isinstance(name, str)} | {"Trigger_ID": "0x1"}))
    voevents += [packet(ivorn=f"ivo://{stream}#a1", params={"event_no": 7, "snr": 9.5}) for stream in STREAMS]
    gcn = [
        {"$schema": f"{SCHEMAS}{topic.replace('.', '/')}.schema.json", "trigger_time": TIME, "id": ["42"]} | FIELDS
        for topic in KNOWN_TOPICS
    ]
    notices = [*voevents, *map(body_of, gcn), b'{"3": [1, 2], "29": [17]}']
    for alert_type in ("PRELIMINARY", "INITIAL", "RETRACTION"):
        alert = superevent(alert_type=alert_type)
        notices += [body_of(alert), container(as_avro(alert), codec="null"), container(as_avro(alert))]
    for body in notices:
        yield from (bytes([topic]) + body for topic in (0, 1, 5, GZIPPED))
    for alert in (
        FIELDS | {"ref_ID": "S230518h", "id": ["bn240824093"]},
        {"id": [], "event_name": "GRB 240824A"} | FIELDS,
    ):
        yield from (bytes([topic]) + body_of(alert) for topic in range(1, 5))
    for timed in simulate(1, NightPlan(variables=0, supernovae=0, outbursts=0, asteroids=0, artefacts=0)).messages():
        if len(timed.message.body) < 8192:
            yield b"\0" + timed.message.body
    said = [
        TransportMessage(TransportRole.IAMALIVE, "ivo://a/b", "ivo://c/d", "2024-01-01T00:00:00Z"),
        TransportMessage(TransportRole.AUTHENTICATE, "ivo://a/b", filters=("//Param[@name='x']", "/*")),
        TransportMessage(TransportRole.NAK, "ivo://a/b", "ivo://c/d", result="no"),
    ]
    payloads = [transport_bytes(one) for one in said]
    old = b"<Transport role='authenticate'><Meta><filter type='xpath'>//a</filter></Meta></Transport>"
    for payload in (*payloads, old):
        yield bytes([TRANSPORT]) + payload
    yield bytes([FRAMES]) + b"".join(frame(payload) for payload in payloads)


WORDS = (
    "<!DOCTYPE",
    "<!ENTITY",
    "<![CDATA[",
    "<?xml",
    "encoding=",
    "UTF-16",
    "VOEvent",
    "Param",
    "Group",
    "value=",
    "ucd=",
)
WORDS += ("EventIVORN", "cite=", "retraction", "supersedes", "followup", "ISOTime", "Error2Radius", "Value2", "role=")
WORDS += (
    "Transport",
    "Origin",
    "Response",
    "TimeStamp",
    "Meta",
    "authenticate",
    "iamalive",
    "NaN",
    "-Infinity",
    "1e999",
)
WORDS += ("superevent_id", "alert_type", "external_coinc", "ra_dec_error", "healpix_url", "trigger_time", "containment")
WORDS += ("\\ud800", "9999-12-31T23:59:60Z", "0001-01-01", "null", "true", "+14:00", "1e-320", "180.0", "-90.0", "#1")

if __name__ == "__main__":
    fuzz("notices", read, seeds(), WORDS)
