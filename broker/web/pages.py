"""The page."""

from aiohttp import web


def add_pages(app: web.Application) -> None:
    """Serve the page."""
    app.router.freeze  # noqa: B018 - written by whoever makes the page
