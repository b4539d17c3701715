"""The live view: what is stored is shown, sorted, filtered and found by keyboard."""

import json
import re
import urllib.request

from tests.e2e.page.browser import expect
from tests.e2e.page.conftest import Site

ROWS = "#list-title ~ .table tbody tr"


def asked(site: Site, path: str):
    with urllib.request.urlopen(site.url + path) as answer:  # noqa: S310 - our own URL
        return json.load(answer)


def standing(site: Site):
    items = asked(site, "/api/v1/brief?limit=1000")["items"]
    return [one for one in items if one["state"] != "withdrawn"]


def loaded(page):
    expect(page.locator("#connection")).to_have_attribute("data-state", "open")
    expect(page.locator(ROWS).first).to_be_visible()
    return page


def test_all_that_stands_is_listed_best_first(visit, site):
    page = loaded(visit())
    known = standing(site)
    assert len(known) > 5
    expect(page.locator(ROWS)).to_have_count(min(100, len(known)))
    best = max(known, key=lambda one: (one["posterior"], one["overlap"]))
    expect(page.locator(ROWS).first).to_contain_text(best["object_id"])
    expect(page).to_have_title("Starcross")
    triggers = asked(site, "/api/v1/triggers?searched=true&limit=1000")["items"]
    expect(page.locator("details .count")).to_have_text(str(len(triggers)))


def test_the_sky_is_drawn_and_told_in_words(visit, site):
    page = loaded(visit())
    page.wait_for_function(
        """() => {
            const canvas = document.querySelector("canvas.sky");
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const seen = new Set();
            for (let at = 0; at < data.length; at += 4) seen.add((data[at] << 16) + (data[at + 1] << 8) + data[at + 2]);
            return seen.size > 100;
        }"""
    )
    canvas = page.locator("canvas.sky")
    described = page.locator(f"#{canvas.get_attribute('aria-describedby')}")
    expect(described).to_contain_text(f"{len(standing(site))} coincidences")
    expect(page.get_by_role("application", name="Sky map")).to_be_visible()


def test_columns_sort_and_say_so(visit, site):
    page = loaded(visit(viewport={"width": 1920, "height": 1000}))
    page.get_by_role("button", name="Mag", exact=True).click()
    header = page.locator("th[data-key=mag]")
    expect(header).to_have_attribute("aria-sort", "descending")
    faintest = max(one["mag"] for one in standing(site))
    expect(page.locator(ROWS).first).to_contain_text(f"{faintest:.2f}")
    page.get_by_role("button", name="Mag", exact=True).click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    expect(page.locator(ROWS).first).to_contain_text(f"{min(one['mag'] for one in standing(site)):.2f}")


def test_filters_are_the_lists_and_the_skys(visit, site):
    page = loaded(visit())
    known = standing(site)
    one = known[0]
    page.get_by_label("Find an object or a trigger").fill(one["object_id"])
    expect(page.locator(ROWS)).to_have_count(sum(other["object_id"] == one["object_id"] for other in known))
    page.get_by_label("Find an object or a trigger").fill("nothing is called so")
    expect(page.get_by_text("None passes these filters.")).to_be_visible()
    page.get_by_label("Find an object or a trigger").fill("")
    pressed = page.get_by_role("button", name=one["messenger"].replace("gravitational-", "gravitational "))
    pressed.click()
    expect(pressed).to_have_attribute("aria-pressed", "false")
    expect(page.locator(ROWS)).to_have_count(min(100, sum(other["messenger"] != one["messenger"] for other in known)))


def test_the_service_evaluates_conditions(visit, site):
    page = loaded(visit(expected=("status of 422",)))
    where = page.get_by_label("Where", exact=True)
    where.fill("statistics.posterior > 0.5")
    where.press("Enter")
    good = [one for one in standing(site) if one["posterior"] > 0.5]
    assert good
    expect(page.locator(ROWS)).to_have_count(len(good))
    where.fill("statistics.posterior >")
    where.press("Enter")
    expect(where).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#where-error")).not_to_be_empty()
    where.fill("")
    where.press("Enter")
    expect(page.locator(ROWS)).to_have_count(min(100, len(standing(site))))


