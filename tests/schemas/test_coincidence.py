import json
from dataclasses import replace
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import coincidence as wire
from schemas.annotations import Annotation, Answer
from schemas.coincidence_documents import json_schema
from schemas.errors import BadCoincidence, Reason
from schemas.records import Coincidence, State
from schemas.statistics import NO_EVIDENCE, SourceClass
from tests.coincidences import COINCIDENCE, as_of_version, changed, coincidences

FOLDER = resources.files("schemas") / "json"
VERSIONS = ("1.0", "1.1", "1.2")
SCHEMAS = {version: json.loads((FOLDER / f"coincidence-{version}.json").read_text("utf-8")) for version in VERSIONS}
PUBLISHED = SCHEMAS["1.2"]
LINK, EVIDENCE, STATISTICS = COINCIDENCE.trigger.linked[0], COINCIDENCE.evidence, COINCIDENCE.statistics
assert STATISTICS is not None
VALIDATOR = jsonschema.Draft202012Validator(PUBLISHED, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


def test_published_schema_is_that_of_the_models() -> None:
    assert json_schema() == PUBLISHED, "write json_schema() to schemas/json and raise the version"
    VALIDATOR.check_schema(PUBLISHED)


def test_every_field_and_value_of_one_coincidence() -> None:
    assert wire.to_document(COINCIDENCE) == {
        "schema_version": "1.2",
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
            "classification": {"GRB": 0.875, "SGR": 0.125},
            "linked": [
                {
                    "id": "lvk:S200107x",
                    "names": ["MS200107x"],
                    "messenger": "gravitational-wave",
                    "mission": "LVK",
                    "instrument": "H1 L1",
                    "by": "time and sky",
                    "delta_t_s": -1.75,
                    "overlap": 32.25,
                    "far_per_year": 0.0625,
                }
            ],
            "private_to": "",
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
            "last_non_detection_utc": "2020-01-06T03:20:00.000000Z",
            "annotations": [
                {
                    "catalogue": "gaia",
                    "answer": "found",
                    "name": "2459",
                    "separation_arcsec": 7.5,
                    "kind": "",
                    "star_probability": None,
                    "redshift": None,
                    "distance_mpc": None,
                    "distance_err_mpc": None,
                    "values": {"parallax": "0.01"},
                },
                {
                    "catalogue": "galaxies",
                    "answer": "found",
                    "name": "NGC 1052",
                    "separation_arcsec": 12.0,
                    "kind": "galaxy",
                    "star_probability": 0.0,
                    "redshift": 0.005,
                    "distance_mpc": 20.5,
                    "distance_err_mpc": 1.5,
                    "values": {},
                },
                {
                    "catalogue": "skybot",
                    "answer": "none",
                    "name": "",
                    "separation_arcsec": None,
                    "kind": "",
                    "star_probability": None,
                    "redshift": None,
                    "distance_mpc": None,
                    "distance_err_mpc": None,
                    "values": {},
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
        "changed": ["level", "light_curve"],
        "evidence": {
            "rates": [
                {"band": "g", "mag_per_d": 0.5, "mag_per_d_err": 0.125, "points": 3, "span_d": 1.5},
                {"band": "r", "mag_per_d": -0.25, "mag_per_d_err": 0.0625, "points": 2, "span_d": 0.5},
            ],
            "decay_index": 1.25,
            "decay_index_err": 0.375,
            "colour_mag": 0.375,
            "colour_err_mag": 0.140625,
            "colour_bands": "g-r",
            "onset_after_s": -78282.25,
            "onset_before_s": 94648.25,
            "log_likelihood_ratio": {"afterglow": 2.5, "kilonova": 0.5, "supernova": -1.0},
        },
        "statistics": {
            "background_per_deg2_night": 0.03125,
            "background_model": "412 objects in 96 nights, galactic latitude 30 to 45 deg",
            "observed_fraction": 0.75,
            "expected_chance": 6.25,
            "chance_probability": 0.109375,
            "far_per_year": 25.5,
            "weight": 8.5,
            "posterior": 0.625,
            "posterior_none": 0.25,
            "class_posteriors": {"afterglow": 0.5, "kilonova": 0.09375, "supernova": 0.03125},
            "rank": 1,
            "host_distance_mpc": 20.5,
            "credible_level_3d": 0.4375,
        },
    }


@pytest.mark.parametrize("version", VERSIONS[:-1])
def test_what_an_earlier_version_wrote_is_read(version: str) -> None:
    text = (Path(__file__).parent / f"versions/coincidence-{version}.json").read_text("utf-8")
    document = json.loads(text)
    assert document["schema_version"] == version
    jsonschema.Draft202012Validator(SCHEMAS[version]).validate(document)
    VALIDATOR.validate(document)
    expected = as_of_version(version, COINCIDENCE)
    assert wire.from_json(text) == expected
    assert wire.from_document(document) == expected


@pytest.mark.parametrize(("earlier", "later"), [*pairwise(VERSIONS)])
def test_fields_are_only_added_within_a_major_version(earlier: str, later: str) -> None:
    def bare(field: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in field.items() if name not in {"unit", "source"}}

    def records(version: str) -> dict[str, Any]:
        return {"": SCHEMAS[version]} | SCHEMAS[version]["$defs"]

    for name, before in records(earlier).items():
        now = records(later)[name]
        assert now["required"] == before["required"]
        for field, told in before["properties"].items():
            if field != "schema_version":
                assert bare(now["properties"][field]) == told


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


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_catalogues_and_light_curves_do_not_know_is_null(bad: float) -> None:
    annotation = replace(
        COINCIDENCE.object.annotations[0],
        separation_arcsec=bad,
        star_probability=bad,
        redshift=bad,
        distance_mpc=bad,
        distance_err_mpc=bad,
    )
    evidence = replace(
        COINCIDENCE.evidence,
        decay_index=bad,
        decay_index_err=bad,
        colour_mag=bad,
        colour_err_mag=bad,
        onset_after_s=bad,
        onset_before_s=bad,
    )
    made = changed(
        trigger={"classification": {"BNS": bad, "NSBH": 0.5}, "linked": (replace(LINK, far_per_year=bad),)},
        object={"annotations": (annotation,)},
        evidence=evidence,
        statistics=replace(STATISTICS, host_distance_mpc=bad, credible_level_3d=bad),
    )
    read = wire.from_json(wire.to_json(made))
    assert read.trigger.classification == {"NSBH": 0.5}
    assert read.trigger.linked[0].far_per_year is None
    unknown = dict.fromkeys(
        ("separation_arcsec", "star_probability", "redshift", "distance_mpc", "distance_err_mpc"), None
    )
    assert read.object.annotations == (replace(annotation, **unknown),)
    assert read.evidence == replace(
        NO_EVIDENCE, rates=evidence.rates, colour_bands="g-r", log_likelihood_ratio=evidence.log_likelihood_ratio
    )
    assert read.statistics == replace(STATISTICS, host_distance_mpc=None, credible_level_3d=None)


@pytest.mark.parametrize("score", [-999.0, -0.5, 1.5])
def test_a_score_of_stars_that_is_no_probability_is_null(score: float) -> None:
    annotation = Annotation("ps1", Answer.FOUND, star_probability=score)
    (read,) = wire.from_json(wire.to_json(changed(object={"annotations": (annotation,)}))).object.annotations
    assert read == replace(annotation, star_probability=None)


def test_probabilities_are_rounded_to_what_is_possible() -> None:
    over = replace(
        STATISTICS,
        observed_fraction=1 + 1e-12,
        chance_probability=-1e-12,
        posterior=1 + 1e-12,
        posterior_none=-1e-12,
        class_posteriors={SourceClass.KILONOVA: 1 + 1e-12},
        credible_level_3d=1 + 1e-12,
    )
    read = wire.from_json(wire.to_json(changed(statistics=over))).statistics
    assert read is not None
    assert (read.observed_fraction, read.chance_probability, read.posterior, read.posterior_none) == (1, 0, 1, 0)
    assert (read.class_posteriors, read.credible_level_3d) == ({"kilonova": 1}, 1)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        *(
            (name, changed(statistics=replace(STATISTICS, **{name: float("nan")})))
            for name in (
                "background_per_deg2_night",
                "observed_fraction",
                "expected_chance",
                "chance_probability",
                "far_per_year",
                "weight",
                "posterior",
                "posterior_none",
            )
        ),
        ("kilonova", changed(statistics=replace(STATISTICS, class_posteriors={SourceClass.KILONOVA: float("nan")}))),
        ("supernova", changed(evidence=replace(EVIDENCE, log_likelihood_ratio={SourceClass.SUPERNOVA: -float("inf")}))),
        *(
            (name, changed(evidence=replace(EVIDENCE, rates=(replace(EVIDENCE.rates[0], **{name: float("nan")}),))))
            for name in ("mag_per_d", "mag_per_d_err", "span_d")
        ),
        *(
            (name, changed(trigger={"linked": (replace(LINK, **{name: float("nan")}),)}))
            for name in ("delta_t_s", "overlap")
        ),
    ],
)
def test_statistics_that_must_be_known_are_refused_when_they_are_not(name: str, made: Coincidence) -> None:
    with pytest.raises(ValueError, match=f"{name} of (coincidence grb-5b0f7c2a9d1e4f36|link {LINK.id}) is"):
        wire.to_document(made)


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
        ("trigger.linked", [{"id": "lvk:S1"}], Reason.MISSING_FIELD),
        ("trigger.classification", {"BNS": "0.5"}, Reason.WRONG_TYPE),
        ("object.last_non_detection_utc", "2020-01-06", Reason.WRONG_TYPE),
        ("object.annotations", [{"catalogue": "gaia"}], Reason.MISSING_FIELD),
        ("evidence", None, Reason.WRONG_TYPE),
        ("evidence.rates", [{"band": "g"}], Reason.MISSING_FIELD),
        ("statistics.posterior", ..., Reason.MISSING_FIELD),
        ("statistics.posterior", 1.5, Reason.WRONG_TYPE),
        ("statistics.rank", 0, Reason.WRONG_TYPE),
        ("statistics.weight", float("inf"), Reason.NOT_FINITE),
        ("changed", "level", Reason.WRONG_TYPE),
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


@given(st.integers(0, 4500), st.binary(min_size=1, max_size=3))
def test_damaged_json_reads_as_something_or_is_refused(at: int, patch: bytes) -> None:
    body = wire.to_json(COINCIDENCE).encode()
    try:
        read = wire.from_json(body[:at] + patch + body[at + len(patch) :])
    except BadCoincidence:
        return
    assert read.state in State
    assert wire.from_json(wire.to_json(read)) == read
