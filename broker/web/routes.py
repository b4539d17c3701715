"""What a route is. The router and the OpenAPI document are made of the same list of them, so that they agree."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from http import HTTPStatus
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from broker.web.problems import Problem
from broker.web.tokens import Scope

Model = TypeVar("Model", bound=BaseModel)
JSON = "application/json"
GEOJSON = "application/geo+json"
LARGEST_JSON_BYTES = 1 << 20
"""Of a request; files are not JSON."""
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'",
}
"""Of every answer."""


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
    query, body
        Models of the query's parameters and of the body by its content type (None: bytes that are no JSON).
    answers
        By status; those of errors that every route may give need not be told.
    """

    method: str
    path: str
    name: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    summary: str
    scope: Scope | None
    answers: Mapping[HTTPStatus, Answer]
    query: type[BaseModel] | None = None
    body: Mapping[str, type[BaseModel] | None] = field(default_factory=dict)


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
        413, 415 or 422, saying what is wrong and where.
    """
    if request.content_type != "application/json":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"expected application/json (given: {request.content_type})")
    body = await request.content.read(LARGEST_JSON_BYTES + 1)
    while len(body) <= LARGEST_JSON_BYTES and (more := await request.content.read(LARGEST_JSON_BYTES + 1 - len(body))):
        body += more
    if len(body) > LARGEST_JSON_BYTES:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"JSON of at most {LARGEST_JSON_BYTES} bytes is read")
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the body is wrong", errors=places(error, "body")) from None


def checked(given: Mapping[str, Any], model: type[Model], where: str) -> Model:
    """A model of what was given, of texts; a `Problem` of status 422 if it makes none."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"the {where} is wrong", errors=places(error, where)) from None


def places(error: ValidationError, where: str) -> list[dict[str, str]]:
    """What a validation found, by place."""
    found = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join([where, *(str(part) for part in problem["loc"])])
        detail = "is not known here" if problem["type"] == "extra_forbidden" else problem["msg"]
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
    """An answer, with an ETag of its content; whoever has it already is told so, with nothing else."""
    body = text.encode()
    etag = blake2b(body, digest_size=12).hexdigest()
    if status is HTTPStatus.OK and any(known.value in {etag, "*"} for known in request.if_none_match or ()):
        response = web.Response(status=HTTPStatus.NOT_MODIFIED.value)
    else:
        response = web.Response(body=body, status=status.value, content_type=content_type, charset="utf-8")
    response.etag = etag
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Vary"] = "Authorization, Cookie, Accept"
    return response
