"""Calibration as tables and as pictures."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from broker.calibration.pairs import Pairs, StageLevel
from broker.calibration.plots import draw_calibration
from broker.calibration.report import Chance, PairReport, ScrambledReport, report_of_weeks
from broker.calibration.tables import calibration_tables
from tests.broker.calibration.worlds import searches


def level(stage, value):
    return StageLevel(stage, f"fermi-gbm:{value}", "swift:1", 0.5, None if stage == "map" else 4.0, 3.0, value, 200.0)


PAIRS = PairReport.told(
    Pairs(
        3,
        ("fermi-gbm:7",),
        tuple(level(stage, value) for stage in ("flight", "final", "map") for value in (0.2, 0.5, 0.8)),
    )
)
SIMULATED = report_of_weeks(searches(1, 800), 8, 1)
EMPTY = report_of_weeks([], 0, 1)
SCRAMBLED = ScrambledReport(
    triggers=20,
    copies=3,
    left_out=("lvk:S1",),
    chance=(Chance.told("all", searches(2, 60), np.random.default_rng(1)),),
    false_claims={"0.1": 12, "0.5": 2},
)
REPORTS = {
    "simulated": SIMULATED,
    "scrambled": SCRAMBLED,
    "pairs": PAIRS,
    "nothing simulated": EMPTY,
    "nothing moved": replace(SCRAMBLED, left_out=()),
    "no pairs": PairReport.told(Pairs(0, (), ())),
}


def text_of(report, width=80):
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False).print(calibration_tables(report))
    return out.getvalue()


@pytest.mark.parametrize("name", REPORTS)
def test_tables_fit_80_columns_and_nothing_is_cut(name):
    text = text_of(REPORTS[name])
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "…" not in text


@pytest.mark.parametrize("name", REPORTS)
def test_the_last_lines_say_what_holds(name):
    report = REPORTS[name]
    text = text_of(report)
    for what, kept in report.acceptance.items():
        assert f"{'holds' if kept else 'fails'}  {what}" in text


def test_tables_say_what_was_measured():
    assert "8 simulated weeks, 800 triggers, seed 1" in text_of(SIMULATED)
    assert "20 triggers, each moved 3 times" in text_of(SCRAMBLED)
    assert "12 of 0.1 or more, 2 of 0.5 or more" in text_of(SCRAMBLED)
    assert "1 could not be moved" in text_of(SCRAMBLED)
    told = text_of(PAIRS)
    assert "3 bursts of Fermi" in told
    assert "other hemisphere: fermi-gbm:7" in told
    assert "67 %" in told


def picture_of(report):
    out = io.BytesIO()
    draw_calibration(out, report)
    return out.getvalue()


@pytest.mark.parametrize("name", REPORTS)
def test_pictures_are_png(name):
    picture = picture_of(REPORTS[name])
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 10_000


def test_equal_reports_give_equal_pictures():
    assert picture_of(SCRAMBLED) == picture_of(SCRAMBLED)
