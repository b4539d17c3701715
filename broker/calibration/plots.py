"""Calibration as pictures."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from broker.calibration.measures import TOLERANCE, Array, Share
from broker.calibration.report import Chance, PairReport, Reliability, ScrambledReport, SimulatedReport
from broker.globe import INK, Target, save

_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#B0508F", "#A07800", "#666666")
_BAND: Final = "#DCE4EC"
_SMALLEST_DEG2: Final = 1e-5
_LEAST_NUMBERED: Final = 0.01
"""The numbers of bins below would hide each other."""
_KS_95: Final = 1.358
"""The 95 % point of Kolmogorov's distribution: no further do uniform numbers stray from the diagonal, nineteen times in
twenty."""


def draw_calibration(target: Target, report: SimulatedReport | ScrambledReport | PairReport) -> None:
    """Draw a report as a PNG.

    Parameters
    ----------
    target
        A path or a binary file.
    """
    if isinstance(report, SimulatedReport):
        figure, axes = _panels(2, 2)
        _draw_reliability(axes[0], report.reliability[0])
        _draw_chance(axes[1], report.chance)
        _draw_shares(axes[2], report.by_mag, "peak magnitude", "Afterglows that became a coincidence")
        _draw_shares(axes[3], report.by_area, "area of the 90 % region, deg²", "In the stream: among the first three")
        axes[3].set(xscale="log", xlim=(_SMALLEST_DEG2, None))
    elif isinstance(report, ScrambledReport):
        figure, axes = _panels(1, 1)
        _draw_chance(axes[0], report.chance)
    else:
        figure, axes = _panels(1, 1)
        _draw_levels(axes[0], report)
    save(figure, target)


def _panels(down: int, across: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(5.6 * across, 5.0 * down), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(down, across, place + 1) for place in range(down * across)]


def _draw_reliability(axes: Axes, told: Reliability) -> None:
    diagonal = np.array([0.0, 1.0])
    axes.fill_between(diagonal, diagonal - TOLERANCE, diagonal + TOLERANCE, color=_BAND, linewidth=0)
    axes.plot(diagonal, diagonal, color=INK, linewidth=0.8)
    bins = [one for one in told.bins if one.claimed is not None and one.true is not None and one.error is not None]
    for judged, face in ((True, _COLOURS[0]), (False, "white")):
        drawn = [one for one in bins if one.is_judged is judged]
        axes.errorbar(
            [one.claimed or 0.0 for one in drawn],
            [one.true or 0.0 for one in drawn],
            yerr=[one.error or 0.0 for one in drawn],
            fmt="o",
            color=_COLOURS[0],
            markerfacecolor=face,
            capsize=2,
            label="bins of 50 and more" if judged else "fewer",
        )
    for one in bins:
        if (one.claimed or 0.0) < _LEAST_NUMBERED:
            continue
        axes.annotate(
            f"{one.count:,}", (one.claimed or 0.0, one.true or 0.0), (6, -9), textcoords="offset points", size=6
        )
    _frame(axes, "claimed posterior", "fraction that is true", f"Posteriors of {told.claims:,} coincidences")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    _label(axes)


def _draw_chance(axes: Axes, told: Sequence[Chance]) -> None:
    drawn = [one for one in told if one.values]
    _diagonal(axes, max((len(one.values) for one in drawn), default=1))
    for colour, one in zip(_COLOURS, drawn, strict=False):
        _cumulative(axes, np.array(one.values), colour, f"{one.of}: {len(one.values):,} triggers, p = {one.best.p:.2g}")
    _frame(axes, "smallest chance probability of a trigger", "fraction of triggers", "Where there is nothing to find")
    _label(axes)


def _draw_levels(axes: Axes, report: PairReport) -> None:
    _diagonal(axes, max((stage.levels.count for stage in report.stages), default=1))
    for colour, stage in zip(_COLOURS, report.stages, strict=False):
        levels = np.array([one.level for one in report.pairs.levels if one.stage == stage.stage])
        label = f"{stage.stage}: {len(levels)} bursts, mean {stage.levels.mean:.2f}, p = {stage.levels.p:.2g}"
        _cumulative(axes, levels, colour, label)
    _frame(axes, "credible level of Swift's position", "fraction of bursts", "Fermi GBM's densities against Swift")
    _label(axes)


def _draw_shares(axes: Axes, shares: Sequence[Share], of: str, title: str) -> None:
    for one in shares:
        if one.fraction is None or one.interval is None:
            continue
        low, high = one.interval
        axes.fill_between([one.low, one.high], [low, low], [high, high], color=_BAND, linewidth=0)
        axes.plot([one.low, one.high], [one.fraction, one.fraction], color=_COLOURS[0], linewidth=2)
        axes.annotate(f"{one.count}", (one.low, one.fraction), (2, 3), textcoords="offset points", size=6)
    _frame(axes, of, "fraction", title)
    axes.set_ylim(-0.02, 1.02)


def _diagonal(axes: Axes, count: int) -> None:
    diagonal = np.array([0.0, 1.0])
    stray = _KS_95 / np.sqrt(count)
    axes.fill_between(diagonal, diagonal - stray, diagonal + stray, color=_BAND, linewidth=0)
    axes.plot(diagonal, diagonal, color=INK, linewidth=0.8)
    axes.set(xlim=(0, 1), ylim=(0, 1))


def _cumulative(axes: Axes, values: Array, colour: str, label: str) -> None:
    told = np.sort(values)
    axes.step(
        np.append(told, 1.0),
        np.append(np.arange(1, len(told) + 1) / len(told), 1.0),
        where="post",
        color=colour,
        label=label,
    )


def _frame(axes: Axes, across: str, up: str, title: str) -> None:
    axes.set(xlabel=across, ylabel=up)
    axes.set_title(title, loc="left", fontweight="bold", color=INK, fontsize=10)
    axes.grid(visible=True, alpha=0.25)


def _label(axes: Axes) -> None:
    """A legend below what is drawn, of anything that has a name."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="lower right")
