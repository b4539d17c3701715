"""Logs: readable on a terminal, JSON lines elsewhere, always on standard error."""

import logging
import sys
from typing import Literal

import structlog

Level = Literal["debug", "info", "warning", "error"]
Style = Literal["auto", "console", "json"]


def configure_logging(*, level: Level = "warning", style: Style = "auto") -> None:
    """Set up structlog for the process, and put what libraries log into the same form.

    Parameters
    ----------
    level
        The least that is logged; libraries log warnings and worse.
    style
        ``auto`` is readable where standard error is a terminal, else JSON, a line each.
    """
    readable = style == "console" or (style == "auto" and sys.stderr.isatty())
    common: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Tracebacks without the values of variables: some are secret.
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if readable
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*common, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *common],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.WARNING)
    # While a cluster is away it logs some twenty lines a second of what our bridge says once a pause.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
