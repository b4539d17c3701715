"""Benchmarks are not timed here: they run small, and compare what they find with what is plainly there."""

from importlib.util import find_spec

import numpy as np
import pytest

from tests.bench import bench_decode, bench_ingest, bench_live, bench_retro, made
from tests.bench.rows import Row, row_of_ms, row_of_rates


def test_live_match_and_baselines_find_the_same():
    windows, alerts = made.windows(12, maps=2), made.alerts(3000)
    found = bench_live.pairs_of(bench_live._book(windows)[0], made.batches(alerts, 500))
    assert found == bench_live.plain_pairs(windows, alerts)
    circles = {int(t.id.partition(":")[2]) for t, w in windows if isinstance(w.region, made.Circle)}
    in_circles = len([pair for pair in found if pair[0] in circles])
    assert bench_live.separation_pairs(windows, alerts) == in_circles
    if find_spec("scipy"):
        assert bench_live.astropy_pairs(windows, alerts) == in_circles
    maps = [pair for pair in windows if not isinstance(pair[1].region, made.Circle)]
    assert len(maps) == 2
    assert bench_live.mocpy_pairs(maps, alerts) == len([pair for pair in found if pair[0] not in circles])


def test_every_benchmark_gives_rows(monkeypatch):
    monkeypatch.setattr(bench_ingest, "BATCH", 100)
    rows = bench_live._of(made.windows(6, maps=1), 2000, full=False)
    rows += bench_retro._whole(2000, [window for _, window in made.windows(6, maps=1, days=1)])
    rows += bench_retro._narrow(2000, [window for _, window in made.windows(6, maps=1, days=1)])
    rows += bench_ingest._of(5000)
    rows += bench_decode._of(8, 1, 2)
    for row in rows:
        assert row.low <= row.median <= row.high
        assert (row.ratio is None) == (row.baseline == "")
        assert row.amount > 0


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
