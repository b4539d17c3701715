"""The page's files and its session."""

import re
from collections import Counter
from pathlib import PurePosixPath

import pytest
from setuptools.discovery import PEP420PackageFinder

from broker.web.access import COOKIE
from broker.web.pages import VIEWS, page_files
from tests.conftest import PROJECT
from tests.e2e.http.site import site

OWN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def served(tmp_path):
    async with site(tmp_path, headers=[("Accept-Encoding", "gzip")]) as found:
        yield found


async def sign_in(served, token, headers=OWN):
    return await served.person().ask("POST", "/session", json={"token": token}, headers=headers)


@pytest.mark.parametrize("path", VIEWS)
async def test_every_view_is_the_same_document(served, path):
    answer = await served.person().get(path.format(id="any:thing"))
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.body == page_files()["index.html"].body


async def test_every_file_is_served_and_asked_for_again(served):
    for name, file in page_files().items():
        answer = await served.person().get(f"/page/{name}")
        assert (answer.status, answer.body) == (200, file.body)
        assert answer.headers["Cache-Control"] == "no-cache"
        known = {"If-None-Match": answer.headers["ETag"]}
        again = await served.person().get(f"/page/{name}", headers=known)
        assert (again.status, again.body) == (304, b"")
        other = await served.person().get(f"/page/{name}", headers={"If-None-Match": '"other"'})
        assert other.status == 200


async def test_scripts_have_the_type_that_browsers_want(served):
    for name, kind in (("modules/app.js", "javascript"), ("style.css", "text/css"), ("icon.svg", "image/svg+xml")):
        assert kind in (await served.person().get(f"/page/{name}")).headers["Content-Type"]


@pytest.mark.parametrize(
    "path", ["", "/", "/pages.py", "/../pages.py", "/%2e%2e/pages.py", "/modules/", "/modules/..%2f..%2fpages.py"]
)
async def test_nothing_else_is(served, path):
    assert (await served.person().get(f"/page{path}")).status == 404


async def test_the_pages_policy_allows_nothing_foreign_and_nothing_inline(served):
    policy = (await served.person().get("/")).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    text = page_files()["index.html"].body.decode()
    assert not re.findall(r"<style|\sstyle=|\son\w+=|<script(?! (type=\"module\" )?src=)", text)


def test_what_the_page_loads_is_all_there():
    files = page_files()
    for path in re.findall(r'(?:src|href)="/page/([^"]+)"', files["index.html"].body.decode()):
        assert path in files
    for name, file in files.items():
        if name.endswith(".js"):
            for module in re.findall(r'(?:from|import)\s*\(?"(\.[^"]+)"', file.body.decode()):
                parts = (PurePosixPath(name).parent / module).parts
                resolved: list[str] = []
                for part in parts:
                    resolved = resolved[:-1] if part == ".." else [*resolved, part]
                assert "/".join(resolved) in files, f"{name} imports {module}"


def test_other_peoples_modules_come_with_their_licences():
    vendored = [name for name in page_files() if name.startswith("vendor/")]
    told = page_files()["vendor/README.md"].body.decode()
    for name in vendored:
        assert PurePosixPath(name).name in told or name.endswith("README.md")
    assert Counter(PurePosixPath(name).suffix for name in vendored) == {".js": 2, ".LICENSE": 3, ".md": 1}


def test_an_installed_package_has_the_page_too():
    text = (PROJECT / "pyproject.toml").read_text()
    (patterns,) = re.findall(r'^"broker.web" = \[(.*)\]$', text, re.MULTILINE)
    globs = re.findall(r'"([^"]+)"', patterns)
    for name in page_files():
        assert any(PurePosixPath(f"page/{name}").match(glob) for glob in globs), name
    assert "broker.web" in PEP420PackageFinder.find(str(PROJECT), include=["broker*"])


async def test_a_token_becomes_a_cookie_that_scripts_cannot_read(served):
    token = served.token("ada", "read", "upload")
    answer = await sign_in(served, token)
    assert answer.status == 200
    assert answer.json == {"owner": "ada", "scopes": ["read", "upload"]}
    assert answer.headers["Cache-Control"] == "no-store"
    cookie = answer.headers["Set-Cookie"]
    for part in (f"{COOKIE}={token}", "HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=2592000"):
        assert part in cookie
    told = await served.person().get("status", headers={"Cookie": f"{COOKIE}={token}"})
    assert told.json["owner"] == "ada"


async def test_the_cookie_ends_with_its_token(served):
    answer = await sign_in(served, served.token("ada", "read", days=0.5))
    (seconds,) = re.findall(r"Max-Age=(\d+)", answer.headers["Set-Cookie"])
    assert 43_100 < int(seconds) <= 43_200


async def test_a_token_that_does_not_count_makes_none(served):
    for token in ("st_000000000000_" + "x" * 43, "nonsense"):
        answer = await sign_in(served, token)
        assert answer.status == 422
        assert answer.json["errors"] == [{"place": "body.token", "detail": "nobody made this token"}]
        assert "Set-Cookie" not in answer.headers
    revoked = served.token("ada", "read")
    served.tokens.revoke(revoked.split("_")[1], 1)
    assert "revoked" in (await sign_in(served, revoked)).json["detail"]


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://example.org"}],
)
async def test_no_other_page_signs_anybody_in_or_out(served, headers):
    assert (await sign_in(served, served.token("ada", "read"), headers)).status == 403
    assert (await served.person().ask("DELETE", "/session", headers=headers)).status == 403


async def test_a_form_of_another_page_is_no_sign_in(served):
    answer = await served.person().ask("POST", "/session", data={"token": served.token("ada", "read")}, headers=OWN)
    assert answer.status == 415


async def test_signing_out_takes_the_cookie_away(served):
    answer = await served.person().ask("DELETE", "/session", headers=OWN)
    assert answer.status == 204
    assert re.search(rf'{COOKIE}="?"?; .*(Max-Age=0|1970)', answer.headers["Set-Cookie"])


async def test_a_cookie_that_counts_no_more_hides_neither_page_nor_sign_in(served):
    token = served.token("ada", "read")
    served.tokens.revoke(token.split("_")[1], 1)
    stale = {"Cookie": f"{COOKIE}={token}"}
    assert (await served.person().get("/", headers=stale)).status == 200
    assert (await served.person().get("/page/modules/app.js", headers=stale)).status == 200
    assert (await served.person().ask("DELETE", "/session", headers=OWN | stale)).status == 204
    fresh = await served.person().ask(
        "POST", "/session", json={"token": served.token("bea", "read")}, headers=OWN | stale
    )
    assert fresh.json["owner"] == "bea"
    refused = await served.person().get("status", headers=stale)
    assert refused.status == 401
    assert "Max-Age=0" in refused.headers["Set-Cookie"]
