"""Replay end to end on a simulated week."""

import json
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from itertools import pairwise
from pathlib import Path

import fastavro
import jsonschema
import pytest
from lxml import etree

from broker.substreams import night_of_instant
from schemas.coincidence_documents import json_schema
from schemas.times import us_from_iso
from tests.children import unmeasured
from tests.e2e.conftest import lines_of, replay_arguments, run

PROJECT = Path(__file__).resolve().parents[2]


def everything_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_writes_what_it_promises(replayed):
    names = set(everything_in(replayed))
    assert {name for name in names if not name.startswith("voevents/")} == {
        "coincidences.jsonl", "changes.jsonl", "substreams.jsonl", "coincidences.avro", "rejected.jsonl",
        "summary.json", "sky.png",
    }  # fmt: skip
    assert len([name for name in names if name.startswith("voevents/")]) == len(lines_of(replayed / "changes.jsonl"))


def test_every_injected_counterpart_that_could_be_found_is_found(night, replayed):
    made, _ = night
    found = {
        (c["trigger"]["id"], c["object"]["object_id"])
        for c in lines_of(replayed / "coincidences.jsonl")
        if c["state"] != "withdrawn"
    }
    triggers = {c[0] for c in found}
    injected = [i for i in made.injections if i.detectable]
    assert len(injected) >= 5
    missed = [i for i in injected if (i.trigger_id, i.object_id) not in found]
    assert len(missed) <= 1 + len(injected) // 4, f"regions of 90 % may leave out one in ten: {missed} of {triggers}"


def test_retracted_triggers_keep_nothing(replayed):
    retracted = {
        change["trigger"]["id"]
        for change in lines_of(replayed / "changes.jsonl")
        if (change["state"], change["reason"]) == ("withdrawn", "retracted")
    }
    final = lines_of(replayed / "coincidences.jsonl")
    assert all(c["state"] == "withdrawn" for c in final if c["trigger"]["id"] in retracted)


def test_changes_are_in_the_order_of_the_datas_clock_and_end_in_the_final_state(replayed):
    changes = lines_of(replayed / "changes.jsonl")
    stamps = [change["changed_utc"] for change in changes]
    last = {change["id"]: change for change in changes}
    assert {c["id"]: c for c in lines_of(replayed / "coincidences.jsonl")} == last
    for number, change in enumerate(changes):
        earlier = [c for c in changes[:number] if c["id"] == change["id"]]
        assert change["revision"] == len(earlier) + 1
        assert (change["state"] == "proposed") == (not earlier or earlier[-1]["state"] == "withdrawn")
    # A batch of alerts spans up to a minute and is stamped with its end.
    assert all(later >= earlier or later[:16] >= earlier[:16] for earlier, later in pairwise(stamps))


def test_substreams_are_tried_on_past_data(night, tmp_path):
    (tmp_path / "mine.toml").write_text(
        "[triggers]\ninclude_tests = true\n"
        "[substreams.bursts]\ninclude_tests = true\nwhere = 'trigger.messenger == \"gamma-ray\"'\n"
        "[substreams.best]\ninclude_tests = true\nmost_per_night = 1\n"
        "[substreams.real]\n"
    )
    out = tmp_path / "out"
    ran = run(*replay_arguments(night[1]), "--out", out, "--config", tmp_path / "mine.toml")
    assert ran.code == 0, ran.err
    changes, sent = lines_of(out / "changes.jsonl"), lines_of(out / "substreams.jsonl")
    bursts = [line["coincidence"] for line in sent if "bursts" in line["substreams"]]
    assert bursts == [change for change in changes if change["trigger"]["messenger"] == "gamma-ray"]
    counts = json.loads((out / "summary.json").read_text())["substreams"]
    assert counts["bursts"] == {"sent": len(bursts), "capped": 0}
    assert counts["real"] == {"sent": 0, "capped": 0}, "the simulator's triggers call themselves tests"
    best = [line["coincidence"] for line in sent if "best" in line["substreams"]]
    first_told = [change for change in best if change["revision"] == 1]
    assert len({night_of_text(change["changed_utc"]) for change in first_told}) == len(first_told) > 1
    assert counts["best"]["capped"] > 0


