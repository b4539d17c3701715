"""Comet itself, as its own process, at the other end."""

import asyncio
import re
import shutil
import sys
import tarfile
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

import pytest
from lxml import etree

from bridges.emit import NOWHERE
from bridges.simulator import NightPlan, simulate
from bridges.vtp_in.handover import Outcome
from bridges.vtp_in.options import VtpReceiverOptions, VtpSubscriberOptions
from schemas.records import Receipt, Rejection
from tests.bridges.conformance import Keeper, running
from tests.bridges.vtp_in.peers import PATIENCE_S, UTCNOW, framed, role_of, submit, until, valid_event
from tests.children import unmeasured

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.filterwarnings(UTCNOW),
    pytest.mark.xdist_group("comet"),
]

BIN = Path(sys.executable).parent
"""Where the commands of Comet and Twisted are."""
MOST_OF_A_FLOOD = 1500


class Comet:
    """A running Comet: where authors submit, where subscribers come, and what it says."""

    def __init__(self) -> None:
        self.receives = self.broadcasts = ""
        self.said: list[str] = []

    async def listen(self, output: asyncio.StreamReader) -> None:
        """Note what it says."""
        async for line in output:
            text = line.decode(errors="replace")
            self.said.append(text)
            if found := re.search(r"VOEvent(\w+)Factory \(WhitelistingFactory\) starting on (\d+)", text):
                setattr(self, {"Receiver": "receives", "Broadcaster": "broadcasts"}[found[1]], f"127.0.0.1:{found[2]}")

    def heard(self, text: str) -> int:
        """In how many lines it said so."""
        return sum(text in line for line in self.said)


@asynccontextmanager
async def comet(folder: Path):
    if not (BIN / "twist").exists():
        pytest.skip("there is no command twist beside this Python")
    (folder / "eventdb").mkdir()
    process = await asyncio.create_subprocess_exec(
        BIN / "twist", "--log-format=text", "comet", "--verbose", "--local-ivo=ivo://test.example/comet", "--receive",
        "--receive-port=0", "--broadcast", "--broadcast-port=0", "--broadcast-test-interval=0",
        f"--eventdb={folder / 'eventdb'}", cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=unmeasured(),
    )  # fmt: skip
    made = Comet()
    listening = asyncio.create_task(made.listen(process.stdout))
    try:
        await until(lambda: made.heard("Starting reactor") and made.receives and made.broadcasts)
        yield made
    finally:
        process.kill()
        await process.wait()
        await listening


def for_comet(bodies: list[bytes]) -> list[bytes]:
    """Those that Comet itself takes: valid, of VOEvent 2.0, each IVORN once, and no larger than it can."""
    parse_ivoid = import_module("comet.utility.voevent").parse_ivoid
    schema = etree.XMLSchema(etree.parse(Path(sys.modules["comet"].__file__).parent / "schema/VOEvent-v2.0.xsd"))
    good: dict[str, bytes] = {}
    for body in bodies:
        try:
            root = etree.fromstring(body)
            local = parse_ivoid(root.get("ivorn", ""))[2]
        except Exception:  # noqa: BLE001, S112 - Comet raises that
            continue
        if local and schema.validate(root) and len(body) < 99_999:
            good.setdefault(root.get("ivorn"), body)
    return list(good.values())


@pytest.fixture(scope="session")
def simulated() -> list[bytes]:
    return [timed.message.body for timed in simulate(3, NightPlan().scaled(0.3)).notices()]


@pytest.fixture
def curated(data_dir) -> list[bytes]:
    return [path.read_bytes() for path in sorted((data_dir / "voevent/curated").rglob("*.xml"))]


@pytest.fixture
def month(data_dir) -> list[bytes]:
    with tarfile.open(data_dir / "voevent/tarballs/2023-10.001.tar.bz2") as tar:
        members = (tar.extractfile(member) for member in tar if member.isfile())
        return [member.read() for _, member in zip(range(2 * MOST_OF_A_FLOOD), members, strict=False) if member]


async def all_submitted(address: str, bodies: list[bytes], at_once: int = 8) -> list[str]:
    """What became of each."""
    limit = asyncio.Semaphore(at_once)

    async def one(body: bytes) -> str:
        async with limit:
            answer = await submit(address, framed(body))
            return role_of(answer) if answer is not None else "nothing"

    return await asyncio.gather(*map(one, bodies))


