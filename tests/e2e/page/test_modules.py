"""What the page's modules compute, against libraries that compute the same."""
# ruff: noqa: RUF001 - the page writes minus signs and times signs

import shutil
import subprocess

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from cdshealpix.nested import vertices

from broker.web.pages import page_files
from tests.e2e.page.test_live import asked


@pytest.fixture
def page(visit):
    return visit("/coincidences/none", expected=("status of 404",))


def called(page, module: str, expression: str, argument=None):
    return page.evaluate(
        f"async (given) => {{ const it = await import('/page/modules/{module}'); return {expression}; }}", argument
    )


@pytest.mark.parametrize("order", [0, 2, 5])
def test_cells_have_the_corners_of_healpix(page, order):
    cells = np.unique(np.linspace(0, (12 << 2 * order) - 1, 300).astype(np.uint64))
    longitude, latitude = vertices(cells, order)
    told = np.array(
        called(
            page,
            "healpix.js",
            "given.cells.map((cell) => it.corners(given.order, cell))",
            {"order": order, "cells": cells.tolist()},
        )
    )
    ours = SkyCoord(told[..., 0] * units.deg, told[..., 1] * units.deg)
    theirs = SkyCoord(longitude, latitude)
    # Where a corner is a pole its longitude means nothing, which separations take care of; both begin in the south.
    assert ours.separation(theirs).deg.max() < 1e-6


def test_frames_are_those_of_astropy(page):
    chance = np.random.default_rng(3)
    places = np.column_stack([chance.uniform(0, 360, 50), np.degrees(np.arcsin(chance.uniform(-1, 1, 50)))])
    galactic = np.array(called(page, "frames.js", "given.map(it.FRAMES.galactic.from)", places.tolist()))
    back = np.array(called(page, "frames.js", "given.map(it.FRAMES.galactic.back)", galactic.tolist()))
    theirs = SkyCoord(*(places.T * units.deg)).galactic
    ours = SkyCoord(*(galactic.T * units.deg), frame="galactic")
    assert ours.separation(theirs).arcsec.max() < 0.1
    assert SkyCoord(*(back.T * units.deg)).separation(SkyCoord(*(places.T * units.deg))).arcsec.max() < 1e-6


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("it.plain(0.00001813)", "1.8 × 10⁻⁵"),
        ("it.plain(-1234.5)", "−1230"),
        ("it.plain(null)", "–"),
        ("it.plain(0)", "0"),
        ("it.probability(0.99999)", "> 0.999"),
        ("it.probability(1)", "1.000"),
        ("it.probability(0.00002)", "2.0 × 10⁻⁵"),
        ("it.lapse(-90)", "−1.5 min"),
        ("it.lapse(86400 * 12)", "+12 d"),
        ("it.lapse(0)", "+0.0 s"),
        ("it.sexagesimal(197.450354, -23.381489)", "13:09:48.08 −23:22:53.4"),
        ("it.sexagesimal(359.9999999, 0)", "00:00:00.00 +00:00:00.0"),
        ("it.area(1000)", "1,000 deg²"),
        ("it.area(1e-6)", "13 arcsec²"),
        ("it.angle(0.001)", "3.6″"),
        ("it.instant('2026-10-05T04:30:00.123456Z')", "2026-10-05 04:30:00"),
    ],
)
def test_numbers_are_written_as_people_write_them(page, expression, text):
    assert called(page, "format.js", expression) == text


def test_links_of_notices_lead_only_to_sites(page):
    made = "given.map((url) => it.outward(url, 'x').getAttribute('href'))"
    urls = ["javascript:alert(1)", "data:text/html,x", "no url", "https://example.org/a"]
    assert called(page, "dom.js", made, urls) == [None, None, None, "https://example.org/a"]


def test_objects_are_looked_up_by_name_or_place(page):
    ztf = {"survey": "ztf", "object_id": "ZTF20aaaaaaa", "ra_deg": 10.5, "dec_deg": -3.25}
    links = dict(called(page, "links.js", "it.objectLinks(given)", ztf))
    assert links["ALeRCE"] == "https://alerce.online/object/ZTF20aaaaaaa"
    assert "10.500000%20-3.250000" in links["Aladin"]
    wave = {
        "id": "lvk:S190425z",
        "names": ["S190425z"],
        "mission": "LVK",
        "links": {"skymap": "https://gracedb.ligo.org/x"},
    }
    assert dict(called(page, "links.js", "it.triggerLinks(given)", wave))["GraceDB"].endswith("/S190425z/view/")


def test_the_page_and_the_service_say_the_same_in_brief(page, site):
    brief = asked(site, "/api/v1/brief?limit=20")["items"]
    full = [asked(site, f"/api/v1/coincidences/{one['id']}")["newest"] for one in brief]
    assert brief
    assert called(page, "night.js", "given.map(it.inBrief)", full) == brief


def test_the_same_order_as_the_services(page, site):
    items = asked(site, "/api/v1/brief?limit=1000")["items"]
    told = called(page, "night.js", "given.sort(it.byRank).map((one) => one.id)", items)
    by_rank = sorted(
        items,
        key=lambda c: (
            c["state"] == "withdrawn",
            -(c["posterior"] or 0),
            -c["overlap"],
            c["credible_level"],
            abs(c["delta_t_s"]),
            c["id"],
        ),
    )
    assert told == [one["id"] for one in by_rank]


def test_modules_are_sound():
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    modules = {name: file for name, file in page_files().items() if name.endswith(".js")}
    assert len(modules) > 15
    for name, file in modules.items():
        kind = "commonjs" if name == "theme.js" else "module"
        checked = subprocess.run(
            [node, "--check", f"--input-type={kind}"], input=file.body, capture_output=True, check=False
        )
        assert checked.returncode == 0, f"{name}: {checked.stderr.decode()}"