def night_of_text(changed_utc: str) -> int:
    return night_of_instant(us_from_iso(changed_utc))


def test_json_keeps_to_its_published_schema_and_avro_says_the_same(replayed):
    validator = jsonschema.Draft202012Validator(json_schema(), format_checker=jsonschema.FormatChecker())
    documents = lines_of(replayed / "coincidences.jsonl")
    for document in documents:
        validator.validate(document)
    with (replayed / "coincidences.avro").open("rb") as stream:
        records = list(fastavro.reader(stream))
    assert [record["id"] for record in records] == [document["id"] for document in documents]
    assert [record["credible_level"] for record in records] == [document["credible_level"] for document in documents]


def test_voevents_are_valid_tests_and_cite_their_predecessors(replayed):
    packets = {path.name: etree.parse(path).getroot() for path in (replayed / "voevents").iterdir()}
    ivorns = {name: packet.get("ivorn") for name, packet in packets.items()}
    assert len(set(ivorns.values())) == len(packets)
    for name, packet in packets.items():
        assert packet.get("role") == "test"
        stem, revision = name.removesuffix(".xml").rsplit(".r", 1)
        if int(revision) > 1:
            cited = {c.text: c.get("cite") for c in packet.iter("EventIVORN")}
            assert cited[ivorns[f"{stem}.r{int(revision) - 1}.xml"]] in {"supersedes", "retraction"}


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="voevent-parse does not build on Python 3.12 and later")
def test_voevents_pass_the_standards_schema_and_are_read_back(replayed):
    import voeventparse  # noqa: PLC0415 - absent on later Pythons

    paths = sorted((replayed / "voevents").iterdir())
    assert paths
    by_file = {f"{c['id']}.r{c['revision']}.xml": c for c in lines_of(replayed / "changes.jsonl")}
    for path in paths:
        packet = voeventparse.loads(path.read_bytes())
        assert voeventparse.valid_as_v2_0(packet)
        position = voeventparse.get_event_position(packet)
        assert position.ra == pytest.approx(by_file[path.name]["object"]["ra_deg"], abs=1e-6)
        assert position.dec == pytest.approx(by_file[path.name]["object"]["dec_deg"], abs=1e-6)


def members_of(archive: Path) -> int:
    with tarfile.open(archive) as opened:
        return len(opened.getnames())


def test_the_summary_accounts_for_every_alert(night, replayed):
    summary = json.loads((replayed / "summary.json").read_text())
    assert summary == json.loads((replayed.parent / "stdout.json").read_text())
    ztf = summary["alerts"]["ztf"]
    assert ztf["read"] == ztf["duplicates"] + ztf["indexed"] + sum(ztf["cut"].values())
    assert ztf["read"] == sum(map(members_of, (night[1] / "alerts").iterdir()))
    assert summary["rejected"]["all"] == len(lines_of(replayed / "rejected.jsonl")) == 0


@pytest.mark.not_measured
def test_the_same_input_gives_the_same_output_wherever_it_lies_and_however_it_is_packed(night, replayed, tmp_path):
    _, folder = night
    moved = tmp_path / "elsewhere" / "deeper"
    shutil.copytree(folder / "alerts", moved / "alerts")
    shutil.copytree(folder / "notices", moved / "notices")
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    ran = run(*replay_arguments(moved), "--out", out, "--plot")
    assert ran.code == 0
    again = everything_in(out)
    assert again.pop("mine.txt") == b"kept"
    assert again == everything_in(replayed)


@pytest.mark.not_measured
def test_batches_do_not_change_what_is_found(night, replayed, tmp_path):
    def science(folder):
        left_out = {"provenance", "changed_utc", "revision", "state", "reason"}
        return [
            {k: v for k, v in c.items() if k not in left_out} | {"withdrawn": c["state"] == "withdrawn"}
            for c in lines_of(folder / "coincidences.jsonl")
        ]

    ran = run(*replay_arguments(night[1]), "--set", "replay.batch_alerts=7", "--out", tmp_path)
    assert ran.code == 0
    assert science(tmp_path) == science(replayed)


