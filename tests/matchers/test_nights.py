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
from matchers.index import AlertIndex, Snapshot
from matchers.nights import MOST_ROWS, Night, night_of
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


class Both:
    """An index and a plain list, to which the same is done."""

    def __init__(self, seed: int, folders: pytest.TempPathFactory) -> None:
        self.random, self.alerts, self.folders = Random(seed), made(seed, 90), folders
        self.index, self.plain = AlertIndex(), Plain()
        self.closed: list[Night] = []
        self.kept: list[tuple[Snapshot, Window, list[tuple]]] = []

    def some(self) -> Alerts:
        return self.alerts.take(np.array(self.random.sample(range(90), self.random.randint(0, 90)), np.int64))

    def window(self) -> Window:
        start, end = self.random.choice([-2 * DAY, 0, 1, DAY]), self.random.choice([0, 2, DAY, 9 * DAY])
        return Window(T0 + start, T0 + end, self.random.choice(REGIONS))

    def before(self) -> int:
        return T0 + self.random.choice([-DAY, 1, 1, 2, 14 * DAY // 24 + 1, DAY + 1, 5 * DAY])

    def add(self) -> None:
        part = self.some()
        assert self.index.add(part).new.alert_id.tolist() == self.plain.add(part)

    def note(self) -> None:
        part = self.some()
        self.index.note(part)
        self.plain.add(part, store=False)

    def expire(self) -> None:
        before = self.before()
        self.kept.clear()
        assert self.index.expire(before) == self.plain.expire(before)

    def close(self) -> None:
        self.closed += self.index.close(self.before(), self.random.choice([0, 9, 99]))

    def seal(self) -> None:
        for night in self.closed:
            replace(self.index, night.sealed(), [night])
        self.closed.clear()

    def map(self) -> None:
        for night in self.closed:
            replace(self.index, written(night.sealed(), self.folders.mktemp("night")), [night])
        self.closed.clear()

    def merge(self) -> None:
        parts = [night for night in self.index.nights() if night.is_sealed]
        for start_us in {part.start_us for part in parts}:
            same = [part for part in parts if part.start_us == start_us]
            if sum(part.rows for part in same) <= nights_module.MOST_ROWS:
                replace(self.index, Night.merged(same), same)

    def restart(self) -> None:
        self.index = restarted(self.index)

    def grow(self) -> None:
        self.index.grow()

    def snapshot(self) -> None:
        window = self.window()
        self.kept.append((self.index.snapshot(), window, [row[:3] for row in self.plain.inside(window)]))

    def compare(self) -> None:
        index, plain, window = self.index, self.plain, self.window()
        assert len(index) == len(plain.rows)
        assert query(index, window) == plain.inside(window)
        for most_rows in (3, 1 << 20):
            parts = [told(part) for part in index.snapshot().by_night(window, most_rows)]
            assert all(len(part) <= most_rows for part in parts)
            assert sorted(chain.from_iterable(parts)) == plain.inside(window)
        number = self.random.choice(self.alerts.alert_id.tolist())
        assert told(index.of_id("ztf", number)) == plain.told([plain.rows[number]] if number in plain.rows else [])
        names = self.random.sample(["unknown", *self.alerts.object_id.tolist()], self.random.randint(0, 4))
        of_objects = [a for a in plain.rows.values() if a.object_id[0] in names]
        assert told(index.of_objects("ztf", names)) == plain.told(of_objects)
        for snapshot, asked, wanted in self.kept:
            assert [row[:3] for row in query(snapshot, asked)] == wanted


STEPS = [Both.add, Both.add, Both.add, Both.note, Both.expire, Both.expire, Both.close, Both.close, Both.seal, Both.map]
STEPS += [Both.merge, Both.restart, Both.grow, Both.snapshot]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32), st.lists(st.sampled_from(STEPS), min_size=4, max_size=14), st.sampled_from([4, 16, 1 << 20])
)
def test_the_index_answers_as_a_plain_list_would_whatever_was_done(tmp_path_factory, seed, steps, most):
    both = Both(seed, tmp_path_factory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nights_module, "_MOST_MERGED", most)
        patch.setattr(nights_module, "_MOST_CHUNKED", most)
        patch.setattr(nights_module, "MOST_ROWS", 32)
        patch.setattr(index_module, "MOST_ROWS", 32)
        for step in steps:
            step(both)
            both.compare()


def replace(index: AlertIndex, night: Night, parts: list[Night]) -> None:
    """Have parts replaced, which is done unless something of them expired."""
    stored = {id(part) for part in index.nights()}
    before = len(index)
    assert index.adopt(night, parts) == all(id(part) in stored for part in parts)
    assert len(index) == before


