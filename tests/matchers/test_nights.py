"""Nights, and the index made of them, against a plain list of alerts."""

from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers import index as index_module
from matchers import nights as nights_module
from matchers.index import AlertIndex
from matchers.nights import Night, night_of
from schemas.densities import skymap_of
from schemas.localisation import Annulus, Ellipse
from schemas.records import Alerts, Window
from schemas.sky import Cells, Circle, Region, pixels_of
from schemas.times import us_from_iso
from tests.matchers.made import DAY, T0, alerts_of, cone

REGIONS: list[Region] = [
    Circle.around(10, 20, 2),
    Circle.around(0, 89.5, 1),
    Circle.around(0, 0, 180),
    skymap_of(cone(11, 21, 2)).credible_region(0.9),
    skymap_of(Ellipse(10, 20, 3, 1, 30, 0.9)).credible_region(0.8),
    skymap_of(Annulus(10, 24, 4, 0.5, 0.9)).credible_region(0.9),
]
_start = pixels_of(np.array([10.0]), np.array([20.0]))[0] >> 38 << 38
REGIONS += [Cells(np.array([_start, _start + (3 << 36)]), np.array([_start + (1 << 36), _start + (1 << 40)]))]
REGIONS += [Cells(np.zeros(0, np.int64), np.zeros(0, np.int64))]


class Unsaid:
    """A region that a user might write, which tells nothing but what it must."""

    def __init__(self, region: Region) -> None:
        self.lo, self.hi, self.contains = region.lo, region.hi, region.contains


REGIONS += [Unsaid(REGIONS[0])]


