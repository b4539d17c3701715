"""`starcross check --connect`: every connection tried once, and what is told of it."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker import connections
from broker.connections import Tried, try_connections
from broker.plan import Plan
from broker.store.options import StoreOptions
from broker.store.store import Store
from tests.bridges.service_stand_ins import Reply, cross_matched, stand_in
from tests.broker.test_parts import KEY, config_of
from tests.children import unmeasured
from tests.conftest import PROJECT
from tests.e2e.conftest import run


async def tried(folder: Path, text: str) -> dict[str, Tried]:
    (folder / "key").write_text(KEY)
    return {one.part: one for one in await try_connections(Plan.of(config_of(folder, text), folder))}


def told(folder: Path, text: str, *, measured: bool = False) -> tuple[int, dict[str, Tried]]:
    """By the command, in a process of its own: what speaks VTP brings Twisted's reactor, which lasts as long."""
    (folder / "key").write_text(KEY)
    (folder / "x.toml").write_text(text)
    command = [sys.executable, "-m", "broker", "check", str(folder / "x.toml"), "--connect", "--json"]
    ran = subprocess.run(
        command,
        check=False,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
        env=None if measured else unmeasured(),
    )
    return ran.returncode, {one["part"]: Tried(**one) for one in json.loads(ran.stdout)["connections"]}


