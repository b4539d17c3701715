"""Catalogues that the user has as files, as points on the sky that are found among millions in a millisecond.

What is read once is kept as one Arrow file, sorted by pixel, and mapped from then on, so that a restart reads nothing.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Self

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog
from astropy.coordinates import SkyCoord
from numpy.typing import NDArray

from bridges.catalogue_entries import annotation_of, nothing_near
from bridges.catalogue_options import ARCSEC_PER_DEG, CatalogueFileOptions, Columns
from bridges.catalogue_tables import CatalogueTable, catalogue_files, read_catalogue
from schemas.annotations import Annotation, Target
from schemas.errors import ConfigurationError
from schemas.pixels import Array
from schemas.point_index import PointIndex

_FORMAT: Final = 1
"""Of the mapped file: another number makes all of them anew."""
_VALUE: Final = "value:"
_POSITION: Final = ("pixel", "ra_deg", "dec_deg")
_FRAMES: Final = {"icrs": "icrs", "fk5": "fk5", "eq_fk5": "fk5", "galactic": "galactic"}
_RIGHT_ASCENSION_MAX_DEG: Final = 360.0
_DECLINATION_MAX_DEG: Final = 90.0
_DEG_PER_HOUR: Final = 15.0
_MOST_FOUND: Final = 20_000
"""Answers to so many places are kept in memory, and then made anew."""
_log = structlog.get_logger()


class CatalogueFile:
    """One catalogue, ready to be asked; `open` makes it.

    Attributes
    ----------
    name
        Its key in the configuration.
    """

    def __init__(self, name: str, options: CatalogueFileOptions, table: pa.Table) -> None:
        self.name = name
        self._options = options
        pixel, ra_deg, dec_deg = (_plain(table.column(column)) for column in _POSITION)
        self._points = PointIndex(pixel, ra_deg, dec_deg)
        self._entries = table.drop_columns(list(_POSITION))
        # An object is judged again with each alert, for each trigger in whose area it lies.
        self._found: dict[tuple[float, float], Annotation] = {}

    @classmethod
    def open(cls, name: str, options: CatalogueFileOptions, folder: Path, cache: Path | None = None) -> Self:
        """Map the catalogue as it was read before, or read it; that takes seconds for millions of rows.

        Parameters
        ----------
        folder
            Where relative paths of the configuration start.
        cache
            Folder of mapped files, made if need be; None to keep the catalogue in memory.

        Raises
        ------
        ConfigurationError
            If it is not there or cannot be read; names file, column and row.
        """
        path = folder / options.path
        kept = None if cache is None else cache / f"{name}-{_digest(path, options)}.arrow"
        table = None if kept is None else _mapped(kept)
        if table is None:
            began_s = perf_counter()
            table = _sorted(path, options, read_catalogue(path, options))
            _log.info("catalogue read", catalogue=name, rows=table.num_rows, seconds=round(perf_counter() - began_s, 1))
            if kept is not None:
                table = _kept(kept, name, table)
        return cls(name, options, table)

    def __len__(self) -> int:
        return len(self._points)

    def look_up(self, targets: Sequence[Target]) -> list[Annotation]:
        """The nearest entry to each target within the radius, with how many there are; or that there is none."""
        places = [(target.ra_deg, target.dec_deg) for target in targets]
        new = list(dict.fromkeys(place for place in places if place not in self._found))
        if new:
            if len(self._found) > _MOST_FOUND:
                self._found.clear()
                new = list(dict.fromkeys(places))
            self._found.update(zip(new, self._search(np.array(new, np.float64)), strict=True))
        return [self._found[place] for place in places]

    def _search(self, places: Array) -> list[Annotation]:
        """As `look_up`, for places on the sky (deg), shape (n, 2)."""
        ra_deg, dec_deg = places.T
        near = self._points.within(ra_deg, dec_deg, self._options.radius_arcsec / ARCSEC_PER_DEG)
        counts, nearest = near.counts(len(places)).tolist(), near.nearest()
        found = [nothing_near(self.name)] * len(places)
        entries = self._entries.take(nearest.row).to_pylist() if self._entries.num_columns else [{}] * len(nearest.row)
        for asked, away_deg, entry in zip(
            nearest.asked.tolist(), nearest.separation_deg.tolist(), entries, strict=True
        ):
            values = {name.removeprefix(_VALUE): entry.pop(name) for name in list(entry) if name.startswith(_VALUE)}
            told = {"kind": self._options.all_are} | entry | {"values": values}
            away_arcsec = away_deg * ARCSEC_PER_DEG
            found[asked] = annotation_of(self.name, away_arcsec, told, entries=counts[asked])
        return found


def _plain(column: pa.ChunkedArray) -> NDArray[Any]:
    """A column without nulls as numpy has it, where it lies."""
    whole = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    values: NDArray[Any] = whole.to_numpy(zero_copy_only=True)
    return values


def _digest(path: Path, options: CatalogueFileOptions) -> str:
    """Another one for another file, or other options that decide on what is read."""
    told = [f"{_FORMAT} {options.model_dump_json(exclude={'radius_arcsec', 'path', 'all_are'})}"]
    for file in catalogue_files(path, options)[1]:
        status = file.stat()
        told.append(f"{file} {status.st_size} {status.st_mtime_ns}")
    return blake2b("\n".join(told).encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()


def _mapped(path: Path) -> pa.Table | None:
    """A catalogue that was read before; None if it was not, or what lies there is no such file."""
    try:
        with pa.memory_map(str(path)) as stream:
            table = pa.ipc.open_file(stream).read_all()
    except FileNotFoundError:
        return None
    except (OSError, pa.ArrowException) as error:
        _log.warning("a kept catalogue cannot be read and is made anew", file=path.name, trouble=str(error))
        return None
    return table


def _kept(path: Path, name: str, table: pa.Table) -> pa.Table:
    """The table, written to a file and mapped; as it is if it cannot be written. Older files of the catalogue go."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with pa.OSFile(str(partial), "wb") as stream, pa.ipc.new_file(stream, table.schema) as writer:
            writer.write_table(table)
        partial.replace(path)
        for old in path.parent.glob(f"{name}-*.arrow"):
            if old != path:
                old.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("a catalogue cannot be kept for the next start", catalogue=name, trouble=str(error))
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        return table
    return _mapped(path) or table