def restarted(index: AlertIndex) -> AlertIndex:
    """Another index that was told all that this one knows."""
    again = AlertIndex()
    for survey in index.surveys():
        again.restore_objects(survey, index.checkpoint(survey))
    for night in index.nights():
        if night.is_sealed and len(night) == night.rows:
            assert again.adopt(Night.of_arrays("ztf", night.arrays()))
    for night in index.nights():
        if not (night.is_sealed and len(night) == night.rows):
            for alerts in night.batches(7):
                again.restore(alerts, observed=True)
    return again


def written(night: Night, folder: Path) -> Night:
    for name, column in night.arrays().items():
        np.save(folder / f"{name}.npy", column)
    return Night.of_arrays(night.survey, {file.stem: np.load(file, mmap_mode="r") for file in folder.iterdir()})


def seal(index: AlertIndex, before: int = T0 + 99 * DAY) -> list[Night]:
    sealed = []
    for night in index.close(before, MOST_ROWS):
        sealed.append(night.sealed())
        assert index.adopt(sealed[-1], [night])
    return sealed


def test_sealed_nights_and_objects_come_back_from_files(tmp_path):
    index, alerts = AlertIndex(), made(3, 200)
    for rows in np.array_split(np.arange(200), 9):
        index.add(alerts.take(rows))
    index.note(made(4, 20))
    sealed = seal(index)
    assert sum(map(len, sealed)) == len(index)
    assert index.close(T0 + 99 * DAY, 0) == []
    again = AlertIndex()
    again.restore_objects("ztf", mapped(index.checkpoint("ztf"), tmp_path, "c"))
    for number, night in enumerate(sealed[::-1]):
        (tmp_path / str(number)).mkdir()
        back = written(night, tmp_path / str(number))
        assert isinstance(back.runs[0].pixel.base, np.memmap)
        assert again.adopt(back)
    everywhere = Window(T0 - 9 * DAY, T0 + 9 * DAY, REGIONS[2])
    assert query(again, everywhere) == query(index, everywhere)
    assert again.state("ztf", "o7") == index.state("ztf", "o7") is not None
    assert len(again.add(alerts).new) == 0
    with pytest.raises(ValueError, match="known already"):
        again.restore_objects("ztf", {})


@pytest.mark.parametrize("mode", ["r", "c", None])
def test_what_is_known_of_objects_is_restored_apart_from_where_it_came_from(tmp_path, mode):
    index = AlertIndex()
    index.add(made(3, 200))
    given = mapped(index.checkpoint("ztf"), tmp_path, mode) if mode else index.checkpoint("ztf")
    before = {name: column.copy() for name, column in given.items()}
    again = AlertIndex()
    again.restore_objects("ztf", given)
    (objects, same) = (one._surveys["ztf"].objects for one in (again, index))
    assert np.shares_memory(objects._table.slots, given["slots"]) == (mode == "c")
    assert len(objects) == len(same)
    again.add(made(5, 200))
    again.expire(T0 + DAY)
    files = {name: np.load(tmp_path / f"{name}.npy") for name in given} if mode else index.checkpoint("ztf")
    assert all(np.array_equal(files[name], column) for name, column in before.items())


def mapped(arrays: dict[str, np.ndarray], folder: Path, mode: str) -> dict[str, np.ndarray]:
    for name, column in arrays.items():
        np.save(folder / f"{name}.npy", column)
    return {name: np.load(folder / f"{name}.npy", mmap_mode=mode) for name in arrays}


def test_what_is_known_of_objects_must_fit():
    index = AlertIndex()
    index.add(made(3, 200))
    arrays = index.checkpoint("ztf")
    with pytest.raises(ValueError, match="lacks the columns last_us, slots"):
        AlertIndex().restore_objects("ztf", {k: v for k, v in arrays.items() if k not in ("slots", "last_us")})
    for name in ("slots", "name", "last_us"):
        with pytest.raises(ValueError, match="does not fit"):
            AlertIndex().restore_objects("ztf", arrays | {name: arrays[name][:-1]})


def row(number: int, t: int = 0) -> dict:
    return {"id": number, "obj": "a", "t": T0 + t, "ra": 10, "dec": 20}


def test_what_came_after_closing_lies_in_a_fresh_part():
    index = AlertIndex()
    index.add(alerts_of([row(1)]))
    (night,) = index.close(T0 + 9 * DAY, 99)
    index.add(alerts_of([row(2, 1)]))
    assert index.close(T0 - DAY, 1) == []
    assert index.adopt(Night.of_arrays("ztf", night.sealed().arrays()), [night])
    assert [len(part) for part in index.nights()] == [1, 1]
    (other,) = index.close(T0 - DAY, 0)
    assert index.adopt(Night.merged(index.nights()), index.nights())
    assert [len(part) for part in index.nights()] == [2]
    assert not index.adopt(other.sealed(), [other])
    assert len(index) == 2


