"""Alerts, triggers and maps for benchmarks: always the same for the same numbers, and like the real load."""

from collections.abc import Sequence

import numpy as np

from schemas.pixels import PIXEL_SR, Array, Pixels, cell_centres
from schemas.records import Alerts, Kind, Message, Messenger, Notice, Role, Trigger, Window
from schemas.sky import CellTable, Circle, SkyMap
from schemas.times import US_PER_DAY, US_PER_S, us_from_iso

T0 = us_from_iso("2026-06-01T00:00:00Z")
BEFORE_US, AFTER_US = 600 * US_PER_S, 20 * US_PER_DAY
VISIT_RADIUS_DEG = 1.75
_SEED = 2
_AWKWARD = np.array([(0.0, 89.9999), (123.0, -89.9999), (0.0, 0.0), (359.9999999, 12.0), (45.0, 41.8103148957786)])


def alerts(n: int, *, days: float = 30, seed: int = 1, first_id: int = 0) -> Alerts:
    """In the order of time: 70 % in visits of 1,000 within 1.75 deg, the others all over the sky.

    One in 1,000 is at an awkward place.

    Every third alert is of an object that was seen before.
    """
    rng = np.random.default_rng(seed)
    ra, dec = _everywhere(rng, n)
    time_us = np.sort(T0 + (rng.random(n) * days * US_PER_DAY).astype(np.int64))
    visit = np.arange(n) // 1000
    centre_ra, centre_dec = _everywhere(rng, n // 1000 + 1)
    centre_dec = np.clip(centre_dec, -80, 80)
    visited = rng.random(n) < 0.7
    away, angle = VISIT_RADIUS_DEG * np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n)
    near_dec = centre_dec[visit] + away * np.cos(angle)
    near_ra = (centre_ra[visit] + away * np.sin(angle) / np.cos(np.radians(near_dec))) % 360
    ra, dec = np.where(visited, near_ra, ra), np.where(visited, near_dec, dec)
    awkward = rng.random(n) < 0.001
    ra[awkward], dec[awkward] = _AWKWARD[rng.integers(0, len(_AWKWARD), int(awkward.sum()))].T
    number = first_id + np.where(rng.random(n) < 1 / 3, rng.integers(0, n, n), np.arange(n))
    return Alerts.from_columns(
        "lsst",
        alert_id=first_id + rng.permutation(n),
        object_id=np.char.add("3138", np.char.zfill(number.astype(np.str_), 12)),
        time_us=time_us,
        first_detection_us=time_us - US_PER_DAY * rng.integers(0, 5, n),
        ra_deg=ra,
        dec_deg=dec,
        mag=rng.normal(21, 1, n),
        band=rng.choice(list("ugrizy"), n),
        reliability=rng.random(n),
        origin=np.full(n, "alerts[0]@1"),
    )


def old_alerts(n: int, *, days: float, seed: int, first_id: int) -> Alerts:
    """As `alerts`, of objects that have varied for a year."""
    made = alerts(n, days=days, seed=seed, first_id=first_id)
    made.first_detection_us[:] -= 365 * US_PER_DAY
    return made


