"""Whether tests cover each module, after a run with coverage: ``python -m tests.coverage_floor .coverage.json``."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PACKAGES = ("broker", "bridges", "matchers", "schemas")
FLOOR_PERCENT = 90.0


def below_the_floor(report: Mapping[str, Any]) -> list[str]:
    """What is wrong with a run, a sentence each; nothing if all is well.

    Parameters
    ----------
    report
        As ``coverage json`` writes it.
    """
    problems = []
    for package in PACKAGES:
        modules = {name: found for name, found in sorted(report["files"].items()) if Path(name).parts[0] == package}
        if not modules:
            problems.append(f"{package}: no module was measured")
        for name, found in modules.items():
            percent = found["summary"]["percent_covered"]
            if percent < FLOOR_PERCENT:
                missing = ", ".join(map(str, found["missing_lines"])) or "branches only"
                problems.append(f"{name}: {percent:.1f} % covered, expected {FLOOR_PERCENT:g} %; missing: {missing}")
    return problems


def main(arguments: Sequence[str]) -> int:
    """Print what is wrong; 1 if anything is."""
    if len(arguments) != 1:
        print("usage: python -m tests.coverage_floor REPORT.json", file=sys.stderr)  # noqa: T201
        return 2
    problems = below_the_floor(json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    for problem in problems:
        print(problem)  # noqa: T201
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
