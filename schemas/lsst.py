"""Rubin/LSST's packets, schema versions 3.0 to 11.1, and brokers' envelopes of them.

Times are TAI and fluxes nJy. Up to 4.0 other names are used (``midPointTai``, ``decl``, ``psFlux``,
``filterName``); flags are columns of their own since 7.0, before that bits of an unnamed order that are not read;
visits that did not see the object are listed up to 7.4, its first source is stated since 8.0. The schemas: https://github.com/lsst/alert_packet
"""

import math
from typing import Any

import numpy as np

from schemas import picked
from schemas.packet import (
    MJD_TAI,
    Record,
    Row,
    Survey,
    ab_mag,
    earliest,
    fields,
    identifier,
    latest_before,
    mag_error,
    number,
    picks,
    record_at,
    records_at,
)
from schemas.picked import Bools, Ints, Picked, ab_mags, mag_errors
from schemas.plan import Column, Pick

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

_SOURCE_NUMBERS = "midpointMjdTai|midPointTai ra dec|decl psfFlux|psFlux psfFluxErr|psFluxErr apFlux reliability"
_TIMES = "midpointMjdTai midPointTai"
_IDENTITY = f"diaSourceId diaObjectId ssObjectId {_TIMES} ra dec decl band filterName"
_HISTORY = "prvDiaSources.midpointMjdTai|midPointTai"
_LIMITS = "prvDiaNondetectionLimits.midpointMjdTai|midPointTai"
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
        last_non_detection=latest_before(time, *map(_time, records_at(record, "prvDiaNondetectionLimits"))),
    )


def _time(source: Record) -> Any:
    return source.get("midpointMjdTai", source.get("midPointTai"))


def columns(found: Picked) -> tuple[Row, Bools]:
    """As `row`, for many packets."""
    moving_id = _first(
        found.integers("diaSource.ssObjectId"),
        np.where(
            found.there("ssObject.ssObjectId"),
            found.integers("ssObject.ssObjectId"),
            found.integers("ssSource.ssObjectId"),
        ),
    )
    object_id = _first(found.integers("diaSource.diaObjectId"), found.integers("diaObject.diaObjectId"), moving_id)
    time = found.numbers("diaSource.midpointMjdTai|midPointTai")
    first, history = found.numbers("diaObject.firstDiaSourceMjdTai"), found.earliest(_HISTORY)
    psf = found.numbers("diaSource.psfFlux|psFlux")
    mag = ab_mags(psf)
    flags = [f"diaSource.{flag}" for flag in BAD_FLAGS]
    known = np.sum([found.stated(flag) for flag in flags], axis=0)
    row = Row(
        alert_id=found.integers("diaSource.diaSourceId"),
        object_id=[str(number) if number else "" for number in object_id.tolist()],
        time=time,
        first_detection=picked.earliest(time, first, history),
        ra_deg=found.numbers("diaSource.ra"),
        dec_deg=found.numbers("diaSource.dec|decl"),
        band=found.texts("diaSource.band|filterName"),
        mag=mag,
        mag_err=mag_errors(psf, found.numbers("diaSource.psfFluxErr|psFluxErr")),
        reliability=found.numbers("diaSource.reliability"),
        bad_pixels=np.where(known, np.sum([found.integers(flag) for flag in flags], axis=0), np.nan),
        ap_minus_psf_mag=ab_mags(found.numbers("diaSource.apFlux")) - mag,
        solar_system_arcsec=np.where(moving_id, 0.0, np.nan),
        last_non_detection=found.latest(_LIMITS),
    )
    return row, found.stated("diaSource.diaSourceId")


def _first(*numbers: Ints) -> Ints:
    """Of each row the first number that is not 0."""
    found = numbers[0]
    for other in numbers[1:]:
        found = np.where(found, found, other)
    return found


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
        _HISTORY,
        _LIMITS,
        "diaObject.firstDiaSourceMjdTai",
    ),
    wanted=fields(
        "",
        diaSource=f"{_IDENTITY} {_QUALITY}",
        prvDiaSources=_TIMES,
        prvDiaNondetectionLimits=_TIMES,
        diaObject="diaObjectId firstDiaSourceMjdTai",
        ssObject="ssObjectId",
        ssSource="ssObjectId",
    ),
    row=row,
    picks=(
        *picks("diaSource", Column.INTEGER, "diaSourceId diaObjectId ssObjectId"),
        *picks("diaSource", Column.NUMBER, _SOURCE_NUMBERS),
        *picks("diaSource", Column.FLAG, " ".join(BAD_FLAGS)),
        *picks("diaSource", Column.TEXT, "band|filterName"),
        *picks("diaObject", Column.INTEGER, "diaObjectId"),
        *picks("diaObject", Column.NUMBER, "firstDiaSourceMjdTai"),
        *picks("ssObject", Column.INTEGER, "ssObjectId"),
        *picks("ssSource", Column.INTEGER, "ssObjectId"),
        Pick(_HISTORY, Column.HISTORY),
        Pick(_LIMITS, Column.HISTORY),
    ),
    columns=columns,
    days=MJD_TAI,
    quality_columns=frozenset({"reliability", "bad_pixels", "ap_minus_psf_mag", "solar_system_arcsec"}),
)
