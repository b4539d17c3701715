"""Who is let in: each decision by somebody who tries."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from broker.web.access import COOKIE, PRINCIPAL, Principal, admission, required
from broker.web.problems import told_as_problems
from broker.web.tokens import Scope, Tokens

NOW_US = 1_800_000_000_000_000


@pytest.fixture
def tokens(tmp_path):
    return Tokens(tmp_path)


@pytest.fixture
async def ask(tokens):
    """Asks an application whose one path needs a scope; everybody may read."""
    opened = []

    async def asking(scope, *, anonymous=frozenset({Scope.READ}), method="GET", **given):
        async def find(text):
            return tokens.find(text, NOW_US)

        async def handler(request):
            principal = required(request, scope)
            return web.json_response({"owner": principal.owner, "token": principal.token_id})

        app = web.Application(middlewares=[told_as_problems, admission(find, lambda: NOW_US, anonymous=anonymous)])
        app.router.add_route("*", "/api/", handler)
        client = TestClient(TestServer(app))
        await client.start_server()
        opened.append(client)
        return await client.request(method, "/api/", **given)

    yield asking
    for client in opened:
        await client.close()


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


async def test_everybody_reads_where_that_is_the_sites_choice(ask):
    assert (await ask(Scope.READ)).status == 200
    refused = await ask(Scope.READ, anonymous=frozenset())
    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert refused.content_type == "application/problem+json"


@pytest.mark.parametrize("scope", [Scope.UPLOAD, Scope.ADMIN])
async def test_nobody_uploads_or_administers_without_a_token(ask, scope):
    assert (await ask(scope)).status == 401


@pytest.mark.parametrize(
    ("held", "asked", "status"),
    [
        ("read", "read", 200),
        ("read", "upload", 403),
        ("read", "admin", 403),
        ("upload", "upload", 200),
        ("upload", "read", 403),
        ("upload", "admin", 403),
        ("admin", "read", 200),
        ("admin", "upload", 200),
        ("admin", "admin", 200),
    ],
)
async def test_a_token_allows_what_its_scope_says(ask, tokens, held, asked, status):
    text, made = tokens.make("ada", [Scope(held)], NOW_US)
    answer = await ask(Scope(asked), anonymous=frozenset(), headers=bearer(text))
    assert answer.status == status
    if status == 200:
        assert await answer.json() == {"owner": "ada", "token": made.id}


async def test_a_token_that_ended_or_was_revoked_is_refused_even_where_everybody_reads(ask, tokens):
    ended, _ = tokens.make("ada", [Scope.READ], NOW_US - 10**15, days=1.0)
    revoked, made = tokens.make("ada", [Scope.ADMIN], NOW_US)
    tokens.revoke(made.id, NOW_US)
    forged = revoked[:-4] + "AAAA"
    for text, why in ((ended, "expired"), (revoked, "revoked"), (forged, "nobody"), ("st_x", "nobody")):
        answer = await ask(Scope.READ, headers=bearer(text))
        assert answer.status == 401
        assert why in (await answer.json())["detail"]


@pytest.mark.parametrize("header", ["Basic YWRhOmFkYQ==", "Bearer", "st_0123456789ab_x", "Token x"])
async def test_other_ways_to_ask_are_refused(ask, header):
    assert (await ask(Scope.READ, headers={"Authorization": header})).status == 401


async def test_a_scheme_is_known_in_any_case(ask, tokens):
    text, _ = tokens.make("ada", [Scope.READ], NOW_US)
    assert (await ask(Scope.READ, anonymous=frozenset(), headers={"Authorization": f"bEaReR  {text} "})).status == 200


async def test_the_pages_cookie_is_a_token(ask, tokens):
    text, _ = tokens.make("ada", [Scope.READ], NOW_US)
    answer = await ask(Scope.READ, anonymous=frozenset(), cookies={COOKIE: text})
    assert (await answer.json())["owner"] == "ada"


async def test_a_cookie_that_counts_no_more_is_taken_away(ask):
    answer = await ask(Scope.READ, cookies={COOKIE: "st_0123456789ab_" + "x" * 43})
    assert answer.status == 401
    assert "Max-Age=0" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
    ],
)
async def test_a_strangers_page_changes_nothing_with_the_cookie(ask, tokens, headers, status):
    text, _ = tokens.make("ada", [Scope.UPLOAD], NOW_US)
    answer = await ask(Scope.UPLOAD, method="POST", cookies={COOKIE: text}, headers=headers)
    assert answer.status == status


async def test_an_old_browser_is_known_by_its_origin(ask, tokens):
    text, _ = tokens.make("ada", [Scope.UPLOAD], NOW_US)
    headers = {"Origin": "http://site.example:8080", "Host": "site.example:8080"}
    assert (await ask(Scope.UPLOAD, method="POST", cookies={COOKIE: text}, headers=headers)).status == 200


@pytest.mark.parametrize(
    ("principal", "sees"),
    [
        (Principal(), False),
        (Principal("bob", frozenset({Scope.READ, Scope.UPLOAD})), False),
        (Principal("ada", frozenset({Scope.READ})), True),
        (Principal("root", frozenset({Scope.ADMIN})), True),
        (Principal("ADA", frozenset({Scope.READ})), False),
    ],
)
def test_what_is_private_is_seen_by_its_owner_and_the_administrator(principal, sees):
    assert principal.sees("ada") is sees
    assert principal.sees("") is True


async def test_who_asks_is_told_to_the_handler(ask, tokens):
    text, made = tokens.make("ada", [Scope.READ], NOW_US)
    assert await (await ask(Scope.READ, headers=bearer(text))).json() == {"owner": "ada", "token": made.id}


async def test_the_page_itself_is_for_everybody_whatever_the_cookie(tokens):
    async def find(text):
        return tokens.find(text, NOW_US)

    async def handler(request):
        return web.json_response({"scopes": sorted(request[PRINCIPAL].scopes)})

    app = web.Application(
        middlewares=[told_as_problems, admission(find, lambda: NOW_US, anonymous=frozenset({Scope.READ}))]
    )
    app.router.add_get("/", handler)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get("/", cookies={COOKIE: "st_0123456789ab_" + "x" * 43})
        assert (answer.status, await answer.json()) == (200, {"scopes": []})
        refused = await client.get("/", headers=bearer("st_0123456789ab_" + "x" * 43))
        assert refused.status == 401
