import json
import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bridges.delivery import Undelivered, publication_json
from bridges.json_lines import JsonLinesOptions, JsonLinesSink, night_date
from schemas.coincidence import from_document
from schemas.errors import ConfigurationError
from schemas.records import Publication
from schemas.times import us_from_iso
from tests.bridges.conformance import SinkBench, SinkConformance, named, publications
from tests.coincidences import COINCIDENCE, coincidences


def _named(text: str) -> list[tuple[str, int]]:
    found = [json.loads(line)["coincidence"] for line in text.splitlines()]
    return [(coincidence["id"], coincidence["revision"]) for coincidence in found]


class FileBench(SinkBench):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "out" / "all.jsonl"

    def make(self) -> JsonLinesSink:
        return JsonLinesSink(JsonLinesOptions(path="out/all.jsonl"), self.folder)

    async def received(self, count: int) -> list[tuple[str, int]]:
        found = _named(self.file.read_text())
        assert len(found) >= count
        return found

    async def go_away(self) -> None:
        self.file.rename(self.file.with_suffix(".away"))
        self.file.mkdir()

    async def come_back(self) -> None:
        self.file.rmdir()
        self.file.with_suffix(".away").rename(self.file)


class TestJsonLines(SinkConformance):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> FileBench:
        return FileBench(tmp_path)


@given(coincidences(), st.lists(st.text(max_size=8), max_size=3).map(tuple))
def test_a_line_is_the_whole_publication(coincidence, substreams):
    line = publication_json(Publication(coincidence, substreams, b"packet"))
    assert line.isascii()
    assert "\n" not in line
    document = json.loads(line)
    assert document["substreams"] == list(substreams)
    assert from_document(document["coincidence"]) == coincidence


async def _send(folder: Path, path: str, sent=None) -> None:
    async with JsonLinesSink(JsonLinesOptions(path=path), folder) as sink:
        await sink.send(publications(1) if sent is None else sent)


LINE = publication_json(publications(1)[0]).encode() + b"\n"


@pytest.mark.parametrize("torn", [LINE[:-1], LINE[:1], LINE[:14], LINE[: len(LINE) // 2]])
@pytest.mark.parametrize("before", [b"", LINE, LINE * 3])
async def test_a_torn_line_of_ours_is_removed(tmp_path, before, torn):
    (tmp_path / "a.jsonl").write_bytes(before + torn)
    await _send(tmp_path, "a.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == before + LINE


async def test_a_line_longer_than_a_block_is_removed_too(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(LINE + LINE[:20] + b"x" * 200_000)
    await _send(tmp_path, "a.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == LINE * 2


@pytest.mark.parametrize("foreign", [b"a,b,c", b"a,b\nc", b'{"other":1}', b"y" * (9 << 20)])
async def test_what_is_not_ours_is_only_ended(tmp_path, foreign):
    (tmp_path / "a.csv").write_bytes(foreign)
    await _send(tmp_path, "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == foreign + b"\n" + LINE


async def test_a_file_a_night(tmp_path):
    first = replace(COINCIDENCE, changed_us=us_from_iso("2026-11-21T17:59:59.999999Z"))
    later = replace(COINCIDENCE, changed_us=us_from_iso("2026-11-21T18:00:00Z"), revision=3)
    morning = replace(COINCIDENCE, changed_us=us_from_iso("2026-11-22T09:00:00Z"), revision=4)
    await _send(tmp_path, "c-{night}.jsonl", [Publication(c, ("grb",)) for c in (first, later, morning)])
    found = {file.name: _named(file.read_text()) for file in tmp_path.iterdir()}
    assert found == {
        "c-2026-11-20.jsonl": [(COINCIDENCE.id, 2)],
        "c-2026-11-21.jsonl": [(COINCIDENCE.id, 3), (COINCIDENCE.id, 4)],
    }


def test_the_night_of_the_index_and_of_the_file_are_the_same():
    from matchers.nights import night_of  # noqa: PLC0415

    for hour in range(48):
        instant_us = us_from_iso("2026-11-21T00:00:00Z") + hour * 3_600_000_000
        assert night_date(instant_us + 86_400_000_000) > night_date(instant_us)
        same = night_of(instant_us) == night_of(us_from_iso("2026-11-21T20:00:00Z"))
        assert (night_date(instant_us) == "2026-11-21") == same


async def test_the_file_may_be_moved_away(tmp_path):
    async with JsonLinesSink(JsonLinesOptions(path="a.jsonl"), tmp_path) as sink:
        await sink.send(publications(1))
        (tmp_path / "a.jsonl").rename(tmp_path / "a.1")
        await sink.send(publications(2)[1:])
    assert _named((tmp_path / "a.1").read_text()) == [(COINCIDENCE.id, 1)]
    assert _named((tmp_path / "a.jsonl").read_text()) == [(COINCIDENCE.id, 2)]


async def test_file_and_folder_are_synchronised_before_it_returns(tmp_path, monkeypatch):
    real, synchronised = os.fsync, []

    def fsync(number: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(number).st_mode)
        synchronised.append("folder" if is_folder else (tmp_path / "a.jsonl").read_bytes())
        real(number)

    monkeypatch.setattr(os, "fsync", fsync)
    async with JsonLinesSink(JsonLinesOptions(path="a.jsonl"), tmp_path) as sink:
        await sink.send(publications(1))
        await sink.send(publications(1))
        (tmp_path / "a.jsonl").unlink()
        await sink.send(publications(1))
    assert synchronised == [LINE, "folder", LINE * 2, LINE, "folder"]


async def test_a_full_disk_is_an_error_and_leaves_no_half_line():
    with pytest.raises(Undelivered, match="/dev/full"):
        await _send(Path("/"), "dev/full")


async def test_standard_output(capfdbinary, monkeypatch):
    monkeypatch.setattr(sys, "stdout", sys.__stdout__)
    await _send(Path("/nowhere"), "-", publications(2))
    assert _named(capfdbinary.readouterr().out.decode()) == named(publications(2))


async def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be a folder"):
        await _send(tmp_path, "file/a.jsonl")


@pytest.mark.parametrize("path", ["", "out/", "{night}/a.jsonl"])
def test_paths_that_make_no_sense(path):
    with pytest.raises(ValidationError):
        JsonLinesOptions(path=path)
