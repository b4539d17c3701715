"""Which packet stands for a notice, and which one it cites."""

from lxml import etree

from bridges import notice_packets
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


def test_a_packet_cites_what_was_passed_on_before_and_is_the_same_when_sent_again():
    packets = NoticePackets(AUTHOR, "starcross")
    notices = [json_notice("icecube:1", body) for body in (b"1", b"2", b"3")]
    ivorns = [conversion_ivorn(notice, AUTHOR) for notice in notices]
    assert cited(packets.packet(notices[0])) == []
    assert cited(packets.packet(notices[1])) == [], "nothing was passed on yet"
    packets.passed_on(notices[0])
    for _ in range(2):
        assert cited(packets.packet(notices[1])) == ivorns[:1]
        packets.passed_on(notices[1])
    assert cited(packets.packet(notices[2])) == ivorns[1:2]


def test_what_is_no_trigger_or_a_voevent_is_not_remembered(monkeypatch):
    monkeypatch.setattr(notice_packets, "TRIGGERS_REMEMBERED", 2)
    packets = NoticePackets(AUTHOR, "starcross")
    packets.passed_on(json_notice(None, b"1"))
    classic = notice_of("icecube:9", ivorn="ivo://nasa.gsfc.gcn/x#1")
    assert packets.packet(classic) is classic.message.body
    packets.passed_on(classic)
    assert not packets._last
    for number in range(3):
        packets.passed_on(json_notice(f"icecube:{number}", b"x"))
    assert list(packets._last) == ["icecube:1", "icecube:2"]
