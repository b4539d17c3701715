"""What a port on the open network is told: who may come, with which certificate, and how much of everything."""

import ssl
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Self

from pydantic import Field, IPvAnyAddress, IPvAnyNetwork, model_validator

from bridges.options import Options
from schemas.errors import ConfigurationError

IpAddress = IPv4Address | IPv6Address


class AccessList(Options):
    """Which addresses may connect."""

    allow: tuple[IPvAnyNetwork, ...] = Field(
        (), description='Networks that may connect, such as "192.0.2.0/24"; "0.0.0.0/0" and "::/0" mean everybody.'
    )
    deny: tuple[IPvAnyNetwork, ...] = Field((), description="Networks that may not, even if they are allowed above.")

    def admits(self, address: IpAddress) -> bool:
        """Whether this address may connect. Where nothing is allowed by name, everybody is who is not denied."""
        allowed = not self.allow or any(address in network for network in self.allow)
        return allowed and not any(address in network for network in self.deny)


class TlsOptions(Options):
    """Encryption, and by choice certificates of those who connect."""

    certificate: Path = Field(description="PEM file of our certificate and its chain.")
    key: Path = Field(description="PEM file of its key.")
    client_authorities: Path | None = Field(
        None, description="PEM file of authorities: whoever connects must have a certificate of one of them."
    )

    def server_context(self, folder: Path) -> ssl.SSLContext:
        """The context of a server, TLS 1.2 or newer.

        Parameters
        ----------
        folder
            Where relative paths of the configuration start.

        Raises
        ------
        ConfigurationError
            If a file cannot be read or is no certificate or key.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            # A key that wants a password would be asked for on the terminal, and the service would wait.
            context.load_cert_chain(folder / self.certificate, folder / self.key, password="")
            if self.client_authorities is not None:
                context.load_verify_locations(folder / self.client_authorities)
                context.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ValueError) as error:
            files = ", ".join(str(path) for path in (self.certificate, self.key, self.client_authorities) if path)
            raise ConfigurationError(f"TLS: {files}: {error}") from error
        return context


class BroadcastOptions(Options):
    """A VTP broadcaster."""

    address: IPvAnyAddress = Field(
        IPv4Address("127.0.0.1"), description='Address to listen at; "0.0.0.0" or "::" for all of this machine\'s.'
    )
    port: int = Field(8099, ge=0, le=65535, description="Port to listen at; 0 for any free one.")
    access: AccessList = AccessList()
    tls: TlsOptions | None = Field(None, description="Encrypt; VTP itself does not, so only who knows can subscribe.")
    subscribers_max: int = Field(1000, ge=1, le=20_000, description="Subscribers at once.")
    subscribers_per_address_max: int = Field(
        16, ge=1, description="Subscribers at once from one IPv4 address or one IPv6 /64 network."
    )
    keepalive_s: float = Field(60.0, gt=0, le=110, description="Each subscriber gets an iamalive this often.")
    answer_limit_s: float = Field(30.0, gt=0, description="Time to answer an iamalive, the first one included.")
    handshake_limit_s: float = Field(10.0, gt=0, description="Time for the TLS handshake.")
    buffer_bytes: int = Field(8 << 20, ge=2 << 20, description="A subscriber that is this far behind is disconnected.")
    buffers_bytes: int = Field(
        256 << 20, ge=2 << 20, description="All together; beyond it the one furthest behind is disconnected."
    )
    pace_s: float = Field(
        0.05, ge=0, le=1, description="In a flood, wait this long for a subscriber more than half its buffer behind."
    )
    filters_max: int = Field(8, ge=0, le=100, description="XPath filters of a subscriber.")
    filter_chars: int = Field(1024, ge=1, le=10_000, description="Length of a filter.")
    filter_limit_s: float = Field(
        0.05, gt=0, description="CPU time of a filter for an event; a subscriber that takes more is disconnected."
    )
    filters_limit_s: float = Field(
        0.5, gt=0, description="Time of all filters for an event; whoever is not judged by then gets the event."
    )
    test_interval_s: float | None = Field(
        None, gt=0, description='Send a VOEvent of role "test" this often; never by default.'
    )

    @model_validator(mode="after")
    def _reasonable(self) -> Self:
        if not ip_address(str(self.address)).is_loopback and not self.access.allow:
            raise ValueError(
                f"{self.address} is reachable from outside: say who may connect with access.allow "
                '("0.0.0.0/0" and "::/0" mean everybody)'
            )
        if self.answer_limit_s > self.keepalive_s:
            raise ValueError(
                f"answer_limit_s ({self.answer_limit_s:g}) is more than keepalive_s ({self.keepalive_s:g})"
            )
        return self
