"""Coincidences and notices as VOEvents to those who subscribe."""

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from lxml import etree

from bridges.vtp.options import BroadcastOptions
from bridges.vtp.sink import VtpSink, line_test
from broker.interfaces import Sink
from schemas.records import Publication
from schemas.voevent_out import VoeventAuthor, ivorn_of, voevent_bytes
from tests.bridges.vtp.peers import connected
from tests.coincidences import COINCIDENCE

AUTHOR = VoeventAuthor("org.example", "starcross")


def sink(**options) -> VtpSink:
    return VtpSink(BroadcastOptions(port=0, **options), AUTHOR, now_us=lambda: 1_600_000_000_000_000)


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
        assert b"ivo://org.example/starcross" in json.dumps(ours.broadcaster._roster.ivorn).encode()


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
