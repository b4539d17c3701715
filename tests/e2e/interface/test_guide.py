"""docs/http.md does what it says: each of its calls against a real service, and its tables against the code."""

import os
import re
import subprocess
from http import HTTPStatus

import pytest

from bridges.client import Client, ServerProblem
from broker.web.objects import MOST_MATCHES, MOST_POSITIONS
from broker.web.openapi import document_of
from broker.web.options import HttpOptions
from broker.web.serving import ROUTES
from broker.web.stream import IDLE_S
from broker.web.tokens import Scope
from broker.web.upload_requests import PositionRequest, UploadSettings
from schemas.records import Messenger
from schemas.upload import AnnulusDocument, ConeDocument, EllipseDocument
from tests.e2e.interface.conftest import MAP
from tests.missing import program
from tests.pages import code, fenced, first_cells, tables, text_of

PAGE = "docs/http.md"
SERVER, SKYMAP, REVISION = "http://127.0.0.1:8080", "0123456789abcdef", "grb-4c634643f9b89c41e3e78f37.r1"
CALLS = [line for block in fenced(text_of(PAGE), "sh") for line in block.splitlines() if line.startswith("curl ")]
ENDLESS = 28
"""How curl ends after its longest time."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("guide")
    for name in ("bayestar.multiorder.fits", "better.fits"):
        (made / name).write_bytes(MAP)
    return made


@pytest.fixture(scope="module")
def skymap(interface):
    """One that is there for the calls that read, and for those that change it."""
    shown = {"content_type": "application/fits"}
    return interface.ask("POST", "skymaps", interface.token(), content=MAP, **shown).json()


@pytest.mark.parametrize("call", CALLS)
def test_each_call_is_answered_as_it_should(call, interface, skymap, folder):
    program("curl", package="curl")
    if "-X DELETE" in call:
        skymap = interface.ask(
            "POST", "skymaps", interface.token(), content=MAP, content_type="application/fits"
        ).json()
    known = interface.coincidences(limit=1, matcher="grb", revisions="all")[0]
    line = call.replace(SERVER, interface.url).replace(SKYMAP, skymap["id"])
    line = line.replace(REVISION, f"{known['id']}.r{known['revision']}").replace(
        "curl ", "curl -sS --fail-with-body ", 1
    )
    ran = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=os.environ | {"STARCROSS_TOKEN": interface.token()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == (ENDLESS if "--max-time" in call else 0), ran.stdout + ran.stderr
    if "-X DELETE" in call:
        assert ran.stdout == ""
    elif "events?" in call:
        assert "event: coincidence" in ran.stdout
    elif ">" not in call.partition("where=")[0]:
        assert ran.stdout
    written = re.search(r"> (counterparts\.\w+)$", call)
    if written:
        assert skymap["coincidences"][0]["object"]["object_id"] in (folder / written[1]).read_text()


def test_the_snippet_of_the_client(interface, folder, capsys, monkeypatch):
    names = {}
    (snippet,) = fenced(text_of(PAGE), "python")
    exec(compile(snippet, PAGE, "exec"), names)  # noqa: S102 - our own documentation
    found = names["counterparts"](interface.url, interface.token(), str(folder / "better.fits"))
    assert len(found) > 3
    client = names["Client"]
    follow = client.follow
    monkeypatch.setattr(client, "follow", lambda self, **query: islice_two(follow(self, last_event_id=1, **query)))
    names["follow"](interface.url, "credible_level >= 0")
    assert re.search(r"^(proposed|updated|withdrawn) SIM\w+ \S+ [\d.]+$", capsys.readouterr().out, re.MULTILINE)


def islice_two(documents):
    for _, one in zip(range(2), documents, strict=False):
        yield one


def test_every_route_is_listed_with_its_scope():
    rows = tables(PAGE)["All routes"]
    listed = {code(row[0])[0]: code(row[1])[0] if code(row[1]) else None for row in rows}
    assert listed == {f"{route.method} {re.sub(':[^}]+', '', route.path)}": route.scope for route in ROUTES}
    assert all(row[2] for row in rows)


def test_every_setting_is_listed_with_its_default():
    rows = {code(row[0])[0]: row for row in tables(PAGE)["How it is searched"]}
    assert set(rows) == set(UploadSettings.model_fields)
    for name, field in UploadSettings.model_fields.items():
        said = code(rows[name][1])
        assert said == [] if field.default in {"", None} else said[0] == str(field.default).lower(), name
    assert set(Messenger) <= set(code(rows["messenger"][2]))


def test_every_way_to_upload_is_listed():
    named = {word for row in tables(PAGE)["What can be uploaded"] for cell in row for word in code(cell)}
    assert set(PositionRequest.model_fields) - set(UploadSettings.model_fields) <= named
    fields = (document.model_fields for document in (ConeDocument, EllipseDocument, AnnulusDocument))
    assert set().union(*fields) <= named


def test_every_status_that_is_an_error_is_explained():
    document = document_of(ROUTES, anonymous=True)
    told = {
        int(status)
        for path in document["paths"].values()
        for operation in path.values()
        for status in operation["responses"]
        if int(status) >= HTTPStatus.BAD_REQUEST
    }
    assert {int(row[0]) for row in tables(PAGE)["Errors"]} == told | {HTTPStatus.METHOD_NOT_ALLOWED}


def test_every_scope_and_limit_is_named():
    assert first_cells(PAGE, "Tokens") == [str(scope) for scope in Scope]
    limits = {
        "requests_per_minute",
        "uploads_per_day",
        "skymaps_most",
        "skymap_mib",
        "skymaps_total_mib",
        "upload_s",
        "listeners",
    }
    assert limits <= set(HttpOptions.model_fields)
    assert limits <= {word for row in tables(PAGE)["Errors"] for word in code(row[1])}


def test_every_event_of_a_stream_is_explained():
    assert first_cells(PAGE, "The stream") == ["coincidence", "idle", "dropped"]
    assert f"Every {IDLE_S:g} seconds something is sent" in text_of(PAGE)


def test_the_bounds_of_positions_are_told():
    assert f"at most {MOST_POSITIONS:,} positions, and {MOST_MATCHES:,} answers" in text_of(PAGE)


def test_many_positions_are_asked_about_in_steps(interface, skymap):
    """As many, in the same order, as if they were asked about one by one; and no more than there may be."""
    position = {"ra_deg": 95.6, "dec_deg": 30.0, "time_utc": "2026-10-07T05:00:00Z"}
    with Client(interface.url) as client:
        (one,) = (match for match in client.match([position]) if match["trigger"] == skymap["trigger"])
        told = [match for match in client.match([position] * 4500) if match["trigger"] == skymap["trigger"]]
        assert told == [one | {"position": number} for number in range(4500)]
        for _ in range(6):
            interface.ask("POST", "skymaps", interface.token(), content=MAP, content_type="application/fits")
        with pytest.raises(ServerProblem, match="422: more than 50000 triggers hold these positions"):
            client.match([position] * 10_000)