def made(seed: int, n: int, survey: str = "ztf") -> Alerts:
    """Near the regions' borders, over five nights, with ids and objects that come again."""
    rng = np.random.default_rng(seed)
    t = T0 + rng.choice([-DAY, 0, 1, 14 * DAY // 24, 14 * DAY // 24 - 1, DAY, 3 * DAY], n) + rng.integers(0, 3, n)
    ra, dec = rng.uniform(7, 13, n), rng.uniform(17, 25, n)
    polar = rng.random(n) < 0.1
    ra[polar], dec[polar] = rng.uniform(0, 360, polar.sum()), rng.uniform(88, 90, polar.sum())
    return Alerts.from_columns(
        survey,
        alert_id=rng.integers(-3, 2 * n, n),
        object_id=[f"o{k}" for k in rng.integers(0, n // 2, n)],
        time_us=t,
        first_detection_us=t - rng.integers(0, 3, n),
        ra_deg=ra,
        dec_deg=dec,
        mag=np.arange(n),
        origin=[f"x{k}" for k in range(n)],
    )


@dataclass
class Plain:
    """All stored alerts as a list of one-row `Alerts`, and all detections of each object."""

    rows: dict[int, Alerts] = field(default_factory=dict)
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, alerts: Alerts, *, store: bool = True) -> list[int]:
        new = []
        for k in range(len(alerts)):
            one = alerts.take(slice(k, k + 1))
            name, t = str(one.object_id[0]), int(one.time_us[0])
            first, last = self.seen.get(name, (t, t))
            self.seen[name] = min(first, t, int(one.first_detection_us[0])), max(last, t)
            if store and int(one.alert_id[0]) not in self.rows:
                self.rows[int(one.alert_id[0])] = one
                new.append(int(one.alert_id[0]))
        return new

    def expire(self, before: int) -> int:
        gone = [number for number, one in self.rows.items() if one.time_us[0] < before]
        for number in gone:
            del self.rows[number]
        self.seen = {name: span for name, span in self.seen.items() if span[1] >= before}
        return len(gone)

    def told(self, wanted: list[Alerts]) -> list[tuple]:
        rows = [
            (
                int(a.time_us[0]),
                int(a.alert_id[0]),
                str(a.object_id[0]),
                self.seen[str(a.object_id[0])][0],
                float(a.mag[0]),
            )
            for a in wanted
        ]
        return sorted(rows)

    def inside(self, window: Window) -> list[tuple]:
        return self.told([
            a for a in self.rows.values()
            if window.start_us <= a.time_us[0] <= window.end_us
            and window.region.contains(a.ra_deg, a.dec_deg, a.pixel)[0]
        ])  # fmt: skip


def told(alerts: Alerts | None) -> list[tuple]:
    if alerts is None:
        return []
    columns = (alerts.time_us, alerts.alert_id, alerts.object_id, alerts.first_detection_us, alerts.mag)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def query(index, window: Window) -> list[tuple]:
    found = index.query(window)
    return told(found[0] if found else None)


STEPS = ["add", "add", "add", "note", "expire", "expire", "seal", "map", "snapshot"]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32), st.lists(st.sampled_from(STEPS), min_size=4, max_size=14), st.sampled_from([4, 16, 1 << 20])
)
def test_the_index_answers_as_a_plain_list_would_whatever_was_done(tmp_path_factory, seed, steps, most):
    random, alerts = Random(seed), made(seed, 90)
    index, plain, kept = AlertIndex(), Plain(), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nights_module, "_MOST_MERGED", most)
        patch.setattr(nights_module, "_MOST_CHUNKED", most)
        patch.setattr(nights_module, "MOST_ROWS", 32)
        patch.setattr(index_module, "MOST_ROWS", 32)
        for step in [*steps, "ask"]:
            part = alerts.take(np.array(random.sample(range(90), random.randint(0, 90)), np.int64))
            window = Window(
                T0 + random.choice([-2 * DAY, 0, 1, DAY]),
                T0 + random.choice([0, 2, DAY, 9 * DAY]),
                random.choice(REGIONS),
            )
            before = T0 + random.choice([-DAY, 1, 1, 2, 14 * DAY // 24 + 1, DAY + 1, 5 * DAY])
            if step == "add":
                assert index.add(part).new.alert_id.tolist() == plain.add(part)
            elif step == "note":
                index.note(part)
                plain.add(part, store=False)
            elif step == "expire":
                kept.clear()
                assert index.expire(before) == plain.expire(before)
            elif step == "seal":
                index.seal(before)
            elif step == "map":
                map_nights(index, before, tmp_path_factory)
            elif step == "snapshot":
                kept.append((index.snapshot(), window, [row[:3] for row in plain.inside(window)]))
            assert len(index) == len(plain.rows)
            assert query(index, window) == plain.inside(window)
            parts = [told(part) for part in index.snapshot().by_night(window)]
            assert sorted(chain.from_iterable(parts)) == plain.inside(window)
            number, name = random.choice(alerts.alert_id.tolist()), str(random.choice(alerts.object_id))
            assert told(index.of_id("ztf", number)) == plain.told([plain.rows[number]] if number in plain.rows else [])
            of_object = [a for a in plain.rows.values() if a.object_id[0] == name]
            assert told(index.of_object("ztf", name)) == plain.told(of_object)
    for snapshot, window, wanted in kept:
        assert [row[:3] for row in query(snapshot, window)] == wanted


def map_nights(index: AlertIndex, before: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Seal nights, write them, and let the index go on with the files."""
    for night in index.close(before, 99):
        assert index.adopt(written(night.sealed(), tmp_path_factory.mktemp("night")), [night])


def written(night: Night, folder: Path) -> Night:
    for name, column in night.arrays().items():
        np.save(folder / f"{name}.npy", column)
    return Night.of_arrays(night.survey, {file.stem: np.load(file, mmap_mode="r") for file in folder.iterdir()})


def test_sealed_nights_and_objects_come_back_from_files(tmp_path):
    index, alerts = AlertIndex(), made(3, 200)
    for rows in np.array_split(np.arange(200), 9):
        index.add(alerts.take(rows))
    index.note(made(4, 20))
    sealed = index.seal(T0 + 99 * DAY)
    assert sum(map(len, sealed)) == len(index)
    assert index.seal(T0 + 99 * DAY) == []
    again = AlertIndex()
    again.restore_objects("ztf", index.objects_arrays("ztf"))
    for number, night in enumerate(sealed[::-1]):
        (tmp_path / str(number)).mkdir()
        back = written(night, tmp_path / str(number))
        assert isinstance(back.runs[0].pixel.base, np.memmap)
        assert np.array_equal(back.chunks[0].pixel, np.sort(night.chunks[0].pixel))
        again.adopt(back)
        with pytest.raises(ValueError, match="stored already"):
            again.adopt(back)
    everywhere = Window(T0 - 9 * DAY, T0 + 9 * DAY, REGIONS[2])
    assert query(again, everywhere) == query(index, everywhere)
    assert again.state("ztf", "o7") == index.state("ztf", "o7") is not None
    assert len(again.add(alerts).new) == 0
    with pytest.raises(ValueError, match="known already"):
        again.restore_objects("ztf", {})


def test_what_came_after_sealing_is_not_lost_when_the_file_is_taken_in():
    index = AlertIndex()
    index.add(alerts_of([{"id": 1, "obj": "a", "t": T0, "ra": 10, "dec": 20}]))
    (night,) = index.seal(T0 + 9 * DAY)
    index.add(alerts_of([{"id": 2, "obj": "a", "t": T0 + 1, "ra": 10, "dec": 20}]))
    index.adopt(Night.of_arrays("ztf", night.arrays()), instead=night)
    assert len(index) == 2
    (night,) = index.seal(T0 + 9 * DAY)
    assert len(night) == 2


def test_only_whole_sealed_nights_are_written_and_only_whole_ones_read():
    index = AlertIndex()
    rows = [{"id": k, "obj": "a", "t": T0 + k, "ra": 10, "dec": 20} for k in range(3)]
    index.add(alerts_of(rows))
    (open_night,) = index._surveys["ztf"].nights
    with pytest.raises(ValueError, match="not sealed"):
        open_night.arrays()
    (night,) = index.seal(T0 + 9 * DAY)
    with pytest.raises(ValueError, match="not sealed"):
        night.since(T0 + 1).arrays()
    arrays = night.arrays()
    with pytest.raises(ValueError, match="lacks the columns id_row, mag"):
        Night.of_arrays("ztf", {name: column for name, column in arrays.items() if name not in ("mag", "id_row")})
    with pytest.raises(ValueError, match="differ in length"):
        Night.of_arrays("ztf", arrays | {"mag": arrays["mag"][:2]})


def test_a_night_lasts_from_noon_to_noon_in_the_west():
    times = ["2026-01-01T17:59:59.999999Z", "2026-01-01T18:00:00Z", "2026-01-02T17:00:00Z", "1969-12-30T00:00:00Z"]
    numbers = night_of(np.array([us_from_iso(time) for time in times]))
    assert (numbers - numbers[1]).tolist()[:3] == [-1, 0, 0]
    assert numbers[3] == -3
    night = Night.empty("ztf", int(numbers[1]))
    assert (night.start_us, night.end_us) == (us_from_iso(times[1]), us_from_iso(times[1]) + DAY)


def test_only_nights_that_are_over_are_sealed():
    index = AlertIndex()
    index.add(alerts_of([{"id": k, "obj": "a", "t": T0 + k * DAY, "ra": 10, "dec": 20} for k in range(3)]))
    assert [night.start_us < T0 + DAY for night in index.seal(T0 + DAY + 14 * DAY // 24)] == [True, True]
    assert [night.is_sealed for night in index._surveys["ztf"].nights] == [True, True, False]


def test_non_detections_and_sizes_are_told():
    index = AlertIndex()
    assert index.state("ztf", "a") is None
    index.miss("ztf", np.array(["a"]), np.array([T0]))
    index.add(alerts_of([{"id": k, "obj": "a", "t": T0 + k, "ra": 10, "dec": 20} for k in range(50)]))
    index.miss("ztf", np.array(["a"]), np.array([T0 - DAY]))
    state = index.state("ztf", "a")
    assert state is not None
    assert (state.last_non_detection_us, state.detections) == (T0 - DAY, 50)
    sizes = index.nbytes
    assert sizes["runs"] == 50 * 32
    assert sizes["wide"] > 50 * 90
    assert sizes["objects"] > 0
