"""Triggers over HTTP: those that are remembered, one with its notices, and its sky map as coverage map and contours."""

import asyncio
import base64
import json
import re
from collections.abc import Mapping, Sequence
from heapq import nsmallest
from http import HTTPStatus
from typing import Annotated, Any

import numpy as np
from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from broker.web.access import PRINCIPAL, Principal
from broker.web.contours import contours
from broker.web.geometry import Contours, CoverageMap
from broker.web.problems import Problem
from broker.web.reading import read_engine
from broker.web.routes import GEOJSON, JSON, Answer, Flag, Part, Route, as_json, as_text, asked
from broker.web.site import Site, site_of
from broker.web.tokens import Scope
from matchers.engine import Engine
from matchers.judge import trigger_summary
from schemas.coincidence import trigger_document
from schemas.coincidence_documents import TriggerDocument
from schemas.pixels import ORDER
from schemas.records import Messenger, Notice, Trigger, Window
from schemas.sky import SkyMap
from schemas.times import iso_from_us, us_from_iso

_FIRST_US, _LAST_US = us_from_iso("0001-01-01T00:00:00Z"), us_from_iso("9999-12-31T23:59:59Z")
Level = Annotated[float, Field(gt=0, lt=1)]
_LEVELS = r"^0\.[0-9]{0,8}[1-9]0?(,0\.[0-9]{0,8}[1-9]0?){0,9}$"
_PARTS = {"id": Part("Id of the trigger: its namespace and the observatory's own identifier.", "fermi-gbm:812960656")}


def _levels(text: object) -> tuple[float, ...]:
    if not re.fullmatch(_LEVELS, str(text)):
        raise ValueError("expected numbers between 0 and 1 with commas between them, such as 0.5,0.9")
    return tuple(float(part) for part in str(text).split(","))


class WindowDocument(BaseModel):
    """Where and when a matcher looks."""

    matcher: str = Field(description="Name of the matcher.")
    start_utc: str = Field(description="Begin of the span, included.")
    end_utc: str = Field(description="End of the span, included.")


class PositionDocument(BaseModel):
    """What is known of where it was."""

    model: str = Field(description="Which localisation model was applied.")
    peak_ra_deg: float = Field(description="Right ascension of the most probable position, degrees.")
    peak_dec_deg: float = Field(description="Declination of the most probable position, degrees.")
    area_50_deg2: float = Field(description="Area of the 50 % credible region, square degrees.")
    area_90_deg2: float = Field(description="Area of the 90 % credible region, square degrees.")
    has_distances: bool = Field(description="Whether the map has layers of distance.")


class NoticeDocument(BaseModel):
    """A notice of a trigger."""

    type: str = Field(description="What the sender calls it.")
    ivorn: str = Field(description="Its IVORN, or an identifier made for it.")
    kind: str = Field(description="initial, update or retraction.")
    role: str = Field(description="observation, prediction, utility, test or mock.")
    issued_utc: str | None = Field(description="When it was sent.")
    localises: bool = Field(description="Whether its position is the one in use.")


class TriggerState(BaseModel):
    """A trigger as it stands."""

    trigger: TriggerDocument = Field(description="As coincidences tell of it.")
    retracted: bool = Field(description="Whether the observatory has taken it back.")
    astrophysical: bool | None = Field(description="False if it turned out to be no burst or event; null if unsaid.")
    position: PositionDocument | None = Field(description="Null while there is no position.")
    windows: tuple[WindowDocument, ...] = Field(description="Where and when matchers look.")


class TriggerHistory(TriggerState):
    """A trigger with its notices."""

    notices: tuple[NoticeDocument, ...] = Field(description="Oldest first, by the trigger's own order.")


class TriggerList(BaseModel):
    """A part of the list of triggers, newest first."""

    items: tuple[TriggerState, ...] = Field(description="The triggers.")
    next: str | None = Field(description="Cursor of the next part; null at the end.")


