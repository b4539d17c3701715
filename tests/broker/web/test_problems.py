"""Every error is a problem document; what is our own mistake is told without its words."""

import json
from http import HTTPStatus

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from broker.web.problems import Problem, told_as_problems
from schemas.errors import BadSkyMap, Reason


async def answered(error, path="/"):
    async def handler(_):
        raise error

    app = web.Application(middlewares=[told_as_problems])
    app.router.add_get("/", handler)
    async with TestClient(TestServer(app)) as client:
        response = await client.get(path, allow_redirects=False)
        return response, await response.text()


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (Problem(HTTPStatus.CONFLICT, "why"), 409, "why"),
        (BadSkyMap(Reason.EMPTY, "no bytes"), 422, "empty: no bytes"),
        (web.HTTPRequestEntityTooLarge(10, 20), 413, None),
        (web.HTTPForbidden(reason="no"), 403, "GET /: no"),
        (ValueError("a secret"), 500, "an internal failure; the log has its place"),
    ],
)
async def test_errors(error, status, detail):
    with capture_logs() as logs:
        response, text = await answered(error)
    told = json.loads(text)
    assert response.status == told["status"] == status
    assert response.content_type == "application/problem+json"
    assert told["detail"] == detail or (detail is None and "10" in told["detail"])
    assert told["type"] == "about:blank"
    assert told["title"] == HTTPStatus(status).phrase
    assert told["instance"] == "/"
    assert len(logs) == (status == 500)


async def test_places_and_headers_are_told():
    error = Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, "no", errors=[{"place": "a", "detail": "b"}], headers={"Retry-After": "7"}
    )
    response, text = await answered(error)
    assert json.loads(text)["errors"] == [{"place": "a", "detail": "b"}]
    assert response.headers["Retry-After"] == "7"


async def test_what_is_not_there_and_what_is_not_allowed():
    response, text = await answered(ValueError(), "/nowhere")
    assert (response.status, json.loads(text)["title"]) == (404, "Not Found")

    async def handler(_):
        return web.Response()

    app = web.Application(middlewares=[told_as_problems])
    app.router.add_get("/", handler)
    async with TestClient(TestServer(app)) as client:
        refused = await client.post("/")
        assert refused.status == 405
        assert set(refused.headers["Allow"].split(",")) == {"GET", "HEAD"}
        assert (await refused.json())["status"] == 405


async def test_a_redirect_is_no_error():
    response, _ = await answered(web.HTTPFound("/other"))
    assert (response.status, response.headers["Location"]) == (302, "/other")
