"""Broken, lying and attacking files beside good ones: each is rejected by name, and the good ones are found."""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections import defaultdict
from pathlib import Path

import pytest

from schemas.errors import Reason
from tests.children import unmeasured
from tests.e2e.conftest import lines_of, run
from tests.e2e.hostile_inputs import ALERTS, GOOD_ALERT, GOOD_NOTICE, JSONS, LINKED, MAPS, VOEVENTS, linking
from tests.schemas.maps import blob, flat

PROJECT = Path(__file__).resolve().parents[2]
ALONE = {f"alerts/{name}": reasons for name, (_, reasons) in ALERTS.items()} | {
    f"notices/{name}": reasons for group in (VOEVENTS, JSONS, MAPS) for name, (_, reasons) in group.items()
}
PEAK_MIB = 256
"""How much more memory than the good files alone all the others together may take: they claim 15 TB, unpack to over
1.5 GB, and the largest that is held is 64 MiB, twice while it is put together."""


def write_good(folder: Path) -> Path:
    for name, body in {"alerts/good.avro": GOOD_ALERT, "notices/good.xml": GOOD_NOTICE}.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(body)
    return folder


def write_hostile(folder: Path) -> Path:
    write_good(folder)
    for name, (make, _) in ALERTS.items():
        (folder / "alerts" / name).write_bytes(make())
    for group in (VOEVENTS, JSONS, MAPS):
        for name, (make, _) in group.items():
            (folder / "notices" / name).write_bytes(make())
    for number, (name, (make, _)) in enumerate(LINKED.items(), start=1):
        (folder / "notices" / name).write_bytes(make())
        (folder / "notices" / f"linking-{number}.xml").write_bytes(linking(number, name))
    return folder


def arguments(folder: Path, out: Path) -> list[str]:
    return ["replay", "--alerts", f"{folder}/alerts", "--notices", f"{folder}/notices", "--out", str(out), "--json"]


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an alert and a notice that belong together, and in `out` what a replay makes of them."""
    folder = write_good(tmp_path_factory.mktemp("good"))
    assert run(*arguments(folder, folder / "out")).code == 0
    return folder


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with everything else around them."""
    return write_hostile(tmp_path_factory.mktemp("hostile"))


CHILD = """
import sys
from pathlib import Path
from broker.__main__ import main
code = main(sys.argv[1:])
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(peak.split()[1], file=sys.stderr)
sys.exit(code)
"""
"""The highest resident memory since the program began, which a parent's own peak does not hide as it does in rusage."""


def replayed_apart(folder: Path, out: Path) -> int:
    """Replay in a process of its own; its peak of memory in KiB."""
    command = [sys.executable, "-c", CHILD, *arguments(folder, out)]
    environment = unmeasured() | {"OPENBLAS_NUM_THREADS": "1"}
    ran = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return int(ran.stderr.splitlines()[-1])


@pytest.fixture(scope="session")
def survived(hostile: Path) -> tuple[Path, int]:
    """What a replay made of the hostile folder, and its peak of memory in KiB."""
    return hostile / "out", replayed_apart(hostile, hostile / "out")


def science(out: Path) -> list[object]:
    return [{k: v for k, v in c.items() if k != "provenance"} for c in lines_of(out / "coincidences.jsonl")]


def test_the_good_files_make_one_coincidence(good):
    (found,) = lines_of(good / "out" / "coincidences.jsonl")
    assert (found["trigger"]["id"], found["object"]["object_id"]) == ("fermi-gbm:600117987", "ZTF20aaaaaaa")
    assert lines_of(good / "out" / "rejected.jsonl") == []


def test_among_hostile_files_they_make_the_same(good, survived):
    assert science(survived[0]) == science(good / "out")


def test_each_hostile_file_is_rejected_for_its_own_reason(survived):
    found = defaultdict(list)
    for rejection in lines_of(survived[0] / "rejected.jsonl"):
        origin = rejection["origin"].removesuffix("/claims.avro")
        found[origin].append(Reason(rejection["reason"]))
        assert 10 < len(rejection["detail"]) < 1000
    expected = ALONE | {f"notices/{name}": [reason] for name, (_, reason) in LINKED.items()}
    assert {origin: sorted(reasons) for origin, reasons in found.items()} == {
        origin: sorted(reasons) for origin, reasons in expected.items()
    }


