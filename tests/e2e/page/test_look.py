"""What every view is held to: it fits the screen, its text can be read, and everything has a name."""

import pytest

from tests.e2e.page.browser import expect
from tests.e2e.page.test_live import loaded, standing
from tests.e2e.page.test_upload import sign_in

SIZES = [(320, 640), (390, 844), (1024, 768), (1920, 1080)]
THEMES = ["light", "dark", "red"]

UNNAMED = """() => [...document.querySelectorAll("a[href], button, input, select, canvas, dialog[open], [role]")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && one.getAttribute("aria-hidden") !== "true")
    .filter((one) => {
        const label = one.getAttribute("aria-label") || one.getAttribute("aria-labelledby")?.split(" ")
            .map((id) => document.getElementById(id)?.textContent).join("");
        const labels = [...(one.labels ?? [])].map((each) => each.textContent).join("");
        const text = ["status", "alert", "group"].includes(one.role) ? "not needed" : one.textContent;
        return !(label || labels || text || "").trim() || one.matches("input, select") && !(label || labels).trim();
    }).map((one) => one.outerHTML.slice(0, 120))"""

TOO_WIDE = """() => {
    const width = document.documentElement.clientWidth;
    return document.documentElement.scrollWidth <= width ? [] : [...document.querySelectorAll("body *")]
        .filter((one) => one.getBoundingClientRect().right > width).map((one) => one.outerHTML.slice(0, 120));
}"""

TWICE = """() => {
    const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
    return ids.filter((id, place) => ids.indexOf(id) !== place);
}"""

BROKEN = """() => [...document.querySelectorAll("[aria-describedby], [aria-labelledby], [aria-controls], label[for]")]
    .flatMap((one) => ["aria-describedby", "aria-labelledby", "aria-controls", "for"]
        .flatMap((name) => (one.getAttribute(name) ?? "").split(" ").filter(Boolean)))
    .filter((id) => !document.getElementById(id))"""

# WCAG 2.2: 4.5 for text, 3 for large text; what is disabled or hidden does not count.
PALE = """() => {
    const parts = (text) => {
        const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
        canvas.fillStyle = text;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = (rgb) => rgb.map((one) => one / 255)
        .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
        .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
    const behind = (node) => {
        for (let one = node; one; one = one.parentElement) {
            const [r, g, b, a] = parts(getComputedStyle(one).backgroundColor);
            if (a === 255) return [r, g, b];
        }
        return parts(getComputedStyle(document.documentElement).backgroundColor).slice(0, 3);
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = new Map();
    while (walker.nextNode()) {
        const parent = walker.currentNode.parentElement;
        const seen = parent.checkVisibility({ visibilityProperty: true, opacityProperty: true });
        if (!walker.currentNode.data.trim() || !seen) continue;
        if (parent.closest("script, noscript, .hidden, [aria-pressed=false].legend, option, :disabled")) continue;
        const style = getComputedStyle(parent);
        const front = parts(parent.closest("svg") ? style.fill : style.color).slice(0, 3);
        const [one, other] = [light(front), light(behind(parent))].sort((a, b) => b - a);
        const contrast = (one + 0.05) / (other + 0.05);
        const size = parseFloat(style.fontSize);
        const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
        const name = `${parent.tagName}.${parent.className.baseVal ?? parent.className}`;
        if (contrast < least) found.set(name, contrast.toFixed(2));
    }
    return [...found];
}"""


@pytest.fixture
def views(site):
    """Each kind of view, and what shows that it is all there."""
    one = max(standing(site), key=lambda one: one["revision"])
    return {
        "live": ("/", "tbody tr"),
        "coincidence": (f"/coincidences/{one['id']}", ".history li"),
        "trigger": (f"/triggers/{one['trigger']}", ".history li"),
        "upload": ("/upload", ".primary"),
        "missing": ("/coincidences/none", ".state a"),
    }


@pytest.mark.parametrize("view", ["live", "coincidence", "trigger", "upload", "missing"])
def test_every_view_fits_and_is_named_and_readable(view, views, visit, site):
    path, there = views[view]
    page = visit(path, expected=("status of 404",))
    page.locator(there).first.wait_for()
    if view == "upload":
        sign_in(page, site.token("ada"))
        page.locator(".drop").wait_for()
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate(TOO_WIDE) == [], f"{view} at {width}"
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate(TWICE) == []
    assert page.evaluate(BROKEN) == []
    assert page.locator("h1").count() == 1
    for landmark in ("banner", "navigation", "main"):
        expect(page.get_by_role(landmark).first).to_be_visible()
    assert page.locator("table:not(:has(caption)):not(details table)").count() == 0
    for theme in THEMES:
        page.get_by_label("Theme").select_option(theme)
        assert page.evaluate(PALE) == [], f"{view} in {theme}"


def test_the_dialogs_are_named_and_readable(visit):
    page = loaded(visit())
    for opens in ("Sign in", "?"):
        page.get_by_role("button", name=opens, exact=True).click()
        page.locator("dialog[open]").wait_for()
        assert page.evaluate(UNNAMED) == []
        for theme in THEMES:
            page.evaluate("theme => (document.documentElement.dataset.theme = theme)", theme)
            assert page.evaluate(PALE) == []
        page.keyboard.press("Escape")
        expect(page.locator("dialog[open]")).to_have_count(0)


def test_the_focus_is_seen(visit):
    page = loaded(visit())
    for _ in range(12):
        page.keyboard.press("Tab")
        outline = page.evaluate(
            """() => {
                const style = getComputedStyle(document.activeElement);
                return [style.outlineStyle, style.outlineWidth];
            }"""
        )
        assert outline == ["solid", "2px"], page.evaluate("document.activeElement.outerHTML.slice(0, 100)")


def test_the_system_decides_the_theme_until_somebody_does(visit):
    page = loaded(visit(color_scheme="dark"))
    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.get_by_label("Theme").select_option("light")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != dark
