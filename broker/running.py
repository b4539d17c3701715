"""The process of ``starcross run``: its start, its signals and its end."""

import asyncio
import gc
import signal
import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib import import_module
from pathlib import Path

import structlog

from broker.clocks import DataClock, WallClock
from broker.config import load_config
from broker.event_loop import run_service
from broker.health import HealthServer
from broker.log import configure_logging
from broker.metrics import Metrics
from broker.observers import Observers
from broker.plan import Plan
from broker.service import Service
from broker.service_manager import ServiceManager
from broker.status import checks, refresh, status
from broker.store.store import Store
from schemas.errors import ConfigurationError

log = structlog.get_logger()

LOOP_TICK_S = 0.1
SWITCH_S = 0.001
"""While threads compute, the loop gets Python's lock back after so long. By default it waits five times as long for it,
each time that it has looked at its connections."""


def run(arguments: Namespace) -> int:
    """``starcross run``: the service of a configuration until it is told to stop.

    Raises
    ------
    ConfigurationError
        Naming what is wrong with the configuration, or that its store cannot be opened.
    """
    return run_plan(partial(_load, arguments.config, arguments.overrides), verbose=arguments.verbose)


def run_plan(load: Callable[[], Plan], *, verbose: bool, announce: Callable[[str], None] = lambda _: None) -> int:
    """Run the service of a plan until it is told to stop; returns its exit code.

    Parameters
    ----------
    load
        Makes the plan, and makes it again on SIGHUP.
    verbose
        Log in detail, whatever the configuration says.
    announce
        Told where the interface answers, once it does.
    """
    plan = load()
    section = plan.config.service
    configure_logging(level="debug" if verbose else section.log_level, style=section.log_format)
    return run_service(partial(_serve, plan, load, announce), with_reactor=plan.with_reactor)


def _load(path: Path, overrides: Sequence[str]) -> Plan:
    return Plan.of(load_config(path, overrides), path.parent)


async def _serve(plan: Plan, load: Callable[[], Plan], announce: Callable[[str], None]) -> int:
    manager = ServiceManager.of_environment()
    stopping, reloading = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    sys.setswitchinterval(SWITCH_S)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, reloading.set)
    clock = DataClock() if plan.config.service.clock == "data" else WallClock()
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        store = await Store.open(plan.folder / plan.config.store.folder, plan.config.store, clock)
        stack.push_async_callback(store.close)
        catalogues = await asyncio.to_thread(plan.open_catalogues)
        service = Service(plan, store, clock, Observers(metrics), load, catalogues)
        metrics.refresh = partial(refresh, service)
        await service.restore()
        spare_the_collector()
        server = await stack.enter_async_context(_listening(service, metrics))
        service.start()
        await service.opened()
        log.info("running", sources=sorted(plan.sources), sinks=sorted(plan.sinks), http=server.url)
        if plan.config.http.enabled:
            # The interface and its libraries are loaded only where they are asked for.
            serving = import_module("broker.web.serving").serving
            web = await stack.enter_async_context(serving(service))
            log.info("serving", url=web.url)
            announce(web.url)
        manager.ready(service.in_a_line())
        beside = [
            asyncio.create_task(manager.watch(lambda: not service.pipeline.failed.done()), name="watchdog"),
            asyncio.create_task(_measure_lag(metrics), name="loop lag"),
            asyncio.create_task(_reload(service, manager, reloading), name="reload"),
        ]
        failed = await _until_stopped(stopping, service)
        manager.stopping()
        for task in beside:
            task.cancel()
        await service.stop()
    return 1 if failed else 0


def spare_the_collector() -> None:
    """Keep what was restored, which stays for weeks, out of garbage collection: walking it holds the loop up 0.1 s."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


@asynccontextmanager
async def _listening(service: Service, metrics: Metrics) -> AsyncIterator[HealthServer]:
    section = service.plan.config.service
    server = HealthServer(
        str(section.http_address),
        section.http_port,
        metrics=metrics,
        checks=partial(checks, service),
        status=partial(status, service),
    )
    try:
        await server.__aenter__()
    except OSError as error:
        where = f"{section.http_address}:{section.http_port}"
        raise ConfigurationError(f"service.http_port: {where} cannot be listened at: {error.strerror}") from error
    try:
        yield server
    finally:
        await server.__aexit__(None, None, None)


async def _until_stopped(stopping: asyncio.Event, service: Service) -> bool:
    """Whether it was a failure that ends the service."""
    service.pipeline.failed.add_done_callback(lambda _: stopping.set())
    await stopping.wait()
    if service.pipeline.failed.done():
        log.critical("the engine failed: restart restores what is stored", exc_info=service.pipeline.failed.exception())
        return True
    log.info("stopping")
    return False


async def _reload(service: Service, manager: ServiceManager, reloading: asyncio.Event) -> None:
    while True:
        await reloading.wait()
        reloading.clear()
        manager.reloading()
        try:
            await service.reload()
        except Exception:
            log.exception("the configuration could not be read again")
        manager.ready(service.in_a_line())


async def _measure_lag(metrics: Metrics) -> None:
    """How late the loop is."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + LOOP_TICK_S
        await asyncio.sleep(LOOP_TICK_S)
        metrics.observe("starcross_loop_lag_seconds", max(0.0, loop.time() - due_s))
