from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console, RenderableType

from broker.tables import InjectedRow, coincidence_table, delay, found_against_injected_table, summary_table
from schemas.records import State
from tests.coincidences import COINCIDENCE, changed

WITHDRAWN = replace(changed(trigger={"test": True}), state=State.WITHDRAWN)
OTHER = changed(
    trigger={"id": "lvk:S230518h"},
    object={"object_id": "ZTF23aaaaaaa", "mag": None},
    delta_t_s=-500.0,
    statistics=None,
)
STATISTICS = COINCIDENCE.statistics
assert STATISTICS is not None


def _shown(table: RenderableType, width: int = 80) -> list[str]:
    console = Console(file=StringIO(), width=width, color_system=None)
    console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("width", [80, 120])
def test_a_coincidence_is_one_line(width: int) -> None:
    lines = _shown(coincidence_table([COINCIDENCE, OTHER, WITHDRAWN]), width)
    assert lines[1].split() == ["#", "trigger", "object", "after", "level", "prob", "chance", "mag"]
    cells = "1 fermi-gbm:600117987 ZTF20aaeqmed 26.3 h 0.31 0.62 0.11 19.12 g"
    assert cells.split() in [line.split() for line in lines]
    other = next(line for line in lines if "S230518h" in line)
    assert other.split() == ["1", "lvk:S230518h", "ZTF23aaaaaaa", "-8.3", "min", "0.31", "-", "-", "-"]
    (gone,) = (line for line in lines if "*" in line and "ZTF" in line)
    assert gone.split()[:3] == ["fermi-gbm:600117987", "*", "ZTF20aaeqmed"]
    assert lines[-3] == "withdrawn are those without a number"
    assert lines[-1] == "* a test or mock trigger"
    assert all(len(line) <= width for line in lines)


def test_ranks_are_those_of_the_statistics_or_count_within_a_trigger() -> None:
    third = replace(COINCIDENCE, statistics=replace(STATISTICS, rank=3))
    lines = _shown(coincidence_table([COINCIDENCE, OTHER, third, OTHER]))
    assert [line.split()[0] for line in lines if "ZTF" in line] == ["1", "1", "3", "2"]
    assert lines[-1] == "prob: of being the counterpart; chance: of an unrelated object as near by chance"
    assert not any("prob:" in line for line in _shown(coincidence_table([OTHER])))


@pytest.mark.parametrize(
    ("chance", "text"), [(0.0, "0.00"), (1.0, "1.00"), (0.005, "0.01"), (0.00312, "3e-3"), (1e-12, "1e-12")]
)
def test_small_probabilities_keep_a_digit(chance: float, text: str) -> None:
    made = replace(COINCIDENCE, statistics=replace(STATISTICS, chance_probability=chance))
    (line,) = (line for line in _shown(coincidence_table([made])) if "ZTF" in line)
    assert line.split()[7] == text


def test_long_lists_are_cut_and_counted() -> None:
    lines = _shown(coincidence_table([COINCIDENCE] * 12, most=10))
    assert sum("ZTF" in line for line in lines) == 10
    assert lines[-2] == "and 2 more"


def test_a_mark_that_all_would_bear_is_said_once() -> None:
    lines = _shown(coincidence_table([changed(trigger={"test": True, "id": "icecube:1356403_7621840"})]))
    assert sum("ZTF" in line for line in lines) == len(lines) - 5
    assert "*" not in " ".join(lines)
    assert lines[-1] == "All of test or mock triggers."


def test_nothing_found_is_said() -> None:
    assert _shown(coincidence_table([])) == ["No coincidences."]


def test_strangers_text_is_neither_markup_nor_a_terminal_command() -> None:
    text = " ".join(_shown(coincidence_table([changed(trigger={"id": "[red]x[/red]\x1b[2Jy"})]), 120))
    assert "[red]x[/red]?[2Jy" in text


def test_summary_shows_every_count_indented() -> None:
    lines = _shown(
        summary_table(
            {
                "software": "starcross 0.1.0",
                "alerts": {"ztf": {"read": 12345, "cut": {"bad_pixels": 0}}, "lsst": {}},
                "first_utc": None,
                "plot": True,
            }
        )
    )
    assert [line.split() for line in lines[1:]] == [
        ["software", "starcross", "0.1.0"],
        ["alerts"],
        ["ztf"],
        ["read", "12,345"],
        ["cut"],
        ["bad", "pixels", "0"],
        ["first", "utc", "-"],
        ["plot", "True"],
    ]
    assert lines[5].index("cut") < lines[6].index("bad")


def test_found_against_injected() -> None:
    rows = [
        InjectedRow("afterglow", "ZTF1", "fermi-gbm:1", 1, 7),
        InjectedRow("kilonova", "ZTF2", "lvk:MS1", 3, 20),
        InjectedRow("kilonova", "ZTF3", "lvk:MS2", None, 20),
        InjectedRow("afterglow", "ZTF4", "fermi-gbm:2", None, 2, False, "too faint"),
    ]
    lines = [line.split() for line in _shown(found_against_injected_table(rows), 100)]
    assert ["afterglow", "ZTF1", "fermi-gbm:1", "1", "of", "7", "yes"] in lines
    assert ["kilonova", "ZTF3", "lvk:MS2", "no"] in lines
    assert ["afterglow", "ZTF4", "fermi-gbm:2", "no,", "too", "faint"] in lines
    assert " ".join(lines[-1]) == "found 2 of 3 that gave a good alert, 1 of them ranked first; 1 more gave none."
    long = replace(
        rows[3], kind="neutrino counterpart", trigger_id="icecube:1356403_7621840", note="out of the fields " * 4
    )
    narrow = _shown(found_against_injected_table([rows[0], long]))
    assert all(len(line) <= 80 for line in narrow)
    assert any("icecube:1356403_7621840" in line for line in narrow)
    assert sum(line.count("fields") for line in narrow) == 4
    everything = _shown(found_against_injected_table(rows[:1]))
    assert everything[-1] == "found 1 of 1 that gave a good alert, 1 of them ranked first."


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (-90, "-90 s"), (600, "10.0 min"), (7200, "2.0 h"), (-86400, "-24.0 h"), (86400 * 4.126, "4.13 d")],
)
def test_delays_read_well(seconds: float, text: str) -> None:
    assert delay(seconds) == text
