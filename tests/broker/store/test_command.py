"""``starcross store``."""

import json
import re

import pyarrow.parquet as pq
import pytest
import structlog

from broker.__main__ import STORE_ACTIONS, main
from broker.store.command import ACTIONS
from broker.store.files import SEALED
from broker.store.records import Batch, Capped, KeptPacket
from schemas.errors import Reason
from schemas.records import Rejection
from tests.broker.store.made import Station, alerts_near
from tests.coincidences import COINCIDENCE
from tests.matchers.made import DAY, T0, notice_of


@pytest.fixture(autouse=True)
def _log_of_the_next_test():
    """The command logs to the standard error of its test, which ends with it."""
    yield
    structlog.reset_defaults()


@pytest.fixture
async def folder(tmp_path):
    """A store with something of everything."""
    path = tmp_path / "store"
    async with Station(path) as station:
        await station.hear(notice_of())
        await station.add(alerts_near(range(20)))
        station.clock.now_us = T0 + DAY
        await station.seal()
        await station.add(alerts_near(range(20, 25)))
        await station.add(alerts_near([30], T0 + DAY, reliability=0.0))
        await station.store.commit(
            Batch(
                source="s",
                positions={"topic[0]": 7},
                changes=[COINCIDENCE],
                packets=[KeptPacket("ztf", 1, "o", T0, b"packet")],
                capped=[Capped("bright", 18267, COINCIDENCE.id, COINCIDENCE.revision)],
                rejected=[
                    (Rejection("t[0]@1", Reason.TRUNCATED, "cut [bold]short[/]"), b"Obj"),
                    (Rejection("../../etc/x\udc80", Reason.EMPTY, "nothing"), b""),
                ],
            )
        )
    return path


def run(capsys, *arguments):
    code = main(["store", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def run_json(capsys, *arguments):
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_the_command_line_names_all_actions():
    assert set(STORE_ACTIONS) == set(ACTIONS)


def test_status_tells_what_is_in_it(folder, capsys):
    told = run_json(capsys, folder)
    assert told["alerts"] == [{"survey": "ztf", "night": "2020-01-06", "sealed": 20, "open": 5, "parts": 1}]
    assert (told["noted_alerts"], told["notices"], told["revisions"]) == (1, 1, 26)
    assert told["coincidences"] == {"proposed": 25, "updated": 1}
    assert [(box["sink"], box["waiting"]) for box in told["outboxes"]] == [("sink", 25)]
    assert told["positions"] == {"s": {"topic[0]": 7}}
    assert told["quarantine"]["reasons"] == {"empty": 1, "truncated": 1}
    assert told["in_use_by"] is None
    assert told["triggers"][0]["trigger"] == "fermi-gbm:1"
    code, out, _ = run(capsys, folder)
    assert code == 0
    assert re.search(r"ztf.*2020-01-06.*20", out)


async def test_status_works_while_the_store_is_in_use_and_says_by_whom(tmp_path, capsys):
    async with Station(tmp_path / "store") as station:
        await station.add(alerts_near(range(3)))
        told = run_json(capsys, tmp_path / "store")
        assert told["alerts"][0]["open"] == 3
        code, _, err = run(capsys, tmp_path / "store", "compact")
        assert code == 2
        assert f"in use by process {told['in_use_by']}" in err


def test_a_whole_store_passes_the_check(folder, capsys):
    assert run_json(capsys, folder, "check") == {"problems": []}
    assert run(capsys, folder, "check")[:2] == (0, "The store is whole.\n")


def test_the_check_names_what_is_damaged(folder, capsys):
    part = next((folder / SEALED).glob("ztf-*"))
    (part / "stranger").touch()
    torn = part / "pixel.npy"
    torn.write_bytes(torn.read_bytes()[:-1])
    changed = part / "time_us.npy"
    changed.write_bytes(changed.read_bytes()[:-1] + b"\xff")
    (part / "bounds.npy").unlink()
    code, out, _ = run(capsys, folder, "check", "--json")
    found = [problem.removeprefix(f"sealed/{part.name}/") for problem in json.loads(out)["problems"]]
    assert code == 1
    assert sorted(problem.partition(":")[0] for problem in found) == [
        "bounds.npy", "pixel.npy", "stranger", "time_us.npy",
    ]  # fmt: skip


def test_compacting_keeps_all(folder, capsys):
    before = run_json(capsys, folder)
    told = run_json(capsys, folder, "compact")
    assert 0 < told["bytes_after"] <= told["bytes_before"]
    after = run_json(capsys, folder)
    del before["bytes"], after["bytes"]
    assert after == before
    assert "MB now" in run(capsys, folder, "compact")[1]


def test_a_night_is_exported_as_parquet(folder, tmp_path, capsys):
    out = tmp_path / "night.parquet"
    told = run_json(capsys, folder, "export", "--night", "2020-01-06", "--out", out)
    assert told == {"alerts": 25, "file": str(out)}
    table = pq.read_table(out)
    assert sorted(table["alert_id"].to_pylist()) == list(range(25))
    assert set(table["survey"].to_pylist()) == {"ztf"}
    assert table["last_non_detection_us"].null_count == 25
    assert "0 alerts" in run(capsys, folder, "export", "--night", "1999-01-01", "--out", out)[1]


def test_quarantine_is_listed_and_extracted(folder, tmp_path, capsys):
    out = tmp_path / "messages"
    code, listed, _ = run(capsys, folder, "quarantine", "--out", out, "--json")
    rows = [json.loads(line) for line in listed.splitlines()]
    assert code == 0
    assert [(row["origin"], row["reason"], row["bytes"]) for row in rows] == [
        ("t[0]@1", "truncated", 3), ("../../etc/x\ufffd", "empty", 0),
    ]  # fmt: skip
    assert [(out / f"{row['id']}.bin").read_bytes() for row in rows] == [b"Obj", b""]
    assert len(list(out.iterdir())) == 2
    shown = run(capsys, folder, "quarantine", "--reason", "truncated")[1]
    assert "truncated" in shown
    assert "empty" not in shown


def test_what_was_capped_is_retrievable(folder, capsys):
    (row,) = [json.loads(line) for line in run(capsys, folder, "capped", "--json")[1].splitlines()]
    assert (row["substream"], row["night"], row["document"]["id"]) == ("bright", "2020-01-06", COINCIDENCE.id)
    assert "bright" in run(capsys, folder, "capped")[1]
    assert "nothing" in run(capsys, folder, "capped", "--substream", "faint")[1]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("export",), "--night and --out"),
        (("export", "--night", "yesterday", "--out", "x"), "expected a date"),
        (("export", "--night", "2020-01-06", "--out", "/nowhere/x"), "cannot be written"),
    ],
)
def test_wrong_calls_are_told(folder, capsys, arguments, why):
    code, _, err = run(capsys, folder, *arguments)
    assert code == 2
    assert why in err


def test_a_folder_without_a_store_stays_without(tmp_path, capsys):
    for action in STORE_ACTIONS:
        code, _, err = run(capsys, tmp_path, action, "--night", "2020-01-06", "--out", tmp_path / "x")
        assert code == 2
        assert "there is no store" in err
    assert list(tmp_path.iterdir()) == []
