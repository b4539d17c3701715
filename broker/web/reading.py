"""The engine as it is at one moment, read between its steps."""

from collections.abc import Callable
from typing import TypeVar

from broker.web.site import Site
from matchers.engine import Engine

T = TypeVar("T")


async def read_engine(site: Site, read: Callable[[Engine], T]) -> T:
    """What a quick look at the engine gives; nobody changes it meanwhile."""
    pipeline = site.service.pipeline
    async with pipeline.turn:
        return read(pipeline.engine)
