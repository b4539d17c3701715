"""The interface of a service, from its parts to the open port."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import chain

import structlog

from bridges.map_fetcher import MapFetcher
from broker.clocks import WallClock
from broker.metrics import Metrics
from broker.service import Service
from broker.web import about, coincidences, objects, sky, skymaps, stream, triggers
from broker.web.app import WebServer, make_app
from broker.web.documentation import add_pages as add_documentation
from broker.web.documentation import documented
from broker.web.hub import Hub
from broker.web.pages import add_pages
from broker.web.queries import Questions
from broker.web.site import Site
from broker.web.tokens import Tokens
from broker.web.uploads import Uploads

log = structlog.get_logger()

ROUTES = documented(
    list(chain.from_iterable(part.ROUTES for part in (coincidences, triggers, objects, skymaps, stream, sky, about)))
)


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[WebServer]:
    """Serve the interface of a service.

    Raises
    ------
    ConfigurationError
        Naming what hinders it: the port, the certificate, the database of tokens.
    """
    options, config = service.plan.config.http, service.plan.config
    async with AsyncExitStack() as stack:
        tokens = await asyncio.to_thread(Tokens, service.store.folder)
        questions = Questions(service.store.folder)
        stack.push_async_callback(questions.close)
        hub = Hub(questions, most=options.listeners, kept=options.listener_events)
        stack.push_async_callback(hub.close)
        fetcher = await stack.enter_async_context(
            MapFetcher(config.maps.model_copy(update={"size_mib": options.skymap_mib}))
        )
        site = Site(service, options, tokens, questions, hub, Uploads(options), fetcher, WallClock())
        app = make_app(site, ROUTES)
        app.on_shutdown.append(lambda _: hub.close())  # so that whoever follows is told, and not waited for
        add_documentation(app)
        add_pages(app)
        service.changed.append(hub.stored)
        stack.callback(service.changed.remove, hub.stored)
        stack.enter_context(_counted(hub, service.observers.metrics))
        service.supervisor.start("http stream", hub.run)
        yield await stack.enter_async_context(WebServer(app, options, service.plan.folder))


@contextmanager
def _counted(hub: Hub, metrics: Metrics) -> Iterator[None]:
    """Have the metrics tell how many listen, whenever they are read."""
    before = metrics.refresh

    def refresh(metrics: Metrics) -> None:
        before(metrics)
        metrics.set("starcross_http_listeners", hub.listeners)

    metrics.refresh = refresh
    try:
        yield
    finally:
        metrics.refresh = before
