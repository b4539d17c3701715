"""Processes that tests start."""

import os


def unmeasured() -> dict[str, str]:
    """The environment of a process that coverage.py does not follow, which would take a third of its time.

    For what is killed, and so leaves no figures, and for what runs nothing that is not measured elsewhere.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS_")}
