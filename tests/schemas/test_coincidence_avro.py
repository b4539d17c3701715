import json
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
from schemas.avro import confluent_id
from schemas.coincidence import to_document
from schemas.coincidence_documents import json_schema
from schemas.errors import BadCoincidence, BadInput, Reason
from schemas.records import Coincidence, Publication
from schemas.times import iso_from_us, us_from_datetime
from schemas.writer_schema import AvroLimits, writer_schema
from tests.children import unmeasured
from tests.coincidences import COINCIDENCE, as_of_version, changed, coincidences, publications

FOLDER = resources.files("schemas") / "avro/coincidence"
AVSC = json.loads((FOLDER / "1/2/coincidence.avsc").read_text("utf-8"))
EARLIER = {f"1.{minor}": json.loads((FOLDER / f"1/{minor}/coincidence.avsc").read_text("utf-8")) for minor in (0, 1)}
AVRO_ONLY = ["substreams", "packet"]
PUBLICATION = Publication(COINCIDENCE, ("bright", "grb"), b"Obj\x01 of the survey")


def _container(*written: Any) -> bytes:
    stream = BytesIO()
    wire.write_container(stream, written)
    return stream.getvalue()


TOLD = ("unit", "source")


def _told_by_json(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """What a JSON schema tells of each field, of the fields inside it too."""
    told: dict[str, Any] = {}
    for name, field in schema["properties"].items():
        one = next((kind for kind in field.get("anyOf", ()) if "$ref" in kind), field)
        reference = one.get("$ref") or one.get("items", {}).get("$ref")
        inner = definitions[reference.rsplit("/")[-1]] if reference else None
        told[name] = (
            field.get("description"),
            [field.get(key) for key in TOLD],
            inner and (inner["description"], _told_by_json(inner, definitions)),
        )
    return told


def _told_by_avro(record: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for field in record["fields"]:
        kind = field["type"][1] if isinstance(field["type"], list) else field["type"]
        kind = kind["items"] if isinstance(kind, dict) and kind["type"] == "array" else kind
        inner = kind if isinstance(kind, dict) and kind["type"] == "record" else None
        told[field["name"]] = (
            field["doc"],
            [field.get(key) for key in TOLD],
            inner and (inner["doc"], _told_by_avro(inner)),
        )
    return told


def test_avro_and_json_schema_have_the_same_fields_with_the_same_words() -> None:
    published = json_schema()
    shared = AVSC | {"fields": [field for field in AVSC["fields"] if field["name"] not in AVRO_ONLY]}
    assert _told_by_avro(shared) == _told_by_json(published, published["$defs"])
    assert [field["name"] for field in AVSC["fields"]] == [*to_document(COINCIDENCE), *AVRO_ONLY]
    assert AVSC["namespace"] == "starcross.v1_2"


def _cut(value: Any, schema: Any) -> Any:
    """What of a record, and of the records inside it, a schema has fields for."""
    if not isinstance(value, dict) or not isinstance(schema, dict) or schema["type"] != "record":
        return value
    return {field["name"]: _cut(value[field["name"]], field["type"]) for field in schema["fields"]}


@pytest.mark.parametrize("version", EARLIER)
def test_what_an_earlier_version_wrote_is_read(version: str) -> None:
    body = (Path(__file__).parent / f"versions/coincidence-{version}.avro").read_bytes()
    expected = as_of_version(version, COINCIDENCE)
    assert wire.read_coincidences(body) == [expected]
    assert wire.read_publication(body) == Publication(expected, ())
    (record,) = fastavro.reader(BytesIO(body), AVSC)
    assert isinstance(record, dict)
    assert wire.from_record(record) == Publication(expected, ())


@pytest.mark.parametrize("version", EARLIER)
@given(coincidence=coincidences())
def test_a_frame_of_an_earlier_version_is_read(version: str, coincidence: Coincidence) -> None:
    record = _cut(wire.to_record(Publication(coincidence, ())) | {"schema_version": version}, EARLIER[version])
    framed = BytesIO()
    fastavro.schemaless_writer(framed, EARLIER[version], record, strict=True)
    writer = writer_schema(json.dumps(EARLIER[version]).encode())
    expected = as_of_version(version, coincidence)
    assert wire.read_publication(b"\0\0\0\0\5" + framed.getvalue(), writer) == Publication(expected, ())


@pytest.mark.parametrize("version", EARLIER)
def test_readers_of_an_earlier_version_read_what_they_know(version: str) -> None:
    body = BytesIO(wire.encode_container(PUBLICATION))
    (record,) = fastavro.reader(body, EARLIER[version])
    assert isinstance(record, dict)
    assert record["object"]["alert_ids"] == list(COINCIDENCE.object.alert_ids)
    assert "statistics" not in record


@given(publications(), st.integers(0, 2**31 - 1))
def test_a_publication_reads_back_equal_from_container_and_frame(publication: Any, schema_id: int) -> None:
    assert wire.read_publication(wire.encode_container(publication)) == publication
    framed = wire.encode_framed(publication, schema_id)
    assert confluent_id(framed) == schema_id
    assert wire.read_publication(framed) == publication
    decoded = fastavro.schemaless_reader(BytesIO(framed[5:]), AVSC, None)
    assert isinstance(decoded, dict)
    assert wire.from_record(decoded) == publication


@pytest.mark.parametrize("schema_id", [-1, 2**31])
def test_a_number_that_no_registry_gives_is_refused(schema_id: int) -> None:
    with pytest.raises(ValueError, match="schema id"):
        wire.encode_framed(PUBLICATION, schema_id)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", Reason.UNKNOWN_FORMAT),
        (b"{}", Reason.UNKNOWN_FORMAT),
        (b"\0\0\0\0\5", Reason.UNKNOWN_FORMAT),
        (_container(), Reason.EMPTY),
        (_container(COINCIDENCE, COINCIDENCE), Reason.TOO_LARGE),
        (wire.encode_framed(PUBLICATION, 5)[:-9], Reason.TRUNCATED),
    ],
)
def test_what_is_not_one_publication_is_refused(body: bytes, reason: Reason) -> None:
    with pytest.raises(BadInput) as caught:
        wire.read_publication(body)
    assert caught.value.reason is reason


