"""Alerts and notices that tests of matching make up."""

import math
from collections.abc import Sequence
from typing import Any

from matchers.engine import Engine
from matchers.ledger import Changes
from matchers.triggers import fold
from schemas.densities import skymap_of
from schemas.localisation import Cone, Localisation
from schemas.records import Alerts, Kind, Message, Messenger, Notice, Role, Trigger
from schemas.times import US_PER_DAY, us_from_iso

T0 = us_from_iso("2020-01-07T04:00:00Z")
MINUTE = 60_000_000
DAY = US_PER_DAY
CARRIED = frozenset(
    {"reliability", "bad_pixels", "ap_minus_psf_mag", "gaia_arcsec", "ps1_arcsec", "solar_system_arcsec"}
)
GOOD = dict.fromkeys(CARRIED, math.nan) | {"reliability": 0.9, "bad_pixels": 0.0, "ap_minus_psf_mag": 0.01}


def alerts_of(rows: Sequence[dict[str, Any]], survey: str = "ztf") -> Alerts:
    """Alerts of good quality; a row needs ``id``, ``obj``, ``t``, ``ra``, ``dec`` and may name any column."""
    names = {
        "id": "alert_id",
        "obj": "object_id",
        "t": "time_us",
        "ra": "ra_deg",
        "dec": "dec_deg",
        "first": "first_detection_us",
    }
    full = [
        {"mag": 19.0, "mag_err": 0.1, "band": "g", "origin": f"a{row['id']}", "first_detection_us": row["t"]}
        | GOOD
        | {names.get(name, name): value for name, value in row.items()}
        for row in rows
    ]
    columns = (
        {name: [row[name] for row in full] for name in full[0]}
        if full
        else {"alert_id": [], "ra_deg": [], "dec_deg": []}
    )
    return Alerts.from_columns(survey, **columns)


def taken(engine: Engine, alerts: Alerts, now_us: int = 0) -> Changes:
    """What alerts change, once they are assessed."""
    engine.add_alerts(alerts)
    return Changes.of(engine.assess(now_us))


def notice_of(trigger_id: str | None = "fermi-gbm:1", ivorn: str = "ivo://t/n#1", **fields: Any) -> Notice:
    """An observation by Fermi GBM at T0 on (10, 20), within 2 deg with 68 %, unless told otherwise."""
    told: dict[str, Any] = {
        "message": Message(ivorn.encode(), f"n/{ivorn.rpartition('#')[2]}"),
        "notice_type": "TEST_POS",
        "messenger": Messenger.GAMMA_RAY,
        "mission": "Fermi",
        "instrument": "GBM",
        "role": Role.OBSERVATION,
        "kind": Kind.INITIAL,
        "trigger_time_us": T0,
        "issued_us": T0 + MINUTE,
        "localisation": cone(),
    }
    return Notice(ivorn=ivorn, trigger_id=trigger_id, **(told | fields))


def cone(ra: float = 10.0, dec: float = 20.0, radius: float = 2.0, containment: float = 0.68) -> Localisation:
    """A circle on the sky."""
    return Cone(ra, dec, radius, containment)


def trigger_of(*notices: Notice) -> Trigger:
    """The trigger that these notices tell of, each localised as it says itself."""
    trigger = fold(notices, {n.ivorn: skymap_of(n.localisation) for n in notices if n.localisation})
    assert trigger is not None
    return trigger
