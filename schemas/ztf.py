"""The Zwicky Transient Facility's packets, schema versions 1.2 to 4.02, and brokers' re-encodings of them.

Versions differ in what they lack: ``jdstarthist`` and the PS1 distances came with 1.8, Gaia distances with
3.0, and some re-encodings drop the top-level ``candid``. Field by field: https://zwickytransientfacility.github.io/ztf-avro-alert/schema.html
"""

import numpy as np

from schemas import picked
from schemas.packet import (
    JD_UTC,
    Record,
    Row,
    Survey,
    earliest,
    fields,
    latest_before,
    not_negative,
    picks,
    record_at,
    records_at,
)
from schemas.picked import Bools, Picked
from schemas.plan import Column, Pick

BANDS = {1: "g", 2: "r", 3: "i"}
_NUMBERS = "jd jdstarthist ra dec magpsf sigmapsf magap rb nbad neargaia distpsnr1 sgscore1 ssdistnr"


def row(record: Record) -> Row:
    """One alert of one packet."""
    candidate = record_at(record, "candidate")
    candid = record.get("candid")
    time = candidate["jd"]
    history = records_at(record, "prv_candidates")
    detections = [before.get("jd") for before in history if before.get("candid") is not None]
    upper_limits = [before.get("jd") for before in history if "candid" in before and before["candid"] is None]
    psf, aperture = not_negative(candidate.get("magpsf")), not_negative(candidate.get("magap"))
    return Row(
        alert_id=candidate.get("candid") if candid is None else candid,
        object_id=record["objectId"],
        time=time,
        first_detection=earliest(time, candidate.get("jdstarthist"), *detections),
        ra_deg=candidate["ra"],
        dec_deg=candidate["dec"],
        band=BANDS.get(candidate.get("fid", 0), ""),
        mag=psf,
        mag_err=not_negative(candidate.get("sigmapsf")),
        reliability=not_negative(candidate.get("rb")),
        bad_pixels=not_negative(candidate.get("nbad")),
        ap_minus_psf_mag=aperture - psf,
        gaia_arcsec=not_negative(candidate.get("neargaia")),
        ps1_arcsec=not_negative(candidate.get("distpsnr1")),
        star_galaxy=not_negative(candidate.get("sgscore1")),
        solar_system_arcsec=not_negative(candidate.get("ssdistnr")),
        last_non_detection=latest_before(time, *upper_limits),
    )


def columns(found: Picked) -> tuple[Row, Bools]:
    """As `row`, for many packets."""
    time, fid = found.numbers("candidate.jd"), found.integers("candidate.fid")
    own = found.stated("candid")
    psf, aperture = found.not_negative("candidate.magpsf"), found.not_negative("candidate.magap")
    row = Row(
        alert_id=np.where(own, found.integers("candid"), found.integers("candidate.candid")),
        object_id=found.texts("objectId"),
        time=time,
        first_detection=picked.earliest(
            time, found.numbers("candidate.jdstarthist"), found.earliest("prv_candidates.jd")
        ),
        ra_deg=found.numbers("candidate.ra"),
        dec_deg=found.numbers("candidate.dec"),
        band=[BANDS.get(number, "") for number in fid.tolist()],
        mag=psf,
        mag_err=found.not_negative("candidate.sigmapsf"),
        reliability=found.not_negative("candidate.rb"),
        bad_pixels=found.not_negative("candidate.nbad"),
        ap_minus_psf_mag=aperture - psf,
        gaia_arcsec=found.not_negative("candidate.neargaia"),
        ps1_arcsec=found.not_negative("candidate.distpsnr1"),
        star_galaxy=found.not_negative("candidate.sgscore1"),
        solar_system_arcsec=found.not_negative("candidate.ssdistnr"),
        last_non_detection=found.latest("prv_candidates.jd"),
    )
    return row, own | found.stated("candidate.candid")


SURVEY = Survey(
    name="ztf",
    known_by=("objectId", "candidate.jd", "candidate.fid", "candidate.ra", "candidate.dec", "candidate.magpsf"),
    times=("candidate.jd", "candidate.jdstarthist", "prv_candidates.jd"),
    wanted=fields(
        "objectId candid",
        candidate=f"candid fid {_NUMBERS}",
        prv_candidates="candid jd",
    ),
    row=row,
    picks=(
        Pick("objectId", Column.TEXT),
        Pick("candid", Column.INTEGER),
        *picks("candidate", Column.INTEGER, "candid fid"),
        *picks("candidate", Column.NUMBER, _NUMBERS),
        Pick("prv_candidates.jd", Column.HISTORY, given="candid"),
    ),
    columns=columns,
    days=JD_UTC,
    quality_columns=frozenset(
        {"reliability", "bad_pixels", "ap_minus_psf_mag", "gaia_arcsec", "ps1_arcsec", "solar_system_arcsec"}
    ),
)
