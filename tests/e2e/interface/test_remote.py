"""`starcross upload`, `watch` and `token` as a person uses them: what they print, and how they end."""

import json
import re
import signal
import subprocess
import sys

import pytest

from broker import remote
from tests.children import unmeasured
from tests.conftest import PROJECT
from tests.e2e.conftest import run
from tests.e2e.service_process import until
from tests.schemas.maps import blob, flat

WATCH = [sys.executable, "-m", "broker", "watch"]


@pytest.fixture
def asked(interface, monkeypatch):
    """A command to the service, by somebody who may upload."""
    monkeypatch.setenv("STARCROSS_TOKEN", interface.token())

    def ask(command, *arguments):
        return run(command, "--server", interface.url, *arguments)

    return ask


def test_an_upload_shows_what_was_found(asked, map_file, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(remote, "_ROWS", 6)
    ran = asked("upload", map_file, "--name", "[b]mine[/b]", "--level", "0.8")
    assert (ran.code, ran.err) == (0, "")
    assert re.match(r"[0-9a-f]{16}  \[b\]mine\[/b\]  2026-10-06T05:00:00Z\n50 % in 1,7\d\d\.\d deg², 90 % in ", ran.out)
    headings = re.search(r"┃ rank .*", ran.out)
    assert headings
    assert headings[0].replace("┃", " ").split() == ["rank", "object", "survey", "after", "mag", "level", "posterior"]
    assert len(re.findall(r"│ +\d+ │ SIM\w+ +│ ztf ", ran.out)) == 6
    assert re.search(r"and \d+ more: --json shows them", ran.out)
    assert re.search(r"starcross watch --skymap [0-9a-f]{16}$", ran.out.strip())


@pytest.mark.parametrize("columns", [40, 60, 73])
def test_a_narrow_terminal_shows_less_and_cuts_nothing(asked, map_file, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    ran = asked("upload", map_file)
    assert "…" not in ran.out
    assert "SIM" in ran.out
    assert max(len(line) for line in ran.out.splitlines() if "│" in line) <= columns


def test_an_upload_in_json_is_the_answer_of_the_server(asked, interface, map_file):
    ran = asked("upload", map_file, "--json", "--private", "--known-objects", "--before-s", "60", "--after-d", "3")
    told = json.loads(ran.out)
    assert told["private"] is True
    assert told["search"] == {"before_s": 60.0, "after_d": 3.0, "level": 0.9, "new_object": False}
    assert interface.get(f"skymaps/{told['id']}", interface.token()).json()["search"] == told["search"]
    again = asked("upload", map_file, "--json", "--replace", told["id"], "--name", "better")
    better = json.loads(again.out)
    assert (better["id"], better["revision"], better["name"]) == (told["id"], 2, "better")


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("notes.txt", b"# notes", "422: unknown_format: the sky map begins with b'# notes'"),
        ("undated.fits", flat(blob(3)), "trigger_time: the file does not say when the event was"),
    ],
)
def test_a_file_that_is_not_taken(asked, tmp_path, name, body, said):
    (tmp_path / name).write_bytes(body)
    ran = asked("upload", tmp_path / name)
    assert (ran.code, ran.out) == (1, "")
    assert said in ran.err


def test_a_wrong_call(asked, tmp_path, map_file):
    missing = asked("upload", tmp_path / "nothing.fits")
    assert (missing.code, missing.out) == (2, "")
    assert "there is no such file" in missing.err
    unread = asked("upload", map_file, "--token-file", tmp_path / "nothing")
    assert unread.code == 2
    assert "nothing: cannot be read" in unread.err
    no_url = run("upload", map_file, "--server", "http://[::1")
    assert no_url.code == 2
    assert "is not the URL of a server" in no_url.err
    assert asked("upload", map_file, "--level", "most").code == 2


def test_what_the_server_or_the_way_to_it_refuses(interface, map_file, tmp_path, monkeypatch):
    monkeypatch.delenv("STARCROSS_TOKEN", raising=False)
    without = run("upload", map_file, "--server", interface.url)
    assert (without.code, without.out) == (1, "")
    assert "401: this needs a token with scope upload" in without.err
    (tmp_path / "token").write_text("st_nobody\n")
    wrong = run("upload", map_file, "--server", interface.url, "--token-file", tmp_path / "token")
    assert wrong.code == 1
    assert "401: the token does not count: nobody made this token" in wrong.err
    assert "st_nobody" not in wrong.err
    away = run("watch", "--server", "http://127.0.0.1:1")
    assert away.code == 1
    assert "http://127.0.0.1:1: cannot be reached" in away.err
    address = run("upload", "https://evil.example/map.fits", "--server", interface.url)
    assert address.code == 1


def test_a_url_is_fetched_by_the_server_if_the_host_is_allowed(asked):
    ran = asked("upload", "https://evil.example/map.fits")
    assert ran.code == 1
    assert "body.url: https://evil.example/map.fits: evil.example is not among the hosts" in ran.err


