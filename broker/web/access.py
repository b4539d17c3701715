"""Who asks, and what they may: a token in the header, the page's cookie made of one, or nobody in particular."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from broker.web.problems import Problem
from broker.web.tokens import Scope, Token

COOKIE = "starcross_token"
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="starcross"'}
_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever asks.

    Attributes
    ----------
    owner
        Empty for nobody in particular.
    scopes
        What is allowed.
    token_id
        Of the token that was shown; empty without.
    """

    owner: str = ""
    scopes: frozenset[Scope] = frozenset()
    token_id: str = ""

    def may(self, scope: Scope) -> bool:
        """Whether something is allowed."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def sees(self, private_to: str) -> bool:
        """Whether what is private to an owner (empty: public) may be shown."""
        return not private_to or private_to == self.owner or Scope.ADMIN in self.scopes


PRINCIPAL: web.RequestKey[Principal] = web.RequestKey("principal", Principal)

FindToken = Callable[[str], Awaitable[Token | None]]
"""The token of a text, whether it counts or not."""


def required(request: web.Request, scope: Scope) -> Principal:
    """Whoever asks, if they may.

    Raises
    ------
    Problem
        401 to nobody in particular, 403 to a token that is not enough.
    """
    principal = request[PRINCIPAL]
    if principal.may(scope):
        return principal
    if not principal.token_id:
        raise Problem(HTTPStatus.UNAUTHORIZED, f"this needs a token with scope {scope}", headers=CHALLENGE)
    raise Problem(HTTPStatus.FORBIDDEN, f"the token {principal.token_id} has not the scope {scope}")


def admission(find: FindToken, now_us: Callable[[], int], *, anonymous: frozenset[Scope]) -> Middleware:
    """A middleware that finds out who asks.

    A token that is wrong, expired or revoked is refused even where nobody in particular would be served, so
    that a script learns of it; the page's cookie is then taken away.

    Parameters
    ----------
    find
        Looks a token up.
    now_us
        The wall's clock.
    anonymous
        What is allowed without a token.
    """

    @web.middleware
    async def admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
        text, from_cookie = _shown(request)
        if not text:
            request[PRINCIPAL] = Principal(scopes=anonymous)
            return await handler(request)
        token = await find(text)
        trouble = "nobody made this token" if token is None else token.trouble(now_us())
        if (token is None or trouble) and from_cookie and not request.path.startswith("/api/"):
            request[PRINCIPAL] = Principal()  # the page itself is for everybody, and says what is wrong
            return await handler(request)
        if token is None or trouble:
            headers = dict(CHALLENGE)
            if from_cookie:
                headers["Set-Cookie"] = f"{COOKIE}=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict"
            raise Problem(HTTPStatus.UNAUTHORIZED, f"the token does not count: {trouble}", headers=headers)
        if from_cookie:
            require_own_page(request)
        request[PRINCIPAL] = Principal(token.owner, token.scopes, token.id)
        return await handler(request)

    return admitted


def _shown(request: web.Request) -> tuple[str, bool]:
    """The token that a request shows, and whether it is the page's cookie."""
    header = request.headers.get("Authorization", "")
    if header:
        if not header.lower().startswith(_BEARER):
            raise Problem(HTTPStatus.UNAUTHORIZED, "expected Authorization: Bearer TOKEN", headers=CHALLENGE)
        return header[len(_BEARER) :].strip(), False
    return request.cookies.get(COOKIE, ""), True


def require_own_page(request: web.Request) -> None:
    """A browser sends the cookie by itself: what changes something must come from our own page.

    Raises
    ------
    Problem
        403 if it does not.
    """
    if request.method in {"GET", "HEAD", "OPTIONS"}:
        return
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin", "")
    if site == "same-origin" or (site is None and origin.partition("://")[2] == request.host):
        return
    raise Problem(HTTPStatus.FORBIDDEN, "a page of another origin may not change anything in your name")
