"""A Twisted protocol on asyncio's connection."""

import asyncio

import pytest
from twisted.internet.protocol import Protocol

from bridges.vtp_in.connection import Connection, TwistedTransport, address_of


class Wire(asyncio.Transport):
    """Notes what is asked of it."""

    def __init__(self, host: str = "192.0.2.1") -> None:
        super().__init__({"peername": (host, 8099)})
        self.asked: list[object] = []
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        self.asked.append(data)

    def close(self) -> None:
        self.asked.append("close")

    def abort(self) -> None:
        self.asked.append("abort")

    def pause_reading(self) -> None:
        self.asked.append("pause")

    def resume_reading(self) -> None:
        self.asked.append("resume")


class Noting(Protocol):
    def __init__(self) -> None:
        self.noted: list[object] = []

    def connectionMade(self) -> None:  # noqa: N802
        self.noted.append(self.transport.getPeer().host)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        self.noted.append(data)

    def connectionLost(self, reason) -> None:  # noqa: N802
        self.noted.append(type(reason.value).__name__)


@pytest.mark.parametrize(
    ("error", "name"), [(None, "ConnectionDone"), (ConnectionResetError(), "ConnectionResetError")]
)
async def test_the_protocol_hears_everything(error, name):
    protocol, wire = Noting(), Wire()
    connection = Connection(lambda transport: protocol if transport is wire else None)
    connection.abort()  # nothing yet
    connection.pause_writing()
    connection.resume_writing()
    connection.connection_made(wire)
    connection.data_received(b"one")
    connection.connection_lost(error)
    connection.abort()
    await connection.lost
    assert protocol.noted == ["192.0.2.1", b"one", name]
    assert wire.asked == ["abort"]


async def test_who_is_given_no_protocol_is_sent_away():
    connection, wire = Connection(lambda _: None), Wire()
    connection.connection_made(wire)
    connection.data_received(b"one")
    connection.connection_lost(None)
    assert connection.lost.done()
    assert wire.asked == ["abort"]


async def test_reading_goes_on_when_nothing_speaks_against_it():
    wire = Wire()
    connection = Connection(lambda _: Noting())
    connection.connection_made(wire)
    transport = connection._transport
    transport.pauseProducing()
    connection.pause_writing()
    transport.resumeProducing()
    assert wire.asked[-1] == "pause"
    connection.resume_writing()
    assert wire.asked[-1] == "resume"


def test_nothing_is_asked_of_a_connection_that_ends():
    wire = Wire()
    transport = TwistedTransport(wire)
    transport.write(b"one")
    transport.loseConnection()
    wire.closing = True
    transport.write(b"two")
    transport.pauseProducing()
    assert wire.asked == [b"one", "close"]


@pytest.mark.parametrize(
    ("host", "address"),
    [("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("fe80::1%eth0", "fe80::1"), ("::1", "::1")],
)
def test_addresses_are_told_as_what_they_are(host, address):
    assert str(address_of(Wire(host))) == address
