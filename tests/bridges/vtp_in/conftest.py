"""Twisted's reactor lasts as long as the process: all tests of this folder share one, on the session's loop."""

import asyncio
import warnings
from importlib import import_module
from types import ModuleType

import pytest
import pytest_asyncio


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def reactor():
    """The reactor, running."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Comet 3.1 has invalid escapes, of which Python 3.12 warns
        reactors = import_module("broker.reactor")
        made = reactors.install(asyncio.get_running_loop())
    async with reactors.running(made):
        yield made


@pytest.fixture
def subscribing(reactor) -> ModuleType:
    """`bridges.vtp_in.subscriber`, which must not be imported before there is a reactor."""
    assert reactor.running
    return import_module("bridges.vtp_in.subscriber")


@pytest.fixture
def receiving(reactor) -> ModuleType:
    """`bridges.vtp_in.receiver`, likewise."""
    assert reactor.running
    return import_module("bridges.vtp_in.receiver")
