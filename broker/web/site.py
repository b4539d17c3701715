"""What handlers work with: one record, in each request's application."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from bridges.map_fetcher import MapFetcher
from broker.service import Service
from broker.web.hub import Hub
from broker.web.options import HttpOptions
from broker.web.queries import Questions
from broker.web.tokens import Tokens
from broker.web.uploads import Uploads


@dataclass(frozen=True, slots=True)
class Site:
    """The service behind the interface, and what the interface keeps.

    Attributes
    ----------
    service
        Engine, store, substreams and clock.
    options
        Of the configuration's section ``[http]``.
    tokens
        Who may do what.
    questions
        To the store.
    hub
        Everybody who follows what is stored.
    uploads, fetcher
        Bounds on uploads, and what fetches maps that an upload only links to.
    now_us
        The wall's clock: tokens end and limits count by it, whatever nights are played.
    """

    service: Service
    options: HttpOptions
    tokens: Tokens
    questions: Questions
    hub: Hub
    uploads: Uploads
    fetcher: MapFetcher
    now_us: Callable[[], int]


SITE: web.AppKey[Site] = web.AppKey("site", Site)


def site_of(request: web.Request) -> Site:
    """What handlers work with."""
    return request.app[SITE]
