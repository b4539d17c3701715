"""Tables of users' catalogues, whatever their format: the wanted columns, as Arrow has them.

What is wrong is named with its file, column and row, as far as the library that reads the format tells these.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from bridges.catalogue_options import CatalogueFileOptions
from schemas.errors import ConfigurationError

PROPERTIES: Final = ("hats.properties", "properties")
"""What makes a folder a HATS catalogue."""
_FORMATS: Final[Mapping[str, str]] = {
    ".fits": "fits",
    ".fit": "fits",
    ".fts": "fits",
    ".vot": "votable",
    ".xml": "votable",
    ".votable": "votable",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_PACKED: Final = (".gz", ".bz2")
_PROPERTIES_BYTES: Final = 1 << 20
_NUMBERS: Final = ("star_probability", "redshift", "distance_mpc", "distance_err_mpc")
_TEXTS: Final = ("name", "kind")
_BLOCK_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """Names of the columns of a file that are read: as floats, and as texts."""

    ra: str
    dec: str
    numbers: tuple[str, ...]
    texts: tuple[str, ...]

    @property
    def floats(self) -> tuple[str, ...]:
        """All columns of numbers, those of the position first."""
        return tuple(dict.fromkeys((self.ra, self.dec, *self.numbers)))

    @property
    def all(self) -> tuple[str, ...]:
        """All columns."""
        return tuple(dict.fromkeys((*self.floats, *self.texts)))


@dataclass(frozen=True, slots=True, eq=False)
class CatalogueTable:
    """The wanted columns of a catalogue.

    Attributes
    ----------
    table
        Columns of floats (NaN or null where there is none) and of texts, by their names in the file.
    wanted
        Which of them has the position.
    units
        Of columns, where the file states them.
    frame
        Of the positions, where the file states it.
    """

    table: pa.Table
    wanted: Wanted
    units: Mapping[str, str] = field(default_factory=dict)
    frame: str | None = None


def catalogue_files(path: Path, options: CatalogueFileOptions) -> tuple[str, list[Path]]:
    """The format of a catalogue, and the files that it is made of, sorted.

    Raises
    ------
    ConfigurationError
        If it is not there, or its format cannot be told.
    """
    if not path.exists():
        raise ConfigurationError(f"{path}: there is no such catalogue")
    if path.is_dir():
        if options.format not in {"auto", "hats"} or not any((path / name).is_file() for name in PROPERTIES):
            raise ConfigurationError(
                f"{path}: a folder is no catalogue, but for one in HATS form, with `hats.properties`"
            )
        files = sorted(found for found in (path / "dataset").rglob("*.parquet") if _is_of_a_pixel(found, path))
        if not files:
            raise ConfigurationError(f"{path}: there are no files `dataset/Norder=*/Dir=*/Npix=*.parquet`")
        return "hats", files
    suffixes = [suffix.lower() for suffix in path.suffixes]
    last = next((suffix for suffix in reversed(suffixes) if suffix not in _PACKED), "")
    form = _FORMATS.get(last, "") if options.format == "auto" else options.format
    if form == "hats" or not form:
        raise ConfigurationError(f"{path}: the format of the catalogue cannot be told from its name; set `format`")
    return form, [path]


def read_catalogue(path: Path, options: CatalogueFileOptions) -> CatalogueTable:
    """Read the wanted columns. It may take seconds, and is to be done in a thread.

    Raises
    ------
    ConfigurationError
        If the file cannot be read, lacks a column, or has more rows than allowed; it names file, column and row.
    """
    form, files = catalogue_files(path, options)
    wanted = _wanted(path, options, form)
    try:
        return _READERS[form](path, files, wanted, options)
    except (OSError, ValueError, KeyError, IndexError, TypeError, pa.ArrowException) as error:
        raise ConfigurationError(f"{path}: cannot be read as {form}: {str(error) or type(error).__name__}") from error


def _is_of_a_pixel(found: Path, catalogue: Path) -> bool:
    """Whether this is a file, or lies in a folder, of one pixel of a HATS catalogue."""
    return any(part.startswith("Npix=") for part in found.relative_to(catalogue).parts)


def _wanted(path: Path, options: CatalogueFileOptions, form: str) -> Wanted:
    columns = options.columns
    ra, dec = columns.ra, columns.dec
    if form == "hats":
        told = _properties(path)
        kind = told.get("dataproduct_type", "object")
        if kind not in {"object", "source", "nested"}:
            raise ConfigurationError(f"{path}: is a HATS dataset of kind {kind!r}, not of objects or sources")
        ra = ra if "ra" in columns.model_fields_set else told.get("hats_col_ra", ra)
        dec = dec if "dec" in columns.model_fields_set else told.get("hats_col_dec", dec)
    named = columns.model_dump()
    numbers = tuple(named[name] for name in _NUMBERS if named[name])
    texts = tuple(named[name] for name in _TEXTS if named[name]) + columns.values
    both = {ra, dec, *numbers}.intersection(texts)
    if both:
        raise ConfigurationError(f"{path}: the column {min(both)} is asked for as a number and as a text")
    return Wanted(ra, dec, numbers, texts)


def _properties(folder: Path) -> dict[str, str]:
    path = next(folder / name for name in PROPERTIES if (folder / name).is_file())
    with path.open("rb") as stream:
        text = stream.read(_PROPERTIES_BYTES).decode("utf-8", "replace")
    pairs = (line.partition("=") for line in text.splitlines() if not line.lstrip().startswith(("#", "!")))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def _check_rows(rows: int, options: CatalogueFileOptions) -> None:
    if rows > options.rows_max:
        raise ValueError(f"has {rows} rows or more, `rows_max` allows {options.rows_max}")


def _check_columns(there: Sequence[str], wanted: Wanted) -> None:
    missing = [name for name in wanted.all if name not in there]
    if missing:
        known = ", ".join(sorted(there)[:50])
        raise ValueError(f"there is no column {', '.join(missing)}; there are {known}")


def _read_csv(path: Path, _: Sequence[Path], wanted: Wanted, options: CatalogueFileOptions) -> CatalogueTable:
    with pa.input_stream(str(path), compression="detect") as stream:
        head = csv.open_csv(stream, parse_options=csv.ParseOptions(delimiter=options.delimiter)).schema.names
    _check_columns(head, wanted)
    types = dict.fromkeys(wanted.floats, pa.float64()) | dict.fromkeys(wanted.texts, pa.large_string())
    converting = csv.ConvertOptions(
        include_columns=list(wanted.all),
        column_types=types,
        null_values=list(options.missing),
        strings_can_be_null=True,
    )
    batches: list[pa.RecordBatch] = []
    rows = 0
    with pa.input_stream(str(path), compression="detect") as stream:
        # In one thread, since only then errors name the row.
        reading = csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES)
        parsing = csv.ParseOptions(delimiter=options.delimiter)
        for batch in csv.open_csv(stream, reading, parsing, converting):
            rows += batch.num_rows
            _check_rows(rows, options)
            batches.append(batch)
    return CatalogueTable(
        pa.Table.from_batches(batches, pa.schema([(name, types[name]) for name in wanted.all])), wanted
    )


def _read_parquet(_: Path, files: Sequence[Path], wanted: Wanted, options: CatalogueFileOptions) -> CatalogueTable:
    parts: list[pa.Table] = []
    rows = 0
    for path in files:
        with parquet.ParquetFile(path) as file:
            rows += file.metadata.num_rows
            _check_rows(rows, options)
            _check_columns(file.schema_arrow.names, wanted)
            parts.append(_as_wanted(file.read(columns=list(wanted.all)), wanted, path))
    return CatalogueTable(pa.concat_tables(parts), wanted)


def _as_wanted(table: pa.Table, wanted: Wanted, path: Path) -> pa.Table:
    types = dict.fromkeys(wanted.floats, pa.float64()) | dict.fromkeys(wanted.texts, pa.large_string())
    columns = {}
    for name in wanted.all:
        try:
            columns[name] = table.column(name).cast(types[name], safe=False)
        except pa.ArrowException as error:
            raise ValueError(f"{path.name}: column {name} is of type {table.column(name).type}: {error}") from error
    return pa.table(columns)


def _read_fits(path: Path, _: Sequence[Path], wanted: Wanted, options: CatalogueFileOptions) -> CatalogueTable:
    from astropy.io import fits  # noqa: PLC0415 - takes a tenth of a second, for this format only

    # Texts stay bytes: to decode millions of them one by one takes ten seconds.
    with fits.open(path, mode="readonly", memmap=True, lazy_load_hdus=True, character_as_bytes=True) as extensions:
        extension = extensions[options.table]
        if not isinstance(extension, fits.BinTableHDU | fits.TableHDU) or isinstance(extension, fits.CompImageHDU):
            raise ValueError(f"extension {options.table} is no table")  # noqa: TRY004 - of a file, not an argument
        _check_rows(int(extension.header["NAXIS2"]), options)
        names = {name.lower(): name for name in extension.columns.names}
        _check_columns([name for name in wanted.all if name.lower() in names] or list(names.values()), wanted)
        units = {name: extension.columns[names[name.lower()]].unit for name in wanted.floats}
        columns = {
            name: _of_fits(
                name, extension.data[names[name.lower()]], extension.columns[names[name.lower()]].null, wanted
            )
            for name in wanted.all
        }
        frame = extension.header.get("RADESYS")
    told = {name: str(unit) for name, unit in units.items() if unit}
    return CatalogueTable(pa.table(columns), wanted, told, None if frame is None else str(frame).lower())


def _of_fits(name: str, values: Any, null: Any, wanted: Wanted) -> pa.Array:
    found = np.asarray(values)
    if found.ndim != 1:
        raise ValueError(f"column {name} has {found.ndim - 1} more dimensions than one")
    unknown = None if null in {None, ""} or found.dtype.kind not in "iu" else found == int(null)
    if name in wanted.texts:
        texts = np.asarray(found, np.bytes_) if found.dtype.kind == "S" else found.astype(np.str_)
        return pc.utf8_trim_whitespace(pa.array(texts, mask=unknown).cast(pa.large_string()))
    try:
        return pa.array(found.astype(np.float64), mask=unknown)
    except ValueError as error:
        raise ValueError(f"column {name}: {error}") from error


def _read_votable(path: Path, _: Sequence[Path], wanted: Wanted, options: CatalogueFileOptions) -> CatalogueTable:
    from astropy.io import votable  # noqa: PLC0415 - as for FITS

    tables = votable.parse(path, verify="ignore")
    found = list(tables.iter_tables())[max(options.table - 1, 0)]
    fields = {known.name: known for known in found.fields}
    _check_rows(len(found.array), options)
    _check_columns(list(fields), wanted)
    columns = {name: _of_votable(name, found.array[fields[name].ID], wanted) for name in wanted.all}
    units = {name: str(fields[name].unit) for name in wanted.floats if fields[name].unit is not None}
    systems = {system.ID: system.system for system in tables.iter_coosys()}
    system = systems.get(fields[wanted.ra].ref) or (next(iter(systems.values())) if len(systems) == 1 else None)
    return CatalogueTable(pa.table(columns), wanted, units, None if system is None else str(system).lower())


def _of_votable(name: str, values: Any, wanted: Wanted) -> pa.Array:
    unknown = np.ma.getmaskarray(values)
    plain = np.ma.getdata(values)
    if plain.ndim != 1:
        raise ValueError(f"column {name} has {plain.ndim - 1} more dimensions than one")
    if name in wanted.texts:
        texts = [
            value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in plain.tolist()
        ]
        return pa.array([text.strip() for text in texts], pa.large_string(), mask=unknown)
    try:
        return pa.array(plain.astype(np.float64), mask=unknown)
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {name}: {error}") from error


Read = Callable[[Path, Sequence[Path], Wanted, CatalogueFileOptions], CatalogueTable]
_READERS: Final[Mapping[str, Read]] = {
    "csv": _read_csv,
    "parquet": _read_parquet,
    "hats": _read_parquet,
    "fits": _read_fits,
    "votable": _read_votable,
}
