"""Conditions on coincidences."""

from typing import Any

import pytest
from hypothesis import given

from matchers.selection import MOST_CHARACTERS, Selection, fields_of_conditions
from schemas.coincidence import to_document
from schemas.errors import ConfigurationError
from schemas.records import Coincidence
from tests.coincidences import COINCIDENCE, as_of_version, changed, coincidences


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ('trigger.messenger == "gamma-ray" and credible_level < 0.5 and object.mag < 20', True),
        ('trigger.messenger == "neutrino"', False),
        ("credible_level < 0.3125", False),
        ("credible_level <= 0.3125", True),
        ('object.band in ["g", "r"] and not trigger.test', True),
        ("object.detections == 2", True),
        ('"GRB 200107A" in trigger.names or trigger.mission =~ "F.*"', True),
        ('object.first_detection_utc > d"2020-01-08"', True),
        ('object.first_detection_utc > d"2020-01-08T03:22:10.5"', False),
        ('state == "updated" and revision == 2', True),
        ('trigger.links["lightcurve"] != ""', True),
        ('trigger.links["absent"] == "x"', False),
        ("trigger.ivorn == trigger.ivorn and trigger.origin =~ '2020.*'", True),
        ("delta_t_s / 0 > 1e300", True),
        ("statistics.posterior > 0.5 and statistics.rank == 1", True),
        ("statistics.far_per_year < 1", False),
        ('statistics.class_posteriors["afterglow"] > statistics.class_posteriors["kilonova"]', True),
        ("evidence.decay_index > 1 and evidence.decay_index_err < 0.5", True),
        ('evidence.rates["g"].mag_per_d > 0.3', True),
        ('evidence.rates["r"].mag_per_d > 0.3', False),
        ('evidence.log_likelihood_ratio["afterglow"] > 2', True),
        ('evidence.colour_bands == "g-r" and evidence.colour_mag < 0.7', True),
        ("evidence.onset_after_s < 0 and evidence.onset_before_s > 0", True),
        ('object.annotations["gaia"].separation_arcsec < 10', True),
        ('object.annotations["gaia"].separation_arcsec < 2', False),
        ('object.annotations["galaxies"].distance_mpc < 40', True),
        ('object.annotations["gaia"].values["parallax"].to_flt < 0.1', True),
        ('object.annotations["skybot"].answer == "none"', True),
        ('"gaia" in object.annotations and not ("tns" in object.annotations)', True),
        ('trigger.classification["GRB"] > 0.5', True),
        ('trigger.classification["BNS"] > 0.5', False),
        ("trigger.linked.length == 1", True),
        ('"lvk:S200107x" in trigger.linked', True),
        ('"MS200107x" in trigger.linked["lvk:S200107x"].names', True),
        ('$any([trigger.linked[id].messenger == "gravitational-wave" for id in trigger.linked])', True),
        ('"level" in changed', True),
    ],
)
def test_conditions_hold_or_not(condition, holds):
    assert Selection.of(condition).holds(COINCIDENCE) is holds


@pytest.mark.parametrize("condition", ["object.mag < 99", "object.mag > 0", "object.mag == 20", "object.mag + 1 < 99"])
def test_no_comparison_with_what_is_unknown_holds(condition):
    unknown = changed(object={"mag": None})
    assert not Selection.of(condition).holds(unknown)
    assert Selection.of(f'{condition} or trigger.messenger == "gamma-ray"').holds(unknown)


NOTHING_TOLD = as_of_version("1.1", COINCIDENCE)


