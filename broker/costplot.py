"""What each measurement costs by its size, as a picture."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from broker.benchmarks import Measurement
from broker.globe import INK, Target, printable, save
from schemas.errors import ConfigurationError

_PANELS_ACROSS: Final = 2
_BELOW_LABEL: Final = -0.13
"""Where a legend begins, in heights of its panel: below the axis, so that it hides no line."""


def draw_cost(target: Target, measurements: Sequence[Measurement]) -> None:
    """Draw the measurements that were made at several sizes, each as a line, as a PNG with logarithmic axes.

    Parameters
    ----------
    target
        A path or a binary file.

    Raises
    ------
    ConfigurationError
        If none was made at several sizes.
    """
    lines = lines_of_several_sizes(measurements)
    if not lines:
        raise ConfigurationError("--plot: none of these benchmarks was run at several sizes; add --full, or retro")
    panels: dict[Panel, list[list[Measurement]]] = {}
    for (panel, _), points in lines.items():
        panels.setdefault(panel, []).append(points)
    across = min(len(panels), _PANELS_ACROSS)
    down = -(-len(panels) // across)
    figure = Figure(figsize=(7 * across, 5.2 * down), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for place, (panel, drawn) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(down, across, place)
        for points in drawn:
            below = [point.median - point.low for point in points]
            above = [point.high - point.median for point in points]
            axes.errorbar(
                [point.amount for point in points],
                [point.median for point in points],
                yerr=(below, above),
                marker="o",
                capsize=3,
                elinewidth=0.8,
                label=printable(points[0].name),
            )
        axes.set(xscale="log", yscale="log", xlabel=panel.of, ylabel=f"{panel.unit} (median, lowest to highest)")
        axes.set_title(panel.benchmark, loc="left", fontweight="bold", color=INK)
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.legend(
            fontsize=8, labelcolor=INK, frameon=False, ncols=2, loc="upper left", bbox_to_anchor=(-0.02, _BELOW_LABEL)
        )
    save(figure, target)


class Panel(NamedTuple):
    """What is drawn in one: what a benchmark counts by what its sizes count."""

    benchmark: str
    unit: str
    of: str


def lines_of_several_sizes(measurements: Sequence[Measurement]) -> dict[tuple[Panel, str], list[Measurement]]:
    """The measurements at two sizes or more, by panel and name, each from small to large."""
    lines: dict[tuple[Panel, str], dict[int, Measurement]] = {}
    for one in measurements:
        panel = Panel(one.benchmark, one.unit, one.size.split()[1].rstrip(","))
        lines.setdefault((panel, one.name), {})[one.amount] = one
    return {key: [points[amount] for amount in sorted(points)] for key, points in lines.items() if len(points) > 1}
