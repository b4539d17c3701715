"""The OpenAPI 3.1 document, made of the routes and of the models that check requests and answers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from broker.web.problems import CONTENT_TYPE
from broker.web.routes import Answer, Route

_REFERENCE = "#/components/schemas/{model}"
_PART = re.compile(r"{(\w+)(?::[^}]*)?}")


class PlaceDocument(BaseModel):
    """One place in a request that is wrong."""

    place: str = Field(description="Where, such as query.limit.")
    detail: str = Field(description="What is wrong there.")


class ProblemDocument(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(title="Problem")

    type: str = Field(description="about:blank: the status says what kind of problem it is.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The status of the answer.")
    detail: str = Field(description="A sentence for a person.")
    instance: str = Field(description="The path that was asked for.")
    errors: tuple[PlaceDocument, ...] = Field((), description="Where several places are wrong, each.")


def document_of(routes: Sequence[Route]) -> dict[str, Any]:
    """The document of these routes, made of JSON's types."""
    schemas, definitions = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _PART.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Starcross",
            "version": version("starcross"),
            "description": "Coincidences of optical alerts with gamma-ray bursts, neutrinos, X-ray transients and "
            "gravitational waves. Instants are UTC, positions ICRS in degrees.",
            "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": definitions,
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


def _schemas(routes: Sequence[Route]) -> tuple[Mapping[Any, Any], dict[str, Any]]:
    unique = list(dict.fromkeys(_models(routes)))
    schemas, told = models_json_schema(unique, ref_template=_REFERENCE, schema_generator=_Untitled)
    return schemas, told.get("$defs", {})


class _Untitled(GenerateJsonSchema):
    """Leaves out the titles that pydantic makes of the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - its signature is pydantic's
        return False


def _operation(route: Route, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": {
            **{str(status.value): _answer(answer, schemas) for status, answer in route.answers.items()},
            **{str(status.value): _problem(status, schemas) for status in _problems(route)},
        },
    }
    if route.body:
        told["requestBody"] = {"required": True, "content": _content(route.body, schemas, "validation")}
    told["security"] = [{"token": []}, {}] if route.scope in {None, "read"} else [{"token": []}]
    return told


def _problems(route: Route) -> list[HTTPStatus]:
    """Which errors a route may answer with, but for those that it tells of itself."""
    possible = [HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR]
    if route.scope is not None:
        possible.append(HTTPStatus.FORBIDDEN)
    if _PART.search(route.path):
        possible.append(HTTPStatus.NOT_FOUND)
    if route.query is not None or route.body:
        possible.append(HTTPStatus.UNPROCESSABLE_ENTITY)
    if route.body:
        possible += [HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.BAD_REQUEST]
    return sorted(set(possible) - route.answers.keys())


def _problem(status: HTTPStatus, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    content = {CONTENT_TYPE: {"schema": schemas[ProblemDocument, "serialization"]}}
    return {"description": f"{status.phrase}.", "content": content}


def _answer(answer: Answer, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"description": answer.description}
    if answer.content:
        told["content"] = _content(answer.content, schemas, "serialization")
    return told


def _content(
    content: Mapping[str, type[BaseModel] | None], schemas: Mapping[Any, Any], mode: JsonSchemaMode
) -> dict[str, Any]:
    return {kind: {} if model is None else {"schema": schemas[model, mode]} for kind, model in content.items()}


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PART.findall(route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    """Each field of the model as a parameter; a list as a parameter that may come again."""
    if route.query is None:
        return []
    schema = route.query.model_json_schema(schema_generator=_Untitled)
    required = set(schema.get("required", ()))
    told = []
    for name, field in schema.get("properties", {}).items():
        field = dict(field)  # noqa: PLW2901 - the schema's own stays as it is
        description = field.pop("description", "")
        parameter = {"name": name, "in": "query", "required": name in required, "schema": field}
        told.append(parameter | ({"description": description} if description else {}))
    return told
