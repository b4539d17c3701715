"""The pages of the documentation themselves: links, files that are named, pictures, words."""

import re
from pathlib import Path

import pytest

from tests.pages import PAGES, PROJECT, code, prose, text_of

FOLDERS = ("broker", "bridges", "matchers", "schemas", "config", "docs", "tests", "systemd")
KNOWN_HOSTS = {
    "127.0.0.1:8080",
    "127.0.0.1:8090",
    "astroquery.readthedocs.io",
    "cdsxmatch.u-strasbg.fr",
    "comet.transientskp.org",
    "doi.org",
    "example.org",
    "gcn.nasa.gov",
    "github.com",
    "registry.example.org",
    "semver.org",
    "ssp.imcce.fr",
    "starcross.example.org",
    "www.standardwebhooks.com",
    "www.wis-tns.org",
    "zerosteiner.github.io",
    "ztf.uw.edu",
}
OF_THE_UNITS = {"/opt/starcross", "/var/lib/starcross"}
"""Where the units for systemd have the program and the store."""


def anchors(path: Path) -> set[str]:
    """The anchors that a host of Markdown makes of headings."""
    headings = re.findall(r"^#+ (.+)$", prose(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = prose(page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.is_relative_to(PROJECT), target
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page):
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*\w/?)`", text))
    assert [name for name in sorted(named) if not (PROJECT / name).exists()] == []


def test_the_architecture_names_every_module():
    text = text_of("ARCHITECTURE.md")
    where = {
        floor: set(code(line))
        for floor, line in re.findall(r"^- \*\*`(\w+)/`\*\*: (.*?)(?=^- |\n\n)", text, re.MULTILINE | re.DOTALL)
    }
    assert set(where) == {"broker", "bridges", "matchers", "schemas"}
    for floor, named in where.items():
        modules = {path.stem for path in (PROJECT / floor).glob("*.py")} - {"__init__"}
        packages = {path.parent.name for path in (PROJECT / floor).glob("*/__init__.py")}
        assert named == modules | packages, floor


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_names_a_machine(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w.:/-])/(?:home|root|tmp|usr|var|opt|mnt|srv|work|Users)\b[\w/.-]*", text)
    assert [path for path in named if not any(path.startswith(known) for known in OF_THE_UNITS)] == []
    assert set(re.findall(r"https?://([^/\s)>\"'`]+)", text)) <= KNOWN_HOSTS


def test_the_units_have_the_program_and_the_store_where_the_pages_say():
    unit = text_of("systemd/starcross.service")
    assert "/opt/starcross/bin/starcross run" in unit
    assert "StateDirectory=starcross\n" in unit


def test_every_page_can_be_found_from_the_readme():
    readme = text_of("README.md")
    for page in PAGES:
        name = page.relative_to(PROJECT).as_posix()
        assert name == "README.md" or f"]({name}" in readme, name


def test_pictures_are_small_and_used():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    pictures = sorted(PROJECT.glob("docs/images/*"))
    assert pictures
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < 250_000
        assert f"images/{picture.name})" in text
