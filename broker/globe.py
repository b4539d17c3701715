"""The whole sky on paper: Mollweide's equal-area projection of equatorial coordinates (ICRS).

Right ascension grows to the left. Regions are evaluated at points of the plane of the
projection, so that neither the poles nor the seam need care. All figures are made without pyplot and without a
display.
"""

from dataclasses import dataclass
from math import sqrt
from os import PathLike
from typing import Any, BinaryIO, Final, Self

import numpy as np
from astropy.coordinates import SkyCoord
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.patches import Ellipse
from matplotlib.projections.geo import MollweideAxes
from numpy.typing import NDArray

from broker.smoothing import smooth
from schemas.pixels import ORDER, cell_centres, merge
from schemas.records import Messenger
from schemas.sky import SkyMap, pixels_of

Array = NDArray[np.float64]
Target = str | PathLike[str] | BinaryIO

COLOURS: Final[dict[str, str]] = {
    Messenger.GAMMA_RAY: "#D55E00",
    Messenger.X_RAY: "#B0508F",
    Messenger.NEUTRINO: "#0072B2",
    Messenger.GRAVITATIONAL_WAVE: "#009E73",
    Messenger.OPTICAL: "#A07800",
    Messenger.RADIO: "#56B4E9",
    Messenger.UNKNOWN: "#666666",
}
"""By messenger; near Okabe and Ito's palette, which colour-blind readers can tell apart."""
LEVELS: Final = (0.5, 0.9)
INK: Final = "#22303C"
PAPER: Final = "#F6F8FA"

HALF_WIDTH: Final = 2 * sqrt(2)
HALF_HEIGHT: Final = sqrt(2)
_SEAM_WIDTH_DEG: Final = 30.0
_COLUMNS, _ROWS = 900, 450
_FINEST: Final = 40_000
"""Points at which the level of a small region is evaluated."""
_MARGIN: Final = 4
_FEW: Final = 200


