"""The picture of a night: where the triggers lie, what was seen, and what met what.

Of the same input the same bytes are made: no date, no version, no state of another figure.
"""

from collections.abc import Sequence
from math import pi, sqrt
from typing import Any, Final, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from broker.closeup import draw_localisation
from broker.globe import (
    COLOURS,
    HALF_HEIGHT,
    HALF_WIDTH,
    INK,
    LEVELS,
    Globe,
    Raster,
    Target,
    clip_to_globe,
    printable,
    save,
)
from schemas.records import Coincidence, Messenger, State, Trigger
from schemas.sky import SkyMap

__all__ = ["draw_localisation", "draw_sky"]

Array = NDArray[np.float64]

_SMALL_DEG: Final = 1.2
"""A region of a smaller radius than this is shown as a ring, as it could not be seen."""
_MANY: Final = 40
"""With more triggers than this, regions are not filled and only triggers with coincidences are named."""
_MOST_NAMES: Final = 24
_MOST_POINTS: Final = 20_000
"""More alerts than this are shown as a density."""
_STAR: Final = "#FFC93C"


def draw_sky(
    target: Target,
    alerts_ra_dec: tuple[Array, Array],
    triggers: Sequence[Trigger],
    coincidences: Sequence[Coincidence],
    title: str = "",
) -> None:
    """Draw the whole sky as a PNG of 1800 by 1020 pixels, turned so that its seam cuts as little as possible.

    Each trigger has its contours of 50 and 90 % in the colour of its messenger; one too small to be seen, a ring.

    Parameters
    ----------
    target
        A path or a binary file.
    alerts_ra_dec
        Positions of the alerts, degrees.
    triggers
        Those that are retracted or have no sky map are not drawn.
    coincidences
        Best first; a star is the larger the better its place among those of its trigger. The withdrawn are not drawn.
    """
    figure = Figure(figsize=(12, 6.8), dpi=150, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.015, 0.08, 0.97, 0.85))
    maps = [(trigger, trigger.skymap) for trigger in triggers if trigger.skymap is not None and not trigger.retracted]
    standing = [coincidence for coincidence in coincidences if coincidence.state is not State.WITHDRAWN]
    globe = Globe.with_seam_away_from(
        np.array([c.object.ra_deg for c in standing] + [skymap.peak_ra_deg for _, skymap in maps])
    )
    globe.draw(axes)
    _draw_alerts(axes, globe, *alerts_ra_dec)
    _draw_regions(axes, globe, maps)
    _draw_stars(axes, globe, standing)
    axes.apply_aspect()
    _draw_names(axes, globe, maps, standing)
    shown = sorted({trigger.messenger for trigger, _ in maps}, key=list(COLOURS).index)
    _draw_legend(figure, shown, has_alerts=len(alerts_ra_dec[0]) > 0, has_stars=bool(standing))
    figure.text(0.02, 0.965, printable(title), size=15, weight="bold", color=INK, va="center", parse_math=False)
    counts = (
        f"{len(alerts_ra_dec[0]):,} alerts   {len(maps):,} localised of {len(triggers):,} triggers   "
        f"{len(standing):,} coincidences"
    )
    figure.text(0.98, 0.965, counts, size=10, color="#56636F", ha="right", va="center")
    save(figure, target)


def _draw_alerts(axes: Axes, globe: Globe, ra_deg: Array, dec_deg: Array) -> None:
    if not len(ra_deg):
        return
    x, y = globe.project(np.asarray(ra_deg, np.float64), np.asarray(dec_deg, np.float64))
    if len(x) <= _MOST_POINTS:
        size = 5.0 if len(x) < _MOST_POINTS / 10 else 1.5
        axes.scatter(x, y, s=size, color="#7B8A97", alpha=0.55, linewidths=0, zorder=2)
        return
    edges = np.linspace(-HALF_WIDTH, HALF_WIDTH, 361), np.linspace(-HALF_HEIGHT, HALF_HEIGHT, 181)
    limits_x, limits_y = axes.get_xlim(), axes.get_ylim()  # imshow would change them
    count, _, _ = np.histogram2d(x, y, bins=edges)
    image = np.empty((180, 360, 4))
    image[:] = to_rgba("#55636F")
    # The root tames the spread of densities, the quantile a few crowded fields.
    image[..., 3] = 0.35 * np.sqrt(np.minimum(count / np.quantile(count[count > 0], 0.99), 1)).T
    extent = (-HALF_WIDTH, HALF_WIDTH, -HALF_HEIGHT, HALF_HEIGHT)
    drawn = axes.imshow(image, extent=extent, origin="lower", interpolation="bilinear", zorder=0.5)
    drawn.set_clip_path(clip_to_globe(axes))
    axes.set_xlim(*limits_x)
    axes.set_ylim(*limits_y)


