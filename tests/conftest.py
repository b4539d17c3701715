"""What all tests share: where the real data is, how hard hypothesis tries, and no network."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.kafka_server import kafka

__all__ = ["kafka"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell has it for what runs in the background; processes that tests interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
PROJECT = Path(__file__).resolve().parents[1]

settings.register_profile(
    "starcross", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow], derandomize=IN_CI
)
settings.load_profile("starcross")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes make no names of tests: gzip puts the time into them, and every worker must find the same names."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command that a test runs sets up logs for its process, on the standard error of that moment."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real packets (STARCROSS_TEST_DATA, by default ../shared/data); skips where there is none."""
    folder = Path(os.environ.get("STARCROSS_TEST_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        message = f"no real packets at {folder}: set STARCROSS_TEST_DATA to test with them"
        if IN_CI:
            pytest.fail(message)
        pytest.skip(message)
    return folder
