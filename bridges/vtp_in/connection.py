"""A Twisted protocol on asyncio's own connection.

So that TLS is the standard library's, as everywhere else here (Twisted's own wants pyOpenSSL), names are resolved by
the loop, and uvloop moves the bytes.
"""

import asyncio
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, cast

from twisted.internet.address import IPv4Address as TcpPeer
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

IpAddress = IPv4Address | IPv6Address


class TwistedTransport:
    """As much of Twisted's transport as the protocols use. Reading also pauses while the other end takes no answers."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._peer = TcpPeer("TCP", *transport.get_extra_info("peername")[:2])
        self._paused = False
        self._congested = False

    def write(self, data: bytes) -> None:
        """Send, sooner or later."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def getPeer(self) -> TcpPeer:  # noqa: N802 - Twisted's name
        """Who is at the other end."""
        return self._peer

    def loseConnection(self) -> None:  # noqa: N802 - Twisted's name
        """Close when all is sent."""
        self._transport.close()

    def abortConnection(self) -> None:  # noqa: N802 - Twisted's name
        """Close at once."""
        self._transport.abort()

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Read no more for now."""
        self._paused = True
        self._read_or_not()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Read on."""
        self._paused = False
        self._read_or_not()

    def congest(self, congested: bool) -> None:
        """Told when answers pile up, and when they went."""
        self._congested = congested
        self._read_or_not()

    def _read_or_not(self) -> None:
        if self._transport.is_closing():
            return
        if self._paused or self._congested:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()


class Connection(asyncio.Protocol):
    """Runs a Twisted protocol.

    Parameters
    ----------
    make
        Makes the protocol when the connection is there, or None to end it at once.

    Attributes
    ----------
    lost
        Done when the connection is.
    """

    def __init__(self, make: Callable[[asyncio.BaseTransport], Protocol | None]) -> None:
        self._make = make
        self._protocol: Protocol | None = None
        self._transport: TwistedTransport | None = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It begins."""
        self._transport = TwistedTransport(cast("asyncio.Transport", transport))
        self._protocol = self._make(transport)
        if self._protocol is None:
            self._transport.abortConnection()
        else:
            self._protocol.makeConnection(cast("Any", self._transport))  # type: ignore[no-untyped-call]

    def data_received(self, data: bytes) -> None:
        """Something came."""
        if self._protocol is not None:
            self._protocol.dataReceived(data)

    def pause_writing(self) -> None:
        """The other end takes no answers."""
        if self._transport is not None:
            self._transport.congest(True)

    def resume_writing(self) -> None:
        """It took them."""
        if self._transport is not None:
            self._transport.congest(False)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        if self._protocol is not None:
            reason = Failure(exc or ConnectionDone())  # type: ignore[no-untyped-call]
            self._protocol.connectionLost(reason)
        if not self.lost.done():
            self.lost.set_result(None)

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abortConnection()


def address_of(transport: asyncio.BaseTransport) -> IpAddress:
    """The address at the other end; an IPv4 address that came through an IPv6 port as what it is."""
    address = ip_address(str(transport.get_extra_info("peername")[0]).partition("%")[0])
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address
