"""One loop for all; each run in a process of its own, since a reactor is for a whole life."""

import subprocess
import sys

import pytest

from broker.event_loop import run_service
from tests.conftest import PROJECT


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program with warnings as errors; it must end by itself and say nothing on standard error."""
    command = [
        sys.executable,
        "-W",
        "error",
        "-W",
        "ignore::SyntaxWarning",
        "-W",
        "ignore:invalid escape",
        "-c",
        program,
    ]
    return subprocess.run(command, check=False, cwd=PROJECT, capture_output=True, text=True, timeout=60)


def test_the_exit_code_is_that_of_the_service():
    async def main() -> int:
        return 7

    assert run_service(main) == 7


def test_what_the_service_raises_is_raised():
    async def main() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_service(main)


def test_without_vtp_the_reactor_is_not_imported():
    """(structlog imports the logger of a Twisted that is there, but nothing of its network.)"""
    done = run("""
import sys
from broker.event_loop import run_service
import bridges.vtp_in.options, bridges.vtp_in.handover
async def main():
    return int(any(name.startswith(("twisted.internet", "comet")) for name in sys.modules))
sys.exit(run_service(main))
""")
    assert (done.returncode, done.stderr) == (0, "")


TALK = """
import asyncio, sys
from broker.event_loop import run_service

async def main():
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred
    from twisted.internet.threads import deferToThread
    from twisted.internet.protocol import Factory, Protocol
    loop = asyncio.get_running_loop()
    print(type(loop).__module__, type(reactor).__name__)
    fired = loop.create_future()
    reactor.callLater(0.01, fired.set_result, "timer")
    print(await fired)
    print(await deferToThread(lambda: "thread").asFuture(loop))
    class Echo(Protocol):
        def dataReceived(self, data):
            self.transport.write(data)
    port = reactor.listenTCP(0, Factory.forProtocol(Echo), interface="127.0.0.1")
    reader, writer = await asyncio.open_connection("127.0.0.1", port.getHost().port)
    writer.write(b"tcp")
    print((await reader.readexactly(3)).decode())
    writer.close()
    ENDING
    return 3

sys.exit(run_service(main, with_reactor=True))
"""


def test_twisted_and_asyncio_share_the_loop_and_end_together():
    done = run(TALK.replace("ENDING", ""))
    assert (done.returncode, done.stderr) == (3, "")
    loop, *rest = done.stdout.splitlines()
    assert loop.split() == ["uvloop" if sys.platform != "win32" else "asyncio", "LoopReactor"]
    assert rest == ["timer", "thread", "tcp"]


def test_a_service_that_fails_ends_the_reactor_too():
    done = run(TALK.replace("ENDING", "raise ZeroDivisionError('of the service')"))
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ZeroDivisionError: of the service")
    assert "unclosed" not in done.stderr


def test_ctrl_c_ends_it():
    done = run("""
import asyncio, os, signal, sys
from broker.event_loop import run_service
async def main():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)
    finally:
        print("ended cleanly")
try:
    run_service(main, with_reactor=True)
except KeyboardInterrupt:
    sys.exit(130)
""")
    assert (done.returncode, done.stdout, done.stderr) == (130, "ended cleanly\n", "")


def test_failures_inside_twisted_are_logged():
    done = run("""
import asyncio, sys
from broker.event_loop import run_service
async def main():
    from twisted.internet import defer, reactor
    from twisted.logger import Logger
    Logger().info("chatter")
    Logger().warn("a warning")
    reactor.callLater(0, lambda: 1 / 0)
    await asyncio.sleep(0.05)
    return 0
sys.exit(run_service(main, with_reactor=True))
""")
    assert done.returncode == 0
    said = done.stdout + done.stderr
    assert "chatter" not in said
    assert "a warning" in said
    assert "ZeroDivisionError" in said
