"""The OpenAPI 3.1 document, made of the routes and of the models that check requests and answers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from broker.web.problems import CONTENT_TYPE
from broker.web.routes import FORM, JSON, Answer, Route
from broker.web.tokens import Scope

Schema = dict[str, Any]
_REFERENCE: Final = "#/components/schemas/{model}"
_PART: Final = re.compile(r"{(\w+)(?::[^}]*)?}")
_DESCRIPTION: Final = """\
Coincidences of optical alerts with gamma-ray bursts, neutrinos, X-ray transients and gravitational waves.

Instants are UTC as `2026-10-05T04:30:00Z`, positions ICRS in degrees. Lists come in parts: `next` is the `cursor` of
the next one. Ids may have characters that mean something in a URL, such as `#` and `/`: encode them (`%23`, `%2F`).
Answers carry an `ETag`: sent back as `If-None-Match`, it is answered with 304 while nothing changed. Errors are problem
documents (RFC 9457).
"""
_GROUPS: Final = {
    "coincidences": "Counterparts that were found, and their history",
    "triggers": "Events that are searched, and their sky maps",
    "objects": "Optical sources, and positions of yours",
    "skymaps": "Sky maps that are uploaded, searched like any other trigger",
    "stream": "What is found, as it is found",
    "sky": "The whole sky at a glance",
    "service": "The service itself",
}
_OF_THE_SERVICE: Final = {"about", "documentation"}
_HEADERS: Final[Mapping[str, Schema]] = {
    "ETag": {"description": "Changes with the answer.", "schema": {"type": "string"}},
    "Location": {"description": "Where it is from now on.", "schema": {"type": "string", "format": "uri-reference"}},
    "Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer", "minimum": 1}},
    "WWW-Authenticate": {"description": "How to show a token.", "schema": {"type": "string"}},
}
_HEADERS_OF: Final = {
    HTTPStatus.CREATED: "Location",
    HTTPStatus.UNAUTHORIZED: "WWW-Authenticate",
    HTTPStatus.TOO_MANY_REQUESTS: "Retry-After",
    HTTPStatus.SERVICE_UNAVAILABLE: "Retry-After",
}


class PlaceDocument(BaseModel):
    """One place in a request that is wrong."""

    place: str = Field(description="Where, such as query.limit.")
    detail: str = Field(description="What is wrong there.")


class ProblemDocument(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(
        title="Problem",
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Unprocessable Entity",
                    "status": 422,
                    "detail": "the query is wrong",
                    "instance": "/api/v1/coincidences",
                    "errors": [{"place": "query.limit", "detail": "Input should be less than or equal to 1000"}],
                }
            ]
        },
    )

    type: str = Field(description="about:blank: the status says what kind of problem it is.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The status of the answer.")
    detail: str = Field(description="A sentence for a person.")
    instance: str = Field(description="The path that was asked for.")
    errors: tuple[PlaceDocument, ...] = Field((), description="Where several places are wrong, each.")


def document_of(routes: Sequence[Route], *, anonymous: bool) -> Schema:
    """The document of these routes, made of JSON's types; ``anonymous``: whether reading needs no token."""
    schemas, definitions = _schemas(routes)
    paths: dict[str, Schema] = {}
    for route in routes:
        operation = _operation(route, schemas, definitions, anonymous=anonymous)
        paths.setdefault(_PART.sub(r"{\1}", route.path), {})[route.method.lower()] = operation
    for form in _forms(routes):
        told = definitions[schemas[form, "validation"]["$ref"].rpartition("/")[2]]
        told["properties"] = {name: _without_null(field) for name, field in told["properties"].items()}
    of_queries = {schemas[route.query, "validation"]["$ref"] for route in routes if route.query is not None}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Starcross",
            "version": version("starcross"),
            "description": _DESCRIPTION,
            "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": description} for name, description in _GROUPS.items()],
        "paths": paths,
        "components": {
            "schemas": {
                name: schema
                for name, schema in definitions.items()
                if _REFERENCE.format(model=name) not in of_queries  # told as parameters
            },
            "headers": dict(_HEADERS),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "Made by `starcross token make`."}
            },
        },
    }


def _models(routes: Sequence[Route]) -> Iterator[tuple[type[BaseModel], JsonSchemaMode]]:
    yield ProblemDocument, "serialization"
    for route in routes:
        if route.query is not None:
            yield route.query, "validation"
        yield from ((model, "validation") for model in route.body.values() if model is not None)
        for answer in route.answers.values():
            yield from ((model, "serialization") for model in answer.content.values() if model is not None)


def _forms(routes: Sequence[Route]) -> set[type[BaseModel]]:
    return {model for route in routes for kind, model in route.body.items() if model and kind == FORM}


def _schemas(routes: Sequence[Route]) -> tuple[Mapping[Any, Any], dict[str, Schema]]:
    unique = list(dict.fromkeys(_models(routes)))
    schemas, told = models_json_schema(unique, ref_template=_REFERENCE, schema_generator=_Untitled)
    return schemas, told.get("$defs", {})


