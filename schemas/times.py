"""Instants as integer microseconds since 1970-01-01T00:00:00 UTC, and every conversion to them.

Leap seconds are not counted, as in POSIX time, so that UTC dates and microseconds correspond
one to one; the difference of two instants on either side of a leap second is one second short.
"""

import re
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import erfa
import numpy as np
from astropy.time import Time
from astropy.utils import iers
from erfa import ErfaWarning
from numpy.typing import NDArray

# Leap seconds and Earth orientation come with the installed packages; nothing is ever downloaded, however old they are.
iers.conf.auto_download = False
iers.conf.auto_max_age = None
iers.conf.iers_leap_second_auto_url = ""
iers.conf.ietf_leap_second_auto_url = ""

US_PER_S = 1_000_000
US_PER_DAY = 86_400 * US_PER_S
_NOON_US = US_PER_DAY * 3 // 4
"""18 h UTC is noon at 90 degrees west, between Palomar and Cerro Pachon: no night is cut in two."""
JD_UNIX_EPOCH = 2_440_587.5
MJD_UNIX_EPOCH = 40_587.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_US = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST_US = (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_ISO = re.compile(
    r"\s*(\d{4})-(\d{1,2})-(\d{1,2})[T ](\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d*))?\s*(Z|[+-]\d\d:?\d\d)?\s*"
)


def night_of(time_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the night of each instant, from noon to noon (18 h UTC). Shape (n,)."""
    return np.asarray((time_us - _NOON_US) // US_PER_DAY, np.int64)


def night_start_us(number: int) -> int:
    """When the night of this number (see `night_of`) begins, which is noon."""
    return number * US_PER_DAY + _NOON_US


def us_from_jd_utc(jd: NDArray[np.float64] | float) -> NDArray[np.int64]:
    """Microseconds UTC of Julian dates UTC. A float64 JD resolves about 40 us."""
    days = np.asarray(jd, np.float64) - JD_UNIX_EPOCH
    return np.asarray(np.rint(days * US_PER_DAY), np.int64)


def us_from_mjd_utc(mjd: NDArray[np.float64] | float) -> NDArray[np.int64]:
    """Microseconds UTC of modified Julian dates UTC."""
    days = np.asarray(mjd, np.float64) - MJD_UNIX_EPOCH
    return np.asarray(np.rint(days * US_PER_DAY), np.int64)


def us_from_mjd_tai(mjd: NDArray[np.float64] | float) -> NDArray[np.int64]:
    """Microseconds UTC of modified Julian dates TAI (37 s ahead of UTC since 2017)."""
    return us_from_astropy(Time(mjd, format="mjd", scale="tai"))


def us_from_gps(gps_s: NDArray[np.float64] | float) -> NDArray[np.int64]:
    """Microseconds UTC of GPS seconds (18 s ahead of UTC since 2017)."""
    return us_from_astropy(Time(gps_s, format="gps"))


def us_from_astropy(time: Time) -> NDArray[np.int64]:
    """Microseconds UTC of an astropy time of any scale, shape kept.

    Beyond the years for which leap seconds are announced, today's difference is used.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ErfaWarning)  # "dubious year", which the docstring states
        # The calendar date, not the Julian date: astropy's UTC days with a leap second are stretched to 86,401 s.
        tai = time.tai
        year, month, day, hms = erfa.d2dtf(b"UTC", 6, *erfa.taiutc(tai.jd1, tai.jd2))
    days = np.asarray(sum(erfa.cal2jd(year, month, day)) - JD_UNIX_EPOCH, np.float64)
    seconds = (hms["h"].astype(np.int64) * 60 + hms["m"]) * 60 + hms["s"]
    return np.asarray(np.rint(days).astype(np.int64) * US_PER_DAY + seconds * US_PER_S + hms["f"], np.int64)


def us_from_iso(text: str) -> int:
    """Microseconds UTC of an ISO 8601 date and time; without a zone it is taken as UTC.

    Raises
    ------
    ValueError
        If the text is no valid date and time, or outside the years that `iso_from_us` can write.

    Examples
    --------
    >>> us_from_iso("1970-01-01T00:00:01.5Z")
    1500000
    >>> us_from_iso("2020-01-07 04:30:12") == us_from_iso("2020-01-07T05:30:12+01:00")
    True
    """
    found = _ISO.fullmatch(text)
    if not found:
        raise ValueError(f"not an ISO 8601 date and time: {text!r}")
    year, month, day, hour, minute, second = (int(found[i]) for i in range(1, 7))
    micro = int((found[7] or "0").ljust(7, "0")[:7])
    leap = second == 60  # noqa: PLR2004 - a leap second; datetime has none
    instant = datetime(year, month, day, hour, minute, 59 if leap else second, tzinfo=UTC)
    offset = timedelta()
    if found[8] and found[8] != "Z":
        digits = found[8][1:].replace(":", "")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        offset = -offset if found[8][0] == "-" else offset
    us = us_from_datetime(instant) - offset // _MICROSECOND + (US_PER_S if leap else 0) + (micro + 5) // 10
    if not _FIRST_US <= us <= _LAST_US:
        raise ValueError(f"not within the years 1 to 9999 UTC: {text!r}")
    return us


def us_from_datetime(instant: datetime) -> int:
    """Microseconds UTC of an aware datetime."""
    return (instant - _EPOCH) // _MICROSECOND


def datetime_from_us(us: int) -> datetime:
    """Aware UTC datetime of microseconds."""
    return _EPOCH + timedelta(microseconds=int(us))


def iso_from_us(us: int) -> str:
    """``2020-01-07T04:30:12.345678Z``; always microseconds, always Z, so that text sorts as time."""
    return datetime_from_us(us).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def astropy_from_us(us: Any) -> Time:
    """Astropy UTC time of microseconds, shape kept."""
    us = np.asarray(us, np.int64)
    days, rest = np.divmod(us, US_PER_DAY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ErfaWarning)
        return Time(JD_UNIX_EPOCH + days, rest / US_PER_DAY, format="jd", scale="utc")