def _sorted(path: Path, options: CatalogueFileOptions, found: CatalogueTable) -> pa.Table:
    """A table as it is mapped: in the order of the pixels, with positions in ICRS and the names of `Annotation`."""
    ra_deg, dec_deg, rows = _positions(path, options, found)
    points, order = PointIndex.of(ra_deg, dec_deg)
    wanted = _renamed(options.columns)
    table = found.table.select(list(wanted.values())).rename_columns(list(wanted)).take(rows[order])
    position = dict(zip(_POSITION, (points.pixel, points.ra_deg, points.dec_deg), strict=True))
    columns = position | {name: table.column(name) for name in table.column_names}
    # As one piece, which can be mapped as one array.
    return pa.table(columns).combine_chunks()


def _renamed(columns: Columns) -> dict[str, str]:
    """Columns of the file by what we call them; the position is not among them."""
    named = columns.model_dump(exclude={"ra", "dec", "values"})
    return {name: column for name, column in named.items() if column} | {_VALUE + name: name for name in columns.values}


def _positions(path: Path, options: CatalogueFileOptions, found: CatalogueTable) -> tuple[Array, Array, NDArray[Any]]:
    """Positions (ICRS, deg) of the rows that have one, and which rows these are."""
    ra, dec = found.wanted.ra, found.wanted.dec
    lon = _floats(found.table.column(ra)) * _degrees(path, options, found, ra, longitude=True)
    lat = _floats(found.table.column(dec)) * _degrees(path, options, found, dec, longitude=False)
    known = np.isfinite(lon) & np.isfinite(lat)
    rows = np.flatnonzero(known)
    if not len(rows) and len(known):
        raise ConfigurationError(f"{path}: no row has a position in the columns {ra} and {dec}")
    if len(rows) < len(known):
        first = int(np.flatnonzero(~known)[0]) + 1
        _log.warning("rows without a position are left out", file=path.name, rows=len(known) - len(rows), first=first)
    for name, values, most in ((ra, lon, _RIGHT_ASCENSION_MAX_DEG), (dec, lat, _DECLINATION_MAX_DEG)):
        wrong = np.flatnonzero(known & (np.abs(values) > most))
        if len(wrong):
            what = f"row {int(wrong[0]) + 1}: column {name}: {values[wrong[0]]:g} deg is not on the sky"
            raise ConfigurationError(f"{path}: {what}; see `unit` and `frame`")
    return *_icrs(lon[rows] % 360, lat[rows], _frame(path, options, found)), rows


def _floats(column: pa.ChunkedArray) -> Array:
    return np.asarray(pc.fill_null(column, np.nan).to_numpy(), np.float64)


def _degrees(path: Path, options: CatalogueFileOptions, found: CatalogueTable, name: str, *, longitude: bool) -> float:
    """How many degrees the unit of a column is; what the file states counts."""
    stated = found.units.get(name, "").strip().lower()
    if not stated:
        if options.unit == "hour":
            return _DEG_PER_HOUR if longitude else 1.0
        stated = options.unit
    if stated in {"h", "hr", "hour", "hours"}:
        return _DEG_PER_HOUR
    try:
        return float(u.Unit({"degree": "deg", "degrees": "deg", "radians": "rad"}.get(stated, stated)).to(u.deg))
    except (ValueError, TypeError, u.UnitsError) as error:
        raise ConfigurationError(f"{path}: column {name} is in {stated!r}, which is no angle") from error


def _frame(path: Path, options: CatalogueFileOptions, found: CatalogueTable) -> str:
    stated = _FRAMES.get(found.frame) if found.frame else options.frame
    # A table in galactic coordinates often states the equatorial frame of its other columns.
    if stated is None or (
        stated != options.frame and "frame" in options.model_fields_set and options.frame != "galactic"
    ):
        raise ConfigurationError(f"{path}: states positions in {found.frame}, the configuration says {options.frame}")
    return options.frame if "frame" in options.model_fields_set else stated


def _icrs(lon_deg: Array, lat_deg: Array, frame: str) -> tuple[Array, Array]:
    if frame == "icrs":
        return lon_deg, lat_deg
    turned = SkyCoord(lon_deg, lat_deg, unit="deg", frame=frame).icrs
    return np.asarray(turned.ra.deg, np.float64), np.asarray(turned.dec.deg, np.float64)
