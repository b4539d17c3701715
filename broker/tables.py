"""Results as tables for a terminal. They fit 80 columns and use more where there are more."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import floor, log10
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from broker.benchmarks import INSTALL, BenchReport, Measurement
from broker.connections import Tried
from matchers.explain import Explanation, delay
from schemas.records import Coincidence, State

MOST_ROWS: Final = 25


@dataclass(frozen=True, slots=True)
class InjectedRow:
    """A source that was injected into a simulated night, and what became of it.

    Attributes
    ----------
    kind
        ``afterglow``, ``kilonova`` and so on.
    name, trigger_id
        The object, and the trigger to which it belongs.
    rank
        Its place among the trigger's coincidences, from 1; None if it was not found.
    of
        How many coincidences the trigger has.
    findable
        Whether the survey took an alert of it that passes the quality cuts, so that a search could find it.
    note
        Why it was not found, where that is known: ``too faint``.
    """

    kind: str
    name: str
    trigger_id: str
    rank: int | None
    of: int
    findable: bool = True
    note: str = ""


def coincidence_table(coincidences: Sequence[Coincidence], most: int = MOST_ROWS) -> RenderableType:
    """The coincidences as they come, with their ranks; those beyond ``most`` are only counted.

    One without statistics is numbered by its place among those of its trigger.

    Parameters
    ----------
    coincidences
        Best first.
    """
    if not coincidences:
        return Text("No coincidences.", style="bold")
    table = _table("Coincidences")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("trigger", overflow="fold", min_width=12, style="bold")
    table.add_column("object", overflow="fold", min_width=12)
    table.add_column("after", justify="right", no_wrap=True)
    table.add_column("level", justify="right", no_wrap=True)
    table.add_column("prob", justify="right", no_wrap=True)
    table.add_column("chance", justify="right", no_wrap=True)
    table.add_column("mag", justify="right", no_wrap=True)
    places: dict[str, int] = {}
    tests = [coincidence.trigger.test for coincidence in coincidences[:most]]
    mark = " *" if not all(tests) else ""
    for coincidence in coincidences[:most]:
        trigger = coincidence.trigger.id
        places[trigger] = places.get(trigger, 0) + 1
        withdrawn = coincidence.state is State.WITHDRAWN
        worth = coincidence.statistics
        table.add_row(
            "" if withdrawn else str(places[trigger] if worth is None else worth.rank),
            _plain(trigger + (mark if coincidence.trigger.test else "")),
            _plain(coincidence.object.object_id),
            delay(coincidence.delta_t_s),
            f"{coincidence.credible_level:.2f}",
            "-" if worth is None else _short(worth.posterior),
            "-" if worth is None else _short(worth.chance_probability),
            _magnitude(coincidence),
            style="dim" if withdrawn else "",
        )
    notes = []
    if len(coincidences) > most:
        notes.append(f"and {len(coincidences) - most} more")
    if any(coincidence.state is State.WITHDRAWN for coincidence in coincidences[:most]):
        notes.append("withdrawn are those without a number")
    if any(coincidence.statistics for coincidence in coincidences[:most]):
        notes.append("prob: of being the counterpart; chance: of an unrelated object as near by chance")
    if any(tests):
        notes.append("* a test or mock trigger" if mark else "All of test or mock triggers.")
    return Group(table, *(Text(note, style="dim") for note in notes))


def summary_table(summary: Mapping[str, Any]) -> RenderableType:
    """The counts of a run; a count inside another is indented, a zero is dim."""
    table = _table("Summary")
    table.add_column("", overflow="fold", min_width=20)
    table.add_column("", justify="right", overflow="fold")
    table.show_header = False
    _add_counts(table, summary, 0)
    return table


def connection_table(tried: Iterable[Tried]) -> RenderableType:
    """What came of trying connections."""
    table = _table("Connections")
    table.add_column("part", no_wrap=True, style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("found")
    table.add_column("s", justify="right", no_wrap=True)
    for one in tried:
        works = Text("failed", style="red") if one.trouble else Text("works", style="green")
        table.add_row(Text(one.part), works, Text(one.trouble or one.what), f"{one.seconds:.2f}")
    return table


def found_against_injected_table(rows: Iterable[InjectedRow]) -> RenderableType:
    """What a search found of what was injected, with its place among the trigger's coincidences."""
    rows = list(rows)
    table = _table("Found against injected")
    table.add_column("kind")
    table.add_column("object", no_wrap=True)
    table.add_column("trigger", no_wrap=True, style="bold")
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("found")
    for row in rows:
        found = (
            Text("yes", style="green")
            if row.rank is not None
            else Text("no", style="bold red" if row.findable else "dim")
        )
        if row.note:
            found.append(f", {_plain(row.note)}", style="dim")
        place = f"{row.rank} of {row.of}" if row.rank is not None else ""
        table.add_row(_plain(row.kind), _plain(row.name), _plain(row.trigger_id), place, found)
    could = [row for row in rows if row.findable]
    count = sum(row.rank is not None for row in could)
    first = sum(row.rank == 1 for row in could)
    line = f"found {count} of {len(could)} that gave a good alert, {first} of them ranked first"
    if len(could) < len(rows):
        line += f"; {len(rows) - len(could)} more gave none"
    return Group(table, Text(line + "."))


