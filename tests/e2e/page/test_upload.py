"""From a sky map on somebody's disk to a coincidence on everybody's page, and back."""

import json
import re
import urllib.request
from datetime import datetime, timedelta

import pytest

from broker.web.tokens import Scope
from tests.e2e.page.browser import expect
from tests.e2e.page.conftest import Open, Site, serving, with_page
from tests.e2e.page.test_live import ROWS, asked, loaded, standing
from tests.schemas.maps import blob, flat

AWAY = "status of 40"
"""Of the console, when somebody asks what they may not."""


@pytest.fixture
def own(night, tmp_path):
    """A service of one test's own: what is uploaded to it nobody else sees."""
    with serving(with_page(tmp_path, night[1])) as found:
        found.service.until_all_is_played()
        yield found


def a_new_object(site: Site):
    """An object that stands, and an instant shortly before it was first seen."""
    one = asked(site, f"/api/v1/coincidences/{standing(site)[0]['id']}")["newest"]["object"]
    first = datetime.fromisoformat(one["first_detection_utc"])
    return one, (first - timedelta(hours=2)).isoformat().replace("+00:00", "Z")


def map_at(tmp_path, name: str, ra_deg: float, dec_deg: float):
    """A file with a map of some hundred square degrees about a position."""
    path = tmp_path / name
    path.write_bytes(flat(blob(6, ra_deg, dec_deg, 4.0)))
    return path


def sign_in(page, token: str) -> None:
    page.get_by_role("button", name="Sign in").first.click()
    dialog = page.get_by_role("dialog", name="Sign in")
    dialog.get_by_label("Token").fill(token)
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog).to_be_hidden()


def send(page, path, instant: str, name: str = "") -> None:
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_label("Time of the event (UTC)").fill(instant)
    if name:
        page.get_by_label("Name").fill(name)
    page.get_by_role("button", name=re.compile("Upload and search|Put in its place")).click()


def test_a_map_finds_a_coincidence_and_a_better_one_takes_it_back(own, opener: Open, tmp_path):
    optical, instant = a_new_object(own)
    watching = loaded(opener(own))
    page = opener(own, "/upload")
    sign_in(page, own.token("ada"))
    expect(page.locator("#who")).to_have_text("ada")
    send(page, map_at(tmp_path, "first.fits", optical["ra_deg"], optical["dec_deg"]), instant, "A guess")
    expect(page.get_by_role("heading", level=1)).to_have_text("A guess")
    expect(page).to_have_url(re.compile("/triggers/upload"))
    page.get_by_role("link", name=optical["object_id"], exact=True).first.wait_for()

    # It appears where somebody else looks, without a reload, and is said aloud.
    found = watching.locator(ROWS, has_text=optical["object_id"]).filter(has_text="A guess")
    expect(found).to_have_count(1)
    expect(watching.locator("#news")).to_contain_text("A guess")
    expect(watching.locator("details", has_text="A guess").first).to_be_visible()
    found.get_by_role("link", name=optical["object_id"]).click()
    expect(watching.get_by_role("heading", level=1)).to_contain_text("with A guess")
    expect(watching.locator(".history li")).to_have_count(1)

    # A better map lies elsewhere: the page that follows it says so by itself.
    page.get_by_role("link", name="Put a better map").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("A better sky map")
    send(page, map_at(tmp_path, "better.fits", (optical["ra_deg"] + 120) % 360, 0.0), instant, "A guess")
    expect(page.get_by_role("heading", level=1)).to_have_text("A guess")
    expect(watching.locator(".lead .tag")).to_have_text("withdrawn")
    expect(watching.locator(".history li")).to_have_count(2)
    watching.get_by_role("link", name="Live").first.click()
    expect(watching.locator(ROWS).first).to_be_visible()
    expect(found).to_have_count(0)
    watching.get_by_label("State").select_option("withdrawn")
    expect(found).to_have_count(1)


def test_its_owner_withdraws_a_map(own, opener: Open, tmp_path):
    optical, instant = a_new_object(own)
    page = opener(own, "/upload")
    sign_in(page, own.token("ada"))
    send(page, map_at(tmp_path, "map.fits", optical["ra_deg"], optical["dec_deg"]), instant)
    others = opener(own, "/")
    expect(page).to_have_url(re.compile("/triggers/upload"))
    page.get_by_role("button", name="Withdraw").click()
    page.get_by_role("button", name="Withdraw it and all its coincidences").click()
    expect(page.locator(".lead .tag")).to_have_text("retracted")
    expect(page.get_by_role("button", name="Withdraw")).to_have_count(0)
    loaded(others)
    others.goto(page.url)
    expect(others.get_by_role("heading", level=1)).to_be_visible()
    expect(others.get_by_role("link", name="Put a better map")).to_have_count(0)


