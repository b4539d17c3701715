from pathlib import Path

import pytest

from broker.config import Config, load_config
from broker.registry import make_matchers
from matchers.options import BUILTIN
from schemas.errors import ConfigurationError

PROJECT = Path(__file__).resolve().parents[2]


def test_the_shipped_configuration_is_the_defaults():
    shipped, defaults = load_config(PROJECT / "config/starcross.toml"), Config()
    assert shipped.model_copy(update={"matchers": {}}) == defaults.model_copy(update={"matchers": {}})
    assert make_matchers_of(shipped) == make_matchers_of(defaults)


def make_matchers_of(config: Config) -> list[object]:
    return [
        (matcher.name, matcher.before_us, matcher.after_us, matcher.options)
        for matcher in make_matchers(config, PROJECT / "config")
    ]


@pytest.mark.parametrize("path", sorted((PROJECT / "config").rglob("*.toml")), ids=lambda path: path.name)
def test_every_shipped_configuration_is_valid(path):
    assert make_matchers(load_config(path), path.parent)


def test_fink2021_is_the_published_search_and_nothing_else():
    path = PROJECT / "config/examples/fink2021.toml"
    config = load_config(path)
    (grb,) = make_matchers(config, path.parent)
    assert (grb.before_us, grb.after_us) == (600 * 10**6, 20 * 86400 * 10**6)
    assert grb.options.rule == "fink2021"
    assert config.cuts == Config().cuts


def test_one_changed_matcher_keeps_the_others():
    config = load_config(None, ["matchers.grb.level=0.5", "matchers.gw.enabled=false"])
    assert [matcher.name for matcher in make_matchers(config, Path())] == ["grb", "neutrino", "xray"]


def test_overrides_win_over_the_file(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("[cuts]\nreliability_above = 0.3\n[voevent]\ntitle = 'A'\n")
    config = load_config(path, ["cuts.reliability_above=0.9", "voevent.title=B C", "cuts.gaia_at_least_arcsec=false"])
    assert (config.cuts.reliability_above, config.voevent.title, config.cuts.gaia_at_least_arcsec) == (0.9, "B C", None)


def test_cuts_of_one_survey_differ_where_told():
    config = load_config(None, ["survey_cuts.lsst.reliability_above=0.7"])
    assert config.cuts_of("lsst").reliability_above == 0.7
    assert config.cuts_of("lsst").gaia_at_least_arcsec == 5
    assert config.cuts_of("ztf").reliability_above == 0.55


def test_fingerprints_are_of_the_content():
    assert load_config(None).fingerprint() == load_config(None).fingerprint()
    assert load_config(None).fingerprint() != load_config(None, ["cuts.enabled=false"]).fingerprint()


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("cuts.reliabilty_above=1", r"cuts\.reliabilty_above: unknown key"),
        ("matchers.grb.level=2", r"matchers\.grb\.level: .*less than 1"),
        ("matchers.grb.radius=2", r"matchers\.grb\.radius: unknown key"),
        ("matchers.mine.level=0.5", r"matchers\.mine\.kind: there is no kind 'mine'"),
        ("cuts=3", r"cuts: "),
        ("cuts.enabled.x=3", r"cuts\.enabled: "),
        ("replay.batch_alerts=0", r"replay\.batch_alerts: .*greater"),
        ("cuts.reliability_above=nan", r"cuts\.reliability_above"),
        ("voevent.authority=a b", r"voevent\.authority: "),
        ("survey_cuts.lsst.x=1", r"survey_cuts\.lsst\.x: unknown key"),
        ("survey_cuts.zft.gaia_at_least_arcsec=1", r"survey_cuts\.zft: there is no such survey"),
        ("nothing", r"nothing: expected key=value"),
        ("matchers.mine.python=x", r"matchers\.mine\.python: expected file\.py:name"),
        ("matchers.mine.python=none.py:X", r"matchers\.mine\.python: no such Python file"),
    ],
)
def test_an_error_names_the_key(override, named):
    with pytest.raises(ConfigurationError, match=named):
        make_matchers(load_config(None, [override]), Path())


def test_a_value_is_not_a_table(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("cuts = 1\n")
    with pytest.raises(ConfigurationError, match="cuts is a value, not a table"):
        load_config(path, ["cuts.enabled=false"])


@pytest.mark.parametrize(
    ("content", "said"), [(b"[cuts", "not valid TOML"), (b"\xff", "not valid TOML"), (None, "cannot be read")]
)
def test_a_bad_file_is_named(tmp_path, content, said):
    path = tmp_path / "c.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=rf"c\.toml: {said}"):
        load_config(path)


OWN = """
class Mine:
    def __init__(self, name, level=1.0):
        self.name, self.level = name, level
    def window(self, trigger): return None
    def match(self, alerts, trigger): return alerts.time_us > 0

class NoMatch:
    def __init__(self, name): self.name = name
    def window(self, trigger): return None
"""


def own(tmp_path, reference, *options):
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "broken.py").write_text("1/0")
    settings = [f"matchers.{kind}.enabled=false" for kind in BUILTIN]
    return make_matchers(load_config(None, [*settings, f"matchers.mine.python={reference}", *options]), tmp_path)


def test_own_matcher_is_made_with_its_options(tmp_path):
    (mine,) = own(tmp_path, "own.py:Mine", "matchers.mine.level=0.3")
    assert (mine.name, mine.level) == ("mine", 0.3)


@pytest.mark.parametrize(
    ("reference", "options", "said"),
    [
        ("own.py:NoMatch", (), r"NoMatch has no method match\(\)"),
        ("own.py:Absent", (), "AttributeError"),
        ("own.py:Mine", ("matchers.mine.colour=1",), "TypeError"),
        ("broken.py:Mine", (), "ZeroDivisionError"),
        ("own.py:Mine", ("matchers.mine.kind=grb",), "both kind and python"),
    ],
)
def test_what_is_wrong_with_an_own_matcher_is_told(tmp_path, reference, options, said):
    with pytest.raises(ConfigurationError, match=rf"matchers\.mine.*{said}"):
        own(tmp_path, reference, *options)
