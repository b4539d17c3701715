import json
import os
import subprocess
import sys
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import coincidence_avro as wire
from schemas.coincidence import json_schema, to_document
from schemas.errors import BadCoincidence, BadInput
from schemas.times import iso_from_us, us_from_datetime
from tests.coincidences import COINCIDENCE, changed, coincidences

AVSC = json.loads((resources.files("schemas") / "avro/coincidence/1/0/coincidence.avsc").read_text("utf-8"))


def _container(*written: Any) -> bytes:
    stream = BytesIO()
    wire.write_container(stream, written)
    return stream.getvalue()


def _docs_of_json(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    return {
        name: (
            field.get("description"),
            _docs_of_json(definitions[field["$ref"].rsplit("/")[-1]], definitions) if "$ref" in field else None,
        )
        for name, field in schema["properties"].items()
    }


def _docs_of_avro(record: dict[str, Any]) -> dict[str, Any]:
    return {
        field["name"]: (
            field["doc"],
            _docs_of_avro(field["type"])
            if isinstance(field["type"], dict) and field["type"]["type"] == "record"
            else None,
        )
        for field in record["fields"]
    }


def test_avro_and_json_schema_have_the_same_fields_with_the_same_words() -> None:
    published = json_schema()
    assert _docs_of_avro(AVSC) == _docs_of_json(published, published["$defs"])
    assert [field["name"] for field in AVSC["fields"]] == list(to_document(COINCIDENCE))
    assert AVSC["namespace"] == "starcross.v1_0"


@given(st.lists(coincidences(), max_size=3))
def test_read_back_equal_by_ours_and_by_fastavro(written: list[Any]) -> None:
    body = _container(*written)
    assert wire.read_coincidences(body) == written
    records = list(fastavro.reader(BytesIO(body)))
    assert [record["object"]["alert_ids"] for record in records] == [list(c.object.alert_ids) for c in written]
    for record, coincidence in zip(records, written, strict=True):
        assert us_from_datetime(record["trigger"]["time_utc"]) == coincidence.trigger.time_us
        assert iso_from_us(us_from_datetime(record["changed_utc"])) == to_document(coincidence)["changed_utc"]


def test_bytes_depend_on_the_content_alone() -> None:
    other = changed(reason="other")
    assert _container(COINCIDENCE, other) == _container(COINCIDENCE, other)
    assert _container(COINCIDENCE)[-16:] != _container(other)[-16:]


def test_numbers_that_must_be_known_are_refused_when_they_are_not() -> None:
    with pytest.raises(ValueError, match="overlap"):
        _container(changed(overlap=float("nan")))


def test_a_record_outside_the_ranges_is_refused() -> None:
    record = next(iter(fastavro.reader(BytesIO(_container(COINCIDENCE)))))
    assert isinstance(record, dict)
    record["credible_level"] = 2.0
    with pytest.raises(BadCoincidence, match="credible_level"):
        wire.from_record(record)


@pytest.mark.parametrize(
    ("name", "value"),
    [("changed_utc", 2**62), ("changed_utc", "yesterday"), ("trigger", 5), ("object", None), ("provenance", [])],
)
def test_a_record_of_another_shape_is_refused(name: str, value: object) -> None:
    with pytest.raises(BadCoincidence, match=name):
        wire.from_record(wire.to_record(COINCIDENCE) | {name: value})


def test_records_of_fastavro_read_back_with_their_datetimes() -> None:
    (record,) = fastavro.reader(BytesIO(_container(COINCIDENCE)))
    assert wire.from_record(record) == COINCIDENCE  # type: ignore[arg-type]


@given(st.binary(max_size=64), st.integers(0, 4000), st.booleans())
def test_damaged_bytes_are_refused_or_read_as_something(patch: bytes, at: int, cut: bool) -> None:
    whole = _container(COINCIDENCE)
    body = whole[:at] + patch + (b"" if cut else whole[at + len(patch) :])
    try:
        read = wire.read_coincidences(body)
    except BadInput:
        return
    assert len(read) <= 1


def test_the_bytes_are_the_same_in_every_process():
    program = (
        "import hashlib, io; from schemas.coincidence_avro import write_container;"
        "from tests.coincidences import COINCIDENCE;"
        "out = io.BytesIO(); write_container(out, [COINCIDENCE]); print(hashlib.sha256(out.getvalue()).hexdigest())"
    )
    project = Path(__file__).resolve().parents[2]
    made = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=project,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3", "4")
    }
    assert len(made) == 1
