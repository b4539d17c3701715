import math

import pytest

from bridges.catalogue_entries import ENTRIES, TEXT_CHARACTERS, annotation_of, nothing_near
from schemas.annotations import Annotation, Answer


def test_an_entry_as_an_annotation():
    entry = {
        "name": " NGC 4993 ",
        "kind": "G",
        "star_probability": 0,
        "redshift": "0.0098",
        "distance_mpc": 40.7,
        "distance_err_mpc": 2.4,
        "values": {"Kmag": 9.33, "note": None},
    }
    assert annotation_of("glade", 10.60001, entry, entries=2) == Annotation(
        "glade", Answer.FOUND, "NGC 4993", 10.6, "G", 0.0, 0.0098, 40.7, 2.4, {"Kmag": "9.33", ENTRIES: "2"}
    )
    assert nothing_near("glade") == Annotation("glade", Answer.NONE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("redshift", -999.0),
        ("redshift", math.nan),
        ("redshift", "unknown"),
        ("redshift", [1]),
        ("star_probability", 1.5),
        ("star_probability", -0.1),
        ("distance_mpc", 0.0),
        ("distance_mpc", math.inf),
        ("distance_err_mpc", 3.0),
    ],
)
def test_what_cannot_be_is_unknown(name, value):
    assert getattr(annotation_of("any", 1.0, {name: value}), name) is None


def test_texts_of_strangers_are_one_short_printable_line():
    entry = {"name": "a\x1b[31m\nb\u202ec\0", "kind": "x" * 10**6, "values": {"y": math.nan, "z": "z" * 10**6}}
    found = annotation_of("any", 1.0, entry)
    assert found.name == "a [31m b c"
    assert found.kind == "x" * TEXT_CHARACTERS
    assert found.values == {"z": "z" * TEXT_CHARACTERS}
