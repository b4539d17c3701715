"""How a Kafka cluster is reached: what all bridges to Kafka share."""

import re
import ssl
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from aiokafka.abc import AbstractTokenProvider
from pydantic import Field, field_validator, model_validator

from bridges.kafka_tokens import OauthTokens
from bridges.options import Options, Secret
from schemas.errors import ConfigurationError

Security = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]

_SERVER: Final = re.compile(r"(?:[A-Za-z0-9_.\-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5})")
_PORTS: Final = range(1, 65536)
_OWN_MACHINE: Final = {"localhost", "127.0.0.1", "::1"}


class OauthOptions(Options):
    """Where tokens come from, by OAuth's client credentials (RFC 6749, section 4.4)."""

    client_id: str = Field(min_length=1, description="Who we are to the authorisation server.")
    client_secret: Secret = Field(description="Where our secret is read.")
    token_url: str = Field(description="The token endpoint, https.")
    scope: str = Field("", description="What the tokens are to be good for; empty leaves it to the server.")

    @field_validator("token_url")
    @classmethod
    def _encrypted(cls, url: str) -> str:
        parts = urlsplit(url)
        if not parts.hostname or parts.scheme not in {"http", "https"} or parts.username is not None:
            raise ValueError("no URL that begins with https:// and a host, without user or password")
        if parts.scheme == "http" and parts.hostname not in _OWN_MACHINE:
            raise ValueError("a secret is sent there: https is needed, but on this machine itself")
        return url


class KafkaOptions(Options):
    """A Kafka cluster, and who we are to it."""

    bootstrap_servers: tuple[str, ...] = Field(
        min_length=1, description="Some servers of the cluster, as `host:port`; they name the others."
    )
    security: Security = Field("plaintext", description="Encryption (`ssl`), authentication (`sasl`), both or neither.")
    mechanism: Mechanism | None = Field(None, description="How SASL says who we are.")
    username: str | None = Field(None, min_length=1, description="For PLAIN and SCRAM.")
    password: Secret | None = Field(None, description="Where the password of that user is read.")
    oauth: OauthOptions | None = Field(None, description="For OAUTHBEARER.")
    ca_file: Path | None = Field(
        None, description="PEM file of the authorities that sign the servers' certificates; by default the system's."
    )
    client_certificate: Path | None = Field(
        None, description="PEM file of our own certificate, where servers want one."
    )
    client_key: Path | None = Field(None, description="PEM file of its key; by default in the file of the certificate.")
    client_key_password: Secret | None = Field(None, description="Where the password of that key is read.")
    client_id: str = Field("starcross", min_length=1, description="How we call ourselves in the servers' logs.")

    @field_validator("bootstrap_servers")
    @classmethod
    def _hosts_and_ports(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for server in servers:
            found = _SERVER.fullmatch(server)
            if not found or int(found[1]) not in _PORTS:
                raise ValueError(f"{server!r} is not of the form host:port")
        return servers

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        sasl, tls = self.security.startswith("sasl"), self.security.endswith("ssl")
        if sasl != (self.mechanism is not None):
            raise ValueError("mechanism goes with security = sasl_plaintext or sasl_ssl, and they with it")
        if (self.mechanism == "OAUTHBEARER") != (self.oauth is not None):
            raise ValueError("oauth goes with mechanism = OAUTHBEARER, and that with it")
        named = {self.username is not None, self.password is not None}
        if named != {self.mechanism not in {None, "OAUTHBEARER"}}:
            raise ValueError("username and password go with the mechanisms PLAIN and SCRAM, and they with both")
        if not tls and (self.ca_file or self.client_certificate):
            raise ValueError("ca_file and client_certificate go with security = ssl or sasl_ssl")
        if not self.client_certificate and (self.client_key or self.client_key_password):
            raise ValueError("client_key and its password go with client_certificate")
        return self

    def client_arguments(self, folder: Path) -> dict[str, Any]:
        """What a client of aiokafka is made with. Reads the secrets and certificates.

        Parameters
        ----------
        folder
            Where relative paths of the configuration start.

        Raises
        ------
        ConfigurationError
            If a secret or a certificate cannot be read.
        """
        arguments: dict[str, Any] = {
            "bootstrap_servers": list(self.bootstrap_servers),
            "client_id": self.client_id,
            "security_protocol": self.security.upper(),
        }
        if self.security.endswith("ssl"):
            arguments["ssl_context"] = self._ssl_context(folder)
        if self.mechanism is not None:
            arguments["sasl_mechanism"] = self.mechanism
        if self.password is not None:
            arguments |= {"sasl_plain_username": self.username, "sasl_plain_password": self.password.read(folder)}
        if self.oauth is not None:
            arguments["sasl_oauth_token_provider"] = self._tokens(self.oauth, folder)
        return arguments

    @staticmethod
    def _tokens(oauth: OauthOptions, folder: Path) -> AbstractTokenProvider:
        return OauthTokens(oauth.token_url, oauth.client_id, oauth.client_secret.read(folder), oauth.scope)

    def _ssl_context(self, folder: Path) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=folder / self.ca_file if self.ca_file else None)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.client_certificate is not None:
                # Without a password a key that wants one would ask for it on the terminal, and the service would wait.
                password = self.client_key_password.read(folder) if self.client_key_password else ""
                key = folder / self.client_key if self.client_key else None
                context.load_cert_chain(folder / self.client_certificate, key, password)
        except (OSError, ValueError) as error:
            named = ", ".join(str(path) for path in (self.ca_file, self.client_certificate, self.client_key) if path)
            raise ConfigurationError(f"Kafka: certificates cannot be used ({named}): {error}") from error
        return context
