"""Coincidences over HTTP: those that pass a filter, one with its history, and its VOEvent."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Literal
from urllib.parse import unquote

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from broker.web.access import PRINCIPAL, Principal
from broker.web.cursors import after_of, cursor_of
from broker.web.problems import Problem
from broker.web.queries import Filter, Found
from broker.web.routes import JSON, Answer, Part, Route, as_bytes, as_text, asked
from broker.web.site import Site, site_of
from broker.web.tokens import Scope
from matchers.selection import Selection
from schemas.coincidence import from_json
from schemas.coincidence_documents import CoincidenceDocument
from schemas.errors import ConfigurationError
from schemas.times import us_from_iso
from schemas.voevent_out import voevent_bytes

_REVISION = re.compile(r"(?:.*#)?(?P<id>[^#]{1,200})\.r(?P<revision>\d{1,9})")
VOEVENT = "application/xml"
_PARTS = {
    "id": Part("Id of the coincidence.", "grb-4c634643f9b89c41e3e78f37"),
    "ivorn": Part(
        "IVORN of the packet, or ID.rREVISION. Encode what has a meaning in a URL: # as %23, and / as %2F if your "
        "client does not take care of it.",
        "grb-4c634643f9b89c41e3e78f37.r1",
    ),
}


def _instant(text: object) -> int:
    if not isinstance(text, str) or len(text) > 40:  # noqa: PLR2004
        raise ValueError("expected an instant such as 2026-10-05T04:30:00Z")
    return us_from_iso(text)


def _object_key(text: object) -> tuple[str, str]:
    survey, colon, object_id = str(text).partition(":")
    if not (survey and colon and object_id):
        raise ValueError("expected the survey and its name of the object, such as ztf:ZTF20aaaaaaa")
    return survey, object_id


def _selection(text: object) -> Selection:
    try:
        return Selection.of_stranger(str(text))
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


Instant = Annotated[
    int,
    BeforeValidator(_instant, json_schema_input_type=str),
    Field(json_schema_extra={"format": "date-time", "examples": ["2026-10-05T04:30:00Z"]}),
]
ObjectKey = Annotated[
    tuple[str, str],
    BeforeValidator(_object_key, json_schema_input_type=str),
    Field(json_schema_extra={"pattern": "^[^:]+:.+$", "examples": ["ztf:ZTF20aaaaaaa"]}),
]
Condition = Annotated[
    Selection,
    BeforeValidator(_selection, json_schema_input_type=str),
    Field(json_schema_extra={"format": "condition", "examples": ["credible_level < 0.5 and object.mag < 20"]}),
]
Since = Annotated[str, Field(max_length=400, json_schema_extra={"format": "revision"})]
Cursor = Annotated[str, Field(max_length=40, json_schema_extra={"format": "cursor"})]


class FilterQuery(BaseModel):
    """Which coincidences."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    where: Condition | None = Field(
        None,
        description="A condition as substreams have them, of comparisons, in, and, or, not and arithmetic: "
        "statistics.posterior > 0.5 and object.mag < 20.",
    )
    state: Literal["proposed", "updated", "withdrawn"] | None = Field(None, description="Where it stands.")
    matcher: str | None = Field(None, max_length=200, description="Name of the matcher.")
    trigger: str | None = Field(None, max_length=200, description="Id of the trigger, such as fermi-gbm:600117987.")
    object: ObjectKey | None = Field(None, description="Survey and object, such as ztf:ZTF20aaaaaaa.")
    changed_from: Instant | None = Field(None, description="Revisions made at this instant (UTC) or later.")
    changed_before: Instant | None = Field(None, description="Revisions made before this instant (UTC).")

    def filter(self, *, after: int, newest: bool) -> Filter:
        """The same for the store."""
        return Filter(
            after=after,
            newest=newest,
            state=self.state,
            matcher=self.matcher,
            trigger_id=self.trigger,
            object_key=self.object,
            changed_from_us=self.changed_from,
            changed_before_us=self.changed_before,
            where=self.where,
        )


class ListQuery(FilterQuery):
    """Which coincidences, and which part of the list."""

    revisions: Literal["newest", "all"] = Field("newest", description="Only the newest of each coincidence, or all.")
    since: Since | None = Field(
        None, description="ID.rREVISION or the IVORN of a VOEvent: all that was stored after it."
    )
    cursor: Cursor | None = Field(None, description="`next` of the answer before: where to go on.")
    limit: int = Field(100, ge=1, le=1000, description="Most entries of an answer.")


