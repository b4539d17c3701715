"""Coincidences and notices as VOEvents to those who subscribe."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from lxml import etree

from bridges.notice_packets import nothing_before
from bridges.vtp.options import BroadcastOptions
from bridges.vtp.sink import VtpSink, line_test
from broker.interfaces import NoticeSink, Sink
from schemas.gcn import content_ivorn
from schemas.records import Kind, Message, Publication
from schemas.voevent_out import ivorn_of, voevent_bytes
from schemas.voevent_packet import VoeventAuthor
from schemas.voevent_relay import conversion_ivorn, convert_notice
from tests.bridges.vtp.peers import connected
from tests.coincidences import COINCIDENCE
from tests.matchers.made import notice_of

AUTHOR = VoeventAuthor("org.example", "starcross")


def sink(before=nothing_before, **options) -> VtpSink:
    return VtpSink(BroadcastOptions(port=0, **options), AUTHOR, before=before, now_us=lambda: 1_600_000_000_000_000)


async def test_publications_become_voevents_in_order():
    publications = [Publication(replace(COINCIDENCE, revision=revision), ("all",)) for revision in (1, 2, 3)]
    async with sink() as ours, connected(ours.broadcaster.port) as peer:
        a_sink: Sink = ours
        await peer.greet()
        await a_sink.send(publications)
        heard = [await peer.hear_event() for _ in publications]
        assert heard == [voevent_bytes(publication.coincidence, AUTHOR) for publication in publications]
        assert [etree.fromstring(packet).get("ivorn") for packet in heard] == [
            ivorn_of(publication.coincidence, AUTHOR) for publication in publications
        ]
        assert ours.broadcaster._roster.ivorn == "ivo://org.example/starcross"


async def test_a_classic_notice_is_passed_on_as_it_came():
    head = b"<?xml version='1.0'?>\n"
    body = head + b"  <VOEvent  role='test' ivorn='ivo://nasa.gsfc.gcn/x#1'><!-- as it came --></VOEvent>\n"
    async with sink() as ours, connected(ours.broadcaster.port) as peer:
        assert isinstance(ours, NoticeSink)
        await peer.greet()
        await ours.relay(notice_of("fermi-gbm:1", message=Message(body, "x"), ivorn="ivo://nasa.gsfc.gcn/x#1"))
        assert await peer.hear_event() == body


async def test_other_notices_are_converted_and_cite_the_one_before():
    first, update = [
        notice_of("icecube:1", message=Message(body, "x"), ivorn=content_ivorn("icecube", body), kind=kind)
        for body, kind in ((b"{}", Kind.INITIAL), (b"[]", Kind.UPDATE))
    ]
    past = {first.ivorn: (), update.ivorn: (first,)}
    async with sink(before=lambda notice: past[notice.ivorn]) as ours, connected(ours.broadcaster.port) as peer:
        await peer.greet()
        for notice in (first, update, update):
            await ours.relay(notice)
        heard = [await peer.hear_event() for _ in range(3)]
    assert heard[0] == convert_notice(first, AUTHOR)
    assert heard[1] == heard[2] == convert_notice(update, AUTHOR, conversion_ivorn(first, AUTHOR))
    citation = etree.fromstring(heard[1]).find("Citations/EventIVORN")
    assert (citation.text, citation.get("cite")) == (conversion_ivorn(first, AUTHOR), "supersedes")


async def test_without_subscribers_there_is_nothing_to_wait_for():
    async with sink() as ours:
        await ours.send([Publication(COINCIDENCE, ())])
        assert ours.broadcaster.counts == {}


async def test_the_line_is_tested_if_asked_for():
    async with sink(test_interval_s=0.01) as ours, connected(ours.broadcaster.port) as peer:
        assert await peer.hear_event() == await peer.hear_event() == line_test(AUTHOR, 1_600_000_000_000_000)


def test_a_test_of_the_line_is_valid_and_a_test():
    folder = find_spec("comet").submodule_search_locations[0]
    schema = etree.XMLSchema(etree.parse(Path(folder) / "schema" / "VOEvent-v2.0.xsd"))
    root = etree.fromstring(line_test(AUTHOR, 1_600_000_000_000_000))
    schema.assertValid(root)
    assert root.get("role") == "test"
