"""A client of the HTTP interface, for programs and for our own commands: `AsyncClient`, and `Client` without async.

    with Client("http://127.0.0.1:8080", token="st_...") as starcross:
        uploaded = starcross.upload("bayestar.multiorder.fits", name="S230518h")
        for coincidence in starcross.follow(trigger=uploaded["trigger"]):
            print(coincidence["object"]["object_id"], coincidence["statistics"]["posterior"])

Answers are the documents of the interface as dictionaries; ``/api/v1/docs`` of a server tells their fields.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, aclosing
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from httpx_sse import ServerSentEvent, SSEError, aconnect_sse

from schemas.errors import ConfigurationError, StarcrossError

T = TypeVar("T")
Document = dict[str, Any]
Position = Path | str | bytes | Mapping[str, Any]
_log = logging.getLogger(__name__)
_PAGE: Final = 500
_QUIET_S: Final = 60.0
"""The server sends a comment more often than this: a stream that is quiet for longer is dead."""
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_PASSING: Final = frozenset({429, 500, 502, 503, 504})
"""Refusals that pass."""


class ServerProblem(StarcrossError):  # noqa: N818 - named for the document
    """What the server answered instead.

    Attributes
    ----------
    status
        Of the answer.
    detail
        A sentence, with the places that are wrong.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status, self.detail = status, detail


class Unreachable(StarcrossError):  # noqa: N818 - what the server is
    """The server does not answer, or not as one of ours."""


class AsyncClient:
    """A server's interface; an async context manager.

    Parameters
    ----------
    server
        Its URL, such as ``https://starcross.example.org``.
    token
        As ``starcross token`` made it; empty for what everybody may.
    timeout_s
        Longest time that an answer, or a part of it, may take to come; streams may last for ever.

    Raises
    ------
    ConfigurationError
        If the URL or the token cannot be one.
    """

    def __init__(self, server: str, token: str = "", *, timeout_s: float = 120.0) -> None:
        if not (token.isascii() and token.isprintable()):
            raise ConfigurationError("the token has characters that none has")
        self._server = server
        headers = {"User-Agent": f"starcross/{version('starcross')}"}
        try:
            self._http = httpx.AsyncClient(
                base_url=f"{server.rstrip('/')}/api/v1/",
                headers=headers | ({"Authorization": f"Bearer {token}"} if token else {}),
                timeout=timeout_s,
            )
        except httpx.InvalidURL as error:
            raise ConfigurationError(f"{server}: is not the URL of a server: {error}") from None

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, traceback)

    async def status(self) -> Document:
        """How the service stands, and who you are to it."""
        return await self._ask("GET", "status")

    async def upload(self, position: Position, **settings: Any) -> Document:
        """Upload a sky map; returns it with its counterparts so far.

        Parameters
        ----------
        position
            Path of a file, its bytes, or a mapping such as ``{"cone": {...}}`` or ``{"url": "https://..."}``.
        settings
            ``name``, ``trigger_time``, ``messenger``, ``before_s``, ``after_d``, ``level``, ``new_object`` and
            ``private``, as the interface has them.

        Raises
        ------
        ServerProblem, Unreachable
            As every function of the client.
        """
        return await self._send("POST", "skymaps", position, settings)

    async def replace(self, skymap_id: str, position: Position, **settings: Any) -> Document:
        """Put a better map in place of one."""
        return await self._send("PUT", f"skymaps/{quote(skymap_id)}", position, settings)

    async def delete(self, skymap_id: str) -> None:
        """Withdraw a map."""
        await self._ask("DELETE", f"skymaps/{quote(skymap_id)}")

    async def skymap(self, skymap_id: str) -> Document:
        """An uploaded map with its best counterparts."""
        return await self._ask("GET", f"skymaps/{quote(skymap_id)}")

    async def coincidence(self, coincidence_id: str) -> Document:
        """A coincidence with its history."""
        return await self._ask("GET", f"coincidences/{quote(coincidence_id)}")

    async def coincidences(self, **query: Any) -> AsyncGenerator[Document]:
        """All coincidences that pass a filter: ``where``, ``trigger``, ``state``, ``since`` and the others."""
        cursor: str | None = None
        while True:
            page = await self._ask("GET", "coincidences", {"limit": _PAGE, **query, "cursor": cursor})
            for item in page["items"]:
                yield item
            cursor = page["next"]
            if cursor is None:
                return

    async def match(self, positions: Sequence[Mapping[str, Any]]) -> list[Document]:
        """Which live triggers hold positions: each with ``ra_deg``, ``dec_deg`` and ``time_utc``."""
        answer = await self._ask("POST", "match", json={"positions": list(positions)})
        found: list[Document] = answer["matches"]
        return found

    async def follow(self, **query: Any) -> AsyncGenerator[Document]:
        """Revisions of coincidences as they are stored, for ever; the filter is that of `coincidences`.

        When the connection is lost it goes on where it was; a request that is refused raises `ServerProblem`.
        """
        last = str(query.pop("last_event_id", ""))
        pause_s = _FIRST_PAUSE_S
        while True:
            why = "it ended"
            try:
                async with aclosing(self._events(_known(query), last)) as events:
                    async for event in events:
                        last, pause_s = event.id or last, _FIRST_PAUSE_S
                        if event.event == "coincidence":
                            yield json.loads(event.data)
                        elif event.event == "dropped":
                            why = str(json.loads(event.data)["reason"])
            except (httpx.HTTPError, SSEError) as error:
                why = str(error) or type(error).__name__
            if pause_s == _FIRST_PAUSE_S:
                _log.warning("%s: the stream is interrupted, and tried again until it is back: %s", self._server, why)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _events(self, query: Mapping[str, str], last: str) -> AsyncGenerator[ServerSentEvent]:
        headers = {"Last-Event-ID": last} if last else {}
        timeout = httpx.Timeout(self._http.timeout.connect, read=_QUIET_S)
        async with aconnect_sse(self._http, "GET", "stream", params=query, headers=headers, timeout=timeout) as source:
            if source.response.is_error:
                await source.response.aread()
                if source.response.status_code not in _PASSING:
                    raise _problem(source.response)
                return
            async for event in source.aiter_sse():
                yield event

    async def _send(self, method: str, path: str, position: Position, settings: Mapping[str, Any]) -> Document:
        if isinstance(position, Mapping):
            return await self._ask(method, path, json={**position, **settings})
        if isinstance(position, bytes):
            name, body = "skymap", position
        else:
            name, body = Path(position).name, await asyncio.to_thread(Path(position).read_bytes)
        return await self._ask(method, path, files={"skymap": (name, body)}, data=_known(settings))

    async def _ask(self, method: str, path: str, query: Mapping[str, Any] | None = None, **body: Any) -> Document:
        try:
            response = await self._http.request(method, path, params=_known(query or {}), **body)
            if response.is_error:
                raise _problem(response)
            if response.is_redirect:
                raise Unreachable(
                    f"{self._server}: sends on to {response.headers['Location']}: give that as the server"
                )
            return dict(response.json()) if response.content else {}
        except httpx.HTTPError as error:
            raise Unreachable(f"{self._server}: cannot be reached: {str(error) or type(error).__name__}") from error
        except ValueError as error:
            raise Unreachable(f"{self._server}: answers with something else than JSON") from error


