"""What a survey is: where its packets keep what `Alerts` needs. One small file for each survey.

A survey's file names the fields by which its schema is recognised, the fields that are decoded, and one
function that makes a `Row` of a decoded record; `schemas.survey` does the rest.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.errors import BadPacket, Reason
from schemas.records import Ints
from schemas.times import us_from_jd_utc, us_from_mjd_tai
from schemas.writer_schema import Wanted

Record = Mapping[str, Any]

NANOJANSKY_AB_ZERO_POINT = 31.4
"""AB magnitude of 1 nJy: 8.9 of 1 Jy (Oke & Gunn 1983, ApJ 266, 713) plus 2.5 x 9."""

_FLOAT32_MAX = 3.4e38
_MAG_PER_RELATIVE_FLUX = 2.5 / math.log(10)


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
    """One alert; as the columns of `Alerts`, but times are in the survey's days. NaN means unknown."""

    alert_id: Any
    object_id: Any
    time: Any
    first_detection: float
    ra_deg: Any
    dec_deg: Any
    band: Any
    mag: float = math.nan
    mag_err: float = math.nan
    reliability: float = math.nan
    bad_pixels: float = math.nan
    ap_minus_psf_mag: float = math.nan
    gaia_arcsec: float = math.nan
    ps1_arcsec: float = math.nan
    solar_system_arcsec: float = math.nan


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
    days: DayCount
    quality_columns: frozenset[str]


def number(value: Any) -> float:
    """A float; NaN for a null, for what is no number and for what a 32-bit float cannot hold."""
    return float(value) if isinstance(value, int | float) and abs(value) < _FLOAT32_MAX else math.nan


def not_negative(value: Any) -> float:
    """A float; NaN also for negative numbers, which surveys use for "none" (ZTF: -999)."""
    found = number(value)
    return found if found >= 0 else math.nan


def earliest(*days: Any) -> float:
    """The least of those that are positive numbers; NaN if there is none."""
    return min((day for day in map(number, days) if day > 0), default=math.nan)


def ab_mag(flux: float, zero_point: float = NANOJANSKY_AB_ZERO_POINT) -> float:
    """AB magnitude of a flux, by default in nJy; NaN for a flux that is not positive."""
    return zero_point - 2.5 * math.log10(flux) if flux > 0 else math.nan


def mag_error(flux: float, flux_error: float) -> float:
    """Error of the magnitude of a flux, to first order; NaN for a flux that is not positive."""
    return number(_MAG_PER_RELATIVE_FLUX * flux_error / flux) if flux > 0 else math.nan


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
