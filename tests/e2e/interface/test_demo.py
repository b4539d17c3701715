"""`starcross demo --serve`, and what `starcross demo` says of it."""

import contextlib
import io
import re
import signal
import subprocess
import sys

import httpx
import pytest

from bridges.simulator import NightPlan, simulate
from broker import commands, demonstration
from broker.__main__ import main
from tests.conftest import PROJECT
from tests.e2e.conftest import run
from tests.e2e.interface.conftest import MAP
from tests.e2e.service_process import until


class Terminal(io.StringIO):
    """Standard output that somebody looks at."""

    def isatty(self):
        return True


@pytest.mark.not_measured
@pytest.mark.parametrize(
    ("words", "stream", "served"),
    [
        ([], io.StringIO, False),
        ([], Terminal, True),
        (["--no-serve"], Terminal, False),
        (["--serve"], io.StringIO, True),
    ],
)
def test_the_search_is_shown_and_on_a_terminal_the_nights_are_served(tmp_path, monkeypatch, words, stream, served):
    asked = []
    monkeypatch.setattr(demonstration, "simulate", lambda seed: simulate(seed, NightPlan().scaled(0.02)))

    def serve(seed, port, announce, **_):
        asked.append((seed, port))
        announce("URL", "st_x")
        return 0

    monkeypatch.setattr(commands, "serve_demo", serve)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    out = stream()
    with contextlib.redirect_stdout(out):
        assert main(["demo", "--out", str(tmp_path / "out"), "--seed", "3", "--port", "81", *words]) == 0
    assert asked == ([(3, 81)] if served else [])
    assert ("Found against injected" in out.getvalue()) == (words != ["--serve"])
    assert ("The page: URL\n" in out.getvalue()) == served
    assert ("To see such nights on the page: starcross demo --serve" in out.getvalue()) != served


def test_a_port_that_is_none():
    ran = run("demo", "--port", "65536")
    assert ran.code == 2
    assert "expected 0 to 65535" in ran.err


def test_the_demo_serves_nights_until_ctrl_c_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "broker", "demo", "--serve", "--seed", "3"]
    with out.open("w") as stream:
        demo = subprocess.Popen(command, cwd=PROJECT, stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    token = until(
        lambda: demo.poll() is not None or re.search(r"sign in with (st_\w[\w-]+)", out.read_text()), "a token"
    )
    assert demo.poll() is None, out.read_text()
    url = re.search(r"The page: (http://127\.0\.0\.1:\d+)", out.read_text())
    assert url
    with httpx.Client(base_url=url[1], timeout=60) as client:
        assert "<html" in client.get("/").text
        until(lambda: client.get("/api/v1/status").json()["alerts"], "alerts")
        shown = {"Authorization": f"Bearer {token[1]}"}
        assert client.post("/api/v1/skymaps", files={"skymap": MAP}, headers=shown).status_code == 201
    demo.send_signal(signal.SIGINT)
    assert demo.wait(60) == 0
    assert "Traceback" not in out.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
