"""A running service with its interface, and people who ask it, each with a token of their own or without one."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy

from broker.clocks import DataClock, WallClock
from broker.service import Service
from broker.web.serving import serving as serving_http
from broker.web.tokens import Scope, Tokens
from schemas.records import Message
from tests.broker.test_status import serving
from tests.survey_packets import ZTF, container, ztf_alert

JD = 2458849.75
"""2020-01-01T06:00:00 UTC."""
TRIGGER = "2020-01-01T05:00:00Z"
CONE = {"ra_deg": 150.0, "dec_deg": -12.0, "radius_deg": 3.0, "containment": 0.9}
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Answered:
    """What came back."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Event:
    """A server-sent event."""

    name: str
    id: str
    data: str


class Person:
    """Somebody who asks, with a token or without."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str = "") -> None:
        self.session, self.url, self.token = session, url, token

    async def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **given: Any) -> Answered:
        shown = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        where = f"{self.url}{path}" if path.startswith("/") else f"{self.url}/api/v1/{path}"
        async with self.session.request(method, where, headers=shown | (headers or {}), **given) as response:
            return Answered(response.status, response.headers, await response.read())

    async def get(self, path: str, **given: Any) -> Answered:
        return await self.ask("GET", path, **given)

    async def got(self, path: str, **given: Any) -> Any:
        """The JSON of what must be there."""
        answer = await self.get(path, **given)
        assert answer.status == 200, answer.text
        return answer.json

    async def upload(self, **given: Any) -> dict[str, Any]:
        """Upload something that must be taken."""
        answer = await self.ask("POST", "skymaps", json={"trigger_time": TRIGGER, **given})
        assert answer.status == 201, answer.text
        return answer.json

    @asynccontextmanager
    async def following(self, path: str = "stream", **given: Any) -> AsyncIterator["Following"]:
        """A stream of events, from before what is done within."""
        headers = ({"Authorization": f"Bearer {self.token}"} if self.token else {}) | given.pop("headers", {})
        async with self.session.get(f"{self.url}/api/v1/{path}", headers=headers, **given) as response:
            assert response.status == 200, await response.text()
            yield Following(response)


class Following:
    """Events as they come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> Event | None:
        """The next event but those that only say that the connection is alive; None at the end."""
        fields = {"event": "", "id": "", "data": ""}
        async with asyncio.timeout(PATIENCE_S):
            while line := (await self.response.content.readline()).decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if line != "\n":
                    fields |= {name: value}
                elif fields["event"] not in {"", "idle"}:
                    return Event(fields["event"], fields["id"], fields["data"])
        return None

    async def coincidence(self) -> dict[str, Any]:
        """The next coincidence."""
        event = await self.next()
        assert event is not None
        assert event.name == "coincidence", event
        return json.loads(event.data)

    async def until(self, object_id: str, state: str = "proposed") -> dict[str, Any]:
        """The next coincidence of an object in a state."""
        while True:
            told = await self.coincidence()
            if (told["object"]["object_id"], told["state"]) == (object_id, state):
                return told


@dataclass
class Site:
    """The service, and a way to it."""

    service: Service
    url: str
    session: aiohttp.ClientSession
    tokens: Tokens

    def token(self, owner: str, *scopes: str, days: float | None = None) -> str:
        """A new token."""
        return self.tokens.make(owner, [Scope(scope) for scope in scopes], WallClock()(), days=days)[0]

    def person(self, owner: str = "", *scopes: str) -> Person:
        """Somebody who may read and upload, or what the scopes say; without a name nobody in particular."""
        token = self.token(owner, *(scopes or ("read", "upload"))) if owner else ""
        return Person(self.session, self.url, token)

    async def take(self, *bodies: bytes, source: str = "test", topic: str = "") -> Any:
        """What a source would bring."""
        messages = [Message(body, f"{source}/{number}", topic) for number, body in enumerate(bodies)]
        return await self.service.pipeline.inlet(source)(messages)

    async def alerts(self, *alerts: dict[str, Any]) -> None:
        """Alerts of a survey, all of which must be taken."""
        receipt = await self.take(container(ZTF, alerts))
        assert receipt.rejected == ()


def form(body: bytes, file_name: str = "map.fits", **fields: str) -> aiohttp.FormData:
    """A form as a browser or curl sends it."""
    made = aiohttp.FormData(fields)
    made.add_field("skymap", io.BytesIO(body), filename=file_name)
    return made


def alert(name: str, ra_deg: float, dec_deg: float, *, hours: float = 0.0, candid: int = 0) -> dict[str, Any]:
    """A detection of a new object so many hours after `JD`."""
    jd = JD + hours / 24
    number = candid or 1 + abs(hash((name, hours))) % 10**15
    return ztf_alert(object_id=name, candid=number, ra=ra_deg, dec=dec_deg, jd=jd, jdstarthist=jd)


@asynccontextmanager
async def site(
    folder: Path, http: str = "", text: str = "", clock: Any = None, headers: Iterable[tuple[str, str]] = ()
) -> AsyncIterator[Site]:
    """A service that is served; started again in the same folder it goes on where it was."""
    port = "" if "port = " in http else "port = 0"
    config = f"[http]\nenabled = true\n{port}\n{http}\n{text}"
    async with AsyncExitStack() as stack:
        service, _ = await stack.enter_async_context(serving(folder, config, clock or DataClock()))
        server = await stack.enter_async_context(serving_http(service))
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=True, headers=list(headers)))
        yield Site(service, server.url, session, Tokens(service.store.folder))
