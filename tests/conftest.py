"""What all tests share: where the real data is, how hard hypothesis tries, and no network."""

import logging
import os
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

import pytest
import structlog
from coverage import Coverage
from hypothesis import HealthCheck, settings

from tests.kafka_server import kafka
from tests.missing import IN_CI, skip_or_fail

__all__ = ["kafka"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell has it for what runs in the background; processes that tests interrupt would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

PROJECT = Path(__file__).resolve().parents[1]

settings.register_profile(
    "starcross",
    deadline=None,
    max_examples=int(os.environ.get("STARCROSS_TEST_PROPERTIES", "40")),
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=IN_CI,
)
settings.load_profile("starcross")

MEASURED_EXAMPLES = 10

LONGEST = (
    "tests/e2e/test_torture.py",
    "tests/e2e/live/test_kafka.py",
    "tests/e2e/interface/test_contract.py",
    "tests/e2e/test_oracle.py",
    "tests/e2e/test_real_data.py",
    "tests/e2e/test_service.py",
    "tests/broker/store/test_crash.py",
    "tests/broker/calibration/test_pairs.py",
    "tests/bench/test_bench.py",
    "tests/bridges/test_kafka_survey.py",
    "tests/bridges/test_kafka_sink.py",
    "tests/bridges/test_gcn_source.py",
    "tests/test_kafka_server.py",
    "tests/broker/test_connections.py",
)
"""Modules with tests that take longest, or wait: they come first, so that in the end no core waits for one of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first."""
    places = {f"/{name}": place for place, name in enumerate(LONGEST)}
    ends = tuple(places)

    def place(item: pytest.Item) -> int:
        path = item.path.as_posix()
        return next(places[end] for end in ends if path.endswith(end)) if path.endswith(ends) else len(places)

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Coverage.py pauses in what is prepared for tests that are marked so."""
    return (yield from _measured_or_not(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """It pauses in these tests, too, and after the first examples of a property."""
    with _first_examples_measured(item):
        return (yield from _measured_or_not(item))


@contextmanager
def _first_examples_measured(item: pytest.Item) -> Iterator[None]:
    """The examples after `MEASURED_EXAMPLES` run through the same lines, and would take twice as long."""
    coverage, property_ = Coverage.current(), getattr(getattr(item, "obj", None), "hypothesis", None)
    if coverage is None or property_ is None or iscoroutinefunction(property_.inner_test):
        yield
        return
    inner, seen = property_.inner_test, 0

    @wraps(inner)
    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == MEASURED_EXAMPLES + 1:
            coverage.stop()
        return inner(*args, **kwargs)

    property_.inner_test = counted
    try:
        yield
    finally:
        property_.inner_test = inner
        if seen > MEASURED_EXAMPLES:
            coverage.start()


def _measured_or_not(item: pytest.Item) -> Generator[None, Any, Any]:
    coverage = Coverage.current() if item.get_closest_marker("not_measured") else None
    if coverage is None:
        return (yield)
    coverage.stop()
    try:
        return (yield)
    finally:
        coverage.start()


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
        skip_or_fail(f"no real packets at {folder}: set STARCROSS_TEST_DATA to test with them")
    return folder
