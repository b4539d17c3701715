"""HEALPix maps in FITS tables, multi-order and flat -> `SkyMap`.

A map must say how its pixels are ordered and in which frame they are; nothing is guessed. Layouts: Singer & Price 2016,
Phys. Rev. D 93, 024013 (flat and multi-order maps of gravitational waves), and what healpy writes.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from astropy.coordinates import ICRS, Galactic, SkyCoord
from cdshealpix import from_ring
from numpy.typing import NDArray

from schemas.errors import BadSkyMap, Reason
from schemas.fits import Table
from schemas.moc import intervals_of_uniq, require_disjoint
from schemas.pixels import ORDER, PIXEL_SR, Array, Pixels, cell_centres, cell_radius_deg, pixels_of
from schemas.sky import SkyMap, skymap_of_cells

SUM_TOLERANCE = 1e-3
"""A map whose probabilities sum to 1 within this is normalised; another is no probability map."""
DENSITY_NAMES = ("PROBDENSITY", "PROB", "PROBABILITY")
"""Columns with the probability, in order of preference."""

_DISTANCE_NAMES = ("DISTMU", "DISTSIGMA", "DISTNORM")
_PIXEL_NAMES = ("PIXEL", "PIX", "IPIX")
_CELESTIAL = {"C", "Q", "CEL", "CELESTIAL", "EQUATORIAL", "ICRS"}
_GALACTIC = {"G", "GAL", "GALACTIC"}
_UNSEEN = -1.6375e30  # what healpy writes for a pixel without data
_FINEST_REFINED, _FINEST_ROTATED, _BLOCK_ORDER = 9, 10, 3


@dataclass(frozen=True, slots=True)
class _Grid:
    """Cells in rising order, with their probability and the distance layers."""

    lo: Pixels
    hi: Pixels
    probability: Array
    distance: Array | None

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "_Grid":
        distance = None if self.distance is None else self.distance[:, rows]
        return _Grid(self.lo[rows], self.hi[rows], self.probability[rows], distance)


@np.errstate(over="ignore", invalid="ignore")  # what overflows or is no number is refused by name
def gridded_map(table: Table) -> SkyMap:
    """The sky map in a table of cells or pixels.

    Raises
    ------
    BadSkyMap
        If the table is no sky map, does not say what its pixels are, or its numbers make no probability density.
    """
    name = next((name for name in DENSITY_NAMES if name in table.columns), None)
    if name is None:
        raise BadSkyMap(
            Reason.NOT_A_MAP, f"the table has columns {', '.join(table.columns)}; none is {' or '.join(DENSITY_NAMES)}"
        )
    values = table.values(name).astype(np.float64)
    if "UNIQ" in table.columns:
        lo, hi, kind = *_uniq_cells(table, values.size), "multi-order"
    else:
        lo, hi, kind = *_flat_cells(table, values.size), "flat"
    odd: list[str] = []
    values = _clean(table, name, values, odd)
    if _is_density(table, name):
        values *= (hi - lo) * PIXEL_SR
    grid = _Grid(lo, hi, values, _distance(table, values.size))
    if (lo[1:] < lo[:-1]).any():  # copies of a large map are worth avoiding
        grid = grid.take(np.argsort(lo, kind="stable"))
    del lo, hi, values
    require_disjoint(grid.lo, grid.hi)
    total = float(grid.probability.sum())
    if not abs(total - 1) <= SUM_TOLERANCE * (1 + 1e-6):
        raise BadSkyMap(
            Reason.NOT_NORMALISED, f"the probabilities of column {name} sum to {total:.6g}, expected 1 within 0.001"
        )
    if abs(total - 1) > 1e-6:  # noqa: PLR2004 - more than rounding of 32-bit values
        odd.append(f"the probabilities summed to {total:.6f} and were normalised")
    model = f"{kind} HEALPix map as given, {len(grid.lo)} cells of {_orders(grid)}"
    if _is_galactic(table):
        grid = _rotated(grid)
        model += f", turned from galactic to ICRS by sampling it at the centres of {len(grid.lo)} finer cells"
    creator = table.text("CREATOR")
    if not grid.probability.all():  # outside of the cells that are kept, density is 0 and level 1
        grid = grid.take(grid.probability > 0)
    model += f", made by {creator}" if creator else ""
    return skymap_of_cells(grid.lo, grid.hi, grid.probability, model, grid.distance, tuple(odd))


def _uniq_cells(table: Table, count: int) -> tuple[Pixels, Pixels]:
    ordering = table.text("ORDERING").upper()
    if ordering not in {"NUNIQ", "UNIQ"}:
        raise BadSkyMap(Reason.UNSUPPORTED, f"ORDERING of a multi-order map is {ordering or 'absent'}, expected NUNIQ")
    uniq = table.values("UNIQ")
    if uniq.dtype.kind != "i" or uniq.size != count:
        raise BadSkyMap(Reason.WRONG_TYPE, "column UNIQ is not one integer a cell")
    return intervals_of_uniq(uniq)


def _flat_cells(table: Table, count: int) -> tuple[Pixels, Pixels]:
    """Order-29 intervals of the pixels of a flat map, in the order of the file."""
    ordering = table.text("ORDERING").upper()
    if ordering not in {"RING", "NESTED", "NEST"}:
        raise BadSkyMap(
            Reason.MISSING_FIELD if not ordering else Reason.UNSUPPORTED,
            f"ORDERING of the map is {ordering or 'absent'}, expected RING or NESTED",
        )
    pixel_name = next((name for name in _PIXEL_NAMES if name in table.columns), None)
    scheme = table.text("INDXSCHM").upper() or ("EXPLICIT" if pixel_name else "IMPLICIT")
    if scheme not in {"IMPLICIT", "EXPLICIT"} or (scheme == "EXPLICIT" and not pixel_name):
        raise BadSkyMap(Reason.MALFORMED, f"INDXSCHM of the map is {scheme}, with columns {', '.join(table.columns)}")
    order = _order_of(table, count, implicit=scheme == "IMPLICIT")
    n_pixels = 12 << 2 * order
    if scheme == "IMPLICIT" or pixel_name is None:
        pixel: Pixels = np.arange(n_pixels, dtype=np.int64)
    else:
        pixel = table.values(pixel_name)
        if pixel.dtype.kind != "i" or pixel.size != count:
            raise BadSkyMap(Reason.WRONG_TYPE, f"column {pixel_name} is not one integer a pixel")
        if pixel.min() < 0 or pixel.max() >= n_pixels:
            raise BadSkyMap(Reason.OUT_OF_RANGE, f"column {pixel_name} has a pixel outside 0 to {n_pixels - 1}")
    if ordering == "RING":
        pixel = from_ring(pixel.astype(np.uint64), order).astype(np.int64)
    shift = 2 * (ORDER - order)
    return pixel << shift, (pixel + 1) << shift


def _order_of(table: Table, count: int, *, implicit: bool) -> int:
    nside = table.header.get("NSIDE")
    if nside is None and implicit:
        nside = round((count / 12) ** 0.5)
    if isinstance(nside, bool) or not isinstance(nside, int):
        raise BadSkyMap(Reason.MISSING_FIELD, f"NSIDE of the map is {nside!r}, expected an integer")
    if not 1 <= nside <= 1 << ORDER or nside & (nside - 1):
        raise BadSkyMap(Reason.UNSUPPORTED, f"NSIDE of the map is {nside}, expected a power of 2 up to 2^{ORDER}")
    if implicit and count != 12 * nside**2:
        raise BadSkyMap(Reason.MALFORMED, f"the map has {count} values, nside {nside} needs {12 * nside**2}")
    return nside.bit_length() - 1


def _clean(table: Table, name: str, values: Array, odd: list[str]) -> Array:
    """Values with 0 where the sender had no data; what is no probability is refused."""
    without = np.abs(values / _UNSEEN - 1) < 1e-5  # noqa: PLR2004 - also as a 32-bit number
    bad_data = table.header.get("BAD_DATA")
    if isinstance(bad_data, int | float) and not isinstance(bad_data, bool) and bad_data < 0:
        without |= np.isclose(values, bad_data, rtol=1e-5)
    if without.any():
        odd.append(f"{int(without.sum())} of {values.size} pixels have no data and were taken as empty")
        values = np.where(without, 0.0, values)
    for wrong, reason, what in (
        (~np.isfinite(values), Reason.NOT_FINITE, "no finite number"),
        (values < 0, Reason.OUT_OF_RANGE, "negative"),
    ):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise BadSkyMap(
                reason,
                f"value {row} of column {name} is {what} ({values[row]:g}), as are {int(wrong.sum()) - 1} others",
            )
    if not values.any():
        raise BadSkyMap(Reason.NOT_NORMALISED, f"column {name} is 0 everywhere")
    return values


def _is_density(table: Table, name: str) -> bool:
    """Per steradian or per pixel: as the unit says, or else the name."""
    unit = str(table.header.get(f"TUNIT{table.columns[name].number}", "")).strip().lower().replace(" ", "")
    if unit in {"sr-1", "/sr", "1/sr", "sr^-1", "sr**-1"}:
        return True
    if unit in {"pix-1", "/pix", "1/pix", "pix^-1", "pix**-1", "pixel-1"}:
        return False
    if unit not in {"", "probability", "prob"}:
        raise BadSkyMap(Reason.UNSUPPORTED, f"unit of column {name} is {unit[:20]}, expected sr-1 or pix-1")
    return name == "PROBDENSITY"


def _is_galactic(table: Table) -> bool:
    frame = table.text("COORDSYS").upper()
    if frame in _GALACTIC:
        return True
    if frame in _CELESTIAL:
        return False
    raise BadSkyMap(
        Reason.UNSUPPORTED if frame else Reason.MISSING_FIELD,
        f"COORDSYS of the map is {frame[:20] or 'absent'}, expected C (celestial) or G (galactic)",
    )


def _distance(table: Table, count: int) -> Array | None:
    if not all(name in table.columns for name in _DISTANCE_NAMES):
        return None
    layers = np.empty((3, count))
    for layer, name in zip(layers, _DISTANCE_NAMES, strict=True):
        values = table.values(name)
        if values.size != count:
            raise BadSkyMap(Reason.MALFORMED, f"column {name} has {values.size} values, the probability {count}")
        layer[:] = values
    return layers


def _orders(grid: _Grid) -> str:
    sizes = grid.hi - grid.lo
    fine, coarse = (ORDER - (int(size).bit_length() - 1) // 2 for size in (sizes.min(), sizes.max()))
    return f"order {fine}" if fine == coarse else f"orders {coarse} to {fine}"


def _rotated(grid: _Grid) -> _Grid:
    """A galactic map on ICRS cells two orders finer than its finest (one at nside 256, as fine at 512 and 1024).

    Each new cell takes the density at its centre. A cell as fine as the old ones moves probability by up to half of a
    cell, 3 arcmin at nside 512; at a quarter of that it is below what the map resolves. The sum is set to 1 again.
    """
    finest = ORDER - (int((grid.hi - grid.lo).min()).bit_length() - 1) // 2
    order = max(min(finest + 2, _FINEST_REFINED), finest)
    if order > _FINEST_ROTATED:
        raise BadSkyMap(
            Reason.UNSUPPORTED,
            f"a galactic map of nside {1 << finest} is too fine to be turned, "
            f"expected nside {1 << _FINEST_ROTATED} at most",
        )
    parts = [_turned(grid, block, min(order, _BLOCK_ORDER), order) for block in _blocks_reached(grid, order)]
    cells, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
    density = grid.probability / (grid.hi - grid.lo)
    shift = 2 * (ORDER - order)
    probability = density[rows] * (1 << shift)
    if not probability.any():
        raise BadSkyMap(Reason.UNSUPPORTED, "the galactic map has probability in too few cells to be turned")
    distance = None if grid.distance is None else grid.distance[:, rows]
    return _Grid(cells << shift, (cells + 1) << shift, probability / probability.sum(), distance)


def _blocks_reached(grid: _Grid, order: int) -> Pixels:
    """ICRS cells, of order 3 unless `order` is coarser, that may have something of a galactic map. So a map of few
    cells takes no more than it must, and a large one is turned piece by piece."""
    order = min(order, _BLOCK_ORDER)
    shift = 2 * (ORDER - order)
    blocks = np.arange(12 << 2 * order)
    begin, end = (np.bincount(at >> shift, minlength=len(blocks)) for at in (grid.lo, grid.hi - 1))
    mapped = begin.cumsum() - end.cumsum() + end > 0
    centres = _vectors(*cell_centres(blocks, order))
    cosines = (_to_galactic() @ centres).T @ centres[:, mapped]
    return blocks[(cosines > math.cos(math.radians(2 * cell_radius_deg(order)))).any(axis=1)]


def _turned(grid: _Grid, block: int, block_order: int, order: int) -> tuple[Pixels, NDArray[np.intp]]:
    """The ICRS cells of this order in a block whose centres lie in a galactic map, and the map's row of each."""
    shift = 2 * (order - block_order)
    cells = np.arange(block << shift, (block + 1) << shift, dtype=np.int64)
    x, y, z = _to_galactic() @ _vectors(*cell_centres(cells, order))
    pixel = pixels_of(np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y))))
    rows = np.searchsorted(grid.lo, pixel, side="right") - 1
    inside = (rows >= 0) & (pixel < grid.hi[rows])
    return cells[inside], rows[inside]


def _vectors(ra_deg: Array, dec_deg: Array) -> Array:
    """Unit vectors of shape (3, n)."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.array([np.cos(ra) * np.cos(dec), np.sin(ra) * np.cos(dec), np.sin(dec)])


@cache
def _to_galactic() -> Array:
    """The matrix that turns unit vectors of ICRS to galactic ones."""
    axes = SkyCoord(*np.eye(3), frame=ICRS, representation_type="cartesian")
    return np.asarray(axes.transform_to(Galactic()).cartesian.xyz)