def test_a_condition_that_cannot_be_read(asked):
    ran = asked("watch", "--where", "mag <")
    assert ran.code == 1
    assert re.search(r"422: the query is wrong; query\.where: ", ran.err)


def test_watching_until_ctrl_c(interface, tmp_path):
    oldest, *newer = interface.coincidences(limit=1000, revisions="all")
    out = tmp_path / "out"
    since = f"{oldest['id']}.r{oldest['revision']}"
    with out.open("w") as stream:
        watching = subprocess.Popen(
            [*WATCH, "--server", interface.url, "--since", since],
            cwd=PROJECT,
            stdout=stream,
            stderr=subprocess.PIPE,
            env=unmeasured(),
        )
        until(lambda: out.read_text().count("\n") > len(newer), "what was stored")
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=60)
    assert (watching.returncode, said) == (0, b"")
    heading, *lines = out.read_text().splitlines()
    assert heading == f"following {interface.url}; Ctrl-C ends it"
    for line, one in zip(lines, newer, strict=True):
        told = [f"{one['changed_utc'][:19]}Z", one["state"], one["object"]["survey"], one["object"]["object_id"]]
        assert line.split()[:4] == told


def test_a_reader_of_lines_that_leaves(interface):
    """As `starcross watch --json | head -1`."""
    first = interface.coincidences(limit=1, revisions="all")[0]
    command = [*WATCH, "--server", interface.url, "--json", "--since", f"{first['id']}.r{first['revision']}"]
    with subprocess.Popen(
        command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=unmeasured()
    ) as watching:
        assert watching.stdout
        assert watching.stderr
        assert json.loads(watching.stdout.readline())
        watching.stdout.close()
        assert watching.stderr.read() == b""
        assert watching.wait(timeout=60) == 0


def test_only_what_was_asked_for_is_watched(asked, interface, map_file):
    made = json.loads(asked("upload", map_file, "--json", "--name", "watched").out)
    command = [*WATCH, "--server", interface.url, "--json", "--skymap", made["id"]]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, env=unmeasured()) as watching:
        listening = until(lambda: interface.get("status").json()["listeners"])
        assert listening == 1
        assert json.loads(asked("upload", map_file, "--json").out)["coincidences"]
        asked("upload", map_file, "--json", "--replace", made["id"], "--level", "0.5")
        assert watching.stdout
        assert json.loads(watching.stdout.readline())["trigger"]["id"] == made["trigger"]
        watching.send_signal(signal.SIGINT)


def test_a_token_counts_at_once_and_until_it_is_revoked(interface, map_file, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    make = run("token", "--config", interface.config, "make", "--owner", "[red]bob", "--scope", "upload", "--days", "2")
    assert (make.code, make.err) == (0, "")
    text = make.out.splitlines()[-1]
    token_id = text.split("_")[1]
    assert make.out.splitlines()[0] == f"token {token_id} of [red]bob: upload"
    monkeypatch.setenv("STARCROSS_TOKEN", text)
    assert run("upload", map_file, "--server", interface.url).code == 0
    assert run("watch", "--server", interface.url).code == 1  # it may upload, but not read
    listed = run("token", "--config", interface.config)
    assert token_id in listed.out  # as a whole, however narrow it is
    (told,) = (
        one for one in json.loads(run("token", "--config", interface.config, "--json").out) if one["id"] == token_id
    )
    assert (told["owner"], told["scopes"], told["revoked_utc"]) == ("[red]bob", ["upload"], None)
    assert told["used_utc"]
    assert run("token", "--config", interface.config, "revoke", "--id", token_id).out == f"revoked {token_id}\n"
    refused = run("upload", map_file, "--server", interface.url)
    assert refused.code == 1
    assert "401: the token does not count: revoked at" in refused.err
    assert text.split("_", 2)[2] not in listed.out + refused.err + interface.service.text


def test_a_new_token_in_json(interface):
    made = json.loads(run("token", "--config", interface.config, "make", "--owner", "prog", "--json").out)
    assert made["scopes"] == ["read"]
    assert made["expires_utc"] is None
    assert interface.get("status", made["token"]).json()["owner"] == "prog"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("make",), "expected --owner"),
        (("make", "--owner", " "), "needs a name"),
        (("make", "--owner", "a", "--days", "-1"), "more than 0 days"),
        (("revoke",), "expected --id"),
        (("revoke", "--id", "0"), "there is no token '0'"),
    ],
)
def test_tokens_that_cannot_be(interface, words, said):
    ran = run("token", "--config", interface.config, *words)
    assert (ran.code, ran.out) == (2, "")
    assert said in " ".join(ran.err.split())


def test_tokens_of_no_service(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "new.toml").write_text("")
    assert "expected --config" in run("token").err
    assert "no token was made there" in run("token", "--config", "new.toml").err
    assert [path.name for path in tmp_path.iterdir()] == ["new.toml"]  # to look makes nothing
    assert run("token", "--config", "new.toml", "make", "--owner", "ada").code == 0
    assert (tmp_path / "store/tokens.sqlite").stat().st_mode & 0o077 == 0
