"""Uploaded sky maps: a trigger like any other, from the moment that one is taken until its window ends."""

import asyncio
import base64
import json
import secrets
from contextlib import nullcontext
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from broker.web.access import PRINCIPAL, Principal
from broker.web.coincidence_tables import CSV, VOTABLE, as_table
from broker.web.coincidences import CoincidenceList, Cursor, Since, list_text
from broker.web.cursors import after_of
from broker.web.geometry import Contours, CoverageMap
from broker.web.problems import Problem
from broker.web.queries import SCANNED_AT_ONCE, Filter
from broker.web.reading import read_engine
from broker.web.routes import EVENTS, FORM, GEOJSON, JSON, Answer, Part, Route, as_bytes, as_json, as_text, asked
from broker.web.site import Site, site_of
from broker.web.stream import LAST_EVENT, LAST_EVENT_PART, beginning, follow
from broker.web.tokens import Scope
from broker.web.triggers import (
    ContourQuery,
    MocQuery,
    PositionDocument,
    contour_text,
    moc_text,
    position_of,
    seen,
    skymap_of_trigger,
)
from broker.web.upload_requests import (
    FILE_TYPES,
    PositionRequest,
    SkymapForm,
    Understood,
    UploadSettings,
    understood,
    wanted_of,
    wrong,
)
from broker.web.uploads import Held
from matchers.engine import Engine
from matchers.rank import rank
from schemas.coincidence import from_json
from schemas.coincidence_documents import CoincidenceDocument
from schemas.localisation import Annuli, Cone, Ellipse, InlineMap
from schemas.records import Coincidence, Kind, Message, State, Trigger
from schemas.skymap import MapLimits
from schemas.times import US_PER_DAY, iso_from_us
from schemas.upload import (
    MISSION,
    TOPIC,
    ConeDocument,
    EllipseDocument,
    SearchDocument,
    UploadDocument,
    rings_of,
    search_of,
    trigger_id_of,
    upload_bytes,
)

SOURCE = "uploads"
"""Name of the source, in the store and in metrics."""
MIB = 1 << 20
_SHOWN = 100


class SkymapDocument(BaseModel):
    """An uploaded sky map."""

    id: str = Field(description="Its id.")
    trigger: str = Field(description="Id of the trigger that it is.")
    revision: int = Field(description="1 for the first map, one more for each better one.")
    state: Literal["searched", "withdrawn"] = Field(description="Whether counterparts are still searched.")
    name: str = Field(description="What it is called.")
    owner: str = Field(description="Whose it is.")
    private: bool = Field(description="Whether its owner alone sees it.")
    messenger: str = Field(description="What carried the news.")
    trigger_utc: str = Field(description="Instant of the event.")
    search: SearchDocument = Field(description="How it is searched.")
    position: PositionDocument | None = Field(description="What the map says.")
    coincidences: tuple[CoincidenceDocument, ...] = Field(
        description="The best counterparts that stand, best first, at most 100: see its coincidences for all."
    )


class SkymapList(BaseModel):
    """Uploaded sky maps that may be seen, newest first."""

    items: tuple[SkymapDocument, ...] = Field(description="The maps, without their coincidences.")


class TableQuery(BaseModel):
    """Which part of the coincidences of a map, and in which form."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["json", "csv", "votable"] = Field("json", description="CSV and VOTable hold all, best first.")
    cursor: Cursor | None = Field(None, description="`next` of the answer before; JSON only.")
    limit: int = Field(100, ge=1, le=1000, description="Most entries of an answer in JSON.")


class EventQuery(BaseModel):
    """Where to begin."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: Since | None = Field(None, description="ID.rREVISION: begin with what was stored after it.")
    last_event_id: str | None = Field(None, pattern=r"^\d{1,18}$", description="As the header Last-Event-ID.")


async def _posted(request: web.Request) -> web.StreamResponse:
    site, principal = site_of(request), request[PRINCIPAL]
    await _admit(site, principal, new=True)
    read = await _read(request, site)
    upload_id = secrets.token_hex(8)
    document = _document(upload_id, 1, Kind.INITIAL, read, principal.owner, site.service.clock())
    await _publish(site, document)
    headers = {"Location": f"/api/v1/skymaps/{upload_id}"}
    return as_json(request, await _told(site, upload_id, principal), HTTPStatus.CREATED, headers)


