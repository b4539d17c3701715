"""A real browser before a real service: Chromium, driven by Playwright, and what every page is held to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from broker.web.tokens import Scope, Tokens
from schemas.times import US_PER_S
from tests.e2e.service_process import ServiceProcess, configured, running
from tests.missing import program

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

PATIENCE_MS = 30_000
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
NOW_US = 1_800_000_000 * US_PER_S


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium without a window.

    Playwright runs an event loop of its own as long as it is open, beside which no asynchronous test can run: so it
    is closed after each module.
    """
    from tests.e2e.page.browser import sync_playwright  # noqa: PLC0415 - without it the tests were skipped

    chromium = program("chromium", "chromium-browser", "google-chrome", package="chromium")
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield opened
        opened.close()


@dataclass
class Site:
    """A running service, and tokens for it."""

    url: str
    folder: Path
    service: ServiceProcess

    def token(self, owner: str, *scopes: Scope) -> str:
        """The text of a new token."""
        return Tokens(self.folder / "store").make(owner, scopes or [Scope.READ, Scope.UPLOAD], NOW_US)[0]


@contextmanager
def serving(config: Path, *settings: str) -> Iterator[Site]:
    """A service with its page, once all is played."""
    with running(config, *settings, measured=False) as service:
        yield Site(service.until_logged("serving")["url"], config.parent, service)


def with_page(folder: Path, night: Path, text: str = "", **replay: Any) -> Path:
    """The configuration of a service that plays a night and serves the page."""
    return configured(
        folder, night, f"[http]\nenabled = true\nport = 0\nrequests_per_minute = 100000\n{text}", **replay
    )


@pytest.fixture(scope="session")
def site(night: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service that has played a small week."""
    with serving(with_page(tmp_path_factory.mktemp("page"), night[1])) as found:
        found.service.until_all_is_played()
        yield found


@dataclass
class Seen:
    """What a page did that none may do.

    Attributes
    ----------
    expected
        Parts of messages of the console that belong to what is tested.
    """

    host: str
    faults: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def watch(self, page: "Page") -> None:
        """Note errors, and requests to other hosts."""
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("console", lambda told: self._console(told.type, f"{told.text} {told.location.get('url', '')}"))
        page.on("request", lambda request: self._request(request.url))

    def _console(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not any(part in text for part in self.expected):
            self.faults.append(f"console: {text}")

    def _request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.netloc != self.host:
            self.faults.append(f"asked another host: {url}")


Open = Callable[..., "Page"]


@contextmanager
def opening(browser: "Browser") -> Iterator[Open]:
    """Opens pages of a site in windows of their own; in the end none may have done what none may do."""
    contexts: list[BrowserContext] = []
    seen: list[Seen] = []

    def opened(site: Site, path: str = "/", *, expected: tuple[str, ...] = (), **window: Any) -> "Page":
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | window)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        watching = Seen(urlsplit(site.url).netloc, expected=expected)
        watching.watch(page)
        seen.append(watching)
        page.goto(site.url + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [fault for one in seen for fault in one.faults] == []


@pytest.fixture
def opener(browser: "Browser") -> Iterator[Open]:
    """As `opening`, for one test."""
    with opening(browser) as opened:
        yield opened


@pytest.fixture
def visit(opener: Open, site: Site) -> Open:
    """Opens pages of the shared site."""
    return lambda path="/", **given: opener(site, path, **given)
