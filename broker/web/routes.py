"""What a route is. The router and the OpenAPI document are made of the same list of them, so that they agree."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from aiohttp import ETag, web
from pydantic import BaseModel, BeforeValidator, ValidationError, ValidationInfo

from broker.web.problems import Problem
from broker.web.tokens import Scope
from schemas.bounded_json import JsonLimits, parse_json_object

Model = TypeVar("Model", bound=BaseModel)
JSON = "application/json"
GEOJSON = "application/geo+json"
EVENTS = "text/event-stream"
FORM = "multipart/form-data"
LARGEST_JSON_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 16
"""Of a request; files are not JSON."""
SECURITY_HEADERS = {
    "Server": "starcross",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'",
}
"""Of every answer."""
VARY = "Authorization, Cookie, Accept, Accept-Encoding, Origin"
MOST_PLACES = 20
_MOST_NAMES = 100
_LIMITS = JsonLimits(bytes=LARGEST_JSON_BYTES, depth=20, values=50_000)
_LONGEST_PLACE = 200
_BODY_S = 30.0
"""So long a body of JSON may take to come."""


def _flag(value: object, info: ValidationInfo) -> object:
    if info.mode == "python" and isinstance(value, str):
        if value not in {"true", "false"}:
            raise ValueError("expected true or false")
        return value == "true"
    return value


Flag = Annotated[bool, BeforeValidator(_flag)]
"""True or false in queries and forms, where pydantic would take any of fifty words for it; JSON has its own."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One way in which a route answers.

    Attributes
    ----------
    description
        A sentence for the document.
    content
        By content type the model of the JSON, or None for what is no JSON.
    """

    description: str
    content: Mapping[str, type[BaseModel] | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a path, or a header of a request, as the document tells of it."""

    description: str
    example: str


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path, and what they do.

    Attributes
    ----------
    path
        With the names of its parts in braces: ``/api/v1/coincidences/{id}``.
    name
        Unique; ``operationId`` of the document.
    scope
        What whoever asks needs; None for what everybody may.
    answers
        By status, without errors.
    parts, headers
        What the path's parts mean, and headers that matter, by name.
    query, body
        Models of the query's parameters and of the body by its content type (None: bytes that are no JSON).
    errors
        Those that follow from none of the others.
    """

    method: str
    path: str
    name: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    summary: str
    scope: Scope | None
    answers: Mapping[HTTPStatus, Answer]
    parts: Mapping[str, Part] = field(default_factory=dict)
    headers: Mapping[str, Part] = field(default_factory=dict)
    query: type[BaseModel] | None = None
    body: Mapping[str, type[BaseModel] | None] = field(default_factory=dict)
    errors: Sequence[HTTPStatus] = ()

    @property
    def is_stream(self) -> bool:
        """Whether its answer goes on for as long as whoever asked likes."""
        return any(EVENTS in answer.content for answer in self.answers.values())


def asked(request: web.Request, model: type[Model]) -> Model:
    """The query's parameters.

    A parameter that comes once is a text, one that comes again a list.

    Raises
    ------
    Problem
        422, naming each parameter that is wrong.
    """
    given: dict[str, Any] = {}
    for name in request.query:
        values = request.query.getall(name)
        given[name] = values[0] if len(values) == 1 else values
    return checked(given, model, "query")


async def body_of(request: web.Request, model: type[Model]) -> Model:
    """The JSON body.

    Raises
    ------
    Problem
        408, 413, 415 or 422, saying what is wrong and where.
    """
    if request.content_type != "application/json":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"expected application/json (given: {request.content_type})")
    try:
        async with asyncio.timeout(_BODY_S):
            body = await read_up_to(request.content.read, LARGEST_JSON_BYTES)
    except TimeoutError:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {_BODY_S:g} s") from None
    return await asyncio.to_thread(read_json, body, model, _LIMITS)


async def read_up_to(read: Callable[[int], Awaitable[bytes]], bytes_max: int) -> bytes:
    """A body, read as it comes.

    Raises
    ------
    Problem
        413 if it has more bytes than may be.
    """
    body = bytearray()
    while chunk := await read(_CHUNK_BYTES):
        body += chunk
        if len(body) > bytes_max:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {bytes_max} bytes are taken")
    return bytes(body)


def read_json(body: bytes, model: type[Model], limits: JsonLimits) -> Model:
    """A model of JSON, in bounds and of exactly the types that the document tells; belongs in a thread.

    Raises
    ------
    BadInput
        If it is no JSON object within the bounds.
    Problem
        422, naming each place that is wrong.
    """
    return _made(parse_json_object(body, limits), lambda: model.model_validate_json(body, strict=True), "body")


def checked(given: Mapping[str, Any], model: type[Model], where: str) -> Model:
    """A model of what was given, of texts; a `Problem` of status 422 if it makes none."""
    return _made(given, lambda: model.model_validate(given), where)


def _made(given: Mapping[str, Any], make: Callable[[], Model], where: str) -> Model:
    try:
        _require_few_names(given)
        return make()
    except ValidationError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"the {where} is wrong", errors=places(error, where)) from None
    except _Crowded as error:
        detail = {"place": where, "detail": str(error)}
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"the {where} is wrong", errors=[detail]) from None


class _Crowded(Exception):  # noqa: N818 - what an object is
    pass


def _require_few_names(given: object) -> None:
    """Refuse objects of very many names, of which validation would say one by one, and at once, that it has none."""
    if isinstance(given, Mapping):
        if len(given) > _MOST_NAMES:
            raise _Crowded(f"an object has {len(given)} names; at most {_MOST_NAMES} are read")
        given = list(given.values())
    if isinstance(given, list):
        for one in given:
            _require_few_names(one)


def places(error: ValidationError, where: str) -> list[dict[str, str]]:
    """What a validation found, by place; of strangers who are wrong in many places, only how many."""
    if error.error_count() > MOST_PLACES:
        return [{"place": where, "detail": f"is wrong in {error.error_count()} places"}]
    found = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join([where, *(str(part)[:_LONGEST_PLACE] for part in problem["loc"])])
        unknown = problem["type"] == "extra_forbidden"
        detail = "is not known here" if unknown else problem["msg"].removeprefix("Value error, ")
        found.append({"place": place, "detail": detail})
    return found


def as_json(
    request: web.Request,
    document: Any,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An answer in JSON; see `as_text`."""
    response = as_text(request, json.dumps(document, allow_nan=False, separators=(",", ":")), status)
    response.headers.update(headers or {})
    return response


def as_text(
    request: web.Request, text: str, status: HTTPStatus = HTTPStatus.OK, content_type: str = "application/json"
) -> web.Response:
    """An answer in text; see `as_bytes`."""
    return as_bytes(request, text.encode(), status, content_type)


def as_bytes(
    request: web.Request, body: bytes, status: HTTPStatus = HTTPStatus.OK, content_type: str = "application/json"
) -> web.Response:
    """An answer in UTF-8; to GET with an ETag of its content, and whoever has that already is told so and no more."""
    if request.method not in {"GET", "HEAD"}:
        return web.Response(body=body, status=status.value, content_type=content_type, charset="utf-8")
    etag = blake2b(body, digest_size=12).hexdigest()
    if status is HTTPStatus.OK and any(known.value in {etag, "*"} for known in request.if_none_match or ()):
        response = web.Response(status=HTTPStatus.NOT_MODIFIED.value)
    else:
        response = web.Response(body=body, status=status.value, content_type=content_type, charset="utf-8")
    response.etag = ETag(etag, is_weak=True)  # weak, since the same content may be sent compressed or not
    return response
