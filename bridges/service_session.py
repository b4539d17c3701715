"""HTTP to services that are asked about objects, for libraries that speak it by `requests`: bounded in size and time.

What a service sends is a stranger's: so many bytes, so much time, a few redirects that stay with the host, and XML
without entities, before any library looks at it.
"""

from collections.abc import Callable
from importlib.metadata import version
from time import monotonic
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from bridges.delivery import shown
from schemas.errors import BadInput, StarcrossError
from schemas.xml import parse_xml

REDIRECTS_MAX: Final = 3
_CHUNK_BYTES: Final = 1 << 16
_ERROR_STATUS: Final = 400
_LONGEST_REST_S: Final = 86_400.0


class ServiceFailed(StarcrossError):  # noqa: N818 - what became of the question
    """A service did not answer, or with something else than an answer.

    Parameters
    ----------
    detail
        Who, and what hindered it. No secrets.
    retry_after_s
        How long the service asked to be left alone; None if it did not say.
    """

    def __init__(self, detail: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class BoundedSession(requests.Session):
    """A session for one thread at a time.

    Parameters
    ----------
    timeout_s
        Longest time of a request with its redirects.
    answer_bytes
        Most bytes of an answer, unpacked.
    """

    def __init__(self, *, timeout_s: float, answer_bytes: int) -> None:
        super().__init__()
        # Neither a .netrc nor a proxy of the environment learns what is sent.
        self.trust_env = False
        self.max_redirects = REDIRECTS_MAX
        self.headers.update({"User-Agent": f"starcross/{version('starcross')}", "Accept-Encoding": "identity"})
        self._timeout_s = timeout_s
        self._ends_s = 0.0
        for scheme in ("http://", "https://"):
            self.mount(scheme, _BoundedAdapter(answer_bytes, lambda: self._ends_s))

    def request(self, *arguments: Any, **more: Any) -> requests.Response:
        """As `requests.Session.request`, whatever time or stream the caller asks for.

        Raises
        ------
        ServiceFailed
            If there is no answer within the bounds, or one that tells an error.
        """
        self._ends_s = monotonic() + self._timeout_s
        try:
            return super().request(*arguments, **more | {"timeout": self._timeout_s, "stream": False})
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise ServiceFailed(f"{_host(error)}: no answer within {self._timeout_s:g} s") from None
        except requests.exceptions.TooManyRedirects as error:
            raise ServiceFailed(f"{_host(error)}: more than {REDIRECTS_MAX} redirects") from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # The text of the exception may hold the whole address, and with it what was asked.
            raise ServiceFailed(f"{_host(error)}: cannot be reached: {type(error).__name__}") from None

    def get_redirect_target(self, response: requests.Response) -> str | None:
        """Where a redirect leads, if it stays with the host and as safe as it was.

        Raises
        ------
        ServiceFailed
            If it does not.
        """
        target: str | None = super().get_redirect_target(response)
        if target is not None:
            old, new = urlsplit(response.url), urlsplit(urljoin(response.url, target))
            if new.hostname != old.hostname or new.scheme not in {old.scheme, "https"}:
                raise ServiceFailed(f"{old.hostname}: redirects to {shown(target)}, which is not followed")
        return target


class _BoundedAdapter(HTTPAdapter):
    """Reads each answer to its end, within the bounds."""

    def __init__(self, answer_bytes: int, ends_s: Callable[[], float]) -> None:
        super().__init__()
        self._answer_bytes, self._ends_s = answer_bytes, ends_s

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: ARG002 - as the class has it; all is read here
        timeout: Any = None,  # noqa: ARG002 - ours is what is left of all the time
        verify: bool | str = True,
        cert: Any = None,
        proxies: dict[str, str] | None = None,
    ) -> requests.Response:
        left_s = self._ends_s() - monotonic()
        if left_s <= 0:
            raise requests.exceptions.Timeout(request=request)
        response = super().send(request, True, left_s, verify, cert, proxies)
        try:
            body = self._body(response)
        finally:
            response.close()
        # What is set here is what everybody reads from now on.
        response._content, response._content_consumed = body, True  # noqa: SLF001
        host = urlsplit(request.url or "").hostname
        if response.status_code >= _ERROR_STATUS:
            told = shown(body[:_CHUNK_BYTES])
            raise ServiceFailed(f"{host}: answers {response.status_code}: {told}", retry_after_s=_rest_s(response))
        if body.lstrip()[:1] == b"<" or b"\0" in body[:4]:
            try:
                parse_xml(body, self._answer_bytes)
            except BadInput as bad:
                raise ServiceFailed(f"{host}: {bad.detail}") from None
        return response

    def _body(self, response: requests.Response) -> bytes:
        body = bytearray()
        # One read of the socket at a time, so that an answer that drips ends in time too.
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > self._answer_bytes:
                raise ServiceFailed(f"{urlsplit(response.url).hostname}: answers more than {self._answer_bytes} bytes")
            if monotonic() > self._ends_s():
                raise requests.exceptions.Timeout(request=response.request)
        return bytes(body)


def _host(error: BaseException) -> str:
    request = getattr(error, "request", None)
    return str(urlsplit(getattr(request, "url", None) or "").hostname or "the service")


def _rest_s(response: requests.Response) -> float | None:
    """How long to rest, as HTTP has it or as TNS does."""
    for name in ("Retry-After", "x-rate-limit-reset"):
        text = response.headers.get(name, "")
        if text.isdecimal():
            return min(float(text), _LONGEST_REST_S)
    return None