def test_a_map_that_cannot_be_used_counts_as_missing_and_its_notice_keeps_its_own_position(survived):
    summary = json.loads((survived[0] / "summary.json").read_text())
    assert summary["skymaps"] == {"files": len(LINKED), "found": 0, "linked": len(LINKED), "missing": len(LINKED)}
    assert summary["triggers"]["localised"] == summary["triggers"]["all"] == 1 + len(LINKED)
    reasons = [reason for reasons in ALONE.values() for reason in reasons] + [reason for _, reason in LINKED.values()]
    assert summary["rejected"]["all"] == len(reasons)
    assert all(summary["rejected"][reason] == reasons.count(reason) for reason in set(reasons))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from Linux's /proc")
def test_hostile_files_take_a_bounded_amount_of_memory(good, survived, tmp_path):
    more = survived[1] - replayed_apart(good, tmp_path / "out")
    assert more < PEAK_MIB * 1024


def test_inspect_names_what_is_wrong_with_each(hostile):
    names = [name for name, reasons in ALONE.items() if ".tar" not in name and Reason.UNKNOWN_SCHEMA not in reasons]
    small = [name for name in names if (hostile / name).stat().st_size < 10_000]
    assert len(small) > 40
    ran = run("inspect", "--json", *(hostile / name for name in small))
    assert ran.code == 1
    assert ran.err == ""
    shown = {document["origin"]: document["rejected"] for document in map(json.loads, ran.out.splitlines())}
    assert {name: [r["reason"] for r in shown[Path(name).name]] for name in small} == {n: ALONE[n] for n in small}
    assert run("inspect", *(hostile / name for name in small)).out.count("cannot be used: ") == len(small)


STRANGE = ["\x01\x1b[2J\nline.avro", "\udcff\udcfe.avro", "..", "a" * 5000 + ".avro", "%n%s'\"<&>]]>.avro"]


@pytest.mark.parametrize("name", STRANGE)
def test_names_of_archive_members_break_nothing(good, tmp_path, name):
    with tarfile.open(tmp_path / "night.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for body in (GOOD_ALERT, GOOD_NOTICE):
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    ran = run(
        "replay", "--alerts", tmp_path / "night.tar", "--notices", tmp_path / "night.tar", "--out", tmp_path / "o"
    )
    assert ran.code == 0, ran.err
    assert "\x1b" not in ran.out
    assert [c["object"] for c in lines_of(tmp_path / "o" / "coincidences.jsonl")] == [
        c["object"] for c in lines_of(good / "out" / "coincidences.jsonl")
    ]


def test_names_of_files_that_are_not_utf8_break_nothing(good, tmp_path):
    for name, body in {b"\xff\xfe.avro": GOOD_ALERT, b"\x02\xff.xml": GOOD_NOTICE, b"\xff.bad": b"?"}.items():
        try:
            Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_bytes(body)
        except OSError:
            pytest.skip("this file system has no such names")
    ran = run("replay", "--alerts", tmp_path, "--notices", tmp_path, "--out", good / "strange", "--plot")
    assert ran.code == 0, ran.err
    assert len(lines_of(good / "strange" / "coincidences.jsonl")) == 1
    assert len(lines_of(good / "strange" / "rejected.jsonl")) == 1
    assert run("inspect", tmp_path).code == run("inspect", tmp_path, "--json").code == 1


@pytest.mark.parametrize("link", ["https://[broken/x.fits", "https://h/%00", "file:///etc/passwd", "x" * 900])
def test_a_notice_may_link_to_anything(tmp_path, link):
    write_good(tmp_path)
    (tmp_path / "notices" / "linking.xml").write_bytes(
        linking(7, "x.fits").replace(b"https://example.org/x.fits", link.encode())
    )
    (tmp_path / "notices" / "passwd").write_bytes(flat(blob(0)))
    assert run(*arguments(tmp_path, tmp_path / "out")).code == 0
    assert len(lines_of(tmp_path / "out" / "coincidences.jsonl")) == 1


def test_what_cannot_be_opened_is_rejected(tmp_path):
    write_good(tmp_path)
    (tmp_path / "alerts" / "nowhere.avro").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "alerts" / "pipe.avro")
    closed = tmp_path / "alerts" / "closed.avro"
    closed.write_bytes(GOOD_ALERT)
    closed.chmod(0)
    ran = run(*arguments(tmp_path, tmp_path / "out"))
    assert ran.code == 0
    may_read_all = os.access(closed, os.R_OK)
    assert [r["origin"] for r in lines_of(tmp_path / "out" / "rejected.jsonl")] == (
        [] if may_read_all else ["alerts/closed.avro"]
    )
