"""``starcross check --connect``: every connection of a configuration tried once."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, Protocol

from broker.clocks import WallClock
from broker.metrics import Metrics
from broker.observers import Observers
from broker.parts import SINK_KINDS, SOURCE_KINDS, Surroundings
from broker.plan import Plan
from broker.replay import software_name
from broker.store.store import Store

LONGEST_S = 20.0


class Checkable(Protocol):
    """What every source and sink can do before it runs."""

    async def check(self) -> str:
        """Try the connection once, and tell a person what is there. Nothing is read, sent or left behind.

        Raises whatever hinders it, with a text for a person.
        """


@dataclass(frozen=True, slots=True)
class Tried:
    """A connection that was tried.

    Attributes
    ----------
    part
        Whose it is: ``source ztf``.
    what
        What was found, for a person.
    trouble
        What is wrong; empty if nothing is.
    seconds
        How long it took.
    """

    part: str
    what: str
    trouble: str
    seconds: float


async def try_connections(plan: Plan) -> list[Tried]:
    """Try the store and every source and sink, all at once; nothing is read or sent."""
    around = Surroundings(plan.folder, plan.author, software_name(), WallClock(), Observers(Metrics()))
    asked: list[tuple[str, Callable[[], Awaitable[str]]]] = [("store", lambda: _try_store(plan))]
    for kind, options, sections, make in (
        ("source", plan.sources, plan.config.sources, SOURCE_KINDS),
        ("sink", plan.sinks, plan.config.sinks, SINK_KINDS),
    ):
        asked.extend(
            (f"{kind} {name}", partial(_try_part, make[sections[name].kind].make, name, given, around))
            for name, given in options.items()
        )
    return list(await asyncio.gather(*(_try(name, check) for name, check in asked)))


async def _try(part: str, check: Callable[[], Awaitable[str]]) -> Tried:
    began_s = perf_counter()
    what, trouble = "", ""
    try:
        async with asyncio.timeout(LONGEST_S):
            what = await check()
    except TimeoutError:
        trouble = f"no answer within {LONGEST_S:.0f} s"
    except Exception as error:  # noqa: BLE001 - whatever a connection raises is what is asked for
        trouble = str(error) or type(error).__name__
    return Tried(part, what, trouble, round(perf_counter() - began_s, 3))


async def _try_part(
    make: Callable[[str, Any, Surroundings], Any], name: str, options: Any, around: Surroundings
) -> str:
    part: Checkable = await asyncio.to_thread(make, name, options, around)
    return await part.check()


async def _try_store(plan: Plan) -> str:
    store = await Store.open(plan.folder / plan.config.store.folder, plan.config.store, WallClock())
    await store.close()
    return "can be opened"
