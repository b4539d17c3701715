"""What each measurement costs by its size, as a picture."""

from collections.abc import Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from broker.benchmarks import Measurement
from broker.globe import INK, Target, printable, save
from schemas.errors import ConfigurationError


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
    panels = sorted({(unit, of) for _, unit, of in lines})
    figure = Figure(figsize=(7.5 * len(panels), 5.5), dpi=120, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for place, (unit, of) in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), place)
        for (name, its_unit, its_of), points in lines.items():
            if (its_unit, its_of) == (unit, of):
                below = [point.median - point.low for point in points]
                above = [point.high - point.median for point in points]
                axes.errorbar(
                    [point.amount for point in points],
                    [point.median for point in points],
                    yerr=(below, above),
                    marker="o",
                    capsize=3,
                    label=printable(name),
                )
        axes.set(xscale="log", yscale="log", xlabel=of, ylabel=f"{unit} (median, lowest to highest)")
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.legend(fontsize=8, labelcolor=INK)
    save(figure, target)


def lines_of_several_sizes(
    measurements: Sequence[Measurement],
) -> dict[tuple[str, str, str], list[Measurement]]:
    """The measurements at two sizes or more, by name, unit and what the size counts, each from small to large."""
    lines: dict[tuple[str, str, str], dict[int, Measurement]] = {}
    for one in measurements:
        of = one.size.split()[1].rstrip(",")
        lines.setdefault((one.name, one.unit, of), {})[one.amount] = one
    return {key: [points[amount] for amount in sorted(points)] for key, points in lines.items() if len(points) > 1}
