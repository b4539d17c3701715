"""What a survey is: where its packets keep what `Alerts` needs. One small file for each survey.

A survey's file names the fields by which its schema is recognised, the fields that are decoded, one function that
makes a `Row` of a decoded record, and one that does the same for many records at once, whose fields are columns. The
second is for what is in order, the first decides on everything else; `schemas.survey` does the rest.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.errors import BadPacket, Reason
from schemas.picked import FLOAT32_MAX, MAG_PER_RELATIVE_FLUX, NANOJANSKY_AB_ZERO_POINT, Bools, Picked
from schemas.plan import Column, Pick
from schemas.records import Ints
from schemas.times import us_from_jd_utc, us_from_mjd_tai
from schemas.writer_schema import Wanted

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DayCount:
    """How a survey counts days.

    Attributes
    ----------
    mjd_zero
        The count at modified Julian date 0.
    to_us
        Microseconds UTC of days.
    """

    mjd_zero: float
    to_us: Callable[[NDArray[np.float64]], Ints]


JD_UTC = DayCount(2_400_000.5, us_from_jd_utc)
MJD_TAI = DayCount(0.0, us_from_mjd_tai)


class Row(NamedTuple):
    """One alert, or many as columns; as in `Alerts`, but times are in the survey's days. NaN means unknown."""

    alert_id: Any
    object_id: Any
    time: Any
    first_detection: Any
    ra_deg: Any
    dec_deg: Any
    band: Any
    mag: Any = math.nan
    mag_err: Any = math.nan
    reliability: Any = math.nan
    bad_pixels: Any = math.nan
    ap_minus_psf_mag: Any = math.nan
    gaia_arcsec: Any = math.nan
    ps1_arcsec: Any = math.nan
    star_galaxy: Any = math.nan
    solar_system_arcsec: Any = math.nan
    last_non_detection: Any = math.nan


@dataclass(frozen=True, slots=True)
class Survey:
    """The mapping from a survey's packets to alerts.

    Attributes
    ----------
    name
        As in `Alerts.survey`.
    known_by
        Dotted paths of fields that its schemas, and no other survey's, all have; ``a|b`` where versions
        differ in the name. Names of records and namespaces are not asked: brokers change them.
    times
        Dotted paths of the times that are used. A 32-bit float cannot hold them (steps of 6 h in a JD,
        5 min in an MJD), so that a schema with such a one is refused.
    wanted
        The fields to decode.
    row
        Makes a row of a decoded record. It may raise BadPacket, and KeyError for a missing field.
    picks
        The same fields as values that may be taken from the bytes, with the types that they must have for that.
    columns
        Makes of them a row of columns (names of objects and bands as lists), NaN or an empty name
        where there is none; and where the alert's identifier is stated. A last non-detection that is not
        before the detection has its row judged by ``row``.
    days
        How it counts days.
    quality_columns
        The quality columns of `Alerts` that its packets carry.
    """

    name: str
    known_by: tuple[str, ...]
    times: tuple[str, ...]
    wanted: Wanted
    row: Callable[[Record], Row]
    picks: tuple[Pick, ...]
    columns: Callable[[Picked], tuple[Row, Bools]]
    days: DayCount
    quality_columns: frozenset[str]


def number(value: Any) -> float:
    """A float; NaN for a null, for what is no number and for what a 32-bit float cannot hold."""
    return float(value) if isinstance(value, int | float) and abs(value) < FLOAT32_MAX else math.nan


def not_negative(value: Any) -> float:
    """A float; NaN also for negative numbers, which surveys use for "none" (ZTF: -999)."""
    found = number(value)
    return found if found >= 0 else math.nan


def earliest(*days: Any) -> float:
    """The least of those that are positive numbers; NaN if there is none."""
    return min((day for day in map(number, days) if day > 0), default=math.nan)


def latest_before(time: Any, *days: Any) -> float:
    """The greatest of those that are positive numbers and less than the time; NaN if there is none."""
    most = number(time)
    return max((day for day in map(number, days) if 0 < day < most), default=math.nan)


def ab_mag(flux: float, zero_point: float = NANOJANSKY_AB_ZERO_POINT) -> float:
    """AB magnitude of a flux, by default in nJy; NaN for a flux that is not positive."""
    return zero_point - 2.5 * math.log10(flux) if flux > 0 else math.nan


def mag_error(flux: float, flux_error: float) -> float:
    """Error of the magnitude of a flux, to first order; NaN for a flux that is not positive."""
    return number(MAG_PER_RELATIVE_FLUX * flux_error / flux) if flux > 0 else math.nan


def identifier(*values: Any) -> int | None:
    """The first that names something: not null and not 0."""
    return next((value for value in values if isinstance(value, int) and value), None)


def record_at(record: Record, name: str) -> Record:
    """The record in this field, empty if it is null or absent.

    Raises
    ------
    BadPacket
        If something else is there.
    """
    found = record.get(name)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise BadPacket(Reason.WRONG_TYPE, f"{name} is a {type(found).__name__}, expected a record")
    return found


def records_at(record: Record, name: str) -> list[Record]:
    """The records in this array, empty if it is null or absent.

    Raises
    ------
    BadPacket
        If something else is there.
    """
    found = record.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise BadPacket(Reason.WRONG_TYPE, f"{name} is a {type(found).__name__}, expected an array")
    return [item for item in found if isinstance(item, Mapping)]


def fields(top: str, **below: str) -> dict[str, Wanted | None]:
    """Wanted fields: names at the top, and for each record or array of records the names in it."""
    return dict.fromkeys(top.split()) | {name: dict.fromkeys(names.split()) for name, names in below.items()}


def picks(record: str, column: Column, names: str) -> tuple[Pick, ...]:
    """Fields of a record at the top, all to be read as one kind of column."""
    return tuple(Pick(f"{record}.{name}", column) for name in names.split())
