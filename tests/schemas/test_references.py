import pytest

from schemas.references import trigger_id_of


@pytest.mark.parametrize(
    ("text", "observatory", "trigger_id"),
    [
        ("S230518h", "", "lvk:S230518h"),
        ("MS230518ab-1-Initial", "gcn.notices.LVK.alert", "lvk:MS230518ab"),
        ("GW170817", "", None),
        ("bn240812094", "", "fermi-gbm:bn240812094"),
        ("600117987", "Fermi", "fermi-gbm:600117987"),
        ("600117987", "Fermi-LAT", "fermi-lat:600117987"),
        ("Swift 1159327", "", "swift:1159327"),
        ("1159327", "Swift-BAT", "swift:1159327"),
        ("694215995", "BAT-GUANO", "swift-guano:694215995"),
        ("sb24022203", "", "svom:sb24022203"),
        ("01709130131", "Einstein Probe", "einstein-probe:01709130131"),
        ("140078_030891383_0", "IceCube", "icecube:140078_30891383"),
        ("IceCube-230416A", "IceCube", None),
        ("12345", "gcn circulars", None),
        ("12345", "", None),
        ("12", "Swift", None),
        ("Fermi", "Fermi", None),
        ("", "Fermi", None),
        ("S230518h; drop", "", None),
        ("9" * 200, "Swift", None),
    ],
)
def test_names_of_triggers_become_ids_where_it_is_known_whose_they_are(text, observatory, trigger_id):
    assert trigger_id_of(text, observatory) == trigger_id