class Client:
    """`AsyncClient` for programs without async, and for notebooks; a context manager.

    Its functions are those of `AsyncClient`. They run on an event loop in a thread of its own, so that it does not
    matter whether there is one already, as in Jupyter.
    """

    def __init__(self, server: str, token: str = "", *, timeout_s: float = 120.0) -> None:
        self._client = AsyncClient(server, token, timeout_s=timeout_s)
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(self._portal.wrap_async_context_manager(self._client))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._portal = None
        self._stack.__exit__(kind, error, traceback)

    def status(self) -> Document:
        """How the service stands, and who you are to it."""
        return self._run(partial(self._client.status))

    def upload(self, position: Position, **settings: Any) -> Document:
        """Upload a sky map; returns it with its counterparts so far."""
        return self._run(partial(self._client.upload, position, **settings))

    def replace(self, skymap_id: str, position: Position, **settings: Any) -> Document:
        """Put a better map in place of one."""
        return self._run(partial(self._client.replace, skymap_id, position, **settings))

    def delete(self, skymap_id: str) -> None:
        """Withdraw a map."""
        self._run(partial(self._client.delete, skymap_id))

    def skymap(self, skymap_id: str) -> Document:
        """An uploaded map with its best counterparts."""
        return self._run(partial(self._client.skymap, skymap_id))

    def coincidence(self, coincidence_id: str) -> Document:
        """A coincidence with its history."""
        return self._run(partial(self._client.coincidence, coincidence_id))

    def coincidences(self, **query: Any) -> Iterator[Document]:
        """All coincidences that pass a filter."""
        return self._each(self._client.coincidences(**query))

    def match(self, positions: Sequence[Mapping[str, Any]]) -> list[Document]:
        """Which live triggers hold positions."""
        return self._run(partial(self._client.match, positions))

    def follow(self, **query: Any) -> Iterator[Document]:
        """Revisions of coincidences as they are stored, for ever."""
        return self._each(self._client.follow(**query))

    def _run(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask, and wait for it; Ctrl-C ends that."""
        if self._portal is None:
            raise RuntimeError("the client is used outside of its with block")
        asked = self._portal.start_task_soon(ask)
        try:
            return asked.result()
        except BaseException:
            asked.cancel()
            raise

    def _each(self, documents: AsyncGenerator[Document]) -> Iterator[Document]:
        try:
            while (document := self._run(partial(anext, documents, None))) is not None:
                yield document
        except GeneratorExit:  # whoever asked has enough
            if self._portal is not None:
                self._run(documents.aclose)
            raise


def _known(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings as texts; what is None is left out."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in settings.items()
        if value is not None
    }


def _problem(response: httpx.Response) -> ServerProblem:
    try:
        told = response.json()
        places = "".join(f"; {error['place']}: {error['detail']}" for error in told.get("errors", ()))
        return ServerProblem(response.status_code, f"{told['detail']}{places}")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ServerProblem(response.status_code, response.reason_phrase)
