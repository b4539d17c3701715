"""What systemd is told, over a real datagram socket."""

import asyncio
import os
import socket
import sys
import uuid
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from broker.service_manager import ServiceManager

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no Unix sockets here")


@pytest.fixture(params=["path", "abstract"])
def manager_socket(request, tmp_path, monkeypatch):
    """The socket of a service manager, and its name as systemd gives it."""
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("abstract sockets are Linux's")
    monkeypatch.chdir(tmp_path)  # a path in the temporary folder may be too long for a socket
    name = f"@starcross-{uuid.uuid4()}" if request.param == "abstract" else "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(name.replace("@", "\0"))
        listening.settimeout(30)
        yield name, listening


def told(listening: socket.socket) -> list[str]:
    return listening.recv(4096).decode().split("\n")


def test_it_is_told_what_happens(manager_socket):
    name, listening = manager_socket
    manager = ServiceManager.of_environment({"NOTIFY_SOCKET": name})
    manager.ready()
    assert told(listening) == ["READY=1", "STATUS=running"]
    manager.status("3 sources\n2 sinks")
    assert told(listening) == ["STATUS=3 sources 2 sinks"]
    manager.reloading()
    kind, instant = told(listening)
    assert kind == "RELOADING=1"
    assert instant.startswith("MONOTONIC_USEC=")
    manager.ready("reloaded")
    assert told(listening) == ["READY=1", "STATUS=reloaded"]
    manager.stopping()
    assert told(listening) == ["STOPPING=1", "STATUS=stopping"]


async def test_the_watchdog_hears_from_the_loop_only_while_all_is_well(manager_socket):
    name, listening = manager_socket
    listening.setblocking(False)
    manager = ServiceManager.of_environment({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2000"})
    asked = asyncio.Event()
    healthy = True

    def well() -> bool:
        asked.set()
        return healthy

    task = asyncio.create_task(manager.watch(well))
    await asyncio.wait_for(asked.wait(), 30)
    assert told(listening) == ["WATCHDOG=1"]
    healthy = False
    with suppress(BlockingIOError):  # what was told before
        while told(listening):
            pass
    asked.clear()
    await asyncio.wait_for(asked.wait(), 30)
    with pytest.raises(BlockingIOError):
        told(listening)
    task.cancel()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": "notify"},
        {"WATCHDOG_USEC": "2000"},
        {"NOTIFY_SOCKET": "notify", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "notify", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "notify", "WATCHDOG_USEC": "2000", "WATCHDOG_PID": "1"},
    ],
    ids=lambda environment: " ".join(environment) or "nothing",
)
async def test_without_a_watchdog_for_us_there_is_nothing_to_do(environment):
    await asyncio.wait_for(ServiceManager.of_environment(environment).watch(), 30)


def test_the_watchdog_may_be_meant_for_us_by_name():
    environment = {"NOTIFY_SOCKET": "notify", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}
    assert ServiceManager.of_environment(environment)._watchdog_s == 3.0


def test_without_a_manager_nobody_is_told():
    with capture_logs() as logs:
        ServiceManager.of_environment({}).ready()
    assert logs == []


def test_a_manager_that_is_not_there_is_logged_and_ends_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with capture_logs() as logs:
        ServiceManager("absent").stopping()
    assert [entry["what"] for entry in logs] == ["STOPPING=1"]
