"""Sky maps as files: multi-order and flat HEALPix FITS, MOC as FITS and JSON, gzip or not -> `SkyMap`.

What is read is bounded, by `MapLimits`, before it is unpacked or allocated.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from astropy.time import Time

from schemas.bounded import gunzip, gunzip_start, is_gzip
from schemas.errors import BadInput, BadSkyMap, Reason
from schemas.fits import Header, first_headers, first_table
from schemas.healpix_table import DENSITY_NAMES, gridded_map
from schemas.moc import read_moc_json, read_moc_table
from schemas.pixels import DEG2_PER_SR, ORDER, PIXEL_SR, Pixels, cell_centres
from schemas.sky import CellTable, SkyMap
from schemas.times import us_from_astropy, us_from_iso

MOC_LEVEL = 0.5
"""Credible level everywhere inside a MOC. Its density has no contours inside; this is the mean of the levels that its
points would get if they were put in a random order. So any rule of at least 50 % takes the whole of it."""

_HEADER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class MapLimits:
    """Bounds on a map's file.

    Reading takes about four times the unpacked size (measured: 1.6 GB for the largest flat map that the defaults let
    in, nside 1024 in RING order with distances), so whoever reads for strangers sets smaller ones.

    Attributes
    ----------
    packed_bytes, unpacked_bytes
        Size as it came, and after gunzip. A flat map of nside 1024 with three distance layers of 64 bits fits.
    cells
        Rows of a table, pixels of a flat map: those of nside 1024.
    """

    packed_bytes: int = 448 << 20
    unpacked_bytes: int = 448 << 20
    cells: int = 12 * 1024**2


@dataclass(frozen=True, slots=True)
class SkyMapHeader:
    """What a map's file says of itself; empty or None where it does not.

    Attributes
    ----------
    kind
        ``multi-order``, ``flat`` or ``moc``.
    object_name
        OBJECT: the event, such as ``S230518h``, ``G361581`` or ``GRB180116026``.
    time_us
        Instant of the event: DATE-OBS, or TRIGTIME where the file counts mission time (Fermi GBM).
    created_us
        DATE: when the map was made.
    creator, instruments, reference
        CREATOR, INSTRUME and REFERENC as they stand.
    """

    kind: str
    object_name: str = ""
    time_us: int | None = None
    created_us: int | None = None
    creator: str = ""
    instruments: str = ""
    reference: str = ""


def read_skymap(body: bytes, limits: MapLimits = MapLimits()) -> SkyMap:
    """Read the bytes of a map.

    Raises
    ------
    BadSkyMap
        If it is no map, breaks a bound, or its numbers make no probability density.
    """
    body = _unpacked(body, limits)
    if _is_json(body):
        return _uniform(*read_moc_json(body))
    table = first_table(body, limits.cells)
    if _kind(table.header, table.columns) == "moc":
        return _uniform(*read_moc_table(table))
    return gridded_map(table)


def read_skymap_header(body: bytes, limits: MapLimits = MapLimits()) -> SkyMapHeader:
    """What the file says of itself; at most the first MiB is unpacked.

    Raises
    ------
    BadSkyMap
        If it is neither FITS with a binary table nor JSON.
    """
    _require_size(body, limits)
    if is_gzip(body):
        try:
            body = gunzip_start(body, _HEADER_BYTES)
        except BadInput as error:
            raise BadSkyMap(error.reason, error.detail) from None
    if _is_json(body):
        return SkyMapHeader("moc")
    primary, header, _ = first_headers(body)
    both = {**primary, **header}
    text = {key: str(both.get(key, "")).strip() for key in ("OBJECT", "CREATOR", "INSTRUME", "REFERENC")}
    names = {str(value).strip().upper() for key, value in header.items() if key.startswith("TTYPE")}
    return SkyMapHeader(
        kind=_kind(header, names),
        object_name="" if text["OBJECT"] == "PARTIAL" else text["OBJECT"],  # healpy's word for EXPLICIT
        time_us=_event_us(both),
        created_us=_date_us(both.get("DATE")),
        creator=text["CREATOR"],
        instruments=text["INSTRUME"],
        reference=text["REFERENC"],
    )


def _require_size(body: bytes, limits: MapLimits) -> None:
    if not body:
        raise BadSkyMap(Reason.EMPTY, "the sky map has no bytes")
    if len(body) > limits.packed_bytes:
        raise BadSkyMap(Reason.TOO_LARGE, f"the sky map has {len(body)} bytes, at most {limits.packed_bytes} are read")


def _unpacked(body: bytes, limits: MapLimits) -> bytes:
    _require_size(body, limits)
    if is_gzip(body):
        try:
            body = gunzip(body, limits.unpacked_bytes)
        except BadInput as error:
            raise BadSkyMap(error.reason, error.detail) from None
    if not (body.startswith(b"SIMPLE") or _is_json(body)):
        raise BadSkyMap(Reason.UNKNOWN_FORMAT, f"the sky map begins with {body[:16]!r}, expected FITS or JSON")
    return body


def _is_json(body: bytes) -> bool:
    return body[:64].lstrip()[:1] == b"{"


def _kind(header: Header, columns: Iterable[str]) -> str:
    names = set(columns)
    if names & set(DENSITY_NAMES):
        return "multi-order" if "UNIQ" in names else "flat"
    if "UNIQ" in names or "MOCDIM" in header or str(header.get("ORDERING", "")).strip() in {"NUNIQ", "RANGE"}:
        return "moc"
    return "flat"


def _event_us(header: Header) -> int | None:
    """When the event was: mission time in a file that counts it, else DATE-OBS if it is UTC."""
    day, fraction, seconds = (_real(header.get(key)) for key in ("MJDREFI", "MJDREFF", "TRIGTIME"))
    scale = str(header.get("TIMESYS", "UTC")).strip().upper()
    if day is not None and fraction is not None and seconds is not None and scale == "TT":
        plausible = 40_000 <= day <= 70_000 and 0 <= fraction < 1 and 0 < seconds < 4e9  # noqa: PLR2004
        instant = Time(day, fraction + seconds / 86_400, format="mjd", scale="tt") if plausible else None
        return None if instant is None else int(us_from_astropy(instant))
    return _date_us(header.get("DATE-OBS")) if scale == "UTC" else None


def _date_us(value: object) -> int | None:
    try:
        return us_from_iso(str(value))
    except ValueError:
        return None


def _real(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def _uniform(lo: Pixels, hi: Pixels) -> SkyMap:
    """A MOC as a density: the same everywhere inside."""
    solid_angle = float((hi - lo).sum(dtype=np.float64)) * PIXEL_SR
    widest = int(np.argmax(hi - lo))
    ra, dec = cell_centres(np.array([(lo[widest] + hi[widest]) // 2]), ORDER)
    return SkyMap(
        CellTable(lo, hi, np.full(len(lo), 1 / solid_angle), np.full(len(lo), MOC_LEVEL)),
        float(ra[0]),
        float(dec[0]),
        f"coverage map (MOC) of {solid_angle * DEG2_PER_SR:.4g} deg2, as probable everywhere inside",
    )
