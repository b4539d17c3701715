"""What went wrong, as RFC 9457 problem documents: the same shape for every error of the interface."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from schemas.errors import BadInput

CONTENT_TYPE = "application/problem+json"
_log = structlog.get_logger(__name__)


class Problem(Exception):  # noqa: N818 - named for the document that it becomes
    """An answer that says what is wrong.

    Parameters
    ----------
    status
        Of the answer.
    detail
        A sentence for the person who asked: what, where and why.
    errors
        Where several places are wrong: ``{"place": ..., "detail": ...}`` each.
    headers
        Further headers, such as ``Retry-After``.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, tuple(errors), dict(headers or {})

    def response(self, request: web.Request) -> web.Response:
        """The answer."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            "instance": request.path,
        }
        if self.errors:
            document["errors"] = [dict(error) for error in self.errors]
        return web.Response(
            text=json.dumps(document), status=self.status.value, content_type=CONTENT_TYPE, headers=self.headers
        )


@web.middleware
async def told_as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error as a problem document; what is a mistake of ours is logged with its place and told without."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response(request)
    except BadInput as error:
        return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error.reason}: {error.detail}").response(request)
    except web.HTTPRequestEntityTooLarge as error:
        return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error.text or "the request is too large").response(request)
    except web.HTTPError as error:
        allowed = error.headers.get("Allow")
        detail = f"{request.method} {request.path}: {error.reason}"
        headers = {"Allow": allowed} if allowed else None
        return Problem(HTTPStatus(error.status), detail, headers=headers).response(request)
    except web.HTTPException:
        raise  # a redirect, which is no error
    except Exception:  # noqa: BLE001 - whoever asked is answered, whatever happens
        _log.exception("a request failed", method=request.method, path=request.path)
        return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "an internal failure; the log has its place").response(request)