def test_tests_are_left_out_unless_asked_for(night, tmp_path):
    _, folder = night
    ran = run("replay", "--alerts", folder / "alerts", "--notices", folder / "notices", "--out", tmp_path, "--json")
    summary = json.loads(ran.out)
    assert summary["coincidences"] == {"live": 0, "withdrawn": 0}
    assert summary["notices"]["tests_left_out"] == summary["notices"]["of_triggers"] > 0


def test_a_second_run_replaces_the_first_and_leaves_no_stale_voevents(replayed, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(replayed, out)
    (tmp_path / "none").mkdir()
    ran = run("replay", "--alerts", tmp_path / "none", "--notices", tmp_path / "none", "--out", out)
    assert ran.code == 0
    assert "No coincidences" in ran.out
    assert list((out / "voevents").iterdir()) == []


@pytest.mark.not_measured
def test_cuts_can_be_switched_off_from_the_command_line(night, tmp_path):
    ran = run(*replay_arguments(night[1]), "--set", "cuts.enabled=false", "--out", tmp_path, "--json")
    ztf = json.loads(ran.out)["alerts"]["ztf"]
    assert ztf["cut"] == {}
    assert ztf["indexed"] == ztf["read"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--alerts", "nowhere", "--notices", "."], "no such file or folder: nowhere"),
        (["--alerts", ".", "--notices", ".", "--config", "none.toml"], "none.toml: cannot be read"),
        (["--alerts", ".", "--notices", ".", "--set", "cuts.relibility=1"], "cuts.relibility: unknown key"),
        (["--alerts", "."], "the following arguments are required: --notices"),
    ],
)
def test_a_wrong_call_exits_with_2_and_says_why(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    ran = run("replay", "--out", "out", *arguments)
    assert ran.code == 2
    assert said in ran.err


def test_an_out_folder_that_is_a_file_is_a_wrong_call(tmp_path):
    (tmp_path / "file").write_text("")
    ran = run("replay", "--alerts", tmp_path, "--notices", tmp_path, "--out", tmp_path / "file")
    assert ran.code == 2


def test_a_killed_run_leaves_the_earlier_results_whole_and_the_next_one_recovers(night, replayed, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(replayed, out)
    before = everything_in(out)
    slowly = ("--set", "replay.batch_alerts=1", "--set", "cuts.enabled=false")  # so that the signal comes in the middle
    command = [
        sys.executable,
        "-m",
        "broker",
        *map(str, replay_arguments(night[1])),
        *slowly,
        "--out",
        str(out),
        "--plot",
    ]
    for number in (signal.SIGINT, signal.SIGKILL):
        process = subprocess.Popen(
            command, cwd=PROJECT, stderr=subprocess.PIPE, text=True, env=unmeasured() | {"TERM": "dumb"}
        )
        while not (out / ".partial").exists():
            time.sleep(0.02)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
        after = {name: body for name, body in everything_in(out).items() if not name.startswith(".partial")}
        assert after == before
        if number == signal.SIGINT:
            assert process.returncode == 130
            assert "interrupted" in said
            assert not (out / ".partial").exists()
    assert run(*replay_arguments(night[1]), "--out", out, "--plot").code == 0
    assert everything_in(out) == before


def test_verbose_tells_of_each_notice_change_and_rejection(night, tmp_path):
    rubbish = tmp_path / "rubbish.bin"
    rubbish.write_bytes(b"\x07rubbish")
    ran = run(*replay_arguments(night[1]), rubbish, "--verbose", "--out", tmp_path / "out")
    told = [json.loads(line) for line in ran.err.splitlines()]
    assert len([line for line in told if line["event"] == "notice"]) == len(list((night[1] / "notices").iterdir()))
    assert len([line for line in told if line["event"] == "change"]) == len(
        lines_of(tmp_path / "out" / "changes.jsonl")
    )
    (rejected,) = (line for line in told if line["event"] == "rejected")
    assert (rejected["origin"], rejected["reason"]) == ("rubbish.bin", "unknown_format")
