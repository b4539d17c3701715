"""What the configuration says of VOEvents that come in over VTP."""

import ssl
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Self

from lxml import etree
from pydantic import Field, IPvAnyAddress, StringConstraints, field_validator, model_validator

from bridges.options import Options
from bridges.vtp.options import AccessList, TlsOptions
from schemas.errors import ConfigurationError

Ivorn = Annotated[str, StringConstraints(pattern=r"^ivo://[A-Za-z0-9][\w.~*'()-]{2,}(/[\w.~*'()/-]*)?$")]

_DEFAULT_REMOTE_PORT = 8099
_MOST_PORT = 65_535
_LONGEST_FILTER = 4096


class HandoverOptions(Options):
    """What remote brokers and authors have in common."""

    local_ivo: Ivorn = Field("ivo://starcross.invalid/broker", description="How we name ourselves to the other end.")
    message_bytes: int = Field(1 << 20, ge=1024, le=1 << 20, description="Largest packet that is read.")
    batch_messages: int = Field(500, ge=1, le=10_000, description="Events that are handed over at a time, at most.")
    remembered_events: int = Field(
        50_000, ge=1, le=1_000_000, description="Events that are recognised when they come again."
    )


class Remote(Options):
    """A broker to subscribe to. In the configuration ``"host:port"`` is short for one without filters."""

    address: str = Field(description="`host` or `host:port`; the port is 8099 by default.")
    filters: tuple[str, ...] = Field(
        (), max_length=32, description="XPath expressions; the broker sends what any of them matches. None: everything."
    )
    tls: bool = Field(False, description="Speak TLS; the certificate has to be valid for the host.")
    authorities: Path | None = Field(
        None, description="PEM file of authorities to trust instead of the system's; only with `tls`."
    )

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, given: Any) -> Any:
        return {"address": given} if isinstance(given, str) else given

    @field_validator("address")
    @classmethod
    def _has_host_and_port(cls, address: str) -> str:
        host, port = _split(address)
        if not host or any(character in host for character in " /@") or not 0 < port <= _MOST_PORT:
            raise ValueError("expected host or host:port, such as voevent.example.org:8099")
        return address

    @field_validator("filters")
    @classmethod
    def _are_xpath(cls, filters: tuple[str, ...]) -> tuple[str, ...]:
        for text in filters:
            if len(text) > _LONGEST_FILTER:
                raise ValueError(f"a filter has {len(text)} characters, at most {_LONGEST_FILTER} are sent")
            try:
                etree.XPath(text)
            except etree.XPathSyntaxError as error:
                raise ValueError(f"{text!r} is no XPath expression: {error}") from error
        return filters

    def client_context(self, folder: Path) -> ssl.SSLContext | None:
        """The context of the connection, None without TLS.

        Parameters
        ----------
        folder
            Where relative paths of the configuration start.

        Raises
        ------
        ConfigurationError
            If the authorities cannot be read.
        """
        if not self.tls:
            return None
        try:
            return ssl.create_default_context(cafile=folder / self.authorities if self.authorities else None)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"TLS of {self.address}: {self.authorities}: {error}") from error

    @property
    def host(self) -> str:
        """Name or address, without brackets."""
        return _split(self.address)[0]

    @property
    def port(self) -> int:
        """The TCP port."""
        return _split(self.address)[1]


class VtpSubscriberOptions(HandoverOptions):
    """Remote brokers whose events come in."""

    remotes: tuple[Remote, ...] = Field(min_length=1, max_length=1000, description="The brokers to subscribe to.")
    silence_s: float = Field(
        120.0, gt=0, le=86_400, description="A remote that sends nothing for so long, not even an iamalive, is left."
    )
    reconnect_s: float = Field(60.0, gt=0, le=86_400, description="Longest pause before the next attempt to connect.")
    waiting_messages: int = Field(
        1000, ge=1, le=100_000, description="Reading from a remote pauses while so many of its events wait."
    )
    waiting_bytes: int = Field(
        16 << 20, ge=1, le=1 << 30, description="Reading from a remote pauses while its waiting events hold so much."
    )


class VtpReceiverOptions(HandoverOptions):
    """A port for authors."""

    address: IPvAnyAddress = Field(
        IPv4Address("127.0.0.1"), description='Address to listen at; "0.0.0.0" or "::" for all of this machine\'s.'
    )
    port: int = Field(8098, ge=0, le=_MOST_PORT, description="Port to listen at; 0 for any free one.")
    access: AccessList = AccessList()
    tls: TlsOptions | None = Field(None, description="Encrypt; VTP itself does not, so only who knows can submit.")
    authors: tuple[str, ...] = Field(
        (), description='Patterns for AuthorIVORN, such as "ivo://nasa.gsfc.*"; none: any author.'
    )
    events: tuple[str, ...] = Field((), description="Patterns for the event's own IVORN; none: any.")
    connections_max: int = Field(100, ge=1, le=20_000, description="Open connections at once.")
    connections_per_address_max: int = Field(20, ge=1, description="Open connections at once from one address.")
    arrival_limit_s: float = Field(20.0, gt=0, description="The packet has to be there so long after connecting.")
    answer_limit_s: float = Field(
        300.0, gt=0, description="An author is let go unanswered if keeping the event takes longer."
    )

    @model_validator(mode="after")
    def _open_on_purpose(self) -> Self:
        if not self.address.is_loopback and not self.access.allow:
            raise ValueError(
                f"{self.address} is reachable from outside: say who may submit with access.allow "
                '("0.0.0.0/0" and "::/0" mean everybody)'
            )
        return self


def _split(address: str) -> tuple[str, int]:
    """Host and port; port 0 stands for one that is no number."""
    if address.startswith("["):
        host, _, rest = address[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = address.partition(":")
    if not port:
        return host, _DEFAULT_REMOTE_PORT
    return host, int(port) if port.isascii() and port.isdigit() else 0
