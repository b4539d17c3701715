"""What every answer has: tags, packing, other origins, methods, addresses; and what is counted and logged of it."""

import asyncio
import io
import json
from contextlib import contextmanager, redirect_stderr

import aiohttp
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from broker.log import configure_logging
from broker.web.hub import Full, Hub, TooSlow
from broker.web.serving import ROUTES
from tests.e2e.http.site import CONE, TRIGGER, Following, alert, site

NEAR = (150.1, -12.1)
ORIGIN = "https://sky.example.org"
BUILT = {"{id}": "0", "{ivorn:.+}": "0"}


@pytest.fixture
async def here(tmp_path):
    async with site(tmp_path, f"cors_origins = ['{ORIGIN}']") as one:
        await one.alerts(*(alert(f"ZTF20x{number}", *NEAR) for number in range(9)))
        yield one


@contextmanager
def logged(level):
    """What is logged within."""
    log = io.StringIO()
    with redirect_stderr(log):
        configure_logging(level=level, style="json")
    yield log
    structlog.reset_defaults()


def lines(log):
    return [json.loads(line) for line in log.getvalue().splitlines()]


async def found(here):
    """A map with what was found in it, by somebody."""
    ada = here.person("ada")
    return ada, await ada.upload(cone=CONE)


async def test_who_has_an_answer_already_is_told_only_that_it_holds(here):
    ada, made = await found(here)
    for path in (
        "coincidences",
        f"coincidences/{made['coincidences'][0]['id']}",
        f"skymaps/{made['id']}",
        f"skymaps/{made['id']}/moc",
        f"skymaps/{made['id']}/contours",
        f"skymaps/{made['id']}/coincidences?format=csv",
        f"voevents/{made['coincidences'][0]['id']}.r1",
        "triggers",
        "substreams",
        "openapi.json",
        "density",
    ):
        full = await ada.get(path)
        assert full.status == 200, full.text
        tag = full.headers["ETag"]
        assert tag.startswith('W/"')  # the same for what is packed and what is not
        assert full.headers["Cache-Control"] == "private, no-cache"
        again = await ada.get(path, headers={"If-None-Match": tag})
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag), path
        other = await ada.get(path, headers={"If-None-Match": 'W/"other"'})
        assert other.body == full.body
    before = (await ada.get("coincidences")).headers["ETag"]
    await here.alerts(alert("ZTF20later", *NEAR, hours=1))
    changed = await ada.get("coincidences", headers={"If-None-Match": before})
    assert changed.status == 200
    assert changed.headers["ETag"] != before


async def test_what_is_large_is_packed_for_those_who_take_it(here):
    ada, made = await found(here)
    plain, packed = {"Accept-Encoding": "identity"}, {"Accept-Encoding": "gzip"}
    for path in ("coincidences", f"skymaps/{made['id']}/coincidences?format=csv", "openapi.json", "/page/style.css"):
        one = await ada.get(path, headers=plain)
        other = await here.session.get(
            f"{here.url}{path if path.startswith('/') else f'/api/v1/{path}'}",
            headers=packed | {"Authorization": f"Bearer {ada.token}"},
        )
        assert "Content-Encoding" not in one.headers
        assert other.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in other.headers.get("Vary", "Accept-Encoding")
        assert int(other.headers["Content-Length"]) < len(one.body)
        assert await other.read() == one.body
    small = await ada.get("substreams", headers=packed)
    assert "Content-Encoding" not in small.headers
    async with ada.following(headers=packed) as events:
        assert "Content-Encoding" not in events.response.headers
        assert events.response.headers["X-Accel-Buffering"] == "no"


async def test_a_page_of_an_allowed_origin_may_ask_with_a_token(here):
    ada = here.person("ada")
    wanted = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    shown = wanted | {"Access-Control-Request-Headers": "authorization,last-event-id,if-none-match"}
    for path in ("coincidences", "stream", "skymaps/0"):
        asked = await here.person().ask("OPTIONS", path, headers=shown)
        assert asked.status == 200, asked.text
        assert asked.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "GET" in asked.headers["Access-Control-Allow-Methods"]
        assert "AUTHORIZATION" in asked.headers["Access-Control-Allow-Headers"].upper()
        assert "Access-Control-Allow-Credentials" not in asked.headers
    put = await here.person().ask("OPTIONS", "skymaps/0", headers=shown | {"Access-Control-Request-Method": "PUT"})
    assert put.status == 200
    for status, answer in (
        (200, await ada.get("coincidences", headers={"Origin": ORIGIN})),
        (404, await ada.get("skymaps/0", headers={"Origin": ORIGIN})),
        (401, await here.person().ask("POST", "skymaps", headers={"Origin": ORIGIN})),
    ):
        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "Origin" in answer.headers["Vary"]
        assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
    async with ada.following(headers={"Origin": ORIGIN}) as events:
        assert events.response.headers["Access-Control-Allow-Origin"] == ORIGIN


