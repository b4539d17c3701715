"""The preset `fink2021` against the plain search of `tests.matchers.oracle`."""

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import offset_by
from hypothesis import example, given, settings
from hypothesis import strategies as st

from matchers.cuts import Cuts
from matchers.engine import Engine
from matchers.options import build_matcher
from schemas.densities import skymap_of
from schemas.localisation import Cone, Ellipse
from schemas.records import Alerts, Kind, Messenger, Notice, Role
from tests.matchers.made import CARRIED, DAY, T0, alerts_of, notice_of, taken
from tests.matchers.oracle import fink2021_pairs

SKYMAP = skymap_of(Cone(0, 0, 1, 0.9))
"""The rule looks at reported circles alone: which map stands beside them makes no difference."""


def found(alerts: list[Alerts], notices: list[Notice], *, cuts: bool = True) -> set[tuple[str, str]]:
    engine = Engine(
        [build_matcher("grb", "grb", {"rule": "fink2021"})],
        cuts={"ztf": Cuts(enabled=cuts)},
        carried={"ztf": CARRIED},
    )
    for notice in notices[::2]:
        list(engine.put_notice(notice, SKYMAP if notice.localisation else None, 0))
    for batch in alerts:
        taken(engine, batch)
    for notice in notices[1::2]:
        list(engine.put_notice(notice, SKYMAP if notice.localisation else None, 0))
    return {(c.trigger.id, c.object.object_id) for c in engine.ledger.current()}


SEARCHED = [
    ("Swift", 0.05, 0.9, 0.15),
    ("Fermi", 3.0, 0.68, 3.0),
    ("Fermi", 11.0, 0.68, 5.0),
    ("INTEGRAL", 0.2, 0.9, 0.2796),
]
PLACES = [(10.0, 20.0), (0.0, 0.01), (359.9, -45.0), (77.0, 89.99), (200.0, -90.0), (45.0, 41.8103)]


@pytest.mark.parametrize(("mission", "reported", "containment", "searched"), SEARCHED)
@pytest.mark.parametrize("place", PLACES)
def test_a_notice_moved_next_to_an_alert_matches_inside_each_limit_and_not_outside(
    mission, reported, containment, searched, place
):
    alert = alerts_of([{"id": 1, "obj": "a", "t": T0, "ra": place[0], "dec": place[1]}])
    limits = [(scale, dt, 0) for scale in (0.0, 0.999, 1.001, 2.0) for dt in (0,)]
    limits += [(0.5, dt, 0) for dt in (-20 * DAY - 1, -20 * DAY, 600_000_000, 600_000_001)]
    limits += [(0.5, 0, age) for age in (600_000_000, 600_000_001)]
    inside = [True, True, False, False, False, True, True, False, True, False]
    for (scale, dt, age), expected in zip(limits, inside, strict=True):
        lon, lat = offset_by(place[0] * u.deg, place[1] * u.deg, 33 * u.deg, scale * searched * u.deg)
        notice = notice_of(
            mission=mission,
            trigger_time_us=T0 + dt,
            localisation=Cone(float(lon.deg) % 360, float(lat.deg), reported, containment),
        )
        alerts = [alert.with_first_detection(alert.time_us - age)]
        assert bool(fink2021_pairs(alerts, [notice], CARRIED)) is expected, (scale, dt, age)
        assert bool(found(alerts, [notice])) is expected, (scale, dt, age)


@pytest.mark.not_measured
@settings(max_examples=25)
@example(seed=239, cuts=True)  # a retraction and an update of the same instant
@given(seed=st.integers(0, 2**32), cuts=st.booleans())
def test_the_same_pairs_as_by_plain_loops(seed, cuts):
    rng = np.random.default_rng(seed)
    n = 40
    time_us = T0 + rng.choice([-DAY, -600_000_001, -600_000_000, 0, DAY, 20 * DAY, 20 * DAY + 1], n)
    alerts = Alerts.from_columns(
        "ztf",
        alert_id=rng.integers(0, n, n),
        object_id=[f"o{k}" for k in rng.integers(0, 25, n)],
        time_us=time_us,
        first_detection_us=time_us - rng.choice([0, 0, 0, 600_000_000, DAY], n),
        ra_deg=rng.uniform(0, 12, n),
        dec_deg=rng.uniform(80, 90, n),
        reliability=rng.choice([0.55, 0.9, 0.9, 0.9, np.nan], n),
        bad_pixels=rng.choice([0, 0, 0, 1], n),
        ap_minus_psf_mag=rng.choice([0.0, -0.05, 0.1], n),
        gaia_arcsec=rng.choice([np.nan, 5.0, 4.9], n, p=[0.8, 0.1, 0.1]),
    )
    # A repeated id is the same packet again.
    alerts = alerts.take(np.unique(alerts.alert_id, return_index=True)[1])
    notices = []
    for number in range(10):
        mission, reported, containment, _ = SEARCHED[rng.integers(len(SEARCHED))]
        where = float(rng.uniform(0, 360)), float(rng.uniform(82, 90))
        localisation = [
            Cone(*where, reported * 10, containment),
            Ellipse(*where, reported * 9, 0.1, 20, containment),
            None,
        ]
        notice = notice_of(
            f"t:{rng.integers(6)}",
            f"ivo://t/n#{number}",
            mission=mission,
            stage=int(rng.integers(3)),
            issued_us=None if rng.random() < 0.2 else T0 + int(rng.integers(99)),
            trigger_time_us=None if rng.random() < 0.2 else T0 + int(rng.choice([0, 1])),
            localisation=localisation[rng.choice(3, p=[0.7, 0.2, 0.1])],
            astrophysical=[None, True, False][rng.choice(3, p=[0.8, 0.1, 0.1])],
            kind=[Kind.UPDATE, Kind.RETRACTION][rng.choice(2, p=[0.9, 0.1])],
            role=[Role.OBSERVATION, Role.TEST, Role.UTILITY][rng.choice(3, p=[0.9, 0.05, 0.05])],
            messenger=[Messenger.GAMMA_RAY, Messenger.X_RAY][rng.choice(2, p=[0.9, 0.1])],
        )
        notices += [notice, notice] if rng.random() < 0.3 else [notice]
    batches = [alerts.take(rows) for rows in np.array_split(rng.permutation(len(alerts)), 3)]
    pairs = fink2021_pairs(batches, notices, CARRIED if cuts else None)
    assert found(batches, notices, cuts=cuts) == pairs


def test_the_search_above_is_not_empty():
    alerts = alerts_of(
        [{"id": 1, "obj": "a", "t": T0, "ra": 10, "dec": 20}, {"id": 2, "obj": "b", "t": T0, "ra": 0, "dec": 0}]
    )
    notice = notice_of()
    assert fink2021_pairs([alerts], [notice], None) == {("fermi-gbm:1", "a")} == found([alerts], [notice])
    retraction = replace(notice, ivorn="ivo://t/n#2", kind=Kind.RETRACTION, serial=1)
    assert fink2021_pairs([alerts], [retraction, notice], None) == set() == found([alerts], [retraction, notice])