class TriggerQuery(BaseModel):
    """Which triggers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    messenger: Messenger | None = Field(None, description="What carried the news.")
    searched: Flag | None = Field(None, description="True: only those with an open window.")
    cursor: Annotated[str, Field(max_length=300, json_schema_extra={"format": "trigger-cursor"})] | None = Field(
        None, description="`next` of the answer before."
    )
    limit: int = Field(100, ge=1, le=1000, description="Most entries of an answer.")


class MocQuery(BaseModel):
    """Which region."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: Level = Field(0.9, description="Its probability.")


class ContourQuery(BaseModel):
    """Which contours."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    levels: Annotated[tuple[Level, ...], BeforeValidator(_levels, json_schema_input_type=str)] = Field(
        (0.5, 0.9),
        description="Their credible levels, with commas between them.",
        json_schema_extra={"default": "0.5,0.9", "pattern": _LEVELS},
    )


def seen(engine: Engine, trigger_id: str, principal: Principal) -> Trigger:
    """A trigger that may be seen.

    Raises
    ------
    Problem
        404 if there is none; of what is private to others it is not told that it exists.
    """
    trigger = engine.trigger(trigger_id)
    if trigger is None or not principal.sees(trigger.private_to):
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no trigger {trigger_id[:200]!r}")
    return trigger


def state_of(trigger: Trigger, windows: Mapping[str, Window]) -> dict[str, Any]:
    """A `TriggerState` without its areas, which take long: see `position_of`."""
    return {
        "trigger": trigger_document(trigger_summary(trigger)),
        "retracted": trigger.retracted,
        "astrophysical": trigger.astrophysical,
        "windows": [
            {"matcher": name, "start_utc": _instant(window.start_us), "end_utc": _instant(window.end_us)}
            for name, window in sorted(windows.items())
        ],
    }


def _instant(us: int) -> str:
    """Of a window of an event at the end of the calendar, the calendar's end."""
    return iso_from_us(min(max(us, _FIRST_US), _LAST_US))


def position_of(skymap: SkyMap | None) -> dict[str, Any] | None:
    """A `PositionDocument`."""
    if skymap is None:
        return None
    return {
        "model": skymap.model,
        "peak_ra_deg": skymap.peak_ra_deg,
        "peak_dec_deg": skymap.peak_dec_deg,
        "area_50_deg2": skymap.area_deg2(0.5),
        "area_90_deg2": skymap.area_deg2(0.9),
        "has_distances": skymap.distance is not None,
    }


async def skymap_of_trigger(site: Site, trigger_id: str, principal: Principal) -> SkyMap:
    """The map of a trigger that may be seen; a `Problem` of status 404 if there is none."""
    trigger = await read_engine(site, lambda engine: seen(engine, trigger_id, principal))
    if trigger.skymap is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"the trigger {trigger_id[:200]!r} has no position")
    return trigger.skymap


def moc_text(skymap: SkyMap, level: float) -> str:
    """The credible region as a coverage map in JSON (IVOA MOC 2.0); of a closed form, cells that surely cover it."""
    from mocpy import MOC  # noqa: PLC0415 - brings matplotlib, a quarter of a second for who asks

    region = skymap.credible_region(level)
    ranges = np.column_stack([region.lo, region.hi]).astype(np.uint64)
    return json.dumps(MOC.from_depth29_ranges(ORDER, ranges).serialize(format="json"), separators=(",", ":"))


def contour_text(skymap: SkyMap, levels: Sequence[float]) -> str:
    """The contours as GeoJSON."""
    collection = {"type": "FeatureCollection", "features": contours(skymap, levels)}
    return json.dumps(collection, separators=(",", ":"))


async def _listed(request: web.Request) -> web.StreamResponse:
    site, query, principal = site_of(request), asked(request, TriggerQuery), request[PRINCIPAL]
    before = None if query.cursor is None else _place(query.cursor)

    def wanted(engine: Engine) -> list[tuple[Trigger, Mapping[str, Window]]]:
        found = [
            trigger
            for trigger in engine.triggers()
            if principal.sees(trigger.private_to)
            and query.messenger in {None, trigger.messenger}
            and query.searched in {None, bool(engine.book.windows(trigger.id))}
            and (before is None or _order(trigger) > before)
        ]
        some = nsmallest(query.limit + 1, found, key=_order)
        return [(trigger, engine.book.windows(trigger.id)) for trigger in some]

    found = await read_engine(site, wanted)
    shown, more = found[: query.limit], len(found) > query.limit
    items = await asyncio.to_thread(lambda: [_told(*one) for one in shown])
    last = json.dumps(_order(shown[-1][0])) if more else None
    following = None if last is None else base64.urlsafe_b64encode(last.encode()).decode()
    return as_json(request, {"items": items, "next": following})


