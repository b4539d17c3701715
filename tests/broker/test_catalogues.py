"""The catalogues of a configuration."""

import sys

import pytest

from broker.catalogues import CATALOGUE_KINDS, Catalogues, catalogue_options, catalogue_options_class
from broker.plan import Plan
from schemas.annotations import Annotation, Answer, Target
from schemas.errors import ConfigurationError
from tests.broker.test_parts import config_of

HOSTS = "[catalogues.hosts]\npath = 'hosts.csv'\nradius_arcsec = 60\ncolumns.name = 'id'\n"
AGN = "[catalogues.agn]\nkind = 'file'\npath = 'agn.csv'\nmatchers = ['gw']\nall_are = 'AGN'\n"
SKYBOT = "[catalogues.moving]\nkind = 'skybot'\nmatchers = ['grb']\n"
HERE, THERE = (Target("ztf", name, ra_deg, 20.0, 0) for name, ra_deg in (("a", 10.0), ("b", 30.0)))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "hosts.csv").write_text("ra,dec,id\n10,20.01,NGC 1\n")
    (tmp_path / "agn.csv").write_text("ra,dec\n10,20\n")
    return tmp_path


def plan(folder, text):
    return Plan.of(config_of(folder, text), folder)


def test_catalogues_are_looked_up_as_matchers_ask_for_them(folder):
    found = plan(folder, HOSTS + AGN).open_catalogues()
    host = Annotation("hosts", Answer.FOUND, "NGC 1", 36.0)
    agn = Annotation("agn", Answer.FOUND, separation_arcsec=0.0, kind="AGN")
    assert found.look_up("gw", [HERE, THERE]) == [
        (agn, host), (Annotation("agn", Answer.NONE), Annotation("hosts", Answer.NONE))
    ]  # fmt: skip
    assert found.look_up("grb", [HERE]) == [(host,)]
    assert found.look_up("grb", []) == []
    assert sorted(path.name.split("-")[0] for path in (folder / "store" / "catalogues").iterdir()) == ["agn", "hosts"]


def test_a_service_has_not_answered_yet(folder):
    pytest.importorskip("astroquery")
    checked = plan(folder, HOSTS + SKYBOT)
    found = checked.open_catalogues()
    pending = Annotation("moving", Answer.PENDING)
    assert found.look_up("grb", [THERE]) == [(Annotation("hosts", Answer.NONE), pending)]
    assert found.look_up("gw", [THERE]) == [(Annotation("hosts", Answer.NONE),)]
    assert plan(folder, SKYBOT).open_catalogues().look_up("grb", [HERE, THERE]) == [(pending,), (pending,)]
    assert list(found.services_of("grb")) == ["moving"]
    assert checked.open_catalogues(services=False).look_up("grb", [THERE]) == [(Annotation("hosts", Answer.NONE),)]


def test_without_catalogues_nothing_is_known():
    assert Catalogues().look_up("grb", [HERE, THERE]) == [(), ()]


def test_one_that_is_switched_off_is_not_there(folder):
    checked = plan(folder, AGN + "enabled = false\n")
    assert checked.catalogues == {}
    assert checked.open_catalogues().files == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[catalogues.gaia]\npath = 'a.csv'", "catalogues.gaia: this name is that of what survey packets carry"),
        ("[catalogues.Bad-Name]\npath = 'a.csv'", "catalogues.Bad-Name.*: String should match pattern"),
        (
            "[catalogues.a]\nkind = 'book'",
            "catalogues.a.kind: there is no kind 'book'; there are file, skybot, tns, xmatch",
        ),
        (
            "[catalogues.a]\npath = 'a'\nmatchers = ['no']",
            "catalogues.a.matchers: there is no matcher no; there are grb",
        ),
        ("[catalogues.a]\n", "catalogues.a.path: Field required"),
        ("[catalogues.a]\npath = 'a'\nradius = 3", "catalogues.a.radius: unknown key"),
        ("[catalogues.a]\nkind = 'xmatch'\ncatalogue = 'vizier:x'", "catalogues.a: say which `columns`"),
        ("[catalogues.a]\nkind = 'xmatch'\ncatalogue = 'x'", "catalogues.a.catalogue: String should match pattern"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(text, told, folder):
    with pytest.raises(ConfigurationError, match=told):
        plan(folder, text)


def test_what_cannot_be_opened_is_named(folder):
    with pytest.raises(ConfigurationError, match=r"catalogues\.a: .*no\.csv: there is no such catalogue"):
        plan(folder, "[catalogues.a]\npath = 'no.csv'").open_catalogues()
    tns = "[catalogues.t]\nkind = 'tns'\napi_key = {file = 'none'}\nbot_id = 1\nbot_name = 'b'\n"
    with pytest.raises(ConfigurationError, match=r"catalogues\.t: "):
        plan(folder, tns).open_catalogues()


def test_without_the_library_the_extra_is_named(folder, monkeypatch):
    for module in [name for name in sys.modules if name.startswith(("bridges.catalogue_services", "bridges.tns"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "astroquery.exceptions", None)
    with pytest.raises(
        ConfigurationError, match=r"catalogues\.moving: needs astroquery.*: pip install 'starcross\[serv"
    ):
        plan(folder, SKYBOT).open_catalogues()


def test_every_kind_has_options(folder):
    assert {kind.options for kind in CATALOGUE_KINDS.values()} == {
        catalogue_options_class(kind).__name__ for kind in CATALOGUE_KINDS.values()
    }
    assert catalogue_options(config_of(folder, "")) == {}