@contextmanager
def listening() -> Iterator[int]:
    """A port where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_what_is_there_is_told(tmp_path):
    (tmp_path / "dropped").mkdir()
    (tmp_path / "dropped" / "x.xml").write_text("<x/>")
    with listening() as port:
        code, found = told(
            tmp_path,
            f"""
            [sources.folder]
            kind = 'folder'
            path = 'dropped'
            [sources.night]
            kind = 'replay'
            paths = ['dropped']
            [sources.sim]
            kind = 'simulator'
            [sources.remote]
            kind = 'vtp-subscriber'
            remotes = ['127.0.0.1:{port}']
            [sources.authors]
            kind = 'vtp-receiver'
            port = 0
            [sinks.vtp]
            kind = 'vtp'
            port = {closed_port()}
            [sinks.hook]
            kind = 'webhook'
            url = 'http://127.0.0.1:{port}/secret-path'
            secret = {{file = 'key'}}
            [sinks.lines]
            kind = 'json-lines'
            path = 'new/out.jsonl'
            [sinks.out]
            kind = 'json-lines'
            path = '-'
            """,
        )
    assert (code, {one.trouble for one in found.values()}) == (0, {""})
    assert found.pop("sink vtp").what.endswith("is free")
    assert {name: one.what for name, one in found.items()} == {
        "store": "can be opened",
        "source folder": "1 entries",
        "source night": "1 files, 0.0 MiB",
        "source sim": "makes its own messages",
        "source remote": "1 remotes listen",
        "source authors": "127.0.0.1 has free ports",
        "sink hook": f"http://127.0.0.1:{port} listens; nothing was posted",
        "sink lines": f"{tmp_path}/new can be written to",
        "sink out": "standard output",
    }
    assert not (tmp_path / "new").exists(), "nothing is left behind"


def test_what_hinders_is_told_part_by_part(tmp_path):
    (tmp_path / "file").write_text("")
    closed = closed_port()
    with listening() as port:
        code, found = told(
            tmp_path,
            f"""
            [sources.folder]
            kind = 'folder'
            path = 'dropped'
            [sources.night]
            kind = 'replay'
            paths = ['dropped']
            [sources.remote]
            kind = 'vtp-subscriber'
            remotes = ['127.0.0.1:{closed}']
            [sources.authors]
            kind = 'vtp-receiver'
            port = {port}
            [sources.survey]
            kind = 'kafka-survey'
            bootstrap_servers = ['127.0.0.1:{closed}']
            topics = ['x']
            [sources.gcn]
            kind = 'gcn'
            bootstrap_servers = '127.0.0.1:{closed}'
            security = 'plaintext'
            [sinks.avro]
            kind = 'kafka-avro'
            bootstrap_servers = ['127.0.0.1:{closed}']
            [sinks.vtp]
            kind = 'vtp'
            port = {port}
            [sinks.hook]
            kind = 'webhook'
            url = 'https://127.0.0.1:{closed}/secret-path'
            secret = {{file = 'key'}}
            [sinks.without_key]
            kind = 'webhook'
            url = 'http://127.0.0.1/'
            secret = {{file = 'nowhere'}}
            [sinks.lines]
            kind = 'json-lines'
            path = 'file/out.jsonl'
            """,
            measured=True,
        )
    assert code == 1
    hindered = {name: one.trouble for name, one in found.items() if one.trouble}
    assert hindered.keys() == found.keys() - {"store"}
    for name, expected in {
        "source folder": "No such file",
        "source night": "no such file or folder",
        "source remote": f"127.0.0.1:{closed} cannot be reached",
        "source authors": f"127.0.0.1 port {port} cannot be listened at: Address already in use",
        "source survey": f"Kafka at 127.0.0.1:{closed}",
        "source gcn": "GCN: ",
        "sink avro": f"Kafka at 127.0.0.1:{closed}",
        "sink vtp": f"127.0.0.1 port {port} cannot be listened at: Address already in use",
        "sink hook": f"127.0.0.1:{closed} cannot be reached",
        "sink without_key": "secret cannot be read",
        "sink lines": "cannot be written to",
    }.items():
        assert expected in hindered[name], name
    assert not any("secret-path" in trouble or KEY in trouble for trouble in hindered.values())


async def test_a_store_that_is_in_use_is_told(tmp_path):
    config = config_of(tmp_path, "")
    store = await Store.open(tmp_path / config.store.folder, StoreOptions(), lambda: 0)
    try:
        (one,) = await try_connections(Plan.of(config, tmp_path))
    finally:
        await store.close()
    assert "in use by process" in one.trouble


async def test_who_does_not_answer_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(connections, "LONGEST_S", 1.0)

    async def silent(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        text = f"[sinks.x]\nkind = 'webhook'\nurl = 'https://127.0.0.1:{port}/'\nsecret = {{file = 'key'}}\n"
        found = await tried(tmp_path, text)
    assert found["sink x"].trouble == "no answer within 1 s"


def test_the_command_shows_it_and_says_with_its_exit_code_whether_all_works(tmp_path):
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text("[sources.sim]\nkind = 'simulator'\n")
    bad.write_text("[sources.night]\nkind = 'replay'\npaths = ['nowhere']\n")
    ran = run("check", good, "--connect")
    assert ran.code == 0, ran.err
    assert "makes its own messages" in ran.out
    ran = run("check", bad, "--connect")
    assert ran.code == 1
    assert "no such file" in ran.out
    assert run("check", bad).code == 0


async def test_catalogues_and_services_are_tried(tmp_path):
    pytest.importorskip("astroquery")
    (tmp_path / "hosts.csv").write_text("ra,dec\n10,20\n11,20\n")
    text = "[catalogues.{name}]\nkind = 'xmatch'\nurl = '{url}'\n"
    with stand_in(cross_matched) as good, stand_in(lambda _: Reply(b"closed", 403)) as bad:
        found = await tried(
            tmp_path,
            "[catalogues.hosts]\npath = 'hosts.csv'\n[catalogues.lost]\npath = 'lost.csv'\n"
            + text.format(name="simbad", url=good.url)
            + text.format(name="other", url=bad.url)
            + "[catalogues.tns]\nkind = 'tns'\napi_key.file = 'none'\nbot_id = 1\nbot_name = 'b'\n",
        )
    assert found["catalogue hosts"].what == "2 entries"
    assert found["service simbad"].what == "simbad answers"
    assert found["service other"].trouble == "127.0.0.1: answers 403: closed"
    assert "there is no such catalogue" in found["catalogue lost"].trouble
    assert "the secret cannot be read" in found["service tns"].trouble
    assert not (tmp_path / "store" / "catalogues").exists()


def test_what_is_read_for_the_first_time_leaves_the_document_alone(tmp_path):
    (tmp_path / "hosts.csv").write_text("ra,dec\n10,20\n")
    code, found = told(tmp_path, "[catalogues.hosts]\npath = 'hosts.csv'\n")
    assert (code, found["catalogue hosts"].what) == (0, "1 entries")
