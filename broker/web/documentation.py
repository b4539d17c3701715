"""The OpenAPI document, and a page on which to read and try it."""

import json
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path

from aiohttp import web

from broker.web.openapi import document_of
from broker.web.routes import JSON, Answer, Route, as_text
from broker.web.site import site_of

DOCUMENT_PATH = "/api/v1/openapi.json"
_POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Starcross: the interface</title>
<link rel="icon" href="/page/icon.svg">
<link rel="stylesheet" href="/api/v1/docs/assets/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="/api/v1/docs/assets/swagger-ui-bundle.js"></script>
<script src="/api/v1/docs/start.js"></script>
</html>
"""
_START = f"""SwaggerUIBundle({{ url: "{DOCUMENT_PATH}", dom_id: "#swagger-ui", validatorUrl: null }});
"""


def documented(routes: Sequence[Route]) -> list[Route]:
    """The routes, and one for the document of all of them, this one included."""
    told: dict[str, str] = {}

    async def answer(request: web.Request) -> web.StreamResponse:
        return as_text(request, told[site_of(request).options.anonymous])

    every = [
        *routes,
        Route(
            "GET",
            DOCUMENT_PATH,
            "getDocument",
            answer,
            "This document",
            None,
            {HTTPStatus.OK: Answer("OpenAPI 3.1.", {JSON: None})},
        ),
    ]
    for anonymous in ("read", "none"):
        told[anonymous] = json.dumps(document_of(every, anonymous=anonymous == "read"))
    return every


def add_pages(app: web.Application) -> None:
    """Serve the page to try it; all that it loads comes from here."""
    app.router.add_get("/api/v1/docs", partial(_answer, text=_PAGE, content_type="text/html"))
    app.router.add_get("/api/v1/docs/start.js", partial(_answer, text=_START, content_type="text/javascript"))
    app.router.add_static("/api/v1/docs/assets", Path(str(files("swagger_ui") / "static")))


async def _answer(_request: web.Request, *, text: str, content_type: str) -> web.Response:
    headers = {"Content-Security-Policy": _POLICY}
    return web.Response(text=text, content_type=content_type, headers=headers)