def subscriber(subscribing, folder: Path, comet_: Comet, *filters: str, observe=lambda _: None):
    options = VtpSubscriberOptions.model_validate(
        {"remotes": [{"address": comet_.broadcasts, "filters": filters}], "local_ivo": "ivo://test.example/us"}
    )
    return subscribing.VtpSubscriberSource(options, folder, observe=observe)


@pytest.mark.not_measured
@pytest.mark.parametrize("packets", ["simulated", "curated", "month"])
async def test_a_flood_through_comet_arrives_byte_for_byte(subscribing, tmp_path, request, packets):
    bodies = for_comet(request.getfixturevalue(packets))[:MOST_OF_A_FLOOD]
    assert len(bodies) >= 40
    emit = Keeper()
    async with comet(tmp_path) as broker, running(subscriber(subscribing, tmp_path, broker), emit):
        await until(lambda: broker.heard("Authentication received"))
        # One after the other: its event database refuses everything at times when several come at once.
        assert set(await all_submitted(broker.receives, bodies, at_once=1)) == {"ack"}
        await emit.until_kept(*bodies)
        await until(lambda: broker.heard("Ack received") == len(bodies))
        assert broker.heard("Nak received") == 0
    assert sorted(emit.bodies) == sorted(bodies)


async def test_comet_keeps_to_our_filters(subscribing, tmp_path):
    emit = Keeper()
    filters = "/*[local-name()='VOEvent' and @role='test']", "//Param[@name='kind' and @value='burst']"
    wanted = [valid_event(1, role="test"), valid_event(2, kind="burst")]
    async with comet(tmp_path) as broker, running(subscriber(subscribing, tmp_path, broker, *filters), emit):
        await until(lambda: broker.heard("Authentication received"))
        await until(lambda: broker.heard("Installing filter") == 2)
        others = [valid_event(3), valid_event(4, kind="none")]
        assert set(await all_submitted(broker.receives, [*others, *wanted], at_once=1)) == {"ack"}
        await emit.until_kept(*wanted)
    assert sorted(emit.bodies) == sorted(wanted)


async def test_comet_goes_on_with_us_after_we_rejected_an_event(subscribing, tmp_path):
    outcomes = []

    async def rejecting(messages, _positions=None):
        return Receipt(0, tuple(Rejection(m.origin, "malformed", "it is bad") for m in messages))

    async with comet(tmp_path) as broker:
        source = subscriber(subscribing, tmp_path, broker, observe=outcomes.append)
        async with running(source, rejecting):
            await until(lambda: broker.heard("Authentication received"))
            for number in range(3):
                assert await all_submitted(broker.receives, [valid_event(number)]) == ["ack"]
                await until(lambda n=number: len(outcomes) == n + 1)
            await until(lambda: broker.heard("Ack received") == 3)
    assert outcomes == [Outcome.REJECTED] * 3


async def test_comet_as_author(receiving, tmp_path):
    """`comet-sendvo` succeeds when the event is kept, and fails with our reason when it is not."""
    if shutil.which(BIN / "comet-sendvo") is None:
        pytest.skip("there is no command comet-sendvo beside this Python")

    class Judging(Keeper):
        async def __call__(self, messages, positions=NOWHERE):
            await super().__call__(messages, positions)
            bad = [Rejection(m.origin, "bad_time", "that was never") for m in messages if m.body == valid_event(2)]
            return Receipt(len(messages) - len(bad), tuple(bad))

    async def send(address: str, body: bytes) -> str:
        process = await asyncio.create_subprocess_exec(
            BIN / "comet-sendvo", "--host=127.0.0.1", f"--port={address.rpartition(':')[2]}",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env=unmeasured(),
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE_S):
            said, _ = await process.communicate(body)
        return said.decode()

    options = VtpReceiverOptions(port=0, local_ivo="ivo://test.example/us")
    source = receiving.VtpReceiverSource(options, tmp_path)
    emit = Judging()
    async with running(source, emit):
        await until(lambda: source.status().address)
        good, bad = [await send(source.status().address, valid_event(number)) for number in (1, 2)]
    assert "Event was sent successfully" in good
    assert "Event was NOT sent successfully" in bad
    assert "bad_time: that was never" in bad
    assert emit.bodies == [valid_event(1), valid_event(2)]