async def _put(request: web.Request) -> web.StreamResponse:
    site, principal, upload_id = site_of(request), request[PRINCIPAL], request.match_info["id"]
    await _owned(site, upload_id, principal)
    await _admit(site, principal, new=False)
    read = await _read(request, site)
    async with site.uploads.changing:
        trigger = await _owned(site, upload_id, principal)
        # What was private stays so: others must not learn of it by a better map. What was public they know.
        if read.settings.private and not trigger.private_to:
            detail = "this sky map is public and was seen: delete it, and upload a private one"
            raise Problem(HTTPStatus.CONFLICT, detail)
        settings = read.settings.model_copy(update={"private": bool(trigger.private_to)})
        serial = trigger.notice.serial + 1
        better = replace(read, settings=settings)
        await _publish(
            site, _document(upload_id, serial, Kind.UPDATE, better, trigger.instrument, site.service.clock())
        )
    return as_json(request, await _told(site, upload_id, principal))


async def _deleted(request: web.Request) -> web.StreamResponse:
    site, principal, upload_id = site_of(request), request[PRINCIPAL], request.match_info["id"]
    async with site.uploads.changing:
        trigger = await _owned(site, upload_id, principal)
        document = UploadDocument(
            id=upload_id,
            serial=trigger.notice.serial + 1,
            kind=Kind.RETRACTION,
            issued_utc=iso_from_us(site.service.clock()),
            owner=trigger.instrument,
            private=bool(trigger.private_to),
            messenger=trigger.messenger,
            trigger_utc=iso_from_us(trigger.time_us),
        )
        await _publish(site, document)
    return web.Response(status=HTTPStatus.NO_CONTENT.value)


async def _one(request: web.Request) -> web.StreamResponse:
    site, principal = site_of(request), request[PRINCIPAL]
    return as_json(request, await _told(site, request.match_info["id"], principal))


async def _listed(request: web.Request) -> web.StreamResponse:
    site, principal = site_of(request), request[PRINCIPAL]

    def visible(engine: Engine) -> list[Trigger]:
        uploads = (trigger for trigger in engine.triggers() if trigger.mission == MISSION)
        return [trigger for trigger in uploads if principal.sees(trigger.private_to)]

    triggers = sorted(await read_engine(site, visible), key=lambda trigger: (-trigger.time_us, trigger.id))
    items = await asyncio.to_thread(lambda: [_about(trigger) | {"coincidences": []} for trigger in triggers])
    return as_json(request, {"items": items})


async def _coincidences(request: web.Request) -> web.StreamResponse:
    site, query, principal = site_of(request), asked(request, TableQuery), request[PRINCIPAL]
    trigger = await _visible(site, request.match_info["id"], principal)
    content_type = _TABLES.get(query.format) or _accepted(request)
    if content_type == JSON:
        after = 0 if query.cursor is None else after_of(query.cursor)
        page = await site.questions.coincidences(Filter(after=after, trigger_id=trigger.id), principal, query.limit)
        return as_text(request, list_text(page.items, page.next_after))
    standing = await _standing(site, trigger.id, principal)
    body = await asyncio.to_thread(as_table, standing, content_type)
    response = as_bytes(request, body, content_type=content_type)
    name = f"{request.match_info['id']}.{_ENDINGS[content_type]}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


async def _events(request: web.Request) -> web.StreamResponse:
    query = asked(request, EventQuery)
    trigger = await _visible(site_of(request), request.match_info["id"], request[PRINCIPAL])
    after = await beginning(request, query.since, query.last_event_id)
    return await follow(request, Filter(after=after, newest=False, trigger_id=trigger.id))


async def _moc(request: web.Request) -> web.StreamResponse:
    query = asked(request, MocQuery)
    skymap = await skymap_of_trigger(site_of(request), trigger_id_of(request.match_info["id"]), request[PRINCIPAL])
    return as_text(request, await asyncio.to_thread(moc_text, skymap, query.level))


async def _contours(request: web.Request) -> web.StreamResponse:
    query = asked(request, ContourQuery)
    skymap = await skymap_of_trigger(site_of(request), trigger_id_of(request.match_info["id"]), request[PRINCIPAL])
    text = await asyncio.to_thread(contour_text, skymap, query.levels)
    return as_text(request, text, content_type=GEOJSON)


async def _admit(site: Site, principal: Principal, *, new: bool) -> None:
    await site.uploads.admit(await read_engine(site, Held.by), principal.owner, new=new)