async def _one(request: web.Request) -> web.StreamResponse:
    trigger_id, principal = request.match_info["id"], request[PRINCIPAL]

    def read(engine: Engine) -> tuple[Trigger, Mapping[str, Window], list[Notice]]:
        trigger = seen(engine, trigger_id, principal)
        return trigger, engine.book.windows(trigger.id), engine.notices(trigger.id)

    trigger, windows, notices = await read_engine(site_of(request), read)
    told = await asyncio.to_thread(_told, trigger, windows)
    localising = trigger.localised_by.ivorn if trigger.localised_by else None
    return as_json(request, told | {"notices": [_notice(notice, localising) for notice in notices]})


async def _moc(request: web.Request) -> web.StreamResponse:
    query = asked(request, MocQuery)
    skymap = await skymap_of_trigger(site_of(request), request.match_info["id"], request[PRINCIPAL])
    return as_text(request, await asyncio.to_thread(moc_text, skymap, query.level))


async def _contours(request: web.Request) -> web.StreamResponse:
    query = asked(request, ContourQuery)
    skymap = await skymap_of_trigger(site_of(request), request.match_info["id"], request[PRINCIPAL])
    text = await asyncio.to_thread(contour_text, skymap, query.levels)
    return as_text(request, text, content_type=GEOJSON)


def _told(trigger: Trigger, windows: Mapping[str, Window]) -> dict[str, Any]:
    return state_of(trigger, windows) | {"position": position_of(trigger.skymap)}


def _notice(notice: Notice, localising: str | None) -> dict[str, Any]:
    return {
        "type": notice.notice_type,
        "ivorn": notice.ivorn,
        "kind": notice.kind.value,
        "role": notice.role.value,
        "issued_utc": None if notice.issued_us is None else iso_from_us(notice.issued_us),
        "localises": notice.ivorn == localising,
    }


def _order(trigger: Trigger) -> tuple[int, str]:
    """Newest first."""
    return -trigger.time_us, trigger.id


def _place(cursor: str) -> tuple[int, str]:
    try:
        time_us, trigger_id = json.loads(base64.urlsafe_b64decode(cursor))
        return int(time_us), str(trigger_id)
    except (ValueError, TypeError):
        detail = {"place": "query.cursor", "detail": "expected what `next` of an earlier answer was"}
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the query is wrong", errors=[detail]) from None


ROUTES = (
    Route(
        "GET",
        "/api/v1/triggers",
        "listTriggers",
        _listed,
        "Triggers that are remembered, newest first",
        Scope.READ,
        {HTTPStatus.OK: Answer("A part of the list.", {JSON: TriggerList})},
        query=TriggerQuery,
    ),
    Route(
        "GET",
        "/api/v1/triggers/{id}",
        "getTrigger",
        _one,
        "A trigger with its notices",
        Scope.READ,
        {HTTPStatus.OK: Answer("The trigger.", {JSON: TriggerHistory})},
        parts=_PARTS,
    ),
    Route(
        "GET",
        "/api/v1/triggers/{id}/moc",
        "getTriggerMoc",
        _moc,
        "A credible region as coverage map",
        Scope.READ,
        {HTTPStatus.OK: Answer("An IVOA MOC in JSON.", {JSON: CoverageMap})},
        parts=_PARTS,
        query=MocQuery,
    ),
    Route(
        "GET",
        "/api/v1/triggers/{id}/contours",
        "getTriggerContours",
        _contours,
        "Contours of credible levels",
        Scope.READ,
        {HTTPStatus.OK: Answer("GeoJSON; longitude is right ascension from -180 to 180 degrees.", {GEOJSON: Contours})},
        parts=_PARTS,
        query=ContourQuery,
    ),
)
