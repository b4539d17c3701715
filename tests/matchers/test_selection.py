"""Conditions on coincidences."""

import pytest
from hypothesis import given

from matchers.selection import MOST_CHARACTERS, Selection, fields_of_conditions
from schemas.coincidence import to_document
from schemas.errors import ConfigurationError
from schemas.records import Coincidence
from tests.coincidences import COINCIDENCE, changed, coincidences


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
    ],
)
def test_conditions_hold_or_not(condition, holds):
    assert Selection.of(condition).holds(COINCIDENCE) is holds


@pytest.mark.parametrize("condition", ["object.mag < 99", "object.mag > 0", "object.mag == 20", "object.mag + 1 < 99"])
def test_no_comparison_with_what_is_unknown_holds(condition):
    unknown = changed(object={"mag": None})
    assert not Selection.of(condition).holds(unknown)
    assert Selection.of(f'{condition} or trigger.messenger == "gamma-ray"').holds(unknown)


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
        prefix, _, last = name.rpartition(".")
        known = last == "detections" or (document[prefix] if prefix else document)[last] is not None
        assert Selection.of(f"{name} == {name}").holds(coincidence) is (known or _is_text(name))


def _is_text(name: str) -> bool:
    return name == "trigger.significance_unit"


def test_every_field_is_explained():
    assert all(fields_of_conditions().values())
    assert {"credible_level", "trigger.messenger", "object.mag"} <= fields_of_conditions().keys()
