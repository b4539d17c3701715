"""The floor of coverage, on reports that coverage itself writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.coverage_floor import FLOOR_PERCENT, PACKAGES, below_the_floor, main


def report(**percent_by_module: float) -> dict[str, object]:
    """A report in which every package has a well covered module, and these (``__`` is a slash)."""
    names = {f"{package}/__init__.py": 100.0 for package in PACKAGES}
    names |= {f"{name.replace('__', '/')}.py": percent for name, percent in percent_by_module.items()}
    return {
        "files": {
            name: {"summary": {"percent_covered": percent}, "missing_lines": [3, 4]} for name, percent in names.items()
        }
    }


def test_all_is_well_at_the_floor():
    assert below_the_floor(report(schemas__times=FLOOR_PERCENT)) == []


def test_a_module_below_is_named_with_its_lines():
    (problem,) = below_the_floor(report(schemas__times=89.99, tests__any=0.0))
    assert problem.startswith("schemas/times.py: ")
    assert problem.endswith("missing: 3, 4")


def test_a_module_of_a_package_inside_is_seen():
    (problem,) = below_the_floor(report(bridges__simulator__night=10.0))
    assert problem.startswith("bridges/simulator/night.py: 10.0 %")


def test_a_package_that_was_not_measured_is_named():
    whole = report()
    del whole["files"]["matchers/__init__.py"]
    assert below_the_floor(whole) == ["matchers: no module was measured"]


@pytest.mark.parametrize(("percent", "code"), [(95.0, 0), (50.0, 1)])
def test_the_exit_code(tmp_path, capsys, percent, code):
    path = tmp_path / "coverage.json"
    path.write_text(json.dumps(report(broker__log=percent)))
    assert main([str(path)]) == code
    assert ("broker/log.py" in capsys.readouterr().out) == bool(code)


def test_a_wrong_call_is_told(capsys):
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_reports_of_the_installed_coverage_have_this_form(tmp_path):
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "one.py").write_text("a = 1\nif a > 1:\n    b = 1\n    c = 2\n    d = 3\n")
    (tmp_path / "all.py").write_text("".join(f"import {package}.one\n" for package in PACKAGES))
    coverage = [sys.executable, "-m", "coverage"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    for action in (["run", f"--source={','.join(PACKAGES)}", "all.py"], ["json", "-q", "-o", "report.json"]):
        subprocess.run([*coverage, *action], cwd=tmp_path, env=environment, check=True)
    problems = below_the_floor(json.loads((tmp_path / "report.json").read_text()))
    assert [problem.split(":")[0] for problem in problems] == sorted(
        (str(Path(package, "one.py")) for package in PACKAGES), key=lambda name: PACKAGES.index(Path(name).parts[0])
    )
    assert all(problem.endswith("missing: 3, 4, 5") for problem in problems)
