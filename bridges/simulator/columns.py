"""Simulated alerts as columns, as the reader makes them of the simulated packets: making and reading those costs more
than all the rest of a simulation, and where many weeks are needed it is not the reading that is tried."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.random import Generator

from bridges.simulator.detections import NONE_NEAR, Camera, Detection
from bridges.simulator.plan import NightPlan
from bridges.simulator.survey import R, Visits, fields, julian_date
from schemas.records import NEVER_US, Alerts
from schemas.times import US_PER_DAY, datetime_from_us, us_from_jd_utc

SURVEY = "ztf"


def origin_of(detection: Detection) -> str:
    """Where its packet lies: in the tar archive of its night."""
    return f"ztf_simulated_{datetime_from_us(detection.time_us):%Y%m%d}.tar/{detection.candid}.avro"


def columns_of(seen: Iterable[Sequence[Detection]], camera: Camera, plan: NightPlan) -> Alerts:
    """The alerts of detections, in order of time and number.

    Parameters
    ----------
    seen
        By source: its detections, in order of time; those before the plan's span make no alerts.
    camera
        That saw them.
    plan
        Says when the span begins, and how far back a packet's history reaches.
    """
    told: list[Detection] = []
    first_us: list[int] = []
    missed_us: list[int] = []
    for of_source in seen:
        told_of_source = [d for d in of_source if d.time_us >= plan.start_us]
        if told_of_source:
            told += told_of_source
            first_us += [_first_detection_us(of_source)] * len(told_of_source)
            missed_us += _last_non_detections_us(of_source, told_of_source, camera, plan)
    order = sorted(range(len(told)), key=lambda row: (told[row].time_us, told[row].candid))
    told = [told[row] for row in order]
    near = [d.source.neighbours for d in told]
    mag = _float32([d.mag for d in told])
    visits = camera.visits
    return Alerts.from_columns(
        SURVEY,
        alert_id=[d.candid for d in told],
        object_id=[d.source.object_id for d in told],
        time_us=[d.time_us for d in told],
        ra_deg=[d.ra_deg for d in told],
        dec_deg=[d.dec_deg for d in told],
        mag=mag,
        mag_err=[d.mag_err for d in told],
        band=["r" if visits.fid[d.visit] == R else "g" for d in told],
        first_detection_us=np.array(first_us, np.int64)[order],
        last_non_detection_us=np.array(missed_us, np.int64)[order],
        reliability=[d.real_bogus for d in told],
        bad_pixels=[d.bad_pixels for d in told],
        # The packet gives both magnitudes as 32-bit floats, and the reader their difference.
        ap_minus_psf_mag=_float32([d.mag + d.ap_minus_psf_mag for d in told]).astype(float) - mag.astype(float),
        gaia_arcsec=[_known(n.gaia_arcsec) for n in near],
        ps1_arcsec=[_known(n.ps1_arcsec) for n in near],
        star_galaxy=[n.star_score if n.ps1_arcsec > 0 else np.nan for n in near],
        solar_system_arcsec=[_known(n.solar_system_arcsec) for n in near],
        origin=[origin_of(d) for d in told],
    )


def _first_detection_us(of_source: Sequence[Detection]) -> int:
    first_us = of_source[0].time_us
    known = of_source[0].source.known_since_us
    return first_us if known is None else min(first_us, int(us_from_jd_utc(julian_date(known))))


def _last_non_detections_us(
    of_source: Sequence[Detection], told: Sequence[Detection], camera: Camera, plan: NightPlan
) -> list[int]:
    """For each alert the latest exposure in its history that did not show the source."""
    source = of_source[0].source
    shown = {detection.visit for detection in of_source}
    rows = [row for row in camera.rows_at(source.ra_deg, source.dec_deg).tolist() if row not in shown]
    times = camera.visits.time_us[rows]
    missed = []
    for detection in told:
        before = int(np.searchsorted(times, detection.time_us)) - 1
        since_us = detection.time_us - int(plan.history_d * US_PER_DAY)
        missed.append(int(times[before]) if before >= 0 and times[before] >= since_us else NEVER_US)
    return missed


def _known(distance_arcsec: float) -> float:
    return np.nan if distance_arcsec == NONE_NEAR else distance_arcsec


def _float32(values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.asarray(values, np.float32)


def known_stars(random: Generator, visits: Visits, from_us: int, per_field: int) -> Alerts:
    """Alerts of variable stars that were known for years, as every exposure of a real survey brings by the hundred.

    All that they tell is that the survey looked: each has a Gaia source on top, and so no search considers it.

    Parameters
    ----------
    visits
        The exposures; of each field the first in a night shows all its stars.
    from_us
        Exposures before it are left out.
    per_field
        How many stars a field has.
    """
    sky = fields()
    rows = np.flatnonzero(visits.time_us >= from_us)
    _, first = np.unique(
        np.stack([(visits.time_us[rows] - from_us) // US_PER_DAY, visits.field[rows]]), axis=1, return_index=True
    )
    rows = rows[np.sort(first)]
    place = [sky.draw_inside(random, field) for field in range(len(sky.ra_deg)) for _ in range(per_field)]
    ra_deg, dec_deg = np.array(place).T
    star = (visits.field[rows][:, None] * per_field + np.arange(per_field)).ravel()
    time_us = np.repeat(visits.time_us[rows], per_field)
    count = len(star)
    return Alerts.from_columns(
        SURVEY,
        alert_id=np.arange(1, count + 1),
        object_id=np.char.mod("SIMSTAR%07d", star),
        time_us=time_us,
        ra_deg=ra_deg[star],
        dec_deg=dec_deg[star],
        mag=random.uniform(16.0, 20.0, count),
        mag_err=np.full(count, 0.05),
        band=np.where(visits.fid[np.repeat(rows, per_field)] == R, "r", "g"),
        first_detection_us=np.full(count, from_us - 1000 * US_PER_DAY),
        reliability=np.full(count, 0.9),
        bad_pixels=np.zeros(count),
        ap_minus_psf_mag=np.zeros(count),
        gaia_arcsec=np.full(count, 0.3),
        ps1_arcsec=np.full(count, 0.3),
        star_galaxy=np.ones(count),
        origin=np.full(count, "simulated/known-stars"),
    )
