import json
import logging

import pytest
import structlog

from broker.log import configure_logging


@pytest.mark.parametrize(("level", "levels"), [("warning", ["warning"]), ("debug", ["debug", "warning"])])
def test_lines_are_json_on_standard_error_where_that_is_no_terminal(capsys, level, levels):
    configure_logging(level=level)
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
    configure_logging()
    structlog.get_logger().warning("slow", took_s=2.5)
    err = capsys.readouterr().err
    assert "slow" in err
    assert not err.startswith("{")


def test_the_style_can_be_chosen(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    configure_logging(style="json")
    structlog.get_logger().warning("slow")
    configure_logging(style="console")
    structlog.get_logger().warning("slow")
    first, second = capsys.readouterr().err.splitlines()
    assert (first[0], second[0]) != ("{", "{")
    assert json.loads(first)["event"] == "slow"


def test_what_libraries_log_has_the_same_form(capsys):
    configure_logging()
    logging.getLogger("aiohttp").info("chatter")
    logging.getLogger("aiokafka").error("no broker, twenty times a second")
    logging.getLogger("aiohttp").error("no host at %s", "localhost")
    try:
        int("broken")
    except ValueError:
        logging.getLogger("asyncio").exception("task failed")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["event"], first["level"], first["logger"]) == ("no host at localhost", "error", "aiohttp")
    assert "ValueError: invalid literal" in second["exception"]


@pytest.mark.parametrize("style", ["console", "json"])
def test_tracebacks_tell_no_values_of_variables(capsys, style):
    configure_logging(style=style)
    password = "hunter" * 2
    try:
        len(password) / 0
    except ZeroDivisionError:
        structlog.get_logger().exception("part failed")
    err = capsys.readouterr().err
    assert "division by zero" in err
    assert password not in err