@pytest.mark.parametrize(
    "condition",
    [
        "statistics.posterior < 2",
        "statistics.rank == 1",
        'statistics.background_model == "x"',
        'statistics.class_posteriors["kilonova"] >= 0',
        "evidence.decay_index > -100",
        'evidence.rates["g"].mag_per_d < 100',
        'object.annotations["gaia"].separation_arcsec < 1e9',
        'object.annotations["gaia"].answer == "found"',
        'object.annotations["gaia"].values["parallax"] == "0.01"',
        'trigger.classification["BNS"] < 2',
        'trigger.linked["lvk:S200107x"].far_per_year >= 0',
        '"MS200107x" in trigger.linked["lvk:S200107x"].names',
        '"lvk:S200107x" in trigger.linked',
        "trigger.linked.length > 0",
    ],
)
def test_no_comparison_with_what_nobody_told_holds(condition):
    assert not Selection.of(condition).holds(NOTHING_TOLD)
    assert Selection.of(f'{condition} or trigger.messenger == "gamma-ray"').holds(NOTHING_TOLD)
    assert Selection.of(f"not ({condition})").holds(NOTHING_TOLD)


@pytest.mark.parametrize(
    "condition",
    [
        "statistics.posterior.floor == 0",
        "object.annotations.values.length > 0",
        '$any([id =~ trigger.links["x"].to_str for id in object.annotations.values])',
        'trigger.links["lightcurve"].to_flt > 0',
    ],
)
def test_what_cannot_be_computed_does_not_hold(condition):
    unknown = changed(statistics=None)
    assert Selection.of(condition).holds(unknown) is False


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("credible_levl < 1", "there is no credible_levl; is credible_level meant? (character 1)"),
        ('state == "x" and trigger.mesenger == "a"', "(character 26):\n    state"),
        ("credible_level <", "it cannot be read on from here (character 17)"),
        ("1 < credible_level < 3", "(character 20)"),
        ('credible_level < "a"', "data type mismatch"),
        ("credible_level", "it is no condition but a value (float)"),
        ("provenance", "there is no provenance"),
        ("(" * 30 + "1", "more than 20 brackets"),
        ("-" * 1500 + "1 > 0", "recursion"),
        ("a" * (MOST_CHARACTERS + 1), "at most 2000"),
        ("2 ** 99999999 > credible_level", "arithmetic"),
        ('trigger.id =~ "("', "regular expression"),
        ('object.annotations["gaia"].kin == "QSO"', "there is no kin; is kind meant? (character 28)"),
        ('object.annotations["gaia"] < 2', "data type mismatch"),
        ('object.annotations.gaia.kind == "QSO"', "attribute access on a MAPPING"),
        ("statistics > 0.5", "data type mismatch"),
        ("statistics.posterior", "it is no condition but a value (float)"),
        ('statistics.posterior > "a"', "data type mismatch"),
        ('evidence.rates["g"].band == "g"', "there is no band"),
        ("object.last_non_detection_utc < trigger.time_utc", "there is no last_non_detection_utc"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(condition, says):
    with pytest.raises(ConfigurationError) as raised:
        Selection.of(condition)
    assert says in str(raised.value)


@given(coincidences())
def test_every_field_can_be_asked_of_every_coincidence(coincidence: Coincidence):
    document = to_document(coincidence)
    for name in fields_of_conditions():
        holds = Selection.of(f"{name} == {name}").holds(coincidence)
        assert holds is (_is_text_or_many(name) or _value(document, name) is not None), name


def _value(document: dict[str, Any], name: str) -> Any:
    """What the published form says of a field; None of an entry with a key that is not there."""
    if name == "object.detections":
        return len(document["object"]["alert_ids"])
    if '["<' in name:
        return None
    value: Any = document
    for part in name.split("."):
        value = None if value is None else value[part]
    return value


def _is_text_or_many(name: str) -> bool:
    """An unknown text is equal to itself, and so is what there is none of; an unknown number is not."""
    texts = ("names", "messenger", "mission", "instrument", "by", "answer", "name", "kind", "values")
    many = ("class_posteriors", "background_model", "significance_unit")
    return name.rpartition(".")[2] in texts + many


def test_every_field_is_explained():
    assert all(fields_of_conditions().values())
    some = {"credible_level", "trigger.messenger", "object.mag", 'evidence.rates["<band>"].points', "statistics.rank"}
    assert some <= fields_of_conditions().keys()