@dataclass(frozen=True, slots=True)
class Globe:
    """The projection, with the meridian in its middle; the seam is the meridian opposite."""

    centre_ra_deg: float = 180.0

    @classmethod
    def with_seam_away_from(cls, ra_deg: Array) -> Self:
        """The globe, of the twelve with a multiple of 2 h in the middle, whose seam has fewest of these nearby."""
        centres = (np.arange(12) * 30.0 + 180.0) % 360.0  # the first of equals wins: 12 h
        to_middle = np.abs(np.mod(ra_deg[:, None] - centres + 180.0, 360.0) - 180.0)
        crowd = np.exp(-(((180.0 - to_middle) / _SEAM_WIDTH_DEG) ** 2)).sum(axis=0)
        return cls(float(centres[np.argmin(np.round(crowd, 9))]))

    def project(self, ra_deg: Array, dec_deg: Array) -> tuple[Array, Array]:
        """Plane coordinates of positions: x from -2.83 to 2.83, to the right; y from -1.41 to 1.41."""
        longitude = np.radians(180.0 - np.mod(ra_deg - self.centre_ra_deg + 180.0, 360.0))
        points = MollweideAxes.MollweideTransform(1).transform(np.column_stack([longitude, np.radians(dec_deg)]))
        return points[:, 0], points[:, 1]

    def unproject(self, x: Array, y: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
        """Right ascension, declination, and whether the point lies on the map; outside the position is arbitrary."""
        inside = (x / HALF_WIDTH) ** 2 + (y / HALF_HEIGHT) ** 2 <= 1
        flat = np.column_stack([np.where(inside, x, 0.0).ravel(), np.where(inside, y, 0.0).ravel()])
        sphere = MollweideAxes.InvertedMollweideTransform(1).transform(flat)
        ra = np.mod(self.centre_ra_deg - np.degrees(sphere[:, 0]), 360.0).reshape(x.shape)
        return ra, np.degrees(sphere[:, 1]).clip(-90, 90).reshape(x.shape), inside

    def draw(self, axes: Axes) -> None:
        """The frame, a graticule every 30 degrees with its numbers, and the plane of the Milky Way."""
        axes.set_axis_off()
        axes.set_aspect("equal")
        axes.set_xlim(-HALF_WIDTH * 1.06, HALF_WIDTH * 1.06)
        axes.set_ylim(-HALF_HEIGHT * 1.08, HALF_HEIGHT * 1.06)
        width, height = 2 * HALF_WIDTH, 2 * HALF_HEIGHT
        axes.add_patch(Ellipse((0, 0), width, height, facecolor=PAPER, edgecolor="none", zorder=0))
        line: dict[str, Any] = {"color": "#C9D1D9", "linewidth": 0.6, "zorder": 1}
        for ra in ((self.centre_ra_deg + offset) % 360 for offset in range(-150, 180, 30)):
            axes.plot(*self.project(np.full(181, ra), np.linspace(-89.9, 89.9, 181)), **line)
            x, y = self.project(np.array([ra]), np.array([0.0]))
            axes.annotate(
                f"{ra / 15:.0f} h",
                (x[0], y[0]),
                (2, -2),
                textcoords="offset points",
                va="top",
                size=7,
                color="#8593A0",
                zorder=1,
            )
        for dec in range(-60, 90, 30):
            ends = self.centre_ra_deg + np.array([-179.999, 179.999])
            x, y = self.project(ends, np.full(2, float(dec)))
            axes.plot(x, y, **line)
            axes.annotate(
                f"{dec:+d}\u00b0" if dec else "0\u00b0",
                (x.min(), y[0]),
                (-5, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                size=8,
                color="#56636F",
            )
        plane = SkyCoord(l=np.linspace(0, 360, 721), b=np.zeros(721), unit="deg", frame="galactic").icrs
        x, y = self.project(plane.ra.deg, plane.dec.deg)
        seam = np.abs(np.diff(x)) > 1
        axes.plot(
            np.insert(x, np.flatnonzero(seam) + 1, np.nan),
            np.insert(y, np.flatnonzero(seam) + 1, np.nan),
            color="#8FA3B5",
            linewidth=1.2,
            linestyle=(0, (6, 3)),
            zorder=1.5,
        )
        axes.add_patch(Ellipse((0, 0), width, height, facecolor="none", edgecolor=INK, linewidth=1.1, zorder=9))


class Raster:
    """Points all over the plane, in the order of their pixels, so that those in a region are found by bisection."""

    def __init__(self, globe: Globe) -> None:
        self._globe = globe
        self._x = np.linspace(-HALF_WIDTH, HALF_WIDTH, _COLUMNS)
        self._y = np.linspace(-HALF_HEIGHT, HALF_HEIGHT, _ROWS)
        ra, dec, inside = globe.unproject(*np.meshgrid(self._x, self._y))
        points = np.flatnonzero(inside)
        pixel = pixels_of(ra.ravel()[points], dec.ravel()[points])
        order = np.argsort(pixel, kind="stable")
        self._points, self._pixel = points[order], pixel[order]
        self._step = float(self._x[1] - self._x[0])

    def levels(self, skymap: SkyMap, most: float, coarseness: float = 1.0) -> tuple[Array, Array, Array]:
        """Credible level on a grid of the plane that encloses the region of level ``most``.

        Parameters
        ----------
        coarseness
            Factor of the steps in a large region; it saves time where there are many.

        Returns
        -------
        x, y
            Shape (n,) and (m,).
        level
            Shape (m, n); NaN outside the map.
        """
        left, right, low, high = self._extent(skymap, most)
        width, height = right - left, high - low
        step = min(coarseness * self._step, sqrt(width * height / _FINEST))
        x = np.linspace(left, right, max(int(width / step), 8))
        y = np.linspace(low, high, max(int(height / step), 8))
        ra, dec, inside = self._globe.unproject(*np.meshgrid(x, y))
        level = np.full(inside.shape, np.nan)
        level[inside] = skymap.credible_level(ra[inside], dec[inside], pixels_of(ra[inside], dec[inside]))
        return x, y, level if skymap.shape else smooth(level)

    def _extent(self, skymap: SkyMap, most: float) -> tuple[float, float, float, float]:
        rows = skymap.cell_level <= most
        if not rows.any():
            rows = skymap.cell_level == skymap.cell_level.min()
        lo, hi = merge(skymap.lo[rows], skymap.hi[rows])
        marks = np.zeros(len(self._pixel) + 1, np.int64)
        np.add.at(marks, np.searchsorted(self._pixel, lo), 1)
        np.add.at(marks, np.searchsorted(self._pixel, hi), -1)
        row, column = np.divmod(self._points[np.cumsum(marks[:-1]) > 0], _COLUMNS)
        x, y = self._x[column], self._y[row]
        if len(x) < _FEW:
            # Cells smaller than the raster's step may lie between its points.
            cell_x, cell_y = self._globe.project(*cell_centres(np.concatenate([lo, hi - 1]), ORDER))
            x, y = np.concatenate([x, cell_x]), np.concatenate([y, cell_y])
        margin = _MARGIN * self._step
        return float(x.min()) - margin, float(x.max()) + margin, float(y.min()) - margin, float(y.max()) + margin


def clip_to_globe(axes: Axes) -> Ellipse:
    """An invisible ellipse with which artists are kept inside the map."""
    patch = Ellipse(
        (0, 0), 2 * HALF_WIDTH, 2 * HALF_HEIGHT, facecolor="none", edgecolor="none", transform=axes.transData
    )
    axes.add_patch(patch)
    return patch


def printable(text: str) -> str:
    """The text with a question mark for what the font cannot show."""
    glyphs = get_font(findfont("DejaVu Sans")).get_charmap()
    return "".join(character if ord(character) in glyphs and character.isprintable() else "?" for character in text)


def save(figure: Figure, target: Target) -> None:
    """Write a PNG whose bytes depend on the picture alone: no date, and no version of the library."""
    figure.savefig(target, format="png", metadata={"Software": None})
