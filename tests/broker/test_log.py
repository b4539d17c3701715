import json

import pytest
import structlog

from broker.log import configure_logging


@pytest.fixture(autouse=True)
def _restored():
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize(("verbose", "levels"), [(False, ["warning"]), (True, ["debug", "warning"])])
def test_lines_are_json_on_standard_error_where_that_is_no_terminal(capsys, verbose, levels):
    configure_logging(verbose=verbose)
    log = structlog.get_logger()
    log.debug("read", messages=3)
    log.warning("slow", took_s=2.5)
    out, err = capsys.readouterr()
    assert out == ""
    lines = [json.loads(line) for line in err.splitlines()]
    assert [line["level"] for line in lines] == levels
    assert (lines[-1]["event"], lines[-1]["took_s"]) == ("slow", 2.5)
    assert lines[-1]["timestamp"].endswith("Z")


def test_a_terminal_gets_readable_lines(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    configure_logging(verbose=False)
    structlog.get_logger().warning("slow", took_s=2.5)
    err = capsys.readouterr().err
    assert "slow" in err
    assert not err.startswith("{")
