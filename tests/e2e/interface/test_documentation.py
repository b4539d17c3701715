"""The page of the interface's documentation, in a real browser: complete, without any other host, and of use."""

from urllib.parse import urlsplit

from broker.web.serving import ROUTES
from tests.e2e.page.conftest import browser

__all__ = ["browser"]


def test_the_interface_can_be_read_and_tried_with_nothing_from_elsewhere(browser, interface):
    said, asked = [], []
    page = browser.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(urlsplit(request.url)))
    page.goto(f"{interface.url}/api/v1/docs")
    page.wait_for_selector(".opblock")
    assert page.locator(".opblock").count() == len(ROUTES)
    assert said == []
    assert {url.netloc for url in asked if url.scheme.startswith("http")} == {urlsplit(interface.url).netloc}

    page.click("button.authorize")
    page.fill("input[type=text], input[type=password]", interface.token())
    page.click("button.modal-btn.authorize")
    page.click("button.btn-done")
    status = page.locator("#operations-service-getStatus")
    status.locator("button.opblock-summary-control").click()
    status.locator("button.try-out__btn").click()
    status.locator("button.execute").click()
    status.locator(".live-responses-table .response .response-col_status").wait_for()
    assert '"owner": "ada"' in status.locator(".live-responses-table").inner_text()
    assert said == []
    page.close()
