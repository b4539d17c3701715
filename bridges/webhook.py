"""Publications as signed HTTP POSTs, by the Standard Webhooks specification (https://www.standardwebhooks.com).

The body is JSON: ``{"type": "coincidences", "timestamp": ..., "data": [{"substreams": [...], "coincidence": {...}}]}``.
``webhook-id`` is the same whenever the same publications are sent again, so that a receiver recognises what it had;
``webhook-signature`` is the HMAC-SHA256 of id, timestamp and body, so that it knows who sent it and that it is not old.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import re
import ssl
from collections.abc import Callable, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Annotated, Final, Self

import aiohttp
from pydantic import Field, StringConstraints, field_validator
from yarl import URL

from bridges.attempts import reach
from bridges.delivery import DeliveryRefused, Undelivered, publication_json, shown
from bridges.options import Options, Secret
from schemas.errors import ConfigurationError
from schemas.records import Publication
from schemas.times import US_PER_S, iso_from_us

RETRY_AFTER_MAX_S: Final = 3600.0
"""A receiver that asks for a longer pause is asked again after so long all the same."""

_KEY_BYTES: Final = range(24, 65)
_ANSWER_BYTES: Final = 1024
_OF_THE_PUBLICATION: Final = frozenset({400, 406, 409, 411, 413, 414, 415, 416, 417, 422, 431})
"""Statuses that speak of what was sent. All others (401, 404, 429, 503...) speak of the receiver or of our access to
it: what was sent is not at fault, and waits."""
_NAME_LENGTH: Final = 200
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.:-]")
_OWN_HEADERS: Final = frozenset(
    {"content-type", "content-length", "host", "webhook-id", "webhook-timestamp", "webhook-signature"}
)
_HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,100}$")]
_HeaderValue = Annotated[str, StringConstraints(pattern=r"^[ -~]{0,4000}$")]


class WebhookOptions(Options):
    """Where publications are posted to, and how."""

    url: str = Field(
        repr=False, description="Where to post to, https:// or http://. Not shown in logs but for its host."
    )
    secret: Secret = Field(description="Key of the signature: `whsec_` and base64 of 24 to 64 random bytes.")
    headers: dict[_HeaderName, _HeaderValue] = Field(default_factory=dict, description="Further headers.")
    secret_headers: dict[_HeaderName, Secret] = Field(
        default_factory=dict, description="Further headers whose values are secrets, such as Authorization."
    )
    timeout_s: float = Field(15.0, gt=0, le=300, description="Longest time of one request.")
    batch: int = Field(1, ge=1, le=1000, description="Most publications in one request.")

    @field_validator("url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        try:
            parsed = URL(url)
        except ValueError:
            parsed = URL()
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise ValueError("expected http:// or https:// and a host")
        return url

    @field_validator("headers", "secret_headers")
    @classmethod
    def _are_not_ours(cls, headers: dict[str, object]) -> dict[str, object]:
        ours = sorted(name for name in headers if name.lower() in _OWN_HEADERS)
        if ours:
            raise ValueError(f"{', '.join(ours)} is set by the webhook itself")
        return headers


class WebhookSink:
    """Posts publications in order, one request after the other.

    Parameters
    ----------
    folder
        Where relative paths of the configuration start.
    clock
        The instant now, microseconds since 1970-01-01 UTC.

    Raises
    ------
    ConfigurationError
        If a secret cannot be read, or the key is no base64 of 24 to 64 bytes.
    """

    def __init__(self, options: WebhookOptions, folder: Path, *, clock: Callable[[], int]) -> None:
        self._url = URL(options.url)
        self._shown = str(self._url.origin())
        self._key = _key(options.secret.read(folder))
        secret_headers = {name: secret.read(folder) for name, secret in options.secret_headers.items()}
        self._headers = {"User-Agent": "starcross", **options.headers, **secret_headers}
        self._timeout = aiohttp.ClientTimeout(total=options.timeout_s)
        self._batch = options.batch
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def check(self) -> str:
        """For `starcross check --connect`: whether the host answers. Nothing is posted.

        Raises
        ------
        ConnectionError
            If it cannot be reached, or its certificate is not valid for it.
        """
        context = await asyncio.to_thread(ssl.create_default_context) if self._url.scheme == "https" else None
        await reach(self._url.host or "", self._url.port or 0, context)
        return f"{self._shown} listens; nothing was posted"

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=self._timeout, headers=self._headers, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, publications: Sequence[Publication]) -> None:
        """Return once the receiver has answered 2xx to all of them.

        A request of several that is refused is sent again one by one, to find the one that is at fault.

        Raises
        ------
        DeliveryRefused
            If the receiver finds fault with one of them.
        Undelivered
            If the receiver is away or busy, redirects (which is not followed), or does not let us in.
        """
        for first in range(0, len(publications), self._batch):
            part = publications[first : first + self._batch]
            try:
                await self._post(part)
            except DeliveryRefused:
                if len(part) == 1:
                    raise
                for publication in part:
                    await self._post([publication])

    async def _post(self, publications: Sequence[Publication]) -> None:
        if self._session is None:
            raise RuntimeError("WebhookSink is used outside of its 'async with'")
        now_us = self._clock()
        body = await asyncio.to_thread(_body, publications, now_us)
        headers = self._signed(_webhook_id(publications), now_us // US_PER_S, body)
        try:
            data = BytesIO(body)  # sent piece by piece, so that a long one does not hold up the loop
            async with self._session.post(self._url, data=data, headers=headers, allow_redirects=False) as response:
                if response.status // 100 == 2:  # noqa: PLR2004 - success
                    return
                answer = shown(await _start_of(response))
                pause_s = _retry_after_s(response.headers.get("Retry-After", ""), now_us)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Undelivered(f"{self._shown} does not answer: {_without_path(error)}") from None
        detail = f"{self._shown} answers {response.status} to {_name(publications[0])}: {answer}"
        if response.status in _OF_THE_PUBLICATION:
            raise DeliveryRefused(publications[0], detail)
        raise Undelivered(detail, retry_after_s=pause_s)

    def _signed(self, webhook_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
        signed = f"{webhook_id}.{timestamp_s}.".encode() + body
        signature = base64.b64encode(hmac.digest(self._key, signed, hashlib.sha256)).decode()
        return {
            "Content-Type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": f"v1,{signature}",
        }


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        key = b""
    if len(key) not in _KEY_BYTES:
        raise ConfigurationError(
            "the secret of a webhook is `whsec_` and the base64 of 24 to 64 random bytes: "
            'echo "whsec_$(openssl rand -base64 32)"'
        )
    return key


def _body(publications: Sequence[Publication], now_us: int) -> bytes:
    data = ",".join(map(publication_json, publications))
    return f'{{"type":"coincidences","timestamp":"{iso_from_us(now_us)}","data":[{data}]}}'.encode("ascii")


def _name(publication: Publication) -> str:
    """Coincidence and revision, as they may stand in a header."""
    coincidence = publication.coincidence
    name = _UNSAFE.sub("_", coincidence.id)
    if name != coincidence.id or len(name) > _NAME_LENGTH:
        name = hashlib.sha256(coincidence.id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{name}.r{coincidence.revision}"


def _webhook_id(publications: Sequence[Publication]) -> str:
    names = [_name(publication) for publication in publications]
    return names[0] if len(names) == 1 else f"batch-{hashlib.sha256(' '.join(names).encode()).hexdigest()}"


async def _start_of(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of the answer's body; the rest is not read."""
    try:
        return await response.content.read(_ANSWER_BYTES)
    except (aiohttp.ClientError, TimeoutError):
        return b""


def _retry_after_s(header: str, now_us: int) -> float | None:
    """Seconds of a Retry-After header, in either of its forms; None if there is none, or nonsense."""
    if header.isascii() and header.isdecimal():
        return min(float(header[:9]), RETRY_AFTER_MAX_S)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(until.timestamp() - now_us / US_PER_S, 0.0), RETRY_AFTER_MAX_S)


def _without_path(error: Exception) -> str:
    """What hindered a request; messages of aiohttp may hold the URL, whose path may be a secret."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or type(error.os_error).__name__
    return type(error).__name__
