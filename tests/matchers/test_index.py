from itertools import pairwise

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import angular_separation, offset_by
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers.index import AlertIndex
from schemas.records import Alerts, Window
from schemas.sky import Circle
from tests.matchers.made import DAY, T0, alerts_of

CELL_BORDER_DEC = np.degrees(np.arcsin(2 / 3))
CENTRES = [(0.0, 90.0), (123.0, -90.0), (0.0, 0.0), (359.99999999, 12.0), (45.0, CELL_BORDER_DEC), (90.0, 0.0)]
CENTRES += [(180.0, -CELL_BORDER_DEC), (10.684708, 41.26875), (0.0, 89.9999), (270.0, 0.0)]


def scattered(seed: int, centre: tuple[float, float], radius_deg: float, n: int) -> Alerts:
    """Alerts all over the sky and, most of them, near the border of a circle, at its centre, and at special places."""
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    near = rng.random(n) < 0.7
    factor = rng.choice([0.0, 0.5, 1 - 1e-6, 1 + 1e-6, 1.1, 2.0], n)
    lon, lat = offset_by(
        centre[0] * u.deg,
        centre[1] * u.deg,
        rng.uniform(0, 360, n) * u.deg,
        np.minimum(factor * radius_deg, 180) * u.deg,
    )
    ra[near], dec[near] = lon.deg[near] % 360, lat.deg[near]
    special = rng.random(n) < 0.1
    places = np.array(CENTRES)[rng.integers(0, len(CENTRES), n)]
    ra[special], dec[special] = places[special].T
    time_us = T0 + rng.choice([-1, 0, 1, DAY - 1, DAY, DAY + 1, DAY // 2], n)
    return Alerts.from_columns(
        "ztf",
        alert_id=rng.permutation(n),
        object_id=[f"o{k}" for k in rng.integers(0, n // 2, n)],
        time_us=time_us,
        first_detection_us=time_us - rng.integers(0, 3, n),
        ra_deg=ra,
        dec_deg=dec,
    )


@settings(max_examples=40)
@given(
    st.integers(0, 2**32),
    st.sampled_from(CENTRES) | st.tuples(st.floats(0, 360), st.floats(-90, 90)),
    st.sampled_from([1 / 3600, 0.05, 1.0, 15.0, 60.0, 90.0, 150.0, 180.0]) | st.floats(1 / 3600, 180),
    st.integers(1, 9),
)
def test_a_query_finds_exactly_what_astropy_finds(seed, centre, radius_deg, batches):
    alerts = scattered(seed, centre, radius_deg, 150)
    index = AlertIndex()
    for rows in np.array_split(np.random.default_rng(seed).permutation(150), batches):
        index.add(alerts.take(rows))
        index.add(alerts.take(rows[:2]))
    assert len(index) == 150
    away = np.degrees(
        angular_separation(
            *np.radians((alerts.ra_deg, alerts.dec_deg, *np.broadcast_to(np.array(centre)[:, None], (2, 150))))
        )
    )
    clear = np.abs(away - radius_deg) > 1e-9 * radius_deg + 1e-11
    inside = (away <= radius_deg) & (alerts.time_us >= T0) & (alerts.time_us <= T0 + DAY)
    first = {o: min(alerts.first_detection_us[alerts.object_id == o]) for o in set(alerts.object_id.tolist())}
    found = index.query(Window(T0, T0 + DAY, Circle.around(*centre, radius_deg)))
    ids = [] if not found else found[0].alert_id.tolist()
    undecided = set(alerts.alert_id[~clear].tolist())
    assert set(ids) - undecided == set(alerts.alert_id[inside & clear].tolist())
    for part in found:
        assert list(zip(part.time_us, part.alert_id, strict=True)) == sorted(
            zip(part.time_us, part.alert_id, strict=True)
        )
        assert part.first_detection_us.tolist() == [first[o] for o in part.object_id.tolist()]


EVERYWHERE = Window(-(2**62), 2**62, Circle.around(0.0, 0.0, 180.0))


def row(number: int, obj: str, t: int, first: int | None = None) -> dict:
    return {"id": number, "obj": obj, "t": T0 + t, "first": T0 + (t if first is None else first), "ra": 5, "dec": 6}


def test_an_alert_is_stored_once_within_its_survey():
    index = AlertIndex()
    added = index.add(alerts_of([row(2, "a", 1), row(1, "a", 2), row(2, "b", 3)]))
    assert added.new.alert_id.tolist() == [2, 1]
    assert added.new.object_id.tolist() == ["a", "a"]
    assert len(index.add(alerts_of([row(1, "a", 2), row(2, "a", 1)])).new) == 0
    assert len(index.add(alerts_of([row(1, "a", 2)], "lsst")).new) == 1
    assert [(part.survey, len(part)) for part in index.query(EVERYWHERE)] == [("lsst", 1), ("ztf", 2)]


def test_the_earliest_detection_of_an_object_is_known_to_all_its_alerts_and_a_change_is_told():
    index = AlertIndex()
    assert index.add(alerts_of([row(1, "a", 50), row(2, "b", 60)])).moved == ()
    assert index.note(alerts_of([row(3, "a", 40, 30), row(4, "c", 10)])) == (("ztf", "a"),)
    added = index.add(alerts_of([row(5, "b", 20), row(6, "c", 30), row(7, "d", 9)]))
    assert added.moved == (("ztf", "b"),)
    assert (added.new.first_detection_us - T0).tolist() == [20, 10, 9]
    (found,) = index.query(EVERYWHERE)
    assert dict(zip(found.alert_id.tolist(), (found.first_detection_us - T0).tolist(), strict=True)) == {
        1: 30, 2: 20, 5: 20, 6: 10, 7: 9,
    }  # fmt: skip
    assert len(index) == 5


def test_an_object_gives_all_its_alerts_in_the_order_of_time_and_id():
    index = AlertIndex()
    for number, t in ((5, 3), (9, 1), (2, 3), (7, 2)):
        index.add(alerts_of([row(number, "a", t), row(100 + number, "b", t)]))
    found = index.of_objects("ztf", ["a"])
    assert found is not None
    assert found.alert_id.tolist() == [9, 7, 2, 5]
    assert index.of_objects("ztf", ["c"]) is None
    assert index.of_objects("lsst", ["a"]) is None
    index.note(alerts_of([row(50, "noted", 1)]))
    assert index.of_objects("ztf", ["noted"]) is None


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_alerts_lie_in_few_runs(sizes):
    index, number = AlertIndex(), 0
    for size in sizes:
        index.add(alerts_of([row(number + k, f"o{k}", k) for k in range(size)]))
        number += size
    (night,) = index._surveys["ztf"].nights
    for parts in (night.runs, night.chunks):
        assert all(len(older) > 2 * len(newer) for older, newer in pairwise(parts))
    assert len(index) == number


def test_old_alerts_expire_and_objects_with_them():
    index = AlertIndex()
    index.add(alerts_of([row(1, "old", 10, 0), row(2, "both", 20, 5), row(3, "both", 90), row(4, "new", 95)]))
    index.note(alerts_of([row(5, "noted", 15)]))
    assert index.expire(T0) == 0
    assert index.expire(T0 + 90) == 2
    assert len(index) == 2
    (found,) = index.query(EVERYWHERE)
    assert found.alert_id.tolist() == [3, 4]
    assert (found.first_detection_us - T0).tolist() == [5, 95]
    assert index.of_objects("ztf", ["old"]) is None
    added = index.add(alerts_of([row(6, "old", 99), row(1, "both", 91)]))
    assert (added.new.first_detection_us - T0).tolist() == [99, 5]
    assert index.expire(T0 + 1000) == 4
    assert index.query(EVERYWHERE) == []


def test_nothing_in_gives_nothing_out():
    index = AlertIndex()
    assert len(index.add(alerts_of([])).new) == 0
    assert index.query(EVERYWHERE) == []
    assert len(index) == 0


@pytest.mark.parametrize("where", CENTRES)
def test_a_point_lies_in_an_arcsecond_around_itself(where):
    index = AlertIndex()
    index.add(alerts_of([row(1, "a", 0) | {"ra": where[0], "dec": where[1]}]))
    assert len(index.query(Window(T0, T0, Circle.around(*where, 1 / 3600)))) == 1
