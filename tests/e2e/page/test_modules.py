"""What the page's modules compute, against libraries that compute the same."""
# ruff: noqa: RUF001 - the page writes minus signs and times signs

import shutil
import subprocess

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import Latitude, Longitude, SkyCoord
from cdshealpix.nested import lonlat_to_healpix

from broker.web.pages import page_files
from tests.e2e.page.conftest import opening
from tests.e2e.page.test_live import asked


@pytest.fixture(scope="module")
def page(browser, site):
    """One for all: what is called leaves nothing behind."""
    with opening(browser) as opened:
        yield opened(site, "/coincidences/none", expected=("status of 404",))


def called(page, module: str, expression: str, argument=None):
    return page.evaluate(
        f"async (given) => {{ const it = await import('/page/modules/{module}'); return {expression}; }}", argument
    )


def normalized(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("order", [0, 2, 5])
def test_cells_are_those_of_healpix(page, order):
    vectors = normalized(np.random.default_rng(order).normal(size=(3000, 3)))
    vectors[:4] = normalized(np.array([[1e-9, 1e-9, 1], [-1e-9, 1e-9, -1], [1, -1e-9, 0.1], [1, 1e-9, -0.9]]))
    longitude = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])) % 360
    latitude = np.degrees(np.arctan2(vectors[:, 2], np.hypot(vectors[:, 0], vectors[:, 1])))
    theirs = lonlat_to_healpix(Longitude(longitude * units.deg), Latitude(latitude * units.deg), order)
    ours = called(page, "healpix.js", f"given.map((one) => it.cellOf({order}, ...one))", vectors.tolist())
    assert ours == theirs.tolist()


@pytest.mark.parametrize("projection", ["hammer", "orthographic"])
@pytest.mark.parametrize(("frame", "centre", "zoom"), [("equatorial", [180, 0], 1), ("galactic", [40, -35], 3)])
def test_points_are_where_d3_puts_them_and_come_back(page, projection, frame, centre, zoom):
    vectors = normalized(np.random.default_rng(8).normal(size=(500, 3)))
    told = called(
        page,
        "projections.js",
        """(await import("/page/modules/frames.js").then(({ FRAMES }) => {
            const view = new it.View({ ...given.view, width: 800, height: 400 });
            const d3 = view.d3().clipExtent(null);
            return given.vectors.map(([x, y, z]) => {
                const at = [0, 0];
                const seen = view.project([x, y, z], 0, at);
                const place = [Math.atan2(y, x) * 180 / Math.PI, Math.asin(z) * 180 / Math.PI];
                const back = [0, 0, 0];
                return { seen, at, d3: d3(FRAMES[view.frame].from(place)), is: view.unproject(...at, back), back };
            });
        }))""",
        {
            "view": {"frame": frame, "projection": projection, "centre": centre, "zoom": zoom},
            "vectors": vectors.tolist(),
        },
    )
    seen = [one["seen"] for one in told]
    assert all(seen) == (projection == "hammer")
    for vector, one in zip(vectors, told, strict=True):
        if one["seen"]:
            assert one["at"] == pytest.approx(one["d3"], abs=1e-6)
            assert one["is"]
            assert one["back"] == pytest.approx(vector.tolist(), abs=1e-7)


def test_beside_the_sky_is_nothing(page):
    corners = "[[1, 1], [799, 399]].map((at) => new it.View({ ...given, width: 800, height: 400 }).position(...at))"
    for projection in ("hammer", "orthographic"):
        look = {"frame": "galactic", "projection": projection, "centre": [0, 0], "zoom": 1}
        assert called(page, "projections.js", corners, look) == [None, None]


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
