"""The packets of ELAsTiCC, DESC's simulation of Rubin's alert stream, schema versions 0.9 and 0.9.1.

They look like early LSST packets, but fluxes are in SNANA's units (zero point 27.5 mag AB) and there are no
flags, no real-bogus score and no aperture flux. See https://portal.nersc.gov/cfs/lsst/DESC_TD_PUBLIC/ELASTICC
"""

from schemas import picked
from schemas.packet import (
    MJD_TAI,
    Record,
    Row,
    Survey,
    ab_mag,
    earliest,
    fields,
    mag_error,
    number,
    picks,
    record_at,
    records_at,
)
from schemas.picked import Bools, Picked, ab_mags, mag_errors
from schemas.plan import Column, Pick

ZERO_POINT = 27.5


def row(record: Record) -> Row:
    """One alert of one packet."""
    source = record_at(record, "diaSource")
    time = source["midPointTai"]
    flux = number(source.get("psFlux"))
    return Row(
        alert_id=source["diaSourceId"],
        object_id=source["diaObjectId"],
        time=time,
        first_detection=earliest(time, *(before.get("midPointTai") for before in records_at(record, "prvDiaSources"))),
        ra_deg=source["ra"],
        dec_deg=source["decl"],
        band=source.get("filterName") or "",
        mag=ab_mag(flux, ZERO_POINT),
        mag_err=mag_error(flux, number(source.get("psFluxErr"))),
    )


def columns(found: Picked) -> tuple[Row, Bools]:
    """As `row`, for many packets."""
    time, flux = found.numbers("diaSource.midPointTai"), found.numbers("diaSource.psFlux")
    named = found.stated("diaSource.diaObjectId").tolist()
    row = Row(
        alert_id=found.integers("diaSource.diaSourceId"),
        object_id=[
            str(number) if known else ""
            for number, known in zip(found.integers("diaSource.diaObjectId").tolist(), named, strict=True)
        ],
        time=time,
        first_detection=picked.earliest(time, found.earliest("prvDiaSources.midPointTai")),
        ra_deg=found.numbers("diaSource.ra"),
        dec_deg=found.numbers("diaSource.decl"),
        band=found.texts("diaSource.filterName"),
        mag=ab_mags(flux, ZERO_POINT),
        mag_err=mag_errors(flux, found.numbers("diaSource.psFluxErr")),
    )
    return row, found.stated("diaSource.diaSourceId")


SURVEY = Survey(
    name="elasticc",
    known_by=("diaSource.midPointTai", "diaSource.decl", "diaSource.psFlux", "diaSource.nobs", "diaObject.mwebv"),
    times=("diaSource.midPointTai", "prvDiaSources.midPointTai"),
    wanted=fields(
        "",
        diaSource="diaSourceId diaObjectId midPointTai filterName ra decl psFlux psFluxErr",
        prvDiaSources="midPointTai",
    ),
    row=row,
    picks=(
        *picks("diaSource", Column.INTEGER, "diaSourceId diaObjectId"),
        *picks("diaSource", Column.NUMBER, "midPointTai ra decl psFlux psFluxErr"),
        *picks("diaSource", Column.TEXT, "filterName"),
        Pick("prvDiaSources.midPointTai", Column.HISTORY),
    ),
    columns=columns,
    days=MJD_TAI,
    quality_columns=frozenset(),
)
