"""The Zwicky Transient Facility's packets, schema versions 1.2 to 4.02, and brokers' re-encodings of them.

Versions differ in what they lack: ``jdstarthist`` and the PS1 distances came with 1.8, Gaia distances with
3.0, and some re-encodings drop the top-level ``candid``. Field by field: https://zwickytransientfacility.github.io/ztf-avro-alert/schema.html
"""

from schemas.packet import JD_UTC, Record, Row, Survey, earliest, fields, not_negative, record_at, records_at

BANDS = {1: "g", 2: "r", 3: "i"}


def row(record: Record) -> Row:
    """One alert of one packet."""
    candidate = record_at(record, "candidate")
    candid = record.get("candid")
    time = candidate["jd"]
    detections = [
        before.get("jd") for before in records_at(record, "prv_candidates") if before.get("candid") is not None
    ]
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
        solar_system_arcsec=not_negative(candidate.get("ssdistnr")),
    )


SURVEY = Survey(
    name="ztf",
    known_by=("objectId", "candidate.jd", "candidate.fid", "candidate.ra", "candidate.dec", "candidate.magpsf"),
    times=("candidate.jd", "candidate.jdstarthist", "prv_candidates.jd"),
    wanted=fields(
        "objectId candid",
        candidate=("candid jd jdstarthist ra dec fid magpsf sigmapsf magap rb nbad neargaia distpsnr1 ssdistnr"),
        prv_candidates="candid jd",
    ),
    row=row,
    days=JD_UTC,
    quality_columns=frozenset(
        {"reliability", "bad_pixels", "ap_minus_psf_mag", "gaia_arcsec", "ps1_arcsec", "solar_system_arcsec"}
    ),
)
