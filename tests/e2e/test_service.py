"""The service as a process: signals, kills, changed configurations, a full disk, a second one on the same store."""

import json
import random
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.e2e.conftest import run
from tests.e2e.service_process import configured, final_states, published, running, until

SLOW = {"batch_messages": 20}


def without_instants(states: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The instant of a change is that of the batch that made it, and a restart may make batches end elsewhere."""
    return {name: {key: value for key, value in c.items() if key != "changed_utc"} for name, c in states.items()}


@pytest.fixture(scope="module")
def whole(night, tmp_path_factory) -> dict[str, dict[str, Any]]:
    """The last revisions that one undisturbed run publishes."""
    folder = tmp_path_factory.mktemp("whole")
    with running(configured(folder, night[1], **SLOW), measured=False) as service:
        service.until_all_is_played()
        assert service.stop() == 0
    found = final_states(published(folder))
    assert len(found) > 10
    assert {c["state"] for c in found.values()} > {"proposed", "updated"}
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_is_stopped_goes_on_where_it_stood(night, whole, tmp_path, number):
    config = configured(tmp_path, night[1], **SLOW)
    for batches in (3, 9):
        with running(config, measured=number == signal.SIGTERM) as service:
            service.until_logged("batch kept", batches)
            assert service.stop(number) == 0
            (stopped,) = service.events("stopped")
            assert stopped["waiting_for_sinks"] == {}
            assert not service.events("part ended"), "the test is too slow, or the night too short"
    with running(config, measured=number == signal.SIGTERM) as service:
        service.until_all_is_played()
        assert service.stop(number) == 0
    assert without_instants(final_states(published(tmp_path))) == without_instants(whole)


def test_a_service_that_is_killed_loses_nothing(night, whole, tmp_path):
    config = configured(tmp_path, night[1], **SLOW)
    chance = random.Random(4)
    for _ in range(3):
        with running(config, measured=False) as service:
            service.until_logged("batch kept", chance.randint(1, 6))
            time.sleep(chance.uniform(0, 0.05))
            service.send(signal.SIGKILL)
            assert service.ended() == -signal.SIGKILL
    with running(config, measured=False) as service:
        service.until_all_is_played()
        assert service.stop() == 0
    assert without_instants(final_states(published(tmp_path))) == without_instants(whole)


def test_the_log_has_one_line_a_batch_and_says_what_a_part_did(night, tmp_path):
    with running(configured(tmp_path, night[1])) as service:
        service.until_all_is_played()
        status, told = service.get("/status")
        ready, checks = service.get("/readyz")
        assert service.stop() == 0
    assert status == ready == 200, checks
    assert checks["ready"]
    assert told["sources"]["night"]["positions"] > 1
    batches = service.events("batch kept")
    messages = sum(line["messages"] for line in batches)
    assert sum(line.get("alerts", 0) + line.get("cut", 0) for line in batches) == night[0].alert_count
    assert len(service.events("notice kept")) <= messages - night[0].alert_count
    a_notice = len(service.events("notice kept")) + len(service.events("sky map not fetched"))
    assert len(service.logged) < len(batches) + a_notice + 10


def test_a_second_process_on_the_same_store_is_a_wrong_call(night, tmp_path):
    config = configured(tmp_path, night[1], messages_per_s=10)
    with running(config) as first:
        first.until_logged("running")
        with running(config, measured=False) as second:
            assert second.ended() == 2
            assert f"the store is in use by process {first.process.pid}" in second.text
            assert "Traceback" not in second.text
        assert first.stop() == 0


def test_a_port_that_is_taken_is_a_wrong_configuration(night, tmp_path):
    with running(configured(tmp_path / "one", night[1], messages_per_s=10), measured=False) as first:
        port = first.until_logged("running")["http"].rpartition(":")[2]
        with running(configured(tmp_path / "two", night[1]), f"service.http_port={port}") as second:
            assert second.ended() == 2
            assert f"service.http_port: 127.0.0.1:{port} cannot be listened at" in second.text
        assert first.stop() == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[sources.x]\nkind = 'carrier-pigeon'", "sources.x.kind"),
        ("[sinks.x]\nkind = 'json-lines'\npth = 'x'", "sinks.x.pth"),
        ("[sinks.x]\nkind = 'webhook'\nurl = 'https://example.org'\nsecret = {env = 'NOT_SET_42'}", "sinks.x"),
        ("[substreams.x]\nwhere = 'mag <'", "substreams.x.where"),
    ],
)
def test_a_wrong_configuration_is_told_with_its_key(night, tmp_path, text, told):
    ran = run("run", configured(tmp_path, night[1], text))
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert "Traceback" not in ran.err


def test_exit_codes_are_told_by_help():
    told = run("--help").out
    assert "130" in told
    assert "run and watch end with 0" in told


def test_sighup_changes_parts_and_keeps_the_window(night, tmp_path):
    config = configured(tmp_path, night[1], messages_per_s=100_000)
    with running(config) as service:
        service.until_all_is_played()
        alerts = service.get("/status")[1]["alerts"]
        good = config.read_text()
        config.write_text(good.replace("[sinks.lines]", "[sinks.lnes]\nkynd = 1"))
        service.send(signal.SIGHUP)
        line = service.until_logged("configuration not changed")
        assert "sinks.lnes.kynd" in line["why"]
        assert service.get("/status")[1]["sinks"].keys() == {"lines"}
        before = final_states(published(tmp_path))
        config.write_text(
            good.replace("[substreams.all]", "[substreams.bright]\nwhere = 'object.mag < 15'\n[substreams.all]")
            + "[sinks.second]\nkind = 'json-lines'\npath = 'second.jsonl'\n[matchers.grb]\nenabled = false\n"
        )
        service.send(signal.SIGHUP)
        service.until_logged("configuration changed")
        until(lambda: not any(sink["waiting"] for sink in service.get("/status")[1]["sinks"].values()))
        _, told = service.get("/status")
        assert told["sinks"].keys() == {"lines", "second"}
        assert told["substreams"] == ["all", "bright"]
        assert told["alerts"] == alerts, "the window stays"
        after = final_states(published(tmp_path))
        of_grb = {name for name, c in before.items() if c["matcher"] == "grb" and c["state"] != "withdrawn"}
        assert of_grb
        assert all(after[name]["state"] == "withdrawn" for name in of_grb)
        assert service.stop() == 0
    second = [json.loads(line)["coincidence"] for line in (tmp_path / "second.jsonl").read_text().splitlines()]
    assert {c["id"] for c in second} == of_grb


def test_the_outbox_of_a_sink_that_is_gone_stays_and_is_counted(night, tmp_path):
    text = "[sinks.hook]\nkind = 'webhook'\nurl = 'http://127.0.0.1:9/'\nsecret = {file = 'key'}\n"
    config = configured(tmp_path, night[1], text)
    (tmp_path / "key").write_text("whsec_" + "A" * 32)
    with running(config) as service:
        service.until_logged("part ended")
        waiting = until(lambda: service.get("/status")[1]["sinks"]["hook"]["waiting"])
        config.write_text(config.read_text().replace(text, ""))
        service.send(signal.SIGHUP)
        service.until_logged("configuration changed")
        _, told = service.get("/status")
        assert told["sinks"].keys() == {"lines"}
        assert told["outboxes_without_sink"] == {"hook": waiting}
        assert service.stop() == 0
    with running(config) as service:
        assert service.get("/status")[1]["outboxes_without_sink"] == {"hook": waiting}


class Receiver(BaseHTTPRequestHandler):
    """Takes what a webhook posts."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.had += [entry["coincidence"] for entry in body["data"]]  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def receiver(port: int = 0) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    server.had = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_webhook_that_was_dead_gets_everything_in_order_when_it_is_back(night, tmp_path):
    with receiver() as away:
        port = away.server_port
    text = f"[sinks.hook]\nkind = 'webhook'\nurl = 'http://127.0.0.1:{port}/'\nsecret = {{file = 'key'}}\nbatch = 50\n"
    config = configured(tmp_path, night[1], text)
    (tmp_path / "key").write_text("whsec_" + "A" * 32)
    with running(config, "service.stop_within_s=0.5", measured=False) as service:
        service.until_logged("part ended")
        service.until_logged("not delivered")
        until(lambda: not service.get("/status")[1]["sinks"]["lines"]["waiting"])
        assert service.stop() == 0
        (stopped,) = service.events("stopped")
    sent = published(tmp_path)
    assert stopped["waiting_for_sinks"] == {"hook": len(sent)}
    with receiver(port) as back, running(config, measured=False) as service:
        until(lambda: len(back.had) >= len(sent), "what was waiting")
        assert service.stop() == 0
        assert back.had == sent


PREFIX = """
import os, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
os.execv(sys.argv[2], sys.argv[2:])
"""
STORE_BYTES = 600_000
"""A file may be so long: an empty store fits, the night does not."""


def test_a_full_disk_acknowledges_nothing_and_goes_on_when_there_is_space(night, whole, tmp_path):
    config = configured(tmp_path, night[1], **SLOW)
    prefix = (sys.executable, "-c", PREFIX, str(STORE_BYTES))
    with running(config, prefix=prefix) as service:
        service.until_logged("store cannot be written, trying again")
        status, told = service.get("/readyz")
        assert (status, told["ready"]) == (503, False)
        assert "SQLITE" in told["checks"]["store"]
        kept = len(service.events("batch kept"))
        assert service.get("/healthz")[0] == 200
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        service.until_logged("store can be written again")
        service.until_all_is_played()
        assert len(service.events("batch kept")) > kept
        assert service.get("/readyz")[0] == 200
        assert service.stop() == 0
    assert without_instants(final_states(published(tmp_path))) == without_instants(whole)


def test_a_full_disk_does_not_keep_it_from_ending(night, whole, tmp_path):
    config = configured(tmp_path, night[1], **SLOW)
    prefix = (sys.executable, "-c", PREFIX, str(STORE_BYTES))
    with running(config, "service.stop_within_s=0.5", prefix=prefix, measured=False) as service:
        service.until_logged("store cannot be written, trying again")
        assert service.stop() == 0
        assert service.events("not all is finished in time")
    with running(config, measured=False) as service:
        service.until_all_is_played()
        assert service.stop() == 0
    assert without_instants(final_states(published(tmp_path))) == without_instants(whole)


MATCHER = """
class Broken:
    def __init__(self, name): self.name = name
    def window(self, trigger): raise ZeroDivisionError("a matcher that does not work")
    def match(self, alerts, trigger): return None
"""


def test_a_failure_of_the_engine_ends_it_with_1_and_is_told(night, tmp_path):
    config = configured(tmp_path, night[1], "[matchers.broken]\npython = 'broken.py:Broken'\n")
    (tmp_path / "broken.py").write_text(MATCHER)
    with running(config) as service:
        assert service.ended() == 1
    (line,) = service.events("the engine failed: restart restores what is stored")
    assert line["level"] == "critical"
    assert "a matcher that does not work" in line["exception"]
