"""What the service says of itself: how it stands, and its substreams."""

from collections import Counter
from functools import partial
from http import HTTPStatus

from aiohttp import web
from pydantic import BaseModel, Field

from broker.replay import software_name
from broker.status import checks
from broker.web.access import PRINCIPAL, Principal
from broker.web.reading import read_engine
from broker.web.routes import JSON, Answer, Route, as_json
from broker.web.site import site_of
from broker.web.tokens import Scope
from matchers.engine import Engine
from schemas.records import State
from schemas.times import iso_from_us
from schemas.upload import MISSION


class StatusDocument(BaseModel):
    """How the service stands."""

    software: str = Field(description="Name and version.")
    clock_utc: str = Field(description="The clock of the data: what it takes for now.")
    ready: bool = Field(description="Whether all parts work.")
    alerts: int = Field(description="Stored alerts.")
    triggers: int = Field(description="Triggers that are remembered.")
    searched: dict[str, int] = Field(description="By matcher, triggers whose counterparts are searched.")
    coincidences: dict[str, int] = Field(description="By state.")
    listeners: int = Field(description="How many follow streams.")
    owner: str = Field(description="Whose token was shown; empty without one.")
    scopes: tuple[str, ...] = Field(description="What is allowed to whoever asks.")


class SubstreamDocument(BaseModel):
    """A named selection of coincidences."""

    name: str = Field(description="Its name.")
    description: str = Field(description="What it is for.")
    where: str = Field(description="Its condition; empty for all, or for a function of the site's own.")
    most_per_night: int | None = Field(description="Most new coincidences a night; null for no limit.")
    include_tests: bool = Field(description="Whether triggers that are tests belong to it.")


class SubstreamList(BaseModel):
    """The substreams."""

    items: tuple[SubstreamDocument, ...] = Field(description="By name.")


async def _status(request: web.Request) -> web.StreamResponse:
    site, principal = site_of(request), request[PRINCIPAL]
    triggers, states = await read_engine(site, partial(_counted, principal))
    engine = site.service.pipeline.engine
    told = {
        "software": software_name(),
        "clock_utc": iso_from_us(site.service.clock()),
        "ready": not any(checks(site.service).values()),
        "alerts": len(engine.index),
        "triggers": triggers,
        "searched": {name: count for name, count in sorted(engine.counts.windows.items()) if name != MISSION},
        "coincidences": {str(state): states[state] for state in State},
        "listeners": site.hub.listeners,
        "owner": principal.owner,
        "scopes": sorted(principal.scopes),
    }
    return as_json(request, told)


def _counted(principal: Principal, engine: Engine) -> tuple[int, Counter[State]]:
    """How many triggers and coincidences there are, without what is private to others."""
    triggers = sum(principal.sees(trigger.private_to) for trigger in engine.triggers())
    return triggers, engine.ledger.by_state(lambda one: principal.sees(one.trigger.private_to))


async def _substreams(request: web.Request) -> web.StreamResponse:
    items = [
        {
            "name": substream.name,
            "description": substream.options.description,
            "where": substream.options.where,
            "most_per_night": substream.options.most_per_night,
            "include_tests": substream.options.include_tests,
        }
        for substream in site_of(request).service.pipeline.router.substreams
    ]
    return as_json(request, {"items": items})


ROUTES = (
    Route(
        "GET",
        "/api/v1/status",
        "getStatus",
        _status,
        "How the service stands, and who you are to it",
        Scope.READ,
        {HTTPStatus.OK: Answer("Its status.", {JSON: StatusDocument})},
    ),
    Route(
        "GET",
        "/api/v1/substreams",
        "listSubstreams",
        _substreams,
        "The substreams that people subscribe to",
        Scope.READ,
        {HTTPStatus.OK: Answer("By name.", {JSON: SubstreamList})},
    ),
)
