"""One localisation close up: its density, its contours, and what lies there."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any, Final

import numpy as np
from astropy.visualization.wcsaxes import WCSAxes
from astropy.wcs import WCS
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from broker.globe import (
    COLOURS,
    INK,
    LEVELS,
    PAPER,
    Globe,
    Raster,
    Target,
    clip_to_globe,
    printable,
    save,
)
from broker.smoothing import smooth
from schemas.pixels import ORDER, cell_centres
from schemas.records import Messenger, Trigger
from schemas.sky import SkyMap, pixels_of, separation_deg

Array = NDArray[np.float64]
Point = tuple[str, float, float]
"""Name, right ascension and declination (deg)."""

_WIDEST_DEG: Final = 60.0
"""A region that reaches farther from its peak is shown on the whole sky."""
_SMALLEST_DEG: Final = 0.5 / 3600
_SIDE: Final = 480
_AROUND: Final = 1.25
_MOST_NAMES: Final = 30
"""More points than this are dots without names."""


def draw_localisation(
    target: Target, localisation: Trigger | SkyMap, points: Sequence[Point] = (), title: str = ""
) -> None:
    """Draw one density with its contours of 50 and 90 % as a PNG, north up and east to the left.

    Points outside the picture are left out. A region that reaches farther than 60 deg from its peak is shown on the
    whole sky.

    Parameters
    ----------
    localisation
        A sky map, or a trigger that has one.
    points
        Positions to mark, such as those of alerts.

    Raises
    ------
    ValueError
        If the trigger has no sky map.
    """
    colour = COLOURS[Messenger.UNKNOWN]
    if isinstance(localisation, Trigger):
        colour = COLOURS[localisation.messenger]
        title = title or localisation.id
        if localisation.skymap is None:
            raise ValueError(f"trigger {localisation.id} has no position to draw")
        skymap = localisation.skymap
    else:
        skymap = localisation
    reach_deg = _reach_deg(skymap)
    wide = reach_deg > _WIDEST_DEG
    figure = Figure(figsize=(12, 7) if wide else (8, 8.4), dpi=150, facecolor="white")
    FigureCanvasAgg(figure)
    draw = _draw_whole_sky if wide else _draw_part
    draw(figure, skymap, points, colour, reach_deg)
    figure.text(0.04, 0.965, printable(title), size=14, weight="bold", color=INK, va="center", parse_math=False)
    words = (
        f"Contours: 50 and 90 %.  90 % area: {_area(skymap.area_deg2(LEVELS[-1]))}.  "
        f"Peak: RA {skymap.peak_ra_deg:.5f}, Dec {skymap.peak_dec_deg:+.5f} deg.  "
        f"{skymap.model[:1].upper()}{skymap.model[1:]}"
    )
    width = 140 if wide else 100
    figure.text(0.04, 0.015, fill(printable(words), width), size=8, color="#56636F", va="bottom", parse_math=False)
    save(figure, target)


def _reach_deg(skymap: SkyMap) -> float:
    """How far the 90 % region reaches from the peak."""
    rows = skymap.cell_level <= LEVELS[-1]
    if not rows.any():
        rows = skymap.cell_level == skymap.cell_level.min()
    ends = np.concatenate([skymap.lo[rows], skymap.hi[rows] - 1])
    apart = separation_deg(*cell_centres(ends, ORDER), skymap.peak_ra_deg, skymap.peak_dec_deg)
    return max(float(apart.max()) * _AROUND, _SMALLEST_DEG)


def _area(area_deg2: float) -> str:
    if area_deg2 >= 1:
        return f"{area_deg2:,.1f} deg\u00b2"
    if area_deg2 * 3600 >= 1:
        return f"{area_deg2 * 3600:,.1f} arcmin\u00b2"
    return f"{area_deg2 * 3600**2:,.2f} arcsec\u00b2"


def _shades(colour: str) -> LinearSegmentedColormap:
    return LinearSegmentedColormap.from_list("density", [PAPER, colour])


def _draw_part(figure: Figure, skymap: SkyMap, points: Sequence[Point], colour: str, reach_deg: float) -> None:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---ZEA", "DEC--ZEA"]
    wcs.wcs.crval = [skymap.peak_ra_deg, skymap.peak_dec_deg]
    wcs.wcs.crpix = [(_SIDE + 1) / 2, (_SIDE + 1) / 2]
    step = 2 * reach_deg / _SIDE
    wcs.wcs.cdelt = [-step, step]
    axes: Any = WCSAxes(figure, (0.14, 0.15, 0.82, 0.78), wcs=wcs)
    figure.add_axes(axes)
    columns, rows = np.meshgrid(np.arange(_SIDE), np.arange(_SIDE))
    ra, dec = (world.ravel() for world in wcs.wcs_pix2world(columns, rows, 0))
    pixel = pixels_of(ra, dec)
    density = skymap.density_per_sr(ra, dec, pixel).reshape(_SIDE, _SIDE)
    level = skymap.credible_level(ra, dec, pixel).reshape(_SIDE, _SIDE)
    axes.imshow(density, origin="lower", cmap=_shades(colour), vmin=0, alpha=0.85)
    side = np.arange(_SIDE, dtype=np.float64)
    _contours(axes, side, side, level if skymap.shape else smooth(level))
    axes.coords.grid(color="#93A1AE", alpha=0.6, linewidth=0.6)
    axes.coords[0].set_axislabel("right ascension (ICRS)")
    axes.coords[1].set_axislabel("declination (ICRS)")
    near = [
        point
        for point in points
        if separation_deg(np.array([point[1]]), np.array([point[2]]), skymap.peak_ra_deg, skymap.peak_dec_deg)[0] < 90  # noqa: PLR2004 - the near side of the sky
    ]
    if near:
        x, y = wcs.wcs_world2pix([point[1] for point in near], [point[2] for point in near], 0)
        inside = (x > 0) & (x < _SIDE - 1) & (y > 0) & (y < _SIDE - 1)
        _mark(axes, [point[0] for point, seen in zip(near, inside, strict=True) if seen], x[inside], y[inside])
    axes.plot([(_SIDE - 1) / 2], [(_SIDE - 1) / 2], "+", color=INK, ms=9, mew=1.0)
    axes.set_xlim(-0.5, _SIDE - 0.5)
    axes.set_ylim(-0.5, _SIDE - 0.5)


def _draw_whole_sky(figure: Figure, skymap: SkyMap, points: Sequence[Point], colour: str, _reach_deg: float) -> None:
    axes = figure.add_axes((0.015, 0.08, 0.97, 0.85))
    globe = Globe.with_seam_away_from(np.array([skymap.peak_ra_deg]))
    globe.draw(axes)
    clip = clip_to_globe(axes)
    x, y, level = Raster(globe).levels(skymap, 1.0)
    grid = np.ma.masked_invalid(level)
    steps = np.linspace(0, 1, 21)
    colours = _shades(colour)(np.linspace(1, 0, 20))
    axes.contourf(x, y, grid, levels=steps, colors=colours, alpha=0.8, zorder=0.5).set_clip_path(clip)
    _contours(axes, x, y, level)
    ra, dec = np.array([point[1] for point in points]), np.array([point[2] for point in points])
    _mark(axes, [point[0] for point in points], *globe.project(ra, dec))


def _contours(axes: Axes, x: Array, y: Array, level: Array) -> None:
    lines = axes.contour(x, y, np.ma.masked_invalid(level), levels=LEVELS, colors=INK, linewidths=(0.9, 1.6), zorder=4)
    axes.clabel(lines, fmt={0.5: "50 %", 0.9: "90 %"}, fontsize=8)


def _mark(axes: Axes, names: Sequence[str], x: Array, y: Array) -> None:
    if len(names) > _MOST_NAMES:
        axes.scatter(x, y, s=12, color=INK, alpha=0.7, linewidths=0, zorder=6)
        return
    axes.scatter(x, y, s=110, marker="*", facecolors="#FFC93C", edgecolors=INK, linewidths=0.8, zorder=6)
    for name, at_x, at_y in zip(names, x, y, strict=True):
        words = axes.annotate(
            printable(name),
            (float(at_x), float(at_y)),
            (7, 4),
            textcoords="offset points",
            size=8,
            color=INK,
            zorder=7,
            parse_math=False,
        )
        words.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