def _draw_regions(axes: Axes, globe: Globe, maps: Sequence[tuple[Trigger, SkyMap]]) -> None:
    """Large regions first, so that small ones lie on top."""
    raster, clip = Raster(globe), clip_to_globe(axes)
    many = len(maps) > _MANY
    radii = [sqrt(skymap.area_deg2(LEVELS[-1]) / pi) for _, skymap in maps]
    for i in np.argsort(radii, kind="stable")[::-1]:
        trigger, skymap = maps[i]
        colour = COLOURS[trigger.messenger]
        if radii[i] < _SMALL_DEG:
            x, y = globe.project(np.array([skymap.peak_ra_deg]), np.array([skymap.peak_dec_deg]))
            axes.plot(x, y, "o", ms=9, mfc="none", mec=colour, mew=1.3, zorder=5)
            axes.plot(x, y, "o", ms=2, mfc=colour, mec="none", zorder=5)
            continue
        columns, rows, level = raster.levels(skymap, LEVELS[-1], 2.0 if many else 1.0)
        grid = np.ma.masked_invalid(level)
        if not many:
            fills = [to_rgba(colour, 0.30), to_rgba(colour, 0.13)]
            axes.contourf(columns, rows, grid, levels=(-1, *LEVELS), colors=fills, zorder=3).set_clip_path(clip)
        widths = (0.5, 0.9) if many else (0.8, 1.5)
        lines = axes.contour(
            columns, rows, grid, levels=LEVELS, colors=colour, linewidths=widths, alpha=0.6 if many else 1, zorder=4
        )
        lines.set_clip_path(clip)


def _draw_stars(axes: Axes, globe: Globe, coincidences: Sequence[Coincidence]) -> None:
    places: dict[str, int] = {}
    sizes = []
    for coincidence in coincidences:
        place = places.get(coincidence.trigger.id, 0)
        places[coincidence.trigger.id] = place + 1
        sizes.append(max(210 / (1 + place), 22))
    ra = np.array([coincidence.object.ra_deg for coincidence in coincidences])
    dec = np.array([coincidence.object.dec_deg for coincidence in coincidences])
    edges = [COLOURS.get(coincidence.trigger.messenger, INK) for coincidence in coincidences]
    # The best are drawn last.
    x, y = globe.project(ra[::-1], dec[::-1])
    axes.scatter(x, y, s=sizes[::-1], marker="*", facecolors=_STAR, edgecolors=edges[::-1], linewidths=0.9, zorder=7)


def _draw_names(
    axes: Axes,
    globe: Globe,
    maps: Sequence[tuple[Trigger, SkyMap]],
    coincidences: Sequence[Coincidence],
) -> None:
    """Names of triggers beside their peaks, where no other name is; one for which there is no room has none."""
    hits = {coincidence.trigger.id for coincidence in coincidences}
    named = [pair for pair in maps if pair[0].id in hits]
    if len(maps) <= _MANY:
        named += [pair for pair in maps if pair[0].id not in hits]
    renderer = cast("FigureCanvasAgg", axes.figure.canvas).get_renderer()  # type: ignore[no-untyped-call]
    stars = [(coincidence.object.ra_deg, coincidence.object.dec_deg) for coincidence in coincidences]
    peaks = [(skymap.peak_ra_deg, skymap.peak_dec_deg) for _, skymap in maps]
    marks = np.array(stars + peaks).reshape(-1, 2)
    places = axes.transData.transform(np.column_stack(globe.project(marks[:, 0], marks[:, 1])))
    taken = [Bbox.from_bounds(x - 8, y - 8, 16, 16) for x, y in places]
    for trigger, skymap in named[:_MOST_NAMES]:
        x, y = globe.project(np.array([skymap.peak_ra_deg]), np.array([skymap.peak_dec_deg]))
        colour = COLOURS[trigger.messenger]
        for dx, dy in _OFFSETS:
            text = axes.annotate(
                printable(trigger.id),
                (float(x[0]), float(y[0])),
                (dx, dy),
                textcoords="offset points",
                ha="left" if dx > 0 else "right" if dx < 0 else "center",
                va="center",
                size=8,
                color=colour,
                weight="bold",
                zorder=8,
                parse_math=False,
                bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
                arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3},
            )
            text.update_positions(renderer)
            box = Text.get_window_extent(text, renderer)  # of the words, without the line to the peak
            frame = axes.bbox
            fits = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            if fits and not box.count_overlaps(taken):
                taken.append(box)
                break
            text.remove()


_OFFSETS: Final = [
    (round(reach * dx), round(reach * dy))
    for reach in (12, 24, 40, 60, 85)
    for dx, dy in ((1, 0.6), (-1, 0.6), (1, -0.6), (-1, -0.6), (0, 1.1), (0, -1.1))
]
"""Where a name may stand, in points from the peak; the nearest first."""


def _draw_legend(figure: Figure, messengers: Sequence[Messenger], *, has_alerts: bool, has_stars: bool) -> None:
    entries: list[Line2D | Patch] = [
        Patch(facecolor=to_rgba(COLOURS[messenger], 0.3), edgecolor=COLOURS[messenger], label=str(messenger.value))
        for messenger in messengers
    ]
    if messengers:
        entries.append(Line2D([], [], color=INK, linewidth=0.8, label="50 %"))
        entries.append(Line2D([], [], color=INK, linewidth=1.5, label="90 %"))
    plain: dict[str, Any] = {"linestyle": "none", "markeredgecolor": "none"}
    if has_alerts:
        entries.append(Line2D([], [], marker="o", markersize=3, markerfacecolor="#7B8A97", label="alert", **plain))
    if has_stars:
        star: dict[str, Any] = {"marker": "*", "linestyle": "none", "markerfacecolor": _STAR, "markeredgecolor": INK}
        entries.append(Line2D([], [], markersize=13, label="coincidence, best of its trigger", **star))
        entries.append(Line2D([], [], markersize=7, label="further ones", **star))
    entries.append(Line2D([], [], color="#8FA3B5", linestyle=(0, (6, 3)), linewidth=1.2, label="galactic plane"))
    figure.legend(
        handles=entries,
        loc="lower center",
        ncols=(len(entries) + 1) // 2,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        borderaxespad=0.6,
    )
