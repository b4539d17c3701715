"""Nobody gets in who should not: every route by everybody who tries."""

import re
from http import HTTPStatus

import pytest

from broker.web.access import COOKIE
from broker.web.serving import ROUTES
from broker.web.tokens import Scope
from tests.e2e.http.site import CONE, TRIGGER, Person, alert, form, site

UNKNOWN = "st_0123456789ab_" + "x" * 43


def path_of(route):
    return re.sub(r"{(\w+)(:[^}]*)?}", "x", route.path)


async def status_of(person: Person, route) -> int:
    """Without waiting for the end of a stream."""
    headers = {"Authorization": f"Bearer {person.token}"} if person.token else {}
    async with person.session.request(route.method, f"{person.url}{path_of(route)}", headers=headers) as response:
        return response.status


async def test_every_route_asks_for_its_scope(tmp_path):
    async with site(tmp_path, 'anonymous = "none"\nrequests_per_minute = 100000') as here:
        nobody, unknown = here.person(), Person(here.session, here.url, UNKNOWN)
        expired = Person(here.session, here.url, here.token("ada", *Scope, days=1e-9))
        revoked = here.person("ada", *Scope)
        here.tokens.revoke(revoked.token.split("_")[1], 1)
        holders = {scope: here.person("ada", scope) for scope in Scope}
        for route in ROUTES:
            said = f"{route.method} {route.path}"
            for person in (unknown, expired, revoked):
                assert await status_of(person, route) == HTTPStatus.UNAUTHORIZED, said
            refused = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
            assert (await status_of(nobody, route) in refused) is (route.scope is not None), said
            for scope, person in holders.items():
                enough = route.scope in {None, scope} or scope is Scope.ADMIN
                assert (await status_of(person, route) == HTTPStatus.FORBIDDEN) is not enough, (said, scope)


async def test_everybody_reads_where_it_is_the_sites_choice_and_nothing_more(tmp_path):
    async with site(tmp_path) as here:
        for route in ROUTES:
            status = await status_of(here.person(), route)
            assert (status == HTTPStatus.UNAUTHORIZED) is (route.scope in {Scope.UPLOAD, Scope.ADMIN}), route.path


async def test_an_upload_is_changed_by_its_owner_and_the_administrator_alone(tmp_path):
    async with site(tmp_path) as here:
        ada, bob, root = here.person("ada"), here.person("bob"), here.person("root", "admin")
        hers_too = here.person("ada", "upload", "read")
        reader = here.person("ada", "read")
        better = {"cone": CONE, "trigger_time": TRIGGER}
        public, private = await ada.upload(cone=CONE), await ada.upload(cone=CONE, private=True)
        for method in ("PUT", "DELETE"):
            for person, status in ((bob, 403), (reader, 403), (here.person(), 401)):
                answer = await person.ask(method, f"skymaps/{public['id']}", json=better)
                assert answer.status == status
            assert (await bob.ask(method, f"skymaps/{private['id']}", json=better)).status == 404
            assert (await bob.ask(method, f"skymaps/{'0' * 16}", json=better)).status == 404
        for person in (hers_too, root):
            answer = await person.ask("PUT", f"skymaps/{private['id']}", json=better)
            assert answer.status == 200
            assert (answer.json["owner"], answer.json["private"]) == ("ada", True)
        assert (await bob.get(f"skymaps/{private['id']}")).status == 404
        assert (await root.ask("DELETE", f"skymaps/{public['id']}")).status == 204


@pytest.mark.parametrize(
    "field", ["owner", "private_to", "id", "serial", "kind", "trigger_id", "instrument", "format", "issued_utc", "role"]
)
async def test_nobody_says_whose_it_is_but_the_token(tmp_path, field):
    async with site(tmp_path) as here:
        bob = here.person("bob")
        body = {"cone": CONE, "trigger_time": TRIGGER, field: "ada"}
        for given in (
            {"json": body},
            {"data": form(b"{}", trigger_time=TRIGGER, **{field: "ada"})},
            {"data": b"{}", "params": {field: "ada"}, "headers": {"Content-Type": "application/fits"}},
        ):
            answer = await bob.ask("POST", "skymaps", **given)
            assert answer.status == 422
        assert (await bob.got("skymaps"))["items"] == []


async def test_two_tokens_in_one_request_are_not_mixed(tmp_path):
    async with site(tmp_path) as here:
        ada, bob = here.person("ada"), here.person("bob")
        made = await ada.upload(cone=CONE, private=True)
        for headers in (
            {"Cookie": f"{COOKIE}={ada.token}"},
            {"X-Forwarded-User": "ada"},
            {"X-HTTP-Method-Override": "DELETE"},
        ):
            assert (await bob.get(f"skymaps/{made['id']}", headers=headers)).status == 404
        path = f"skymaps/{made['id']}?token={ada.token}&access_token={ada.token}"
        assert (await here.person().get(path)).status == 404