class CoincidenceList(BaseModel):
    """A part of a list of coincidences, in the order in which their revisions were stored."""

    items: tuple[CoincidenceDocument, ...] = Field(description="The coincidences.")
    next: str | None = Field(
        description="Cursor of the next part; null at the end. A part may be empty before the end."
    )


class History(BaseModel):
    """A coincidence with all its revisions."""

    newest: CoincidenceDocument = Field(description="As it stands.")
    revisions: tuple[CoincidenceDocument, ...] = Field(description="All that is stored, oldest first.")


async def start_of(site: Site, query: ListQuery, principal: Principal) -> int:
    """Behind which number the list begins.

    Raises
    ------
    Problem
        422 if cursor or ``since`` name nothing.
    """
    if query.cursor is not None:
        return after_of(query.cursor)
    return 0 if query.since is None else await number_since(site, query.since, principal)


async def number_since(site: Site, since: str, principal: Principal) -> int:
    """The number under which a revision was stored that is named by ID.rREVISION or by an IVORN.

    Raises
    ------
    Problem
        422 if none of this name is stored that may be seen.
    """
    parts = _REVISION.fullmatch(since)
    number = None
    if parts is not None:
        number = await site.questions.number_of(unquote(parts["id"]), int(parts["revision"]), principal)
    if number is None:
        detail = {"place": "query.since", "detail": "no revision of this name is stored"}
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the query is wrong", errors=[detail])
    return number


def list_text(found: Sequence[Found], next_after: int | None) -> str:
    """A `CoincidenceList`, made of texts that are JSON already."""
    items = ",".join(one.document for one in found)
    following = "null" if next_after is None else f'"{cursor_of(next_after)}"'
    return f'{{"items":[{items}],"next":{following}}}'


async def _listed(request: web.Request) -> web.StreamResponse:
    site, query, principal = site_of(request), asked(request, ListQuery), request[PRINCIPAL]
    after = await start_of(site, query, principal)
    wanted = query.filter(after=after, newest=query.revisions == "newest")
    page = await site.questions.coincidences(wanted, principal, query.limit)
    return as_text(request, list_text(page.items, page.next_after))


async def _one(request: web.Request) -> web.StreamResponse:
    found = await _history(request, request.match_info["id"])
    revisions = ",".join(one.document for one in found)
    return as_text(request, f'{{"newest":{found[-1].document},"revisions":[{revisions}]}}')


async def _voevent(request: web.Request) -> web.StreamResponse:
    site, ivorn = site_of(request), request.match_info["ivorn"]
    parts = _REVISION.fullmatch(ivorn)
    missing = Problem(HTTPStatus.NOT_FOUND, f"no VOEvent {ivorn[:200]!r} is stored")
    if parts is None:
        raise missing
    found = await site.questions.history(unquote(parts["id"]), request[PRINCIPAL])
    for one in found:
        coincidence = from_json(one.document)
        if coincidence.revision == int(parts["revision"]):
            body = voevent_bytes(coincidence, site.service.plan.author)
            return as_bytes(request, body, content_type=VOEVENT)
    raise missing


async def _history(request: web.Request, coincidence_id: str) -> tuple[Found, ...]:
    found = await site_of(request).questions.history(coincidence_id, request[PRINCIPAL])
    if not found:
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no coincidence {coincidence_id[:200]!r}")
    return found


ROUTES = (
    Route(
        "GET",
        "/api/v1/coincidences",
        "listCoincidences",
        _listed,
        "Coincidences that pass a filter; everything since a revision that a listener had",
        Scope.READ,
        {HTTPStatus.OK: Answer("A part of the list.", {JSON: CoincidenceList})},
        query=ListQuery,
    ),
    Route(
        "GET",
        "/api/v1/coincidences/{id}",
        "getCoincidence",
        _one,
        "A coincidence with its history",
        Scope.READ,
        {HTTPStatus.OK: Answer("The coincidence.", {JSON: History})},
        parts=_PARTS,
    ),
    Route(
        "GET",
        "/api/v1/voevents/{ivorn:.+}",
        "getVoevent",
        _voevent,
        "The VOEvent of a revision, by its IVORN or by ID.rREVISION",
        Scope.READ,
        {HTTPStatus.OK: Answer("The packet.", {VOEVENT: None})},
        parts=_PARTS,
    ),
)