class _Untitled(GenerateJsonSchema):
    """Leaves out the titles that pydantic makes of the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - its signature is pydantic's
        return False


def _operation(
    route: Route, schemas: Mapping[Any, Any], definitions: Mapping[str, Schema], *, anonymous: bool
) -> Schema:
    group = route.handler.__module__.rpartition(".")[2]
    responses = {status: _answer(route, status, schemas) for status in route.answers}
    if HTTPStatus.OK in responses and route.method == "GET" and not route.is_stream:
        unchanged = {"description": "It is as it was: the ETag in If-None-Match is that of the answer."}
        responses[HTTPStatus.NOT_MODIFIED] = unchanged | _headers("ETag")
    responses |= {status: _problem(status, schemas) for status in _problems(route)}
    told: Schema = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": ["service" if group in _OF_THE_SERVICE else group],
        "parameters": [*_parts(route), *_query(route, schemas, definitions), *_request_headers(route)],
        "responses": {str(status.value): responses[status] for status in sorted(responses)},
        "security": _security(route, anonymous=anonymous),
    }
    if route.body:
        told["requestBody"] = {"required": True, "content": _content(route.body, schemas, "validation")}
    return told


def _security(route: Route, *, anonymous: bool) -> list[dict[str, list[str]]]:
    if route.scope is None:
        return [{}]
    with_token = {"token": [route.scope.value]}
    return [with_token, {}] if anonymous and route.scope is Scope.READ else [with_token]


def _problems(route: Route) -> list[HTTPStatus]:
    """Which errors a route may answer with."""
    possible = {*route.errors, HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR}
    if route.scope is not None:
        possible.add(HTTPStatus.FORBIDDEN)
    if route.parts:
        possible.add(HTTPStatus.NOT_FOUND)
    if route.query is not None or route.body:
        possible.add(HTTPStatus.UNPROCESSABLE_ENTITY)
    if route.body:
        possible |= {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.BAD_REQUEST}
        possible.add(HTTPStatus.REQUEST_TIMEOUT)
    return sorted(possible)


def _problem(status: HTTPStatus, schemas: Mapping[Any, Any]) -> Schema:
    content = {CONTENT_TYPE: {"schema": schemas[ProblemDocument, "serialization"]}}
    return {"description": f"{status.phrase}.", **_headers(_HEADERS_OF.get(status)), "content": content}


def _answer(route: Route, status: HTTPStatus, schemas: Mapping[Any, Any]) -> Schema:
    answer: Answer = route.answers[status]
    told: Schema = {"description": answer.description}
    if answer.content:
        has_etag = route.method == "GET" and not route.is_stream
        told |= _headers("ETag" if has_etag else _HEADERS_OF.get(status))
        told["content"] = _content(answer.content, schemas, "serialization")
    return told


def _headers(name: str | None) -> Schema:
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"}}} if name else {}


def _content(
    content: Mapping[str, type[BaseModel] | None], schemas: Mapping[Any, Any], mode: JsonSchemaMode
) -> dict[str, Schema]:
    told: dict[str, Schema] = {}
    for kind, model in content.items():
        if model is not None:
            told[kind] = {"schema": schemas[model, mode]}
        elif kind == JSON:
            told[kind] = {"schema": {"type": "object"}}
        else:
            told[kind] = {"schema": {"type": "string"}} if mode == "serialization" else {}
    return told


def _parts(route: Route) -> list[Schema]:
    told = []
    for name in _PART.findall(route.path):
        part = route.parts[name]
        parameter: Schema = {"name": name, "in": "path", "required": True, "description": part.description}
        told.append(parameter | {"schema": {"type": "string", "minLength": 1}, "example": part.example})
    return told


def _request_headers(route: Route) -> list[Schema]:
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": part.description,
            "schema": {"type": "string"},
            "example": part.example,
        }
        for name, part in route.headers.items()
    ]


def _query(route: Route, schemas: Mapping[Any, Any], definitions: Mapping[str, Schema]) -> list[Schema]:
    """Each field of the model as a parameter."""
    if route.query is None:
        return []
    schema = definitions[schemas[route.query, "validation"]["$ref"].rpartition("/")[2]]
    required = set(schema.get("required", ()))
    told = []
    for name, field in schema.get("properties", {}).items():
        given = _without_null(field)
        description = given.pop("description", "") or _described(given, definitions)["description"]
        parameter = {"name": name, "in": "query", "required": name in required, "description": description}
        told.append(parameter | {"schema": given})
    return told


def _described(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """What a reference leads to: where a field would say the same, the models say it once."""
    return definitions[schema["$ref"].rpartition("/")[2]]


def _without_null(field: Schema) -> Schema:
    """What a parameter or a field is if it is given: there is no null in queries and forms."""
    given = dict(field)
    options = [option for option in given.pop("anyOf", ()) if option.get("type") != "null"]
    given |= options[0] if len(options) == 1 else {"anyOf": options} if options else {}
    if given.get("default", "") is None:
        del given["default"]
    return given
