"""Cursors: where a list goes on. Opaque to whoever gets one, so that they may change."""

import base64
import binascii
from http import HTTPStatus

from broker.web.problems import Problem


def cursor_of(after: int) -> str:
    """The cursor behind the entry with this number."""
    return base64.urlsafe_b64encode(f"a{after}".encode()).decode().rstrip("=")


def after_of(cursor: str) -> int:
    """The number of the entry behind which a cursor goes on.

    Raises
    ------
    Problem
        422 if it is no cursor of ours.
    """
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        if text.startswith("a") and text[1:].isdigit() and len(text) < 20:  # noqa: PLR2004 - within 64 bits
            return int(text[1:])
    except (binascii.Error, ValueError):
        pass
    detail = {"place": "query.cursor", "detail": "expected what `next` of an earlier answer was"}
    raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the query is wrong", errors=[detail])