def new_objects(n: int, *, detections: int, days: float, seed: int, first_id: int) -> Alerts:
    """Of so many objects all over the sky, each first seen within the days and so many times in the nights after."""
    rng = np.random.default_rng(seed)
    ra, dec = (np.repeat(values, detections) for values in _everywhere(rng, n))
    first_us = T0 + US_PER_DAY // 2 + (rng.random(n) * (days - 1) * US_PER_DAY).astype(np.int64)
    later_us = rng.integers(US_PER_DAY // 24, 5 * US_PER_DAY, (n, detections))
    later_us[:, 0] = 0
    time_us = np.minimum(first_us[:, None] + later_us, T0 + round(days * US_PER_DAY) - 1).ravel()
    total = n * detections
    names = np.char.add("3139", np.char.zfill((first_id + np.arange(n)).astype(np.str_), 12))
    return Alerts.from_columns(
        "lsst",
        alert_id=first_id + np.arange(total),
        object_id=np.repeat(names, detections),
        time_us=time_us,
        first_detection_us=np.repeat(first_us, detections),
        ra_deg=ra,
        dec_deg=dec,
        mag=rng.normal(22, 1, total),
        mag_err=np.full(total, 0.1),
        band=rng.choice(list("ugrizy"), total),
        reliability=np.ones(total),
        origin=np.full(total, "alerts[0]@1"),
    ).take(np.argsort(time_us, kind="stable"))


def batches(of: Alerts, size: int) -> list[Alerts]:
    """These alerts in consecutive parts."""
    return [of.take(slice(start, start + size)) for start in range(0, len(of), size)]


def gw_map(seed: int, rows: int = 20_000) -> SkyMap:
    """A multi-order map of about so many rows: two arcs on opposite sides of the sky, as of two interferometers."""
    rng = np.random.default_rng(seed)
    pole = _unit(*(angle[0] for angle in _everywhere(rng, 1)))
    along = np.cross(pole, [0.3, 0.5, 0.8])
    along /= np.linalg.norm(along)
    reach, width, ring = rng.uniform(0.1, 0.6), rng.uniform(0.01, 0.05), rng.uniform(0.2, 0.6)

    def density(ra: Array, dec: Array) -> Array:
        where = _unit(ra, dec)
        height = where @ pole
        azimuth = np.arctan2(where @ np.cross(pole, along), where @ along)
        arcs = np.exp(-((azimuth / reach) ** 2) / 2) + 0.4 * np.exp(-((np.abs(azimuth) - np.pi) ** 2 / reach**2) / 2)
        return np.asarray(np.exp(-(((height - ring) / width) ** 2) / 2) * arcs + 1e-9)

    cells, order = np.arange(12 << 8, dtype=np.int64), np.full(12 << 8, 4)
    while len(cells) < rows:
        held = density(*cell_centres(cells, order.astype(np.uint8))) / 4.0**order
        split = np.zeros(len(cells), bool)
        split[np.argsort(held)[-max(len(cells) // 8, 1) :]] = order[np.argsort(held)[-max(len(cells) // 8, 1) :]] < 11
        children = (4 * cells[split][:, None] + np.arange(4)).ravel()
        cells = np.concatenate([cells[~split], children])
        order = np.concatenate([order[~split], np.repeat(order[split] + 1, 4)])
    shift = 2 * (29 - order)
    by_pixel = np.argsort(cells << shift)
    lo, hi = (cells << shift)[by_pixel], ((cells + 1) << shift)[by_pixel]
    return _normalised(lo, hi, density(*cell_centres(cells, order.astype(np.uint8)))[by_pixel])


def windows(number: int, *, maps: int = 20, days: float = 30) -> list[tuple[Trigger, Window]]:
    """So many triggers with a window each, by their times: circles of 0.05 to 15 deg, and GW maps at 90 %."""
    rng = np.random.default_rng(_SEED)
    times = T0 + np.sort(rng.random(number) * days * US_PER_DAY).astype(np.int64)
    ra, dec = _everywhere(rng, number)
    radius = np.exp(rng.uniform(np.log(0.05), np.log(15), number))
    is_map = np.zeros(number, bool)
    is_map[rng.choice(number, min(maps, number), replace=False)] = True
    made = []
    for row in range(number):
        region = (
            gw_map(_SEED + row).credible_region(0.9)
            if is_map[row]
            else Circle.around(float(ra[row]), float(dec[row]), float(radius[row]))
        )
        time_us = int(times[row])
        made.append((trigger(f"made:{row}", time_us), Window(time_us - BEFORE_US, time_us + AFTER_US, region)))
    return made


def map_of(trigger: Trigger) -> SkyMap:
    """The map whose region is the window of a trigger of `windows`."""
    return gw_map(_SEED + int(trigger.id.partition(":")[2]))


def circles(of: Sequence[tuple[Trigger, Window]]) -> list[tuple[Window, Circle]]:
    """Those of the windows that are circles."""
    return [(window, window.region) for _, window in of if isinstance(window.region, Circle)]


def trigger(trigger_id: str, time_us: int) -> Trigger:
    """A trigger that nothing but its window matters of."""
    notice = Notice(
        message=Message(b"", "made"),
        notice_type="MADE",
        ivorn=trigger_id,
        trigger_id=trigger_id,
        messenger=Messenger.GAMMA_RAY,
        mission="Made",
        instrument="",
        role=Role.OBSERVATION,
        kind=Kind.INITIAL,
    )
    return Trigger(trigger_id, Messenger.GAMMA_RAY, "Made", "", time_us, None, 1, notice)


def _everywhere(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))


def _unit(ra: Array, dec: Array) -> Array:
    ra, dec = np.radians(ra), np.radians(dec)
    return np.asarray(np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1))


def _normalised(lo: Pixels, hi: Pixels, density: Array) -> SkyMap:
    solid = (hi - lo) * PIXEL_SR
    density = density / (density * solid).sum()
    falling = np.argsort(-density, kind="stable")
    level = np.empty(len(lo))
    level[falling] = np.cumsum((density * solid)[falling])
    return SkyMap(CellTable(lo, hi, density, np.minimum(level, 1.0)), 0.0, 0.0, "made")
