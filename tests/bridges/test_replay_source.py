"""Files of past nights, played as a live source."""

import os
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridges.replay_source import ReplayOptions, ReplaySource
from schemas.errors import ConfigurationError
from tests.bridges.conformance import Keeper, SourceBench, SourceConformance


class ReplayBench(SourceBench):
    """A folder of files, named in the order in which they were brought."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        (folder / "files").mkdir()

    def make(self, **options: object) -> ReplaySource:
        return ReplaySource(ReplayOptions(paths=[Path("files")], **options), self.folder)

    async def bring(self, *bodies: bytes) -> None:
        for body in bodies:
            (self.folder / "files" / f"{self.count:04}.xml").write_bytes(body)
            self.count += 1


@pytest.fixture
def bench(tmp_path):
    return ReplayBench(tmp_path)


class TestConformance(SourceConformance):
    # It ends by itself, and does not see what comes while it plays.
    test_messages_come_with_where_they_came_from = None
    test_it_does_not_read_on_while_a_batch_waits = None

    @pytest.mark.parametrize("busy", [True], ids=["in emit"])
    async def test_it_stops_when_cancelled(self, bench, busy):
        await super().test_it_stops_when_cancelled(bench, busy)


async def test_origins_begin_with_the_name_of_the_given_folder(bench):
    await bench.bring(b"<one/>")
    emit = Keeper()
    await bench.make().run(emit)
    assert [message.origin for message in emit.messages] == ["files/0000.xml"]


def archive(path: Path, bodies: list[bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for number, body in enumerate(bodies):
            member = tarfile.TarInfo(f"{number}.xml")
            member.size = len(body)
            tar.addfile(member, BytesIO(body))


async def test_it_goes_on_within_an_archive_and_plays_files_that_are_new(bench):
    bodies = [f"<n{number}/>".encode() for number in range(7)]
    archive(bench.folder / "files" / "m.tar", bodies)
    emit = Keeper()

    async def three(messages, positions):
        if len(emit.messages) == 3:
            raise TimeoutError
        return await emit(messages, positions)

    three.positions = {}
    with pytest.raises(TimeoutError):
        await bench.make(batch_messages=3).run(three)
    assert emit.bodies == bodies[:3]
    assert emit.positions == {"files/m.tar": 3}
    (bench.folder / "files" / "a.xml").write_bytes(b"<a/>")
    await bench.make(batch_messages=3).run(emit)
    assert emit.bodies == [*bodies[:3], b"<a/>", *bodies[3:]]
    await bench.make().run(emit)
    assert len(emit.bodies) == 8


async def test_files_of_the_same_name_in_different_folders_are_different(tmp_path):
    for folder in ("a/night", "b/night"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "x.xml").write_bytes(folder.encode())
    source = ReplaySource(ReplayOptions(paths=[Path("a/night"), Path("b/night")]), tmp_path)
    emit = Keeper({"a/night/x.xml": 1})
    await source.run(emit)
    assert emit.bodies == [b"b/night"]


async def test_a_file_that_cannot_be_read_is_told_and_left_out(bench):
    await bench.bring(b"<one/>")
    (bench.folder / "files" / "0001.tar").write_bytes(b"x" * 512)
    (bench.folder / "files" / "big.xml").write_bytes(b"x" * ((1 << 20) + 1))
    await bench.bring()
    emit = Keeper()
    with capture_logs() as lines:
        await bench.make(message_mib=1).run(emit)
    assert b"<one/>" in emit.bodies
    assert "files/big.xml" in {line.get("origin") for line in lines}


async def test_names_of_files_need_not_be_text(bench):
    (bench.folder / "files" / os.fsdecode(b"\xff.xml")).write_bytes(b"<one/>")
    emit = Keeper()
    await bench.make().run(emit)
    for text in (*emit.positions, emit.messages[0].origin):
        text.encode()


async def test_the_rate_is_kept_on_average(bench):
    await bench.bring(*(b"<n/>" for _ in range(6)))
    now_s, pauses = 0.0, []

    async def sleep(pause_s: float) -> None:
        nonlocal now_s
        now_s += pause_s
        pauses.append(pause_s)

    options = ReplayOptions(paths=[Path("files")], messages_per_s=4, batch_messages=2)
    emit = Keeper()
    await ReplaySource(options, bench.folder, clock=lambda: now_s, sleep=sleep).run(emit)
    assert pauses == pytest.approx([0.5, 0.5, 0.5])
    assert len(emit.messages) == 6


async def test_a_check_tells_what_there_is(bench):
    await bench.bring(b"<one/>", b"<two/>")
    assert await bench.make().check() == "2 files, 0.0 MiB"
    with pytest.raises(ConfigurationError, match="no such file"):
        await ReplaySource(ReplayOptions(paths=[Path("nowhere")]), bench.folder).check()
