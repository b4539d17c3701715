"""Tokens: made once, kept as hashes, ended by time and by hand; also while another process has the database."""

import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.web.tokens import FILE, Scope, Tokens
from schemas.errors import ConfigurationError
from schemas.times import US_PER_DAY, US_PER_S

NOW_US = 1_800_000_000 * US_PER_S


@pytest.fixture
def tokens(tmp_path):
    return Tokens(tmp_path / "store")


def test_a_token_is_found_by_its_text_and_by_nothing_else(tokens):
    text, made = tokens.make("ada", [Scope.READ, Scope.UPLOAD], NOW_US)
    found = tokens.find(text, NOW_US)
    assert found.id == made.id
    assert (found.owner, found.scopes) == ("ada", {Scope.READ, Scope.UPLOAD})
    assert found.trouble(NOW_US + 1000 * US_PER_DAY) == ""
    other, _ = tokens.make("ada", [Scope.READ], NOW_US)
    mixed = text[:16] + other[16:]
    wrong = [mixed, text[:-1], text + "A", text.upper(), text.replace("st_", "xx_"), "", "st_", made.id, " " + text]
    assert [tokens.find(one, NOW_US) for one in wrong] == [None] * len(wrong)


def test_only_a_hash_of_the_secret_is_kept_where_only_the_owner_reads(tokens, tmp_path):
    text, _ = tokens.make("ada", [Scope.READ], NOW_US)
    secret = text.split("_", 2)[2]  # it may have underscores itself
    for path in (tmp_path / "store").iterdir():
        assert secret.encode() not in path.read_bytes()
    assert stat.S_IMODE((tmp_path / "store" / FILE).stat().st_mode) == 0o600


def test_a_token_ends_on_time_and_not_before(tokens):
    text, made = tokens.make("ada", [Scope.READ], NOW_US, days=1.0)
    assert made.expires_us == NOW_US + US_PER_DAY
    assert tokens.find(text, NOW_US + US_PER_DAY - 1).trouble(NOW_US + US_PER_DAY - 1) == ""
    assert "expired at 2027-01-16" in tokens.find(text, NOW_US + US_PER_DAY).trouble(NOW_US + US_PER_DAY)


def test_a_revoked_token_counts_no_more(tokens):
    text, made = tokens.make("ada", [Scope.READ], NOW_US)
    tokens.revoke(made.id, NOW_US + 5)
    assert "revoked at" in tokens.find(text, NOW_US + 5).trouble(NOW_US + 5)
    for wrong in (made.id, "0123456789ab", ""):
        with pytest.raises(ConfigurationError, match="no token"):
            tokens.revoke(wrong, NOW_US)


def test_the_last_use_is_kept_to_the_hour_and_not_of_one_that_does_not_count(tokens):
    text, made = tokens.make("ada", [Scope.READ], NOW_US, days=2.0)

    def used_us():
        return next(one.used_us for one in tokens.all() if one.id == made.id)

    assert used_us() is None
    for after_s, expected_s in ((10, 10), (3609, 10), (3610, 3610)):
        tokens.find(text, NOW_US + after_s * US_PER_S)
        assert used_us() == NOW_US + expected_s * US_PER_S
    tokens.find(text, NOW_US + 3 * US_PER_DAY)
    assert used_us() == NOW_US + 3610 * US_PER_S


@pytest.mark.parametrize("owner", ["", "  ", "a" * 129, "a\nb", "a\x00"])
def test_an_owner_has_a_name(tokens, owner):
    with pytest.raises(ConfigurationError, match="owner"):
        tokens.make(owner, [Scope.READ], NOW_US)


@pytest.mark.parametrize("days", [0, -1, 40_000, float("nan")])
def test_a_token_lasts_for_a_while(tokens, days):
    with pytest.raises(ConfigurationError, match="lasts"):
        tokens.make("ada", [Scope.READ], NOW_US, days=days)


def test_a_token_allows_something(tokens):
    with pytest.raises(ConfigurationError, match="scope"):
        tokens.make("ada", [], NOW_US)


def test_all_are_listed_oldest_first(tokens):
    made = [tokens.make(f"owner {number}", [Scope.READ], NOW_US + number)[1] for number in range(3)]
    assert tokens.all() == made


def test_other_threads_and_other_openings_of_the_same_folder_see_the_same(tokens, tmp_path):
    text, made = tokens.make("ada", [Scope.READ], NOW_US)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: Tokens(tmp_path / "store").find(text, NOW_US), range(32)))
    assert {one.id for one in found} == {made.id}


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "store").write_text("a file", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=FILE):
        Tokens(tmp_path / "store")


def test_a_database_that_is_none_is_named(tmp_path):
    (tmp_path / FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(ConfigurationError, match=FILE):
        Tokens(tmp_path)


@given(st.text(max_size=200))
def test_no_text_makes_finding_fail(tmp_path_factory, text):
    tokens = Tokens(tmp_path_factory.getbasetemp() / "tokens of any text")
    assert tokens.find(text, NOW_US) is None


def test_the_scopes_are_those_of_the_database(tokens, tmp_path):
    tokens.make("ada", [Scope.ADMIN, Scope.READ], NOW_US)
    with sqlite3.connect(tmp_path / "store" / FILE) as database:
        assert database.execute("SELECT scopes FROM token").fetchone() == ("admin read",)
    database.close()
