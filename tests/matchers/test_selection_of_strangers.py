"""What strangers may ask of coincidences: what surely takes little time, and that means what it always means."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matchers.selection import MOST_CHARACTERS, Selection
from schemas.errors import ConfigurationError
from tests.coincidences import COINCIDENCE


@pytest.mark.parametrize(
    "condition",
    [
        'trigger.messenger == "gamma-ray" and credible_level < 0.5 and object.mag < 20',
        'object.band in ["g", "r"] and not trigger.test',
        '"GRB 200107A" in trigger.names',
        'object.first_detection_utc > d"2020-01-08T03:22:10.5"',
        'trigger.links["lightcurve"] != ""',
        "delta_t_s / 0 > 1e300",
        "delta_t_s/3600 - 2 * 3 + 1 >= -1.5",
        "statistics.posterior > 0.5 or (statistics.rank == 1)",
        "statistics.class_posteriors['afterglow'] <= .5",
        "credible_level<1e-3",
    ],
)
def test_plain_conditions_mean_the_same(condition):
    assert Selection.of_stranger(condition).holds(COINCIDENCE) is Selection.of(condition).holds(COINCIDENCE)


@pytest.mark.parametrize(
    "condition",
    [
        'object.object_id =~ "(a|a)*b"', 'object.object_id !~ "x"', 'object.object_id =~~ "x"',
        "[x for x in trigger.names][0] == ''", "$range(9)[0] == 1", "$now > d'2020-01-01'", "1 << 3 > 1", "8 >> 3 == 1",
        "2 ** 3 == 8", "7 // 2 == 3", "7 % 2 == 1", "1 & 1 == 1", "1 | 1 == 1", "1 ^ 1 == 0", "true # and",
        "1e9999 > 1", "1" * 30 + " > 1", '"\\x41" == "A"', "true ? true : false", "trigger.test?", "0x10 == 16",
        'd"2020" if true else 1', "", " ", "x" * (MOST_CHARACTERS + 1), "é == 1",
    ],
)  # fmt: skip
def test_what_may_take_long_is_refused_at_once(condition):
    began_s = time.process_time()
    with pytest.raises(ConfigurationError):
        Selection.of_stranger(condition)
    assert time.process_time() - began_s < 5


@given(st.text("ab1.\"'<>=! ()[]+-*/,de$~{}#\\\n", max_size=300))
def test_any_text_is_a_condition_or_refused(text):
    try:
        selection = Selection.of_stranger(text)
    except ConfigurationError:
        return
    assert selection.holds(COINCIDENCE) in {True, False}


def test_the_place_of_what_is_refused_is_told():
    with pytest.raises(ConfigurationError, match=r"character 18\)"):
        Selection.of_stranger('object.object_id =~ "x"')