async def test_a_page_of_another_origin_reads_nothing(here):
    other = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    assert (await here.person().ask("OPTIONS", "coincidences", headers=other)).status == 403
    assert "Access-Control-Allow-Origin" not in (await here.person().get("coincidences", headers=other)).headers


async def test_without_allowed_origins_there_is_no_preflight(tmp_path):
    async with site(tmp_path) as here:
        asked = await here.person().ask("OPTIONS", "coincidences", headers={"Origin": ORIGIN})
        assert (asked.status, asked.headers["Allow"]) == (405, "GET,HEAD")


async def test_all_origins(tmp_path):
    async with site(tmp_path, "cors_origins = ['*']") as here:
        asked = await here.person().get("coincidences", headers={"Origin": "https://anybody.example"})
        assert asked.headers["Access-Control-Allow-Origin"] in {"*", "https://anybody.example"}
        assert "Access-Control-Allow-Credentials" not in asked.headers


async def test_heads_are_those_of_the_answers(here):
    ada, made = await found(here)
    for path in (
        "coincidences",
        "status",
        f"skymaps/{made['id']}",
        f"skymaps/{made['id']}/coincidences?format=votable",
    ):
        full, head = await ada.get(path), await ada.ask("HEAD", path)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["Content-Type"] == full.headers["Content-Type"]
        if path != "status":  # which counts
            assert head.headers["ETag"] == full.headers["ETag"]
    assert (await here.person().ask("HEAD", "stream")).status == 405


async def test_methods_that_a_route_has_not_are_named(here):
    admin = here.person("root", "admin")
    methods = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
    paths = {route.path for route in ROUTES}
    for path in sorted(paths):
        there = {route.method for route in ROUTES if route.path == path}
        there |= (
            {"HEAD"}
            if any(route.method == "GET" and not route.is_stream for route in ROUTES if route.path == path)
            else set()
        )
        plain = path
        for part, value in BUILT.items():
            plain = plain.replace(part, value)
        for method in sorted(methods - there):
            answer = await admin.ask(method, plain)
            assert answer.status == 405, (method, path)
            assert set(answer.headers["Allow"].split(",")) - {"OPTIONS"} == there
            assert method == "HEAD" or answer.headers["Content-Type"].startswith("application/problem+json")


async def test_what_is_not_there(here):
    for path in (
        "/api/v1",
        "/api/v1/nothing",
        "/api/v2/status",
        "/etc/passwd",
        "/page/../../tokens.sqlite",
        "/page/%2e%2e/x",
    ):
        answer = await here.person().get(path)
        assert answer.status == 404
        assert answer.json["status"] == 404
        assert answer.json["instance"].startswith("/")


