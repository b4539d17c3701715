"""What can be said of the HTTP interface in the configuration."""

from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, IPvAnyAddress, model_validator

from bridges.options import Options


class HttpOptions(Options):
    """The HTTP interface and the page."""

    enabled: bool = Field(False, description="True serves the interface and the page.")
    address: IPvAnyAddress = Field(IPv4Address("127.0.0.1"), description="Address to listen at.")
    port: int = Field(8080, ge=0, le=65535, description="Its port; 0 takes a free one.")
    tls_certificate: Path | None = Field(
        None, description="PEM file of the certificate chain; with it HTTPS is spoken."
    )
    tls_key: Path | None = Field(None, description="PEM file of its key.")
    trusted_proxies: tuple[IPvAnyAddress, ...] = Field(
        (), description="Reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."
    )
    anonymous: Literal["read", "none"] = Field(
        "read", description="What is allowed without a token: to read what is public, or nothing."
    )
    cors_origins: tuple[str, ...] = Field(
        (), description="Origins of other pages that may read answers, such as https://example.org; * for all."
    )
    requests_per_minute: int = Field(
        600, ge=1, description="Most requests a minute of a token, or of an address without."
    )
    uploads_per_day: int = Field(
        100, ge=0, description="Most sky maps a day of an owner, new and better ones together."
    )
    skymaps_most: int = Field(200, ge=0, description="Most uploaded sky maps of an owner that are searched at a time.")
    skymap_mib: int = Field(
        32, ge=1, le=448, description="Largest sky map that is taken, as sent and unpacked, in MiB."
    )
    skymaps_total_mib: int = Field(2048, ge=1, description="Most that all uploaded sky maps may take, in MiB.")
    upload_s: float = Field(120.0, gt=0, le=3600, description="Longest time that an upload may take.")
    listeners: int = Field(500, ge=0, description="Most who follow streams at a time.")
    listener_events: int = Field(
        1000, ge=10, description="Events that may wait for one listener; who is slower is dropped."
    )

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        return self