def test_a_publication_larger_than_the_limits_is_refused_before_it_is_decoded() -> None:
    limits = AvroLimits(block_bytes=100)
    for body in (wire.encode_framed(PUBLICATION, 5), wire.encode_container(PUBLICATION)):
        with pytest.raises(BadInput) as caught:
            wire.read_publication(body, limits=limits)
        assert caught.value.reason is Reason.TOO_LARGE


@given(st.binary(max_size=64), st.integers(5, 2500), st.booleans())
def test_a_damaged_frame_is_refused_or_read_as_something(patch: bytes, at: int, cut: bool) -> None:
    whole = wire.encode_framed(PUBLICATION, 5)
    try:
        read = wire.read_publication(whole[:at] + patch + (b"" if cut else whole[at + len(patch) :]))
    except BadInput:
        return
    assert read.coincidence.revision >= 1


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
    [
        ("changed_utc", 2**62),
        ("changed_utc", "yesterday"),
        ("trigger", 5),
        ("object", None),
        ("provenance", []),
        ("substreams", "bright"),
        ("substreams", [1]),
        ("packet", "text"),
    ],
)
def test_a_record_of_another_shape_is_refused(name: str, value: object) -> None:
    with pytest.raises(BadCoincidence, match=name):
        wire.from_record(wire.to_record(PUBLICATION) | {name: value})


def test_records_of_fastavro_read_back_with_their_datetimes() -> None:
    (record,) = fastavro.reader(BytesIO(_container(COINCIDENCE)))
    assert wire.from_record(record).coincidence == COINCIDENCE  # type: ignore[arg-type]


@given(st.binary(max_size=64), st.integers(0, 20_000), st.booleans())
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
            env=unmeasured() | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3", "4")
    }
    assert len(made) == 1