def test_a_private_map_is_seen_by_its_owner_alone(own, opener: Open, tmp_path):
    optical, instant = a_new_object(own)
    watching = loaded(opener(own, expected=(AWAY,)))
    page = opener(own, "/upload")
    sign_in(page, own.token("ada"))
    page.get_by_label("Private").check()
    send(page, map_at(tmp_path, "map.fits", optical["ra_deg"], optical["dec_deg"]), instant, "A secret")
    expect(page.get_by_role("heading", level=1)).to_have_text("A secret")
    page.get_by_role("link", name=optical["object_id"], exact=True).first.wait_for()
    page.goto(own.url)
    expect(page.locator(ROWS).filter(has_text="A secret").first).to_be_visible()
    watching.reload()
    loaded(watching)
    expect(watching.get_by_text("A secret")).to_have_count(0)
    trigger = page.evaluate("() => fetch('/api/v1/skymaps').then((a) => a.json())")["items"][0]["trigger"]
    watching.goto(f"{own.url}/triggers/{trigger}")
    expect(watching.get_by_role("heading", name="No such trigger")).to_be_visible()
    page.get_by_role("button", name="ada").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#who")).to_have_text("Sign in")
    expect(page.get_by_text("A secret")).to_have_count(0)


def test_what_is_wrong_is_said_at_its_field(visit, site, tmp_path):
    optical, instant = a_new_object(site)
    page = visit("/upload", expected=("status of 422",))
    sign_in(page, site.token("bea"))
    page.get_by_role("button", name="Upload and search").click()
    expect(page.locator("#field-skymap-error")).to_have_text("Choose a file first.")
    path = map_at(tmp_path, "map.fits", optical["ra_deg"], optical["dec_deg"])
    send(page, path, "")
    expect(page.locator("#field-trigger_time-error")).to_contain_text("give it")
    expect(page.get_by_label("Time of the event (UTC)")).to_be_focused()
    page.get_by_label("Credible level that is searched").fill("7")
    send(page, path, instant)
    expect(page.locator("#field-level-error")).not_to_be_empty()
    expect(page.locator("#field-trigger_time-error")).to_be_empty()
    page.get_by_label("Credible level that is searched").fill("0.9")
    # Another file: of one that changes while it is still being sent the browser complains.
    other = tmp_path / "other.fits"
    other.write_bytes(b"this is no map")
    send(page, other, instant)
    expect(page.locator("#upload-error")).not_to_be_empty()


def test_a_position_is_typed_and_a_file_is_dropped(own, opener: Open):
    optical, instant = a_new_object(own)
    page = opener(own, "/upload", expected=("status of 422",))
    sign_in(page, own.token("ada"))
    page.get_by_role("button", name="Circle").click()
    page.get_by_label("Right ascension").fill(str(optical["ra_deg"]))
    page.get_by_label("Time of the event (UTC)").fill(instant)
    page.get_by_role("button", name="Upload and search").click()
    expect(page.locator("#field-dec_deg-error")).not_to_be_empty()
    page.get_by_label("Declination").fill(str(optical["dec_deg"]))
    page.get_by_label("Radius").fill("2")
    page.get_by_role("button", name="Upload and search").click()
    expect(page).to_have_url(re.compile("/triggers/upload"))
    page.get_by_role("link", name=optical["object_id"], exact=True).first.wait_for()

    page.goto(f"{own.url}/upload")
    body = json.dumps({"3": [5]})
    page.locator(".drop").evaluate(
        """(drop, body) => {
            const files = new DataTransfer();
            files.items.add(new File([body], "moc.json"));
            drop.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
        }""",
        body,
    )
    expect(page.locator(".file-name")).to_contain_text("moc.json")
    page.get_by_label("Time of the event (UTC)").fill(instant)
    page.get_by_role("button", name="Upload and search").click()
    expect(page).to_have_url(re.compile("/triggers/upload"))


def test_who_may_not_upload_is_told_how(visit, site):
    page = visit("/upload", expected=("status of 422",))
    expect(page.get_by_text("you need a token with the scope")).to_be_visible()
    page.get_by_role("button", name="Sign in").last.click()
    dialog = page.get_by_role("dialog", name="Sign in")
    dialog.get_by_label("Token").fill("st_000000000000_" + "x" * 43)
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog.locator("#token-error")).to_contain_text("nobody made this token")
    dialog.get_by_label("Token").fill(site.token("reader", Scope.READ))
    dialog.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("The token of reader does not allow uploads.")).to_be_visible()
    assert page.evaluate("document.cookie") == "", "no script can read the token"
    assert urllib.request.urlopen(site.url).status == 200  # noqa: S310 - our own URL
