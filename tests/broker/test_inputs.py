"""Everything that a replay is given, as sorted records."""

from pathlib import Path

import pytest

from bridges.files import find_files
from broker import inputs
from broker.inputs import Inputs, issue_time_us, read_inputs
from broker.reader import Reader
from schemas.catalogue import SchemaCatalogue
from tests.matchers.made import T0, notice_of
from tests.schemas.maps import blob, flat
from tests.schemas.voevent_packets import packet
from tests.survey_packets import ZTF, container, ztf_alert


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, body in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    return folder


def read(alerts: Path, notices: Path) -> tuple[Inputs, list[int]]:
    steps: list[int] = []
    reader = Reader(SchemaCatalogue(), None)
    files = find_files([alerts]), find_files([notices])
    return read_inputs(*files, reader, bytes_max=1 << 20, on_progress=steps.append), steps


def alert(candid: int, jd: float = 2458849.75) -> bytes:
    return container(ZTF, [ztf_alert(candid=candid, jd=jd)])


def notice(number: int, date: str | None) -> bytes:
    return packet(112, {"TrigID": number}, ivorn=f"ivo://nasa.gsfc.gcn/Fermi#{number}", date=date)


FILES = {
    "alerts/a.avro": alert(3, 2458850.5),
    "alerts/b.avro": alert(2),
    "alerts/c.avro": alert(1),
    "alerts/bad.avro": b"Obj\x01",
    "notices/a.xml": notice(1, "2020-01-09T00:00:00"),
    "notices/b.xml": notice(2, "2020-01-08T00:00:00"),
    "notices/c.xml": packet(129, position=(1, 2), radius=None),
    "notices/d.xml": b"<html/>",
    "notices/e.xml": packet(
        131, {"Trans_Num": 5, "HealPix_URL": "https://h/m.fits"}, ivorn="ivo://nasa.gsfc.gcn/Fermi#sub"
    ),
    "notices/m.fits": flat(blob(1)),
}


def test_alerts_are_sorted_by_time_and_number_and_notices_by_issue(tmp_path):
    found, steps = read(write(tmp_path, FILES) / "alerts", tmp_path / "notices")
    assert found.alerts["ztf"].alert_id.tolist() == [1, 2, 3]
    assert [one.trigger_id for one in found.notices] == ["fermi-gbm-subthreshold:5", "fermi-gbm:2", "fermi-gbm:1"]
    assert sorted(r.origin for r in found.rejected) == ["alerts/bad.avro", "notices/d.xml"]
    assert found.messages == {"messages": 10, "notices": 4, "skymaps": 1}
    assert found.notice_types["FERMI_POINTDIR"] == 1
    assert {ivorn: message.origin for ivorn, message in found.maps.items()} == {
        "ivo://nasa.gsfc.gcn/Fermi#sub": "notices/m.fits"
    }
    assert sum(steps) == sum(len(body) for body in FILES.values())


def test_what_a_file_holds_is_decided_by_its_content_and_one_given_twice_is_read_once(tmp_path):
    write(tmp_path, FILES)
    apart, _ = read(tmp_path / "alerts", tmp_path / "notices")
    together, _ = read(tmp_path, tmp_path)
    swapped, _ = read(tmp_path / "notices", tmp_path / "alerts")
    for other in (together, swapped):
        assert other.messages["messages"] == apart.messages["messages"] == 10
        assert [n.ivorn for n in other.notices] == [n.ivorn for n in apart.notices]
        assert other.alerts["ztf"].alert_id.tolist() == apart.alerts["ztf"].alert_id.tolist()


@pytest.mark.parametrize(("name", "most"), [("BATCH_MESSAGES", 1), ("BATCH_MESSAGES", 3), ("BATCH_BYTES", 2500)])
def test_batches_make_no_difference(tmp_path, monkeypatch, name, most):
    write(tmp_path, FILES)
    whole, _ = read(tmp_path, tmp_path)
    batches = []
    reader_read = Reader.read

    def watched(self, messages):
        batches.append(len(messages))
        return reader_read(self, messages)

    monkeypatch.setattr(Reader, "read", watched)
    monkeypatch.setattr(inputs, name, most)
    parts, _ = read(tmp_path, tmp_path)
    assert len(batches) > 2
    assert sum(batches) == 10
    assert parts.alerts["ztf"].origin.tolist() == whole.alerts["ztf"].origin.tolist()
    assert parts.messages == whole.messages
    assert [r.origin for r in parts.rejected] == [r.origin for r in whole.rejected]


def test_nothing_at_all(tmp_path):
    found, steps = read(tmp_path, tmp_path)
    assert (found.alerts, found.notices, found.rejected, found.maps, steps) == ({}, [], [], {}, [])


def test_a_notice_without_an_issue_time_comes_at_its_trigger_or_first_of_all():
    assert issue_time_us(notice_of(issued_us=5)) == 5
    assert issue_time_us(notice_of(issued_us=None)) == T0
    assert issue_time_us(notice_of(issued_us=None, trigger_time_us=None)) == 0
