"""Which packet stands for a notice, and which one it cites."""

from lxml import etree

from bridges.notice_packets import NoticePackets
from schemas.gcn import content_ivorn
from schemas.records import Message
from schemas.voevent_packet import VoeventAuthor
from schemas.voevent_relay import conversion_ivorn
from tests.matchers.made import notice_of

AUTHOR = VoeventAuthor("org.example", "notices")


def json_notice(trigger_id: str | None, body: bytes):
    return notice_of(trigger_id, message=Message(body, "x"), ivorn=content_ivorn("topic", body))


def cited(packet: bytes) -> list[str | None]:
    return [citation.text for citation in etree.fromstring(packet).findall("Citations/EventIVORN")]


def test_a_packet_cites_the_latest_conversion_before_it_and_is_the_same_when_asked_again():
    first, second, third = notices = [json_notice("icecube:1", body) for body in (b"1", b"2", b"3")]
    classic = notice_of("icecube:1", ivorn="ivo://nasa.gsfc.gcn/x#1")
    heard = [first, classic, second, third]
    packets = NoticePackets(AUTHOR, "starcross", lambda notice: heard[: heard.index(notice)][::-1])
    ivorns = [conversion_ivorn(notice, AUTHOR) for notice in notices]
    for _ in range(2):
        assert [cited(packets.packet(notice)) for notice in notices] == [[], ivorns[:1], ivorns[1:2]]
    assert packets.packet(classic) is classic.message.body


def test_without_a_past_nothing_is_cited():
    assert cited(NoticePackets(AUTHOR, "starcross").packet(json_notice("icecube:1", b"1"))) == []
