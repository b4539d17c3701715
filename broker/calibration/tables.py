"""Calibration as tables for a terminal, 80 columns wide."""

from collections.abc import Mapping, Sequence
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from broker.calibration.measures import ENOUGH, Bin, Share, Uniformity
from broker.calibration.report import FIRST, Chance, PairReport, Ranks, Reliability, ScrambledReport, SimulatedReport

Report = SimulatedReport | ScrambledReport | PairReport
_NOTHING: Final = "-"


def calibration_tables(report: Report) -> RenderableType:
    """All of a report, and whether it is accepted."""
    if isinstance(report, SimulatedReport):
        shown = _simulated(report)
    elif isinstance(report, ScrambledReport):
        shown = _scrambled(report)
    else:
        shown = _pairs(report)
    return Group(*shown, _acceptance(report.acceptance))


def _simulated(report: SimulatedReport) -> list[RenderableType]:
    return [
        Text(f"{report.weeks} simulated weeks, {report.triggers:,} triggers, seed {report.seed}", style="bold"),
        *(_reliability(f"Posterior: {one.of}", one) for one in report.reliability[:1]),
        _sums("Posteriors, by messenger and by age of the trigger", report.reliability),
        _sums("Probabilities that there is none", report.none),
        _ranks(report.ranks),
        _chance(report.chance),
        _shares("Afterglows found, by peak magnitude", "mag", report.by_mag),
        _shares(f"Afterglows in the stream among the first {FIRST}, by area", "90 % area/deg2", report.by_area),
    ]


def _scrambled(report: ScrambledReport) -> list[RenderableType]:
    parts: list[RenderableType] = [
        Text(f"{report.triggers:,} triggers, each moved {report.copies} times", style="bold"),
        _chance(report.chance),
    ]
    claims = ", ".join(f"{count} of {least} or more" for least, count in report.false_claims.items())
    parts.append(Text(f"Posteriors of what is there by chance alone: {claims}"))
    if report.left_out:
        parts.append(Text(f"{len(report.left_out)} could not be moved", style="yellow"))
    return parts


def _pairs(report: PairReport) -> list[RenderableType]:
    table = _table("Levels of Swift's positions in Fermi's densities")
    for heading in ("positions", "bursts", "mean", "in 50 %", "in 90 %", "D", "p", "off/deg", "deg2"):
        table.add_column(heading, justify="left" if heading == "positions" else "right", no_wrap=True)
    for stage in report.stages:
        table.add_row(
            stage.stage,
            str(stage.levels.count),
            *_uniformity(stage.levels)[:1],
            f"{100 * stage.inside_50:.0f} %",
            f"{100 * stage.inside_90:.0f} %",
            *_uniformity(stage.levels)[1:],
            f"{stage.median_separation_deg:.1f}",
            f"{stage.median_area_90_deg2:.0f}",
        )
    parts: list[RenderableType] = [
        Text(f"{report.pairs.bursts} bursts of Fermi with a position of Swift", style="bold"),
        table,
        Text("off: median distance from the truth; deg2: median area of the 90 % region", style="dim"),
    ]
    if report.pairs.elsewhere:
        names = ", ".join(report.pairs.elsewhere)
        parts.append(Text(f"Left out, as Swift's burst lay in the other hemisphere: {names}", style="dim"))
    return parts


def _reliability(title: str, told: Reliability) -> RenderableType:
    table = _table(title)
    for heading in ("claimed", "entries", "mean claim", "true", "", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in told.bins:
        if one.count:
            table.add_row(*_bin(one))
    return table


def _bin(one: Bin) -> tuple[str | Text, ...]:
    assert one.claimed is not None and one.true is not None and one.error is not None  # noqa: PT018, S101
    if one.is_within:
        verdict = Text("holds", style="green")
    else:
        verdict = Text("off, as chance may", style="yellow") if one.may_be_chance else Text("off", style="red")
    return (
        f"{one.low:g} to {one.high:g}",
        f"{one.count:,}",
        f"{one.claimed:.3f}",
        f"{one.true:.3f}",
        f"+- {one.error:.3f}",
        verdict if one.is_judged else Text(f"fewer than {ENOUGH}", style="dim"),
    )


def _sums(title: str, told: Sequence[Reliability]) -> RenderableType:
    table = _table(title)
    for heading in ("of", "claims", "sum of claims", "true", "worst bin"):
        table.add_column(heading, justify="left" if heading == "of" else "right", no_wrap=True)
    for one in told:
        judged = [one_bin.off_by for one_bin in one.bins if one_bin.is_judged]
        worst = f"{max(judged):.3f}" if judged else _NOTHING
        table.add_row(one.of, f"{one.claims:,}", f"{one.expected_true:.1f}", f"{one.true:,}", worst)
    return table


def _ranks(told: Sequence[Ranks]) -> RenderableType:
    table = _table("Counterparts in the stream")
    for heading in ("of", "in stream", "outside region", "first", f"among first {FIRST}", "of all", "of those inside"):
        table.add_column(heading, justify="left" if heading == "of" else "right")
    for one in told:
        if one.in_stream:
            table.add_row(
                one.of,
                f"{one.in_stream:,}",
                f"{one.outside:,}",
                f"{one.first:,}",
                f"{one.among_first:,}",
                _percent(one.fraction),
                _percent(one.fraction_of_found),
            )
    return table


def _chance(told: Sequence[Chance]) -> RenderableType:
    table = _table("Chance coincidences of triggers without a counterpart")
    for heading in ("of", "triggers", "expected", "found", "mean of best", "D", "p"):
        table.add_column(heading, justify="left" if heading == "of" else "right", no_wrap=True)
    for one in told:
        row = one.of, f"{one.triggers:,}", f"{one.expected:.1f}", f"{one.found:,}", *_uniformity(one.best)
        table.add_row(*row)
    return table


def _shares(title: str, of: str, shares: Sequence[Share]) -> RenderableType:
    table = _table(title)
    for heading in (of, "there", "found", "fraction", "within"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in shares:
        if one.interval is not None:
            low, high = one.interval
            between = f"{100 * low:.0f} to {100 * high:.0f} %"
            table.add_row(
                f"{one.low:.3g} to {one.high:g}", str(one.count), str(one.found), _percent(one.fraction), between
            )
    return table


def _acceptance(told: Mapping[str, bool]) -> RenderableType:
    parts = [
        Text("holds  " if kept else "fails  ", style="green" if kept else "bold red") + what
        for what, kept in told.items()
    ]
    return Group(*parts)


def _uniformity(told: Uniformity) -> tuple[str, str, str]:
    if told.mean is None or told.distance is None or told.p is None:
        return _NOTHING, _NOTHING, _NOTHING
    return f"{told.mean:.3f}", f"{told.distance:.3f}", f"{told.p:.3f}" if told.p >= 0.001 else f"{told.p:.1e}"  # noqa: PLR2004


def _percent(fraction: float | None) -> str:
    return _NOTHING if fraction is None else f"{100 * fraction:.0f} %"


def _table(title: str) -> Table:
    return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", padding=(0, 1, 0, 0))
