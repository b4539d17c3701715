import asyncio
import io
import os
import socket
import tarfile
from pathlib import Path

import pytest
import watchfiles
from pydantic import ValidationError

from bridges.drop_folder import BATCH_ITEMS, DropFolderOptions, DropFolderSource
from schemas.records import Rejection
from tests.bridges.conformance import PATIENCE_S, Keeper, SourceBench, SourceConformance, running


class Reports:
    def __init__(self) -> None:
        self.rejections: list[Rejection] = []

    def unreadable(self, rejection: Rejection) -> None:
        self.rejections.append(rejection)


class DropBench(SourceBench):
    def __init__(self, folder: Path, **options) -> None:
        self.folder = folder / "in"
        self.folder.mkdir()
        self.options = DropFolderOptions(**{"path": "in", "settle_s": 0, "rescan_s": 0.2} | options)
        self.reports = Reports()
        self.count = 0

    def make(self) -> DropFolderSource:
        return DropFolderSource(self.options, self.folder.parent, observe=self.reports)

    async def bring(self, *bodies: bytes) -> None:
        for body in bodies:
            self.count += 1
            self.drop(f"{self.count:06}.xml", body)

    def drop(self, name: str, body: bytes) -> Path:
        """As rsync does: a hidden file, and then its name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.x7Gh2k")
        partial.write_bytes(body)
        return partial.rename(path)

    def names(self) -> list[str]:
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())


async def until(condition) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - of files
            await asyncio.sleep(0.01)


@pytest.fixture
def drop(tmp_path):
    return DropBench(tmp_path)


class TestKept(SourceConformance):
    @pytest.fixture
    def bench(self, tmp_path):
        return DropBench(tmp_path)


class TestDeleted(SourceConformance):
    @pytest.fixture
    def bench(self, tmp_path):
        return DropBench(tmp_path, after="delete")


class TestMoved(SourceConformance):
    @pytest.fixture
    def bench(self, tmp_path):
        return DropBench(tmp_path, after="move", done="in/done")


def tar_of(**members: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


async def test_files_archives_and_folders_in_order_of_name(drop):
    drop.drop("b/night.tar.gz", tar_of(x=b"<x/>", y=b"<y/>"))
    drop.drop("c.xml", b"<c/>")
    drop.drop("a.xml", b"<a/>")
    emit = Keeper()
    async with running(drop.make(), emit):
        await emit.until_kept(b"<c/>")
    assert [message.origin for message in emit.messages] == [
        "in/a.xml",
        "in/b/night.tar.gz/x",
        "in/b/night.tar.gz/y",
        "in/c.xml",
    ]
    assert set(emit.positions) == {"a.xml", "b/night.tar.gz", "c.xml"}
    assert drop.names() == ["a.xml", "b/night.tar.gz", "c.xml"]


async def test_many_files_come_in_few_batches(drop):
    bodies = [f"<n{number}/>".encode() for number in range(BATCH_ITEMS)]
    await drop.bring(*bodies)
    emit = Keeper()
    async with running(drop.make(), emit):
        await emit.until_kept(*bodies)
    assert emit.bodies == bodies
    assert len(emit.batches) == 2
    assert max(map(len, emit.batches)) <= BATCH_ITEMS


async def test_large_files_come_in_bounded_batches(drop, monkeypatch):
    monkeypatch.setattr("bridges.drop_folder.BATCH_BYTES", 100)
    await drop.bring(b"a" * 60, b"b" * 60, b"c" * 60)
    drop.drop("x.tar.gz", tar_of(**{name: name.encode() * 60 for name in "def"}))
    emit = Keeper()
    async with running(drop.make(), emit):
        await emit.until_kept(b"f" * 60)
    assert [len(batch) for batch in emit.batches] == [2, 2, 2]


async def test_a_file_is_not_remembered_before_all_of_it_is_kept(drop, monkeypatch):
    monkeypatch.setattr("bridges.drop_folder.BATCH_ITEMS", 1)
    drop.drop("x.tar.gz", tar_of(a=b"<a/>", b=b"<b/>"))
    emit = Keeper()
    async with running(drop.make(), emit):
        await emit.until(lambda: len(emit.messages) == 1)
        assert not emit.positions
        await emit.until(lambda: emit.positions)
    assert emit.bodies == [b"<a/>", b"<b/>"]


async def test_a_changed_file_is_taken_again(drop):
    emit = Keeper()
    async with running(drop.make(), emit):
        drop.drop("a.xml", b"<a/>")
        await emit.until_kept(b"<a/>")
        drop.drop("a.xml", b"<changed/>")
        await emit.until_kept(b"<changed/>")
    after = Keeper(emit.positions)
    drop.drop("a.xml", b"<once more/>")
    async with running(drop.make(), after):
        await after.until_kept(b"<once more/>")
    assert after.bodies == [b"<once more/>"]


async def test_a_growing_file_is_waited_for(tmp_path):
    drop = DropBench(tmp_path, settle_s=0.5)
    emit = Keeper()
    async with running(drop.make(), emit):
        with (drop.folder / "a.xml").open("wb", buffering=0) as file:
            for _ in range(20):
                file.write(b"x")
                await asyncio.sleep(0.05)
        await emit.until_kept(b"x" * 20)
    assert emit.bodies == [b"x" * 20]


@pytest.mark.parametrize("name", [".a.xml.Xk2j1s", ".~tmp~/a.xml", "a.xml.part", "a.xml.filepart", "a.xml~", "a.tmp"])
async def test_unfinished_files_are_not_looked_at(drop, name):
    path = drop.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"<half/>")
    drop.drop("z.xml", b"<z/>")
    emit = Keeper()
    async with running(drop.make(), emit):
        await emit.until_kept(b"<z/>")
    assert emit.bodies == [b"<z/>"]


async def test_links_and_special_files_are_not_taken(drop, tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "b").write_bytes(b"secret")
    (drop.folder / "link").symlink_to(tmp_path / "secret")
    (drop.folder / "links").symlink_to(tmp_path / "outside")
    (drop.folder / "dangling").symlink_to(tmp_path / "nothing")
    os.mkfifo(drop.folder / "pipe")
    drop.drop("z.xml", b"<z/>")
    emit = Keeper()
    async with running(drop.make(), emit):
        await emit.until_kept(b"<z/>")
    assert emit.bodies == [b"<z/>"]
    assert not drop.reports.rejections


@pytest.mark.parametrize("what", ["link", "pipe", "socket", "nothing"])
async def test_what_takes_the_place_of_a_file_at_the_last_moment(drop, tmp_path, what, monkeypatch):
    (tmp_path / "secret").write_bytes(b"secret")
    drop.drop("a.xml", b"<a/>")
    real, path = os.open, drop.folder / "a.xml"
    monkeypatch.chdir(drop.folder)

    def swap(name, *args):
        if name == path and not path.is_symlink():
            path.unlink(missing_ok=True)
            if what == "link":
                path.symlink_to(tmp_path / "secret")
            elif what == "pipe":
                os.mkfifo(path)
            elif what == "socket":
                with socket.socket(socket.AF_UNIX) as made:
                    made.bind("a.xml")
        return real(name, *args)

    monkeypatch.setattr(os, "open", swap)
    emit = Keeper()
    async with running(drop.make(), emit):
        await until(lambda: drop.reports.rejections)
    assert not emit.bodies
    assert drop.reports.rejections[0].origin == "in/a.xml"


async def test_what_cannot_be_read_is_reported_once_and_stays(tmp_path):
    drop = DropBench(tmp_path, after="delete")
    torn = tar_of(a=b"<a/>", b=os.urandom(100_000))[:50_000]
    drop.drop("torn.tar.gz", torn)
    emit = Keeper()
    async with running(drop.make(), emit):
        await emit.until(lambda: emit.positions)
        drop.drop("z.xml", b"<z/>")
        await emit.until_kept(b"<z/>")
        await until(lambda: drop.names() == ["torn.tar.gz"])
    assert [rejection.reason for rejection in drop.reports.rejections] == ["corrupt"]
    assert emit.bodies == [b"<a/>", b"<z/>"]
    again = Keeper(emit.positions)
    drop.drop("z.xml", b"<zz/>")
    async with running(drop.make(), again):
        await again.until_kept(b"<zz/>")
    assert again.bodies == [b"<zz/>"]
    assert len(drop.reports.rejections) == 1


async def test_too_large_a_file(drop):
    drop.drop("a.xml", b"x" * 101)
    source = DropFolderSource(drop.options, drop.folder.parent, bytes_max=100)
    drop.drop("b.xml", b"x" * 100)
    emit = Keeper()
    async with running(source, emit):
        await emit.until_kept(b"x" * 100)
    assert emit.bodies == [b"x" * 100]
    assert set(emit.positions) == {"a.xml", "b.xml"}


async def test_taken_files_are_deleted(tmp_path):
    drop = DropBench(tmp_path, after="delete")
    await drop.bring(b"<a/>", b"<b/>")
    emit = Keeper()
    async with running(drop.make(), emit):
        await until(lambda: not drop.names())
        drop.drop("000001.xml", b"<c/>")
        await emit.until_kept(b"<c/>")
        await until(lambda: not drop.names())
    assert emit.bodies == [b"<a/>", b"<b/>", b"<c/>"]
    assert not emit.positions


async def test_nothing_is_deleted_that_was_not_kept(tmp_path):
    drop = DropBench(tmp_path, after="delete")
    await drop.bring(b"<a/>")
    emit = Keeper()
    emit.gate.clear()
    async with running(drop.make(), emit):
        await emit.until(lambda: emit.calls)
        drop.drop("000001.xml", b"<changed meanwhile/>")
        emit.gate.set()
        await emit.until_kept(b"<changed meanwhile/>")
    assert emit.bodies == [b"<a/>", b"<changed meanwhile/>"]


async def test_taken_files_are_moved_and_none_is_overwritten(tmp_path):
    drop = DropBench(tmp_path, after="move", done="done/of")
    done = tmp_path / "done" / "of"
    emit = Keeper()
    async with running(drop.make(), emit):
        drop.drop("sub/a.xml", b"<1/>")
        await until((done / "sub" / "a.xml").exists)
        drop.drop("sub/a.xml", b"<22/>")
        await emit.until_kept(b"<22/>")
        await until(lambda: not drop.names())
    assert sorted(path.read_bytes() for path in (done / "sub").iterdir()) == [b"<1/>", b"<22/>"]


async def test_what_cannot_be_cleared_away_is_not_taken_again(tmp_path):
    (tmp_path / "done").write_text("in the way")
    drop = DropBench(tmp_path, after="move", done="done")
    await drop.bring(b"<a/>")
    emit = Keeper()
    async with running(drop.make(), emit):
        await emit.until_kept(b"<a/>")
        await drop.bring(b"<b/>")
        await emit.until_kept(b"<b/>")
    assert emit.bodies == [b"<a/>", b"<b/>"]


async def test_patterns_and_depth(tmp_path):
    drop = DropBench(tmp_path, patterns=("*.xml", "?.json"), recursive=False)
    for name in ("a.xml", "b.json", "cc.json", "d.txt", "sub/e.xml"):
        drop.drop(name, name.encode())
    emit = Keeper()
    async with running(drop.make(), emit):
        await emit.until_kept(b"a.xml", b"b.json")
    assert emit.bodies == [b"a.xml", b"b.json"]


async def test_names_that_are_no_text(drop):
    (drop.folder / os.fsdecode(b"caf\xe9.xml")).write_bytes(b"<a/>")
    emit = Keeper()
    async with running(drop.make(), emit):
        await emit.until_kept(b"<a/>")
    assert emit.messages[0].origin == "in/caf\\xe9.xml"
    assert list(emit.positions) == ["caf\\xe9.xml"]


async def test_a_folder_that_is_not_there_is_waited_for(drop):
    drop.folder.rmdir()
    emit = Keeper()
    async with running(drop.make(), emit):
        await asyncio.sleep(0)
        drop.folder.mkdir()
        await drop.bring(b"<a/>")
        await emit.until_kept(b"<a/>")
        drop.folder.rename(drop.folder.with_name("away"))
        drop.folder.mkdir()
        await drop.bring(b"<b/>")
        await emit.until_kept(b"<b/>")


async def test_a_folder_below_that_cannot_be_listed_hinders_nothing(drop, monkeypatch):
    drop.drop("closed/a.xml", b"<a/>")
    drop.drop("b.xml", b"<b/>")
    real = os.scandir

    def scandir(folder):
        if Path(folder).name == "closed":
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    emit = Keeper()
    async with running(drop.make(), emit):
        await emit.until_kept(b"<b/>")
        monkeypatch.undo()
        await emit.until_kept(b"<a/>")


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
async def test_changes_are_told_by_the_system_or_found(tmp_path, monkeypatch, told):
    drop = DropBench(tmp_path, rescan_s=3600 if told else 0.1)
    if not told:

        def no_watch(*_, **__):
            raise OSError(28, "inotify watch limit reached")

        monkeypatch.setattr(watchfiles, "watch", no_watch)
    emit = Keeper()
    await drop.bring(b"<a/>")
    async with running(drop.make(), emit):
        await emit.until_kept(b"<a/>")
        async with asyncio.timeout(PATIENCE_S):
            while b"<b/>" not in emit.bodies:  # again, should the watch not stand yet
                drop.drop("b.xml", b"<b/>")
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("steps", range(6))
async def test_it_ends_though_something_changes_just_then(tmp_path, monkeypatch, steps):
    wakers, looks = [], []
    real = DropFolderSource._look

    async def look(self):
        found = await real(self)
        looks.append(found)
        return found

    monkeypatch.setattr(DropFolderSource, "_look", look)
    monkeypatch.setattr(DropFolderSource, "_watch", lambda _, wake, __: wakers.append(wake))
    source = asyncio.create_task(DropBench(tmp_path, rescan_s=3600).make().run(Keeper()))
    await until(lambda: looks)
    await asyncio.sleep(0.01)
    wakers[0]()
    for _ in range(steps):
        await asyncio.sleep(0)
    source.cancel()
    done, _ = await asyncio.wait([source], timeout=PATIENCE_S)
    assert done
    assert source.cancelled()


@pytest.mark.parametrize(
    "wrong", [{"after": "move"}, {"done": "x"}, {"after": "delete", "done": "x"}, {"after": "burn"}, {"settle_s": -1}]
)
def test_options_that_make_no_sense(wrong):
    with pytest.raises(ValidationError):
        DropFolderOptions(path="in", **wrong)
