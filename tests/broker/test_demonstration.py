import pytest

from bridges.simulator import Injection
from broker.demonstration import clear_nights, compared
from broker.replay import Outcome
from schemas.errors import ConfigurationError
from tests.broker.skies import cone, trigger


def test_nights_of_an_earlier_demo_are_removed(tmp_path):
    nights = tmp_path / "nights"
    (nights / "alerts").mkdir(parents=True)
    (nights / "alerts" / "ztf_simulated_20261005.tar").write_bytes(b"")
    (nights / "truth.json").write_text("[]")
    clear_nights(nights)
    assert not nights.exists()
    clear_nights(nights)


def test_a_folder_with_anything_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ConfigurationError, match=r"thesis\.tex"):
        clear_nights(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


@pytest.mark.parametrize(
    ("dec_deg", "level"),
    # Of a Gaussian whose circle of 2 deg holds 90 %, 1.2 radii from its centre: 1 - 0.1^(1.2^2).
    [(-30.0, "0.000"), (-32.0, "0.900"), (-32.4, "0.964")],
)
def test_what_was_not_found_is_told_with_its_credible_level(dec_deg, level):
    burst = trigger("fermi-gbm:1", localisation=cone(40.0, -30.0, 2.0))
    row = compared(injection(dec_deg=dec_deg), Outcome([], [burst], {}, {}))
    assert (row.rank, row.of, row.findable, row.note) == (None, 0, True, f"it lies on credible level {level}")


def test_what_was_not_found_of_a_trigger_without_a_position_says_so():
    nowhere = Outcome([], [trigger("fermi-gbm:1")], {}, {})
    assert compared(injection(), nowhere).note == "the trigger has no position"
    assert compared(injection(), Outcome([], [], {}, {})).note == "the trigger has no position"


def test_what_gave_no_alert_says_why():
    row = compared(injection(why_not="too faint at every visit"), Outcome([], [trigger("fermi-gbm:1")], {}, {}))
    assert (row.findable, row.note) == (False, "too faint at every visit")


def injection(dec_deg: float = -30.0, why_not: str = "") -> Injection:
    """An afterglow of the trigger that the tests make."""
    return Injection("afterglow", "SIM1", "fermi-gbm:1", 0, 40.0, dec_deg, not why_not, why_not, 1, 1, 19.0, 0)
