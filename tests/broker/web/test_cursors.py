"""Cursors: what was given comes back, and nothing else is one."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.web.cursors import after_of, cursor_of
from broker.web.problems import Problem


@given(st.integers(0, 10**17))
def test_what_was_given_comes_back(after):
    assert after_of(cursor_of(after)) == after


@given(st.text(max_size=40))
def test_any_text_is_a_cursor_or_a_problem(text):
    try:
        after = after_of(text)
    except Problem as problem:
        told = problem.status, problem.errors[0]["place"]
    else:
        told = (422, "query.cursor") if after >= 0 else None
    assert told == (422, "query.cursor")


@pytest.mark.parametrize("inner", ["", "a", "b1", "a-1", "a1.5", "a" + "9" * 30, "a1 OR 1=1", "a\u0663"])
def test_forged_ones_are_none(inner):
    with pytest.raises(Problem):
        after_of(base64.urlsafe_b64encode(inner.encode()).decode().rstrip("="))
