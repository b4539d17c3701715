"""``starcross store``: what is in a store, whether it is whole, and getting things out of it."""

import json
import sqlite3
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import zstandard
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from broker.store.checking import compact, problems
from broker.store.contents import capped, contents, night_number, quarantine
from broker.store.database import open_for_reading
from broker.store.exporting import export_night
from schemas.errors import ConfigurationError


def run_store(arguments: Namespace) -> int:
    """Do what was asked for with the store in a folder; the exit code.

    Parameters
    ----------
    arguments
        ``folder``, ``action`` (a key of `ACTIONS`), ``json``, ``night``, ``out``, ``reason`` and ``substream``.

    Raises
    ------
    ConfigurationError
        If there is no store, another process has it (only `compact` minds), or the call makes no sense.
    """
    return ACTIONS[arguments.action](arguments)


def _status(arguments: Namespace) -> int:
    with closing(open_for_reading(arguments.folder)) as database:
        told = contents(database, arguments.folder)
    if arguments.json:
        _print_json(told)
    else:
        Console().print(_contents_tables(told))
    return 0


def _check(arguments: Namespace) -> int:
    with closing(open_for_reading(arguments.folder)) as database:
        found = list(problems(database, arguments.folder))
    if arguments.json:
        _print_json({"problems": found})
    else:
        for line in found or ["The store is whole."]:
            _print(line)
    return 1 if found else 0


def _compact(arguments: Namespace) -> int:
    with closing(open_for_reading(arguments.folder)):
        pass  # a folder without a store is a mistake, not a new store
    before, after = compact(arguments.folder)
    if arguments.json:
        _print_json({"bytes_before": before, "bytes_after": after})
    else:
        _print(f"{_bytes(before)} before, {_bytes(after)} now")
    return 0


def _export(arguments: Namespace) -> int:
    if arguments.night is None or arguments.out is None:
        raise ConfigurationError("export needs --night and --out")
    try:
        night = night_number(arguments.night)
    except ValueError as error:
        raise ConfigurationError(f"--night {arguments.night}: expected a date such as 2026-11-20") from error
    with closing(open_for_reading(arguments.folder)) as database, _writing(arguments.out):
        rows = export_night(database, arguments.folder, night, arguments.out)
    if arguments.json:
        _print_json({"alerts": rows, "file": str(arguments.out)})
    else:
        _print(f"{rows:,} alerts of the night of {arguments.night}: {arguments.out}")
    return 0


def _quarantine(arguments: Namespace) -> int:
    with closing(open_for_reading(arguments.folder)) as database:
        listed = quarantine(database, arguments.reason)
        if arguments.out is not None:
            with _writing(arguments.out):
                _extract(database, [row["id"] for row in listed], arguments.out)
    if arguments.json:
        for row in listed:
            _print_json(row, indent=None)
    else:
        Console().print(_table("Quarantine", listed))
    return 0


def _extract(database: sqlite3.Connection, ids: list[int], out: Path) -> None:
    """Each message as a file that its number names; what strangers call it is never a path."""
    out.mkdir(parents=True, exist_ok=True)
    for number in ids:
        (body,) = database.execute("SELECT body FROM rejected WHERE id = ?", [number]).fetchone()
        (out / f"{number}.bin").write_bytes(zstandard.decompress(body))


def _capped(arguments: Namespace) -> int:
    with closing(open_for_reading(arguments.folder)) as database:
        listed = capped(database, arguments.substream)
    if arguments.json:
        for row in listed:
            _print_json(row | {"document": json.loads(row["document"])}, indent=None)
    else:
        Console().print(_table("Capped", [{k: v for k, v in row.items() if k != "document"} for row in listed]))
    return 0


ACTIONS: Mapping[str, Callable[[Namespace], int]] = {
    "status": _status,
    "check": _check,
    "compact": _compact,
    "export": _export,
    "quarantine": _quarantine,
    "capped": _capped,
}


def _contents_tables(told: Mapping[str, Any]) -> RenderableType:
    quarantined = told["quarantine"]
    facts = {
        "store": told["folder"],
        "version": told["version"],
        "in use by process": told["in_use_by"] or "-",
        **{name.replace("_", " "): _bytes(size) for name, size in told["bytes"].items()},
        "alerts noted since the checkpoint": told["noted_alerts"],
        "notices": told["notices"],
        "triggers": len(told["triggers"]),
        "sky maps": told["skymaps"],
        **{f"coincidences {state}": number for state, number in told["coincidences"].items()},
        "revisions": told["revisions"],
        **{f"capped of {name}": number for name, number in told["capped"].items()},
        **{f"quarantine: {reason}": number for reason, number in quarantined["reasons"].items()},
        "quarantine: dropped for want of room": quarantined["dropped"],
    }
    positions = [
        {"source": source, "where": name, "stands at": value}
        for source, values in told["positions"].items()
        for name, value in values.items()
    ]
    listed = {
        "Alerts": told["alerts"],
        "Objects": told["objects"],
        "Packets": told["packets"],
        "Outboxes": told["outboxes"],
        "Positions": positions,
    }
    tables = [_table(title, rows) for title, rows in listed.items() if rows]
    return Group(_table("Store", [{"what": name, "value": value} for name, value in facts.items()]), *tables)


def _table(title: str, rows: list[dict[str, Any]]) -> RenderableType:
    if not rows:
        return Text(f"{title}: nothing")
    table = Table(title=title, title_justify="left")
    for name, value in rows[0].items():
        table.add_column(name.replace("_", " "), justify="right" if isinstance(value, int) else "left", overflow="fold")
    for row in rows:
        # What strangers sent is text, never markup.
        table.add_row(*(Text(f"{value:,}" if isinstance(value, int) else str(value)) for value in row.values()))
    return table


def _bytes(number: int) -> str:
    return f"{number / 1e6:,.1f} MB"


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror or error}") from error


def _print(line: str) -> None:
    Console().print(line, markup=False, highlight=False, soft_wrap=True)


def _print_json(document: Any, indent: int | None = 2) -> None:
    sys.stdout.write(json.dumps(document, indent=indent, allow_nan=False) + "\n")