async def test_the_pages_session_is_a_cookie_that_only_the_page_may_use_to_change(tmp_path):
    async with site(tmp_path) as here:
        nobody, token = here.person(), here.token("ada", "read", "upload")
        own = {"Sec-Fetch-Site": "same-origin"}
        for headers, body, status in (
            ({}, {"token": token}, 403),
            ({"Origin": "https://evil.example"}, {"token": token}, 403),
            (own, {"token": UNKNOWN}, 422),
            (own, {"token": "x" * 200}, 422),
            (own, {"token": token, "owner": "bob"}, 422),
        ):
            answer = await nobody.ask("POST", "/session", headers=headers, json=body)
            assert answer.status == status
            assert "Set-Cookie" not in answer.headers
        made = await nobody.ask("POST", "/session", headers=own, json={"token": token})
        assert made.json == {"owner": "ada", "scopes": ["read", "upload"]}
        assert made.headers["Cache-Control"] == "no-store"
        cookie = made.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        here.session.cookie_jar.clear()
        shown = {"Cookie": f"{COOKIE}={token}"}
        body = {"cone": CONE, "trigger_time": TRIGGER, "private": True}
        for headers, status in (({}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403), (own, 201)):
            answer = await nobody.ask("POST", "skymaps", headers=shown | headers, json=body)
            assert answer.status == status
        assert (await nobody.got(f"skymaps/{answer.json['id']}", headers=shown))["owner"] == "ada"
        gone = await nobody.ask("DELETE", "/session", headers=shown | own)
        assert gone.status == 204
        assert f'{COOKIE}=""' in gone.headers["Set-Cookie"]
        here.tokens.revoke(token.split("_")[1], 1)
        refused = await nobody.get("status", headers=shown)
        assert refused.status == 401
        assert "Max-Age=0" in refused.headers["Set-Cookie"]
        assert (await nobody.get("/", headers=shown)).status == 200


async def test_no_cache_gives_one_the_answer_of_another(tmp_path):
    async with site(tmp_path) as here:
        ada, bob, nobody = here.person("ada"), here.person("bob"), here.person()
        await here.alerts(alert("ZTF20inside", 150.0, -12.0))
        made = await ada.upload(cone=CONE, private=True)
        parts = ("moc", "contours", "coincidences")
        paths = [f"skymaps/{made['id']}", *(f"skymaps/{made['id']}/{part}" for part in parts)]
        paths += [f"skymaps/{made['id']}/coincidences?format={kind}" for kind in ("csv", "votable")]
        paths += [f"triggers/{made['trigger']}", "skymaps", "triggers", "coincidences", "status", "contours", "brief"]
        for path in paths:
            answer = await ada.get(path)
            assert answer.status == 200, path
            assert answer.headers["Cache-Control"] == "private, no-cache", path
            assert {"Authorization", "Cookie", "Accept"} <= set(answer.headers["Vary"].split(", ")), path
            etag = answer.headers.get("ETag")
            if etag is None:
                continue
            again = await ada.get(path, headers={"If-None-Match": etag})
            assert again.status in {200, 304}, path  # the status tells the time
            assert "private" in again.headers["Cache-Control"]
            for other in (bob, nobody):
                assert (await other.get(path, headers={"If-None-Match": etag})).status in {200, 404}, path
        refused = await bob.get(f"skymaps/{made['id']}")
        assert refused.headers["Cache-Control"] == "private, no-cache"


async def test_other_pages_read_only_where_they_may_and_never_with_the_cookie(tmp_path):
    evil, friend = "https://evil.example", "https://friend.example"
    async with site(tmp_path, f'cors_origins = ["{friend}"]') as here:
        nobody = here.person()
        for origin, allowed in ((evil, None), (friend, friend)):
            answer = await nobody.get("status", headers={"Origin": origin})
            assert answer.headers.get("Access-Control-Allow-Origin") == allowed
            assert answer.headers.get("Access-Control-Allow-Credentials") is None
            assert "Origin" in answer.headers["Vary"]
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "Authorization"}
        assert (await nobody.ask("OPTIONS", "skymaps", headers={"Origin": evil} | asked)).status == 403
        allowed = await nobody.ask("OPTIONS", "skymaps", headers={"Origin": friend} | asked)
        assert allowed.headers["Access-Control-Allow-Origin"] == friend
        assert allowed.headers.get("Access-Control-Allow-Credentials") is None
        refused = await Person(here.session, here.url, UNKNOWN).get("status", headers={"Origin": friend})
        assert refused.status == 401


@pytest.mark.parametrize("owner", ["a" * 128, "Ada Lovelace <ada@example.org>", "名前", "' OR 1=1 --", "ada,bob"])
async def test_whoever_has_a_token_may_upload_whatever_their_name(tmp_path, owner):
    async with site(tmp_path) as here:
        ada = here.person(owner)
        made = await ada.upload(cone=CONE, private=True)
        assert made["owner"] == owner
        assert (await ada.got(f"skymaps/{made['id']}"))["private"] is True
        assert (await here.person("bob").get(f"skymaps/{made['id']}")).status == 404
