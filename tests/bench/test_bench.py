"""Benchmarks are not timed here: they run small, and compare what they find with what is plainly there."""

import io
import subprocess
from pathlib import Path

import fastavro
import numpy as np
import pytest

from bridges.files import find_files, read_files
from bridges.simulator import NightPlan
from schemas.catalogue import SchemaCatalogue
from schemas.survey import read_batch
from tests.bench import (
    bench_burst,
    bench_decode,
    bench_http,
    bench_ingest,
    bench_live,
    bench_notice,
    bench_replay,
    bench_restart,
    bench_retro,
    bench_whole,
    http_load,
    made,
    needs,
    packets,
    postgres,
    repeat,
)
from tests.bench.rows import Row, row_of_ms, row_of_rates


@pytest.mark.not_measured
def test_live_match_and_baselines_find_the_same():
    windows, alerts = made.windows(12, maps=2), made.alerts(3000)
    found = bench_live.pairs_of(bench_live._book(windows)[0], made.batches(alerts, 500))
    assert found == bench_live.plain_pairs(windows, alerts)
    circles = [pair for pair in windows if isinstance(pair[1].region, made.Circle)]
    maps = [pair for pair in windows if not isinstance(pair[1].region, made.Circle)]
    assert (len(circles), len(maps)) == (10, 2)
    in_circles = len([pair for pair in found if f"made:{pair[0]}" in {trigger.id for trigger, _ in circles}])
    for kind, name, baseline in bench_live._baselines():
        with baseline(circles if kind == "circles" else maps, alerts) as pairs:
            assert pairs() == (in_circles if kind == "circles" else len(found) - in_circles), name


@pytest.mark.not_measured
def test_every_benchmark_gives_rows(monkeypatch):
    monkeypatch.setattr(bench_ingest, "BATCH", 100)
    rows = bench_live._of(made.windows(6, maps=1), 2000, full=False)
    rows += bench_live._kinds(made.windows(6, maps=1), made.alerts(2000))
    rows += bench_retro._whole(2000, [window for _, window in made.windows(6, maps=1, days=1)])
    rows += bench_retro._narrow(2000, [window for _, window in made.windows(6, maps=1, days=1)])
    rows += bench_ingest._of(5000)
    rows += bench_decode._of(8, 1, 2)
    rows += bench_whole._of(20, packets.notices(3, maps=1), 2, history=2)
    rows += bench_notice._of(3, 1, (5, 2), map_rows=4000)
    rows += bench_replay._of(NightPlan(nights=2).scaled(0.02), 1)
    rows += bench_burst._drained(700, packets.notices(3, maps=1), 2)
    rows += bench_burst._steady(0.2, packets.notices(3, maps=1), 2)
    rows += bench_restart._of(5000, 1)
    rows += bench_http.uploads(4000, bench_http.SEEDS[:2], map_rows=4000)
    rows += bench_http.matches(50, triggers=2)
    for row in rows:
        assert row.low <= row.median <= row.high
        assert (row.ratio is None) == (row.baseline == "")
        assert row.amount > 0


@pytest.mark.not_measured
def test_all_who_listen_under_load_are_told_everything():
    rows = http_load.load(0.02, listeners=3, uploads=2, map_rows=4000)
    assert [row.name for row in rows if "late" in row.name]
    assert all(row.low <= row.median <= row.high for row in rows)


def test_a_ratio_above_one_is_better():
    assert row_of_rates("x", "y", 10, [1.0, 2.0], baseline="z", baseline_median=5.0) == Row(
        "x", "y", "alerts/s", 7.5, 5.0, 10.0, "z", 5.0
    )
    assert row_of_rates("x", "y", 10, [1.0], baseline="z", baseline_median=5.0).ratio == pytest.approx(2)
    assert row_of_ms("x", "y", [0.001], baseline="z", baseline_median=3.0).ratio == pytest.approx(3)
    assert row_of_ms("x", "y", [0.001]).ratio is None


def test_made_maps_are_maps():
    skymap = made.gw_map(3, rows=4000)
    assert (skymap.hi[:-1] <= skymap.lo[1:]).all()
    assert np.isclose((skymap.cell_density_per_sr * (skymap.hi - skymap.lo)).sum() * made.PIXEL_SR, 1)
    assert 0 < skymap.area_deg2(0.5) < skymap.area_deg2(0.9) < 20_000


def test_made_lsst_packets_tell_what_the_alerts_tell():
    alerts = made.alerts(300)
    (read,), rejected = read_batch(packets.lsst_packets(alerts, 3), packets.catalogue())
    assert not rejected
    assert (read.alert_id - packets._FIRST_ID == alerts.alert_id).all()
    assert (read.object_id == alerts.object_id).all()
    assert np.abs(read.time_us - alerts.time_us).max() < 100
    assert (read.ra_deg == alerts.ra_deg).all()
    assert (read.dec_deg == alerts.dec_deg).all()
    new = np.abs(read.first_detection_us - alerts.first_detection_us) < 100
    assert np.array_equal(np.flatnonzero(new), np.arange(0, 300, packets._NEW_OF))


@pytest.mark.not_measured
def test_a_set_is_repeated_with_other_alerts_of_other_objects(tmp_path, monkeypatch):
    monkeypatch.setattr(repeat, "MEMBERS", 30)
    few = repeat.packets_of([])[:20]
    repeat.write(few, tmp_path / "one", 50, seed=3)
    repeat.write(few, tmp_path / "two", 50, seed=3)
    assert [path.name for path in sorted((tmp_path / "one").iterdir())] == ["00.tar", "01.tar"]
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    (read,), rejected = read_batch(read_files(find_files([tmp_path / "one"])), SchemaCatalogue())
    assert not rejected
    assert len(set(read.alert_id.tolist())) == len(set(read.object_id.tolist())) == len(read) == 50
    original = [record["candidate"] for _, record in few]
    days = (read.time_us[:20] - [round((one["jd"] - 2440587.5) * 86400e6) for one in original]) / 86400e6
    assert np.abs(days - np.round(days)).max() < 1e-6
    assert np.abs(days).max() <= repeat.NIGHTS + 1e-6
    assert 0 < np.abs(read.dec_deg[:20] - [one["dec"] for one in original]).max() <= repeat.DEGREES
    body = next(read_files(find_files([tmp_path / "one"]))).body
    assert len(list(fastavro.reader(io.BytesIO(body)))) == 1


def test_what_a_baseline_lacks_is_told(monkeypatch):
    assert needs.lacking(["json", "surely_not_there", "surely_not.there"]) == ["surely_not_there", "surely_not.there"]
    monkeypatch.setattr(needs, "programs", lambda: None)
    assert needs.lacking(["json", needs.SERVER]) == [needs.SERVER]
    assert needs.SERVER in bench_live.missing()[bench_live.ALCHEMY]


@pytest.mark.skipif(postgres.programs() is None, reason="there is no server of PostgreSQL")
def test_a_server_of_ones_own_starts_and_goes():
    with postgres.server() as url:
        folder = url.partition("host=")[2]
        subprocess.run([postgres.programs() / "pg_isready", "-h", folder], check=True, capture_output=True)
    assert not Path(folder).exists()
