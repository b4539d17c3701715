"""OAuth tokens for Kafka's OAUTHBEARER, by the client credentials of RFC 6749."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import SaslAuthenticationFailed

RESPONSE_BYTES_MAX: Final = 256 << 10
TIMEOUT_S: Final = 20.0
RENEWED_AFTER: Final = 0.8
"""Part of its life after which a token is renewed: a connection is cut off when the token that it began with ends."""
LIFE_S: Final = 60.0
"""Of a token whose server does not say how long it lives."""

_CLIENT_ERRORS: Final = range(400, 500)


class OauthTokens(AbstractTokenProvider):  # type: ignore[misc] # aiokafka carries no types for it
    """Gives aiokafka a token for each connection, renewed before it ends.

    Parameters
    ----------
    url
        The token endpoint.
    clock
        Seconds that only grow.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        client_secret: str,
        scope: str = "",
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._scope, self._clock = url, scope, clock
        # Both parts are form-encoded first (RFC 6749, section 2.3.1): a colon in either would divide them wrongly.
        login = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}"
        self._authorization = f"Basic {base64.b64encode(login.encode()).decode()}"
        self._token, self._renewed_s = "", -float("inf")
        self._asking = asyncio.Lock()

    async def token(self) -> str:
        """A token that lives for a while yet.

        Raises
        ------
        SaslAuthenticationFailed
            If the server refuses, or sends no token.
        ConnectionError
            If it does not answer.
        """
        async with self._asking:
            if self._clock() >= self._renewed_s:
                asked_s = self._clock()
                self._token, life_s = await self._ask()
                self._renewed_s = asked_s + RENEWED_AFTER * life_s
            return self._token

    async def _ask(self) -> tuple[str, float]:
        form = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        headers = {"Authorization": self._authorization, "Accept": "application/json"}
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(self._url, data=form, headers=headers, allow_redirects=False) as response,
            ):
                status = response.status
                body = await response.content.read(RESPONSE_BYTES_MAX)
                while len(body) < RESPONSE_BYTES_MAX and (more := await response.content.read(RESPONSE_BYTES_MAX)):
                    body += more
        except (aiohttp.ClientError, TimeoutError) as error:
            what = str(error) or type(error).__name__
            raise ConnectionError(f"token endpoint {self._url} does not answer: {what}") from error
        answer = _object(body)
        if status in _CLIENT_ERRORS:
            raise SaslAuthenticationFailed(f"token endpoint {self._url} answers {status}: {answer.get('error')!r:.80}")
        if status != 200:  # noqa: PLR2004 - the only success that there is
            raise ConnectionError(f"token endpoint {self._url} answers {status}")
        token, life_s = answer.get("access_token"), answer.get("expires_in", LIFE_S)
        if not isinstance(token, str) or not token:
            raise SaslAuthenticationFailed(f"token endpoint {self._url} sent no access_token")
        return token, float(life_s) if isinstance(life_s, int | float) and life_s > 0 else LIFE_S


def _object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