async def test_a_slash_at_the_end_leads_to_the_same(here):
    ada = here.person("ada")
    answer = await ada.get("coincidences/?limit=1", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (308, "/api/v1/coincidences?limit=1")
    assert (await ada.upload(name="first", cone=CONE))["name"] == "first"
    posted = await ada.ask("POST", "skymaps/", json={"cone": CONE, "trigger_time": TRIGGER})
    assert posted.status == 201
    for path in ("//evil.example/", "/%2fevil.example/", "//evil.example/%2e%2e/api/v1/status/"):
        answer = await here.person().get(path, allow_redirects=False)
        assert not answer.headers.get("Location", "/").startswith("//"), path


async def test_every_answer_forbids_what_browsers_would_do_with_it(here):
    for path in (
        "/api/v1/status",
        "/api/v1/docs",
        "/",
        "/page/style.css",
        "/nothing",
        "/api/v1/docs/assets/swagger-ui.css",
    ):
        headers = (await here.person().get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe-eval" not in headers["Content-Security-Policy"]
        assert headers["Server"] == "starcross"
        assert len(headers["X-Request-Id"]) == 12


async def test_what_is_measured(here):
    ada, made = await found(here)
    metrics = here.service.observers.metrics
    await ada.get("nothing")
    await here.person().ask("PATCH", "coffee")
    await ada.get(f"skymaps/{made['id']}")
    await ada.ask("DELETE", f"skymaps/{made['id']}")
    assert metrics.value("starcross_http_requests_total", route="POST /api/v1/skymaps", status="201") == 1
    assert metrics.value("starcross_http_requests_total", route="GET /api/v1/skymaps/{id}", status="200") == 1
    assert metrics.value("starcross_http_requests_total", route="none", status="404") == 2
    assert metrics.value("starcross_http_request_seconds_count", route="GET /api/v1/skymaps/{id}") == 1
    assert metrics.value("starcross_http_uploads_total", kind="initial") == 1
    assert metrics.value("starcross_http_uploads_total", kind="retraction") == 1
    size = metrics.value("starcross_http_upload_bytes_total")
    assert size is not None
    assert 200 < size < 5000
    page = await here.person().get("/")
    assert page.status == 200
    assert metrics.value("starcross_http_requests_total", route="page", status="200") == 1
    async with ada.following() as _, here.person().following() as _:
        families = {family.name: family for family in text_string_to_metric_families(metrics.page().decode())}
        assert families["starcross_http_listeners"].samples[0].value == 2
    assert metrics.value("starcross_http_request_seconds_count", route="GET /api/v1/stream") is None


async def test_whoever_is_sent_away_is_counted(tmp_path):
    async with site(tmp_path, "listeners = 1") as here:
        metrics = here.service.observers.metrics
        async with here.person().following():
            assert (await here.person().get("stream")).status == 503
        assert metrics.value("starcross_http_requests_total", route="GET /api/v1/stream", status="503") == 1


async def test_whoever_listens_hears_of_the_end(tmp_path):
    async with aiohttp.ClientSession() as session:
        async with site(tmp_path) as here:
            response = await session.get(f"{here.url}/api/v1/stream")
            assert response.status == 200
        last = await Following(response).next()
        assert last is not None
        assert (last.name, json.loads(last.data)) == ("dropped", {"reason": "the service ends"})
    assert here.service.observers.metrics.value("starcross_http_dropped_total", why="end") == 1


async def test_each_request_is_a_line_in_the_log_without_secrets(here):
    with logged("debug") as log:
        ada = here.person("ada")
        answer = await ada.get("coincidences?where=object.mag < 3&limit=1")
        await here.person().get("status", headers={"Authorization": "Bearer st_secret"})
    told, refused = (line for line in lines(log) if line["event"] == "request")
    assert told.items() >= {
        "method": "GET", "path": "/api/v1/coincidences", "status": 200, "owner": "ada", "remote": "127.0.0.1",
        "level": "debug", "request": answer.headers["X-Request-Id"], "token": ada.token.split("_")[1],
    }.items()  # fmt: skip
    assert told["took_s"] > 0
    assert (refused["status"], refused["token"]) == (401, "")
    assert "mag" not in log.getvalue()
    assert "st_secret" not in log.getvalue()
    assert ada.token.split("_", 2)[2] not in log.getvalue()


async def test_a_mistake_of_ours_is_a_warning_and_names_the_request(here, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("what only we should see")

    monkeypatch.setattr(type(here.service.pipeline.engine.ledger), "by_state", broken)
    with logged("info") as log:
        answer = await here.person().get("status")
    assert answer.status == 500
    assert "what only we should see" not in answer.text
    failed, request = lines(log)
    assert [(line["event"], line["level"]) for line in (failed, request)] == [
        ("a request failed", "error"), ("request", "warning")
    ]  # fmt: skip
    assert failed["request"] == request["request"] == answer.headers["X-Request-Id"]
    assert "ZeroDivisionError" in failed["exception"]


async def test_whoever_does_not_speak_http_leaves_no_traceback_in_the_log(here):
    host, port = here.url.removeprefix("http://").split(":")
    with logged("debug") as log:
        for spoken in (b"\x16\x03\x01\x02\x00\x01\x00", b"BREW / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nA" * 9000):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(spoken)
            assert b" 400 Bad Request" in await reader.read()
            writer.close()
    assert "Traceback" not in log.getvalue()


@pytest.mark.parametrize(
    ("error", "why"), [(TooSlow(), "slow"), (Full(), "full"), (TimeoutError(), "stalled"), (ConnectionError(), None)]
)
async def test_whoever_cannot_be_told_is_sent_away_with_the_reason(here, monkeypatch, error, why):
    async def follow(*_, **__):
        yield [], 7
        raise error

    monkeypatch.setattr(Hub, "follow", follow)
    response = await here.session.get(f"{here.url}/api/v1/stream")
    told = (await response.read()).decode()
    assert "id: 7\nevent: idle\n" in told
    assert ("event: dropped" in told) == (why in {"slow", "full"})
    dropped = here.service.observers.metrics.registry.get_sample_value
    assert [
        dropped("starcross_http_dropped_total", {"why": one}) for one in ("slow", "full", "stalled") if one == why
    ] == ([1.0] if why else [])