def test_only_parts_of_one_night_are_merged(monkeypatch):
    nights = [Night.empty("ztf", 7), Night.empty("ztf", 8)]
    for parts in (nights, []):
        with pytest.raises(ValueError, match="parts of one night"):
            Night.merged(parts)
    index = AlertIndex()
    index.add(alerts_of([row(1), row(2)]))
    monkeypatch.setattr(nights_module, "MOST_ROWS", 1)
    with pytest.raises(ValueError, match="more than 1 alerts"):
        Night.merged(index.nights())


def test_a_part_of_which_all_expired_goes():
    index = AlertIndex()
    index.add(alerts_of([row(1), row(2)]))
    (night,) = index.close(T0 + 9 * DAY, 99)
    assert index.adopt(night.since(T0 + 1).sealed(), [night])
    assert index.nights() == ()


def test_only_whole_sealed_nights_are_written_and_only_whole_ones_read():
    index = AlertIndex()
    rows = [{"id": k, "obj": "a", "t": T0 + k, "ra": 10, "dec": 20} for k in range(3)]
    index.add(alerts_of(rows))
    (open_night,) = index._surveys["ztf"].nights
    with pytest.raises(ValueError, match="not sealed"):
        open_night.arrays()
    (night,) = seal(index)
    with pytest.raises(ValueError, match="not sealed"):
        night.since(T0 + 1).arrays()
    arrays = night.arrays()
    with pytest.raises(ValueError, match="lacks the columns id_row, mag"):
        Night.of_arrays("ztf", {name: column for name, column in arrays.items() if name not in ("mag", "id_row")})
    with pytest.raises(ValueError, match="differ in length"):
        Night.of_arrays("ztf", arrays | {"mag": arrays["mag"][:2]})


def test_what_an_earlier_version_sealed_lacks_a_column_that_is_unknown_then():
    index = AlertIndex()
    rows = [{"id": k, "obj": "a", "t": T0 + k, "ra": 10, "dec": 20, "star_galaxy": 0.5} for k in range(3)]
    index.add(alerts_of(rows))
    arrays = seal(index)[0].arrays()
    assert arrays.pop("star_galaxy").tolist() == [0.5] * 3
    night = Night.of_arrays("ztf", arrays)
    again = Night.of_arrays("ztf", Night.merged([night]).arrays())
    for some in (night, again):
        (alerts,) = some.batches(9)
        assert np.isnan(alerts.star_galaxy).all()
        assert alerts.mag.tolist() == [19.0] * 3


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
    assert [night.start_us < T0 + DAY for night in seal(index, T0 + DAY + 14 * DAY // 24)] == [True, True]
    assert [night.is_sealed for night in index._surveys["ztf"].nights] == [True, True, False]


def test_sizes_and_what_is_known_of_an_object_are_told():
    index = AlertIndex()
    assert index.state("ztf", "a") is None
    rows = [row(k, k * DAY // 100) | {"mag": 19 - k / 100, "last_non_detection_us": T0 - DAY} for k in range(50)]
    for _ in range(2):
        index.add(alerts_of(rows))
    state = index.state("ztf", "a")
    assert state is not None
    assert (state.last_non_detection_us, state.detections) == (T0 - DAY, 50)
    assert state.rates == {"g": pytest.approx(-1, rel=1e-6)}
    sizes = index.nbytes
    assert sizes["runs"] == 50 * 32
    assert sizes["wide"] > 50 * 90
    assert sizes["objects"] > 0


def test_a_long_text_takes_no_more_than_its_bytes():
    index = AlertIndex()
    index.add(alerts_of([row(k) | {"obj": f"o{k}"} for k in range(1000)]))
    before = index.nbytes["wide"]
    index.add(alerts_of([row(1001) | {"origin": "x" * 5000, "obj": "é" * 300, "band": "y" * 100}]))
    assert index.nbytes["wide"] < before + 6000
    (found,) = index.query(Window(T0, T0, REGIONS[0]))
    assert max(found.object_id.tolist()) == "é" * 300
    assert max(found.origin.tolist(), key=len) == "x" * 5000
    (night,) = seal(index)
    assert sum("y" * 100 in some.band for some in Night.of_arrays("ztf", night.arrays()).batches(10)) == 1


def test_room_for_objects_is_made_before_it_is_needed():
    index = AlertIndex()
    index.add(alerts_of([row(k) | {"obj": f"o{k}"} for k in range(30)]))
    before = index.nbytes["objects"]
    index.grow()
    assert index.nbytes["objects"] > before
    after = index.nbytes["objects"]
    index.grow()
    assert index.nbytes["objects"] == after
    assert len(index.add(alerts_of([row(99) | {"obj": "o7"}])).new) == 1
    assert [state and state.detections for state in (index.state("ztf", "o7"), index.state("ztf", "o8"))] == [2, 1]
