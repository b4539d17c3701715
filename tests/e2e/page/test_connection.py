"""The service goes away and comes back, has nothing to show, or shows nothing to strangers."""

import signal
import urllib.parse

from tests.e2e.page.browser import expect
from tests.e2e.page.conftest import Open, serving, with_page
from tests.e2e.page.test_live import ROWS, loaded, standing
from tests.e2e.page.test_upload import a_new_object, sign_in

LOST = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")
WAITING = 60_000


def test_a_lost_connection_is_said_and_regained(night, tmp_path, opener: Open):
    config = with_page(tmp_path, night[1])
    with serving(config) as site:
        site.service.until_all_is_played()
        optical, instant = a_new_object(site)
        page = loaded(opener(site, expected=LOST))
        count = len(standing(site))
        port = urllib.parse.urlsplit(site.url).port
        assert site.service.stop() == 0
    lamp = page.locator("#connection")
    expect(lamp).to_have_attribute("data-state", "waiting")
    expect(page.get_by_role("alert").first).to_contain_text("Disconnected")
    expect(page.locator(ROWS)).to_have_count(min(100, count))
    with serving(config, f"http.port={port}") as site:
        # What comes while nobody is connected is not missed.
        elsewhere = opener(site, "/upload", expected=LOST)
        sign_in(elsewhere, site.token("ada"))
        elsewhere.get_by_role("button", name="Circle").click()
        for label, value in (
            ("Name", "Meanwhile"),
            ("Time of the event (UTC)", instant),
            ("Right ascension", str(optical["ra_deg"])),
            ("Declination", str(optical["dec_deg"])),
            ("Radius", "1"),
        ):
            elsewhere.get_by_label(label).first.fill(value)
        elsewhere.get_by_role("button", name="Upload and search").click()
        expect(elsewhere.get_by_role("heading", level=1)).to_have_text("Meanwhile")
        expect(lamp).to_have_attribute("data-state", "open", timeout=WAITING)
        expect(page.get_by_role("alert").first).to_be_hidden()
        expect(page.locator(ROWS).filter(has_text="Meanwhile").first).to_be_visible()
        site.service.send(signal.SIGTERM)
        assert site.service.ended() == 0, "a page that is open does not hold the service up"


def test_a_service_with_nothing_says_so(tmp_path, opener: Open):
    night = tmp_path / "night"
    for name in ("alerts", "notices"):
        (night / name).mkdir(parents=True)
    with serving(with_page(tmp_path / "empty", night)) as site:
        page = opener(site)
        expect(page.get_by_text("No coincidence yet.")).to_be_visible()
        expect(page.get_by_text("No trigger is searched at present.")).to_be_visible()
        expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        page.context.close()


def test_strangers_are_asked_to_sign_in_where_that_is_the_sites_choice(night, tmp_path, opener: Open):
    with serving(with_page(tmp_path, night[1], 'anonymous = "none"\n')) as site:
        site.service.until_all_is_played()
        page = opener(site, expected=("status of 401",))
        expect(page.locator("#connection")).to_have_attribute("data-state", "refused")
        expect(page.get_by_text("You are not allowed to see this").first).to_be_visible()
        expect(page.locator(ROWS)).to_have_count(0)
        sign_in(page, site.token("ada"))
        loaded(page)
        expect(page.get_by_role("alert").first).to_be_hidden()
        page.reload()
        loaded(page)
        page.get_by_role("button", name="ada").click()
        page.get_by_role("button", name="Sign out").click()
        expect(page.locator("#connection")).to_have_attribute("data-state", "refused")
        expect(page.locator(ROWS)).to_have_count(0)