def test_frames_and_projections(visit):
    page = loaded(visit())
    page.get_by_role("button", name="Galactic").click()
    expect(page.get_by_role("button", name="Galactic")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Globe").click()
    expect(page.get_by_role("button", name="Globe")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Reset the view").click()
    expect(page.get_by_role("button", name="Equatorial")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Whole sky")).to_have_attribute("aria-pressed", "true")


def test_what_comes_late_does_not_turn_the_sky_back(opener, site):
    held = []

    def hold(route):
        held.append(route)

    page = opener(site, "/upload")
    page.route("**/api/v1/triggers?*", hold)
    page.goto(site.url)
    expect(page.locator(ROWS).first).to_be_visible()
    page.get_by_role("button", name="Galactic").click()
    with page.expect_response("**/api/v1/triggers?*"):
        while not held:
            page.wait_for_timeout(10)
        held.pop().continue_()
    expect(page.locator("details .count")).not_to_have_text("0")
    expect(page.get_by_role("button", name="Galactic")).to_have_attribute("aria-pressed", "true")


def test_drag_and_wheel_move_the_sky(visit):
    page = loaded(visit())
    picture = "() => document.querySelector('canvas.sky').toDataURL()"
    before = page.evaluate(picture)
    box = page.locator("canvas.sky").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.9
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y - 10, steps=4)
    page.mouse.up()
    page.wait_for_function("before => document.querySelector('canvas.sky').toDataURL() !== before", arg=before)
    page.locator("canvas.sky").focus()
    turned = page.evaluate(picture)
    page.mouse.wheel(0, -300)
    page.wait_for_function("before => document.querySelector('canvas.sky').toDataURL() !== before", arg=turned)


def test_everything_can_be_done_by_keyboard(visit, site):
    page = loaded(visit())
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_label("Find an object or a trigger")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    link = page.locator(ROWS).nth(1).locator("a").first
    expect(link).to_be_focused()
    name = link.text_content()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    page.keyboard.press("Escape")
    expect(page.locator(ROWS).first).to_be_visible()
    page.keyboard.press("s")
    expect(page.locator("canvas.sky")).to_be_focused()
    for key in ("ArrowLeft", "ArrowUp", "+", "g", "p", "]"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    best = max(standing(site), key=lambda one: (one["posterior"], one["overlap"]))
    expect(page.get_by_role("heading", level=1)).to_contain_text(best["object_id"])
    page.keyboard.press("u")
    expect(page.get_by_role("heading", level=1)).to_have_text("Upload a sky map")
    page.keyboard.press("1")
    expect(page).to_have_url(re.compile(r"/$"))
    page.keyboard.press("t")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


def test_a_theme_is_remembered(visit):
    page = loaded(visit())
    page.get_by_label("Theme").select_option("red")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "red")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") in {"rgba(0, 0, 0, 0)", "rgb(0, 0, 0)"}


def test_back_and_forward_and_deep_links(visit, site):
    one = standing(site)[0]
    page = visit(f"/triggers/{one['trigger']}")
    expect(page.get_by_role("heading", level=1)).to_have_text(one["trigger_name"])
    page.get_by_role("link", name=one["object_id"]).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(one["object_id"])
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text(one["trigger_name"])
    page.go_forward()
    expect(page.get_by_role("heading", level=1)).to_contain_text(one["object_id"])


def test_a_coincidence_is_explained(visit, site):
    one = max(standing(site), key=lambda one: one["revision"])
    page = visit(f"/coincidences/{one['id']}")
    expect(page.get_by_role("heading", level=1)).to_contain_text(one["object_id"])
    field = page.locator("[data-field=posterior]")
    schemas = asked(site, "/api/v1/openapi.json")["components"]["schemas"]
    expect(field.locator(".meaning")).to_contain_text(
        schemas["StatisticsDocument"]["properties"]["posterior"]["description"]
    )
    history = asked(site, f"/api/v1/coincidences/{one['id']}")
    expect(page.locator(".history li")).to_have_count(len(history["revisions"]))
    points = [point for point in history["newest"]["object"]["light_curve"] if point["mag"] is not None]
    shown = page.locator(".light-curve .point:not(.outside)")
    expect(shown).to_have_count(len(points))
    expect(page.locator(".light-curve .trigger")).to_have_count(1)
    for name in ("Aladin", "ALeRCE", "Lasair", "Fink", "SIMBAD", "TNS", "GCN circulars"):
        link = page.get_by_role("link", name=name)
        assert link.get_attribute("href").startswith("https://")
        assert link.get_attribute("rel") == "noopener noreferrer"


def test_what_is_not_there_is_said(visit):
    expected = ("status of 404",)
    page = visit("/coincidences/none", expected=expected)
    expect(page.get_by_role("heading", name="No such coincidence")).to_be_visible()
    page = visit("/triggers/none:1", expected=expected)
    expect(page.get_by_role("heading", name="No such trigger")).to_be_visible()