async def _read(request: web.Request, site: Site) -> Understood:
    """What a request brings, read in a thread; 408 for a body that does not come in time."""
    bytes_max = site.options.skymap_mib * MIB
    try:
        async with asyncio.timeout(site.options.upload_s):
            wanted = await wanted_of(request, site.fetcher, bytes_max)
    except TimeoutError:
        detail = f"the upload did not come within {site.options.upload_s:g} s"
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, detail) from None
    limits = MapLimits(packed_bytes=bytes_max, unpacked_bytes=bytes_max)
    async with site.uploads.reading:
        read = await asyncio.to_thread(understood, wanted, limits)
    if read.trigger_us > max(site.service.clock(), site.now_us()) + US_PER_DAY:
        raise wrong("trigger_time", f"{iso_from_us(read.trigger_us)} is not yet")
    return read


def _document(upload_id: str, serial: int, kind: Kind, read: Understood, owner: str, now_us: int) -> UploadDocument:
    said = read.localisation
    return UploadDocument(
        id=upload_id,
        serial=serial,
        kind=kind,
        issued_utc=iso_from_us(now_us),
        owner=owner,
        private=read.settings.private,
        name=read.name,
        messenger=read.settings.messenger,
        trigger_utc=iso_from_us(read.trigger_us),
        search=read.settings.search(),
        origin=read.file_name,
        map_base64=base64.b64encode(said.body).decode() if isinstance(said, InlineMap) else None,
        cone=ConeDocument.of(said) if isinstance(said, Cone) else None,
        ellipse=EllipseDocument.of(said) if isinstance(said, Ellipse) else None,
        annuli=rings_of(said) if isinstance(said, Annuli) else None,
    )


async def _publish(site: Site, document: UploadDocument) -> None:
    """Hand the upload to the engine as the message that it is; it is durable and matched then."""
    body = await asyncio.to_thread(upload_bytes, document)
    message = Message(body, f"upload/{document.id}.{document.serial}", TOPIC)
    held = await read_engine(site, Held.by)
    room = site.uploads.room(held, document.owner, len(body), new=document.kind is Kind.INITIAL)
    with room if document.kind is not Kind.RETRACTION else nullcontext():  # to take one back is always possible
        receipt = await site.service.pipeline.take(SOURCE, [message])
    for rejection in receipt.rejected:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{rejection.reason}: {rejection.detail}")
    metrics = site.service.observers.metrics
    metrics.add("starcross_http_uploads_total", kind=document.kind.value)
    metrics.add("starcross_http_upload_bytes_total", len(body))


async def _visible(site: Site, upload_id: str, principal: Principal) -> Trigger:
    return await read_engine(site, lambda engine: seen(engine, trigger_id_of(upload_id), principal))


async def _owned(site: Site, upload_id: str, principal: Principal) -> Trigger:
    """An upload that whoever asks may change.

    Raises
    ------
    Problem
        404 if there is none that may be seen, 403 if it is somebody else's, 409 if it was withdrawn.
    """
    trigger = await _visible(site, upload_id, principal)
    if trigger.instrument != principal.owner and not principal.may(Scope.ADMIN):
        raise Problem(HTTPStatus.FORBIDDEN, f"the sky map {upload_id} is somebody else's")
    if trigger.retracted:
        raise Problem(HTTPStatus.CONFLICT, f"the sky map {upload_id} was withdrawn")
    return trigger


async def _standing(site: Site, trigger_id: str, principal: Principal) -> list[Coincidence]:
    """All coincidences of a trigger that stand, best first."""
    found: list[Coincidence] = []
    after: int | None = 0
    while after is not None:
        page = await site.questions.coincidences(Filter(after=after, trigger_id=trigger_id), principal, SCANNED_AT_ONCE)
        found += await asyncio.to_thread(lambda items: [from_json(one.document) for one in items], page.items)
        after = page.next_after
    return rank(one for one in found if one.state is not State.WITHDRAWN)


async def _told(site: Site, upload_id: str, principal: Principal) -> dict[str, Any]:
    trigger = await _visible(site, upload_id, principal)
    best = await site.questions.best(trigger.id, principal, _SHOWN)
    return await asyncio.to_thread(
        lambda: _about(trigger) | {"coincidences": [json.loads(one.document) for one in best]}
    )


