"""``starcross check --connect``: every connection of a configuration tried once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from time import perf_counter
from typing import Any

from broker.catalogues import CATALOGUE_KINDS
from broker.clocks import WallClock
from broker.metrics import Metrics
from broker.observers import Observers
from broker.parts import SINK_KINDS, SOURCE_KINDS, Surroundings
from broker.plan import Plan
from broker.replay import software_name
from broker.store.store import Store
from schemas.errors import ConfigurationError

Check = Callable[[], Awaitable[str]]
LONGEST_S = 20.0


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
    """Try the store, the interface, and every source, sink, catalogue and service, all at once; no message is sent."""
    around = Surroundings(plan.folder, plan.author, software_name(), WallClock(), Observers(Metrics()))
    # One after the other: modules that import each other do not like to be imported by several threads.
    checks = await asyncio.to_thread(lambda: list(_checks(plan, around)))
    own = [_try("store", partial(_try_store, plan))]
    if plan.config.http.enabled:
        own.append(_try("http", partial(_try_http, plan)))
    return list(await asyncio.gather(*own, *(_try(part, check) for part, check in checks)))


def _checks(plan: Plan, around: Surroundings) -> Iterator[tuple[str, Check]]:
    """By part: how it is tried. One that cannot be made is tried in vain."""
    for what, options, sections, kinds in (
        ("source", plan.sources, plan.config.sources, SOURCE_KINDS),
        ("sink", plan.sinks, plan.config.sinks, SINK_KINDS),
    ):
        for name, given in options.items():
            try:
                check: Check = kinds[sections[name].kind].make(name, given, around).check
            except ConfigurationError as error:
                check = partial(_fail, error)
            yield f"{what} {name}", check
    for name, given in plan.catalogues.items():
        kind = CATALOGUE_KINDS[plan.config.catalogues[name].kind]
        make = partial(kind.make, name, given, plan.folder, None)
        if not kind.is_service:
            yield f"catalogue {name}", partial(_try_file, make)
            continue
        try:
            check = partial(asyncio.to_thread, make().check)
        except ConfigurationError as error:
            check = partial(_fail, error)
        yield f"service {name}", check


async def _try_file(open_it: Callable[[], Any]) -> str:
    return f"{len(await asyncio.to_thread(open_it))} entries"


async def _fail(error: Exception) -> str:
    raise error


async def _try(part: str, check: Check) -> Tried:
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


async def _try_store(plan: Plan) -> str:
    store = await Store.open(plan.folder / plan.config.store.folder, plan.config.store, WallClock())
    await store.close()
    return "can be opened"


async def _try_http(plan: Plan) -> str:
    """Whether the interface could be served: its port is free, and its certificate is one."""
    options = plan.config.http
    tls_context = import_module("broker.web.app").tls_context
    await asyncio.to_thread(tls_context, options, plan.folder)
    where = f"{options.address}:{options.port}"
    try:
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, str(options.address), options.port)
    except OSError as error:
        raise ConfigurationError(f"{where} cannot be listened at: {error.strerror}") from error
    server.close()
    await server.wait_closed()
    return f"{where} can be listened at"
