"""What commands share of the terminal: a progress bar, JSON on standard output, and files that may not be writable."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar

from broker.replay import Progress
from schemas.errors import ConfigurationError


@contextmanager
def progress_bar(*, verbose: bool) -> Iterator[Progress]:
    """A progress bar on standard error where that is a terminal, and no log lines cross it; nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:9}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with ProgressBar(*columns, console=console, disable=verbose or not console.is_terminal, transient=True) as bar:
        task = bar.add_task("")
        yield Progress(
            begin=lambda stage, total: bar.reset(task, description=stage, total=max(total, 1)),
            advance=lambda steps: bar.advance(task, steps),
        )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A path that cannot be written to is a wrong call."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror or error}") from error


def print_json(document: Any, indent: int | None = 2) -> None:
    """Print a document on standard output."""
    sys.stdout.write(json.dumps(document, indent=indent, allow_nan=False) + "\n")
