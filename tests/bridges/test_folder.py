import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import fastavro
import pytest
from lxml import etree

from bridges.folder import OutputFolder
from schemas.coincidence import from_json
from schemas.errors import ConfigurationError, Reason
from schemas.records import Coincidence, Rejection, State
from schemas.voevent_out import VoeventAuthor, ivorn_of
from tests.coincidences import COINCIDENCE, changed

AUTHOR = VoeventAuthor("org.example", "test")
FIRST = replace(COINCIDENCE, revision=1, state=State.PROPOSED, reason="matched")
GONE = replace(changed(object={"object_id": "ZTF20bbb"}), id="grb-gone", state=State.WITHDRAWN, overlap=1e6)
BETTER = replace(changed(object={"object_id": "ZTF20ccc"}), id="grb-better", overlap=200.0, revision=1)
EARLIER = replace(changed(trigger={"id": "swift:1", "time_us": 5}), id="grb-earlier", overlap=0.5, revision=1)
REJECTED = [
    Rejection("b.avro", Reason.TRUNCATED, "the block ends after 12 of 400 bytes"),
    Rejection("a.xml", Reason.MALFORMED, "no time"),
    Rejection("a.xml", Reason.EMPTY, "no bytes \ud800"),
]
NAMES = [
    "changes.jsonl", "coincidences.avro", "coincidences.jsonl", "rejected.jsonl", "substreams.jsonl", "summary.json",
    "voevents",
]  # fmt: skip


def _run(path: Path, final: Sequence[Coincidence] = (BETTER, COINCIDENCE, EARLIER, GONE)) -> None:
    with OutputFolder(path, AUTHOR) as out:
        for change in (FIRST, GONE, COINCIDENCE, BETTER, EARLIER):
            out.change(change)
        out.finish(final, REJECTED, {"alerts": {"read": 12}, "first_utc": None})


def _bytes(path: Path) -> dict[str, bytes]:
    return {str(f.relative_to(path)): f.read_bytes() for f in sorted(path.rglob("*")) if f.is_file()}


def _ids(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def test_a_run_leaves_all_files_and_nothing_else(tmp_path: Path) -> None:
    _run(tmp_path / "deep" / "out")
    out = tmp_path / "deep" / "out"
    assert sorted(f.name for f in out.iterdir()) == NAMES
    assert json.loads((out / "summary.json").read_text()) == {"alerts": {"read": 12}, "first_utc": None}
    changes = [from_json(line) for line in (out / "changes.jsonl").read_text().splitlines()]
    assert changes == [FIRST, GONE, COINCIDENCE, BETTER, EARLIER]
    assert [json.loads(line) for line in (out / "rejected.jsonl").read_text().splitlines()] == [
        {"origin": "a.xml", "reason": "empty", "detail": "no bytes \ud800"},
        {"origin": "a.xml", "reason": "malformed", "detail": "no time"},
        {"origin": "b.avro", "reason": "truncated", "detail": "the block ends after 12 of 400 bytes"},
    ]


def test_the_final_state_is_ordered_by_trigger_and_then_as_ranked(tmp_path: Path) -> None:
    _run(tmp_path)
    expected = ["grb-earlier", "grb-better", COINCIDENCE.id, "grb-gone"]
    assert _ids(tmp_path / "coincidences.jsonl") == expected
    with (tmp_path / "coincidences.avro").open("rb") as stream:
        assert [record["id"] for record in fastavro.reader(stream)] == expected  # type: ignore[index,call-overload]


def test_each_change_has_a_voevent(tmp_path: Path) -> None:
    _run(tmp_path)
    found = {f.name: etree.parse(f).getroot().get("ivorn") for f in (tmp_path / "voevents").iterdir()}
    assert found == {
        f"{c.id}.r{c.revision}.xml": ivorn_of(c, AUTHOR) for c in (FIRST, GONE, COINCIDENCE, BETTER, EARLIER)
    }


def test_the_same_run_makes_the_same_bytes_wherever_other_triggers_rank(tmp_path: Path) -> None:
    _run(tmp_path / "one")
    _run(tmp_path / "two", [EARLIER, BETTER, COINCIDENCE, GONE])
    assert _bytes(tmp_path / "one") == _bytes(tmp_path / "two")


def test_a_second_run_replaces_the_first_and_touches_nothing_else(tmp_path: Path) -> None:
    _run(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "sky.png").write_text("the picture of the first run")
    (tmp_path / "voevents" / "mine.xml").write_text("<mine/>")
    with OutputFolder(tmp_path, AUTHOR) as out:
        out.change(BETTER)
        out.finish([BETTER], [], {})
    assert sorted(f.name for f in tmp_path.iterdir()) == sorted([*NAMES, "notes.txt"])
    assert sorted(f.name for f in (tmp_path / "voevents").iterdir()) == ["grb-better.r1.xml", "mine.xml"]
    assert _ids(tmp_path / "coincidences.jsonl") == ["grb-better"]
    assert (tmp_path / "rejected.jsonl").read_bytes() == b""


def test_a_run_that_is_killed_leaves_the_earlier_results_whole(tmp_path: Path) -> None:
    _run(tmp_path)
    before = _bytes(tmp_path)
    killed = OutputFolder(tmp_path, AUTHOR)
    killed.change(BETTER)
    assert {n: b for n, b in _bytes(tmp_path).items() if not n.startswith(".partial")} == before
    killed.__exit__(None, None, None)
    (tmp_path / ".partial" / "voevents").mkdir(parents=True)
    (tmp_path / ".partial" / "voevents" / "stale.r1.xml").write_text("<half")
    _run(tmp_path)
    assert _bytes(tmp_path) == before


def test_an_error_during_the_run_leaves_no_results(tmp_path: Path) -> None:
    def fail() -> None:
        with OutputFolder(tmp_path, AUTHOR) as out:
            out.change(FIRST)
            out.finish([replace(FIRST, overlap=float("nan"))], [], {})

    with pytest.raises(ValueError, match="overlap"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_summary_without_meaning_in_json_is_refused(tmp_path: Path) -> None:
    with OutputFolder(tmp_path, AUTHOR) as out, pytest.raises(ValueError, match="JSON"):
        out.finish([], [], {"rate": float("nan")})
    assert not (tmp_path / "summary.json").exists()


@pytest.mark.parametrize("name", ["../../escape", "a/b", "..", "x" * 5000, "\udcff\n", "caf\u00e9"])
def test_no_id_leaves_the_folder_or_breaks_it(tmp_path: Path, name: str) -> None:
    with OutputFolder(tmp_path / "out", AUTHOR) as out:
        out.change(replace(FIRST, id=name))
        out.change(replace(FIRST, id=name + "x"))
        out.finish([], [], {})
    assert [f.name for f in tmp_path.iterdir()] == ["out"]
    written = list((tmp_path / "out" / "voevents").iterdir())
    assert len(written) == 2
    assert all(f.is_file() for f in written)
    _run(tmp_path / "out")
    assert not any(f.exists() for f in written)


def test_a_path_that_is_a_file_is_a_wrong_call(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="file: results cannot be written there"):
        OutputFolder(tmp_path / "file", AUTHOR)


def test_the_folder_may_be_removed_between_runs(tmp_path: Path) -> None:
    _run(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    _run(tmp_path / "out")
    assert (tmp_path / "out" / "summary.json").exists()
