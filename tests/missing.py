"""What a test needs and does not find: then it is skipped, saying so, but fails in CI, where nothing is missing."""

import os
import shutil
from typing import NoReturn

import pytest

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}


def skip_or_fail(why: str) -> NoReturn:
    """Skip the test, or fail it in CI."""
    if IN_CI:
        pytest.fail(why)
    pytest.skip(why)


def program(*names: str, package: str) -> str:
    """The path of a program that has one of these names; without it the test is skipped, or fails in CI.

    Parameters
    ----------
    package
        What to install, for whoever reads why the test did not run.
    """
    folders = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    for name in names:
        if found := shutil.which(name, path=folders):
            return found
    skip_or_fail(f"there is no {names[0]} here (apt-get install {package})")
