"""Calls that cannot be right end with 2 and say why, and none of them is a failure of its own."""

import pytest

from tests.e2e.conftest import run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["simulate", "--rate", "-5"], "--rate: expected 0 or more (given: -5)"),
        (["simulate", "--rate", "nan"], "--rate: expected 0 or more"),
        (["simulate", "--rate", "much"], "--rate: invalid rate value: 'much'"),
        (["simulate", "--rate", "1", "--seconds", "0"], "--seconds: expected more than 0 (given: 0)"),
        (["simulate", "--out", "x", "--seed", "-1"], "--seed: expected 0 or more"),
        (["demo", "--seed", "-1"], "--seed: expected 0 or more"),
        (["simulate", "--out", "file/below"], "file/below: cannot be written"),
        (["inspect", "file", "--plot", "file/below.png"], "file/below.png: cannot be written"),
    ],
)
def test_a_wrong_call_exits_with_2_and_says_why(tmp_path, monkeypatch, arguments, said):
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    ran = run(*arguments)
    assert ran.code == 2, ran.err
    assert said in " ".join(ran.err.split())
