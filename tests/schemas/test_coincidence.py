import json
from dataclasses import replace
from importlib import resources
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import coincidence as wire
from schemas.errors import BadCoincidence, Reason
from schemas.records import State
from tests.coincidences import COINCIDENCE, changed, coincidences

FOLDER = resources.files("schemas") / "json"
PUBLISHED = json.loads((FOLDER / "coincidence-1.1.json").read_text("utf-8"))
FIRST = json.loads((FOLDER / "coincidence-1.0.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(PUBLISHED, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


def test_published_schema_is_that_of_the_models() -> None:
    assert wire.json_schema() == PUBLISHED, "write json_schema() to schemas/json and raise the version"
    VALIDATOR.check_schema(PUBLISHED)


def test_every_field_and_value_of_one_coincidence() -> None:
    assert wire.to_document(COINCIDENCE) == {
        "schema_version": "1.1",
        "id": "grb-5b0f7c2a9d1e4f36",
        "revision": 2,
        "state": "updated",
        "reason": "new_alerts",
        "changed_utc": "2020-01-09T03:10:59.999999Z",
        "matcher": "grb",
        "trigger": {
            "id": "fermi-gbm:600117987",
            "names": ["bn200107045", "GRB 200107A"],
            "messenger": "gamma-ray",
            "mission": "Fermi",
            "instrument": "GBM",
            "time_utc": "2020-01-07T01:04:42.250000Z",
            "revision": 3,
            "ivorn": "ivo://nasa.gsfc.gcn/Fermi#GBM_Gnd_Pos_2020-01-07T01:04:42.25_600117987_46-431",
            "origin": "2020-01.tar.gz/600117987_gnd.xml",
            "localisation_model": "core and tail of Fermi-GBM's ground systematics, statistical radius 3.2 deg at 68 %",
            "far_hz": 1.5e-9,
            "significance": 12.5,
            "significance_unit": "sigma",
            "test": False,
            "links": {"lightcurve": "https://example.org/glg_lc_medres34_bn200107045.gif?a=1&b=2"},
        },
        "object": {
            "survey": "ztf",
            "object_id": "ZTF20aaeqmed",
            "alert_ids": [1102244560015015009, 1103244560015015011],
            "ra_deg": 37.6801234,
            "dec_deg": -8.4412345,
            "first_detection_utc": "2020-01-08T03:22:10.500000Z",
            "first_match_utc": "2020-01-08T03:22:10.500000Z",
            "last_match_utc": "2020-01-09T03:10:59.999999Z",
            "mag": 19.125,
            "mag_err": 0.0625,
            "band": "g",
            "light_curve": [
                {
                    "alert_id": 1102244560015015009,
                    "time_utc": "2020-01-08T03:22:10.500000Z",
                    "band": "r",
                    "mag": 19.5,
                    "mag_err": 0.125,
                },
                {
                    "alert_id": 1103244560015015011,
                    "time_utc": "2020-01-09T03:10:59.999999Z",
                    "band": "g",
                    "mag": 19.125,
                    "mag_err": 0.0625,
                },
            ],
        },
        "delta_t_s": 94648.25,
        "separation_deg": 2.75,
        "credible_level": 0.3125,
        "probability_density_per_sr": 12.5,
        "overlap": 157.07963267948966,
        "area_90_deg2": 201.5,
        "provenance": {
            "software": "starcross 0.1.0",
            "config_hash": "0f1e2d3c4b5a6978",
            "inputs": [
                "2020-01.tar.gz/600117987_gnd.xml",
                "ztf_public_20200108.tar.gz/1102244560015015009.avro",
            ],
        },
    }


def _of_first_version(coincidence: Any) -> dict[str, Any]:
    document = wire.to_document(coincidence) | {"schema_version": "1.0"}
    del document["object"]["light_curve"]
    return document


@given(coincidences())
def test_the_first_version_is_read_with_an_empty_light_curve(coincidence: Any) -> None:
    document = _of_first_version(coincidence)
    jsonschema.Draft202012Validator(FIRST).validate(document)
    VALIDATOR.validate(document)
    expected = replace(coincidence, object=replace(coincidence.object, light_curve=()))
    assert wire.from_json(json.dumps(document)) == expected
    assert wire.from_document(document) == expected


def test_fields_are_only_added_within_a_major_version() -> None:
    def without(schema: dict[str, Any], *added: str) -> dict[str, Any]:
        return {name: field for name, field in schema.items() if name not in added}

    first, now = FIRST["$defs"], without(PUBLISHED["$defs"], "MeasurementDocument")
    assert now.keys() == first.keys()
    for name, definition in now.items():
        assert without(definition["properties"], "light_curve") == first[name]["properties"]
        assert definition["required"] == first[name]["required"]
    assert without(PUBLISHED["properties"], "schema_version") == without(FIRST["properties"], "schema_version")
    assert PUBLISHED["required"] == FIRST["required"]


@given(coincidences())
def test_json_is_valid_and_reads_back_equal(coincidence: Any) -> None:
    text = wire.to_json(coincidence)
    VALIDATOR.validate(json.loads(text))
    assert text.isascii()
    assert text.splitlines() == [text]
    assert wire.from_json(text) == coincidence
    assert wire.from_json(text.encode()) == coincidence
    assert wire.from_document(json.loads(text)) == coincidence


def test_the_same_coincidence_is_the_same_text_whatever_the_order_of_its_links() -> None:
    one = changed(trigger={"links": {"a": "1", "b": "2"}})
    other = changed(trigger={"links": {"b": "2", "a": "1"}})
    assert wire.to_json(one) == wire.to_json(other)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_unknown_numbers_are_null_and_never_nan(bad: float) -> None:
    document = json.loads(
        wire.to_json(changed(trigger={"far_hz": bad, "significance": bad}, object={"mag": bad, "mag_err": bad}))
    )
    assert document["trigger"]["far_hz"] is None
    assert document["trigger"]["significance"] is None
    assert document["object"]["mag"] is None
    assert document["object"]["mag_err"] is None
    point = replace(COINCIDENCE.object.light_curve[0], mag=bad, mag_err=bad)
    (point,) = wire.to_document(changed(object={"light_curve": (point,)}))["object"]["light_curve"]
    assert (point["mag"], point["mag_err"]) == (None, None)


@pytest.mark.parametrize(
    "name",
    ["delta_t_s", "separation_deg", "credible_level", "probability_density_per_sr", "overlap", "area_90_deg2"],
)
def test_numbers_that_must_be_known_are_refused_when_they_are_not(name: str) -> None:
    if name == "credible_level":
        assert wire.to_document(changed(credible_level=1 + 1e-12))["credible_level"] == 1.0
    with pytest.raises(ValueError, match=f"{name} of coincidence grb-5b0f7c2a9d1e4f36 is nan"):
        wire.to_json(changed(**{name: float("nan")}))


@pytest.mark.parametrize("name", ["ra_deg", "dec_deg"])
def test_a_position_must_be_known(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        wire.to_json(changed(object={name: float("nan")}))


def test_lone_surrogates_become_replacement_characters() -> None:
    document = json.loads(wire.to_json(changed(reason="a\ud800b", trigger={"names": ("\udcff", "\U0001f30c")})))
    assert document["reason"] == "a\ufffdb"
    assert document["trigger"]["names"] == ["\ufffd", "\U0001f30c"]


def _broken(path: str, value: Any) -> str:
    document = wire.to_document(COINCIDENCE)
    inner = document
    *parents, last = path.split(".")
    for parent in parents:
        inner = inner[parent]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("trigger.test", ..., Reason.MISSING_FIELD),
        ("provenance", ..., Reason.MISSING_FIELD),
        ("trigger.surprise", 1, Reason.WRONG_TYPE),
        ("surprise", None, Reason.WRONG_TYPE),
        ("schema_version", "2.0", Reason.WRONG_TYPE),
        ("revision", 0, Reason.WRONG_TYPE),
        ("revision", True, Reason.WRONG_TYPE),
        ("revision", "1", Reason.WRONG_TYPE),
        ("state", "lost", Reason.WRONG_TYPE),
        ("changed_utc", "2020-01-09", Reason.WRONG_TYPE),
        ("changed_utc", "2020-01-09T03:10:59Z", Reason.WRONG_TYPE),
        ("changed_utc", 5, Reason.WRONG_TYPE),
        ("object.first_match_utc", "2020-02-30T03:10:59.000000Z", Reason.WRONG_TYPE),
        ("object.alert_ids", [2**63], Reason.WRONG_TYPE),
        ("object.alert_ids", ["1"], Reason.WRONG_TYPE),
        ("changed_utc", "9999-12-31T23:59:60.000000", Reason.WRONG_TYPE),
        ("object.last_match_utc", "0001-01-01T00:00:00.000000+01:00", Reason.WRONG_TYPE),
        ("object.dec_deg", 90.5, Reason.WRONG_TYPE),
        ("object.light_curve", [{"alert_id": 1}], Reason.MISSING_FIELD),
        ("object.light_curve", None, Reason.WRONG_TYPE),
        ("credible_level", 1.5, Reason.WRONG_TYPE),
        ("separation_deg", None, Reason.WRONG_TYPE),
        ("overlap", float("nan"), Reason.NOT_FINITE),
        ("object.mag", float("inf"), Reason.NOT_FINITE),
        ("trigger.links", {"a": 1}, Reason.WRONG_TYPE),
    ],
)
def test_what_does_not_follow_the_schema_is_refused_by_schema_and_reader(path: str, value: Any, reason: Reason) -> None:
    text = _broken(path, value)
    with pytest.raises(BadCoincidence) as caught:
        wire.from_json(text)
    assert caught.value.reason is reason
    assert caught.value.detail.startswith(path)
    if reason is not Reason.NOT_FINITE:  # JSON has no NaN, so that its schema has nothing to say of it
        assert not VALIDATOR.is_valid(json.loads(text))


def test_longer_text_than_the_limit_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(BadCoincidence) as caught:
        wire.from_json(b" " * (wire.MAX_JSON_BYTES + 1))
    assert caught.value.reason is Reason.TOO_LARGE


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_raise_only_bad_coincidence(body: bytes) -> None:
    with pytest.raises(BadCoincidence):
        wire.from_json(body)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(BadCoincidence) as caught:
        wire.from_json("[" * 100_000)
    assert caught.value.reason is Reason.MALFORMED


@given(st.integers(0, 1500), st.binary(min_size=1, max_size=3))
def test_damaged_json_reads_as_something_or_is_refused(at: int, patch: bytes) -> None:
    body = wire.to_json(COINCIDENCE).encode()
    try:
        read = wire.from_json(body[:at] + patch + body[at + len(patch) :])
    except BadCoincidence:
        return
    assert read.state in State
    assert wire.from_json(wire.to_json(read)) == read
