"""Rubin/LSST's packets, schema versions 3.0 to 11.1, and brokers' envelopes of them.

Times are TAI and fluxes nJy. Up to 4.0 other names are used (``midPointTai``, ``decl``, ``psFlux``,
``filterName``); flags are columns of their own since 7.0, before that bits of an unnamed order that are not read;
the object's first source is stated since 8.0. The schemas: https://github.com/lsst/alert_packet
"""

import math
from typing import Any

from schemas.packet import (
    MJD_TAI,
    Record,
    Row,
    Survey,
    ab_mag,
    earliest,
    fields,
    identifier,
    mag_error,
    number,
    record_at,
    records_at,
)

BAD_FLAGS = (
    "pixelFlags_bad",
    "pixelFlags_edge",
    "pixelFlags_offimage",
    "pixelFlags_nodataCenter",
    "pixelFlags_saturatedCenter",
    "pixelFlags_crCenter",
    "pixelFlags_suspectCenter",
    "pixelFlags_streakCenter",
    "pixelFlags_interpolatedCenter",
    "pixelFlags_injectedCenter",
    "pixelFlags_injected_templateCenter",
    "glint_trail",
)
"""Flags that count as bad pixels, as ZTF counts them in 5 x 5 around the source: what is wrong at the centre, since
the footprint of a bright source reaches far; a bad part or the edge of the detector anywhere in it; glints; and
sources that were put into the image on purpose."""

_TIMES = "midpointMjdTai midPointTai"
_IDENTITY = f"diaSourceId diaObjectId ssObjectId {_TIMES} ra dec decl band filterName"
_QUALITY = " ".join(("psfFlux psfFluxErr psFlux psFluxErr apFlux reliability", *BAD_FLAGS))


def row(record: Record) -> Row:
    """One alert of one packet. An object of the solar system is called by its own identifier."""
    source = record_at(record, "diaSource")
    static, moving = record_at(record, "diaObject"), record_at(record, "ssObject") or record_at(record, "ssSource")
    moving_id = identifier(source.get("ssObjectId"), moving.get("ssObjectId"))
    object_id = identifier(source.get("diaObjectId"), static.get("diaObjectId"), moving_id)
    time = _time(source)
    history = [_time(before) for before in records_at(record, "prvDiaSources")]
    psf = number(source.get("psfFlux", source.get("psFlux")))
    raised = [bool(source[flag]) for flag in BAD_FLAGS if source.get(flag) is not None]
    return Row(
        alert_id=source["diaSourceId"],
        object_id=object_id,
        time=time,
        first_detection=earliest(time, static.get("firstDiaSourceMjdTai"), *history),
        ra_deg=source["ra"],
        dec_deg=source["dec"] if "dec" in source else source["decl"],
        band=source.get("band", source.get("filterName")) or "",
        mag=ab_mag(psf),
        mag_err=mag_error(psf, number(source.get("psfFluxErr", source.get("psFluxErr")))),
        reliability=number(source.get("reliability")),
        bad_pixels=float(sum(raised)) if raised else math.nan,
        ap_minus_psf_mag=ab_mag(number(source.get("apFlux"))) - ab_mag(psf),
        solar_system_arcsec=math.nan if moving_id is None else 0.0,
    )


def _time(source: Record) -> Any:
    return source.get("midpointMjdTai", source.get("midPointTai"))


SURVEY = Survey(
    name="lsst",
    known_by=(
        "diaSource.diaSourceId",
        "diaSource.midpointMjdTai|midPointTai",
        "diaSource.dec|decl",
        "diaSource.psfFlux|psFlux",
        "diaSource.apFlux",
    ),
    times=(
        "diaSource.midpointMjdTai|midPointTai",
        "prvDiaSources.midpointMjdTai|midPointTai",
        "diaObject.firstDiaSourceMjdTai",
    ),
    wanted=fields(
        "",
        diaSource=f"{_IDENTITY} {_QUALITY}",
        prvDiaSources=_TIMES,
        diaObject="diaObjectId firstDiaSourceMjdTai",
        ssObject="ssObjectId",
        ssSource="ssObjectId",
    ),
    row=row,
    days=MJD_TAI,
    quality_columns=frozenset({"reliability", "bad_pixels", "ap_minus_psf_mag", "solar_system_arcsec"}),
)
