import bz2
import gzip
import io
import lzma
import random
import tarfile

import pytest

from bridges.files import find_files, read_files
from schemas.errors import ConfigurationError
from schemas.records import Message, Rejection


def tar_of(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        folder = tarfile.TarInfo("night")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


MEMBERS = {"night/a.avro": b"A" * 1000, "night/b.xml": b"<b/>", "night/empty": b""}


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("n.tar", bytes),
        ("n.tar.gz", gzip.compress),
        ("n.tar.bz2", bz2.compress),
        ("n.tar.xz", lzma.compress),
        ("no-ending", bytes),
        ("no-ending-gz", gzip.compress),
    ],
)
def test_archive_gives_each_member(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(tar_of(MEMBERS)))
    seen = list(read_files(find_files([tmp_path / name])))
    assert [(m.origin, m.body) for m in seen if isinstance(m, Message)] == [
        (f"{name}/{member}", body) for member, body in MEMBERS.items()
    ]


def test_folder_is_read_in_order_of_names_and_each_file_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "night"
    (folder / "sub").mkdir(parents=True)
    for name in ("b", "a", "sub/c"):
        (folder / name).write_bytes(name.encode())
    files = find_files([folder.relative_to(tmp_path), folder / "a"])
    assert [f.label for f in files] == ["night/a", "night/b", "night/sub/c"]
    assert [m.body for m in read_files(files)] == [b"a", b"b", b"sub/c"]


def test_absolute_paths_leave_no_trace(tmp_path):
    (tmp_path / "x").write_bytes(b"1")
    assert [f.label for f in find_files([tmp_path / "x"])] == ["x"]
    assert str(tmp_path.parent) not in find_files([tmp_path])[0].label


def test_gzip_file_that_is_no_archive_is_one_message(tmp_path):
    body = gzip.compress(b"SIMPLE  =")
    (tmp_path / "map.fits.gz").write_bytes(body)
    assert [m.body for m in read_files(find_files([tmp_path]))] == [body]


def test_missing_path_is_the_callers_mistake(tmp_path):
    with pytest.raises(ConfigurationError, match="no such file or folder"):
        find_files([tmp_path / "nothing"])


@pytest.mark.parametrize(("kept", "whole_members"), [(0.0001, 0), (0.3, 5), (0.95, 18)])
def test_broken_archive_keeps_what_was_read(tmp_path, kept, whole_members):
    bodies = [random.Random(i).randbytes(5000) for i in range(20)]
    whole = gzip.compress(tar_of({f"{i}": body for i, body in enumerate(bodies)}), mtime=0)
    (tmp_path / "n.tar.gz").write_bytes(whole[: int(kept * len(whole)) + 1])
    *messages, last = read_files(find_files([tmp_path]))
    assert isinstance(last, Rejection)
    assert last.reason == "corrupt"
    assert len(messages) >= whole_members
    assert [m.body for m in messages] == bodies[: len(messages)]


def test_what_is_too_large_is_named_and_the_rest_read(tmp_path):
    (tmp_path / "big").write_bytes(b"0" * 101)
    (tmp_path / "n.tar").write_bytes(tar_of({"big": b"0" * 101, "small": b"1"}))
    read = list(read_files(find_files([tmp_path]), bytes_max=100))
    assert [r.origin.split("/", 1)[1] for r in read if isinstance(r, Rejection)] == ["big", "n.tar/big"]
    assert [m.body for m in read if isinstance(m, Message)] == [b"1"]


def test_progress_adds_up_to_the_bytes_on_disk(tmp_path):
    (tmp_path / "a").write_bytes(b"0" * 1234)
    (tmp_path / "n.tar").write_bytes(tar_of(MEMBERS))
    files = find_files([tmp_path])
    steps: list[int] = []
    list(read_files(files, on_progress=steps.append))
    assert 1234 < sum(steps) <= sum(f.size for f in files)


def test_file_that_vanishes_is_rejected_and_the_rest_read(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(name.encode())
    files = find_files([tmp_path])
    (tmp_path / "a").unlink()
    first, second = read_files(files)
    assert isinstance(first, Rejection)
    assert isinstance(second, Message)