def _about(trigger: Trigger) -> dict[str, Any]:
    return {
        "id": trigger.id.partition(":")[2],
        "trigger": trigger.id,
        "revision": trigger.revision,
        "state": "withdrawn" if trigger.retracted else "searched",
        "name": trigger.names[0] if trigger.names else "",
        "owner": trigger.instrument,
        "private": bool(trigger.private_to),
        "messenger": trigger.messenger.value,
        "trigger_utc": iso_from_us(trigger.time_us),
        "search": search_of(trigger.notice.params).model_dump(),
        "position": position_of(trigger.skymap),
    }


def _accepted(request: web.Request) -> str:
    """What the header Accept asks for, of what there is."""
    accept = request.headers.get("Accept", "")
    return next((kind for kind in (CSV, VOTABLE) if kind in accept), JSON)


_TABLES = {"csv": CSV, "votable": VOTABLE}
_ENDINGS = {CSV: "csv", VOTABLE: "xml"}
_BODY = {FORM: SkymapForm, JSON: PositionRequest, **dict.fromkeys(FILE_TYPES)}
_PLACE = "/api/v1/skymaps/{id}"
_PARTS = {"id": Part("Id of the sky map, as the answer to its upload had it.", "0123456789abcdef")}
_REFUSED = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.INSUFFICIENT_STORAGE)
ROUTES = (
    Route(
        "POST",
        "/api/v1/skymaps",
        "uploadSkymap",
        _posted,
        "Upload a sky map, and get its counterparts so far",
        Scope.UPLOAD,
        {HTTPStatus.CREATED: Answer("It is stored, and searched from now on.", {JSON: SkymapDocument})},
        query=UploadSettings,
        body=_BODY,
        errors=_REFUSED,
    ),
    Route(
        "GET",
        "/api/v1/skymaps",
        "listSkymaps",
        _listed,
        "Uploaded sky maps",
        Scope.READ,
        {HTTPStatus.OK: Answer("The maps.", {JSON: SkymapList})},
    ),
    Route(
        "GET",
        _PLACE,
        "getSkymap",
        _one,
        "An uploaded sky map with its best counterparts",
        Scope.READ,
        {HTTPStatus.OK: Answer("The map.", {JSON: SkymapDocument})},
        parts=_PARTS,
    ),
    Route(
        "PUT",
        _PLACE,
        "replaceSkymap",
        _put,
        "Put a better sky map in place of one; what was found is judged anew",
        Scope.UPLOAD,
        {HTTPStatus.OK: Answer("It is stored, and searched from now on.", {JSON: SkymapDocument})},
        parts=_PARTS,
        query=UploadSettings,
        body=_BODY,
        errors=_REFUSED,
    ),
    Route(
        "DELETE",
        _PLACE,
        "deleteSkymap",
        _deleted,
        "Withdraw a sky map and its coincidences",
        Scope.UPLOAD,
        {HTTPStatus.NO_CONTENT: Answer("It is withdrawn.")},
        parts=_PARTS,
        errors=[HTTPStatus.CONFLICT],
    ),
    Route(
        "GET",
        f"{_PLACE}/coincidences",
        "listSkymapCoincidences",
        _coincidences,
        "Coincidences of an uploaded sky map",
        Scope.READ,
        {HTTPStatus.OK: Answer("A part of the list, or a table.", {JSON: CoincidenceList, CSV: None, VOTABLE: None})},
        parts=_PARTS,
        query=TableQuery,
    ),
    Route(
        "GET",
        f"{_PLACE}/events",
        "followSkymap",
        _events,
        "Revisions of its coincidences as they are stored, as server-sent events",
        Scope.READ,
        {HTTPStatus.OK: Answer("Events, for as long as you like.", {EVENTS: None})},
        parts=_PARTS,
        headers={LAST_EVENT: LAST_EVENT_PART},
        query=EventQuery,
        errors=[HTTPStatus.SERVICE_UNAVAILABLE],
    ),
    Route(
        "GET",
        f"{_PLACE}/moc",
        "getSkymapMoc",
        _moc,
        "A credible region of an uploaded sky map as coverage map",
        Scope.READ,
        {HTTPStatus.OK: Answer("An IVOA MOC in JSON.", {JSON: CoverageMap})},
        parts=_PARTS,
        query=MocQuery,
    ),
    Route(
        "GET",
        f"{_PLACE}/contours",
        "getSkymapContours",
        _contours,
        "Contours of an uploaded sky map",
        Scope.READ,
        {HTTPStatus.OK: Answer("GeoJSON; longitude is right ascension from -180 to 180 degrees.", {GEOJSON: Contours})},
        parts=_PARTS,
        query=ContourQuery,
    ),
)