def explanation_table(explanations: Sequence[Explanation] | None, most: int = MOST_ROWS) -> RenderableType:
    """Each alert against each trigger: the numbers that matter, and why it does not match, or that it does.

    Parameters
    ----------
    explanations
        Best first; those beyond ``most`` are only counted. None if there were too many to explain.
    """
    if explanations is None:
        return Text("Too many alerts and triggers to explain each pair; give fewer files.", style="bold")
    table = _table("Alerts against triggers")
    table.add_column("trigger", overflow="fold", min_width=12, style="bold")
    table.add_column("matcher", no_wrap=True)
    table.add_column("object", overflow="fold", min_width=12)
    table.add_column("after", justify="right", no_wrap=True)
    table.add_column("level", justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold", min_width=16)
    for one in explanations[:most]:
        verdict = Text("; ".join(one.against), style="yellow") if one.against else Text("matches", style="green")
        level = "-" if one.credible_level is None else f"{one.credible_level:.3f}"
        source = _plain(one.object_id)
        table.add_row(_plain(one.trigger_id), _plain(one.matcher or "-"), source, delay(one.delta_t_s), level, verdict)
    more = len(explanations) - most
    return Group(table, Text(f"and {more} more (--json shows all)", style="dim")) if more > 0 else table


def bench_tables(report: BenchReport) -> RenderableType:
    """The machine, a table for each benchmark, and which baselines are missing."""
    parts: list[RenderableType] = [summary_table({"machine": asdict(report.machine)})]
    for name in dict.fromkeys(one.benchmark for one in report.measurements):
        table = _table(name)
        table.add_column("what", overflow="fold", min_width=16)
        table.add_column("on", overflow="fold", min_width=12)
        table.add_column("median", justify="right", no_wrap=True, style="bold")
        table.add_column("lowest to highest", justify="right", min_width=11)
        table.add_column("baseline", overflow="fold", min_width=12)
        table.add_column("times", justify="right", no_wrap=True)
        for one in report.measurements:
            if one.benchmark == name:
                _add_measurement(table, one)
        parts.append(table)
    parts.append(Text("times: how many times better than the baseline's median in the same run", style="dim"))
    for baseline, package in report.missing.items():
        parts.append(Text(f"Not compared with {baseline}, which needs {package}: {INSTALL}", style="yellow"))
    return Group(*parts)


def _add_measurement(table: Table, one: Measurement) -> None:
    memory = "" if one.bytes_an_alert is None else f", {one.bytes_an_alert:.0f} B an alert"
    baseline = "" if one.baseline_median is None else f"{one.baseline}: {_figure(one.baseline_median)}"
    table.add_row(
        one.name,
        one.size + memory,
        f"{_figure(one.median)} {one.unit}",
        f"{_figure(one.low)} to {_figure(one.high)}",
        baseline,
        "" if one.ratio is None else _figure(one.ratio),
    )


def _figure(value: float) -> str:
    """Three digits that count."""
    if not value:
        return "0"
    decimals = 2 - floor(log10(abs(value)))
    return f"{round(value, decimals):,.{max(decimals, 0)}f}"


def _table(title: str) -> Table:
    return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", padding=0)


def _plain(text: str) -> Text:
    """Text from outside: no markup, and no control characters that a terminal would obey."""
    return Text("".join(character if character.isprintable() else "?" for character in text))


def _short(probability: float) -> str:
    """At most five characters."""
    small = 0.0 < probability < 0.005  # noqa: PLR2004 - it would be shown as 0.00
    return f"{probability:.0e}".replace("e-0", "e-") if small else f"{probability:.2f}"


def _magnitude(coincidence: Coincidence) -> Text:
    source = coincidence.object
    return _plain("-" if source.mag is None else f"{source.mag:.2f} {source.band}")


def _add_counts(table: Table, counts: Mapping[str, Any], depth: int) -> None:
    for name, value in counts.items():
        label = _plain("  " * depth + str(name).replace("_", " "))
        if isinstance(value, Mapping):
            if value:
                label.stylize("" if depth else "bold")
                table.add_row(label, "")
                _add_counts(table, value, depth + 1)
        elif value is None:
            table.add_row(label, Text("-", style="dim"))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            table.add_row(label, Text(f"{round(value, 3):,}", style="" if value else "dim"))
        else:
            table.add_row(label, _plain(str(value)))
