"""The page: a few static files, and the session of whoever signs in on it."""

import asyncio
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from aiohttp import ETag, web
from pydantic import BaseModel, ConfigDict, Field

from broker.web.access import COOKIE, require_own_page
from broker.web.problems import Problem
from broker.web.routes import as_json, body_of
from broker.web.site import site_of
from broker.web.tokens import LONGEST_TOKEN
from schemas.times import US_PER_S

VIEWS: Final = ("/", "/coincidences/{id}", "/triggers/{id}", "/upload")
"""Each is the same document; what it shows is made of its address by the page itself."""
_SESSION_S: Final = 30 * 86_400
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
"""A browser keeps the files and asks each time whether they changed, so that an upgrade is seen at once."""


class SignIn(BaseModel):
    """What a sign-in brings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: str = Field(min_length=1, max_length=LONGEST_TOKEN)


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page, in memory: paths of requests never reach the disk."""

    body: bytes
    content_type: str
    etag: str

    @classmethod
    def read(cls, file: Traversable) -> "PageFile":
        """Read one."""
        body = file.read_bytes()
        content_type = mimetypes.guess_type(file.name)[0] or "text/plain"
        return cls(body, content_type, blake2b(body, digest_size=12).hexdigest())


def page_files() -> dict[str, PageFile]:
    """All files of the page by their path in its folder."""
    return {name: PageFile.read(file) for name, file in _found(files("broker.web") / "page", "")}


def add_pages(app: web.Application) -> None:
    """Serve the page, its files and its session."""
    known = page_files()
    for path in VIEWS:
        app.router.add_get(path, partial(_answer, file=known["index.html"]))
    for name, file in known.items():
        app.router.add_get(f"/page/{name}", partial(_answer, file=file))
    app.router.add_post("/session", _signed_in)
    app.router.add_delete("/session", _signed_out)


def _found(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _found(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry


async def _answer(request: web.Request, file: PageFile) -> web.Response:
    if any(known.value in {file.etag, "*"} for known in request.if_none_match or ()):
        response = web.Response(status=HTTPStatus.NOT_MODIFIED.value, headers=_HEADERS)
    else:
        response = web.Response(body=file.body, content_type=file.content_type, charset="utf-8", headers=_HEADERS)
    response.etag = ETag(file.etag, is_weak=True)  # weak, since it may be sent compressed or not
    return response


async def _signed_in(request: web.Request) -> web.Response:
    """Make the page's cookie of a token, which scripts of the page cannot read."""
    require_own_page(request)
    site, body = site_of(request), await body_of(request, SignIn)
    now_us = site.now_us()
    token = await asyncio.to_thread(site.tokens.find, body.token.strip(), now_us)
    trouble = "nobody made this token" if token is None else token.trouble(now_us)
    if token is None or trouble:
        detail = {"place": "body.token", "detail": trouble}
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"the token does not count: {trouble}", errors=[detail])
    left_s = _SESSION_S if token.expires_us is None else (token.expires_us - now_us) // US_PER_S
    response = as_json(request, {"owner": token.owner, "scopes": sorted(token.scopes)})
    response.headers["Cache-Control"] = "no-store"
    response.set_cookie(
        COOKIE, body.token.strip(), max_age=min(left_s, _SESSION_S), httponly=True, samesite="Strict",
        secure=request.scheme == "https",
    )  # fmt: skip
    return response


async def _signed_out(request: web.Request) -> web.Response:
    require_own_page(request)
    response = web.Response(status=HTTPStatus.NO_CONTENT.value)
    response.del_cookie(COOKIE, httponly=True, samesite="Strict")
    return response
